/* The ledger: what may be spent, what is being spent, what was spent.
 *
 * One thread owns the only writing SQLite connection and the accounts in memory.
 * Loop threads send operations by value and get answers through their own port;
 * operations of one batch share one transaction (group commit), and an answer
 * leaves only after COMMIT.  The state machine itself is ledger_core.h, pure.
 *
 * States of an attempt: HELD -> SENT -> (STREAMING) -> SETTLED | VOID, INDET only by
 * recovery (docs/architecture.md "Money").  A hold is written together with its SENT
 * mark when the call leaves at once: no byte leaves before it is durable.
 *
 * A COMMIT or fsync that fails ends the process (exit 70): the row may or may not be
 * there, only a restart tells.  A full disk does not: holds are answered ERR_ledger_down, what
 * ends attempts is written into the room of the ballast (router/ballast.h), or without one kept
 * in order until there is room again.  Amounts are nano-USD, never negative. */
#ifndef ROUTER_LEDGER_H
#define ROUTER_LEDGER_H

#include "router/alert.h"
#include "router/db.h"
#include "router/idempotency.h"
#include "schema/err.h"
#include "schema/id.h"
#include "schema/usage.h"

enum {
    LEDGER_NAME_MAX = 256,
    LEDGER_SLUG_MAX = 128,
    LEDGER_REASON_MAX = 64,
    LEDGER_BATCH_MAX = 256,
    LEDGER_QUEUE_MAX = 100000 /* operations waiting; beyond it holds are refused ERR_ledger_down */
};

enum ledger_op_kind {
    LEDGER_HOLD,
    LEDGER_EXTEND,
    LEDGER_STREAMING,
    LEDGER_SETTLE,
    LEDGER_VOID,
    LEDGER_END
};

/* Facts of the request; written with its first hold. */
struct ledger_request {
    int64_t created_ms;
    bool stream;
    char requested_model[LEDGER_NAME_MAX];
    char door[16];       /* "messages" | "chat" */
    char experiment[64]; /* "" = none */
    char arm[64];
    int64_t unit; /* of the experiment: what its hash of the unit says; without meaning else */
    struct idempotency idempotency;
};

struct ledger_hold {
    int n;                   /* 1, 2, 3: attempt number within the request */
    int64_t team_id, key_id; /* database rows */
    int64_t now_ms;
    int64_t admitted_ms; /* set by the ledger: now_ms, or later when its clock had been ahead */
    int64_t amount_nusd; /* worst case on this endpoint */
    int64_t endpoint_id, price_version;
    bool cancel_stops_billing;
    int64_t prompt_estimate_tok; /* charged by recovery when the provider stops billing on cancel */
    int64_t prompt_estimate_nusd;
    int prompt_class; /* what requests like it are known by (router/calibrate_db.h), plus 1; 0:
                         nothing is learned from it */
    int n_images;     /* in the request: needed to recompute the cost */
    char model[LEDGER_NAME_MAX];    /* catalog id */
    char provider[LEDGER_SLUG_MAX]; /* full slug */
    char upstream_model[LEDGER_NAME_MAX];
    struct ledger_request request;
};

/* The hold of a running attempt grows: answered like a hold.  Of an attempt that does not run
 * any more it is answered ERR_ledger_down. */
struct ledger_extend {
    int64_t now_ms;
    int64_t amount_nusd; /* added to what is held */
};

struct ledger_settle {
    int64_t now_ms;
    enum usage_source source;
    struct usage usage;   /* as billed (iterations summed) */
    int64_t cost_pusd;    /* charge = ceil(cost / 1000) */
    int64_t billed_price; /* the price version of that, where it is not the hold's; else 0 */
    int http_status;
    int64_t first_byte_ms; /* after sending; -1 = none came */
    int64_t duration_ms;
    char end_reason[LEDGER_REASON_MAX];
    char provider_request_id[LEDGER_SLUG_MAX];
    char iterations[1024]; /* JSON of usage.iterations billed at other models, "" = none */
};

/* The request is over (after its last settle or void). */
struct ledger_end {
    int64_t now_ms;
    char status[32]; /* "ok" | "error" | "canceled" | "refused" */
    int http_status;
};

struct ledger_op {
    struct ledger_op *next; /* owned by the queue */
    enum ledger_op_kind kind;
    struct ledger_port *port; /* HOLD, EXTEND: where the answer goes */
    void *cookie;             /* HOLD, EXTEND: handed back with the answer */
    struct id request_id, attempt_id;
    union {
        struct ledger_hold hold;
        struct ledger_extend extend;
        struct ledger_settle
            settle; /* SETTLE, VOID (usage ignored) and STREAMING (partial usage) */
        struct ledger_end end;
    } u;
};

