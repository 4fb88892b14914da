/* libmicrohttpd inside a worker's loop.  Rules of this library that shape the code, each
 * pinned by a probe in tests/probe: a resume wakes nothing (the front is marked dirty and
 * run again by the prepare hook); never suspend in the first handler call; all body bytes are
 * taken; a reply in the first call closes the connection; a suspended connection sees no
 * disconnect (watched by ourselves); the completed callback comes before the response dies. */
#define _GNU_SOURCE
#include "server/http.h"

#include <assert.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "schema/field.h"
#include "server/address.h"
#include "server/auth.h"
#include "server/call.h"
#include "server/gate.h"
#include "server/log.h"
#include "server/tls.h"

/* ---- the route table's look-up ---- */

static bool route_matches(const struct route_row *row, const char *path, char *parameter,
                          size_t cap)
{
    if (!row->parameter) {
        return strcmp(row->path, path) == 0;
    }
    size_t head = strlen(row->path), tail = strlen(row->suffix), len = strlen(path);
    if (len <= head + tail || strncmp(path, row->path, head) != 0 ||
        strcmp(path + len - tail, row->suffix) != 0 || len - head - tail >= cap) {
        return false;
    }
    memcpy(parameter, path + head, len - head - tail);
    parameter[len - head - tail] = '\0';
    return true;
}

const struct route_row *route_find(const char *method, const char *path, char *parameter,
                                   size_t cap, const char **ret_allow)
{
    *ret_allow = NULL;
    for (const struct route_row *row = routes; row->path != NULL; row++) {
        if (!route_matches(row, path, parameter, cap)) {
            continue;
        }
        bool head = strcmp(method, "HEAD") == 0 && strcmp(row->method, "GET") == 0;
        if (head || strcmp(row->method, method) == 0) {
            return row;
        }
        *ret_allow = row->method;
    }
    return NULL;
}

/* ---- reading the client's request ---- */

struct span request_header(const struct request *r, const char *name)
{
    if (r->conn == NULL) {
        return header_find(buf_span(&r->headers), name);
    }
    const char *v = MHD_lookup_connection_value(r->conn, MHD_HEADER_KIND, name);
    return v != NULL ? field_trim(span_of(v)) : (struct span){"", 0};
}

struct span request_session(const struct request *r)
{
    struct span session = request_header(r, "x-claude-code-session-id");
    return session.len > 0 ? session : request_header(r, "x-session-id");
}

bool request_has_header(const struct request *r, const char *name)
{
    if (r->conn == NULL) {
        return header_find(buf_span(&r->headers), name).len > 0;
    }
    return MHD_lookup_connection_value_n(r->conn, MHD_HEADER_KIND, name, strlen(name), NULL,
                                         NULL) == MHD_YES;
}

const char *request_query(const struct request *r, const char *name)
{
    return MHD_lookup_connection_value(r->conn, MHD_GET_ARGUMENT_KIND, name);
}

static enum MHD_Result gate_each(void *ctx, enum MHD_ValueKind kind, const char *name,
                                 size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    gate_header(ctx, (struct span){name, name_len},
                (struct span){value != NULL ? value : "", value != NULL ? value_len : 0});
    return MHD_YES;
}

struct header_collector {
    struct client_headers *out;
    struct buf *beta;
};

static bool is_header(struct span n, const char *name)
{
    return n.len == strlen(name) && strncasecmp(n.ptr, name, n.len) == 0;
}

static void collect(struct header_collector *c, struct span n, struct span v)
{
    struct client_headers *h = c->out;
    if (n.len < 10 || strncasecmp(n.ptr, "anthropic-", 10) != 0) {
        return;
    }
    if (is_header(n, "anthropic-version")) {
        h->anthropic_version = v;
    } else if (is_header(n, "anthropic-beta")) {
        if (c->beta->len > 0) {
            buf_addc(c->beta, ',');
        }
        buf_add_span(c->beta, v);
    } else if (h->n_other < (int)(sizeof h->other / sizeof h->other[0])) {
        h->other[h->n_other].name = n;
        h->other[h->n_other++].value = v;
    }
}

