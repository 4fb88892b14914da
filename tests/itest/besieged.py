#!/usr/bin/env python3
"""Crowds of clients that are slow, idle or too many, beside a few good ones: what they cost in
memory, processor and descriptors, and that the good ones are served all the while.

Bounds on time are wide, for busy machines; the figures are printed.  The long forms
(WAYFARE_LONG=1) have the sizes that Wayfare is made for: 500 slow readers, 6,000 that drip,
10,000 idle connections beside 1,000 streams, 2,000 streams."""

import asyncio
import json
import os
import resource
import subprocess
import tempfile
import threading
import time

from crowd import LONG, Shot, count, message, metric, shoot
from harness import ONLY_ROOT, SLOW, Process, Report, Sim, Wayfare, descriptors_of, endpoint, find_program, price, provider, wait_for

KIB, MIB = 1024, 1024 * 1024
FLOOD_TOK = 250000  # about a MiB
GOOD_P99_S = 3.0 * SLOW    # of good traffic beside a crowd; tens of milliseconds where the machine is free
SHED_P99_S = 1.0 * SLOW    # of a refusal; a few milliseconds
GOODPUT = 0.7 if LONG else 0.6  # of the peak, with twice and three times too many; 0.9 and more where the machine is free
# Memory of a program that watches itself is not its own.
MEMORY = 8 if any(os.environ.get(x) for x in ("ASAN_OPTIONS", "TSAN_OPTIONS")) else 1
STREAM_BYTES = MEMORY * 512 * KIB  # of memory for a stream that is not read
BESIDE_BYTES = MEMORY * 4096 * KIB  # for what goes on beside them: good requests, the database's cache, the allocator
IDLE_CPU = 0.05 if LONG else 0.3  # of a core
RSS_ALL = MEMORY * 600 * MIB        # 10,000 idle connections and 1,000 streams

LOAD = find_program("WAYFARE_LOAD", "bench/load")
STREAM_S = 20 if LONG else int(5 * SLOW)  # long enough that all are there before the first ends
EVENTS_PER_S = 20


