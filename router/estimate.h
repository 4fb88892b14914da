/* How large a request will be on an endpoint, and what it will cost there: the expected
 * figures order the plan, the bounds size the hold and the worst case.  Pure; integers
 * only.  A first estimate knows no tokenizer, only the constants below; what settled requests
 * taught is laid over it: router/forecast.h for what is expected, router/calibrate.h for the
 * bounds.
 *
 * Contract: docs/api.md "Order" (expected cost) and "Money" (worst case is held). */
#ifndef ROUTER_ESTIMATE_H
#define ROUTER_ESTIMATE_H

#include "router/bound.h"
#include "router/catalog.h"
#include "schema/chat.h"

enum {
    /* English and code: about four bytes per token; CJK: three characters make two tokens. */
    ESTIMATE_NARROW_CHARS_PER_TOK = 4,
    ESTIMATE_WIDE_CHARS = 3,
    ESTIMATE_WIDE_TOK = 2,
    /* What the provider adds: to the prompt, to each message, to a call of a tool or its result;
     * the system prompt that tools bring; a tool that it defines itself; a document to cite from.
     */
    ESTIMATE_FRAME_TOK = 4,
    ESTIMATE_MESSAGE_TOK = 4,
    ESTIMATE_CALL_TOK = 16,
    ESTIMATE_TOOLS_TOK = 350,
    ESTIMATE_KNOWN_TOOL_TOK = 800,
    ESTIMATE_CITED_TOK = 500,
    ESTIMATE_IMAGE_TOK = 1600,    /* the size images are scaled down to before they are read */
    ESTIMATE_DOCUMENT_TOK = 1500, /* one page */
    ESTIMATE_DOCUMENT_BYTES_PER_TOK = 20, /* a PDF of 50 KB a page at 2,500 tokens a page */
    ESTIMATE_SEARCHES = 1,
    ESTIMATE_COMPLETION_TOK = 512,

    /* Upper bounds; those of the prompt are in router/bound.h. */
    ESTIMATE_SEARCHES_BOUND = 10, /* of a tool without max_uses, and of an endpoint that searches
                                     for every answer */
    ESTIMATE_DEEP_SEARCHES_BOUND = 100,       /* of one that goes on until it knows enough, */
    ESTIMATE_DEEP_THOUGHT_BOUND_TOK = 131072, /* and what it thinks meanwhile: max_tokens is not the
                                                 limit of that */
    ESTIMATE_DEEP_SEARCHES = 20,              /* as a rule */
    ESTIMATE_COMPLETION_BOUND_TOK = 131072,   /* neither the request nor the endpoint names one */

    /* Nothing shorter is kept in a cache (platform.claude.com prompt-caching: 1,024 to 4,096 by
     * model; OpenAI: 1,024). */
    ESTIMATE_CACHE_MIN_TOK = 1024,
    ESTIMATE_SURE = 1000000,    /* a probability of 1; probabilities are parts of a million */
    ESTIMATE_WARM_PPM = 250000, /* a cache that is less likely a hit holds no conversation back */

    ESTIMATE_FIRST_MIN_TOK = 1024, /* completion in the first of the holds that grow, at least */
    ESTIMATE_FIRST_TOK = 4096      /* and as long as nothing was learned */
};

/* On what an expected figure rests: the widest to the narrowest, KNOWN(enum, word in reports). */
#define ESTIMATE_KNOWN(KNOWN)                                                                      \
    KNOWN(DEFAULT, "default")                                                                      \
    KNOWN(MODEL, "model")                                                                          \
    KNOWN(MODEL_SHAPE, "model_shape")                                                              \
    KNOWN(KEY, "key")                                                                              \
    KNOWN(KEY_KIND, "key_kind")                                                                    \
    KNOWN(KEY_SHAPE, "key_shape")

enum estimate_known {
#define KNOWN(name, word) ESTIMATE_BY_##name,
    ESTIMATE_KNOWN(KNOWN)
#undef KNOWN
};
const char *estimate_known_word(enum estimate_known k);

struct estimate_source {
    enum estimate_known by;
    int64_t samples; /* at most as many as are still remembered */
};

/* What requests like this one turned out to be. Zeroed: nothing is known. */
struct estimate_expected {
    int64_t ratio;          /* tokens of a prompt per token of the first estimate, in
                               1/ESTIMATE_RATIO_ONE; 0 = unknown */
    int64_t completion_tok; /* mean; 0 = unknown */
    int64_t searches;       /* by the provider; 0 = unknown */
    struct estimate_source ratio_from, completion_from;
};

/* What is believed of an endpoint's cache of this conversation. Zeroed: nothing is warm. */
struct estimate_cache {
    int64_t tok;     /* read from it when it is a hit */
    int64_t hit_ppm; /* probability of that */
    int64_t samples; /* of beliefs of this kind there that were put to the test */
    /* For whoever made it, to learn from how it turned out (server/warm.h). */
    int64_t believed_tok;
    int kind;
};

/* How the conversation is expected to go on, were it answered by this endpoint. Zeroed: it ends. */
struct estimate_ahead {
    int64_t turns_milli; /* requests that are expected to follow, in thousandths */
    int64_t keep_ppm;    /* probability that each finds this prompt in the endpoint's cache */
};

