/* Connections to providers: libcurl on libuv.  All sockets of the multi handle live in one epoll
 * set of our own, watched by a single uv_poll: one uv_poll per socket would cost five more
 * epoll_ctl per request.  A socket stays registered for reading while its connection is used and
 * while it idles; an event on an idle one means that the peer closed it.
 *
 * An easy handle stays in the multi handle for as long as its connection lives: its removal
 * closes the connection (tests/probe/probe_curl_connect_only.c).  Each has a connection cache of
 * its own (a CURLSH): curl_easy_recv and curl_easy_send look the connection up by walking
 * the cache, and the shared one has all connections of the worker in it. */
#define _GNU_SOURCE
#include "server/uplink.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EPOLL_BATCH = 128,
    CURL_BUFFER_TLS = 16 * 1024, /* the most that curl_easy_recv gives at a time */
    CURL_BUFFER_PLAIN = 1024     /* not used: the least that libcurl allows */
};

/* What we told epoll about a descriptor. */
struct sock {
    uint32_t events;     /* registered; 0 = not in the set */
    bool active;         /* libcurl waits for it now */
    bool ours;           /* opened by on_open_socket; not the resolver's */
    struct uplink *link; /* whose open connection it is */
};

struct origin {
    struct origin *next;
    char *name; /* scheme://host:port as in the URLs */
    char *host; /* of the Host field */
    bool tls;
    bool listed;          /* until the sweep finds it without connections; else it goes with its
                             last one */
    struct uplink *first; /* idle, the warmest first */
    struct uplink *last;
    int n_idle;
    int n_links;      /* all of its connections */
    enum reach reach; /* a connection that one reach opened is not another's */
};

struct uplink {
    struct uplinks *pool;
    struct origin *origin;
    struct uplink *next, *prev; /* while idle */
    CURL *curl;
    CURLSH *share;
    int fd;    /* -1: not open yet */
    void *ctx; /* NULL while idle */
    uint64_t idle_since_ms;
    const char *denied; /* the range where its reach ended */
    bool starved;
};

struct uplinks {
    uv_loop_t *loop;
    uv_poll_t poll;
    uv_timer_t timer;
    const struct uplink_ops *ops;
    const char *ca_file;
    int epoll_fd;
    CURLM *multi;
    struct sock *sockets;
    struct origin *origins;
    int n_origins;
    bool kick; /* connections were added: run the multi once this turn */
    bool closed;
    char record[UPLINK_RECORD]; /* pieces on their way into TLS */
};

/* ---- epoll set ---- */

static void set_events(struct uplinks *u, int fd, uint32_t events)
{
    struct sock *s = &u->sockets[fd];
    if (s->events == events) {
        return;
    }
    struct epoll_event ev = {.events = events, .data.fd = fd};
    int op = events == 0 ? EPOLL_CTL_DEL : s->events != 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(u->epoll_fd, op, fd, &ev) != 0 && errno == ENOENT && events != 0) {
        epoll_ctl(u->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
    }
    s->events = events;
}

static int on_socket(CURL *curl, curl_socket_t fd, int what, void *ctx, void *sockp)
{
    (void)curl, (void)sockp;
    assert(fd >= 0 && fd < UPLINK_DESCRIPTORS_MAX);
    struct uplinks *u = ctx;
    struct sock *s = &u->sockets[fd];
    uint32_t events = 0;
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT) {
        events |= EPOLLIN;
    }
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT) {
        events |= EPOLLOUT;
    }
    s->active = events != 0;
    /* One that is not ours is closed without telling: a later socket of its number must not find
     * it registered. */
    if (events != 0 || !s->ours) {
        set_events(u, fd, events);
    }
    return 0;
}

static int on_close_socket(void *ctx, curl_socket_t fd)
{
    struct uplinks *u = ctx;
    if (fd >= 0 && fd < UPLINK_DESCRIPTORS_MAX) {
        u->sockets[fd] = (struct sock){.events = 0}; /* close() takes it out of the epoll set */
    }
    return close(fd);
}

