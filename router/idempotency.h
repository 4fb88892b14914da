/* The Idempotency-Key header: a request that a client repeats is not sent twice.
 *
 * The row that remembers it is written by the ledger thread in the transaction of the request's
 * first hold, so that it is durable before anything is sent, and it outlives the process.  Kept
 * are hashes only.  Scope: the API key.
 *
 * Contract: docs/api.md "Idempotency"; the same key with the same body:
 *   still running                                   -> ERR_idempotency_running
 *   succeeded, was billed or its outcome is unknown -> ERR_idempotency_done
 *   ended without anything billed                   -> the new request takes the row over
 * with another body -> ERR_idempotency_mismatch. */
#ifndef ROUTER_IDEMPOTENCY_H
#define ROUTER_IDEMPOTENCY_H

#include <stdbool.h>
#include <stdint.h>

#include "schema/err.h"
#include "schema/id.h"
#include "schema/span.h"

enum { IDEMPOTENCY_KEY_MAX = 255, IDEMPOTENCY_HASH_LEN = 32 };

/* Zeroed: the client sent no such header. */
struct idempotency {
    bool given;
    uint8_t key_hash[IDEMPOTENCY_HASH_LEN], body_hash[IDEMPOTENCY_HASH_LEN];
};

/* The request that had the key before; filled for ERR_idempotency_*. */
struct idempotency_earlier {
    struct id request_id;
    char status[16]; /* as in struct ledger_end, or "running"; "" = its record is gone */
    int64_t cost_nusd;
};

/* key: the header's value.  door: which route, two routes do not share answers.
 * -1 (ERR_bad_request naming the header): not 1 to 255 printable ASCII characters. */
int idempotency_read(struct span key, const char *door, struct span body, struct idempotency *ret,
                     struct fail *reterr);

#endif
