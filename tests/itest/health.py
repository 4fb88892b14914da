#!/usr/bin/env python3
"""Endpoints that keep failing are ejected and taken back, seen from outside: the listing, the dry
run, metrics, the log, and what the simulator was asked.  With WAYFARE_LONG=1 also the half-open
state, half a minute later."""

import http.client
import json
import os
import re
import threading
import time
from datetime import datetime, timezone

from harness import SLOW, Report, Sim, Wayfare, catalog_of, endpoint, price, wait_for

NAMES = ["a", "b", "c"]
sim = Sim(NAMES)
catalog = catalog_of(sim, timeouts={"connect_ms": 2000, "first_byte_ms": 1000, "idle_ms": 5000, "total_ms": 30000})
for name in ("patient", "down"):
    catalog["models"].append({"id": "test/" + name, "endpoints": [
        endpoint(n, name + "-" + n, price(str(i + 1), "5")) for i, n in enumerate(NAMES)]})
way = Wayfare(catalog)
report = Report()


def listing(model="test/m"):
    data = json.loads(way.request("GET", "/v1/models/%s/endpoints" % model)[2])["data"]
    return {e["tag"]: e for e in data["endpoints"]}


def dry_run(**fields):
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
    body.update(fields)
    return json.loads(way.request("POST", "/v1/route", body)[2])["plan"]


def metric(name):
    auth = {"authorization": "Bearer admin-token-for-tests"}
    host, port = way.admin.rsplit(":", 1)
    conn = http.client.HTTPConnection(host, int(port), timeout=30 * SLOW)
    conn.request("GET", "/metrics", headers=auth)
    text = conn.getresponse().read().decode()
    conn.close()
    return int(re.search(r"^wayfare_%s (\d+)$" % name, text, re.M).group(1))


def asked(name, prefix="m-"):
    """Calls that the simulator's listener has got for a model."""
    return sum(1 for w in sim.witness() if w["listener"] == name and w.get("model", "").startswith(prefix))


def ejected_by_the_fifth():
    sim.script("a", status=503)
    assert listing()["a"]["health"]["state"] == "ok" and listing()["a"]["status"] == 0
    for n in range(1, 6):
        got, headers, body = way.messages(provider_order=["a"])
        assert got == 200 and headers["x-wayfare-attempts"] == "2", (got, body)
        state = listing()["a"]["health"]["state"]
        assert state == ("outage" if n < 5 else "ejected"), (n, state)
    health = listing()["a"]["health"]
    until = datetime.fromisoformat(health["ejected_until"].replace("Z", "+00:00"))
    left = (until - datetime.now(timezone.utc)).total_seconds()
    assert 0 < left <= 36 and health["ejections_in_a_row"] == 1, health
    assert health["attempts_last_30s"] == 5 and health["failures_last_30s"] == 5, health
    assert listing()["a"]["status"] == -3 and listing()["b"]["health"]["state"] == "ok"
    assert metric("ejections_total") == 1 and metric("endpoints_ejected") == 1
    wait_for("the log", lambda: re.search(r'msg="endpoint ejected.*endpoint=a model=test/m until=.*status=503',
                                          way.server_log()))


def others_serve():
    before = asked("a")
    for _ in range(10):
        got, headers, _body = way.messages()
        assert got == 200 and headers["x-wayfare-attempts"] == "1", headers
    for sort in ("price", "latency"):
        assert way.messages(provider_sort=sort)[1]["x-wayfare-attempts"] == "1"
    assert asked("a") == before
    plan = dry_run()
    assert [p["provider"] for p in plan][-1] == "a" and plan[-1]["why"].startswith("ejected"), plan


def the_order_stays():
    got, headers, _body = way.messages(provider_order=["a", "c"])
    assert got == 200 and headers["x-wayfare-attempts"] == "2" and headers["x-wayfare-provider"] == "c", headers
    plan = dry_run(provider_order=["a", "c"])
    assert [p["provider"] for p in plan] == ["a", "c", "b"] and "ejected" in plan[0]["why"], plan


def never_the_last():
    got, headers, body = way.messages(provider_only=["a"])
    assert got == 503 and headers["x-wayfare-attempts"] == "1" and b"req_01SIM" in body, (got, body)
    # Nor where the others fail too.
    for n in ("b", "c"):
        sim.script(n, status=503)
    sim.script("a", status=200)
    got, headers, body = way.messages()
    assert got == 200 and headers["x-wayfare-provider"] == "a" and headers["x-wayfare-attempts"] == "3", (got, headers)


def success_takes_it_back():
    sim.reset()
    for _ in range(2):
        assert way.messages(provider_only=["a"])[0] == 200
    assert listing()["a"]["health"]["state"] in ("ok", "outage"), listing()["a"]
    assert metric("ejections_ended_total") == 1 and metric("endpoints_ejected") == 0
    wait_for("the log", lambda: re.search(r'msg="endpoint is back" endpoint=a model=test/m out_s=\d', way.server_log()))


