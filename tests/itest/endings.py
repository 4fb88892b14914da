#!/usr/bin/env python3
"""Every way a request can end, and what the ledger says of it: clients that leave at each
event, providers that bill on or stop, timeouts, many at once; nothing stays held."""

import json
import socket
import struct
import threading
import time
from decimal import Decimal

from harness import SLOW, Report, Sim, Wayfare, catalog_of, endpoint, price, provider, wait_for

sim = Sim(["stops", "bills", "chat", "chatbills"])
LIMITS = {k: int(ms * SLOW) for k, ms in dict(connect_ms=2000, first_byte_ms=2500, idle_ms=2500, total_ms=20000).items()}
models = [{"id": "test/" + n, "aliases": [n], "endpoints": [endpoint(n, "m-" + n, price("3", "15"))]} for n in sim.url]
catalog = {"providers": [provider("stops", sim.url["stops"], timeouts=LIMITS, cancel_stops_billing=True),
                         provider("bills", sim.url["bills"], timeouts=LIMITS, cancel_stops_billing=False),
                         provider("chat", sim.url["chat"] + "/v1", protocol="openai", timeouts=LIMITS),
                         provider("chatbills", sim.url["chatbills"] + "/v1", protocol="openai", timeouts=LIMITS,
                                  cancel_stops_billing=False)],
           "models": models}
way = Wayfare(catalog)
report = Report()


