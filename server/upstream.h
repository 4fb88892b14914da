/* Calls to providers: HTTP/1.1 (schema/http1.h) over the connections of uplink.h.
 *
 * Thread: everything on the loop thread of its worker.
 * Callbacks: on_head and on_body may only move bytes and set flags (never start a transfer from
 * there: transfer_cancel and transfer_unpause only set flags and are safe).  on_done may start
 * the next transfer; the transfer is gone when it returns.  None is called from within
 * transfer_start, transfer_cancel or transfer_unpause.
 *
 * One send per transfer, whatever happens to the connection: a kept one is looked at before it
 * is used, and one that dies all the same ends as TRANSFER_STALE or TRANSFER_RESET: what the
 * provider has received nobody knows, so that to ask again is an attempt of its own. */
#ifndef SERVER_UPSTREAM_H
#define SERVER_UPSTREAM_H

#include <uv.h>

#include "router/catalog.h"
#include "schema/upreq.h"
#include "server/uplink.h"

enum {
    UPSTREAM_HEADERS_MAX = 64 * 1024 /* of one response, kept for relaying */
};

struct upstream;
struct transfer;

enum transfer_result {
    TRANSFER_OK,             /* the response body ended as HTTP says it should */
    TRANSFER_CONNECT_FAILED, /* DNS or TCP */
    TRANSFER_TLS_FAILED,
    TRANSFER_CONNECT_TIMEOUT,
    TRANSFER_STALE,     /* a kept connection that was closed before any byte of an answer */
    TRANSFER_RESET,     /* lost after sending began, or the answer is not HTTP/1.1 */
    TRANSFER_TOO_LARGE, /* response headers over the limit */
    TRANSFER_CANCELED
};

struct transfer_ops {
    void (*on_head)(void *ctx, int http_status);
    /* false = pause; the same bytes come again after transfer_unpause. */
    bool (*on_body)(void *ctx, struct span bytes);
    void (*on_done)(void *ctx, enum transfer_result result);
};

struct upstream *upstream_new(uv_loop_t *loop);
/* PEM file of the authorities that TLS trusts, instead of the system's (NULL).  By reference. */
void upstream_trust(struct upstream *u, const char *ca_file);
/* Cancels what runs (on_done TRANSFER_CANCELED), closes idle connections and uv handles; the loop
 * must be run once more before upstream_free. */
void upstream_close(struct upstream *u);
void upstream_free(struct upstream *u);
/* Applies queued cancels and unpauses and starts new connections; once per loop turn, from
 * uv_prepare.  Returns true when something was done. */
bool upstream_turn(struct upstream *u);
/* upstream_turn has work to do. */
bool upstream_pending(const struct upstream *u);
/* Closes connections that have idled for too long; every second or so, not from a callback. */
void upstream_sweep(struct upstream *u);
int upstream_running(const struct upstream *u);

/* req is borrowed until on_done.  NULL when memory is short or the URL is not usable. */
struct transfer *transfer_start(struct upstream *u, const struct upreq *req,
                                const struct uplink_how *how, const struct transfer_ops *ops,
                                void *ctx);
void transfer_cancel(struct transfer *t);
void transfer_unpause(struct transfer *t);
/* Request bytes may have left. */
bool transfer_sent(const struct transfer *t);
/* The range of the address where its reach ended (reach.h); NULL: it did not. */
const char *transfer_denied(const struct transfer *t);
/* Its connection failed for lack of descriptors or memory here. */
bool transfer_starved(const struct transfer *t);
/* The response headers so far: "Name: value\0" each, in order, without the status line. */
struct span transfer_headers(const struct transfer *t);
/* Value of a header in such a list, case-insensitive; empty when absent. */
struct span header_find(struct span headers, const char *name);
/* The provider's name for the exchange, by whichever name its header goes; empty: it has none. */
struct span header_request_id(struct span headers);
/* How long not to come back, in milliseconds, seconds or by a date (RFC 9110 section 10.2.3); -1 =
 * nothing is said.  now_ms: Unix time. */
int64_t header_retry_after_ms(struct span headers, int64_t now_ms);
/* Iterates: *cursor starts at 0. */
bool header_next(struct span headers, size_t *cursor, struct span *ret_name,
                 struct span *ret_value);

#endif
