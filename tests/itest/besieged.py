#!/usr/bin/env python3
"""Crowds of clients that are slow, idle or too many, beside a few good ones: what they cost in
memory, processor and descriptors, and that the good ones are served all the while.

Bounds on time are wide, for busy machines; the figures are printed.  The long forms
(WAYFARE_LONG=1) have the sizes that Wayfare is made for: 500 slow readers, 6,000 that drip,
10,000 idle connections beside 1,000 streams, 2,000 streams."""

import asyncio
import json
import multiprocessing
import os
import resource
import select
import socket
import threading
import time

from crowd import LONG, Shot, count, message, metric, shoot
from harness import SLOW, Report, Sim, Wayfare, endpoint, price, provider, wait_for

KIB, MIB = 1024, 1024 * 1024
FLOOD_TOK = 250000  # about a MiB
GOOD_P99_S = 3.0 * SLOW    # of good traffic beside a crowd; tens of milliseconds where the machine is free
SHED_P99_S = 1.0 * SLOW    # of a refusal; a few milliseconds
GOODPUT = 0.85 if LONG else 0.6  # of the peak, with three times too many
# Memory of a program that watches itself is not its own.
MEMORY = 8 if any(os.environ.get(x) for x in ("ASAN_OPTIONS", "TSAN_OPTIONS")) else 1
STREAM_BYTES = MEMORY * 512 * KIB  # of memory for a stream that is not read
IDLE_CPU = 0.05 if LONG else 0.3  # of a core
RSS_ALL = MEMORY * 600 * MIB        # 10,000 idle connections and 1,000 streams

resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
sim, floods = Sim(["acme"]), Sim(["floods"])  # a process of its own: making a flood takes its time
CATALOG = {
    "providers": [provider("acme", sim.url["acme"]), provider("floods", floods.url["floods"])],
    "models": [{"id": "test/" + n, "aliases": [n], "endpoints": [
        endpoint("floods" if n == "flood" else "acme", "m-" + n, price("1", "5"), max_completion_tokens=FLOOD_TOK, context_length=2 * FLOOD_TOK)]}
        for n in ("m", "flood", "stream", "late")]}
sim.script("acme", model="m-m", output_tokens=5)
floods.script("floods", model="m-flood", output_tokens=FLOOD_TOK, event_tokens=1000)
report = Report()


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
    return len(os.listdir("/proc/%d/fd" % way.child.pid))


def p99(times):
    return sorted(times)[int(0.99 * (len(times) - 1))] if times else None


def ms(seconds):
    return "%.1f ms" % (1000 * seconds)


