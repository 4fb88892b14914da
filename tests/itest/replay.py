#!/usr/bin/env python3
"""What past traffic would have cost: as it was it costs what the ledger says, to the nano-dollar;
elsewhere and at other prices what a second arithmetic (here) says.  With a server and without."""

import json
import os
from decimal import Decimal

from harness import SLOW, Report, Sim, Wayfare, endpoint, price, provider

sim = Sim(["a", "b", "c", "d"])
LIMITS = {k: int(ms * SLOW) for k, ms in dict(connect_ms=2000, first_byte_ms=1500, idle_ms=1500, total_ms=6000).items()}
A = price("1.000001", "5", cache_read="0.1", cache_write_5m="1.25", cache_write_1h="2", request="0.0000000003")
B = price("0.5", "2", web_search="0.02")
C = price("2", "1", cache_read="0.05", tiers=[{"above_prompt_tokens": 5000, "prompt": "4", "completion": "20"}])
PRICES = {"a": A, "b": B, "c": C}
SEARCHES = ["web_search"]
INNER = "inner"


def catalog(prices, names="abc"):
    m = [endpoint(n, "m-" + n, prices[n], server_tools=SEARCHES if n != "c" else []) for n in names]
    ends = {"solo": endpoint("a", "solo", prices["a"]), "inner": endpoint("a", INNER, prices["b"]),
            "d": endpoint("d", "m-d", A)}
    return {"providers": [provider(n, sim.url[n], timeouts=LIMITS, cancel_stops_billing=n != "d") for n in sim.url],
            "models": [{"id": "test/m", "aliases": ["m"], "endpoints": m}]
            + [{"id": "test/" + n, "aliases": [n], "endpoints": [e]} for n, e in ends.items()]}


way = Wayfare(catalog(PRICES))
report = Report()


def pico(usd):
    return int(Decimal(usd) * 10 ** 6)


