/* Failover.  Every end of an attempt is one of a few outcomes; each outcome has a row
 * that says whether the next endpoint may help and what the client gets when none is left. */
#include "router/route.h"

#include <assert.h>

static const struct {
    const char *name, *text;
} ENDS[END_COUNT] = {
#define E(name, text) {#name, text},
    ROUTE_ENDS(E)
#undef E
};

const char *route_end_name(enum route_end e)
{
    assert(e >= 0 && e < END_COUNT);
    return ENDS[e].name;
}

const char *route_end_text(enum route_end e)
{
    assert(e >= 0 && e < END_COUNT);
    return ENDS[e].text;
}

/* ---- outcomes ---- */

enum outcome {
    OUTCOME_GOOD,   /* relay it */
    OUTCOME_STOP,   /* nobody waits for an answer any more */
    OUTCOME_CLIENT, /* the request is bad: the same everywhere this model runs */
    OUTCOME_LIMITED,
    OUTCOME_ACCOUNT,  /* 401, 402: speaks of the operator's account */
    OUTCOME_BARRED,   /* 403: may be either; passes when it stands alone */
    OUTCOME_ANSWERED, /* any other error status of the provider */
    OUTCOME_TIMEOUT,
    OUTCOME_FOREIGN,
    OUTCOME_LOST, /* connect, TLS, reset, a stream that broke before the first byte */
    OUTCOME_COUNT
};

/* The answer when the one endpoint that was tried ended so, and the family that decides
 * when several were: all of one family have its code, a mixture is ERR_all_failed. */
static const struct {
    enum route_step alone;
    enum err alone_code; /* for ROUTE_FAIL */
    enum err family;
} VERDICTS[OUTCOME_COUNT] = {
    [OUTCOME_CLIENT] = {ROUTE_PASS, ERR_OK, ERR_all_failed},
    [OUTCOME_LIMITED] = {ROUTE_PASS, ERR_OK, ERR_all_rate_limited},
    [OUTCOME_ACCOUNT] = {ROUTE_FAIL, ERR_credentials_refused, ERR_credentials_refused},
    [OUTCOME_BARRED] = {ROUTE_PASS, ERR_OK, ERR_credentials_refused},
    [OUTCOME_ANSWERED] = {ROUTE_PASS, ERR_OK, ERR_all_failed},
    [OUTCOME_TIMEOUT] = {ROUTE_FAIL, ERR_timed_out, ERR_timed_out},
    [OUTCOME_FOREIGN] = {ROUTE_FAIL, ERR_bad_upstream, ERR_all_failed},
    [OUTCOME_LOST] = {ROUTE_FAIL, ERR_all_failed, ERR_all_failed},
};

static enum outcome outcome_of_status(int http_status)
{
    switch (provider_classify(http_status)) {
    case UP_OK:
        return OUTCOME_GOOD;
    case UP_RATE_LIMITED:
        return OUTCOME_LIMITED;
    case UP_CREDENTIAL:
        return http_status == 403 ? OUTCOME_BARRED : OUTCOME_ACCOUNT;
    case UP_CLIENT:
        return OUTCOME_CLIENT;
    case UP_MISSING:
    case UP_BUSY:
    case UP_DOWN:
        break;
    }
    return OUTCOME_ANSWERED;
}

static enum outcome outcome_of(const struct route_attempt *a)
{
    static const enum outcome BY_END[END_COUNT] = {
        [END_complete] = OUTCOME_STOP,     [END_connect_failed] = OUTCOME_LOST,
        [END_tls_failed] = OUTCOME_LOST,   [END_timed_out] = OUTCOME_TIMEOUT,
        [END_reset] = OUTCOME_LOST,        [END_foreign] = OUTCOME_FOREIGN,
        [END_stale] = OUTCOME_LOST,        [END_truncated] = OUTCOME_LOST,
        [END_stream_error] = OUTCOME_LOST, [END_client_gone] = OUTCOME_STOP,
        [END_drained] = OUTCOME_STOP,      [END_over_cap] = OUTCOME_STOP,
        [END_late_hold] = OUTCOME_STOP,
    };
    return a->end == END_status ? outcome_of_status(a->http_status) : BY_END[a->end];
}

/* ---- answers ---- */

static struct route_action act(enum route_step step)
{
    return (struct route_action){.step = step, .code = ERR_OK, .retry_after_ms = -1};
}

