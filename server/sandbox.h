/* What the process gives up for good before it serves: whoever breaks into it can start no
 * program, look into no other process, and reach no file but those named here.
 *
 *   no new privileges, no core dump, not attachable (PR_SET_DUMPABLE)
 *   seccomp   system calls that a server never needs end the process (SANDBOX_CALLS)
 *   Landlock  files: only what sandbox_read and sandbox_write name
 *
 * What the kernel does not know is left out and reported.  Entered before any thread is started:
 * a Landlock domain is that of a thread and of what it starts.
 * Thread: the main thread. */
#ifndef SERVER_SANDBOX_H
#define SERVER_SANDBOX_H

#include <stdbool.h>

enum { SANDBOX_REPORT_MAX = 256 };

struct sandbox;

/* Why the sandbox cannot be used in this process (built with a sanitizer, run by valgrind:
 * both need what it forbids); NULL: it can. */
const char *sandbox_unfit(void);

/* Never fails: a kernel without Landlock gives one that only counts. */
struct sandbox *sandbox_new(void);
/* This file, or all below this directory, may be read.  What is not there is left out. */
void sandbox_read(struct sandbox *s, const char *path);
/* This file may be read, and what replaces it (a renewed certificate, a new secret): the directory
 * it is in and the one that its links lead to, but for directories that hold much else (such
 * as /etc and home directories): there only the file as it is now. */
void sandbox_read_file(struct sandbox *s, const char *path);
/* Files below the directory of this file may be read, made, written and removed. */
void sandbox_write_beside(struct sandbox *s, const char *path);
/* All that lies in no directory of the system (/etc, /proc, /sys, /dev, /boot): a catalog may name
 * a file anywhere, also one that is imported later. */
void sandbox_read_common(struct sandbox *s);
/* What the libraries read: shared objects, certificates of authorities, name resolution, time
 * zones. */
void sandbox_read_system(struct sandbox *s);

/* Enters it; s is of no more use.  ret gets what is active as log fields: "no_new_privs=on
 * seccomp=on ..."; it is truncated, never overrun. */
void sandbox_enter(struct sandbox *s, char ret[SANDBOX_REPORT_MAX]);

#endif
