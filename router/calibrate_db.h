/* What was learned about sizes, read back at start from the attempts themselves: there is no
 * table of its own to go stale.  Models: router/calibrate.h and router/forecast.h. */
#ifndef ROUTER_CALIBRATE_DB_H
#define ROUTER_CALIBRATE_DB_H

#include "router/calibrate.h"
#include "router/db.h"
#include "router/forecast.h"

/* The newest attempts of all models that are read; of a model with none among them, nothing is
 * known after a start and the strict bound holds until there is. */
enum { CALIBRATE_LOAD_MAX = 100000 };

/* The value of attempt.prompt_class: the class of the prompt and the shape of the request, which
 * rows from before there were shapes do not have.  NULL: the attempt teaches nothing. */
int calibrate_db_class(enum estimate_class class, uint32_t shape);
/* In the order in which the attempts were made. 0, or -1 with reterr. */
int calibrate_db_load(struct calibrate *c, struct forecast *f, struct db *db, struct fail *reterr);

#endif
