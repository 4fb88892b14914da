/* Calendar windows (day, week, month, all time) in a time zone: a cap's window is computed
 * from an instant, so there is no reset job that could fail.
 *
 * A zone is read once from the system's zone database (TZif, RFC 8536, with the rule in its
 * footer for the years after the table) and immutable afterwards: any thread may use it.
 * "UTC" needs no file.  Windows of one kind are gapless and do not overlap; a day begins
 * with the first instant of its date, also where midnight is skipped or repeated. */
#ifndef ROUTER_WINDOW_H
#define ROUTER_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "schema/err.h"
#include "schema/span.h"

enum window_kind { WINDOW_DAY, WINDOW_WEEK, WINDOW_MONTH, WINDOW_TOTAL, WINDOW_KINDS };

enum { ZONE_NAME_MAX = 64 };

struct zone;

/* [start_ms, end_ms) of unix time. WINDOW_TOTAL: 0 to INT64_MAX. */
struct window {
    int64_t start_ms, end_ms;
};

/* NULL with reterr (ERR_bad_request: no such zone, or not a zone name). */
struct zone *zone_load(const char *name, struct fail *reterr);
/* From TZif bytes; the name is for messages. */
struct zone *zone_parse(const char *name, struct span tzif, struct fail *reterr);
void zone_free(struct zone *z);
const char *zone_name(const struct zone *z);

/* Seconds east of UTC at that instant. */
int64_t zone_offset_s(const struct zone *z, int64_t unix_s);

/* The window that holds this instant.  Instants are clamped to the years 1970 to 9999. */
struct window window_at(const struct zone *z, enum window_kind kind, int64_t unix_ms);

/* "day", "week", "month", "total" */
const char *window_name(enum window_kind kind);
bool window_parse(const char *name, enum window_kind *ret);

#endif
