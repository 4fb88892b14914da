/* May this attempt begin? */
#include "router/retry.h"

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Of the ten seconds all retries count; of this second those that are paid for.  A share that
 * could be saved up would be spent in the first seconds of an outage, and again whenever those
 * seconds leave the window; but failures do not come evenly either. */
static bool has_budget(const struct retry_budget *b, int64_t now_ms)
{
    struct recent_sum sum = recent_sum(&b->counts, RETRY_SLOT_MS, now_ms);
    uint64_t share = (uint64_t)sum.all * RETRY_PERCENT / 100;
    uint64_t burst = share * RETRY_BURST_PERCENT / 100 / RECENT_SLOTS;
    return sum.bad < larger(share, RETRY_MIN_PER_S * RECENT_SLOTS) &&
           recent_now(&b->paid, RETRY_SLOT_MS, now_ms).bad < larger(burst, RETRY_MIN_AT_ONCE);
}

static bool out_of_patience(const struct retry_ask *ask)
{
    return ask->patience_ms > 0 &&
           ask->elapsed_ms >= ask->patience_ms / 100 * RETRY_PATIENCE_PERCENT +
                                  ask->patience_ms % 100 * RETRY_PATIENCE_PERCENT / 100;
}

enum retry_verdict retry_begin(struct retry_budget *budget, struct health *h, int64_t now_ms,
                               const struct retry_ask *ask, struct breaker_ticket *ticket)
{
    struct breaker_view v;
    breaker_look(&h->breaker, now_ms, &v);
    if (!ask->first && out_of_patience(ask))
        return RETRY_NO_TIME;
    if (breaker_is_out(&v) && !ask->listed && !ask->last)
        return RETRY_PUT_OFF;
    bool in_trouble = v.state != BREAKER_CLOSED || health_in_outage(h, now_ms);
    bool retry = !ask->first && !ask->listed;
    if (retry && in_trouble && !has_budget(budget, now_ms))
        return RETRY_NO_BUDGET;
    recent_add(&budget->counts, RETRY_SLOT_MS, now_ms, ask->count, retry);
    recent_add(&budget->paid, RETRY_SLOT_MS, now_ms, 0, retry && in_trouble);
    breaker_begin(&h->breaker, now_ms, ticket);
    return RETRY_GO;
}
