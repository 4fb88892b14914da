#define _GNU_SOURCE
/* Two headers, one way: a key may stand in either, and is looked up in the worker's snapshot. */
#include "server/auth.h"

#include <strings.h>

#include "server/log.h"

enum { ENDED_KEYS_EVERY_MS = 1000 };

static struct span bearer_of(struct span authorization)
{
    size_t n = sizeof "Bearer " - 1;
    if (authorization.len <= n || strncasecmp(authorization.ptr, "Bearer ", n) != 0) {
        return (struct span){"", 0};
    }
    struct span key = {authorization.ptr + n, authorization.len - n};
    while (key.len > 0 && *key.ptr == ' ') {
        key.ptr++;
        key.len--;
    }
    return key;
}

/* Who uses a key that has ended may not know that, and its owner may want to know who does. */
static int refuse_ended(struct request *r, const struct key_row *key, enum key_end end,
                        struct fail *reterr)
{
    static const char *const words[] = {
        [KEY_REVOKED] = "revoked", [KEY_EXPIRED] = "expired", [KEY_REPLACED] = "replaced"};
    struct worker *w = r->worker;
    int64_t n;
    if (log_is_due(&w->paces[WORKER_ENDED_KEYS], worker_tick_ms(w), ENDED_KEYS_EVERY_MS, &n)) {
        log_line(LOG_WARN, "msg=\"a key that has ended is used\" key=%s why=%s n=%lld",
                 key->public_id, words[end], (long long)n);
    }
    return fail_set(reterr, ERR_unauthenticated, NULL, "this API key is %s", words[end]);
}

int auth_request(struct request *r, struct fail *reterr)
{
    struct span api_key = request_header(r, "x-api-key");
    struct span authorization = request_header(r, "authorization");
    struct span bearer = bearer_of(authorization);
    if (authorization.len > 0 && bearer.len == 0) {
        return fail_set(reterr, ERR_unauthenticated, NULL, "Authorization must be \"Bearer KEY\"");
    }
    if (api_key.len > 0 && bearer.len > 0 && !span_eq(api_key, bearer)) {
        return fail_set(reterr, ERR_unauthenticated, NULL,
                        "x-api-key and Authorization carry different keys");
    }
    struct span key = api_key.len > 0 ? api_key : bearer;
    if (key.len == 0) {
        return fail_set(reterr, ERR_unauthenticated, NULL,
                        "no API key: send x-api-key or Authorization: Bearer");
    }
    r->identity = identity_ref(r->worker->identity);
    enum key_end end = KEY_IN_FORCE;
    const struct key_row *found = identity_find_any(r->identity, key, r->begun_ms, &end);
    if (found == NULL) {
        return fail_set(reterr, ERR_unauthenticated, NULL, "unknown API key");
    }
    if (end != KEY_IN_FORCE) {
        return refuse_ended(r, found, end, reterr);
    }
    r->key = found;
    return 0;
}
