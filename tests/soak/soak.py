#!/usr/bin/env python3
"""A long run under mixed faults with mixed clients: the server may grow by no more than 1 MiB an hour
and by no descriptor, its write-ahead log stays bounded, and the books are exact at the end.

  SOAK_SECONDS   how long (default 3600; tests/itest/soak_smoke.py runs a short form)
  SOAK_CLIENTS   how many at a time (default 12)
  SOAK_SEED      of the faults and of the clients (default 1)

A fault proxy of its own process stands before each provider; the clients come through both doors, some
leave in the middle, some read slowly; every few seconds the server is told to read its catalog again.
Prints a line a minute; the last line is "N passed, N failed, N skipped"."""

import asyncio
import collections
import json
import math
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "itest"))

import faultproxy  # noqa: E402
from crowd import Shot, Witness, check_finals, ledger, message, metric, nothing_held, shoot  # noqa: E402
from harness import ONLY_ROOT, SLOW, Process, Report, Sim, Wayfare, descriptors_of, endpoint, price, provider, wait_for  # noqa: E402

SECONDS = float(os.environ.get("SOAK_SECONDS", "3600"))
CLIENTS = int(os.environ.get("SOAK_CLIENTS", "12"))
SEED = int(os.environ.get("SOAK_SEED", "1"))
SAMPLE_S = max(0.5, SECONDS / 600)
RELOAD_S, TELL_S, LOOK_S = 5, 60, 20
# SQLite keeps 8 MiB of pages: until the file is larger than what is cached, memory grows with it.
WARM_DB_BYTES = 16 << 20
SLOPE_MAX_KIB_H = 1024  # reliability goal: 1 MiB an hour
# A slope is only as good as its error: a run that is too short for this says so and judges the plain growth.
SURE_KIB_H = 512
GROWTH_MAX_KIB = 8 * 1024  # of a short run, after its first third: pools that fill, not a leak of each request
PEAK_MAX_KIB = 32 * 1024  # what a report takes for its time, and gives back
WAL_MAX = 96 << 20  # from 64 MiB (DB_RESTART_PAGES) long reads wait; what is written while the last one ends comes on top
RATE = price("3", "15")
WAIT_MS = int(2000 * SLOW)
LIMITS = {"connect_ms": WAIT_MS, "first_byte_ms": WAIT_MS, "idle_ms": WAIT_MS, "total_ms": 20 * WAIT_MS}
NAMES = ["one", "two", "gpt"]

# What the lanes do, drawn per request.  Each is rare enough that most requests have an answer.
FAULTS = [
    dict(kind="status", code=500, share=0.03), dict(kind="status", code=529, share=0.02),
    dict(kind="status", code=429, retry_after=1, share=0.005), dict(kind="status", code=429, share=0.01),
    dict(kind="cut", bytes=[0, 3000], how="rst", share=0.03), dict(kind="cut", bytes=[0, 3000], how="fin", share=0.03),
    dict(kind="cut_chunk", events=2, share=0.01), dict(kind="corrupt_chunk", events=3, share=0.01),
    dict(kind="half_close", events=2, share=0.005), dict(kind="blackhole", share=0.002),
    dict(kind="huge_header", bytes=70000, share=0.005), dict(kind="slice", bytes=7, share=0.05),
    dict(kind="latency", ms=[5, 200], share=0.1), dict(kind="bandwidth", bytes_per_s=60000, share=0.05),
    dict(kind="delay_at", bytes=[0, 2000], ms=150, share=0.05), dict(kind="duplicate", event=3, share=0.01),
    dict(kind="swap", event=2, share=0.01), dict(kind="drop", event=-1, share=0.01),
    dict(kind="error_event", events=3, share=0.01), dict(kind="accept_rst", share=0.01),
    dict(kind="idle_close", ms=[0, 100], how="fin", share=0.1), dict(kind="idle_close", ms=[0, 100], how="rst", share=0.05),
    dict(kind="idle_close", how="race", share=0.03)]

report = Report()
sim = Sim(NAMES)
witness = Witness(sim)
work = tempfile.mkdtemp(prefix="wayfare-soak-")
proxy = Process([sys.executable, faultproxy.__file__, "--seed", str(SEED), "--control", os.path.join(work, "control")]
                + ["%s=%s" % (n, sim.url[n]) for n in NAMES], stderr=open(os.path.join(work, "proxy.log"), "w"))
