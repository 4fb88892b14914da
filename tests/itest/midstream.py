#!/usr/bin/env python3
"""A stream that breaks: at every event index and at random bytes, in every way that a connection can
end, through both doors.  Every client is told with an error event, nobody is told a success that was
none, nothing is asked again once a byte has gone to the client, and the books agree with two witnesses."""

import collections
import json
import random

from crowd import LONG, Shot, Witness, check_finals, count, ledger, message, nothing_held, storm
from faultproxy import FaultProxy
from harness import Report, Sim, Wayfare, endpoint, price, provider, wait_for
from translate import AWS_ID, AWS_SECRET, PROTOCOLS

ROWS = [p for p in PROTOCOLS if LONG or p[0] in ("anthropic", "openai", "gemini", "bedrock-converse")]
NAMES = [p[0] for p in ROWS]
DOORS = {"anthropic": "/v1/messages", "openai": "/v1/chat/completions"}
# No word of their protocol is the last: only HTTP's own end is.
NO_LAST_WORD = ("gemini", "vertex-gemini")
# Their last event holds figures or less: the answer is whole without it.
WHOLE_BEFORE = ("openai", "azure-openai", "bedrock-converse")
RATE = price("3", "15", cache_read="0.30", cache_write_5m="3.75", cache_write_1h="6", web_search="0.01")
SAFE = "safe"  # a provider that works, behind the one that breaks: it must be asked before a byte went, never after

sim = Sim(NAMES + [SAFE])
witness = Witness(sim)
proxy = FaultProxy({n: sim.url[n] for n in NAMES}, seed=4)
report = Report()


def catalog():
    providers, models, prices = [provider(SAFE, sim.url[SAFE])], [], {"m-safe": RATE}
    for name, word, tail, upstream, key in ROWS:
        providers.append(provider(name, proxy.url[name] + tail, protocol=word, region="eu-west-1", credential={"env": key}))
        models.append({"id": "test/" + name, "aliases": [name], "name": name, "endpoints": [
            endpoint(name, upstream, RATE), endpoint(SAFE, "m-safe", RATE)]})
    return {"providers": providers, "models": models}


way = Wayfare(catalog(), env={"TEST_AWS_KEYS": AWS_ID + ":" + AWS_SECRET})
shots_of_all = []


def shot(door, name, faults, tag, script="output_tokens=24"):
    text = "[[sim:%s]] %s" % (script, "[[fault:%s]]" % faults if faults else "")
    body = message(name, 200, text, True, provider_order=[name, SAFE])
    return Shot(way.key, body, path=DOORS[door], tag=(door, name) + tag)


def fire(shots):
    """All at once; what each of them met comes with it."""
    before = {n: proxy.count(n) for n in NAMES}
    storm(way, shots, width=40)
    for s in shots:
        assert s.ended == "closed", (s.tag, s.ended, bytes(s.data))
    shots_of_all.extend(shots)
    for n in NAMES:
        wait_for("the proxy", lambda: all(r["ended"] for r in proxy.seen(n, before[n])))
    return shots


# ---- what a client is told ----
def data_lines(s):
    """The stream's data, by the rules of SSE; every one must be JSON but [DONE]."""
    body, blocks = s.body(), []
    if s.header("transfer-encoding") == "chunked":
        pieces, rest = [], body
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            n = int(size, 16)
            pieces.append(rest[:n])
            rest = rest[n + 2:]
            if n == 0:
                break
        body = b"".join(pieces)
    for block in body.replace(b"\r\n", b"\n").split(b"\n\n"):
        data = b"\n".join(x[5:].strip() for x in block.split(b"\n") if x.startswith(b"data:"))
        if data:
            blocks.append(data if data == b"[DONE]" else json.loads(data))
    return blocks


def outcome(s):
    """"whole" or "error"; anything between is a failure."""
    assert s.status == 200, (s.tag, bytes(s.data))
    told = data_lines(s)
    if s.tag[0] == "anthropic":
        ends = [x for x in told if x["type"] in ("message_stop", "error")]
        assert len(ends) == 1 and told[-1] is ends[0], (s.tag, bytes(s.data))
        if ends[0]["type"] == "error":
            assert ends[0]["error"]["type"] in ("api_error", "overloaded_error", "timeout_error"), ends
        return "error" if ends[0]["type"] == "error" else "whole"
    errors = [x for x in told if x != b"[DONE]" and "error" in x]
    if errors:
        assert told[-1] is errors[0] and len(errors) == 1 and b"[DONE]" not in told, (s.tag, bytes(s.data))
        if "choices" in errors[0]:  # else it is the provider's own, as it came
            assert [c["finish_reason"] for c in errors[0]["choices"]] == ["error"], errors
        return "error"
    assert told[-1] == b"[DONE]" and told.count(b"[DONE]") == 1, (s.tag, bytes(s.data))
    return "whole"


def judge(s, enough):
    """enough: the provider's whole answer went out before the cut."""
    told, served = outcome(s), s.header("x-wayfare-provider")
    attempts = int(s.header("x-wayfare-attempts"))
    if served == SAFE:
        assert attempts == 2 and told == "whole", (s.tag, attempts, bytes(s.data))
        return "moved on"
    assert served == s.tag[1] and attempts == 1, (s.tag, served, attempts)
    assert told == ("whole" if enough else "error"), (s.tag, enough, bytes(s.data))
    return told


SIZES = {}  # (door, protocol): (events, bytes) of an answer that is not disturbed


def undisturbed():
    for door in DOORS:
        for name in NAMES:
            s, = fire([shot(door, name, None, ())])
            assert judge(s, True) == "whole"
            record = proxy.seen(name)[-1]
            SIZES[door, name] = (record["events"], record["bytes"])
            assert record["events"] >= 6, record


