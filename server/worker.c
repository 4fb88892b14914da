/* One worker's loop: accepting, the prepare hook that runs libmicrohttpd and libcurl, the
 * cross-thread wake-up, draining. */
#define _GNU_SOURCE
#include "server/worker.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "schema/id.h"
#include "server/address.h"
#include "server/call.h"
#include "server/http.h"
#include "server/linger.h"
#include "server/log.h"
#include "server/planning.h"
#include "server/upload.h"

enum {
    PREPARE_ROUNDS_MAX = 8,
    DRAIN_TICK_MS = 20,
    DRAIN_GRACE_TICKS = 50,
    DRAIN_QUIET_TICKS = 50, /* a connection that is open may bring one more request */
    PARK_TICK_MS = 25
};

int64_t worker_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- memory of what is over ---- */

static void count_kept(struct worker *w, int64_t more)
{
    __atomic_store_n(&w->pooled_bytes, w->pooled_bytes + more, __ATOMIC_RELAXED);
    assert(w->pooled_bytes >= 0);
}

bool worker_keep(struct worker *w, size_t bytes)
{
    if (w->pooled_bytes + (int64_t)bytes > WORKER_POOL_MAX) {
        return false;
    }
    count_kept(w, (int64_t)bytes);
    return true;
}

void worker_unkeep(struct worker *w, size_t bytes)
{
    count_kept(w, -(int64_t)bytes);
}

int64_t worker_kept(const struct worker *w)
{
    return __atomic_load_n(&w->pooled_bytes, __ATOMIC_RELAXED);
}

/* ---- randomness ---- */

static void refill_random(struct worker *w)
{
    ssize_t n = getrandom(w->random, sizeof w->random, 0);
    assert(n == (ssize_t)sizeof w->random);
    w->random_left = sizeof w->random;
}

/* Ids come from the system, never from WAYFARE_SEED: they must not repeat after a restart. */
struct id worker_new_id(struct worker *w)
{
    if (w->random_left < 10) {
        refill_random(w);
    }
    w->random_left -= 10;
    return id_make(worker_now_ms(), w->random + w->random_left);
}

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t worker_draw(struct worker *w)
{
    return splitmix(&w->rng[0]);
}

static void seed_draws(struct worker *w)
{
    if (planning_seed(&w->rng[0])) {
        w->rng[0] += (uint64_t)w->index * 0x9e3779b97f4a7c15u;
        return;
    }
    ssize_t n = getrandom(w->rng, sizeof w->rng, 0);
    assert(n == (ssize_t)sizeof w->rng);
}

/* ---- accepting ---- */

static bool admit_connection(struct site *site, const struct sockaddr *from)
{
    int now = __atomic_add_fetch(&site->connections, 1, __ATOMIC_RELAXED);
    if (now <= site->options.max_connections && address_enter(site->addresses, from)) {
        return true;
    }
    __atomic_sub_fetch(&site->connections, 1, __ATOMIC_RELAXED);
    return false;
}

static void refused_connection(struct worker *w)
{
    metrics_add(&w->metrics, METRIC_connections_refused_total, 1);
    log_crowd(&w->paces[WORKER_REFUSED_CONNECTIONS], worker_tick_ms(w),
              "connections refused: too many");
}

static void on_accept(uv_poll_t *h, int status, int events)
{
    (void)events;
    struct worker *w = h->data;
    for (int i = 0; status >= 0 && i < WORKER_ACCEPT_BATCH; i++) {
        struct sockaddr_storage addr;
        socklen_t len = sizeof addr;
        int fd =
            accept4(w->listen_fd, (struct sockaddr *)&addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                uv_poll_stop(&w->accept_poll); /* else it spins; the sweep tries again */
                w->accept_paused = true;
            }
            return;
        }
        if (!admit_connection(w->site, (struct sockaddr *)&addr)) {
            close(fd);
            refused_connection(w);
            continue;
        }
        int on = 1, unsent = WORKER_UNSENT_BYTES;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
        front_add(&w->fronts[w->next_front++ % WORKER_FRONTS], fd, (struct sockaddr *)&addr, len);
    }
}

