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

#include "router/catalog_db.h"
#include "schema/buf.h"
#include "schema/when.h"
#include "server/activation.h"
#include "server/address.h"
#include "server/admin.h"
#include "server/auditor.h"
#include "server/experimenter.h"
#include "server/http.h"
#include "server/listen.h"
#include "server/log.h"
#include "server/notify.h"
#include "server/ops_long.h"
#include "server/sandbox.h"
#include "server/shed.h"
#include "server/tls.h"
#include "server/token.h"
#include "server/upkeep.h"
#include "server/uplink.h"
#include "server/webhook.h"
#include "server/worker.h"

enum {
    TICK_MS = 50,
    LOCK_WAIT_MS = 2000, /* for a command that works on the file directly */
    LOCK_DRAIN_MARGIN_S =
        30,                 /* over --drain-timeout, for the process whose sockets we were given */
    LOCK_EXTEND_TICKS = 20, /* between asking the service manager for more time */
    LOCK_EXTEND_US = 10 * 1000000
};
/* Database, admin side, log; loops. */
enum { OWN_DESCRIPTORS = 64, WORKER_DESCRIPTORS = 16 };

struct server {
    struct site site;
    struct db *writer;
    struct admin *admin;
    struct webhook *webhook;
    struct auditor *auditor; /* NULL: the books are not checked */
    struct upkeep *upkeep;
    struct experimenter *experimenter; /* NULL: guardrails are not looked at */
    struct ops_env ops;
    struct activation passed;
    char admin_host[LISTEN_TEXT_MAX];
    unsigned reloads, reloads_failed; /* __atomic */
    int n_workers, n_running;
    unsigned turns_seen[SERVE_THREADS_MAX];
    struct worker workers[SERVE_THREADS_MAX];
};

/* For what lasts: the wall clock may be set meanwhile. */
static int64_t monotonic_ms(void)
{
    return (int64_t)(uv_hrtime() / 1000000);
}

