/* Who gets which part of a difference. */
#include "router/correction.h"

#include "schema/money.h"

__extension__ typedef __int128 wide;

static int64_t now_tok(const struct correction *c, int bucket)
{
    return c->tok[bucket] + c->add_tok[bucket];
}

/* What has used nothing costs nothing, whatever the request's fee.  INT64_MAX: beyond numbers. */
static int64_t cost_of(const struct correction *c, const int64_t tok[USAGE_BUCKET_COUNT])
{
    struct usage u = {.seen = 0};
    int64_t pusd;
    bool any = false;
    for (int b = 0; b < USAGE_BUCKET_COUNT; b++) {
        usage_set(&u, (enum usage_bucket)b, tok[b]);
        any |= tok[b] > 0;
    }
    if (!any)
        return 0;
    return price_usage(c->price, &u, c->n_images, true, &pusd) ? money_charge_nusd(pusd)
                                                               : INT64_MAX;
}

static bool is_told(uint32_t told, int figure)
{
    return (told >> figure & 1u) != 0;
}

/* What the attempt costs with these tokens: theirs, where it was charged by no count of its own
 * or costs are told apart, else as much more or less as the tokens are. */
static int64_t follow(const struct correction *c, const int64_t tok[USAGE_BUCKET_COUNT],
                      uint32_t told)
{
    int64_t cost = cost_of(c, tok);
    bool anew = c->source == USAGE_ESTIMATED && c->n == 1 && !c->has_inner;
    if (anew || is_told(told, RECONCILE_COST))
        return cost;
    int64_t was = cost_of(c, c->tok);
    if (cost == INT64_MAX || was == INT64_MAX)
        return cost;
    int64_t v = c->charge_nusd - was + cost;
    return v > 0 ? v : 0;
}

static int64_t room_for(const struct correction *c, const int64_t tok[USAGE_BUCKET_COUNT],
                        uint32_t told)
{
    int64_t cost = follow(c, tok, told);
    return cost < c->hold_nusd ? c->hold_nusd - cost : 0;
}

/* ---- shares ---- */

/* amount in proportion to weights; the parts add up to it. */
struct share {
    int64_t amount, sum, before;
};

/* So that their sum is a number. */
static int64_t weight(int64_t w, size_t n)
{
    int64_t most = INT64_MAX / (int64_t)n;
    return w < most ? w : most;
}