static void stop_accepting(struct worker *w)
{
    if (!w->accepting) {
        return;
    }
    w->accepting = false;
    /* Before its descriptor: closing the handle takes that number out of the loop's set once more,
     * and by then it may be another thread's. */
    uv_close((uv_handle_t *)&w->accept_poll, NULL);
    close(w->listen_fd);
    w->listen_fd = -1;
}

/* ---- the turn of the loop ---- */

static void on_idle(uv_idle_t *h)
{
    (void)h; /* its being active makes the loop not sleep */
}

static void on_http_timer(uv_timer_t *h)
{
    struct worker *w = h->data;
    for (int i = 0; i < WORKER_FRONTS; i++) {
        w->fronts[i].dirty = true;
    }
}

static void on_park_timer(uv_timer_t *h)
{
    request_watch_parked(h->data);
}

static void on_sweep(uv_timer_t *h)
{
    struct worker *w = h->data;
    metrics_add(&w->metrics, METRIC_connections_late_total,
                conns_sweep(&w->conns, worker_tick_ms(w)));
    upload_sweep(w, worker_tick_ms(w));
    linger_sweep(w, worker_tick_ms(w));
    upstream_sweep(w->upstream);
    __atomic_add_fetch(&w->turns, 1, __ATOMIC_RELAXED);
    if (w->accept_paused && w->accepting) {
        w->accept_paused = false;
        uv_poll_start(&w->accept_poll, UV_READABLE, on_accept);
    }
}

static void on_front_readable(uv_poll_t *h, int status, int events)
{
    (void)status, (void)events;
    struct front *f = h->data;
    f->dirty = true;
}

void worker_dirty(struct front *f)
{
    f->dirty = true;
}

static bool pump_fronts(struct worker *w)
{
    bool worked = false;
    for (int i = 0; i < WORKER_FRONTS; i++) {
        if (w->fronts[i].dirty) {
            worked = true;
            front_pump(&w->fronts[i]);
        }
    }
    return worked;
}

/* Arms what makes the loop come back: the library's own timeout, or at once when it has
 * unread data (an idle handle: a 1 ms timer made a 10 MB upload 15 times slower). */
static void rearm(struct worker *w)
{
    int64_t least = -1;
    bool again = upstream_pending(w->upstream);
    for (int i = 0; i < WORKER_FRONTS; i++) {
        int64_t ms = front_timeout_ms(&w->fronts[i]);
        if (ms == 0) {
            w->fronts[i].dirty = true;
        } else if (ms > 0 && (least < 0 || ms < least)) {
            least = ms;
        }
        again |= w->fronts[i].dirty;
    }
    if (again) {
        uv_idle_start(&w->idle, on_idle);
    } else {
        uv_idle_stop(&w->idle);
    }
    if (least > 0) {
        uv_timer_start(&w->http_timer, on_http_timer, (uint64_t)least, 0);
    } else {
        uv_timer_stop(&w->http_timer);
    }
    if (w->parked_head != NULL && !uv_is_active((uv_handle_t *)&w->park_timer)) {
        uv_timer_start(&w->park_timer, on_park_timer, PARK_TICK_MS, PARK_TICK_MS);
    } else if (w->parked_head == NULL) {
        uv_timer_stop(&w->park_timer);
    }
}

static void on_prepare(uv_prepare_t *h)
{
    struct worker *w = h->data;
    if (w->ending) {
        return; /* the loop ends with this turn: nothing may begin in it */
    }
    for (int i = 0; i < PREPARE_ROUNDS_MAX; i++) {
        bool worked = upstream_turn(w->upstream);
        worked |= pump_fronts(w);
        if (!worked) {
            break;
        }
    }
    rearm(w);
}

/* ---- wake-ups from other threads ---- */

static void take_snapshots(struct worker *w)
{
    catalog_unref(w->catalog);
    identity_unref(w->identity);
    experiments_unref(w->experiments);
    w->catalog = state_catalog(w->site->state);
    w->identity = state_identity(w->site->state);
    w->experiments = state_experiments(w->site->state);
}

