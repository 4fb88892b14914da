/* Amazon Bedrock: addresses, credentials, makers, whole bodies.  bedrock.h says which of its doors
 * is used for what.
 *
 * Credentials: a Bedrock API key (AWS_BEARER_TOKEN_BEDROCK) goes as a bearer token.  A secret with
 * a colon, which no bearer token has, is an access key, "ID:SECRET" or "ID:SECRET:SESSION_TOKEN",
 * and the call is signed (schema/sigv4.h). */
#include "providers/bedrock.h"

#include <assert.h>

#include "providers/anthropic.h"
#include "providers/bedrock_reply.h"
#include "providers/bedrock_usage.h"
#include "schema/sigv4.h"

enum { ADDRESS_MAX = 2048 };

/* ---- models ---- */

/* docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-supported-models-features.html,
 * .../prompt-caching.html, .../APIReference/API_runtime_ToolChoice.html (any, tool),
 * .../API_runtime_ToolResultBlock.html (status); the last row is for everyone else. */
/* clang-format off */
static const struct bedrock_family families[] = {
    /* part              cache       in tools status any    tool   thinks back          top_k    inside */
    {"anthropic.",       CACHE_1H,   true,    true,  true,  true,  true,  THINK_CLAUDE, "top_k", false},
    {"amazon.nova-2",    CACHE_5M,   false,   true,  true,  true,  false, THINK_NOVA,   "topK",  true},
    {"amazon.nova",      CACHE_5M,   false,   true,  true,  true,  false, THINK_FIXED,  "topK",  true},
    {"mistral.",         CACHE_NONE, false,   false, true,  false, false, THINK_FIXED,  "top_k", false},
    {"cohere.",          CACHE_NONE, false,   false, false, false, false, THINK_FIXED,  "k",     false},
    {"openai.gpt-oss",   CACHE_NONE, false,   false, false, false, false, THINK_EFFORT, NULL,    false},
    {"openai.",          CACHE_NONE, false,   false, false, false, false, THINK_NESTED, NULL,    false},
    {"",                 CACHE_NONE, false,   false, false, false, false, THINK_FIXED,  NULL,    false},
};
/* clang-format on */

static bool holds(struct span text, const char *part)
{
    size_t n = strlen(part);
    for (size_t i = 0; i + n <= text.len; i++) {
        if (memcmp(text.ptr + i, part, n) == 0)
            return true;
    }
    return false;
}

const struct bedrock_family *bedrock_family(struct span model)
{
    const struct bedrock_family *f = families;
    while (!holds(model, f->part))
        f++;
    return f;
}

static bool take_prefix(struct span *text, const char *prefix)
{
    size_t n = strlen(prefix);
    if (text->len < n || memcmp(text->ptr, prefix, n) != 0)
        return false;
    *text = (struct span){text->ptr + n, text->len - n};
    return true;
}

struct span bedrock_model(const struct provider_target *target, bool *ret_invoke)
{
    struct span model = span_of(target->upstream_model);
    if (take_prefix(&model, "invoke/"))
        *ret_invoke = true;
    else if (take_prefix(&model, "converse/"))
        *ret_invoke = false;
    else
        *ret_invoke = holds(model, "anthropic.");
    return model;
}

/* ---- where ---- */

/* The region of "https://bedrock-runtime.eu-west-1.amazonaws.com"; empty: it is no such host. */
static struct span region_of_host(const char *base_url)
{
    const char *host = strstr(base_url, "://bedrock-runtime");
    const char *begin = host != NULL ? strchr(host, '.') : NULL;
    const char *end = begin != NULL ? strchr(begin + 1, '.') : NULL;
    return end != NULL ? (struct span){begin + 1, (size_t)(end - begin - 1)} : (struct span){"", 0};
}

/* false: it is not known.  The host's own, where it has one: a call is signed for where it goes. */
static bool find_region(const struct provider_target *t, char *out, size_t cap)
{
    struct span region = region_of_host(t->base_url);
    if ((region.len == 0 || region.ptr[0] == '{') && t->region != NULL)
        region = span_of(t->region);
    if (region.len == 0 || region.ptr[0] == '{' || region.len >= cap)
        return false;
    memcpy(out, region.ptr, region.len);
    out[region.len] = '\0';
    return true;
}

