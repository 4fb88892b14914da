/* The log: a bounded queue of text and one thread that writes it. */
#define _GNU_SOURCE
#include "server/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "schema/when.h"

enum { GATHER_MS = 10, LAST_WORDS_S = 1 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    pthread_t thread;
    struct buf queue;
    unsigned long dropped;
    enum log_level least;
    bool running, stopping;
    bool waiting; /* the writer sleeps until the first line: it must be signalled */
} the_log = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER, .least = LOG_INFO};

static void write_all(const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done = write(STDERR_FILENO, bytes, n);
        if (done <= 0) {
            return; /* nobody reads the log any more: serving goes on */
        }
        bytes += done;
        n -= (size_t)done;
    }
}

/* Lets lines come together: a wake-up for each cost a tenth of a worker's time. */
static void gather(void)
{
    const struct timespec pause = {.tv_nsec = GATHER_MS * 1000000L};
    pthread_mutex_unlock(&the_log.lock);
    nanosleep(&pause, NULL);
    pthread_mutex_lock(&the_log.lock);
}

static void *log_writer(void *unused)
{
    struct buf out;
    buf_init(&out, LOG_QUEUE_MAX);
    pthread_setname_np(pthread_self(), "wf-log");

    pthread_mutex_lock(&the_log.lock);
    while (!the_log.stopping || the_log.queue.len > 0) {
        if (the_log.queue.len == 0) {
            the_log.waiting = true;
            pthread_cond_wait(&the_log.filled, &the_log.lock);
            the_log.waiting = false;
            continue;
        }
        if (!the_log.stopping) {
            gather();
        }
        struct buf full = the_log.queue;
        the_log.queue = out;
        unsigned long dropped = the_log.dropped;
        the_log.dropped = 0;
        pthread_mutex_unlock(&the_log.lock);
        write_all(full.ptr, full.len);
        if (dropped > 0) {
            char note[96];
            int n = snprintf(note, sizeof note, "level=warn msg=\"log lines dropped\" count=%lu\n",
                             dropped);
            write_all(note, (size_t)n);
        }
        out = full;
        buf_reset(&out);
        pthread_mutex_lock(&the_log.lock);
    }
    pthread_mutex_unlock(&the_log.lock);
    buf_done(&out);
    return unused;
}

void log_start(enum log_level least)
{
    pthread_mutex_lock(&the_log.lock);
    the_log.least = least;
    buf_init(&the_log.queue, LOG_QUEUE_MAX);
    the_log.stopping = false;
    the_log.running = pthread_create(&the_log.thread, NULL, log_writer, NULL) == 0;
    pthread_mutex_unlock(&the_log.lock);
}

void log_stop(void)
{
    pthread_mutex_lock(&the_log.lock);
    bool was_running = the_log.running;
    the_log.running = false;
    the_log.stopping = true;
    pthread_cond_signal(&the_log.filled);
    pthread_mutex_unlock(&the_log.lock);
    if (was_running) {
        pthread_join(the_log.thread, NULL);
        buf_done(&the_log.queue);
    }
}

void log_last_words(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LAST_WORDS_S;
    pthread_mutex_lock(&the_log.lock);
    bool was_running = the_log.running;
    the_log.running = false;
    the_log.stopping = true;
    pthread_cond_signal(&the_log.filled);
    pthread_mutex_unlock(&the_log.lock);
    if (was_running) {
        pthread_timedjoin_np(the_log.thread, NULL, &until);
    }
}

bool log_enabled(enum log_level level)
{
    return level >= the_log.least;
}

static void enqueue(const char *line, size_t n)
{
    pthread_mutex_lock(&the_log.lock);
    bool running = the_log.running;
    if (running) {
        if (!buf_add(&the_log.queue, line, n)) {
            the_log.queue.failed = false;
            the_log.dropped++;
        }
        if (the_log.waiting) {
            the_log.waiting = false;
            pthread_cond_signal(&the_log.filled);
        }
    }
    pthread_mutex_unlock(&the_log.lock);
    if (!running) {
        write_all(line, n);
    }
}

