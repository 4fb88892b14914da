/* What settled requests teach about the size of the next one: how many tokens a model's
 * prompts really have, compared with the estimate, and how long its answers become.  Holds of
 * teams with the bound `calibrated` are sized by it (docs/money.md).
 *
 * The statistic is made of ranks, so it needs no assumption about the distribution:
 *
 *  - Samples fall into logarithmic buckets, eight to an octave; a bound is the upper edge of a
 *    bucket, so rounding only widens it.
 *  - They are counted in two generations of CALIBRATE_GENERATION samples; when one is full the
 *    older one is forgotten.  What is looked at is thus the last 65,536 to 131,072 samples of a
 *    model, or all there are.
 *  - Of n samples the bound lets k be above it, k = max(0, n / 20,000 - 1).  The next sample of
 *    traffic that does not change is above it with a probability of at most
 *    (k + 1) / (n + 1) <= 1 / 20,000 from n = 20,000 on, and of 1 / (n + 1) before: under 1 in
 *    10,000 from 10,240 samples on, whatever the distribution.
 *  - With fewer samples the largest one seen is multiplied by a margin (CALIBRATE_MARGINS).  A
 *    tail that falls like x^-a is above m times the largest of n samples with a probability
 *    of about m^-a / n: for a = 8 the margins keep that under 1 in 10,000.  (The ratio of
 *    tokens to estimate is bounded by the bytes of a token, its tail is far thinner.)
 *    Below CALIBRATE_SAMPLES_MIN samples nothing is said: the strict bound holds.
 *  - A sample above the bound is in force at once, multiplied by the margin, for the
 *    next 1,024 to 2,048 samples, however rare it is among all (`recent`).
 *
 * The completion bound is the 99.9th percentile by the same counting; it may be exceeded,
 * since it only says with how much a stream begins whose hold grows as it runs.  Tokens per byte
 * of an answer, which say how far such a stream has come, are bounded like prompts; the bytes are
 * in no table, so this is learned anew after a start, from one token per byte on.
 *
 * Integers only. Pure: no clock, no I/O; one thread at a time (the server keeps it behind a
 * mutex, touched once per attempt).  After a start it is filled from the newest attempts
 * (router/calibrate_db.h). */
#ifndef ROUTER_CALIBRATE_H
#define ROUTER_CALIBRATE_H

#include <stdbool.h>

#include "router/estimate.h"

enum {
    CALIBRATE_MODELS_MAX = 8192, /* of more nothing is learned */
    CALIBRATE_SUB = 8,           /* buckets per octave */
    CALIBRATE_BUCKETS = 26 * CALIBRATE_SUB,
    CALIBRATE_GENERATION = 65536,
    CALIBRATE_RECENT = 1024,
    CALIBRATE_SAMPLES_MIN = 128,
    CALIBRATE_SAFE_SHARE = 20000, /* one sample in so many may be above the prompt's bound */
    CALIBRATE_LONG_SHARE = 1000   /* one in so many above the completion's */
};

/* How a kind of sample is distributed.  Zeroed = empty. */
struct tally {
    uint32_t n[2];                        /* samples of the running and the last generation */
    uint32_t count[2][CALIBRATE_BUCKETS]; /* generation, bucket */
    uint32_t n_recent;                    /* since recent[0] was begun */
    uint32_t recent[2];                   /* highest bucket + 1; 0 = none */
};

void tally_add(struct tally *t, int64_t value);
int64_t tally_samples(const struct tally *t);
/* The value that at most one in `share` is above, as said above but for the margin; 0 with
 * fewer than CALIBRATE_SAMPLES_MIN samples. */
int64_t tally_bound(const struct tally *t, int64_t share);

struct calibrate;

struct calibrate *calibrate_new(void); /* NULL: memory is short */
void calibrate_free(struct calibrate *c);
/* A settled attempt whose figures are final.  class ESTIMATE_CLASS_NONE: only its completion
 * counts.  model: the catalog's id. */
void calibrate_learn(struct calibrate *c, const char *model, enum estimate_class class,
                     int64_t estimate_tok, int64_t prompt_tok, int64_t completion_tok);
/* Of a streamed answer all of whose text was seen: its bytes and tokens. */
void calibrate_learn_text(struct calibrate *c, const char *model, int64_t bytes,
                          int64_t completion_tok);
void calibrate_look(const struct calibrate *c, const char *model, struct estimate_learned *ret);

#endif
