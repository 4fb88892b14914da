/* libcurl on libuv.  All sockets of the multi handle live in one epoll set of our own,
 * watched by a single uv_poll: one uv_poll per socket would cost five more epoll_ctl per
 * request.  A socket stays registered while its connection idles; an event on an idle one
 * means that the peer closed it, and takes it out of the set.
 *
 * Each easy handle has a connection cache of its own (a CURLSH), kept per origin: the shared
 * cache of libcurl 7.88 is walked linearly three times a request. */
#define _GNU_SOURCE
#include "server/upstream.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EPOLL_BATCH = 128, SOCKETS_MAX = 65536, RECEIVE_BUFFER = 16 * 1024 };

/* What we told epoll about a descriptor. */
struct sock {
    uint32_t events;   /* registered; 0 = not in the set */
    bool active;       /* libcurl waits for it now */
    bool ours;         /* opened by on_open_socket; not the resolver's */
    struct easy *idle; /* whose kept connection it is */
};

struct easy {
    struct easy *next; /* idle list of its origin */
    CURL *curl;
    CURLSH *share;
    CURLU *url;
    char *url_text;
    struct origin *origin;
    curl_socket_t kept_fd; /* while idle: its connection, -1 = none */
};

struct origin {
    char *name;       /* scheme://host:port */
    enum reach reach; /* a connection that one reach opened is not another's */
    struct easy *idle;
    int n_idle;
};

enum transfer_flag { WANT_CANCEL = 1, WANT_UNPAUSE = 2, QUEUED = 4 };

struct transfer {
    struct transfer *next, **prev; /* running list */
    struct transfer *next_flagged;
    struct upstream *up;
    struct easy *easy;
    struct curl_slist *headers;
    const struct upreq *req;
    size_t sent_bytes;
    const struct transfer_ops *ops;
    void *ctx;
    struct buf response_headers;
    unsigned flags;
    int sends;
    int http_status;
    enum reach reach;
    const char *denied;
    bool headers_overflow;
};

struct upstream {
    uv_loop_t *loop;
    uv_poll_t poll;
    uv_timer_t timer;
    int epoll_fd;
    CURLM *multi;
    struct sock *sockets;
    struct origin origins[UPSTREAM_ORIGINS_MAX];
    int n_origins;
    struct transfer *running, *flagged;
    int n_running;
    bool kick; /* transfers were added: run the multi once this turn */
    bool closed;
};

/* ---- epoll set ---- */

static void watch_socket(struct upstream *u, curl_socket_t fd, uint32_t events)
{
    struct sock *s = &u->sockets[fd];
    s->active = events != 0;
    if (events == 0 && !s->ours && s->events != 0) {
        /* libcurl closes this one without telling: a later socket of its number must not find
         * it registered. */
        epoll_ctl(u->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        s->events = 0;
    }
    if (events == 0 || s->events == events) {
        return;
    }
    struct epoll_event ev = {.events = events, .data.fd = fd};
    int op = s->events != 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(u->epoll_fd, op, fd, &ev) != 0 && errno == ENOENT) {
        epoll_ctl(u->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
    }
    s->events = events;
}

static int on_socket(CURL *curl, curl_socket_t fd, int what, void *ctx, void *sockp)
{
    (void)curl, (void)sockp;
    assert(fd >= 0 && fd < SOCKETS_MAX);
    uint32_t events = 0;
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT) {
        events |= EPOLLIN;
    }
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT) {
        events |= EPOLLOUT;
    }
    watch_socket(ctx, fd, events);
    return 0;
}

static int on_close_socket(void *ctx, curl_socket_t fd)
{
    struct upstream *u = ctx;
    if (fd >= 0 && fd < SOCKETS_MAX) {
        u->sockets[fd] = (struct sock){.events = 0}; /* close() takes it out of the epoll set */
    }
    return close(fd);
}

static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *addr)
{
    (void)purpose;
    struct transfer *t = ctx;
    struct upstream *u = t->up;
    const char *range = t->reach != REACH_ANY ? reach_range(&addr->addr, addr->addrlen) : NULL;
    if (range != NULL) {
        t->denied = range;
        return CURL_SOCKET_BAD;
    }
    int fd = socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
    if (fd >= SOCKETS_MAX) {
        close(fd);
        return CURL_SOCKET_BAD;
    }
    if (fd >= 0) {
        u->sockets[fd] = (struct sock){.ours = true};
    }
    return fd;
}

/* ---- transfers: libcurl's callbacks ---- */

