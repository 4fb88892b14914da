/* One adapter per provider protocol.  Pure: no socket, no clock, no callback into the
 * server; it turns a request into a prepared call and response bytes into events
 * and usage.  Adding a protocol: one .c with a `const struct provider`, one row in
 * registry.c, one directory under tests/golden. */
#ifndef PROVIDERS_PROVIDER_H
#define PROVIDERS_PROVIDER_H

#include "schema/chat.h"
#include "schema/dialog.h"
#include "schema/err.h"
#include "schema/event.h"
#include "schema/reply.h"
#include "schema/upreq.h"
#include "schema/usage.h"

/* Which path of the provider is called. */
enum provider_op { OP_MESSAGES, OP_COUNT_TOKENS };

/* Everything an adapter needs to know of the endpoint; all borrowed for the call. */
struct provider_target {
    const char *slug; /* the provider's, for messages */
    const char *base_url;
    const char *region;  /* catalog word, may be NULL */
    const char *project; /* of the credential, for a cloud that has it in its addresses; or NULL */
    const char *upstream_model;
    const char *tier; /* service tier that the endpoint's prices are for; NULL = none */
    int64_t max_completion_tokens; /* 0 = unknown */
    uint32_t params;               /* PARAM_BIT of what the endpoint supports; 0 = not stated */
    uint32_t rules;                /* RULE_BIT of what the model refuses */
    const char *secret;            /* NULL = no credential is sent */
    enum auth_type auth_type;      /* AUTH_API_KEY: the protocol's own header unless named below */
    const char *auth_header_name;  /* NULL = the protocol's default */
    const char *const *extra_headers; /* name, value, name, value, ..., NULL; may be NULL */
    const char *request_id;           /* sent as x-request-id: the attempt's id */
    const char *via;                  /* sent as via: the servers it came through; or NULL */
    int64_t now_ms;                   /* wall clock, for signatures */
};

/* Client headers an adapter may forward (the allow-list of the door). */
struct client_headers {
    struct span anthropic_version; /* empty = absent */
    struct span anthropic_beta;    /* repeated headers joined with "," by the caller */
    int n_other;                   /* other anthropic-* headers, passed verbatim */
    struct {
        struct span name, value;
    } other[16];
};

/* How an attempt ended, seen from the provider. */
enum verdict {
    VERDICT_COMPLETE,  /* the protocol's own last event, or a whole JSON body */
    VERDICT_TRUNCATED, /* ended before that */
    VERDICT_ERROR,     /* an error event inside the stream */
    VERDICT_FOREIGN    /* not this protocol (an HTML page, ...) */
};

/* Failure classes of a response head, for failover (contract section 4). */
enum up_class {
    UP_OK,           /* 2xx */
    UP_RATE_LIMITED, /* 429 */
    UP_CREDENTIAL,   /* 401, 402, 403: speaks of the operator's account */
    UP_MISSING,      /* 404, 405 */
    UP_BUSY,         /* 408, 409, 425, 3xx */
    UP_DOWN,         /* 5xx, 529 */
    UP_CLIENT        /* 400, 413, 422 and the rest: the client's own */
};

enum { PROVIDER_EVENT_MAX = 16 * 1024 * 1024, PROVIDER_BODY_MAX = 64 * 1024 * 1024 };

/* A request to be built. */
struct provider_ask {
    enum provider_op op;
    const struct provider_target *target;
    const struct client_headers *headers;
    struct chat *chat; /* only what is forwarded of it is set (chat_send_...) */
    /* NULL: the client speaks the provider's protocol, the body goes on in pieces of its own bytes.
     * Else it is written anew from this (with max_tokens below). */
    const struct dialog *dialog;
    int64_t max_tokens;  /* what is to be asked for; -1 = nothing */
    struct drops *drops; /* what cannot be told to this provider */
};

/* The provider searches the web for every answer, asked or not.  By address and slug. */
bool provider_searches(const struct provider_target *target);

/* An answer to be read. */
struct provider_reading {
    const struct provider_target *target;
    const struct reply_sink *sink; /* NULL: bytes are relayed, only usage is of interest */
    /* The request, where it was written anew: names that the provider was told in another form are
     * the client's again in the answer.  May be NULL. */
    const struct dialog *dialog;
    bool hour_writes; /* cache writes of which the answer does not say how long they are kept are
                         kept for an hour: the request asks for that */
};

