/* A chat request in the form that no provider owns: what every protocol's reader makes and every
 * protocol's writer understands.  Used only where client and provider speak different protocols
 * (and where a request of the same protocol must be mended): bytes that can pass untouched do.
 *
 * Text is UTF-8 with its escapes resolved.  Members called *_json are JSON values as the client
 * wrote them: numbers keep their spelling, schemas their order.  An empty span (len 0) is absent,
 * unless its comment says otherwise.
 *
 * Normal form, which readers make: no two neighbouring messages of one role; no empty message;
 * the results of tool calls stand first in the user message behind the calls; instructions before
 * the first message are `system`, later ones a message of ROLE_SYSTEM.
 *
 * Ownership: everything lives in the dialog's own memory or in the body it was read from, which
 * must outlive it.  Pure.  Any thread, one at a time. */
#ifndef SCHEMA_DIALOG_H
#define SCHEMA_DIALOG_H

#include <stdint.h>

#include "schema/json.h"

enum {
    DIALOG_MEMORY_MAX = 96 * 1024 * 1024, /* a 32 MiB body with its escapes resolved, and lists */
    DIALOG_NEST_MAX = 1,                  /* a tool result holds blocks; those hold none */
    DIALOG_STOPS_MAX = 64
};

enum dialog_role { ROLE_USER, ROLE_ASSISTANT, ROLE_SYSTEM };

enum dialog_kind {
    BLOCK_TEXT,
    BLOCK_IMAGE,
    BLOCK_DOCUMENT,
    BLOCK_AUDIO,
    BLOCK_TOOL_CALL,   /* id, name, json: the arguments, an object; raw_of "openai": of a custom
                          tool, whose input is the text */
    BLOCK_TOOL_RESULT, /* id of the call, children, is_error */
    BLOCK_THINKING,    /* text (may be empty), signature */
    BLOCK_REDACTED,    /* thinking that only its maker can read: signature */
    BLOCK_REFUSAL,     /* text: the model's own words of refusal */
    BLOCK_RAW          /* json: a block of one protocol that no other has; raw_of says which; text:
                          what it says in words to the others, where that can be said */
};

/* Cache breakpoint behind a block (Anthropic's cache_control, Bedrock's cachePoint). */
enum cache_mark { CACHE_NONE, CACHE_5M, CACHE_1H };

enum media_from { MEDIA_BASE64, MEDIA_URL, MEDIA_FILE_ID, MEDIA_TEXT };

/* Of an image, a document or audio. */
struct dialog_media {
    enum media_from from;
    struct span type; /* "image/png", "application/pdf", ... */
    struct span data; /* base64 as written, the URL, the file's id, or plain text */
    struct span title;
    struct span context;    /* Anthropic's document.context */
    struct span detail;     /* OpenAI's image detail: "low", "high", "auto" */
    bool citations_enabled; /* Anthropic's document.citations.enabled */
};

struct dialog_block {
    struct dialog_block *next;
    enum dialog_kind kind;
    enum cache_mark cache;
    bool is_error;
    struct span text;
    struct span id;
    struct span name;
    struct span json;
    struct span signature;      /* of thinking, or of a tool call (Gemini's thoughtSignature) */
    struct span citations_json; /* of a text: Anthropic's array as written */
    const char *raw_of;         /* BLOCK_RAW: the protocol's catalog word, static */
    struct dialog_media media;
    struct dialog_blocks {
        struct dialog_block *first, *last;
        int n;
    } children;
};

struct dialog_message {
    struct dialog_message *next;
    enum dialog_role role;
    struct span name; /* OpenAI's participant name */
    struct dialog_blocks blocks;
};

enum tristate { TRI_ABSENT, TRI_FALSE, TRI_TRUE };

struct dialog_tool {
    struct dialog_tool *next;
    struct span name, description;
    struct span schema_json; /* JSON schema of the arguments; absent: none */
    enum tristate strict;
    enum cache_mark cache;
    struct span raw_json; /* a tool that the provider runs, or of a type of its own: as written;
                             then name may be empty */
    const char *raw_of;   /* and whose it is, static; NULL for a plain function */
    struct span own_json; /* a plain function as the client wrote it, for a provider of his protocol
                             (may be empty); not compared */
};

enum tool_choice { CHOICE_ABSENT, CHOICE_AUTO, CHOICE_ANY, CHOICE_NONE, CHOICE_TOOL };

enum format_kind { FORMAT_ABSENT, FORMAT_TEXT, FORMAT_JSON, FORMAT_SCHEMA };

struct dialog_format {
    enum format_kind kind;
    struct span name, description; /* of the schema; name may be absent */
    struct span schema_json;
    enum tristate strict;
};

/* Whether and how long the model thinks before it answers. */
enum reasoning_mode {
    REASONING_ABSENT, /* as the model does by itself */
    REASONING_OFF,
    REASONING_ON,      /* the model decides how long ("adaptive") */
    REASONING_BUDGETED /* at most budget_tok */
};

struct dialog_reasoning {
    enum reasoning_mode mode;
    int64_t budget_tok;
    struct span effort; /* "none", "minimal", "low", "medium", "high", "xhigh", "max" */
    bool hidden;        /* its text is not wanted */
};

