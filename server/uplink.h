/* Connections to providers.  libcurl opens them (names, TCP, TLS with verification), with
 * CURLOPT_CONNECT_ONLY; what is said over them is the owner's (upstream.c): bytes of a plain
 * connection do not pass through libcurl at all, those of a TLS one only through its
 * curl_easy_send and curl_easy_recv.  The only file of the relay that knows libcurl.
 *
 * Connections are kept per origin and used again, the warmest first.
 * Thread: everything on the loop thread of its worker; the callbacks too, always outside
 * libcurl, so that they may take, give back and close connections, also the one they are
 * told of. */
#ifndef SERVER_UPLINK_H
#define SERVER_UPLINK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <uv.h>

#include "server/reach.h"

enum {
    UPLINK_ORIGINS_MAX = 1024, /* scheme://host:port whose connections are kept */
    UPLINK_IDLE_PER_ORIGIN = 512,
    UPLINK_AGE_S = 30, /* a connection that was idle for longer is closed, never used again */
    UPLINK_RECORD = 16 * 1024 /* sent at a time over TLS */
};

struct uplinks; /* of one worker */
struct uplink;  /* one connection */

enum uplink_result {
    UPLINK_OPEN,
    UPLINK_CONNECT_FAILED, /* DNS or TCP */
    UPLINK_TLS_FAILED,
    UPLINK_CONNECT_TIMEOUT
};

/* Instead of a number of bytes. */
enum { UPLINK_AGAIN = -1, UPLINK_LOST = -2 };

struct uplink_ops {
    /* Once for each connection that was not open when it was taken. */
    void (*on_open)(void *ctx, enum uplink_result result);
    /* Something can be read, or (writable) sent.  Only a hint. */
    void (*on_ready)(void *ctx, bool writable);
};

struct uplinks *uplinks_new(uv_loop_t *loop, const struct uplink_ops *ops);
/* PEM file of the authorities that TLS trusts, instead of the system's.  Kept by reference. */
void uplinks_trust(struct uplinks *s, const char *ca_file);
/* Closes idle connections and uv handles: none may be taken.  The loop must be run once more
 * before uplinks_free. */
void uplinks_close(struct uplinks *s);
void uplinks_free(struct uplinks *s);
/* Starts what was taken, once per loop turn.  true when something was done. */
bool uplinks_turn(struct uplinks *s);
/* uplinks_turn has work to do. */
bool uplinks_pending(const struct uplinks *s);
/* Closes what has idled for too long, and forgets origins without a connection.  Every second or
 * so; not from a callback. */
void uplinks_sweep(struct uplinks *s);

/* A descriptor is below it: the process must have no more. */
enum { UPLINK_DESCRIPTORS_MAX = 65536 };

struct uplink_how {
    int64_t connect_ms;
    enum reach reach; /* where it may lead */
    bool fresh;       /* not a kept one */
};

/* A connection to the URL's origin: a kept one that is open, or a new one.  ctx goes
 * to the callbacks.  NULL when memory is short or the URL is not usable. */
struct uplink *uplink_take(struct uplinks *s, const char *url, const struct uplink_how *how,
                           void *ctx);
/* Which of the two it was.  false: this URL is not usable. */
bool uplink_can_read(const char *url);
/* Kept for the next one where it may be used again, else closed. */
void uplink_give_back(struct uplink *l, bool reusable);
bool uplink_is_open(const struct uplink *l);
/* The range of the address where its reach ended (reach.h); NULL: it did not. */
const char *uplink_denied(const struct uplink *l);
/* It failed while descriptors or memory are short here. */
bool uplink_starved(const struct uplink *l);
/* Value of the Host field. */
const char *uplink_host(const struct uplink *l);
/* More than one record of TLS may lie in memory: no on_ready tells of it, read until AGAIN. */
bool uplink_is_tls(const struct uplink *l);

/* Bytes that were taken, UPLINK_AGAIN (ask to be told by uplink_watch, and offer the same bytes
 * again then) or UPLINK_LOST. */
ssize_t uplink_send(struct uplink *l, const struct iovec *pieces, int n);
/* Bytes, 0 when the peer has closed in order, UPLINK_AGAIN or UPLINK_LOST. */
ssize_t uplink_recv(struct uplink *l, char *into, size_t cap);
/* What on_ready is called for; a connection that was just taken or opened: reading. */
void uplink_watch(struct uplink *l, bool reading, bool writing);

#endif
