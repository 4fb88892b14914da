#!/usr/bin/env python3
"""Requests of several attempts: what the client is told and what it cost, also where a cap leaves no room for
another attempt; errors that come with 200; dates in retry-after; broken streams of providers that bill on."""

import email.utils
import json
import time
from decimal import Decimal

from harness import SLOW, Report, Sim, Wayfare, endpoint, price, provider, sse_events
from rawprovider import RawProvider, whole

sim = Sim(["a", "b"])
raw = RawProvider()
LIMITS = {k: int(ms * SLOW) for k, ms in dict(connect_ms=2000, first_byte_ms=1000, idle_ms=1500, total_ms=20000).items()}
CHEAP, DEAR = price("1", "5"), price("10000", "50000")
catalog = {
    "providers": [provider("a", sim.url["a"], timeouts=LIMITS), provider("b", sim.url["b"], timeouts=LIMITS),
                  provider("c", sim.url["a"], timeouts=LIMITS), provider("o", sim.url["a"] + "/v1", protocol="openai", timeouts=LIMITS),
                  provider("raw", raw.url, timeouts=LIMITS), provider("strict", raw.url, timeouts=LIMITS), provider("slow", raw.url, timeouts=LIMITS),
                  provider("rawbills", raw.url, timeouts=LIMITS, cancel_stops_billing=False), provider("gem", raw.url, protocol="gemini", timeouts=LIMITS),
                  provider("bills", sim.url["a"], timeouts=LIMITS, cancel_stops_billing=False)],
    "models": [
        {"id": "test/dear", "aliases": ["dear"], "endpoints": [endpoint("a", "m-a", CHEAP), endpoint("b", "m-b", DEAR)]},
        {"id": "test/three", "aliases": ["three"], "endpoints": [endpoint("a", "m-a", CHEAP), endpoint("c", "m-c", CHEAP), endpoint("b", "m-b", DEAR)]},
        {"id": "test/chat", "aliases": ["chat"], "endpoints": [endpoint("o", "m-o", CHEAP), endpoint("b", "m-b", DEAR)]},
        {"id": "test/fits", "aliases": ["fits"], "endpoints": [endpoint("a", "m-a", CHEAP), endpoint("b", "m-b", price("2", "10"))]},
        {"id": "test/only", "aliases": ["only"], "endpoints": [endpoint("a", "m-a", CHEAP)]},
        {"id": "test/alone", "aliases": ["alone"], "endpoints": [endpoint("b", "m-b", DEAR)]},
        {"id": "test/talk", "aliases": ["talk"], "endpoints": [endpoint("o", "m-o", CHEAP)]},
        {"id": "test/raw", "aliases": ["raw"], "endpoints": [endpoint("raw", "m-raw", CHEAP)]},
        {"id": "test/open", "aliases": ["open"], "endpoints": [endpoint("a", "m-open", CHEAP, context_length=None, max_completion_tokens=None)]},
        {"id": "test/slow", "aliases": ["slow"], "endpoints": [endpoint("slow", "m-slow", CHEAP)]},
        {"id": "test/rawbills", "aliases": ["rawbills"], "endpoints": [endpoint("rawbills", "m-rawbills", CHEAP)]},
        {"id": "test/drops", "aliases": ["drops"], "endpoints": [endpoint("raw", "m-raw", CHEAP), endpoint("gem", "gemini-x", DEAR)]},
        {"id": "test/strict", "aliases": ["strict"], "endpoints": [endpoint("strict", "m-strict", CHEAP)]},
        {"id": "test/bills", "aliases": ["bills"], "endpoints": [endpoint("bills", "m-bills", CHEAP)]}]}
way = Wayfare(catalog, budget="0.05")
report = Report()
PATHS = ("/v1/messages", "/v1/chat/completions")


def ask(model, order=("a", "c", "o", "b"), path="/v1/messages", **fields):
    return way.messages(model=model, path=path, provider_order=list(order), **fields)


def errors_of(data):
    return json.loads(data)["error"]


# ---- a cap is in the way of the next attempt ----
def one_failed(status, said, told):
    """The error of the one that was tried, as it would be without the other."""
    for model in ("dear", "chat"):
        for path in PATHS:
            for stream in (False, True):
                sim.reset()
                sim.script("a", status=status, **said)
                got, headers, data = ask(model, path=path, stream=stream)
                assert got == (503 if told == 529 and model == "dear" and path == PATHS[1] else told), (model, path, got, data)
                assert headers["x-wayfare-attempts"] == "1" and headers["x-wayfare-provider"] == ("a" if model == "dear" else "o"), headers
                if "retry_after" in said:
                    assert headers["retry-after"] == str(said["retry_after"]), headers
                if model == "dear" and path == PATHS[0] and told == status:
                    alone = way.messages(model="only", stream=stream)
                    assert json.loads(alone[2])["error"] == errors_of(data), (alone, data)
                record = way.generation(headers)
                assert record["status"] == "error" and len(record["attempts"]) == 1, record


