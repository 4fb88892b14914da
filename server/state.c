/* Snapshots and health, shared by all threads of a server. */
#define _GNU_SOURCE
#include "server/state.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "router/calibrate_db.h"
#include "router/catalog_db.h"
#include "router/experiment_db.h"
#include "server/log.h"
#include "server/secrets.h"
#include "server/token.h"
#include "server/warm.h"

enum { SUBSCRIBERS_MAX = 64, HEALTH_BUCKETS = 4096, BUDGET_BUCKETS = 1024 };

/* Health rows are found by the endpoint's database id and live until the end: a reload of
 * the catalog must not forget an outage. */
struct health_row {
    struct health_row *next;
    int64_t endpoint_id;
    struct health health;
};

/* Likewise by the model's. */
struct budget_row {
    struct budget_row *next;
    int64_t model_id;
    struct retry_budget budget;
};

struct state {
    pthread_mutex_t lock; /* snapshots and subscribers */
    struct catalog *catalog;
    struct identity *identity;
    struct experiments *experiments; /* NULL: none runs */
    struct ledger *ledger;
    struct warm *warm;
    struct tokens *tokens;
    struct secrets *secrets;
    int n_subscribers;
    struct {
        void (*changed)(void *ctx);
        void *ctx;
    } subscribers[SUBSCRIBERS_MAX];
    int draining;

    pthread_mutex_t health_lock; /* both tables */
    struct health_row *rows[HEALTH_BUCKETS];
    struct budget_row *budgets[BUDGET_BUCKETS];

    pthread_mutex_t keyring_lock;
    struct keyring *keyring;
    struct origins *origins; /* under the same lock */

    pthread_mutex_t calibrate_lock;
    struct calibrate *calibrate;
    struct forecast *forecast; /* under the same lock */
};

static struct catalog *load_catalog(struct state *s, struct db *reader, struct fail *reterr)
{
    secrets_begin_load(s->secrets);
    struct catalog *c = catalog_db_load(reader, secrets_look_up, s->secrets, reterr);
    if (c != NULL) {
        secrets_end_load(s->secrets);
    }
    return c;
}

/* Once: before has what was said already; NULL = nothing. */
static void say_unreadable(const struct experiments *now, const struct experiments *before)
{
    for (int i = 0; now != NULL && i < now->n; i++) {
        const struct experiment *e = now->rows[i];
        bool said = e->unreadable[0] == '\0';
        for (int k = 0; before != NULL && k < before->n && !said; k++) {
            said = before->rows[k]->id == e->id && before->rows[k]->unreadable[0] != '\0';
        }
        if (!said) {
            log_fault(LOG_WARN,
                      "an experiment is stored in a way that this version cannot read: nobody "
                      "takes part",
                      e->unreadable, "experiment=%s", e->name);
        }
    }
}

struct state *state_new(struct db *reader, struct ledger *ledger, struct fail *reterr)
{
    struct state *s = calloc(1, sizeof *s);
    if (s == NULL) {
        fail_set(reterr, ERR_internal, NULL, "out of memory");
        return NULL;
    }
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->health_lock, NULL);
    pthread_mutex_init(&s->keyring_lock, NULL);
    pthread_mutex_init(&s->calibrate_lock, NULL);
    s->ledger = ledger;
    s->warm = warm_new();
    s->tokens = tokens_new();
    s->secrets = secrets_new(s->tokens);
    s->keyring = keyring_new();
    s->origins = origins_new();
    s->calibrate = calibrate_new();
    s->forecast = forecast_new();
    if (s->warm == NULL || s->keyring == NULL || s->origins == NULL || s->calibrate == NULL ||
        s->forecast == NULL || s->tokens == NULL || s->secrets == NULL) {
        fail_set(reterr, ERR_internal, NULL, "out of memory");
        state_free(s);
        return NULL;
    }
    s->catalog = load_catalog(s, reader, reterr);
    s->identity = s->catalog != NULL ? identity_load(reader, reterr) : NULL;
    bool loaded = s->identity != NULL &&
                  experiments_db_load(reader, &s->experiments, reterr) == 0 &&
                  calibrate_db_load(s->calibrate, s->forecast, reader, reterr) == 0;
    db_rest(reader);
    if (!loaded) {
        state_free(s);
        return NULL;
    }
    say_unreadable(s->experiments, NULL);
    return s;
}

static void free_health(struct state *s)
{
    for (int i = 0; i < HEALTH_BUCKETS; i++) {
        for (struct health_row *row = s->rows[i], *next; row != NULL; row = next) {
            next = row->next;
            free(row);
        }
    }
    for (int i = 0; i < BUDGET_BUCKETS; i++) {
        for (struct budget_row *row = s->budgets[i], *next; row != NULL; row = next) {
            next = row->next;
            free(row);
        }
    }
}

