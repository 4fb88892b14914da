#define _GNU_SOURCE
/* The player: one step function, no state besides struct play. */
#include "sim/play.h"

#include <stdio.h>

#include "sim/http_sim.h"

/* Nothing of a plain answer is due before all of it is generated. */
static const size_t NOT_DUE = SIZE_MAX;

void play_begin(struct conn *c)
{
    uint64_t now = uv_now(&c->sim->loop);
    c->play = (struct play){.start_ms = now, .ping_ms = now};
}

int64_t play_tokens(const struct conn *c)
{
    const struct answer *a = &c->answer;
    const struct mark *marks = answer_marks(a);
    int64_t tokens = 0;
    for (size_t i = 0; i < answer_n_marks(a) && marks[i].end <= c->play.pos; i++)
        tokens = marks[i].tokens;
    return tokens;
}

static uint64_t mark_due_ms(const struct conn *c, size_t i)
{
    const struct answer *a = &c->answer;
    uint64_t due = c->play.start_ms + (uint64_t)a->delay_ms + (uint64_t)a->ttft_ms;
    if (a->tps > 0)
        due += (uint64_t)answer_marks(a)[i].tokens * 1000 / (uint64_t)a->tps;
    return due;
}

/* The end of what may be sent now; *ret_wait_ms is when more becomes due. */
static size_t due_end(struct conn *c, uint64_t now, uint64_t *ret_next_ms)
{
    const struct answer *a = &c->answer;
    size_t n = answer_n_marks(a);
    if (a->ttft_ms == 0 && a->tps == 0)
        return a->body.len;
    while (c->play.mark < n) {
        uint64_t due = mark_due_ms(c, c->play.mark);
        if (due > now) {
            *ret_next_ms = due;
            break;
        }
        c->play.mark++;
    }
    if (c->play.mark == n)
        return a->body.len;
    if (c->play.mark == 0)
        return a->chunked ? 0 : NOT_DUE;
    size_t end = answer_marks(a)[c->play.mark - 1].end;
    return end < a->body.len ? end : a->body.len;
}

static size_t piece_size(struct conn *c, size_t ready)
{
    const struct answer *a = &c->answer;
    size_t n = ready;
    if (ready == 0)
        return 0;
    if (a->chunk > 0)
        n = (size_t)a->chunk;
    else if (a->chunk == CHUNK_RANDOM)
        n = 1 + sim_random(c->sim) % (sim_random(c->sim) % 4 == 0 ? 1500 : 40);
    else if (a->chunk == CHUNK_RECORDED && c->play.piece < a->sizes.len / sizeof(uint32_t)) {
        uint32_t size;
        memcpy(&size, a->sizes.ptr + c->play.piece * sizeof(size), sizeof(size));
        c->play.piece++;
        n = size;
    }
    return n < ready ? n : ready;
}

/* Sends the head if it is still due, and n bytes of the body. */
static bool send_piece(struct conn *c, size_t n)
{
    struct answer *a = &c->answer;
    uv_buf_t v[4];
    unsigned k = 0;
    char size_line[24];
    bool last = c->play.pos + n == a->body.len && a->stop == STOP_NONE;
    if (!c->play.head_sent)
        v[k++] = uv_buf_init(a->head.ptr, (unsigned)a->head.len);
    if (a->bodiless)
        n = a->body.len - c->play.pos;
    else if (a->chunked) {
        int len = snprintf(size_line, sizeof(size_line), "%zx\r\n", n);
        if (n > 0) {
            v[k++] = uv_buf_init(size_line, (unsigned)len);
            v[k++] = uv_buf_init(a->body.ptr + c->play.pos, (unsigned)n);
        }
        static char ends[] = "\r\n0\r\n\r\n";
        char *end = n > 0 ? ends : ends + 2;
        size_t end_len = (n > 0 ? 2u : 0u) + (last ? 5u : 0u);
        if (end_len > 0)
            v[k++] = uv_buf_init(end, (unsigned)end_len);
    } else if (n > 0) {
        v[k++] = uv_buf_init(a->body.ptr + c->play.pos, (unsigned)n);
    }
    c->play.head_sent = true;
    c->play.pos += n;
    c->play.ping_ms = uv_now(&c->sim->loop);
    return k == 0 || conn_write(c, v, k);
}

