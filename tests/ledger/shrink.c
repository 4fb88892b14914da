#define _GNU_SOURCE
/* Delta debugging (Zeller and Hildebrandt 2002) over the list of events. */
#include "tests/ledger/shrink.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SHRINK_SECONDS = 30, TRIAL_SECONDS = 2 };

struct shrink_note *shrink_note_new(void)
{
    void *p = mmap(NULL, sizeof(struct shrink_note), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

void shrink_describe(int status, const struct shrink_note *note, char ret_why[PLAY_WHY_MAX])
{
    ret_why[0] = '\0';
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        snprintf(ret_why, PLAY_WHY_MAX, "it does not end");
    else if (WIFSIGNALED(status))
        snprintf(ret_why, PLAY_WHY_MAX, "%s", strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        snprintf(ret_why, PLAY_WHY_MAX, "%s",
                 note->why[0] != '\0' ? (const char *)note->why : "it ended with an error");
}

static void be_quiet(void)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (fd >= 0)
        dup2(fd, STDERR_FILENO); /* assertions say where they are, thousands of times */
}

/* Does it violate anything?  Then note says what and where. */
static bool fails(const struct script *s, struct shrink_note *note)
{
    note->why[0] = '\0';
    pid_t pid = fork();
    if (pid == 0) {
        be_quiet();
        alarm(TRIAL_SECONDS);
        _exit(play(s, &note->at, note->why) ? 0 : 1);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return false;
    char why[PLAY_WHY_MAX];
    shrink_describe(status, note, why);
    memcpy(note->why, why, sizeof(why));
    return why[0] != '\0';
}

/* Without events first to first + n - 1: adopted when it still fails. */
static bool try_without(struct script *s, int first, int n, struct shrink_note *note)
{
    static struct script less; /* large */
    less = *s;
    memmove(&less.events[first], &less.events[first + n],
            sizeof(less.events[0]) * (size_t)(s->n_events - first - n));
    less.n_events = s->n_events - n;
    if (!fails(&less, note))
        return false;
    *s = less;
    if (note->at + 1 < s->n_events)
        s->n_events = note->at + 1; /* what comes after it is not needed */
    return true;
}

static bool pass(struct script *s, int n, struct shrink_note *note, time_t deadline)
{
    bool smaller = false;
    for (int first = s->n_events - n; first >= 0; first -= n) {
        if (first + n <= s->n_events && try_without(s, first, n, note))
            smaller = true;
        if (time(NULL) >= deadline)
            return false;
    }
    return smaller;
}

void shrink(struct script *s, struct shrink_note *note)
{
    time_t deadline = time(NULL) + SHRINK_SECONDS;
    if (!fails(s, note))
        return; /* it depends on what was before: nothing to shrink */
    if (note->at + 1 < s->n_events)
        s->n_events = note->at + 1;
    for (int n = s->n_events / 2; n > 0 && time(NULL) < deadline; n /= 2) {
        while (n < s->n_events && pass(s, n, note, deadline))
            ;
    }
    fails(s, note);
}
