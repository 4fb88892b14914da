/* The load that benchmark and tests put on a server: one thread, one epoll set.
 *
 *   load KIND PORT N [OPTION=VALUE]... ["HEADER: VALUE"]...
 *
 * N connections, each of which
 *   asks    asks one thing after the other and keeps its connection (pause_ms= between two)
 *   streams reads a stream on a connection of its own, then another, until total= have begun
 *   open    asks when rate= a second says so, not when the last answer is there; N at once at most
 *   slow    reads a stream by bytes_s= bytes a second; at the first SIGTERM it reads no more, at
 * the second it ends heads   sends the head of a request by a byte a second bodies  sends the body
 * of a request by a byte a second idle    asks once, and once more at the end
 *
 * Other options: body=FILE (else GET), path=, seconds=.  It prints "ready" when all N are there,
 * ends after seconds=, at SIGTERM, or when all is done, and prints JSON; times are in microseconds.
 * Of streams the delay is that of the mock's events, whose text is the time they were sent. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    SAMPLES_MAX = 8000000,
    REQUEST_MAX = 1 << 20,
    READ_MAX = 65536,
    HEAD_MAX = 16384, /* of an answer */
    EVENTS_MAX = 512,
    BATCH = 64, /* connections that are opened before others have their turn */
    CARRY_MAX = 64,
    TAIL = 4, /* of a chunked body: one byte less than its last chunk */
    STAMP_DIGITS = 19,
    STATUS_MAX = 600,
    SLOW_RECEIVE = 4096, /* the receive buffer of a slow reader */
    SLOW_SWEEPS = 4,     /* a second */
    LAST_S = 30          /* for the answers that are awaited at the end */
};
#define SECOND INT64_C(1000000000)

enum kind { ASKS, STREAMS, OPEN, SLOW, HEADS, BODIES, IDLE, KINDS };
static const char *const KIND_NAMES[KINDS] = {"asks",  "streams", "open", "slow",
                                              "heads", "bodies",  "idle"};

/* One connection; in `all` from its opening to the end of the program or its own. */
struct client {
    int fd;
    bool busy;      /* an answer is awaited */
    bool has_first; /* of a stream: some event came */
    bool stopped;   /* message_stop was seen */
    bool keeps, chunked;
    int status; /* 0: the head is not complete */
    int n_answers;
    int64_t length;   /* of the body, still to come; -1 = it says none */
    int64_t begun_ns; /* of the request; of a drip: of the connection */
    int64_t due_ns;   /* of the next request */
    size_t carry_len, head_len;
    char carry[CARRY_MAX]; /* the end of what was read */
    char *head;
};

struct samples {
    uint32_t *us;
    size_t n;
};

static struct {
    enum kind kind;
    int port, n, total, rate, pause_ms, bytes_s, seconds;
    const char *body, *path;
    char **headers;
} want = {.path = "/v1/messages", .total = INT32_MAX, .bytes_s = 1024, .seconds = 600};

static struct samples first_event, delays, good, other, lasted;
static char request[REQUEST_MAX];
static size_t request_len;
static int epoll_fd, n_open, n_begun, n_complete, n_failed, n_late;
static int by_status[STATUS_MAX];
static struct client **all;
static bool at_end; /* none begins; idle ones ask for the last time, slow ones read no more */

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

/* ---- samples ---- */

