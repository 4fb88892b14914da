/* The simulator as a whole: one loop, one thread, the listeners and everything they
 * share.  Made in main.c; every pointer below lives as long as the process. */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stdint.h>
#include <uv.h>

#include "schema/json.h"
#include "sim/cache.h"
#include "sim/replay.h"
#include "sim/roster.h"
#include "sim/witness.h"

enum { SIM_LISTENERS_MAX = 64, SIM_NAME_MAX = 64, SIM_BACKLOG = 4096 };

struct conn;

struct listener {
    uv_tcp_t tcp;
    struct sim *sim;
    char name[SIM_NAME_MAX]; /* the simulated provider */
    char host[SIM_NAME_MAX];
    int port;
};

struct sim {
    uv_loop_t loop;
    uv_signal_t signals[2];
    int n_listeners;
    struct listener listeners[SIM_LISTENERS_MAX];
    struct conn *conns; /* all open ones */
    int64_t n_conns;

    struct roster roster;
    struct cache cache;
    struct replay replay;
    struct witness witness;

    uint64_t rng; /* never 0 */
    uint64_t n_requests;
    struct json_doc doc; /* of the request being answered */
    struct buf arena;    /* strings of its script */
    struct buf model;    /* model name of the same */
    struct buf scratch;
    struct buf prefix; /* of events: a writer's own */
};

/* xorshift64*: repeatable with --seed. */
uint64_t sim_random(struct sim *sim);
int64_t sim_unix_ms(void);

#endif