static int64_t next_part(struct share *s, int64_t w)
{
    wide from = (wide)s->amount * s->before / s->sum;
    s->before += w;
    return (int64_t)((wide)s->amount * s->before / s->sum - from);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- taking tokens away ---- */

static void take(struct correction *attempts, size_t n, int bucket, int64_t *diff)
{
    struct share s = {.sum = 0};
    for (size_t i = 0; i < n; i++)
        s.sum += attempts[i].price != NULL ? weight(now_tok(&attempts[i], bucket), n) : 0;
    s.amount = least(s.sum, -*diff);
    for (size_t i = 0; i < n && s.amount > 0; i++) {
        struct correction *c = &attempts[i];
        if (c->price != NULL)
            c->add_tok[bucket] -= next_part(&s, weight(now_tok(c, bucket), n));
    }
    *diff += s.amount;
}

static void take_all(struct correction *attempts, size_t n, uint32_t told, int64_t *diff)
{
    for (int b = 0; b < USAGE_BUCKET_COUNT; b++) {
        if (is_told(told, b) && diff[b] < 0)
            take(attempts, n, b, &diff[b]);
        if (is_told(told, RECONCILE_PROMPT) && diff[RECONCILE_PROMPT] < 0 &&
            usage_is_prompt((enum usage_bucket)b))
            take(attempts, n, b, &diff[RECONCILE_PROMPT]);
    }
}

/* ---- adding tokens ---- */

/* Cuts what is to be added to what the hold has room for. */
static void fit(const struct correction *c, uint32_t told, int64_t add[USAGE_BUCKET_COUNT])
{
    int64_t now[USAGE_BUCKET_COUNT], then[USAGE_BUCKET_COUNT];
    for (int b = 0; b < USAGE_BUCKET_COUNT; b++) {
        now[b] = now_tok(c, b);
        if (__builtin_add_overflow(now[b], add[b], &then[b]))
            then[b] = INT64_MAX;
    }
    int64_t more = follow(c, then, told) - follow(c, now, told);
    int64_t room = room_for(c, now, told);
    if (more <= room)
        return;
    for (int b = 0; b < USAGE_BUCKET_COUNT; b++) {
        add[b] = (int64_t)((wide)add[b] * room / more);
        then[b] = now[b] + add[b];
    }
    if (follow(c, then, told) <= c->hold_nusd)
        return;
    for (int b = 0; b < USAGE_BUCKET_COUNT; b++) /* a dearer price tier begins in between */
        add[b] = 0;
}

static int64_t room_now(const struct correction *c, uint32_t told, size_t n)
{
    int64_t now[USAGE_BUCKET_COUNT];
    for (int b = 0; b < USAGE_BUCKET_COUNT; b++)
        now[b] = now_tok(c, b);
    return c->price != NULL ? weight(room_for(c, now, told), n) : 0;
}

/* One round. false: nobody has room. */
static bool give(struct correction *attempts, size_t n, uint32_t told,
                 int64_t want[USAGE_BUCKET_COUNT])
{
    struct share shares[USAGE_BUCKET_COUNT];
    int64_t sum = 0;
    bool given = false;
    for (size_t i = 0; i < n; i++)
        sum += room_now(&attempts[i], told, n);
    for (int b = 0; b < USAGE_BUCKET_COUNT; b++)
        shares[b] = (struct share){.amount = want[b], .sum = sum};
    for (size_t i = 0; i < n && sum > 0; i++) {
        int64_t add[USAGE_BUCKET_COUNT], w = room_now(&attempts[i], told, n);
        for (int b = 0; b < USAGE_BUCKET_COUNT; b++)
            add[b] = next_part(&shares[b], w);
        if (w > 0)
            fit(&attempts[i], told, add);
        for (int b = 0; b < USAGE_BUCKET_COUNT; b++) {
            attempts[i].add_tok[b] += add[b];
            want[b] -= add[b];
            given |= add[b] > 0;
        }
    }
    return given;
}

/* Of a prompt that is told as a whole, what is missing is input. */
static void give_all(struct correction *attempts, size_t n, uint32_t told, int64_t *diff)
{
    int64_t want[USAGE_BUCKET_COUNT];
    int at[USAGE_BUCKET_COUNT];
    for (int b = 0; b < USAGE_BUCKET_COUNT; b++) {
        bool whole = b == USAGE_input_tok && is_told(told, RECONCILE_PROMPT);
        at[b] = whole ? RECONCILE_PROMPT : b;
        want[b] = is_told(told, at[b]) && diff[at[b]] > 0 ? diff[at[b]] : 0;
    }
    while (give(attempts, n, told, want)) /* until no hold takes more: a second run begins there */
        continue;
    for (int b = 0; b < USAGE_BUCKET_COUNT; b++) {
        if (is_told(told, at[b]) && diff[at[b]] > 0)
            diff[at[b]] = want[b];
    }
}

/* ---- cost ---- */

static int64_t cost_room(const struct correction *c, bool down)
{
    if (down)
        return c->charge_nusd;
    return c->hold_nusd > c->charge_nusd ? c->hold_nusd - c->charge_nusd : 0;
}

static void move_cost(struct correction *attempts, size_t n, int64_t *diff)
{
    bool down = *diff < 0;
    struct share s = {.sum = 0};
    for (size_t i = 0; i < n; i++)
        s.sum += weight(cost_room(&attempts[i], down), n);
    s.amount = least(s.sum, down ? -*diff : *diff);
    for (size_t i = 0; i < n && s.amount > 0; i++) {
        int64_t part = next_part(&s, weight(cost_room(&attempts[i], down), n));
        attempts[i].add_nusd = down ? -part : part;
    }
    *diff -= down ? -s.amount : s.amount;
}

static void follow_tokens(struct correction *c, uint32_t told)
{
    int64_t now[USAGE_BUCKET_COUNT];
    for (int b = 0; b < USAGE_BUCKET_COUNT; b++)
        now[b] = now_tok(c, b);
    int64_t cost = c->price != NULL ? follow(c, now, told) : INT64_MAX;
    int64_t most = c->hold_nusd > c->charge_nusd ? c->hold_nusd : c->charge_nusd;
    if (cost < INT64_MAX) /* tokens that it had before may cost more than was held for them */
        c->add_nusd = least(cost, most) - c->charge_nusd;
}

/* ---- all of it ---- */

void correction_spread(struct correction *attempts, size_t n, uint32_t told,
                       int64_t diff[RECONCILE_FIGURES])
{
    if (n == 0)
        return;
    take_all(attempts, n, told, diff);
    give_all(attempts, n, told, diff);
    if (is_told(told, RECONCILE_COST)) {
        move_cost(attempts, n, &diff[RECONCILE_COST]);
        return;
    }
    for (size_t i = 0; i < n; i++)
        follow_tokens(&attempts[i], told);
}

bool correction_is_empty(const struct correction *c)
{
    bool empty = c->add_nusd == 0;
    for (int b = 0; b < USAGE_BUCKET_COUNT; b++)
        empty = empty && c->add_tok[b] == 0;
    return empty;
}
