/* The provider's and the money's side of a request: plan, hold, send, relay, settle.  A call
 * may outlive its client to read the final usage; it dies only after its last ledger
 * operation is queued.
 *
 * Steps: begin -> (try -> hold -> send -> head -> body|stream -> settle) repeated by failover
 * -> done.  Each step is a function of call.c; what the client sees is in call_answer.c,
 * what the ledger is told in call_money.c.
 *
 * Thread: its worker's loop thread only. */
#ifndef SERVER_CALL_H
#define SERVER_CALL_H

#include "router/experiment.h"
#include "router/rate.h"
#include "router/route.h"
#include "schema/id.h"
#include "schema/money.h"
#include "schema/sse.h"
#include "server/planning.h"
#include "server/reach.h"
#include "server/request.h"

enum {
    CALL_ANSWER_MAX = PROVIDER_BODY_MAX, /* a whole (not streamed) answer */
    CALL_KEEP_BODY = 64 * 1024,          /* a pooled call keeps buffers up to this size, */
    CALL_KEEP_VALUES = 8192,             /* JSON nodes and */
    CALL_KEEP_PLAN = 1024,               /* plan rows up to these counts */
    CALL_LINGER_MS = 1000,               /* a provider that does not close after its last event */
    CALL_RELAYED_HEADERS_MAX = 8 * 1024, /* of the provider's: they share the connection's pool */
    CALL_PING_MS = 10000,                /* keep-alive to a client of a silent stream */
    CALL_HOLD_WAIT_S = 20,      /* a ledger that does not answer, because its disk hangs, is down */
    CALL_HOLD_STEP_MS = 1000,   /* waited in steps: this process itself may have stood still */
    CALL_HOLDBACK_MS = 1000,    /* a stream's first events wait so long for its first content, */
    CALL_HELD_MAX = 256 * 1024, /* and no more bytes than this */
    CALL_CHECKPOINT_MS = 5000,  /* a running stream's figures are made durable so often, */
    CALL_CHECKPOINT_TOK = 2000, /* and after so many more output tokens */
    CALL_SHADOWS_MAX = 64,      /* copies that run, all workers together */
    CALL_SHADOW_BODY_MAX = 4 * 1024 * 1024, /* a larger request is not copied */
    CALL_SHADOW_DELAY_MS = 1,               /* a copy begins when its request has been sent */
    CALL_EXPERIMENT_MAX = 2 * EXPERIMENT_NAME_MAX + 16,
    CALL_DROPPED_MAX = 2048,          /* the header that names what a provider was not told */
    CALL_REFUSAL_MAX = 4096,          /* what is said of a cap */
    CALL_ERROR_EVENT_MAX = 64 * 1024, /* of our own, in a stream */
    CALL_MESSAGE_MAX = 256            /* of a provider's error, for error.attempts */
};

enum call_kind { CALL_MESSAGES, CALL_COUNT_TOKENS };

/* What is remembered of each attempt for error.attempts. */
struct call_attempt {
    const struct endpoint *endpoint;
    int http_status;
    enum route_end end;
    char message[CALL_MESSAGE_MAX];
};

/* What the health table and the retry budget know of the attempt that may begin, or runs. */
struct call_turn {
    struct breaker_ticket ticket;
    int64_t endpoint_id;
    int64_t model_id; /* of the first candidate: its budget pays for the retries */
    bool open;        /* it has begun there and has not ended */
    bool counted;     /* the request has been counted */
};

struct call {
    struct call *next, **prev; /* running list of the worker, or the free list */
    struct worker *worker;

    /* Kept, with their memory, from one request to the next. */
    uv_timer_t timer; /* one for all limits of the running attempt */
    struct buf body;
    struct json_doc doc;
    struct chat chat;
    struct plan plan;
    struct upreq upreq;
    struct buf answer;         /* a whole answer or an error body */
    struct buf shown;          /* edited or translated bytes on their way to the client */
    struct buf raw;            /* not translated: the event under way */
    struct buf held;           /* of a stream without content yet: what has come of it */
    struct sse stream_split;   /* the events of an edited stream */
    struct dialog dialog;      /* the request, once it had to be translated */
    struct usage_report usage; /* of the running attempt: large, so cleared instead of zeroed */

