/* The benchmark's upstream: fixed answers at very low cost, so that what is measured is the
 * proxy.  mock EVENTS INTERVAL_MS DELAY_MS: prints the ports of three listeners: JSON at
 * once, JSON after DELAY_MS, and a stream of EVENTS events each INTERVAL_MS whose text is the
 * time it was sent (CLOCK_MONOTONIC, 19 digits of nanoseconds). */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_MAX = 32768, EVENTS_MAX = 512, BODY_BYTES = 703 };
enum kind { NOW, SLOW, STREAM, KIND_COUNT };

struct conn {
    int fd; /* -1: closed while it waited; freed when its turn comes */
    enum kind kind;
    char head[HEAD_MAX];
    size_t head_len;
    int64_t body_left; /* -1: in the head */
    bool waiting;
    int64_t due_ns;
    int n_sent;
    struct conn *next;
};

/* Every wait of one kind is equally long, so a plain queue is in order of time. */
static struct queue {
    struct conn *first, *last;
    int64_t wait_ns;
} queues[KIND_COUNT];

static int listeners[KIND_COUNT];
static int epoll_fd, n_events;
static char json_answer[2048];
static size_t json_len;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The answer: a message, filled up to its size with text. */
static void make_json(void)
{
    char body[BODY_BYTES + 1];
    static const char head[] = "{\"id\":\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\","
                               "\"model\":\"bench\",\"content\":[{\"type\":\"text\",\"text\":\"";
    static const char tail[] = "\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":"
                               "{\"input_tokens\":250,\"output_tokens\":90}}";
    memset(body, 'x', BODY_BYTES);
    body[BODY_BYTES] = '\0';
    memcpy(body, head, strlen(head));
    memcpy(body + BODY_BYTES - strlen(tail), tail, strlen(tail));
    int n = snprintf(json_answer, sizeof(json_answer),
                     "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
                     "request-id: req_bench\r\n\r\n%s",
                     BODY_BYTES, body);
    assert(n > 0 && (size_t)n < sizeof(json_answer));
    json_len = (size_t)n;
}

static void conn_close(struct conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    if (!c->waiting)
        free(c);
}

