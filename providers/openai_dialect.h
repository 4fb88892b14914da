/* How the servers that speak OpenAI's chat protocol differ from each other: one row each, so that a
 * provider that is like the others needs no code.  Facts of single models are the catalog's
 * (supported_parameters), not these rows'.
 *
 * Every row's source stands beside it in openai_dialect.c.  Pure; the rows are constants. */
#ifndef PROVIDERS_OPENAI_DIALECT_H
#define PROVIDERS_OPENAI_DIALECT_H

#include "providers/provider.h"

enum openai_trait {
    TRAIT_SENDS_DONE = 1 << 0,     /* a stream ends with [DONE]; else by closing */
    TRAIT_STREAM_OPTIONS = 1 << 1, /* takes stream_options.include_usage */
    TRAIT_PARTS = 1 << 2,          /* keeps pieces of text apart; else one string is sent */
    TRAIT_SYSTEM_FIRST = 1 << 3,   /* instructions only before the first message */
    TRAIT_CACHE_MARKS = 1 << 4,    /* cache_control in parts */
    TRAIT_LOGPROBS = 1 << 5,       /* logprobs: true */
    TRAIT_LOGIT_BIAS = 1 << 6,
    TRAIT_PARALLEL = 1 << 7, /* parallel_tool_calls: false */
    TRAIT_VERBOSITY = 1 << 8,
    TRAIT_TIERS = 1 << 9,             /* service_tier */
    TRAIT_NAMES = 1 << 10,            /* the name of a participant */
    TRAIT_TOOL_NAME = 1 << 11,        /* a tool's message says the tool's name */
    TRAIT_REFUSAL = 1 << 12,          /* an assistant's message may hold a refusal */
    TRAIT_SCHEMA = 1 << 13,           /* response_format json_schema */
    TRAIT_TOOLS = 1 << 14,            /* any at all */
    TRAIT_STATED_PARAMS = 1 << 15,    /* nobody knows the server: what the catalog says counts */
    TRAIT_GOOGLE_SIGNATURE = 1 << 16, /* extra_content.google.thought_signature of tool calls */
    TRAIT_PREFIX = 1 << 17,           /* a last assistant's message is marked as a beginning */
    TRAIT_SEARCHES = 1 << 18,         /* searches the web for every answer, asked or not */
    TRAIT_OTHER_PROTOCOL = 1 << 19    /* has OpenAI's words, not its protocol: what a client of that
                                         says beyond them is not for it */
};

/* What usage.completion_tokens leaves out. */
enum openai_output {
    OUTPUT_WHOLE,           /* nothing */
    OUTPUT_REASONING_APART, /* completion_tokens_details.reasoning_tokens come on top */
    OUTPUT_BY_TOTAL         /* output is total_tokens - prompt_tokens where that is more */
};

/* How the model is told to think. */
enum openai_thinking {
    THINK_BY_EFFORT, /* reasoning_effort */
    THINK_BY_OBJECT, /* reasoning: {effort, max_tokens, enabled, exclude} */
    THINK_BY_TYPE,   /* thinking: {type}, and reasoning_effort */
    THINK_BY_ENABLE  /* enable_thinking, thinking_budget */
};

/* What of earlier thinking is sent back. */
enum openai_history {
    HISTORY_NONE,
    HISTORY_WITH_TOOLS, /* reasoning_content of messages that call tools, "" where there is none */
    HISTORY_DETAILS,    /* reasoning_details */
    HISTORY_PARTS       /* {"type": "thinking"} in the content */
};

enum openai_choice {
    CHOICE_FORM_ALL,
    CHOICE_FORM_WORDS,    /* auto, none, required: no single tool */
    CHOICE_FORM_EITHER,   /* none, required: auto is not said */
    CHOICE_FORM_AUTO_NONE /* nobody can be forced */
};

enum openai_documents {
    DOCUMENTS_NONE,
    DOCUMENTS_FILE,     /* file part, base64 */
    DOCUMENTS_FILE_URL, /* file part, base64 or an address */
    DOCUMENTS_URL       /* document_url part, either */
};

enum openai_ids {
    IDS_ANY,
    IDS_SHORT, /* at most 40 bytes */
    IDS_NINE   /* exactly 9 letters and digits */
};

enum { OPENAI_RENAMED_MAX = 2 };

struct openai_dialect {
    const char *name;
    const char *hosts; /* ends of host names, separated by blanks */
    const char *slugs; /* of providers, for servers at any address */
    unsigned traits;   /* enum openai_trait */
    uint32_t numbers;  /* 1 << enum dialog_number of the settings it takes */
    struct {
        enum dialog_number number;
        const char *name; /* NULL: none */
    } renamed[OPENAI_RENAMED_MAX];
    const char *max_tokens; /* the member's name */
    const char *user;       /* likewise; NULL: none */
    const char *any_tool;   /* tool_choice that asks for some call */
    const char *no_tool;    /* and for none; NULL: "none" */
    const char *efforts;    /* words it takes, from least to most, separated by blanks */
    int stops_max;          /* stop sequences; 0: none */
    const char *stops;      /* the member's name; NULL: "stop" */
    enum openai_output output;
    enum openai_thinking thinking;
    enum openai_history history;
    enum openai_choice choice;
    enum openai_documents documents;
    enum openai_ids ids;
};

extern const struct openai_dialect openai_dialect_azure;

/* By the host of the address, then by the provider's slug; never NULL. */
const struct openai_dialect *openai_dialect_of(const struct provider_target *target);

static inline bool openai_has(const struct openai_dialect *d, enum openai_trait trait)
{
    return (d->traits & (unsigned)trait) != 0;
}

/* The effort word to send: the client's, or the nearest lower one the dialect knows, or its lowest;
 * never "none" unless that was asked for.  NULL: word is no effort, or the dialect has none. */
const char *openai_effort(const struct openai_dialect *d, struct span word);

#endif
