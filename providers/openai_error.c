/* Errors of the chat completions protocol: in a body with an error status, in a body or chunk with
 * status 200, and the forms of servers that do not keep to OpenAI's.
 * platform.openai.com/docs/guides/error-codes, openrouter.ai/docs/api-reference/errors. */
#include "providers/openai.h"

/* Where the parts of an error lie in a buffer that still grows. */
struct part {
    size_t at, len;
};

static bool is(const struct json_doc *doc, json_ref v, enum json_kind kind)
{
    return v != JSON_NONE && json_kind(doc, v) == kind;
}

/* Appends the first of some members that is a string with something in it. */
static struct part add_first(const struct json_doc *doc, json_ref object, const char *const *names,
                             struct buf *store)
{
    size_t at = store->len;
    for (; *names != NULL && store->len == at; names++)
        json_text(doc, json_get(doc, object, *names), store);
    return (struct part){at, store->len - at};
}

static struct span span_at(const struct buf *store, struct part p)
{
    return (struct span){p.len > 0 ? store->ptr + p.at : "", p.len};
}

/* A status of HTTP that some member states as a number. */
static int status_of(const struct json_doc *doc, json_ref error)
{
    static const char *const names[] = {"status_code", "code", "status"};
    int64_t n;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (json_int64(doc, json_get(doc, error, names[i]), &n) && n >= 400 && n <= 599)
            return (int)n;
    }
    return 0;
}

/* Groq shows what the model wrote where it was no valid call. */
static void add_failed_generation(const struct json_doc *doc, json_ref error, struct buf *store,
                                  struct part *message)
{
    json_ref text = json_get(doc, error, "failed_generation");
    if (!is(doc, text, JSON_STRING) || json_inner(doc, text).len == 0)
        return;
    buf_adds(store, "; the model wrote: ");
    json_text(doc, text, store);
    message->len = store->len - message->at;
}

/* Some servers put the status, or a sentence, where others have a word. */
static bool is_word(struct span s)
{
    bool letter = false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == ' ')
            return false;
        letter |= s.ptr[i] > '9';
    }
    return letter;
}

/* error: an object with a message, or the message itself. */
static void read_parts(const struct json_doc *doc, json_ref error, struct buf *store,
                       struct reply_error *ret)
{
    static const char *const types[] = {"type", "code", "error_type", NULL};
    static const char *const messages[] = {"message", "detail", "error", NULL};
    struct part type = {0, 0}, message;
    if (is(doc, error, JSON_STRING)) {
        type = add_first(doc, 0, types, store); /* xAI: {"code": ..., "error": "text"} */
        message.at = store->len;
        json_text(doc, error, store);
        message.len = store->len - message.at;
    } else {
        type = add_first(doc, error, types, store);
        if (type.len == 0)
            type = add_first(doc, json_get(doc, error, "metadata"), types, store);
        message = add_first(doc, error, messages, store);
        add_failed_generation(doc, error, store, &message);
    }
    ret->http_status = status_of(doc, error);
    ret->type = span_at(store, type);
    if (!is_word(ret->type))
        ret->type = (struct span){"", 0};
    ret->message = span_at(store, message);
}

static json_ref first_choice(const struct json_doc *doc)
{
    json_ref list = json_get(doc, 0, "choices");
    return is(doc, list, JSON_ARRAY) ? json_first(doc, list) : JSON_NONE;
}

/* finish_reason is a word for a failure: nothing else says what it was. */
static bool read_reason(const struct json_doc *doc, struct buf *store, struct reply_error *ret)
{
    static const char *const names[] = {"finish_reason", NULL};
    struct part word = add_first(doc, first_choice(doc), names, store);
    if (!openai_is_failure(span_at(store, word)))
        return false;
    static const char text[] = "the provider broke its answer off: ";
    struct part message = {store->len, 0};
    buf_adds(store, text);
    add_first(doc, first_choice(doc), names, store);
    message.len = store->len - message.at;
    *ret = (struct reply_error){.type = span_at(store, word), .message = span_at(store, message)};
    return true;
}

bool openai_find_error(const struct json_doc *doc, struct buf *store, struct reply_error *ret)
{
    json_ref error = json_get(doc, 0, "error");
    if (error == JSON_NONE || json_kind(doc, error) == JSON_NULL)
        error = json_get(doc, first_choice(doc), "error");
    if (error == JSON_NONE || json_kind(doc, error) == JSON_NULL)
        return read_reason(doc, store, ret);
    read_parts(doc, error, store, ret);
    return !store->failed;
}

/* Without an `error`: Mistral and FastAPI ({"detail": ...}), older vLLM and Mistral ({"object":
 * "error", "message": ...}), Cerebras ({"message", "type", "code"}). */
