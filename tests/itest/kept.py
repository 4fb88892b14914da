#!/usr/bin/env python3
"""Connections that are kept, and providers that close them when it suits them: while they idle, at the
moment when a request goes out, with FIN or RST.  No client hears of it, nothing is sent twice."""

import collections
import random
import threading
import time

from crowd import Shot, Witness, check_finals, count, ledger, message, metric, nothing_held, shoot
from faultproxy import FaultProxy, fault
from harness import SLOW, Report, Sim, Wayfare, endpoint, price, provider, wait_for

RATE = price("3", "15")
sim = Sim(["one", "two"])
witness = Witness(sim)
proxy = FaultProxy({"one": sim.url["one"], "two": sim.url["two"]}, seed=15)
way = Wayfare({"providers": [provider("one", proxy.url["one"]), provider("two", proxy.url["two"])],
               "models": [{"id": "test/one", "aliases": ["one"], "endpoints": [endpoint("one", "m-one", RATE)]},
                          {"id": "test/both", "aliases": ["both"], "endpoints": [endpoint("one", "m-one", RATE),
                                                                                endpoint("two", "m-two", RATE)]}]})
report = Report()
asked = 0


def client(model, n, pause_s, seed, shots):
    """One after the other, as one user of one kept connection."""
    import asyncio
    rng = random.Random(seed)

    async def run():
        for i in range(n):
            body = message(model, 60, "[[sim:output_tokens=8]]", i % 2 == 0, provider_sort="price")
            shots.append(await shoot(way, Shot(way.key, body), 30 * SLOW))
            await asyncio.sleep(rng.uniform(0, pause_s))

    asyncio.run(run())


def crowd(model, clients, n, pause_s):
    shots = []
    threads = [threading.Thread(target=client, args=(model, n, pause_s, i, shots)) for i in range(clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(shots) == clients * n
    global asked
    asked += len(shots)
    return shots


def nobody_hears(model, *faults, least=0):
    """least: so many connections must have been closed for this to say anything."""
    for name in ("one", "two"):
        proxy.set(name, *faults)
    before = {n: proxy.count(n) for n in ("one", "two")}
    at = {n: proxy.lanes[n].connections for n in ("one", "two")}
    shots = crowd(model, 4, count(60, 1500, least=15), 0.03)
    bad = [(s.ended, s.status, bytes(s.data[-400:])) for s in shots if s.status != 200 or s.ended != "closed" or b"error" in s.data]
    made = sum(proxy.lanes[n].connections - at[n] for n in at)
    again = sum(s.header("x-wayfare-attempts") != "1" for s in shots if s.status == 200)
    records = sum(proxy.count(n) - before[n] for n in before)
    print("#   %d requests, %d calls, %d connections, %d asked again, %d errors" % (len(shots), records, made, again, len(bad)))
    assert not bad, (len(bad), bad[:2])
    assert made >= least, made
    return again


def idle():
    nobody_hears("one", fault("idle_close", ms=(0, 40), how="fin", share=0.5), least=4)
    nobody_hears("one", fault("idle_close", ms=(0, 40), how="rst", share=0.5), least=4)


def races(model):
    """The request crosses the FIN: it comes to a socket that is closed, and nobody has read it."""
    again = nobody_hears(model, fault("idle_close", how="race", share=0.3), least=5)
    assert again > 0, "no race was met"


def once():
    """What the proxy read whole it read once, what the simulator saw has one row, and no row is without a reason."""
    for name in ("one", "two"):
        proxy.set(name)
    wait_for("every hold to be released", lambda: nothing_held(way, [way.key]))
    ends = [x for x in witness.whole_calls() if x["event"] == "end"]
    rows = ledger(way)
    seen = collections.Counter(r["id"] for r in proxy.seen() if r["whole"])
    assert set(seen.values()) == {1} and len({x["x_request_id"] for x in ends}) == len(ends)
    assert set(seen) <= set(rows) and {x["x_request_id"] for x in ends} == set(seen)
    assert check_finals(rows, ends, collections.defaultdict(lambda: RATE)) > 0
    lost = [r for i, r in rows.items() if i not in seen]
    assert all(r["end_reason"] == "stale" and r["usage_source"] == "estimated" for r in lost), [dict(r) for r in lost[:2]]
    per_request = collections.Counter(r["request_id"] for i, r in rows.items() if i in seen)
    assert set(per_request.values()) == {1}, "a request was answered by two calls"
    assert len(per_request) == asked
    way.verify()
    print("#   %d requests, %d attempts, %d of them met a dead connection" % (asked, len(rows), len(lost)))


report.case("idle connections are closed", idle)
report.case("a request meets a closed connection; another provider is there", races, "both")
report.case("a request meets a closed connection; there is no other provider", races, "one")
report.case("everything once", once)
report.case("clean exit", lambda: (way.stop() == 0) or 1 / 0)
proxy.stop()
report.end()
