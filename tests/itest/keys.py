#!/usr/bin/env python3
"""Keys and what they allow: models, providers, presets, revocation within a second, rotation,
warm caches, catalog changes while running, drain."""

import http.client
import json
import os
import signal
import socket
import threading
import time

from crowd import metric
from harness import SLOW, Sim, Wayfare, catalog_of, endpoint, price, run_module, sse_events, wait_for

sim = Sim(["cheap", "dear"])
MODELS = [{"id": "test/m", "aliases": ["m"], "name": "M", "endpoints": [
    endpoint("cheap", "m-cheap", price("1", "5", cache_read="0.1", cache_write_5m="1.25")),
    endpoint("dear", "m-dear", price("1.2", "6", cache_read="0.12", cache_write_5m="1.5"))]},
    {"id": "test/other", "aliases": ["other"], "endpoints": [endpoint("cheap", "other", price("1", "5"))]}]
way = Wayfare(catalog_of(sim, MODELS))


def key(*options):
    return way.cli("key", "create", "--team", "t", "--name", "x", *options).strip()


def ask(k, path="/v1/messages", **fields):
    body = {"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "x"}]}
    body.update(fields)
    return way.request("POST", path, body, {"x-api-key": k}, key=False)


def test_models():
    k = key("--models", "other")
    status, _, body = ask(k)
    assert status == 403 and json.loads(body)["error"]["type"] == "permission_error", body
    assert ask(k, model="other")[0] == 200
    listing = json.loads(way.request("GET", "/v1/models", headers={"x-api-key": k}, key=False)[2])
    assert [m["id"] for m in listing["data"]] == ["test/other"]


def test_dry_run_judges_models_as_a_request():
    k = key("--models", "other")
    kid = [row["id"] for row in way.cli_json("key", "list")["data"]][-1]
    assert ask(k, models=["other"])[1]["x-wayfare-model"] == "test/other"
    dry = json.loads(ask(k, "/v1/route", models=["other"])[2])
    assert [p["model"] for p in dry["plan"]] == ["test/other"], dry
    assert {x["reason"] for x in dry["excluded"]} == {"key_policy"}, dry
    path = os.path.join(way.dir, "body.json")
    with open(path, "w") as f:
        json.dump({"model": "m", "models": ["other"], "max_tokens": 10, "messages": [{"role": "user", "content": "x"}]}, f)
    assert [p["model"] for p in way.cli_json("route", path, "--key", kid)["plan"]] == ["test/other"]
    for fields in ({}, {"models": ["other"], "provider_only": ["dear"]}, {"model": "none"}, {"model": "none", "models": ["nor"]}):
        want, got = ask(k, **fields), ask(k, "/v1/route", **fields)
        assert want[0] == got[0] == (404 if "model" in fields else 403), (fields, want, got)
        assert json.loads(want[2])["error"] == json.loads(got[2])["error"], (want, got)
    got = ask(k, model="none:floor", models=["nor:nitro"])  # as requested
    assert "none:floor or nor:nitro" in json.loads(got[2])["error"]["message"], got
    assert json.loads(got[2])["error"]["availability"] == {
        "code": "model_not_found", "retryable": False, "requested_models": ["none:floor", "nor:nitro"], "excluded": [], "excluded_by": []}, got


def test_requested_model():
    head = way.messages(model="m:floor")[1]
    row = way.generation(head)
    assert (row["requested_model"], row["model"], row["provider"]) == ("m:floor", "test/m", "cheap"), row


def test_providers():
    only = key("--providers-only", "dear")
    for _ in range(5):
        assert ask(only)[1]["x-wayfare-provider"] == "dear"
    status, _, body = ask(only, provider_only=["cheap"])
    error = json.loads(body)["error"]
    assert status == 404 and error["availability"]["code"] == "constraint_filtered", body
    assert {"key_policy", "allowed_providers"} >= set(error["availability"]["excluded_by"]), error
    ignore = key("--providers-ignore", "cheap")
    assert ask(ignore)[1]["x-wayfare-provider"] == "dear"


def limits_of(k):
    return json.loads(way.request("GET", "/v1/key", headers={"x-api-key": k}, key=False)[2])["limits"]


def test_limits_are_those_of_admission():
    """A new zone is no refill, and neither /v1/key nor a list may say so.  It may only be longer: what was spent in the
    first hours of UTC's day is in the new zone's day before, later it is in a day that ends after UTC's."""
    way.cli("team", "create", "moved", "--budget", "5", "--window", "day")
    k = way.cli("key", "create", "--team", "moved", "--budget", "1", "--window", "day").strip()
    assert ask(k)[0] == 200
    wait_for("the attempt to be settled", lambda: float(limits_of(k)[0]["spent_usd"]) > 0 and limits_of(k)[0]["held_usd"] == "0")
    before = limits_of(k)
    for zone in ("Asia/Tokyo", "America/Los_Angeles"):
        way.cli("team", "set", "moved", "--timezone", zone)
        now = limits_of(k)
        assert [dict(n, resets_at=b["resets_at"]) for n, b in zip(now, before)] == before, (zone, now, before)
        assert all(n["resets_at"] >= b["resets_at"] for n, b in zip(now, before)), (zone, now, before)
        assert json.loads(way.cli("key", "list", "--team", "moved", "--json"))["data"][0]["limits"] == now
        assert json.loads(way.cli("team", "set", "moved", "--json"))["limits"] == now[1:]
    left = "%s of 1/day" % before[0]["spent_usd"]
    assert left in way.cli("key", "list", "--team", "moved"), way.cli("key", "list", "--team", "moved")


def test_preset():
    path = os.path.join(way.dir, "preset.json")
    with open(path, "w") as f:
        json.dump({"provider_order": ["dear"]}, f)
    k = key("--preset", path)
    assert ask(k)[1]["x-wayfare-provider"] == "dear"
    assert ask(k, provider_order=["cheap"])[1]["x-wayfare-provider"] == "cheap"
    dry = json.loads(way.request("POST", "/v1/route", {"model": "m", "max_tokens": 5, "messages": [
        {"role": "user", "content": "x"}]}, {"x-api-key": k}, key=False)[2])
    assert dry["plan"][0]["provider"] == "dear", dry


def test_revocation():
    k = key()
    assert ask(k)[0] == 200
    kid = [row["id"] for row in way.cli_json("key", "list")["data"]][-1]
    way.cli("key", "revoke", k)  # by its secret, which is in no log
    wait_for("the key to be refused", lambda: ask(k)[0] == 401, 1)
    told = 'msg="changed by an operator" op="key revoke" id="%s" name="x" team="t"' % kid
    wait_for("the log", lambda: told in way.server_log())
    assert k[3:40] not in way.server_log() and 'op="key list"' not in way.server_log()


def test_rotation():
    k = key()
    kid = [row["id"] for row in way.cli_json("key", "list")["data"]][-1]
    fresh = way.cli("key", "rotate", kid, "--grace", "1h").strip()
    wait_for("the new key", lambda: ask(fresh)[0] == 200, 1)
    assert ask(k)[0] == 200
    again = way.cli("key", "rotate", kid).strip()
    wait_for("the newest key", lambda: ask(again)[0] == 200, 1)
    wait_for("the old key to be refused", lambda: ask(k)[0] == 401, 1)


def test_expired():
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1 + 2 * SLOW))
    k = key("--expires", soon)
    wait_for("the key to expire", lambda: ask(k)[0] == 401, 6)
    done = way.cli("key", "create", "--team", "t", "--name", "x", "--expires", "2020-01-01", check=False)
    assert done.returncode == 2 and "future" in done.stderr


