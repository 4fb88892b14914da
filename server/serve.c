/* The server's life: everything is built in order here and taken down in reverse.  Signals
 * are blocked in all threads and waited for by this one. */
#define _GNU_SOURCE
#include "server/serve.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "schema/buf.h"
#include "server/address.h"
#include "server/admin.h"
#include "server/auditor.h"
#include "server/http.h"
#include "server/listen.h"
#include "server/log.h"
#include "server/ops_long.h"
#include "server/shed.h"
#include "server/token.h"
#include "server/upkeep.h"
#include "server/webhook.h"
#include "server/worker.h"

enum { TLS_FILE_MAX = 1024 * 1024, TICK_MS = 50, LOCK_TRIES = 40 };
/* Database, admin side, log; loops. */
enum { OWN_DESCRIPTORS = 64, WORKER_DESCRIPTORS = 16 };

struct server {
    struct site site;
    struct db *writer;
    struct admin *admin;
    struct webhook *webhook;
    struct auditor *auditor; /* NULL: the books are not checked */
    struct upkeep *upkeep;
    struct ops_env ops;
    char admin_host[LISTEN_TEXT_MAX];
    int n_workers, n_running;
    struct worker workers[SERVE_THREADS_MAX];
};

static void ledger_log(const char *line)
{
    log_line(LOG_INFO, "%s", line);
}

/* ---- metrics ---- */

static void write_ledger_metrics(struct ledger *l, struct buf *out)
{
    struct ledger_stats s;
    ledger_stats(l, &s);
    const struct {
        const char *name, *help, *type;
        int64_t value;
    } rows[] = {
        {"ledger_holds_total", "Holds admitted", "counter", (int64_t)s.holds},
        {"ledger_refused_total", "Holds refused by a cap", "counter", (int64_t)s.refused},
        {"ledger_settles_total", "Attempts settled", "counter", (int64_t)s.settles},
        {"ledger_voids_total", "Attempts voided", "counter", (int64_t)s.voids},
        {"ledger_commits_total", "Transactions committed", "counter", (int64_t)s.commits},
        {"ledger_running", "Attempts with an open hold", "gauge", s.running},
        {"ledger_held_nusd", "Held by running attempts, in nano-USD", "gauge", s.held_nusd},
        {"ledger_last_commit_us", "Duration of the last commit in microseconds", "gauge",
         s.last_commit_us},
        {"ledger_queue", "Operations waiting for the ledger", "gauge", (int64_t)s.queue_len},
        {"ledger_holds_refused", "1 while holds are refused because the disk is full", "gauge",
         s.holds_refused},
        {"alerts_total", "Spend alerts written", "counter", (int64_t)s.alerts},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        metrics_sample(out, rows[i].name, rows[i].help, rows[i].type, rows[i].value);
    }
}

static void write_webhook_metrics(struct webhook *w, struct buf *out)
{
    struct webhook_stats s;
    webhook_stats(w, &s);
    metrics_sample(out, "webhook_delivered_total", "Alerts that the webhook took", "counter",
                   s.delivered);
    metrics_sample(out, "webhook_failed_total", "Tries that the webhook did not take", "counter",
                   s.failed);
    metrics_sample(out, "webhook_given_up_total", "Alerts that were given up", "counter",
                   s.given_up);
}

static void write_audit_metrics(struct auditor *a, struct buf *out)
{
    struct auditor_stats s;
    auditor_stats(a, &s);
    metrics_sample(out, "ledger_checks_total", "Checks of the books", "counter", s.checks);
    metrics_sample(out, "ledger_violations_total", "Violations that checks of the books found",
                   "counter", s.violations);
    metrics_sample(out, "ledger_last_check_us", "Duration of the last check in microseconds",
                   "gauge", s.last_us);
}

static void write_metrics(void *ctx, struct buf *out)
{
    struct server *s = ctx;
    const struct metrics *sets[SERVE_THREADS_MAX];
    int n = __atomic_load_n(&s->n_running, __ATOMIC_ACQUIRE); /* asked while they start */
    for (int i = 0; i < n; i++) {
        sets[i] = &s->workers[i].metrics;
    }
    metrics_write(sets, n, out);
    metrics_sample(out, "connections", "Open client connections", "gauge",
                   __atomic_load_n(&s->site.connections, __ATOMIC_RELAXED));
    struct shed_numbers load;
    shed_look(s->site.shed, &load);
    metrics_sample(out, "requests_in_flight", "Requests with a body that are in flight", "gauge",
                   load.requests);
    metrics_sample(out, "buffer_bytes", "Memory kept by them, in grains of 64 KiB", "gauge",
                   load.bytes);
    write_ledger_metrics(s->site.ledger, out);
    if (s->webhook != NULL) {
        write_webhook_metrics(s->webhook, out);
    }
    struct auditor *auditor = __atomic_load_n(&s->auditor, __ATOMIC_ACQUIRE);
    if (auditor != NULL) {
        write_audit_metrics(auditor, out);
    }
}

