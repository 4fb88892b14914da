/* The catalog in memory: providers, models, endpoints, prices.  Immutable once
 * built, counted by reference, swapped whole; every pointer inside lives as long as
 * the catalog.  Reading needs no lock.  Built by catalog_builder from catalog_db
 * (or from a file, in tests).
 *
 * Thread: any, for reading. catalog_ref/unref are atomic. */
#ifndef ROUTER_CATALOG_H
#define ROUTER_CATALOG_H

#include <stdint.h>

#include "router/price.h"
#include "schema/buf.h"
#include "schema/err.h"
#include "schema/prefs.h"
#include "schema/span.h"
#include "schema/vocab.h"

enum {
    CATALOG_SLUG_MAX = 128,
    CATALOG_NAME_MAX = 256,
    CATALOG_CREDENTIALS_MAX = 16,
    CATALOG_HEADERS_MAX = 16,
    CATALOG_SERVER_TOOLS_MAX = 16,
    CATALOG_FILE_MAX = 64 * 1024 * 1024
};

enum credential_kind { CREDENTIAL_NONE, CREDENTIAL_ENV, CREDENTIAL_FILE };

struct credential {
    enum credential_kind kind;
    const char *ref;     /* variable name or path; "" for none */
    const char *secret;  /* resolved when the snapshot was loaded; NULL = not available */
    const char *project; /* that it belongs to, for a cloud whose addresses name one; or NULL */
    const char *why;     /* why secret is NULL, where clients may be told more than that */
    const char *fault;   /* the operator's alone, it names variables and paths: why secret is NULL,
                            or is the one that was read before */
    int index;           /* position within the provider */
};

struct timeouts {
    int64_t connect_ms, first_byte_ms, idle_ms, total_ms;
};

#define TIMEOUTS_DEFAULT ((struct timeouts){3000, 60000, 60000, 3600000})

struct provider_row {
    int64_t id; /* database row */
    const char *slug, *name, *protocol, *base_url, *region;
    enum auth_type auth_type;     /* AUTH_API_KEY unless the file says otherwise */
    const char *auth_header_name; /* NULL = protocol default */
    bool collects;                /* data_collection "allow" or not stated */
    bool zdr;
    bool cancel_stops_billing;
    struct timeouts timeouts;
    const char **headers; /* name, value, ..., NULL */
    int n_credentials;
    struct credential credentials[CATALOG_CREDENTIALS_MAX];
    /* Where an endpoint names it, when nothing else does: what it is stands in the database. */
    const char *elsewhere;
    const struct provider *adapter; /* NULL: no adapter for this protocol in this build */
    bool searches;                  /* the web, for every answer, asked or not */
    uint32_t index;                 /* position in catalog->providers */
};

struct model;

/* What an endpoint searches the web for without being asked. */
enum endpoint_search {
    SEARCH_ASKED, /* nothing */
    SEARCH_FEE,   /* each answer; what it reads is not billed */
    SEARCH_READS, /* each answer; what it reads is part of the prompt */
    SEARCH_DEEP   /* likewise, until it knows enough */
};

struct endpoint {
    int64_t id;            /* database row: stable across imports */
    int64_t price_version; /* database row of the price in force */
    const struct model *model;
    const struct provider_row *provider;
    const char *variant; /* NULL = none */
    const char *slug;    /* "provider" or "provider/variant" */
    bool tier;           /* variant is a service tier (priority, flex): opt-in only */
    const char *upstream_model;
    int64_t context_length;        /* 0 = unknown */
    int64_t max_completion_tokens; /* 0 = unknown */
    enum quantization quantization;
    uint32_t modalities; /* MODALITY_BIT */
    uint32_t params;     /* PARAM_BIT of supported_parameters */
    uint32_t rules;      /* RULE_BIT of what the model refuses */
    /* What a request must ask for to be served at these prices; "" = nothing. */
    const char *speed, *geo;
    int n_server_tools;
    const char *
        server_tools[CATALOG_SERVER_TOOLS_MAX]; /* exact type or family prefix, e.g. "web_search" */
    struct timeouts stated_timeouts; /* of this endpoint; 0 = those of its model, of its provider */
    struct timeouts timeouts;        /* in force, once frozen */
    enum endpoint_search search;     /* likewise */
    struct price price;
    uint32_t index; /* position in catalog->endpoints: key of the health table */
};

struct model {
    int64_t id;
    const char *slug; /* the catalog's id, e.g. "anthropic/claude-sonnet-4.5" */
    const char *name;
    bool distillable;
    int64_t created_ms;
    struct timeouts timeouts; /* 0 = those of the provider */
    int n_aliases;
    const char **aliases;
    int n_endpoints;
    const struct endpoint **endpoints;
    uint32_t index;
};

struct catalog {
    int n_providers, n_models, n_endpoints;
    bool yields; /* from a foreign list: where a merge meets what is there, that stays */
    const struct provider_row *providers;
    const struct model *models; /* ascending by slug */
    const struct endpoint *endpoints;
    int64_t version;              /* grows with each change of the database's catalog */
    struct catalog_private *priv; /* arena, hash indexes, reference count */
};