/* Small answers to a client that reads: they fit the socket's buffer. */
static bool put(struct conn *c, const char *bytes, size_t n)
{
    return send(c->fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static bool put_chunk(struct conn *c, const char *text)
{
    char chunk[1024];
    int n = snprintf(chunk, sizeof(chunk), "%zx\r\n%s\r\n", strlen(text), text);
    assert(n > 0 && (size_t)n < sizeof(chunk));
    return put(c, chunk, (size_t)n);
}

static void enqueue(struct conn *c)
{
    struct queue *q = &queues[c->kind];
    c->due_ns = now_ns() + q->wait_ns;
    c->waiting = true;
    c->next = NULL;
    if (q->last != NULL)
        q->last->next = c;
    else
        q->first = c;
    q->last = c;
}

static bool begin_stream(struct conn *c)
{
    static const char head[] =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nrequest-id: req_bench\r\n"
        "Transfer-Encoding: chunked\r\n\r\n";
    c->n_sent = 0;
    return put(c, head, strlen(head)) &&
           put_chunk(c,
                     "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":"
                     "\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\",\"model\":"
                     "\"bench\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,"
                     "\"usage\":{\"input_tokens\":250,\"output_tokens\":1}}}\n\n"
                     "event: content_block_start\ndata: {\"type\":\"content_block_start\","
                     "\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n");
}

static bool end_stream(struct conn *c)
{
    return put_chunk(c,
                     "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":"
                     "0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":"
                     "{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":"
                     "{\"output_tokens\":90}}\n\n"
                     "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n") &&
           put(c, "0\r\n\r\n", 5);
}

static bool put_event(struct conn *c)
{
    char event[256];
    snprintf(event, sizeof(event),
             "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
             "\"delta\":{\"type\":\"text_delta\",\"text\":\"%019lld\"}}\n\n",
             (long long)now_ns());
    return put_chunk(c, event);
}

/* A request is whole. */
static bool answer(struct conn *c)
{
    c->body_left = -1;
    c->head_len = 0;
    if (c->kind == NOW)
        return put(c, json_answer, json_len);
    if (c->kind == STREAM && !begin_stream(c))
        return false;
    enqueue(c);
    return true;
}

/* The wait is over. */
static bool go_on(struct conn *c)
{
    if (c->kind == SLOW)
        return put(c, json_answer, json_len);
    if (c->n_sent++ >= n_events)
        return end_stream(c);
    if (!put_event(c))
        return false;
    enqueue(c);
    return true;
}

/* Looks for the end of the head; false when it cannot be understood. */
static bool read_head(struct conn *c)
{
    char *end = memmem(c->head, c->head_len, "\r\n\r\n", 4);
    if (end == NULL)
        return c->head_len < HEAD_MAX;
    *end = '\0';
    const char *length = strcasestr(c->head, "\r\ncontent-length:");
    int64_t body = length != NULL ? strtoll(length + 17, NULL, 10) : 0;
    c->body_left = body - (int64_t)(c->head_len - (size_t)(end + 4 - c->head));
    return c->body_left >= 0;
}

static bool on_readable(struct conn *c)
{
    static char body[262144];
    bool in_head = c->body_left < 0;
    char *into = in_head ? c->head + c->head_len : body;
    size_t room = in_head ? HEAD_MAX - c->head_len : sizeof(body);
    ssize_t n = recv(c->fd, into, room, 0);
    if (n < 0)
        return errno == EAGAIN;
    if (n == 0)
        return false;
    if (in_head) {
        c->head_len += (size_t)n;
        if (!read_head(c))
            return false;
    } else {
        c->body_left -= n;
    }
    return c->body_left != 0 || answer(c);
}

static void on_accept(enum kind kind)
{
    for (;;) {
        int fd = accept4(listeners[kind], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        struct conn *c = calloc(1, sizeof(*c));
        assert(c != NULL);
        c->fd = fd;
        c->kind = kind;
        c->body_left = -1;
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
    }
}

/* Serves what is due; milliseconds until the next, -1 for none. */
static int run_queues(void)
{
    int64_t next = INT64_MAX, now = now_ns();
    for (int k = 0; k < KIND_COUNT; k++) {
        struct queue *q = &queues[k];
        while (q->first != NULL && q->first->due_ns <= now) {
            struct conn *c = q->first;
            q->first = c->next;
            if (q->first == NULL)
                q->last = NULL;
            c->waiting = false;
            if (c->fd < 0 || !go_on(c))
                conn_close(c);
        }
        if (q->first != NULL && q->first->due_ns < next)
            next = q->first->due_ns;
    }
    if (next == INT64_MAX)
        return -1;
    return next <= now ? 0 : (int)((next - now) / 1000000 + 1);
}

static void open_listener(enum kind kind)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) != 0 || listen(fd, 4096) != 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) != 0) {
        perror("mock: listen");
        exit(EXIT_FAILURE);
    }
    listeners[kind] = fd;
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &listeners[kind]};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
    printf("%d%s", ntohs(addr.sin_port), kind + 1 == KIND_COUNT ? "\n" : " ");
}

static void on_event(const struct epoll_event *e)
{
    for (int k = 0; k < KIND_COUNT; k++) {
        if (e->data.ptr == &listeners[k]) {
            on_accept((enum kind)k);
            return;
        }
    }
    struct conn *c = e->data.ptr;
    if (!on_readable(c))
        conn_close(c);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fputs("usage: mock EVENTS INTERVAL_MS DELAY_MS\n", stderr);
        return 2;
    }
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    n_events = (int)strtol(argv[1], NULL, 10);
    queues[STREAM].wait_ns = strtoll(argv[2], NULL, 10) * 1000000;
    queues[SLOW].wait_ns = strtoll(argv[3], NULL, 10) * 1000000;
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    make_json();
    for (int k = 0; k < KIND_COUNT; k++)
        open_listener((enum kind)k);
    fflush(stdout);
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(epoll_fd, events, EVENTS_MAX, run_queues());
        for (int i = 0; i < n; i++)
            on_event(&events[i]);
    }
}
