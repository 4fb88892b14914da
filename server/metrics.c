/* Prometheus text from the rows of METRICS. */
#include "server/metrics.h"

#include <inttypes.h>

void metrics_sample(struct buf *out, const char *name, const char *help, const char *type,
                    int64_t value)
{
    buf_addf(out, "# HELP wayfare_%s %s.\n# TYPE wayfare_%s %s\nwayfare_%s %" PRId64 "\n", name,
             help, name, type, name, value);
}

void metrics_write(const struct metrics *const *sets, int n, struct buf *out)
{
    static const struct {
        const char *name, *help;
    } rows[METRIC_COUNT] = {
#define METRIC(name, help) {#name, help},
        METRICS(METRIC)
#undef METRIC
    };
    for (int m = 0; m < METRIC_COUNT; m++) {
        int64_t sum = 0;
        for (int i = 0; i < n; i++) {
            sum += __atomic_load_n(&sets[i]->n[m], __ATOMIC_RELAXED);
        }
        metrics_sample(out, rows[m].name, rows[m].help, "counter", sum);
    }
}
