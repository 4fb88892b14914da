/* Two lists of waiting connections, swept from their heads. */
#define _GNU_SOURCE
#include "server/conn.h"

#include <stdlib.h>
#include <sys/socket.h>

static void take_out(struct conn *c)
{
    struct conn_list *l = c->list;
    if (l == NULL) {
        return;
    }
    if (c->prev != NULL) {
        c->prev->next = c->next;
    } else {
        l->head = c->next;
    }
    if (c->next != NULL) {
        c->next->prev = c->prev;
    } else {
        l->tail = c->prev;
    }
    c->next = c->prev = NULL;
    c->list = NULL;
}

bool conns_none(const struct conns *all)
{
    return all->fresh.head == NULL && all->kept.head == NULL;
}

static void append(struct conn_list *l, struct conn *c, int64_t deadline_ms)
{
    take_out(c);
    c->deadline_ms = deadline_ms;
    c->list = l;
    c->prev = l->tail;
    if (l->tail != NULL) {
        l->tail->next = c;
    } else {
        l->head = c;
    }
    l->tail = c;
}

struct conn *conn_open(struct conns *all, int fd, int64_t now_ms)
{
    struct conn *c = calloc(1, sizeof *c);
    if (c != NULL) {
        c->fd = fd;
        append(&all->fresh, c, now_ms + CONN_HEADERS_MS);
    }
    return c;
}

void conn_close(struct conn *c)
{
    if (c != NULL) {
        take_out(c);
        free(c);
    }
}

void conn_begins(struct conns *all, struct conn *c, int64_t now_ms)
{
    if (c != NULL && c->list == &all->kept) {
        append(&all->fresh, c, now_ms + CONN_HEADERS_MS);
    }
}

void conn_served(struct conn *c)
{
    if (c != NULL) {
        take_out(c);
    }
}

void conn_waits(struct conns *all, struct conn *c, int64_t now_ms)
{
    if (c != NULL) {
        append(&all->kept, c, now_ms + all->silence_ms + CONN_NEXT_MS);
    }
}

static int sweep(struct conn_list *l, int64_t now_ms)
{
    struct conn *c = NULL;
    int n = 0;
    while ((c = l->head) != NULL && c->deadline_ms <= now_ms) {
        take_out(c);
        shutdown(c->fd, SHUT_RDWR); /* the library reads the end and closes */
        n++;
    }
    return n;
}

int conns_sweep(struct conns *all, int64_t now_ms)
{
    return sweep(&all->fresh, now_ms) + sweep(&all->kept, now_ms);
}