static struct route_action fail_with(enum err code, int64_t retry_after_ms)
{
    assert(code != ERR_OK);
    return (struct route_action){ROUTE_FAIL, code, retry_after_ms};
}

/* Of the endpoints that said when to come back; -1 when none did. */
static int64_t smallest_retry_after(const struct route *r)
{
    int64_t least = -1;
    for (int i = 0; i < r->n_attempts; i++) {
        int64_t ms = r->attempts[i].retry_after_ms;
        if (ms >= 0 && (least < 0 || ms < least))
            least = ms;
    }
    return least;
}

/* A kept connection was dead, and the same endpoint was asked once more: no word of its own. */
static bool was_repeated(const struct route *r, int i)
{
    const struct route_attempt *a = &r->attempts[i];
    return i + 1 < r->n_attempts && a->end == END_stale && a[1].candidate == a->candidate;
}

/* No endpoint is left to try. */
static struct route_action conclude(const struct route *r)
{
    const struct route_attempt *a = &r->attempts[r->n_attempts - 1];
    enum outcome last = outcome_of(a);
    enum err code = VERDICTS[last].family;
    int n = 0;
    assert(a->end != END_none);
    for (int i = 0; i < r->n_attempts; i++) {
        if (was_repeated(r, i))
            continue;
        n++;
        if (VERDICTS[outcome_of(&r->attempts[i])].family != code)
            code = ERR_all_failed;
    }
    if (last == OUTCOME_CLIENT)
        return act(ROUTE_PASS);
    if (n == 1)
        return VERDICTS[last].alone == ROUTE_FAIL ? fail_with(VERDICTS[last].alone_code, -1)
                                                  : act(VERDICTS[last].alone);
    return fail_with(code, code == ERR_all_rate_limited ? smallest_retry_after(r) : -1);
}

/* ---- the next endpoint ---- */

static struct route_action begin_attempt(struct route *r, int index)
{
    r->attempts[r->n_attempts++] = (struct route_attempt){
        .candidate = &r->plan->candidates[index],
        .end = END_none,
        .retry_after_ms = -1,
    };
    r->next = index + 1;
    return act(ROUTE_TRY);
}

static bool is_refused(const struct route *r, const struct candidate *c)
{
    return (r->refused_models >> c->model_rank) & 1u;
}

/* The next candidate whose model no provider has called the request bad for, with a first hold
 * below the given one; -1 when there is none. */
static int find_next(const struct route *r, int64_t below_nusd)
{
    for (int i = r->next; i < r->plan->n_candidates; i++) {
        const struct candidate *c = &r->plan->candidates[i];
        if (!is_refused(r, c) && c->hold_nusd < below_nusd)
            return i;
    }
    return -1;
}

static int find_any_next(const struct route *r)
{
    for (int i = r->next; i < r->plan->n_candidates; i++) {
        if (!is_refused(r, &r->plan->candidates[i]))
            return i;
    }
    return -1;
}

bool route_is_repeat(const struct route *r)
{
    return r->n_attempts >= 2 && was_repeated(r, r->n_attempts - 2);
}

/* Providers close idle connections when it suits them, and a request may cross that: no word of
 * theirs, so the last candidate is asked again.  -1: it was something else, or that too. */
static int find_repeat(const struct route *r)
{
    const struct route_attempt *a = &r->attempts[r->n_attempts - 1];
    bool may = a->end == END_stale && !route_is_repeat(r);
    return may ? (int)(a->candidate - r->plan->candidates) : -1;
}

/* What stands first in the plan stays first while a credential of it is left, but the last attempt
 * is another endpoint's where there is one: credentials of one account fail together. */
static bool goes_again(struct route *r)
{
    int left = ROUTE_ATTEMPTS_MAX - r->n_attempts;
    bool another = r->another_credential;
    r->another_credential = false;
    return another && left > 0 && (left > 1 || find_any_next(r) < 0);
}

static struct route_action move_on(struct route *r)
{
    r->first_refused = -1;
    if (goes_again(r))
        return begin_attempt(r, r->next - 1);
    bool may_try = r->n_attempts < ROUTE_ATTEMPTS_MAX;
    int index = may_try ? find_any_next(r) : -1;
    if (index < 0 && may_try)
        index = find_repeat(r);
    return index >= 0 ? begin_attempt(r, index) : conclude(r);
}