def start(model, stream, path="/v1/messages", **more):
    """Sends a request and returns its socket."""
    body = json.dumps(dict({"model": model, "max_tokens": 200, "stream": stream,
                            "messages": [{"role": "user", "content": "leave me"}]}, **more)).encode()
    sock = socket.create_connection((way.host, way.port), timeout=30 * SLOW)
    sock.sendall(b"POST " + path.encode() + b" HTTP/1.1\r\nHost: x\r\nx-api-key: " + way.key.encode() +
                 b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    return sock


def leave(sock, how):
    if how == "rst":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def read_events(sock, n):
    """Reads until n events have come; returns the bytes."""
    data = b""
    while data.count(b"\ndata: ") < n or b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        assert piece, data
        data += piece
    return data


def header_of(data, name):
    for line in data.split(b"\r\n\r\n")[0].split(b"\r\n"):
        if line.lower().startswith(name.encode() + b":"):
            return line.split(b":", 1)[1].strip().decode()
    raise AssertionError("no header " + name)


def newest():
    rows = json.loads(way.request("GET", "/v1/generations?limit=1")[2])["data"]
    return rows[0] if rows else None


def settled_after(before_id, seconds=8):
    def look():
        g = newest()
        return g if g and g["id"] != before_id and g["status"] != "running" else None

    return wait_for("the record", look, seconds)


def last_id():
    g = newest()
    return g["id"] if g else None


def gone_mid_stream(model, events, how):
    sim.reset()
    sim.script(model, output_tokens=60, tps=60, ttft_ms=20)  # a second: the client is to leave before the end
    before, seen = last_id(), len(sim.witness())
    sock = start(model, True)
    read_events(sock, events)
    leave(sock, how)
    g = settled_after(before)
    attempt = g["attempts"][0]
    assert g["status"] == "canceled", g
    if model == "bills":
        assert attempt["usage_source"] == "final" and attempt["usage"]["output_tokens"] == 60, attempt
    else:
        assert attempt["usage_source"] == "partial", attempt
        assert attempt["usage"]["input_tokens"] > 0 and Decimal(attempt["cost_usd"]) > 0, attempt
        wait_for("the provider to see the close", lambda: [
            w for w in sim.witness()[seen:] if w["event"] == "end" and w["ended"] == "client_closed"], 5)


for model in ("stops", "bills"):
    for how in ("fin", "rst"):
        for events in (1, 2, 4, 8):
            report.case("leaves %s after %d events by %s" % (model, events, how), gone_mid_stream, model, events, how)


def gone_before_usage(model, path):
    """Chat completions state their usage at the end: what was seen until then is billed, or all where it is billed on."""
    sim.reset()
    sim.script(model, output_tokens=4000, tps=4000, ttft_ms=20)
    before = last_id()
    sock = start(model, True, path, max_tokens=5000)
    data = read_events(sock, 400)
    leave(sock, "fin")
    attempt = settled_after(before)["attempts"][0]
    tokens = attempt["usage"]["output_tokens"]
    if model == "chatbills":
        assert (attempt["usage_source"], tokens) == ("final", 4000), attempt
        return
    assert attempt["usage_source"] == "estimated" and 100 < tokens < 4000, (len(data), attempt)
    assert Decimal("0.0015") < Decimal(attempt["cost_usd"]) < Decimal(attempt["hold_usd"]), attempt


def fails_before_usage(model, path):
    """Its own error ends what it generates, whether it bills on behind a closed connection or not."""
    sim.reset()
    sim.script(model, output_tokens=400, error_event_after=20)
    before = last_id()
    sock = start(model, True, path, max_tokens=50000)
    attempt = settled_after(before)["attempts"][0]
    sock.close()
    assert attempt["end_reason"] == "stream_error" and attempt["usage_source"] == "estimated", attempt
    assert 0 < Decimal(attempt["cost_usd"]) < Decimal("0.01"), attempt


# Translated, and passed through as it is.
for path in ("/v1/messages", "/v1/chat/completions"):
    for model in ("chat", "chatbills"):
        report.case("leaves %s before the usage is stated, %s" % (model, path), gone_before_usage, model, path)
        report.case("%s fails before the usage is stated, %s" % (model, path), fails_before_usage, model, path)


def gone_before_headers(model, stream, how):
    sim.reset()
    sim.script(model, output_tokens=20, delay_ms=1000)
    before, seen = last_id(), len(sim.witness())
    sock = start(model, stream)
    wait_for("the call", lambda: [w for w in sim.witness()[seen:] if w["event"] == "begin"])
    leave(sock, how)
    g = settled_after(before)
    attempt = g["attempts"][0]
    assert g["status"] == "canceled", g
    if model == "bills":
        assert attempt["usage_source"] == "final" and attempt["usage"]["output_tokens"] == 20, attempt
    else:
        assert attempt["usage_source"] == "estimated" and Decimal(attempt["cost_usd"]) > 0, attempt


for model in ("stops", "bills"):
    for stream in (False, True):
        for how in ("fin", "rst"):
            report.case("leaves %s before headers by %s%s" % (model, how, " (stream)" if stream else ""),
                        gone_before_headers, model, stream, how)


def times_out(model):
    sim.reset()
    sim.script(model, hang=1)
    status, headers, body = way.messages(model=model)
    assert status == 504, (status, body)
    attempt = way.generation(headers)["attempts"][0]
    assert attempt["usage_source"] == "estimated", attempt
    if model == "bills":
        assert attempt["cost_usd"] == attempt["hold_usd"], attempt
    else:
        assert 0 < Decimal(attempt["cost_usd"]) < Decimal(attempt["hold_usd"]), attempt


report.case("timeout where cancelling stops billing", times_out, "stops")
report.case("timeout where it does not", times_out, "bills")


def explicit_zero():
    sim.reset()
    sim.script("stops", output_tokens=0, input_tokens=0)
    status, headers, body = way.messages(model="stops", stream=True)
    attempt = way.generation(headers)["attempts"][0]
    assert attempt["usage_source"] == "final" and attempt["cost_usd"] == "0", attempt


def no_usage():
    sim.reset()
    sim.script("stops", no_usage=1)
    status, headers, body = way.messages(model="stops")
    attempt = way.generation(headers)["attempts"][0]
    assert status == 200 and attempt["usage_source"] == "estimated" and Decimal(attempt["cost_usd"]) > 0, attempt


def cache_buckets():
    sim.reset()
    sim.script("stops", input_tokens=10, output_tokens=5, cache_read=1000, cache_write_5m=200, cache_write_1h=30,
               web_searches=2)
    for stream in (False, True):
        status, headers, body = way.messages(model="stops", stream=stream)
        attempt = way.generation(headers)["attempts"][0]
        u = attempt["usage"]
        assert [u[k] for k in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens",
                               "cache_write_1h_tokens", "web_searches")] == [10, 5, 1000, 200, 30, 2], u
        # no cache prices in this catalog: they cost the prompt price; searches cost nothing
        assert Decimal(attempt["cost_usd"]) == Decimal(1240 * 3 + 5 * 15) / 10 ** 6, attempt