URL = {n: "http://" + proxy.read_address("listening on ") for n in NAMES}
control = faultproxy.Remote(os.path.join(work, "control"))


def catalog(note):
    """note: what a reload finds changed."""
    return {"providers": [provider("one", URL["one"], timeouts=LIMITS),
                          provider("two", URL["two"], timeouts=LIMITS, cancel_stops_billing=False),
                          provider("direct", sim.url["one"]),
                          provider("gpt", URL["gpt"] + "/v1", timeouts=LIMITS, protocol="openai")],
            "models": [{"id": "soak/m", "aliases": ["m"], "name": "M %d" % note, "endpoints": [
                endpoint("one", "m-one", RATE), endpoint("two", "m-two", RATE), endpoint("gpt", "gpt-sim", RATE)]},
                       {"id": "soak/warm", "aliases": ["warm"], "name": "Warm", "endpoints": [endpoint("direct", "m-one", RATE)]}]}


way = Wayfare(catalog(0), budget="1000000", args=["--verify-every", "0"])
told = collections.Counter()


def prefs(**fields):
    path = os.path.join(work, "prefs-%d.json" % len(os.listdir(work)))
    with open(path, "w") as f:
        json.dump(fields, f)
    return path


def begin_experiment():
    """Both arms serve; of every tenth request a copy goes to a shadow arm; users say what they think."""
    way.cli("experiment", "create", "soak", "--model", "m", "--unit", "request", "--arm", "A=none:1",
            "--arm", "B=%s:1" % prefs(provider_sort="price"), "--shadow-arm", "S=%s:10" % prefs(provider_sort="latency"),
            "--metric", "stars:higher", "--guardrail", "latency:1000")


async def say(shot, stars):
    mark = {"generation_id": shot.header("x-wayfare-generation-id"), "metric": "stars", "value": stars}
    answer = await shoot(way, Shot(way.key, mark, path="/v1/feedback"), 120 * SLOW)
    assert answer.status == 200, bytes(answer.data)
    told["feedback"] += 1


# ---- clients ----
class Slow(asyncio.Protocol):
    """Takes a little, waits, takes a little."""

    def __init__(self, shot):
        self.shot, self.over = shot, asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        transport.write(self.shot.wire())

    def data_received(self, data):
        self.shot.data += data
        self.transport.pause_reading()
        asyncio.get_running_loop().call_later(0.02, self.go_on)

    def go_on(self):
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def connection_lost(self, exc):
        self.shot.ended = "lost" if exc else "closed"
        if not self.over.done():
            self.over.set_result(None)


async def read_slowly(shot):
    _, client = await asyncio.get_running_loop().create_connection(lambda: Slow(shot), way.host, way.port)
    await asyncio.wait_for(client.over, 120 * SLOW)


async def client(rng, until):
    while time.monotonic() < until:
        tokens = rng.choice((4, 20, 60, 400))
        script = "output_tokens=%d%s" % (tokens, rng.choice(("", "", ",tps=2000", ",chunk=random")))
        door = rng.choice(("/v1/messages", "/v1/messages", "/v1/chat/completions"))
        order = rng.sample(NAMES, len(NAMES))
        body = message("m", 1000, "%s [[sim:%s]]" % ("x" * rng.choice((10, 1000, 30000)), script), rng.random() < 0.7,
                       provider_order=order)
        leaving = rng.random()
        shot = Shot(way.key, body, path=door)
        if leaving < 0.1:
            shot.leave_after, shot.rst = rng.uniform(0, 0.1), rng.random() < 0.5
        elif leaving < 0.15 and door == "/v1/messages":
            shot.leave_events = rng.randrange(1, 6)
        if leaving > 0.95:
            await read_slowly(shot)
        else:
            await shoot(way, shot, 120 * SLOW)
        assert shot.ended in ("closed", "left", "lost"), (shot.ended, shot.payload[-200:], bytes(shot.data[-300:]))
        told["left" if shot.ended != "closed" else shot.status] += 1
        if shot.ended == "closed" and shot.status == 200 and rng.random() < 0.05:
            await say(shot, rng.randrange(1, 6))
        await asyncio.sleep(rng.uniform(0, 0.02))


