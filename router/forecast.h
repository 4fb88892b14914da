/* What requests like this one turned out to be: how many tokens their prompts had, compared with
 * the plain estimate, and how long their answers became.  Expected costs rest on it (docs/api.md
 * "Order"); bounds do not (router/calibrate.h).
 *
 * Alike are requests of the same model and key and of the same shape: tools, pictures, thinking, a
 * prescribed form of the answer, the octaves of max_tokens and of the prompt, the script.  The
 * narrowest group with FORECAST_SAMPLES_MIN samples is believed; each settled request is a sample
 * of all groups that it belongs to (FORECAST_GROUPS).
 *
 * The statistic is the mean.  A cost is linear in its tokens, so the expected cost is that of the
 * mean numbers, whatever their distribution: with a median, endpoints whose completions are dear
 * would look cheaper than they are on the bill.  Of completions it is the mean of the last
 * FORECAST_WINDOW or so samples, each worth less the older it is; one that is above
 * FORECAST_FREAK times the mean counts as that, so that no single answer moves the rest by much.
 *
 * Integers only.  Pure: no clock, no I/O; one thread at a time (the server keeps it behind the
 * mutex of router/calibrate.h).  Bounded: FORECAST_CELLS groups; the one that has waited longest
 * for a sample gives way.  After a start it is filled from the newest attempts
 * (router/calibrate_db.h). */
#ifndef ROUTER_FORECAST_H
#define ROUTER_FORECAST_H

#include "router/estimate.h"

enum { FORECAST_CELLS = 32768, FORECAST_SAMPLES_MIN = 8, FORECAST_WINDOW = 64, FORECAST_FREAK = 8 };

/* Who asks for what. */
struct forecast_ask {
    const char *model; /* the catalog's id */
    int64_t key_id;    /* 0: nobody's, known by model alone */
    uint32_t shape;    /* forecast_shape */
};

struct forecast;

struct forecast *forecast_new(void); /* NULL: memory is short */
void forecast_free(struct forecast *f);

/* The shape of a request, never 0; 0 = not known (a row of the database from before there were
 * shapes): then only the widest groups have a sample. */
uint32_t forecast_shape(const struct chat *chat);
enum { FORECAST_SHAPE_BITS = 24 };

/* Whether a prompt tells what to expect of others: not one that continues what the provider keeps.
 * Pictures, documents and the provider's own tools tell of their like alone. */
bool forecast_teaches_prompt(enum estimate_class class, uint32_t shape);

/* A settled attempt whose figures are final. */
void forecast_learn_prompt(struct forecast *f, const struct forecast_ask *ask, int64_t raw_tok,
                           int64_t prompt_tok);
void forecast_learn_completion(struct forecast *f, const struct forecast_ask *ask,
                               int64_t completion_tok);
void forecast_look(const struct forecast *f, const struct forecast_ask *ask,
                   struct estimate_expected *ret);

#endif
