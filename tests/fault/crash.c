#define _GNU_SOURCE
/* A crash at every operation of the script, and at random ones of many scripts. */
#include "tests/fault/crash.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/fault/history.h"
#include "tests/unit/ledger_world.h"

enum {
    SCRIPTS_TRIED = 200,
    REST_EVERY = 25,  /* after so many crashes the whole rest of the script is played */
    REST_BATCHES = 2, /* after the others so many batches */
    CUTS_OF_SCRIPT = 50,
    CUTS_TWICE_OF_8 = 2
};

static const char *const ways[] = {
    "the process died", "the process died half-way", "the power failed, all unsynced lost",
    "the power failed, some unsynced lost", "the power failed, the last unsynced lost"};
enum { DIED, DIED_HALF, CUT, WAYS = CUT + FAULT_LOSSES };

static void disk_after(const struct fault_place *p, int way, uint64_t seed, struct fault_disk *ret)
{
    if (way < CUT)
        fault_place_died(p, way == DIED_HALF, ret);
    else
        fault_place_cut(p, (enum fault_loss)(way - CUT), seed, ret);
}

static void say_where(const char *test, uint64_t seed, const struct fault_log *log, int k, int way,
                      uint64_t cut_seed)
{
    char what[128];
    fault_log_describe(log, k, what, sizeof(what));
    printf("# %s: seed %llu, %s at operation %d of %d (%s), cut seed %llu\n", test,
           (unsigned long long)seed, ways[way], k, fault_log_count(log), what,
           (unsigned long long)cut_seed);
}

/* ---- while the database is made ---- */

/* Any part of the migrations may have happened; opening it does the others. */
static bool opens(const struct fault_disk *disk)
{
    struct fail why = {0};
    fault_load(disk);
    struct db *db = db_open(history_path, DB_OWN, &why);
    if (db == NULL) {
        fprintf(stderr, "it does not open: %s\n", why.text);
        return false;
    }
    bool ok = db_schema_version(db) == db_schema_known() && world_is_sound(db);
    db_close(db);
    return ok;
}

bool crash_while_created(uint64_t seed)
{
    struct fault_disk disk = {0};
    history_fresh(&disk);
    struct fault_log *log = fault_log_take();
    struct fault_place *p = fault_place_new(log);
    int n = 0;
    bool ok = true;
    for (int k = 0; k <= fault_log_count(log) && ok; k++) {
        int way = k % WAYS;
        fault_place_go(p, k);
        disk_after(p, way, seed + (uint64_t)k, &disk);
        ok = opens(&disk);
        n++;
        if (!ok)
            say_where("created", seed, log, k, way, seed + (uint64_t)k);
    }
    printf("# %d crashes\n", n);
    fault_place_free(p);
    fault_log_free(log);
    fault_disk_free(&disk);
    return ok;
}

/* ---- at every operation ---- */

static bool crash_at(const struct history *h, const struct fault_place *p, int k, int way,
                     uint64_t cut_seed, int n_rest, struct fault_disk *disk)
{
    int step = history_step_at(h, k);
    const struct witness *seen = &h->seen[step];
    const struct witness *next = &h->seen[step < h->n ? step + 1 : step];
    int first = h->first_batch + step;
    disk_after(p, way, cut_seed, disk);
    return disk_is_right(disk, seen, next, first, first + n_rest, NULL);
}

static bool every_way(const struct history *h, const struct fault_place *p, int k, uint64_t seed,
                      int *n)
{
    struct fault_disk disk = {0};
    bool ok = true;
    static const int cuts[] = {CUT, CUT + FAULT_LOSE_SOME, CUT + FAULT_LOSE_LATE};
    const int chosen[] = {k % 4 == 0 ? DIED_HALF : DIED, k % 4 == 1 ? cuts[k / 4 % 3] : cuts[1]};
    for (int i = 0; i < 2 && ok; i++) {
        int n_rest = *n % REST_EVERY == 0 ? SCRIPT_EVENTS : REST_BATCHES;
        uint64_t cut_seed = seed + (uint64_t)k * WAYS;
        ok = crash_at(h, p, k, chosen[i], cut_seed, n_rest, &disk);
        (*n)++;
        if (!ok)
            say_where("everywhere", seed, h->log, k, chosen[i], cut_seed);
    }
    fault_disk_free(&disk);
    return ok;
}

/* Few scripts hold a row that the tables refuse; this wants one, from *seed on. */
static bool record_with_poison(struct history *h, const struct fault_disk *fresh,
                               struct witness *begin, struct script *s, uint64_t *seed)
{
    bool ok = false;
    history_poisoned = 0;
    for (int i = 0; i < SCRIPTS_TRIED && history_poisoned == 0; i++) {
        if (i > 0) {
            history_free(h);
            (*seed)++;
        }
        script_make(s, *seed);
        witness_begin(begin, s);
        ok = history_record(h, fresh, begin, s, 0, s->n_batches);
    }
    return ok;
}

