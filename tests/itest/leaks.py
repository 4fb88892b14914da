#!/usr/bin/env python3
"""No leak: requests over every ending there is, mixed and many at once; when the last is over
nothing is held, nothing is refused that would fit, and every call that the simulator saw has
the row that its ending deserves."""

import collections
import json
import random
import socket
import sqlite3
import time
from decimal import Decimal

from crowd import (NANO, Shot, Witness, check_finals, count, ledger, limits_of, message, nano, nothing_held, rows_of,
                   shoot, storm)
from harness import SLOW, Report, Sim, Wayfare, endpoint, price, provider, wait_for

report = Report()
sim = Sim(["stops", "bills"])
witness = Witness(sim)
closed = socket.socket()
closed.bind(("127.0.0.1", 0))
DEAD = "http://127.0.0.1:%d" % closed.getsockname()[1]  # bound, never listening: refuses

WAIT_MS = int(1500 * SLOW)
LIMITS = {"connect_ms": 2000 * SLOW, "first_byte_ms": WAIT_MS, "idle_ms": WAIT_MS, "total_ms": 20000 * SLOW}
LIMITS = {k: int(v) for k, v in LIMITS.items()}
RATE = price("3", "15", cache_read="0.30", cache_write_5m="3.75", cache_write_1h="6", web_search="0.01")
FEE = price("0", "0", request="0.01")
PRICES = {"m-stops": RATE, "m-bills": RATE, "m-529": RATE, "fee": FEE}


def model(name, *endpoints):
    return {"id": "leaks/" + name, "aliases": [name], "endpoints": list(endpoints)}


CATALOG = {
    "providers": [provider("stops", sim.url["stops"], timeouts=LIMITS, cancel_stops_billing=True),
                  provider("bills", sim.url["bills"], timeouts=LIMITS, cancel_stops_billing=False),
                  provider("dead", DEAD, timeouts=LIMITS)],
    "models": [model("stops", endpoint("stops", "m-stops", RATE)), model("bills", endpoint("bills", "m-bills", RATE)),
               model("dead", endpoint("dead", "m-dead", RATE)),
               model("after-dead", endpoint("dead", "m-dead", price("1", "5")), endpoint("stops", "m-stops", RATE)),
               model("after-529", endpoint("bills", "m-529?status=529", RATE), endpoint("stops", "m-stops", RATE)),
               model("fee", endpoint("stops", "fee", FEE))],
}

STATUSES = (400, 401, 402, 403, 404, 405, 408, 409, 413, 422, 425, 429, 500, 502, 503, 504, 529)


def endings():
    """(name, model, stream, simulator keys, how the client leaves)"""
    for m in ("stops", "bills"):
        for stream in (False, True):
            yield "whole", m, stream, "output_tokens=20", {}
            yield "caches", m, stream, "input_tokens=3,cache_read=1000,cache_write_5m=200,cache_write_1h=30,web_searches=1", {}
            yield "zero", m, stream, "input_tokens=0,output_tokens=0", {}
            yield "no usage", m, stream, "no_usage=1", {}
            for status in STATUSES:
                yield "status", m, stream, "status=%d" % status, {}
            yield "html", m, stream, "html=1", {}
            yield "html", m, stream, "html=1,status=200", {}
            for fault in ("close_before_headers=1", "reset_before_headers=1", "hang=1"):
                yield fault, m, stream, fault, {}
            for kind in ("cut", "reset", "end", "hang"):
                for n in (0, 1, 90, 400):
                    yield kind + " bytes", m, stream, "%s_after_bytes=%d" % (kind, n), {}
            for rst in (False, True):
                yield "left at once", m, stream, "delay_ms=20", {"after": 0, "rst": rst}
                yield "left before headers", m, stream, "delay_ms=200", {"after": 0.06, "rst": rst}
        for kind in ("cut", "reset", "end", "hang"):
            for n in (0, 1, 2, 5, 9):
                yield kind + " events", m, True, "%s_after_events=%d" % (kind, n), {}
        for n in (0, 1, 2, 5, 9):
            yield "error event", m, True, "error_event_after=%d" % n, {}
        for rst in (False, True):
            for n in range(1, 12):
                yield "left at event", m, True, "output_tokens=24,tps=300", {"events": n, "rst": rst}
        yield "slow", m, True, "output_tokens=12,gap_ms=5,chunk=random", {}
    for stream in (False, True):
        yield "dead", "dead", stream, "output_tokens=5", {}
        yield "after dead", "after-dead", stream, "output_tokens=5", {}
        yield "after 529", "after-529", stream, "output_tokens=5", {}


