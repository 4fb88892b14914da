/* Our own catalog format: strict, all or nothing; the path of the first error is named.
 * Docs: docs/api.md "The catalog file".  Each object is a table of members. */
#define _GNU_SOURCE
#include <strings.h>

#include "providers/provider.h"
#include "router/catalog_reader.h"
#include "schema/chat.h"
#include "schema/field.h"
#include "schema/json_path.h"
#include "schema/when.h"

enum { TIMEOUT_MAX_MS = 24 * 3600 * 1000, ALIASES_MAX = 256, URL_MAX = 2048 };

/* Everything that one provider, model or endpoint can say. */
struct entry {
    struct provider_spec provider;
    const char *headers[2 * CATALOG_HEADERS_MAX + 1];
    struct model_spec model;
    const char *aliases[ALIASES_MAX];
    struct endpoint_spec endpoint;
    struct timeouts timeouts;
    json_ref endpoints;
};

struct member {
    const char *name;
    int (*read)(struct catalog_reader *r, json_ref v, struct entry *e);
    bool required;
};

static int read_members(struct catalog_reader *r, json_ref object, const struct member *members,
                        struct entry *e)
{
    const struct json_doc *d = r->doc;
    if (json_kind(d, object) != JSON_OBJECT) {
        return reader_refuse(r, object, "must be an object");
    }
    for (json_ref m = json_first(d, object); m != JSON_NONE; m = json_next(d, m)) {
        const struct member *row = members;
        while (row->name != NULL && !json_key_is(d, m, row->name)) {
            row++;
        }
        if (row->name == NULL) {
            return reader_refuse(r, m, "this member is not known here");
        }
        if (json_count_key(d, object, row->name) > 1) {
            return reader_refuse(r, m, "is given twice");
        }
        if (row->read != NULL && row->read(r, m, e) != 0) {
            return -1;
        }
    }
    for (const struct member *row = members; row->name != NULL; row++) {
        if (row->required && json_get(d, object, row->name) == JSON_NONE) {
            return reader_refuse(r, object, "\"%s\" is missing", row->name);
        }
    }
    return 0;
}

static int text_of(struct catalog_reader *r, json_ref v, size_t max, const char **ret)
{
    const char *s = json_kind(r->doc, v) == JSON_STRING ? reader_text(r, v) : NULL;
    if (s == NULL || *s == '\0' || strlen(s) > max) {
        return reader_refuse(r, v, "must be a string of 1 to %zu bytes", max);
    }
    *ret = s;
    return 0;
}

/* Printable ASCII without spaces. */
static bool is_printable(const char *s)
{
    while (*s > ' ' && *s <= '~')
        s++;
    return *s == '\0';
}

static int slug_of(struct catalog_reader *r, json_ref v, size_t max, const char **ret)
{
    if (text_of(r, v, max, ret) != 0)
        return -1;
    return is_printable(*ret) ? 0
                              : reader_refuse(r, v, "may hold printable ASCII without spaces only");
}

static int truth_of(struct catalog_reader *r, json_ref v, bool *ret)
{
    return json_truth(r->doc, v, ret) ? 0 : reader_refuse(r, v, "must be true or false");
}

/* ---- providers ---- */

static int provider_slug_of(struct catalog_reader *r, json_ref v, const char **ret)
{
    if (slug_of(r, v, CATALOG_SLUG_MAX - 1, ret) != 0)
        return -1;
    return strchr(*ret, '/') != NULL ? reader_refuse(r, v, "a provider slug has no \"/\"") : 0;
}

static int p_slug(struct catalog_reader *r, json_ref v, struct entry *e)
{
    return provider_slug_of(r, v, &e->provider.slug);
}

static int p_name(struct catalog_reader *r, json_ref v, struct entry *e)
{
    return text_of(r, v, CATALOG_NAME_MAX - 1, &e->provider.name);
}

