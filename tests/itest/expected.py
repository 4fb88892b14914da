#!/usr/bin/env python3
"""What a request is expected to cost: field by field in the dry run, learned from what was settled,
kept across a restart; and where a conversation goes while its cache is warm, under the draw,
provider_order and provider_sort."""

import json
import os
import statistics
import urllib.request
from decimal import Decimal

from harness import Sim, Wayfare, endpoint, price, provider, run_module, wait_for

NAMES = ["cheap", "dear", "multi", "self"]
WARM = {"cheap": price("1", "5", cache_read="0.1", cache_write_5m="1.25", cache_write_1h="2"),
        "dear": price("1.2", "6", cache_read="0.12", cache_write_5m="1.5", cache_write_1h="2.4")}
sim = Sim(NAMES)


def catalog(dear=WARM["dear"], cheap=WARM["cheap"]):
    tiers = [{"above_prompt_tokens": 3000, "prompt": "4", "completion": "8"}]
    return {"providers": [provider(n, sim.url[n]) for n in NAMES[:3]] +
            [provider("self", sim.url["self"] + "/v1", protocol="openai")],
            "models": [
        {"id": "test/m", "aliases": ["m"], "endpoints": [endpoint("cheap", "m-cheap", cheap),
                                                         endpoint("dear", "m-dear", dear)]},
        {"id": "test/v", "aliases": ["v"], "endpoints": [
            endpoint("multi", "v-a", WARM["cheap"], variant="a"), endpoint("multi", "v-b", WARM["cheap"], variant="b"),
            endpoint("cheap", "v-c", price("0.01", "0.05"))]},
        {"id": "test/self", "aliases": ["self"], "endpoints": [
            endpoint("self", "m-self", price("1", "5", cache_read="0.1")),
            endpoint("dear", "m-self-dear", price("1.1", "5.5"))]},
        {"id": "test/goes-on", "aliases": ["goes-on"], "endpoints": [
            endpoint("self", "m-goes-on", price("1.1", "5", cache_read="0.1")),
            endpoint("cheap", "m-goes-on-cheap", price("1", "5"))]},
        {"id": "test/tier", "aliases": ["tier"], "endpoints": [
            endpoint("cheap", "m-tier", dict(price("2", "4"), tiers=tiers, request="0.001"))]}]}


way = Wayfare(catalog(), args=["--allow-base-url", "127.0.0.1"], key_args=["--allow-provider-configs"])
TEXT = "A sentence that is said again and again. "


def body(model="m", text=TEXT * 100, minutes=0, turns=1, max_tokens=500, **more):
    b = {"model": model, "max_tokens": max_tokens, "messages": []}
    for i in range(turns):
        b["messages"] += [{"role": "user", "content": [{"type": "text", "text": "%s (%d)" % (text, i)}]},
                          {"role": "assistant", "content": "yes"}]
    b["messages"].pop()
    if minutes:
        b["messages"][-1]["content"][-1]["cache_control"] = {"type": "ephemeral",
                                                             "ttl": "1h" if minutes == 60 else "5m"}
    b.update(more)
    return b


def dry(**fields):
    status, _, data = way.request("POST", "/v1/route", body(**fields))
    assert status == 200, data
    return json.loads(data)["plan"]


def ask(**fields):
    status, headers, data = way.request("POST", "/v1/messages", body(**fields))
    assert status == 200, data
    return headers


def record(headers):
    """The record, once it is settled."""
    def settled():
        g = json.loads(way.request("GET", "/v1/generations/" + headers["x-wayfare-generation-id"])[2])
        return g if g.get("status") == "ok" else None
    return wait_for("the settlement", settled)


def metric(name):
    request = urllib.request.Request("http://" + way.admin + "/metrics",
                                     headers={"Authorization": "Bearer admin-token-for-tests"})
    page = urllib.request.urlopen(request, timeout=30).read().decode()
    return int([line.split()[1] for line in page.splitlines() if line.startswith("wayfare_%s " % name)][0])


def check_sum(row):
    e = row["estimate"]
    parts = ("prompt_usd", "cache_read_usd", "cache_write_usd", "completion_usd", "fees_usd")
    assert sum(Decimal(e["cost"][p]) for p in parts) == Decimal(row["expected_cost_usd"]), row
    return e