static size_t on_read(char *out, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    size_t got = upreq_read(t->req, t->sent_bytes, out, size * n);
    t->sent_bytes += got;
    return got;
}

static int on_seek(void *ctx, curl_off_t offset, int whence)
{
    struct transfer *t = ctx;
    if (whence != SEEK_SET || offset < 0) {
        return CURL_SEEKFUNC_FAIL;
    }
    t->sent_bytes = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* libcurl 7.88.1 repeats a POST on a reused connection that dies before the first response
 * byte, up to five times and silently (lib/transfer.c Curl_retry_request; pinned by
 * tests/probe/probe_resend.c).  The second send is refused here. */
static int on_prereq(void *ctx, char *ip, char *local_ip, int port, int local_port)
{
    (void)ip, (void)local_ip, (void)port, (void)local_port;
    struct transfer *t = ctx;
    return ++t->sends > 1 ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static bool is_status_line(const char *line, size_t n)
{
    return n > 9 && memcmp(line, "HTTP/", 5) == 0;
}

static void keep_header(struct transfer *t, const char *line, size_t n)
{
    buf_add(&t->response_headers, line, n);
    buf_addc(&t->response_headers, '\0');
    t->headers_overflow = t->response_headers.failed;
}

static size_t on_header(char *line, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    size_t len = size * n, trimmed = len;
    while (trimmed > 0 && (line[trimmed - 1] == '\n' || line[trimmed - 1] == '\r')) {
        trimmed--;
    }
    if (t->http_status != 0) {
        return len; /* a trailer: it is not relayed */
    }
    if (is_status_line(line, len)) {
        buf_reset(&t->response_headers); /* a 1xx head went before */
    } else if (trimmed > 0) {
        keep_header(t, line, trimmed);
        if (t->headers_overflow) {
            return 0;
        }
    } else {
        long status = 0;
        curl_easy_getinfo(t->easy->curl, CURLINFO_RESPONSE_CODE, &status);
        if (status >= 200 && t->http_status == 0) {
            t->http_status = (int)status;
            t->ops->on_head(t->ctx, (int)status);
        }
    }
    return len;
}

static size_t on_write(char *bytes, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    if ((t->flags & WANT_CANCEL) != 0) {
        return size * n;
    }
    return t->ops->on_body(t->ctx, (struct span){bytes, size * n}) ? size * n
                                                                   : CURL_WRITEFUNC_PAUSE;
}

/* ---- easy handles, pooled by origin ---- */

static void easy_free(struct easy *e)
{
    if (e == NULL) {
        return;
    }
    curl_easy_cleanup(e->curl);
    curl_share_cleanup(e->share);
    curl_url_cleanup(e->url);
    free(e->url_text);
    free(e);
}

static void easy_set_constant_options(struct upstream *u, CURL *c)
{
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_QUICK_EXIT,
                     1L); /* else a cancel during DNS joins the resolver thread */
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER);
    curl_easy_setopt(c, CURLOPT_MAXAGE_CONN, (long)UPSTREAM_CONN_AGE_S);
    curl_easy_setopt(c, CURLOPT_POST, 1L);
    curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(c, CURLOPT_PREREQFUNCTION, on_prereq);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl_easy_setopt(c, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
    curl_easy_setopt(c, CURLOPT_CLOSESOCKETDATA, u);
}

static struct easy *easy_new(struct upstream *u)
{
    struct easy *e = calloc(1, sizeof *e);
    if (e == NULL) {
        return NULL;
    }
    e->kept_fd = CURL_SOCKET_BAD;
    e->curl = curl_easy_init();
    e->share = curl_share_init();
    e->url = curl_url();
    if (e->curl == NULL || e->share == NULL || e->url == NULL) {
        easy_free(e);
        return NULL;
    }
    if (curl_share_setopt(e->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT) != CURLSHE_OK ||
        curl_easy_setopt(e->curl, CURLOPT_SHARE, e->share) != CURLE_OK) {
        easy_free(e);
        return NULL;
    }
    easy_set_constant_options(u, e->curl);
    return e;
}

/* Length of scheme://host:port in a URL. */
static size_t origin_len(const char *url)
{
    const char *host = strstr(url, "://");
    return host == NULL ? strlen(url) : (size_t)(host - url) + 3 + strcspn(host + 3, "/?#");
}

static struct origin *origin_for(struct upstream *u, const char *url, enum reach reach)
{
    size_t len = origin_len(url);
    for (int i = 0; i < u->n_origins; i++) {
        struct origin *o = &u->origins[i];
        if (o->reach == reach && strncmp(o->name, url, len) == 0 && o->name[len] == '\0') {
            return o;
        }
    }
    if (u->n_origins == UPSTREAM_ORIGINS_MAX) {
        return NULL; /* served all the same, only without a kept connection */
    }
    struct origin *o = &u->origins[u->n_origins];
    *o = (struct origin){.name = strndup(url, len), .reach = reach};
    if (o->name == NULL) {
        return NULL;
    }
    u->n_origins++;
    return o;
}

static bool easy_set_url(struct easy *e, const char *url)
{
    if (e->url_text != NULL && strcmp(e->url_text, url) == 0) {
        return true;
    }
    char *copy = strdup(url);
    if (copy == NULL || curl_url_set(e->url, CURLUPART_URL, url, 0) != CURLUE_OK) {
        free(copy);
        return false;
    }
    free(e->url_text);
    e->url_text = copy;
    return curl_easy_setopt(e->curl, CURLOPT_CURLU, e->url) == CURLE_OK;
}

static void forget_kept(struct upstream *u, struct easy *e)
{
    if (e->kept_fd >= 0 && e->kept_fd < SOCKETS_MAX) {
        u->sockets[e->kept_fd].idle = NULL;
    }
    e->kept_fd = -1;
}

/* Its peer closed the kept connection: without this it would stay half-closed for as long as
 * warmer ones are used before it. */
static void easy_drop_idle(struct upstream *u, struct easy *e)
{
    struct origin *o = e->origin;
    for (struct easy **p = &o->idle; *p != NULL; p = &(*p)->next) {
        if (*p == e) {
            *p = e->next;
            o->n_idle--;
            forget_kept(u, e);
            easy_free(e);
            return;
        }
    }
}

static struct easy *easy_take(struct upstream *u, const char *url, enum reach reach)
{
    struct origin *o = origin_for(u, url, reach);
    struct easy *e = o != NULL ? o->idle : NULL;
    if (e != NULL) {
        o->idle = e->next;
        o->n_idle--;
        forget_kept(u, e);
    } else {
        e = easy_new(u);
    }
    if (e == NULL || !easy_set_url(e, url)) {
        easy_free(e);
        return NULL;
    }
    e->origin = o;
    return e;
}

static void easy_give_back(struct upstream *u, struct easy *e, bool reusable)
{
    struct origin *o = e->origin;
    if (!reusable || u->closed || o == NULL || o->n_idle >= UPSTREAM_IDLE_PER_ORIGIN) {
        easy_free(e);
        return;
    }
    if (curl_easy_getinfo(e->curl, CURLINFO_ACTIVESOCKET, &e->kept_fd) != CURLE_OK) {
        e->kept_fd = CURL_SOCKET_BAD;
    }
    if (e->kept_fd >= 0 && e->kept_fd < SOCKETS_MAX) {
        u->sockets[e->kept_fd].idle = e;
    }
    e->next = o->idle; /* last in, first out: the warmest connection is used next */
    o->idle = e;
    o->n_idle++;
}

/* ---- life of a transfer ---- */

static struct curl_slist *header_list(const struct upreq *req)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    const char *h = NULL;
    while (list != NULL && (h = upreq_next_header(req, h)) != NULL) {
        struct curl_slist *longer = curl_slist_append(list, h);
        if (longer == NULL) {
            curl_slist_free_all(list);
        }
        list = longer;
    }
    return list;
}