def test_warm_cache_stays():
    """A conversation goes where its cache is, while that is the cheapest for this request."""
    system = [{"type": "text", "text": "long " * 4000, "cache_control": {"type": "ephemeral"}}]
    _, headers, _ = way.messages(system=system, provider_only=["dear"])
    assert headers["x-wayfare-provider"] == "dear"
    way.generation(headers)
    for turn in range(4):
        _, headers, _ = way.messages(system=system, messages=[{"role": "user", "content": "turn %d" % turn}])
        assert headers["x-wayfare-provider"] == "dear", (turn, headers)
    dry = json.loads(way.request("POST", "/v1/route", {"model": "m", "max_tokens": 50, "system": system, "messages": [
        {"role": "user", "content": "x"}]})[2])
    assert dry["plan"][0]["provider"] == "dear" and dry["plan"][0]["estimate"]["cached_tokens"] > 0, dry["plan"][0]


def test_catalog_change_while_running():
    before = way.messages(provider_only=["cheap"])[1]["x-wayfare-cost"]
    dearer = json.loads(json.dumps(catalog_of(sim, MODELS)))
    dearer["models"][0]["endpoints"][0]["pricing"] = price("2", "10")
    out = way.import_catalog(dearer)
    assert "changed" in out, out
    after = way.messages(provider_only=["cheap"])[1]["x-wayfare-cost"]
    assert float(after) > 1.9 * float(before), (before, after)
    again = way.import_catalog(dearer)
    assert "test/m" not in again, again
    way.import_catalog(catalog_of(sim, MODELS))