def test_field_by_field():
    row, = dry(model="tier")
    e = check_sum(row)
    assert e["from"]["prompt_tokens"] == {"by": "default", "samples": 0} == e["from"]["completion_tokens"], e
    assert e["completion_tokens"] == 500 and e["tier_above_prompt_tokens"] == 0, e
    assert e["cache_hit_probability"] == 0 and e["cached_tokens"] == 0 and e["from"]["cached_tokens"] is None, e
    assert Decimal(e["cost"]["prompt_usd"]) == e["prompt_tokens"] * Decimal("0.000002"), e
    assert Decimal(e["cost"]["fees_usd"]) == Decimal("0.001"), e
    e = check_sum(dry(model="tier", text=TEXT * 400)[0])
    assert e["tier_above_prompt_tokens"] == 3000, e
    assert Decimal(e["cost"]["prompt_usd"]) == e["prompt_tokens"] * Decimal("0.000004"), e
    assert Decimal(e["cost"]["completion_usd"]) == 500 * Decimal("0.000008"), e
    # told to cache: the whole prompt is written, at the price of its lifetime
    for minutes, rate in ((5, "0.00000125"), (60, "0.000002")):
        row = [r for r in dry(minutes=minutes) if r["provider"] == "cheap"][0]
        e = check_sum(row)
        assert e["cache_write_tokens"] == e["prompt_tokens"] > 1000, e
        assert Decimal(e["cost"]["cache_write_usd"]) == e["cache_write_tokens"] * Decimal(rate), e


def test_learns_and_remembers():
    sim.script("cheap", model="m-tier", output_tokens=77)
    errors = []
    for n in range(24):
        row, = dry(model="tier", text=TEXT * (100 + 3 * n))
        settled = Decimal(ask(model="tier", text=TEXT * (100 + 3 * n))["x-wayfare-cost"])
        errors.append(abs(Decimal(row["expected_cost_usd"]) - settled) / settled)
    assert metric("estimates_total") == 24 > metric("estimates_close_total") >= 12 and metric("holds_exceeded_total") == 0
    assert statistics.median(errors[12:]) < Decimal("0.1") < errors[0], errors
    row, = dry(model="tier")
    e = check_sum(row)
    for what in ("prompt_tokens", "completion_tokens"):
        assert e["from"][what]["by"] == "key_shape" and e["from"][what]["samples"] >= 20, e
    assert e["completion_tokens"] == 77, e
    assert check_sum(dry(model="tier", max_tokens=33)[0])["completion_tokens"] == 33
    # a key that nobody has seen yet learns from the model
    new = way.cli("key", "create", "--team", "t", "--name", "new").strip()
    data = way.request("POST", "/v1/route", body(model="tier"), {"x-api-key": new}, key=False)[2]
    assert json.loads(data)["plan"][0]["estimate"]["from"]["prompt_tokens"]["by"] == "model_shape", data
    assert way.stop() == 0
    path = os.path.join(way.dir, "tier.json")
    with open(path, "w") as f:
        json.dump(body(model="tier"), f)
    key_id = [k["id"] for k in way.cli_json("key", "list")["data"] if k["name"] == "k"][0]
    alone = way.cli_json("route", path, "--key", key_id)
    way.start()
    assert way.cli_json("route", path, "--key", key_id) == alone, alone  # with a server and without
    after = check_sum(dry(model="tier")[0])
    assert alone["plan"][0]["estimate"] == after, (alone, after)
    assert after["from"] == e["from"] and abs(after["prompt_tokens"] - e["prompt_tokens"]) <= 1, (e, after)
    assert after["completion_tokens"] == 77, after