static void end_loop(struct worker *w);

/* Nothing runs, and no connection is open, or they have been silent for DRAIN_QUIET_TICKS: a client
 * that has just connected, or sends on a connection it kept, is served and told to close. */
static bool is_drained(struct worker *w)
{
    if (w->n_requests > 0 || w->n_calls > 0 || w->n_questions > 0) {
        w->quiet_ticks = 0;
        return false;
    }
    return conns_none(&w->conns) || ++w->quiet_ticks > DRAIN_QUIET_TICKS;
}

/* Past the deadline, clients get DRAIN_GRACE_TICKS to read their error: the last one too, whose
 * hold came late. */
static void on_drain_tick(uv_timer_t *h)
{
    struct worker *w = h->data;
    bool done = w->n_calls == 0 && w->n_questions == 0;
    if (worker_ends_calls(w)) {
        call_end_all(w);
        w->late_ticks += done;
    }
    if (is_drained(w) || (done && w->late_ticks > DRAIN_GRACE_TICKS)) {
        end_loop(w);
    }
}

static void begin_drain(struct worker *w)
{
    if (w->draining) {
        return;
    }
    w->draining = true;
    stop_accepting(w);
    uv_timer_start(&w->drain_timer, on_drain_tick, 1, DRAIN_TICK_MS);
}

static void on_answer(void *ctx, const struct ledger_answer *a)
{
    (void)ctx;
    call_on_hold_answer(a->cookie, a);
}

static void on_wake(uv_async_t *h)
{
    struct worker *w = h->data;
    if (w->port == NULL) {
        return; /* being torn down */
    }
    ledger_port_drain(w->port, on_answer, w);
    if (__atomic_exchange_n(&w->reload, 0, __ATOMIC_ACQ_REL) != 0) {
        take_snapshots(w);
    }
    int stop = __atomic_load_n(&w->stop, __ATOMIC_ACQUIRE);
    if (stop >= 1) {
        begin_drain(w);
    }
}

static void wake_from_elsewhere(void *ctx)
{
    struct worker *w = ctx;
    uv_async_send(&w->wake);
}

static void snapshot_changed(void *ctx)
{
    struct worker *w = ctx;
    __atomic_store_n(&w->reload, 1, __ATOMIC_RELEASE);
    uv_async_send(&w->wake);
}

bool worker_ends_calls(const struct worker *w)
{
    return __atomic_load_n(&w->stop, __ATOMIC_ACQUIRE) >= 2;
}

void worker_stop(struct worker *w, int how)
{
    __atomic_store_n(&w->stop, how, __ATOMIC_RELEASE);
    uv_async_send(&w->wake);
}

/* ---- life ---- */

static void end_loop(struct worker *w)
{
    w->ending = true;
    uv_stop(&w->uv);
}

static void close_handles(struct worker *w)
{
    uv_handle_t *handles[] = {
        (uv_handle_t *)&w->prepare,     (uv_handle_t *)&w->idle,
        (uv_handle_t *)&w->http_timer,  (uv_handle_t *)&w->park_timer,
        (uv_handle_t *)&w->drain_timer, (uv_handle_t *)&w->sweep_timer,
    };
    for (size_t i = 0; i < sizeof handles / sizeof handles[0]; i++) {
        uv_close(handles[i], NULL);
    }
    uv_unref((uv_handle_t *)&w->wake); /* worker_stop may still signal it: worker_join closes it */
}

