/* The least that a conversation could have cost: by who served which turn, knowing tokens, caches
 * and outages.
 *
 * What a turn costs on a place depends on the turn which that place served last.  The states of
 * the dynamic programme are the last turns of three places, the three that would be cheapest with a
 * cache that is always warm; any other place may serve any turn, too.  Where those have the
 * price of a warm cache (BEST_BOUND), every sequence of places is a path that costs no more than it
 * would: a lower bound.  Where they have that of a cold one, every path is a sequence that costs no
 * less than it would: one that was found.  The best of all lies between the two. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/price.h"

enum { TRACKED = 3, LASTS = TURNS_MAX + 1, STATES = LASTS * LASTS * LASTS, BRUTE_TURNS_MAX = 9 };
#define IMPOSSIBLE (INT64_MAX / 4)

struct state {
    int8_t last[TRACKED];
    int64_t pusd;
};

struct layer {
    int n;
    struct state *states;
};

struct search {
    const struct world *w;
    const struct talk *t;
    enum best which;
    int n_places;
    int64_t warm[TURNS_MAX][PLACES_MAX]; /* with the best cache there can be; or IMPOSSIBLE */
    int64_t rest[TURNS_MAX + 1];         /* at least, from this turn on */
    int64_t others[TURNS_MAX];           /* the cheapest of those that are not tracked */
    int tracked[TRACKED];                /* -1: none */
    int64_t bound;                       /* some sequence costs this */
    struct layer now, next;
    int32_t *at; /* by state: its position in next, plus 1 */
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t cost_at(const struct search *s, int turn, int place, int last)
{
    return s->which == BEST_MEAN ? truth_mean_pusd(s->w, s->t, turn, place, last)
                                 : truth_pusd(s->w, s->t, turn, place, last);
}

/* ---- with a cache that is always warm ---- */

static int64_t warm_cost(const struct search *s, int turn, int place)
{
    int64_t pusd = cost_at(s, turn, place, -1);
    return turn == 0 ? pusd : least(pusd, cost_at(s, turn, place, turn - 1));
}

static bool is_served(const struct search *s, int turn)
{
    for (int i = 0; i < s->n_places; i++) {
        if (s->warm[turn][i] < IMPOSSIBLE)
            return true;
    }
    return false;
}

static void choose_tracked(struct search *s)
{
    int64_t sum[PLACES_MAX] = {0};
    for (int i = 0; i < s->n_places; i++) {
        for (int k = 0; k < s->t->n; k++)
            sum[i] += warm_cost(s, k, i); /* were there no outages */
    }
    for (int k = 0; k < TRACKED; k++) {
        s->tracked[k] = -1;
        for (int i = 0; i < s->n_places; i++) {
            if (sum[i] < IMPOSSIBLE && (s->tracked[k] < 0 || sum[i] < sum[s->tracked[k]]))
                s->tracked[k] = i;
        }
        if (s->tracked[k] >= 0)
            sum[s->tracked[k]] = IMPOSSIBLE;
    }
}

static bool is_tracked(const struct search *s, int place)
{
    for (int k = 0; k < TRACKED; k++) {
        if (s->tracked[k] == place)
            return true;
    }
    return false;
}

static int64_t other_cost(const struct search *s, int turn, int place)
{
    return s->warm[turn][place] >= IMPOSSIBLE || s->which == BEST_BOUND
               ? s->warm[turn][place]
               : cost_at(s, turn, place, -1);
}

static void fill_costs(struct search *s)
{
    for (int k = 0; k < s->t->n; k++) {
        for (int i = 0; i < s->n_places; i++)
            s->warm[k][i] = truth_fails(s->w, s->t, k, i) ? IMPOSSIBLE : warm_cost(s, k, i);
    }
    choose_tracked(s);
    s->rest[s->t->n] = 0;
    for (int k = s->t->n - 1; k >= 0; k--) {
        int64_t any = IMPOSSIBLE;
        s->others[k] = IMPOSSIBLE;
        for (int i = 0; i < s->n_places; i++) {
            any = least(any, s->warm[k][i]);
            if (!is_tracked(s, i))
                s->others[k] = least(s->others[k], other_cost(s, k, i));
        }
        s->rest[k] = s->rest[k + 1] + (any < IMPOSSIBLE ? any : 0);
    }
}

/* ---- some sequence, so that worse ones need not be followed ---- */

/* Stays at one tracked place; where that fails, whatever is cheapest without a cache. */
static int64_t cost_of_staying(const struct search *s, int place)
{
    int64_t sum = 0;
    int last = -1;
    for (int k = 0; k < s->t->n; k++) {
        int64_t pusd = IMPOSSIBLE;
        bool here = s->warm[k][place] < IMPOSSIBLE;
        if (here)
            pusd = cost_at(s, k, place, last);
        for (int i = 0; i < s->n_places && !here; i++) {
            if (s->warm[k][i] < IMPOSSIBLE)
                pusd = least(pusd, cost_at(s, k, i, -1));
        }
        last = here ? k : last;
        sum += pusd < IMPOSSIBLE ? pusd : 0;
    }
    return sum;
}

/* ---- the programme ---- */

