/* Chains of connection counts; buckets that leak, in sets, for failures. */
#define _GNU_SOURCE
#include "server/address.h"

#include <assert.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { CHAINS = 4096, WAYS = 4, SETS = ADDRESS_FAILED_MAX / WAYS, NETWORK_BYTES = 8 };

/* IPv4 as ::ffff:a.b.c.d; of IPv6 the first 64 bits. */
struct address {
    uint8_t byte[16];
};

struct row {
    struct row *next;
    struct address address;
    int n;
};

/* What failed and has not leaked out yet, in thousandths.  Zeroed: unused. */
struct bucket {
    struct address address;
    int64_t filled, at_ms;
};

struct addresses {
    pthread_mutex_t lock;
    uint64_t seed;
    int connections, failures;
    struct row *chains[CHAINS];
    struct bucket failed[SETS][WAYS];
};

struct addresses *address_table_new(int connections, int failures)
{
    struct addresses *t = calloc(1, sizeof *t);
    if (t == NULL) {
        return NULL;
    }
    pthread_mutex_init(&t->lock, NULL);
    t->connections = connections;
    t->failures = failures;
    ssize_t n = getrandom(&t->seed, sizeof t->seed, 0);
    assert(n == (ssize_t)sizeof t->seed);
    (void)n;
    return t;
}

void address_table_free(struct addresses *t)
{
    if (t == NULL) {
        return;
    }
    for (int i = 0; i < CHAINS; i++) {
        struct row *row = NULL;
        while ((row = t->chains[i]) != NULL) {
            t->chains[i] = row->next;
            free(row);
        }
    }
    pthread_mutex_destroy(&t->lock);
    free(t);
}

/* false: it has none. */
static bool read_address(const struct sockaddr *from, struct address *ret)
{
    *ret = (struct address){{0}};
    if (from != NULL && from->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, from, sizeof v4);
        ret->byte[10] = ret->byte[11] = 0xff;
        memcpy(ret->byte + 12, &v4.sin_addr, 4);
        return true;
    }
    if (from != NULL && from->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, from, sizeof v6);
        bool v4 = IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr);
        memcpy(ret->byte, &v6.sin6_addr, v4 ? sizeof ret->byte : NETWORK_BYTES);
        return true;
    }
    return false;
}

static bool same(const struct address *a, const struct address *b)
{
    return memcmp(a->byte, b->byte, sizeof a->byte) == 0;
}

/* Nobody outside can choose addresses that meet. */
static uint64_t hash(const struct addresses *t, const struct address *a)
{
    uint64_t h = t->seed;
    for (size_t i = 0; i < sizeof a->byte; i++) {
        h = (h ^ a->byte[i]) * 0x100000001b3u;
        h ^= h >> 29;
    }
    return h;
}

/* ---- connections ---- */

static struct row **find(struct addresses *t, const struct address *a)
{
    struct row **at = &t->chains[hash(t, a) % CHAINS];
    while (*at != NULL && !same(&(*at)->address, a)) {
        at = &(*at)->next;
    }
    return at;
}

bool address_enter(struct addresses *t, const struct sockaddr *from)
{
    struct address a;
    if (t->connections == 0 || !read_address(from, &a)) {
        return true;
    }
    pthread_mutex_lock(&t->lock);
    struct row **at = find(t, &a);
    if (*at == NULL) {
        *at = calloc(1, sizeof **at);
        if (*at != NULL) {
            (*at)->address = a;
        }
    }
    bool in = *at != NULL && (*at)->n < t->connections;
    if (in) {
        (*at)->n++;
    }
    pthread_mutex_unlock(&t->lock);
    return in;
}

void address_leave(struct addresses *t, const struct sockaddr *from)
{
    struct address a;
    if (t->connections == 0 || !read_address(from, &a)) {
        return;
    }
    pthread_mutex_lock(&t->lock);
    struct row **at = find(t, &a), *row = *at;
    assert(row != NULL && row->n > 0);
    if (--row->n == 0) {
        *at = row->next;
        free(row);
    }
    pthread_mutex_unlock(&t->lock);
}

/* ---- failures ---- */

static int64_t left_in(const struct bucket *b, int failures, int64_t now_ms)
{
    int64_t leaked = (now_ms - b->at_ms) * failures;
    return b->filled > leaked ? b->filled - leaked : 0;
}

/* The address's own, or the one that has the least left. */
static struct bucket *bucket_of(struct addresses *t, const struct address *a, int64_t now_ms)
{
    struct bucket *set = t->failed[hash(t, a) % SETS], *least = &set[0];
    for (int i = 0; i < WAYS; i++) {
        if (set[i].filled > 0 && same(&set[i].address, a)) {
            return &set[i];
        }
        if (left_in(&set[i], t->failures, now_ms) < left_in(least, t->failures, now_ms)) {
            least = &set[i];
        }
    }
    *least = (struct bucket){.address = *a, .at_ms = now_ms};
    return least;
}

bool address_may_fail(struct addresses *t, const struct sockaddr *from, int64_t now_ms)
{
    struct address a;
    if (t->failures == 0 || !read_address(from, &a)) {
        return true;
    }
    int64_t full = (int64_t)t->failures * ADDRESS_FAILURES_BURST_S * 1000;
    pthread_mutex_lock(&t->lock);
    struct bucket *b = bucket_of(t, &a, now_ms);
    int64_t left = left_in(b, t->failures, now_ms);
    bool may = left + 1000 <= full;
    b->filled = may ? left + 1000 : left;
    b->at_ms = now_ms;
    pthread_mutex_unlock(&t->lock);
    return may;
}
