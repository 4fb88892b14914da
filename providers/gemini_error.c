/* Error bodies of Google's services: gemini.h.  cloud.google.com/apis/design/errors. */
#include "providers/gemini.h"

#define RETRY_MAX_S INT64_C(86400)

bool gemini_error_of(const struct json_doc *doc, json_ref object, struct buf *store,
                     struct reply_error *ret)
{
    json_ref error = json_get(doc, object, "error");
    if (!json_is_object(doc, error))
        return false;
    int64_t code = 0;
    json_int64(doc, json_get(doc, error, "code"), &code);
    size_t begin = store->len;
    json_text(doc, json_get(doc, error, "message"), store);
    json_ref status = json_get(doc, error, "status");
    bool plain = status != JSON_NONE && json_kind(doc, status) == JSON_STRING &&
                 !json_at(doc, status)->escaped;
    *ret = (struct reply_error){
        .http_status = code > 0 && code < 600 ? (int)code : 0,
        .type = plain ? json_inner(doc, status) : (struct span){"", 0},
        .message = {store->len > begin ? store->ptr + begin : "", store->len - begin},
    };
    return true;
}

/* The object that holds the error; without alt=sse a stream's error is [{"error": ...}]. */
static json_ref parse(struct json_doc *doc, struct span body)
{
    if (json_parse(doc, body, NULL) != 0)
        return JSON_NONE;
    json_ref object = json_kind(doc, 0) == JSON_ARRAY ? json_first(doc, 0) : 0;
    return json_is_object(doc, object) ? object : JSON_NONE;
}

bool gemini_read_error(struct span body, struct buf *store, struct reply_error *ret)
{
    struct json_doc doc;
    json_init(&doc);
    json_ref object = parse(&doc, body);
    bool found = object != JSON_NONE && gemini_error_of(&doc, object, store, ret);
    json_done(&doc);
    return found;
}

bool gemini_is_error_body(struct span body)
{
    struct buf store;
    struct reply_error error;
    buf_init(&store, PROVIDER_BODY_MAX);
    bool yes = gemini_read_error(body, &store, &error);
    buf_done(&store);
    return yes;
}

/* "48s", "48.939935699s" (protobuf's Duration): a second more than its whole part, which is at
 * least as long. */
static int64_t duration_ms(const struct json_doc *doc, json_ref text)
{
    char s[32];
    int64_t n = 0;
    size_t i = 0;
    if (!json_text_fixed(doc, text, s, sizeof(s)))
        return -1;
    for (; s[i] >= '0' && s[i] <= '9' && n <= RETRY_MAX_S; i++)
        n = n * 10 + s[i] - '0';
    if (i == 0 || n > RETRY_MAX_S || (s[i] != 's' && s[i] != '.'))
        return -1;
    return 1000 * (n + (s[i] == '.'));
}

static void weigh_detail(const struct json_doc *doc, json_ref detail, int *io_status,
                         int64_t *io_retry_after_ms)
{
    /* It speaks of the operator's account: 401 by every other provider. */
    if (json_text_is(doc, json_get(doc, detail, "reason"), "API_KEY_INVALID"))
        *io_status = 401;
    int64_t ms = duration_ms(doc, json_get(doc, detail, "retryDelay"));
    if (*io_retry_after_ms < 0)
        *io_retry_after_ms = ms;
}

void gemini_weigh_error(struct span body, int *io_status, int64_t *io_retry_after_ms)
{
    struct json_doc doc;
    json_init(&doc);
    json_ref object = parse(&doc, body);
    json_ref error = object != JSON_NONE ? json_get(&doc, object, "error") : JSON_NONE;
    json_ref details = json_is_object(&doc, error) ? json_get(&doc, error, "details") : JSON_NONE;
    if (details != JSON_NONE && json_kind(&doc, details) == JSON_ARRAY) {
        for (json_ref d = json_first(&doc, details); d != JSON_NONE; d = json_next(&doc, d)) {
            if (json_is_object(&doc, d))
                weigh_detail(&doc, d, io_status, io_retry_after_ms);
        }
    }
    json_done(&doc);
}
