/* Closed, ejected, half-open: scripts, and random histories against a model that remembers
 * every event and reads the rules of router/breaker.h afresh each time. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/breaker.h"

Suite *breaker_suite(void);

enum { T0 = 1000000 };
static const uint64_t NO_JITTER = (uint64_t)BREAKER_EJECT_MS * BREAKER_JITTER_PERCENT / 100;

static struct breaker_view look(const struct breaker *b, int64_t now_ms)
{
    struct breaker_view v;
    breaker_look(b, now_ms, &v);
    return v;
}

/* An attempt that begins and ends at once. */
static enum breaker_change attempt(struct breaker *b, int64_t now_ms, enum breaker_result result)
{
    struct breaker_ticket t;
    breaker_begin(b, now_ms, &t);
    return breaker_end(b, now_ms, &t, result, NO_JITTER);
}

static enum breaker_change attempts(struct breaker *b, int64_t now_ms, enum breaker_result result,
                                    int times)
{
    enum breaker_change last = BREAKER_SAME;
    for (int i = 0; i < times; i++)
        last = attempt(b, now_ms, result);
    return last;
}

/* ---- closed -> ejected ---- */

/* o: well, f: failed, s: silent; * marks where the ejection comes, if it does. */
START_TEST(when_it_is_ejected)
{
    static const struct {
        const char *history;
        int step_ms;
        int ejected_at; /* 1 = at the first attempt; 0 = never */
    } ROWS[] = {
        {"fffff", 0, 5},
        {"ffff", 0, 0},
        {"ffffof", 0, 0},
        {"ffffsf", 0, 6},                       /* what says nothing does not end the row */
        {"fffff", 3600000, 5},                  /* nor does time */
        {"ofofofofofofofofofof", 0, 0},         /* half of 20 is not more than half */
        {"offofofofofofofofofof", 0, 21},       /* 11 of 21 is */
        {"offofofofofofofofoff", 0, 20},        /* 11 of 20 */
        {"ffofofofofofofofoff", 0, 0},          /* of 19: too few to tell */
        {"offofofofofofofofoff", 600, 0},       /* not within 10 s */
        {"ffsfsfsfsfsfsfs", 0, 8},              /* 5 in a row */
        {"ffffsosffffsosffffsosffffso", 0, 22}, /* 13 of 22 */
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct breaker b = {0};
        int64_t now = T0;
        int at = 0;
        for (int k = 0; ROWS[i].history[k] != '\0' && at == 0; k++, now += ROWS[i].step_ms) {
            char c = ROWS[i].history[k];
            enum breaker_change change = attempt(&b, now,
                                                 c == 'o'   ? BREAKER_OK
                                                 : c == 'f' ? BREAKER_FAILED
                                                            : BREAKER_SILENT);
            at = change == BREAKER_NOW_EJECTED ? k + 1 : 0;
        }
        ck_assert_msg(at == ROWS[i].ejected_at, "row %zu (%s): ejected at %d", i, ROWS[i].history,
                      at);
        ck_assert_int_eq(look(&b, now - ROWS[i].step_ms).state,
                         at > 0 ? BREAKER_EJECTED : BREAKER_CLOSED);
    }
}
END_TEST

START_TEST(how_long)
{
    struct breaker b = {0};
    int64_t now = T0;
    attempts(&b, now, BREAKER_FAILED, 5);
    for (int n = 1; n <= 12; n++) {
        int64_t least = n < 10 ? 30000 * n : 300000, spread = least / 5;
        struct breaker_view v = look(&b, now);
        ck_assert_int_eq(v.state, BREAKER_EJECTED);
        ck_assert_int_eq(v.ejections, n);
        ck_assert_int_eq(v.ejected_ms, T0);
        int64_t lasts = v.until_ms - now;
        ck_assert_msg(lasts >= least - spread && lasts <= least + spread, "n %d: %lld", n,
                      (long long)lasts);
        ck_assert_int_eq(look(&b, v.until_ms - 1).state, BREAKER_EJECTED);
        ck_assert_int_eq(look(&b, v.until_ms).state, BREAKER_HALF_OPEN);
        now = v.until_ms;
        struct breaker_ticket t;
        breaker_begin(&b, now, &t);
        ck_assert_int_eq(
            breaker_end(&b, now, &t, BREAKER_FAILED, (uint64_t)n * 0x9e3779b97f4a7c15u),
            BREAKER_NOW_EJECTED);
    }
}
END_TEST

