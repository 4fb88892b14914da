/* What all threads of a running server share: the current snapshots, the health table,
 * start time, drain flag.  Workers keep their own references to the snapshots and are told
 * when a new one is published, so the way of a request takes no lock for them. */
#ifndef SERVER_STATE_H
#define SERVER_STATE_H

#include "router/calibrate.h"
#include "router/catalog.h"
#include "router/experiment.h"
#include "router/forecast.h"
#include "router/health.h"
#include "router/identity.h"
#include "router/keyring.h"
#include "router/ledger.h"
#include "router/origin.h"
#include "router/retry.h"

struct state;
struct warm;
struct tokens;

/* Loads the snapshots from the reader connection. NULL with reterr. */
struct state *state_new(struct db *reader, struct ledger *ledger, struct fail *reterr);
void state_free(struct state *s);

/* A counted reference to the current snapshot: the caller unrefs.  Any thread; takes a
 * short lock, so not on the way of a request. */
struct catalog *state_catalog(struct state *s);
struct identity *state_identity(struct state *s);
struct experiments *state_experiments(struct state *s); /* NULL while none runs */
struct ledger *state_ledger(struct state *s);
struct warm *state_warm(struct state *s); /* the table of warm prompt caches; lives as long as s */
struct tokens *state_tokens(struct state *s); /* likewise */

/* Called on the reloading thread for each publication; a worker signals its loop from it. */
void state_subscribe(struct state *s, void (*changed)(void *ctx), void *ctx);

/* After it returns, changed(ctx) is not called any more. */
void state_unsubscribe(struct state *s, const void *ctx);

/* Writes to the log which credentials of the catalog cannot be used: once, when a server starts. */
void state_say_credentials(struct state *s);

/* Reads the database again (after an admin write) and publishes what changed.  Not on a loop
 * thread.  0, or -1 with reterr: the old snapshots stay.  A credential's file that cannot be read
 * keeps its last secret; the log is told when that is news. */
int state_reload(struct state *s, struct db *reader, struct fail *reterr);
/* The same because the operator asked for it (SIGHUP): the log is told again of every file that
 * cannot be read.  *ret_unread: how many there are. */
int state_reread(struct state *s, struct db *reader, int *ret_unread, struct fail *reterr);

/* Health of endpoints and retry budgets of models, both by database id, stable across reloads.
 * Any thread; short lock. */
enum retry_verdict state_attempt_begin(struct state *s, int64_t endpoint_id, int64_t model_id,
                                       int64_t now_ms, const struct retry_ask *ask,
                                       struct breaker_ticket *ticket);
/* What became of the endpoint by an attempt, for the log. */
struct state_change {
    enum breaker_change change;
    struct breaker breaker; /* as it is now */
    uint32_t attempts_30s, failures_30s;
};
/* router/breaker.h, breaker_answered */
void state_attempt_answered(struct state *s, int64_t endpoint_id, int64_t now_ms,
                            struct breaker_ticket *ticket, struct state_change *ret);
void state_attempt_end(struct state *s, int64_t endpoint_id, int64_t now_ms,
                       struct breaker_ticket *ticket, const struct health_end *end,
                       struct state_change *ret);
/* It is not made after all. */
void state_attempt_give_back(struct state *s, int64_t endpoint_id, struct breaker_ticket *ticket);
void state_health_sample(struct state *s, int64_t endpoint_id, int64_t now_ms,
                         int64_t first_token_ms, int64_t milli_tps);
void state_health_look(struct state *s, int64_t endpoint_id, int64_t now_ms,
                       struct health_view *ret);
int state_ejected_count(struct state *s,
                        int64_t now_ms); /* ejected or half-open; walks the table */

/* The operator's credentials at work (router/keyring.h). Any thread; short lock, and none while
 * nothing is held back, but for the first. */
const struct credential *state_credential_take(struct state *s, const struct endpoint *e,
                                               uint32_t tried, int64_t now_ms);
bool state_credential_has_other(struct state *s, const struct endpoint *e, uint32_t tried,
                                int64_t now_ms);
bool state_credential_refused(struct state *s, const struct endpoint *e, const struct credential *c,
                              const struct refusal *r, int64_t retry_after_ms, int64_t now_ms);
bool state_credential_accepted(struct state *s, const struct endpoint *e,
                               const struct credential *c, int64_t sent_ms);
void state_credential_look(struct state *s, const struct endpoint *e, int64_t now_ms,
                           struct keyring_view *ret);

/* Who issued the ids of state that providers keep (router/origin.h). Any thread; short lock. */
void state_origin_note(struct state *s, int64_t team_id, struct span id, const struct origin *from,
                       int64_t now_ms);
bool state_origin_find(struct state *s, int64_t team_id, struct span id, int64_t now_ms,
                       struct origin *ret);

/* What settled attempts teach about sizes (router/calibrate.h, router/forecast.h). Any thread;
 * short lock.  class ESTIMATE_CLASS_NONE: inner calls or the like, its prompt bounds nothing;
 * raw_tok 0: it does not tell what to expect of prompts either. */
void state_learn(struct state *s, const struct forecast_ask *ask, enum estimate_class class,
                 int64_t raw_tok, int64_t prompt_tok, int64_t completion_tok);
void state_learn_text(struct state *s, const char *model, int64_t bytes, int64_t completion_tok);
void state_learned(struct state *s, const struct forecast_ask *ask,
                   struct estimate_learned *ret_bounds, struct estimate_expected *ret);

void state_set_draining(struct state *s);
bool state_draining(const struct state *s);

#endif
