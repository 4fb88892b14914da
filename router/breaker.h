/* Whether an endpoint that keeps failing is left alone.  Pure: time and draws are arguments.
 *
 *   closed --5 failures in a row, or over half of at least 20 attempts of 10 s--> ejected
 *   ejected --30 s x n, at most 300 s, +-20 per cent--> half-open
 *   half-open --an attempt that began there fails--> ejected, n + 1
 *   half-open or ejected --3 attempts that began after the ejection succeed--> closed
 *
 * (Both rules of the first line are looked at when an attempt has failed.)
 *
 * n counts ejections in a row: it begins at 1 again when the endpoint was closed for
 * BREAKER_FORGET_MS.  While half-open one request at a time is its probe: real traffic, which
 * holds a slot from breaker_begin until its end, until it is given back, or for
 * BREAKER_PROBE_MS, whichever comes first.
 *
 * An attempt that began before the last ejection or closing says nothing about now: its end
 * only frees its slot.  Likewise a row of failures is ended by the success of an attempt that began
 * after its first: long answers that were under way when the endpoint broke do not hide it.
 * Numbers: those of Envoy's outlier detection (docs/api.md "Health"). */
#ifndef ROUTER_BREAKER_H
#define ROUTER_BREAKER_H

#include <stdbool.h>

#include "router/recent.h"

enum {
    BREAKER_ROW = 5, /* failures in a row */
    BREAKER_PERCENT = 50,
    BREAKER_ATTEMPTS = 20,
    BREAKER_SLOT_MS = 1000, /* ten of them are the window of the share */
    BREAKER_EJECT_MS = 30000,
    BREAKER_EJECT_MAX_MS = 300000,
    BREAKER_JITTER_PERCENT = 20,
    BREAKER_FORGET_MS = 300000,
    BREAKER_SUCCESSES = 3,
    BREAKER_PROBE_MS = 60000 /* the default time to a first byte */
};

enum breaker_state { BREAKER_CLOSED, BREAKER_EJECTED, BREAKER_HALF_OPEN };

enum breaker_result {
    BREAKER_OK,     /* it answered as it should */
    BREAKER_FAILED, /* connect, timeout, 5xx, 529, truncated stream */
    BREAKER_SILENT  /* says neither: 429, the client left before an answer */
};

enum breaker_change { BREAKER_SAME, BREAKER_NOW_EJECTED, BREAKER_NOW_CLOSED };

struct breaker {
    struct recent ends; /* all: attempts, bad: failures; while closed */
    int row;            /* failures in a row */
    uint32_t n_rows;    /* that have begun */
    bool open;          /* ejected or half-open: until_ms tells which */
    int ejections;      /* n */
    int successes;
    int64_t until_ms, ejected_ms, closed_ms;
    uint32_t epoch; /* changes with every ejection and closing */
    uint32_t probe; /* the request that holds the slot; 0 = free */
    uint32_t last_probe;
    int64_t probe_until_ms;
};

/* What an attempt carries from its begin to its end. Zeroed = began while closed. */
struct breaker_ticket {
    uint32_t epoch, n_rows; /* as they were at its begin */
    uint32_t probe;         /* 0 = it holds no slot */
    bool half_open;         /* it began there */
    bool counted;           /* its success has been counted */
};

struct breaker_view {
    enum breaker_state state;
    bool probe_running; /* half-open, and the slot is taken */
    int ejections;      /* n of the ejection under way; 0 when closed */
    int64_t until_ms;   /* its end, wall clock */
    int64_t ejected_ms;
};
/* Others come first: it may not be tried yet, or its probe is running. */
static inline bool breaker_is_out(const struct breaker_view *v)
{
    return v->state == BREAKER_EJECTED || v->probe_running;
}

void breaker_look(const struct breaker *b, int64_t now_ms, struct breaker_view *ret);
/* An attempt begins; takes the probe's slot when half-open and the slot is free. */
void breaker_begin(struct breaker *b, int64_t now_ms, struct breaker_ticket *ret);
/* A stream's first content came: counts as its success, and the slot is free.  Its end is
 * told by breaker_end all the same. */
enum breaker_change breaker_answered(struct breaker *b, int64_t now_ms, struct breaker_ticket *t);
/* It is over. draw: 64 random bits, for the jitter. */
enum breaker_change breaker_end(struct breaker *b, int64_t now_ms, struct breaker_ticket *t,
                                enum breaker_result result, uint64_t draw);
/* It is not made after all: nothing is counted. */
void breaker_give_back(struct breaker *b, struct breaker_ticket *t);

#endif
