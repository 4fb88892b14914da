/* Which endpoint is believed to hold which prompt prefix in its cache, how likely that is true and
 * how much of it is then read.  Learned from the usage that comes back.
 *
 * Two kinds of caches.  One that is told what to keep (Anthropic's cache_control) keeps it for 5
 * minutes or 1 hour from the last use (platform.claude.com prompt-caching); it is believed in when
 * the endpoint said that it read or wrote.  One that caches by itself (OpenAI, DeepSeek, Gemini,
 * Grok) says only what it read and promises no lifetime; whatever went there is believed to be
 * there for up to an hour, with the probability that beliefs of that age turned out to have.
 *
 * That probability is (hits + prior hits) / (beliefs + prior), by endpoint and kind of belief; when
 * WARM_FORGET beliefs were put to the test all counts are halved, so that what is older counts less
 * and less.  A belief is tested by the request that was planned with it.
 *
 * How conversations go on (router/pace.h) is learned and asked here as well.
 *
 * Memory only: a restart begins cold.  Bounded: what expires first gives way.
 * Thread: any, all workers share one table; a short lock, taken for each request that has a prefix
 * worth caching, for each endpoint of its plan, and for each settled attempt of such. */
#ifndef SERVER_WARM_H
#define SERVER_WARM_H

#include <stdbool.h>
#include <stdint.h>

#include "router/pace.h"
#include "schema/usage.h"

enum {
    WARM_SLOTS = 32768,
    WARM_HITS_MAX = 16,
    WARM_RATES = 4096, /* endpoints whose hit rates are known */
    WARM_FORGET = 1024,
    WARM_AHEAD_PRIOR = 4,  /* tests that an endpoint which caches is believed to have passed */
    WARM_MIN_BYTES = 1024, /* a shorter prompt has not the tokens that are cached at all */
    WARM_FRESH_MS = 5 * 60 * 1000,
    WARM_HOUR_MS = 60 * 60 * 1000
};

struct warm;

/* A request, and whose it is. */
struct warm_ask {
    const struct chat *chat;
    int64_t key_id; /* 0: nobody's */
    uint32_t shape; /* forecast_shape */
    bool copy;      /* sent besides the request itself: tells nothing of what will follow */
};

struct warm_hits {
    int n;
    struct {
        int64_t endpoint_id;
        struct estimate_cache cache;
    } hit[WARM_HITS_MAX];
};

struct warm *warm_new(void);
void warm_free(struct warm *w);
/* Every endpoint that is believed warm for one of the chat's prefixes, with the longest one. */
void warm_look(struct warm *w, const struct chat *chat, int64_t now_ms, struct warm_hits *ret);
/* After an attempt: what the endpoint said it read and wrote.  believed: what the request was
 * planned with there. */
void warm_learn(struct warm *w, const struct warm_ask *ask, const struct endpoint *e,
                const struct estimate_cache *believed, const struct usage *usage, int64_t now_ms);
/* Does this chat have a prompt that caches keep?  Only then warm_ahead knows anything. */
bool warm_is_worth(const struct chat *chat);
/* How this conversation is expected to go on, on the endpoint's model, and what the endpoint
 * keeps of it. */
void warm_ahead(struct warm *w, const struct warm_ask *ask, const struct endpoint *e,
                int64_t now_ms, struct estimate_ahead *ret);
/* Of one endpoint; zeroed when it is not among the hits. */
void warm_of(const struct warm_hits *hits, int64_t endpoint_id, struct estimate_cache *ret);

#endif
