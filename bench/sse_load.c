/* The benchmark's client for streams: sse_load PORT AT_ONCE TOTAL BODY_FILE [HEADER]...
 * keeps AT_ONCE streams open, each on a connection of its own, until TOTAL have ended, and
 * prints JSON: streams complete and failed, events, time to the first event and delay of the
 * events (the mock's text is the time it was sent), in microseconds. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
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

enum { SAMPLES_MAX = 8000000, REQUEST_MAX = 1 << 20, READ_MAX = 65536, EVENTS_MAX = 512 };
enum { CARRY_MAX = 64, STAMP_DIGITS = 19, LIMIT_S = 120 };

struct stream {
    int fd;
    int64_t begun_ns;
    bool has_first;
    bool stopped; /* message_stop was seen */
    char carry[CARRY_MAX];
    size_t carry_len;
};

struct samples {
    uint32_t *us;
    size_t n;
};

static struct samples first_event, delays;
static char request[REQUEST_MAX];
static size_t request_len;
static int epoll_fd, port, n_open, n_begun, n_complete, n_failed, total;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void add_sample(struct samples *s, int64_t ns)
{
    if (s->n < SAMPLES_MAX)
        s->us[s->n++] = (uint32_t)(ns > 0 ? ns / 1000 : 0);
}

static int by_size(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static unsigned percentile(const struct samples *s, unsigned percent)
{
    return s->n > 0 ? s->us[(s->n - 1) * percent / 100] : 0;
}

static void make_request(const char *body_file, char **headers)
{
    static char body[REQUEST_MAX / 2];
    FILE *f = fopen(body_file, "rb");
    size_t n = f != NULL ? fread(body, 1, sizeof(body), f) : 0;
    if (n == 0) {
        perror(body_file);
        exit(EXIT_FAILURE);
    }
    fclose(f);
    int len = snprintf(request, sizeof(request),
                       "POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
                       "application/json\r\nContent-Length: %zu\r\n",
                       n);
    for (; *headers != NULL; headers++)
        len += snprintf(request + len, sizeof(request) - (size_t)len, "%s\r\n", *headers);
    len += snprintf(request + len, sizeof(request) - (size_t)len, "\r\n");
    memcpy(request + len, body, n);
    request_len = (size_t)len + n;
}

static void begin(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct stream *s = calloc(1, sizeof(*s));
    assert(s != NULL);
    s->begun_ns = now_ns();
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    n_begun++;
    if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
        send(s->fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len) {
        perror("sse_load");
        exit(EXIT_FAILURE);
    }
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = s};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &e);
    n_open++;
}

static void end(struct stream *s, bool complete)
{
    if (complete)
        n_complete++;
    else
        n_failed++;
    close(s->fd);
    free(s);
    n_open--;
    if (n_begun < total)
        begin();
}

/* Takes the stamps out of what came; what could be half of one is carried over. */
static void scan(struct stream *s, const char *text, size_t n)
{
    static const char mark[] = "\"text\":\"";
    const size_t whole = sizeof(mark) - 1 + STAMP_DIGITS;
    int64_t now = now_ns();
    const char *p = text, *end_of_text = text + n;
    while ((p = memmem(p, (size_t)(end_of_text - p), mark, sizeof(mark) - 1)) != NULL) {
        if ((size_t)(end_of_text - p) < whole)
            break;
        int64_t stamp = strtoll(p + sizeof(mark) - 1, NULL, 10);
        p += sizeof(mark) - 1;
        if (stamp == 0)
            continue;
        if (!s->has_first)
            add_sample(&first_event, now - s->begun_ns);
        s->has_first = true;
        add_sample(&delays, now - stamp);
    }
    s->stopped = s->stopped || memmem(text, n, "\"message_stop\"", 14) != NULL;
    /* One byte less than a whole one: what was counted is not counted again. */
    size_t keep = n < whole - 1 ? n : whole - 1;
    memcpy(s->carry, end_of_text - keep, keep);
    s->carry_len = keep;
}

static void on_readable(struct stream *s)
{
    static char buf[CARRY_MAX + READ_MAX];
    memcpy(buf, s->carry, s->carry_len);
    ssize_t n = recv(s->fd, buf + s->carry_len, READ_MAX - 1, 0);
    if (n <= 0) {
        end(s, false);
        return;
    }
    size_t len = s->carry_len + (size_t)n;
    buf[len] = '\0';
    scan(s, buf, len);
    if (len >= 5 && memcmp(buf + len - 5, "0\r\n\r\n", 5) == 0)
        end(s, s->stopped);
}

static void report(int64_t took_ns)
{
    qsort(first_event.us, first_event.n, sizeof(uint32_t), by_size);
    qsort(delays.us, delays.n, sizeof(uint32_t), by_size);
    printf("{\"complete\": %d, \"failed\": %d, \"events\": %zu, \"seconds\": %lld.%03lld, "
           "\"first_p50\": %u, \"first_p99\": %u, \"delay_p50\": %u, \"delay_p99\": %u}\n",
           n_complete, n_failed, delays.n, (long long)(took_ns / 1000000000),
           (long long)(took_ns / 1000000 % 1000), percentile(&first_event, 50),
           percentile(&first_event, 99), percentile(&delays, 50), percentile(&delays, 99));
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fputs("usage: sse_load PORT AT_ONCE TOTAL BODY_FILE [HEADER]...\n", stderr);
        return 2;
    }
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    port = (int)strtol(argv[1], NULL, 10);
    int at_once = (int)strtol(argv[2], NULL, 10);
    total = (int)strtol(argv[3], NULL, 10);
    make_request(argv[4], argv + 5);
    first_event.us = malloc(SAMPLES_MAX * sizeof(uint32_t));
    delays.us = malloc(SAMPLES_MAX * sizeof(uint32_t));
    assert(first_event.us != NULL && delays.us != NULL);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int64_t start = now_ns();
    while (n_open < at_once && n_begun < total)
        begin();
    while (n_open > 0 && now_ns() - start < (int64_t)LIMIT_S * 1000000000) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(epoll_fd, events, EVENTS_MAX, 1000);
        for (int i = 0; i < n; i++)
            on_readable(events[i].data.ptr);
    }
    n_failed += n_open;
    report(now_ns() - start);
    free(first_event.us);
    free(delays.us);
    return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
