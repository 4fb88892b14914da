/* Building of an answer: head, marks, framing. */
#include "sim/answer.h"

void answer_init(struct answer *a)
{
    *a = (struct answer){.status = 0};
    buf_init(&a->head, ANSWER_HEAD_MAX);
    buf_init(&a->body, ANSWER_BODY_MAX);
    buf_init(&a->marks, ANSWER_MARKS_MAX);
    buf_init(&a->sizes, ANSWER_MARKS_MAX);
}

static void forget(struct buf *b)
{
    if (b->cap > ANSWER_KEEP)
        buf_done(b);
    else
        buf_reset(b);
}

void answer_reset(struct answer *a)
{
    struct answer kept = {.head = a->head, .body = a->body, .marks = a->marks, .sizes = a->sizes};
    forget(&kept.head);
    forget(&kept.body);
    forget(&kept.marks);
    forget(&kept.sizes);
    *a = kept;
}

void answer_done(struct answer *a)
{
    buf_done(&a->head);
    buf_done(&a->body);
    buf_done(&a->marks);
    buf_done(&a->sizes);
}

bool buf_add_int(struct buf *b, int64_t n)
{
    char text[24];
    size_t at = sizeof(text);
    uint64_t left = n < 0 ? (uint64_t)0 - (uint64_t)n : (uint64_t)n;
    do {
        text[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (n < 0)
        text[--at] = '-';
    return buf_add(b, text + at, sizeof(text) - at);
}

const char *http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } rows[] = {
        {200, "OK"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {307, "Temporary Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {402, "Payment Required"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {413, "Payload Too Large"},
        {422, "Unprocessable Entity"},
        {425, "Too Early"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {529, "Site Overloaded"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].status == status)
            return rows[i].reason;
    }
    return "Unknown";
}

void answer_begin(struct answer *a, int status, const char *content_type)
{
    a->status = status;
    buf_adds(&a->head, "HTTP/1.1 ");
    buf_add_int(&a->head, status);
    buf_addc(&a->head, ' ');
    buf_adds(&a->head, http_reason(status));
    buf_adds(&a->head, "\r\n");
    if (content_type != NULL)
        answer_header(a, "content-type", span_of(content_type));
}

void answer_header(struct answer *a, const char *name, struct span value)
{
    buf_adds(&a->head, name);
    buf_adds(&a->head, ": ");
    buf_add_span(&a->head, value);
    buf_adds(&a->head, "\r\n");
}

bool answer_mark(struct answer *a, int64_t tokens)
{
    size_t n = answer_n_marks(a);
    int64_t before = n > 0 ? answer_marks(a)[n - 1].tokens : 0;
    struct mark mark = {(uint32_t)a->body.len, (uint32_t)(before + tokens)};
    return buf_add(&a->marks, &mark, sizeof(mark));
}

static void stop_at(struct answer *a, enum stop stop, size_t offset)
{
    if (a->stop != STOP_NONE && a->stop_at <= offset)
        return;
    a->stop = stop;
    a->stop_at = offset < a->body.len ? offset : a->body.len;
}

/* Events exist in streams only; a plain body is stopped in its middle instead. */
static size_t offset_of_event(const struct answer *a, int64_t events)
{
    size_t n = answer_n_marks(a);
    if (!a->chunked)
        return a->body.len / 2;
    if (events <= 0 || n == 0)
        return 0;
    return answer_marks(a)[(size_t)events < n ? (size_t)events - 1 : n - 1].end;
}

static void direct_stops(struct answer *a, const struct script *s)
{
    static const struct {
        enum script_number bytes, events;
        enum stop stop;
    } rows[] = {
        {SCRIPT_cut_after_bytes, SCRIPT_cut_after_events, STOP_CLOSE},
        {SCRIPT_reset_after_bytes, SCRIPT_reset_after_events, STOP_RESET},
        {SCRIPT_end_after_bytes, SCRIPT_end_after_events, STOP_END},
        {SCRIPT_hang_after_bytes, SCRIPT_hang_after_events, STOP_HANG},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (s->n[rows[i].bytes] >= 0)
            stop_at(a, rows[i].stop, (size_t)s->n[rows[i].bytes]);
        if (s->n[rows[i].events] >= 0)
            stop_at(a, rows[i].stop, offset_of_event(a, s->n[rows[i].events]));
    }
    a->silent = s->n[SCRIPT_hang] > 0 || s->n[SCRIPT_close_before_headers] > 0 ||
                s->n[SCRIPT_reset_before_headers] > 0;
    if (a->silent) {
        a->stop_at = 0;
        a->stop = s->n[SCRIPT_hang] > 0                   ? STOP_HANG
                  : s->n[SCRIPT_reset_before_headers] > 0 ? STOP_RESET
                                                          : STOP_CLOSE;
    }
}

void answer_direct(struct answer *a, const struct script *s)
{
    for (int i = 0; i < s->n_headers; i++) {
        buf_add_span(&a->head, s->headers[i].name);
        buf_adds(&a->head, ": ");
        buf_add_span(&a->head, s->headers[i].value);
        buf_adds(&a->head, "\r\n");
    }
    a->delay_ms = s->n[SCRIPT_delay_ms];
    a->ttft_ms = s->n[SCRIPT_ttft_ms];
    a->tps = s->n[SCRIPT_tps];
    a->chunk = s->n[SCRIPT_chunk];
    a->gap_ms = s->n[SCRIPT_gap_ms];
    a->ping_every_ms = s->n[SCRIPT_ping_every_ms];
    if (answer_n_marks(a) == 0)
        answer_mark(a, 0);
    direct_stops(a, s);
    if (a->stop == STOP_END && !a->silent) {
        /* The message is simply shorter: nothing else differs. */
        a->body.len = a->stop_at;
        a->stop = STOP_NONE;
        a->partial = true;
    }
}

void answer_seal(struct answer *a, int http_minor, bool keep_alive)
{
    if (a->chunked && http_minor == 0)
        a->chunked = false;
    else if (a->chunked)
        answer_header(a, "transfer-encoding", SPAN("chunked"));
    else {
        buf_adds(&a->head, "content-length: ");
        buf_add_int(&a->head, (int64_t)a->body.len);
        buf_adds(&a->head, "\r\n");
    }
    if (!keep_alive)
        answer_header(a, "connection", SPAN("close"));
    buf_adds(&a->head, "\r\n");
}