struct catalog *catalog_ref(struct catalog *c);
void catalog_unref(struct catalog *c);

/* By id or alias, exact; NULL when unknown. O(1). */
const struct model *catalog_model(const struct catalog *c, struct span name);
const struct provider_row *catalog_provider(const struct catalog *c, struct span slug);
/* The endpoint of this provider that serves the upstream name; NULL when none. O(1).
 * For pricing usage.iterations and for the provider's own model names. */
const struct endpoint *catalog_by_upstream(const struct catalog *c, const struct provider_row *p,
                                           struct span upstream_model);

/* The service tier that an endpoint's prices are for; "" = none. */
static inline const char *endpoint_tier(const struct endpoint *e)
{
    return e->tier ? e->variant : "";
}

/* Its prices are for requests that ask for nothing special. */
static inline bool endpoint_is_usual(const struct endpoint *e)
{
    return !e->tier && e->speed[0] == '\0' && e->geo[0] == '\0';
}

/* The endpoint of the same model at the same provider whose prices are those of these terms and of
 * this service tier ("" = none, each); NULL when there is none. */
const struct endpoint *endpoint_on_terms(const struct endpoint *e, const char *speed,
                                         const char *geo, const char *tier);

/* Does `entry` (of order / only / ignore) name this endpoint?
 * "provider" names every endpoint of it except tier variants; "provider/variant" just that;
 * the provider's display name is accepted too. */
bool endpoint_named(const struct endpoint *e, const char *entry);
/* As endpoint_named but tiers count as named by the bare provider: for `ignore`. */
bool endpoint_covered(const struct endpoint *e, const char *entry);
/* First credential with a secret (or kind none), starting at `from` modulo the count; NULL. */
const struct credential *provider_credential(const struct provider_row *p, unsigned from);

/* ---- building ---- */
/* A mutable description, filled by the file readers and by catalog_db, then frozen. */
struct catalog_builder;
struct catalog_builder *catalog_builder_new(void);
void catalog_builder_free(struct catalog_builder *b);

struct provider_spec {
    int64_t id;
    const char *slug, *name, *protocol, *base_url, *region;
    enum auth_type auth_type;
    const char *auth_header_name;
    bool collects, zdr, cancel_stops_billing;
    struct timeouts timeouts;
    const char *const *headers;
    int n_credentials;
    struct credential credentials[CATALOG_CREDENTIALS_MAX];
};
struct model_spec {
    int64_t id;
    const char *slug, *name;
    bool distillable;
    int64_t created_ms;
    struct timeouts timeouts; /* 0 = not stated, each */
    int n_aliases;
    const char *const *aliases;
};
struct endpoint_spec {
    int64_t id, price_version;
    const char *provider, *variant, *upstream_model;
    int64_t context_length, max_completion_tokens;
    enum quantization quantization;
    uint32_t modalities, params, rules;
    const char *speed, *geo; /* NULL = "" */
    int n_server_tools;
    const char *server_tools[CATALOG_SERVER_TOOLS_MAX];
    struct timeouts timeouts; /* 0 = not stated, each */
    struct price price;
};
/* Strings are copied. 0, or -1 with reterr (duplicate slug, unknown provider, ...).
 * catalog_add_endpoint adds to the model added last. */
int catalog_add_provider(struct catalog_builder *b, const struct provider_spec *s,
                         struct fail *reterr);
int catalog_add_model(struct catalog_builder *b, const struct model_spec *s, struct fail *reterr);
int catalog_add_endpoint(struct catalog_builder *b, const struct endpoint_spec *s,
                         struct fail *reterr);
/* Names a provider that another file defined, at `path` of this one, if none of this slug was
 * added: the merge resolves it against the database, and refuses the import when it is not there
 * either. */
int catalog_name_provider(struct catalog_builder *b, const char *slug, const char *path,
                          struct fail *reterr);
/* The slug of the model that has this id or alias; NULL = the name is free. */
const char *catalog_builder_owner(const struct catalog_builder *b, const char *name);
/* Takes an alias from its model; a model keeps its own slug. */
void catalog_builder_drop_alias(struct catalog_builder *b, const char *alias);
/* The description comes from a foreign list (catalog.yields). */
void catalog_builder_yields(struct catalog_builder *b);
/* A secret that was looked up, as in struct credential: text NULL = not available. */
struct secret {
    const char *text, *project, *why, *fault;
};
/* Looks a secret up. The result is copied. */
typedef struct secret (*secret_lookup)(void *ctx, enum credential_kind kind, const char *ref);
/* Freezes; the builder is empty afterwards. Reference count 1. NULL on no memory. */
struct catalog *catalog_freeze(struct catalog_builder *b, int64_t version, secret_lookup lookup,
                               void *ctx);
/* The operator's own look-up: environment ("A:B:C": several variables, their values with colons
 * between them) and files (trailing newline stripped), at most 64 KiB. Without text, fault says
 * why. Buffers are thread-local, valid until the next call on the thread. */
struct secret catalog_secret_from_system(void *ctx, enum credential_kind kind, const char *ref);

#endif