    /* Zeroed for each request, from here on. */
    struct request *req; /* NULL: the client is gone */
    enum call_kind kind;
    struct id request_id;
    struct catalog *catalog;
    struct identity *identity;
    const struct key_row *key;
    struct loop_trail trail;
    struct experiments *experiments;       /* holds what `place` points to; NULL: in none */
    struct experiment_place place;         /* which experiment it is in, and its arm */
    char asked_model[CHAT_MODEL_TEXT_MAX]; /* where the arm names another; else "" */
    bool shadow;                           /* a copy: nobody waits for it (call_shadow.c) */
    struct route route;
    int64_t begun_ms; /* wall clock */
    bool committed;   /* the client has something of a provider's streamed answer */
    bool opened;      /* it was kept waiting: it has a head (200) and keep-alives of ours */
    bool draining;    /* client gone, reading on for the usage */
    bool recorded;    /* the ledger knows the request: a hold was made */
    bool tried;       /* an attempt was begun */
    int64_t used_tok; /* by all attempts, as billed */
    struct rate_ticket ticket;
    struct idempotency repeat;
    struct shed_slot slot; /* once the client has left */
    int n_attempts;
    struct call_attempt attempts[ROUTE_ATTEMPTS_MAX];
    int64_t earlier_nusd;         /* charged for the attempts before the running one */
    struct call_failure *failure; /* the last one's, while the next has no hold yet; or NULL */

    /* the running attempt */
    struct call_turn turn;
    struct id attempt_id;
    const struct endpoint *endpoint;
    const struct credential *credential; /* of the operator's, or NULL */
    bool own_credential;                 /* provider_configs: the client's stands for it */
    const struct endpoint *keys_of;      /* whose credentials the bits below are: those tried */
    uint32_t tried_keys;
    uint64_t pinned_key; /* keyring_place of the only one that knows this conversation; 0 = any */
    const struct provider *adapter;
    struct provider_target target; /* of the last build; without what lived only there */
    struct provider_reading reading;
    struct drops drops; /* what the running attempt's provider was not told */
    bool dialog_read;
    bool translated;  /* the running attempt's provider speaks another protocol */
    bool rewritten;   /* its request is written anew from the dialog */
    int raw_events;   /* that ended in c->raw */
    bool half_shown;  /* the client has a part of the event under way */
    bool raw_hidden;  /* the last one is not for the client */
    bool raw_cut_cr;  /* what was left out ended with CR: LF may follow */
    bool reply_ended; /* REPLY_END was read, not written yet */
    bool reply_broken;
    struct reply_sink sink;
    struct door_writer *writer; /* of a translated answer */
    struct door_answer door_answer;
    char generation_id[ID_TEXT_MAX], cost_usd[MONEY_TEXT_MAX]; /* for door_answer */
    struct transfer *transfer;
    void *stream; /* the adapter's parser, NULL when not streaming */
    int http_status;
    int said_status; /* where http_status is what the provider's counts as: its own; else 0 */
    int64_t hold_nusd;
    int64_t hold_tok;  /* completion tokens that fit into hold_nusd */
    int64_t clamp_tok; /* max_tokens lowered to this for the cap; 0 = as received */
    int clamp_tries;
    bool clamping;     /* no candidate fits as it is: each may be tried with fewer tokens */
    int64_t grow_nusd; /* asked for */
    int grow_tries;
    bool grow_refused;       /* there was no more room when three quarters were used */
    bool extend_waiting;     /* the ledger's answer comes, also to a call that is done: */
    int64_t held_up_tick_ms; /* the stream waits for it since, in steps of a second: */
    int held_up_s;
    bool done;     /* then it is recycled with it */
    bool cut_soon; /* END_over_cap as soon as the running event has been relayed */
    enum err cut_code;
    char cut_text[FAIL_TEXT_MAX]; /* END_over_cap: what the client is told */
    bool hold_waiting, hold_open, sent, paused;
    int hold_waited_s;
    bool hold_late;                    /* nobody waits for the hold any more */
    bool started, stopped, failed;     /* the stream's first, last, error event was seen */
    bool suspect;                      /* something to be shown may repeat the credential */
    enum route_end cut;                /* why we cancelled the transfer ourselves */
    char error_text[CALL_MESSAGE_MAX]; /* what the stream's error event says */
    int64_t sent_ms;                   /* wall clock */
    int64_t sent_tick_ms, head_tick_ms, byte_tick_ms, out_tick_ms, content_tick_ms;
    int64_t held_tick_ms; /* when the first byte was held back, -1 = none is */
    struct timeouts limits;
    enum reach reach;      /* of the last build */
    bool starved;          /* it could not be sent for lack of descriptors or memory here */
    bool own_terms;        /* its address, credential or time limit was the request's own */
    const char *denied;    /* the range of an address that the running attempt may not reach */
    int64_t content_bytes; /* generated text seen in a stream */
    int64_t checkpoint_tick_ms, checkpoint_tok, checkpoint_pusd; /* the last one; tick -1 = none */
    int64_t uncounted_bytes; /* of the stream since its figures were last looked at */
    int64_t cost_pusd;
    char provider_request_id[LEDGER_SLUG_MAX];
};

