/* A/B tests: who takes part, which arm that is, what the arm changes about a request.
 *
 * The arm is a function of the experiment's salt and of the unit (a key, a user, a session or a
 * single request), by SHA-256: the same on every server and after every start, and independent of
 * every other experiment, which has another salt.  Words of one digest say
 *   0  the unit, as the ledger records it
 *   1  whether it takes part: below the ramp, so that a higher ramp moves nobody who does already
 *   2  the arm, by the weights
 *   3  whether a shadow arm gets a copy
 * Experiments of one layer divide its slots; a unit's slot is a digest of the layer and the unit.
 * Contract: docs/api.md "Experiments".
 *
 * Pure.  A set of running experiments is immutable once built, counted by reference and swapped
 * whole, as the catalog is.  Thread: any, for reading. */
#ifndef ROUTER_EXPERIMENT_H
#define ROUTER_EXPERIMENT_H

#include <json-c/json.h>

#include "router/catalog.h"
#include "router/plan.h"
#include "schema/chat.h"
#include "schema/money.h"

enum {
    EXPERIMENT_SLOTS = 10000, /* of a layer; the unit of shares and ramps */
    EXPERIMENT_RUNNING_MAX = 100,
    EXPERIMENT_NAME_MAX = 64, /* bytes with NUL: of experiments, arms, layers, metrics */
    EXPERIMENT_SALT_MAX = 33, /* 32 hex digits */
    EXPERIMENT_ARMS_MAX = 16,
    EXPERIMENT_METRICS_MAX = 16,
    EXPERIMENT_GUARDRAILS_MAX = 8,
    EXPERIMENT_WEIGHT_MAX = 1000000,
    EXPERIMENT_PREFS_MAX = 64 * 1024, /* bytes of an arm's preferences */
    EXPERIMENT_WHY_MAX = 512,
    EXPERIMENT_TEXT_MAX = 4096 /* bytes of the metrics, or the guardrails, as JSON */
};

enum experiment_unit { UNIT_KEY, UNIT_USER, UNIT_SESSION, UNIT_REQUEST, UNIT_COUNT };

struct experiment_arm {
    char name[EXPERIMENT_NAME_MAX];
    int64_t weight; /* a share of the traffic; of a shadow arm: per cent of the units */
    bool shadow;
    int n_models;   /* 0 = the request's own */
    bool has_model; /* models[0] stands for the request's model; else all are fallbacks */
    struct chat_model *models;
    struct prefs prefs;
    char *text; /* all of it, as it is stored */
};

struct experiment_metric {
    char name[EXPERIMENT_NAME_MAX];
    bool higher; /* is better */
};

struct experiment_guardrail {
    char metric[EXPERIMENT_NAME_MAX]; /* error_rate | cancel_rate | cost | latency */
    char max[MONEY_TEXT_MAX];         /* a decimal: a share; USD per request; seconds */
};

struct experiment {
    int64_t id; /* database row; 0 = not stored yet */
    char name[EXPERIMENT_NAME_MAX];
    char model[CHAT_MODEL_NAME_MAX]; /* alias or id, as asked */
    char layer[CHAT_MODEL_NAME_MAX]; /* "" = not chosen yet: the model's id */
    int slot_from, slot_to;          /* [from, to) */
    char salt[EXPERIMENT_SALT_MAX];
    enum experiment_unit unit;
    int ramp; /* of EXPERIMENT_SLOTS */
    int n_arms;
    struct experiment_arm arms[EXPERIMENT_ARMS_MAX];
    int n_metrics;
    struct experiment_metric metrics[EXPERIMENT_METRICS_MAX];
    int n_guardrails;
    struct experiment_guardrail guardrails[EXPERIMENT_GUARDRAILS_MAX];
    /* What this program cannot read of it, as it is stored by another one; "" = nothing.  Nobody
     * takes part in such a one; its slots stay taken. */
    char unreadable[EXPERIMENT_WHY_MAX];
};