static size_t write_head(enum log_level level, char line[LOG_LINE_MAX])
{
    static const struct span levels[] = {SPAN(" level=debug "), SPAN(" level=info "),
                                         SPAN(" level=warn "), SPAN(" level=error ")};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    memcpy(line, "time=", 5);
    when_print((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, line + 5);
    size_t n = strlen(line);
    memcpy(line + n, levels[level].ptr, levels[level].len);
    return n + levels[level].len;
}

static void write_line(char line[LOG_LINE_MAX], size_t n)
{
    if (n > LOG_LINE_MAX - 2) {
        n = LOG_LINE_MAX - 2;
    }
    for (size_t i = 0; i < n; i++) {
        line[i] = (unsigned char)line[i] < 0x20 ? ' ' : line[i]; /* one event, one line */
    }
    line[n++] = '\n';
    enqueue(line, n);
}

void log_line(enum log_level level, const char *fmt, ...)
{
    if (!log_enabled(level)) {
        return;
    }
    char line[LOG_LINE_MAX];
    size_t head = write_head(level, line);
    va_list args;
    va_start(args, fmt);
    int tail = vsnprintf(line + head, sizeof line - head - 1, fmt, args);
    va_end(args);
    write_line(line, head + (tail > 0 ? (size_t)tail : 0));
}

void log_text(enum log_level level, struct span text)
{
    if (!log_enabled(level)) {
        return;
    }
    char line[LOG_LINE_MAX];
    size_t head = write_head(level, line);
    size_t n = text.len < sizeof line - head - 2 ? text.len : sizeof line - head - 2;
    memcpy(line + head, text.ptr, n);
    write_line(line, head + n);
}

static void add_value(struct buf *line, const char *key, struct span value, size_t max)
{
    static const char hex[] = "0123456789abcdef";
    char out[LOG_FAULT_MAX];
    size_t n = 0;
    for (size_t i = 0; i < value.len && n < max; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        bool marked = c == '"' || c == '\\', coded = c < 0x20 || c >= 0x7f;
        if (n + (coded ? 4 : marked ? 2 : 1) > max) {
            break;
        }
        if (marked || coded) {
            out[n++] = '\\';
        }
        if (coded) {
            out[n++] = 'x';
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
        } else {
            out[n++] = (char)c;
        }
    }
    buf_addf(line, " %s=\"", key);
    buf_add(line, out, n);
    buf_addc(line, '"');
}

enum { PACE_MS = 1000 };

bool log_is_due(struct log_pace *p, int64_t now_ms, int64_t every_ms, int64_t *ret_n)
{
    *ret_n = ++p->n;
    if (now_ms < p->next_ms) {
        return false;
    }
    p->next_ms = now_ms + every_ms;
    p->n = 0;
    return true;
}

void log_crowd(struct log_pace *p, int64_t now_ms, const char *msg)
{
    int64_t n;
    if (log_is_due(p, now_ms, PACE_MS, &n)) {
        log_line(LOG_WARN, "msg=\"%s\" n=%lld", msg, (long long)n);
    }
}

void log_value(struct buf *line, const char *key, struct span value)
{
    add_value(line, key, value, LOG_VALUE_MAX);
}

void log_fault(enum log_level level, const char *msg, const char *error, const char *fmt, ...)
{
    char more[LOG_VALUE_MAX];
    struct buf line;
    va_list args;
    va_start(args, fmt);
    vsnprintf(more, sizeof more, fmt, args);
    va_end(args);
    buf_init(&line, LOG_LINE_MAX);
    log_value(&line, "msg", span_of(msg));
    buf_addf(&line, "%s%s", more[0] != '\0' ? " " : "", more);
    add_value(&line, "error", span_of(error), LOG_FAULT_MAX);
    struct span text = buf_span(&line);
    log_text(level, line.failed ? SPAN("msg=\"out of memory for a line\"")
                                : (struct span){text.ptr + 1, text.len - 1});
    buf_done(&line);
}
