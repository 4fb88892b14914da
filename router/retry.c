/* May this attempt begin? */
#include "router/retry.h"

/* The minimum is looked at second by second: it cannot be saved up. */
static bool has_budget(const struct retry_budget *b, int64_t now_ms)
{
    struct recent_sum sum = recent_sum(&b->counts, RETRY_SLOT_MS, now_ms);
    return recent_now(&b->counts, RETRY_SLOT_MS, now_ms).bad < RETRY_MIN_PER_S ||
           ((uint64_t)sum.bad + 1) * 100 <= (uint64_t)sum.all * RETRY_PERCENT;
}

static bool out_of_patience(const struct retry_ask *ask)
{
    return ask->patience_ms > 0 &&
           ask->elapsed_ms >= ask->patience_ms / 100 * RETRY_PATIENCE_PERCENT +
                                  ask->patience_ms % 100 * RETRY_PATIENCE_PERCENT / 100;
}

/* Its probe is running, or it may not be tried yet: others come first. */
static bool is_out(const struct breaker_view *v)
{
    return v->state == BREAKER_EJECTED || v->probe_running;
}

enum retry_verdict retry_begin(struct retry_budget *budget, struct health *h, int64_t now_ms,
                               const struct retry_ask *ask, struct breaker_ticket *ticket)
{
    struct breaker_view v;
    breaker_look(&h->breaker, now_ms, &v);
    if (!ask->first && out_of_patience(ask))
        return RETRY_NO_TIME;
    if (is_out(&v) && !ask->listed && !ask->last)
        return RETRY_PUT_OFF;
    bool probe = v.state == BREAKER_HALF_OPEN && !v.probe_running;
    bool in_trouble = is_out(&v) || (!probe && health_in_outage(h, now_ms));
    bool paid = !ask->first && !ask->listed && in_trouble;
    if (paid && !has_budget(budget, now_ms))
        return RETRY_NO_BUDGET;
    recent_add(&budget->counts, RETRY_SLOT_MS, now_ms, ask->count, paid);
    breaker_begin(&h->breaker, now_ms, ticket);
    return RETRY_GO;
}