static enum MHD_Result collect_each(void *ctx, enum MHD_ValueKind kind, const char *name,
                                    size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    collect(ctx, (struct span){name, name_len},
            (struct span){value != NULL ? value : "", value_len});
    return MHD_YES;
}

struct trail_reader {
    struct loop_trail *trail;
    const char *name;
};

static enum MHD_Result trail_each(void *ctx, enum MHD_ValueKind kind, const char *name,
                                  size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    struct trail_reader *t = ctx;
    if (value != NULL && is_header((struct span){name, name_len}, "via")) {
        loop_read(t->trail, (struct span){value, value_len}, t->name);
    }
    return MHD_YES;
}

void request_trail(const struct request *r, struct loop_trail *ret)
{
    struct trail_reader t = {ret, r->worker->site->loop_name};
    if (request_header(r, "via").len > 0) {
        MHD_get_connection_values_n(r->conn, MHD_HEADER_KIND, trail_each, &t);
    }
    loop_pass(ret, t.name);
}

void request_client_headers(const struct request *r, struct client_headers *ret, struct buf *beta)
{
    *ret = (struct client_headers){0};
    struct header_collector c = {ret, beta};
    if (r->conn != NULL) {
        MHD_get_connection_values_n(r->conn, MHD_HEADER_KIND, collect_each, &c);
    } else {
        struct span name, value;
        size_t cursor = 0;
        while (header_next(buf_span(&r->headers), &cursor, &name, &value)) {
            collect(&c, name, value);
        }
    }
    ret->anthropic_beta = buf_span(beta);
}

/* ---- authentication ---- */

static const struct sockaddr *address_of(struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return info != NULL ? info->client_addr : NULL;
}

/* A valid key gets in however often others of its address fail. */
static int check_key(struct request *r, struct fail *f)
{
    struct worker *w = r->worker;
    if (auth_request(r, f) == 0) {
        return 0;
    }
    metrics_add(&w->metrics, METRIC_requests_unauthenticated_total, 1);
    if (address_may_fail(w->site->addresses, address_of(r->conn), worker_tick_ms(w))) {
        return -1;
    }
    log_crowd(&w->paces[WORKER_AUTH_FAILURES], worker_tick_ms(w),
              "too many failed authentications from one address");
    r->crowd = true;
    return fail_set(f, ERR_too_many_failures, NULL, "%s", err_info(ERR_too_many_failures)->text);
}

