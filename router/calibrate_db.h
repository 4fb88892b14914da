/* What was learned about sizes, read back at start from the attempts themselves: there is no
 * table of its own to go stale.  Model: router/calibrate.h. */
#ifndef ROUTER_CALIBRATE_DB_H
#define ROUTER_CALIBRATE_DB_H

#include "router/calibrate.h"
#include "router/db.h"

/* The newest attempts of all models that are read; of a model with none among them, nothing is
 * known after a start and the strict bound holds until there is. */
enum { CALIBRATE_LOAD_MAX = 100000 };

/* In the order in which the attempts were made. 0, or -1 with reterr. */
int calibrate_db_load(struct calibrate *c, struct db *db, struct fail *reterr);

#endif
