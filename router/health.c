/* One endpoint's recent past: the failures of late, a breaker, a ring of samples for speed. */
#include "router/health.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- the 30 s window ---- */

enum breaker_change health_record(struct health *h, int64_t now_ms, struct breaker_ticket *ticket,
                                  const struct health_end *end)
{
    static const enum breaker_result RESULTS[] = {
        [HEALTH_OK] = BREAKER_OK,          [HEALTH_FAILED] = BREAKER_FAILED,
        [HEALTH_LIMITED] = BREAKER_SILENT, [HEALTH_NEUTRAL] = BREAKER_OK,
        [HEALTH_UNHEARD] = BREAKER_SILENT,
    };
    bool failed = end->outcome == HEALTH_FAILED;
    recent_add(&h->attempts, HEALTH_SLOT_MS, now_ms, 1, failed);
    h->total_attempts++;
    h->total_failures += failed;
    if (failed)
        h->last_failure_ms = now_ms;
    return breaker_end(&h->breaker, now_ms, ticket, RESULTS[end->outcome], end->draw);
}

static bool is_outage(struct recent_sum s)
{
    return s.bad > 0 && (uint64_t)s.bad * 100 >= (uint64_t)s.all * HEALTH_OUTAGE_PERCENT;
}

bool health_in_outage(const struct health *h, int64_t now_ms)
{
    return is_outage(recent_sum(&h->attempts, HEALTH_SLOT_MS, now_ms));
}

/* ---- latency and throughput ---- */

static int32_t clamp32(int64_t n)
{
    return n > INT32_MAX ? INT32_MAX : n < 0 ? 0 : (int32_t)n;
}

static void insert_sorted(int32_t *sorted, int n, int32_t value)
{
    int at = n;
    for (; at > 0 && sorted[at - 1] > value; at--)
        sorted[at] = sorted[at - 1];
    sorted[at] = value;
}

static void remove_sorted(int32_t *sorted, int n, int32_t value)
{
    int at = 0;
    while (at < n - 1 && sorted[at] != value)
        at++;
    memmove(sorted + at, sorted + at + 1, (size_t)(n - 1 - at) * sizeof(sorted[0]));
}

static const int PERCENT[PERCENTILE_COUNT] = {[P50] = 50, [P75] = 75, [P90] = 90, [P99] = 99};

/* Nearest rank: the smallest value that `percent` of the n values do not exceed. */
static int rank_of(int percent, int n)
{
    return (percent * n + 99) / 100 - 1;
}

static void rank_speed(struct health_speed *s)
{
    s->has_latency = s->n_latency > 0;
    s->has_throughput = s->n_tps > 0;
    for (int p = 0; p < PERCENTILE_COUNT; p++) {
        if (s->n_latency > 0)
            s->latency_ms[p] = s->latency[rank_of(PERCENT[p], s->n_latency)];
        if (s->n_tps > 0)
            s->milli_tps[p] = s->tps[s->n_tps - 1 - rank_of(PERCENT[p], s->n_tps)];
    }
}

static void take_in(struct health_speed *s, const struct health_sample *sample)
{
    int64_t leaves_ms = sample->at_ms + HEALTH_SAMPLE_WINDOW_MS;
    if (leaves_ms < s->valid_until_ms)
        s->valid_until_ms = leaves_ms;
    insert_sorted(s->latency, s->n_latency++, sample->first_token_ms);
    if (sample->milli_tps > 0)
        insert_sorted(s->tps, s->n_tps++, sample->milli_tps);
}

static void measure_speed(const struct health *h, int64_t now_ms, struct health_speed *ret)
{
    *ret = (struct health_speed){.valid_until_ms = INT64_MAX};
    for (int i = 0; i < h->n_samples; i++) {
        if (now_ms < h->samples[i].at_ms + HEALTH_SAMPLE_WINDOW_MS)
            take_in(ret, &h->samples[i]);
    }
    rank_speed(ret);
}

/* Every request brings a sample: the sorted ones are kept up instead of sorted anew. */
void health_sample(struct health *h, int64_t now_ms, int64_t first_token_ms, int64_t milli_tps)
{
    struct health_sample *at = &h->samples[h->next_sample];
    struct health_speed *s = &h->speed;
    bool replaces = h->n_samples == HEALTH_SAMPLES, current = now_ms < s->valid_until_ms;
    /* One that has left the window is not among the sorted any more. */
    if (replaces && current && now_ms < at->at_ms + HEALTH_SAMPLE_WINDOW_MS) {
        remove_sorted(s->latency, s->n_latency--, at->first_token_ms);
        if (at->milli_tps > 0)
            remove_sorted(s->tps, s->n_tps--, at->milli_tps);
    }
    h->last_sample_ms = now_ms;
    *at = (struct health_sample){now_ms, clamp32(first_token_ms), clamp32(milli_tps)};
    h->next_sample = (h->next_sample + 1) % HEALTH_SAMPLES;
    h->n_samples += !replaces;
    if (!current) {
        measure_speed(h, now_ms, s);
        return;
    }
    take_in(s, at);
    rank_speed(s);
}

static void look_at_speed(const struct health *h, int64_t now_ms, struct health_view *ret)
{
    struct health_speed fresh;
    const struct health_speed *speed = &h->speed;
    if (h->n_samples > 0 && now_ms >= speed->valid_until_ms) {
        measure_speed(h, now_ms, &fresh);
        speed = &fresh;
    }
    ret->has_latency = speed->has_latency;
    ret->has_throughput = speed->has_throughput;
    memcpy(ret->latency_ms, speed->latency_ms, sizeof(ret->latency_ms));
    memcpy(ret->milli_tps, speed->milli_tps, sizeof(ret->milli_tps));
}

/* At least so long ago; a time that lies far ahead was noted before the clock was set back. */
static bool is_past(int64_t at_ms, int64_t ms, int64_t now_ms)
{
    return llabs(now_ms - at_ms) >= ms;
}

/* Worth a request now and then, to know how it is. */
static bool is_explorable(const struct health *h, int64_t now_ms, const struct health_view *v)
{
    if (v->breaker.state != BREAKER_CLOSED)
        return false; /* its probes say when */
    if (v->outage)
        return is_past(h->last_failure_ms, HEALTH_QUIET_MS, now_ms);
    return !v->has_latency || is_past(h->last_sample_ms, HEALTH_STALE_MS, now_ms);
}

void health_look(const struct health *h, int64_t now_ms, struct health_view *ret)
{
    assert(h->n_samples >= 0 && h->n_samples <= HEALTH_SAMPLES);
    memset(ret, 0, sizeof(*ret));
    struct recent_sum sum = recent_sum(&h->attempts, HEALTH_SLOT_MS, now_ms);
    ret->attempts_30s = sum.all;
    ret->failures_30s = sum.bad;
    ret->outage = is_outage(sum);
    breaker_look(&h->breaker, now_ms, &ret->breaker);
    look_at_speed(h, now_ms, ret);
    ret->explorable = is_explorable(h, now_ms, ret);
}
