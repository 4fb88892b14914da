/* One thread: log what is new, post what is due, sleep until the next. */
#define _GNU_SOURCE
#include "server/webhook.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "router/alert_db.h"
#include "schema/money.h"
#include "schema/when.h"
#include "server/log.h"
#include "server/pacer.h"
#include "server/worker.h"

enum {
    CONNECT_TIMEOUT_MS = 3000,
    LOOK_AGAIN_MS = 60000, /* without a wake; rows written by an earlier run, a clock that jumped */
    TROUBLE_MS = 1000      /* the ledger cannot take a mark now */
};

struct webhook {
    const char *url;
    struct ledger *ledger;
    struct db *db;
    CURL *curl;
    struct curl_slist *headers;
    pthread_t thread;
    struct pacer pacer;
    struct webhook_stats stats; /* __atomic */
};

static void count(int64_t *n)
{
    __atomic_add_fetch(n, 1, __ATOMIC_RELAXED);
}

/* ---- marks: the ledger thread writes them ---- */

enum mark_kind { MARK_LOGGED, MARK_DELIVERED, MARK_FAILED };

struct mark {
    enum mark_kind kind;
    int64_t row, ms;
};

static int write_mark(struct db *db, void *arg)
{
    const struct mark *m = arg;
    switch (m->kind) {
    case MARK_LOGGED:
        return alert_db_mark_logged(db, m->row, m->ms);
    case MARK_DELIVERED:
        return alert_db_mark_delivered(db, m->row, m->ms);
    case MARK_FAILED:
        return alert_db_mark_failed(db, m->row, m->ms);
    }
    return -1;
}

/* Until it is written: a row that was told and not marked would be told again.  false: the
 * server stops. */
static bool mark(struct webhook *w, enum mark_kind kind, int64_t row, int64_t ms)
{
    struct mark m = {kind, row, ms};
    while (ledger_job(w->ledger, write_mark, &m) != 0) {
        if (pacer_stopping(&w->pacer)) {
            return false;
        }
        pacer_sleep(&w->pacer, TROUBLE_MS);
    }
    return true;
}

/* ---- the log ---- */

static void log_alert(const struct alert *a)
{
    char cap[MONEY_TEXT_MAX], spent[MONEY_TEXT_MAX], resets[WHEN_TEXT_MAX] = "never";
    struct buf line;
    buf_init(&line, LOG_LINE_MAX);
    if (a->resets_ms > 0) {
        when_print(a->resets_ms, resets);
    }
    log_value(&line, "name", span_of(a->name));
    log_value(&line, "team", span_of(a->team));
    buf_addc(&line, '\0');
    log_line(LOG_WARN,
             "msg=\"spend alert\" id=%s scope=%s%s window=%s percent=%d spent_usd=%s cap_usd=%s"
             " resets=%s",
             a->id, a->scope, line.failed ? "" : line.ptr, a->window, a->threshold,
             money_print(a->spent_nusd, MONEY_SCALE_NUSD, spent),
             money_print(a->cap_nusd, MONEY_SCALE_NUSD, cap), resets);
    buf_done(&line);
}

/* false: stop, or the database cannot be read now. */
static bool log_new(struct webhook *w)
{
    struct alert a;
    struct fail f;
    for (;;) {
        int rc = alert_db_unlogged(w->db, &a, &f);
        db_rest(w->db);
        if (rc != 1) {
            if (rc < 0) {
                log_fault(LOG_ERROR, "alerts cannot be read", f.text, "%s", "");
            }
            return rc == 0;
        }
        log_alert(&a);
        if (!mark(w, MARK_LOGGED, a.row, worker_now_ms()) ||
            (w->url == NULL && !mark(w, MARK_DELIVERED, a.row, worker_now_ms()))) {
            return false;
        }
    }
}

/* ---- the post ---- */

static size_t on_body(char *bytes, size_t size, size_t n, void *ctx)
{
    (void)bytes;
    (void)ctx;
    return size * n; /* only the status counts */
}

static int on_progress(void *ctx, curl_off_t dl_total, curl_off_t dl_now, curl_off_t ul_total,
                       curl_off_t ul_now)
{
    (void)dl_total;
    (void)dl_now;
    (void)ul_total;
    (void)ul_now;
    return pacer_stopping(ctx);
}

static int set_up_curl(struct webhook *w)
{
    w->curl = curl_easy_init();
    struct curl_slist *first = curl_slist_append(NULL, "Content-Type: application/json");
    w->headers = first;
    if (w->curl == NULL || first == NULL || curl_slist_append(first, "Expect:") == NULL ||
        curl_slist_append(first, "User-Agent: wayfare") == NULL) {
        return -1;
    }
    CURL *c = w->curl;
    curl_easy_setopt(c, CURLOPT_URL, w->url);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L); /* does not wait for a name server */
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)WEBHOOK_TIMEOUT_MS);
    curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L); /* alerts are far between */
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, w->headers);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, &w->pacer);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    return 0;
}