report.case("an explicit zero is not missing", explicit_zero)
report.case("no usage is estimated", no_usage)
report.case("cache and search buckets", cache_buckets)


def slow_reader():
    """A reader slower than the provider: bounded memory, whole answer."""
    sim.reset()
    sim.script("stops", output_tokens=60000, event_tokens=50)
    before = last_id()
    sock = start("stops", True, max_tokens=64000)
    data = b""
    time.sleep(1)
    while b"message_stop" not in data[-4096:]:
        piece = sock.recv(16384)
        if not piece:
            break
        data += piece
    sock.close()
    assert b"message_stop" in data[-4096:], data[-300:]
    assert settled_after(before)["attempts"][0]["usage_source"] == "final"


report.case("slow reader", slow_reader)


def ping_in_silence():
    sim.reset()
    long = dict(LIMITS, idle_ms=int(30000 * SLOW), total_ms=int(120000 * SLOW))
    quiet = [{"id": "test/quiet", "endpoints": [endpoint("quiet", "m-stops?chunk=700&gap_ms=%d&output_tokens=8" % (10000 + 3000 * SLOW),
                                                                 price("3", "15"))]}]
    way.import_catalog({"providers": [provider("quiet", sim.url["stops"], timeouts=long)], "models": quiet})
    status, headers, body = way.messages(model="test/quiet", stream=True)
    assert status == 200 and b"message_stop" in body, body[-300:]
    assert body.count(b"event: ping") >= 2, body  # one is the provider's own


def cap_in_a_crowd():
    """1,000 requests that hold the same amount against a cap for 50 of them, none of which ends
    while they come: exactly 50 reach the provider."""
    sim.reset()
    long = dict(LIMITS, first_byte_ms=int(60000 * SLOW), total_ms=int(60000 * SLOW))
    crowd = [{"id": "test/crowd", "endpoints": [endpoint("crowded", "crowd-model?delay_ms=9000&output_tokens=1", price("3", "15"))]}]
    way.import_catalog({"providers": [provider("crowded", sim.url["stops"], timeouts=long)], "models": crowd})
    body = {"model": "test/crowd", "max_tokens": 100, "messages": [{"role": "user", "content": "crowd"}]}
    probe = json.loads(way.request("POST", "/v1/route", body)[2])
    worst = Decimal(probe["plan"][0]["worst_cost_usd"])
    way.cli("team", "create", "crowd", "--budget", str(worst * 50), "--window", "total")
    key = way.cli("key", "create", "--team", "crowd", "--name", "c").strip()
    results = []

    def many():
        for _ in range(10):
            results.append(way.request("POST", "/v1/messages", body, {"x-api-key": key}, key=False)[0])

    threads = [threading.Thread(target=many) for _ in range(100)]
    began = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join()

    def over():
        """Once every call that began has ended: the client may be told before that is written."""
        lines = sim.witness()
        return lines if sum(1 if w["event"] == "begin" else -1 for w in lines) == 0 else None

    sent = [w for w in wait_for("the simulator", over) if w["event"] == "end" and w["model"] == "crowd-model"]
    start = min(w["begin_ms"] for w in sent)
    early = [w for w in sent if w["begin_ms"] < start + 8900]
    assert len(early) == 50, (len(early), time.monotonic() - began)
    assert set(results) <= {200, 402, 429} and results.count(200) == len(sent), (set(results), len(sent))
    limits = json.loads(way.request("GET", "/v1/key", headers={"x-api-key": key}, key=False)[2])["limits"]
    total = [x for x in limits if x["scope"] == "team" and x["cap_usd"] is not None][0]
    assert Decimal(total["spent_usd"]) <= Decimal(total["cap_usd"]), total


report.case("ping in silence", ping_in_silence)
report.case("a cap in a crowd", cap_in_a_crowd)


def nothing_held():
    def free():
        key = json.loads(way.request("GET", "/v1/key")[2])
        return all(Decimal(limit["held_usd"]) == 0 for limit in key["limits"])

    wait_for("every hold to be released", free, 5)


report.case("nothing is held at the end", nothing_held)
report.case("ledger", way.verify)
report.case("clean exit", lambda: (way.stop() == 0) or 1 / 0)
report.end()
