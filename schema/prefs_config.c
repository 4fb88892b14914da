/* Reads provider_configs: calls to providers under the request's own terms.  Values of
 * api_key and headers are secrets and appear in no message. */
#include <strings.h>

#include "schema/field.h"
#include "schema/prefs_reader.h"

const char *const prefs_auth_types[PREFS_AUTH_TYPES] = {"bearer", "api_key", "basic", "custom"};
const char *const prefs_native_formats[PREFS_NATIVE_FORMATS] = {"openai", "anthropic"};

struct setting {
    const char *name;
    int (*read)(struct prefs_reader *r, json_ref v, struct provider_config *c);
};

/* ---- what texts must be like ---- */

/* The framing of the call is ours; whoever sets these could smuggle a second one. */
static bool is_ours(struct span name)
{
    static const char *const ours[] = {"host",       "content-length",  "transfer-encoding",
                                       "connection", "accept-encoding", "content-encoding",
                                       "te",         "trailer",         "upgrade",
                                       "expect",     "keep-alive",      "proxy-connection",
                                       "cookie",     "content-type",    "x-request-id"};
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        if (name.len == strlen(ours[i]) && strncasecmp(name.ptr, ours[i], name.len) == 0)
            return true;
    }
    return false;
}

/* Service tiers, latency and guardrails, which cost extra: asked for in a header they would be sent
 * at prices that are not for them (docs.aws.amazon.com/bedrock/latest/APIReference/
 * API_runtime_InvokeModel.html, docs.cloud.google.com/vertex-ai/generative-ai/docs/
 * priority-paygo). */
static bool asks_for_terms(struct span name)
{
    static const struct span families[] = {SPAN("x-amzn-bedrock-"), SPAN("x-vertex-ai-llm-")};
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        if (name.len >= families[i].len &&
            strncasecmp(name.ptr, families[i].ptr, families[i].len) == 0)
            return true;
    }
    return false;
}

static bool is_header_name(struct span s)
{
    return field_is_name(s) && !is_ours(s) && !asks_for_terms(s);
}

/* scheme://authority[/path], nothing that would hide another host or swallow the path
 * that is appended. */
static bool is_base_url(struct span s)
{
    struct span rest = {NULL, 0};
    static const struct span schemes[] = {{"https://", 8}, {"http://", 7}};
    for (size_t i = 0; i < 2; i++) {
        if (s.len > schemes[i].len && strncasecmp(s.ptr, schemes[i].ptr, schemes[i].len) == 0)
            rest = (struct span){s.ptr + schemes[i].len, s.len - schemes[i].len};
    }
    for (size_t i = 0; i < rest.len; i++) {
        if (rest.ptr[i] <= ' ' || rest.ptr[i] > '~' || strchr("?#@\\<>\"`{}|^", rest.ptr[i]))
            return false;
    }
    const char *path = rest.len > 0 ? memchr(rest.ptr, '/', rest.len) : NULL;
    rest.len = path != NULL ? (size_t)(path - rest.ptr) : rest.len;
    return field_is_authority(rest);
}

static const struct prefs_text_rule key_rule = {
    field_is_ascii, PREFS_VALUE_MAX,
    "a non-empty string without control or non-ASCII characters, at most 8192 bytes", false, true};
static const struct prefs_text_rule value_rule = {
    field_is_ascii, PREFS_VALUE_MAX,
    "a string without control or non-ASCII characters, at most 8192 bytes", true, true};
static const struct prefs_text_rule name_rule = {
    is_header_name, PREFS_HEADER_NAME_MAX,
    "an HTTP header name (a token of at most 128 characters) other than those of connection, "
    "body and framing, X-Amzn-Bedrock-* and X-Vertex-AI-LLM-*",
    false, false};
static const struct prefs_text_rule url_rule = {
    is_base_url, PREFS_URL_MAX,
    "an http or https URL without credentials, query and fragment, at most 2048 bytes", false,
    false};
