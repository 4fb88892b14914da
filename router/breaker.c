/* Closed, ejected, half-open. */
#include "router/breaker.h"

#include <assert.h>
#include <string.h>

enum {
    EJECT_LONGEST_MS =
        BREAKER_EJECT_MAX_MS / 100 * (100 + BREAKER_JITTER_PERCENT) /* no end lies further off */
};

/* An end that is further off than any can be set was set before the clock stepped back. */
static bool is_over(int64_t end_ms, int64_t longest_ms, int64_t now_ms)
{
    return now_ms >= end_ms || end_ms - now_ms > longest_ms;
}

static bool is_half_open(const struct breaker *b, int64_t now_ms)
{
    return b->open && is_over(b->until_ms, EJECT_LONGEST_MS, now_ms);
}

static bool slot_taken(const struct breaker *b, int64_t now_ms)
{
    return b->probe != 0 && !is_over(b->probe_until_ms, BREAKER_PROBE_MS, now_ms);
}

void breaker_look(const struct breaker *b, int64_t now_ms, struct breaker_view *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (!b->open)
        return;
    ret->state = is_half_open(b, now_ms) ? BREAKER_HALF_OPEN : BREAKER_EJECTED;
    ret->probe_running = ret->state == BREAKER_HALF_OPEN && slot_taken(b, now_ms);
    ret->ejections = b->ejections;
    ret->until_ms = b->until_ms;
    ret->ejected_ms = b->ejected_ms;
}

void breaker_begin(struct breaker *b, int64_t now_ms, struct breaker_ticket *ret)
{
    *ret = (struct breaker_ticket){
        .epoch = b->epoch, .n_rows = b->n_rows, .half_open = is_half_open(b, now_ms)};
    if (!ret->half_open || slot_taken(b, now_ms))
        return;
    b->last_probe += b->last_probe == UINT32_MAX ? 2 : 1; /* never 0 */
    b->probe = ret->probe = b->last_probe;
    b->probe_until_ms = now_ms + BREAKER_PROBE_MS;
}

void breaker_give_back(struct breaker *b, struct breaker_ticket *t)
{
    if (t->probe != 0 && t->probe == b->probe)
        b->probe = 0;
    t->probe = 0;
}

/* ---- changes ---- */

static int64_t ejection_ms(int n, uint64_t draw)
{
    int64_t plain = (int64_t)BREAKER_EJECT_MS * n;
    if (plain > BREAKER_EJECT_MAX_MS)
        plain = BREAKER_EJECT_MAX_MS;
    int64_t spread = plain * BREAKER_JITTER_PERCENT / 100;
    return plain - spread + (int64_t)(draw % (uint64_t)(2 * spread + 1));
}

static enum breaker_change eject(struct breaker *b, int64_t now_ms, uint64_t draw)
{
    bool forgotten = !b->open && now_ms - b->closed_ms >= BREAKER_FORGET_MS;
    b->ejections = forgotten || b->ejections == 0 ? 1 : b->ejections + 1;
    if (!b->open)
        b->ejected_ms = now_ms; /* the first of a row: since when it is out */
    b->open = true;
    b->until_ms = now_ms + ejection_ms(b->ejections, draw);
    b->successes = 0;
    b->probe = 0;
    b->epoch++;
    return BREAKER_NOW_EJECTED;
}

static enum breaker_change close_again(struct breaker *b, int64_t now_ms)
{
    b->open = false;
    b->closed_ms = now_ms;
    b->row = b->successes = 0;
    b->probe = 0;
    b->epoch++;
    memset(&b->ends, 0, sizeof(b->ends));
    return BREAKER_NOW_CLOSED;
}

/* ---- ends ---- */

static enum breaker_change on_success(struct breaker *b, int64_t now_ms,
                                      const struct breaker_ticket *t)
{
    if (t->n_rows == b->n_rows)
        b->row = 0;
    if (!b->open)
        return BREAKER_SAME;
    return ++b->successes >= BREAKER_SUCCESSES ? close_again(b, now_ms) : BREAKER_SAME;
}

static bool too_many(const struct breaker *b, int64_t now_ms)
{
    struct recent_sum s = recent_sum(&b->ends, BREAKER_SLOT_MS, now_ms);
    return b->row >= BREAKER_ROW ||
           (s.all >= BREAKER_ATTEMPTS && (uint64_t)s.bad * 100 > (uint64_t)s.all * BREAKER_PERCENT);
}

static enum breaker_change on_failure(struct breaker *b, int64_t now_ms, bool half_open,
                                      uint64_t draw)
{
    b->n_rows += b->row++ == 0;
    b->successes = 0;
    bool out = b->open ? half_open : too_many(b, now_ms);
    return out ? eject(b, now_ms, draw) : BREAKER_SAME;
}

enum breaker_change breaker_answered(struct breaker *b, int64_t now_ms, struct breaker_ticket *t)
{
    breaker_give_back(b, t);
    if (t->epoch != b->epoch || t->counted)
        return BREAKER_SAME;
    t->counted = true;
    return on_success(b, now_ms, t);
}

enum breaker_change breaker_end(struct breaker *b, int64_t now_ms, struct breaker_ticket *t,
                                enum breaker_result result, uint64_t draw)
{
    breaker_give_back(b, t);
    if (t->epoch != b->epoch)
        return BREAKER_SAME;
    if (!b->open)
        recent_add(&b->ends, BREAKER_SLOT_MS, now_ms, 1, result == BREAKER_FAILED);
    switch (result) {
    case BREAKER_FAILED:
        return on_failure(b, now_ms, t->half_open, draw);
    case BREAKER_OK:
        return t->counted ? BREAKER_SAME : on_success(b, now_ms, t);
    case BREAKER_SILENT:
        break;
    }
    return BREAKER_SAME;
}