static struct conn *conn_of(struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

static int fd_of(struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info != NULL ? info->connect_fd : -1;
}

int request_fd(const struct request *r)
{
    return fd_of(r->conn);
}

/* ---- first call ---- */

/* Of the request line and the headers, as received; the method is where they begin. */
static size_t head_size(struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info != NULL ? info->header_size : 0;
}

size_t request_header_room(const struct request *r)
{
    size_t used = HTTP_OWN_HEADERS;
    if (r->conn != NULL) {
        /* What it has read of the head, an entry each; cookies are taken apart in a copy. */
        enum MHD_ValueKind kinds =
            MHD_HEADER_KIND | MHD_COOKIE_KIND | MHD_GET_ARGUMENT_KIND; /* NOLINT: flags */
        int n = MHD_get_connection_values(r->conn, kinds, NULL, NULL);
        used += head_size(r->conn) + (size_t)n * HTTP_HEADER_COST;
        used += request_header(r, MHD_HTTP_HEADER_COOKIE).len;
    }
    return used < HTTP_POOL_BYTES ? HTTP_POOL_BYTES - used : 0;
}

static int pass_gate(struct request *r, const char *method, const char *version, struct fail *f)
{
    struct gate g;
    gate_init(&g, strcmp(version, MHD_HTTP_VERSION_1_1) == 0, method);
    gate_line(&g, version);
    MHD_get_connection_values_n(r->conn, MHD_HEADER_KIND, gate_each, &g);
    gate_end(&g, method + head_size(r->conn));
    if (gate_verdict(&g, f) == ERR_OK) {
        r->close = gate_body_is_ignored(&g);
        return 0;
    }
    metrics_add(&r->worker->metrics, METRIC_requests_gate_total, 1);
    return -1;
}

static int find_route(struct request *r, const char *method, const char *url, struct fail *f)
{
    const char *allow = NULL;
    r->route = route_find(method, url, r->parameter, sizeof r->parameter, &allow);
    if (r->route != NULL) {
        return 0;
    }
    if (allow == NULL) {
        return fail_set(f, ERR_not_found, NULL, "there is nothing at this path");
    }
    request_add_header(r, "allow", strcmp(allow, "GET") == 0 ? SPAN("GET, HEAD") : span_of(allow));
    return fail_set(f, ERR_method_not_allowed, NULL, "this path takes %s", allow);
}

/* -1 when unknown (chunked); 0 without framing (RFC 9112, 6.3). */
static int64_t announced_size(const struct request *r)
{
    struct span cl = request_header(r, "content-length");
    if (cl.len == 0) {
        return request_has_header(r, "transfer-encoding") ? -1 : 0;
    }
    return cl.len < 19 ? strtoll(cl.ptr, NULL, 10) : INT64_MAX;
}

/* The body is seldom longer than announced; growing step by step would copy it several times. */
static void reserve_body(struct request *r)
{
    int64_t n = announced_size(r);
    if (n > 0) {
        buf_reserve(&r->body, n < REQUEST_RESERVE_MAX ? (size_t)n : REQUEST_RESERVE_MAX);
    }
}

/* A place in the load, before the body is read. */
static int take_slot(struct request *r, struct fail *f)
{
    struct worker *w = r->worker;
    int64_t size = announced_size(r);
    switch (shed_take(w->site->shed, r->key->id, size, r->route->bills, &r->slot)) {
    case SHED_IN:
        return 0;
    case SHED_NO_MEMORY:
        return fail_set(f, ERR_internal, NULL, "out of memory");
    case SHED_REFUSED:
        break;
    }
    return request_refuse_load(r, f);
}

static int admit(struct request *r, const char *method, const char *url, struct fail *f)
{
    if (find_route(r, method, url, f) != 0) {
        return -1;
    }
    metrics_add(&r->worker->metrics, METRIC_requests_total, 1);
    if (r->route->needs_key && check_key(r, f) != 0) {
        return -1;
    }
    if (announced_size(r) > REQUEST_BODY_MAX) {
        return fail_set(f, ERR_too_large, NULL, "the request body is over the limit of %d bytes",
                        REQUEST_BODY_MAX);
    }
    r->report_body = span_is(request_header(r, "x-wayfare-report"), "body");
    if (!r->route->has_body) {
        return 0;
    }
    if (!call_limits_upload(r) || take_slot(r, f) != 0) {
        return -1;
    }
    reserve_body(r);
    return 0;
}

/* Sets the reply for a refusal.  The connection survives only when the body is small enough
 * to be read and thrown away. */
static bool must_close(const struct request *r)
{
    return announced_size(r) > r->drain_max || request_header(r, "transfer-encoding").len > 0 ||
           request_header(r, "expect").len > 0;
}

static enum MHD_Result queue_reply(struct request *r);

/* Whose clients ask: the models are listed in the shape of either. */
static enum chat_door door_of(const struct request *r, const char *url)
{
    bool models = strcmp(url, "/v1/models") == 0 || strncmp(url, "/v1/models/", 11) == 0;
    bool openai = strncmp(url, "/v1/chat/", 9) == 0 ||
                  (models && request_header(r, "anthropic-version").len == 0);
    return openai ? DOOR_OPENAI : DOOR_ANTHROPIC;
}

static enum MHD_Result first_call(struct front *f, struct MHD_Connection *conn, const char *url,
                                  const char *method, const char *version, void **con_cls)
{
    struct request *r = request_new(f, conn);
    if (r == NULL) {
        return MHD_NO;
    }
    *con_cls = r;
    conn_served(conn_of(conn));
    r->door = door_of(r, url);
    struct fail fail;
    bool gated = pass_gate(r, method, version, &fail) != 0;
    bool admitted = !gated && admit(r, method, url, &fail) == 0;
    if (!gated && announced_size(r) != 0) {
        upload_begin(r, announced_size(r));
    }
    if (admitted) {
        return MHD_YES;
    }
    r->refused_early = true;
    r->close |= gated || must_close(r);
    if (!r->replied) {
        request_reply_fail(r, &fail);
    }
    if (r->close && !gated && !r->worker->site->tls) {
        r->linger_fd = dup(fd_of(conn)); /* the library closes its own as soon as it has replied */
    }
    return r->close ? queue_reply(r) : MHD_YES;
}

/* ---- body ---- */

static void give_up_body(struct request *r, const struct fail *f)
{
    r->refused_early = r->close = true;
    buf_done(&r->body);
    request_weigh(r);
    request_reply_fail(r, f);
}

static bool discards(const struct request *r)
{
    return r->refused_early || !r->route->has_body;
}

static enum MHD_Result body_call(struct request *r, const char *bytes, size_t *n)
{
    struct fail fail;
    if (r->gone) {
        return MHD_NO;
    }
    upload_progress(r, *n);
    if (!discards(r) && !buf_add(&r->body, bytes, *n)) {
        if (*n > REQUEST_BODY_MAX - r->body.len) {
            fail_set(&fail, ERR_too_large, NULL, "the request body is over the limit of %d bytes",
                     REQUEST_BODY_MAX);
        } else {
            fail_set(&fail, ERR_internal, NULL, "out of memory");
        }
        give_up_body(r, &fail);
    } else if (!discards(r) && !request_weigh(r)) {
        request_refuse_load(r, &fail);
        give_up_body(r, &fail);
        if (upload_answer(r)) {
            return MHD_NO;
        }
    }
    if (discards(r)) {
        r->discarded += *n;
        if (r->discarded > REQUEST_DISCARD_MAX) {
            return MHD_NO; /* it goes on for ever: the connection is closed */
        }
    }
    metrics_add(&r->worker->metrics, METRIC_bytes_in_total, (int64_t)*n);
    *n = 0;
    return MHD_YES;
}

/* ---- replies ---- */

static void add_reply_headers(struct MHD_Response *response, struct request *r)
{
    char *line = r->reply_headers.ptr, *end = line + r->reply_headers.len;
    for (; line < end; line += strlen(line) + 1) {
        char *colon = strstr(line, ": ");
        if (colon != NULL) {
            *colon = '\0'; /* the library copies; it refuses CR, LF and bad names */
            MHD_add_response_header(response, line, colon + 2);
            *colon = ':';
        }
    }
    if (r->close || r->worker->draining) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    }
}