/* Numbers as written, so that none is changed on the way. */
/* SETTING(member, name in x-wayfare-dropped) */
#define DIALOG_NUMBERS(SETTING)                                                                    \
    SETTING(temperature, "temperature")                                                            \
    SETTING(top_p, "top_p")                                                                        \
    SETTING(top_k, "top_k")                                                                        \
    SETTING(min_p, "min_p")                                                                        \
    SETTING(top_a, "top_a")                                                                        \
    SETTING(frequency_penalty, "frequency_penalty")                                                \
    SETTING(presence_penalty, "presence_penalty")                                                  \
    SETTING(repetition_penalty, "repetition_penalty")                                              \
    SETTING(seed, "seed")                                                                          \
    SETTING(top_logprobs, "top_logprobs")

enum dialog_number {
#define SETTING(member, name) NUMBER_##member,
    DIALOG_NUMBERS(SETTING)
#undef SETTING
        NUMBER_COUNT
};

/* What a provider cannot be told, by the names of the client's fields; goes into the header
 * x-wayfare-dropped. Static strings, or of the dialog's memory (dialog_note_other), each once, in
 * the order they were met. */
enum {
    DROPS_MAX = 32,
    DROPS_OTHERS_MAX = 16, /* members of the client's own that are called by their names, */
    DROPS_NAME_MAX = 40    /* and how long such a name may be */
};
struct drops {
    int n;
    const char *names[DROPS_MAX];
};

struct dialog {
    struct dialog_blocks system; /* texts */
    struct dialog_message *first_message, *last_message;
    int n_messages;
    struct dialog_tool *first_tool, *last_tool;
    int n_tools;
    enum tool_choice choice;
    struct span choice_name; /* CHOICE_TOOL */
    enum tristate parallel;  /* may call several tools at once */
    int64_t max_tokens;      /* -1 = absent */
    struct span numbers[NUMBER_COUNT];
    int n_stops;
    struct span stops[DIALOG_STOPS_MAX];
    struct dialog_format format;
    struct dialog_reasoning reasoning;
    enum tristate logprobs;
    struct span logit_bias_json;
    struct span verbosity;    /* "low", "medium", "high" */
    struct span service_tier; /* the client's word */
    struct span user;         /* who is behind the request: user, metadata.user_id */
    enum cache_mark cache;    /* Anthropic's top-level cache_control */
    bool stream;
    /* What the request asks that has no place here, not compared: lost to everyone; and what a
     * provider of the client's own protocol is told all the same, from the client's body. */
    struct drops unread, others;
    bool failed; /* memory is short or DIALOG_MEMORY_MAX reached: what follows was not taken */

    struct dialog_call_at *calls; /* by id; NULL: not indexed */
    size_t n_calls;

    struct dialog_chunk *chunks;
    size_t memory; /* bytes in chunks */
};

void dialog_init(struct dialog *d);
/* Frees, and leaves the dialog as dialog_init does. */
void dialog_done(struct dialog *d);

/* Building.  All answer NULL or an empty span, and set d->failed, when memory is short: build on
 * and look once.  Memory is zeroed. */
void *dialog_alloc(struct dialog *d, size_t size);
struct span dialog_copy(struct dialog *d, struct span bytes);
/* The string's value: in the text where no escape stands in it, else resolved.  Empty for
 * JSON_NONE and for what is no string or holds a lone surrogate. */
struct span dialog_string(struct dialog *d, const struct json_doc *doc, json_ref string);
/* A message of this role at the end; the last one, where it has that role and that name. */
struct dialog_message *dialog_turn(struct dialog *d, enum dialog_role role, struct span name);
struct dialog_block *dialog_add(struct dialog *d, struct dialog_blocks *list,
                                enum dialog_kind kind);
struct dialog_tool *dialog_add_tool(struct dialog *d);
bool dialog_add_stop(struct dialog *d, struct span text); /* false: DIALOG_STOPS_MAX */

/* Looking. */
/* Once the dialog is complete, by its reader: dialog_find_call takes a logarithm of the calls then,
 * where a body may hold a hundred thousand of them and as many results. */
void dialog_index_calls(struct dialog *d);
/* The last call with this id; NULL: none.  Gemini names the tool in its result where others only
 * give the id. */
const struct dialog_block *dialog_find_call(const struct dialog *d, struct span id);
/* Equal in every member; where not, *ret_where (may be NULL) says which, for a test's message. */
bool dialog_equal(const struct dialog *a, const struct dialog *b, const char **ret_where);

/* Notes in others that a member of the body has no place in the dialog: by its name, or as "other"
 * where that is long or more than letters, digits and underscores, or there are too many of them.
 */
void dialog_note_other(struct dialog *d, const struct json_doc *doc, json_ref member);

const char *dialog_number_name(enum dialog_number n);
const char *dialog_kind_name(enum dialog_kind k); /* "text", "tool_call", ... */

void drops_add(struct drops *s, const char *name);
void drops_add_all(struct drops *s, const struct drops *more);
/* "top_k, cache_control" */
void drops_print(const struct drops *s, struct buf *out);

#endif