/* Takes the request's body over and starts; the request is replied to or parked. */
void call_begin(struct request *r, enum call_kind kind);
/* What it keeps in memory. */
int64_t call_bytes(const struct call *c);
/* The client has left: r->call is NULL afterwards. */
void call_client_gone(struct call *c);
/* The client's pipe has room again. */
void call_client_ready(struct call *c);
void call_on_hold_answer(struct call *c, const struct ledger_answer *a);
/* It did not come in time: the client is told; the answer, when it comes, is given back. */
void call_on_hold_late(struct call *c);
/* The drain deadline has passed: ends every running call with an error. */
void call_end_all(struct worker *w);
/* Closes what the pool keeps; the loop must run once more. */
void call_free_pool(struct worker *w);

/* ---- call_pool.c ---- */
struct call *call_new(struct worker *w); /* from the pool; NULL when memory is short */
void call_recycle(struct call *c);       /* it is over, and no answer to it is due any more */

/* ---- call.c, for call_begin.c ---- */
void call_run(struct call *c); /* the plan is made: tries its candidates */
void call_done(struct call *c);

/* ---- call_timer.c ---- */
/* Sets the timer to the next limit; after every change of one. */
void call_arm(struct call *c);
void call_await_hold(struct call *c);
/* Ends the running attempt: its end comes to on_done with this reason.  The first one counts. */
void call_cut(struct call *c, enum route_end why);
/* END_over_cap: the hold of a running stream cannot grow. */
void call_cut_at_cap(struct call *c, enum err code, const char *text);
/* The provider's bytes end here with a whole event. */
bool call_at_boundary(const struct call *c);

/* ---- call.c, for call_size.c ---- */
/* The answer has come that a call which is done has waited for. */
void call_after_extend(struct call *c);

/* ---- call_health.c ---- */
/* Whether an attempt on route_current() may begin; goes on to candidates that may.  false: none
 * may, *ret is how to end. */
bool call_health_begin(struct call *c, struct route_action *ret);
/* The first content has come. */
void call_health_answered(struct call *c);
/* The running attempt is over. */
void call_health_end(struct call *c, enum route_end end);
/* What has begun and was not sent is not made after all; nothing otherwise. */
void call_health_give_back(struct call *c);

/* ---- call_stream.c: a provider's stream on its way to the client ---- */
/* What the client does not get yet is held back: until its first content a stream can be given
 * up for another attempt.  false: paused, the same bytes come again. */
bool call_stream_body(struct call *c, struct span bytes);
/* The hold-back is over: what was held back goes out, if there is anything for this client. */
void call_stream_release(struct call *c, struct span upstream_headers);
/* By its head the running attempt's answer is a stream of the provider's protocol. */
bool call_is_event_stream(const struct call *c);
/* Plain bytes are asked for.  What is compressed all the same can be neither read nor charged;
 * passed on it is an answer of garbage, or of nothing (envoyproxy/ai-gateway#1894). */
bool call_is_compressed(const struct call *c);
/* The request asks for a stream, and its answer will be one. */
bool call_wants_stream(const struct call *c);

/* ---- call_failure.c ---- */
/* The status that an error has which was said with 200 in place of an answer; 0 = it has none. */
int call_failure_status(const struct call *c);
/* An attempt has failed, another is to be made: keeps what the provider answered. */
void call_failure_keep(struct call *c, struct span headers);
/* There will be no other: as call_failure_keep found it.  The headers live until call_done.
 * false: nothing is kept. */