_Static_assert(PREFS_VALUE_MAX == 8192 && PREFS_HEADER_NAME_MAX == 128 && PREFS_URL_MAX == 2048,
               "the messages above say so");

/* ---- settings ---- */

static int read_api_key(struct prefs_reader *r, json_ref v, struct provider_config *c)
{
    return prefs_read_text(r, v, &key_rule, &c->api_key);
}

static int read_base_url(struct prefs_reader *r, json_ref v, struct provider_config *c)
{
    return prefs_read_text(r, v, &url_rule, &c->base_url);
}

static int read_auth_header_name(struct prefs_reader *r, json_ref v, struct provider_config *c)
{
    return prefs_read_text(r, v, &name_rule, &c->auth_header_name);
}

static int read_timeout(struct prefs_reader *r, json_ref v, struct provider_config *c)
{
    int64_t ms;
    if (!json_int64(r->doc, v, &ms) || ms < PREFS_TIMEOUT_MIN_MS || ms > PREFS_TIMEOUT_MAX_MS)
        return prefs_refuse(r, v, "an integer from 1000 to 600000");
    c->timeout_ms = ms;
    return 0;
}

/* The index of string v in words[0..n), or n. */
static int find_word(const struct json_doc *d, json_ref v, const char *const *words, int n)
{
    int i = 0;
    while (i < n && !json_text_is(d, v, words[i]))
        i++;
    return i;
}

static int read_auth_type(struct prefs_reader *r, json_ref v, struct provider_config *c)
{
    int i = find_word(r->doc, v, prefs_auth_types, PREFS_AUTH_TYPES);
    if (i == PREFS_AUTH_TYPES)
        return prefs_refuse(r, v, "one of bearer, api_key, basic, custom");
    c->has_auth_type = true;
    c->auth_type = (enum auth_type)i;
    return 0;
}

static int read_native_format(struct prefs_reader *r, json_ref v, struct provider_config *c)
{
    int i = find_word(r->doc, v, prefs_native_formats, PREFS_NATIVE_FORMATS);
    if (i == PREFS_NATIVE_FORMATS)
        return prefs_refuse(r, v, "openai or anthropic");
    c->native_format = i + 1;
    return 0;
}

/* ---- headers ---- */

/* Whether an earlier member has this name; their number is bounded by the caller. */
static bool is_repeated(struct prefs_reader *r, json_ref object, json_ref m, uint32_t name)
{
    for (json_ref e = json_first(r->doc, object); e != m; e = json_next(r->doc, e)) {
        if (json_key_is(r->doc, e, prefs_str(r->prefs, name)))
            return true;
    }
    return false;
}

static bool has_header(struct prefs_reader *r, const struct provider_config *c, uint32_t name)
{
    for (int i = 0; i < c->n_headers; i++) {
        if (strcasecmp(prefs_str(r->prefs, c->header_name[i]), prefs_str(r->prefs, name)) == 0)
            return true;
    }
    return false;
}

static int read_header(struct prefs_reader *r, json_ref object, json_ref m,
                       struct provider_config *c)
{
    uint32_t name;
    if (prefs_read_key(r, m, &name_rule, &name) != 0)
        return -1;
    if (is_repeated(r, object, m, name) || has_header(r, c, name))
        return prefs_refuse_twice(r, m);
    if (json_kind(r->doc, m) == JSON_NULL)
        return 0;
    if (prefs_read_text(r, m, &value_rule, &c->header_value[c->n_headers]) != 0)
        return -1;
    c->header_name[c->n_headers++] = name;
    return 0;
}

static int count_members(const struct json_doc *d, json_ref object, int enough)
{
    int n = 0;
    for (json_ref m = json_first(d, object); m != JSON_NONE && n < enough; m = json_next(d, m))
        n++;
    return n;
}

