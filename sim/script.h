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

/* N(name, value when not scripted, is a fault, help).  Faults are what fail_first and
 * fail_rate switch on and off.  -1 = not given.  Times in ms; *_after_bytes count body
 * bytes without HTTP framing; *_after_events count whole events, message_start being 1. */
#define SCRIPT_NUMBERS(N)                                                                          \
    N(output_tokens, -1, false, "tokens to generate (default 32, or what text amounts to)")        \
    N(input_tokens, -1, false, "usage: uncached input (default: a quarter of the body bytes)")     \
    N(cache_read, -1, false, "usage: tokens read from the cache")                                  \
    N(cache_write_5m, -1, false, "usage: tokens written for 5 minutes")                            \
    N(cache_write_1h, -1, false, "usage: tokens written for 1 hour")                               \
    N(web_searches, 0, false, "usage: searches; shown as blocks too")                              \
    N(audio_input, 0, false, "usage: how many of the prompt's tokens are sound")                   \
    N(audio_output, 0, false, "usage: how many of the answer's tokens are sound")                  \
    N(event_tokens, 4, false, "tokens per delta event")                                            \
    N(delay_ms, 0, false, "before the response headers")                                           \
    N(ttft_ms, 0, false, "from the headers to the first event, or to the plain body")              \
    N(tps, 0, false, "tokens per second; 0 = at once")                                             \
    N(chunk, 0, false, "bytes per write: N, whole, random, recorded")                              \
    N(gap_ms, 0, false, "pause between writes")                                                    \
    N(ping_every_ms, 0, false, "ping events while nothing else is due")                            \
    N(usage_in_delta, 1, false, "message_delta repeats the input figures")                         \
    N(no_usage, 0, false, "no usage anywhere")                                                     \
    N(tool, 0, false, "answer with N tool calls when the request has tools")                       \
    N(interleave, 0, false, "the pieces of parallel calls in turns")                               \
    N(thinking, -1, false, "1 or 0: a thinking block whatever the request says")                   \
    N(iterations, 0, false, "N calls on another model in usage.iterations")                        \
    N(crlf, 0, false, "event stream with CRLF line ends")                                          \
    N(pad, 0, false, "up to N spaces behind the JSON of an event")                                 \
    N(done, 1, false, "chat completions: [DONE] at the end")                                       \
    N(reasoning_on_top, 0, false, "chat completions: reasoning is not in completion_tokens")       \
    N(no_tool_id, 0, false, "calls without id (and index)")                                        \
    N(need_signature, 0, false, "gemini: refuse a tool call that came back without its signature") \
    N(lenient, 0, false,                                                                           \
      "accept what relays do and the real provider refuses: routing fields, no max_tokens")        \
    N(strict, 0, false, "refuse every unknown field, as the real provider does")                   \
    N(require_version, 0, false,                                                                   \
      "refuse a request without anthropic-version, as the real provider does")                     \
    N(fail_first, -1, false, "faults only for the first N requests of this model")                 \
    N(fail_rate, -1, false, "faults for N per cent of the requests")                               \
    N(status, -1, true, "error with this HTTP status")                                             \
    N(count_status, -1, true, "the same, for count_tokens only")                                   \
    N(retry_after, -1, true, "retry-after header of an error, seconds")                            \
    N(html, 0, true, "an HTML error page (status 502)")                                            \
    N(hang, 0, true, "no answer at all")                                                           \
    N(close_before_headers, 0, true, "close without an answer")                                    \
    N(reset_before_headers, 0, true, "RST without an answer")                                      \
    N(cut_after_bytes, -1, true, "close after N body bytes")                                       \
    N(cut_after_events, -1, true, "close after N events")                                          \
    N(reset_after_bytes, -1, true, "RST after N body bytes")                                       \
    N(reset_after_events, -1, true, "RST after N events")                                          \
    N(end_after_bytes, -1, true, "proper HTTP end after N body bytes")                             \
    N(end_after_events, -1, true, "proper HTTP end after N events")                                \
    N(hang_after_bytes, -1, true, "silence after N body bytes")                                    \
    N(hang_after_events, -1, true, "silence after N events")                                       \
    N(error_event_after, -1, true, "error event after N events, then a proper end")

enum script_number {
#define N(name, initial, fault, help) SCRIPT_##name,
    SCRIPT_NUMBERS(N)
#undef N
        SCRIPT_NUMBER_COUNT
};

/* S(name, is a fault, help) */
#define SCRIPT_STRINGS(S)                                                                          \
    S(error_type, true, "error.type")                                                              \
    S(error_message, true, "error.message")                                                        \
    S(body, true, "this body instead (status 200 unless scripted)")                                \
    S(content_type, true, "its content type")                                                      \
    S(stop_reason, false, "stop_reason")                                                           \
    S(text, false, "the text of the answer")                                                       \
    S(thoughts, false, "the text of its thinking")                                                 \
    S(arguments, false, "of each tool call, JSON (default: an example of the tool's schema)")      \
    S(refusal, false, "refuse with this text")                                                     \
    S(comment, false, "chat completions: a comment line before the data and between")              \
    S(usage_place, false, "chat completions: last, choice, beside, every, groq")                   \
    S(reasoning_field, false, "chat completions: reasoning_content, reasoning, parts, tags")       \
    S(error_form, false, "of an error in a stream: plain, choice, event, raw")                     \
    S(iteration_model, false, "model of the inner calls")                                          \
    S(replay, false, "play this recording, a file below --replay")                                 \
    S(require_key, false, "401 unless the credential is this one")                                 \
    S(fail_key, false, "faults only for requests with this credential")

enum script_string {
#define S(name, fault, help) SCRIPT_##name,
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
/* Names in any case. */
bool script_has_header(const struct script *s, const char *name);
/* One line per key, for --keys. */
void script_write_keys(struct buf *out);
/* Appends one pair in the form that script_apply reads with "&". */
void script_write_pair(struct buf *out, struct span key, struct span value);

#endif
