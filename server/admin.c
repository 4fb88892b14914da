#define _GNU_SOURCE
/* The admin listener and the admin socket: two small libmicrohttpd daemons with a thread for
 * each connection.  Handlers may block here; nobody else waits for them. */
#include "server/admin.h"

#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <microhttpd.h>

#include "dashboard/dashboard.h"
#include "router/catalog.h"
#include "server/admin_auth.h"
#include "server/admin_path.h"
#include "server/admin_route.h"
#include "server/gate.h"
#include "server/log.h"

enum {
    POOL_BYTES = 64 * 1024,
    BACKLOG = 64,
    CALL_MAGIC = 0x61646d6e,
    END_MS = 2000, /* at the end: for what is still received, and for answers that are still sent */
    END_STEP_MS = 5
};

/* One listener. */
struct admin_door {
    struct admin *admin;
    bool trusted; /* the UNIX socket: whoever can open it is allowed everything */
    struct MHD_Daemon *daemon;
};

struct admin {
    struct admin_options o;
    struct admin_auth auth;
    struct admin_door tcp, local;
    int port;
    int dir_fd; /* for a long socket path, else -1 */
    char socket_path[ADMIN_SOCKET_MAX];
    /* __atomic */
    bool ending;
    int n_calls;   /* whose answer is not sent yet */
    int n_running; /* operations */
};

/* One request; lives until on_completed. */
struct admin_call {
    int magic;
    struct admin *admin;
    const struct admin_route *route;
    struct span segment; /* within path */
    char *path;
    struct buf body;
};

/* ---- answering ---- */

static const char page_policy[] =
    "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static enum MHD_Result reply(struct MHD_Connection *c, int status, const char *type,
                             struct span body, const char *allow)
{
    char *copy = malloc(body.len + 1); /* MUST_COPY would want a pointer to what is not const */
    if (copy == NULL)
        return MHD_NO;
    memcpy(copy, body.len > 0 ? body.ptr : "", body.len);
    struct MHD_Response *r = MHD_create_response_from_buffer(body.len, copy, MHD_RESPMEM_MUST_FREE);
    if (r == NULL)
        return MHD_NO;
    MHD_add_response_header(r, "content-type", type);
    MHD_add_response_header(r, "cache-control", "no-store");
    MHD_add_response_header(r, "x-content-type-options", "nosniff");
    MHD_add_response_header(r, "content-security-policy", page_policy);
    if (allow != NULL && allow[0] != '\0')
        MHD_add_response_header(r, "allow", allow);
    enum MHD_Result queued = MHD_queue_response(c, (unsigned)status, r);
    MHD_destroy_response(r);
    return queued;
}

static enum MHD_Result reply_json(struct MHD_Connection *c, int status, struct json_object *o,
                                  const char *allow)
{
    const char *text =
        json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    return text != NULL ? reply(c, status, "application/json", span_of(text), allow) : MHD_NO;
}

static enum MHD_Result reply_fail(struct MHD_Connection *c, const struct fail *f, const char *allow)
{
    struct json_object *o = admin_error_object(f);
    enum MHD_Result queued = reply_json(c, err_info(f->code)->status, o, allow);
    json_object_put(o);
    return queued;
}

/* ---- the first look: headers only ---- */

struct headers {
    struct gate gate;
    struct admin_claims claims;
    int64_t content_length;
};

static enum MHD_Result on_header(void *ctx, enum MHD_ValueKind kind, const char *name,
                                 size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    struct headers *h = ctx;
    struct span v = {value != NULL ? value : "", value_len};
    const struct {
        const char *name;
        struct span *at;
    } wanted[] = {{"host", &h->claims.host},
                  {"origin", &h->claims.origin},
                  {"authorization", &h->claims.authorization},
                  {"x-api-key", &h->claims.x_api_key}};
    gate_header(&h->gate, (struct span){name, name_len}, v);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (strcasecmp(wanted[i].name, name) == 0)
            *wanted[i].at = v;
    }
    if (strcasecmp(name, "content-length") == 0)
        h->content_length = strtoll(v.ptr, NULL, 10);
    return MHD_YES;
}