/* ---- building ---- */

static char *read_pem(const char *path, struct fail *f)
{
    FILE *in = fopen(path, "rb");
    struct buf b;
    char block[4096];
    size_t n = 0;
    buf_init(&b, TLS_FILE_MAX);
    while (in != NULL && (n = fread(block, 1, sizeof block, in)) > 0) {
        buf_add(&b, block, n);
    }
    if (in == NULL || b.len == 0 || b.failed) {
        fail_set(f, ERR_bad_request, NULL, "cannot read the PEM file %s", path);
        buf_done(&b);
    }
    if (in != NULL) {
        fclose(in);
    }
    return b.ptr;
}

static int load_tls(struct site *site, struct fail *f)
{
    const struct serve_options *o = &site->options;
    if (o->tls_cert == NULL && o->tls_key == NULL) {
        return 0;
    }
    if (o->tls_cert == NULL || o->tls_key == NULL) {
        return fail_set(f, ERR_bad_request, NULL, "--tls-cert and --tls-key go together");
    }
    site->tls_cert = read_pem(o->tls_cert, f);
    site->tls_key = site->tls_cert != NULL ? read_pem(o->tls_key, f) : NULL;
    return site->tls_key != NULL ? 0 : -1;
}

static void raise_descriptor_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

static int thread_count(const struct serve_options *o)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int n = o->threads > 0 ? o->threads : cores > 0 ? (int)cores : 1;
    return n < SERVE_THREADS_MAX ? n : SERVE_THREADS_MAX;
}

static int at_most(int n, int64_t most)
{
    return n <= most ? n : most > 0 ? (int)most : 1;
}

/* Clients may not take the descriptors that their calls to providers need. */
static void fit_descriptors(struct serve_options *o)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur == RLIM_INFINITY) {
        return;
    }
    int connections = o->max_connections;
    int64_t left =
        (int64_t)r.rlim_cur - OWN_DESCRIPTORS - (int64_t)thread_count(o) * WORKER_DESCRIPTORS;
    o->max_connections = at_most(o->max_connections, left * 2 / 3);
    o->max_requests = at_most(o->max_requests, left / 3 / SHED_REQUESTS_OVER);
    if (o->max_connections < connections) {
        log_line(LOG_INFO,
                 "msg=\"limited by the descriptors this process may have (ulimit -n)\" "
                 "descriptors=%lld max_connections=%d max_requests=%d",
                 (long long)r.rlim_cur, o->max_connections, o->max_requests);
    }
}

static int open_tables(struct site *site, struct fail *f)
{
    const struct serve_options *o = &site->options;
    site->rate = rate_new();
    site->shed = shed_new(o->max_requests, (int64_t)o->max_buffer_mib * 1024 * 1024);
    site->addresses = address_table_new(o->max_connections_per_address, o->max_auth_failures);
    return site->rate != NULL && site->shed != NULL && site->addresses != NULL
               ? 0
               : fail_set(f, ERR_internal, NULL, "out of memory");
}

static void block_signals(sigset_t *set)
{
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, set, NULL);
}

static int open_books(struct server *s, struct fail *f)
{
    struct site *site = &s->site;
    /* A command that works on the file directly holds it for a moment. */
    for (int tries = 0; s->writer == NULL && tries < LOCK_TRIES; tries++) {
        s->writer = db_open(site->options.db, DB_OWN, f);
        if (s->writer == NULL && (f->code != ERR_ledger_down || tries + 1 == LOCK_TRIES)) {
            return -1;
        }
        if (s->writer == NULL) {
            usleep(TICK_MS * 1000);
        }
    }
    site->ledger = ledger_start(s->writer, ledger_log, f);
    site->reader = site->ledger != NULL ? db_open(site->options.db, DB_READ, f) : NULL;
    site->state = site->reader != NULL ? state_new(site->reader, site->ledger, f) : NULL;
    return site->state != NULL ? 0 : -1;
}

