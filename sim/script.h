/* How a simulated provider behaves for one request: a set of named numbers and
 * strings, each one row below.  They come, the later winning, from POST
 * /_sim/script for "*" and for the model, from the model name
 * (`name?key=value&key=value`), and from [[sim:key=value,...]] in the last user text.
 *
 * A script borrows its strings from the arena it was given: it is read while an
 * answer is built and forgotten afterwards. */
#ifndef SIM_SCRIPT_H
#define SIM_SCRIPT_H

#include <stdint.h>

#include "schema/buf.h"
#include "schema/span.h"

/* N(name, value when not scripted, is a fault).  Faults are what fail_first and
 * fail_rate switch on and off.  -1 = not given.  Times in ms; *_after_bytes count body
 * bytes without HTTP framing; *_after_events count whole events, message_start being 1. */
#define SCRIPT_NUMBERS(N)                                                                          \
    N(output_tokens, -1, false)                                                                    \
    N(input_tokens, -1, false)                                                                     \
    N(cache_read, -1, false)                                                                       \
    N(cache_write_5m, -1, false)                                                                   \
    N(cache_write_1h, -1, false)                                                                   \
    N(web_searches, 0, false)                                                                      \
    N(event_tokens, 4, false)                                                                      \
    N(delay_ms, 0, false)                                                                          \
    N(ttft_ms, 0, false)                                                                           \
    N(tps, 0, false)                                                                               \
    N(chunk, 0, false)                                                                             \
    N(gap_ms, 0, false)                                                                            \
    N(ping_every_ms, 0, false)                                                                     \
    N(usage_in_delta, 1, false)                                                                    \
    N(no_usage, 0, false)                                                                          \
    N(tool, 0, false)                                                                              \
    N(thinking, -1, false)                                                                         \
    N(iterations, 0, false)                                                                        \
    N(crlf, 0, false)                                                                              \
    N(pad, 0, false)                                                                               \
    N(lenient, 0, false)                                                                           \
    N(fail_first, -1, false)                                                                       \
    N(fail_rate, -1, false)                                                                        \
    N(status, -1, true)                                                                            \
    N(count_status, -1, true)                                                                      \
    N(retry_after, -1, true)                                                                       \
    N(html, 0, true)                                                                               \
    N(hang, 0, true)                                                                               \
    N(close_before_headers, 0, true)                                                               \
    N(reset_before_headers, 0, true)                                                               \
    N(cut_after_bytes, -1, true)                                                                   \
    N(cut_after_events, -1, true)                                                                  \
    N(reset_after_bytes, -1, true)                                                                 \
    N(reset_after_events, -1, true)                                                                \
    N(end_after_bytes, -1, true)                                                                   \
    N(end_after_events, -1, true)                                                                  \
    N(hang_after_bytes, -1, true)                                                                  \
    N(hang_after_events, -1, true)                                                                 \
    N(error_event_after, -1, true)

enum script_number {
#define N(name, initial, fault) SCRIPT_##name,
    SCRIPT_NUMBERS(N)
#undef N
        SCRIPT_NUMBER_COUNT
};

/* S(name, is a fault) */
#define SCRIPT_STRINGS(S)                                                                          \
    S(error_type, true)                                                                            \
    S(error_message, true)                                                                         \
    S(body, true)                                                                                  \
    S(content_type, true)                                                                          \
    S(stop_reason, false)                                                                          \
    S(text, false)                                                                                 \
    S(iteration_model, false)                                                                      \
    S(require_key, false)

enum script_string {
#define S(name, fault) SCRIPT_##name,
    SCRIPT_STRINGS(S)
#undef S
        SCRIPT_STRING_COUNT
};

/* Values of `chunk` below zero. */
enum { CHUNK_WHOLE = 0, CHUNK_RANDOM = -2, CHUNK_RECORDED = -3 };

enum {
    SCRIPT_HEADERS_MAX = 16,
    SCRIPT_NAME_MAX = 64,
    SCRIPT_TEXT_MAX = 64 * 1024, /* all strings of one request together */
    SCRIPT_NUMBER_MAX = 1000000000
};

struct script {
    int64_t n[SCRIPT_NUMBER_COUNT];
    struct span s[SCRIPT_STRING_COUNT]; /* ptr NULL = not given */
    int n_headers;
    struct {
        struct span name, value;
    } headers[SCRIPT_HEADERS_MAX];
    struct buf *arena; /* holds the strings */
};

/* arena: reset here, must have been made with script_arena_init. */
void script_arena_init(struct buf *arena);
void script_init(struct script *s, struct buf *arena);

/* One key.  false when the key is unknown or the value is not of its kind. */
bool script_set(struct script *s, struct span key, struct span value);
/* `key=value` pairs between separators (one of the characters of `separators`), values
 * percent-encoded; a key alone means 1.  false: *ret_bad is the pair at fault. */
bool script_apply(struct script *s, struct span text, const char *separators, struct span *ret_bad);
/* Takes every fault back: the healthy turn of fail_first and fail_rate. */
void script_heal(struct script *s);
bool script_has_fault(const struct script *s);
/* Appends one pair in the form that script_apply reads with "&". */
void script_write_pair(struct buf *out, struct span key, struct span value);

#endif