def cost_nusd(p, u):
    """The contract's arithmetic, a second time; p as in the catalog file."""
    tok = {k: u.get(k + "_tokens") or 0 for k in ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")}
    prompt = sum(tok.values()) - tok["output"]
    p = dict(p)
    for tier in p.pop("tiers", []):
        if prompt > tier["above_prompt_tokens"]:
            p.update(tier)
    total = tok["input"] * pico(p["prompt"]) + tok["output"] * pico(p["completion"])
    for k in ("cache_read", "cache_write_5m", "cache_write_1h"):
        total += tok[k] * pico(p.get(k, p["prompt"]))
    total += int(Decimal(p.get("request", 0)) * 10 ** 12) + (u.get("web_searches") or 0) * int(
        Decimal(p.get("web_search", 0)) * 10 ** 12)
    return -(-total // 1000)


def nusd(usd):
    n = Decimal(usd) * 10 ** 9
    assert n == int(n), usd
    return int(n)


def cheapest(u):
    """c does not search."""
    return min((cost_nusd(PRICES[n], u), n) for n in ("ab" if u["web_searches"] else "abc"))[1]


def ask(model, at=None, want=200, **script):
    body = {"model": model, **({"provider_only": [at]} if at else {})}
    stream = script.pop("stream", False)
    sim.script(at or "a", model if model == "solo" else "m-" + at, **script)
    got, headers, _ = way.messages(stream=stream, **body)
    assert got == want, (got, script)
    sim.reset()
    return way.generation(headers)["attempts"] if "x-wayfare-generation-id" in headers else []


def path_of(name, value):
    path = os.path.join(way.dir, name)
    with open(path, "w") as f:
        json.dump(value, f)
    return path


def replay(*argv, prefs=None, prices=None):
    more = ["--prefs", path_of("prefs.json", prefs)] if prefs is not None else []
    more += ["--catalog", path_of("other.json", prices)] if prices is not None else []
    return way.cli_json("replay", *more, *argv)


def row_of(r, model, team="t"):
    rows = [x for x in r["rows"] if x["model"] == model and x["team"] == team]
    assert len(rows) == 1, r
    return rows[0]


SOLO = []  # recorded attempts
M, D = [], []


def traffic():
    SOLO.extend(ask("solo", input_tokens=1001, output_tokens=7))
    SOLO.extend(ask("solo", input_tokens=3, output_tokens=77, cache_read=9000, cache_write_5m=11, cache_write_1h=13))
    SOLO.extend(ask("solo", stream=True, input_tokens=10, output_tokens=200, cut_after_events=4))
    SOLO.extend(ask("solo", input_tokens=10, output_tokens=5, iterations=2, iteration_model=INNER))
    SOLO.extend(ask("solo", want=504, hang=1))  # nobody knows: its prompt
    D.extend(ask("d", "d", want=504, hang=1))  # nobody knows: its hold
    ask("solo", want=500, status=500)
    for at, kw in (("a", dict(input_tokens=100, output_tokens=5000)), ("a", dict(input_tokens=6000, output_tokens=10)),
                   ("b", dict(input_tokens=100, output_tokens=5)), ("c", dict(input_tokens=20, cache_read=4000, output_tokens=1)),
                   ("a", dict(input_tokens=20, cache_read=5000, output_tokens=1)),
                   ("b", dict(input_tokens=900, output_tokens=3, web_searches=2))):
        M.extend(ask("m", at, **kw))
    way.verify()
    assert {a["usage_source"] for a in SOLO} >= {"final", "partial", "estimated"}, SOLO


def as_it_was():
    spent = {r["model"]: r for r in way.cli_json("usage", "--by", "model")["rows"]}
    for r in (replay(), replay(prices=catalog(PRICES))):
        assert not r["no_endpoint"], r
        for model in ("test/solo", "test/m", "test/d"):
            row = row_of(r, model)
            assert nusd(row["actual_usd"]) == nusd(row["hypothetical_usd"]) == nusd(spent[model]["cost_usd"]), (row, spent)
            assert row["saved_usd"] == "0" and row["moved"] == 0, row
        assert nusd(r["total"]["actual_usd"]) == sum(nusd(s["cost_usd"]) for s in spent.values())
    # Chosen anew where there is one endpoint to choose: the same.
    solo = row_of(replay(prefs={}), "test/solo")
    assert nusd(solo["actual_usd"]) == nusd(solo["hypothetical_usd"]) == sum(nusd(a["cost_usd"]) for a in SOLO), solo


def other_prices():
    half = json.loads(json.dumps(PRICES))
    half["a"] = price("7", "0.000001", cache_read="3", request="1")
    r = row_of(replay(prices=catalog(half)), "test/m")
    assert nusd(r["hypothetical_usd"]) == sum(cost_nusd(half[a["provider"]], a["usage"]) for a in M), r
    assert nusd(r["actual_usd"]) == sum(nusd(a["cost_usd"]) for a in M)
    assert nusd(r["saved_usd"]) == nusd(r["actual_usd"]) - nusd(r["hypothetical_usd"])


def sorted_by_price():
    r = row_of(replay(prefs={"provider_sort": "price"}), "test/m")
    want = [(cheapest(a["usage"]), a) for a in M]
    assert nusd(r["hypothetical_usd"]) == sum(cost_nusd(PRICES[n], a["usage"]) for n, a in want), (r, want)
    assert r["moved"] == sum(n != a["provider"] for n, a in want) > 0, r
    assert r["requests"] == r["attempts"] == len(M), r


def within_a_cap():
    """The cap is compared with what an attempt costs, though what it could have cost is far above."""
    free = row_of(replay(prefs={"provider_sort": "price"}), "test/m")
    capped = row_of(replay(prefs={"provider_sort": "price", "provider_max_total_cost": 0.05}), "test/m")
    assert capped == free, (capped, free)
    costs = sorted(min(cost_nusd(PRICES[n], a["usage"]) for n in ("ab" if a["usage"]["web_searches"] else "abc")) for a in M)
    r = replay(prefs={"provider_sort": "price", "provider_max_total_cost": str(Decimal(costs[2]) / 10 ** 9)})
    lost = sum(x["attempts"] for x in r["no_endpoint"] if (x["model"], x["reason"]) == ("test/m", "max_total_cost"))
    assert row_of(r, "test/m")["attempts"] == len(M) - lost == sum(c <= costs[2] for c in costs) >= 3, (r, costs)


def without_a_provider():
    r = row_of(replay(prefs={"provider_sort": "price", "provider_ignore": ["b", "c"]}), "test/m")
    assert nusd(r["hypothetical_usd"]) == sum(cost_nusd(A, a["usage"]) for a in M), r


def drawn_the_same_each_time():
    r = replay(prefs={})
    assert r["rows"] == replay(prefs={})["rows"]


def no_endpoint():
    r = replay(prefs={"provider_only": ["c"]})
    lost = {(x["model"], x["reason"]): x for x in r["no_endpoint"]}
    assert set(lost) == {("test/solo", "allowed_providers"), ("test/m", "capability")}, lost
    assert lost["test/m", "capability"]["requests"] == 1 and row_of(r, "test/m")["requests"] == len(M) - 1, r
    recorded = nusd(way.cli_json("usage")["total"]["cost_usd"])
    assert nusd(r["total"]["actual_usd"]) + nusd(r["no_endpoint_total"]["actual_usd"]) == recorded, r
    less = catalog(PRICES, "ab")
    less["models"] = [m for m in less["models"] if m["id"] != "test/solo"]
    r = replay(prices=less)
    assert {(x["model"], x["reason"]) for x in r["no_endpoint"]} == {("test/solo", "unknown_model"), ("test/m", "not_listed")}, r


def a_discount():
    r = row_of(replay("--discount", "a=12.5"), "test/m")
    off = {k: str(Decimal(v) * Decimal("0.875")) for k, v in A.items()}
    off["prompt"] = "0.875001"  # 0.875000875, up to a whole pico-dollar per token
    assert nusd(r["hypothetical_usd"]) == sum(
        cost_nusd(off if a["provider"] == "a" else PRICES[a["provider"]], a["usage"]) for a in M), r
    free = row_of(replay("--discount", "a=100", "--discount", "b=100", "--discount", "c=100"), "test/m")
    assert free["hypothetical_usd"] == "0", free


def kept():
    held, = D
    assert held["cost_usd"] == held["hold_usd"] != "0", held
    r = row_of(replay("--discount", "d=100"), "test/d")
    assert r["kept"] == 1 and r["hypothetical_usd"] == r["actual_usd"] == held["cost_usd"], r


def of_whom_and_when():
    assert replay("--until", "2020-01-01", "--since", "2019-01-01")["rows"] == []
    assert replay("--team", "t")["rows"] == replay()["rows"]
    way.cli("team", "create", "other")
    assert replay("--team", "other")["rows"] == []


def a_key_s_lists_hold():
    key = way.cli_json("key", "list")["data"][0]["id"]
    way.cli("key", "set", key, "--providers-only", "a")
    r = row_of(replay(prefs={"provider_sort": "price"}), "test/m")
    way.cli("key", "set", key, "--providers-only", "none")
    assert nusd(r["hypothetical_usd"]) == sum(cost_nusd(A, a["usage"]) for a in M), r


def refused():
    for argv, word in ((["--discount", "a"], "PROVIDER=PERCENT"), (["--discount", "a=101"], "0 to 100"), (["--discount", "z=1"], "no endpoint"),
                       (["--discount", "a=0.00001"], "decimals"), (["--discount", "a=-1"], "0 to 100"), (["--team", "nobody"], "there is no team nobody"),
                       (["--prefs", path_of("bad1", {"provider_sorts": "price"})], "provider_sorts"), (["--prefs", path_of("bad2", {"models": ["m"]})], "models"),
                       (["--prefs", path_of("bad3", [])], "object"), (["--catalog", path_of("bad4", {"providers": 1})], "providers"),
                       (["--since", "soon"], "since")):
        done = way.cli("replay", *argv, check=False)
        wrong_value = argv[0] in ("--discount", "--since") and argv[1] != "z=1"
        assert done.returncode == (2 if wrong_value else 1) and done.stderr.count("\n") == 1 and word in done.stderr and done.stdout == "", (argv, done)


def for_people():
    text = way.cli("replay", "--prefs", path_of("only.json", {"provider_only": ["c"]}))
    for word in ("REPLAYED $", "NO ENDPOINT", "capability", "total", "- caches:", "- order and provider_max_total_cost:"):
        assert word in text, text
    csv = way.cli("replay", "--format", "csv").splitlines()
    assert csv[0].startswith("team,model,requests") and len(csv) == 4, csv


def the_same_without_a_server():
    asked = [dict(), dict(prefs={"provider_sort": "price"}), dict(prices=catalog(PRICES, "ab"))]
    served = [replay("--until", "2100-01-01", **kw) for kw in asked]
    way.stop()
    assert [replay("--until", "2100-01-01", **kw) for kw in asked] == served


report.case("traffic", traffic)
for case in (as_it_was, other_prices, sorted_by_price, within_a_cap, without_a_provider, drawn_the_same_each_time, no_endpoint, a_discount, kept,
             of_whom_and_when, a_key_s_lists_hold, refused, for_people, the_same_without_a_server):
    report.case(case.__name__.replace("_", " "), case)
report.end()