def several_failed():
    sim.script("a", status=500)
    for path, status in zip(PATHS, (529, 503)):
        got, headers, data = ask("three", path=path)
        assert got == status and headers["x-wayfare-attempts"] == "2", (got, headers, data)
        assert [a["provider"] for a in errors_of(data)["attempts"]] == ["a", "c"], data
    sim.script("a", status=429, retry_after=3)
    got, headers, data = ask("three")
    assert got == 429 and headers["retry-after"] == "3" and errors_of(data)["type"] == "rate_limit_error", (got, headers, data)


def another_model():
    """A client's error is the answer, where the model that remains does not fit."""
    sim.script("a", status=400, error_type="invalid_request_error")
    got, headers, data = ask("only", models=["alone"])
    assert got == 400 and errors_of(data)["type"] == "invalid_request_error", (got, data)


def it_timed_out():
    sim.script("a", hang=1)
    got, headers, data = ask("dear")
    assert got == 504 and errors_of(data)["type"] == "timeout_error", (got, data)
    assert Decimal(way.generation(headers)["cost_usd"]) > 0


def none_was_made():
    got, headers, data = ask("alone")
    assert got == 402 and errors_of(data)["type"] == "billing_error" and headers["x-should-retry"] == "false", (got, headers, data)


def no_such_sum():
    """More than can be counted is refused by the cap where there is one."""
    for tok in (10 ** 12, 2 * 10 ** 12, 9007199254740991):
        got, headers, data = way.messages(model="open", max_tokens=tok)
        assert got == 402 and errors_of(data)["budget"]["scope"] == "team" and headers["x-should-retry"] == "false", (tok, got, data)


def counted_as_errors():
    rows = way.cli_json("usage", "--by", "model")["rows"]
    dear = [r for r in rows if r["model"] == "test/dear"][0]
    assert dear["errors"] == dear["requests"] > 0, dear


# ---- what it cost ----
def cost_of_all():
    """The header and the report hold the attempts that failed and were charged."""
    sim.script("a", hang=1)
    for path in PATHS:
        for stream in (False, True):
            got, headers, data = ask("fits", path=path, stream=stream, **({"stream_options": {"include_usage": True}} if stream and path != PATHS[0] else {}))
            record = way.generation(headers)
            costs = [Decimal(a["cost_usd"]) for a in record["attempts"]]
            assert got == 200 and len(costs) == 2 and min(costs) > 0 and sum(costs) == Decimal(record["cost_usd"]), (got, record)
            if not stream:
                assert headers["x-wayfare-cost"] == record["cost_usd"], (headers, record)
            got, headers, data = way.messages(model="fits", path=path, stream=stream, provider_order=["a", "b"], headers={"x-wayfare-report": "body"})
            record = way.generation(headers)
            if stream:
                events = [json.loads(line[5:]) for line in data.split(b"\n") if line.startswith(b"data:") and b"DONE" not in line]
                cost = [e["usage"]["cost"] for e in events if "cost" in (e.get("usage") or {})][-1]
            else:
                cost = json.loads(data, parse_float=Decimal)["usage"]["cost"]
            assert len(record["attempts"]) == 2 and Decimal(str(cost)) == Decimal(record["cost_usd"]), (path, stream, cost, record)


# ---- errors that come with 200 ----
KINDS = {"invalid_request_error": 400, "not_found_error": 404, "request_too_large": 413, "rate_limit_error": 429, "api_error": 500, "overloaded_error": 529}


def error_event_first(kind, status):
    """In place of an answer it is the error of its type, with the provider's own words."""
    told = b'{"type":"error","error":{"type":"%s","message":"so says the provider"}}' % kind.encode()
    for body in (b"event: error\ndata: %s\n\n" % told, b"event: ping\ndata: {\"type\":\"ping\"}\n\nevent: error\ndata: %s\n\n" % told):
        raw.answer = lambda request: whole(body, content_type=b"text/event-stream")
        got, headers, data = way.messages(model="raw", stream=True)
        assert got == status and data == told and headers["content-type"] == "application/json", (got, headers, data)
        got, headers, data = way.messages(model="raw", stream=True, path=PATHS[1])
        assert got == (503 if status == 529 else status) and errors_of(data)["message"] == "so says the provider", (got, data)
    raw.answer = lambda request: whole(told)
    got, headers, data = way.messages(model="raw")
    assert got == status and data == told, (got, data)


def no_failure_of_the_provider():
    """Clients' mistakes do not put an endpoint in outage."""
    told = b'{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long"}}'
    raw.answer = lambda request: whole(b"event: error\ndata: %s\n\n" % told, content_type=b"text/event-stream")
    for _ in range(6):
        assert way.messages(model="strict", stream=True)[0] == 400
    plan = json.loads(way.request("POST", "/v1/route", {"model": "strict", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]})[2])["plan"]
    assert "outage" not in plan[0]["why"] and "ejected" not in plan[0]["why"], plan


def error_after_content():
    sim.script("a", error_event_after=6, output_tokens=40, event_tokens=4)
    got, headers, data = way.messages(model="only", stream=True)
    names = [name for name, _ in sse_events(data)]
    assert got == 200 and "error" in names and "message_stop" not in names, (got, names)


