/* One thread: fetch what is due, publish, sleep until the next. */
#define _GNU_SOURCE
#include "server/token.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>

#include "schema/json.h"
#include "server/log.h"
#include "server/pacer.h"
#include "server/service_account.h"
#include "server/worker.h"

enum {
    WHY_MAX = FAIL_TEXT_MAX,
    CONNECT_TIMEOUT_MS = 5000,
    SLEEP_MAX_MS = 60000,
    TROUBLE_MS = 1000,
    TICK_MS = 20
};

/* A slot.  While the thread is at it, nobody else writes what it reads. */
struct account {
    char *text; /* the key file, by which it is found; NULL = free */
    struct service_account key;
    bool loaded, wanted; /* asked for in this load; in the last */
    bool busy;           /* the thread is at it */
    char *token;         /* NULL = none */
    int64_t expires_ms, next_try_ms;
    int tries;         /* that failed since the last success */
    char why[WHY_MAX]; /* there is no token */
};

struct tokens {
    pthread_mutex_t lock; /* accounts */
    struct account accounts[TOKEN_ACCOUNTS_MAX];
    struct pacer pacer;
    pthread_t thread;
    bool started;
    bool unpublished; /* the thread's own */
    bool settled;     /* __atomic: the first tries are over, and published */
    bool (*changed)(void *ctx);
    void *ctx;
    CURL *curl;
};

struct tokens *tokens_new(void)
{
    struct tokens *t = calloc(1, sizeof *t);
    if (t != NULL) {
        pthread_mutex_init(&t->lock, NULL);
        pacer_init(&t->pacer);
    }
    return t;
}

static void wipe(char *text)
{
    if (text != NULL) {
        OPENSSL_cleanse(text, strlen(text));
        free(text);
    }
}

static void empty(struct account *a)
{
    wipe(a->text);
    wipe(a->token);
    service_account_done(&a->key);
    *a = (struct account){.text = NULL};
}

void tokens_free(struct tokens *t)
{
    if (t == NULL) {
        return;
    }
    for (int i = 0; i < TOKEN_ACCOUNTS_MAX; i++) {
        empty(&t->accounts[i]);
    }
    pacer_done(&t->pacer);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

/* ---- looking up ---- */

static struct account *find(struct tokens *t, const char *text)
{
    struct account *room = NULL;
    for (int i = 0; i < TOKEN_ACCOUNTS_MAX; i++) {
        struct account *a = &t->accounts[i];
        if (a->text != NULL && strcmp(a->text, text) == 0) {
            return a;
        }
        if (a->text == NULL && room == NULL) {
            room = a;
        }
    }
    if (room == NULL || (room->text = strdup(text)) == NULL) {
        return NULL;
    }
    struct fail f;
    snprintf(room->why, sizeof room->why, "its access token is being fetched");
    if (service_account_read(&room->key, span_of(text), &f) != 0) {
        snprintf(room->why, sizeof room->why, "%s", f.text);
        room->next_try_ms = INT64_MAX; /* another file is another account */
    }
    return room;
}

/* What leaves the lock: copies for the caller's thread. */
struct given {
    char token[TOKEN_MAX], project[CATALOG_NAME_MAX], why[WHY_MAX];
};

static struct secret give(const struct account *a, struct given *g)
{
    bool usable = a->token != NULL && a->expires_ms > worker_now_ms();
    snprintf(g->project, sizeof g->project, "%s", a->key.project != NULL ? a->key.project : "");
    snprintf(g->why, sizeof g->why, "%s", a->why);
    if (usable) {
        snprintf(g->token, sizeof g->token, "%s", a->token);
    }
    return (struct secret){
        .text = usable ? g->token : NULL,
        .project = g->project[0] != '\0' ? g->project : NULL,
        .why = usable ? NULL : g->why,
    };
}

struct secret tokens_exchange(struct tokens *t, struct secret found)
{
    static _Thread_local struct given given;
    struct secret s = found;
    if (s.text == NULL || !service_account_is(span_of(s.text))) {
        return s;
    }
    pthread_mutex_lock(&t->lock);
    struct account *a = find(t, s.text);
    if (a != NULL) {
        a->loaded = a->wanted = true;
        s = give(a, &given);
    } else {
        s = (struct secret){.why = "there are too many service accounts"};
    }
    pthread_mutex_unlock(&t->lock);
    pacer_wake(&t->pacer);
    s.fault = found.fault;
    return s;
}

void tokens_begin_load(struct tokens *t)
{
    pthread_mutex_lock(&t->lock);
    for (int i = 0; i < TOKEN_ACCOUNTS_MAX; i++) {
        t->accounts[i].loaded = false;
    }
    pthread_mutex_unlock(&t->lock);
}

void tokens_end_load(struct tokens *t)
{
    pthread_mutex_lock(&t->lock);
    for (int i = 0; i < TOKEN_ACCOUNTS_MAX; i++) {
        struct account *a = &t->accounts[i];
        a->wanted = a->loaded;
        if (!a->wanted && !a->busy) {
            empty(a);
        }
    }
    pthread_mutex_unlock(&t->lock);
}

/* ---- one exchange ---- */

struct answer {
    struct buf body;
    long status;
    char *token; /* owned; NULL = none */
    int64_t life_s;
};

static size_t on_body(char *bytes, size_t size, size_t n, void *ctx)
{
    struct answer *answer = ctx;
    return buf_add(&answer->body, bytes, size * n) ? size * n : 0;
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

static void set_up_curl(struct tokens *t)
{
    CURL *c = t->curl;
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L); /* does not wait for a name server */
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)TOKEN_TIMEOUT_MS);
    curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L); /* once an hour */
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, &t->pacer);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
}

