/* The event stream splitter of sse.h. */
#include "schema/sse.h"

static const struct span bom = {"\xef\xbb\xbf", 3};

/* One sse_feed.  The event under way is in `data` and `name` here as long as it stands
 * whole in the fed bytes; it moves to the buffers of the sse when it cannot. */
struct feed {
    struct sse *sse;
    struct span data, name;
    bool in_place; /* data is in `data`, not in sse->data */
    bool name_in_place;
    sse_handler handler;
    void *ctx;
};

void sse_init(struct sse *s, size_t max)
{
    *s = (struct sse){.max = max};
    buf_init(&s->line, max + SSE_LINE_EXTRA);
    buf_init(&s->data, max);
    buf_init(&s->name, max + SSE_LINE_EXTRA);
}

void sse_done(struct sse *s)
{
    buf_done(&s->line);
    buf_done(&s->data);
    buf_done(&s->name);
    sse_init(s, s->max);
}

static bool settle_data(struct feed *f)
{
    if (!f->in_place)
        return true;
    f->in_place = false;
    return buf_add_span(&f->sse->data, f->data);
}

static bool settle_name(struct feed *f)
{
    if (!f->name_in_place)
        return true;
    f->name_in_place = false;
    buf_reset(&f->sse->name);
    return buf_add_span(&f->sse->name, f->name);
}

/* stable: value lies in the fed bytes, not in the carried line. */
static bool take_data(struct feed *f, struct span value, bool stable)
{
    struct sse *s = f->sse;
    if (!s->have_data) {
        s->have_data = true;
        f->data = value;
        f->in_place = true;
        return value.len <= s->max && (stable || settle_data(f));
    }
    return settle_data(f) && buf_addc(&s->data, '\n') && buf_add_span(&s->data, value);
}

static bool take_name(struct feed *f, struct span value, bool stable)
{
    f->name = value;
    f->name_in_place = true;
    return stable || settle_name(f);
}

static bool take_field(struct feed *f, struct span line, bool stable)
{
    const char *colon = memchr(line.ptr, ':', line.len);
    struct span field = {line.ptr, colon != NULL ? (size_t)(colon - line.ptr) : line.len};
    struct span value = {"", 0};
    if (colon != NULL) {
        value.ptr = colon + 1;
        value.len = line.len - field.len - 1;
        if (value.len > 0 && value.ptr[0] == ' ') {
            value.ptr++;
            value.len--;
        }
    }
    f->sse->mid_event = true;
    if (span_is(field, "data"))
        return take_data(f, value, stable);
    if (span_is(field, "event"))
        return take_name(f, value, stable);
    return true;
}

/* A blank line: the event is complete, or there was none. */
static bool end_event(struct feed *f)
{
    struct sse *s = f->sse;
    struct sse_event ev = {
        .name = f->name_in_place ? f->name : buf_span(&s->name),
        .data = f->in_place ? f->data : buf_span(&s->data),
        .has_data = s->have_data,
    };
    s->mid_event = false;
    s->have_data = false;
    bool ok = !ev.has_data || f->handler(f->ctx, &ev);
    f->in_place = false;
    f->name_in_place = false;
    buf_reset(&s->data);
    buf_reset(&s->name);
    return ok;
}

static bool take_line(struct feed *f, struct span line, bool stable)
{
    struct sse *s = f->sse;
    if (line.len > s->max + SSE_LINE_EXTRA)
        return false;
    if (!s->started && line.len >= bom.len && memcmp(line.ptr, bom.ptr, bom.len) == 0) {
        line.ptr += bom.len;
        line.len -= bom.len;
    }
    s->started = true;
    if (line.len == 0)
        return end_event(f);
    return line.ptr[0] == ':' || take_field(f, line, stable);
}

/* The end of a line that stands at [begin, end) of the fed bytes, its beginning perhaps
 * in the carry-over. */
static bool end_line(struct feed *f, struct span here)
{
    struct buf *carried = &f->sse->line;
    if (carried->len == 0)
        return take_line(f, here, true);
    if (!buf_add_span(carried, here))
        return false;
    /* Emptied first: the handler may ask for the boundary. */
    struct span line = buf_span(carried);
    carried->len = 0;
    bool ok = take_line(f, line, false);
    buf_reset(carried);
    return ok;
}

/* All complete lines of bytes, the rest to the carry-over. */
static bool take_lines(struct feed *f, struct span bytes)
{
    struct sse *s = f->sse;
    const char *p = bytes.ptr;
    const char *end = p + bytes.len;
    const char *lf = p; /* the next LF, or end; valid while it is not behind p */
    bool lf_known = false;
    while (p < end) {
        if (s->last_was_cr && *p == '\n') {
            s->last_was_cr = false;
            p++;
            continue;
        }
        s->last_was_cr = false;
        if (!lf_known || lf < p) {
            lf = memchr(p, '\n', (size_t)(end - p));
            lf = lf != NULL ? lf : end;
            lf_known = true;
        }
        const char *cr = memchr(p, '\r', (size_t)(lf - p));
        const char *stop = cr != NULL ? cr : lf;
        struct span here = {p, (size_t)(stop - p)};
        if (stop == end)
            return buf_add_span(&s->line, here);
        p = stop + 1;
        s->last_was_cr = cr != NULL;
        if (!end_line(f, here))
            return false;
    }
    return true;
}

bool sse_feed(struct sse *s, struct span bytes, sse_handler handler, void *ctx)
{
    if (s->broken)
        return false;
    if (bytes.len == 0)
        return true;
    struct feed f = {.sse = s, .handler = handler, .ctx = ctx};
    bool ok = take_lines(&f, bytes) && settle_data(&f) && settle_name(&f);
    s->broken = !ok;
    return ok;
}

bool sse_at_boundary(const struct sse *s)
{
    bool between_lines = s->line.len == 0 || (!s->started && span_eq(buf_span(&s->line), bom));
    return between_lines && !s->mid_event;
}