/* Before anything is admitted. */
static int watch_books(struct server *s, struct fail *f)
{
    const struct serve_options *o = &s->site.options;
    if (o->alert_webhook != NULL && webhook_check(o->alert_webhook, f) != 0) {
        return -1;
    }
    s->webhook = webhook_start(o->alert_webhook, o->db, s->site.ledger, f);
    if (s->webhook == NULL) {
        return -1;
    }
    struct ledger_settings settings = {.alert_at = o->alert_at,
                                       .alert_wake = webhook_wake,
                                       .alert_ctx = s->webhook,
                                       .ballast_bytes = (int64_t)o->ballast_mib * 1024 * 1024};
    if (ledger_set(s->site.ledger, &settings) != 0) {
        log_line(LOG_ERROR, "msg=\"alerts that are due could not be written\"");
    }
    webhook_wake(s->webhook);
    return 0;
}

/* Once clients can connect: it takes its time. */
static void start_auditor(struct server *s)
{
    struct fail f;
    const struct serve_options *o = &s->site.options;
    if (o->verify_every_s == 0) {
        return;
    }
    struct auditor *a = auditor_start(o->db, s->writer, o->verify_every_s, &f);
    if (a == NULL) {
        log_line(LOG_ERROR, "msg=\"the books are not checked\" error=\"%s\"", f.text);
    }
    __atomic_store_n(&s->auditor, a, __ATOMIC_RELEASE);
}

/* A token came or was lost.  Called on the token thread. */
static bool republish(void *ctx)
{
    struct server *s = ctx;
    struct fail f;
    pthread_mutex_lock(&s->site.reader_lock);
    int ok = state_reload(s->site.state, s->site.reader, &f);
    pthread_mutex_unlock(&s->site.reader_lock);
    if (ok != 0) {
        log_line(LOG_ERROR, "msg=\"an access token is not in use yet\" error=\"%s\"", f.text);
    }
    return ok == 0;
}

/* Before anything is admitted: their providers have no credential until then. */
static int fetch_tokens(struct server *s, struct fail *f)
{
    return tokens_start(state_tokens(s->site.state), republish, s, f);
}

static void warn_if_empty(const struct site *site)
{
    struct catalog *c = state_catalog(site->state);
    struct identity *i = state_identity(site->state);
    if (c->n_endpoints == 0) {
        log_line(LOG_WARN, "msg=\"the catalog is empty: run 'wayfare catalog import builtin'\"");
    }
    if (i->n_keys == 0) {
        log_line(LOG_WARN,
                 "msg=\"there are no keys: run 'wayfare team create' and 'wayfare key create'\"");
    }
    catalog_unref(c);
    identity_unref(i);
}

static int start_workers(struct server *s, char text[LISTEN_TEXT_MAX], struct fail *f)
{
    struct site *site = &s->site;
    int fds[SERVE_THREADS_MAX];
    s->n_workers = thread_count(&site->options);
    if (listen_open(site->options.listen, s->n_workers, fds, text, f) != 0) {
        return -1;
    }
    for (int i = 0; i < s->n_workers; i++) {
        if (worker_start(&s->workers[i], site, i, fds[i], f) != 0) {
            return -1;
        }
        __atomic_store_n(&s->n_running, i + 1, __ATOMIC_RELEASE);
    }
    return 0;
}

static int start_admin(struct server *s, struct fail *f)
{
    int port = 0;
    if (listen_split(s->site.options.admin_listen, s->admin_host, &port, f) != 0) {
        return -1;
    }
    s->ops = (struct ops_env){.db = s->site.reader,
                              .ledger = s->site.ledger,
                              .state = s->site.state,
                              .lock = &s->site.reader_lock,
                              .longs = ops_long_new()};
    if (s->ops.longs == NULL) {
        return fail_set(f, ERR_internal, NULL, "out of memory");
    }
    struct admin_options o = {
        .host = s->admin_host,
        .port = port,
        .db_path = s->site.options.db,
        .env = &s->ops,
        .metrics = write_metrics,
        .metrics_ctx = s,
    };
    s->admin = admin_start(&o, f);
    return s->admin != NULL ? 0 : -1;
}

/* ---- running and ending ---- */

static void reload(struct server *s)
{
    struct fail f;
    pthread_mutex_lock(&s->site.reader_lock);
    int ok = state_reload(s->site.state, s->site.reader, &f);
    pthread_mutex_unlock(&s->site.reader_lock);
    if (ok == 0) {
        log_line(LOG_INFO, "msg=\"reloaded catalog and keys\"");
    } else {
        log_line(LOG_ERROR, "msg=\"reload failed, the old snapshot stays\" error=\"%s\"", f.text);
    }
}

static void stop_workers(struct server *s, int how)
{
    for (int i = 0; i < s->n_workers; i++) {
        worker_stop(&s->workers[i], how);
    }
}

static bool workers_ended(struct server *s)
{
    for (int i = 0; i < s->n_running; i++) {
        if (!worker_has_ended(&s->workers[i])) {
            return false;
        }
    }
    return true;
}