bool call_failure_take_back(struct call *c, struct span *ret_headers);
void call_failure_forget(struct call *c);
int64_t call_failure_bytes(const struct call *c);

/* ---- call_credential.c ---- */
/* Chooses c->credential for an attempt at c->endpoint. */
void call_credential_take(struct call *c);
/* The provider answered with an error status: what that says of the credential is remembered,
 * c->http_status becomes 402 where the client is not to blame, and the route is told whether
 * another one is worth trying. */
void call_credential_refused(struct call *c, int64_t retry_after_ms);
/* The attempt is over: a credential that was held back and did its work is free again. */
void call_credential_used(struct call *c, enum route_end end);
/* Asterisks for the secret wherever it stands in these bytes of ours: some providers say in an
 * error which key they were given, and it would go to the client and into the log. */
void call_credential_hide(const struct call *c, struct span told);
/* The same in the values of a header list; what a header is called stays. */
void call_credential_hide_headers(const struct call *c, struct span headers);

/* ---- call_origin.c: state that a provider keeps ---- */
/* The request begins or continues a thread of messages. */
bool call_has_thread(const struct call *c);
/* An answer, or the event of one that may hold an id, is passing by. */
void call_origin_note(struct call *c, struct span json);
/* The request continues such state: the plan keeps who issued it. false: nobody knows, or he is
 * not in the plan. */
bool call_origin_pin(struct call *c);

/* ---- call_experiment.c ---- */
/* Puts the request, which has been read, into an experiment if one wants it; its arm's preferences
 * become the request's.  One pointer test where none runs.  -1: this copy for a shadow arm would
 * say nothing about it, since the request itself states what the arm is to try. */
int call_experiment_join(struct call *c, struct fail *reterr);
void call_experiment_leave(struct call *c);

/* ---- call_shadow.c: copies for shadow arms ---- */
/* The request has been admitted: copies for the shadow arms that get one, in a later turn. */
void call_shadow_copy(const struct call *c);
/* A copy is over. */
void call_shadow_end(struct call *c);

/* ---- call_begin.c ---- */
/* A call that has the request's body and has not begun; NULL: no memory. */
struct call *call_take_over(struct request *r, enum call_kind kind);
void call_start(struct call *c);

/* ---- call_build.c ---- */
/* What the request brings for c->endpoint; NULL: nothing. */
const struct provider_config *call_config(const struct call *c);
/* Fills c->upreq and c->limits for c->endpoint. 0, or -1 with f. */
int call_build(struct call *c, struct fail *f);

/* ---- call_translate.c: another protocol at the provider ---- */
/* Before a call is built for c->target: decides whether it is translated, reads the dialog where
 * one is needed. 0, or -1 with f: the request cannot be understood. */
int call_translate_request(struct call *c, struct fail *f);
/* A 2xx answer begins, a stream or not: what it means will be written to c->shown. */
void call_translate_begin(struct call *c);
/* After bytes were read, with c->cost_pusd up to date: the end, if it has come. */
void call_translate_end(struct call *c);
void call_translate_close(struct call *c);
/* The error in c->answer, in words for the client. */
void call_translate_error(struct call *c, struct fail *ret);

/* ---- call_size.c ---- */
/* Sizes the hold of the attempt that begins: hold_tok, hold_nusd. */
void call_size_begin(struct call *c);
/* Is what the ledger refused to be sent with a lower max_tokens, as far as the key says? */
bool call_may_clamp(const struct call *c, const struct ledger_answer *a);
/* The hold was refused. true: hold_nusd and clamp_tok are what the cap has room for, the call is
 * to be built and held again. */
bool call_clamp(struct call *c, const struct ledger_answer *a);
void call_add_clamp_headers(struct call *c);
/* After bytes of a stream were relayed: asks the ledger for more when the hold is nearly used
 * up. false: nothing may be read on until the answer is there. */
bool call_grow(struct call *c);
void call_on_extend_answer(struct call *c, const struct ledger_answer *a);
/* It did not come in CALL_HOLD_WAIT_S: the stream ends, as where there is no more room. */
void call_on_extend_late(struct call *c);