/* The jitter covers its range and nothing else. */
START_TEST(jitter)
{
    int64_t least = INT64_MAX, most = 0;
    for (uint64_t draw = 0; draw < 12001; draw++) {
        struct breaker b = {0};
        attempts(&b, T0, BREAKER_FAILED, 4);
        struct breaker_ticket t;
        breaker_begin(&b, T0, &t);
        breaker_end(&b, T0, &t, BREAKER_FAILED, draw);
        int64_t lasts = look(&b, T0).until_ms - T0;
        least = lasts < least ? lasts : least;
        most = lasts > most ? lasts : most;
    }
    ck_assert_int_eq(least, 24000);
    ck_assert_int_eq(most, 36000);
}
END_TEST

/* ---- half-open ---- */

static int64_t ejected(struct breaker *b)
{
    memset(b, 0, sizeof(*b));
    attempts(b, T0, BREAKER_FAILED, 5);
    return look(b, T0).until_ms;
}

START_TEST(one_probe_at_a_time)
{
    struct breaker b;
    struct breaker_ticket first, second, third;
    int64_t now = ejected(&b);
    ck_assert(!look(&b, now).probe_running);
    breaker_begin(&b, now, &first);
    ck_assert(first.probe != 0 && look(&b, now).probe_running);
    breaker_begin(&b, now, &second);
    ck_assert_uint_eq(second.probe, 0);
    ck_assert_int_eq(breaker_end(&b, now + 100, &first, BREAKER_OK, 0), BREAKER_SAME);
    ck_assert(!look(&b, now + 100).probe_running);
    breaker_begin(&b, now + 100, &third);
    ck_assert(third.probe != 0);
    /* What says nothing gives the slot back too. */
    breaker_end(&b, now + 200, &third, BREAKER_SILENT, 0);
    ck_assert(!look(&b, now + 200).probe_running);
}
END_TEST

START_TEST(a_slot_does_not_leak)
{
    struct breaker b;
    struct breaker_ticket lost, next, late;
    int64_t now = ejected(&b);
    breaker_begin(&b, now, &lost);
    breaker_give_back(&b, &lost);
    ck_assert(!look(&b, now).probe_running);
    ck_assert_int_eq(b.successes, 0);
    breaker_begin(&b, now, &lost); /* and is never heard of again */
    ck_assert(look(&b, now + BREAKER_PROBE_MS - 1).probe_running);
    ck_assert(!look(&b, now + BREAKER_PROBE_MS).probe_running);
    breaker_begin(&b, now + BREAKER_PROBE_MS, &next);
    ck_assert(next.probe != 0 && next.probe != lost.probe);
    /* The lost one's end does not free the slot of the next, but it counts. */
    late = lost;
    breaker_end(&b, now + BREAKER_PROBE_MS + 1, &late, BREAKER_OK, 0);
    ck_assert(look(&b, now + BREAKER_PROBE_MS + 1).probe_running);
    ck_assert_int_eq(b.successes, 1);
}
END_TEST

START_TEST(three_successes_close)
{
    struct breaker b;
    int64_t now = ejected(&b);
    ck_assert_int_eq(attempt(&b, now, BREAKER_OK), BREAKER_SAME);
    ck_assert_int_eq(attempt(&b, now, BREAKER_SILENT), BREAKER_SAME);
    ck_assert_int_eq(attempt(&b, now, BREAKER_OK), BREAKER_SAME);
    ck_assert_int_eq(look(&b, now).state, BREAKER_HALF_OPEN);
    ck_assert_int_eq(attempt(&b, now, BREAKER_OK), BREAKER_NOW_CLOSED);
    ck_assert_int_eq(look(&b, now).state, BREAKER_CLOSED);
    /* The failures before are forgotten: five new ones are needed. */
    ck_assert_int_eq(attempts(&b, now, BREAKER_FAILED, 4), BREAKER_SAME);
    ck_assert_int_eq(attempt(&b, now, BREAKER_FAILED), BREAKER_NOW_EJECTED);
    ck_assert_int_eq(look(&b, now).ejections, 2);
}
END_TEST

START_TEST(a_failure_ejects_again)
{
    struct breaker b;
    int64_t now = ejected(&b);
    attempts(&b, now, BREAKER_OK, 2);
    ck_assert_int_eq(attempt(&b, now, BREAKER_FAILED), BREAKER_NOW_EJECTED);
    now = look(&b, now).until_ms;
    ck_assert_int_eq(attempts(&b, now, BREAKER_OK, 2), BREAKER_SAME); /* counted from the start */
    ck_assert_int_eq(attempt(&b, now, BREAKER_OK), BREAKER_NOW_CLOSED);
}
END_TEST