static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *addr)
{
    (void)purpose;
    struct uplink *l = ctx;
    l->denied = l->origin->reach != REACH_ANY ? reach_range(&addr->addr, addr->addrlen) : NULL;
    if (l->denied != NULL) {
        return CURL_SOCKET_BAD;
    }
    int fd = socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
    bool short_of = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
    l->starved |= fd < 0 && short_of;
    if (fd >= UPLINK_DESCRIPTORS_MAX) {
        l->starved = true;
        close(fd);
        return CURL_SOCKET_BAD;
    }
    if (fd >= 0) {
        l->pool->sockets[fd] = (struct sock){.ours = true};
    }
    return fd;
}

/* ---- origins ---- */

/* Length of scheme://host:port in a URL. */
static size_t origin_len(const char *url)
{
    const char *host = strstr(url, "://");
    return host == NULL ? strlen(url) : (size_t)(host - url) + 3 + strcspn(host + 3, "/?#");
}

static void origin_free(struct origin *o)
{
    if (o != NULL) {
        free(o->name);
        free(o->host);
        free(o);
    }
}

static CURLUcode parse(const char *origin, CURLU *into)
{
    return strchr(origin, '@') != NULL ? CURLUE_USER_NOT_ALLOWED
                                       : curl_url_set(into, CURLUPART_URL, origin, 0);
}

/* The Host field's value: without the scheme's own port. */
static char *host_of(CURLU *url)
{
    char *host = NULL, *port = NULL, *value = NULL;
    if (curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
        bool own = curl_url_get(url, CURLUPART_PORT, &port, CURLU_NO_DEFAULT_PORT) == CURLUE_OK;
        size_t size = strlen(host) + (own ? strlen(port) + 1 : 0) + 1;
        value = malloc(size);
        if (value != NULL) {
            memcpy(value, host, strlen(host) + 1);
            if (own) {
                value[strlen(host)] = ':';
                memcpy(value + strlen(host) + 1, port, strlen(port) + 1);
            }
        }
    }
    curl_free(host);
    curl_free(port);
    return value;
}

static struct origin *origin_new(const char *url, size_t len, enum reach reach)
{
    struct origin *o = calloc(1, sizeof *o);
    CURLU *parsed = curl_url();
    if (o == NULL || parsed == NULL) {
        curl_url_cleanup(parsed);
        free(o);
        return NULL;
    }
    o->name = strndup(url, len);
    if (o->name != NULL && parse(o->name, parsed) == CURLUE_OK) {
        o->host = host_of(parsed);
    }
    curl_url_cleanup(parsed);
    if (o->host == NULL) {
        origin_free(o);
        return NULL;
    }
    o->reach = reach;
    o->tls = strncasecmp(o->name, "https:", 6) == 0; /* as libcurl reads it */
    return o;
}

bool uplink_can_read(const char *url)
{
    CURLUcode code = CURLUE_OUT_OF_MEMORY;
    CURLU *parsed = curl_url();
    char *name = strndup(url, origin_len(url));
    if (parsed != NULL && name != NULL) {
        code = parse(name, parsed);
    }
    curl_url_cleanup(parsed);
    free(name);
    return code == CURLUE_OK || code == CURLUE_OUT_OF_MEMORY;
}

static struct origin *origin_for(struct uplinks *u, const char *url, enum reach reach)
{
    size_t len = origin_len(url);
    for (struct origin *o = u->origins; o != NULL; o = o->next) {
        if (o->reach == reach && strncmp(o->name, url, len) == 0 && o->name[len] == '\0') {
            return o;
        }
    }
    struct origin *o = origin_new(url, len, reach);
    if (o != NULL && u->n_origins < UPLINK_ORIGINS_MAX) {
        o->listed = true;
        o->next = u->origins;
        u->origins = o;
        u->n_origins++;
    }
    return o;
}

static void origin_put(struct origin *o)
{
    if (--o->n_links == 0 && !o->listed) {
        origin_free(o);
    }
}

/* ---- life of a connection ---- */

static void idle_remove(struct uplink *l)
{
    struct origin *o = l->origin;
    *(l->prev != NULL ? &l->prev->next : &o->first) = l->next;
    *(l->next != NULL ? &l->next->prev : &o->last) = l->prev;
    l->next = l->prev = NULL;
    o->n_idle--;
}

static void idle_add(struct uplink *l)
{
    struct origin *o = l->origin;
    l->next = o->first;
    *(o->first != NULL ? &o->first->prev : &o->last) = l;
    o->first = l;
    o->n_idle++;
}

