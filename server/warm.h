/* Which endpoint is believed to hold which prompt prefix in its cache, and for how long
 * (Anthropic: 5 minutes or 1 hour from the last use, platform.claude.com prompt-caching).
 * Learned from the usage that comes back; bounded, oldest entries are overwritten.
 *
 * Thread: any; a short lock, taken once per request that has cache breakpoints and once per
 * settled attempt of such. */
#ifndef SERVER_WARM_H
#define SERVER_WARM_H

#include <stdint.h>

#include "schema/chat.h"
#include "schema/usage.h"

enum { WARM_SLOTS = 16384, WARM_HITS_MAX = 16 };

struct warm;

struct warm_hits {
    int n;
    struct {
        int64_t endpoint_id;
        int64_t tok;
    } hit[WARM_HITS_MAX];
};

struct warm *warm_new(void);
void warm_free(struct warm *w);
/* Every endpoint that is believed warm for one of the chat's prefixes, with the tokens of the
 * longest one. */
void warm_look(struct warm *w, const struct chat *chat, int64_t now_ms, struct warm_hits *ret);
/* After an attempt: what the endpoint said it read and wrote. */
void warm_learn(struct warm *w, const struct chat *chat, int64_t endpoint_id,
                const struct usage *usage, int64_t now_ms);
/* Tokens for one endpoint, 0 when it is not among the hits. */
int64_t warm_tok(const struct warm_hits *hits, int64_t endpoint_id);

#endif