/* 0, or -1 with reterr: the connection is closed after the answer then. */
static int admit(const struct admin_door *door, struct admin_call *call, const char *method,
                 const struct headers *h, struct buf *ret_allow, struct fail *reterr)
{
    enum err verdict = gate_verdict(&h->gate, reterr);
    if (verdict != ERR_OK)
        return -1;
    if (__atomic_load_n(&door->admin->ending, __ATOMIC_SEQ_CST))
        return fail_set(reterr, ERR_draining, NULL, "the server is shutting down");
    if (!door->trusted && admin_auth_check_site(&door->admin->auth, &h->claims, reterr) != 0)
        return -1;
    call->route = admin_route_find(method, call->path, &call->segment, ret_allow, reterr);
    bool open = call->route != NULL && call->route->kind == ADMIN_PAGE;
    if (!door->trusted && !open &&
        admin_auth_check_token(&door->admin->auth, &h->claims, reterr) != 0)
        return -1;
    if (call->route == NULL)
        return -1;
    if (!gate_body_is_ignored(&h->gate) && h->content_length > (int64_t)call->route->body_max)
        return fail_set(reterr, ERR_too_large, NULL, "the body may have up to %zu bytes",
                        call->route->body_max);
    buf_init(&call->body, call->route->body_max);
    return 0;
}

static struct admin_call *call_new(struct admin *a, const char *path)
{
    struct admin_call *call = calloc(1, sizeof(*call));
    if (call == NULL)
        return NULL;
    *call = (struct admin_call){.magic = CALL_MAGIC, .admin = a, .path = strdup(path)};
    if (call->path != NULL) {
        __atomic_add_fetch(&a->n_calls, 1, __ATOMIC_SEQ_CST);
        return call;
    }
    free(call);
    return NULL;
}

static void on_completed(void *ctx, struct MHD_Connection *c, void **con_cls,
                         enum MHD_RequestTerminationCode why)
{
    (void)ctx;
    (void)c;
    (void)why;
    struct admin_call *call = *con_cls;
    if (call == NULL)
        return;
    __atomic_sub_fetch(&call->admin->n_calls, 1, __ATOMIC_SEQ_CST);
    buf_done(&call->body);
    free(call->path);
    free(call);
    *con_cls = NULL;
}

static size_t head_size(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info != NULL ? info->header_size : 0;
}

static enum MHD_Result answer(struct admin *a, struct MHD_Connection *c,
                              const struct admin_call *call);

static enum MHD_Result first_look(const struct admin_door *door, struct MHD_Connection *c,
                                  const char *url, const char *method, const char *version,
                                  void **con_cls)
{
    struct headers h = {0};
    struct fail fail = {0};
    struct buf allow;
    struct admin_call *call = call_new(door->admin, url);
    if (call == NULL)
        return MHD_NO;
    *con_cls = call;
    gate_init(&h.gate, strcmp(version, "HTTP/1.1") == 0, method);
    gate_line(&h.gate, version);
    MHD_get_connection_values_n(c, MHD_HEADER_KIND, on_header, &h);
    gate_end(&h.gate, method + head_size(c));
    buf_init(&allow, 64);
    enum MHD_Result rc = MHD_YES;
    if (admit(door, call, method, &h, &allow, &fail) != 0)
        rc = reply_fail(c, &fail, allow.ptr);
    else if (gate_body_is_ignored(&h.gate))
        rc = answer(door->admin, c, call); /* in the first call: it closes */
    buf_done(&allow);
    return rc;
}

/* ---- the work ---- */

struct query_reader {
    const struct admin_route *route;
    struct json_object *args;
    struct fail *fail;
    int rc;
};

static enum MHD_Result on_query(void *ctx, enum MHD_ValueKind kind, const char *name,
                                const char *value)
{
    (void)kind;
    struct query_reader *q = ctx;
    q->rc = admin_route_query(q->route, name, value, q->args, q->fail);
    return q->rc == 0 ? MHD_YES : MHD_NO;
}

/* {"op": NAME, "args": {...}}: what the command line sends. */
static int run_any(struct admin *a, struct json_object *request, struct json_object **ret,
                   struct fail *reterr)
{
    struct json_object *op = json_object_object_get(request, "op");
    struct json_object *args = json_object_object_get(request, "args");
    if (!json_object_is_type(op, json_type_string))
        return fail_set(reterr, ERR_bad_request, "op", "op must be a string");
    return ops_run(a->o.env, json_object_get_string(op), args, ret, reterr);
}