static enum MHD_Result queue_response(struct request *r, struct MHD_Response *response)
{
    if (response == NULL) {
        return MHD_NO;
    }
    add_reply_headers(response, r);
    enum MHD_Result ok = MHD_queue_response(r->conn, (unsigned)r->status, response);
    MHD_destroy_response(response);
    r->queued = true;
    return ok;
}

/* libmicrohttpd keeps its own reference; the bytes are the request's until completion. */
static enum MHD_Result queue_reply(struct request *r)
{
    if (r->streaming) {
        return queue_response(r, stream_response(r));
    }
    metrics_add(&r->worker->metrics, METRIC_bytes_out_total, (int64_t)r->reply_body.len);
    static char nothing[1];
    char *body = r->reply_body.len > 0 ? r->reply_body.ptr : nothing;
    return queue_response(
        r, MHD_create_response_from_buffer(r->reply_body.len, body, MHD_RESPMEM_PERSISTENT));
}

/* ---- the handler ---- */

/* The library has read a request's line. The handler's first call is to find NULL. */
static void *on_line(void *cls, const char *uri, struct MHD_Connection *conn)
{
    (void)uri;
    struct worker *w = ((struct front *)cls)->worker;
    conn_begins(&w->conns, conn_of(conn), worker_tick_ms(w));
    return NULL;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **con_cls)
{
    struct request *r = *con_cls;
    if (r == NULL) {
        return first_call(cls, conn, url, method, version, con_cls);
    }
    assert(r->magic == REQUEST_MAGIC);
    if (*upload_size > 0) {
        return body_call(r, upload, upload_size);
    }
    r->resuming = false;
    upload_end(r);
    if (r->gone) {
        return MHD_NO;
    }
    if (!r->replied && !r->started) {
        r->started = true;
        shed_uploaded(r->worker->site->shed, &r->slot);
        r->route->start(r);
        request_weigh(r);
    }
    if (r->replied && !r->queued) {
        return queue_reply(r);
    }
    if (!r->replied && !r->parked) {
        request_park(r);
    }
    return MHD_YES;
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **con_cls,
                         enum MHD_RequestTerminationCode toe)
{
    (void)toe;
    struct front *f = cls;
    struct request *r = *con_cls;
    conn_waits(&f->worker->conns, conn_of(conn), worker_tick_ms(f->worker));
    if (r == NULL) {
        return;
    }
    assert(r->magic == REQUEST_MAGIC);
    *con_cls = NULL;
    request_free(r);
}

