/* The client's side of a request: memory, replies, error envelopes, the log line. */
#define _GNU_SOURCE
#include "server/request.h"

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <json-c/json.h>

#include "server/call.h"
#include "server/http.h"
#include "server/linger.h"
#include "server/log.h"

/* ---- memory: requests are pooled with their buffers ---- */

static size_t memory_of(const struct request *r)
{
    return sizeof *r + r->body.cap + r->headers.cap + r->reply_headers.cap + r->reply_body.cap +
           r->pipe.data.cap;
}

static struct request *take_free(struct worker *w)
{
    struct request *r = w->free_requests;
    if (r != NULL) {
        w->free_requests = r->next_free;
        worker_unkeep(w, memory_of(r));
        return r;
    }
    r = calloc(1, sizeof *r);
    if (r != NULL) {
        buf_init(&r->body, REQUEST_BODY_MAX);
        buf_init(&r->headers, REQUEST_REPLY_HEADERS_MAX);
        buf_init(&r->reply_headers, REQUEST_REPLY_HEADERS_MAX);
        buf_init(&r->reply_body, REQUEST_REPLY_MAX);
        buf_init(&r->pipe.data, REQUEST_PIPE_MAX);
    }
    return r;
}

static void free_memory(struct request *r)
{
    buf_done(&r->body);
    buf_done(&r->headers);
    buf_done(&r->reply_headers);
    buf_done(&r->reply_body);
    buf_done(&r->pipe.data);
    free(r);
}

static void give_back(struct worker *w, struct request *r)
{
    buf_keep(&r->body, REQUEST_KEEP);
    buf_keep(&r->headers, REQUEST_KEEP);
    buf_keep(&r->reply_headers, REQUEST_KEEP);
    buf_keep(&r->reply_body, REQUEST_KEEP);
    buf_keep(&r->pipe.data, REQUEST_KEEP);
    if (!worker_keep(w, memory_of(r))) {
        free_memory(r);
        return;
    }
    r->pipe.read = 0;
    r->pipe.ended = r->pipe.broken = false;
    r->parameter[0] = '\0';
    memset((char *)r + offsetof(struct request, magic), 0,
           sizeof *r - offsetof(struct request, magic));
    r->next_free = w->free_requests;
    w->free_requests = r;
}

void request_free_pool(struct worker *w)
{
    struct request *r = NULL;
    while ((r = w->free_requests) != NULL) {
        w->free_requests = r->next_free;
        worker_unkeep(w, memory_of(r));
        free_memory(r);
    }
}

struct request *request_new(struct front *f, struct MHD_Connection *conn)
{
    struct request *r = take_free(f->worker);
    if (r == NULL) {
        return NULL;
    }
    r->magic = REQUEST_MAGIC;
    r->worker = f->worker;
    r->front = f;
    r->conn = conn;
    r->linger_fd = -1;
    r->drain_max = REQUEST_DRAIN_MAX;
    r->id = worker_new_id(f->worker);
    r->begun_ms = worker_now_ms();
    f->worker->n_requests++;
    return r;
}

void request_free(struct request *r)
{
    assert(r->magic == REQUEST_MAGIC && !r->parked);
    struct call *call = r->call;
    r->gone = true;
    if (call != NULL) {
        call_client_gone(call); /* detaches: r->call is NULL after it */
    }
    assert(r->call == NULL);
    if (r->question != NULL) {
        *r->question = NULL;
    }
    if (r->linger_fd >= 0) {
        linger_start(r->worker, r->linger_fd);
    }
    upload_end(r);
    shed_give(r->worker->site->shed, &r->slot);
    identity_unref(r->identity);
    r->worker->n_requests--;
    give_back(r->worker, r);
}

bool request_weigh(struct request *r)
{
    const struct upload *u = &r->upload;
    bool coming = u->prev != NULL;
    int64_t bytes = (int64_t)(r->body.len + r->reply_body.len + r->pipe.data.len);
    if (coming && u->announced > bytes) {
        bytes = u->announced;
    }
    if (r->call != NULL) {
        bytes += call_bytes(r->call);
    }
    return shed_resize(r->worker->site->shed, &r->slot, bytes, !coming || u->announced >= 0);
}

int request_refuse_load(struct request *r, struct fail *f)
{
    struct worker *w = r->worker;
    metrics_add(&w->metrics, METRIC_requests_shed_total, 1);
    log_crowd(&w->paces[WORKER_SHED], worker_tick_ms(w), "overloaded: requests refused");
    r->crowd = true;
    r->drain_max = REQUEST_SHED_DRAIN_MAX;
    request_add_header(r, "x-should-retry", SPAN("true"));
    return fail_set(f, ERR_overloaded, NULL, "%s", err_info(ERR_overloaded)->text);
}

void request_add_header(struct request *r, const char *name, struct span value)
{
    buf_adds(&r->reply_headers, name);
    buf_adds(&r->reply_headers, ": ");
    buf_add_span(&r->reply_headers, value);
    buf_addc(&r->reply_headers, '\0');
}

void request_reply(struct request *r, int status, const char *content_type)
{
    assert(!r->replied);
    r->replied = true;
    if (r->reply_body.failed || r->reply_headers.failed) {
        /* No half of an answer: what is written now is short, and may find room all the same. */
        struct fail f;
        fail_set(&f, ERR_internal, NULL, "out of memory for the answer");
        status = err_info(f.code)->status;
        content_type = "application/json";
        buf_done(&r->reply_headers);
        buf_done(&r->reply_body);
        request_write_error(r, &f, (struct span){NULL, 0}, &r->reply_body);
    }
    r->status = status;
    if (content_type != NULL) {
        request_add_header(r, "content-type", span_of(content_type));
    }
    request_wake(r);
}

