/* One endpoint's recent past: a ring of slots for failures, a ring of samples for speed. */
#include "router/health.h"

#include <assert.h>
#include <string.h>

enum { HEALTH_RETRY_AFTER_MAX_MS = 3600000 }; /* a provider cannot take itself out for longer */

/* ---- the 30 s window ---- */

/* A clock that steps back counts into the slot at hand. */
static void advance(struct health *h, int64_t now_ms)
{
    if (now_ms - h->slot_start_ms >= (int64_t)HEALTH_SLOTS * HEALTH_SLOT_MS) {
        memset(h->slots, 0, sizeof(h->slots));
        h->slot_start_ms = now_ms;
        return;
    }
    while (now_ms - h->slot_start_ms >= HEALTH_SLOT_MS) {
        h->head = (h->head + 1) % HEALTH_SLOTS;
        h->slots[h->head].attempts = h->slots[h->head].failures = 0;
        h->slot_start_ms += HEALTH_SLOT_MS;
    }
}

void health_record(struct health *h, int64_t now_ms, enum health_outcome outcome,
                   int64_t retry_after_ms)
{
    advance(h, now_ms);
    h->slots[h->head].attempts++;
    h->total_attempts++;
    if (outcome == HEALTH_FAILED) {
        h->slots[h->head].failures++;
        h->total_failures++;
    }
    if (outcome == HEALTH_LIMITED && retry_after_ms > 0) {
        int64_t wait =
            retry_after_ms < HEALTH_RETRY_AFTER_MAX_MS ? retry_after_ms : HEALTH_RETRY_AFTER_MAX_MS;
        if (now_ms + wait > h->held_back_until_ms)
            h->held_back_until_ms = now_ms + wait;
    }
}

static void count_window(const struct health *h, int64_t now_ms, struct health_view *ret)
{
    for (int k = 0; k < HEALTH_SLOTS; k++) {
        int64_t began_ms = h->slot_start_ms - (int64_t)k * HEALTH_SLOT_MS;
        if (now_ms - began_ms >= (int64_t)HEALTH_SLOTS * HEALTH_SLOT_MS)
            break;
        int slot = (h->head + HEALTH_SLOTS - k) % HEALTH_SLOTS;
        ret->attempts_30s += h->slots[slot].attempts;
        ret->failures_30s += h->slots[slot].failures;
    }
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

static const int PERCENT[PERCENTILE_COUNT] = {[P50] = 50, [P75] = 75, [P90] = 90, [P99] = 99};

/* Nearest rank: the smallest value that `percent` of the n values do not exceed. */
static int rank_of(int percent, int n)
{
    return (percent * n + 99) / 100 - 1;
}

static void measure_speed(const struct health *h, int64_t now_ms, struct health_speed *ret)
{
    int32_t latency[HEALTH_SAMPLES], tps[HEALTH_SAMPLES];
    int n_latency = 0, n_tps = 0;
    memset(ret, 0, sizeof(*ret));
    ret->valid_until_ms = INT64_MAX;
    for (int i = 0; i < h->n_samples; i++) {
        int64_t leaves_ms = h->samples[i].at_ms + HEALTH_SAMPLE_WINDOW_MS;
        if (now_ms >= leaves_ms)
            continue;
        if (leaves_ms < ret->valid_until_ms)
            ret->valid_until_ms = leaves_ms;
        insert_sorted(latency, n_latency++, h->samples[i].first_token_ms);
        if (h->samples[i].milli_tps > 0)
            insert_sorted(tps, n_tps++, h->samples[i].milli_tps);
    }
    ret->has_latency = n_latency > 0;
    ret->has_throughput = n_tps > 0;
    for (int p = 0; p < PERCENTILE_COUNT; p++) {
        if (n_latency > 0)
            ret->latency_ms[p] = latency[rank_of(PERCENT[p], n_latency)];
        if (n_tps > 0)
            ret->milli_tps[p] = tps[n_tps - 1 - rank_of(PERCENT[p], n_tps)];
    }
}

void health_sample(struct health *h, int64_t now_ms, int64_t first_token_ms, int64_t milli_tps)
{
    h->samples[h->next_sample].at_ms = now_ms;
    h->samples[h->next_sample].first_token_ms = clamp32(first_token_ms);
    h->samples[h->next_sample].milli_tps = clamp32(milli_tps);
    h->next_sample = (h->next_sample + 1) % HEALTH_SAMPLES;
    if (h->n_samples < HEALTH_SAMPLES)
        h->n_samples++;
    measure_speed(h, now_ms, &h->speed);
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

void health_look(const struct health *h, int64_t now_ms, struct health_view *ret)
{
    assert(h->n_samples >= 0 && h->n_samples <= HEALTH_SAMPLES);
    memset(ret, 0, sizeof(*ret));
    count_window(h, now_ms, ret);
    ret->outage = ret->failures_30s > 0 && (uint64_t)ret->failures_30s * 100 >=
                                               (uint64_t)ret->attempts_30s * HEALTH_OUTAGE_PERCENT;
    ret->held_back = now_ms < h->held_back_until_ms;
    look_at_speed(h, now_ms, ret);
}
