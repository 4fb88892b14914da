/* A chat request as the router sees it: what the body asks for, measured once.
 *
 * The body itself is never rebuilt.  chat keeps where the model's value stands and
 * which members are cut, so that an adapter of the same protocol forwards every
 * other byte untouched (prompt caches match byte prefixes; thinking is signed).
 *
 * Ownership: a chat borrows body and json doc (both must outlive it) and owns its
 * strings and prefs; chat_done frees.  Pure: no clock, no I/O. */
#ifndef SCHEMA_CHAT_H
#define SCHEMA_CHAT_H

#include "schema/json.h"
#include "schema/prefs.h"
#include "schema/vocab.h"

enum {
    CHAT_MODELS_MAX = 32,                          /* model + models */
    CHAT_MODEL_NAME_MAX = 256,                     /* bytes */
    CHAT_MODEL_TEXT_MAX = CHAT_MODEL_NAME_MAX + 8, /* with its suffix */
    CHAT_CUTS_MAX = 64,
    CHAT_MEMBERS_MAX =
        1024, /* of the body: each is looked at many times; the doors know about fifty */
    CHAT_SERVER_TOOLS_MAX = 32,
    CHAT_TOOL_TYPE_MAX = 64,
    CHAT_NUMBER_MAX = 64,  /* an inserted member with its number */
    CHAT_PREFIXES_MAX = 4, /* cache breakpoints, as Anthropic allows */
    /* Audio in the formats that everybody takes (wav, mp3) has 1,000 bytes a second at least, and
     * no model reads more than 32 tokens out of one: half of what would be bytes a token. */
    CHAT_SOUND_DENSITY = 16,
    CHAT_LOOKBACK_MAX = 20 /* blocks before a breakpoint where a cached prefix may end */
};

/* A client's protocol; NONE: of a provider whose protocol no client speaks here. */
enum chat_door { DOOR_ANTHROPIC, DOOR_OPENAI, DOOR_NONE };

enum chat_suffix { SUFFIX_NONE, SUFFIX_FLOOR, SUFFIX_NITRO };

struct chat_model {
    char name[CHAT_MODEL_NAME_MAX]; /* without the dynamic suffix */
    enum chat_suffix suffix;
};

/* Needs that an endpoint must be able to serve (filter `capability`). */
enum chat_need {
    NEED_TOOLS = 1,
    NEED_IMAGES = 2,
    NEED_DOCUMENTS = 4,
    NEED_SERVER_TOOLS = 8,
    NEED_AUDIO = 16
};

/* Signatures of thinking that Wayfare itself made, for a provider that has none, begin with this;
 * behind it stands the catalog word of the protocol that the thinking came from, a colon, and that
 * provider's own signature, if it has one.  Base64 never holds a colon. */
#define THINKING_FOREIGN "wf:"

/* What replaces [begin, end) of the body; an empty place: what is put in there. */
struct chat_edit {
    uint32_t begin, end;
    struct span text;
};

/* What is forwarded of OpenAI's stream_options. */
enum chat_stream_options {
    OPTIONS_AS_RECEIVED,
    OPTIONS_ASK_USAGE, /* with include_usage: true, whatever else it says */
    OPTIONS_LEFT_OUT   /* some servers refuse the member (Mistral: 422 extra_forbidden) */
};

/* A cache breakpoint: everything before and including a block that carries
 * cache_control (or the whole prompt for the automatic, top-level form). */
struct chat_prefix {
    uint64_t hash; /* of the prefix's bytes; left out are the billing header block and
                      cache_control itself, which moves on from turn to turn; a plain
                      string is hashed like the one text block it stands for */
    int64_t bytes; /* prompt bytes up to here, counted as in prompt_bytes */
    bool one_hour; /* ttl "1h" */
};

/* What a prompt is made of.  A provider puts something of its own around each piece, and runs the
 * model more than once for some: router/bound.h says how much that can come to. */