def percentiles():
    for _ in range(10):  # enough for percentiles, whatever the draws before chose
        assert way.messages(provider_only=["b"])[0] == 200
    latency, throughput = (listing()["b"][k] for k in ("latency_last_30m", "throughput_last_30m"))
    for figures in (latency, throughput):
        assert sorted(figures) == ["p50", "p75", "p90", "p99"], figures
    assert latency["p50"] <= latency["p99"] and throughput["p50"] >= throughput["p99"]


def all_down():
    for n in NAMES:
        sim.script(n, status=529)
    n, began = 150, time.monotonic()
    failures = set()
    for _ in range(n):
        got, headers, body = way.messages(model="test/down")
        attempts = int(headers["x-wayfare-attempts"])
        failures.add((got, json.loads(body)["error"]["type"]))
        assert attempts == 1 or len(json.loads(body)["error"]["attempts"]) == attempts
    took = time.monotonic() - began
    retries = sum(asked(x, "down-") for x in NAMES) - n
    assert failures == {(529, "overloaded_error")}, failures
    assert 0 < retries <= max(0.2 * n, 3 * (took + 1)) + 2 * 5, (retries, took)  # +: until the first are out
    refused = metric("retries_refused_total")
    print("    %d requests in %.1f s: %d retries, %d refused" % (n, took, retries, refused))
    assert refused > 0
    sim.reset()
    wait_for("all to be well", lambda: way.messages(model="test/down")[0] == 200)


def patience():
    sim.script("a", hang=1)
    for seconds, attempts, status in (("1", "1", 504), ("1.2", "1", 504), ("600", "2", 200), ("", "2", 200), ("1x", "2", 200)):
        got, headers, body = way.messages(model="test/patient", provider_order=["a"], headers={"x-stainless-timeout": seconds})
        assert (headers["x-wayfare-attempts"], got) == (attempts, status), (seconds, got, headers)
    assert metric("retries_late_total") == 2
    sim.reset()


report.case("ejected by the fifth failure", ejected_by_the_fifth)
report.case("the others serve", others_serve)
report.case("provider_order stays", the_order_stays)
report.case("never the last candidate", never_the_last)
report.case("three successes take it back", success_takes_it_back)
report.case("percentiles", percentiles)
report.case("all down: the budget of retries", all_down)
report.case("no retry when the client's time is nearly over", patience)


def clamped_elsewhere():
    """Holds that do not fit here or there: the attempt that is made at last is not the other endpoint's probe."""
    key = way.cli("key", "create", "--team", "t", "--name", "clamps", "--budget", "0.02", "--window", "total",
                  "--on-limit", "clamp").strip()
    for _ in range(4):
        status, headers, _ = way.messages(provider_order=["b", "a"], max_tokens=50000, headers={"x-api-key": key})
        assert status == 200 and headers["x-wayfare-provider"] == "b" and "x-wayfare-max-tokens" in headers, (status, headers)
    assert listing()["a"]["health"]["state"] == "half_open", "brought back by answers of another"


def half_open():
    """Down for a while, then slow: one probe at a time, by the clients that happen to come."""
    sim.script("a", status=503)
    for _ in range(5):
        way.messages(provider_order=["a"])
    assert listing()["a"]["health"]["state"] == "ejected"
    sim.reset()
    sim.script("a", delay_ms=500)
    recovered = time.monotonic()
    wait_for("half-open", lambda: listing()["a"]["health"]["state"] == "half_open", 80)  # the second in a row
    clamped_elsewhere()
    before = metric("probes_total")
    assert dry_run()[0]["provider"] == "a" and dry_run()[0]["why"].startswith("half-open"), dry_run()
    # A probe whose client leaves gives its slot back: it would else be taken for a minute.
    body = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"Hello"}]}'
    way.raw(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: %s\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%s" % (way.key.encode(), len(body), body), read=False)
    left = time.monotonic()
    answers = []

    def crowd():
        threads = [threading.Thread(target=lambda: answers.append(way.messages()[1]["x-wayfare-provider"])) for _ in range(5)]
        for t in threads:
            t.start()
        time.sleep(0.1)  # in the middle of a probe: the others did not wait for it
        probing = dry_run()[-1]
        for t in threads:
            t.join()
        assert probing["provider"] == "a" or listing()["a"]["health"]["state"] in ("ok", "half_open"), probing
        return listing()["a"]["health"]["state"] == "ok"

    wait_for("a to be back", crowd, 35)
    assert time.monotonic() - left < 55, "the slot was not given back"
    probes = metric("probes_total") - before
    print("    back %.1f s after recovery, %d probes, answers of %s" %
          (time.monotonic() - recovered, probes, sorted(answers)))
    assert probes >= 3 and answers.count("a") <= probes, (probes, answers)


if os.environ.get("WAYFARE_LONG"):
    report.case("half-open", half_open)

report.case("ledger", way.verify)
report.case("clean exit", lambda: (way.stop() == 0) or 1 / 0)
report.end()