# ---- the server, looked at ----
def status_kib(name):
    with open("/proc/%d/status" % way.child.pid) as f:
        return int(next(line for line in f if line.startswith(name)).split()[1])


def descriptors():
    return descriptors_of(way.child.pid) or 0


def wal_bytes():
    try:
        return os.stat(way.db + "-wal").st_size
    except FileNotFoundError:
        return 0


def is_sanitized():
    try:
        with open("/proc/%d/maps" % way.child.pid) as f:
            maps = f.read()
    except PermissionError:
        return SLOW > 1
    return "libasan" in maps or "libtsan" in maps


samples = []  # (hours, RSS in KiB, descriptors, bytes of WAL)


def take(began):
    samples.append(((time.monotonic() - began) / 3600, status_kib("VmRSS:"), descriptors(), wal_bytes()))


def slope(points):
    """Least squares over (x, y): the slope and its standard error."""
    n = len(points)
    mx, my = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    sxx = sum((x - mx) ** 2 for x, _ in points)
    b = sum((x - mx) * (y - my) for x, y in points) / sxx
    rest = sum((y - my - b * (x - mx)) ** 2 for x, y in points)
    return b, math.sqrt(rest / max(1, n - 2) / sxx)


def settled():
    """Without the first third: pools and caches have their size by then."""
    return samples[len(samples) // 3:]


def lows(points):
    """The least memory of each ten samples, a minute of an hour: what stays.  A report over all attempts has
    memory of its own meanwhile, and takes the longer the more there are."""
    return [min(points[i:i + 10], key=lambda s: s[1]) for i in range(0, len(points), 10)]


def trend(column):
    return slope([(s[0], s[column]) for s in settled()])


class Books:
    """The log of the simulator is judged in pieces: it is too long to be kept."""

    def __init__(self):
        self.ends, self.open, self.calls = {}, 0, collections.Counter()

    def read(self):
        for x in witness.lines():
            if x["event"] == "end":
                keep = ("x_request_id", "status", "ended", "model", "input_tokens", "output_tokens", "cache_read_tokens",
                        "cache_write_5m_tokens", "cache_write_1h_tokens", "web_searches")
                assert x["x_request_id"] not in self.ends, "sent twice"
                self.ends[x["x_request_id"]] = {k: x.get(k) for k in keep}
                self.open -= 1
            else:
                self.open += 1
        for r in control.ask(log=True)["log"]:
            if r["whole"]:
                self.calls[r["id"]] += 1


books = Books()


async def tend(began, until):
    """Samples, reloads (every other one with a changed catalog), a line a minute."""
    loop, at, note = asyncio.get_running_loop(), collections.Counter(), 0
    while time.monotonic() < until:
        now = time.monotonic()
        take(began)
        if now - at["reload"] > RELOAD_S:
            at["reload"], note = now, note + 1
            if note % 2:
                await loop.run_in_executor(None, way.import_catalog, catalog(note))
            way.child.send_signal(signal.SIGHUP)
        if now - at["look"] > LOOK_S:
            at["look"] = now
            await loop.run_in_executor(None, books.read)
        if now - at["tell"] > TELL_S:
            at["tell"] = now
            print("#   %5.0f s: %d requests, RSS %d KiB, %d descriptors, WAL %d KiB" % (
                now - began, sum(told.values()), samples[-1][1], samples[-1][2], samples[-1][3] // 1024), flush=True)
        assert way.child.poll() is None, way.server_log()[-2000:]
        await asyncio.sleep(SAMPLE_S)


def warm_up():
    """Only where a slope is to be measured."""
    if SECONDS < 600:
        return

    async def one():
        while os.stat(way.db).st_size < WARM_DB_BYTES:
            shot = await shoot(way, Shot(way.key, message("warm", 50, "[[sim:output_tokens=4]]")), 120 * SLOW)
            assert shot.status == 200, (shot.ended, bytes(shot.data))

    async def crowd():
        await asyncio.gather(*[one() for _ in range(CLIENTS)])

    asyncio.run(crowd())


def run():
    warm_up()
    begin_experiment()
    for name in NAMES:
        control.ask(lane=name, faults=FAULTS)
    began = time.monotonic()

    async def everything():
        until = began + SECONDS
        await asyncio.gather(tend(began, until), *[client(random.Random("%d/%d" % (SEED, i)), until) for i in range(CLIENTS)])

    asyncio.run(everything())
    print("#   %s" % dict(told))
    assert told[200] > sum(told.values()) * 0.6, told
    refused = sum(n for status, n in told.items() if isinstance(status, int) and 400 <= status < 500 and status != 429)
    assert refused == 0 and told[0] == 0 and told[500] == 0, told  # no fault of a provider's is the client's


def memory():
    points = lows(settled())
    b, error = slope([(s[0], s[1]) for s in points])
    first, last, most = points[0][1], points[-1][1], max(s[1] for s in samples)
    print("#   RSS: %+.0f KiB/h, standard error %.0f (the least of each of %d spans; %d -> %d, at most %d KiB)" % (
        b, error, len(points), first, last, most))
    assert most - last <= PEAK_MAX_KIB, (most, last)
    if error <= SURE_KIB_H and SECONDS >= 600:
        assert b - 2 * error <= SLOPE_MAX_KIB_H, (b, error)
    else:
        print("#   too short for a slope: judged by its growth")
        assert last - first <= GROWTH_MAX_KIB, (first, last)


def open_files():
    b, error = trend(2)
    print("#   descriptors: %+.2f/h, standard error %.2f" % (b, error))
    wait_for("the connections to go", lambda: descriptors() <= samples[0][2] + 4 * CLIENTS, 60)
    assert b - 2 * error <= 4 or SECONDS < 600, (b, error)


def log_size():
    most = max(s[3] for s in samples)
    print("#   WAL: %d KiB at most, %+.0f KiB/h" % (most // 1024, trend(3)[0] / 1024))
    assert most <= WAL_MAX, most


def exact():
    for name in NAMES:
        control.ask(lane=name, faults=[])

    def quiet():
        books.read()
        return books.open == 0

    wait_for("the simulator", quiet, 60)
    wait_for("every hold to be released", lambda: nothing_held(way, [way.key]), 60)
    books.read()
    rows = ledger(way)
    assert all(r["state"] in ("SETTLED", "VOID") for r in rows.values())
    assert not [i for i, n in books.calls.items() if n != 1], "sent twice"
    assert set(books.ends) <= set(rows) and set(books.calls) <= set(rows)
    for r in rows.values():
        if r["usage_source"] in ("estimated", "partial"):
            assert 0 <= r["charge_nusd"] <= r["hold_nusd"], dict(r)
    billed = check_finals(rows, list(books.ends.values()), collections.defaultdict(lambda: RATE))
    assert billed > 0
    way.verify()
    print("#   %d attempts: %s" % (len(rows), dict(collections.Counter(r["usage_source"] or r["state"] for r in rows.values()))))


def experiment():
    """Both arms served, copies were sent, and all that users said is there."""
    arms = {a["name"]: a for a in way.cli_json("experiment", "show", "soak")["arms"]}
    assert min(arms["A"]["requests"], arms["B"]["requests"]) > 0 < arms["S"]["requests"], arms
    marks = sum(arms[name]["metrics"]["stars"]["n"] for name in "AB")
    print("#   arms: %s; %d marks" % ({n: a["requests"] for n, a in arms.items()}, marks))
    assert marks == told["feedback"], (marks, told)


def reloads():
    log = way.server_log()
    assert "level=error" not in log, [x for x in log.splitlines() if "level=error" in x][:3]


report.case("mixed faults for %.0f s" % SECONDS, run)
if is_sanitized():
    report.skip("memory", "it is the sanitizer's")
else:
    report.case("memory", memory)
if descriptors_of(way.child.pid) is None:
    report.skip("descriptors", ONLY_ROOT)
else:
    report.case("descriptors", open_files)
report.case("write-ahead log", log_size)
report.case("books", exact)
report.case("experiment", experiment)
report.case("reloads without an error", reloads)
report.case("clean exit", lambda: (way.stop() == 0) or 1 / 0)
proxy.stop()
report.end()