struct provider {
    const char *protocol; /* catalog word: "anthropic", "openai", ... */
    /* Whose client protocol this endpoint speaks: bytes are relayed untouched there. */
    enum chat_door (*native_door)(const struct provider_target *target);
    /* Whose client protocol's tools it can be told beyond plain functions.  NULL: native_door says.
     */
    enum chat_door (*tools_door)(const struct provider_target *target);
    /* Whether this server refuses a request of its own protocol for members that are another
     * server's (chat->openrouter_words).  NULL: it does not. */
    bool (*refuses)(const struct chat *chat, const struct provider_target *target);
    bool can_count_tokens;
    bool takes_query;        /* the catalog's base_url may have a query of its own */
    const char *stream_type; /* content type of its streams */

    /* Fills *ret_up (initialised by the caller). 0, or -1 with reterr: ERR_bad_request is the
     * client's to mend and ends the request, anything else is the operator's: the next endpoint
     * is tried. */
    int (*build)(const struct provider_ask *ask, struct upreq *ret_up, struct fail *reterr);

    /* One parser per attempt that streams; what `reading` points to lives as long as it.  feed()
     * takes any split of the body and calls on_event for each event, in order, and the sink for
     * what it means; false when the stream is broken (over a limit). */
    void *(*stream_open)(const struct provider_reading *reading);
    bool (*stream_feed)(void *stream, struct span bytes,
                        void (*on_event)(void *ctx, const struct event *ev), void *ctx);
    /* Bytes of the stream seen so far end at an event boundary. */
    bool (*stream_at_boundary)(const void *stream);
    /* The body has ended: what only that tells (a protocol without a last event) goes to the sink
     * and shows in stream_state.  NULL: nothing. */
    void (*stream_finish)(void *stream);
    /* Usage as known now, and the verdict so far. content_bytes: bytes of generated text seen. */
    enum verdict (*stream_state)(const void *stream, struct usage_report *ret_usage,
                                 int64_t *ret_content_bytes);
    void (*stream_close)(void *stream);

    /* A whole 2xx body: its usage and verdict; its content to the sink. */
    enum verdict (*read_body)(const struct provider_reading *reading, struct span body,
                              struct usage_report *ret_usage);
    /* Whether an error body is of this protocol (then it passes unmodified to a client that speaks
     * it). */
    bool (*is_error_body)(struct span body);
    /* The error in such a body, for a client of another protocol.  Text is appended to store,
     * which must outlive *ret.  false: not of this protocol. */
    bool (*read_error)(struct span body, struct buf *store, struct reply_error *ret);
    /* What an error body says against its status, or beside its headers: *io_status becomes the one
     * that is meant (Gemini answers 400 to a key that is not valid), *io_retry_after_ms when to
     * come back, where nothing (-1) was said.  NULL: status and headers say all. */
    void (*weigh_error)(struct span body, int *io_status, int64_t *io_retry_after_ms);
};

/* The request is one that the model refuses as it is: its adapter writes it anew, from a dialog,
 * also where the client speaks the adapter's protocol.  (What cannot be mended keeps the endpoint
 * out of the plan.) */
static inline bool provider_must_mend(const struct chat *chat, const struct provider_target *target)
{
    return (chat->breaks & target->rules) != 0;
}

/* Whether the client's bytes cannot go on as they are: build needs a dialog. */
static inline bool provider_must_rewrite(const struct provider *p, const struct chat *chat,
                                         const struct provider_target *target)
{
    return p->native_door(target) != chat->door || chat->foreign_thinking ||
           (p->refuses != NULL && p->refuses(chat, target)) || provider_must_mend(chat, target);
}

/* A tool of the request that this provider cannot be told, by its type (as in chat->own_tool);
 * NULL: it can be told them all. */
const char *provider_untold_tool(const struct provider *p, const struct chat *chat,
                                 const struct provider_target *target);

/* Every adapter, a row each. */
/* clang-format off */
#define PROVIDERS(P) \
    P(anthropic) \
    P(openai) \
    P(azure_openai) \
    P(gemini) \
    P(vertex) \
    P(bedrock) \
    P(cohere)
/* clang-format on */

#define P(name) extern const struct provider provider_##name;
PROVIDERS(P)
#undef P

/* NULL-terminated; look-up by catalog word, NULL when there is no adapter yet. */
extern const struct provider *const provider_all[];
const struct provider *provider_find(const char *protocol);

enum up_class provider_classify(int http_status);

#endif
