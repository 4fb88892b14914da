#!/usr/bin/env python3
"""A provider's base_url that leads back to the server, straight or by way of another: a request goes round once,
and ends with words that say why."""

import json
import os
import re
import time

from crowd import metric
from harness import Report, Sim, Wayfare, catalog_of, endpoint, price, provider
from rawprovider import RawProvider

sim = Sim(["acme"])
ways = [Wayfare(catalog_of(sim)) for _ in range(2)]
report = Report()


def lead(way, to, key):
    """model "round" of way is served by the server `to`."""
    path = os.path.join(way.dir, "key-" + key[-6:])
    with open(path, "w") as f:
        f.write(key)
    way.import_catalog({
        "providers": [provider("round", "http://" + to.address, credential={"file": path})],
        "models": [{"id": "test/round", "aliases": ["round"], "endpoints": [endpoint("round", "round", price("1", "5"))]}]})


def attempts():
    return sum(metric(way, "wayfare_attempts_total") for way in ways)


def ends(way, rounds):
    before = attempts()
    for path in ("/v1/messages", "/v1/chat/completions"):
        status, _, data = way.request("POST", path, {"model": "round", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]})
        assert status == 508 and b"has come through this server already" in data, (status, data)
    time.sleep(0.3)
    assert attempts() - before == 2 * rounds, attempts() - before


def straight():
    lead(ways[0], ways[0], ways[0].key)
    ends(ways[0], 1)


def by_way_of_another():
    lead(ways[0], ways[1], ways[1].key)
    lead(ways[1], ways[0], ways[0].key)
    ends(ways[0], 2)


def a_chain_is_none():
    """One server behind another: the usual case."""
    lead(ways[0], ways[1], ways[1].key)
    ways[1].import_catalog({
        "providers": [], "models": [{"id": "test/round", "aliases": ["round"], "endpoints": [
            endpoint("acme", "m", price("1", "5")), endpoint("round", "round", price("9", "50"))]}]})
    way = ways[0]
    status, _, data = way.messages(model="round")
    assert status == 200, data
    via = [w["headers"]["via"] for w in sim.witness() if w["event"] == "begin" and "headers" in w][-1:]
    assert not via or via[0].count("wayfare-") == 2, via


def as_it_may_be_written():
    """By proxies between, on lines of their own."""
    raw = RawProvider()
    way = ways[0]
    way.import_catalog({"providers": [provider("raw", raw.url)], "models": [
        {"id": "test/raw", "aliases": ["raw"], "endpoints": [endpoint("raw", "up", price("1", "5"))]}]})

    def ask(*lines):
        conn = way.connect()
        body = json.dumps({"model": "raw", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]})
        conn.putrequest("POST", "/v1/messages")
        for name, value in [("x-api-key", way.key), ("content-length", str(len(body))), *(("Via", line) for line in lines)]:
            conn.putheader(name, value)
        conn.endheaders(body.encode())
        status = conn.getresponse().status
        conn.close()
        return status

    assert ask() == 200
    name = re.search(rb"(?i)\r\nvia: 1\.1 (wayfare-[0-9a-f]{16})\r\n", raw.requests[-1]).group(1).decode()
    for lines in (["1.1 " + name], ["1.1 proxy", "1.0 " + name], ["1.1 %s (a comment)" % name], ["1.1 a, 2 b", "1.1 c,1.1 " + name]):
        assert ask(*lines) == 508, lines
    asked = len(raw.requests)
    for lines in (["1.1 wayfare-\u00e9"], ["1.1 wayfare-" + "0" * 16], ["1.1 " + name + "0"], ["1.1 proxy"]):
        assert ask(*lines) == 200, lines
    assert len(raw.requests) == asked + 4
    assert b"via: 1.1 wayfare-0000000000000000, 1.1 " + name.encode() + b"\r\n" in raw.requests[asked + 1].lower(), raw.requests[asked + 1]


report.case("as it may be written", as_it_may_be_written)
report.case("straight", straight)
report.case("by way of another", by_way_of_another)
report.case("a chain is none", a_chain_is_none)
for w in ways:
    report.case("ledger", w.verify)
    w.stop()
report.end()
