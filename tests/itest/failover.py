#!/usr/bin/env python3
"""Every failure class before the first byte, at every position of a three-provider plan:
attempts, statuses and money as the contract says; after the first byte never."""

import json
import socket
from decimal import Decimal

from harness import SLOW, Report, Sim, Wayfare, catalog_of, endpoint, price, provider, sse_events, wait_for

NAMES = ["a", "b", "c"]
sim = Sim(NAMES)
closed = socket.socket()
closed.bind(("127.0.0.1", 0))
DEAD = "http://127.0.0.1:%d" % closed.getsockname()[1]  # bound, never listening: refuses

LIMITS = {k: int(ms * SLOW) for k, ms in dict(connect_ms=2000, first_byte_ms=1000, total_ms=10000).items()}
LIMITS["idle_ms"] = 600  # less than a stream's beginning is held back
catalog = catalog_of(sim, timeouts=LIMITS)
catalog["providers"].append(provider("dead", DEAD, timeouts=LIMITS))
for i in range(3):
    endpoints = [endpoint(n, "m-" + n, price("1", "5")) for n in NAMES]
    endpoints[i] = endpoint("dead", "m-dead", price("1", "5"))
    catalog["models"].append({"id": "test/dead-%d" % i, "endpoints": endpoints})
catalog["models"].append({"id": "test/second", "aliases": ["second"], "endpoints": [
    endpoint(n, "second-" + n, price("2", "10")) for n in NAMES]})
catalog["models"].append({"id": "test/held", "endpoints": [  # asked by one case only: no other holds it back
    endpoint(n, "held-" + n, price("1", "5")) for n in NAMES]})
way = Wayfare(catalog)
report = Report()

# name -> (simulator keys, HTTP status or None, how the attempt is recorded, does it move on)
FAILURES = {
    "500": ({"status": 500}, 500, True), "502": ({"status": 502}, 502, True), "503": ({"status": 503}, 503, True),
    "504": ({"status": 504}, 504, True), "529": ({"status": 529}, 529, True),
    "408": ({"status": 408}, 408, True), "409": ({"status": 409}, 409, True), "425": ({"status": 425}, 425, True),
    "429": ({"status": 429, "retry_after": 7}, 429, True),
    "401": ({"status": 401}, 401, True), "402": ({"status": 402}, 402, True), "403": ({"status": 403}, 403, True),
    "404": ({"status": 404}, 404, True), "405": ({"status": 405}, 405, True), "302": ({"status": 302}, 302, True),
    "400": ({"status": 400}, 400, False), "413": ({"status": 413}, 413, False), "422": ({"status": 422}, 422, False),
    "html 500": ({"status": 500, "html": 1}, 500, True), "html 200": ({"html": 1, "status": 200}, 200, True),
    "close": ({"close_before_headers": 1}, None, True), "reset": ({"reset_before_headers": 1}, None, True),
    "timeout": ({"hang": 1}, None, True),
}


def ask(model="m", stream=False, order=NAMES, **more):
    return way.messages(model=model, stream=stream, provider_order=order, **more)


def money_of(headers, calls):
    """The record agrees with what the simulator saw and billed."""
    g = way.generation(headers)
    sent = [a for a in g["attempts"] if a["state"] == "SETTLED"]
    ids = ["att_" + "?" for _ in sent]
    total = sum(Decimal(a["cost_usd"]) for a in g["attempts"])
    assert total == Decimal(g["cost_usd"]), g
    assert len(g["attempts"]) == calls, (calls, g["attempts"])
    assert len(ids) <= calls
    return g


def one_fails(kind, position, stream):
    sim.reset()
    keys, status, moves = FAILURES[kind]
    for i in range(position):
        sim.script(NAMES[i], status=503)
    sim.script(NAMES[position], **keys)
    got, headers, body = ask(stream=stream)
    calls = position + 1
    if not moves:
        assert got == status, (got, body)
        assert json.loads(body)["type"] == "error"
        money_of(headers, calls)
        return
    if position < 2:
        assert got == 200, (got, body)
        assert headers["x-wayfare-provider"] == NAMES[position + 1], headers
        assert headers["x-wayfare-attempts"] == str(calls + 1)
        g = money_of(headers, calls + 1)
        failed = g["attempts"][position]
        assert failed["http_status"] == status, failed
        if status is not None and status != 200:
            assert failed["cost_usd"] == "0" and failed["usage_source"] == "none", failed
        assert g["attempts"][-1]["usage_source"] == "final"
    else:
        assert got == 529, (got, body)
        error = json.loads(body)["error"]
        assert error["type"] == "overloaded_error" and len(error["attempts"]) == 3, error
        money_of(headers, 3)


for stream in (False, True):
    for kind in FAILURES:
        for position in range(3):
            report.case("%s at %d%s" % (kind, position, " (stream)" if stream else ""), one_fails, kind, position, stream)


def refused(position):
    sim.reset()
    got, headers, body = ask(model="test/dead-%d" % position,
                             order=[("dead" if i == position else n) for i, n in enumerate(NAMES)])
    if position == 0:
        assert got == 200 and headers["x-wayfare-attempts"] == "2", (got, body)
        g = money_of(headers, 2)
        assert g["attempts"][0]["state"] == "VOID" and g["attempts"][0]["cost_usd"] == "0", g["attempts"]
    else:
        assert got == 200 and headers["x-wayfare-attempts"] == "1"


for position in range(3):
    report.case("connection refused at %d" % position, refused, position)


def all_of(kind, expect, error_type, check=None, names=NAMES):
    sim.reset()
    for n in names:
        sim.script(n, **FAILURES[kind][0])
    got, headers, body = ask()
    error = json.loads(body)["error"]
    assert got == expect and error["type"] == error_type, (got, body)
    if check:
        check(headers, error)