/* "invalid_grant" and the like (RFC 6749 section 5.2): fit for a log line. */
static bool is_error_word(const char *word)
{
    return strspn(word, "abcdefghijklmnopqrstuvwxyz_") == strlen(word);
}

/* {"access_token": "...", "expires_in": 3599, "token_type": "Bearer"} */
static void read_answer(struct answer *answer, char why[WHY_MAX])
{
    char token[TOKEN_MAX], word[64] = "";
    struct json_doc doc;
    json_init(&doc);
    bool object =
        json_parse(&doc, buf_span(&answer->body), NULL) == 0 && json_kind(&doc, 0) == JSON_OBJECT;
    if (object && answer->status == 200 &&
        json_text_fixed(&doc, json_get(&doc, 0, "access_token"), token, sizeof token) &&
        json_int64(&doc, json_get(&doc, 0, "expires_in"), &answer->life_s) && answer->life_s > 0 &&
        answer->life_s <= 24 * 3600 && token[0] != '\0') {
        answer->token = strdup(token);
        OPENSSL_cleanse(token, sizeof token);
    } else if (object && json_text_fixed(&doc, json_get(&doc, 0, "error"), word, sizeof word) &&
               !is_error_word(word)) {
        word[0] = '\0';
    }
    if (answer->token == NULL) {
        snprintf(why, WHY_MAX, "the token endpoint answered %ld%s%s", answer->status,
                 word[0] != '\0' ? ": " : " and no token", word);
    }
    json_done(&doc);
}

/* why: for people. */
static void fetch(struct tokens *t, const struct service_account *key, struct answer *answer,
                  char why[WHY_MAX])
{
    struct buf form;
    struct fail f;
    buf_init(&form, SERVICE_ACCOUNT_TEXT_MAX);
    if (service_account_grant(key, worker_now_ms() / 1000, &form, &f) != 0) {
        snprintf(why, WHY_MAX, "%s", f.text);
        buf_done(&form);
        return;
    }
    curl_easy_setopt(t->curl, CURLOPT_URL, key->token_uri);
    curl_easy_setopt(t->curl, CURLOPT_POSTFIELDS, form.ptr);
    curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, answer);
    CURLcode rc = curl_easy_perform(t->curl);
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &answer->status);
    OPENSSL_cleanse(form.ptr, form.len);
    buf_done(&form);
    if (rc == CURLE_OK) {
        read_answer(answer, why);
    } else {
        snprintf(why, WHY_MAX, "the token endpoint cannot be reached: %s", curl_easy_strerror(rc));
    }
}

/* ---- what follows ---- */

static int64_t backoff_ms(int tries)
{
    int64_t s = tries < 7 ? INT64_C(1) << (tries - 1) : TOKEN_BACKOFF_MAX_S;
    return 1000 * (s < TOKEN_BACKOFF_MAX_S ? s : TOKEN_BACKOFF_MAX_S);
}

/* true: the snapshot is out of date. */
static bool take_token(struct account *a, struct answer *answer, int64_t now_ms)
{
    int64_t early_s = answer->life_s / 2 < TOKEN_EARLY_S ? answer->life_s / 2 : TOKEN_EARLY_S;
    wipe(a->token);
    a->token = answer->token;
    answer->token = NULL;
    a->expires_ms = now_ms + answer->life_s * 1000;
    a->next_try_ms = a->expires_ms - early_s * 1000;
    a->tries = 0;
    return true;
}

static bool take_failure(struct account *a, const char *why, int64_t now_ms)
{
    bool news = a->token == NULL && strcmp(a->why, why) != 0;
    a->tries++;
    a->next_try_ms = now_ms + backoff_ms(a->tries);
    snprintf(a->why, sizeof a->why, "%s", why);
    log_fault(LOG_WARN, "no access token", why, "account=\"%s\" tries=%d", a->key.email, a->tries);
    return news;
}