static void add_sample(struct samples *s, int64_t ns)
{
    if (s->us == NULL)
        s->us = malloc(SAMPLES_MAX * sizeof(uint32_t)); /* touched as it is filled */
    assert(s->us != NULL);
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

static void print_samples(const char *name, struct samples *s)
{
    if (s->n > 0)
        qsort(s->us, s->n, sizeof(uint32_t), by_size);
    printf(", \"%s\": {\"n\": %zu, \"min\": %u, \"p50\": %u, \"p99\": %u, \"max\": %u}", name, s->n,
           percentile(s, 0), percentile(s, 50), percentile(s, 99), percentile(s, 100));
    free(s->us);
}

static void report(int64_t took_ns)
{
    printf("{\"complete\": %d, \"failed\": %d, \"late\": %d, \"seconds\": %lld.%03lld, "
           "\"status\": {",
           n_complete, n_failed, n_late, (long long)(took_ns / SECOND),
           (long long)(took_ns / 1000000 % 1000));
    const char *comma = "";
    for (int i = 0; i < STATUS_MAX; i++) {
        if (by_status[i] > 0) {
            printf("%s\"%d\": %d", comma, i, by_status[i]);
            comma = ", ";
        }
    }
    printf("}");
    print_samples("first", &first_event);
    print_samples("delay", &delays);
    print_samples("good", &good);
    print_samples("other", &other);
    print_samples("lasted", &lasted);
    printf("}\n");
}

/* ---- the request ---- */

static void make_request(void)
{
    static char body[REQUEST_MAX / 2];
    size_t n = 0;
    if (want.body != NULL) {
        FILE *f = fopen(want.body, "rb");
        n = f != NULL ? fread(body, 1, sizeof(body), f) : 0;
        if (n == 0) {
            perror(want.body);
            exit(EXIT_FAILURE);
        }
        fclose(f);
    }
    int len = snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n",
                       want.body != NULL ? "POST" : "GET", want.path);
    for (char **h = want.headers; *h != NULL; h++)
        len += snprintf(request + len, sizeof(request) - (size_t)len, "%s\r\n", *h);
    if (want.body != NULL)
        len += snprintf(request + len, sizeof(request) - (size_t)len,
                        "Content-Type: application/json\r\nContent-Length: %zu\r\n", n);
    if (want.kind == HEADS) {
        len += snprintf(request + len, sizeof(request) - (size_t)len, "X-Long: ");
        request_len = (size_t)len;
        return;
    }
    len += snprintf(request + len, sizeof(request) - (size_t)len, "\r\n");
    memcpy(request + len, body, n);
    request_len = (size_t)len + (want.kind == BODIES ? 0 : n);
}

/* ---- connections ---- */

static int connected(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)want.port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = SLOW_RECEIVE;
    if (want.kind == SLOW && fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
        perror("load: connect");
        exit(EXIT_FAILURE);
    }
    return fd;
}

static void ask(struct client *c)
{
    c->busy = true;
    c->has_first = c->stopped = false;
    c->status = 0;
    c->carry_len = c->head_len = 0;
    c->begun_ns = now_ns();
    n_begun++;
    if (send(c->fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len && errno != EPIPE &&
        errno != ECONNRESET) {
        perror("load: send");
        exit(EXIT_FAILURE);
    }
}

static void open_client(struct client *c)
{
    char *head = c->head;
    *c = (struct client){.fd = connected(), .head = head};
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (want.kind != SLOW)
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e);
    n_open++;
    ask(c);
}

static void close_client(struct client *c)
{
    close(c->fd);
    c->fd = -1;
    c->busy = false;
    n_open--;
}

/* ---- answers ---- */

/* Takes the stamps out of what came; what could be half of one is carried over. */
static void scan_stream(struct client *c, const char *text, size_t n)
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
        if (!c->has_first)
            add_sample(&first_event, now - c->begun_ns);
        c->has_first = true;
        if (stamp != 0)
            add_sample(&delays, now - stamp);
    }
    c->stopped = c->stopped || memmem(text, n, "\"message_stop\"", 14) != NULL;
    /* One byte less than a whole one: what was counted is not counted again. */
    size_t keep = n < whole - 1 ? n : whole - 1;
    memcpy(c->carry, end_of_text - keep, keep);
    c->carry_len = keep;
}

static void end_answer(struct client *c, bool whole)
{
    bool good_one = whole && c->status / 100 == 2 && (want.kind != STREAMS || c->stopped);
    by_status[c->status < STATUS_MAX ? c->status : 0]++;
    add_sample(good_one ? &good : &other, now_ns() - c->begun_ns);
    n_complete += good_one;
    n_failed += !good_one;
    c->n_answers++;
    c->busy = false;
    c->due_ns = now_ns() + (int64_t)want.pause_ms * 1000000;
    if (!whole || !c->keeps || want.kind == STREAMS)
        close_client(c);
}

/* The line that begins with name, in lower case; NULL: none. */
static const char *field(const char *head, const char *name)
{
    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, strlen(name)) == 0)
            return line + 2 + strlen(name);
    }
    return NULL;
}

