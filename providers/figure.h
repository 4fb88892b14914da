/* A number in a provider's usage.  What stands there is a count or says nothing that can be billed:
 * the reader is told which, since nothing said may be zero, and nonsense may not. */
#ifndef PROVIDERS_FIGURE_H
#define PROVIDERS_FIGURE_H

#include "schema/json.h"

enum {
    FIGURE_MAX = 1000000000, /* larger numbers are nonsense */
    FIGURE_ABSENT = -1,      /* missing or null */
    FIGURE_UNCLEAR = -2      /* no number, a fraction, below zero or above the maximum */
};

/* 0 to FIGURE_MAX, or one of the two above.  100.0 is 100. */
int64_t figure_read(const struct json_doc *doc, json_ref value);

#endif