static void ledger_log(const char *line)
{
    log_fault(LOG_INFO, "ledger", line, "%s", "");
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

static void write_experimenter_metrics(struct experimenter *x, struct buf *out)
{
    struct experimenter_stats s;
    experimenter_stats(x, &s);
    metrics_sample(out, "guardrail_looks_total", "Looks at the guardrails of experiments",
                   "counter", s.looks);
    metrics_sample(out, "guardrail_stops_total", "Experiments that a guardrail stopped", "counter",
                   s.stops);
}

static void write_unserved_metrics(const struct unserved *u, struct buf *out)
{
    metrics_sample(out, "experiment_unserved_dropped_total",
                   "Requests that no endpoint could serve and that are not in the figures of their "
                   "arm either: too many at once, or no room to write",
                   "counter", unserved_dropped(u));
}

static void write_life_metrics(struct server *s, struct buf *out)
{
    metrics_sample(out, "connections", "Open client connections", "gauge",
                   __atomic_load_n(&s->site.connections, __ATOMIC_RELAXED));
    struct shed_numbers load;
    shed_look(s->site.shed, &load);
    metrics_sample(out, "requests_in_flight",
                   "Requests with a body, and long answers to others, that are in flight", "gauge",
                   load.requests);
    metrics_sample(out, "buffer_bytes", "Memory kept by them, in grains of 64 KiB", "gauge",
                   load.bytes);
    metrics_sample(out, "reloads_total", "Reloads asked for by SIGHUP", "counter",
                   __atomic_load_n(&s->reloads, __ATOMIC_RELAXED));
    metrics_sample(out, "reloads_failed_total", "Reloads of which something stayed as it was",
                   "counter", __atomic_load_n(&s->reloads_failed, __ATOMIC_RELAXED));
    if (s->site.tls) {
        metrics_sample(out, "tls_certificate_expires_seconds",
                       "When the certificate in use ends, in Unix time", "gauge", tls_expires_s());
    }
}

static void write_kept(struct server *s, int n_workers, struct buf *out)
{
    int64_t sum = 0;
    for (int i = 0; i < n_workers; i++) {
        sum += worker_kept(&s->workers[i]);
    }
    metrics_sample(out, "kept_bytes", "Memory of requests that are over, kept for the next",
                   "gauge", sum);
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
    write_life_metrics(s, out);
    write_kept(s, n, out);
    metrics_sample(out, "endpoints_ejected", "Endpoints that are ejected or half-open", "gauge",
                   state_ejected_count(s->site.state, worker_now_ms()));
    write_ledger_metrics(s->site.ledger, out);
    if (s->webhook != NULL) {
        write_webhook_metrics(s->webhook, out);
    }
    struct auditor *auditor = __atomic_load_n(&s->auditor, __ATOMIC_ACQUIRE);
    if (auditor != NULL) {
        write_audit_metrics(auditor, out);
    }
    struct experimenter *experimenter = __atomic_load_n(&s->experimenter, __ATOMIC_ACQUIRE);
    if (experimenter != NULL) {
        write_experimenter_metrics(experimenter, out);
    }
    write_unserved_metrics(s->site.unserved, out);
}

/* ---- building ---- */

static int load_tls(struct site *site, struct fail *f)
{
    const struct serve_options *o = &site->options;
    bool changed = false;
    if (o->tls_cert == NULL && o->tls_key == NULL) {
        return 0;
    }
    if (o->tls_cert == NULL || o->tls_key == NULL) {
        return fail_set(f, ERR_bad_request, NULL, "--tls-cert and --tls-key go together");
    }
    if (tls_load(o->tls_cert, o->tls_key, &changed, f) != 0) {
        return -1;
    }
    if (!site->tls) { /* at the start: nobody else looks at it yet */
        site->tls = true;
    }
    if (changed) {
        char when[WHEN_TEXT_MAX];
        bool over = tls_expires_s() * 1000 < worker_now_ms();
        log_line(over ? LOG_ERROR : LOG_INFO, "msg=\"certificate %s\" until=%s",
                 over ? "has ended" : "in use", when_print(tls_expires_s() * 1000, when));
    }
    return 0;
}

static void raise_descriptor_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max < UPLINK_DESCRIPTORS_MAX ? r.rlim_max : UPLINK_DESCRIPTORS_MAX;
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
    site->unserved = unserved_new();
    loop_draw_name(site->loop_name);
    return site->rate != NULL && site->shed != NULL && site->addresses != NULL &&
                   site->unserved != NULL
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

/* Another process has the database.  Without sockets that were passed to us it is a command that
 * works on the file and holds it for a moment; with them, the one whose place we take: it
 * finishes what runs while clients wait in the sockets' queues. */
static int64_t lock_patience_ms(const struct server *s)
{
    bool passed = s->passed.data_fd >= 0 || s->passed.admin_fd >= 0;
    int64_t drain_s = (int64_t)s->site.options.drain_timeout_s + LOCK_DRAIN_MARGIN_S;
    return passed ? drain_s * 1000 : LOCK_WAIT_MS;
}

static void tell_waiting(const struct fail *f, int ticks)
{
    if (ticks * TICK_MS == LOCK_WAIT_MS / 2) {
        log_line(LOG_INFO, "msg=\"waiting for the database\" reason=\"%s\"", f->text);
    }
    if (ticks % LOCK_EXTEND_TICKS == 0) {
        notify_send("STATUS=waiting: %s\nEXTEND_TIMEOUT_USEC=%d", f->text, LOCK_EXTEND_US);
    }
}

static int own_database(struct server *s, const sigset_t *signals, struct fail *f)
{
    const struct timespec tick = {.tv_nsec = TICK_MS * 1000000L};
    int64_t until_ms = monotonic_ms() + lock_patience_ms(s);
    for (int ticks = 0;; ticks++) {
        s->writer = db_open(s->site.options.db, DB_OWN, f);
        if (s->writer != NULL) {
            return 0;
        }
        if (!db_fail_is_owned(f) || monotonic_ms() >= until_ms) {
            return -1;
        }
        tell_waiting(f, ticks);
        int sig = sigtimedwait(signals, NULL, &tick);
        if (sig == SIGTERM || sig == SIGINT) {
            return fail_set(f, ERR_draining, NULL, "ended while it waited for the database");
        }
    }
}

/* ---- the sandbox ---- */

/* Called for each credential of the catalog: the secret itself is read later, from inside. */
static struct secret note_credential(void *ctx, enum credential_kind kind, const char *ref)
{
    if (kind == CREDENTIAL_FILE) {
        sandbox_read_file(ctx, ref);
    }
    return (struct secret){.text = NULL};
}

static int name_files(struct server *s, struct sandbox *box, struct fail *f)
{
    const struct serve_options *o = &s->site.options;
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    struct catalog *c = catalog_db_load(s->site.reader, note_credential, box, f);
    db_rest(s->site.reader);
    if (c == NULL) {
        return -1;
    }
    catalog_unref(c);
    sandbox_write_beside(box, o->db);
    sandbox_read_system(box);
    sandbox_read_common(box);
    sandbox_read(box, "/run/secrets");
    if (credentials != NULL) {
        sandbox_read(box, credentials);
    }
    if (s->site.tls) {
        sandbox_read_file(box, o->tls_cert);
        sandbox_read_file(box, o->tls_key);
    }
    return 0;
}

static int enter_sandbox(struct server *s, struct fail *f)
{
    char report[SANDBOX_REPORT_MAX];
    const char *unfit = sandbox_unfit();
    if (!s->site.options.sandbox || unfit != NULL) {
        log_line(LOG_WARN, "msg=\"no sandbox\" reason=\"%s\"",
                 s->site.options.sandbox ? unfit : "--sandbox off");
        return 0;
    }
    struct sandbox *box = sandbox_new();
    if (name_files(s, box, f) != 0) {
        return -1;
    }
    sandbox_enter(box, report);
    log_line(strstr(report, "unavailable") != NULL ? LOG_WARN : LOG_INFO, "msg=\"sandbox\" %s",
             report);
    return 0;
}

static int open_books(struct server *s, struct fail *f)
{
    struct site *site = &s->site;
    site->ledger = ledger_start(s->writer, ledger_log, f);
    site->state = site->ledger != NULL ? state_new(site->reader, site->ledger, f) : NULL;
    if (site->state == NULL) {
        return -1;
    }
    state_say_credentials(site->state);
    return 0;
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
        log_fault(LOG_ERROR, "the books are not checked", f.text, "%s", "");
    }
    __atomic_store_n(&s->auditor, a, __ATOMIC_RELEASE);
}

