#!/usr/bin/env python3
"""A zoo of usage reports: every shape in which gateways are known to have counted wrong, played by
the simulator as JSON and as a stream, whole and cut at random.  What each must be billed as is
written beside it by hand; the cost is a decimal computation, equal to the pico-dollar."""

import concurrent.futures
import json
import os
import shutil
import socket
import tempfile

from crowd import BUCKETS, charge_nusd, ledger, nothing_held, oracle_pusd
from harness import Report, Sim, Wayfare, endpoint, provider, wait_for

REPORT = Report()
FULL = {"prompt": "3", "completion": "15", "cache_read": "0.30", "cache_write_5m": "3.75", "cache_write_1h": "6",
        "web_search": "0.01", "request": "0.000001"}
# Rates whose sums are no whole nano-dollars: the rounding shows.
ODD = {"prompt": "0.037501", "completion": "0.300007", "cache_read": "0.003749", "cache_write_5m": "0.046877",
       "cache_write_1h": "0.075002"}
MINUTES = {"prompt": "3", "completion": "15", "cache_write_5m": "3.75"}
BARE = {"prompt": "3", "completion": "15"}  # caches cost what the prompt costs
TIERED = dict(FULL, tiers=[{"above_prompt_tokens": 200000, "prompt": "6", "completion": "22.5"},
                           {"above_prompt_tokens": 500000, "prompt": "9.000001", "cache_read": "1"}])
INNER = {"prompt": "5", "completion": "25", "cache_read": "0.50", "cache_write_5m": "6.25", "cache_write_1h": "10"}
OTHER = {"prompt": "1", "completion": "5"}
TEXT = ["One ", "two ", "three ", "four ", "and then a long rest that has many more words than the others."]


def tokens(i=0, o=0, read=0, w5=0, w1=0, searches=0):
    return {"input_tokens": i, "output_tokens": o, "cache_read_tokens": read, "cache_write_5m_tokens": w5,
            "cache_write_1h_tokens": w1, "web_searches": searches}


def split(w5, w1):
    return {"ephemeral_5m_input_tokens": w5, "ephemeral_1h_input_tokens": w1}


class Case:
    """usage: of the JSON form; start, deltas: of the stream (by default made from usage).
    billed: [(tokens, prices)], of which only the first pays the request's own fees."""

    def __init__(self, name, prices, billed, usage=None, start=None, deltas=None, source="final", forms=("json", "sse"), ttls=()):
        self.ttls = ttls  # of the request's cache_control
        self.name, self.prices, self.usage, self.source = name, prices, usage, source
        self.start = start if start is not None or usage is None else dict(usage, output_tokens=1)
        self.deltas = deltas if deltas is not None else [usage]
        self.billed = [(billed, prices)] if isinstance(billed, dict) else billed
        self.forms = forms if usage is not None else ("sse",)

    def pusd(self):
        total = 0
        for n, (t, prices) in enumerate(self.billed):
            total += oracle_pusd(t, dict(prices, request="0") if n or prices is not self.prices else prices)
        if not any(prices is self.prices for _, prices in self.billed[:1]):
            total += oracle_pusd({}, self.prices)
        return total

    def sums(self):
        return [sum(t[name] for t, _ in self.billed) for name, _, _ in BUCKETS]


def iteration(i, o, kind="message", model=None, **more):
    row = dict({"input_tokens": i, "output_tokens": o, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0,
                "type": kind}, **more)
    if model:
        row["model"] = model
    return row


