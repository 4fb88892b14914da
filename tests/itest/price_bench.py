#!/usr/bin/env python3
"""The price benchmark (bench/price) on a made-up catalog: that it runs, repeats itself, knows what its lists
say, and that its best in hindsight is the best."""

import json
import os
import subprocess
import tempfile

from harness import SLOW, WAYFARE, Report

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(WAYFARE)), "bench", "price")
work = tempfile.TemporaryDirectory(prefix="wayfare-price-")
report = Report()


def write(name, text):
    path = os.path.join(work.name, name)
    with open(path, "w") as f:
        f.write(text)
    return path


def end(name, prompt, completion, **pricing):
    return {"provider": name, "upstream_model": "m-" + name, "context_length": 200000, "max_completion_tokens": 32000,
            "supported_parameters": ["max_tokens"], "pricing": {"prompt": prompt, "completion": completion, **pricing}}


PROVIDERS = ["plain", "keeper", "dear"]
CATALOG = write("catalog.json", json.dumps({
    "providers": [{"slug": n, "name": n.title(), "protocol": "openai", "base_url": "http://127.0.0.1:1/v1", "credential": {"none": True}}
                  for n in PROVIDERS],
    "models": [{"id": "made/up", "name": "Made up", "endpoints": [
        end("plain", "0.8", "4"), end("keeper", "1", "5", cache_read="0.1"), end("dear", "30", "90", cache_read="3", cache_write_5m="37.5")]}]}))
HITS = "model_slug,provider_slug,cache_hit_rate\nmade/up,keeper,%s\nmade/up,dear,0.9\n"


def run(*argv, code=0, env=None):
    done = subprocess.run([PROGRAM, *argv], capture_output=True, text=True, timeout=60 * SLOW, env=dict(os.environ, **(env or {})))
    assert done.returncode == code, (argv, done)
    return done.stdout if code == 0 else done.stderr


def tables(*argv):
    """{kind: {policy: {column: value}}}; of several kinds at once also {"kind by kind": ...}"""
    out, kind, head = {}, None, None
    for line in run("--catalog", CATALOG, "--talks", "80", *argv).splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")]
        if line.startswith("### "):
            kind = line[4:].split(":")[0]
            out[kind], head = {}, None
        elif line.startswith("| policy"):
            if head:
                kind += " by kind"
                out[kind] = {}
            head = cells
        elif line.startswith("| ") and head:
            out[kind][cells[0]] = dict(zip(head, cells))
    return out


def usd(table, policy):
    return float(table[policy]["cost, $"])


def best_of_all():
    got = tables("--check")  # the program itself compares with trying everything, and every policy with the bound
    assert set(got) == {"agent", "chat", "batch", "mixed", "mixed by kind", "one-key", "one-key by kind"}, got
    for kind, table in got.items():
        if "by kind" in kind:
            continue
        assert len(table) == 11, table
        assert usd(table, "lower bound of that") == usd(table, "best in hindsight (found)") > 0, table
    assert usd(got["agent"], "sticky, 10 minutes") < usd(got["agent"], "drawn by 1/price^2"), got["agent"]


def caches_count():
    agent = tables("--kind", "agent")["agent"]
    single = agent["one endpoint per model, in hindsight"]
    assert int(single["cached, %"]) > 50 and usd(agent, "one endpoint per model, in hindsight") < usd(agent, "cheapest list price"), agent
    assert agent["cheapest list price"]["cached, %"] < "9", agent  # but for outages it stays at the plain one
    rate = tables("--kind", "agent", "--hit-rates", write("none.csv", HITS % "0"))["agent"]
    assert int(rate["one endpoint per model, in hindsight"]["cached, %"]) < 10, rate
    same = tables("--kind", "agent", "--hit-rates", write("all.csv", HITS % "0.9"))["agent"]
    assert same == agent, (same, agent)
    batch = tables("--kind", "batch")["batch"]
    assert all(row.get("cached, %", "") in ("0", "") for row in batch.values()), batch


def kinds_do_not_mix():
    """What agents need is no reason to send single requests to the dearer endpoint that caches."""
    rows = tables("--kind", "mixed")["mixed by kind"]
    ours, cheapest = rows["wayfare sort price"], rows["cheapest list price"]
    assert float(ours["agent, $"]) < 0.8 * float(cheapest["agent, $"]), rows
    assert float(ours["batch, $"]) <= float(cheapest["batch, $"]) + 0.01, rows
    alone = tables("--kind", "batch")["batch"]
    assert abs(usd(alone, "wayfare sort price") - float(ours["batch, $"])) <= 0.01, (alone, rows)


def repeats_itself():
    once = run("--catalog", CATALOG, "--talks", "20", "--by-model")
    assert once == run("--catalog", CATALOG, "--talks", "20", "--by-model")
    assert once != run("--catalog", CATALOG, "--talks", "20", "--by-model", "--seed", "2")
    assert "made/up" in once


def says_what_is_missing():
    assert "WAYFARE_SHARED" in run(code=77, env={"WAYFARE_SHARED": work.name})
    assert "usage" in run("--talks", "0", code=2)
    assert "usage" in run("--frob", code=2)
    assert "no model" in run("--catalog", CATALOG, "--model", "other", code=1)
    assert run("--catalog", write("bad.json", '{"models": 1}'), code=1)


for case in (best_of_all, caches_count, kinds_do_not_mix, repeats_itself, says_what_is_missing):
    report.case(case.__name__.replace("_", " "), case)
report.end()
