#!/usr/bin/env python3
"""One allocation after the other fails: the first of a request, the second, and so on, wherever in the
process it is made (the program, its libraries, each thread).  Nothing crashes; the client gets an
answer of the protocol, or its connection ends; no hold stays; the books are right.

The server runs with a malloc of ours in front of the C library's, which a shared page arms.
WAYFARE_LONG=1: every allocation; otherwise a sample that shifts with WAYFARE_SEED_MEMORY."""

import ctypes
import http.client
import json
import mmap
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time

from crowd import LONG
from harness import Report, SLOW, Sim, WAYFARE, Wayfare, endpoint, price, provider, wait_for

SOURCE = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* countdown: the allocation that makes it 0 fails; negative or 0: none. */
struct page { atomic_long countdown, fired, depth; void *stack[24]; };
static struct page *page;
static _Thread_local int inside;

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);

static __attribute__((constructor)) void start(void)
{
    const char *path = getenv("NOMEM_PAGE");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *at[4];
    backtrace(at, 4); /* allocates the first time */
    if (fd >= 0) {
        void *p = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        page = p != MAP_FAILED ? p : NULL;
        close(fd);
    }
}

static int refused(void)
{
    if (page == NULL || inside || atomic_load(&page->countdown) <= 0 ||
        atomic_fetch_sub(&page->countdown, 1) != 1)
        return 0;
    inside = 1;
    atomic_store(&page->depth, backtrace(page->stack, 24));
    inside = 0;
    atomic_fetch_add(&page->fired, 1);
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t n) { return refused() ? NULL : __libc_malloc(n); }
void *calloc(size_t n, size_t size) { return refused() ? NULL : __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { return n > 0 && refused() ? NULL : __libc_realloc(p, n); }
"""
POINTS = 1 << 30 if LONG else max(6, int(14 / SLOW))  # of each scenario
SAYS_WHY = ("wayfare: out of memory", "json_object.c", "printbuf")  # SQL; what json-c builds (admin, dry run, records)
# libcurl 7.88.1 itself divides by zero after some of its own allocations: nothing of ours is near.
LIBRARY_ENDS = {-signal.SIGFPE: "libcurl", -signal.SIGSEGV: "libjson-c"}
# json-c 0.16 goes on with half a text, or none, after an allocation of its own: an answer built with it
# may be cut.  What is held and billed must be right all the same.
CUTS = "libjson-c"
# Too large for a dialog's memory and no memory for it end alike.
NO_ROOM = b"too large to be translated"
EXIT_LEDGER = 70  # a COMMIT whose outcome is not known ends the process: documented
rng = random.Random(int(os.environ.get("WAYFARE_SEED_MEMORY", "1")))


class Page(ctypes.Structure):
    _fields_ = [("countdown", ctypes.c_long), ("fired", ctypes.c_long), ("depth", ctypes.c_long), ("stack", ctypes.c_void_p * 24)]


class Torture:
    def __init__(self, catalog):
        self.dir = tempfile.mkdtemp(prefix="wayfare-nomem-")
        source, library, path = (os.path.join(self.dir, n) for n in ("nomem.c", "nomem.so", "page"))
        with open(source, "w") as f:
            f.write(SOURCE)
        subprocess.run([os.environ.get("CC", "cc").split()[0], "-shared", "-fPIC", "-O1", "-fno-builtin", "-o", library, source], check=True)
        with open(path, "wb") as f:
            f.write(b"\0" * mmap.PAGESIZE)
        self.file = open(path, "r+b")
        self.page = Page.from_buffer(mmap.mmap(self.file.fileno(), mmap.PAGESIZE))
        self.way = Wayfare(catalog, args=["--verify-every", "0", "--ballast-mib", "0"], threads=1, budget="1000")
        self.way.stop()
        self.way.env.update(LD_PRELOAD=library, NOMEM_PAGE=path)
        self.way.cli = self.plain_cli(self.way.cli)
        self.restarts = 0
        self.start()

    def start(self):
        self.way.start()
        try:
            with open("/proc/%d/maps" % self.way.child.pid) as f:
                lines = [line.split() for line in f]
        except PermissionError:  # only root may: then a failure does not name its place
            lines = []
        self.maps = [(int(l[0].split("-")[0], 16), int(l[0].split("-")[1], 16), l[-1]) for l in lines if l[-1].startswith("/")]

    def plain_cli(self, cli):
        """The command line runs without the library: its allocations are none of the server's."""
        def run(*argv, **named):
            env, self.way.env = self.way.env, {k: v for k, v in self.way.env.items() if k not in ("LD_PRELOAD", "NOMEM_PAGE")}
            try:
                return cli(*argv, **named)
            finally:
                self.way.env = env
        return run

    def where(self):
        """The stack of the allocation that failed."""
        said = []
        for a in self.page.stack[2:self.page.depth]:
            path = next((m[2] for m in self.maps if m[0] <= (a or 0) < m[1]), "?")
            at = (a or 0) - min([m[0] for m in self.maps if m[2] == path] or [0])
            text = "%s+%#x" % (os.path.basename(path), at)
            if path == WAYFARE and shutil.which("addr2line"):
                done = subprocess.run(["addr2line", "-sfe", WAYFARE, hex(at - 1)], capture_output=True, text=True)
                text = done.stdout.strip().replace("\n", " ")
            said.append("    " + text)
        return "\n".join(said[:12])

    def arm(self, n):
        self.page.fired = 0
        self.page.countdown = n

    def disarm(self):
        self.page.countdown = 0
        return self.page.fired > 0

    def recover(self, name, n, send):
        """Waits for good answers; what was wrong on the way, or None.  A process that ended is replaced;
        two ends are documented."""
        end, wrong = time.monotonic() + 20 * SLOW, None
        while True:
            code = self.way.child.poll()
            if code is not None:
                last = self.way.server_log()[-300:].strip().splitlines()[-1]
                where = self.where()
                library = LIBRARY_ENDS.get(code)
                if library and is_in(where, library):
                    print("# %s, allocation %d: ended inside %s" % (name, n, library), flush=True)
                elif code != EXIT_LEDGER and not (code == -signal.SIGABRT and any(w in last for w in SAYS_WHY)):
                    wrong = "%s, allocation %d: the server ended with %s: %s\n%s" % (name, n, code, last, where)
                self.restarts += 1
                self.start()
            if send()[0] in (200, 201):
                return wrong
            if time.monotonic() > end:
                return "%s, allocation %d: no good answers since\n%s" % (name, n, self.where())
            time.sleep(0.02)


def is_in(where, library):
    """Did the library ask for the memory, itself or through libc?"""
    frames = [x.strip() for x in where.splitlines()]
    return bool(frames) and next((x for x in frames if not x.startswith("libc.so")), "").startswith(library)


def one_answer(way, port, path, body, headers):
    """(status or None, complete?, body) of a request that may be cut anywhere."""
    conn = http.client.HTTPConnection(way.host, port, timeout=20 * SLOW)
    try:
        conn.request("POST", path, json.dumps(body), headers)
        answer = conn.getresponse()
        return answer.status, answer.getheader("content-type") or "", answer.read()
    except (OSError, http.client.HTTPException):
        return None, "", b""
    finally:
        conn.close()


def check_answer(name, n, answer, torture):
    """What is wrong with it, or None."""
    status, kind, body = answer
    if status is None or kind.startswith("text/event-stream") or body.startswith((b"event: ", b"data: ")):
        return None  # its connection had no memory; a stream that was cut has no last event
    where = torture.where()
    if is_in(where, CUTS) or NO_ROOM in body:
        return None
    what = None if status in (200, 201, 500, 502, 503, 504, 529) else "status"
    try:
        parsed = json.loads(body)
        what = what or (None if status < 400 or "error" in parsed else "no error object")
    except ValueError:
        what = "not JSON"
    return what and "%s, allocation %d: %s: %d %r\n%s" % (name, n, what, status, body[:300], where)


sim = Sim(["good", "chat", "bad"])
sim.script("bad", status=500)
CATALOG = {
    "providers": [provider("good", sim.url["good"]), provider("bad", sim.url["bad"]),
                  provider("chat", sim.url["chat"] + "/v1", protocol="openai")],
    "models": [
        {"id": "test/m", "aliases": ["m"], "endpoints": [endpoint("good", "up", price("1", "5"))]},
        {"id": "test/f", "aliases": ["f"], "endpoints": [endpoint("bad", "up", price("1", "5")), endpoint("good", "up2", price("2", "9"))]},
        {"id": "test/e", "aliases": ["e"], "endpoints": [endpoint("good", "up3", price("1", "5")), endpoint("bad", "up4", price("9", "9"))]},
        {"id": "test/o", "aliases": ["o"], "endpoints": [endpoint("chat", "up", price("1", "5"))]}]}


def messages(model, **more):
    return dict({"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": "tell me"}]}, **more)