static void start_experimenter(struct server *s)
{
    struct fail f;
    struct experimenter *x = experimenter_start(s->site.options.db, &s->ops, s->site.unserved, &f);
    if (x == NULL) {
        log_fault(LOG_ERROR, "guardrails are not looked at", f.text, "%s", "");
    }
    __atomic_store_n(&s->experimenter, x, __ATOMIC_RELEASE);
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
        log_fault(LOG_ERROR, "an access token is not in use yet", f.text, "%s", "");
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
    int opened = s->passed.data_fd >= 0
                     ? listen_share(s->passed.data_fd, s->n_workers, fds, text, f)
                     : listen_open(site->options.listen, s->n_workers, fds, text, f);
    if (opened != 0) {
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
    char address[LISTEN_TEXT_MAX];
    snprintf(address, sizeof address, "%s", s->site.options.admin_listen);
    if (s->passed.admin_fd >= 0) {
        listen_print(s->passed.admin_fd, address);
    }
    if (listen_split(address, s->admin_host, &port, f) != 0) {
        return -1;
    }
    s->ops = (struct ops_env){.db = s->site.reader,
                              .ledger = s->site.ledger,
                              .state = s->site.state,
                              .lock = &s->site.reader_lock,
                              .longs = ops_long_new()};
    if (s->ops.longs == NULL) {
        return fail_set(f, ERR_internal, NULL, "no memory, or no threads, for long operations");
    }
    struct admin_options o = {
        .host = s->admin_host,
        .port = port,
        .passed_fd = s->passed.admin_fd,
        .db_path = s->site.options.db,
        .env = &s->ops,
        .metrics = write_metrics,
        .metrics_ctx = s,
    };
    s->admin = admin_start(&o, f);
    return s->admin != NULL ? 0 : -1;
}

/* ---- running and ending ---- */

/* The catalog and the keys first: a bad certificate does not keep a revoked key alive. */
static void reload(struct server *s)
{
    struct fail f;
    int unread = 0;
    notify_reloading();
    pthread_mutex_lock(&s->site.reader_lock);
    int books = state_reread(s->site.state, s->site.reader, &unread, &f);
    pthread_mutex_unlock(&s->site.reader_lock);
    if (books == 0) {
        log_line(LOG_INFO, "msg=\"reloaded catalog and keys\" unreadable_files=%d", unread);
    } else {
        log_fault(LOG_ERROR, "reload failed, the old snapshot stays", f.text, "%s", "");
    }
    int tls = load_tls(&s->site, &f);
    if (tls != 0) {
        log_fault(LOG_ERROR, "the old certificate stays", f.text, "%s", "");
    }
    __atomic_add_fetch(&s->reloads, 1, __ATOMIC_RELAXED);
    bool failed = books != 0 || unread > 0 || tls != 0;
    __atomic_add_fetch(&s->reloads_failed, failed, __ATOMIC_RELAXED);
    notify_send("READY=1\nSTATUS=serving%s", failed ? "; a reload failed" : "");
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

/* Tells the service manager that we live, unless a worker's loop stands still. */
static void feed_watchdog(struct server *s, int64_t *due_ms)
{
    int every_ms = notify_watchdog_ms();
    if (every_ms == 0 || monotonic_ms() < *due_ms) {
        return;
    }
    bool all_turn = true;
    for (int i = 0; i < s->n_running; i++) {
        unsigned turns = worker_turns(&s->workers[i]);
        all_turn &= turns != s->turns_seen[i] || worker_has_ended(&s->workers[i]);
        s->turns_seen[i] = turns;
    }
    if (all_turn) {
        notify_send("WATCHDOG=1");
    }
    *due_ms = monotonic_ms() + every_ms;
}

/* The next signal; 0: none within tick_ms (0: however long it takes). */
static int next_signal(const sigset_t *signals, int tick_ms)
{
    const struct timespec tick = {.tv_sec = tick_ms / 1000,
                                  .tv_nsec = (long)(tick_ms % 1000) * 1000000};
    int sig = sigtimedwait(signals, NULL, tick_ms > 0 ? &tick : NULL);
    return sig > 0 ? sig : 0;
}

/* Finish what runs; a second signal or the deadline ends it. */
static void drain(struct server *s, const sigset_t *signals, int64_t *due_ms)
{
    int64_t deadline_ms = monotonic_ms() + (int64_t)s->site.options.drain_timeout_s * 1000;
    bool now = false;
    log_line(LOG_INFO, "msg=\"draining\" timeout_s=%d", s->site.options.drain_timeout_s);
    notify_send("STOPPING=1\nSTATUS=draining: running requests finish");
    state_set_draining(s->site.state);
    stop_workers(s, 1);
    while (!workers_ended(s)) {
        int sig = next_signal(signals, TICK_MS);
        feed_watchdog(s, due_ms);
        if (!now && (sig == SIGTERM || sig == SIGINT || monotonic_ms() >= deadline_ms)) {
            now = true;
            log_line(LOG_WARN, "msg=\"ending what still runs\" reason=\"%s\"",
                     sig > 0 ? "a second signal" : "--drain-timeout is over");
            stop_workers(s, 2);
        }
    }
    for (int i = 0; i < s->n_running; i++) {
        worker_join(&s->workers[i]);
    }
}

static void wait_for_end(struct server *s, const sigset_t *signals, int64_t *due_ms)
{
    for (;;) {
        int sig = next_signal(signals, notify_watchdog_ms());
        feed_watchdog(s, due_ms);
        if (sig == SIGHUP) {
            reload(s);
        } else if (sig != 0) {
            return;
        }
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
    experimenter_stop(s->experimenter);
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
    unserved_free(site->unserved);
    db_close(site->reader);
    db_close(s->writer);
    tls_free();
    curl_global_cleanup();
    log_stop();
    free(s);
}

static int fail_start(struct server *s, const struct fail *f)
{
    fprintf(stderr, "wayfare: %s\n", f->text);
    notify_send("STATUS=%s", f->text);
    if (f->code == ERR_draining) { /* we were told to end before we had begun */
        take_down(s);
        return 0;
    }
    if (s->n_running > 0) {
        _exit(1); /* threads run: nothing has been admitted, the books are safe */
    }
    take_down(s);
    return 1;
}

/* While there is one thread: what the sandbox must know, and the sandbox. */
static int prepare(struct server *s, const sigset_t *signals, struct fail *f)
{
    struct site *site = &s->site;
    fit_descriptors(&site->options);
    if (open_tables(site, f) != 0 || activation_take(&s->passed, f) != 0 ||
        load_tls(site, f) != 0 || own_database(s, signals, f) != 0) {
        return -1;
    }
    site->reader = db_open(site->options.db, DB_READ, f);
    return site->reader != NULL ? enter_sandbox(s, f) : -1;
}

static int start(struct server *s, char text[LISTEN_TEXT_MAX], struct fail *f)
{
    return open_books(s, f) != 0 || watch_books(s, f) != 0 || fetch_tokens(s, f) != 0 ||
                   start_admin(s, f) != 0 || start_workers(s, text, f) != 0
               ? -1
               : 0;
}

static void announce(struct server *s, const char *text)
{
    bool v6 = strchr(s->admin_host, ':') != NULL;
    printf("listening on %s://%s\nadmin on http://%s%s%s:%d\n", s->site.tls ? "https" : "http",
           text, v6 ? "[" : "", s->admin_host, v6 ? "]" : "", admin_port(s->admin));
    fflush(stdout);
    notify_send("READY=1\nSTATUS=serving");
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
    int64_t watchdog_due_ms = 0;
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
    notify_init();
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (prepare(s, &signals, &f) != 0) {
        return fail_start(s, &f);
    }
    log_start(o->verbose ? LOG_DEBUG : LOG_INFO);
    at_quick_exit(log_last_words); /* the ledger ends the process when it cannot go on */
    if (start(s, text, &f) != 0) {
        return fail_start(s, &f);
    }
    s->upkeep = upkeep_start(s->site.ledger, o->retain_days);
    warn_if_empty(&s->site);
    announce(s, text);
    start_auditor(s);
    start_experimenter(s);
    wait_for_end(s, &signals, &watchdog_due_ms);
    drain(s, &signals, &watchdog_due_ms);
    take_down(s);
    return 0;
}
