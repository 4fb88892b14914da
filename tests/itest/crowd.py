"""Many clients at once and an outside judge of the books, for the proofs about money.

The clients are raw sockets on one asyncio loop, which leave how and when they are told to.
The judge knows the simulator's own log (the witness), the catalog's prices as decimals and
the rows of a backup; it uses nothing of the router's code and nothing the router computed.

WAYFARE_LONG=1 asks for the long forms.  Python 3 standard library only."""

import asyncio
import http.client
import json
import os
import socket
import sqlite3
import struct
import threading
import time
from decimal import ROUND_CEILING, Decimal

from harness import SLOW, sse_events, wait_for

LONG = os.environ.get("WAYFARE_LONG", "") not in ("", "0")
NANO = 10 ** 9


def count(normal, long, least=1):
    """How many of something: fewer where every step is slow (sanitizers)."""
    return max(least, int((long if LONG else normal) / SLOW))


def nano(text):
    """A decimal USD text as an integer of nano-USD."""
    n = Decimal(text) * NANO
    assert n == n.to_integral_value(), text
    return int(n)


# ---- clients ----


class Shot:
    """One request: what is sent, when its client leaves, what came back."""

    def __init__(self, key, body, events=None, after=None, rst=False, path="/v1/messages", headers=(), tag=None):
        self.payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.key, self.path, self.headers, self.tag = key, path, headers, tag
        self.leave_events, self.leave_after, self.rst = events, after, rst
        self.data = bytearray()
        self.ended = None  # "closed" by the server, "left" by us, "lost", "timeout"

    def wire(self):
        head = ["POST %s HTTP/1.1" % self.path, "Host: x", "x-api-key: " + self.key, "Content-Type: application/json",
                "Connection: close", "Content-Length: %d" % len(self.payload)]
        head += ["%s: %s" % h for h in self.headers]
        return "\r\n".join(head).encode() + b"\r\n\r\n" + self.payload

    @property
    def status(self):
        return int(self.data[9:12]) if len(self.data) > 12 else 0

    def header(self, name):
        for line in bytes(self.data).split(b"\r\n\r\n", 1)[0].split(b"\r\n")[1:]:
            k, _, v = line.partition(b":")
            if k.strip().lower() == name.encode():
                return v.strip().decode()
        return None

    def body(self):
        return bytes(self.data).split(b"\r\n\r\n", 1)[1] if b"\r\n\r\n" in self.data else b""

    def error(self):
        return json.loads(self.body())["error"]


class _Client(asyncio.Protocol):
    def __init__(self, shot):
        self.shot = shot
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        transport.write(self.shot.wire())
        if self.shot.leave_after is not None:
            asyncio.get_running_loop().call_later(self.shot.leave_after, self.leave)

    def data_received(self, data):
        self.shot.data += data
        n = self.shot.leave_events
        if n is not None and b"\r\n\r\n" in self.shot.data and self.shot.data.count(b"event: ") >= n:
            self.leave()

    def leave(self):
        if self.over.done():
            return
        if self.shot.rst:
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
        self.end("left")

    def end(self, how):
        if not self.over.done():
            self.shot.ended = how
            self.over.set_result(None)

    def connection_lost(self, exc):
        self.end("lost" if exc else "closed")


async def shoot(way, shot, seconds=60):
    loop = asyncio.get_running_loop()
    try:
        _, client = await asyncio.wait_for(loop.create_connection(lambda: _Client(shot), way.host, way.port), seconds)
    except (OSError, asyncio.TimeoutError):
        shot.ended = "refused"
        return shot
    try:
        await asyncio.wait_for(client.over, seconds)
    except asyncio.TimeoutError:
        shot.ended = "timeout"
        client.transport.abort()
    return shot


def storm(way, shots, width=1000, seconds=60):
    """Sends them all, at most `width` at a time."""

    async def run():
        gate = asyncio.Semaphore(width)

        async def one(shot):
            async with gate:
                await shoot(way, shot, seconds * SLOW)

        await asyncio.gather(*[one(s) for s in shots])

    asyncio.run(run())
    return shots