TOOLS = [{"name": "look", "description": "looks", "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}}}]
DATA = {  # name: (path, body)
    "a JSON answer": ("/v1/messages", messages("m")),
    "a stream": ("/v1/messages", messages("m", stream=True)),
    "failover": ("/v1/messages", messages("f", provider_order=["bad", "good"])),
    "translated": ("/v1/messages", messages("o", tools=TOOLS)),
    "a translated stream": ("/v1/messages", messages("o", stream=True, system="be brief")),
    "Chat Completions, translated": ("/v1/chat/completions", messages("m", stream=True)),
    "Chat Completions": ("/v1/chat/completions", messages("o")),
    "count_tokens": ("/v1/messages/count_tokens", messages("m")),
    "the dry run": ("/v1/route", messages("f")),
    "an experiment, with a copy": ("/v1/messages", messages("e")),
    "an edited answer": ("/v1/messages", messages("m", stream=True)),
}
torture = Torture(CATALOG)
way = torture.way
PREFS = os.path.join(way.dir, "prefs.json")
with open(PREFS, "w") as prefs:
    json.dump({"provider_only": ["good"], "model": "test/e"}, prefs)
way.cli("experiment", "create", "x", "--model", "e", "--arm", "A=%s:1" % PREFS, "--shadow-arm", "S=%s:100" % PREFS)


def points(total):
    """Which of `total` allocations fail."""
    if total <= POINTS:
        return range(1, total + 1)
    return sorted(rng.sample(range(1, total + 1), POINTS))


def run(name, send):
    """How many allocations a request makes, then one that fails after the other."""
    for _ in range(3):
        send()
    torture.arm(1 << 40)
    send()
    total = (1 << 40) - torture.page.countdown
    torture.disarm()
    assert total > 0, "nothing was counted: the library is not in front"
    tried = fired = 0
    wrong = {}  # by where the allocation was
    for n in points(total):
        torture.arm(n)
        answer = send()
        fired += torture.disarm()
        tried += 1
        fault = check_answer(name, n, answer, torture)
        fault = torture.recover(name, n, send) or fault
        if fault:
            wrong.setdefault(fault.partition("\n")[2], fault)
    print("# %s: %d allocations, %d failed of %d tried" % (name, total, fired, tried), flush=True)
    assert fired * 2 >= tried, "most of the failures never happened"
    assert not wrong, "%d places:\n%s" % (len(wrong), "\n".join(wrong.values()))
    again = send()
    assert again[0] in (200, 201), again


def data(path, body, more):
    return one_answer(way, way.port, path, body, dict({"x-api-key": way.key, "content-type": "application/json"}, **more))


def copied(path, body, more):
    """The copy goes on behind the answer: until nothing asks for memory any more."""
    answer = data(path, body, more)
    for _ in range(int(40 * SLOW)):
        before = torture.page.countdown
        time.sleep(0.05)
        if torture.page.countdown == before:
            break
    return answer


def admin_write():
    host, port = way.admin.rsplit(":", 1)
    return one_answer(way, int(port), "/admin/v1/keys", {"team": "t", "name": "n"},
                      {"authorization": "Bearer admin-token-for-tests", "content-type": "application/json"})


def nothing_is_held():
    def settled():
        limits = json.loads(way.request("GET", "/v1/key")[2])["limits"]
        return limits and all(float(row["held_usd"]) == 0 for row in limits)
    wait_for("holds to be released", settled, 20)
    way.verify()


report = Report()
for name, (path, body) in DATA.items():
    more = {"x-wayfare-report": "body"} if name == "an edited answer" else {}
    ask = copied if name == "an experiment, with a copy" else data
    report.case(name, run, name, lambda ask=ask, path=path, body=body, more=more: ask(path, body, more))
    report.case(name + ": nothing is held, the books are right", nothing_is_held)
report.case("an admin's write", run, "an admin's write", admin_write)
report.case("the books", nothing_is_held)
report.case("the end", lambda: way.stop())
print("# the ledger ended the process %d times" % torture.restarts)
report.end()
