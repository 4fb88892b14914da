/* Lists through ledger_op.next. */
#include "router/cell.h"

struct cell *cell_next(const struct cell *c)
{
    return (struct cell *)(void *)c->op.next;
}

void cell_push(struct cells *l, struct cell *c)
{
    c->op.next = NULL;
    if (l->tail != NULL)
        l->tail->op.next = &c->op;
    else
        l->head = c;
    l->tail = c;
    l->n++;
}

struct cell *cell_pop(struct cells *l)
{
    struct cell *c = l->head;
    if (c == NULL)
        return NULL;
    l->head = cell_next(c);
    if (l->head == NULL)
        l->tail = NULL;
    l->n--;
    return c;
}

void cell_splice(struct cells *to, struct cells *from)
{
    if (from->head == NULL)
        return;
    if (to->tail != NULL)
        to->tail->op.next = &from->head->op;
    else
        to->head = from->head;
    to->tail = from->tail;
    to->n += from->n;
    *from = (struct cells){0};
}