void state_free(struct state *s)
{
    if (s == NULL) {
        return;
    }
    catalog_unref(s->catalog);
    identity_unref(s->identity);
    experiments_unref(s->experiments);
    warm_free(s->warm);
    secrets_free(s->secrets);
    tokens_free(s->tokens);
    free_health(s);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->health_lock);
    pthread_mutex_destroy(&s->keyring_lock);
    pthread_mutex_destroy(&s->calibrate_lock);
    keyring_free(s->keyring);
    origins_free(s->origins);
    calibrate_free(s->calibrate);
    forecast_free(s->forecast);
    free(s);
}

struct catalog *state_catalog(struct state *s)
{
    pthread_mutex_lock(&s->lock);
    struct catalog *c = catalog_ref(s->catalog);
    pthread_mutex_unlock(&s->lock);
    return c;
}

struct identity *state_identity(struct state *s)
{
    pthread_mutex_lock(&s->lock);
    struct identity *i = identity_ref(s->identity);
    pthread_mutex_unlock(&s->lock);
    return i;
}

struct experiments *state_experiments(struct state *s)
{
    pthread_mutex_lock(&s->lock);
    struct experiments *x = experiments_ref(s->experiments);
    pthread_mutex_unlock(&s->lock);
    return x;
}

struct ledger *state_ledger(struct state *s)
{
    return s->ledger;
}

struct warm *state_warm(struct state *s)
{
    return s->warm;
}

struct tokens *state_tokens(struct state *s)
{
    return s->tokens;
}

void state_subscribe(struct state *s, void (*changed)(void *ctx), void *ctx)
{
    pthread_mutex_lock(&s->lock);
    assert(s->n_subscribers < SUBSCRIBERS_MAX);
    s->subscribers[s->n_subscribers].changed = changed;
    s->subscribers[s->n_subscribers++].ctx = ctx;
    pthread_mutex_unlock(&s->lock);
}

void state_unsubscribe(struct state *s, const void *ctx)
{
    pthread_mutex_lock(&s->lock); /* publish() calls with the lock held */
    int kept = 0;
    for (int i = 0; i < s->n_subscribers; i++) {
        if (s->subscribers[i].ctx != ctx) {
            s->subscribers[kept++] = s->subscribers[i];
        }
    }
    s->n_subscribers = kept;
    pthread_mutex_unlock(&s->lock);
}

static void publish(struct state *s, struct catalog *catalog, struct identity *identity,
                    struct experiments *experiments)
{
    pthread_mutex_lock(&s->lock);
    struct catalog *old_catalog = s->catalog;
    struct identity *old_identity = s->identity;
    struct experiments *old_experiments = s->experiments;
    s->catalog = catalog;
    s->identity = identity;
    s->experiments = experiments;
    for (int i = 0; i < s->n_subscribers; i++) {
        s->subscribers[i].changed(s->subscribers[i].ctx);
    }
    pthread_mutex_unlock(&s->lock);
    catalog_unref(old_catalog);
    identity_unref(old_identity);
    experiments_unref(old_experiments);
}

void state_say_credentials(struct state *s)
{
    struct catalog *c = state_catalog(s);
    secrets_say(c, NULL, true);
    catalog_unref(c);
}

static void say_news(struct state *s, const struct catalog *catalog,
                     const struct experiments *experiments, bool again, int *ret_unread)
{
    struct experiments *before = state_experiments(s);
    struct catalog *old = state_catalog(s);
    say_unreadable(experiments, before);
    *ret_unread = secrets_say(catalog, old, again);
    experiments_unref(before);
    catalog_unref(old);
}

static int reload(struct state *s, struct db *reader, bool again, int *ret_unread,
                  struct fail *reterr)
{
    struct experiments *experiments = NULL;
    struct catalog *catalog = load_catalog(s, reader, reterr);
    struct identity *identity = catalog != NULL ? identity_load(reader, reterr) : NULL;
    bool loaded = identity != NULL && experiments_db_load(reader, &experiments, reterr) == 0;
    db_rest(reader);
    if (!loaded) {
        catalog_unref(catalog);
        identity_unref(identity);
        return -1;
    }
    say_news(s, catalog, experiments, again, ret_unread);
    publish(s, catalog, identity, experiments);
    return 0;
}

int state_reload(struct state *s, struct db *reader, struct fail *reterr)
{
    int unread = 0;
    return reload(s, reader, false, &unread, reterr);
}

int state_reread(struct state *s, struct db *reader, int *ret_unread, struct fail *reterr)
{
    *ret_unread = 0;
    return reload(s, reader, true, ret_unread, reterr);
}