static void tear_down(struct worker *w)
{
    state_unsubscribe(w->site->state, w);
    ledger_port_close(w->port);
    w->port = NULL;
    stop_accepting(w);
    for (int i = 0; i < WORKER_FRONTS; i++) {
        uv_close((uv_handle_t *)&w->fronts[i].poll, NULL); /* as in stop_accepting */
        front_close(&w->fronts[i]);
    }
    assert(w->n_requests == 0);
    linger_sweep(w, INT64_MAX);
    upstream_close(w->upstream);
    call_free_pool(w);
    request_free_pool(w);
    close_handles(w);
    uv_run(&w->uv, UV_RUN_DEFAULT);
    upstream_free(w->upstream);
    plan_done(&w->plan);
    catalog_unref(w->catalog);
    identity_unref(w->identity);
    experiments_unref(w->experiments);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    char name[16]; /* the kernel's limit */
    snprintf(name, sizeof name, "wf-worker-%d", w->index);
    pthread_setname_np(pthread_self(), name);
    uv_run(&w->uv, UV_RUN_DEFAULT);
    assert(w->n_calls == 0);
    tear_down(w);
    __atomic_store_n(&w->ended, 1, __ATOMIC_RELEASE);
    return NULL;
}

static int open_fronts(struct worker *w, struct fail *reterr)
{
    for (int i = 0; i < WORKER_FRONTS; i++) {
        struct front *f = &w->fronts[i];
        if (front_open(f, w, reterr) != 0) {
            return -1;
        }
        uv_poll_init(&w->uv, &f->poll, front_epoll_fd(f));
        f->poll.data = f;
        uv_poll_start(&f->poll, UV_READABLE, on_front_readable);
    }
    return 0;
}

static void init_handles(struct worker *w)
{
    uv_prepare_init(&w->uv, &w->prepare);
    uv_idle_init(&w->uv, &w->idle);
    uv_timer_init(&w->uv, &w->http_timer);
    uv_timer_init(&w->uv, &w->park_timer);
    uv_timer_init(&w->uv, &w->drain_timer);
    uv_timer_init(&w->uv, &w->sweep_timer);
    uv_async_init(&w->uv, &w->wake, on_wake);
    uv_poll_init(&w->uv, &w->accept_poll, w->listen_fd);
    w->prepare.data = w->idle.data = w->http_timer.data = w->park_timer.data = w;
    w->drain_timer.data = w->wake.data = w->accept_poll.data = w;
    w->sweep_timer.data = w;
    uv_timer_start(&w->sweep_timer, on_sweep, CONN_SWEEP_MS, CONN_SWEEP_MS);
    uv_prepare_start(&w->prepare, on_prepare);
    uv_poll_start(&w->accept_poll, UV_READABLE, on_accept);
    w->accepting = true;
}

int worker_start(struct worker *w, struct site *site, int index, int listen_fd, struct fail *reterr)
{
    *w = (struct worker){.site = site, .index = index, .listen_fd = listen_fd};
    if (uv_loop_init(&w->uv) != 0) {
        return fail_set(reterr, ERR_internal, NULL, "cannot create an event loop");
    }
    w->conns.silence_ms = (int64_t)site->options.client_timeout_s * 1000;
    seed_draws(w);
    plan_init(&w->plan);
    init_handles(w);
    w->upstream = upstream_new(&w->uv);
    w->port = ledger_port_open(site->ledger, wake_from_elsewhere, w);
    if (w->upstream == NULL || w->port == NULL) {
        return fail_set(reterr, ERR_internal, NULL, "out of memory at start");
    }
    if (open_fronts(w, reterr) != 0) {
        return -1; /* the process ends: nothing is taken apart */
    }
    take_snapshots(w);
    state_subscribe(site->state, snapshot_changed, w);
    if (pthread_create(&w->thread, NULL, worker_main, w) != 0) {
        return fail_set(reterr, ERR_internal, NULL, "cannot start a thread");
    }
    return 0;
}

bool worker_has_ended(const struct worker *w)
{
    return __atomic_load_n(&w->ended, __ATOMIC_ACQUIRE) != 0;
}

unsigned worker_turns(const struct worker *w)
{
    return __atomic_load_n(&w->turns, __ATOMIC_RELAXED);
}

void worker_join(struct worker *w)
{
    pthread_join(w->thread, NULL);
    uv_close((uv_handle_t *)&w->wake, NULL);
    uv_run(&w->uv, UV_RUN_DEFAULT);
    int busy = uv_loop_close(&w->uv);
    assert(busy == 0); /* no handle is forgotten */
}
