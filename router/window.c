#define _GNU_SOURCE
/* Zones from TZif files, and the windows that begin at their local midnights. */
#include "router/window.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "router/zone_rule.h"

enum {
    DAY_S = 86400,
    ZONE_FILE_MAX = 64 * 1024,
    ZONE_HEADER = 44,
    ZONE_CHANGES_MAX = 4096,
    ZONE_OFFSET_MAX_S = 26 * 3600 /* RFC 8536 section 3.2 */
};

struct zone {
    char name[ZONE_NAME_MAX];
    int64_t first_s; /* the offset before the first change */
    int n_changes;
    int64_t *at_s;     /* ascending */
    int32_t *offset_s; /* in force from at_s[i] */
    bool has_rule;     /* for the time after the last change */
    struct zone_rule rule;
};

/* ---- TZif ---- */

struct tzif_header {
    int version;
    uint32_t n_isut, n_isstd, n_leap, n_time, n_type, n_char;
};

static uint32_t read_be32(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static int64_t read_be64(const char *p)
{
    return (int64_t)((uint64_t)read_be32(p) << 32 | read_be32(p + 4));
}

static bool read_header(struct span s, struct tzif_header *ret)
{
    if (s.len < ZONE_HEADER || memcmp(s.ptr, "TZif", 4) != 0)
        return false;
    ret->version = s.ptr[4] == '\0' ? 1 : s.ptr[4] - '0';
    ret->n_isut = read_be32(s.ptr + 20);
    ret->n_isstd = read_be32(s.ptr + 24);
    ret->n_leap = read_be32(s.ptr + 28);
    ret->n_time = read_be32(s.ptr + 32);
    ret->n_type = read_be32(s.ptr + 36);
    ret->n_char = read_be32(s.ptr + 40);
    return ret->n_isut <= 256 && ret->n_isstd <= 256 && ret->n_leap <= ZONE_CHANGES_MAX &&
           ret->n_time <= ZONE_CHANGES_MAX && ret->n_type >= 1 && ret->n_type <= 256 &&
           ret->n_char <= 4096;
}

static size_t body_size(const struct tzif_header *h, size_t time_size)
{
    return h->n_time * (time_size + 1) + h->n_type * 6 + h->n_char + h->n_leap * (time_size + 4) +
           h->n_isstd + h->n_isut;
}

static bool read_type(const char *types, const struct tzif_header *h, uint32_t i, int32_t *ret)
{
    if (i >= h->n_type)
        return false;
    *ret = (int32_t)read_be32(types + i * 6);
    return *ret > -ZONE_OFFSET_MAX_S && *ret < ZONE_OFFSET_MAX_S;
}

static bool read_changes(struct zone *z, const char *body, const struct tzif_header *h)
{
    const char *indexes = body + h->n_time * 8u;
    const char *types = indexes + h->n_time;
    int32_t first;
    z->at_s = calloc(h->n_time + 1, sizeof(*z->at_s));
    z->offset_s = calloc(h->n_time + 1, sizeof(*z->offset_s));
    if (z->at_s == NULL || z->offset_s == NULL || !read_type(types, h, 0, &first))
        return false;
    z->first_s = first;
    z->n_changes = (int)h->n_time;
    for (uint32_t i = 0; i < h->n_time; i++) {
        z->at_s[i] = read_be64(body + i * 8u);
        if (!read_type(types, h, (unsigned char)indexes[i], &z->offset_s[i]) ||
            (i > 0 && z->at_s[i] <= z->at_s[i - 1]))
            return false;
    }
    return true;
}

/* "\nTZ\n"; an empty TZ means that the last offset of the table stays. */
static bool read_footer(struct zone *z, struct span s)
{
    const char *end = s.len > 1 && s.ptr[0] == '\n' ? memchr(s.ptr + 1, '\n', s.len - 1) : NULL;
    if (end == NULL)
        return false;
    struct span rule = {s.ptr + 1, (size_t)(end - s.ptr - 1)};
    z->has_rule = rule.len > 0;
    return !z->has_rule || zone_rule_parse(rule, &z->rule);
}

/* The 32-bit block is skipped; version 1 files, which have no other, are refused. */
static bool read_tzif(struct zone *z, struct span s)
{
    struct tzif_header h;
    if (!read_header(s, &h) || h.version < 2)
        return false;
    size_t skip = ZONE_HEADER + body_size(&h, 4);
    if (s.len < skip)
        return false;
    s = (struct span){s.ptr + skip, s.len - skip};
    if (!read_header(s, &h))
        return false;
    skip = ZONE_HEADER + body_size(&h, 8);
    if (s.len < skip || !read_changes(z, s.ptr + ZONE_HEADER, &h))
        return false;
    return read_footer(z, (struct span){s.ptr + skip, s.len - skip});
}

/* ---- loading ---- */

static struct zone *zone_new(const char *name, struct fail *reterr)
{
    struct zone *z = calloc(1, sizeof(*z));
    if (z == NULL)
        fail_set(reterr, ERR_internal, "timezone", "out of memory");
    else
        snprintf(z->name, sizeof(z->name), "%s", name);
    return z;
}

struct zone *zone_parse(const char *name, struct span tzif, struct fail *reterr)
{
    struct zone *z = zone_new(name, reterr);
    if (z == NULL || read_tzif(z, tzif))
        return z;
    zone_free(z);
    fail_set(reterr, ERR_bad_request, "timezone", "timezone %.64s: its file is damaged", name);
    return NULL;
}

static bool name_is_plain(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n >= ZONE_NAME_MAX || name[0] == '/' || strstr(name, "..") != NULL)
        return false;
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/") == n;
}