static bool find_flat(const struct json_doc *doc, struct buf *store, struct reply_error *ret)
{
    json_ref detail = json_get(doc, 0, "detail"), message = json_get(doc, 0, "message");
    bool choices = json_get(doc, 0, "choices") != JSON_NONE;
    if (choices || (detail == JSON_NONE && !is(doc, message, JSON_STRING)))
        return false;
    read_parts(doc, 0, store, ret);
    if (ret->message.len == 0 && detail != JSON_NONE) {
        size_t at = store->len;
        buf_add_span(store, json_raw(doc, detail)); /* a list of what is wrong */
        ret->message = span_at(store, (struct part){at, store->len - at});
    }
    return !store->failed;
}

bool openai_is_flat_error(const struct json_doc *doc)
{
    json_ref object = json_get(doc, 0, "object");
    bool says_so = object != JSON_NONE && json_text_is(doc, object, "error");
    bool coded =
        json_get(doc, 0, "code") != JSON_NONE && is(doc, json_get(doc, 0, "message"), JSON_STRING);
    return json_get(doc, 0, "choices") == JSON_NONE &&
           (says_so || coded || json_get(doc, 0, "detail") != JSON_NONE);
}

/* A body whose shape OpenAI's clients understand. */
bool openai_is_error_body(struct span body)
{
    struct json_doc doc;
    json_init(&doc);
    json_ref error = JSON_NONE;
    if (json_parse(&doc, body, NULL) == 0)
        error = json_get(&doc, 0, "error");
    bool yes = is(&doc, error, JSON_OBJECT) || is(&doc, error, JSON_STRING);
    json_done(&doc);
    return yes;
}

/* Gemini's endpoint wraps its object in a list. */
static struct span without_list(struct span body)
{
    size_t n = body.len, at = 0;
    while (at < n && memchr(" \t\r\n", body.ptr[at], 4) != NULL)
        at++;
    while (n > at && memchr(" \t\r\n", body.ptr[n - 1], 4) != NULL)
        n--;
    if (n - at < 2 || body.ptr[at] != '[' || body.ptr[n - 1] != ']')
        return body;
    return (struct span){body.ptr + at + 1, n - at - 2};
}

bool openai_read_error(struct span body, struct buf *store, struct reply_error *ret)
{
    struct json_doc doc;
    json_init(&doc);
    *ret = (struct reply_error){.http_status = 0};
    bool yes = json_parse(&doc, without_list(body), NULL) == 0 &&
               (openai_find_error(&doc, store, ret) || find_flat(&doc, store, ret));
    json_done(&doc);
    return yes;
}

/* ---- what a status means ---- */

/* Errors whose status says something else than they mean; the first row that fits. */
static const struct {
    int status;
    const char *word; /* of code or type; NULL: any */
    const char *says; /* how the message begins; NULL: anything */
    int means;
} weights[] = {
    /* OpenAI: the account has no money left (platform.openai.com/docs/guides/error-codes). */
    {429, "insufficient_quota", NULL, 402},
    /* Groq: more tokens than a minute allows, which another provider may take. */
    {413, "rate_limit_exceeded", NULL, 429},
    /* xAI and Gemini's endpoint: the key is not valid. */
    {400, NULL, "Incorrect API key provided", 401},
    {400, NULL, "API key not valid", 401},
};

static bool is_word_of(const struct json_doc *doc, json_ref error, const char *word)
{
    json_ref code = json_get(doc, error, "code"), type = json_get(doc, error, "type");
    return (code != JSON_NONE && json_text_is(doc, code, word)) ||
           (type != JSON_NONE && json_text_is(doc, type, word));
}

static bool says(const struct json_doc *doc, json_ref error, const char *beginning)
{
    json_ref message = is(doc, error, JSON_STRING) ? error : json_get(doc, error, "message");
    size_t n = strlen(beginning);
    if (!is(doc, message, JSON_STRING))
        return false;
    struct span text = json_inner(doc, message);
    return text.len >= n && memcmp(text.ptr, beginning, n) == 0;
}

void openai_weigh_error(struct span body, int *io_status, int64_t *io_retry_after_ms)
{
    struct json_doc doc;
    json_init(&doc);
    (void)io_retry_after_ms; /* these servers say it in their headers */
    if (json_parse(&doc, without_list(body), NULL) == 0) {
        json_ref error = json_get(&doc, 0, "error");
        for (size_t i = 0; i < sizeof(weights) / sizeof(weights[0]); i++) {
            if (*io_status == weights[i].status &&
                (weights[i].word == NULL || is_word_of(&doc, error, weights[i].word)) &&
                (weights[i].says == NULL || says(&doc, error, weights[i].says))) {
                *io_status = weights[i].means;
                break;
            }
        }
    }
    json_done(&doc);
}