bool crash_everywhere(uint64_t seed)
{
    struct script *s = malloc(sizeof(*s));
    struct witness *begin = malloc(sizeof(*begin));
    struct fault_disk fresh = {0};
    struct history h;
    int n = 0;
    assert(s != NULL && begin != NULL);
    history_fresh(&fresh);
    bool ok = record_with_poison(&h, &fresh, begin, s, &seed);
    struct fault_place *p = fault_place_new(h.log);
    for (int k = 0; k <= fault_log_count(h.log) && ok; k++) {
        fault_place_go(p, k);
        ok = every_way(&h, p, k, seed, &n);
    }
    printf("# seed %llu: %d events in %d batches, %d operations, %d crashes, %d batches with a "
           "refused "
           "row\n",
           (unsigned long long)seed, SCRIPT_EVENTS, s->n_batches, fault_log_count(h.log), n,
           history_poisoned);
    ok = ok && history_poisoned > 0;
    fault_place_free(p);
    history_free(&h);
    fault_disk_free(&fresh);
    free(begin);
    free(s);
    return ok;
}

/* ---- at random ---- */

/* A crash of h somewhere, then perhaps another one while the first is recovered from. */
static bool crash_somewhere(const struct history *h, const struct script *s, uint64_t *random,
                            bool always_twice, int *n)
{
    struct fault_disk disk = {0};
    struct history after;
    struct witness *found = malloc(sizeof(*found));
    assert(found != NULL);
    int k = (int)(fault_random(random) % (uint64_t)(fault_log_count(h->log) + 1));
    int way = (int)(fault_random(random) % WAYS);
    uint64_t cut_seed = fault_random(random);
    int step = history_step_at(h, k), first = h->first_batch + step;
    struct fault_place *p = fault_place_new(h->log);
    fault_place_go(p, k);
    disk_after(p, way, cut_seed, &disk);
    bool ok = disk_is_right(&disk, &h->seen[step], &h->seen[step < h->n ? step + 1 : step], first,
                            first + (int)(fault_random(random) % 3), found);
    (*n)++;
    if (!ok)
        say_where("random", 0, h->log, k, way, cut_seed);
    if (ok && (always_twice || fault_random(random) % 8 < CUTS_TWICE_OF_8)) {
        int last = first + 1 < s->n_batches ? first + 1 : s->n_batches;
        first = first < last ? first : last;
        ok = history_record(&after, &disk, found, s, first, last) &&
             crash_somewhere(&after, s, random, false, n);
        if (!ok)
            say_where("after", 0, h->log, k, way, cut_seed);
        history_free(&after);
    }
    fault_place_free(p);
    fault_disk_free(&disk);
    free(found);
    return ok;
}

bool crash_at_random(uint64_t seed, int n_cuts)
{
    struct script *s = malloc(sizeof(*s));
    struct witness *begin = malloc(sizeof(*begin));
    struct fault_disk fresh = {0};
    bool ok = true;
    int n = 0;
    assert(s != NULL && begin != NULL);
    history_fresh(&fresh);
    for (uint64_t script_seed = seed; n < n_cuts && ok; script_seed++) {
        struct history h;
        uint64_t random = script_seed;
        script_make(s, script_seed);
        witness_begin(begin, s);
        ok = history_record(&h, &fresh, begin, s, 0, s->n_batches);
        int until = n + CUTS_OF_SCRIPT < n_cuts ? n + CUTS_OF_SCRIPT : n_cuts;
        while (n < until && ok)
            ok = crash_somewhere(&h, s, &random, false, &n);
        history_free(&h);
        if (!ok)
            printf("# failed with seed %llu\n", (unsigned long long)script_seed);
    }
    printf("# %d crashes\n", n);
    fault_disk_free(&fresh);
    free(begin);
    free(s);
    return ok;
}

/* Recovery's own operations, one by one: crash, open, crash while it recovers, open. */
bool crash_while_recovering(uint64_t seed)
{
    struct script *s = malloc(sizeof(*s));
    struct witness *begin = malloc(sizeof(*begin));
    struct fault_disk disk = {0};
    struct history h, recovery;
    int n = 0;
    assert(s != NULL && begin != NULL);
    script_make(s, seed);
    witness_begin(begin, s);
    history_fresh(&disk);
    bool ok = history_record(&h, &disk, begin, s, 0, s->n_batches / 2);
    int step = h.n;
    struct fault_place *p = fault_place_new(h.log);
    fault_place_go(p, h.done_at[step]);
    fault_place_died(p, false, &disk);
    fault_place_free(p);
    ok = ok &&
         history_record(&recovery, &disk, &h.seen[step], s, s->n_batches / 2, s->n_batches / 2);
    if (ok) {
        p = fault_place_new(recovery.log);
        for (int k = 0; k <= fault_log_count(recovery.log) && ok; k++) {
            fault_place_go(p, k);
            ok = every_way(&recovery, p, k, seed, &n);
        }
        printf("# %d operations, %d crashes\n", fault_log_count(recovery.log), n);
        fault_place_free(p);
        history_free(&recovery);
    }
    history_free(&h);
    fault_disk_free(&disk);
    free(begin);
    free(s);
    return ok;
}