static int p_protocol(struct catalog_reader *r, json_ref v, struct entry *e)
{
    if (text_of(r, v, CATALOG_SLUG_MAX, &e->provider.protocol) != 0) {
        return -1;
    }
    return provider_find(e->provider.protocol) != NULL
               ? 0
               : reader_refuse(r, v,
                               "must be one of anthropic, openai, gemini, bedrock, azure-openai, "
                               "vertex, cohere");
}

static int p_base_url(struct catalog_reader *r, json_ref v, struct entry *e)
{
    const char *s = json_kind(r->doc, v) == JSON_STRING ? reader_text(r, v) : NULL;
    size_t scheme = s == NULL                        ? 0
                    : strncmp(s, "https://", 8) == 0 ? 8
                    : strncmp(s, "http://", 7) == 0  ? 7
                                                     : 0;
    bool empty = s != NULL && *s == '\0';
    struct span authority = {"", 0};
    if (scheme > 0)
        authority = (struct span){s + scheme, strcspn(s + scheme, "/?#")};
    if (!empty && (!field_is_authority(authority) || strlen(s) > URL_MAX ||
                   strpbrk(s, "@#") != NULL || !is_printable(s)))
        return reader_refuse(r, v,
                             "must be an http:// or https:// URL with a host (and a port from 1 to "
                             "65535), without user, query or fragment");
    e->provider.base_url = s;
    return 0;
}

static int p_region(struct catalog_reader *r, json_ref v, struct entry *e)
{
    return json_kind(r->doc, v) == JSON_NULL ? 0
                                             : text_of(r, v, CATALOG_SLUG_MAX, &e->provider.region);
}

static int p_data_collection(struct catalog_reader *r, json_ref v, struct entry *e)
{
    if (!json_text_is(r->doc, v, "allow") && !json_text_is(r->doc, v, "deny")) {
        return reader_refuse(r, v, "must be \"allow\" or \"deny\"");
    }
    e->provider.collects = json_text_is(r->doc, v, "allow");
    return 0;
}

static int p_zdr(struct catalog_reader *r, json_ref v, struct entry *e)
{
    return truth_of(r, v, &e->provider.zdr);
}

static int p_cancel(struct catalog_reader *r, json_ref v, struct entry *e)
{
    return truth_of(r, v, &e->provider.cancel_stops_billing);
}

/* "NAME", or several with colons between them.  What is something else is likely to be the secret
 * itself, which must not get into the database: nor is it told. */
static int variable_of(struct catalog_reader *r, json_ref v, const char **ret)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    static const char rest[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    if (text_of(r, v, CATALOG_NAME_MAX, ret) != 0)
        return -1;
    for (const char *name = *ret;; name++) {
        size_t n = strspn(name, letters) > 0 ? strspn(name, rest) : 0;
        if (n == 0 || (name[n] != ':' && name[n] != '\0'))
            return reader_refuse(r, v,
                                 "must be the name of an environment variable (or several with "
                                 "colons between them), never the secret itself");
        name += n;
        if (*name == '\0')
            return 0;
    }
}

/* The server has a directory of its own choosing, and not the one the file was written in. */
static int path_of(struct catalog_reader *r, json_ref v, const char **ret)
{
    if (text_of(r, v, CATALOG_NAME_MAX, ret) != 0)
        return -1;
    if ((*ret)[0] != '/') {
        char path[FAIL_FIELD_MAX];
        json_path(r->doc, v, path);
        reader_note(r, path, false,
                    "%s is no absolute path: it is looked for where the server is started", *ret);
    }
    return 0;
}

