#!/usr/bin/env python3
"""Real exchanges through the server: request bytes arrive unchanged but for the model and
the cut fields, answer bytes come back unchanged (JSON and SSE, as recorded, whole and cut at
random), errors included, and the cost equals an independent decimal computation.

The recordings are not part of the project: the suite runs where WAYFARE_SHARED (or ../shared)
has them and says so where it does not."""

import base64
import json
import random
from decimal import ROUND_CEILING, Decimal

from crowd import ledger
from harness import SHARED, Report, Sim, Wayfare, endpoint, provider

ROOT = SHARED / "recordings"
FOLDERS = ("anthropic", "azure-anthropic", "vertex-anthropic")
PRICE = {"prompt": "3", "completion": "15", "cache_read": "0.30", "cache_write_5m": "3.75", "cache_write_1h": "6",
         "web_search": "0.01"}
INNER = {"prompt": "5", "completion": "25", "cache_read": "0.50", "cache_write_5m": "6.25", "cache_write_1h": "10",
         "web_search": "0.01"}

report = Report()
if not ROOT.is_dir():
    report.skip("recordings", "no recordings at %s" % ROOT)
    report.end()


def load():
    found = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).glob("*.json")):
            r = json.loads(path.read_text())
            if r["api"] in ("anthropic.messages", "anthropic.count_tokens", "vertex.rawPredict", "vertex.streamRawPredict"):
                found.append((folder + "/" + path.name, r))
    return found


RECORDINGS = load()
sim = Sim(["real"], extra=["--replay", str(ROOT), "--log-bodies"])


def models():
    """One model per recording and chunking, and the inner models that usage names."""
    rows = []
    for i, (name, _) in enumerate(RECORDINGS):
        for chunk in ("whole", "recorded", "random"):
            rows.append({"id": "replay/%d-%s" % (i, chunk), "endpoints": [
                endpoint("real", "replay:%s?chunk=%s" % (name, chunk), PRICE, context_length=0, max_completion_tokens=0)]})
    rows.append({"id": "inner", "endpoints": [endpoint("real", "claude-opus-4-8", INNER)]})
    return rows


way = Wayfare({"providers": [provider("real", sim.url["real"])], "models": models()}, threads=1)


def body_of(recording):
    response = recording["response"]
    if response.get("body_text") is not None:
        return response["body_text"].encode()
    return json.dumps(response.get("body")).encode()


