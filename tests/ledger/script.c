#define _GNU_SOURCE
/* The generator: xoshiro256** (Blackman and Vigna), seeded by splitmix64. */
#include "tests/ledger/script.h"

#include <string.h>

#include "tests/ledger/calendar.h"

enum { RECENT = 64, OPEN_MAX = 600 };
#define MINUTE_MS INT64_C(60000)
#define DAY_MS (1440 * MINUTE_MS)

struct random {
    uint64_t s[4];
};

struct maker {
    struct script *script;
    struct random r;
    int weight[SCRIPT_KINDS], weights;
    int per_mille_repeat, per_mille_jump, per_mille_edge, per_mille_refused, per_mille_odd;
    int64_t step_ms, jump_ms, clock_ms;
    int64_t unit_nusd;
    int cap_units;
    bool flood; /* huge holds without caps that do not end: the limit of their sum */
    int open[OPEN_MAX], n_open, open_max;
    int64_t held_nusd[SCRIPT_ATTEMPTS_MAX];
    int recent[RECENT], n_recent;
};

/* ---- chance ---- */

static uint64_t rotl(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

static uint64_t draw(struct random *r)
{
    uint64_t out = rotl(r->s[1] * 5, 7) * 9, t = r->s[1] << 17;
    r->s[2] ^= r->s[0];
    r->s[3] ^= r->s[1];
    r->s[1] ^= r->s[2];
    r->s[0] ^= r->s[3];
    r->s[2] ^= t;
    r->s[3] = rotl(r->s[3], 45);
    return out;
}

static void seed_random(struct random *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        seed += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t z = seed;
        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        r->s[i] = z ^ z >> 31;
    }
}

/* 0 to n - 1; n up to 2^32. */
static int64_t below(struct maker *m, int64_t n)
{
    return (int64_t)(((draw(&m->r) >> 32) * (uint64_t)n) >> 32);
}

static int pick(struct maker *m, int n)
{
    return (int)below(m, n);
}

static bool chance(struct maker *m, int per_mille)
{
    return pick(m, 1000) < per_mille;
}

/* ---- this seed's part of the possible ---- */

/* Where clocks change, leap day, turn of the year, an ordinary week. */
static const int64_t starts_ms[] = {
    INT64_C(1772800000000), INT64_C(1774600000000), INT64_C(1792800000000), INT64_C(1793450000000),
    INT64_C(1775250000000), INT64_C(1830000000000), INT64_C(1835200000000), INT64_C(1795588475000)};

static const int64_t units_nusd[] = {1, 1, 1000, 10000000, 1000000000, LEDGER_AMOUNT_MAX_NUSD / 3};

static void make_owners(struct maker *m)
{
    struct script *s = m->script;
    s->n_teams = 1 + pick(m, SCRIPT_TEAMS_MAX);
    s->n_keys = 1 + pick(m, SCRIPT_KEYS_MAX);
    for (int i = 0; i < s->n_teams; i++)
        s->zone_of[i] = pick(m, CALENDAR_ZONES);
    for (int i = 0; i < s->n_keys; i++)
        s->team_of[i] = pick(m, s->n_teams);
}

static void choose(struct maker *m)
{
    static const int usual[SCRIPT_KINDS] = {30, 8, 8, 24, 6, 2, 6, 1, 1};
    for (int k = 0; k < SCRIPT_KINDS; k++) {
        bool on = k == SCRIPT_HOLD || pick(m, 4) != 0;
        m->weight[k] = on ? usual[k] * (1 + pick(m, 3)) : 0;
        m->weights += m->weight[k];
    }
    static const int jumps_ms_exp[] = {1, 60, 600, 1440, 4320, 20000};
    m->per_mille_repeat = pick(m, 2) ? pick(m, 300) : 0;
    m->per_mille_jump = pick(m, 3) ? pick(m, 20) : 0;
    m->per_mille_edge = pick(m, 3) == 0 ? pick(m, 20) : 0;
    m->per_mille_refused = pick(m, 3) == 0 ? pick(m, 100) : 0;
    m->per_mille_odd = pick(m, 50);
    m->jump_ms = jumps_ms_exp[pick(m, 6)] * MINUTE_MS;
    m->step_ms = pick(m, 3) == 0 ? 1 + below(m, 10 * MINUTE_MS) : 1 + below(m, 2000);
    m->unit_nusd = units_nusd[pick(m, 6)];
    m->cap_units = 1 + (pick(m, 2) ? pick(m, 40) : pick(m, 400));
    m->open_max = 1 + (pick(m, 4) ? pick(m, 40) : pick(m, OPEN_MAX));
}

static void choose_flood(struct maker *m)
{
    m->flood = m->unit_nusd == LEDGER_AMOUNT_MAX_NUSD / 3 && pick(m, 2) == 0;
    if (!m->flood)
        return;
    static const int usual[SCRIPT_KINDS] = {
        [SCRIPT_HOLD] = 20, [SCRIPT_EXTEND] = 5, [SCRIPT_VOID] = 1, [SCRIPT_COMMIT] = 2};
    m->weights = 0;
    for (int k = 0; k < SCRIPT_KINDS; k++) {
        m->weight[k] = usual[k];
        m->weights += usual[k];
    }
    m->open_max = OPEN_MAX;
}