# ---- clients that come back ----


class Regular(threading.Thread):
    """Asks again and again; half of them over one connection as long as the server keeps it."""

    def __init__(self, way, number):
        super().__init__(daemon=True)
        self.way, self.number = way, number
        self.stop = False
        self.answers = 0
        self.faults = []
        self.conn = None

    def ask(self, stream):
        if self.conn is None:
            self.conn = self.way.connect()
            self.conn.connect()
        body = json.dumps({"model": "m", "max_tokens": 50, "stream": stream,
                           "messages": [{"role": "user", "content": "Hello"}]})
        keep = self.number % 2 == 0
        headers = {"x-api-key": self.way.key, "content-type": "application/json"}
        self.conn.request("POST", "/v1/messages", body, dict(headers, **({} if keep else {"connection": "close"})))
        answer = self.conn.getresponse()
        data = answer.read()
        whole = sse_events(data)[-1][0] == "message_stop" if stream else b'"usage"' in data
        if answer.status != 200 or not whole:
            self.faults.append((answer.status, data[-300:]))
        self.answers += 1
        if not keep or answer.getheader("connection", "").lower() == "close":
            self.conn.close()
            self.conn = None

    def run(self):
        n = 0
        while not self.stop:
            try:
                self.ask(n % 3 == 0)
            except (OSError, http.client.HTTPException) as e:
                self.faults.append(repr(e))
                self.conn = None
            n += 1


class Load:
    """Regulars at work while the block runs; what went wrong for them."""

    def __init__(self, way, clients=6):
        self.clients = [Regular(way, i) for i in range(clients)]

    def __enter__(self):
        for c in self.clients:
            c.start()
        return self

    def answers(self):
        return sum(c.answers for c in self.clients)

    def wait_for_more(self, n):
        goal = self.answers() + n
        wait_for("%d more answers" % n, lambda: self.answers() >= goal or self.faults(), 60)

    def faults(self):
        return [f for c in self.clients for f in c.faults]

    def __exit__(self, *exc):
        for c in self.clients:
            c.stop = True
        for c in self.clients:
            c.join(90 * SLOW)


def message(model, max_tokens=1000, text="Hello", stream=False, **more):
    return dict({"model": model, "max_tokens": max_tokens, "stream": stream,
                 "messages": [{"role": "user", "content": text}]}, **more)


def limits_of(way, key):
    return json.loads(way.request("GET", "/v1/key", headers={"x-api-key": key}, key=False)[2])["limits"]


class Poller:
    """Asks GET /v1/key all the time and keeps every answer; spent + held above a cap is
    remembered as a breach."""

    def __init__(self, way, keys, capped=True):
        self.way, self.keys, self.capped = way, keys, capped
        self.polls, self.breaches, self.most, self.trouble = 0, [], 0, None

    def __enter__(self):
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def run(self):
        try:
            while not self.stop.is_set():
                for key in self.keys:
                    self.look(limits_of(self.way, key))
                self.stop.wait(0.004 * SLOW)
        except Exception as e:  # noqa: said by the test's own thread
            self.trouble = e

    def look(self, limits):
        self.polls += 1
        for x in limits:
            if x["cap_usd"] is None:
                continue
            used, cap = nano(x["spent_usd"]) + nano(x["held_usd"]), nano(x["cap_usd"])
            self.most = max(self.most, used)
            if self.capped and used > cap:
                self.breaches.append(x)
            assert nano(x["remaining_usd"]) == max(0, cap - used), x

    def __exit__(self, *exc):
        self.stop.set()
        self.thread.join()
        if exc[0] is None:
            assert self.trouble is None, self.trouble
            assert not self.breaches, self.breaches[:3]
            assert self.polls >= 1


# ---- the judge ----