ENDINGS = list(endings())
way = Wayfare(CATALOG, threads=2, budget="100000", key_args=["--budget", "50000", "--window", "month"])
TIGHT = way.cli("key", "create", "--team", "t", "--name", "tight", "--budget", "0.05", "--window", "day").strip()
KEYS = [way.key, TIGHT]

WHOLE = ("whole", "caches", "zero", "slow", "after dead", "after 529")


def crowd_of(n, seed):
    rng = random.Random(seed)
    deck, shots = [], []
    while len(deck) < n:
        deck += ENDINGS
    rng.shuffle(deck)
    for name, m, stream, keys, leaving in deck[:n]:
        key = TIGHT if rng.random() < 0.03 else way.key
        shots.append(Shot(key, message(m, 200, "leave me [[sim:%s]]" % keys, stream), tag=(name, keys), **leaving))
    return shots


def check_answers(shots):
    for s in shots:
        name, keys = s.tag
        assert s.ended != "timeout", ("no end", s.tag, s.payload)
        if s.status in (402, 429) and b"needs up to" in s.data:
            assert s.key == TIGHT, ("a phantom refusal", bytes(s.data))
        elif name in WHOLE:
            # A machine that is busy elsewhere may make the simulator late.
            assert s.status in (200, 504, 529), (s.tag, bytes(s.data[:600]))


def check_rows(rows, ends):
    """What each ending is recorded as, by the witness's own account of it."""
    seen = collections.Counter()
    for line in ends:
        row = rows[line["x_request_id"]]
        assert row["state"] == "SETTLED", (dict(row), line)
        seen[row["usage_source"]] += 1
        if line["status"] not in (0, 200):
            assert row["usage_source"] == "none" and row["charge_nusd"] == 0, (dict(row), line)
        if row["usage_source"] == "final":
            assert line["status"] == 200 and line["ended"] == "complete", (dict(row), line)
        elif row["usage_source"] == "partial":
            # What the provider said before it broke off: the prompt, exactly.
            assert row["input_tok"] == line["input_tokens"], (dict(row), line)
        if row["usage_source"] in ("partial", "estimated"):
            assert 0 <= row["charge_nusd"] and (row["charge_nusd"] <= row["hold_nusd"] or row["usage_source"] == "partial")
    known = {x["x_request_id"] for x in ends}
    assert len(known) == len(ends), "an attempt's id was used twice"
    unseen = [dict(r) for i, r in rows.items() if i not in known and r["state"] != "VOID"]
    # A call that was given up between the connection and its first byte.
    assert all(r["end_reason"] == "client_gone" for r in unseen), unseen[:3]
    return seen


def quiet(seconds=20):
    """Every call that the simulator saw begin has ended there."""
    def look():
        quiet.lines += witness.lines()
        return sum(x["event"] == "begin" for x in quiet.lines) == sum(x["event"] == "end" for x in quiet.lines)

    quiet.lines = []
    wait_for("the simulator to be done", look, seconds)
    return [x for x in quiet.lines if x["event"] == "end"]


def every_ending():
    n = count(3000, 100000, least=len(ENDINGS))
    ends, done, whole = [], 0, 0
    while done < n:
        shots = storm(way, crowd_of(min(5000, n - done), done), width=250)
        check_answers(shots)
        done += len(shots)
        whole += sum(s.status == 200 and s.tag[0] in WHOLE for s in shots)
        ends += quiet()
        wait_for("every hold to be released", lambda: nothing_held(way, KEYS))
    rows = ledger(way)
    billed = check_finals(rows, ends, PRICES)
    seen = check_rows(rows, ends)
    assert billed > 0 and all(seen[x] > 0 for x in ("final", "partial", "estimated", "none")), seen
    assert seen["final"] >= whole > 0, "whole answers whose figures were not used"
    assert sum(r["state"] == "VOID" for r in rows.values()) > 0
    total = sum(r["charge_nusd"] for r in rows.values())
    team = [x for x in limits_of(way, way.key) if x["scope"] == "team"]
    assert [nano(x["spent_usd"]) for x in team] == [total], (team, total)
    way.verify()
    print("#   %d requests, %d calls: %s" % (n, len(ends), dict(seen)))