static int add_credential(struct catalog_reader *r, json_ref v, struct entry *e)
{
    const struct json_doc *d = r->doc;
    json_ref m = json_kind(d, v) == JSON_OBJECT ? json_first(d, v) : JSON_NONE;
    bool none = false;
    if (m == JSON_NONE || json_next(d, m) != JSON_NONE) {
        return reader_refuse(r, v, "must be {\"env\": NAME}, {\"file\": PATH} or {\"none\": true}");
    }
    if (e->provider.n_credentials == CATALOG_CREDENTIALS_MAX) {
        return reader_refuse(r, v, "at most %d credentials", CATALOG_CREDENTIALS_MAX);
    }
    struct credential *c = &e->provider.credentials[e->provider.n_credentials++];
    if (json_key_is(d, m, "env") || json_key_is(d, m, "file")) {
        c->kind = json_key_is(d, m, "env") ? CREDENTIAL_ENV : CREDENTIAL_FILE;
        return c->kind == CREDENTIAL_ENV ? variable_of(r, m, &c->ref) : path_of(r, m, &c->ref);
    }
    c->kind = CREDENTIAL_NONE;
    c->ref = "";
    if (!json_key_is(d, m, "none") || !json_truth(d, m, &none) || !none) {
        return reader_refuse(r, m, "must be \"env\", \"file\" or \"none\": true");
    }
    return 0;
}

static int p_credential(struct catalog_reader *r, json_ref v, struct entry *e)
{
    if (json_kind(r->doc, v) != JSON_ARRAY) {
        return add_credential(r, v, e);
    }
    for (json_ref c = json_first(r->doc, v); c != JSON_NONE; c = json_next(r->doc, c)) {
        if (add_credential(r, c, e) != 0) {
            return -1;
        }
    }
    return 0;
}

/* "x-api-key", "bearer", "basic", or {"header": NAME}. */
static int p_auth(struct catalog_reader *r, json_ref v, struct entry *e)
{
    const struct json_doc *d = r->doc;
    if (json_text_is(d, v, "x-api-key") || json_text_is(d, v, "bearer") ||
        json_text_is(d, v, "basic")) {
        e->provider.auth_type = json_text_is(d, v, "bearer")  ? AUTH_BEARER
                                : json_text_is(d, v, "basic") ? AUTH_BASIC
                                                              : AUTH_API_KEY;
        return 0;
    }
    json_ref name = json_kind(d, v) == JSON_OBJECT ? json_get(d, v, "header") : JSON_NONE;
    if (name == JSON_NONE || json_next(d, json_first(d, v)) != JSON_NONE)
        return reader_refuse(r, v,
                             "must be \"x-api-key\", \"bearer\", \"basic\" or {\"header\": NAME}");
    e->provider.auth_type = AUTH_CUSTOM;
    if (text_of(r, name, CATALOG_SLUG_MAX, &e->provider.auth_header_name) != 0)
        return -1;
    return field_is_name(span_of(e->provider.auth_header_name))
               ? 0
               : reader_refuse(r, name, "is not a header name");
}

static bool header_given(const struct entry *e, int n, const char *name)
{
    for (int i = 0; i < n; i += 2) {
        if (strcasecmp(e->headers[i], name) == 0)
            return true;
    }
    return false;
}