struct chat_parts {
    /* All that can be text for the model: the body but for the cuts (below) and the payloads of
     * images, documents and audio, escapes resolved.  prompt_bytes is the part of it that is known
     * to be text. */
    int64_t text_bytes;
    int n_messages;
    int n_blocks;        /* content blocks and parts, whatever they hold, nested ones too */
    int n_calls;         /* of tools, and results of them, in the messages */
    int64_t n_arguments; /* of these calls, at most */
    int n_tools;         /* definitions */
    int64_t n_values;    /* JSON values in them and in the schema of the answer */
    int n_known_tools;   /* of the client, but defined by the provider: bash_20250124 */
    int n_sounds;        /* earlier answers in sound, named by their id */
    int n_cited;         /* documents and search results to cite from, */
    int64_t cited_bytes; /* and their text */
    int n_hosted;        /* tools that the provider runs, every one, MCP's toolsets as well */
    int n_toolsets;      /* of MCP servers: what is in them the provider alone knows */
    int n_hosted_free;   /* those but web searches that name no max_uses, */
    int64_t hosted_uses; /* and the sum of max_uses of those that do */
    int64_t fetch_tok;   /* the largest max_content_tokens of a web fetch; -1 = one names none */
    int64_t predicted_bytes; /* prediction.content */
    bool compacts;           /* context_management lets the provider write summaries */
};

struct chat {
    enum chat_door door;
    struct span body;
    const struct json_doc *doc;

    int n_models;
    bool stream;
    int64_t max_tokens; /* -1 = absent */
    int64_t
        thinking_budget_tok; /* thinking.budget_tokens, which max_tokens must be above; 0 = none */
    uint32_t params;         /* PARAM_BIT of every parameter the request uses */
    uint32_t needs;          /* enum chat_need bits */
    uint32_t breaks;         /* RULE_BIT of every rule of a model that it would break as it is */
    int n_server_tools;
    /* The first tool that has its words in the client's own protocol alone: its type, or as in
     * server_tools below; "" = there is none, all are plain functions. */
    char own_tool[CHAT_TOOL_TYPE_MAX];

    /* Size of the prompt. prompt_bytes counts text, tool definitions, tool results and
     * thinking; not base64 payloads of images and documents. */
    int64_t prompt_bytes;
    int64_t prompt_chars; /* UTF-8 characters of the same */
    int n_images;
    int n_documents;        /* but for plain-text ones, which are counted as text */
    int64_t document_bytes; /* decoded size of inline documents, estimated from base64 length; of
                               audio what is as dense (CHAT_SOUND_DENSITY) */
    int64_t audio_bytes;    /* the part of them that is audio */
    bool
        sounds; /* some of the prompt is sound, or may be: audio, a film, an answer spoken before */
    bool speaks;             /* the answer is asked for in sound: OpenAI's modalities, audio */
    int64_t web_search_uses; /* sum of max_uses of web search tools; -1 = unbounded; 0 = none */
    bool web_plugin;         /* OpenRouter's plugins ask for a search, whatever the model says */
    struct chat_parts parts;
    bool cache_write_1h; /* some cache_control has ttl "1h" */
    bool cache_write_5m; /* some cache_control has another or no ttl */
    /* The cache breakpoints, where the request has some; else the instructions and the whole
     * prompt, since some providers cache by themselves. */
    int n_prefixes;
    /* Ends of the last blocks before the last breakpoint, nearest first: a cache entry that
     * an earlier turn of this conversation wrote ends at one of them. */
    int n_lookback;
    /* What the conversation begins with: the prompt up to the end of its first message. */
    uint64_t talk;
    int n_answers; /* messages of the assistant with another message behind them */

    /* State held by one provider (contract section 3): previous_message_id of a
     * thread, container id, file ids.  Empty = none. */
    bool thread_create;
    char pinned_state[CHAT_MODEL_NAME_MAX]; /* the id this request continues, "" = none */
    const char *pinned_field;               /* its field name for messages, static string */
    /* The member that says so in words of Anthropic's protocol, which no other has: thread,
     * previous_message_id, container.  NULL = none; a file's id can be told in others, too. */
    const char *native_state;

    struct span user_id; /* metadata.user_id or user as written, may be empty */

    /* speed and inference_geo where they ask for something else than usual; "" = they do not.
     * Only an endpoint whose prices are for that serves the request. */
    char speed[VOCAB_TERM_MAX], geo[VOCAB_TERM_MAX];

    bool
        include_usage; /* OpenAI's stream_options.include_usage: the client wants the usage chunk */
    bool tier_cut;     /* service_tier named one with other prices than are held: not sent */
    bool report;       /* OpenRouter's usage.include: as the header x-wayfare-report: body */
    /* Some thinking of the history was not written by a provider of the request's own protocol
     * (THINKING_FOREIGN below): sent on as it is, the request would be refused. */
    bool foreign_thinking;
    /* A member is there that only OpenRouter knows (reasoning, plugins, ...): sent as it is to
     * another server of OpenAI's protocol, the request would be refused. */
    bool openrouter_words;