/* Returns the bytes that belong to the head; it is complete when c->status is set. */
static size_t take_head(struct client *c, const char *bytes, size_t n)
{
    if (c->head == NULL)
        c->head = malloc(HEAD_MAX + 1);
    assert(c->head != NULL);
    size_t before = c->head_len, room = HEAD_MAX - before, more = n < room ? n : room;
    memcpy(c->head + before, bytes, more);
    c->head_len += more;
    c->head[c->head_len] = '\0';
    char *end = strstr(c->head, "\r\n\r\n");
    if (end == NULL)
        return more;
    end[2] = '\0';
    const char *length = field(c->head, "content-length:"),
               *close_it = field(c->head, "connection:");
    c->status = (int)strtol(c->head + 9, NULL, 10);
    c->chunked = field(c->head, "transfer-encoding:") != NULL;
    c->length = length != NULL ? strtoll(length, NULL, 10) : c->chunked ? -1 : 0;
    c->keeps = close_it == NULL || strcasestr(close_it, "close") == NULL;
    return (size_t)(end + 4 - c->head) - before;
}

/* A chunked body is over with its last five bytes: no text of ours holds them elsewhere. */
static bool is_over(struct client *c, const char *bytes, size_t n)
{
    if (!c->chunked) {
        c->length -= (int64_t)n;
        return c->length <= 0;
    }
    return n >= 5 && memcmp(bytes + n - 5, "0\r\n\r\n", 5) == 0;
}