static ssize_t read_file(const char *path, char *out, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t len = 0;
    ssize_t n;
    while (len < cap && (n = read(fd, out + len, cap - len)) > 0)
        len += (size_t)n;
    close(fd);
    return n < 0 ? -1 : (ssize_t)len;
}

struct zone *zone_load(const char *name, struct fail *reterr)
{
    if (strcmp(name, "UTC") == 0)
        return zone_new(name, reterr);
    char path[ZONE_NAME_MAX + 32];
    char *bytes = name_is_plain(name) ? malloc(ZONE_FILE_MAX) : NULL;
    ssize_t n = -1;
    if (bytes != NULL) {
        snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", name);
        n = read_file(path, bytes, ZONE_FILE_MAX);
    }
    struct zone *z = NULL;
    if (n < 0)
        fail_set(reterr, ERR_bad_request, "timezone",
                 "timezone %.64s is not in this machine's zone database (tzdata)", name);
    else
        z = zone_parse(name, (struct span){bytes, (size_t)n}, reterr);
    free(bytes);
    return z;
}

void zone_free(struct zone *z)
{
    if (z == NULL)
        return;
    free(z->at_s);
    free(z->offset_s);
    free(z);
}

const char *zone_name(const struct zone *z)
{
    return z->name;
}

int64_t zone_offset_s(const struct zone *z, int64_t unix_s)
{
    int lo = 0, hi = z->n_changes; /* the first change after unix_s */
    while (lo < hi) {
        int mid = lo + (hi - lo) / 2;
        if (z->at_s[mid] <= unix_s)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == z->n_changes && z->has_rule)
        return zone_rule_offset_s(&z->rule, unix_s);
    return lo == 0 ? z->first_s : z->offset_s[lo - 1];
}

/* ---- windows ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

/* The first instant whose local date is this day (or, where a zone skipped a whole day, the
 * first one after it). */
static int64_t day_start_s(const struct zone *z, int64_t day)
{
    int64_t midnight = day * DAY_S;
    int64_t a = midnight - zone_offset_s(z, midnight - 2 * DAY_S);
    int64_t b = midnight - zone_offset_s(z, midnight + 2 * DAY_S);
    int64_t early = a < b ? a : b, late = a < b ? b : a;
    if (early + zone_offset_s(z, early) == midnight)
        return early;
    while (early + 1 < late) { /* late, or the change that skipped midnight */
        int64_t mid = early + (late - early) / 2;
        if (mid + zone_offset_s(z, mid) >= midnight)
            late = mid;
        else
            early = mid;
    }
    return late;
}

static int64_t first_of_month(int64_t day, int months_later)
{
    int64_t year;
    int month, dom;
    civil_from_days(day, &year, &month, &dom);
    month += months_later;
    return month <= 12 ? civil_to_days(year, month, 1) : civil_to_days(year + 1, month - 12, 1);
}

/* The days [*ret_begin, *ret_end) of the window that holds this day. */
static void window_days(enum window_kind kind, int64_t day, int64_t *ret_begin, int64_t *ret_end)
{
    switch (kind) {
    case WINDOW_WEEK:
        *ret_begin = day - ((day + 3) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
        *ret_end = *ret_begin + 7;
        return;
    case WINDOW_MONTH:
        *ret_begin = first_of_month(day, 0);
        *ret_end = first_of_month(day, 1);
        return;
    case WINDOW_DAY:
    case WINDOW_TOTAL:
    case WINDOW_KINDS:
        break;
    }
    *ret_begin = day;
    *ret_end = day + 1;
}

struct window window_at(const struct zone *z, enum window_kind kind, int64_t unix_ms)
{
    assert(kind >= WINDOW_DAY && kind < WINDOW_KINDS);
    if (kind == WINDOW_TOTAL)
        return (struct window){0, INT64_MAX};
    const int64_t end_of_time_s = 253402300799; /* 9999-12-31T23:59:59Z */
    int64_t s = floor_div(unix_ms, 1000);
    s = s < 0 ? 0 : s > end_of_time_s ? end_of_time_s : s;
    int64_t day = floor_div(s + zone_offset_s(z, s), DAY_S);
    /* Where clocks went back over midnight, an instant can belong to the next day already. */
    if (s >= day_start_s(z, day + 1))
        day++;
    int64_t begin, end;
    window_days(kind, day, &begin, &end);
    return (struct window){day_start_s(z, begin) * 1000, day_start_s(z, end) * 1000};
}

static const char *const window_names[WINDOW_KINDS] = {"day", "week", "month", "total"};

const char *window_name(enum window_kind kind)
{
    assert(kind >= WINDOW_DAY && kind < WINDOW_KINDS);
    return window_names[kind];
}

bool window_parse(const char *name, enum window_kind *ret)
{
    for (int i = 0; i < WINDOW_KINDS; i++) {
        if (strcmp(name, window_names[i]) == 0) {
            *ret = (enum window_kind)i;
            return true;
        }
    }
    return false;
}
