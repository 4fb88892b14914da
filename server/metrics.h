/* Counters in rows: each worker writes its own set, the admin side adds them up when asked.
 * Prometheus text exposition format 0.0.4. */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include <stdint.h>

#include "schema/buf.h"

/* METRIC(name, help) */
#define METRICS(METRIC)                                                                            \
    METRIC(requests_total, "Requests that reached a route")                                        \
    METRIC(requests_refused_total, "Requests Wayfare answered with an error of its own")           \
    METRIC(requests_gate_total, "Requests refused by the HTTP gate")                               \
    METRIC(requests_over_rpm_total, "Requests refused by their key's requests per minute")         \
    METRIC(requests_over_tpm_total, "Requests refused by their key's tokens per minute")           \
    METRIC(requests_over_concurrency_total, "Requests refused by their key's concurrency")         \
    METRIC(requests_repeated_total, "Requests refused because of their Idempotency-Key")           \
    METRIC(requests_shed_total, "Requests refused because the server is overloaded")               \
    METRIC(requests_unauthenticated_total, "Requests without a valid key")                         \
    METRIC(requests_slow_body_total, "Requests ended because their body came too slowly")          \
    METRIC(connections_late_total, "Connections closed because no request came in time")           \
    METRIC(connections_refused_total, "Connections closed because there were too many")            \
    METRIC(attempts_total, "Calls sent to providers")                                              \
    METRIC(attempts_failed_total, "Calls to providers that failed")                                \
    METRIC(failovers_total, "Attempts after the first of a request")                               \
    METRIC(retries_refused_total, "Requests that ended for want of a retry budget")                \
    METRIC(retries_late_total, "Retries that the client would not have waited for")                \
    METRIC(ejections_total, "Endpoints ejected because they kept failing")                         \
    METRIC(ejections_ended_total, "Ejected endpoints that are back")                               \
    METRIC(probes_total, "Calls that probed an ejected endpoint")                                  \
    METRIC(explorations_total, "Calls to an endpoint put first to learn how it is")                \
    METRIC(credentials_limited_total,                                                              \
           "429 answers that held one of the operator's credentials back")                         \
    METRIC(credentials_refused_total, "Times a provider began to refuse a credential")             \
    METRIC(credentials_spent_total, "Times a credential's spend limit was found used up")          \
    METRIC(streams_total, "Answers relayed as a stream")                                           \
    METRIC(streams_broken_total, "Streams that ended with an error event")                         \
    METRIC(clients_gone_total, "Clients that left before their answer was complete")               \
    METRIC(input_tokens_total, "Prompt tokens billed, cache reads and writes included")            \
    METRIC(output_tokens_total, "Completion tokens billed")                                        \
    METRIC(cache_read_tokens_total, "Prompt tokens billed as read from a cache")                   \
    METRIC(cache_write_tokens_total, "Prompt tokens billed as written to a cache")                 \
    METRIC(cache_hits_total, "Calls whose cache was believed warm, and was")                       \
    METRIC(cache_misses_total, "Calls whose cache was believed warm, and was not")                 \
    METRIC(estimates_total, "Calls settled by the provider's figures")                             \
    METRIC(estimates_close_total, "Of those, expected to cost that within 10 per cent")            \
    METRIC(holds_exceeded_total, "Of those, costing more than was held")                           \
    METRIC(cost_nusd_total, "Charged, in nano-USD")                                                \
    METRIC(bytes_in_total, "Request body bytes received")                                          \
    METRIC(bytes_out_total, "Answer body bytes handed to clients")

enum metric {
#define METRIC(name, help) METRIC_##name,
    METRICS(METRIC)
#undef METRIC
        METRIC_COUNT
};

struct metrics {
    int64_t n[METRIC_COUNT];
};

static inline void metrics_add(struct metrics *m, enum metric which, int64_t by)
{
    __atomic_store_n(&m->n[which], m->n[which] + by, __ATOMIC_RELAXED);
}

/* Appends one sample with its HELP and TYPE lines. */
void metrics_sample(struct buf *out, const char *name, const char *help, const char *type,
                    int64_t value);
/* The sum over sets[0..n). */
void metrics_write(const struct metrics *const *sets, int n, struct buf *out);

#endif