def test_hit_and_miss():
    first = record(ask(text=TEXT * 101, minutes=5, provider_only=["dear"]))
    assert first["cache"] == "miss" == first["attempts"][0]["cache"], first
    e = check_sum([r for r in dry(text=TEXT * 101, minutes=5, turns=2) if r["provider"] == "dear"][0])
    assert e["cached_tokens"] > 500 and 0.9 < e["cache_hit_probability"] < 1, e
    assert e["from"]["cached_tokens"]["by"] == "default", e
    assert 0 < e["cache_read_tokens"] < e["cached_tokens"] and e["cache_write_tokens"] > 0, e
    again = record(ask(text=TEXT * 101, minutes=5, turns=2, provider_only=["dear"]))
    assert again["cache"] == "hit", again
    e = check_sum([r for r in dry(text=TEXT * 101, minutes=5, turns=3) if r["provider"] == "dear"][0])
    assert e["from"]["cached_tokens"] == {"by": "endpoint", "samples": 1}, e
    assert record(ask(text="plain"))["cache"] == "none"
    row = way.cli_json("usage", "--by", "provider")["rows"]
    rate = {r["provider"]: r["cache_hit_rate"] for r in row}
    assert 0 < rate["dear"] < 1 and rate["cheap"] == 0, rate
    assert metric("cache_hits_total") == 1 and metric("cache_read_tokens_total") > 500
    assert metric("cache_misses_total") == 0 < metric("cache_write_tokens_total")


def test_stays_while_cheaper_and_moves_when_not():
    text = TEXT * 150
    ask(text=text, minutes=5, provider_only=["dear"])
    for turns, more in ((2, {}), (3, {"provider_sort": "price"}), (4, {}), (5, {"provider_sort": "price"})):
        plan = dry(text=text, minutes=5, turns=turns, **more)
        assert plan[0]["provider"] == "dear", (turns, more, plan)
        assert ask(text=text, minutes=5, turns=turns, **more)["x-wayfare-provider"] == "dear", (turns, more)
    way.import_catalog(catalog(dear=price("9", "40", cache_read="8", cache_write_5m="10")))
    wait_for("the move", lambda: dry(text=text, minutes=5, turns=6, provider_sort="price")[0]["provider"] == "cheap")
    assert ask(text=text, minutes=5, turns=6, provider_sort="price")["x-wayfare-provider"] == "cheap"
    way.import_catalog(catalog())


def test_under_an_order():
    """Of the variants that one entry names, the warm one; the entries stay the caller's word."""
    text = TEXT * 160
    for warm, cold in (("multi/b", "multi/a"), ("multi/a", "multi/b")):
        text += "."
        ask(model="v", text=text, minutes=5, provider_order=[warm])
        plan = dry(model="v", text=text, minutes=5, turns=2, provider_order=["multi"])
        assert [r["provider"] for r in plan] == [warm, cold, "cheap"], plan
        head = ask(model="v", text=text, minutes=5, turns=2, provider_order=["multi"])
        assert head["x-wayfare-provider"] == warm and record(head)["cache"] == "hit", head
        plan = dry(model="v", text=text, minutes=5, turns=3, provider_order=[cold, warm])
        assert plan[0]["provider"] == cold, plan


def test_caches_by_itself():
    """No cache_control: an endpoint that states what it read is believed to keep what it has seen, and
    more and more so, or less, as its answers tell."""
    def probability(conversation):
        ask(model="self", text=TEXT * 200 + conversation, provider_only=["self"])
        row = [r for r in dry(model="self", text=TEXT * 200 + conversation, turns=2) if r["provider"] == "self"][0]
        return check_sum(row)["cache_hit_probability"]

    sim.script("self", cache_read=0, input_tokens=2300)
    first = probability("x")
    assert first == 0.5, first
    head = ask(model="self", text=TEXT * 200 + "x", turns=2, provider_only=["self"])
    assert record(head)["cache"] == "miss", head
    assert probability("y") < first
    sim.script("self", cache_read=2100, input_tokens=2500)
    for i in range(4):
        assert record(ask(model="self", text=TEXT * 200 + "y", turns=2 + i))["cache"] == "hit"
    assert probability("z") > first
    plan = dry(model="self", text=TEXT * 200 + "y", turns=6)
    assert plan[0]["provider"] == "self" and "warm" in plan[0]["why"], plan