/* The core's table of attempts has to cope with ids that all fall into one place. */
static void make_ids(struct maker *m)
{
    int spread = pick(m, 4);
    uint64_t base = draw(&m->r);
    for (int i = 0; i < SCRIPT_ATTEMPTS_MAX; i++) {
        uint64_t a = (uint64_t)i, b = base;
        if (spread == 0)
            b = base ^ a;
        else if (spread == 1)
            b = base ^ a ^ a % 7;
        memcpy(m->script->ids[i].b, &a, 8);
        memcpy(m->script->ids[i].b + 8, &b, 8);
    }
}

/* ---- events ---- */

/* To where a window of some team ends, or beside. */
static void go_to_edge(struct maker *m)
{
    int zone = m->script->zone_of[pick(m, m->script->n_teams)];
    struct window w = calendar_window(zone, pick(m, 3) ? WINDOW_DAY : WINDOW_WEEK, m->clock_ms);
    m->clock_ms = w.end_ms - 1 + below(m, 3);
}

static void tick(struct maker *m)
{
    m->clock_ms += below(m, m->step_ms);
    if (chance(m, m->per_mille_edge))
        go_to_edge(m);
    if (chance(m, m->per_mille_jump))
        m->clock_ms += below(m, 3 * m->jump_ms) - m->jump_ms;
    if (m->clock_ms < CALENDAR_FIRST_MS)
        m->clock_ms = CALENDAR_FIRST_MS;
    if (m->clock_ms > CALENDAR_LAST_MS)
        m->clock_ms = CALENDAR_LAST_MS;
}

static int64_t some_amount(struct maker *m)
{
    int64_t a = m->flood ? LEDGER_AMOUNT_MAX_NUSD / (1 + below(m, 2)) : below(m, 9) * m->unit_nusd;
    if (!chance(m, m->per_mille_odd))
        return a;
    static const int64_t odd[] = {-1, 0, LEDGER_AMOUNT_MAX_NUSD, LEDGER_AMOUNT_MAX_NUSD + 1,
                                  INT64_MAX};
    int i = pick(m, 8);
    return i < 5 ? odd[i] : a + 1;
}

static int64_t some_charge(struct maker *m, int64_t hold)
{
    switch (pick(m, 9)) {
    case 0:
        return 0;
    case 1:
    case 2:
        return hold / 2;
    case 3:
        return hold > 0 ? hold - 1 : 0;
    case 4:
        return hold < LEDGER_AMOUNT_MAX_NUSD ? hold + 1 : hold;
    case 5:
        return hold < LEDGER_AMOUNT_MAX_NUSD / 3 ? hold * 3 : hold;
    case 6:
        return chance(m, m->per_mille_odd) ? LEDGER_SUM_MAX_NUSD - below(m, 3) : hold;
    default:
        return hold;
    }
}

static void fill_hold(struct maker *m, struct script_event *e)
{
    struct script *s = m->script;
    e->attempt = s->n_attempts++;
    e->owner = pick(m, s->n_keys);
    e->amount_nusd = some_amount(m);
    m->held_nusd[e->attempt] = e->amount_nusd > 0 ? e->amount_nusd : 0;
    m->open[m->n_open++] = e->attempt;
}

/* Mostly one that was held and not ended. */
static int some_attempt(struct maker *m, bool ends)
{
    if (pick(m, 16) == 0)
        return pick(m, m->script->n_attempts + 1) % SCRIPT_ATTEMPTS_MAX;
    int i = pick(m, m->n_open), attempt = m->open[i];
    if (ends)
        m->open[i] = m->open[--m->n_open];
    return attempt;
}

static void fill_cap(struct maker *m, struct script_event *e)
{
    e->scope = pick(m, 2) ? LEDGER_SCOPE_KEY : LEDGER_SCOPE_TEAM;
    e->owner = pick(m, e->scope == LEDGER_SCOPE_KEY ? m->script->n_keys : m->script->n_teams);
    e->window = (enum window_kind)pick(m, WINDOW_KINDS);
    int64_t units = below(m, m->cap_units + 1);
    e->amount_nusd =
        units > LEDGER_SUM_MAX_NUSD / m->unit_nusd ? LEDGER_SUM_MAX_NUSD : units * m->unit_nusd;
    if (pick(m, 4) == 0)
        e->amount_nusd = LEDGER_CAP_NONE;
}

static enum script_kind some_kind(struct maker *m)
{
    int at = pick(m, m->weights), k = 0;
    while (at >= m->weight[k])
        at -= m->weight[k++];
    if (k == SCRIPT_HOLD && m->n_open >= m->open_max)
        k = SCRIPT_SETTLE;
    bool needs_open = k >= SCRIPT_EXTEND && k <= SCRIPT_VOID;
    return needs_open && m->n_open == 0 ? SCRIPT_HOLD : (enum script_kind)k;
}

