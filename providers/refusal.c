/* Signs in the order in which they are looked for: the first that fits counts. */
#define _GNU_SOURCE
#include "providers/refusal.h"

#include <stdio.h>
#include <string.h>

#include "schema/json.h"
#include "schema/when.h"

enum { WORDS_MAX = 1024, TEXT_MAX = 64 * 1024 };

/* When a limit ends that the answer names no end of. */
enum reset { RESET_UNKNOWN, RESET_MONTH };

/* A word is a whole value of the members where protocols put what went wrong; a text is part of
 * the message. */
struct sign {
    const char *protocol; /* NULL = any */
    int http_status;      /* 0 = any */
    const char *word, *text;
    enum refusal_kind kind;
    enum reset reset;
};

static const struct sign SIGNS[] = {
    /* One request that is too large for what is left, or whose text was not liked. */
    {NULL, 402, NULL, "fewer max_tokens", REFUSAL_NONE, RESET_UNKNOWN},
    {NULL, 403, NULL, "moderation", REFUSAL_NONE, RESET_UNKNOWN},
    {NULL, 403, NULL, "flagged", REFUSAL_NONE, RESET_UNKNOWN},

    {"anthropic", 429, "enforced_spend_limit_reached", NULL, REFUSAL_SPENT, RESET_MONTH},
    {"anthropic", 429, NULL, "spend limit", REFUSAL_SPENT, RESET_MONTH},
    {"anthropic", 400, NULL, "specified API usage limits", REFUSAL_SPENT, RESET_MONTH},
    {"anthropic", 400, NULL, "credit balance is too low", REFUSAL_SPENT, RESET_UNKNOWN},
    {NULL, 0, "insufficient_quota", NULL, REFUSAL_SPENT, RESET_MONTH},
    {NULL, 0, "billing_hard_limit_reached", NULL, REFUSAL_SPENT, RESET_MONTH},
    {NULL, 0, "billing_not_active", NULL, REFUSAL_SPENT, RESET_UNKNOWN},
    {NULL, 0, "exceeded_current_quota_error", NULL, REFUSAL_SPENT, RESET_UNKNOWN}, /* Moonshot */
    {NULL, 403, NULL, "Key limit exceeded", REFUSAL_SPENT, RESET_UNKNOWN},         /* OpenRouter */
    {NULL, 403, "BILLING_DISABLED", NULL, REFUSAL_SPENT, RESET_UNKNOWN},           /* Google */

    {NULL, 401, NULL, NULL, REFUSAL_INVALID, RESET_UNKNOWN},
    {NULL, 402, NULL, NULL, REFUSAL_SPENT, RESET_UNKNOWN},
    {NULL, 403, NULL, NULL, REFUSAL_BARRED, RESET_UNKNOWN},
    {NULL, 429, NULL, NULL, REFUSAL_LIMITED, RESET_UNKNOWN},
};

/* ---- what the body says ---- */

/* Words with a line end before and after each, and the message. */
struct said {
    struct buf words, text;
};

static void add_words(struct said *said, const struct json_doc *d, json_ref object)
{
    static const char *const members[] = {"type", "code", "status", "reason", "error_code"};
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        if (json_text(d, json_get(d, object, members[i]), &said->words))
            buf_addc(&said->words, '\n');
    }
}

/* {"error": {..., "details": {...} or [{...}]}}, or the members without "error" around them. */
static void listen(struct said *said, const struct json_doc *d)
{
    json_ref error = json_get(d, 0, "error");
    error = json_is_object(d, error) ? error : 0;
    json_ref details = json_get(d, error, "details");
    add_words(said, d, error);
    if (json_is_object(d, details))
        add_words(said, d, details);
    json_ref each = details != JSON_NONE && json_kind(d, details) == JSON_ARRAY
                        ? json_first(d, details)
                        : JSON_NONE;
    for (; each != JSON_NONE; each = json_next(d, each)) {
        if (json_is_object(d, each))
            add_words(said, d, each);
    }
    json_text(d, json_get(d, error, "message"), &said->text);
}

static bool holds(const struct buf *b, const char *text)
{
    return b->len > 0 && memmem(b->ptr, b->len, text, strlen(text)) != NULL;
}

static bool says_word(const struct said *said, const char *word)
{
    char line[WORDS_MAX];
    int n = snprintf(line, sizeof line, "\n%s\n", word);
    return n > 0 && holds(&said->words, line);
}

static bool fits(const struct sign *s, const char *protocol, int http_status,
                 const struct said *said)
{
    return (s->protocol == NULL || strcmp(s->protocol, protocol) == 0) &&
           (s->http_status == 0 || s->http_status == http_status) &&
           (s->word == NULL || says_word(said, s->word)) &&
           (s->text == NULL || holds(&said->text, s->text));
}

/* ---- until when ---- */

static int64_t next_month_ms(int64_t now_ms)
{
    char today[WHEN_TEXT_MAX], first[WHEN_TEXT_MAX];
    int year = 0, month = 0;
    int64_t ms = -1;
    sscanf(when_print(now_ms, today), "%4d-%2d", &year, &month);
    snprintf(first, sizeof first, "%04d-%02d-01", month == 12 ? year + 1 : year,
             month == 12 ? 1 : month + 1);
    when_parse(span_of(first), &ms);
    return ms;
}

/* "You will regain access on 2026-04-01 at 00:00 UTC." */
static int64_t stated_ms(const struct said *said)
{
    static const char before[] = "regain access on ";
    const char *at = said->text.len > 0
                         ? memmem(said->text.ptr, said->text.len, before, sizeof before - 1)
                         : NULL;
    char copy[64], when[WHEN_TEXT_MAX];
    int year, month, day, hour, minute;
    int64_t ms = -1;
    if (at == NULL)
        return -1;
    at += sizeof before - 1;
    snprintf(copy, sizeof copy, "%.*s", (int)(said->text.ptr + said->text.len - at), at);
    if (sscanf(copy, "%4d-%2d-%2d at %2d:%2d UTC", &year, &month, &day, &hour, &minute) != 5)
        return -1;
    snprintf(when, sizeof when, "%04d-%02d-%02dT%02d:%02d:00Z", year, month, day, hour, minute);
    return when_parse(span_of(when), &ms) ? ms : -1;
}

static int64_t reset_ms(const struct sign *s, const struct said *said, int64_t now_ms)
{
    int64_t stated = stated_ms(said);
    return stated > now_ms ? stated : s->reset == RESET_MONTH ? next_month_ms(now_ms) : -1;
}

struct refusal refusal_read(const char *protocol, int http_status, struct span body, int64_t now_ms)
{
    struct refusal r = {REFUSAL_NONE, -1};
    struct json_doc doc;
    struct said said;
    json_init(&doc);
    buf_init(&said.words, WORDS_MAX);
    buf_init(&said.text, TEXT_MAX);
    buf_addc(&said.words, '\n');
    if (json_parse(&doc, body, NULL) == 0 && json_is_object(&doc, 0))
        listen(&said, &doc);
    for (size_t i = 0; i < sizeof SIGNS / sizeof SIGNS[0]; i++) {
        if (!fits(&SIGNS[i], protocol, http_status, &said))
            continue;
        r.kind = SIGNS[i].kind;
        if (r.kind == REFUSAL_SPENT)
            r.reset_ms = reset_ms(&SIGNS[i], &said, now_ms);
        break;
    }
    buf_done(&said.words);
    buf_done(&said.text);
    json_done(&doc);
    return r;
}