static void transfer_free(struct transfer *t, bool reusable)
{
    *t->prev = t->next;
    if (t->next != NULL) {
        t->next->prev = t->prev;
    }
    t->up->n_running--;
    curl_slist_free_all(t->headers);
    buf_done(&t->response_headers);
    easy_give_back(t->up, t->easy, reusable);
    free(t);
}

static void easy_point_at(struct transfer *t, int64_t connect_ms)
{
    CURL *c = t->easy->curl;
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, t->headers);
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->req->body_len);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, t);
    curl_easy_setopt(c, CURLOPT_READDATA, t);
    curl_easy_setopt(c, CURLOPT_SEEKDATA, t);
    curl_easy_setopt(c, CURLOPT_PREREQDATA, t);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_PRIVATE, t);
}

struct transfer *transfer_start(struct upstream *u, const struct upreq *req, int64_t connect_ms,
                                enum reach reach, const struct transfer_ops *ops, void *ctx)
{
    struct transfer *t = calloc(1, sizeof *t);
    struct easy *e = t != NULL ? easy_take(u, req->url, reach) : NULL;
    struct curl_slist *headers = e != NULL ? header_list(req) : NULL;
    if (headers == NULL) {
        easy_free(e);
        free(t);
        return NULL;
    }
    *t = (struct transfer){
        .up = u, .easy = e, .headers = headers, .req = req, .ops = ops, .ctx = ctx, .reach = reach};
    buf_init(&t->response_headers, UPSTREAM_HEADERS_MAX);
    t->next = u->running;
    t->prev = &u->running;
    if (u->running != NULL) {
        u->running->prev = &t->next;
    }
    u->running = t;
    u->n_running++;
    easy_point_at(t, connect_ms);
    if (curl_multi_add_handle(u->multi, e->curl) != CURLM_OK) {
        transfer_free(t, false);
        return NULL;
    }
    u->kick = true;
    return t;
}