class Good:
    """Good traffic: so many clients that ask one thing after the other, in a process of their own."""

    def __init__(self, way, n=4):
        self.way, self.n = way, n

    def __enter__(self):
        fork = multiprocessing.get_context("fork")
        self.stop = fork.Event()
        self.here, there = fork.Pipe()
        self.process = fork.Process(target=self.main, args=(there,), daemon=True)
        self.process.start()
        return self

    def main(self, there):
        self.times, self.wrong = [], []
        threads = [threading.Thread(target=self.run) for _ in range(self.n)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        there.send((self.times, [repr(x) for x in self.wrong[:3]]))

    def run(self):
        body = json.dumps(message("m", 5))
        conn = self.way.connect()
        try:
            while not self.stop.is_set():
                begun = time.monotonic()
                conn.request("POST", "/v1/messages", body, {"x-api-key": self.way.key, "content-type": "application/json"})
                answer = conn.getresponse()
                data = answer.read()
                self.times.append(time.monotonic() - begun)
                if answer.status != 200:
                    self.wrong.append((answer.status, data))
                time.sleep(0.005)
        except Exception as e:  # noqa: said by the test's own thread
            self.wrong.append(e)
        conn.close()

    def __exit__(self, *exc):
        self.stop.set()
        self.times, self.wrong = self.here.recv()
        self.process.join()
        if exc[0] is None:
            assert not self.wrong, self.wrong[:3]
            assert self.times and p99(self.times) < GOOD_P99_S, (len(self.times), self.times[-3:])

    def said(self):
        return "%d good requests, p99 %s" % (len(self.times), ms(p99(self.times)))


def baseline(way, seconds=3):
    with Good(way) as g:
        time.sleep(seconds)
    return "alone " + g.said()


def connect(way, receive=None):
    s = socket.socket()
    if receive:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    s.settimeout(60 * SLOW)
    s.connect((way.host, way.port))
    s.setblocking(False)
    return s


def post(way, body, more=b""):
    return (b"POST /v1/messages HTTP/1.1\r\nHost: h\r\nx-api-key: " + way.key.encode() + b"\r\n" + more +
            b"Content-Length: %d\r\n\r\n" % len(body) + body)


def closed(sock):
    """The server has ended it; what it said is thrown away."""
    try:
        while True:
            if not sock.recv(65536):
                return True
    except BlockingIOError:
        return False
    except OSError:
        return True


# ---- readers that are slow, or stop ----

def slow_readers():
    """Memory of each is bounded, others notice nothing, and who stops reading is cut."""
    n, patience, seconds = count(30, 500), 60 if LONG else 4, 30 if LONG else 3
    way = Wayfare(CATALOG, args=["--client-timeout", str(patience)])
    alone = baseline(way)
    before, fds = rss(way), descriptors(way)
    body = json.dumps(message("flood", FLOOD_TOK, stream=True)).encode()
    readers = []
    with Good(way, 8) as good:
        for _ in range(n):
            readers.append(connect(way, receive=4 * KIB))
            readers[-1].sendall(post(way, body))
        wait_for("all streams", lambda: metric(way, "wayfare_streams_total") >= n, 120)
        end = time.monotonic() + seconds
        while time.monotonic() < end:  # 1 KiB/s
            for s in readers:
                try:
                    assert s.recv(KIB), "a slow reader was cut"
                except BlockingIOError:
                    pass
            time.sleep(1)
        each = (rss(way) - before) / n
        stopped = time.monotonic()
        wait_for("them to be cut", lambda: metric(way, "wayfare_requests_in_flight") <= 8, patience + 20)
        took = time.monotonic() - stopped
    for s in readers:
        s.close()
    wait_for("their descriptors", lambda: descriptors(way) <= fds + 16)
    print("#   %d readers of 1 KiB/s: %d KiB each; cut %.0f s after the last read; %s; beside %s" % (n, each / KIB, took, good.said(), alone))
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
    opened, lasted = {}, {"heads": [], "bodies": []}
    with Good(way) as good:
        for kind, n, start in (("heads", n_heads, b"POST /v1/messages HTTP/1.1\r\nHost: h\r\nX-A: "),
                               ("bodies", n_bodies, post(way, b"", b"")[:-len(b"Content-Length: 0\r\n\r\n")] + b"Content-Length: 1000\r\n\r\n")):
            for _ in range(n):
                s = connect(way)
                s.sendall(start)
                opened[s] = (kind, time.monotonic())
        until = time.monotonic() + (patience + 60) * SLOW
        while opened and time.monotonic() < until:
            begun = time.monotonic()
            for s in list(opened):
                kind, since = opened[s]
                try:
                    gone = closed(s)
                    s.send(b"x") if not gone else None
                except BlockingIOError:
                    pass
                except OSError:
                    gone = True
                if gone:
                    lasted[kind].append(time.monotonic() - since)
                    s.close()
                    del opened[s]
            time.sleep(max(0.0, 1 - (time.monotonic() - begun)))
        assert not opened, "%d of them live on" % len(opened)
    wait_for("their descriptors", lambda: descriptors(way) <= fds + 8)
    print("#   %d heads lasted %.1f s at most, %d bodies %.1f s (limit %d s); %s; beside %s" % (
        n_heads, max(lasted["heads"]), n_bodies, max(lasted["bodies"]), patience, good.said(), alone))
    # Looked at once a second, by a machine that is busy.
    assert max(lasted["heads"]) < 10 + 5 * SLOW and max(lasted["bodies"]) < patience + 5 * SLOW, lasted
    assert min(lasted["bodies"]) > patience - 0.5, min(lasted["bodies"])
    assert metric(way, "wayfare_requests_slow_body_total") == n_bodies
    assert way.stop() == 0


# ---- connections that are idle, streams that are many ----

class Streams(threading.Thread):
    """So many streams at once on one epoll set; each must be whole."""

    def __init__(self, way, n):
        super().__init__(daemon=True)
        self.way, self.n, self.ended, self.whole, self.first = way, n, 0, 0, []
        self.start()

    def run(self):
        body = json.dumps(message("stream", 10000, stream=True)).encode()
        self.poll, self.tails = select.epoll(), {}
        for _ in range(self.n):
            begun = time.monotonic()
            s = connect(self.way)
            s.sendall(post(self.way, body, b"Connection: close\r\n"))
            self.poll.register(s, select.EPOLLIN)
            self.tails[s.fileno()] = [s, b"", begun]
            self.look(0)
        while self.tails:
            self.look(1)

    def look(self, wait):
        for fd, _ in self.poll.poll(wait):
            t = self.tails[fd]
            try:
                piece = t[0].recv(65536)
            except OSError:
                piece = b""
            if not t[1] and piece:
                self.first.append(time.monotonic() - t[2])
            if piece:
                t[1] = (t[1] + piece)[-200:]
                continue
            self.ended += 1
            self.whole += b"message_stop" in t[1] and t[1].endswith(b"0\r\n\r\n")
            t[0].close()
            del self.tails[fd]


def many_connections():
    n_idle, n_streams, seconds = count(300, 10000), count(50, 1000), 20 if LONG else 4
    sim.script("acme", model="m-stream", output_tokens=40 * seconds, tps=40, event_tokens=4)  # an event each 100 ms
    way = Wayfare(CATALOG, args=["--client-timeout", "600"])  # they shall stay, however long this takes here
    way.messages()
    fds, before = descriptors(way), rss(way)
    ask = b"GET /health/live HTTP/1.1\r\nHost: h\r\n\r\n"
    idle = []
    for i in range(n_idle):
        idle.append(connect(way))
        idle[-1].sendall(ask)

    left = idle
    got = 0
    until = time.monotonic() + 60 * SLOW
    while left and time.monotonic() < until:
        still = []
        for s in left:
            try:
                got += s.recv(4096).startswith(b"HTTP/1.1 200")
            except BlockingIOError:
                still.append(s)
        left = still
    assert got == n_idle, (got, n_idle)
    time.sleep(1)
    cpu, begun = cpu_s(way), time.monotonic()
    time.sleep(5)
    idle_cpu = (cpu_s(way) - cpu) / (time.monotonic() - begun)
    idle_rss = rss(way)
    cpu, begun = cpu_s(way), time.monotonic()
    streams = Streams(way, n_streams)
    streams.join(120 * SLOW)
    stream_cpu = (cpu_s(way) - cpu) / (time.monotonic() - begun)
    most = rss(way)
    assert streams.whole == n_streams, (streams.whole, streams.ended, n_streams)
    for s in idle:  # each is still there
        s.setblocking(True)
        s.sendall(ask)
    ok = sum(s.recv(4096).startswith(b"HTTP/1.1 200") for s in idle)
    assert ok == n_idle, "%d of %d idle connections were lost" % (n_idle - ok, n_idle)
    for s in idle:
        s.close()
    wait_for("their descriptors", lambda: metric(way, "wayfare_connections") <= 2 and descriptors(way) <= fds + n_streams + 16, 30)
    print("#   %d idle: %.1f %% of a core, %d MiB (%.1f KiB each); with %d streams %d MiB, %.0f %% of a core, first byte p99 %s" % (
        n_idle, 100 * idle_cpu, idle_rss / MIB, (idle_rss - before) / n_idle / KIB, n_streams, most / MIB, 100 * stream_cpu, ms(p99(streams.first))))
    assert idle_cpu < IDLE_CPU, idle_cpu
    assert most < RSS_ALL, most
    way.verify()
    assert way.stop() == 0


def many_streams():
    n, seconds = count(150, 2000), 20 if LONG else 3
    sim.script("acme", model="m-stream", output_tokens=40 * seconds, tps=40, event_tokens=4)
    way = Wayfare(CATALOG)
    way.messages()
    cpu, begun = cpu_s(way), time.monotonic()
    streams = Streams(way, n)
    most = 0
    while streams.is_alive() and time.monotonic() < begun + 180 * SLOW:
        most = max(most, metric(way, "wayfare_requests_in_flight"))
        time.sleep(0.2)
    assert streams.whole == n, (streams.whole, streams.ended, n)
    print("#   %d streams of %d s, %d at once: %d MiB, %.0f %% of a core, first byte p99 %s" % (
        n, seconds, most, rss(way) / MIB, 100 * (cpu_s(way) - cpu) / (time.monotonic() - begun), ms(p99(streams.first))))
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


# ---- three times too many ----

def overload():
    at_once, delay_s, seconds = 20, 0.5, 20 if LONG else 6
    sim.script("acme", model="m-late", delay_ms=int(1000 * delay_s), output_tokens=5)
    way = Wayfare(CATALOG, args=["--max-requests", str(at_once)])
    body = json.dumps(message("late", 5)).encode()
    times = {}

    async def timed(shot):
        begun = time.monotonic()
        await shoot(way, shot, 60 * SLOW)
        times.setdefault(shot.status, []).append(time.monotonic() - begun)

    async def closed_loop():
        end = time.monotonic() + seconds

        async def worker():
            while time.monotonic() < end:
                await timed(Shot(way.key, body))

        await asyncio.gather(*[worker() for _ in range(at_once)])

    async def open_loop(rate):
        tasks, begun = [], time.monotonic()
        for i in range(int(rate * seconds)):
            await asyncio.sleep(max(0, begun + i / rate - time.monotonic()))
            tasks.append(asyncio.create_task(timed(Shot(way.key, body))))
        await asyncio.gather(*tasks)

    asyncio.run(closed_loop())
    assert set(times) == {200}, {k: len(v) for k, v in times.items()}
    peak = len(times[200]) / seconds
    times.clear()
    rate = 3 * peak
    begun = time.monotonic()
    asyncio.run(open_loop(rate))
    goodput = len(times.get(200, [])) / (time.monotonic() - begun)
    shed = times.get(529, [])
    assert set(times) == {200, 529}, {k: len(v) for k, v in times.items()}
    print("#   peak %.0f/s; at %.0f/s: goodput %.0f/s (%.0f %%), %d refused, p50 %s, p99 %s" % (
        peak, rate, goodput, 100 * goodput / peak, len(shed), ms(sorted(shed)[len(shed) // 2]), ms(p99(shed))))
    assert goodput > GOODPUT * peak, (goodput, peak)
    assert p99(shed) < SHED_P99_S, p99(shed)
    # and no collapse after it
    begun = time.monotonic()
    wait_for("nothing in flight", lambda: metric(way, "wayfare_requests_in_flight") == 0, 5)
    assert way.messages()[0] == 200
    print("#   recovered after %s" % ms(time.monotonic() - begun))
    way.verify()
    assert way.stop() == 0


report.case("slow readers", slow_readers)
report.case("drips", drips)
report.case("idle connections and streams", many_connections)
report.case("many streams", many_streams)
report.case("little memory", little_memory)
report.case("three times too many", overload)
report.end()