def room_to_the_last():
    """No phantom refusal: what the cap has left can be spent to the last hold."""
    spent = nano([x for x in limits_of(way, way.key) if x["scope"] == "team"][0]["spent_usd"])
    way.cli("team", "set", "t", "--budget", str(Decimal(spent + 10 * NANO // 100 + NANO // 100 - 1) / NANO), "--window", "total")
    shots = storm(way, [Shot(way.key, message("fee")) for _ in range(count(60, 200, least=20))])
    assert sum(s.status == 200 for s in shots) == 10, collections.Counter(s.status for s in shots)
    assert {s.status for s in shots} <= {200, 402, 429}
    way.cli("team", "set", "t", "--budget", "none", "--window", "total")
    quiet()
    way.verify()


def rows_are_closed(w):
    """The server is gone: its file has no open attempt and no running request."""
    db = sqlite3.connect(w.db)
    open_rows = db.execute("SELECT count(*) FROM attempt WHERE state NOT IN ('SETTLED', 'VOID')").fetchone()[0]
    running = db.execute("SELECT count(*) FROM request WHERE status = 'running'").fetchone()[0]
    pending = db.execute("SELECT coalesce(sum(pending_nusd), 0) FROM account").fetchone()[0]
    db.close()
    assert (open_rows, running, pending) == (0, 0, 0), (open_rows, running, pending)


def shed():
    """More clients than connections: who is turned away holds nothing."""
    w = Wayfare(CATALOG, args=["--max-connections", "20"], budget="100", threads=2)
    shots = storm(w, [Shot(w.key, message("stops", 200, "[[sim:delay_ms=50,output_tokens=5]]")) for _ in range(count(200, 2000, least=60))])
    assert sum(s.status == 200 for s in shots) >= 20, collections.Counter((s.status, s.ended) for s in shots)
    assert {s.status for s in shots} <= {0, 200, 503}, collections.Counter((s.status, s.ended) for s in shots)
    ends = quiet()
    wait_for("every hold to be released", lambda: nothing_held(w, [w.key]))
    rows = ledger(w)
    assert check_finals(rows, ends, PRICES) == sum(r["charge_nusd"] for r in rows.values())
    w.verify()
    assert w.stop() == 0
    rows_are_closed(w)


def drain(deadline):
    """SIGTERM while everything runs: what can finish does, what cannot is settled."""
    import asyncio
    w = Wayfare(CATALOG, args=["--drain-timeout", "1" if deadline else "60"], budget="100000", threads=2)
    rng = random.Random(deadline)
    kinds = ["delay_ms=%d" % (300 * SLOW), "output_tokens=60,tps=%d" % (100 / SLOW), "hang=1", "hang_after_events=3", "status=529"]
    if deadline:
        kinds.append("output_tokens=4000,tps=100")
    shots = [Shot(w.key, message(rng.choice(("stops", "bills", "after-529")), 8000, "[[sim:%s]]" % kinds[i % len(kinds)], i % 3 > 0),
                  events=3 if i % 11 == 0 else None) for i in range(count(60, 600, least=24))]

    async def run():
        tasks = [asyncio.create_task(shoot(w, s, 60 * SLOW)) for s in shots]
        await asyncio.sleep(0.15 * SLOW)
        w.child.terminate()
        await asyncio.gather(*tasks)

    asyncio.run(run())
    assert w.stop() == 0
    assert sum(s.status == 200 for s in shots) > 0
    ends = quiet()
    rows_are_closed(w)
    rows = rows_of(w.db)
    check_finals(rows, ends, PRICES)
    check_rows(rows, ends)
    w.verify()


report.case("every ending", every_ending)
report.case("the remainder is usable to the last hold", room_to_the_last)
report.case("more clients than connections", shed)
report.case("drain", drain, False)
report.case("drain that runs out of time", drain, True)
report.case("clean exit", lambda: (way.stop() == 0) or 1 / 0)
report.case("nothing is open in the file", rows_are_closed, way)
report.end()