static int read_headers(struct prefs_reader *r, json_ref v, struct provider_config *c)
{
    if (json_kind(r->doc, v) != JSON_OBJECT)
        return prefs_refuse_secret(r, v, "an object of header names and string values");
    if (count_members(r->doc, v, PREFS_HEADERS_MAX + 1) > PREFS_HEADERS_MAX)
        return prefs_refuse_size(r, v, PREFS_HEADERS_MAX);
    for (json_ref m = json_first(r->doc, v); m != JSON_NONE; m = json_next(r->doc, m)) {
        if (read_header(r, v, m, c) != 0)
            return -1;
    }
    return 0;
}

/* ---- entries ---- */

static const struct setting settings[] = {
    {"api_key", read_api_key},
    {"headers", read_headers},
    {"timeout_ms", read_timeout},
    {"base_url", read_base_url},
    {"auth_type", read_auth_type},
    {"auth_header_name", read_auth_header_name},
    {"native_format", read_native_format},
};

enum { SETTING_COUNT = sizeof(settings) / sizeof(settings[0]) };

#define SETTING_NAMES                                                                              \
    "api_key, headers, timeout_ms, base_url, auth_type, auth_header_name, native_format"

static int read_setting(struct prefs_reader *r, json_ref m, struct provider_config *c,
                        uint32_t *seen)
{
    int i = 0;
    while (i < SETTING_COUNT && !json_key_is(r->doc, m, settings[i].name))
        i++;
    if (i == SETTING_COUNT)
        return prefs_refuse_unknown(r, m, SETTING_NAMES);
    if (*seen & 1u << i)
        return prefs_refuse_twice(r, m);
    *seen |= 1u << i;
    return json_kind(r->doc, m) == JSON_NULL ? 0 : settings[i].read(r, m, c);
}

static int read_config(struct prefs_reader *r, json_ref object, json_ref m)
{
    struct provider_config *c = &r->prefs->configs[r->prefs->n_configs];
    *c = (struct provider_config){.timeout_ms = -1};
    if (prefs_read_key(r, m, &prefs_slug_rule, &c->slug) != 0)
        return -1;
    if (is_repeated(r, object, m, c->slug))
        return prefs_refuse_twice(r, m);
    if (json_kind(r->doc, m) == JSON_NULL)
        return 0;
    if (json_kind(r->doc, m) != JSON_OBJECT)
        return prefs_refuse_secret(r, m, "an object of " SETTING_NAMES);
    uint32_t seen = 0;
    for (json_ref s = json_first(r->doc, m); s != JSON_NONE; s = json_next(r->doc, s)) {
        if (read_setting(r, s, c, &seen) != 0)
            return -1;
    }
    r->prefs->n_configs++;
    return 0;
}

int prefs_read_configs(struct prefs_reader *r, json_ref v)
{
    if (json_kind(r->doc, v) != JSON_OBJECT)
        return prefs_refuse_secret(r, v, "an object of provider slugs and their settings");
    if (count_members(r->doc, v, PREFS_CONFIGS_MAX + 1) > PREFS_CONFIGS_MAX)
        return prefs_refuse_size(r, v, PREFS_CONFIGS_MAX);
    for (json_ref m = json_first(r->doc, v); m != JSON_NONE; m = json_next(r->doc, m)) {
        if (read_config(r, v, m) != 0)
            return -1;
    }
    return 0;
}

/* ---- what is asked of them ---- */

const struct provider_config *prefs_config(const struct prefs *p, const char *endpoint_slug,
                                           const char *provider_slug)
{
    const struct provider_config *of_provider = NULL;
    for (int i = 0; i < p->n_configs; i++) {
        const char *slug = prefs_str(p, p->configs[i].slug);
        if (strcmp(slug, endpoint_slug) == 0)
            return &p->configs[i];
        if (strcmp(slug, provider_slug) == 0)
            of_provider = &p->configs[i];
    }
    return of_provider;
}

bool prefs_config_is_elsewhere(const struct provider_config *c)
{
    return c->api_key != 0 || c->base_url != 0 || (c->has_auth_type && c->auth_type == AUTH_NONE);
}