static int run_route(struct admin *a, struct MHD_Connection *c, const struct admin_call *call,
                     struct json_object **ret, struct fail *reterr)
{
    struct query_reader q = {.route = call->route, .fail = reterr};
    if (admin_route_args(call->route, call->segment, buf_span(&call->body), &q.args, reterr) != 0)
        return -1;
    MHD_get_connection_values(c, MHD_GET_ARGUMENT_KIND, on_query, &q);
    int rc = q.rc;
    if (rc == 0 && call->route->kind == ADMIN_ANY_OP)
        rc = run_any(a, q.args, ret, reterr);
    else if (rc == 0)
        rc = ops_run(a->o.env, call->route->op, q.args, ret, reterr);
    json_object_put(q.args);
    return rc;
}

static enum MHD_Result answer_op(struct admin *a, struct MHD_Connection *c,
                                 const struct admin_call *call)
{
    struct json_object *result = NULL;
    struct fail fail = {0};
    /* The library's clock runs on while we work; it begins anew with the second call. */
    MHD_set_connection_option(c, MHD_CONNECTION_OPTION_TIMEOUT, 0U);
    __atomic_add_fetch(&a->n_running, 1, __ATOMIC_SEQ_CST);
    int failed = run_route(a, c, call, &result, &fail);
    __atomic_sub_fetch(&a->n_running, 1, __ATOMIC_SEQ_CST);
    MHD_set_connection_option(c, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)ADMIN_IDLE_S);
    if (failed != 0)
        return reply_fail(c, &fail, NULL);
    enum MHD_Result rc;
    struct json_object *text = json_object_object_get(result, "text");
    if (call->route->kind == ADMIN_OP_TEXT && text != NULL)
        rc = reply(c, MHD_HTTP_OK, "application/json", span_of(json_object_get_string(text)), NULL);
    else
        rc = reply_json(c, MHD_HTTP_OK, result, NULL);
    json_object_put(result);
    return rc;
}

static enum MHD_Result answer_metrics(const struct admin *a, struct MHD_Connection *c)
{
    struct buf out;
    buf_init(&out, ADMIN_METRICS_MAX);
    if (a->o.metrics != NULL)
        a->o.metrics(a->o.metrics_ctx, &out);
    enum MHD_Result rc =
        reply(c, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", buf_span(&out), NULL);
    buf_done(&out);
    return rc;
}

static enum MHD_Result answer(struct admin *a, struct MHD_Connection *c,
                              const struct admin_call *call)
{
    struct fail fail;
    switch (call->route->kind) {
    case ADMIN_OP:
    case ADMIN_OP_TEXT:
    case ADMIN_ANY_OP:
        if (!call->body.failed)
            return answer_op(a, c, call);
        fail_set(&fail, ERR_too_large, NULL, "the body may have up to %zu bytes",
                 call->route->body_max);
        return reply_fail(c, &fail, NULL);
    case ADMIN_METRICS:
        return answer_metrics(a, c);
    case ADMIN_PAGE:
        return reply(c, MHD_HTTP_OK, "text/html; charset=utf-8", span_of(dashboard_page), NULL);
    }
    return MHD_NO;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **con_cls)
{
    const struct admin_door *door = ctx;
    struct admin_call *call = *con_cls;
    if (call == NULL)
        return first_look(door, c, url, method, version, con_cls);
    if (call->magic != CALL_MAGIC)
        abort();
    if (*upload_size > 0) {
        buf_add(&call->body, upload, *upload_size); /* past its ceiling: told at the end */
        *upload_size = 0;
        return MHD_YES;
    }
    return answer(door->admin, c, call);
}

/* ---- listening ---- */

static int system_fail(const char *what, const char *where, struct fail *reterr)
{
    return fail_set(reterr, ERR_internal, NULL, "admin listener %s: %s: %s", where, what,
                    strerror(errno));
}

static int bound_port(int fd)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof(at);
    char port[16];
    if (getsockname(fd, (struct sockaddr *)&at, &len) != 0 ||
        getnameinfo((struct sockaddr *)&at, len, NULL, 0, port, sizeof(port), NI_NUMERICSERV) != 0)
        return 0;
    return (int)strtol(port, NULL, 10);
}