static void forget_connection(struct worker *w, const struct sockaddr *from)
{
    __atomic_sub_fetch(&w->site->connections, 1, __ATOMIC_RELAXED);
    address_leave(w->site->addresses, from);
}

static void on_connection(void *cls, struct MHD_Connection *conn, void **socket_ctx,
                          enum MHD_ConnectionNotificationCode what)
{
    struct front *f = cls;
    struct worker *w = f->worker;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *socket_ctx = conn_open(&w->conns, fd_of(conn), worker_tick_ms(w));
    } else {
        f->added_closed |= f->adding;
        conn_close(*socket_ctx);
        *socket_ctx = NULL;
        forget_connection(w, address_of(conn));
    }
}

static void on_library_log(void *cls, const char *fmt, va_list args)
    __attribute__((format(printf, 2, 0)));
static void on_library_log(void *cls, const char *fmt, va_list args)
{
    (void)cls;
    char text[512];
    vsnprintf(text, sizeof text, fmt, args);
    log_fault(LOG_DEBUG, "http library", text, "%s", "");
}

/* ---- parking ---- */

static void park_list_remove(struct request *r)
{
    struct worker *w = r->worker;
    if (r->park_prev != NULL) {
        r->park_prev->park_next = r->park_next;
    } else if (w->parked_head == r) {
        w->parked_head = r->park_next;
    }
    if (r->park_next != NULL) {
        r->park_next->park_prev = r->park_prev;
    } else if (w->parked_tail == r) {
        w->parked_tail = r->park_prev;
    }
    r->park_prev = r->park_next = NULL;
}

void request_park(struct request *r)
{
    struct worker *w = r->worker;
    assert(!r->parked && !r->resuming);
    r->parked = true;
    r->parked_ms = worker_tick_ms(w);
    r->park_prev = w->parked_tail;
    if (w->parked_tail != NULL) {
        w->parked_tail->park_next = r;
    } else {
        w->parked_head = r;
    }
    w->parked_tail = r;
    MHD_suspend_connection(r->conn);
}

static void free_watch(uv_handle_t *h)
{
    free(h);
}

/* Before a resume: the descriptor is the library's again. */
static void unwatch(struct request *r)
{
    park_list_remove(r);
    if (r->watch != NULL) {
        uv_poll_stop(r->watch);
        uv_close((uv_handle_t *)r->watch, free_watch);
        r->watch = NULL;
    }
}

void request_wake(struct request *r)
{
    if (!r->parked) {
        return;
    }
    unwatch(r);
    r->parked = false;
    r->resuming = true;
    MHD_resume_connection(r->conn);
    worker_dirty(r->front);
}

/* FIN arrives as UV_DISCONNECT, RST as an error status; a half-closed client counts as gone,
 * as with nginx (proxy_ignore_client_abort off). */
