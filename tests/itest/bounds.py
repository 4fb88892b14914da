#!/usr/bin/env python3
"""How much is held: lowered to what a cap has left, learned from earlier requests, growing
with a stream.  The witness is the simulator's own log."""

import base64
import json
import threading
import time
from decimal import Decimal

from harness import Report, Sim, Wayfare, endpoint, price, provider, sse_events, wait_for

sim = Sim(["a", "b", "bills"], extra=["--log-bodies"])
PRICES = {"a": price("3", "15"), "b": price("1", "5"), "bills": price("3", "15")}
models = [
    {"id": "test/m", "aliases": ["m"], "endpoints": [endpoint("a", "m-a", PRICES["a"])]},
    {"id": "test/two", "aliases": ["two"], "endpoints": [
        endpoint("a", "m-two", PRICES["a"]), endpoint("b", "m-two", PRICES["b"])]},
    {"id": "test/bills", "aliases": ["bills"], "endpoints": [endpoint("bills", "m-bills", PRICES["bills"])]},
    # dear and short, cheap and long: the worst case of the second is larger, its first hold is smaller
    {"id": "test/short", "aliases": ["short"], "endpoints": [
        endpoint("a", "m-short", PRICES["a"], max_completion_tokens=2000), endpoint("b", "m-short", PRICES["b"])]},
    {"id": "test/gold", "aliases": ["gold"], "endpoints": [endpoint("a", "m-gold", price("1000000000", "0"))]},
    {"id": "test/grow", "aliases": ["grow"], "endpoints": [endpoint("a", "m-grow", PRICES["a"])]},
]
catalog = {"providers": [provider("a", sim.url["a"]), provider("b", sim.url["b"]),
                         provider("bills", sim.url["bills"], cancel_stops_billing=False)], "models": models}
way = Wayfare(catalog)
report = Report()


def reset():
    """These providers are relays: Anthropic itself refuses a request without max_tokens."""
    sim.reset()
    for name in sim.url:
        sim.script(name, lenient=1)


reset()
PROMPT = "Count the words of this sentence and say nothing else. " * 40


def key_with(budget, *args, team="t"):
    return way.cli("key", "create", "--team", team, "--name", "k%d" % time.monotonic_ns(), "--budget", budget,
                   "--window", "total", *args).strip()


def ask(key, **fields):
    body = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": PROMPT}]}
    body.update(fields)
    for name in [n for n, v in body.items() if v is None]:
        del body[name]
    text = json.dumps(body, indent=1)
    status, headers, data = way.request("POST", "/v1/messages", text, {"x-api-key": key}, key=None)
    return status, headers, data, text


def sent_bodies(model):
    bodies = [base64.b64decode(w["body_base64"]).decode() for w in sim.witness()
              if w["event"] == "begin" and w.get("body_base64")]
    return [b for b in bodies if '"%s"' % model in b]


def usd(text):
    return Decimal(text)


# ---- clamp ----

def clamp_lowers():
    reset()
    key = key_with("0.02", "--on-limit", "clamp")
    before = len(sent_bodies("m-a"))
    status, headers, data, text = ask(key, max_tokens=8000, temperature=0.5)
    assert status == 200, data
    lowered = int(headers["x-wayfare-max-tokens"])
    assert "lowered from 8000 to %d" % lowered in headers["x-wayfare-warning"], headers
    bodies = sent_bodies("m-a")[before:]
    assert len(bodies) == 1, bodies
    wanted = text.replace('"m"', '"m-a"', 1).replace("8000", str(lowered), 1)
    assert bodies[0] == wanted, (bodies[0], wanted)
    attempt = way.generation(headers)["attempts"][0]
    assert usd(attempt["hold_usd"]) <= usd("0.02"), attempt
    assert usd(attempt["hold_usd"]) + usd("0.000015") > usd("0.02"), attempt
    way.verify()


def clamp_inserts():
    reset()
    key = key_with("0.02", "--on-limit", "clamp")
    before = len(sent_bodies("m-a"))
    status, headers, data, text = ask(key, max_tokens=None)
    assert status == 200, data
    n = int(headers["x-wayfare-max-tokens"])
    bodies = sent_bodies("m-a")[before:]
    assert bodies == [text.replace('"m"', '"m-a","max_tokens":%d' % n, 1)], bodies
    assert json.loads(bodies[0])["max_tokens"] == n


