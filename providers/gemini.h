/* What the files of the gemini adapter share, and the vertex adapter with them: Gemini's own API
 * and Vertex AI speak the same JSON (ai.google.dev/api/generate-content;
 * docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference).  `protocol` is the
 * catalog word of the one that is meant: each takes back only signatures that itself made. */
#ifndef PROVIDERS_GEMINI_H
#define PROVIDERS_GEMINI_H

#include "providers/draft.h"
#include "providers/teller.h"
#include "schema/json.h"
#include "schema/json_out.h"

/* ---- writing a request ---- */

/* Generation of a model by its name, ten times the version: 25 for "gemini-2.5-flash", 30 for
 * "gemini-3-pro-preview".  GEMINI_NEWEST where the name says Gemini but no number
 * ("gemini-flash-latest"); 0 = another family. */
enum { GEMINI_NEWEST = 999 };
int gemini_generation(const char *model);

/* The call's address: directory (with the version, where base_url may already have it), model and
 * method. */
void gemini_draft_url(struct draft *d, const struct provider_ask *ask, const char *version,
                      const char *directory);
/* Headers but the credential, and the body. */
void gemini_draft_rest(struct draft *d, const struct provider_ask *ask, const char *protocol);
/* The body of generateContent for ask->dialog. 0, or -1 with reterr (ERR_bad_request). */
int gemini_write(const struct provider_ask *ask, const char *protocol, struct buf *out,
                 struct fail *reterr);
/* Its parts beside the contents: tools, toolConfig, generationConfig. */
void gemini_write_settings(struct json_out *o, const struct provider_ask *ask,
                           const char *protocol);

/* ---- reading an answer ---- */

enum gemini_figure {
    GEMINI_prompt, /* with cached, without tool use */
    GEMINI_cached,
    GEMINI_candidates, /* without thoughts */
    GEMINI_thoughts,
    GEMINI_tool_use, /* what the provider's own tools put into the prompt */
    GEMINI_total,
    GEMINI_audio, /* the part of each that was sound */
    GEMINI_cached_audio,
    GEMINI_candidates_audio,
    GEMINI_tool_use_audio,
    GEMINI_FIGURES
};

struct gemini_figures {
    int64_t n[GEMINI_FIGURES];
    uint32_t seen, unclear; /* a bit per figure */
    int64_t searches;       /* billed ones; 0 = none */
};

/* usageMetadata: cumulative, the last one counts, member by member. */
void gemini_read_usage(struct gemini_figures *f, const struct json_doc *doc, json_ref metadata);
/* groundingMetadata: searches are billed by the query from generation 3 on, before by the request
 * (ai.google.dev/gemini-api/docs/google-search, "Pricing"). */
void gemini_read_searches(struct gemini_figures *f, const struct json_doc *doc, json_ref grounding,
                          int generation);
/* content: the answer holds something, which is output whether it was counted or not. */
void gemini_figures_to_usage(const struct gemini_figures *f, bool content, struct usage *ret);

/* The arguments of a function call that come in pieces (partialArgs), put together as JSON text
 * while they come. */
enum { GEMINI_PATH_MAX = 1024, GEMINI_DEPTH_MAX = 32 };
struct gemini_step {
    bool index;     /* of an array, not a member of an object */
    size_t at, len; /* the name or number in path */
};
struct gemini_args {
    char path[GEMINI_PATH_MAX]; /* of the last value */
    struct gemini_step steps[GEMINI_DEPTH_MAX];
    int n_steps;
    bool in_string; /* the last value is a string that goes on */
};
/* One partialArgs element: appends what it adds to the text.  Pieces that make no sense add
 * nothing. */
void gemini_args_piece(struct gemini_args *a, const struct json_doc *doc, json_ref piece,
                       struct buf *out);
/* The rest of the text: what is open is closed. */
void gemini_args_end(struct gemini_args *a, struct buf *out);

enum { GEMINI_NAME_MAX = 64 };
/* A function's name in the form in which it is sent; the same one always, two never become one. */
struct span gemini_name(struct span name, char out[GEMINI_NAME_MAX + 1]);
/* The name of a call as the client of the request knows it. */
struct span gemini_find_name(const struct dialog *request, struct span name);

/* One answer, from one or many GenerateContentResponse objects. */
struct gemini_reader {
    const char *protocol;
    const struct dialog *request; /* may be NULL */
    struct teller teller;
    int generation; /* of the model that was asked */
    struct gemini_figures figures;
    int64_t content_bytes;
    bool known;    /* something of this protocol was seen */
    bool finished; /* a reason to stop was given; more may come: early models give it in every chunk
                    */
    bool error;
    bool ended;
    enum reply_stop stop;
    bool call_open; /* a function call whose arguments come in pieces */
    struct gemini_args args;
    int n_calls;
    struct buf text, id, signature; /* of the part that is being read */
};
void gemini_reader_init(struct gemini_reader *r, const char *protocol,
                        const struct provider_reading *reading);
void gemini_reader_done(struct gemini_reader *r);
/* One object of the answer, or an error object.  *ret_content is the raw content, empty when there
 * is none. */
enum event_kind gemini_read(struct gemini_reader *r, const struct json_doc *doc, json_ref object,
                            struct span *ret_content);
/* Nothing more comes: what that means goes out. */
void gemini_conclude(struct gemini_reader *r);
enum verdict gemini_verdict(const struct gemini_reader *r);

/* Functions of struct provider, for both adapters. */
void *gemini_stream_open(const char *protocol, const struct provider_reading *reading);
bool gemini_stream_feed(void *stream, struct span bytes,
                        void (*on_event)(void *ctx, const struct event *ev), void *ctx);
bool gemini_stream_at_boundary(const void *stream);
void gemini_stream_finish(void *stream);
enum verdict gemini_stream_state(const void *stream, struct usage_report *ret_usage,
                                 int64_t *ret_content_bytes);
void gemini_stream_close(void *stream);
enum verdict gemini_read_body(const char *protocol, const struct provider_reading *reading,
                              struct span body, struct usage_report *ret_usage);
/* {"error": {"code": 429, "message": "...", "status": "RESOURCE_EXHAUSTED"}}; the message is
 * appended to store. */
bool gemini_error_of(const struct json_doc *doc, json_ref object, struct buf *store,
                     struct reply_error *ret);
bool gemini_is_error_body(struct span body);
bool gemini_read_error(struct span body, struct buf *store, struct reply_error *ret);
void gemini_weigh_error(struct span body, int *io_status, int64_t *io_retry_after_ms);

#endif