class Witness:
    """The simulator's log, read on from where the last look ended."""

    def __init__(self, sim):
        self.sim, self.at = sim, 0

    def lines(self):
        """Whole lines that came since the last call, in the order in which they were written."""
        with open(self.sim.log, "rb") as f:
            f.seek(self.at)
            data = f.read()
        data = data[:data.rfind(b"\n") + 1]
        self.at += len(data)
        return [json.loads(x) for x in data.splitlines()]

    def whole_calls(self, seconds=10):
        """As lines(), once every call that has begun in them has ended: its client may have the last
        byte a little before the simulator has written that it sent it."""
        lines = self.lines()
        until = time.monotonic() + seconds * SLOW
        while sum(1 if x["event"] == "begin" else -1 for x in lines) > 0 and time.monotonic() < until:
            time.sleep(0.01)
            lines += self.lines()
        return lines


BUCKETS = (("input_tokens", "input_tok", "prompt"), ("output_tokens", "output_tok", "completion"),
           ("cache_read_tokens", "cache_read_tok", "cache_read"),
           ("cache_write_5m_tokens", "cache_write_5m_tok", "cache_write_5m"),
           ("cache_write_1h_tokens", "cache_write_1h_tok", "cache_write_1h"))


def oracle_pusd(tokens, prices):
    """What one call costs in pico-USD: `tokens` by the witness's names, prices as in the catalog
    (USD per million tokens, per request and per search); the highest tier that is passed."""
    whole = sum(tokens.get(b) or 0 for b, _, _ in BUCKETS if b != "output_tokens")
    p = dict(prices)
    for tier in sorted(prices.get("tiers", ()), key=lambda t: t["above_prompt_tokens"]):
        if whole > tier["above_prompt_tokens"]:
            p.update(tier)
    cost = Decimal(0)
    for name, _, rate in BUCKETS:
        cost += Decimal(tokens.get(name) or 0) * Decimal(p.get(rate, p["prompt"])) * 10 ** 6
    cost += Decimal(tokens.get("web_searches") or 0) * Decimal(p.get("web_search", "0")) * 10 ** 12
    cost += Decimal(p.get("request", "0")) * 10 ** 12
    assert cost == cost.to_integral_value(), cost
    return int(cost)


def charge_nusd(pusd):
    return int((Decimal(pusd) / 1000).to_integral_value(ROUND_CEILING))


def rows_of(path):
    """{attempt id as the provider saw it: row} of a copy of the database."""
    db = sqlite3.connect(path)
    db.row_factory = sqlite3.Row
    try:
        return {"att_" + r["id"].hex(): r for r in db.execute("SELECT * FROM attempt")}
    finally:
        db.close()


def ledger(way):
    path = os.path.join(way.dir, "judge-%d.db" % time.monotonic_ns())
    way.cli("backup", path)
    try:
        return rows_of(path)
    finally:
        os.unlink(path)


def nothing_held(way, keys):
    for key in keys:
        for x in limits_of(way, key):
            if nano(x["held_usd"]) != 0:
                return False
    return metric(way, "wayfare_ledger_held_nusd") == 0 and metric(way, "wayfare_ledger_running") == 0


def metric(way, name):
    host, port = way.admin.rsplit(":", 1)
    conn = http.client.HTTPConnection(host, int(port), timeout=30 * SLOW)
    conn.request("GET", "/metrics", headers={"authorization": "Bearer admin-token-for-tests"})
    text = conn.getresponse().read().decode()
    conn.close()
    for line in text.splitlines():
        if line.startswith(name + " "):
            return int(line.split()[1])
    raise AssertionError("no metric " + name)


def check_finals(rows, ends, prices):
    """Every attempt whose answer the witness saw leave whole is settled by the provider's own
    figures, to the token and the pico-USD.  Returns what the witness billed, in nano-USD."""
    billed = 0
    for line in ends:
        row = rows.get(line["x_request_id"])
        assert row is not None, ("the provider saw a call that the ledger does not know", line)
        if line["status"] != 200 or line["ended"] != "complete" or row["usage_source"] != "final":
            continue
        want = oracle_pusd(line, prices[line["model"]])
        got = [row[column] or 0 for _, column, _ in BUCKETS]
        assert got == [line[name] for name, _, _ in BUCKETS], (dict(row), line)
        assert row["cost_pusd"] == want and row["charge_nusd"] == charge_nusd(want), (dict(row), line, want)
        billed += charge_nusd(want)
    return billed