class Mock(Process):
    """The benchmark's upstream, which costs less than what it is there for."""

    def __init__(self):
        super().__init__([find_program("WAYFARE_MOCK", "bench/mock"), str(EVENTS_PER_S * STREAM_S), str(1000 // EVENTS_PER_S), str(int(300 * SLOW))])
        self.url = {n: "http://127.0.0.1:%s" % p for n, p in zip(("now", "late", "stream"), self.child.stdout.readline().split())}


resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
mock, floods = Mock(), Sim(["floods"])
URLS = dict(mock.url, **floods.url)
CATALOG = {
    "providers": [provider(n, url) for n, url in URLS.items()],
    "models": [{"id": "test/" + n, "aliases": [n], "endpoints": [
        endpoint(p, "m-" + n, price("1", "5"), max_completion_tokens=FLOOD_TOK, context_length=2 * FLOOD_TOK)]}
        for n, p in (("m", "now"), ("flood", "floods"), ("stream", "stream"), ("late", "late"))]}
floods.script("floods", model="m-flood", output_tokens=FLOOD_TOK, event_tokens=1000)
report = Report()
unseen = set()  # servers whose descriptors may not be counted
bodies = tempfile.TemporaryDirectory(prefix="wayfare-crowd-")


def body_file(model, size=0, **more):
    path = os.path.join(bodies.name, "%s-%d.json" % (model, size))
    with open(path, "w") as f:
        json.dump(message(model, **dict({"max_tokens": 5}, **more), text="x" * size + "Hello"), f)
    return path


# ---- what a process uses ----

def rss(way):
    with open("/proc/%d/status" % way.child.pid) as f:
        return next(int(x.split()[1]) * KIB for x in f if x.startswith("VmRSS"))


def vm_size(way):
    with open("/proc/%d/status" % way.child.pid) as f:
        return next(int(x.split()[1]) * KIB for x in f if x.startswith("VmSize"))


def cpu_s(way):
    with open("/proc/%d/stat" % way.child.pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(way):
    n = descriptors_of(way.child.pid)
    if n is None:
        unseen.add(way.child.pid)
    return n or 0


def ms(us):
    return "%.1f ms" % (us / 1000)


class Crowd:
    """Clients of bench/load.c, in a process of their own."""

    def __init__(self, way, kind, n, *options):
        argv = [LOAD, kind, way.port, n, *options, "x-api-key: " + way.key]
        self.child = subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE, text=True)
        self.kind = kind

    def wait_ready(self):
        assert self.child.stdout.readline() == "ready\n", self.kind
        return self

    def is_done(self):
        return self.child.poll() is not None

    def end(self, now=True):
        """Ends it, or waits until it does; returns what it has seen."""
        if now:
            self.child.terminate()
        line = self.child.communicate(timeout=300 * SLOW)[0].splitlines()[-1]
        assert self.child.returncode == 0, self.child.returncode
        return json.loads(line)


class Good:
    """Good traffic: so many clients that ask one thing after the other."""

    def __init__(self, way, n=4):
        self.way, self.n = way, n

    def __enter__(self):
        self.crowd = Crowd(self.way, "asks", self.n, "pause_ms=5", "body=" + body_file("m")).wait_ready()
        return self

    def __exit__(self, *exc):
        self.saw = self.crowd.end()
        if exc[0] is None:
            assert self.saw["failed"] == 0 and self.saw["complete"] > 0, self.saw
            assert self.saw["good"]["p99"] < 1e6 * GOOD_P99_S, self.saw

    def said(self):
        return "%d good requests, p50 %s, p99 %s" % (self.saw["complete"], ms(self.saw["good"]["p50"]), ms(self.saw["good"]["p99"]))


def baseline(way, seconds=2):
    with Good(way, 8) as g:
        time.sleep(seconds)
    return "alone " + g.said()


# ---- readers that are slow, or stop ----

def slow_readers():
    """Memory of each is bounded, others notice nothing, and who stops reading is cut."""
    rate = KIB if LONG else 16 * KIB  # less than the kernel's buffers hold is no progress that the server sees
    n, patience, seconds = count(100, 500), 60 if LONG else 4, 30 if LONG else 3
    way = Wayfare(CATALOG, args=["--client-timeout", str(patience)])
    alone = baseline(way)
    before, fds = rss(way), descriptors(way)
    with Good(way, 8) as good:
        readers = Crowd(way, "slow", n, "bytes_s=%d" % rate, "body=" + body_file("flood", max_tokens=FLOOD_TOK, stream=True))
        readers.wait_ready()
        wait_for("all streams", lambda: metric(way, "wayfare_streams_total") >= n, 120)
        time.sleep(seconds)
        # Looked at often: of the good ones up to eight are in flight beside the readers, and would stand for eight that were cut.
        assert min(metric(way, "wayfare_requests_in_flight") for _ in range(40)) >= n, "a slow reader was cut"
        each = (rss(way) - before - BESIDE_BYTES) / n
        readers.child.terminate()
        stopped = time.monotonic()
        wait_for("them to be cut", lambda: metric(way, "wayfare_requests_in_flight") <= 8, patience + 20)
        took = time.monotonic() - stopped
    assert readers.end()["failed"] == 0  # they did not look any more
    wait_for("their descriptors", lambda: descriptors(way) <= fds + 16)
    print("#   %d readers of %d KiB/s: %d KiB each; cut %.0f s after the last read; %s; beside %s" % (n, rate / KIB, each / KIB, took, good.said(), alone))
    assert each <= STREAM_BYTES, each
    way.verify()
    assert way.stop() == 0


# ---- requests that do not come ----

def drips():
    """A byte a second: of headers, of bodies."""
    n_heads, n_bodies, patience = count(150, 5000), count(50, 1000), 10 if LONG else 3
    way = Wayfare(CATALOG, args=["--client-timeout", str(patience)])
    alone = baseline(way)
    fds = descriptors(way)
    with Good(way) as good:
        crowds = [Crowd(way, "heads", n_heads), Crowd(way, "bodies", n_bodies, "body=" + body_file("m", 1000))]
        heads, bodies_ = [c.end(now=False) for c in crowds]
    lasted = {"heads": heads["lasted"], "bodies": bodies_["lasted"]}
    assert lasted["heads"]["n"] == n_heads and lasted["bodies"]["n"] == n_bodies, lasted
    wait_for("their descriptors", lambda: descriptors(way) <= fds + 8)
    print("#   %d heads lasted %.1f to %.1f s, %d bodies %.1f to %.1f s (limit %d s); %s; beside %s" % (
        n_heads, lasted["heads"]["min"] / 1e6, lasted["heads"]["max"] / 1e6, n_bodies, lasted["bodies"]["min"] / 1e6,
        lasted["bodies"]["max"] / 1e6, patience, good.said(), alone))
    # Looked at once a second, by a machine that is busy.
    assert lasted["heads"]["max"] < 1e6 * (10 + 5 * SLOW) and lasted["bodies"]["max"] < 1e6 * (patience + 5 * SLOW), lasted
    assert lasted["bodies"]["min"] > 1e6 * (patience - 0.5), lasted
    assert metric(way, "wayfare_requests_slow_body_total") == n_bodies
    assert way.stop() == 0


# ---- connections that are idle, streams that are many ----

def many_connections():
    n_idle, n_streams = count(300, 10000), count(50, 1000)
    way = Wayfare(CATALOG, args=["--client-timeout", "600"])  # they shall stay, however long this takes here
    way.messages()
    fds, before = descriptors(way), rss(way)
    idle = Crowd(way, "idle", n_idle, "path=/health/live").wait_ready()
    time.sleep(1)
    cpu, begun = cpu_s(way), time.monotonic()
    time.sleep(5 if LONG else 2)
    idle_cpu = (cpu_s(way) - cpu) / (time.monotonic() - begun)
    idle_rss = rss(way)
    cpu, begun = cpu_s(way), time.monotonic()
    streams = Crowd(way, "streams", n_streams, "total=%d" % n_streams, "body=" + body_file("stream", stream=True)).end(now=False)
    stream_cpu = (cpu_s(way) - cpu) / (time.monotonic() - begun)
    most = rss(way)
    assert streams["complete"] == n_streams, streams
    saw = idle.end()  # each is still there
    assert saw["complete"] == 2 * n_idle and saw["failed"] == 0, saw
    wait_for("their descriptors", lambda: metric(way, "wayfare_connections") <= 2 and descriptors(way) <= fds + n_streams + 16, 30)
    print("#   %d idle: %.1f %% of a core, %d MiB (%.1f KiB each); with %d streams %d MiB, %.0f %% of a core, an event's delay p50 %s, p99 %s" % (
        n_idle, 100 * idle_cpu, idle_rss / MIB, (idle_rss - before) / n_idle / KIB, n_streams, most / MIB, 100 * stream_cpu,
        ms(streams["delay"]["p50"]), ms(streams["delay"]["p99"])))
    assert idle_cpu < IDLE_CPU, idle_cpu
    assert most < RSS_ALL, most
    way.verify()
    assert way.stop() == 0


def many_streams():
    """At 20 events a second each, on one worker, at full speed."""
    n = count(150, 2000)
    way = Wayfare(CATALOG, threads=1)
    way.messages()
    cpu, begun = cpu_s(way), time.monotonic()
    crowd = Crowd(way, "streams", n, "total=%d" % n, "body=" + body_file("stream", stream=True))
    most = 0
    while not crowd.is_done():
        most = max(most, metric(way, "wayfare_requests_in_flight"))
        time.sleep(0.1)
    streams = crowd.end(now=False)
    took = time.monotonic() - begun
    assert streams["complete"] == n and streams["delay"]["n"] >= n * EVENTS_PER_S * STREAM_S, streams
    print("#   %d streams of %d s on one worker, %d at once, took %.1f s: %d MiB, %.0f %% of a core, an event's delay p50 %s, p99 %s" % (
        n, STREAM_S, most, took, rss(way) / MIB, 100 * (cpu_s(way) - cpu) / took, ms(streams["delay"]["p50"]), ms(streams["delay"]["p99"])))
    assert most >= n * 0.9, most
    way.verify()
    assert way.stop() == 0


# ---- too little memory ----

def little_memory():
    """Bodies of several times the memory there is: what does not fit is refused, nothing dies."""
    n, size = count(80, 400), 8 * MIB
    way = Wayfare(CATALOG, args=["--max-buffer-mib", "64"])
    way.messages()
    before = rss(way)
    room = MEMORY * 256 * MIB
    resource.prlimit(way.child.pid, resource.RLIMIT_AS, (vm_size(way) + room,) * 2)
    filler = b" " * (size - 200)
    body = json.dumps(message("m", 5)).encode() + filler
    shots = [Shot(way.key, body) for _ in range(n)]
    most = [0]
    stop = threading.Event()

    def watch():
        while not stop.is_set():
            most[0] = max(most[0], rss(way))
            stop.wait(0.05)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()

    async def run():
        gate = asyncio.Semaphore(40)

        async def one(shot):
            async with gate:
                await shoot(way, shot, 60 * SLOW)

        await asyncio.gather(*[one(s) for s in shots])

    asyncio.run(run())
    stop.set()
    watcher.join()
    by = {}
    for s in shots:
        by[s.status] = by.get(s.status, 0) + 1
    print("#   %d bodies of 8 MiB, 40 at once, %d MiB of room: %s; memory %d MiB, before %d" % (n, room / MIB, by, most[0] / MIB, before / MIB))
    assert way.child.poll() is None, "it died"
    assert by.get(200, 0) >= 5 and by.get(529, 0) >= 1, by
    # 0: cut off while it sent what nobody reads; else only refusals
    assert set(by) <= {200, 529, 0}, by
    assert way.messages()[0] == 200
    way.verify()
    assert way.stop() == 0


# ---- what is kept of requests that are over ----

def kept_memory():
    """Hundreds at once leave no more behind than a worker may keep."""
    n, each = 400, 16 * MIB
    way = Wayfare(CATALOG, threads=1)
    saw = Crowd(way, "asks", n, "total=%d" % (2 * n), "body=" + body_file("late", 40 * KIB)).end(now=False)
    assert saw["complete"] == 2 * n, saw
    wait_for("all to be over", lambda: metric(way, "wayfare_requests_in_flight") == 0)
    kept = metric(way, "wayfare_kept_bytes")
    print("#   %d at once: %.1f MiB kept" % (n, kept / MIB))
    assert each / 2 < kept <= each, kept
    way.verify()
    assert way.stop() == 0


# ---- too many ----

def overload():
    """Three times (twice) what there is room for, by clients that do not wait for each other."""
    at_once, seconds = 100, 20 if LONG else 3
    way = Wayfare(CATALOG, args=["--max-requests", str(at_once)])
    body = "body=" + body_file("late")
    saw = Crowd(way, "asks", at_once, "seconds=%d" % seconds, body).end(now=False)
    assert set(saw["status"]) == {"200"}, saw
    peak = saw["complete"] / saw["seconds"]
    for times in (2, 3) if LONG else (3,):
        rate = int(times * peak)
        for _ in range(3):  # the best of three: another program's load in these seconds is no collapse of ours
            saw = Crowd(way, "open", 4 * at_once, "rate=%d" % rate, "total=%d" % (rate * seconds), body).end(now=False)
            goodput, shed = saw["status"].get("200", 0) / saw["seconds"], saw["other"]
            assert set(saw["status"]) == {"200", "529"}, saw
            print("#   peak %.0f/s; at %d/s: goodput %.0f/s (%.0f %%), %d refused, p50 %s, p99 %s" % (
                peak, rate, goodput, 100 * goodput / peak, shed["n"], ms(shed["p50"]), ms(shed["p99"])))
            if goodput > GOODPUT * peak and shed["p99"] < 1e6 * SHED_P99_S:
                break
        assert goodput > GOODPUT * peak, (goodput, peak)
        assert shed["p99"] < 1e6 * SHED_P99_S, saw
    # and no collapse after it
    begun = time.monotonic()
    wait_for("nothing in flight", lambda: metric(way, "wayfare_requests_in_flight") == 0, 5)
    assert way.messages()[0] == 200
    print("#   recovered after %s" % ms(1e6 * (time.monotonic() - begun)))
    way.verify()
    assert way.stop() == 0


report.case("slow readers", slow_readers)
report.case("drips", drips)
report.case("idle connections and streams", many_connections)
report.case("many streams", many_streams)
report.case("little memory", little_memory)
report.case("what is kept", kept_memory)
report.case("too many", overload)
if unseen:
    report.skip("counts of descriptors", ONLY_ROOT)
report.end()
