/* Who is simulated: per provider (site) and model the stored script and what was
 * counted.  A site is the name of a listener, or the path before /v1/ when the base URL
 * has one, so that one port can be several providers. */
#ifndef SIM_ROSTER_H
#define SIM_ROSTER_H

#include <stdint.h>

#include "schema/buf.h"
#include "sim/script.h"

enum { ROSTER_NAME_MAX = 160, ROSTER_MODELS_MAX = 4096, ROSTER_SLOTS = 8192 };

struct roster_model {
    char site[ROSTER_NAME_MAX];
    char model[ROSTER_NAME_MAX]; /* "*" = all models of the site */
    char *script;                /* owned; key=value&key=value, or NULL */
    int64_t n_requests;
    int64_t n_in_flight;
    int64_t n_complete;
    int64_t n_failed; /* answered with an error, cut, reset, left by the client */
    int64_t n_turns;  /* counted for fail_first; a new script starts it again */
    int64_t output_tok;
};

struct roster {
    struct roster_model *slots[ROSTER_SLOTS];
    struct roster_model *all[ROSTER_MODELS_MAX];
    int n_models;
    int n_scripts;
};

void roster_init(struct roster *r);
void roster_done(struct roster *r);
/* Drops scripts and counters; entries stay (requests in flight point to them). */
void roster_reset(struct roster *r);
/* Finds or makes; NULL when the roster is full or a name too long. */
struct roster_model *roster_get(struct roster *r, struct span site, struct span model);
/* Takes a copy of text; an empty text removes the script. */
bool roster_set_script(struct roster *r, struct roster_model *m, struct span text);
/* Applies what is stored for this site and model to s, the general first. */
void roster_apply(struct roster *r, struct span site, struct span model, struct script *s);

#endif