/* A secret is never stored: it belongs into `credential`, which only says where it is. */
static bool carries_secret(const char *name)
{
    static const char *const names[] = {"authorization",  "x-api-key",           "api-key",
                                        "x-goog-api-key", "proxy-authorization", "cookie"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcasecmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static int p_headers(struct catalog_reader *r, json_ref v, struct entry *e)
{
    const struct json_doc *d = r->doc;
    int n = 0;
    if (json_kind(d, v) != JSON_OBJECT)
        return reader_refuse(r, v, "must be an object of header names and values");
    for (json_ref m = json_first(d, v); m != JSON_NONE; m = json_next(d, m)) {
        size_t at = r->text.len;
        if (n == 2 * CATALOG_HEADERS_MAX || !json_key_text(d, m, &r->text) ||
            !buf_addc(&r->text, '\0'))
            return reader_refuse(r, m, "at most %d headers", CATALOG_HEADERS_MAX);
        const char *name = r->text.ptr + at;
        bool cut = strlen(name) != r->text.len - at - 1; /* a NUL in the name */
        const char *value = reader_text(r, m);
        if (cut || value == NULL || !field_is_name(span_of(name)) ||
            !field_is_ascii(span_of(value)))
            return reader_refuse(r, m, "is not a header name with a value of printable characters");
        if (carries_secret(name))
            return reader_refuse(r, m, "would store a secret: use \"credential\" and \"auth\"");
        if (header_given(e, n, name))
            return reader_refuse(r, m, "is given twice");
        e->headers[n++] = name;
        e->headers[n++] = value;
    }
    e->headers[n] = NULL;
    return 0;
}

static int t_connect(struct catalog_reader *r, json_ref v, struct entry *e)
{
    return reader_count(r, v, 1, TIMEOUT_MAX_MS, &e->timeouts.connect_ms);
}

static int t_first_byte(struct catalog_reader *r, json_ref v, struct entry *e)
{
    return reader_count(r, v, 1, TIMEOUT_MAX_MS, &e->timeouts.first_byte_ms);
}

static int t_idle(struct catalog_reader *r, json_ref v, struct entry *e)
{
    return reader_count(r, v, 1, TIMEOUT_MAX_MS, &e->timeouts.idle_ms);
}

static int t_total(struct catalog_reader *r, json_ref v, struct entry *e)
{
    return reader_count(r, v, 1, TIMEOUT_MAX_MS, &e->timeouts.total_ms);
}

/* Of a provider, a model or an endpoint. */
static int read_timeouts(struct catalog_reader *r, json_ref v, struct entry *e)
{
    static const struct member members[] = {{"connect_ms", t_connect, false},
                                            {"first_byte_ms", t_first_byte, false},
                                            {"idle_ms", t_idle, false},
                                            {"total_ms", t_total, false},
                                            {NULL, NULL, false}};
    return read_members(r, v, members, e);
}

static int read_provider(struct catalog_reader *r, json_ref v)
{
    static const struct member members[] = {{"slug", p_slug, true},
                                            {"name", p_name, false},
                                            {"protocol", p_protocol, true},
                                            {"base_url", p_base_url, true},
                                            {"region", p_region, false},
                                            {"data_collection", p_data_collection, false},
                                            {"zdr", p_zdr, false},
                                            {"cancel_stops_billing", p_cancel, false},
                                            {"credential", p_credential, false},
                                            {"auth", p_auth, false},
                                            {"headers", p_headers, false},
                                            {"timeouts", read_timeouts, false},
                                            {"source", NULL, false},
                                            {"updated", NULL, false},
                                            {NULL, NULL, false}};
    struct entry e = {.endpoints = JSON_NONE};
    reader_next_entry(r);
    e.provider =
        (struct provider_spec){.collects = true, .auth_type = AUTH_API_KEY, .headers = e.headers};
    e.timeouts = TIMEOUTS_DEFAULT;
    if (read_members(r, v, members, &e) != 0) {
        return -1;
    }
    if (strchr(e.provider.base_url, '?') != NULL &&
        !provider_find(e.provider.protocol)->takes_query)
        return reader_refuse(r, json_get(r->doc, v, "base_url"),
                             "must be a URL without query: only that of azure-openai may have one, "
                             "\"?api-version=VERSION\"");
    /* Providers of foreign lists have neither: with one and not the other a plan would count on
     * them. */
    if (e.provider.base_url[0] == '\0' && e.provider.n_credentials > 0)
        return reader_refuse(r, json_get(r->doc, v, "base_url"),
                             "is empty, and a provider with a credential can be called");
    if (json_get(r->doc, v, "auth") == JSON_NONE && strcmp(e.provider.protocol, "openai") == 0) {
        e.provider.auth_type = AUTH_BEARER;
    }
    e.provider.timeouts = e.timeouts;
    struct fail f;
    return catalog_add_provider(r->builder, &e.provider, &f) == 0
               ? 0
               : reader_refuse(r, v, "%s", f.text);
}

/* ---- models ---- */

static int model_name_of(struct catalog_reader *r, json_ref v, const char **ret)
{
    if (slug_of(r, v, CATALOG_NAME_MAX - 1, ret) != 0)
        return -1;
    return chat_name_suffix(span_of(*ret)) == SUFFIX_NONE ? 0
                                                          : reader_refuse(r, v, CATALOG_SUFFIXED);
}

static int m_id(struct catalog_reader *r, json_ref v, struct entry *e)
{
    return model_name_of(r, v, &e->model.slug);
}

static int m_name(struct catalog_reader *r, json_ref v, struct entry *e)
{
    return text_of(r, v, CATALOG_NAME_MAX - 1, &e->model.name);
}

static int m_distillable(struct catalog_reader *r, json_ref v, struct entry *e)
{
    return truth_of(r, v, &e->model.distillable);
}

static int m_aliases(struct catalog_reader *r, json_ref v, struct entry *e)
{
    if (json_kind(r->doc, v) != JSON_ARRAY) {
        return reader_refuse(r, v, "must be an array of names");
    }
    for (json_ref a = json_first(r->doc, v); a != JSON_NONE; a = json_next(r->doc, a)) {
        if (e->model.n_aliases == ALIASES_MAX) {
            return reader_refuse(r, a, "at most %d aliases", ALIASES_MAX);
        }
        if (model_name_of(r, a, &e->aliases[e->model.n_aliases]) != 0) {
            return -1;
        }
        e->model.n_aliases++;
    }
    return 0;
}

static int m_created(struct catalog_reader *r, json_ref v, struct entry *e)
{
    struct span s = json_kind(r->doc, v) == JSON_STRING ? json_inner(r->doc, v) : SPAN("");
    return when_parse(s, &e->model.created_ms)
               ? 0
               : reader_refuse(r, v, "must be a date such as 2026-08-01");
}

static int m_endpoints(struct catalog_reader *r, json_ref v, struct entry *e)
{
    e->endpoints = v;
    return json_kind(r->doc, v) == JSON_ARRAY ? 0 : reader_refuse(r, v, "must be an array");
}

/* ---- endpoints ---- */

static int e_provider(struct catalog_reader *r, json_ref v, struct entry *e)
{
    return provider_slug_of(r, v, &e->endpoint.provider);
}

static int e_variant(struct catalog_reader *r, json_ref v, struct entry *e)
{
    return json_kind(r->doc, v) == JSON_NULL
               ? 0
               : slug_of(r, v, CATALOG_SLUG_MAX - 1, &e->endpoint.variant);
}

static int e_upstream(struct catalog_reader *r, json_ref v, struct entry *e)
{
    return text_of(r, v, CATALOG_NAME_MAX - 1, &e->endpoint.upstream_model);
}

static int e_context(struct catalog_reader *r, json_ref v, struct entry *e)
{
    return json_kind(r->doc, v) == JSON_NULL
               ? 0
               : reader_count(r, v, 0, CATALOG_TOK_MAX, &e->endpoint.context_length);
}

static int e_completion(struct catalog_reader *r, json_ref v, struct entry *e)
{
    return json_kind(r->doc, v) == JSON_NULL
               ? 0
               : reader_count(r, v, 0, CATALOG_TOK_MAX, &e->endpoint.max_completion_tokens);
}

static int e_quantization(struct catalog_reader *r, json_ref v, struct entry *e)
{
    struct span s = json_kind(r->doc, v) == JSON_STRING ? json_inner(r->doc, v) : SPAN("");
    return json_kind(r->doc, v) == JSON_NULL || quantization_parse(s, &e->endpoint.quantization)
               ? 0
               : reader_refuse(r, v, "is not a quantization");
}

static int e_modalities(struct catalog_reader *r, json_ref v, struct entry *e)
{
    e->endpoint.modalities = 0;
    for (json_ref m = json_first(r->doc, v); m != JSON_NONE; m = json_next(r->doc, m)) {
        enum modality word;
        if (json_kind(r->doc, m) != JSON_STRING || !modality_parse(json_inner(r->doc, m), &word)) {
            return reader_refuse(r, m,
                                 "is not an input modality (text, image, pdf, audio, video, file)");
        }
        e->endpoint.modalities |= MODALITY_BIT(word);
    }
    return json_kind(r->doc, v) == JSON_ARRAY ? 0 : reader_refuse(r, v, "must be an array");
}

static int e_params(struct catalog_reader *r, json_ref v, struct entry *e)
{
    e->endpoint.params = 0;
    for (json_ref m = json_first(r->doc, v); m != JSON_NONE; m = json_next(r->doc, m)) {
        enum param word;
        if (json_kind(r->doc, m) != JSON_STRING || !param_parse(json_inner(r->doc, m), &word)) {
            return reader_refuse(r, m, "is not a parameter name of docs/api.md");
        }
        e->endpoint.params |= PARAM_BIT(word);
    }
    return json_kind(r->doc, v) == JSON_ARRAY ? 0 : reader_refuse(r, v, "must be an array");
}

static int e_rules(struct catalog_reader *r, json_ref v, struct entry *e)
{
    if (json_kind(r->doc, v) != JSON_ARRAY)
        return reader_refuse(r, v, "must be an array");
    for (json_ref m = json_first(r->doc, v); m != JSON_NONE; m = json_next(r->doc, m)) {
        enum model_rule word;
        if (json_kind(r->doc, m) != JSON_STRING || !model_rule_parse(json_inner(r->doc, m), &word))
            return reader_refuse(r, m, "is not a rule of docs/api.md");
        e->endpoint.rules |= RULE_BIT(word);
    }
    return 0;
}

/* usual: what holds where nothing is said. */
static int term_of(struct catalog_reader *r, json_ref v, const char *usual, const char **ret)
{
    if (json_kind(r->doc, v) == JSON_NULL || json_text_is(r->doc, v, usual))
        return 0;
    return slug_of(r, v, VOCAB_TERM_MAX - 1, ret);
}

static int e_speed(struct catalog_reader *r, json_ref v, struct entry *e)
{
    return term_of(r, v, VOCAB_SPEED_USUAL, &e->endpoint.speed);
}

static int e_geo(struct catalog_reader *r, json_ref v, struct entry *e)
{
    return term_of(r, v, VOCAB_GEO_USUAL, &e->endpoint.geo);
}

static int e_server_tools(struct catalog_reader *r, json_ref v, struct entry *e)
{
    if (json_kind(r->doc, v) != JSON_ARRAY) {
        return reader_refuse(r, v, "must be an array");
    }
    for (json_ref m = json_first(r->doc, v); m != JSON_NONE; m = json_next(r->doc, m)) {
        if (e->endpoint.n_server_tools == CATALOG_SERVER_TOOLS_MAX) {
            return reader_refuse(r, m, "at most %d server tools", CATALOG_SERVER_TOOLS_MAX);
        }
        if (slug_of(r, m, CATALOG_SLUG_MAX,
                    &e->endpoint.server_tools[e->endpoint.n_server_tools]) != 0) {
            return -1;
        }
        e->endpoint.n_server_tools++;
    }
    return 0;
}

static int e_pricing(struct catalog_reader *r, json_ref v, struct entry *e)
{
    return reader_pricing(r, v, &e->endpoint.price);
}

static int read_endpoint(struct catalog_reader *r, json_ref v)
{
    static const struct member members[] = {{"provider", e_provider, true},
                                            {"variant", e_variant, false},
                                            {"upstream_model", e_upstream, true},
                                            {"context_length", e_context, false},
                                            {"max_completion_tokens", e_completion, false},
                                            {"quantization", e_quantization, false},
                                            {"input_modalities", e_modalities, false},
                                            {"supported_parameters", e_params, false},
                                            {"server_tools", e_server_tools, false},
                                            {"rules", e_rules, false},
                                            {"speed", e_speed, false},
                                            {"inference_geo", e_geo, false},
                                            {"timeouts", read_timeouts, false},
                                            {"pricing", e_pricing, false},
                                            {"source", NULL, false},
                                            {"updated", NULL, false},
                                            {NULL, NULL, false}};
    struct entry e = {.endpoints = JSON_NONE};
    e.endpoint.modalities = MODALITY_BIT(MODALITY_text);
    e.endpoint.params = PARAM_BIT(PARAM_COUNT) - 1; /* not stated: nothing is ruled out */
    e.endpoint.price.base = rates_none();
    if (read_members(r, v, members, &e) != 0) {
        return -1;
    }
    e.endpoint.timeouts = e.timeouts;
    struct fail f;
    char path[FAIL_FIELD_MAX];
    json_path(r->doc, json_get(r->doc, v, "provider"), path);
    if (catalog_name_provider(r->builder, e.endpoint.provider, path, &f) != 0 ||
        catalog_add_endpoint(r->builder, &e.endpoint, &f) != 0)
        return reader_refuse(r, v, "%s", f.text);
    reader_note_prices(r, v, &e.endpoint.price);
    return 0;
}

static int read_model(struct catalog_reader *r, json_ref v)
{
    static const struct member members[] = {{"id", m_id, true},
                                            {"name", m_name, false},
                                            {"aliases", m_aliases, false},
                                            {"distillable", m_distillable, false},
                                            {"created", m_created, false},
                                            {"timeouts", read_timeouts, false},
                                            {"endpoints", m_endpoints, false},
                                            {"source", NULL, false},
                                            {"updated", NULL, false},
                                            {NULL, NULL, false}};
    struct entry e = {.endpoints = JSON_NONE};
    reader_next_entry(r);
    e.model.aliases = e.aliases;
    if (read_members(r, v, members, &e) != 0) {
        return -1;
    }
    e.model.timeouts = e.timeouts;
    struct fail f;
    if (catalog_add_model(r->builder, &e.model, &f) != 0) {
        return reader_refuse(r, v, "%s", f.text);
    }
    json_ref m = e.endpoints != JSON_NONE ? json_first(r->doc, e.endpoints) : JSON_NONE;
    for (; m != JSON_NONE; m = json_next(r->doc, m)) {
        reader_next_entry(r);
        if (read_endpoint(r, m) != 0) {
            return -1;
        }
    }
    return 0;
}

static int each(struct catalog_reader *r, const char *name,
                int (*read)(struct catalog_reader *, json_ref))
{
    json_ref list = json_get(r->doc, 0, name);
    if (list == JSON_NONE) {
        return 0;
    }
    if (json_kind(r->doc, list) != JSON_ARRAY) {
        return reader_refuse(r, list, "must be an array");
    }
    for (json_ref v = json_first(r->doc, list); v != JSON_NONE; v = json_next(r->doc, v)) {
        if (read(r, v) != 0) {
            return -1;
        }
    }
    return 0;
}

int catalog_read_wayfare(struct catalog_reader *r)
{
    static const struct member members[] = {{"providers", NULL, false},
                                            {"models", NULL, false},
                                            {"source", NULL, false},
                                            {"updated", NULL, false},
                                            {NULL, NULL, false}};
    struct entry unused = {.endpoints = JSON_NONE};
    json_ref first = json_first(r->doc, 0);
    if (first != JSON_NONE && json_get(r->doc, 0, "providers") == JSON_NONE &&
        json_get(r->doc, 0, "models") == JSON_NONE)
        return reader_refuse(r, 0,
                             "is no catalog of a known format: a wayfare file has "
                             "\"providers\" or \"models\"");
    return read_members(r, 0, members, &unused) == 0 && each(r, "providers", read_provider) == 0 &&
                   each(r, "models", read_model) == 0
               ? 0
               : -1;
}
