#define _GNU_SOURCE
/* The simulator of the ledger's core: plays scripts from fresh seeds against a naive model.
 * The seeds run in one child process; the parent shrinks what it did not survive. */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/ledger/shrink.h"

enum { EXIT_VIOLATION = 1, EXIT_USAGE = 2, EXIT_SKIP = 77, DEFAULT_SECONDS = 3 };

struct options {
    uint64_t seed;
    int64_t seconds; /* 0: this seed alone */
    int64_t events;  /* 0: as long as the script is */
    bool no_shrink;
};

static const char usage[] =
    "Usage: sim [--seed N] [--seconds S] [--events N] [--no-shrink]\n"
    "Plays S seconds (3) of seeds, from a fresh one on; --seed N: that one, with --seconds S also\n"
    "those after it; --events N: only the first N events of each.\n";

static bool parse_number(const char *text, uint64_t max, uint64_t *ret)
{
    char *end;
    *ret = strtoull(text, &end, 10);
    return end != text && *end == '\0' && text[0] != '-' && *ret <= max;
}

static bool parse_options(int argc, char **argv, struct options *o)
{
    static const struct option table[] = {{"seed", required_argument, NULL, 'r'},
                                          {"seconds", required_argument, NULL, 's'},
                                          {"events", required_argument, NULL, 'e'},
                                          {"no-shrink", no_argument, NULL, 'n'},
                                          {NULL, 0, NULL, 0}};
    uint32_t fresh;
    bool seeded = false, timed = false, ok = true;
    *o = (struct options){.seconds = DEFAULT_SECONDS};
    if (getrandom(&fresh, sizeof(fresh), 0) != sizeof(fresh))
        return false;
    o->seed = (uint64_t)fresh << 20; /* so that runs do not overlap */
    for (int c; ok && (c = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        uint64_t n = 0;
        ok = c == 'n' || (c != '?' && parse_number(optarg, UINT64_MAX, &n));
        switch (c) {
        case 'r':
            seeded = true;
            o->seed = n;
            break;
        case 's':
            timed = true;
            ok = ok && n > 0 && n <= 7 * 86400;
            o->seconds = (int64_t)n;
            break;
        case 'e':
            ok = ok && n > 0 && n <= SCRIPT_EVENTS_MAX;
            o->events = (int64_t)n;
            break;
        default:
            o->no_shrink = true;
        }
    }
    if (seeded && !timed)
        o->seconds = 0;
    return ok && optind == argc;
}

static int64_t mono_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void make(struct script *s, const struct options *o, uint64_t seed)
{
    script_make(s, seed);
    if (o->events > 0 && s->n_events > o->events)
        s->n_events = (int)o->events;
}

/* The child: seed after seed, until the time is over or one is violated. */
static int play_seeds(const struct options *o, struct shrink_note *note)
{
    static struct script s; /* large */
    int64_t end_ms = mono_ms() + o->seconds * 1000;
    do {
        make(&s, o, note->seed);
        alarm(SHRINK_SEED_SECONDS);
        if (!play(&s, &note->at, note->why))
            return EXIT_VIOLATION;
        note->n_events += (uint64_t)s.n_events;
        note->n_seeds++;
        note->seed++;
    } while (mono_ms() < end_ms);
    return EXIT_SUCCESS;
}

static void report(const struct options *o, struct shrink_note *note, const char *why)
{
    static struct script s; /* large */
    make(&s, o, note->seed);
    printf("VIOLATION: seed %" PRIu64 ", event %d: %s\n", note->seed, note->at + 1, why);
    if (o->no_shrink)
        return;
    printf("shrinking %d events ...\n", s.n_events);
    fflush(stdout);
    shrink(&s, note);
    printf("%s\n", note->why[0] != '\0' ? note->why : "not the same twice");
    script_print(stdout, &s);
}

static int run(const struct options *o, struct shrink_note *note)
{
    note->seed = o->seed;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(play_seeds(o, note));
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        perror("sim");
        return EXIT_USAGE;
    }
    struct rusage used;
    getrusage(RUSAGE_CHILDREN, &used);
    int64_t ms = (int64_t)used.ru_utime.tv_sec * 1000 + used.ru_utime.tv_usec / 1000 +
                 (int64_t)used.ru_stime.tv_sec * 1000 + used.ru_stime.tv_usec / 1000;
    char why[PLAY_WHY_MAX];
    shrink_describe(status, note, why);
    printf("seeds %" PRIu64 " to %" PRIu64 ", %" PRIu64 " events, %" PRIu64
           " events per second of CPU time\n",
           o->seed, o->seed + note->n_seeds - (note->n_seeds > 0), note->n_events,
           note->n_events * 1000 / (uint64_t)(ms > 0 ? ms : 1));
    if (why[0] == '\0')
        return EXIT_SUCCESS;
    report(o, note, why);
    return EXIT_VIOLATION;
}

int main(int argc, char **argv)
{
    struct options o;
    if (!parse_options(argc, argv, &o)) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    struct shrink_note *note = shrink_note_new();
    if (note == NULL || !play_init()) {
        puts("skip: no memory, or the zone database (tzdata) is not here");
        return EXIT_SKIP;
    }
    return run(&o, note);
}
