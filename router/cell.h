/* What a struct ledger_op is allocated in, and lists of them.  It travels from a worker to the
 * ledger's thread and carries the answer back.
 * Nothing here allocates or locks: a list belongs to whoever holds it. */
#ifndef ROUTER_CELL_H
#define ROUTER_CELL_H

#include "router/ledger.h"

struct waiter;

struct cell {
    struct ledger_op op; /* first: the two are converted into each other */
    struct ledger_answer answer;
    struct waiter *waiter; /* not NULL: not an operation */
};

/* In order of arrival; zeroed it is empty. */
struct cells {
    struct cell *head, *tail;
    size_t n;
};

struct cell *cell_next(const struct cell *c); /* NULL after the last */
void cell_push(struct cells *l, struct cell *c);
struct cell *cell_pop(struct cells *l); /* the oldest; NULL = none */
/* Moves all of `from` behind `to`. */
void cell_splice(struct cells *to, struct cells *from);

#endif