def every_event(fault):
    """Once a byte has gone it is an error whatever comes; before, the next provider answers."""
    shots = []
    for (door, name), (events, _) in SIZES.items():
        shots += [shot(door, name, fault % k, (k,)) for k in range(events + ("chunk" not in fault))]
    seen = collections.defaultdict(list)
    for s in fire(shots):
        door, name, k = s.tag
        seen[door, name].append(judge(s, k == SIZES[door, name][0] and name not in NO_LAST_WORD))
    for where, row in seen.items():
        # In the order of the cuts: moved on, then errors, then whole.
        assert row == sorted(row, key=["moved on", "error", "whole"].index), (where, row)
        # Of half an event the head of the answer has gone out.
        assert (row[0] == "moved on" or "chunk" in fault) and row.count("error") >= len(row) - 5, (where, row)
    total = collections.Counter(x for row in seen.values() for x in row)
    print("#   %s: %d cuts, %s" % (fault, len(shots), dict(total)))


def random_bytes():
    """Also inside of an event, of a chunk's size and of the head."""
    rng = random.Random(11)
    shots = []
    for _ in range(count(30, 400)):
        for (door, name), (_, size) in SIZES.items():
            how, n = rng.choice(("fin", "rst")), rng.randrange(size)
            shots.append(shot(door, name, "cut,bytes=%d,how=%s;slice,bytes=%d" % (n, how, rng.choice((1, 7, 100, 4000))), (n,)))
    total = collections.Counter()
    for s in fire(shots):
        door, name, _ = s.tag
        total[judge_bytes(s)] += 1
    print("#   %d random cuts: %s" % (len(shots), dict(total)))
    assert total["error"] > total["whole"] and total["moved on"] > 0, total


def judge_bytes(s):
    """Whether the last word had gone out is not told by a number: success only near the end."""
    _, name, n = s.tag
    near_the_end = n >= SIZES[s.tag[:2]][1] - 150
    told = outcome(s)
    return judge(s, told == "whole" and near_the_end)


def other_ends():
    """Chunk sizes that are none, an error event of the provider's, a stream that lacks its end."""
    shots = []
    for (door, name), (events, _) in SIZES.items():
        for how in ("letters", "long", "short"):
            shots += [shot(door, name, "corrupt_chunk,events=%d,how=%s" % (k, how), (k,)) for k in (2, events - 3)]
        shots.append(shot(door, name, "cut,events=3;huge_header,bytes=20000", (3,)))
        if name not in WHOLE_BEFORE:
            shots.append(shot(door, name, "drop,event=-1", (3,)))
        if not name.startswith("bedrock"):
            shots.append(shot(door, name, "error_event,events=3", (3,)))
    for s in fire(shots):
        judge(s, False)


def other_words():
    """Duplicates and events out of order change no figure that the provider stated."""
    shots = []
    for (door, name), (events, _) in SIZES.items():
        for k in range(events):
            shots.append(shot(door, name, "duplicate,event=%d" % k, (k,)))
            shots.append(shot(door, name, "swap,event=%d" % k, (k,)))
    for s in fire(shots):
        assert s.status in (200, 529, 502), (s.tag, bytes(s.data))


def too_late_to_be_quick():
    """Slices, a narrow line and a late byte are no failure."""
    shots = []
    for door, name in SIZES:
        for f in ("slice", "slice,bytes=3,pause_ms=1", "bandwidth,bytes_per_s=40000", "delay_at,bytes=700,ms=150", "latency,ms=150"):
            shots.append(shot(door, name, f, ()))
    for s in fire(shots):
        assert judge(s, True) == "whole", s.tag


# ---- the books ----
def books():
    ends = []

    def quiet():
        ends.extend(witness.lines())
        return sum(1 if x["event"] == "begin" else -1 for x in ends) == 0

    wait_for("the simulator", quiet)
    begins = collections.Counter(x["x_request_id"] for x in ends if x["event"] == "begin")
    wait_for("every hold to be released", lambda: nothing_held(way, [way.key]))
    rows, records = ledger(way), proxy.seen()
    asked = collections.Counter(r["id"] for r in records if r["whole"])
    # One row per attempt, one call per row: at the proxy, and at the simulator behind it.
    assert set(asked.values()) == {1} and set(begins.values()) == {1}
    safe = {x["x_request_id"] for x in ends if x["listener"] == SAFE}
    assert set(rows) == set(asked) | safe, "rows and calls differ"
    assert all(r["state"] == "SETTLED" for r in rows.values())
    assert len(rows) == sum(int(s.header("x-wayfare-attempts")) for s in shots_of_all)
    ends = [x for x in ends if x["event"] == "end"]
    assert check_finals(rows, ends, collections.defaultdict(lambda: RATE)) > 0
    sources = collections.Counter(r["usage_source"] for r in rows.values())
    for r in rows.values():
        if r["usage_source"] in ("partial", "estimated"):
            assert 0 <= r["charge_nusd"] <= r["hold_nusd"], dict(r)
    assert sources["partial"] > 0 and sources["final"] > 0, sources
    way.verify()
    print("#   %d requests, %d attempts: %s" % (len(shots_of_all), len(rows), dict(sources)))


report.case("undisturbed", undisturbed)
for fault in ("cut,events=%d", "cut,events=%d,how=rst", "cut_chunk,events=%d", "half_close,events=%d"):
    report.case("every event: " + fault % 0, every_event, fault)
report.case("random bytes", random_bytes)
report.case("other ends", other_ends)
report.case("slow but whole", too_late_to_be_quick)
report.case("duplicated and swapped", other_words)
report.case("books", books)
report.case("clean exit", lambda: (way.stop() == 0) or 1 / 0)
proxy.stop()
report.end()