/* A cache that has expired by the next turn is no cache. */
static void put_state(struct search *s, struct state st, int turn)
{
    int64_t next_ms = turn + 1 < s->t->n ? s->t->turns[turn + 1].at_ms : INT64_MAX;
    size_t key = 0;
    if (st.pusd + s->rest[turn + 1] > s->bound)
        return;
    for (int k = 0; k < TRACKED; k++) {
        if (st.last[k] >= 0 && next_ms - s->t->turns[st.last[k]].at_ms > CACHE_TTL_MS)
            st.last[k] = -1;
        key = key * LASTS + (size_t)(st.last[k] + 1);
    }
    if (s->at[key] == 0) {
        s->next.states[s->next.n++] = st;
        s->at[key] = s->next.n;
    } else if (st.pusd < s->next.states[s->at[key] - 1].pusd) {
        s->next.states[s->at[key] - 1] = st;
    }
}

static void clear_index(struct search *s)
{
    for (int i = 0; i < s->next.n; i++) {
        size_t key = 0;
        for (int k = 0; k < TRACKED; k++)
            key = key * LASTS + (size_t)(s->next.states[i].last[k] + 1);
        s->at[key] = 0;
    }
}

static void step_state(struct search *s, const struct state *st, int turn)
{
    struct state go = *st;
    if (!is_served(s, turn)) { /* nobody could */
        put_state(s, go, turn);
        return;
    }
    if (s->others[turn] < IMPOSSIBLE) {
        go.pusd = st->pusd + s->others[turn];
        put_state(s, go, turn);
    }
    for (int k = 0; k < TRACKED; k++) {
        int place = s->tracked[k];
        if (place < 0 || s->warm[turn][place] >= IMPOSSIBLE)
            continue;
        go = *st;
        go.pusd += cost_at(s, turn, place, st->last[k]);
        go.last[k] = (int8_t)turn;
        put_state(s, go, turn);
    }
}

static int64_t solve(struct search *s)
{
    fill_costs(s);
    s->bound = IMPOSSIBLE;
    for (int k = 0; k < TRACKED; k++) {
        if (s->tracked[k] >= 0)
            s->bound = least(s->bound, cost_of_staying(s, s->tracked[k]));
    }
    s->now.n = 1;
    s->now.states[0] = (struct state){{-1, -1, -1}, 0};
    for (int turn = 0; turn < s->t->n; turn++) {
        s->next.n = 0;
        for (int i = 0; i < s->now.n; i++)
            step_state(s, &s->now.states[i], turn);
        clear_index(s);
        struct layer done = s->now;
        s->now = s->next;
        s->next = done;
    }
    int64_t best = s->bound;
    for (int i = 0; i < s->now.n; i++)
        best = least(best, s->now.states[i].pusd);
    return best;
}

/* ---- the same by trying everything ---- */

static int64_t cost_of_all(const struct search *s, int turn, const int8_t last[TRACKED])
{
    int64_t best = IMPOSSIBLE;
    if (turn == s->t->n)
        return 0;
    for (int i = 0; i < s->n_places; i++) {
        int8_t then[TRACKED];
        if (s->warm[turn][i] >= IMPOSSIBLE)
            continue;
        memcpy(then, last, sizeof(then));
        then[i] = (int8_t)turn;
        best = least(best, cost_at(s, turn, i, last[i]) + cost_of_all(s, turn + 1, then));
    }
    return best < IMPOSSIBLE ? best : cost_of_all(s, turn + 1, last);
}

/* Where all places are tracked nothing is left to assume. */
static bool is_right(const struct search *s, int64_t pusd)
{
    static const int8_t none[TRACKED] = {-1, -1, -1};
    return s->n_places > TRACKED || s->t->n > BRUTE_TURNS_MAX || cost_of_all(s, 0, none) == pusd;
}

int best_in_hindsight(const struct world *w, const struct traffic *t, enum best which,
                      struct result *ret)
{
    struct search *s = calloc(1, sizeof(*s));
    *ret = (struct result){.pusd = 0};
    if (s == NULL)
        return -1;
    s->now.states = malloc(STATES * sizeof(struct state));
    s->next.states = malloc(STATES * sizeof(struct state));
    s->at = calloc(STATES, sizeof(*s->at));
    bool ok = s->now.states != NULL && s->next.states != NULL && s->at != NULL;
    s->w = w;
    s->which = which;
    for (int i = 0; ok && i < t->n_talks; i++) {
        s->t = &t->talks[i];
        s->n_places = w->scenes[s->t->scene].n;
        int64_t pusd = solve(s);
        if (w->check && !is_right(s, pusd)) {
            fprintf(stderr, "price: conversation %d could have cost something else\n", i);
            ok = false;
        }
        ret->pusd += pusd;
        ret->by_scene_pusd[s->t->scene] += pusd;
        ret->by_kind_pusd[s->t->kind] += pusd;
        ret->requests += s->t->n;
        for (int k = 0; k < s->t->n; k++) {
            ret->prompt_tok += s->t->turns[k].prompt_tok;
            ret->failed += !is_served(s, k);
        }
    }
    free(s->now.states);
    free(s->next.states);
    free(s->at);
    free(s);
    return ok ? 0 : -1;
}