/* true: taken. *ret_why: for the log, without the address. */
static bool post(struct webhook *w, const struct alert *a, char ret_why[64])
{
    struct json_object *o = alert_json(a);
    const char *text =
        json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    long status = 0;
    curl_easy_setopt(w->curl, CURLOPT_POSTFIELDS, text);
    CURLcode rc = curl_easy_perform(w->curl);
    curl_easy_getinfo(w->curl, CURLINFO_RESPONSE_CODE, &status);
    json_object_put(o);
    if (rc != CURLE_OK) {
        snprintf(ret_why, 64, "%s", curl_easy_strerror(rc));
    } else {
        snprintf(ret_why, 64, "status %ld", status);
    }
    return rc == CURLE_OK && status / 100 == 2;
}

static bool note_failure(struct webhook *w, const struct alert *a, const char *why)
{
    int64_t now_ms = worker_now_ms();
    int64_t next_ms = now_ms + (int64_t)alert_backoff_s(a->tries + 1) * 1000;
    bool over = now_ms - a->at_ms > (int64_t)ALERT_KEEP_TRYING_S * 1000;
    count(over ? &w->stats.given_up : &w->stats.failed);
    log_fault(over ? LOG_ERROR : LOG_WARN,
              over ? "the webhook is given up" : "the webhook did not take an alert", why,
              "id=%s tries=%" PRId64 " next_try_in_s=%d", a->id, a->tries + 1,
              over ? -1 : alert_backoff_s(a->tries + 1));
    return mark(w, MARK_FAILED, a->row, over ? 0 : next_ms);
}

/* Tells the row that is due first. Returns how long to sleep: 0 = there may be more. */
static int64_t post_next(struct webhook *w)
{
    struct alert a;
    struct fail f;
    char why[64];
    int rc = alert_db_next(w->db, &a, &f);
    db_rest(w->db);
    if (rc != 1) {
        return rc == 0 ? LOOK_AGAIN_MS : TROUBLE_MS;
    }
    int64_t wait = a.next_try_ms - worker_now_ms();
    if (wait > 0) {
        return wait < LOOK_AGAIN_MS ? wait : LOOK_AGAIN_MS;
    }
    if (post(w, &a, why)) {
        count(&w->stats.delivered);
        return mark(w, MARK_DELIVERED, a.row, worker_now_ms()) ? 0 : TROUBLE_MS;
    }
    if (pacer_stopping(&w->pacer)) {
        return 0; /* we broke it off: it does not count */
    }
    return note_failure(w, &a, why) ? 0 : TROUBLE_MS;
}

static void *webhook_main(void *arg)
{
    struct webhook *w = arg;
    pthread_setname_np(pthread_self(), "wf-alert");
    while (!pacer_stopping(&w->pacer)) {
        bool readable = log_new(w);
        int64_t sleep_ms =
            readable && w->url != NULL && !pacer_stopping(&w->pacer) ? post_next(w) : LOOK_AGAIN_MS;
        if (sleep_ms > 0) {
            pacer_sleep(&w->pacer, readable ? sleep_ms : TROUBLE_MS);
        }
    }
    ledger_barrier(w->ledger);
    log_new(w); /* of the last requests before the end */
    return NULL;
}

/* ---- life ---- */

int webhook_check(const char *url, struct fail *reterr)
{
    CURLU *u = curl_url();
    char *scheme = NULL;
    bool good = u != NULL && strlen(url) < WEBHOOK_URL_MAX &&
                curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                (strcmp(scheme, "https") == 0 || strcmp(scheme, "http") == 0);
    curl_free(scheme);
    curl_url_cleanup(u);
    return good ? 0
                : fail_set(reterr, ERR_bad_request, "alert_webhook",
                           "the alert webhook is not an http:// or https:// address");
}

void webhook_free(struct webhook *w)
{
    if (w == NULL) {
        return;
    }
    db_close(w->db);
    curl_slist_free_all(w->headers);
    curl_easy_cleanup(w->curl);
    pacer_done(&w->pacer);
    free(w);
}

struct webhook *webhook_start(const char *url, const char *db_path, struct ledger *ledger,
                              struct fail *reterr)
{
    struct webhook *w = calloc(1, sizeof *w);
    if (w == NULL) {
        fail_set(reterr, ERR_internal, NULL, "out of memory");
        return NULL;
    }
    w->url = url;
    w->ledger = ledger;
    pacer_init(&w->pacer);
    w->db = db_open(db_path, DB_READ, reterr);
    if (w->db != NULL && (url == NULL || set_up_curl(w) == 0) &&
        pthread_create(&w->thread, NULL, webhook_main, w) == 0) {
        return w;
    }
    if (w->db != NULL) {
        fail_set(reterr, ERR_internal, NULL, "the alert thread cannot be started");
    }
    webhook_free(w);
    return NULL;
}

void webhook_wake(void *webhook)
{
    struct webhook *w = webhook;
    pacer_wake(&w->pacer);
}

void webhook_stop(struct webhook *w)
{
    if (w == NULL) {
        return;
    }
    pacer_stop(&w->pacer);
    pthread_join(w->thread, NULL);
}

void webhook_stats(struct webhook *w, struct webhook_stats *ret)
{
    ret->delivered = __atomic_load_n(&w->stats.delivered, __ATOMIC_RELAXED);
    ret->failed = __atomic_load_n(&w->stats.failed, __ATOMIC_RELAXED);
    ret->given_up = __atomic_load_n(&w->stats.given_up, __ATOMIC_RELAXED);
}
