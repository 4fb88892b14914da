/* The rule of a zone for all years: a POSIX TZ string such as "CET-1CEST,M3.5.0,M10.5.0/3",
 * as TZif footers carry it (RFC 8536 section 3.3, with its extension of hours to 167). Pure. */
#ifndef ROUTER_ZONE_RULE_H
#define ROUTER_ZONE_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "schema/span.h"

enum zone_day { ZONE_DAY_JULIAN, ZONE_DAY_COUNT, ZONE_DAY_WEEK };

/* When a change happens: a day of the year and the local wall time on it. */
struct zone_change {
    enum zone_day form;
    int day;         /* Jn: 1..365 without leap day; n: 0..365; Mm.w.d: weekday */
    int month, week; /* Mm.w.d only */
    int64_t time_s;
};

struct zone_rule {
    int64_t std_s, dst_s; /* seconds east of UTC */
    bool has_dst;
    struct zone_change to_dst, to_std;
};

bool zone_rule_parse(struct span text, struct zone_rule *ret);
int64_t zone_rule_offset_s(const struct zone_rule *r, int64_t unix_s);

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar, and back. */
int64_t civil_to_days(int64_t year, int month, int day);
void civil_from_days(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day);

#endif
