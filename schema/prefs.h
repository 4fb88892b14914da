/* Routing preferences: the provider_* fields of a request (flat form), or
 * OpenRouter's nested `provider` object, strictly checked.  One spec row per field
 * in prefs_spec.h: name, nested path, type.  Contract: docs/api.md "Routing
 * fields".  An experiment arm or a key preset uses the same structure.
 *
 * Ownership: strings live in `text`, a buffer owned by the prefs; prefs_done frees. */
#ifndef SCHEMA_PREFS_H
#define SCHEMA_PREFS_H

#include <stdint.h>

#include "schema/buf.h"
#include "schema/err.h"
#include "schema/json.h"
#include "schema/vocab.h"

enum {
    PREFS_LIST_MAX = 128, /* entries of order / only / ignore */
    PREFS_CONFIGS_MAX = 16,
    PREFS_SLUG_MAX = 128, /* bytes of one slug */
    PREFS_HEADERS_MAX = 16,
    PREFS_HEADER_NAME_MAX = 128,
    PREFS_VALUE_MAX = 8 * 1024, /* bytes of an api_key or a header's value */
    PREFS_URL_MAX = 2 * 1024,
    PREFS_TIMEOUT_MIN_MS = 1000,
    PREFS_TIMEOUT_MAX_MS = 600000
};

/* Offsets into prefs.text (which may move while growing); NUL-terminated there. */
struct slug_list {
    int n;
    uint32_t at[PREFS_LIST_MAX];
};

/* A cap: `set` false = no cap.  price <= cap  <=>  price_int <= value. */
struct cap {
    bool set;
    int64_t value;
};

enum percentile { P50, P75, P90, P99, PERCENTILE_COUNT };

struct perf_pref {
    bool set[PERCENTILE_COUNT];
    int64_t milli[PERCENTILE_COUNT]; /* latency: ms; throughput: milli-tokens per second */
};

enum auth_type { AUTH_BEARER, AUTH_API_KEY, AUTH_BASIC, AUTH_CUSTOM, AUTH_NONE };

/* provider_configs[slug].  uint32 members are offsets into prefs.text, 0 = absent. */
struct provider_config {
    uint32_t slug, api_key, base_url, auth_header_name;
    uint32_t header_name[PREFS_HEADERS_MAX], header_value[PREFS_HEADERS_MAX];
    int n_headers;
    int64_t timeout_ms; /* -1 absent */
    bool has_auth_type;
    enum auth_type auth_type;
    int native_format; /* 0 absent, 1 openai, 2 anthropic */
};

struct prefs {
    struct slug_list order, only, ignore;
    enum sort sort; /* SORT_none = default draw */
    bool partition_none;
    uint32_t quantizations; /* bit per enum quantization after expansion; 0 = no filter */
    struct cap max_prompt, max_completion, max_audio; /* pico-USD per token (USD per Mtok) */
    struct cap max_request, max_image;                /* pico-USD per unit */
    struct cap max_total;                             /* nano-USD, whole request at its worst */
    bool require_parameters;
    bool data_collection_deny;
    bool zdr;
    bool distillable;
    bool allow_fallbacks; /* default true */
    bool allow_fallbacks_set;
    struct perf_pref max_latency, min_throughput;
    int n_configs;
    struct provider_config configs[PREFS_CONFIGS_MAX];
    bool warn_tiny_cap; /* a positive prompt or completion cap below 0.001 USD/Mtok */
    uint32_t given;     /* bit per row of prefs_spec.h that was stated, defaults too:
                           what a request states wins over an experiment's arm */
    struct buf text;
};

enum { PREFS_TEXT_MAX = 256 * 1024 };

void prefs_init(struct prefs *p);
void prefs_done(struct prefs *p);
const char *prefs_str(const struct prefs *p, uint32_t at); /* NULL for 0 */

/* What the request brings for an endpoint, by its own slug or its provider's; NULL: nothing. */
const struct provider_config *prefs_config(const struct prefs *p, const char *endpoint_slug,
                                           const char *provider_slug);
/* It brings an account or an address: not the operator's, so that nothing the operator knows of the
 * endpoint (credentials, caches) is there. */
bool prefs_config_is_elsewhere(const struct provider_config *c);

/* True when a top-level member of this name is a routing field that Wayfare
 * reads and cuts from what is forwarded: `models`, `provider`, any `provider_*`. */
bool prefs_is_routing_member(const struct json_doc *d, json_ref member);

/* Reads every routing field of the object except `models` into p, which was initialised
 * and is emptied first; after a failure its contents are of no use.  0, or -1 with
 * reterr (ERR_bad_request) naming the field and what it accepts.  Both forms of one
 * field, duplicates and unknown names are refused. */
int prefs_read(struct prefs *p, const struct json_doc *d, json_ref object, struct fail *reterr);

/* Takes from base what p does not state itself (a key's preset, an experiment's arm): a field
 * of the request wins over the layer below.  provider_configs are never inherited. */
void prefs_inherit(struct prefs *p, const struct prefs *base);

/* Canonical JSON of what is set; for storage and `route`.  Flat form, but for what has no
 * flat name (audio cap, partition): that is in a `provider` object.  Reading it gives the
 * same prefs, except that no secret is written: provider_configs appear without api_key
 * and headers. */
void prefs_write(const struct prefs *p, struct buf *out);

#endif
