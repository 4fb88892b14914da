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
    ESTIMATE_SEARCHES_BOUND = 10,          /* searches of a tool without max_uses */
    ESTIMATE_COMPLETION_BOUND_TOK = 131072 /* neither the request nor the endpoint names one */
};

/* Token estimates for one request on one endpoint (tokens). */
struct estimate {
    int64_t prompt_tok;
    int64_t cached_tok;           /* part of prompt_tok believed to be a cache hit */
    int64_t completion_tok;       /* expected */
    int64_t prompt_bound_tok;     /* upper bound: holds and the worst case */
    int64_t completion_bound_tok; /* max_tokens, or the endpoint's own maximum */
};

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

#endif