static void flag(struct transfer *t, unsigned what)
{
    t->flags |= what;
    if ((t->flags & QUEUED) == 0) {
        t->flags |= QUEUED;
        t->next_flagged = t->up->flagged;
        t->up->flagged = t;
    }
}

void transfer_cancel(struct transfer *t)
{
    flag(t, WANT_CANCEL);
}

void transfer_unpause(struct transfer *t)
{
    flag(t, WANT_UNPAUSE);
}

bool transfer_sent(const struct transfer *t)
{
    return t->sends > 0;
}

const char *transfer_denied(const struct transfer *t)
{
    return t->denied;
}

struct span transfer_headers(const struct transfer *t)
{
    return buf_span(&t->response_headers);
}

static void unflag(struct upstream *u, struct transfer *t)
{
    for (struct transfer **p = &u->flagged; *p != NULL; p = &(*p)->next_flagged) {
        if (*p == t) {
            *p = t->next_flagged;
            return;
        }
    }
}

/* Takes the transfer out of libcurl, tells the owner, frees.  Outside libcurl only. */
static void finish(struct transfer *t, enum transfer_result result)
{
    struct upstream *u = t->up;
    if ((t->flags & QUEUED) != 0) {
        unflag(u, t);
    }
    curl_multi_remove_handle(u->multi, t->easy->curl);
    t->ops->on_done(t->ctx, result);
    transfer_free(t, result == TRANSFER_OK);
}

static enum transfer_result result_of(const struct transfer *t, CURLcode code)
{
    switch ((int)code) {
    case CURLE_OK:
        return TRANSFER_OK;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return TRANSFER_CONNECT_FAILED;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
        return t->sends > 0 ? TRANSFER_RESET : TRANSFER_TLS_FAILED;
    case CURLE_OPERATION_TIMEDOUT:
        return t->sends > 0 ? TRANSFER_RESET : TRANSFER_CONNECT_TIMEOUT;
    default:
        break;
    }
    if (t->headers_overflow) {
        return TRANSFER_TOO_LARGE;
    }
    return t->sends > 0 ? TRANSFER_RESET : TRANSFER_CONNECT_FAILED;
}

static void reap(struct upstream *u)
{
    int left = 0;
    CURLMsg *msg = NULL;
    while ((msg = curl_multi_info_read(u->multi, &left)) != NULL) {
        if (msg->msg != CURLMSG_DONE) {
            continue;
        }
        CURLcode code = msg->data.result; /* msg dies with the removal */
        char *priv = NULL;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &priv);
        struct transfer *t = (struct transfer *)(void *)priv;
        finish(t, result_of(t, code));
    }
}

/* ---- the loop's side ---- */

static void act(struct upstream *u, curl_socket_t fd, int bits)
{
    int running = 0;
    curl_multi_socket_action(u->multi, fd, bits, &running);
}

