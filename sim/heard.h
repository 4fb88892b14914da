/* What the provider understood of a request: what its answer depends on, and a digest of
 * everything, in one form for all protocols, for the witness log.
 *
 * The digest is an object of model, stream, system, messages, tools and settings; a message has
 * role and content, a list of blocks: text, image, document, audio, call, result, thinking,
 * redacted, each with what it holds.  A reader writes it through `out` as it walks the request.
 * Strings longer than HEARD_STRING_MAX are shown as {"length", "fnv"} of their UTF-8.  Without a
 * log nothing is kept. */
#ifndef SIM_HEARD_H
#define SIM_HEARD_H

#include "schema/json.h"
#include "schema/json_out.h"

enum {
    HEARD_STRING_MAX = 1024, /* bytes as written */
    HEARD_DIGEST_MAX = 64 * 1024 * 1024,
    HEARD_TOOLS_MAX = 64, /* that can be called; more are read */
    HEARD_STOPS_MAX = 16,
    HEARD_CALLS_MAX = 128
};

enum heard_choice { CALL_AUTO, CALL_ANY, CALL_NONE, CALL_NAMED };

struct heard {
    const struct json_doc *doc;
    struct json_out out; /* the digest's object, open while reading */
    bool stream, include_usage;
    bool thinking;
    bool thinking_hidden; /* its text is not wanted */
    int64_t max_tokens;   /* -1 = no limit */
    json_ref schema;      /* of the text, or JSON_NONE */
    int n_tools;
    struct {
        json_ref name, schema;
    } tools[HEARD_TOOLS_MAX];
    enum heard_choice choice;
    json_ref choice_name;
    bool no_parallel;
    int n_stops;
    json_ref stops[HEARD_STOPS_MAX];
    /* Calls of the last assistant turn that have no result yet. */
    int n_calls;
    json_ref calls[HEARD_CALLS_MAX];
};

void heard_begin(struct heard *h, const struct json_doc *doc, struct buf *digest);

/* A member of the digest; nothing for JSON_NONE and null. */
void heard_string(struct heard *h, const char *key, json_ref string);
void heard_raw(struct heard *h, const char *key, json_ref value);
/* Opens a block; heard_close ends it. */
void heard_open(struct heard *h, const char *type);
void heard_close(struct heard *h);
/* A whole block of text. */
void heard_text(struct heard *h, json_ref text);
/* "data:image/png;base64,AAAA" or a URL, as members media and data, or url. */
void heard_url(struct heard *h, json_ref url);

/* Remembers a call; removes it when its result comes.  false: there is none of this id. */
void heard_call(struct heard *h, json_ref id);
bool heard_result(struct heard *h, json_ref id);

void heard_tool(struct heard *h, json_ref name, json_ref schema);
void heard_stop(struct heard *h, json_ref text);

/* Helpers of readers. */
bool heard_is(const struct heard *h, json_ref object, const char *key, const char *value);
static inline bool heard_kind(const struct heard *h, json_ref r, enum json_kind kind)
{
    return r != JSON_NONE && json_kind(h->doc, r) == kind;
}
/* A member of that kind, or JSON_NONE. */
json_ref heard_get(const struct heard *h, json_ref object, const char *key, enum json_kind kind);

#endif