def test_what_follows_counts():
    """The first turn of a conversation goes where it will cost least as a whole, once it is known that
    conversations of this model go on: a little dearer at once, but cached from then on."""
    def first(conversation):
        rows = dry(model="goes-on", text=TEXT * 200 + conversation, provider_sort="price")
        for r in rows:
            check_sum(r)
        return rows[0], rows[1]

    def cost(row):
        return Decimal(row["expected_cost_usd"])

    head, other = first("nothing learned")
    assert head["provider"] == "cheap", head
    for conversation in range(12):
        for turn in range(1, 6):
            sim.script("self", cache_read=2100 if turn > 1 else 0, input_tokens=2300 + 10 * turn)
            ask(model="goes-on", text=TEXT * 200 + str(conversation), turns=turn, provider_only=["self"])
    head, other = first("goes on")
    assert head["provider"] == "self" and other["provider"] == "cheap", (head, other)
    assert cost(head) > cost(other), (head, other)
    following = [Decimal(r["following_cost_usd"]) for r in (head, other)]
    assert following[0] < following[1] and cost(head) + following[0] < cost(other) + following[1], (head, other)
    assert ask(model="goes-on", text=TEXT * 200 + "goes on", provider_sort="price")["x-wayfare-provider"] == "self"
    sim.script("self")


def test_what_others_do_does_not():
    """Single requests, of another key or of another shape, are ordered by their own cost while the agents of
    the first key go on and on; and so they are when their kind is known."""
    single = {"x-api-key": way.cli("key", "create", "--team", "t", "--name", "single").strip()}
    for turn in range(1, 30):
        sim.script("self", cache_read=2100 if turn > 1 else 0, input_tokens=2300 + 10 * turn)
        ask(model="goes-on", text=TEXT * 200 + "agent", turns=turn, provider_only=["self"])
    sim.script("self")

    def plan(text, headers=None, **more):
        fields = body(model="goes-on", text=text, provider_sort="price", **more)
        rows = json.loads(way.request("POST", "/v1/route", fields, headers or {}, key=headers is None)[2])["plan"]
        return [r["provider"] for r in rows], [(r["estimate"]["following_turns"], Decimal(r["following_cost_usd"])) for r in rows]

    names, following = plan(TEXT * 200 + "another")
    assert names[0] == "self" and following[0][0] > 3, (names, following)
    by_own_cost = ["cheap", "self"], [(0, 0), (0, 0)]
    for n in range(12):
        text = "%d " % n + TEXT * 200
        assert plan(text, single) == by_own_cost, (n, plan(text, single))
        assert plan(text, max_tokens=40) == by_own_cost, plan(text, max_tokens=40)
        for headers, more in ((single, {}), (None, {"max_tokens": 40})):
            fields = body(model="goes-on", text=text, provider_sort="price", **more)
            status, head, data = way.request("POST", "/v1/messages", fields, headers or {}, key=headers is None)
            assert status == 200 and head["x-wayfare-provider"] == "cheap", (n, headers, data)
    assert plan(TEXT * 200 + "another")[0][0] == "self"


def test_own_terms_teach_nothing():
    """A call at an address of the request's own says nothing of the endpoint, also after a restart,
    and finds none of the operator's caches."""
    text = TEXT * 170
    sim.script("multi", model="m-dear", input_tokens=1, output_tokens=1)
    known = check_sum(dry(provider_only=["dear"])[0])
    mine = {"dear": {"base_url": sim.url["multi"]}}
    for n in range(12):
        g = record(ask(text="%s (%d)" % (text, n), provider_only=["dear"], provider_configs=mine))
        assert g["attempts"][0]["usage"]["input_tokens"] == 1 and g["attempts"][0]["usage_source"] == "final", g
    ask(text=text, minutes=5, provider_only=["dear"])
    warm, = dry(text=text, minutes=5, turns=2, provider_only=["dear"])
    assert warm["estimate"]["cache_read_tokens"] > 1000 and "warm" in warm["why"], warm
    for config in (mine, {"dear": {"api_key": "sk-mine"}}):
        cold, = dry(text=text, minutes=5, turns=2, provider_only=["dear"], provider_configs=config)
        assert cold["estimate"]["cache_read_tokens"] == 0, cold
        assert "warm" not in cold["why"], cold
    same, = dry(text=text, minutes=5, turns=2, provider_only=["dear"],
                provider_configs={"dear": {"timeout_ms": 60000}})
    assert same["estimate"]["cache_read_tokens"] > 1000, same
    for _ in range(2):
        after = check_sum(dry(provider_only=["dear"])[0])
        for figure in ("prompt_tokens", "completion_tokens"):
            assert abs(after[figure] - known[figure]) <= known[figure] / 4, (known, after)
        assert way.stop() == 0
        way.start()


if __name__ == "__main__":
    run_module(globals())