def test_removed_while_running():
    def listed():
        return [m["id"] for m in json.loads(way.request("GET", "/v1/models")[2])["data"]]

    for argv, told in ((("--provider", "chaep"), "there is no provider chaep"), ((), "a model, a provider, or both"),
                       (("--model", "nor"), "there is no model nor")):
        done = way.cli("catalog", "remove", *argv, check=False)
        assert done.returncode == 1 and told in done.stderr, done
    assert way.cli("catalog", "remove", "--provider", "cheap", "--dry-run").endswith("dry run: 2 endpoints\n")
    assert way.messages(provider_only=["cheap"])[0] == 200
    gen = way.messages(provider_only=["cheap"])[1]
    out = way.cli("catalog", "remove", "--model", "m", "--provider", "cheap")
    assert out == "removed test/m at cheap\nremoved: 1 endpoints\n", out
    assert way.messages()[1]["x-wayfare-provider"] == "dear"
    assert way.messages(provider_only=["cheap"])[0] == 404
    assert "test/other" in listed()
    conn = http.client.HTTPConnection(way.admin, timeout=30 * SLOW)
    conn.request("DELETE", "/admin/v1/endpoints?provider=cheap", headers={"x-api-key": way.env["WAYFARE_ADMIN_TOKEN"]})
    gone = json.loads(conn.getresponse().read())
    conn.close()
    assert gone == {"dry_run": False, "endpoints_removed": 1, "changes": ["removed test/other at cheap"]}, gone
    status, _, body = way.messages(model="other")
    assert status == 404 and json.loads(body)["error"]["availability"]["code"] == "no_endpoints", body
    assert listed() == ["test/m"], listed()
    assert way.request("GET", "/v1/models/test/other")[0] == 404
    done = way.cli("catalog", "remove", "--provider", "cheap", check=False)
    assert done.returncode == 1 and "no endpoint of it is in the catalog" in done.stderr, done
    assert way.generation(gen)["attempts"][0]["provider"] == "cheap"
    assert way.cli("ledger", "verify").strip() == "ok"
    way.import_catalog(catalog_of(sim, MODELS))
    assert way.messages(provider_only=["cheap"])[0] == 200 and "test/other" in listed()


def test_sighup():
    way.child.send_signal(signal.SIGHUP)
    wait_for("the reload", lambda: "reloaded" in way.server_log(), 3)
    assert way.messages()[0] == 200


def test_restart_keeps_the_books():
    spent = way.cli_json("usage", "--by", "team")["total"]
    way.stop()
    assert way.cli_json("usage", "--by", "team")["total"] == spent
    way.start()


def test_seed_repeats_a_dry_run():
    path = os.path.join(way.dir, "body.json")
    with open(path, "w") as f:
        json.dump({"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "x"}]}, f)
    way.stop()
    firsts, usual = [], way.env["WAYFARE_SEED"]
    for seed in range(12):
        way.env["WAYFARE_SEED"] = str(seed)
        firsts.append({way.cli_json("route", path)["plan"][0]["provider"] for _ in range(4)})
    way.env["WAYFARE_SEED"] = usual
    way.start()
    assert all(len(f) == 1 for f in firsts) and len(set.union(*firsts)) == 2, firsts
    assert way.messages()[0] == 200
    way.verify()


def test_kill_and_recover():
    sim.script("cheap", output_tokens=100, tps=50)
    body = json.dumps({"model": "m", "max_tokens": 100, "stream": True, "provider_only": ["cheap"],
                       "messages": [{"role": "user", "content": "x"}]}).encode()
    sock = socket.create_connection((way.host, way.port))
    sock.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key: " + way.key.encode() +
                 b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    sock.recv(1024)
    way.child.send_signal(signal.SIGKILL)
    way.child.wait()
    sock.close()
    way.start()
    rows = way.cli_json("generation", "list", "--limit", "1")["data"]
    assert rows[0]["attempts"][0]["state"] == "SETTLED" if "attempts" in rows[0] else True
    assert rows[0]["status"] == "error", rows
    way.verify()
    sim.reset()
    assert way.messages()[0] == 200


def test_drain_finishes_streams():
    sim.script("cheap", output_tokens=40, tps=max(1, int(20 / SLOW)))
    result, before = {}, metric(way, "wayfare_streams_total")

    def stream():
        result["answer"] = way.messages(stream=True, provider_only=["cheap"])

    t = threading.Thread(target=stream)
    t.start()
    wait_for("the stream", lambda: metric(way, "wayfare_streams_total") > before)
    code = {}
    stopper = threading.Thread(target=lambda: code.update(exit=way.stop()))
    stopper.start()

    def refused():
        try:
            socket.create_connection((way.host, way.port), timeout=1).close()
        except OSError:
            return True
        return False

    wait_for("connections to be refused", refused)
    t.join()
    stopper.join()
    assert code["exit"] == 0
    status, headers, body = result["answer"]
    assert status == 200 and sse_events(body)[-1][0] == "message_stop"
    sim.reset()


def test_drain_deadline():
    way.args = ["--drain-timeout", "1"]
    way.start()
    sim.script("cheap", output_tokens=4000, tps=20)
    result, before = {}, metric(way, "wayfare_streams_total")
    t = threading.Thread(target=lambda: result.update(answer=way.messages(stream=True, max_tokens=4000,
                                                                           provider_only=["cheap"])))
    t.start()
    wait_for("the stream", lambda: metric(way, "wayfare_streams_total") > before)
    began = time.monotonic()
    assert way.stop() == 0
    t.join()
    assert time.monotonic() - began < 10 * SLOW
    status, headers, body = result["answer"]
    events = [n for n, _ in sse_events(body)]
    assert status == 200 and events[-1] == "error" and "message_stop" not in events, events[-3:]
    way.verify()


if __name__ == "__main__":
    run_module(globals())