CASES = [
    Case("plain", FULL, tokens(10, 20), {"input_tokens": 10, "output_tokens": 20}),
    Case("rates below a nano-dollar", ODD, tokens(7, 3, 11, 13, 17),
         {"input_tokens": 7, "output_tokens": 3, "cache_read_input_tokens": 11, "cache_creation_input_tokens": 30,
          "cache_creation": split(13, 17)}),
    Case("one token", ODD, tokens(1, 0), {"input_tokens": 1, "output_tokens": 0}, start={"input_tokens": 1, "output_tokens": 0}),
    Case("a start that says more than the end", ODD, tokens(9, 4), start={"input_tokens": 9, "output_tokens": 4},
         deltas=[{"input_tokens": 8, "output_tokens": 3}]),
    # F17: zero is a figure, not a missing one.
    Case("explicit zero", FULL, tokens(0, 0), {"input_tokens": 0, "output_tokens": 0}, start={"input_tokens": 0, "output_tokens": 0}),
    Case("explicit zero of all kinds", BARE, tokens(0, 0),
         {"input_tokens": 0, "output_tokens": 0, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0,
          "cache_creation": split(0, 0), "server_tool_use": {"web_search_requests": 0}},
         start={"input_tokens": 0, "output_tokens": 0}),
    Case("zero output, prompt paid", FULL, tokens(500, 0), {"input_tokens": 500, "output_tokens": 0},
         start={"input_tokens": 500, "output_tokens": 0}),
    # F18: the stream's figures, also where only one event has them.
    Case("all figures in the last event", FULL, tokens(40, 9), start={}, deltas=[{"input_tokens": 40, "output_tokens": 9}]),
    Case("null figures", FULL, tokens(40, 9), start={"input_tokens": 40, "output_tokens": 1, "cache_creation": None,
                                                      "cache_read_input_tokens": None, "server_tool_use": None},
         deltas=[{"input_tokens": None, "output_tokens": 9, "cache_creation_input_tokens": None}]),
    # F19: cumulative, repeated, with zeros, without what the start has said.
    Case("delta has the output only", FULL, tokens(100, 7, 50, 20), start={
        "input_tokens": 100, "cache_read_input_tokens": 50, "cache_creation_input_tokens": 20,
        "cache_creation": split(20, 0), "output_tokens": 1}, deltas=[{"output_tokens": 7}]),
    Case("several cumulative deltas", FULL, tokens(100, 35), start={"input_tokens": 100, "output_tokens": 2},
         deltas=[{"output_tokens": 10}, {"output_tokens": 20}, {"output_tokens": 20}, {"output_tokens": 35}]),
    Case("input grows from delta to delta", FULL, tokens(900, 35, 300, 0, 0, 2), start={"input_tokens": 100, "output_tokens": 2},
         deltas=[{"input_tokens": 400, "output_tokens": 10, "server_tool_use": {"web_search_requests": 1}},
                 {"input_tokens": 900, "cache_read_input_tokens": 300, "output_tokens": 35, "server_tool_use": {"web_search_requests": 2}}]),
    Case("zeros repeated in the delta", FULL, tokens(100, 7, 50, 20, 30), start={
        "input_tokens": 100, "cache_read_input_tokens": 50, "cache_creation_input_tokens": 50,
        "cache_creation": split(20, 30), "output_tokens": 1},
         deltas=[{"input_tokens": 0, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0,
                  "cache_creation": split(0, 0), "output_tokens": 7}]),
    # Only the start has figures, and its output is a placeholder: what was seen counts, 4 bytes a token.
    Case("no figures in the last event", FULL, tokens(100, sum(map(len, TEXT)) // 4, 50), source="partial", start={
        "input_tokens": 100, "cache_read_input_tokens": 50, "output_tokens": 1}, deltas=[None]),
    Case("no last event but the stop", FULL, tokens(100, 500), source="partial", start={
        "input_tokens": 100, "output_tokens": 500}, deltas=[]),
    # F21: reads and writes once each, at their own rates.
    Case("cache read beside the input", FULL, tokens(10, 5, 100000), {
        "input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 100000}),
    Case("cache without prices of its own", BARE, tokens(10, 5, 1000, 200, 30), {
        "input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 230,
        "cache_creation": split(200, 30)}),
    # F22: the two lives of a cache write.
    Case("written for an hour", FULL, tokens(10, 5, 0, 0, 1000), {
        "input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 1000, "cache_creation": split(0, 1000)}),
    Case("written for both", FULL, tokens(10, 5, 0, 400, 600), {
        "input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 1000, "cache_creation": split(400, 600)}),
    Case("written, not said for how long", FULL, tokens(10, 5, 0, 1000, 0), {
        "input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 1000}),
    # What is not said is what was asked for; of both the dearer.
    Case("asked for five minutes, not said for how long", FULL, tokens(10, 5, 0, 1000, 0), {
        "input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 1000}, ttls=("5m",)),
    Case("asked for an hour, not said for how long", FULL, tokens(10, 5, 0, 0, 1000), {
        "input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 1000}, ttls=("1h",)),
    Case("asked for both, not said for how long", FULL, tokens(10, 5, 0, 0, 1000), {
        "input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 1000}, ttls=("1h", "5m")),
    Case("asked for both, an hour without a price of its own", MINUTES, tokens(10, 5, 0, 1000, 0), {
        "input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 1000}, ttls=("1h", "5m")),
    Case("asked for an hour alone, which has no price of its own", MINUTES, tokens(10, 5, 0, 1000, 0), {
        "input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 1000}, ttls=("1h",)),
    Case("asked for an hour, said to be five minutes", FULL, tokens(10, 5, 0, 1000, 0), {
        "input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 1000, "cache_creation": split(1000, 0)}, ttls=("1h",)),
    Case("asked for an hour, split below the total", FULL, tokens(10, 5, 0, 400, 600), {
        "input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 1000, "cache_creation": split(400, 100)}, ttls=("1h",)),
    Case("asked for an hour, inner calls", FULL, [(tokens(10, 5, 0, 0, 700), FULL), (tokens(10, 5, 0, 0, 300), FULL)], {
        "input_tokens": 20, "output_tokens": 10, "iterations": [
            iteration(10, 5, cache_creation_input_tokens=700), iteration(10, 5, cache_creation_input_tokens=300)]}, ttls=("1h",)),
    Case("split below the total", FULL, tokens(10, 5, 0, 500, 500), {
        "input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 1000, "cache_creation": split(0, 500)}),
    Case("split without a total", FULL, tokens(10, 5, 0, 400, 600), {
        "input_tokens": 10, "output_tokens": 5, "cache_creation": split(400, 600)}),
    Case("an hour in the start, the total repeated in the delta", FULL, tokens(10, 5, 0, 0, 1000), start={
        "input_tokens": 10, "output_tokens": 1, "cache_creation_input_tokens": 1000, "cache_creation": split(0, 1000)},
         deltas=[{"input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 1000}]),
    # F23: a tier is above its threshold, not at it, and takes the whole request.
    Case("at the threshold", TIERED, tokens(200000, 10), {"input_tokens": 200000, "output_tokens": 10}),
    Case("one above the threshold", TIERED, tokens(200001, 10), {"input_tokens": 200001, "output_tokens": 10}),
    Case("caches count for the threshold", TIERED, tokens(1, 10, 150000, 25000, 25000), {
        "input_tokens": 1, "output_tokens": 10, "cache_read_input_tokens": 150000, "cache_creation_input_tokens": 50000,
        "cache_creation": split(25000, 25000)}),
    Case("caches at the threshold", TIERED, tokens(0, 10, 150000, 25000, 25000), {
        "input_tokens": 0, "output_tokens": 10, "cache_read_input_tokens": 150000, "cache_creation_input_tokens": 50000,
        "cache_creation": split(25000, 25000)}),
    Case("output does not count for the threshold", TIERED, tokens(199999, 64000), {"input_tokens": 199999, "output_tokens": 64000}),
    Case("at the second threshold", TIERED, tokens(500000, 1), {"input_tokens": 500000, "output_tokens": 1}),
    Case("above both, inheriting", TIERED, tokens(400000, 1, 100001, 7, 9), {
        "input_tokens": 400000, "output_tokens": 1, "cache_read_input_tokens": 100001, "cache_creation_input_tokens": 16,
        "cache_creation": split(7, 9)}),
    # F24: calls that the provider made itself, each at its own model.
    Case("an adviser", FULL, [(tokens(1128, 110), FULL), (tokens(2518, 22), INNER), (tokens(1262, 11), FULL)], {
        "input_tokens": 2390, "output_tokens": 121, "iterations": [
            iteration(1128, 110), iteration(2518, 22, "advisor_message", "inner-model"), iteration(1262, 11)]}),
    Case("a compaction, not in the total", FULL, [(tokens(100, 83, 55096), FULL), (tokens(181, 8), FULL)], {
        "input_tokens": 181, "output_tokens": 8, "iterations": [
            iteration(100, 83, "compaction", cache_read_input_tokens=55096), iteration(181, 8)]}),
    Case("declined in the middle, then another model", FULL, [(tokens(600, 12, 9000), INNER), (tokens(700, 25, 40), OTHER)], {
        "input_tokens": 700, "output_tokens": 25, "cache_read_input_tokens": 40, "iterations": [
            iteration(600, 12, "message", "inner-model", cache_read_input_tokens=9000),
            iteration(700, 25, "fallback_message", "other-model", cache_read_input_tokens=40)]}),
    Case("declined before any output: not billed", FULL, [(tokens(700, 25), OTHER)], {
        "input_tokens": 700, "output_tokens": 25, "iterations": [
            iteration(650, 0, "message", "inner-model", cache_read_input_tokens=9000),
            iteration(700, 25, "fallback_message", "other-model")]}),
    Case("an inner call without output is billed", FULL, [(tokens(100, 5), FULL), (tokens(650, 0), INNER)], {
        "input_tokens": 100, "output_tokens": 5, "iterations": [
            iteration(100, 5), iteration(650, 0, "advisor_message", "inner-model")]}),
    Case("each inner call in a tier of its own", TIERED, [(tokens(150000, 5), TIERED), (tokens(150000, 5), TIERED)], {
        "input_tokens": 150000, "output_tokens": 10, "iterations": [iteration(150000, 5), iteration(150000, 5)]}),
    Case("empty list of inner calls", FULL, tokens(10, 20), {"input_tokens": 10, "output_tokens": 20, "iterations": []}),
    Case("an unknown inner model costs what the endpoint costs", FULL, [(tokens(10, 20), FULL), (tokens(30, 40), FULL)], {
        "input_tokens": 10, "output_tokens": 20, "iterations": [
            iteration(10, 20), iteration(30, 40, "advisor_message", "nobody-knows")]}),
    # Searches.
    Case("searches", FULL, tokens(10, 20, searches=3), {
        "input_tokens": 10, "output_tokens": 20, "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 9}}),
    Case("searches without a price", BARE, tokens(10, 20, searches=3), {
        "input_tokens": 10, "output_tokens": 20, "server_tool_use": {"web_search_requests": 3}}),
    Case("searches beside inner calls", FULL, [(tokens(10, 20, searches=2), FULL), (tokens(30, 40), INNER)], {
        "input_tokens": 10, "output_tokens": 20, "server_tool_use": {"web_search_requests": 2}, "iterations": [
            iteration(10, 20), iteration(30, 40, "advisor_message", "inner-model")]}),
    # Fields from tomorrow.
    Case("unknown members", FULL, tokens(10, 20), {
        "input_tokens": 10, "output_tokens": 20, "service_tier": "priority", "inference_geo": "global", "new_tokens": 99,
        "output_tokens_details": {"thinking_tokens": 19}}),
]


def event(kind, **members):
    return "event: %s\ndata: %s\n\n" % (kind, json.dumps(dict({"type": kind}, **members)))


def stream_of(case, upto=None):
    head = {"id": "msg_01Zoo", "type": "message", "role": "assistant", "model": "zoo", "content": [], "stop_reason": None,
            "stop_sequence": None}
    if case.start is not None:
        head["usage"] = case.start
    out = [event("message_start", message=head), event("content_block_start", index=0, content_block={"type": "text", "text": ""})]
    out += [event("content_block_delta", index=0, delta={"type": "text_delta", "text": t}) for t in TEXT]
    out.append(event("content_block_stop", index=0))
    for usage in case.deltas:
        more = {"usage": usage} if usage is not None else {}
        out.append(event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, **more))
    out.append(event("message_stop"))
    return out[:upto]


def body_of(case):
    body = {"id": "msg_01Zoo", "type": "message", "role": "assistant", "model": "zoo",
            "content": [{"type": "text", "text": "".join(TEXT)}], "stop_reason": "end_turn", "stop_sequence": None}
    if case.usage is not None:
        body["usage"] = case.usage
    return body


MISSING = Case("no usage at all", FULL, [], source="estimated", deltas=[None])
MISSING.forms = ("json", "sse")
LEFT = Case("left behind a placeholder", FULL, tokens(1000, 1, 500), start={
    "input_tokens": 1000, "output_tokens": 1, "cache_read_input_tokens": 500}, deltas=[{"output_tokens": 4000}])

folder = tempfile.mkdtemp(prefix="wayfare-zoo-")


def write(case, name, form, sizes=None, upto=None):
    response = {"status": 200, "headers": {"content-type": "application/json" if form == "json" else "text/event-stream"}}
    if form == "json":
        response["body"] = body_of(case)
    else:
        response["body_text"] = "".join(stream_of(case, upto))
        response["chunk_sizes"] = sizes or [len(e.encode()) for e in stream_of(case, upto)]
    with open(os.path.join(folder, name), "w") as f:
        json.dump({"stream": form == "sse", "framing": "sse" if form == "sse" else None, "response": response}, f)


ALL = CASES + [MISSING]
for n, one in enumerate(ALL):
    for form_of in one.forms:
        write(one, "%d-%s.json" % (n, form_of), form_of)
write(LEFT, "left.json", "sse")

sim = Sim(["zoo", "bills"], extra=["--replay", folder])
MODELS = [{"id": "inner-model", "endpoints": [endpoint("zoo", "inner-model", INNER)]},
          {"id": "other-model", "endpoints": [endpoint("zoo", "other-model", OTHER)]}]
CHUNKS = ("whole", "recorded", "random")
for n, one in enumerate(ALL):
    for form_of in one.forms:
        for chunk in CHUNKS:
            MODELS.append({"id": "zoo/%d-%s-%s" % (n, form_of, chunk), "endpoints": [endpoint(
                "zoo", "replay:%d-%s.json?chunk=%s" % (n, form_of, chunk), one.prices, context_length=0, max_completion_tokens=0)]})
for p in ("zoo", "bills"):
    MODELS.append({"id": "zoo/left-" + p, "endpoints": [endpoint(
        p, "replay:left.json?chunk=recorded&gap_ms=120", FULL, context_length=0, max_completion_tokens=0)]})
way = Wayfare({"providers": [provider("zoo", sim.url["zoo"]), provider("bills", sim.url["bills"], cancel_stops_billing=False)],
               "models": MODELS}, threads=2)


def ask(model, form, ttls):
    marked = {"system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": ttl}} for ttl in ttls]}
    status, headers, body = way.messages(model=model, max_tokens=5000, stream=form == "sse", **(marked if ttls else {}))
    assert status == 200, (status, body[:400])
    return headers["x-wayfare-generation-id"], body


EXPECTED = {}  # generation id -> (case, form, chunk)


def play(case, form, chunk, answer):
    generation, body = answer.result()
    # F20: the figures reach the client as the provider wrote them.
    if form == "sse":
        assert body.decode() == "".join(stream_of(case)), body
    else:
        assert json.loads(body) == body_of(case), body
    EXPECTED[generation] = (case, form, chunk)


def check(row, case):
    assert row["state"] == "SETTLED" and row["usage_source"] == case.source, dict(row)
    assert row["charge_nusd"] == charge_nusd(row["cost_pusd"]), dict(row)
    if case.source == "final":
        got = [row[column] or 0 for _, column, _ in BUCKETS]
        assert got == case.sums(), (got, case.sums())
        assert row["cost_pusd"] == case.pusd(), (row["cost_pusd"], case.pusd())
    else:
        assert 0 < row["charge_nusd"] <= row["hold_nusd"], dict(row)
        seen = {name: row[column] or 0 for name, column, _ in BUCKETS}
        assert row["cost_pusd"] == oracle_pusd(seen, case.prices), dict(row)
        assert row["output_tok"] >= len("".join(TEXT)) // 4 - 1, dict(row)


def books():
    wait_for("the books to be closed", lambda: nothing_held(way, [way.key]))
    rows = {"gen_" + r["request_id"].hex(): r for r in ledger(way).values()}
    bad = []
    for generation, (case, form, chunk) in EXPECTED.items():
        try:
            check(rows[generation], case)
        except AssertionError as e:
            bad.append((case.name, form, chunk, str(e)))
    assert not bad, bad[:4]
    assert len(EXPECTED) >= 3 * len(ALL)


def left_behind(model, after_text):
    """F16: the client leaves while message_start's placeholder is all the provider has counted."""
    body = json.dumps({"model": model, "max_tokens": 5000, "stream": True, "messages": [{"role": "user", "content": "hi"}]}).encode()
    before = set(ledger(way))
    sock = socket.create_connection((way.host, way.port), timeout=20)
    sock.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key: " + way.key.encode() +
                 b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    data = b""
    while data.count(b"text_delta") < after_text or b"message_start" not in data:
        data += sock.recv(65536)
    sock.close()
    received = "".join(TEXT[:after_text])
    wait_for("the books to be closed", lambda: nothing_held(way, [way.key]) and set(ledger(way)) - before)
    rows = ledger(way)
    row = rows[(set(rows) - before).pop()]
    if model.endswith("bills"):  # read to its end: exact
        assert row["usage_source"] == "final" and row["cost_pusd"] == oracle_pusd(tokens(1000, 4000, 500), FULL), dict(row)
        return
    if row["output_tok"] == 4000:  # a busy machine: the last figures came before the close was seen
        assert after_text == 5 and row["cost_pusd"] == oracle_pusd(tokens(1000, 4000, 500), FULL), dict(row)
        return
    assert row["usage_source"] == "partial" and (row["input_tok"], row["cache_read_tok"]) == (1000, 500), dict(row)
    # Not the placeholder, not less than was received, not more than there was.
    assert max(1, len(received) // 4) <= row["output_tok"] <= max(1, len("".join(TEXT)) // 4), dict(row)
    assert row["cost_pusd"] == oracle_pusd(tokens(1000, row["output_tok"], 500), FULL), dict(row)


with concurrent.futures.ThreadPoolExecutor(8) as crew:
    answers = [(one, form_of, chunk, crew.submit(ask, "zoo/%d-%s-%s" % (n, form_of, chunk), form_of, one.ttls))
               for n, one in enumerate(ALL) for form_of in one.forms for chunk in CHUNKS]
for one, form_of, chunk, future in answers:
    REPORT.case("%s, %s %s" % (one.name, form_of, chunk), play, one, form_of, chunk, future)
REPORT.case("every cost equals the oracle to the pico-dollar", books)
for p in ("zoo", "bills"):
    for count_of in (0, 2, 4, 5):
        REPORT.case("left after %d pieces, %s" % (count_of, p), left_behind, "zoo/left-" + p, count_of)
REPORT.case("ledger", way.verify)
shutil.rmtree(folder)
REPORT.case("clean exit", lambda: (way.stop() == 0) or 1 / 0)
REPORT.end()
