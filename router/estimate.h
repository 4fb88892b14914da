/* How large a request will be on an endpoint, and what it will cost there: the expected
 * figures order the plan, the bounds size the hold and the worst case.  Pure; integers
 * only.  A first, uncalibrated tokenizer-free estimate: the constants below are named so
 * that measured ones can replace them.
 *
 * Contract: docs/api.md "Order" (expected cost) and "Money" (worst case is held). */
#ifndef ROUTER_ESTIMATE_H
#define ROUTER_ESTIMATE_H

#include "router/catalog.h"
#include "schema/chat.h"

enum {
    /* English and code: about four bytes per token; CJK: three characters make two tokens. */
    ESTIMATE_NARROW_CHARS_PER_TOK = 4,
    ESTIMATE_WIDE_CHARS = 3,
    ESTIMATE_WIDE_TOK = 2,
    /* What the provider adds around the messages; the system prompt that tools bring. */
    ESTIMATE_FRAME_TOK = 8,
    ESTIMATE_TOOLS_TOK = 350,
    ESTIMATE_IMAGE_TOK = 1600,    /* the size images are scaled down to before they are read */
    ESTIMATE_DOCUMENT_TOK = 1500, /* one page */
    ESTIMATE_DOCUMENT_BYTES_PER_TOK = 20, /* a PDF of 50 KB a page at 2,500 tokens a page */
    ESTIMATE_SEARCHES = 1,
    ESTIMATE_COMPLETION_TOK = 512,

    /* Upper bounds.  A token is never shorter than a byte of its text. */
    ESTIMATE_FRAME_BOUND_TOK = 64,
    ESTIMATE_TOOLS_BOUND_TOK = 1024,
    ESTIMATE_IMAGE_BOUND_TOK = 5000,
    ESTIMATE_DOCUMENT_BOUND_TOK = 500000, /* 100 pages, read as text and as images */
    ESTIMATE_SEARCH_BOUND_TOK = 40000,
    ESTIMATE_SEARCHES_BOUND = 10, /* searches of a tool without max_uses */
    ESTIMATE_ROUNDS_MAX = 1000,   /* more searches than this in one answer there cannot be */
    ESTIMATE_SERVER_TOOL_BOUND_TOK = 100000, /* read by another tool that the provider runs */
    ESTIMATE_THREAD_BOUND_TOK = 1000000,     /* a conversation that the provider keeps */
    ESTIMATE_COMPLETION_BOUND_TOK = 131072,  /* neither the request nor the endpoint names one */

    ESTIMATE_FIRST_MIN_TOK = 1024, /* completion in the first of the holds that grow, at least */
    ESTIMATE_FIRST_TOK = 4096      /* and as long as nothing was learned */
};

/* Token estimates for one request on one endpoint (tokens). */
struct estimate {
    int64_t prompt_tok;
    int64_t cached_tok;           /* part of prompt_tok believed to be a cache hit */
    int64_t completion_tok;       /* expected */
    int64_t prompt_bound_tok;     /* upper bound: holds and the worst case */
    int64_t completion_bound_tok; /* max_tokens, or the endpoint's own maximum */
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
/* How many times prompt_estimate_tok (estimate.prompt_tok) a prompt turned out to be, but for
 * ESTIMATE_FRAME_BOUND_TOK, in units of 1/ESTIMATE_RATIO_ONE, rounded up. */
int64_t estimate_ratio(int64_t prompt_tok, int64_t estimate_tok);
/* How many tokens this much text of an answer has at most. */
int64_t estimate_text_tok(const struct estimate *est, int64_t bytes);
/* Lowers the prompt's bound to the learned one, where there is one, and what the first hold of
 * a request without max_tokens has for the completion. */
void estimate_apply(const struct chat *chat, const struct endpoint *e,
                    const struct estimate_learned *learned, struct estimate *est);

/* cached_tok is cut to the prompt; learned_completion_tok <= 0: unknown. */
void estimate_make(const struct chat *chat, const struct endpoint *e, int64_t cached_tok,
                   int64_t learned_completion_tok, struct estimate *ret);
/* What the request is expected to cost on the endpoint, at the tier its prompt falls in;
 * INT64_MAX on overflow.  An unpriced endpoint costs nothing here: filter it first. */
int64_t estimate_expected_pusd(const struct chat *chat, const struct endpoint *e,
                               const struct estimate *est);
/* Dearest this request can become on this endpoint: nano-USD, rounded up; INT64_MAX on overflow. */
int64_t estimate_worst_nusd(const struct chat *chat, const struct endpoint *e,
                            const struct estimate *est);
/* The most completion tokens with which estimate_worst_nusd is not above room_nusd; -1 when it
 * is even with none.  (What est says of the completion does not matter.) */
int64_t estimate_fit_tok(const struct chat *chat, const struct endpoint *e,
                         const struct estimate *est, int64_t room_nusd);

#endif