/* Not in a list.  Outside libcurl only. */
static void link_free(struct uplink *l)
{
    if (l->fd >= 0) {
        l->pool->sockets[l->fd].link = NULL;
    }
    if (l->curl != NULL) {
        curl_multi_remove_handle(l->pool->multi, l->curl); /* closes the connection */
        curl_easy_cleanup(l->curl);
    }
    curl_share_cleanup(l->share);
    origin_put(l->origin);
    free(l);
}

static void drop_idle(struct uplink *l)
{
    idle_remove(l);
    link_free(l);
}

static void set_options(struct uplink *l, int64_t connect_ms)
{
    CURL *c = l->curl;
    bool tls = l->origin->tls;
    curl_easy_setopt(c, CURLOPT_URL, l->origin->name);
    curl_easy_setopt(c, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(c, CURLOPT_SHARE, l->share);
    curl_easy_setopt(c, CURLOPT_PRIVATE, l);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    /* Else a cancel during DNS joins the resolver thread. */
    curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1); /* of ALPN */
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_BUFFERSIZE, (long)(tls ? CURL_BUFFER_TLS : CURL_BUFFER_PLAIN));
    curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, l);
    curl_easy_setopt(c, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
    curl_easy_setopt(c, CURLOPT_CLOSESOCKETDATA, l->pool);
    /* With a directory libcurl reads and parses all authorities for each connection, 25 ms in which
     * the loop stands still; those of a file it keeps with the multi handle, for a day. */
    curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
    if (l->pool->ca_file != NULL) {
        curl_easy_setopt(c, CURLOPT_CAINFO, l->pool->ca_file);
    }
}

static struct uplink *link_new(struct uplinks *u, struct origin *o, int64_t connect_ms)
{
    struct uplink *l = calloc(1, sizeof *l);
    if (l == NULL) {
        if (!o->listed && o->n_links == 0) {
            origin_free(o);
        }
        return NULL;
    }
    o->n_links++;
    *l = (struct uplink){.pool = u, .origin = o, .fd = -1};
    l->share = curl_share_init();
    l->curl = curl_easy_init();
    if (l->share == NULL || l->curl == NULL) {
        link_free(l);
        return NULL;
    }
    curl_share_setopt(l->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT);
    set_options(l, connect_ms);
    if (curl_multi_add_handle(u->multi, l->curl) != CURLM_OK) {
        link_free(l);
        return NULL;
    }
    u->kick = true;
    return l;
}

/* Has its peer left it open, and said nothing of its own accord?  Over TLS there may be something
 * to read that is nothing to us (session tickets). */
static bool is_quiet(struct uplink *l)
{
    char byte;
    if (l->origin->tls) {
        return uplink_recv(l, &byte, 1) == UPLINK_AGAIN;
    }
    return recv(l->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EWOULDBLOCK);
}

static bool is_old(const struct uplink *l)
{
    return uv_now(l->pool->loop) - l->idle_since_ms > UPLINK_AGE_S * 1000u;
}

static struct uplink *take_idle(struct origin *o)
{
    struct uplink *l = NULL;
    while ((l = o->first) != NULL) {
        idle_remove(l);
        if (!is_old(l) && is_quiet(l)) {
            return l;
        }
        link_free(l);
    }
    return NULL;
}

const char *uplink_denied(const struct uplink *l)
{
    return l->denied;
}

bool uplink_starved(const struct uplink *l)
{
    return l->starved;
}

struct uplink *uplink_take(struct uplinks *u, const char *url, const struct uplink_how *how,
                           void *ctx)
{
    assert(ctx != NULL);
    struct origin *o = origin_for(u, url, how->reach);
    if (o == NULL) {
        return NULL;
    }
    struct uplink *l = how->fresh ? NULL : take_idle(o);
    l = l != NULL ? l : link_new(u, o, how->connect_ms);
    if (l != NULL) {
        l->ctx = ctx;
    }
    return l;
}

void uplink_give_back(struct uplink *l, bool reusable)
{
    struct origin *o = l->origin;
    if (!reusable || l->fd < 0 || l->pool->closed || !o->listed ||
        o->n_idle >= UPLINK_IDLE_PER_ORIGIN) {
        link_free(l);
        return;
    }
    l->ctx = NULL;
    l->idle_since_ms = uv_now(l->pool->loop);
    uplink_watch(l, true, false);
    idle_add(l);
}