    /* How to forward: body minus cuts, with the model's value replaced. Offsets into body. */
    uint32_t model_begin, model_end; /* the value of `model`, quotes included; of a body that has
                                        `models` alone: behind its first bracket, */
    bool model_added;                /* and the member is put in there */
    uint32_t max_tokens_begin,
        max_tokens_end; /* the value of `max_tokens` (or `max_completion_tokens`); 0, 0 = none */
    uint32_t max_tokens_again_begin,
        max_tokens_again_end;    /* where the body has it under both names: the second value */
    const char *max_tokens_name; /* of the member that is put in where there is none: "max_tokens",
                                    until an endpoint that knows it by another name sets that */
    struct chat_edit usage_edit; /* makes a stream state its usage; text empty: it does already */
    int n_cuts;
    char sent_max_tokens[CHAT_NUMBER_MAX]; /* forwarded instead of what was received; "" = that */
    uint32_t tier_begin, tier_end;         /* the value of `service_tier` where it is not cut */
    char sent_tier[CHAT_NUMBER_MAX];       /* likewise */
    /* The same, and stream_options as well; only where the body has it. */
    int n_cuts_without_options;
    enum chat_stream_options stream_options;

    /* Lists, each as long as its count above says: never cleared, which costs more than reading
     * most requests. */
    struct chat_model models[CHAT_MODELS_MAX]; /* model, then models, duplicates removed */
    char server_tools[CHAT_SERVER_TOOLS_MAX]
                     [CHAT_TOOL_TYPE_MAX]; /* tool types, e.g. web_search_20250305 */
    struct chat_prefix prefixes[CHAT_PREFIXES_MAX];
    struct chat_prefix lookback[CHAT_LOOKBACK_MAX];
    struct json_cut cuts[CHAT_CUTS_MAX];
    struct json_cut cuts_without_options[CHAT_CUTS_MAX];

    struct prefs prefs;
};

/* Whether a text of the instructions is Claude Code's line about its version, and nothing else: it
 * changes with every request.  Anthropic takes it out by itself; every other provider's prompt
 * cache would never match (claude-code#68900). */
bool chat_is_billing_header(struct span text);

/* chat_done leaves the chat as chat_init does; reading into it again needs neither. */
void chat_init(struct chat *c);
void chat_done(struct chat *c);

/* Reads an already parsed body of POST /v1/messages.  0, or -1 with reterr naming
 * the field.  `messages` and one of `model` and `models` are required (max_tokens is not:
 * OpenRouter's rule).  for_count: a count_tokens body, where stream and max_tokens mean
 * nothing. */
int chat_read_anthropic(struct chat *c, const struct json_doc *doc, bool for_count,
                        struct fail *reterr);

/* Reads an already parsed body of POST /v1/chat/completions, likewise.  `n` must be 1. */
int chat_read_openai(struct chat *c, const struct json_doc *doc, struct fail *reterr);

/* The suffix that a name ends in. */
enum chat_suffix chat_name_suffix(struct span name);
/* As it is asked for, with its suffix.  Returns out. */
const char *chat_model_text(const struct chat_model *m, char out[CHAT_MODEL_TEXT_MAX]);

/* Names of models as they stand in a request, duplicates removed: `model`, then `models`; either
 * may be JSON_NONE.  ret has room for CHAT_MODELS_MAX.  0, or -1 with reterr. */
int chat_read_names(const struct json_doc *doc, json_ref model, json_ref models,
                    struct chat_model *ret, int *ret_n, struct fail *reterr);

/* Forwards this max_tokens instead of what the body says (or behind `model`, when it says
 * nothing); < 0: as received.  What chat->max_tokens says stays. */
void chat_send_max_tokens(struct chat *c, int64_t tok);

/* Forwards this service_tier instead of what the body says; NULL: as received.  Of a body of
 * OpenAI's protocol. */
void chat_send_tier(struct chat *c, const char *tier);

/* How a body is forwarded from now on; include_usage above keeps what the client asked for.  A body
 * that is no stream's, or not of OpenAI's protocol, is not asked for usage. */
void chat_send_stream_options(struct chat *c, enum chat_stream_options how);

/* The key of a `model` that is put in: a piece of its own. */
extern const char chat_model_key[sizeof("\"model\":")];

/* Appends the forwarded body to out as pieces of the original and replacements:
 * calls piece(ctx, span) in order.  model_json is the replacement value, quoted.  All other
 * pieces live as long as the body and the chat. */
void chat_pieces(const struct chat *c, struct span model_json,
                 void (*piece)(void *ctx, struct span bytes), void *ctx);

#endif