static bool send_ping(struct conn *c)
{
    char size_line[24];
    const char *ping = c->answer.ping;
    int len = snprintf(size_line, sizeof(size_line), "%zx\r\n", strlen(ping));
    uv_buf_t v[3] = {uv_buf_init(size_line, (unsigned)len),
                     uv_buf_init((char *)(uintptr_t)ping, (unsigned)strlen(ping)),
                     uv_buf_init((char *)(uintptr_t) "\r\n", 2)};
    c->play.ping_ms = uv_now(&c->sim->loop);
    return conn_write(c, v, 3);
}

static void stop_here(struct conn *c)
{
    switch (c->answer.stop) {
    case STOP_CLOSE:
        conn_close(c, "cut", false);
        break;
    case STOP_RESET:
        if (c->play.reset_due) {
            conn_close(c, "reset", true);
            break;
        }
        c->play.reset_due = true;
        conn_arm(c, PLAY_RESET_MS);
        break;
    case STOP_HANG:
    case STOP_NONE:
    case STOP_END:
        break;
    }
}

static bool at_event_end(const struct conn *c)
{
    const struct mark *marks = answer_marks(&c->answer);
    for (size_t i = 0; i < answer_n_marks(&c->answer); i++) {
        if (marks[i].end == c->play.pos)
            return true;
    }
    return c->play.pos == 0;
}

/* Nothing is due before next_ms: a ping may be. */
static bool wait_until(struct conn *c, uint64_t now, uint64_t next_ms)
{
    const struct answer *a = &c->answer;
    bool may_ping = a->ping_every_ms > 0 && a->ping != NULL && a->chunked && c->play.head_sent &&
                    at_event_end(c);
    if (may_ping) {
        uint64_t ping_due = c->play.ping_ms + (uint64_t)a->ping_every_ms;
        if (ping_due <= now)
            return send_ping(c);
        if (ping_due < next_ms)
            next_ms = ping_due;
    }
    if (next_ms != UINT64_MAX)
        conn_arm(c, next_ms > now ? next_ms - now : 1);
    return false;
}

/* One step; true when another may follow at once. */
static bool step(struct conn *c, uint64_t now)
{
    struct answer *a = &c->answer;
    uint64_t begin_ms = c->play.start_ms + (uint64_t)a->delay_ms;
    uint64_t next_ms = UINT64_MAX;
    if (now < begin_ms) {
        conn_arm(c, begin_ms - now);
        return false;
    }
    if (a->silent || c->play.reset_due) {
        stop_here(c);
        return false;
    }
    size_t due = due_end(c, now, &next_ms);
    bool generated = due != NOT_DUE;
    size_t limit = a->stop != STOP_NONE ? a->stop_at : a->body.len;
    size_t ready = !generated ? 0 : (due < limit ? due : limit) - c->play.pos;
    if (ready > 0 || (!c->play.head_sent && generated)) {
        if (!send_piece(c, piece_size(c, ready)))
            return false;
        if (a->gap_ms > 0 && c->play.pos < limit && !c->writing) {
            conn_arm(c, (uint64_t)a->gap_ms);
            return false;
        }
        return true;
    }
    if (c->play.head_sent && c->play.pos == limit) {
        if (a->stop == STOP_HANG)
            return wait_until(c, now, UINT64_MAX);
        if (a->stop != STOP_NONE)
            stop_here(c);
        else
            conn_answered(c, "complete", !c->keep_alive);
        return false;
    }
    return wait_until(c, now, next_ms);
}

void play_run(struct conn *c)
{
    uint64_t now = uv_now(&c->sim->loop);
    for (int i = 0; c->state == CONN_ANSWER && !c->writing; i++) {
        if (i == PLAY_TURN) {
            conn_arm(c, 1);
            return;
        }
        if (!step(c, now))
            return;
    }
}
