/* Requests that begin, run side by side and end, some of them twice. */
#include "tests/fault/script.h"

#include <string.h>

#include "tests/fault/vfs.h"
#include "tests/unit/ledger_world.h"

enum { BATCH_MAX = 9, AGAIN_OF_256 = 12 };

/* Tight enough that some of the holds are refused. */
const struct script_cap script_caps[SCRIPT_CAPS] = {{"team", "month", 1, CENTS(900)},
                                                    {"team", "day", 2, CENTS(400)},
                                                    {"key", "total", 1, CENTS(600)},
                                                    {"key", "day", 1, CENTS(500)},
                                                    {"key", "week", 3, CENTS(350)}};

struct maker {
    struct script *s;
    uint64_t random;
    int n_events;
    int running[SCRIPT_EVENTS], n_running; /* attempts */
};

static int64_t below(struct maker *m, int64_t n)
{
    return (int64_t)(fault_random(&m->random) % (uint64_t)n);
}

static void add(struct maker *m, enum ledger_op_kind kind, int attempt, int64_t amount)
{
    m->s->events[m->n_events++] = (struct script_event){
        .kind = kind,
        .request = m->s->attempts[attempt].request,
        .attempt = attempt,
        .amount = amount,
    };
}

static void hold(struct maker *m, int request, int k, int64_t key_id)
{
    struct script *s = m->s;
    int64_t amount = CENTS(1) + below(m, CENTS(60));
    s->attempts[s->n_attempts] =
        (struct script_attempt){request, k, key_id, amount, below(m, 3) != 0};
    m->running[m->n_running++] = s->n_attempts;
    add(m, LEDGER_HOLD, s->n_attempts++, amount);
}

/* Mostly below the hold, sometimes dearer than it, seldom in whole nano-dollars. */
static int64_t cost_pusd(struct maker *m, int64_t hold_nusd)
{
    int64_t part = below(m, 8) == 0 ? hold_nusd + below(m, hold_nusd) : below(m, hold_nusd);
    return part * 1000 + below(m, 1000);
}

static void end(struct maker *m, int i, enum ledger_op_kind kind)
{
    int attempt = m->running[i];
    m->running[i] = m->running[--m->n_running];
    add(m, kind, attempt,
        kind == LEDGER_SETTLE ? cost_pusd(m, m->s->attempts[attempt].hold_nusd) : 0);
    const struct script_attempt a = m->s->attempts[attempt];
    if (kind == LEDGER_VOID && a.k < 3 && below(m, 2) == 0)
        hold(m, a.request, a.k + 1, a.key_id); /* the next provider */
    else if (m->n_events < SCRIPT_EVENTS - 1 && below(m, 8) != 0)
        add(m, LEDGER_END, attempt, 0);
}

static void next(struct maker *m)
{
    if (m->n_running == 0 || (m->n_running < 12 && below(m, 3) == 0)) {
        hold(m, m->s->n_requests++, 1, 1 + below(m, 3));
        return;
    }
    int i = (int)below(m, m->n_running), attempt = m->running[i];
    int64_t hold_nusd = m->s->attempts[attempt].hold_nusd;
    switch (below(m, 8)) {
    case 0:
    case 1:
        add(m, LEDGER_STREAMING, attempt, cost_pusd(m, hold_nusd));
        break;
    case 2:
        add(m, LEDGER_EXTEND, attempt, CENTS(1) + below(m, CENTS(30)));
        break;
    case 3:
        end(m, i, LEDGER_VOID);
        break;
    default:
        end(m, i, LEDGER_SETTLE);
    }
}

/* Something that was said before is said again. */
static void again(struct maker *m)
{
    m->s->events[m->n_events] = m->s->events[below(m, m->n_events)];
    m->n_events++;
}

static void cut_into_batches(struct maker *m)
{
    struct script *s = m->s;
    int n = 0;
    for (int at = 0; at < SCRIPT_EVENTS; n++) {
        s->begin[n] = at;
        s->checkpoint[n] =
            below(m, 6) == 0 ? (enum script_checkpoint)(1 + below(m, 3)) : SCRIPT_NO_CHECKPOINT;
        at += 1 + (int)below(m, BATCH_MAX);
    }
    s->begin[n] = SCRIPT_EVENTS;
    s->n_batches = n;
}

void script_make(struct script *ret, uint64_t seed)
{
    struct maker m = {.s = ret, .random = seed};
    memset(ret, 0, sizeof(*ret));
    while (m.n_events < SCRIPT_EVENTS - 1) {
        if (m.n_events > 0 && below(&m, 256) < AGAIN_OF_256)
            again(&m);
        else
            next(&m);
    }
    while (m.n_events < SCRIPT_EVENTS)
        again(&m);
    cut_into_batches(&m);
}

struct id script_attempt_id(const struct script *s, int attempt)
{
    return world_attempt(s->attempts[attempt].request, s->attempts[attempt].k);
}

void script_op(const struct script *s, const struct script_event *e, struct ledger_op *ret)
{
    const struct script_attempt *a = &s->attempts[e->attempt];
    memset(ret, 0, sizeof(*ret));
    switch (e->kind) {
    case LEDGER_HOLD:
        world_hold(ret, a->request, a->k, a->key_id, e->amount);
        ret->u.hold.cancel_stops_billing = a->stops;
        break;
    case LEDGER_EXTEND:
        ret->kind = LEDGER_EXTEND;
        ret->request_id = world_request(a->request);
        ret->attempt_id = script_attempt_id(s, e->attempt);
        ret->u.extend = (struct ledger_extend){WORLD_NOW_MS + a->request, e->amount};
        break;
    case LEDGER_STREAMING:
    case LEDGER_SETTLE:
    case LEDGER_VOID:
        world_settle(ret, e->kind, a->request, a->k, e->amount);
        break;
    case LEDGER_END:
        world_end(ret, a->request, "ok");
        break;
    }
}
