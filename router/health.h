/* What the last half hour says about each endpoint: attempts and failures of the last
 * 30 s (outage), ejection (router/breaker.h), latency to first token and
 * throughput.  Pure: time and draws are arguments.  The server keeps one table behind a mutex,
 * touched when an attempt begins and when it ends, and takes a snapshot of the candidates' rows
 * for each plan. */
#ifndef ROUTER_HEALTH_H
#define ROUTER_HEALTH_H

#include <stdint.h>

#include "router/breaker.h"
#include "schema/prefs.h"

enum {
    HEALTH_SLOT_MS = 3000, /* ten of them: the 30 s window */
    HEALTH_SAMPLES = 64,   /* latency and throughput samples kept, 5 minute window */
    HEALTH_SAMPLE_WINDOW_MS = 300000,
    HEALTH_OUTAGE_PERCENT = 20,
    HEALTH_STALE_MS = 60000, /* figures without a sample for so long are not to be relied on */
    HEALTH_QUIET_MS = 10000  /* an outage without a failure for so long may be over */
};

struct health_sample {
    int64_t at_ms;
    int32_t first_token_ms;
    int32_t milli_tps; /* 0 = not measured */
};

/* Percentiles of the last five minutes.  pNN says what NN per cent of the requests do at
 * least as well as: p90 of the latency is not exceeded by 90 per cent of them, p90 of the
 * throughput is reached by 90 per cent (OpenRouter's reading). */
struct health_speed {
    bool has_latency, has_throughput;
    int64_t latency_ms[PERCENTILE_COUNT];
    int64_t milli_tps[PERCENTILE_COUNT];
    int64_t valid_until_ms; /* when the oldest sample behind it leaves the window */
    int n_latency, n_tps;
    int32_t latency[HEALTH_SAMPLES], tps[HEALTH_SAMPLES]; /* the samples, sorted */
};

struct health {
    struct recent attempts; /* bad: failures */
    struct breaker breaker;
    int64_t last_failure_ms, last_sample_ms;
    int n_samples, next_sample;
    struct health_sample samples[HEALTH_SAMPLES]; /* a ring */
    struct health_speed speed;                    /* as of the last sample: a look need not sort */
    uint64_t total_attempts, total_failures;
};

enum health_outcome {
    HEALTH_OK,
    HEALTH_FAILED,  /* connect, timeout, 5xx, 529, truncated stream */
    HEALTH_LIMITED, /* 429: counts as an attempt, not as a failure */
    HEALTH_NEUTRAL, /* client error, client left an answer: an attempt that went well */
    HEALTH_UNHEARD  /* the client left before an answer: an attempt that says nothing */
};

/* How an attempt ended. */
struct health_end {
    enum health_outcome outcome;
    uint64_t draw; /* 64 random bits, for the breaker's jitter */
};

enum breaker_change health_record(struct health *h, int64_t now_ms, struct breaker_ticket *ticket,
                                  const struct health_end *end);
void health_sample(struct health *h, int64_t now_ms, int64_t first_token_ms, int64_t milli_tps);

/* What the plan and a listing need of one endpoint. */
struct health_view {
    bool outage;     /* >= 20 per cent of the last 30 s failed, and at least one */
    bool held_back;  /* no credential of its may be used now: filled by who knows them (keyring) */
    bool explorable; /* figures are unknown or old, or it is in outage without a new failure */
    struct breaker_view breaker;
    int64_t held_back_until_ms; /* when held_back */
    const char *held_why;       /* static sentence */
    bool has_latency, has_throughput;
    int64_t latency_ms[PERCENTILE_COUNT];
    int64_t milli_tps[PERCENTILE_COUNT];
    uint32_t attempts_30s, failures_30s;
};
void health_look(const struct health *h, int64_t now_ms, struct health_view *ret);
bool health_in_outage(const struct health *h, int64_t now_ms);

#endif
