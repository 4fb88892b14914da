/* The model's own windows: found by asking the C library for the local date, once, into tables;
 * nothing of router/window.c.  One thread; calendar_init sets TZ. */
#ifndef TESTS_LEDGER_CALENDAR_H
#define TESTS_LEDGER_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

#include "router/window.h"

enum { CALENDAR_ZONES = 7 };

/* The instants that the tables cover, and a script may use. */
#define CALENDAR_FIRST_MS INT64_C(1766000000000) /* 2025-12-17 */
#define CALENDAR_LAST_MS INT64_C(1842000000000)  /* 2028-05-15 */

extern const char *const calendar_zone_names[CALENDAR_ZONES];

/* false: the machine lacks these zones. */
bool calendar_init(void);
struct window calendar_window(int zone, enum window_kind kind, int64_t at_ms);

#endif