static void on_disconnect(uv_poll_t *h, int status, int events)
{
    struct request *r = h->data;
    assert(r->magic == REQUEST_MAGIC);
    if (status >= 0 && (events & UV_DISCONNECT) == 0) {
        return;
    }
    r->gone = true;
    r->close = true;
    request_wake(r);
    if (r->call != NULL) {
        call_client_gone(r->call);
    }
}

static bool watch(struct request *r)
{
    int fd = fd_of(r->conn);
    uv_poll_t *h = fd >= 0 ? malloc(sizeof *h) : NULL;
    if (h == NULL) {
        return false;
    }
    if (uv_poll_init(&r->worker->uv, h, fd) != 0) {
        free(h);
        return false;
    }
    h->data = r;
    r->watch = h;
    uv_poll_start(h, UV_DISCONNECT, on_disconnect);
    return true;
}

void request_watch_parked(struct worker *w)
{
    int64_t before_ms = worker_tick_ms(w) - PARKED_UNWATCHED_MS;
    struct request *r = NULL;
    while ((r = w->parked_head) != NULL && r->parked_ms <= before_ms) {
        if (!watch(r)) {
            return; /* out of memory: tried again at the next tick */
        }
        park_list_remove(r);
    }
}

/* ---- the daemon ---- */

/* %00 would end the path early: it stays visible, and no route has it. */
static size_t unescape_target(void *cls, struct MHD_Connection *conn, char *text)
{
    (void)cls, (void)conn;
    size_t n = MHD_http_unescape(text);
    for (size_t i = 0; i < n; i++) {
        text[i] = text[i] == '\0' ? '\x01' : text[i];
    }
    return n;
}

int front_open(struct front *f, struct worker *w, struct fail *reterr)
{
    const struct site *site = w->site;
    bool tls = site->tls;
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
                     MHD_USE_NO_LISTEN_SOCKET | (tls ? MHD_USE_TLS : 0u);
    static char tls_priorities[] = TLS_PRIORITIES;
    struct MHD_OptionItem tls_options[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)tls_retrieve},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)tls_priorities},
        {MHD_OPTION_END, 0, NULL},
    };
    static struct MHD_OptionItem no_options[] = {{MHD_OPTION_END, 0, NULL}};
    f->worker = w;
    f->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, f, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, f, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
        f, MHD_OPTION_URI_LOG_CALLBACK, on_line, f, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)site->options.max_connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HTTP_POOL_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)(site->options.client_timeout_s + HTTP_SILENCE_MORE_S),
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_UNESCAPE_CALLBACK, unescape_target, NULL,
        MHD_OPTION_ARRAY, tls ? tls_options : no_options, MHD_OPTION_END);
    if (f->daemon == NULL) {
        return fail_set(reterr, ERR_internal, NULL, "the HTTP library could not start");
    }
    return 0;
}

int front_epoll_fd(const struct front *f)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(f->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    assert(info != NULL);
    return info->epoll_fd;
}

void front_add(struct front *f, int fd, const struct sockaddr *addr, unsigned addr_len)
{
    /* The library closes the socket itself when it refuses it, and may or may not have told. */
    f->adding = true;
    f->added_closed = false;
    bool added = MHD_add_connection(f->daemon, fd, addr, addr_len) == MHD_YES;
    f->adding = false;
    if (!added && !f->added_closed) {
        forget_connection(f->worker, addr);
    }
    f->dirty = true;
}

int64_t front_timeout_ms(const struct front *f)
{
    MHD_UNSIGNED_LONG_LONG ms = 0;
    return MHD_get_timeout(f->daemon, &ms) == MHD_YES ? (int64_t)ms : -1;
}

void front_pump(struct front *f)
{
    for (int i = 0; f->dirty && i < HTTP_ROUNDS_MAX; i++) {
        f->dirty = false;
        MHD_run(f->daemon);
        if (front_timeout_ms(f) == 0) {
            f->dirty = true; /* it has unread or unwritten bytes: a resumed reply needs two runs */
        }
    }
}

void front_close(struct front *f)
{
    MHD_stop_daemon(f->daemon);
    f->daemon = NULL;
}