def request_of(recording, model):
    """The recorded request with our model, written in an odd but valid spelling, and the bytes
    that must arrive: routing fields gone, the model replaced, all else as written."""
    body = recording["request"].get("body")
    if not isinstance(body, dict) or "messages" not in body:
        body = {"max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}], "stream": recording["stream"]}
    body = dict(body)
    body["model"] = model
    if recording["api"] != "anthropic.count_tokens":
        body["stream"] = bool(recording["stream"])
    text = json.dumps(body, ensure_ascii=False, separators=(",", " : "))
    return text.encode(), text[:-1].encode() + b', "provider_sort":"price" , "models":null}'


def usage_sum(report_usage):
    """(our buckets, priced pico-USD) of a usage object, by the documented rules."""
    def buckets(u):
        split = u.get("cache_creation") or {}
        w5, w1 = split.get("ephemeral_5m_input_tokens") or 0, split.get("ephemeral_1h_input_tokens") or 0
        total = u.get("cache_creation_input_tokens") or 0
        w5 += max(0, total - w5 - w1)
        return [u.get("input_tokens") or 0, u.get("output_tokens") or 0, u.get("cache_read_input_tokens") or 0, w5, w1]

    def priced(b, p):
        rates = [p["prompt"], p["completion"], p["cache_read"], p["cache_write_5m"], p["cache_write_1h"]]
        return sum(Decimal(n) * Decimal(rate) for n, rate in zip(b, rates)) / Decimal(10) ** 6

    searches = (report_usage.get("server_tool_use") or {}).get("web_search_requests") or 0
    iterations = report_usage.get("iterations")
    rows = iterations if iterations else [report_usage]
    total, cost = [0] * 5, Decimal(searches) * Decimal(PRICE["web_search"])
    for row in rows:
        b = buckets(row)
        total = [x + y for x, y in zip(total, b)]
        cost += priced(b, INNER if row.get("model") == "claude-opus-4-8" else PRICE)
    return total + [searches], cost


def merged_usage(recording):
    """The provider's final usage: in a stream each field is the largest of message_start and the
    last message_delta."""
    if recording["response"].get("body_text") is None or not recording["stream"]:
        body = recording["response"].get("body")
        return body.get("usage") if isinstance(body, dict) and body.get("type") == "message" else None
    start, last, complete = None, None, False
    for line in recording["response"]["body_text"].splitlines():
        if line.startswith("data:"):
            data = json.loads(line[5:])
            if data.get("type") == "message_start":
                start = data["message"].get("usage") or {}
            elif data.get("type") == "message_delta":
                last = data.get("usage") or {}
            complete |= data.get("type") == "message_stop"
    if start is None or not complete:
        return None
    merged = dict(start)
    for k, v in (last or {}).items():
        if isinstance(v, int) and isinstance(merged.get(k), int):
            merged[k] = max(v, merged[k])
        elif k == "cache_creation" and isinstance(v, dict):
            merged[k] = {n: max(v.get(n) or 0, (merged.get(k) or {}).get(n) or 0) for n in set(v) | set(merged.get(k) or {})}
        elif v is not None:
            merged[k] = v
    return merged


def chop(data):
    """Random pieces, to be sent as they are."""
    rng = random.Random(len(data))
    at = 0
    while at < len(data):
        n = rng.choice((1, 7, 100, 4096, 16384))
        yield data[at:at + n]
        at += n


def post(path, data, pieces):
    conn = way.connect()
    conn.putrequest("POST", path)
    for k, v in (("x-api-key", way.key), ("content-type", "application/json"), ("anthropic-version", "2023-06-01"),
                 ("content-length", str(len(data)))):
        conn.putheader(k, v)
    conn.endheaders()
    for piece in (chop(data) if pieces else [data]):
        conn.send(piece)
    answer = conn.getresponse()
    out = answer.read()
    conn.close()
    return answer.status, {k.lower(): v for k, v in answer.getheaders()}, out


def expected_status(recording):
    status = recording["response"]["status"]
    return 502 if status in (401, 402) else status


def check(i, recording, chunk):
    counting = recording["api"] == "anthropic.count_tokens"
    upstream = "replay:%s?chunk=%s" % (RECORDINGS[i][0], chunk)
    arrives, _ = request_of(recording, upstream)
    _, sent = request_of(recording, "replay/%d-%s" % (i, chunk))
    path = "/v1/messages/count_tokens" if counting else "/v1/messages"
    status, headers, body = post(path, sent, chunk == "random")
    assert status == expected_status(recording), (status, body[:400])
    if status == recording["response"]["status"]:
        want = body_of(recording)
        if recording["response"].get("body_text") is not None or recording["framing"] == "sse":
            assert body == want, "answer bytes differ at %d of %d: %r" % (
                next((k for k, (x, y) in enumerate(zip(body, want)) if x != y), min(len(body), len(want))), len(want),
                body[-200:])
        else:
            assert json.loads(body) == json.loads(want)
    seen = [w for w in sim.witness() if w["event"] == "begin" and w["path"].endswith(path)][-1]
    assert seen["body_len"] == len(arrives), (seen["body_len"], len(arrives))
    assert base64.b64decode(seen["body_base64"]) == arrives, "request bytes differ"
    if status == 200 and not counting:
        check_cost(recording, headers)


def check_cost(recording, headers):
    usage = merged_usage(recording)
    g = way.generation(headers)
    attempt = g["attempts"][0]
    if usage is None:
        assert attempt["usage_source"] in ("partial", "estimated", "none"), attempt
        return
    buckets, cost = usage_sum(usage)
    row = attempt["usage"]
    got = [row[k] or 0 for k in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens",
                                 "cache_write_1h_tokens", "web_searches")]
    assert got == buckets, (got, buckets)
    nano = (cost * 10 ** 9).to_integral_value(ROUND_CEILING)
    assert Decimal(attempt["cost_usd"]) * 10 ** 9 == nano, (attempt["cost_usd"], nano)
    assert attempt["usage_source"] == "final", attempt
    pico[attempt["id"]] = cost * 10 ** 12


pico = {}  # attempt id -> what it must cost


def to_the_pico_dollar():
    rows = ledger(way)
    assert pico
    for attempt, want in pico.items():
        assert rows[attempt]["cost_pusd"] == want, (dict(rows[attempt]), want)


for index, (name, rec) in enumerate(RECORDINGS):
    for chunk in ("whole", "recorded", "random"):
        report.case("%s %s" % (name, chunk), check, index, rec, chunk)
report.case("every cost to the pico-dollar", to_the_pico_dollar)
report.case("ledger", way.verify)
report.end()