/* A long answer proves itself with its first content; its end may still prove the contrary. */
START_TEST(first_content_counts_once)
{
    struct breaker b;
    struct breaker_ticket t[3];
    int64_t now = ejected(&b);
    breaker_begin(&b, now, &t[0]);
    ck_assert_int_eq(breaker_answered(&b, now + 1, &t[0]), BREAKER_SAME);
    ck_assert(!look(&b, now + 1).probe_running);
    breaker_answered(&b, now + 1, &t[0]);
    breaker_end(&b, now + 2, &t[0], BREAKER_OK, 0);
    ck_assert_int_eq(b.successes, 1);
    breaker_begin(&b, now + 3, &t[1]);
    breaker_answered(&b, now + 4, &t[1]);
    ck_assert_int_eq(breaker_end(&b, now + 5, &t[1], BREAKER_FAILED, 0), BREAKER_NOW_EJECTED);
    now = look(&b, now + 5).until_ms;
    for (int i = 0; i < 3; i++)
        breaker_begin(&b, now, &t[i]);
    breaker_answered(&b, now, &t[0]);
    breaker_answered(&b, now, &t[1]);
    ck_assert_int_eq(breaker_answered(&b, now, &t[2]), BREAKER_NOW_CLOSED);
}
END_TEST

/* With nothing else left, or by provider_order, requests come to an ejected endpoint too. */
START_TEST(evidence_while_ejected)
{
    struct breaker b;
    ejected(&b);
    int64_t until = look(&b, T0 + 1).until_ms;
    attempts(&b, T0 + 1, BREAKER_FAILED, 50);
    ck_assert_int_eq(look(&b, T0 + 1).until_ms, until);
    ck_assert_int_eq(attempts(&b, T0 + 2, BREAKER_OK, 2), BREAKER_SAME);
    ck_assert_int_eq(attempt(&b, T0 + 2, BREAKER_FAILED), BREAKER_SAME);
    ck_assert_int_eq(attempts(&b, T0 + 2, BREAKER_OK, 2), BREAKER_SAME);
    ck_assert_int_eq(attempt(&b, T0 + 2, BREAKER_OK), BREAKER_NOW_CLOSED);
}
END_TEST

/* Attempts that began before the last change come too late to matter. */
START_TEST(stale_ends)
{
    struct breaker b = {0};
    struct breaker_ticket early[12];
    for (int i = 0; i < 12; i++)
        breaker_begin(&b, T0, &early[i]);
    for (int i = 0; i < 5; i++)
        breaker_end(&b, T0, &early[i], BREAKER_FAILED, NO_JITTER);
    int64_t now = look(&b, T0).until_ms;
    ck_assert_int_eq(breaker_end(&b, now, &early[5], BREAKER_FAILED, 0), BREAKER_SAME);
    for (int i = 6; i < 9; i++)
        ck_assert_int_eq(breaker_end(&b, now, &early[i], BREAKER_OK, 0), BREAKER_SAME);
    ck_assert_int_eq(look(&b, now).state, BREAKER_HALF_OPEN);
    attempts(&b, now, BREAKER_OK, 3);
    for (int i = 9; i < 12; i++)
        breaker_end(&b, now, &early[i], BREAKER_FAILED, 0);
    ck_assert_int_eq(b.row, 0);
    /* Nor does one that began while ejected eject again once it is half-open. */
    now = ejected(&b);
    breaker_begin(&b, now - 1, &early[0]);
    ck_assert_int_eq(breaker_end(&b, now, &early[0], BREAKER_FAILED, 0), BREAKER_SAME);
    ck_assert_int_eq(look(&b, now).state, BREAKER_HALF_OPEN);
}
END_TEST

START_TEST(a_good_while_is_forgotten)
{
    for (int forgotten = 0; forgotten < 2; forgotten++) {
        struct breaker b;
        int64_t now = ejected(&b);
        attempts(&b, now, BREAKER_OK, 3);
        now += BREAKER_FORGET_MS - 1 + forgotten;
        attempts(&b, now, BREAKER_FAILED, 5);
        ck_assert_int_eq(look(&b, now).ejections, forgotten ? 1 : 2);
    }
}
END_TEST

/* Times that a clock which stepped back has put into the far future are no times. */
START_TEST(clock_that_steps_back)
{
    struct breaker b;
    struct breaker_ticket t;
    int64_t now = ejected(&b);
    ck_assert_int_eq(look(&b, now - 7200000).state, BREAKER_HALF_OPEN);
    breaker_begin(&b, now, &t);
    ck_assert(look(&b, now).probe_running);
    ck_assert(!look(&b, now - 7200000).probe_running);
    attempts(&b, now - 7200000, BREAKER_OK, 3);
    ck_assert_int_eq(look(&b, now - 7200000).state, BREAKER_CLOSED);
}
END_TEST