bool uplink_is_open(const struct uplink *l)
{
    return l->fd >= 0;
}

const char *uplink_host(const struct uplink *l)
{
    return l->origin->host;
}

bool uplink_is_tls(const struct uplink *l)
{
    return l->origin->tls;
}

/* ---- bytes ---- */

/* Pieces are put together: each call makes a record.  After UPLINK_AGAIN OpenSSL wants to see the
 * same bytes in the same place, which the same pieces give. */
static ssize_t send_tls(struct uplink *l, const struct iovec *pieces, int n)
{
    char *record = l->pool->record;
    size_t len = 0, sent = 0;
    for (int i = 0; i < n && len < UPLINK_RECORD; i++) {
        size_t room = UPLINK_RECORD - len;
        size_t take = pieces[i].iov_len < room ? pieces[i].iov_len : room;
        memcpy(record + len, pieces[i].iov_base, take);
        len += take;
    }
    CURLcode code = curl_easy_send(l->curl, record, len, &sent);
    return code == CURLE_OK ? (ssize_t)sent : code == CURLE_AGAIN ? UPLINK_AGAIN : UPLINK_LOST;
}

static ssize_t told_by_errno(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? UPLINK_AGAIN : UPLINK_LOST;
}

ssize_t uplink_send(struct uplink *l, const struct iovec *pieces, int n)
{
    if (l->origin->tls) {
        return send_tls(l, pieces, n);
    }
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = (size_t)n};
    ssize_t sent = sendmsg(l->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent >= 0 ? sent : told_by_errno();
}

ssize_t uplink_recv(struct uplink *l, char *into, size_t cap)
{
    if (!l->origin->tls) {
        ssize_t got = recv(l->fd, into, cap, MSG_DONTWAIT);
        return got >= 0 ? got : told_by_errno();
    }
    size_t got = 0;
    CURLcode code = curl_easy_recv(l->curl, into, cap, &got);
    return code == CURLE_OK ? (ssize_t)got : code == CURLE_AGAIN ? UPLINK_AGAIN : UPLINK_LOST;
}

void uplink_watch(struct uplink *l, bool reading, bool writing)
{
    uint32_t events = (reading ? (uint32_t)EPOLLIN : 0) | (writing ? (uint32_t)EPOLLOUT : 0);
    set_events(l->pool, l->fd, events);
}

/* ---- the loop's side ---- */

static enum uplink_result result_of(CURLcode code)
{
    switch ((int)code) {
    case CURLE_OK:
        return UPLINK_OPEN;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return UPLINK_TLS_FAILED;
    case CURLE_OPERATION_TIMEDOUT:
        return UPLINK_CONNECT_TIMEOUT;
    default:
        return UPLINK_CONNECT_FAILED;
    }
}

/* Resolving a name takes some, and gives them back before we are told that it failed. */
static bool lacks_descriptors(const struct uplinks *u)
{
    enum { RESOLVING = 8 };
    int fds[RESOLVING], n = 0;
    while (n < RESOLVING && (fds[n] = fcntl(u->epoll_fd, F_DUPFD_CLOEXEC, 0)) >= 0) {
        n++;
    }
    for (int i = 0; i < n; i++) {
        close(fds[i]);
    }
    return n < RESOLVING;
}

static void on_connected(struct uplink *l, CURLcode code)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    enum uplink_result result = result_of(code);
    if (result == UPLINK_OPEN &&
        (curl_easy_getinfo(l->curl, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK || fd < 0)) {
        result = UPLINK_CONNECT_FAILED;
    }
    if (result == UPLINK_OPEN) {
        l->fd = fd;
        l->pool->sockets[fd].link = l;
        uplink_watch(l, true, false);
    }
    /* The file of the authorities is opened, too. */
    l->starved = (result == UPLINK_CONNECT_FAILED || result == UPLINK_TLS_FAILED) &&
                 (l->starved || code == CURLE_OUT_OF_MEMORY || lacks_descriptors(l->pool));
    l->pool->ops->on_open(l->ctx, result);
}

static void reap(struct uplinks *u)
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
        on_connected((struct uplink *)(void *)priv, code);
    }
}

static void act(struct uplinks *u, curl_socket_t fd, int bits)
{
    int running = 0;
    curl_multi_socket_action(u->multi, fd, bits, &running);
}

