/* Teams and keys by what operators call them.  What is not found is named, but for a secret: that
 * is for nobody's terminal and nobody's log. */
#ifndef ROUTER_FIND_DB_H
#define ROUTER_FIND_DB_H

#include "router/db.h"

/* By its name.  field: of reterr; within: only if it is this team, 0 = any. */
int find_db_team(struct db *db, const char *field, const char *name, int64_t within, int64_t *ret,
                 struct fail *reterr);
/* By its public id, or by its secret (also one in its grace): who has found a leaked one has
 * nothing else.  A secret that lets nobody in any more is nobody's: what it is said to must not
 * meet the key that is in force.  within: only of this team, 0 = any. */
int find_db_key(struct db *db, const char *field, const char *name, int64_t within, int64_t *ret,
                struct fail *reterr);
/* The name as messages may show it, behind the word `key` or `team`. */
const char *find_db_shown(const char *name);

#endif