/* A list may be long, and its client read none of it: what is more than a grain needs a place in
 * the load also where the request, for want of a body, has none. */
static bool has_room(struct request *r)
{
    int64_t bytes = (int64_t)r->reply_body.len;
    return r->slot.row != NULL || r->key == NULL || bytes <= SHED_GRAIN ||
           shed_take(r->worker->site->shed, r->key->id, bytes, false, &r->slot) == SHED_IN;
}

void request_reply_json(struct request *r, struct json_object *o)
{
    const char *text =
        json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    if (text != NULL) {
        buf_adds(&r->reply_body, text);
    } else {
        r->reply_body.failed = true; /* out of memory */
    }
    json_object_put(o);
    if (!has_room(r)) {
        struct fail f;
        buf_done(&r->reply_body);
        request_refuse_load(r, &f);
        request_reply_fail(r, &f);
        return;
    }
    request_reply(r, 200, "application/json");
}

static void write_anthropic_error(const struct request *r, const struct fail *f,
                                  struct span members, struct buf *out)
{
    char id[ID_TEXT_MAX];
    buf_addf(out, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":",
             err_info(f->code)->anthropic_type);
    json_write_string(out, span_of(f->text));
    if (members.len > 0) {
        buf_addc(out, ',');
        buf_add_span(out, members);
    }
    buf_addf(out, "},\"request_id\":\"%s\"}", id_print(&r->id, ID_PREFIX_GENERATION, id));
}

static void write_openai_error(const struct fail *f, struct span members, struct buf *out)
{
    const struct err_info *info = err_info(f->code);
    buf_adds(out, "{\"error\":{\"message\":");
    json_write_string(out, span_of(f->text));
    buf_addf(out, ",\"type\":\"%s\",\"param\":", info->openai_type);
    if (f->field[0] != '\0') {
        json_write_string(out, span_of(f->field));
    } else {
        buf_adds(out, "null");
    }
    buf_addf(out, info->openai_code != NULL ? ",\"code\":\"%s\"" : ",\"code\":null",
             info->openai_code);
    if (members.len > 0) {
        buf_addc(out, ',');
        buf_add_span(out, members);
    }
    buf_adds(out, "}}");
}

void request_write_error(const struct request *r, const struct fail *f, struct span error_members,
                         struct buf *out)
{
    if (r->door == DOOR_OPENAI) {
        write_openai_error(f, error_members, out);
    } else {
        write_anthropic_error(r, f, error_members, out);
    }
}

static int status_at_door(const struct request *r, int status)
{
    return r->door == DOOR_OPENAI && status == 529 ? 503 : status;
}

static void add_generation_header(struct request *r)
{
    char id[ID_TEXT_MAX];
    if (header_find(buf_span(&r->reply_headers), "x-wayfare-generation-id").len == 0) {
        request_add_header(r, "x-wayfare-generation-id",
                           span_of(id_print(&r->id, ID_PREFIX_GENERATION, id)));
    }
}

void request_reply_fail_more(struct request *r, const struct fail *f, int64_t retry_after_ms,
                             struct span error_members)
{
    const struct err_info *info = err_info(f->code);
    buf_reset(&r->reply_body);
    request_write_error(r, f, error_members, &r->reply_body);
    add_generation_header(r);
    if (info->retry == RETRY_NEVER) {
        request_add_header(r, "x-should-retry", SPAN("false"));
    }
    if (retry_after_ms >= 0 || info->retry == RETRY_LATER) {
        char seconds[24];
        int64_t s = retry_after_ms > 0 ? (retry_after_ms + 999) / 1000 : 1;
        snprintf(seconds, sizeof seconds, "%" PRId64, s);
        request_add_header(r, "retry-after", span_of(seconds));
    }
    metrics_add(&r->worker->metrics, METRIC_requests_refused_total, 1);
    int status = status_at_door(r, info->status);
    if (!r->crowd) {
        request_log(r, status, f->text);
    }
    request_reply(r, status, "application/json");
}

void request_reply_fail(struct request *r, const struct fail *f)
{
    request_reply_fail_more(r, f, -1, (struct span){NULL, 0});
}

void request_log(const struct request *r, int status, const char *detail)
{
    enum log_level level = status >= 500 ? LOG_WARN : LOG_INFO;
    if (!log_enabled(level)) {
        return;
    }
    char id[ID_TEXT_MAX];
    struct buf line;
    buf_init(&line, LOG_LINE_MAX);
    buf_reserve(&line, LOG_LINE_USUAL);
    buf_addf(&line, "req=%s status=%d ms=%" PRId64, id_print(&r->id, ID_PREFIX_GENERATION, id),
             status, worker_now_ms() - r->begun_ms);
    if (r->key != NULL) {
        log_value(&line, "team", span_of(r->key->team));
        buf_adds(&line, " key=");
        buf_adds(&line, r->key->public_id);
    }
    if (detail != NULL) {
        log_value(&line, "msg", span_of(detail));
    }
    log_text(level, buf_span(&line));
    buf_done(&line);
}