/* base_url with its {region} filled in. */
static bool fill_base(struct buf *out, const char *base_url, const char *region)
{
    static const char place[] = "{region}";
    const char *at = strstr(base_url, place);
    if (at == NULL)
        return buf_adds(out, base_url);
    buf_add(out, base_url, (size_t)(at - base_url));
    buf_adds(out, region);
    buf_adds(out, at + sizeof(place) - 1);
    return !out->failed && region[0] != '\0';
}

/* RFC 3986 unreserved bytes stay: an id may be a whole ARN, with colons and slashes. */
static void add_encoded(struct buf *out, struct span model)
{
    for (size_t i = 0; i < model.len; i++) {
        char c = model.ptr[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (alnum || (c != '\0' && strchr("-._~", c) != NULL))
            buf_addc(out, c);
        else
            buf_addf(out, "%%%02X", (unsigned)(uint8_t)c);
    }
}

static void set_url(struct draft *d, struct span model, bool invoke, bool stream,
                    const char *region)
{
    static const char *const calls[2][2] = {{"/converse", "/converse-stream"},
                                            {"/invoke", "/invoke-with-response-stream"}};
    struct provider_target filled = *d->target;
    const struct provider_target *target = d->target;
    struct buf base, path;
    buf_init(&base, ADDRESS_MAX);
    buf_init(&path, UPREQ_URL_MAX);
    buf_adds(&path, "/model/");
    add_encoded(&path, model);
    buf_adds(&path, calls[invoke][stream]);
    if (fill_base(&base, target->base_url, region) && !path.failed) {
        filled.base_url = base.ptr;
        d->target = &filled;
        draft_url(d, "", path.ptr);
        d->target = target;
    } else if (d->ok) {
        d->ok = false;
        fail_set(d->reterr, ERR_internal, NULL, "%s: base_url needs a region in the catalog",
                 target->slug);
    }
    buf_done(&base);
    buf_done(&path);
}

/* ---- who ---- */

static bool is_access_key(const struct provider_target *t, struct sigv4_key *ret)
{
    bool may_be = t->auth_type == AUTH_API_KEY || t->auth_type == AUTH_BEARER;
    return may_be && t->secret != NULL && t->auth_header_name == NULL &&
           sigv4_read_key(span_of(t->secret), ret);
}

/* Last: what is signed is what is sent. */
static void sign(struct draft *d, const struct sigv4_key *key, const char *region)
{
    if (!d->ok)
        return;
    if (region[0] == '\0') {
        d->ok = false;
        fail_set(
            d->reterr, ERR_internal, NULL,
            "%s: a call can only be signed for a known region; the catalog's endpoint needs one",
            d->target->slug);
    } else if (!sigv4_sign(d->up, "POST", key, region, "bedrock", d->target->now_ms)) {
        d->ok = false;
        fail_set(d->reterr, ERR_internal, NULL, "%s: the call cannot be signed", d->target->slug);
    }
}

/* ---- the call ---- */

static void write_converse(struct draft *d, const struct provider_ask *ask, struct span model)
{
    struct buf body;
    assert(ask->dialog != NULL); /* no client speaks this protocol */
    buf_init(&body, BEDROCK_BODY_MAX);
    struct bedrock_writer w = {
        .o = {.buf = &body},
        .ask = ask,
        .d = ask->dialog,
        .family = bedrock_family(model),
        .reterr = d->reterr,
        .ok = d->ok,
    };
    bedrock_write_converse(&w);
    d->ok = w.ok;
    draft_body(d, &body);
    buf_done(&body);
}

static int build(const struct provider_ask *ask, struct upreq *ret_up, struct fail *reterr)
{
    struct draft d = {.up = ret_up, .target = ask->target, .reterr = reterr, .ok = true};
    struct sigv4_key key;
    char region[64] = "";
    bool invoke, stream = ask->chat->stream;
    struct span model = bedrock_model(ask->target, &invoke);
    bool signs = is_access_key(ask->target, &key);
    find_region(ask->target, region, sizeof(region));
    set_url(&d, model, invoke, stream, region);
    if (!signs)
        draft_credential(&d, "authorization", "Bearer ");
    draft_common_headers(&d, stream ? provider_bedrock.stream_type : "application/json");
    draft_extra_headers(&d, "anthropic-beta"); /* in the body here */
    if (invoke)
        bedrock_write_invoke(&d, ask);
    else
        write_converse(&d, ask, model);
    if (signs)
        sign(&d, &key, region);
    return d.ok ? 0 : -1;
}

/* ---- whole bodies ---- */

bool bedrock_asks_hour(const struct provider_reading *reading)
{
    bool invoke;
    return reading->hour_writes &&
           bedrock_family(bedrock_model(reading->target, &invoke))->cache == CACHE_1H;
}

static enum verdict judge(const struct provider_reading *reading, const struct json_doc *doc,
                          struct usage_report *ret_usage)
{
    struct bedrock_replies replies;
    json_ref output = json_get(doc, 0, "output");
    if (!json_is_object(doc, output) || !json_is_object(doc, json_get(doc, output, "message")))
        return VERDICT_FOREIGN;
    bedrock_read_usage(&ret_usage->total, bedrock_asks_hour(reading), doc,
                       json_get(doc, 0, "usage"));
    bedrock_replies_init(&replies, reading);
    bedrock_replies_body(&replies, doc, &ret_usage->total);
    enum verdict verdict = replies.malformed ? VERDICT_ERROR : VERDICT_COMPLETE;
    bedrock_replies_done(&replies);
    return verdict;
}

static bool parse(struct json_doc *doc, struct span body)
{
    json_init(doc);
    return json_parse(doc, body, NULL) == 0 && json_kind(doc, 0) == JSON_OBJECT;
}

static enum verdict read_body(const struct provider_reading *reading, struct span body,
                              struct usage_report *ret_usage)
{
    bool invoke;
    struct json_doc doc;
    bedrock_model(reading->target, &invoke);
    if (invoke)
        return provider_anthropic.read_body(reading, body, ret_usage);
    usage_report_clear(ret_usage);
    enum verdict verdict = parse(&doc, body) ? judge(reading, &doc, ret_usage) : VERDICT_FOREIGN;
    json_done(&doc);
    return verdict;
}

/* {"message": "..."}; some services of AWS write it with a capital. */
static json_ref message_of(const struct json_doc *doc)
{
    json_ref message = json_get(doc, 0, "message");
    if (message == JSON_NONE)
        message = json_get(doc, 0, "Message");
    return message != JSON_NONE && json_kind(doc, message) == JSON_STRING ? message : JSON_NONE;
}

static bool is_error_body(struct span body)
{
    struct json_doc doc;
    bool yes = parse(&doc, body) && message_of(&doc) != JSON_NONE;
    json_done(&doc);
    return yes;
}

/* What kind of error it is stands in a header (x-amzn-errortype), sometimes in __type. */
static bool read_error(struct span body, struct buf *store, struct reply_error *ret)
{
    struct json_doc doc;
    bool yes = parse(&doc, body) && message_of(&doc) != JSON_NONE &&
               buf_reserve(store, 2 * body.len); /* so that nothing in it moves */
    if (yes) {
        size_t begin = store->len;
        json_text(&doc, message_of(&doc), store);
        struct span message = {store->ptr + begin, store->len - begin};
        begin = store->len;
        json_text(&doc, json_get(&doc, 0, "__type"), store);
        bedrock_set_error(ret, (struct span){store->ptr + begin, store->len - begin}, message);
    }
    json_done(&doc);
    return yes;
}

/* Also where Anthropic's bodies go through: its streams are wrapped. */
static enum chat_door native_door(const struct provider_target *target)
{
    (void)target;
    return DOOR_NONE;
}

/* InvokeModel takes Anthropic's bodies, Converse has no tools but functions. */
static enum chat_door tools_door(const struct provider_target *target)
{
    bool invoke;
    bedrock_model(target, &invoke);
    return invoke ? DOOR_ANTHROPIC : DOOR_NONE;
}

const struct provider provider_bedrock = {
    .protocol = BEDROCK_WORD,
    .native_door = native_door,
    .tools_door = tools_door,
    .stream_type = "application/vnd.amazon.eventstream",
    .build = build,
    .stream_open = bedrock_stream_open,
    .stream_feed = bedrock_stream_feed,
    .stream_at_boundary = bedrock_stream_at_boundary,
    .stream_finish = bedrock_stream_finish,
    .stream_state = bedrock_stream_state,
    .stream_close = bedrock_stream_close,
    .read_body = read_body,
    .is_error_body = is_error_body,
    .read_error = read_error,
};
