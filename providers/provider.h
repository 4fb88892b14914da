/* One adapter per provider protocol.  Pure: no socket, no clock, no callback into the
 * server; it turns a request into a prepared call and response bytes into events
 * and usage.  Adding a protocol: one .c with a `const struct provider`, one row in
 * registry.c, one directory under tests/golden. */
#ifndef PROVIDERS_PROVIDER_H
#define PROVIDERS_PROVIDER_H

#include "schema/chat.h"
#include "schema/err.h"
#include "schema/event.h"
#include "schema/upreq.h"
#include "schema/usage.h"

/* Which path of the provider is called. */
enum provider_op { OP_MESSAGES, OP_COUNT_TOKENS };

/* Everything an adapter needs to know of the endpoint; all borrowed for the call. */
struct provider_target {
    const char *base_url;
    const char *upstream_model;
    const char *secret;               /* NULL = no credential is sent */
    enum auth_type auth_type;         /* AUTH_API_KEY: x-api-key unless auth_header_name */
    const char *auth_header_name;     /* NULL = the protocol's default */
    const char *const *extra_headers; /* name, value, name, value, ..., NULL; may be NULL */
    const char *request_id;           /* sent as x-request-id: the attempt's id */
};

/* Client headers an adapter may forward (the allow-list of the door). */
struct client_headers {
    struct span anthropic_version; /* empty = absent */
    struct span anthropic_beta;    /* repeated headers joined with "," by the caller */
    int n_other;                   /* other anthropic-* headers, passed verbatim */
    struct {
        struct span name, value;
    } other[16];
};

/* How an attempt ended, seen from the provider. */
enum verdict {
    VERDICT_COMPLETE,  /* the protocol's own last event, or a whole JSON body */
    VERDICT_TRUNCATED, /* ended before that */
    VERDICT_ERROR,     /* an error event inside the stream */
    VERDICT_FOREIGN    /* not this protocol (an HTML page, ...) */
};

/* Failure classes of a response head, for failover (contract section 4). */
enum up_class {
    UP_OK,           /* 2xx */
    UP_RATE_LIMITED, /* 429 */
    UP_CREDENTIAL,   /* 401, 402, 403: speaks of the operator's account */
    UP_MISSING,      /* 404, 405 */
    UP_BUSY,         /* 408, 409, 425, 3xx */
    UP_DOWN,         /* 5xx, 529 */
    UP_CLIENT        /* 400, 413, 422 and the rest: the client's own */
};

enum { PROVIDER_EVENT_MAX = 16 * 1024 * 1024, PROVIDER_BODY_MAX = 64 * 1024 * 1024 };

struct provider {
    const char *protocol; /* catalog word: "anthropic", "openai", ... */
    /* The first door whose protocol this provider speaks natively (bytes relayed untouched). */
    enum chat_door native_door;
    bool can_count_tokens;

    /* Fills *ret_up (initialised by the caller). 0, or -1 with reterr. */
    int (*build)(const struct chat *chat, enum provider_op op, const struct provider_target *target,
                 const struct client_headers *headers, struct upreq *ret_up, struct fail *reterr);

    /* One parser per attempt that streams.  feed() takes any split of the body and calls
     * on_event for each event, in order; false when the stream is broken (over a limit). */
    void *(*stream_open)(void);
    bool (*stream_feed)(void *stream, struct span bytes,
                        void (*on_event)(void *ctx, const struct event *ev), void *ctx);
    /* Bytes of the stream seen so far end at an event boundary: a keep-alive may go in. */
    bool (*stream_at_boundary)(const void *stream);
    /* Usage as known now, and the verdict so far. content_bytes: bytes of generated text seen. */
    enum verdict (*stream_state)(const void *stream, struct usage_report *ret_usage,
                                 int64_t *ret_content_bytes);
    void (*stream_close)(void *stream);

    /* A whole 2xx JSON body: its usage and verdict. */
    enum verdict (*read_body)(struct span body, struct usage_report *ret_usage);
    /* Whether an error body is of this protocol (then it passes unmodified). */
    bool (*is_error_body)(struct span body);
};

extern const struct provider provider_anthropic;

/* NULL-terminated; look-up by catalog word, NULL when there is no adapter yet. */
extern const struct provider *const provider_all[];
const struct provider *provider_find(const char *protocol);

enum up_class provider_classify(int http_status);

#endif
