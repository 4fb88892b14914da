/* The parts of the Anthropic adapter that its files share. */
#ifndef PROVIDERS_ANTHROPIC_H
#define PROVIDERS_ANTHROPIC_H

#include "providers/provider.h"
#include "schema/json.h"

/* The figures of a `usage` object as Anthropic writes them.  They are merged in this
 * form and turned into price buckets last: message_delta repeats the cache write total
 * but not its split into 5 minutes and 1 hour, so the two must not be mixed earlier. */
enum anthropic_figure {
    FIGURE_input,
    FIGURE_output,
    FIGURE_cache_read,
    FIGURE_cache_write, /* cache_creation_input_tokens: both kinds together */
    FIGURE_cache_write_5m,
    FIGURE_cache_write_1h,
    FIGURE_web_searches,
    FIGURE_COUNT
};

struct anthropic_figures {
    int64_t n[FIGURE_COUNT];
    uint32_t seen, unclear; /* a bit per figure */
    bool hour_writes;       /* of the reading */
    struct usage_terms terms;
};

/* Adds what the object states; other figures stay as they are. */
void anthropic_read_figures(struct anthropic_figures *f, const struct json_doc *doc,
                            json_ref usage);
void anthropic_merge_max(struct anthropic_figures *f, const struct anthropic_figures *newer);
void anthropic_figures_to_usage(const struct anthropic_figures *f, struct usage *ret);
bool anthropic_has_iterations(const struct json_doc *doc, json_ref usage);
/* usage.iterations[] into *r; leaves it alone when there are none. */
void anthropic_read_iterations(struct usage_report *r, bool hour_writes, const struct json_doc *doc,
                               json_ref usage);

/* The protocol's catalog word. */
extern const char anthropic_word[];

/* The answer's meaning, event by event.  What is read is the sink's alone: verdict and usage of
 * an attempt do not depend on it.  Where the provider breaks the protocol so that content would be
 * lost or wrong, the sink gets a REPLY_ERROR. */
struct anthropic_replies {
    const struct reply_sink *sink; /* NULL: nobody listens, nothing below is used */
    const struct json_doc *doc;    /* of the event at hand */
    struct json_doc parsed;
    struct json_doc raw_parsed;
    struct buf store; /* strings of the event at hand with their escapes resolved */
    struct buf raw;   /* the open block, where it is of no kind that others have */
    struct buf input; /* its input, or the arguments that came with a tool call's start */
    struct anthropic_figures first, last;
    int64_t reasoning_tok;
    int64_t index; /* of the open block; -1 = not said */
    enum reply_block block;
    bool open, argued; /* argued: arguments went out */
    bool started, stopped, over;
};
void anthropic_replies_init(struct anthropic_replies *r, const struct provider_reading *reading);
void anthropic_replies_done(struct anthropic_replies *r);
void anthropic_replies_event(struct anthropic_replies *r, struct span name, struct span data);
/* doc: a whole message; an error body. */
void anthropic_replies_body(struct anthropic_replies *r, const struct json_doc *doc);
void anthropic_replies_error(struct anthropic_replies *r, const struct json_doc *doc);

/* The client's betas and the operator's, in one header. */
struct draft;
void anthropic_draft_beta(struct draft *d, struct span client);

/* A cloud with Claude in Anthropic's protocol: model and stream are said elsewhere, with
 * anthropic_version in their place. */
struct anthropic_cloud {
    const char *version;
    /* Whether it has no such member of the body (what is lost is named); NULL: it has all. */
    bool (*leaves_out)(const struct provider_ask *ask, json_ref member);
};

/* Writes the body of a call from ask->dialog, and what a client of this protocol says besides from
 * its own body.  cloud NULL: for Anthropic itself.  0, or -1 with reterr. */
int anthropic_write(const struct provider_ask *ask, const struct anthropic_cloud *cloud,
                    struct buf *out, struct fail *reterr);

/* Thinking that Anthropic wrote, and will take back. */
bool anthropic_is_own_signature(struct span signature);

/* HTTP status of an error's type; 0: not one of Anthropic's. */
int anthropic_error_status(struct span type);
/* The type for a client: the error's own where it is one of Anthropic's, else by its status. */
const char *anthropic_error_type(const struct reply_error *error);
/* doc holds the body then. */
bool anthropic_parse_error(struct json_doc *doc, struct span body);
bool anthropic_is_error_body(struct span body);
bool anthropic_read_error(struct span body, struct buf *store, struct reply_error *ret);

/* The provider's functions of anthropic_stream.c. */
void *anthropic_stream_open(const struct provider_reading *reading);
bool anthropic_stream_feed(void *stream, struct span bytes,
                           void (*on_event)(void *ctx, const struct event *ev), void *ctx);
bool anthropic_stream_at_boundary(const void *stream);
void anthropic_stream_finish(void *stream);
enum verdict anthropic_stream_state(const void *stream, struct usage_report *ret_usage,
                                    int64_t *ret_content_bytes);
void anthropic_stream_close(void *stream);

#endif