def smallest_retry(headers, error):
    assert headers["retry-after"] == "7" and len(error["attempts"]) == 3


report.case("all 429", all_of, "429", 429, "rate_limit_error", smallest_retry)
report.case("all 401", all_of, "401", 502, "api_error")
report.case("all 403", all_of, "403", 502, "api_error")
report.case("all time out", all_of, "timeout", 504, "timeout_error")
report.case("all 500", all_of, "500", 529, "overloaded_error")


def single(kind, expect, same_body):
    sim.reset()
    sim.script("a", **FAILURES[kind][0])
    got, headers, body = ask(provider_only=["a"])
    assert got == expect, (got, body)
    assert json.loads(body)["type"] == "error"
    if same_body:
        assert b"req_01SIM" in body, body  # the provider's own envelope


for kind, expect, same_body in (("500", 500, True), ("503", 503, True), ("529", 529, True), ("429", 429, True),
                                ("404", 404, True), ("403", 403, True), ("401", 502, False), ("402", 502, False),
                                ("400", 400, True), ("422", 422, True), ("html 500", 500, False), ("302", 502, False),
                                ("timeout", 504, False)):
    report.case("only one, %s" % kind, single, kind, expect, same_body)


def no_fallbacks():
    sim.reset()
    sim.script("a", status=503)
    got, headers, body = ask(order=["a"], provider_allow_fallbacks=False)
    assert got == 503 and headers["x-wayfare-attempts"] == "1", (got, headers)


def other_model():
    sim.reset()
    for n in NAMES:
        sim.script(n, model="m-" + n, status=400)
    got, headers, body = ask(models=["second"])
    assert got == 200 and headers["x-wayfare-model"] == "test/second", (got, body)
    assert headers["x-wayfare-attempts"] == "2"


report.case("allow_fallbacks false", no_fallbacks)
report.case("a client error moves to the next model", other_model)

# ---- after the first byte: never ----
CUTS = {"cut": "cut_after_events", "reset": "reset_after_events", "end": "end_after_events", "hang": "hang_after_events"}


def broken_stream(kind, events):
    sim.reset()
    sim.script("a", output_tokens=40, **{CUTS[kind]: events})
    got, headers, body = ask(stream=True)
    names = [n for n, _ in sse_events(body)]
    assert got == 200 and headers["x-wayfare-attempts"] == "1" and headers["x-wayfare-provider"] == "a"
    assert names[-1] == "error" and "message_stop" not in names, names
    assert names.count("error") == 1
    g = money_of(headers, 1)
    assert g["attempts"][0]["usage_source"] in ("partial", "estimated") and g["status"] == "error", g


def frame_only(kind, events):
    """Before the first content nothing has gone to the client: another takes it over."""
    sim.reset()
    sim.script("a", output_tokens=40, **{CUTS[kind]: events})
    got, headers, body = ask(stream=True)
    names = [n for n, _ in sse_events(body)]
    assert got == 200 and headers["x-wayfare-attempts"] == "2" and headers["x-wayfare-provider"] == "b", headers
    assert names.count("message_start") == 1 and names[-1] == "message_stop" and "error" not in names, names
    g = money_of(headers, 2)
    assert g["attempts"][0]["usage_source"] in ("partial", "estimated") and g["status"] == "ok", g


for kind in CUTS:
    for events in (1, 2, 3):
        report.case("stream %s after %d events" % (kind, events), frame_only, kind, events)
    for events in (4, 5, 8):
        report.case("stream %s after %d events" % (kind, events), broken_stream, kind, events)


def error_event(after):
    sim.reset()
    sim.script("a", output_tokens=40, error_event_after=after)
    got, headers, body = ask(stream=True)
    names = [n for n, _ in sse_events(body)]
    assert got == 200 and names[-1] == "error" and names.count("error") == 1 and "message_stop" not in names, names
    assert money_of(headers, 1)["status"] == "error"


def early_error_event(after):
    sim.reset()
    sim.script("a", output_tokens=40, error_event_after=after)
    got, headers, body = ask(stream=True)
    names = [n for n, _ in sse_events(body)]
    assert got == 200 and headers["x-wayfare-provider"] == "b" and names[-1] == "message_stop", (headers, names)
    assert "error" not in names, names
    assert money_of(headers, 2)["status"] == "ok"


for after in (0, 1, 2, 3):
    report.case("error event after %d" % after, early_error_event, after)
for after in (4, 6):
    report.case("error event after %d" % after, error_event, after)


def empty_stream():
    sim.reset()
    sim.script("a", end_after_events=0)
    got, headers, body = ask(stream=True)
    names = [n for n, _ in sse_events(body)]
    assert got == 200 and headers["x-wayfare-provider"] == "b" and names[-1] == "message_stop", (headers, names)


def retry_after_holds_back():
    sim.reset()
    sim.script("a", status=429, retry_after=30)
    ask(model="test/held")
    sim.reset()
    route = json.loads(way.request("POST", "/v1/route", {"model": "test/held", "max_tokens": 5, "messages": [
        {"role": "user", "content": "x"}]})[2])
    at = {p["provider"]: p for p in route["plan"]}
    assert "429" in at["a"]["why"] and at["b"]["rank"] < at["a"]["rank"], route["plan"]


report.case("an empty stream fails over", empty_stream)
report.case("retry-after holds an endpoint back", retry_after_holds_back)


def nothing_held():
    def free():
        key = json.loads(way.request("GET", "/v1/key")[2])
        return all(Decimal(limit["held_usd"]) == 0 for limit in key["limits"])

    wait_for("every hold to be released", free)


report.case("nothing is held at the end", nothing_held)
report.case("ledger", way.verify)
report.case("clean exit", lambda: (way.stop() == 0) or 1 / 0)
report.end()