/* ---- what the server calls ---- */

void route_begin(struct route *r, struct plan *plan, int n_models)
{
    assert(n_models >= 1 && n_models <= CHAT_MODELS_MAX);
    memset(r, 0, sizeof(*r));
    r->plan = plan;
    r->n_models = n_models;
    r->first_refused = -1;
}

struct route_action route_first(struct route *r)
{
    assert(r->n_attempts == 0);
    return r->plan->n_candidates > 0 ? begin_attempt(r, 0) : fail_with(ERR_no_endpoint, -1);
}

struct route_attempt *route_attempt(struct route *r)
{
    assert(r->n_attempts > 0);
    return &r->attempts[r->n_attempts - 1];
}

const struct candidate *route_current(const struct route *r)
{
    assert(r->n_attempts > 0);
    return r->attempts[r->n_attempts - 1].candidate;
}

/* Only a cap depends on the endpoint: a ledger that cannot record refuses every one. */
struct route_action route_hold_refused(struct route *r, enum err code, int64_t retry_after_ms)
{
    const struct route_attempt *a = route_attempt(r);
    assert(a->end == END_none && !a->sent && !r->committed);
    const struct candidate *refused = a->candidate;
    if (r->first_refused < 0)
        r->first_refused = (int)(refused - r->plan->candidates);
    r->n_attempts--;
    int index = err_is_cap(code) ? find_next(r, refused->hold_nusd) : -1;
    return index >= 0 ? begin_attempt(r, index) : fail_with(code, retry_after_ms);
}

struct route_action route_build_refused(struct route *r, enum err code)
{
    const struct route_attempt *a = route_attempt(r);
    assert(a->end == END_none && !a->sent && !r->committed);
    r->n_attempts--;
    int index = find_any_next(r);
    return index >= 0 ? begin_attempt(r, index) : fail_with(code, -1);
}

bool route_has_more(const struct route *r)
{
    return find_any_next(r) >= 0;
}

/* Attempts that were made stand before it, so their candidates stay where they are. */
struct route_action route_put_off(struct route *r)
{
    const struct route_attempt *a = route_attempt(r);
    assert(a->end == END_none && !a->sent && !r->committed && route_has_more(r));
    r->next = (int)(a->candidate - r->plan->candidates);
    r->n_attempts--;
    plan_put_last(r->plan, r->next);
    return begin_attempt(r, find_any_next(r));
}

struct route_action route_stop(const struct route *r)
{
    assert(r->n_attempts > 0 && !r->committed);
    return conclude(r);
}

struct route_action route_pass_over(struct route *r)
{
    const struct route_attempt *a = route_attempt(r);
    assert(a->end == END_none && !a->sent && !r->committed && r->n_attempts > 1);
    r->n_attempts--;
    int index = find_any_next(r);
    return index >= 0 ? begin_attempt(r, index) : conclude(r);
}

struct route_action route_give_up(struct route *r)
{
    const struct route_attempt *a = route_attempt(r);
    assert(a->end == END_none && !a->sent && !r->committed && r->n_attempts > 1);
    r->n_attempts--;
    return conclude(r);
}

void route_hold_again(struct route *r)
{
    assert(r->first_refused >= 0 && r->n_attempts < ROUTE_ATTEMPTS_MAX);
    begin_attempt(r, r->first_refused);
    r->first_refused = -1;
}

struct route_action route_on_head(struct route *r, int http_status, int64_t retry_after_ms)
{
    struct route_attempt *a = route_attempt(r);
    assert(a->end == END_none && !r->committed);
    a->http_status = http_status;
    a->retry_after_ms = retry_after_ms;
    enum outcome outcome = outcome_of_status(http_status);
    if (outcome == OUTCOME_GOOD)
        return act(ROUTE_DONE);
    a->end = END_status;
    if (outcome == OUTCOME_CLIENT)
        r->refused_models |= 1u << a->candidate->model_rank;
    return move_on(r);
}

struct route_action route_on_end(struct route *r, enum route_end end)
{
    assert(end != END_none && end != END_status);
    route_attempt(r)->end = end;
    if (outcome_of(route_attempt(r)) == OUTCOME_STOP)
        return act(ROUTE_DONE);
    return r->committed ? act(ROUTE_ERROR_EVENT) : move_on(r);
}