/* Token estimates for one request on one endpoint (tokens). */
struct estimate {
    int64_t prompt_raw_tok;      /* by the constants alone: what ratios are learned from */
    int64_t prompt_tok;          /* best guess */
    struct estimate_cache cache; /* tok cut to the prompt */
    int64_t read_tok;            /* expected of each: probabilities are counted in */
    int64_t write_5m_tok, write_1h_tok;
    int64_t completion_tok; /* expected */
    int64_t searches;       /* likewise */
    struct estimate_source prompt_from, completion_from;
    int64_t prompt_bound_tok;     /* upper bound: holds and the worst case */
    int64_t completion_bound_tok; /* max_tokens, or the endpoint's own maximum */
    int64_t unlimited_tok;        /* billed as completion besides: bound_unlimited_tok */
    int64_t completion_hold_tok;  /* held at first; less where the hold can grow with the stream */
    int64_t text_ratio; /* tokens per byte of an answer's text at most, in 1/ESTIMATE_RATIO_ONE */
};

/* What the prompts of a model have in common in how they turn into tokens.  Those whose size
 * depends on something else than their text (pictures, documents, tools that the provider
 * runs, conversations it keeps) are in no class: nothing is learned from them. */
enum estimate_class {
    ESTIMATE_CLASS_NARROW,
    ESTIMATE_CLASS_WIDE,
    ESTIMATE_CLASSES,
    ESTIMATE_CLASS_NONE = -1
};
enum {
    ESTIMATE_WIDE_SHARE = 10, /* wide: more than a tenth of the bytes are continuation bytes */
    ESTIMATE_RATIO_ONE = 1024 /* a ratio of 1 */
};

/* What router/calibrate.h has learned of a model; 0 = not known (yet). */
struct estimate_learned {
    int64_t ratio[ESTIMATE_CLASSES]; /* upper bound of estimate_ratio */
    int64_t completion_tok;          /* upper bound of the completion, exceeded now and then */
    int64_t text_ratio;              /* upper bound of estimate_ratio(tokens, bytes) of answers */
};

enum estimate_class estimate_class(const struct chat *chat);
/* The same, on an endpoint: NONE also where prompts hold what it has searched for unasked. */
enum estimate_class estimate_class_at(const struct chat *chat, const struct endpoint *e);
/* How many times prompt_estimate_tok (estimate.prompt_raw_tok) a prompt turned out to be, but for
 * BOUND_FRAME_TOK, in units of 1/ESTIMATE_RATIO_ONE, rounded up. */
int64_t estimate_ratio(int64_t prompt_tok, int64_t estimate_tok);
/* How many tokens this much text of an answer has at most. */
int64_t estimate_text_tok(const struct estimate *est, int64_t bytes);
/* Lowers the prompt's bound to the learned one, where there is one, and what the first hold of
 * a request without max_tokens has for the completion. */
void estimate_apply(const struct chat *chat, const struct endpoint *e,
                    const struct estimate_learned *learned, struct estimate *est);

/* The plain estimate of the prompt, without an endpoint and without anything learned. */
int64_t estimate_raw_tok(const struct chat *chat);
/* NULL: nothing is expected, nothing is warm. */
void estimate_make(const struct chat *chat, const struct endpoint *e,
                   const struct estimate_expected *expected, const struct estimate_cache *cache,
                   struct estimate *ret);
bool estimate_is_warm(const struct estimate *est);
/* The prompt as a limit of the endpoint is compared with it: the smaller of the two guesses, since
 * an endpoint that is left out for a wrong one is a refusal that need not be. */
int64_t estimate_least_prompt_tok(const struct estimate *est);
/* The endpoint is told what to cache and bills what it writes. */
bool estimate_bills_writes(const struct chat *chat, const struct endpoint *e);
/* A write that an answer does not divide counts as one for an hour: that was asked for, and is not
 * the cheaper of the two. */
bool estimate_hour_writes(const struct chat *chat, const struct endpoint *e);
/* The endpoint caches by itself, as far as its prices tell: reads are cheaper, writes cost
 * nothing. */
bool estimate_caches_by_itself(const struct endpoint *e);

/* The answer will be in sound: only those take that wish whose own protocol has it. */
bool estimate_speaks(const struct chat *chat, const struct endpoint *e);

/* What is expected to be paid for what: pico-USD. */
struct estimate_cost {
    int64_t prompt_pusd; /* what is neither read from a cache nor written to it */
    int64_t cache_read_pusd, cache_write_pusd, completion_pusd;
    int64_t fee_pusd;         /* request, images, searches */
    int64_t above_prompt_tok; /* of the price tier; 0 = the base price */
};
/* The parts add up to estimate_expected_pusd; false: it is INT64_MAX. */
bool estimate_cost(const struct chat *chat, const struct endpoint *e, const struct estimate *est,
                   struct estimate_cost *ret);
/* What the request is expected to cost on the endpoint, at the tier its prompt falls in;
 * INT64_MAX on overflow.  An unpriced endpoint costs nothing here: filter it first. */
int64_t estimate_expected_pusd(const struct chat *chat, const struct endpoint *e,
                               const struct estimate *est);
/* What the turns that are expected to follow will cost there: each has this prompt and its answer
 * for a prompt, and an answer as long.  0 where none is expected; INT64_MAX on overflow. */
int64_t estimate_ahead_pusd(const struct chat *chat, const struct endpoint *e,
                            const struct estimate *est, const struct estimate_ahead *ahead);
/* Dearest this request can become on this endpoint: nano-USD, rounded up; INT64_MAX on overflow. */
int64_t estimate_worst_nusd(const struct chat *chat, const struct endpoint *e,
                            const struct estimate *est);
/* The most completion tokens with which estimate_worst_nusd is not above room_nusd; -1 when it
 * is even with none.  (What est says of the completion does not matter.) */
int64_t estimate_fit_tok(const struct chat *chat, const struct endpoint *e,
                         const struct estimate *est, int64_t room_nusd);

#endif