/* ---- health ---- */

static struct health_row *row_of(struct state *s, int64_t endpoint_id, bool create)
{
    struct health_row **head = &s->rows[(uint64_t)endpoint_id % HEALTH_BUCKETS];
    struct health_row *row = *head;
    while (row != NULL && row->endpoint_id != endpoint_id) {
        row = row->next;
    }
    if (row == NULL && create) {
        row = calloc(1, sizeof *row);
        if (row != NULL) {
            row->endpoint_id = endpoint_id;
            row->next = *head;
            *head = row;
        }
    }
    return row;
}

static struct budget_row *budget_of(struct state *s, int64_t model_id)
{
    struct budget_row **head = &s->budgets[(uint64_t)model_id % BUDGET_BUCKETS];
    struct budget_row *row = *head;
    while (row != NULL && row->model_id != model_id) {
        row = row->next;
    }
    if (row == NULL && (row = calloc(1, sizeof *row)) != NULL) {
        row->model_id = model_id;
        row->next = *head;
        *head = row;
    }
    return row;
}

enum retry_verdict state_attempt_begin(struct state *s, int64_t endpoint_id, int64_t model_id,
                                       int64_t now_ms, const struct retry_ask *ask,
                                       struct breaker_ticket *ticket)
{
    enum retry_verdict verdict = RETRY_GO;
    *ticket = (struct breaker_ticket){0};
    pthread_mutex_lock(&s->health_lock);
    struct health_row *row = row_of(s, endpoint_id, true);
    struct budget_row *budget = budget_of(s, model_id);
    if (row != NULL && budget != NULL) { /* memory is short: as if nothing were known */
        verdict = retry_begin(&budget->budget, &row->health, now_ms, ask, ticket);
    }
    pthread_mutex_unlock(&s->health_lock);
    return verdict;
}

static void tell_change(const struct health_row *row, enum breaker_change change, int64_t now_ms,
                        struct state_change *ret)
{
    ret->change = change;
    if (change != BREAKER_SAME) {
        struct recent_sum sum = recent_sum(&row->health.attempts, HEALTH_SLOT_MS, now_ms);
        ret->breaker = row->health.breaker;
        ret->attempts_30s = sum.all;
        ret->failures_30s = sum.bad;
    }
}

void state_attempt_answered(struct state *s, int64_t endpoint_id, int64_t now_ms,
                            struct breaker_ticket *ticket, struct state_change *ret)
{
    ret->change = BREAKER_SAME;
    pthread_mutex_lock(&s->health_lock);
    struct health_row *row = row_of(s, endpoint_id, false);
    if (row != NULL) {
        tell_change(row, breaker_answered(&row->health.breaker, now_ms, ticket), now_ms, ret);
    }
    pthread_mutex_unlock(&s->health_lock);
}

void state_attempt_end(struct state *s, int64_t endpoint_id, int64_t now_ms,
                       struct breaker_ticket *ticket, const struct health_end *end,
                       struct state_change *ret)
{
    ret->change = BREAKER_SAME;
    pthread_mutex_lock(&s->health_lock);
    struct health_row *row = row_of(s, endpoint_id, true);
    if (row != NULL) {
        tell_change(row, health_record(&row->health, now_ms, ticket, end), now_ms, ret);
    }
    pthread_mutex_unlock(&s->health_lock);
}

void state_attempt_give_back(struct state *s, int64_t endpoint_id, struct breaker_ticket *ticket)
{
    pthread_mutex_lock(&s->health_lock);
    struct health_row *row = row_of(s, endpoint_id, false);
    if (row != NULL) {
        breaker_give_back(&row->health.breaker, ticket);
    }
    pthread_mutex_unlock(&s->health_lock);
}

void state_health_sample(struct state *s, int64_t endpoint_id, int64_t now_ms,
                         int64_t first_token_ms, int64_t milli_tps)
{
    pthread_mutex_lock(&s->health_lock);
    struct health_row *row = row_of(s, endpoint_id, true);
    if (row != NULL) {
        health_sample(&row->health, now_ms, first_token_ms, milli_tps);
    }
    pthread_mutex_unlock(&s->health_lock);
}

void state_health_look(struct state *s, int64_t endpoint_id, int64_t now_ms,
                       struct health_view *ret)
{
    static const struct health nothing_known;
    pthread_mutex_lock(&s->health_lock);
    const struct health_row *row = row_of(s, endpoint_id, false);
    health_look(row != NULL ? &row->health : &nothing_known, now_ms, ret);
    pthread_mutex_unlock(&s->health_lock);
}