/* ---- the property ---- */

/* The model keeps the attempts themselves and counts over them. */
enum { MODEL_MAX = 4000, RUNNING_MAX = 8 };

struct model_attempt {
    int64_t ended_ms;
    int begun; /* how many of this list had ended when it began */
    enum breaker_result result;
};

struct model {
    struct model_attempt ended[MODEL_MAX]; /* since the last closing, while closed */
    int n_ended;
    bool out;
    int64_t until_ms, closed_ms, origin_ms;
    int n, successes;
    int change; /* counts ejections and closings */
    int slot;   /* index + 1 of the running attempt that holds the probe's slot */
    int64_t slot_ms;
};

struct running {
    bool used, half_open, counted;
    int change, begun;
    struct breaker_ticket ticket;
};

static bool model_half_open(const struct model *m, int64_t now)
{
    return m->out && now >= m->until_ms;
}

static int64_t second_of(const struct model *m, int64_t ms)
{
    return (ms - m->origin_ms) / 1000;
}

/* Seconds are counted from the first attempt after a rest of ten of them. */
static void model_add(struct model *m, int64_t now, int begun, enum breaker_result result)
{
    ck_assert_int_lt(m->n_ended, MODEL_MAX);
    if (m->n_ended == 0 ||
        second_of(m, now) - second_of(m, m->ended[m->n_ended - 1].ended_ms) >= 10)
        m->origin_ms = now;
    m->ended[m->n_ended++] = (struct model_attempt){now, begun, result};
}

static bool model_wants_out(const struct model *m, int64_t now)
{
    int row = 0, row_began = 0, all = 0, bad = 0;
    for (int i = 0; i < m->n_ended; i++) {
        const struct model_attempt *a = &m->ended[i];
        if (a->result == BREAKER_FAILED && row++ == 0)
            row_began = i;
        if (a->result == BREAKER_OK && a->begun > row_began)
            row = 0;
        if (a->ended_ms >= m->origin_ms && second_of(m, a->ended_ms) > second_of(m, now) - 10) {
            all++;
            bad += a->result == BREAKER_FAILED;
        }
    }
    return row >= 5 || (all >= 20 && bad * 2 > all);
}

static enum breaker_change model_close_or_stay(struct model *m, int64_t now)
{
    if (!m->out || ++m->successes < 3)
        return BREAKER_SAME;
    m->out = false;
    m->closed_ms = now;
    m->n_ended = m->slot = 0;
    m->change++;
    return BREAKER_NOW_CLOSED;
}

static enum breaker_change model_eject(struct model *m, int64_t now, uint64_t draw)
{
    m->n = m->n == 0 || (!m->out && now - m->closed_ms >= 300000) ? 1 : m->n + 1;
    int64_t lasts = m->n >= 10 ? 300000 : 30000 * m->n;
    m->until_ms = now + lasts * 4 / 5 + (int64_t)(draw % (uint64_t)(lasts * 2 / 5 + 1));
    m->out = true;
    m->successes = m->slot = 0;
    m->change++;
    return BREAKER_NOW_EJECTED;
}

