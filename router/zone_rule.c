/* POSIX TZ rules. */
#include "router/zone_rule.h"

enum { DAY_S = 86400, HOURS_MAX = 167 };

/* ---- the calendar ---- */

int64_t civil_to_days(int64_t year, int month, int day)
{
    /* Years begin in March here, so that the leap day is the last of its year. */
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

void civil_from_days(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted_month = (5 * day_of_year + 2) / 153;
    *ret_day = (int)(day_of_year - (153 * shifted_month + 2) / 5 + 1);
    *ret_month = (int)(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
    *ret_year = year_of_era + era * 400 + (*ret_month <= 2 ? 1 : 0);
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* ---- parsing: each reader advances *s and says whether it found its part ---- */

static bool take(struct span *s, char c)
{
    if (s->len == 0 || s->ptr[0] != c)
        return false;
    s->ptr++;
    s->len--;
    return true;
}

static bool is_digit(const struct span *s)
{
    return s->len > 0 && s->ptr[0] >= '0' && s->ptr[0] <= '9';
}

static bool read_number(struct span *s, int max, int *ret)
{
    if (!is_digit(s))
        return false;
    int n = 0;
    while (is_digit(s)) {
        n = n * 10 + (s->ptr[0] - '0');
        if (n > max)
            return false;
        s->ptr++;
        s->len--;
    }
    *ret = n;
    return true;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool skip_name(struct span *s)
{
    size_t n = 0;
    if (take(s, '<')) {
        while (s->len > 0 && s->ptr[0] != '>') {
            s->ptr++;
            s->len--;
            n++;
        }
        return n > 0 && take(s, '>');
    }
    while (s->len > 0 && is_letter(s->ptr[0])) {
        s->ptr++;
        s->len--;
        n++;
    }
    return n >= 3;
}

/* [+-]hh[:mm[:ss]] */
static bool read_time(struct span *s, int64_t *ret)
{
    int64_t sign = take(s, '-') ? -1 : 1;
    int h = 0, m = 0, sec = 0;
    if (sign == 1)
        take(s, '+');
    if (!read_number(s, HOURS_MAX, &h))
        return false;
    if (take(s, ':') && (!read_number(s, 59, &m) || (take(s, ':') && !read_number(s, 59, &sec))))
        return false;
    *ret = sign * (h * 3600 + m * 60 + sec);
    return true;
}

static bool read_change(struct span *s, struct zone_change *ret)
{
    *ret = (struct zone_change){.form = ZONE_DAY_COUNT, .time_s = 2 * 3600};
    if (!take(s, ','))
        return false;
    if (take(s, 'J')) {
        ret->form = ZONE_DAY_JULIAN;
        if (!read_number(s, 365, &ret->day) || ret->day == 0)
            return false;
    } else if (take(s, 'M')) {
        ret->form = ZONE_DAY_WEEK;
        if (!read_number(s, 12, &ret->month) || ret->month == 0 || !take(s, '.') ||
            !read_number(s, 5, &ret->week) || ret->week == 0 || !take(s, '.') ||
            !read_number(s, 6, &ret->day))
            return false;
    } else if (!read_number(s, 365, &ret->day)) {
        return false;
    }
    return !take(s, '/') || read_time(s, &ret->time_s);
}

bool zone_rule_parse(struct span text, struct zone_rule *ret)
{
    struct span s = text;
    struct zone_rule r = {0};
    if (!skip_name(&s) || !read_time(&s, &r.std_s))
        return false;
    r.std_s = -r.std_s; /* POSIX counts westward */
    if (s.len == 0) {
        *ret = r;
        return true;
    }
    if (!skip_name(&s))
        return false;
    r.has_dst = true;
    r.dst_s = r.std_s + 3600;
    if (s.len > 0 && s.ptr[0] != ',') {
        if (!read_time(&s, &r.dst_s))
            return false;
        r.dst_s = -r.dst_s;
    }
    if (!read_change(&s, &r.to_dst) || !read_change(&s, &r.to_std) || s.len != 0)
        return false;
    *ret = r;
    return true;
}

/* ---- use ---- */

static int64_t change_day(const struct zone_change *c, int64_t year)
{
    int64_t new_year = civil_to_days(year, 1, 1);
    if (c->form == ZONE_DAY_COUNT)
        return new_year + c->day;
    if (c->form == ZONE_DAY_JULIAN)
        return new_year + c->day - 1 + (is_leap(year) && c->day >= 60 ? 1 : 0);
    int64_t first = civil_to_days(year, c->month, 1);
    int64_t next =
        c->month == 12 ? civil_to_days(year + 1, 1, 1) : civil_to_days(year, c->month + 1, 1);
    int64_t weekday = (first % 7 + 7 + 4) % 7; /* 1970-01-01 was a Thursday */
    int64_t day = first + (c->day - weekday + 7) % 7 + (c->week - 1) * 7;
    return day < next ? day : day - 7; /* week 5 is the last one */
}

int64_t zone_rule_offset_s(const struct zone_rule *r, int64_t unix_s)
{
    if (!r->has_dst)
        return r->std_s;
    int64_t local = unix_s + r->std_s;
    int64_t days = (local >= 0 ? local : local - (DAY_S - 1)) / DAY_S;
    int64_t year;
    int month, day;
    civil_from_days(days, &year, &month, &day);
    int64_t on = change_day(&r->to_dst, year) * DAY_S + r->to_dst.time_s - r->std_s;
    int64_t off = change_day(&r->to_std, year) * DAY_S + r->to_std.time_s - r->dst_s;
    bool dst = on < off ? unix_s >= on && unix_s < off : unix_s < off || unix_s >= on;
    return dst ? r->dst_s : r->std_s;
}