static void make_event(struct maker *m, struct script_event *e)
{
    tick(m);
    *e = (struct script_event){.kind = some_kind(m), .now_ms = m->clock_ms};
    switch (e->kind) {
    case SCRIPT_HOLD:
        fill_hold(m, e);
        break;
    case SCRIPT_EXTEND:
        e->attempt = some_attempt(m, false);
        e->amount_nusd = some_amount(m);
        break;
    case SCRIPT_STREAM:
        e->attempt = some_attempt(m, false);
        break;
    case SCRIPT_SETTLE:
        e->attempt = some_attempt(m, true);
        e->amount_nusd = some_charge(m, m->held_nusd[e->attempt]);
        break;
    case SCRIPT_VOID:
        e->attempt = some_attempt(m, true);
        break;
    case SCRIPT_CAP:
        fill_cap(m, e);
        break;
    case SCRIPT_COMMIT:
    case SCRIPT_LOSE:
    case SCRIPT_CRASH:
    case SCRIPT_KINDS:
        break;
    }
    e->refused = e->kind <= SCRIPT_VOID && chance(m, m->per_mille_refused);
}

/* Any event may come again, once or several times, later and in another order, with its old or
 * the present time. */
static bool repeat(struct maker *m, struct script_event *e)
{
    if (m->n_recent == 0 || !chance(m, m->per_mille_repeat))
        return false;
    int known = m->n_recent < RECENT ? m->n_recent : RECENT;
    *e = m->script->events[m->recent[pick(m, known)]];
    if (pick(m, 2))
        e->now_ms = m->clock_ms;
    if (e->kind == SCRIPT_HOLD && pick(m, 8) == 0) /* its id, but somebody else's */
        e->owner = pick(m, m->script->n_keys);
    return true;
}

static void add_event(struct maker *m)
{
    struct script *s = m->script;
    struct script_event *e = &s->events[s->n_events];
    if (!repeat(m, e)) {
        make_event(m, e);
        if (e->kind <= SCRIPT_CAP)
            m->recent[m->n_recent++ % RECENT] = s->n_events;
    }
    s->n_events++;
}

void script_make(struct script *s, uint64_t seed)
{
    static struct maker maker; /* large */
    struct maker *m = &maker;
    *m = (struct maker){.script = s};
    seed_random(&m->r, seed);
    s->seed = seed;
    s->n_attempts = s->n_events = 0;
    make_owners(m);
    choose(m);
    choose_flood(m);
    make_ids(m);
    s->start_ms = m->clock_ms =
        starts_ms[pick(m, (int)(sizeof(starts_ms) / sizeof(starts_ms[0])))] + below(m, 3 * DAY_MS);
    int n = 50 + pick(m, pick(m, 2) ? 500 : SCRIPT_EVENTS_MAX - 50);
    for (int i = m->flood ? 0 : pick(m, 8); i > 0; i--) {
        struct script_event *e = &s->events[s->n_events++];
        *e = (struct script_event){.kind = SCRIPT_CAP, .now_ms = m->clock_ms};
        fill_cap(m, e);
    }
    while (s->n_events < n)
        add_event(m);
}

/* ---- for people ---- */

static const char *const kind_names[SCRIPT_KINDS] = {"hold", "extend", "stream", "settle", "void",
                                                     "cap",  "commit", "lose",   "crash"};

void script_print_event(FILE *out, const struct script *s, const struct script_event *e)
{
    fprintf(out, "+%lld ms %s", (long long)(e->now_ms - s->start_ms), kind_names[e->kind]);
    if (e->kind <= SCRIPT_VOID)
        fprintf(out, " attempt %d", e->attempt);
    if (e->kind == SCRIPT_HOLD)
        fprintf(out, " key %d of team %d", e->owner, s->team_of[e->owner]);
    if (e->kind == SCRIPT_CAP)
        fprintf(out, " %s %d %s", e->scope == LEDGER_SCOPE_KEY ? "key" : "team", e->owner,
                window_name(e->window));
    if (e->kind == SCRIPT_HOLD || e->kind == SCRIPT_EXTEND || e->kind == SCRIPT_SETTLE ||
        e->kind == SCRIPT_CAP)
        fprintf(out, " %lld nUSD", (long long)e->amount_nusd);
    fprintf(out, "%s\n", e->refused ? ", the table refuses it" : "");
}

void script_print(FILE *out, const struct script *s)
{
    fprintf(out, "seed %llu: starts at %lld;", (unsigned long long)s->seed, (long long)s->start_ms);
    for (int i = 0; i < s->n_teams; i++)
        fprintf(out, " team %d in %s;", i, calendar_zone_names[s->zone_of[i]]);
    fprintf(out, " %d events\n", s->n_events);
    for (int i = 0; i < s->n_events; i++) {
        fprintf(out, "  %d. ", i + 1);
        script_print_event(out, s, &s->events[i]);
    }
}