static void on_epoll(uv_poll_t *handle, int status, int uv_events)
{
    (void)uv_events;
    struct upstream *u = handle->data;
    struct epoll_event events[EPOLL_BATCH];
    if (status < 0) {
        return;
    }
    int n = epoll_wait(u->epoll_fd, events, EPOLL_BATCH, 0);
    for (int i = 0; i < n; i++) {
        int fd = events[i].data.fd;
        struct sock *s = &u->sockets[fd];
        if (s->events == 0) {
            continue; /* closed earlier in this batch: the number may be another thread's by now */
        }
        if (!s->active) {
            struct easy *kept = s->idle;
            epoll_ctl(u->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
            s->events = 0;
            if (kept != NULL) {
                easy_drop_idle(u, kept);
            }
            continue;
        }
        int bits = (events[i].events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0;
        bits |= (events[i].events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0;
        bits |= (events[i].events & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0;
        act(u, fd, bits);
    }
    reap(u);
}

static void on_timeout(uv_timer_t *timer)
{
    struct upstream *u = timer->data;
    act(u, CURL_SOCKET_TIMEOUT, 0);
    reap(u);
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *ctx)
{
    (void)multi;
    struct upstream *u = ctx;
    if (timeout_ms < 0) {
        uv_timer_stop(&u->timer);
    } else {
        /* Never 0: libuv 1.44 spins on a zero timer re-armed from its own callback. */
        uv_timer_start(&u->timer, on_timeout, timeout_ms > 0 ? (uint64_t)timeout_ms : 1, 0);
    }
    return 0;
}

static void apply_flags(struct upstream *u)
{
    struct transfer *t = NULL;
    while ((t = u->flagged) != NULL) {
        u->flagged = t->next_flagged;
        t->flags &= ~(unsigned)QUEUED;
        if ((t->flags & WANT_CANCEL) != 0) {
            finish(t, TRANSFER_CANCELED);
            continue;
        }
        t->flags &= ~(unsigned)WANT_UNPAUSE;
        curl_easy_pause(t->easy->curl, CURLPAUSE_CONT); /* may call on_write right here */
    }
}

bool upstream_turn(struct upstream *u)
{
    bool worked = false;
    while (u->flagged != NULL || u->kick) {
        worked = true;
        apply_flags(u);
        if (u->kick) {
            u->kick = false;
            act(u, CURL_SOCKET_TIMEOUT, 0);
        }
        reap(u);
    }
    return worked;
}

bool upstream_pending(const struct upstream *u)
{
    return u->flagged != NULL || u->kick;
}

int upstream_running(const struct upstream *u)
{
    return u->n_running;
}

struct upstream *upstream_new(uv_loop_t *loop)
{
    struct upstream *u = calloc(1, sizeof *u);
    if (u == NULL) {
        return NULL;
    }
    u->loop = loop;
    u->sockets = calloc(SOCKETS_MAX, sizeof *u->sockets);
    u->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    u->multi = curl_multi_init();
    assert(u->sockets != NULL && u->epoll_fd >= 0 && u->multi != NULL);
    curl_multi_setopt(u->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(u->multi, CURLMOPT_SOCKETDATA, u);
    curl_multi_setopt(u->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(u->multi, CURLMOPT_TIMERDATA, u);
    uv_timer_init(loop, &u->timer);
    uv_poll_init(loop, &u->poll, u->epoll_fd);
    u->timer.data = u->poll.data = u;
    uv_poll_start(&u->poll, UV_READABLE, on_epoll);
    return u;
}

void upstream_close(struct upstream *u)
{
    u->closed = true;
    while (u->running != NULL) {
        finish(u->running, TRANSFER_CANCELED);
    }
    for (int i = 0; i < u->n_origins; i++) {
        struct easy *e = u->origins[i].idle;
        while (e != NULL) {
            struct easy *next = e->next;
            easy_free(e);
            e = next;
        }
        free(u->origins[i].name);
    }
    u->n_origins = 0;
    curl_multi_cleanup(u->multi);
    uv_poll_stop(&u->poll);
    uv_timer_stop(&u->timer);
    uv_close((uv_handle_t *)&u->poll, NULL);
    uv_close((uv_handle_t *)&u->timer, NULL);
}

void upstream_free(struct upstream *u)
{
    if (u == NULL) {
        return;
    }
    close(u->epoll_fd);
    free(u->sockets);
    free(u);
}

/* ---- header lists ---- */

bool header_next(struct span headers, size_t *cursor, struct span *ret_name, struct span *ret_value)
{
    while (*cursor < headers.len) {
        const char *line = headers.ptr + *cursor;
        size_t len = strlen(line);
        *cursor += len + 1;
        const char *colon = memchr(line, ':', len);
        if (colon == NULL) {
            continue;
        }
        const char *value = colon + 1;
        while (*value == ' ' || *value == '\t') {
            value++;
        }
        size_t n = len - (size_t)(value - line);
        while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t')) {
            n--;
        }
        *ret_name = (struct span){line, (size_t)(colon - line)};
        *ret_value = (struct span){value, n};
        return true;
    }
    return false;
}

struct span header_find(struct span headers, const char *name)
{
    size_t cursor = 0, len = strlen(name);
    struct span n, v;
    while (header_next(headers, &cursor, &n, &v)) {
        if (n.len == len && strncasecmp(n.ptr, name, len) == 0) {
            return v;
        }
    }
    return (struct span){"", 0};
}