/* ---- call_money.c ---- */
int call_hold(struct call *c);
void call_void(struct call *c, enum route_end end);
/* The figures so far, durably, when they have grown: what recovery bills if this process dies. */
void call_checkpoint(struct call *c);
/* After n more bytes of a stream: a checkpoint when it is the first, or many tokens came. */
void call_checkpoint_bytes(struct call *c, size_t n);
/* Settles the running attempt by what is known; computes c->cost_pusd. */
void call_settle(struct call *c, enum route_end end, enum verdict verdict);
/* c->cost_pusd as it is settled if the answer is whole, with the figures that are known now. */
void call_cost_so_far(struct call *c);
/* What the request costs with c->cost_pusd for the running attempt and all that came before it. */
const char *call_cost_text(const struct call *c, char out[MONEY_TEXT_MAX]);
/* The request is over. status: "ok", "error", "canceled". */
void call_record_end(struct call *c, const char *status, int http_status);
/* Words for what the ledger refused; own_nusd: what this attempt holds already (an extension). */
void call_refused(struct call *c, const struct ledger_answer *a, int64_t own_nusd, struct fail *ret,
                  struct buf *members);

/* ---- call_limits.c: rate limits of the key, Idempotency-Key ---- */
/* Before the work of reading the request: false when it would be refused anyway, replied to. */
bool call_limits_allow(struct call *c);
/* Takes the request's share of all limits at once; false: refused and replied to. */
bool call_limits_take(struct call *c);
/* The call is over: its share ends, or is given back when nothing was tried. */
void call_limits_end(struct call *c);
/* Before the body is read: false when as many as may run at a time run, or are on their way in;
 * replied to. */
bool call_limits_upload(struct request *r);
/* What counts against the key now. */
void call_limits_used(const struct request *r, struct rate_numbers *ret);
/* The header, if there is one. -1: it is not valid. */
int call_repeat_read(struct call *c, struct fail *f);
/* Words and headers for ERR_idempotency_*. */
void call_repeat_refused(struct call *c, const struct ledger_answer *a, struct fail *ret,
                         struct buf *members);

/* ---- call_answer.c ---- */
/* The provider's headers that may go back, and Wayfare's own. */
void call_answer_headers(struct call *c, struct span upstream_headers);
void call_answer_body(struct call *c, struct span upstream_headers); /* a whole 2xx answer */
void call_answer_pass(struct call *c, struct span upstream_headers); /* the provider's own error */
void call_answer_stream_begin(struct call *c, struct span upstream_headers);
/* Relays stream bytes: as they are, edited (a report, a usage chunk that the client did not ask
 * for) or translated. */
void call_answer_stream(struct call *c, struct span bytes);
/* The client has waited: a head without what no provider has said yet, and no status but 200. */
void call_answer_open(struct call *c);
/* The keep-alive of the client's protocol. */
void call_answer_keep_alive(struct call *c);
/* The error of Wayfare's that has this status. */
enum err call_error_for_status(int http_status);
/* What an edited stream still holds back goes out. */
void call_answer_stream_finish(struct call *c);
void call_answer_stream_error(struct call *c, enum err code, const char *text);
void call_answer_fail(struct call *c, enum err code, int64_t retry_after_ms);
void call_answer_error(struct call *c, const struct fail *f, int64_t retry_after_ms,
                       struct span members);
/* The ledger refused; returns the status of the answer. */
int call_answer_refused(struct call *c, const struct ledger_answer *a);
void call_answer_no_endpoint(struct call *c, const struct plan_inputs *in);
void call_answer_estimate(struct call *c); /* count_tokens, locally */
void call_note_attempt(struct call *c, enum route_end end);
/* As the provider said it: for records. */
static inline int call_said_status(const struct call *c)
{
    return c->said_status > 0 ? c->said_status : c->http_status;
}
/* The provider's own words in an error's body or event, without the credential: in *store, empty
 * where there are none.  False: they are not in the form of its protocol. */
bool call_read_message(const struct call *c, struct span body, struct buf *store, struct span *ret);
/* The same; out stays as it is where there are none. */
void call_read_error(const struct call *c, struct span body, char out[CALL_MESSAGE_MAX]);
const char *call_slug(const struct call *c);

#endif
