/* Reading into the void until the client is done, it is too much, or too long. */
#define _GNU_SOURCE
#include "server/linger.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/worker.h"

enum { READ_BYTES = 64 * 1024, READS_PER_TURN = 16 };

struct lingerer {
    uv_poll_t poll;
    struct lingerer *next, **prev;
    struct worker *worker;
    int fd;
    int64_t bytes, until_ms;
};

static void on_closed(uv_handle_t *h)
{
    struct lingerer *l = h->data;
    close(l->fd);
    free(l);
}

static void end(struct lingerer *l)
{
    *l->prev = l->next;
    if (l->next != NULL) {
        l->next->prev = l->prev;
    }
    l->worker->n_lingering--;
    uv_poll_stop(&l->poll);
    uv_close((uv_handle_t *)&l->poll, on_closed);
}

static void on_readable(uv_poll_t *h, int status, int events)
{
    (void)events;
    static _Thread_local char nowhere[READ_BYTES];
    struct lingerer *l = h->data;
    for (int i = 0; status >= 0 && i < READS_PER_TURN; i++) {
        ssize_t n = read(l->fd, nowhere, sizeof nowhere);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        l->bytes += n > 0 ? n : 0;
        if (n <= 0 || l->bytes > LINGER_BYTES_MAX) {
            status = -1;
        }
    }
    if (status < 0) {
        end(l);
    }
}

void linger_start(struct worker *w, int fd)
{
    struct lingerer *l = w->n_lingering < LINGERING_MAX ? calloc(1, sizeof *l) : NULL;
    if (l == NULL || uv_poll_init(&w->uv, &l->poll, fd) != 0) {
        free(l);
        close(fd);
        return;
    }
    l->poll.data = l;
    l->worker = w;
    l->fd = fd;
    l->until_ms = worker_tick_ms(w) + LINGER_MS;
    l->next = w->lingering;
    l->prev = &w->lingering;
    if (l->next != NULL) {
        l->next->prev = &l->next;
    }
    w->lingering = l;
    w->n_lingering++;
    uv_poll_start(&l->poll, UV_READABLE, on_readable);
}

void linger_sweep(struct worker *w, int64_t now_ms)
{
    struct lingerer *next = NULL;
    for (struct lingerer *l = w->lingering; l != NULL; l = next) {
        next = l->next;
        if (l->until_ms <= now_ms) {
            end(l);
        }
    }
}
