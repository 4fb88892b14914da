/* The parts of the OpenAI adapter that its files share: chat completions of OpenAI, Azure and every
 * server that speaks like them (openai_dialect.h). */
#ifndef PROVIDERS_OPENAI_H
#define PROVIDERS_OPENAI_H

#include "providers/draft.h"
#include "providers/openai_dialect.h"
#include "schema/fnv.h"
#include "schema/json_out.h"

/* Signatures of thinking that this adapter's readers made; behind it stands the entry of
 * reasoning_details that the thinking came from, without its text, or nothing. */
#define OPENAI_SIGNATURE THINKING_FOREIGN "openai:"

/* ---- usage (openai_usage.c) ---- */

/* The figures of a `usage` object in the words of all dialects.  They are merged in this form and
 * turned into price buckets last: prompt_tokens holds the cached ones, and a later chunk may state
 * a cached part that an earlier one did not know. */
enum openai_figure {
    OAI_prompt,
    OAI_completion,
    OAI_total,
    OAI_reasoning,
    OAI_cache_read,
    OAI_cache_write,
    OAI_cache_write_1h, /* of cache_write */
    OAI_searches,
    OAI_citations, /* read in searches; not of prompt */
    OAI_audio_in,  /* of prompt, cached or not */
    OAI_audio_out, /* of completion */
    OAI_COUNT
};

struct openai_figures {
    int64_t n[OAI_COUNT];
    uint32_t seen, unclear; /* a bit per figure */
    bool hour_writes;       /* undivided cache writes are kept for an hour */
};

/* Nothing known yet, of an answer to be read. */
struct openai_figures openai_no_figures(const struct provider_reading *reading,
                                        const struct openai_dialect *d);
/* Adds what the object at `usage` states where it is more than what is known. */
void openai_read_figures(struct openai_figures *f, const struct json_doc *doc, json_ref usage);
/* content: the answer holds something, which is output whether it was counted or not. */
void openai_figures_to_usage(const struct openai_figures *stated, const struct openai_dialect *d,
                             bool content, struct usage *ret);
/* The tier that an answer or a chunk says it was served in; nothing is said: *ret stays. */
void openai_read_tier(char ret[USAGE_TERM_MAX], const struct json_doc *doc);
/* Thinking tokens among the output; -1: not said. */
int64_t openai_reasoning_tok(const struct openai_figures *f, const struct openai_dialect *d);

/* ---- a chunk at a glance (openai_glance.c) ---- */

/* What a chunk of a stream says that matters even where nobody reads its meaning.  References and
 * spans are into the document. */
struct openai_glance {
    bool chunk;         /* it is of this protocol: choices, usage or an error */
    bool has_choice;    /* choices is not empty */
    bool finished;      /* some choice says why it ended */
    bool failed;        /* an error, here or as the reason */
    json_ref usage;     /* the object, or JSON_NONE */
    json_ref groq;      /* x_groq.usage, likewise */
    struct span delta;  /* of the first choice */
    int64_t text_bytes; /* generated text, thinking, arguments and sound, of all choices */
    bool calls;         /* a tool call stands in it, perhaps without text yet */
    bool pictures;      /* some stand in it */
};

/* doc: an object. */
struct openai_glance openai_glance(const struct json_doc *doc);

/* ---- the answer's meaning (openai_reply.c, openai_pieces.c) ---- */

/* Makes reply events of chunks; one per answer.  broken: over a limit or short of memory. */
struct openai_reply;
struct openai_reply *openai_reply_open(const struct openai_dialect *d,
                                       const struct provider_reading *reading);
/* doc: a parsed chunk, or a whole body.  figures: what is known of the usage by then; NULL: this
 * chunk states nothing of it.  false: broken, nothing more may come. */
bool openai_reply_chunk(struct openai_reply *r, const struct json_doc *doc, bool whole,
                        const struct openai_figures *figures);
/* The protocol's end. */
bool openai_reply_end(struct openai_reply *r);
/* An error event without an error in it. */
void openai_reply_fail(struct openai_reply *r, struct span message);
void openai_reply_close(struct openai_reply *r);

/* The name of the tool that was sent as `name`; name itself where no tool of the request was. */
struct span openai_find_name(const struct dialog *request, struct span name);

/* The error in a body or chunk: {"error": ...}, a choice's, or a reason to end that is one.
 * false: there is none.  Text is appended to store, which must outlive *ret. */
bool openai_find_error(const struct json_doc *doc, struct buf *store, struct reply_error *ret);
/* Words of finish_reason that report a failure. */
bool openai_is_failure(struct span finish_reason);

/* ---- the request (openai_write.c, openai_messages.c) ---- */

/* The whole body from the dialog; `out` then holds it or has failed.  -1 with reterr. */
int openai_write(const struct provider_ask *ask, const struct openai_dialect *d, struct buf *out,
                 struct fail *reterr);

/* A request while it is written. */
struct openai_writing {
    const struct provider_ask *ask;
    const struct dialog *dialog;
    const struct openai_dialect *dialect;
    struct json_out out;
    struct fail *reterr;
    bool ok;
};

void openai_write_messages(struct openai_writing *w);
/* What cannot be told, by the name of the client's field in either protocol. */
void openai_drop(struct openai_writing *w, const char *anthropic, const char *openai);
/* The client speaks the server's protocol: what stands in its body goes on as it is, where nothing
 * speaks against it. */
bool openai_is_native(const struct openai_writing *w);
/* Instructions may only stand before the first message. */
bool openai_system_first(const struct openai_writing *w);
/* The endpoint may be asked to think, as far as the catalog knows. */
bool openai_may_think(const struct openai_writing *w);
/* A tool's name: longer ones than OpenAI takes are sent in another form, and are the client's again
 * in the answer (openai_find_name). */
void openai_put_name(struct openai_writing *w, const char *key, struct span name);
/* Does any of its tools have a name that is shortened? */
bool openai_has_long_name(const struct dialog *request);
/* "cache_control", where the dialect has such marks. */
void openai_put_cache(struct openai_writing *w, enum cache_mark mark);

/* ---- the provider's functions (openai.c, openai_stream.c), which Azure shares ---- */

/* Headers and body; address and credential are the caller's. */
bool openai_refuses(const struct chat *chat, const struct openai_dialect *d);
int openai_build(const struct provider_ask *ask, const struct openai_dialect *d,
                 struct draft *draft);
void *openai_stream_open(const struct provider_reading *reading, const struct openai_dialect *d);
bool openai_stream_feed(void *stream, struct span bytes,
                        void (*on_event)(void *ctx, const struct event *ev), void *ctx);
bool openai_stream_at_boundary(const void *stream);
void openai_stream_finish(void *stream);
enum verdict openai_stream_state(const void *stream, struct usage_report *ret_usage,
                                 int64_t *ret_content_bytes);
void openai_stream_close(void *stream);
enum verdict openai_judge_body(const struct provider_reading *reading,
                               const struct openai_dialect *d, struct span body,
                               struct usage_report *ret_usage);
bool openai_is_error_body(struct span body);
/* An event of a stream that is an error without an `error`: older vLLM, Mistral, FastAPI. */
bool openai_is_flat_error(const struct json_doc *doc);
bool openai_read_error(struct span body, struct buf *store, struct reply_error *ret);
void openai_weigh_error(struct span body, int *io_status, int64_t *io_retry_after_ms);

#endif