/* Why a cap refused. */
struct ledger_refusal {
    char scope[8];  /* "key" | "team" */
    char name[64];  /* of the key or team */
    char window[8]; /* "day" | "week" | "month" | "total" */
    int64_t cap_nusd, spent_nusd, held_nusd, needs_nusd;
    int64_t resets_ms; /* 0 = never (total) */
};

struct ledger_answer {
    void *cookie;
    enum ledger_op_kind kind; /* HOLD or EXTEND */
    enum err code;            /* ERR_OK, ERR_over_budget, ERR_budget_busy, ERR_ledger_down,
                                 ERR_idempotency_* */
    struct ledger_refusal refusal;
    struct idempotency_earlier earlier; /* with ERR_idempotency_* */
    int64_t retry_after_ms;
};

struct ledger;

/* A worker's mailbox. wake(ctx) is called on the ledger thread, once per batch, after the
 * answers of that batch were queued (and by ledger_send itself when the queue is full); it
 * must only signal (uv_async_send).  Ports are closed before ledger_stop; a port may be closed
 * while answers are outstanding: they are dropped, and what was admitted stays held until it
 * is settled or voided. */
struct ledger_port *ledger_port_open(struct ledger *l, void (*wake)(void *ctx), void *ctx);
/* On the port's own thread: calls fn for each answer. */
void ledger_port_drain(struct ledger_port *p, void (*fn)(void *ctx, const struct ledger_answer *a),
                       void *ctx);
void ledger_port_close(struct ledger_port *p);

/* Loads accounts, resolves what a dead process left behind (says so through log), starts the
 * thread.  Takes over the writing connection until ledger_stop. NULL with reterr. */
struct ledger *ledger_start(struct db *writer, void (*log)(const char *line), struct fail *reterr);

/* What a server adds to the ledger; commands that work on the file directly go without. */
struct ledger_settings {
    struct alert_rules alert_at;   /* see router/alert.h */
    void (*alert_wake)(void *ctx); /* on the ledger thread, after the COMMIT of new alerts */
    void *alert_ctx;
    int64_t ballast_bytes;                   /* 0 = none */
    int64_t (*free_bytes)(const char *path); /* NULL = the disk's; tests have disks of their own */
};
/* From now on, and writes the alerts that are due already.  Waits; once, before traffic.  A
 * ballast that there is no room for is only logged.  -1: the alerts could not be written. */
int ledger_set(struct ledger *l, const struct ledger_settings *s);

/* A zeroed operation to fill; NULL when memory is short or twice LEDGER_QUEUE_MAX operations
 * are about.  From LEDGER_QUEUE_MAX on, ledger_send answers a hold ERR_ledger_down at once
 * while everything that ends an attempt is still taken. */
struct ledger_op *ledger_op_new(struct ledger *l);
/* Any thread. Takes ownership. Never blocks on I/O. */
void ledger_send(struct ledger *l, struct ledger_op *op);

/* Runs fn(db, arg) on the ledger thread between batches, inside its own transaction
 * (committed when fn returns 0, rolled back otherwise), and waits.  For admin writes:
 * never call it on a loop thread.  After a job the accounts are re-read (caps may have
 * changed).  Returns fn's result, or -1 when its transaction could not be committed. */
int ledger_job(struct ledger *l, int (*fn)(struct db *db, void *arg), void *arg);
/* Likewise, for a job that changes what is in the accounts (corrections): they are read again
 * before its transaction is committed.  -1 also while the room of the ballast is used up. */
int ledger_job_reload(struct ledger *l, int (*fn)(struct db *db, void *arg), void *arg);
/* Waits until everything sent before is committed (or, while the disk is full, kept for
 * later). Not on a loop thread. */
void ledger_barrier(struct ledger *l);
/* db_wait_for_log, of its database. */
void ledger_wait_for_log(const struct ledger *l, const bool *stop);

/* Drains, commits, stops the thread, gives the connection back. */
void ledger_stop(struct ledger *l);

struct ledger_stats {
    uint64_t holds, settles, voids, commits, refused, alerts;
    bool holds_refused; /* for want of room on the disk */
    int64_t running, held_nusd;
    int64_t last_ms; /* of its latest event: time never goes back in there */
    int64_t last_commit_us;
    uint64_t queue_len;
};
void ledger_stats(struct ledger *l, struct ledger_stats *ret);
/* The instant that a hold of now_ms would have: later where the clock was set back. l may be
 * NULL. */
int64_t ledger_time(struct ledger *l, int64_t now_ms);

#endif
