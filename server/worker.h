/* A worker: one thread, one libuv loop, its own listening socket (SO_REUSEPORT), its own
 * libmicrohttpd daemons and its own libcurl multi handle.  Nothing on the way of a request is
 * shared with other workers but the ledger's queue and small tables.
 *
 * One turn of the loop: libuv delivers readiness, callbacks move bytes and set flags, then
 * the prepare hook runs both libraries until neither has anything left to do. */
#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

#include <pthread.h>
#include <uv.h>

#include "router/ledger.h"
#include "router/plan.h"
#include "router/rate.h"
#include "server/conn.h"
#include "server/log.h"
#include "server/loop.h"
#include "server/metrics.h"
#include "server/serve.h"
#include "server/state.h"
#include "server/upstream.h"

enum {
    WORKER_FRONTS = 8, /* libmicrohttpd daemons: divides its walks over suspended connections */
    WORKER_ACCEPT_BATCH = 64,
    WORKER_DRAINS_MAX =
        64, /* calls read to their end after the client left, all workers together */
    WORKER_UNSENT_BYTES = 128 * 1024,   /* the kernel takes no more of a reader that is slow */
    WORKER_POOL_MAX = 16 * 1024 * 1024, /* bytes that calls and requests keep which are over */
    PARKED_UNWATCHED_MS = 50 /* a parked connection is watched for a disconnect after this long */
};

/* Kinds of log lines that are written once a second at most, the last one once a minute. */
enum worker_pace {
    WORKER_REFUSED_CONNECTIONS,
    WORKER_SHED,
    WORKER_AUTH_FAILURES,
    WORKER_ENDED_KEYS,
    WORKER_UNCLEAR_USAGE,
    WORKER_HUNG_LEDGER,
    WORKER_PACES
};

struct MHD_Daemon;
struct request;
struct lingerer;
struct upload;
struct shed;
struct addresses;
struct call;

/* One libmicrohttpd daemon in a worker. */
struct front {
    struct worker *worker;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    bool adding, added_closed; /* during MHD_add_connection: it told of the connection's end */
    bool dirty;                /* MHD_run is due: readable, or something was resumed */
};

/* What all workers share and nobody writes after the start, but for the atomics. */
struct site {
    struct serve_options options;
    struct state *state;
    struct ledger *ledger;
    struct rate *rate;
    struct shed *shed;
    struct addresses *addresses;
    struct unserved *unserved;
    struct db *reader; /* queries run on libuv's thread pool, one at a time */
    pthread_mutex_t reader_lock;
    bool tls;        /* server/tls.h has the certificate */
    int connections; /* __atomic */
    int drains;      /* __atomic */
    int shadows;     /* __atomic */
    int64_t started_ms;
    char loop_name[LOOP_NAME_MAX]; /* of this process (server/loop.h) */
};

struct worker {
    struct site *site;
    int index;
    pthread_t thread;
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_idle_t idle;
    uv_timer_t http_timer; /* MHD_get_timeout */
    uv_timer_t park_timer; /* looks for parked connections to watch */
    uv_async_t wake;       /* ledger answers, new snapshots, stop */
    uv_poll_t accept_poll;
    int listen_fd;
    bool accepting;
    bool accept_paused; /* out of descriptors */
    bool ending;

    struct front fronts[WORKER_FRONTS];
    unsigned next_front;
    struct upstream *upstream;
    struct ledger_port *port;

    struct catalog *catalog; /* this worker's references */
    struct identity *identity;
    struct experiments *experiments; /* NULL: none runs */
    int reload;                      /* __atomic: a new snapshot was published */
    int stop;                        /* __atomic: 1 drain, 2 now */
    int ended;                       /* __atomic */
    unsigned turns;                  /* __atomic: the loop's sweeps */
    bool draining;
    int late_ticks, quiet_ticks;
    uv_timer_t drain_timer;

    struct lingerer *lingering; /* refused uploads being read to their end */
    int n_lingering;
    struct upload *uploads; /* bodies on their way in */
    struct conns conns;     /* whose headers are awaited */
    uv_timer_t sweep_timer;

    struct request *parked_head, *parked_tail; /* by time of parking */
    int n_requests;                            /* between the first handler call and completion */
    int n_questions;                           /* on the thread pool */
    int n_calls;
    struct call *calls;            /* running */
    struct call *free_calls;       /* kept with their memory */
    struct request *free_requests; /* likewise */
    int64_t pooled_bytes;          /* __atomic: of both */

    struct plan plan; /* scratch of dry runs */
    uint64_t rng[4];
    uint8_t random[512];
    size_t random_left;
    struct metrics metrics; /* written by this thread only */
    struct log_pace paces[WORKER_PACES];
};

/* Starts the thread. 0, or -1 with reterr. listen_fd is taken over. */
int worker_start(struct worker *w, struct site *site, int index, int listen_fd,
                 struct fail *reterr);
/* 1: finish what runs, then end; 2: end now. Any thread. */
void worker_stop(struct worker *w, int how);
/* The drain's deadline is over: what still runs is cut. */
bool worker_ends_calls(const struct worker *w);
/* Its thread is done or about to return. */
bool worker_has_ended(const struct worker *w);
/* Grows while its loop turns, at least every CONN_SWEEP_MS. Any thread. */
unsigned worker_turns(const struct worker *w);
void worker_join(struct worker *w);

/* ---- on the worker's thread ---- */
int64_t worker_now_ms(void);                                 /* wall clock */
static inline int64_t worker_tick_ms(const struct worker *w) /* monotonic, cached per turn */
{
    return (int64_t)uv_now(&w->uv);
}
struct id worker_new_id(struct worker *w);
uint64_t worker_draw(struct worker *w);
/* May this much be kept for a later request?  It is counted then, until worker_unkeep. */
bool worker_keep(struct worker *w, size_t bytes);
void worker_unkeep(struct worker *w, size_t bytes);
/* What is kept now. Any thread. */
int64_t worker_kept(const struct worker *w);
/* Asks for another pass of the prepare hook in this turn. */
void worker_dirty(struct front *f);

#endif