static void on_link_event(struct uplinks *u, struct uplink *l, uint32_t events)
{
    if (l->ctx == NULL) {
        if (!is_quiet(l)) {
            drop_idle(l);
        }
        return;
    }
    if ((events & (EPOLLERR | EPOLLHUP)) != 0 && (u->sockets[l->fd].events & EPOLLIN) == 0) {
        /* These are told even if not asked for, again and again: its owner will see for
         * itself when it reads on. */
        set_events(u, l->fd, 0);
    }
    u->ops->on_ready(l->ctx, (events & EPOLLOUT) != 0);
}

/* An event may be that of an earlier socket of the same number, closed within the batch: every
 * reader of an event looks for itself. */
static void on_event(struct uplinks *u, int fd, uint32_t events)
{
    struct sock *s = &u->sockets[fd];
    if (s->events == 0) {
        return; /* closed earlier in this batch: the number may be another thread's by now */
    }
    if (s->link != NULL) {
        on_link_event(u, s->link, events);
        return;
    }
    if (!s->active) {
        set_events(u, fd, 0);
        return;
    }
    int bits = (events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0;
    bits |= (events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0;
    bits |= (events & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0;
    act(u, fd, bits);
}

static void on_epoll(uv_poll_t *handle, int status, int uv_events)
{
    (void)uv_events;
    struct uplinks *u = handle->data;
    struct epoll_event events[EPOLL_BATCH];
    if (status < 0) {
        return;
    }
    int n = epoll_wait(u->epoll_fd, events, EPOLL_BATCH, 0);
    for (int i = 0; i < n; i++) {
        on_event(u, events[i].data.fd, events[i].events);
    }
    reap(u);
}

static void on_timeout(uv_timer_t *timer)
{
    struct uplinks *u = timer->data;
    act(u, CURL_SOCKET_TIMEOUT, 0);
    reap(u);
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *ctx)
{
    (void)multi;
    struct uplinks *u = ctx;
    if (timeout_ms < 0) {
        uv_timer_stop(&u->timer);
    } else {
        /* Never 0: libuv 1.44 spins on a zero timer re-armed from its own callback. */
        uv_timer_start(&u->timer, on_timeout, timeout_ms > 0 ? (uint64_t)timeout_ms : 1, 0);
    }
    return 0;
}

bool uplinks_turn(struct uplinks *u)
{
    bool worked = u->kick;
    if (u->kick) {
        u->kick = false;
        act(u, CURL_SOCKET_TIMEOUT, 0);
        reap(u);
    }
    return worked;
}

bool uplinks_pending(const struct uplinks *u)
{
    return u->kick;
}

void uplinks_sweep(struct uplinks *u)
{
    struct origin **at = &u->origins, *o = NULL;
    while ((o = *at) != NULL) {
        while (o->last != NULL && is_old(o->last)) {
            drop_idle(o->last);
        }
        if (o->n_links > 0) {
            at = &o->next;
            continue;
        }
        *at = o->next;
        u->n_origins--;
        origin_free(o);
    }
}

/* ---- life ---- */

struct uplinks *uplinks_new(uv_loop_t *loop, const struct uplink_ops *ops)
{
    struct uplinks *u = calloc(1, sizeof *u);
    if (u == NULL) {
        return NULL;
    }
    u->loop = loop;
    u->ops = ops;
    u->sockets = calloc(UPLINK_DESCRIPTORS_MAX, sizeof *u->sockets);
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

void uplinks_trust(struct uplinks *u, const char *ca_file)
{
    u->ca_file = ca_file;
}

void uplinks_close(struct uplinks *u)
{
    u->closed = true;
    while (u->origins != NULL) {
        struct origin *o = u->origins;
        while (o->first != NULL) {
            drop_idle(o->first);
        }
        assert(o->n_links == 0);
        u->origins = o->next;
        origin_free(o);
    }
    curl_multi_cleanup(u->multi);
    uv_poll_stop(&u->poll);
    uv_timer_stop(&u->timer);
    uv_close((uv_handle_t *)&u->poll, NULL);
    uv_close((uv_handle_t *)&u->timer, NULL);
}

void uplinks_free(struct uplinks *u)
{
    if (u == NULL) {
        return;
    }
    close(u->epoll_fd);
    free(u->sockets);
    free(u);
}