/* Finish what runs; a second signal or the deadline ends it. */
static void drain(struct server *s, const sigset_t *signals)
{
    int64_t deadline_ms = worker_now_ms() + (int64_t)s->site.options.drain_timeout_s * 1000;
    const struct timespec tick = {.tv_nsec = TICK_MS * 1000000L};
    bool now = false;
    log_line(LOG_INFO, "msg=\"draining\" timeout_s=%d", s->site.options.drain_timeout_s);
    state_set_draining(s->site.state);
    stop_workers(s, 1);
    while (!workers_ended(s)) {
        int sig = sigtimedwait(signals, NULL, &tick);
        if (!now && (sig == SIGTERM || sig == SIGINT || worker_now_ms() >= deadline_ms)) {
            now = true;
            stop_workers(s, 2);
        }
    }
    for (int i = 0; i < s->n_running; i++) {
        worker_join(&s->workers[i]);
    }
}

static void wait_for_end(struct server *s, const sigset_t *signals)
{
    int sig = 0;
    while (sigwait(signals, &sig) == 0 && sig == SIGHUP) {
        reload(s);
    }
}

static void take_down(struct server *s)
{
    struct site *site = &s->site;
    if (s->ops.longs != NULL) {
        ops_long_stop(s->ops.longs);
    }
    admin_stop(s->admin);
    ops_long_free(s->ops.longs);
    auditor_stop(s->auditor);
    webhook_stop(s->webhook);
    upkeep_stop(s->upkeep);
    if (site->state != NULL) {
        tokens_stop(state_tokens(site->state));
    }
    if (site->ledger != NULL) {
        ledger_stop(site->ledger);
    }
    webhook_free(s->webhook);
    state_free(site->state);
    rate_free(site->rate);
    shed_free(site->shed);
    address_table_free(site->addresses);
    db_close(site->reader);
    db_close(s->writer);
    free(site->tls_cert);
    free(site->tls_key);
    curl_global_cleanup();
    log_stop();
    free(s);
}

static int fail_start(struct server *s, const struct fail *f)
{
    fprintf(stderr, "wayfare: %s\n", f->text);
    if (s->n_running > 0) {
        _exit(1); /* threads run: nothing has been admitted, the books are safe */
    }
    take_down(s);
    return 1;
}

/* Without this glibc gives the top of a heap back and fetches it again all the time (mprotect and
 * page faults on every batch), and merges its fast bins whenever something large is freed. */
static void tune_allocator(void)
{
    mallopt(M_TOP_PAD, 1024 * 1024);
    mallopt(M_TRIM_THRESHOLD, 16 * 1024 * 1024);
    mallopt(M_MMAP_THRESHOLD, 4 * 1024 * 1024);
    mallopt(M_MXFAST, 0);
}

int serve_run(const struct serve_options *o)
{
    struct server *s = calloc(1, sizeof *s);
    struct fail f = {.text = "out of memory"};
    sigset_t signals;
    char text[LISTEN_TEXT_MAX];
    if (s == NULL) {
        fprintf(stderr, "wayfare: %s\n", f.text);
        return 1;
    }
    s->site.options = *o;
    s->site.started_ms = worker_now_ms();
    pthread_mutex_init(&s->site.reader_lock, NULL);
    tune_allocator();
    block_signals(&signals);
    raise_descriptor_limit();
    curl_global_init(CURL_GLOBAL_DEFAULT);
    log_start(o->verbose ? LOG_DEBUG : LOG_INFO);
    at_quick_exit(log_last_words); /* the ledger ends the process when it cannot go on */
    fit_descriptors(&s->site.options);
    if (open_tables(&s->site, &f) != 0 || load_tls(&s->site, &f) != 0 || open_books(s, &f) != 0 ||
        watch_books(s, &f) != 0 || fetch_tokens(s, &f) != 0 || start_admin(s, &f) != 0 ||
        start_workers(s, text, &f) != 0) {
        return fail_start(s, &f);
    }
    s->upkeep = upkeep_start(s->site.ledger, o->retain_days);
    warn_if_empty(&s->site);
    bool v6 = strchr(s->admin_host, ':') != NULL;
    printf("listening on %s://%s\nadmin on http://%s%s%s:%d\n",
           s->site.tls_cert != NULL ? "https" : "http", text, v6 ? "[" : "", s->admin_host,
           v6 ? "]" : "", admin_port(s->admin));
    fflush(stdout);
    start_auditor(s);
    wait_for_end(s, &signals);
    drain(s, &signals);
    take_down(s);
    return 0;
}