/* A token that expired is none: the provider falls out until there is another. */
static bool drop_expired(struct account *a, int64_t now_ms)
{
    if (a->token == NULL || a->expires_ms > now_ms) {
        return false;
    }
    wipe(a->token);
    a->token = NULL;
    return true;
}

/* The next one that is due, marked busy; NULL = none. *ret_news: the snapshot is out of date. */
static struct account *take_due(struct tokens *t, int64_t now_ms, bool *ret_news)
{
    struct account *due = NULL;
    pthread_mutex_lock(&t->lock);
    for (int i = 0; i < TOKEN_ACCOUNTS_MAX; i++) {
        struct account *a = &t->accounts[i];
        *ret_news |= drop_expired(a, now_ms);
        if (due == NULL && a->text != NULL && a->wanted && a->next_try_ms <= now_ms) {
            due = a;
        }
    }
    if (due != NULL) {
        due->busy = true;
    }
    pthread_mutex_unlock(&t->lock);
    return due;
}

static bool try_account(struct tokens *t, struct account *a)
{
    struct answer answer = {.token = NULL};
    char why[WHY_MAX] = "";
    buf_init(&answer.body, TOKEN_ANSWER_MAX);
    fetch(t, &a->key, &answer, why);
    int64_t now_ms = worker_now_ms();
    pthread_mutex_lock(&t->lock);
    a->busy = false;
    bool news = false;
    if (!a->wanted) {
        empty(a);
    } else if (answer.token != NULL) {
        news = take_token(a, &answer, now_ms);
    } else if (!pacer_stopping(&t->pacer)) {
        news = take_failure(a, why, now_ms);
    }
    pthread_mutex_unlock(&t->lock);
    wipe(answer.token);
    if (answer.body.len > 0) {
        OPENSSL_cleanse(answer.body.ptr, answer.body.len);
    }
    buf_done(&answer.body);
    return news;
}

static int64_t next_event_ms(struct tokens *t, int64_t now_ms)
{
    int64_t sleep_ms = SLEEP_MAX_MS; /* a clock that jumped */
    pthread_mutex_lock(&t->lock);
    for (int i = 0; i < TOKEN_ACCOUNTS_MAX; i++) {
        const struct account *a = &t->accounts[i];
        if (a->text == NULL || !a->wanted) {
            continue;
        }
        int64_t at_ms = a->next_try_ms;
        if (a->token != NULL && a->expires_ms < at_ms) {
            at_ms = a->expires_ms;
        }
        if (at_ms - now_ms < sleep_ms) {
            sleep_ms = at_ms > now_ms ? at_ms - now_ms : 1;
        }
    }
    pthread_mutex_unlock(&t->lock);
    return sleep_ms;
}

static void *token_main(void *arg)
{
    struct tokens *t = arg;
    pthread_setname_np(pthread_self(), "wf-token");
    while (!pacer_stopping(&t->pacer)) {
        struct account *due = take_due(t, worker_now_ms(), &t->unpublished);
        if (due != NULL) {
            t->unpublished |= try_account(t, due);
        }
        if (t->unpublished && t->changed(t->ctx)) {
            t->unpublished = false;
        }
        if (due == NULL) {
            __atomic_store_n(&t->settled, !t->unpublished, __ATOMIC_RELEASE);
            pacer_sleep(&t->pacer, t->unpublished ? TROUBLE_MS : next_event_ms(t, worker_now_ms()));
        }
    }
    return NULL;
}

/* ---- life ---- */

int tokens_start(struct tokens *t, bool (*changed)(void *ctx), void *ctx, struct fail *reterr)
{
    t->changed = changed;
    t->ctx = ctx;
    t->curl = curl_easy_init();
    if (t->curl == NULL) {
        return fail_set(reterr, ERR_internal, NULL, "the token thread cannot be started");
    }
    set_up_curl(t);
    if (pthread_create(&t->thread, NULL, token_main, t) != 0) {
        return fail_set(reterr, ERR_internal, NULL, "the token thread cannot be started");
    }
    t->started = true;
    const struct timespec tick = {.tv_nsec = TICK_MS * 1000000L};
    for (int ms = 0; ms < TOKEN_FIRST_WAIT_MS && !__atomic_load_n(&t->settled, __ATOMIC_ACQUIRE);
         ms += TICK_MS) {
        nanosleep(&tick, NULL);
    }
    return 0;
}

void tokens_stop(struct tokens *t)
{
    if (t == NULL || !t->started) {
        return;
    }
    pacer_stop(&t->pacer);
    pthread_join(t->thread, NULL);
    t->started = false;
    curl_easy_cleanup(t->curl);
}
