/* Anthropic's error words and error bodies.  platform.claude.com/docs/en/api/errors. */
#include "providers/anthropic.h"

static const struct {
    const char *type;
    int status;
} types[] = {
    {"invalid_request_error", 400}, {"authentication_error", 401}, {"billing_error", 402},
    {"permission_error", 403},      {"not_found_error", 404},      {"conflict_error", 409},
    {"request_too_large", 413},     {"rate_limit_error", 429},     {"api_error", 500},
    {"timeout_error", 504},         {"overloaded_error", 529},
};

int anthropic_error_status(struct span type)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (span_is(type, types[i].type))
            return types[i].status;
    }
    return 0;
}

const char *anthropic_error_type(const struct reply_error *error)
{
    int by_class = error->http_status >= 400 && error->http_status < 500 ? 400 : 500;
    const char *found = NULL;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (span_is(error->type, types[i].type))
            return types[i].type;
        if (types[i].status == error->http_status || (found == NULL && types[i].status == by_class))
            found = types[i].type;
    }
    return found;
}

/* Where the string stands in the body, or resolved at the end of store, which has room for it. */
static struct span keep_text(const struct json_doc *doc, json_ref v, struct buf *store)
{
    size_t begin = store->len;
    if (!json_text(doc, v, store))
        return (struct span){"", 0};
    return (struct span){store->ptr + begin, store->len - begin};
}

bool anthropic_read_error(struct span body, struct buf *store, struct reply_error *ret)
{
    struct json_doc doc;
    json_init(&doc);
    bool ours = anthropic_parse_error(&doc, body) && buf_reserve(store, body.len);
    if (ours) {
        json_ref error = json_get(&doc, 0, "error");
        ret->type = keep_text(&doc, json_get(&doc, error, "type"), store);
        ret->message = keep_text(&doc, json_get(&doc, error, "message"), store);
        ret->http_status = anthropic_error_status(ret->type);
    }
    json_done(&doc);
    return ours;
}

bool anthropic_parse_error(struct json_doc *doc, struct span body)
{
    if (json_parse(doc, body, NULL) != 0 || json_kind(doc, 0) != JSON_OBJECT)
        return false;
    json_ref error = json_get(doc, 0, "error");
    return error != JSON_NONE && json_kind(doc, error) == JSON_OBJECT;
}

bool anthropic_is_error_body(struct span body)
{
    struct json_doc doc;
    json_init(&doc);
    bool yes = anthropic_parse_error(&doc, body);
    json_done(&doc);
    return yes;
}