def clamp_not_needed():
    key = key_with("5", "--on-limit", "clamp")
    status, headers, data, text = ask(key)
    assert status == 200 and "x-wayfare-max-tokens" not in headers, headers


def refuse_is_the_default():
    key = key_with("0.02")
    status, headers, data, text = ask(key, max_tokens=8000)
    assert status == 402, (status, data)


def clamp_too_small():
    key = key_with("0.0001", "--on-limit", "clamp")
    status, headers, data, text = ask(key, max_tokens=8000)
    assert status == 402 and "x-wayfare-max-tokens" not in headers, (status, headers)
    assert json.loads(data)["error"]["type"] == "billing_error", data
    # thinking needs its budget and one more
    key = key_with("0.05", "--on-limit", "clamp")
    status, headers, data, text = ask(key, max_tokens=8000, thinking={"type": "enabled", "budget_tokens": 4000})
    assert status == 402, (status, data)
    status, headers, data, text = ask(key, max_tokens=8000, thinking={"type": "enabled", "budget_tokens": 1024})
    assert status == 200 and int(headers["x-wayfare-max-tokens"]) > 1024, (status, data)


def clamp_switched():
    key = key_with("0.02")
    ids = {k["id"]: k for k in way.cli_json("key", "list")["data"]}
    newest = max(ids.values(), key=lambda k: k["created_at"])["id"]
    assert ids[newest]["on_limit"] == "refuse", ids[newest]
    way.cli("key", "set", newest, "--on-limit", "clamp")
    wait_for("the setting", lambda: ask(key, max_tokens=8000)[0] == 200, 5)
    way.cli("key", "set", newest, "--on-limit", "refuse")
    wait_for("the setting", lambda: ask(key, max_tokens=8000)[0] == 402, 5)


def clamp_on_failover():
    reset()
    sim.script("a", model="m-two", status=500)
    key = key_with("0.02", "--on-limit", "clamp")
    before = len(sent_bodies("m-two"))
    status, headers, data, text = ask(key, model="two", provider_order=["a", "b"], max_tokens=8000)
    assert status == 200 and headers["x-wayfare-provider"] == "b", (status, data)
    first, second = [json.loads(b)["max_tokens"] for b in sent_bodies("m-two")[before:]]
    # three times cheaper there: more tokens fit
    assert second == int(headers["x-wayfare-max-tokens"]) and second > 2 * first, (first, second)
    holds = [usd(a["hold_usd"]) for a in way.generation(headers)["attempts"]]
    assert len(holds) == 2 and all(h <= usd("0.02") for h in holds), holds


def whole_before_clamped():
    """A cheaper endpoint that fits gives the whole answer; only where there is none it is shortened."""
    reset()
    key = key_with("0.02", "--on-limit", "clamp")
    status, headers, data, text = ask(key, model="two", provider_order=["a", "b"], max_tokens=1500)
    assert status == 200 and headers["x-wayfare-provider"] == "b" and "x-wayfare-max-tokens" not in headers, headers
    assert len(way.generation(headers)["attempts"]) == 1
    # without failover the first choice is all there is
    key = key_with("0.02", "--on-limit", "clamp")
    status, headers, data, text = ask(key, model="two", provider_order=["a"], provider_allow_fallbacks=False, max_tokens=1500)
    assert status == 200 and headers["x-wayfare-provider"] == "a" and int(headers["x-wayfare-max-tokens"]) < 1500, headers
    # the whole fits nowhere: shortened at the first choice
    status, headers, data, text = ask(key_with("0.01", "--on-limit", "clamp"), model="two", provider_order=["a", "b"], max_tokens=8000)
    assert status == 200 and headers["x-wayfare-provider"] == "a" and "x-wayfare-max-tokens" in headers, headers
    way.verify()


def cheaper_by_its_first_hold():
    reset()
    key = key_with("0.026")
    status, headers, data = stream(key, model="short", provider_order=["a", "b"])
    assert status == 200 and headers["x-wayfare-provider"] == "b", (status, headers, data)
    hold = usd(way.generation(headers)["attempts"][0]["hold_usd"])
    assert usd("0.02") < hold < usd("0.026"), hold


def beyond_all_prices():
    """A count whose cost is no number any more: what was held stands for it, marked as an estimate."""
    reset()
    sim.script("a", model="m-gold", input_tokens=100000)
    status, headers, data, text = ask(way.key, model="gold")
    assert status == 200, data
    attempt = way.generation(headers)["attempts"][0]
    assert attempt["usage_source"] == "estimated" and attempt["cost_usd"] == attempt["hold_usd"], attempt
    assert attempt["usage"]["input_tokens"] == 100000, attempt
    way.verify()
    reset()


