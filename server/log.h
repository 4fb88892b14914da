/* One line per event, logfmt, to stderr.  Any thread; the caller never waits for the
 * terminal or the disk: lines are queued (LOG_QUEUE_MAX bytes, beyond that counted and
 * dropped) and written by a thread of their own.
 * Values that come from outside go through log_value: quoted, control bytes escaped. */
#ifndef SERVER_LOG_H
#define SERVER_LOG_H

#include <stdint.h>

#include "schema/buf.h"

enum {
    LOG_QUEUE_MAX = 4 * 1024 * 1024,
    LOG_LINE_MAX = 2048,
    LOG_LINE_USUAL = 256,
    LOG_VALUE_MAX = 256,
    LOG_FAULT_MAX = 1024
};

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Starts the writer.  Before it, and after log_stop, lines are written at once. */
void log_start(enum log_level least);
void log_stop(void);
/* For at_quick_exit: what is queued is written, unless that takes longer than a moment. */
void log_last_words(void);
bool log_enabled(enum log_level level);
/* fmt makes the part after "time level ".  Texts that may hold anything: log_value, log_fault. */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same with a part that is made already. */
void log_text(enum log_level level, struct span text);
struct log_pace {
    int64_t next_ms, n;
};
/* Whether a line may be written now, of those that would come too often: at most one in every_ms.
 * ret_n: how many times it happened since the last line.  A pace is one thread's. */
bool log_is_due(struct log_pace *p, int64_t now_ms, int64_t every_ms, int64_t *ret_n);
/* A warning that a crowd can cause: msg="..." n=..., at most once a second. */
void log_crowd(struct log_pace *p, int64_t now_ms, const char *msg);
/* Appends key="value" to a line being built, at most LOG_VALUE_MAX bytes of it as escaped. */
void log_value(struct buf *line, const char *key, struct span value);
/* msg="..." error="...", whatever these hold (the latter up to LOG_FAULT_MAX), and what fmt makes.
 */
void log_fault(enum log_level level, const char *msg, const char *error, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