int state_ejected_count(struct state *s, int64_t now_ms)
{
    int n = 0;
    pthread_mutex_lock(&s->health_lock);
    for (int i = 0; i < HEALTH_BUCKETS; i++) {
        for (const struct health_row *row = s->rows[i]; row != NULL; row = row->next) {
            struct breaker_view v;
            breaker_look(&row->health.breaker, now_ms, &v);
            n += v.state != BREAKER_CLOSED;
        }
    }
    pthread_mutex_unlock(&s->health_lock);
    return n;
}

/* ---- credentials ---- */

const struct credential *state_credential_take(struct state *s, const struct endpoint *e,
                                               uint32_t tried, int64_t now_ms)
{
    pthread_mutex_lock(&s->keyring_lock);
    const struct credential *c = keyring_take(s->keyring, e, tried, now_ms);
    pthread_mutex_unlock(&s->keyring_lock);
    return c;
}

bool state_credential_has_other(struct state *s, const struct endpoint *e, uint32_t tried,
                                int64_t now_ms)
{
    pthread_mutex_lock(&s->keyring_lock);
    bool has = keyring_has_other(s->keyring, e, tried, now_ms);
    pthread_mutex_unlock(&s->keyring_lock);
    return has;
}

bool state_credential_refused(struct state *s, const struct endpoint *e, const struct credential *c,
                              const struct refusal *r, int64_t retry_after_ms, int64_t now_ms)
{
    pthread_mutex_lock(&s->keyring_lock);
    bool news = keyring_refused(s->keyring, e, c, r, retry_after_ms, now_ms);
    pthread_mutex_unlock(&s->keyring_lock);
    return news;
}

bool state_credential_accepted(struct state *s, const struct endpoint *e,
                               const struct credential *c, int64_t sent_ms)
{
    if (!keyring_is_busy(s->keyring)) {
        return false;
    }
    pthread_mutex_lock(&s->keyring_lock);
    bool news = keyring_accepted(s->keyring, e, c, sent_ms);
    pthread_mutex_unlock(&s->keyring_lock);
    return news;
}

void state_credential_look(struct state *s, const struct endpoint *e, int64_t now_ms,
                           struct keyring_view *ret)
{
    *ret = (struct keyring_view){REFUSAL_NONE, 0};
    if (!keyring_is_busy(s->keyring)) {
        return;
    }
    pthread_mutex_lock(&s->keyring_lock);
    keyring_look(s->keyring, e, now_ms, ret);
    pthread_mutex_unlock(&s->keyring_lock);
}

void state_origin_note(struct state *s, int64_t team_id, struct span id, const struct origin *from,
                       int64_t now_ms)
{
    pthread_mutex_lock(&s->keyring_lock);
    origins_note(s->origins, team_id, id, from, now_ms);
    pthread_mutex_unlock(&s->keyring_lock);
}

bool state_origin_find(struct state *s, int64_t team_id, struct span id, int64_t now_ms,
                       struct origin *ret)
{
    pthread_mutex_lock(&s->keyring_lock);
    bool found = origins_find(s->origins, team_id, id, now_ms, ret);
    pthread_mutex_unlock(&s->keyring_lock);
    return found;
}

/* ---- learned sizes ---- */

void state_learn(struct state *s, const struct forecast_ask *ask, enum estimate_class class,
                 int64_t raw_tok, int64_t prompt_tok, int64_t completion_tok)
{
    pthread_mutex_lock(&s->calibrate_lock);
    calibrate_learn(s->calibrate, ask->model, class, raw_tok, prompt_tok, completion_tok);
    forecast_learn_prompt(s->forecast, ask, raw_tok, prompt_tok);
    forecast_learn_completion(s->forecast, ask, completion_tok);
    pthread_mutex_unlock(&s->calibrate_lock);
}

void state_learn_text(struct state *s, const char *model, int64_t bytes, int64_t completion_tok)
{
    pthread_mutex_lock(&s->calibrate_lock);
    calibrate_learn_text(s->calibrate, model, bytes, completion_tok);
    pthread_mutex_unlock(&s->calibrate_lock);
}

void state_learned(struct state *s, const struct forecast_ask *ask,
                   struct estimate_learned *ret_bounds, struct estimate_expected *ret)
{
    pthread_mutex_lock(&s->calibrate_lock);
    calibrate_look(s->calibrate, ask->model, ret_bounds);
    forecast_look(s->forecast, ask, ret);
    pthread_mutex_unlock(&s->calibrate_lock);
}

void state_set_draining(struct state *s)
{
    __atomic_store_n(&s->draining, 1, __ATOMIC_RELEASE);
}

bool state_draining(const struct state *s)
{
    return __atomic_load_n(&s->draining, __ATOMIC_ACQUIRE) != 0;
}
