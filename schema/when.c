/* RFC 3339 times, computed here: gmtime and strptime depend on locale and time_t,
 * and accept more than the wire format has.  Calendar: proleptic Gregorian. */
#include "schema/when.h"

static const int64_t day_ms = INT64_C(86400000);
/* 0000-01-01T00:00:00.000Z and 9999-12-31T23:59:59.999Z: what four digits can say. */
static const int64_t first_ms = INT64_C(-62167219200000);
static const int64_t last_ms = INT64_C(253402300799999);

struct date {
    int year, month, day;
};

/* Years are counted from March, so that the leap day is the last of its year; an
 * era is the 400 years (146097 days) after which the calendar repeats. */
static int64_t days_of(struct date d)
{
    int64_t year = d.year - (d.month <= 2);
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t month = (d.month + 9) % 12;
    int64_t day = (153 * month + 2) / 5 + d.day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + day - 719468;
}

static struct date date_of(int64_t days)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t of_era = days - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    struct date d;
    d.day = (int)(of_year - (153 * month + 2) / 5 + 1);
    d.month = (int)(month < 10 ? month + 3 : month - 9);
    d.year = (int)(year + era * 400 + (d.month <= 2));
    return d;
}

static char *put_digits(char *out, int64_t value, int n)
{
    for (int i = n - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return out + n;
}

static char *put_date(char *out, struct date d)
{
    out = put_digits(out, d.year, 4);
    *out++ = '-';
    out = put_digits(out, d.month, 2);
    *out++ = '-';
    return put_digits(out, d.day, 2);
}

static char *put_time(char *out, int64_t ms)
{
    out = put_digits(out, ms / 3600000, 2);
    *out++ = ':';
    out = put_digits(out, ms / 60000 % 60, 2);
    *out++ = ':';
    out = put_digits(out, ms / 1000 % 60, 2);
    *out++ = '.';
    return put_digits(out, ms % 1000, 3);
}

const char *when_print(int64_t unix_ms, char out[WHEN_TEXT_MAX])
{
    if (unix_ms < first_ms)
        unix_ms = first_ms;
    if (unix_ms > last_ms)
        unix_ms = last_ms;
    int64_t days = (unix_ms - first_ms) / day_ms + first_ms / day_ms;
    char *end = put_date(out, date_of(days));
    *end++ = 'T';
    end = put_time(end, unix_ms - days * day_ms);
    *end++ = 'Z';
    *end = '\0';
    return out;
}

/* Takes exactly n digits off the front of s. */
static bool take_digits(struct span *s, size_t n, int *ret)
{
    if (s->len < n)
        return false;
    int value = 0;
    for (size_t i = 0; i < n; i++) {
        if (s->ptr[i] < '0' || s->ptr[i] > '9')
            return false;
        value = value * 10 + (s->ptr[i] - '0');
    }
    s->ptr += n;
    s->len -= n;
    *ret = value;
    return true;
}

static bool take_either(struct span *s, char a, char b)
{
    if (s->len == 0 || (s->ptr[0] != a && s->ptr[0] != b))
        return false;
    s->ptr++;
    s->len--;
    return true;
}

static bool take_date(struct span *s, struct date *ret)
{
    static const int month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    struct date d;
    if (!take_digits(s, 4, &d.year) || !take_either(s, '-', '-') || !take_digits(s, 2, &d.month) ||
        !take_either(s, '-', '-') || !take_digits(s, 2, &d.day))
        return false;
    if (d.month < 1 || d.month > 12 || d.day < 1 || d.day > month_days[d.month - 1])
        return false;
    bool leap = d.year % 4 == 0 && (d.year % 100 != 0 || d.year % 400 == 0);
    if (d.month == 2 && d.day == 29 && !leap)
        return false;
    *ret = d;
    return true;
}

/* ".digits", of which the first three count. */
static bool take_fraction(struct span *s, int *ret_ms)
{
    int ms = 0;
    int scale = 100;
    int digit;
    if (!take_digits(s, 1, &digit))
        return false;
    do {
        ms += digit * scale;
        scale /= 10;
    } while (take_digits(s, 1, &digit));
    *ret_ms = ms;
    return true;
}

static bool take_zone(struct span *s, int *ret_minutes)
{
    if (take_either(s, 'Z', 'z')) {
        *ret_minutes = 0;
        return true;
    }
    int hours, minutes;
    bool west = s->len > 0 && s->ptr[0] == '-';
    if (!take_either(s, '+', '-') || !take_digits(s, 2, &hours) || !take_either(s, ':', ':') ||
        !take_digits(s, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *ret_minutes = (hours * 60 + minutes) * (west ? -1 : 1);
    return true;
}

/* "hh:mm:ss[.fraction]zone" as ms after the UTC midnight of its date; may be
 * negative or over a day.  A leap second (":60") is there only before midnight UTC. */
static bool take_time(struct span *s, int64_t *ret_ms)
{
    int hour, minute, second, ms = 0, zone;
    if (!take_digits(s, 2, &hour) || !take_either(s, ':', ':') || !take_digits(s, 2, &minute) ||
        !take_either(s, ':', ':') || !take_digits(s, 2, &second))
        return false;
    if (take_either(s, '.', '.') && !take_fraction(s, &ms))
        return false;
    if (!take_zone(s, &zone) || hour > 23 || minute > 59 || second > 60)
        return false;
    int utc_minute = hour * 60 + minute - zone;
    if (second == 60 && (utc_minute + 1440) % 1440 != 1439)
        return false;
    *ret_ms = (int64_t)utc_minute * 60000 + second * 1000 + ms;
    return true;
}

bool when_parse(struct span text, int64_t *ret_unix_ms)
{
    struct date d;
    if (!take_date(&text, &d))
        return false;
    int64_t time_ms = 0;
    if (text.len > 0 && (!take_either(&text, 'T', 't') || !take_time(&text, &time_ms)))
        return false;
    if (text.len > 0)
        return false;
    *ret_unix_ms = days_of(d) * day_ms + time_ms;
    return true;
}
