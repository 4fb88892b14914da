#!/usr/bin/env python3
"""Disks that fail under the whole server: full, read-only, fsync and write errors.  A small library
of our own stands between the server and the C library and fails calls on the database's files
while a flag file exists; no rights are needed.

Nothing may be sent that is not recorded; a full disk is waited out, an fsync that failed ends the process."""

import json
import os
import shutil
import statistics
import subprocess
import tempfile
import threading
import time

from crowd import (Shot, Witness, check_finals, ledger, message, nothing_held, rows_of, storm)
from harness import SLOW, WAYFARE, Report, Sim, Wayfare, endpoint, price, provider, wait_for

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int flagged(const char *name)
{
    char path[4096];
    const char *dir = getenv("TEST_FAULTS");
    snprintf(path, sizeof path, "%s/%s", dir != NULL ? dir : "/nonexistent", name);
    return access(path, F_OK) == 0;
}
static int is_base(const char *path)
{
    const char *db = getenv("WAYFARE_DB");
    return path != NULL && db != NULL && strncmp(path, db, strlen(db)) == 0;
}
static int is_base_fd(int fd)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0)
        return 0;
    path[n] = '\0';
    return is_base(path);
}
static int fails(int fd)
{
    if (!is_base_fd(fd))
        return 0;
    if (flagged("full"))
        return ENOSPC;
    return flagged("eio-write") ? EIO : 0;
}
#define WRITER(name, type)                                                    \
    ssize_t name(int fd, const void *p, size_t n, type at)                    \
    {                                                                         \
        static ssize_t (*real)(int, const void *, size_t, type);              \
        if (real == NULL)                                                     \
            *(void **)&real = dlsym(RTLD_NEXT, #name);                        \
        int e = fails(fd);                                                    \
        if (e != 0) {                                                         \
            errno = e;                                                        \
            return -1;                                                        \
        }                                                                     \
        return real(fd, p, n, at);                                            \
    }
WRITER(pwrite, off_t)
WRITER(pwrite64, off_t)
#define SYNCER(name)                                                          \
    int name(int fd)                                                          \
    {                                                                         \
        static int (*real)(int);                                              \
        if (real == NULL)                                                     \
            *(void **)&real = dlsym(RTLD_NEXT, #name);                        \
        if (flagged("eio-sync") && is_base_fd(fd)) {                          \
            errno = EIO;                                                      \
            return -1;                                                        \
        }                                                                     \
        return real(fd);                                                      \
    }
SYNCER(fsync)
SYNCER(fdatasync)
#define OPENER(name)                                                          \
    int name(const char *path, int flags, ...)                                \
    {                                                                         \
        static int (*real)(const char *, int, ...);                           \
        if (real == NULL)                                                     \
            *(void **)&real = dlsym(RTLD_NEXT, #name);                        \
        va_list ap;                                                           \
        va_start(ap, flags);                                                  \
        int mode = flags & O_CREAT ? va_arg(ap, int) : 0;                     \
        va_end(ap);                                                           \
        int writes = (flags & O_ACCMODE) != O_RDONLY;                         \
        if (writes && is_base(path) && flagged("read-only")) {                \
            errno = EROFS;                                                    \
            return -1;                                                        \
        }                                                                     \
        if (writes && is_base(path) && strcmp(path, getenv("WAYFARE_DB")) == 0 && \
            flagged("file-read-only")) {                                      \
            errno = EACCES;                                                   \
            return -1;                                                        \
        }                                                                     \
        return real(path, flags, mode);                                       \
    }
OPENER(open)
OPENER(open64)
"""

report = Report()
work = tempfile.mkdtemp(prefix="wayfare-disk-")
source, shim = os.path.join(work, "faults.c"), os.path.join(work, "faults.so")
with open(source, "w") as f:
    f.write(SHIM)
compiler = shutil.which(os.environ.get("CC", "cc").split()[0]) or shutil.which("gcc") or shutil.which("clang")
if compiler is None:
    report.skip("disk", "no C compiler")
    report.end()
subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", shim, source, "-ldl"], check=True)

sim = Sim(["one"])
witness = Witness(sim)
RATE = price("3", "15")
PRICES = {"m": RATE}
REFUSED_MS, REFUSALS = 100, 21  # a millisecond where the machine is free; the ledger's next try is later
LIMITS = {"connect_ms": 5000, "first_byte_ms": 60000, "idle_ms": 60000, "total_ms": 600000}
CATALOG = {"providers": [provider("one", sim.url["one"], timeouts=LIMITS)],
           "models": [{"id": "disk/m", "aliases": ["m"], "endpoints": [endpoint("one", "m", RATE)]}]}


def flag(name, on):
    path = os.path.join(work, name)
    if on:
        open(path, "w").close()
    elif os.path.exists(path):
        os.unlink(path)


def server(**more):
    asan = os.environ.get("ASAN_OPTIONS", "")
    env = {"TEST_FAULTS": work, "LD_PRELOAD": shim, "ASAN_OPTIONS": (asan + ":" if asan else "") + "verify_asan_link_order=0"}
    return Wayfare(CATALOG, env=env, budget="1000", threads=2, **more)


def ask(way, n=1, keys="output_tokens=5", stream=False):
    return storm(way, [Shot(way.key, message("m", 100, "[[sim:%s]]" % keys, stream)) for _ in range(n)])


def quiet(lines):
    def look():
        lines.extend(witness.lines())
        return sum(x["event"] == "begin" for x in lines) == sum(x["event"] == "end" for x in lines)

    wait_for("the simulator to be done", look)
    return [x for x in lines if x["event"] == "end"]


def down(shot):
    assert shot.status == 503, (shot.status, shot.ended, bytes(shot.data[:300]))
    assert shot.error()["type"] == "api_error" and int(shot.header("retry-after")) >= 1, bytes(shot.data)


def refused_ms(way):
    begin = time.monotonic()
    status, headers, body = way.messages(max_tokens=10)
    took = 1000 * (time.monotonic() - begin)
    assert status == 503 and "retry-after" in headers, (status, body)
    return took


def full(rounds):
    """Nothing is sent while there is no room; what runs goes on and is written when there is."""
    way = server()
    lines = []
    for _ in range(rounds):
        assert ask(way)[0].status == 200
        slow = [Shot(way.key, message("m", 400, "[[sim:output_tokens=360,tps=%d]]" % (120 / SLOW), True)) for _ in range(8)]
        runner = threading.Thread(target=storm, args=(way, slow))
        runner.start()
        wait_for("the streams to run", lambda: all(s.data.count(b"event: ") >= 3 for s in slow))
        lines += witness.lines()
        flag("full", True)
        down(ask(way)[0])  # tells the ledger that there is no room; what follows it knows
        took = [refused_ms(way) for _ in range(REFUSALS)]
        for s in ask(way, 30) + ask(way, 30, stream=True):
            down(s)
        new = witness.lines()
        assert not [x for x in new if x["event"] == "begin"], "sent although it could not be recorded"
        lines += new
        runner.join()
        for s in slow:
            assert s.status == 200 and b"message_stop" in s.data, bytes(s.data[-300:])
        assert not nothing_held(way, [way.key]), "what could not be written is settled nevertheless"
        assert way.request("GET", "/health/live", key=False)[0] == 200
        flag("full", False)
        # By itself, without a restart and without a request that would wake it.
        wait_for("the settlements to be written", lambda: nothing_held(way, [way.key]))
        wait_for("service", lambda: ask(way)[0].status == 200)
    ends = quiet(lines)
    rows = ledger(way)
    billed = check_finals(rows, ends, PRICES)
    assert len(rows) == len(ends) and all(r["usage_source"] == "final" for r in rows.values()), (len(rows), len(ends))
    assert billed == sum(r["charge_nusd"] for r in rows.values())
    way.verify()
    assert way.stop() == 0
    print("#   refused after %.1f ms (median of %d, slowest %.1f ms)" % (statistics.median(took), REFUSALS, max(took)))
    assert statistics.median(took) <= REFUSED_MS * SLOW, took


def stopped_while_full():
    """What could not be written at the end is resolved by the next start."""
    way = server()
    lines = []
    shots = [Shot(way.key, message("m", 400, "[[sim:delay_ms=%d]]" % (1500 * SLOW))) for _ in range(5)]
    runner = threading.Thread(target=storm, args=(way, shots))
    runner.start()
    wait_for("five calls", lambda: lines.extend(witness.lines()) or sum(x["event"] == "begin" for x in lines) == 5)
    flag("full", True)
    runner.join()
    assert all(s.status == 200 for s in shots)
    way.stop()
    flag("full", False)
    way.start()
    assert nothing_held(way, [way.key])
    rows = ledger(way)
    for line in quiet(lines):
        assert rows[line["x_request_id"]]["state"] == "SETTLED" and rows[line["x_request_id"]]["charge_nusd"] > 0
    wait_for("the log", lambda: "recovered 5 requests" in way.server_log())
    way.verify()
    assert way.stop() == 0


def fails_for_good(name, word):
    """Whether the commit is in the file is not known: the process ends, the next one reads it."""
    way = server()
    lines = []
    assert ask(way, 3)[0].status == 200
    running = [Shot(way.key, message("m", 400, "[[sim:output_tokens=400,tps=100]]", True)) for _ in range(4)]
    runner = threading.Thread(target=storm, args=(way, running))
    runner.start()
    wait_for("the streams to run", lambda: all(s.data.count(b"event: ") >= 3 for s in running))
    lines += witness.lines()
    flag(name, True)
    shots = ask(way, 10)
    assert not any(s.status == 200 for s in shots), [s.status for s in shots]
    assert way.child.wait(20 * SLOW) == 70, way.child.returncode
    flag(name, False)
    runner.join()
    new = witness.lines()
    assert not [x for x in new if x["event"] == "begin"], "sent although it could not be recorded"
    lines += new
    said = [x for x in way.server_log().splitlines() if "the process ends" in x]
    assert said and "ledger" in said[-1], way.server_log()[-600:]
    ends = quiet(lines)
    dead = rows_of(copy_of(way))
    assert {x["x_request_id"] for x in ends} <= set(dead)
    way.start()
    assert nothing_held(way, [way.key])
    rows = ledger(way)
    assert {x["x_request_id"] for x in ends} <= set(rows) and all(r["state"] == "SETTLED" for r in rows.values())
    check_finals(rows, ends, PRICES)
    way.verify()
    assert ask(way)[0].status == 200, "it does not serve after the restart"
    quiet([])
    assert way.stop() == 0, word


def copy_of(way):
    for end in ("", "-wal"):
        if os.path.exists(way.db + end):
            shutil.copyfile(way.db + end, os.path.join(way.dir, "dead.db" + end))
    return os.path.join(way.dir, "dead.db")


def read_only(name):
    """A file that cannot be written is told at the start, in one line."""
    way = server()
    assert ask(way)[0].status == 200
    quiet([])
    assert way.stop() == 0
    before = rows_of(copy_of(way))
    flag(name, True)
    done = subprocess.run([WAYFARE, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"], env=way.env,
                          capture_output=True, text=True, timeout=30 * SLOW)
    flag(name, False)
    assert done.returncode == 1 and "listening" not in done.stdout, (done.returncode, done.stdout, done.stderr)
    last = done.stderr.strip().splitlines()[-1]
    assert way.db in last and any(w in last.lower() for w in ("read", "writ", "permission", "locked", "open")), done.stderr
    print("#   " + last.replace(way.db, "PATH"))
    way.start()
    assert ask(way)[0].status == 200
    quiet([])
    assert set(before) < set(ledger(way))
    way.verify()
    assert way.stop() == 0


FAULTS = ("full", "eio-write", "eio-sync", "read-only", "file-read-only")


def case(name, function, *args):
    report.case(name, function, *args)
    for f in FAULTS:
        flag(f, False)


try:
    case("full, and room again", full, 2)
    case("stopped while full", stopped_while_full)
    case("an fsync fails", fails_for_good, "eio-sync", "fsync")
    case("a write fails", fails_for_good, "eio-write", "write")
    case("a read-only disk", read_only, "read-only")
    case("a read-only file", read_only, "file-read-only")
finally:
    shutil.rmtree(work, True)
report.end()