def error_after_content_and_no_close():
    """The provider's own error is the last the client hears, and says how much there was."""
    start = b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"x","content":[],' \
        b'"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":1}}}\n\n' \
        b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n' \
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hello"}}\n\n'
    error = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 100000\r\n\r\n"

    def closes():
        yield from (head, start, error)
        raise OSError  # in the middle of the length that was announced

    for answer in (lambda request: [head, start, error], lambda request: closes()):
        for path in PATHS:
            raw.answer = answer
            began = time.monotonic()
            got, headers, data = way.messages(model="rawbills", stream=True, path=path)
            assert got == 200 and data.count(b"Overloaded") == 1, data
            assert data.count(b"event: error") == (path == PATHS[0]) and data.count(b'"finish_reason":"error"') == (path == PATHS[1]), data
            assert b"message_stop" not in data and time.monotonic() - began < LIMITS["idle_ms"] / 1000, data
            attempt = way.generation(headers)["attempts"][0]
            assert attempt["end_reason"] == "stream_error" and Decimal(attempt["cost_usd"]) < Decimal(attempt["hold_usd"]), attempt


def what_was_dropped():
    """Headers tell of the attempt whose answer it is."""
    fields = dict(model="drops", provider_order=["raw", "gem"], metadata={"user_id": "u"}, top_k=3)
    raw.answer = lambda request: whole(b'{"type":"error","error":{"type":"api_error","message":"no"}}', b"500 No")
    got, headers, data = way.messages(**fields)
    assert got == 500 and headers["x-wayfare-provider"] == "raw" and "x-wayfare-dropped" not in headers, (got, headers, data)


# ---- when to come back ----
def retry_after_of_an_event():
    """With status 200 too."""
    raw.answer = lambda request: whole(b'event: error\ndata: {"type":"error","error":{"type":"rate_limit_error","message":"slow"}}\n\n',
                                       headers=b"retry-after: 25\r\n", content_type=b"text/event-stream")
    got, headers, data = way.messages(model="slow", models=["only"], stream=True)
    assert got == 200, (got, data)
    plan = json.loads(way.request("POST", "/v1/route", {"model": "slow", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]})[2])["plan"]
    assert "held back" in plan[0]["why"], plan


def retry_after_date():
    at = time.time() + 25
    raw.answer = lambda request: whole(b'{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}', b"429 Slow",
                                       b"retry-after: %s\r\n" % email.utils.formatdate(at, usegmt=True).encode())
    got, headers, data = way.messages(model="strict", models=["only"])
    assert got == 200, (got, data)
    plan = json.loads(way.request("POST", "/v1/route", {"model": "strict", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]})[2])["plan"]
    assert "held back" in plan[0]["why"], plan


# ---- a provider that bills on ----
def broken_where_it_bills_on():
    """Nobody says how much it went on to generate: the whole hold, as at a start after a crash."""
    for how in (dict(hang_after_events=6), dict(reset_after_events=6), dict(end_after_events=6)):
        for model in ("bills", "only"):
            sim.reset()
            sim.script("a", output_tokens=40, event_tokens=4, **how)
            got, headers, data = way.messages(model=model, stream=True)
            attempt = way.generation(headers)["attempts"][0]
            if model == "bills":
                assert attempt["cost_usd"] == attempt["hold_usd"] and attempt["usage_source"] == "estimated", (how, attempt)
                assert attempt["usage"]["input_tokens"] > 0 and attempt["usage"]["output_tokens"] > 0, (how, attempt)
            else:
                assert Decimal(attempt["cost_usd"]) < Decimal(attempt["hold_usd"]) and attempt["usage_source"] == "partial", (how, attempt)


def case(name, function, *args):
    sim.reset()
    report.case(name, function, *args)


case("a cap after 500", one_failed, 500, {}, 500)
case("a cap after 529 with retry-after", one_failed, 529, {"retry_after": 1}, 529)
case("a cap after 429 with retry-after", one_failed, 429, {"retry_after": 2}, 429)
case("a cap after 404", one_failed, 404, {}, 404)
case("a cap after the operator's 402", one_failed, 402, {}, 502)
case("a cap after several", several_failed)
case("a cap before the model that remains", another_model)
case("a cap after a timeout", it_timed_out)
case("a cap before the first", none_was_made)
case("more than can be counted", no_such_sum)
case("they are errors in the usage", counted_as_errors)
case("the cost of all attempts", cost_of_all)
for kind, status in KINDS.items():
    case("an event %s in place of an answer" % kind, error_event_first, kind, status)
case("a client's mistake is no outage", no_failure_of_the_provider)
case("an error after content", error_after_content)
case("an error after content, and no close", error_after_content_and_no_close)
case("what was dropped", what_was_dropped)
case("a date in retry-after", retry_after_date)
case("retry-after beside an error event", retry_after_of_an_event)
case("broken where the provider bills on", broken_where_it_bills_on)
report.case("the ledger", way.verify)
report.end()