const char *experiment_unit_name(enum experiment_unit u);
bool experiment_unit_parse(const char *name, enum experiment_unit *ret);
/* 1 to 63 of A-Z a-z 0-9 . _ - and no dash at the start: it stands in headers and options. */
bool experiment_name_ok(const char *name);
void experiment_done(struct experiment *e);

/* ---- experiment_read.c: definitions ---- */

/* The arguments of `experiment create` (docs/api.md) but for what only the database knows: id,
 * salt, slots (*ret_share_slots: how many it wants).  0, or -1 with reterr, which names the field;
 * experiment_done in any case. */
int experiment_read(struct json_object *args, struct experiment *ret, int *ret_share_slots,
                    struct fail *reterr);
/* Per cent with at most two decimals, as a number or a string, in 1/10,000. */
int experiment_read_percent(const char *field, struct json_object *value, int *ret,
                            struct fail *reterr);
/* An arm's preferences: the flat routing fields, `model` and `models`; NULL = none.  `arm`
 * has its name; gets the rest. 0, or -1 with reterr. */
int experiment_read_prefs(struct experiment_arm *arm, const char *json, struct fail *reterr);
/* As they are stored. */
void experiment_write_metrics(const struct experiment *e, struct buf *out);
void experiment_write_guardrails(const struct experiment *e, struct buf *out);

/* ---- experiment_check.c ---- */

/* Could each arm serve a request of this catalog, and does it know the providers that the arm
 * names?  The models are in it.  -1 with reterr, which names the arm and what is in the way. */
int experiment_check(const struct experiment *e, const struct catalog *catalog,
                     struct fail *reterr);

/* ---- the running ones ---- */

struct experiments {
    int n; /* at least 1: where none runs there is no set */
    struct experiment *rows[EXPERIMENT_RUNNING_MAX]; /* the oldest first */
    int refs;                                        /* __atomic */
};

/* NULL when memory is short. */
struct experiments *experiments_new(void);
/* x may be NULL. */
struct experiments *experiments_ref(struct experiments *x);
void experiments_unref(struct experiments *x);

/* ---- assignment ---- */

/* Bytes that name a unit: several pieces that count as one. Empty: there is none. */
struct experiment_name {
    struct span part[2];
};

struct experiment_who {
    struct experiment_name names[UNIT_COUNT];
};

/* Who sends a request, by what it says: user from metadata.user_id or `user`, without the part
 * that names the session where a client puts that there too; session from the header (may be
 * empty), the body's `session_id`, or that part.  The key and the request are the caller's. */
void experiment_who_read(const struct chat *chat, struct span session_header,
                         struct experiment_who *ret);

struct experiment_place {
    const struct experiment *experiment; /* NULL: in none */
    const struct experiment_arm *arm;
    enum experiment_unit unit; /* KEY although the experiment asks for another: it was not there */
    int64_t hash;              /* of the unit, for the ledger */
    uint64_t shadow_draw;
};

/* Which experiment the request is in, and its arm.  Of all whose model it is (by any of its
 * names), the oldest whose slots and ramp it falls in, and whose arms' models the key may all use
 * (and the request's own): else the arms would differ in who is in them.  x may be NULL.  policy
 * may be NULL. */
void experiments_assign(const struct experiments *x, const struct catalog *catalog,
                        const struct policy *policy, const struct chat *chat,
                        const struct experiment_who *who, struct experiment_place *ret);
/* What the ledger records for a unit of an experiment with this salt. */
int64_t experiment_unit_hash(const char *salt, enum experiment_unit unit,
                             const struct experiment_name *name);
/* Does this shadow arm get a copy of the request? */
bool experiment_shadows(const struct experiment_arm *arm, const struct experiment_place *at);
/* What the request does not say itself comes from the arm; `model` from the arm in any case. */
void experiment_apply(const struct experiment_arm *arm, struct chat *chat);

#endif
