#define _GNU_SOURCE
/* Days by their local dates, in quarters of an hour: no zone changes its date in between. */
#include "tests/ledger/calendar.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

enum { DAYS_MAX = 1024, QUARTER_S = 900, DAY_S = 86400, MARGIN_S = 45 * DAY_S };

/* New York and Berlin change in the night, Havana skips and Santiago repeats a midnight, Lord
 * Howe shifts by half an hour, Kathmandu is off by a quarter. */
const char *const calendar_zone_names[CALENDAR_ZONES] = {"UTC",
                                                         "America/New_York",
                                                         "Europe/Berlin",
                                                         "America/Havana",
                                                         "America/Santiago",
                                                         "Australia/Lord_Howe",
                                                         "Asia/Kathmandu"};

struct day {
    int64_t start_s;
    int wday, mday; /* 0 = Monday; 1 to 31 */
};

struct table {
    int n;
    struct day days[DAYS_MAX];
};

static struct table tables[CALENDAR_ZONES];

static struct tm local(int64_t at_s)
{
    time_t t = at_s;
    struct tm tm;
    localtime_r(&t, &tm);
    return tm;
}

static bool same_date(const struct tm *a, const struct tm *b)
{
    return a->tm_mday == b->tm_mday && a->tm_mon == b->tm_mon && a->tm_year == b->tm_year;
}

/* The latest date so far counts: where clocks go back over midnight, the day goes on. */
static bool is_later(const struct tm *a, const struct tm *b)
{
    if (a->tm_year != b->tm_year)
        return a->tm_year > b->tm_year;
    return a->tm_yday > b->tm_yday;
}

static void fill(struct table *t)
{
    int64_t at = (CALENDAR_FIRST_MS / 1000 - MARGIN_S) / QUARTER_S * QUARTER_S;
    struct tm last = local(at);
    t->n = 0;
    while (at < CALENDAR_LAST_MS / 1000 + MARGIN_S) {
        struct tm tm = local(at);
        if (same_date(&tm, &last) || !is_later(&tm, &last)) {
            at += QUARTER_S;
            continue;
        }
        assert(t->n < DAYS_MAX);
        t->days[t->n++] = (struct day){at, (tm.tm_wday + 6) % 7, tm.tm_mday};
        last = tm;
        at += 22 * 3600; /* no day is shorter */
    }
}

bool calendar_init(void)
{
    for (int z = 0; z < CALENDAR_ZONES; z++) {
        setenv("TZ", calendar_zone_names[z], 1);
        tzset();
        struct tm tm = local(CALENDAR_FIRST_MS / 1000);
        if (z > 0 && tm.tm_gmtoff == 0)
            return false;
        fill(&tables[z]);
    }
    return true;
}

static int day_of(const struct table *t, int64_t at_s)
{
    int i = (int)((at_s - t->days[0].start_s) / DAY_S);
    i = i < 0 ? 0 : i > t->n - 2 ? t->n - 2 : i;
    while (i > 0 && t->days[i].start_s > at_s)
        i--;
    while (i < t->n - 2 && t->days[i + 1].start_s <= at_s)
        i++;
    return i;
}

static bool begins(const struct day *d, enum window_kind kind)
{
    return kind == WINDOW_DAY || (kind == WINDOW_WEEK ? d->wday == 0 : d->mday == 1);
}

struct window calendar_window(int zone, enum window_kind kind, int64_t at_ms)
{
    if (kind == WINDOW_TOTAL)
        return (struct window){0, INT64_MAX};
    const struct table *t = &tables[zone];
    int first = day_of(t, at_ms / 1000), end = first + 1;
    while (!begins(&t->days[first], kind))
        first--;
    while (!begins(&t->days[end], kind))
        end++;
    return (struct window){t->days[first].start_s * 1000, t->days[end].start_s * 1000};
}