def clamp_together():
    """Many at once on one cap: each is clamped or refused, the sum never passes the cap."""
    reset()
    sim.script("a", model="m-a", delay_ms=150, output_tokens=5)
    key = key_with("0.05", "--on-limit", "clamp")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(ask(key, max_tokens=2000))) for _ in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    statuses = sorted(a[0] for a in answers)
    assert set(statuses) <= {200, 402, 429} and statuses.count(200) >= 1, statuses
    way.verify()


# ---- calibrated ----

def hold_of(key, **fields):
    status, headers, data, text = ask(key, **fields)
    assert status == 200, data
    return usd(way.generation(headers)["attempts"][0]["hold_usd"])


way.cli("team", "create", "strict", "--bound", "strict")
strict_key = way.cli("key", "create", "--team", "strict", "--name", "s").strip()


def routing_costs_nothing():
    """What is cut out is not held for: nor does a cap that is just the worst case exclude itself."""
    reset()
    plain = hold_of(strict_key)
    assert plain == hold_of(strict_key, provider_ignore=["nobody-%02d" % i for i in range(60)])
    assert plain == hold_of(strict_key, provider={"ignore": ["nobody"]}, models=["m"])
    body = ask(strict_key)[3]
    dry = json.loads(way.request("POST", "/v1/route", body, {"x-api-key": strict_key}, key=None)[2])
    assert ask(strict_key, provider_max_total_cost=dry["plan"][0]["worst_cost_usd"])[0] == 200, dry