static enum breaker_change model_end(struct model *m, struct running *r, int index, int64_t now,
                                     enum breaker_result result, uint64_t draw)
{
    if (m->slot == index + 1)
        m->slot = 0;
    if (r->change != m->change)
        return BREAKER_SAME;
    if (!m->out) {
        model_add(m, now, r->begun, result);
        if (result == BREAKER_FAILED && model_wants_out(m, now))
            return model_eject(m, now, draw);
        return BREAKER_SAME;
    }
    if (result == BREAKER_FAILED) {
        m->successes = 0;
        return r->half_open ? model_eject(m, now, draw) : BREAKER_SAME;
    }
    return result == BREAKER_OK && !r->counted ? model_close_or_stay(m, now) : BREAKER_SAME;
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

struct history {
    struct breaker b;
    struct model m;
    struct running running[RUNNING_MAX];
    int64_t now;
    uint64_t rng;
    int n_changes;
};

static void play_begin(struct history *h, int i)
{
    struct running *r = &h->running[i];
    *r = (struct running){.used = true,
                          .half_open = model_half_open(&h->m, h->now),
                          .change = h->m.change,
                          .begun = h->m.n_ended};
    breaker_begin(&h->b, h->now, &r->ticket);
    bool free_slot = h->m.slot == 0 || h->now - h->m.slot_ms >= 60000;
    bool probe = r->half_open && free_slot;
    if (probe) {
        h->m.slot = i + 1;
        h->m.slot_ms = h->now;
    }
    if ((r->ticket.probe != 0) != probe)
        ck_abort_msg("probe %u, expected %d", r->ticket.probe, probe);
}

/* An answered attempt counts early where it counts at all (half-open or ejected). */
static void play_answered(struct history *h, int i)
{
    struct running *r = &h->running[i];
    enum breaker_change want = BREAKER_SAME;
    if (!h->m.out)
        return; /* the server does not tell then */
    if (h->m.slot == i + 1)
        h->m.slot = 0;
    if (!r->counted && r->change == h->m.change) {
        r->counted = true;
        want = model_close_or_stay(&h->m, h->now);
    }
    if (breaker_answered(&h->b, h->now, &r->ticket) != want)
        ck_abort_msg("answered: expected %d", want);
    h->n_changes += want != BREAKER_SAME;
}

static void play_end(struct history *h, int i, unsigned percent_bad)
{
    struct running *r = &h->running[i];
    uint64_t die = next_random(&h->rng) % 100, draw = next_random(&h->rng);
    enum breaker_result result = die < percent_bad ? BREAKER_FAILED
                                 : die % 10 == 9   ? BREAKER_SILENT
                                                   : BREAKER_OK;
    enum breaker_change got = breaker_end(&h->b, h->now, &r->ticket, result, draw);
    enum breaker_change want = model_end(&h->m, r, i, h->now, result, draw);
    if (got != want)
        ck_abort_msg("end: %d, expected %d", got, want);
    h->n_changes += got != BREAKER_SAME;
    r->used = false;
}

static void play_step(struct history *h, unsigned percent_bad)
{
    uint64_t die = next_random(&h->rng) % 16;
    int i = (int)(next_random(&h->rng) % RUNNING_MAX);
    struct running *r = &h->running[i];
    if (!r->used) {
        play_begin(h, i);
    } else if (die == 0) {
        breaker_give_back(&h->b, &r->ticket);
        if (h->m.slot == i + 1)
            h->m.slot = 0;
        r->used = false;
    } else if (die < 4) {
        play_answered(h, i);
    } else {
        play_end(h, i, percent_bad);
    }
}

static void compare(const struct history *h)
{
    struct breaker_view v = look(&h->b, h->now);
    bool half = model_half_open(&h->m, h->now);
    enum breaker_state state = !h->m.out ? BREAKER_CLOSED
                               : half    ? BREAKER_HALF_OPEN
                                         : BREAKER_EJECTED;
    bool probing = half && h->m.slot != 0 && h->now - h->m.slot_ms < 60000;
    if (v.state != state || v.probe_running != probing ||
        (h->m.out && (v.until_ms != h->m.until_ms || v.ejections != h->m.n)))
        ck_abort_msg("at %lld: state %d probe %d until %lld n %d, expected %d %d %lld %d",
                     (long long)h->now, v.state, v.probe_running, (long long)v.until_ms,
                     v.ejections, state, probing, (long long)h->m.until_ms, h->m.n);
}

START_TEST(random_histories)
{
    static struct history h;
    int n_changes = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        memset(&h, 0, sizeof(h));
        h.now = T0;
        h.rng = seed;
        unsigned bad = (unsigned)(seed % 5) * 20 + 5;
        for (int step = 0; step < 3000; step++) {
            play_step(&h, step / 500 % 2 == 0 ? bad : 100 - bad);
            compare(&h);
            h.now += (int64_t)(next_random(&h.rng) % 400);
            if (next_random(&h.rng) % 50 == 0)
                h.now += 12000;
        }
        n_changes += h.n_changes;
    }
    ck_assert_int_gt(n_changes, 5000); /* the histories have something to say */
}
END_TEST

Suite *breaker_suite(void)
{
    Suite *s = suite_create("breaker");
    TCase *t = tcase_create("breaker");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, when_it_is_ejected);
    tcase_add_test(t, how_long);
    tcase_add_test(t, jitter);
    tcase_add_test(t, one_probe_at_a_time);
    tcase_add_test(t, a_slot_does_not_leak);
    tcase_add_test(t, three_successes_close);
    tcase_add_test(t, a_failure_ejects_again);
    tcase_add_test(t, first_content_counts_once);
    tcase_add_test(t, evidence_while_ejected);
    tcase_add_test(t, stale_ends);
    tcase_add_test(t, a_good_while_is_forgotten);
    tcase_add_test(t, clock_that_steps_back);
    tcase_add_test(t, random_histories);
    suite_add_tcase(s, t);
    return s;
}