static int listen_on(const struct addrinfo *at)
{
    int on = 1;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int listen_tcp(struct admin *a, int *ret_fd, struct fail *reterr)
{
    if (a->o.passed_fd > 0) {
        a->port = bound_port(a->o.passed_fd);
        *ret_fd = a->o.passed_fd;
        return 0;
    }
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char port[16];
    snprintf(port, sizeof(port), "%d", a->o.port);
    int rc = getaddrinfo(a->o.host, port, &hints, &found);
    if (rc != 0)
        return fail_set(reterr, ERR_internal, NULL, "admin listener %s: %s", a->o.host,
                        gai_strerror(rc));
    int fd = listen_on(found);
    freeaddrinfo(found);
    if (fd < 0 && errno == EADDRINUSE)
        return fail_set(reterr, ERR_internal, NULL,
                        "admin listener %s:%s is in use by another program", a->o.host, port);
    if (fd < 0)
        return system_fail("cannot listen", a->o.host, reterr);
    a->port = bound_port(fd);
    *ret_fd = fd;
    return 0;
}

/* The mode goes onto the descriptor before bind(), which takes it over: at no moment is the
 * socket open to others. */
static int listen_local(struct admin *a, int *ret_fd, struct fail *reterr)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (!admin_path_socket(a->o.db_path, a->socket_path, &a->dir_fd))
        return fail_set(reterr, ERR_internal, NULL, "admin socket of %s: the path cannot be used",
                        a->o.db_path);
    memcpy(at.sun_path, a->socket_path, sizeof(at.sun_path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return system_fail("socket", a->socket_path, reterr);
    unlink(a->socket_path); /* we own the database: it was a dead process's */
    if (fchmod(fd, 0600) == 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 &&
        chmod(a->socket_path, 0600) == 0 && listen(fd, BACKLOG) == 0) {
        *ret_fd = fd;
        return 0;
    }
    system_fail("cannot listen", a->socket_path, reterr);
    close(fd);
    return -1;
}

static void on_library_log(void *ctx, const char *fmt, va_list args)
{
    (void)ctx;
    (void)fmt;
    (void)args; /* it speaks of clients that left; our own answers are enough */
}

/* Signals belong to the main thread: the daemon's threads inherit a mask that blocks them. */
static int open_door(struct admin *a, struct admin_door *door, int fd, struct fail *reterr)
{
    sigset_t all, before;
    door->admin = a;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    door->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
            MHD_USE_ITC | MHD_USE_ERROR_LOG,
        0, NULL, NULL, on_request, door, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, NULL,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)ADMIN_CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)ADMIN_IDLE_S, MHD_OPTION_END);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (door->daemon != NULL)
        return 0;
    return fail_set(reterr, ERR_internal, NULL, "the admin listener's thread cannot be started");
}

static int start(struct admin *a, struct fail *reterr)
{
    int fd = -1;
    a->local.trusted = true;
    if (listen_local(a, &fd, reterr) != 0 || open_door(a, &a->local, fd, reterr) != 0)
        return -1;
    if (a->o.host == NULL)
        return 0;
    if (admin_auth_init(&a->auth, a->o.host, a->o.db_path, reterr) != 0)
        return -1;
    if (listen_tcp(a, &fd, reterr) != 0)
        return -1;
    return open_door(a, &a->tcp, fd, reterr);
}

struct admin *admin_start(const struct admin_options *o, struct fail *reterr)
{
    struct admin *a = calloc(1, sizeof(*a));
    if (a == NULL) {
        fail_set(reterr, ERR_internal, NULL, "out of memory for the admin listener");
        return NULL;
    }
    a->o = *o;
    a->dir_fd = -1;
    if (start(a, reterr) == 0)
        return a;
    admin_stop(a);
    return NULL;
}

int admin_port(const struct admin *a)
{
    return a->port;
}

/* The library ends connections whose answer is not sent yet: the client of an operation that took
 * effect would not know it. */
static void wait_for_calls(struct admin *a)
{
    const struct timespec step = {.tv_nsec = END_STEP_MS * 1000000L};
    __atomic_store_n(&a->ending, true, __ATOMIC_SEQ_CST);
    for (int ms = 0; ms < END_MS && __atomic_load_n(&a->n_calls, __ATOMIC_SEQ_CST) > 0;) {
        nanosleep(&step, NULL);
        ms = __atomic_load_n(&a->n_running, __ATOMIC_SEQ_CST) > 0 ? 0 : ms + END_STEP_MS;
    }
}

void admin_stop(struct admin *a)
{
    if (a == NULL)
        return;
    if (a->local.daemon != NULL)
        unlink(a->socket_path);
    wait_for_calls(a);
    if (a->local.daemon != NULL)
        MHD_stop_daemon(a->local.daemon); /* closes its listening socket */
    if (a->tcp.daemon != NULL)
        MHD_stop_daemon(a->tcp.daemon);
    if (a->dir_fd >= 0)
        close(a->dir_fd);
    free(a);
}