static void on_readable(struct client *c)
{
    static char buf[CARRY_MAX + READ_MAX];
    memcpy(buf, c->carry, c->carry_len);
    ssize_t got = recv(c->fd, buf + c->carry_len, READ_MAX - 1, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (want.kind == HEADS || want.kind == BODIES) {
        if (got <= 0) {
            add_sample(&lasted, now_ns() - c->begun_ns);
            close_client(c);
        }
        return; /* what is said to it does not matter */
    }
    if (got <= 0) {
        if (c->busy)
            end_answer(c, false);
        else
            n_failed += want.kind == IDLE, close_client(c);
        return;
    }
    size_t begin = c->carry_len, end = begin + (size_t)got;
    if (c->status == 0) {
        begin += take_head(c, buf + begin, end - begin);
        if (c->status == 0)
            return;
    }
    size_t text = begin - c->carry_len; /* with what was carried over */
    bool over = is_over(c, buf + (c->chunked ? text : begin), end - (c->chunked ? text : begin));
    buf[end] = '\0';
    if (want.kind == STREAMS) {
        scan_stream(c, buf + text, end - text);
    } else if (c->chunked) {
        c->carry_len = end - text < TAIL ? end - text : TAIL;
        memmove(c->carry, buf + end - c->carry_len, c->carry_len);
    }
    if (over)
        end_answer(c, true);
}

/* ---- what is due ---- */

static void read_slowly(struct client *c, int64_t now)
{
    char some[READ_MAX];
    size_t n = (size_t)(want.bytes_s / SLOW_SWEEPS);
    if (at_end)
        return;
    ssize_t got = recv(c->fd, some, n < sizeof(some) ? n : sizeof(some), MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        n_failed++;
        close_client(c);
    }
    c->status = got > 0 ? 200 : c->status;
    c->due_ns = now + SECOND / SLOW_SWEEPS;
}

static void drip(struct client *c, int64_t now)
{
    c->due_ns = now + SECOND;
    send(c->fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT); /* who does not want it closes */
}

static void do_due(struct client *c, int64_t now)
{
    if (c->fd < 0) {
        if ((want.kind == ASKS || want.kind == STREAMS) && n_begun < want.total)
            open_client(c);
        return;
    }
    if (now < c->due_ns)
        return;
    if (want.kind == SLOW)
        read_slowly(c, now);
    else if (want.kind == HEADS || want.kind == BODIES)
        drip(c, now);
    else if (!c->busy && ((want.kind == ASKS && n_begun < want.total) ||
                          (want.kind == IDLE && at_end && c->n_answers == 1)))
        ask(c);
}

/* Of an open loop: as many as the time asks for, on whatever connection is free. */
static void do_open(int64_t now, int64_t start)
{
    static int next;
    int64_t due = (now - start) * want.rate / SECOND;
    for (int tried = 0; n_begun + n_late < due && n_begun < want.total;) {
        struct client *c = all[next];
        next = (next + 1) % want.n;
        if (c->fd < 0)
            open_client(c);
        else if (!c->busy)
            ask(c);
        else if (++tried == want.n) {
            n_late = (int)due - n_begun; /* there is no room: it never was asked */
            return;
        }
    }
}

static bool is_done(void)
{
    if (want.kind == STREAMS || want.kind == OPEN || want.kind == ASKS) {
        bool more = want.kind == OPEN ? n_begun + n_late < want.total : n_begun < want.total;
        bool busy = false;
        for (int i = 0; i < want.n && !busy && !more; i++)
            busy = all[i]->busy;
        return !more && !busy;
    }
    return n_open == 0 || (at_end && want.kind == IDLE && n_complete + n_failed >= 2 * want.n);
}

static volatile sig_atomic_t told; /* to end */

static void on_sigterm(int signal)
{
    (void)signal;
    told = 1;
}

static void look(int wait_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(epoll_fd, events, EVENTS_MAX, wait_ms);
    for (int i = 0; i < n; i++) {
        struct client *c = events[i].data.ptr;
        if (c->fd >= 0)
            on_readable(c);
    }
}

static void open_all(void)
{
    for (int i = 0; i < want.n; i++) {
        all[i] = calloc(1, sizeof(*all[i]));
        assert(all[i] != NULL);
        all[i]->fd = -1;
        if (want.kind != OPEN && n_begun < want.total)
            open_client(all[i]);
        if (i % BATCH == 0)
            look(0);
    }
    while (want.kind == IDLE && n_complete + n_failed < want.n)
        look(100);
    puts("ready");
    fflush(stdout);
}

static void run(void)
{
    int64_t start = now_ns(), swept = 0;
    open_all();
    int64_t ready = now_ns(), until = ready + want.seconds * SECOND;
    while (!is_done()) {
        look(1);
        int64_t now = now_ns();
        if (want.kind == OPEN)
            do_open(now, ready);
        if (want.kind != OPEN && now - swept >= SECOND / 500) {
            swept = now;
            for (int i = 0; i < want.n; i++)
                do_due(all[i], now);
        }
        if (!told && now < until)
            continue;
        told = 0;
        until =
            now + (want.kind == SLOW ? want.seconds : LAST_S) * SECOND; /* for what is to come */
        if (want.kind == HEADS || want.kind == BODIES || at_end)
            break;
        at_end = true;
        want.total = n_begun; /* no more begin */
    }
    report(now_ns() - start);
}

static bool take_option(const char *arg)
{
    const struct {
        const char *name;
        int *value;
    } numbers[] = {{"total=", &want.total},
                   {"rate=", &want.rate},
                   {"pause_ms=", &want.pause_ms},
                   {"bytes_s=", &want.bytes_s},
                   {"seconds=", &want.seconds}};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (strncmp(arg, numbers[i].name, strlen(numbers[i].name)) == 0) {
            *numbers[i].value = (int)strtol(arg + strlen(numbers[i].name), NULL, 10);
            return true;
        }
    }
    if (strncmp(arg, "body=", 5) == 0)
        want.body = arg + 5;
    else if (strncmp(arg, "path=", 5) == 0)
        want.path = arg + 5;
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    for (want.kind = 0; argc >= 4 && want.kind < KINDS; want.kind++) {
        if (strcmp(argv[1], KIND_NAMES[want.kind]) == 0)
            break;
    }
    if (argc < 4 || want.kind == KINDS) {
        fputs("usage: load asks|streams|open|slow|heads|bodies|idle PORT N [OPTION=VALUE]... "
              "[HEADER]...\n",
              stderr);
        return 2;
    }
    want.port = (int)strtol(argv[2], NULL, 10);
    want.n = (int)strtol(argv[3], NULL, 10);
    for (want.headers = argv + 4; *want.headers != NULL && take_option(*want.headers);)
        want.headers++;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    make_request();
    all = calloc((size_t)want.n, sizeof(*all));
    assert(want.n > 0 && all != NULL);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    signal(SIGTERM, on_sigterm);
    run();
    return EXIT_SUCCESS;
}