def learn(n, key):
    """Requests over one connection each, without waiting for their records."""
    def work(count):
        for _ in range(count):
            status, headers, data, text = ask(key)
            assert status == 200, data
    threads = [threading.Thread(target=work, args=(n // 4,)) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def bound_learns():
    reset()
    first = hold_of(way.key)
    assert first == hold_of(strict_key), "before it has learned, calibrated is strict"
    learn(200, way.key)
    later, strict = hold_of(way.key), hold_of(strict_key)
    assert strict == first, (strict, first)
    assert later < first * 3 / 4, (later, first)
    reset()


def bound_survives_restart():
    before = hold_of(way.key)
    assert way.stop() == 0
    way.start()
    after = hold_of(way.key)
    assert after <= before * Decimal("1.01") and after < hold_of(strict_key), (before, after)


def bound_widens_at_once():
    narrow = hold_of(way.key)
    sim.script("a", model="m-a", input_tokens=1500)
    assert hold_of(way.key) == narrow
    assert hold_of(way.key) > narrow * Decimal("1.2"), narrow
    reset()


def bound_by_team():
    way.cli("team", "set", "t", "--bound", "strict")
    wait_for("strict", lambda: hold_of(way.key) == hold_of(strict_key), 5)
    way.cli("team", "set", "t", "--bound", "calibrated")
    wait_for("calibrated", lambda: hold_of(way.key) < hold_of(strict_key), 5)
    assert [t["bound"] for t in way.cli_json("team", "list")["data"] if t["name"] == "strict"] == ["strict"]


# ---- absent max_tokens ----

FULL = Decimal("0.96")  # 64,000 tokens at $15 a million


def stream(key, model="grow", **fields):
    status, headers, data, text = ask(key, model=model, max_tokens=None, stream=True, **fields)
    return status, headers, data


def absent_holds_little():
    reset()
    status, headers, data = stream(way.key)
    assert status == 200 and sse_events(data)[-1][0] == "message_stop", data[-300:]
    attempt = way.generation(headers)["attempts"][0]
    assert usd(attempt["hold_usd"]) < FULL / 10, attempt
    assert attempt["usage_source"] == "final", attempt


def absent_holds_all_where_it_must():
    for key, model, streams in ((strict_key, "grow", True), (way.key, "bills", True), (way.key, "grow", False)):
        status, headers, data, text = ask(key, model=model, max_tokens=None, stream=streams)
        assert status == 200, data
        attempt = way.generation(headers)["attempts"][0]
        assert usd(attempt["hold_usd"]) > FULL, (model, streams, attempt)


def grows():
    reset()
    sim.script("a", model="m-grow", output_tokens=2500, tps=4000, event_tokens=20)

    def run(tokens):
        status, headers, data = stream(way.key)
        events = sse_events(data)
        assert status == 200 and events[-1][0] == "message_stop", events[-1]
        attempt = way.generation(headers)["attempts"][0]
        assert attempt["usage"]["output_tokens"] == tokens, attempt
        assert usd(attempt["cost_usd"]) <= usd(attempt["hold_usd"]), attempt
        return usd(attempt["hold_usd"])

    # at first every byte may be a token
    first = run(2500)
    assert FULL / 10 < first < FULL, first
    sim.script("a", model="m-grow", output_tokens=300, event_tokens=20, tps=0)
    for _ in range(150):
        status, headers, data = stream(way.key)
        assert status == 200, data
    sim.script("a", model="m-grow", output_tokens=6000, tps=4000, event_tokens=20)
    later = run(6000)
    assert usd("0.09") < later < FULL / 3, (first, later)
    way.verify()


def cut_at_the_cap():
    reset()
    sim.script("a", model="m-grow", output_tokens=20000, tps=4000, event_tokens=20)
    key = key_with("0.10")
    status, headers, data = stream(key)
    events = sse_events(data)
    assert status == 200, data
    assert events[-1][0] == "error" and events[-1][1]["error"]["type"] == "billing_error", events[-1]
    assert "cap" in events[-1][1]["error"]["message"], events[-1]
    # its own hold is no other request's
    message = events[-1][1]["error"]["message"]
    assert "more than the $" in message and "$0 held by other requests" in message, message
    assert not [e for e in events if e[0] == "message_stop"], events[-3:]
    attempt = way.generation(headers)["attempts"][0]
    assert attempt["usage_source"] == "partial", attempt
    assert usd(attempt["cost_usd"]) <= usd(attempt["hold_usd"]) <= usd("0.10"), attempt
    wait_for("the provider to be told", lambda: [w for w in sim.witness() if w["event"] == "end" and w["ended"] == "client_closed"])
    way.verify()


def a_burst():
    """All at once: what is delivered before the answer of the ledger is read no further."""
    reset()
    sim.script("a", model="m-grow", output_tokens=20000, event_tokens=20)
    key = key_with("0.10")
    status, headers, data = stream(key)
    last = sse_events(data)[-1]
    attempt = way.generation(headers)["attempts"][0]
    assert last[0] == "error" and attempt["usage_source"] == "partial", (last, attempt)
    assert usd(attempt["cost_usd"]) <= usd("0.10"), attempt
    way.verify()


def leaves_while_it_grows():
    reset()
    sim.script("a", model="m-grow", output_tokens=20000, tps=20000, event_tokens=20)
    body = json.dumps({"model": "grow", "stream": True, "messages": [{"role": "user", "content": "x"}]})
    for i in range(20):
        conn = way.connect()
        conn.request("POST", "/v1/messages", body, {"x-api-key": way.key, "content-type": "application/json"})
        answer = conn.getresponse()
        answer.read(1000 + 2500 * i)
        conn.close()

    def nothing_held():
        rows = json.loads(way.request("GET", "/v1/generations?limit=30")[2])["data"]
        return not [r for r in rows if r["status"] == "running"]

    wait_for("every hold to end", nothing_held, 15)
    way.verify()


report.case("clamp lowers max_tokens to what fits", clamp_lowers)
report.case("clamp puts max_tokens in", clamp_inserts)
report.case("clamp leaves alone what fits", clamp_not_needed)
report.case("without it the request is refused", refuse_is_the_default)
report.case("clamp refuses what is too small", clamp_too_small)
report.case("clamp can be switched", clamp_switched)
report.case("clamp on failover", clamp_on_failover)
report.case("the whole answer elsewhere before a shortened one", whole_before_clamped)
report.case("a cheaper candidate is judged by its first hold", cheaper_by_its_first_hold)
report.case("a count beyond all prices", beyond_all_prices)
report.case("clamp with many at once", clamp_together)
report.case("routing fields are not held for", routing_costs_nothing)
report.case("the prompt's bound learns", bound_learns)
report.case("a restart keeps what was learned", bound_survives_restart)
report.case("the bound is the team's", bound_by_team)
report.case("the bound widens at once", bound_widens_at_once)
report.case("an absent max_tokens holds little", absent_holds_little)
report.case("and all where it cannot be cut", absent_holds_all_where_it_must)
report.case("the hold grows with the stream", grows)
report.case("cut where it cannot grow", cut_at_the_cap)
report.case("cut in a burst", a_burst)
report.case("clients leave while it grows", leaves_while_it_grows)
way.verify()
report.end()
