#!/usr/bin/env python3
"""One request through the server: bytes, headers, both ways to authenticate, records."""

import http.client
import json
from decimal import ROUND_CEILING, Decimal

from crowd import metric
from harness import SLOW, Sim, Wayfare, catalog_of, run_module, sse_events, wait_for

sim = Sim(["alpha", "beta"])
way = Wayfare(catalog_of(sim))


def last_request(path="/v1/messages"):
    return [w for w in sim.witness() if w["event"] == "begin" and w["path"].split("?")[0].endswith(path)][-1]


def sent_headers():
    return {k.lower(): v for k, v in last_request()["headers"].items()}


def cost_of(usage, prompt, completion):
    pico = Decimal(usage["input_tokens"]) * Decimal(prompt) + Decimal(usage["output_tokens"]) * Decimal(completion)
    return (pico / 1000).to_integral_value(ROUND_CEILING) * 1000 / Decimal(10) ** 6 / Decimal(10) ** 6


def test_json_answer():
    sim.reset()
    status, headers, body = way.messages()
    answer = json.loads(body)
    assert status == 200 and answer["type"] == "message", (status, body)
    assert headers["x-wayfare-provider"] in ("alpha", "beta")
    assert headers["x-wayfare-model"] == "test/m" and headers["x-wayfare-attempts"] == "1"
    assert headers["x-wayfare-generation-id"].startswith("gen_")
    n = 1 if headers["x-wayfare-provider"] == "alpha" else 2
    exact = cost_of(answer["usage"], n * 1000000, n * 5000000)
    assert Decimal(headers["x-wayfare-cost"]) == exact, (headers["x-wayfare-cost"], exact)


def test_stream_answer():
    status, headers, body = way.messages(stream=True)
    names = [name for name, _ in sse_events(body)]
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    assert names[0] == "message_start" and names[-1] == "message_stop", names
    assert "x-wayfare-cost" not in headers
    g = way.generation(headers)
    assert g["stream"] is True and g["attempts"][0]["usage_source"] == "final"


def test_same_bytes_as_direct():
    sim.reset()
    import http.client

    for stream in (False, True):
        body = json.dumps({"model": "m-alpha", "max_tokens": 40, "stream": stream,
                           "messages": [{"role": "user", "content": "same bytes? \u00fc"}]})
        conn = http.client.HTTPConnection(sim.url["alpha"].split("//")[1], timeout=10 * SLOW)
        conn.request("POST", "/v1/messages", body, {"x-api-key": "x", "content-type": "application/json",
                                                  "anthropic-version": "2023-06-01"})
        direct = conn.getresponse().read()
        conn.close()
        _, _, through = way.request("POST", "/v1/messages", body.replace("m-alpha", "m")[:-1] +
                                    ', "provider_only": ["alpha"]}')
        def scrub(b):
            import re
            return re.sub(rb'"(msg|toolu)_[A-Za-z0-9]+"', b'"id"', b)
        assert scrub(direct) == scrub(through), (direct[:300], through[:300])


def test_request_bytes():
    odd = ('{ "provider_only" : ["alpha"],"model":\t"m" , "max_tokens": 1.0e1, "x_unknown": [1, 2.50, "\\u00e9\\/"],'
           ' "messages":[ {"content":"hi \\ud83d\\ude00","role":"user","cache_control":null}],"provider_zdr":null }')
    expected = ('{ "model":\t"m-alpha" , "max_tokens": 1.0e1, "x_unknown": [1, 2.50, "\\u00e9\\/"],'
                ' "messages":[ {"content":"hi \\ud83d\\ude00","role":"user","cache_control":null}] }')
    odd = odd.replace("1.0e1", "10")
    expected = expected.replace("1.0e1", "10")
    status, _, body = way.request("POST", "/v1/messages?beta=true", odd)
    assert status == 200, body
    assert last_request()["body_len"] == len(expected), last_request()


def test_both_credentials():
    for headers in ({"authorization": "Bearer " + way.key}, {"authorization": "bearer " + way.key},
                    {"x-api-key": way.key}, {"x-api-key": way.key, "authorization": "Bearer " + way.key}):
        status, _, body = way.request("POST", "/v1/messages", {"model": "m", "max_tokens": 5, "messages": [
            {"role": "user", "content": "x"}]}, headers, key=False)
        assert status == 200, (headers, body)
    for headers in ({}, {"x-api-key": "wf_" + "A" * 43}, {"authorization": "Basic " + way.key},
                    {"x-api-key": way.key, "authorization": "Bearer wf_" + "B" * 43}):
        status, _, body = way.request("POST", "/v1/messages", {"model": "m"}, headers, key=False)
        error = json.loads(body)
        assert status == 401 and error["error"]["type"] == "authentication_error", (headers, status, body)


def test_headers_to_provider():
    way.messages(headers={"anthropic-version": "2026-10-21", "anthropic-beta": "a-1,b-2", "cookie": "c=1",
                          "anthropic-dangerous-direct-browser-access": "true", "accept-encoding": "gzip"},
                 provider_only=["alpha"])
    sent = sent_headers()
    assert sent["anthropic-version"] == "2026-10-21" and sent["anthropic-beta"] == "a-1,b-2", sent
    assert sent["anthropic-dangerous-direct-browser-access"] == "true"
    assert "cookie" not in sent and sent.get("accept-encoding", "identity") == "identity"
    assert way.key not in json.dumps(sent) and sent["x-request-id"].startswith("att_")
    way.messages(provider_only=["alpha"])
    sent = sent_headers()
    assert sent["anthropic-version"] == "2023-06-01" and "anthropic-beta" not in sent


def test_headers_from_provider():
    sim.script("alpha", **{"header.set-cookie": "a=b", "header.anthropic-ratelimit-requests-remaining": "7",
                           "header.x-unknown": "passes", "header.request-id": "req_sim_1"})
    _, headers, _ = way.messages(provider_only=["alpha"])
    sim.reset()
    assert "set-cookie" not in headers and headers["x-unknown"] == "passes"
    assert headers["anthropic-ratelimit-requests-remaining"] == "7" and headers["request-id"] == "req_sim_1"


def test_report_in_body():
    _, headers, body = way.messages(headers={"x-wayfare-report": "body"})
    answer = json.loads(body, parse_float=Decimal)
    assert answer["provider"] == headers["x-wayfare-provider"]
    assert Decimal(str(answer["usage"]["cost"])) == Decimal(headers["x-wayfare-cost"])
    _, headers, body = way.messages(headers={"x-wayfare-report": "body"}, stream=True)
    events = sse_events(body)
    assert events[0][1]["message"]["provider"] == headers["x-wayfare-provider"]
    delta = [d for name, d in events if name == "message_delta"][-1]
    assert "cost" in delta["usage"] and events[-1][0] == "message_stop"


def test_generation_record():
    _, headers, _ = way.messages()
    g = way.generation(headers)
    status, _, body = way.request("GET", "/v1/generations/" + headers["x-wayfare-generation-id"])
    assert status == 200 and json.loads(body)["id"] == g["id"]
    assert g["cost_usd"] == headers["x-wayfare-cost"] and g["status"] == "ok" and g["team"] == "t"
    attempt = g["attempts"][0]
    assert attempt["state"] == "SETTLED" and attempt["provider"] == headers["x-wayfare-provider"]
    assert way.request("GET", "/v1/generations?since=&limit=")[0] == 200
    status, _, body = way.request("GET", "/v1/generations?limit=2")
    assert status == 200 and len(json.loads(body)["data"]) == 2
    status, _, _ = way.request("GET", "/v1/generations/gen_" + "0" * 32)
    assert status == 404


def test_count_tokens():
    body = {"model": "m", "messages": [{"role": "user", "content": "count me"}]}
    status, headers, data = way.request("POST", "/v1/messages/count_tokens?beta=true", body)
    assert status == 200 and json.loads(data)["input_tokens"] > 0 and "x-wayfare-estimated" not in headers
    # What the last one says passes; 401 and 402 speak of the operator's account.
    for alpha, beta, expect in ((500, 500, 200), (404, 404, 404), (429, 429, 429), (403, 403, 403), (401, 401, 200), (402, 402, 200),
                                (500, 404, 404), (404, 500, 200), (404, 401, 200), (400, None, 400), (404, None, None), (None, None, None)):
        for name, code in (("alpha", alpha), ("beta", beta)):
            if code is not None:
                sim.script(name, count_status=code)
        status, headers, data = way.request("POST", "/v1/messages/count_tokens", dict(body, provider_order=["alpha", "beta"]))
        sim.reset()
        assert status == (expect or 200), (alpha, beta, status, data)
        assert ("x-wayfare-estimated" in headers) == (expect == 200), (alpha, beta, headers)
        assert status != 200 or json.loads(data)["input_tokens"] > 0, data
        assert headers["x-wayfare-attempts"] == ("1" if alpha in (400, None) else "2"), (alpha, beta, headers)


def test_models():
    status, _, body = way.request("GET", "/v1/models?limit=1000", headers={"anthropic-version": "2023-06-01"})
    listing = json.loads(body)
    assert status == 200 and listing["data"][0]["id"] == "test/m" and listing["has_more"] is False
    assert listing["data"][0]["type"] == "model" and "pricing" in listing["data"][0]
    status, _, body = way.request("GET", "/v1/models")
    assert json.loads(body)["object"] == "list"
    for name in ("test/m", "m", "test%2Fm"):
        status, _, body = way.request("GET", "/v1/models/" + name)
        assert status == 200 and json.loads(body)["id"] == "test/m", body
    status, _, body = way.request("GET", "/v1/models/test/m/endpoints")
    endpoints = json.loads(body)["data"]["endpoints"]
    assert [e["tag"] for e in endpoints] == ["alpha", "beta"] and endpoints[0]["pricing"]["prompt"] == "0.000001"
    # errors are in the shape of the listing
    for path, key, status in (("/v1/models/nope", True, 404), ("/v1/models/nope/endpoints", True, 404),
                              ("/v1/models?limit=0", True, 400), ("/v1/models", False, 401)):
        for headers, anthropic in (({}, False), ({"anthropic-version": "2023-06-01"}, True)):
            answer = way.request("GET", path, headers=headers, key=key)
            body = json.loads(answer[2])
            assert answer[0] == status and ("type" in body) == anthropic and ("param" in body["error"]) != anthropic, answer


def test_route_dry_run():
    body = {"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "x"}], "provider_ignore": ["beta"]}
    before = len(sim.witness())
    status, _, data = way.request("POST", "/v1/route", body)
    route = json.loads(data)
    assert status == 200 and [p["provider"] for p in route["plan"]] == ["alpha"], data
    assert route["excluded"][0]["reason"] == "allowed_providers"
    assert len(sim.witness()) == before


def test_key():
    status, _, body = way.request("GET", "/v1/key")
    key = json.loads(body)
    assert status == 200 and key["team"] == "t" and key["name"] == "k", body


def test_health_and_probes():
    assert way.request("GET", "/health/live", key=False)[0] == 200
    assert way.request("GET", "/health/ready", key=False)[0] == 200
    assert way.request("HEAD", "/", key=False)[0] == 200
    status, _, body = way.request("GET", "/nothing", key=False)
    assert status == 404 and json.loads(body)["error"]["type"] == "not_found_error"
    status, headers, _ = way.request("GET", "/v1/messages")
    assert status == 405 and headers["allow"] == "POST"
    status, headers, _ = way.request("DELETE", "/v1/models")
    assert status == 405 and headers["allow"] == "GET, HEAD", headers
    assert way.request("HEAD", "/v1/models")[0] == 200


def test_metrics_once():
    """Each is described once and told once: a scraper refuses the page otherwise."""
    host, port = way.admin.rsplit(":", 1)
    conn = http.client.HTTPConnection(host, int(port), timeout=30)
    conn.request("GET", "/metrics", headers={"authorization": "Bearer admin-token-for-tests"})
    lines = conn.getresponse().read().decode().splitlines()
    conn.close()
    names = [line.rsplit(" ", 1)[0] for line in lines if not line.startswith("# HELP")]
    assert len(names) > 50 and len(names) == len(set(names)), sorted(n for n in names if names.count(n) > 1)


def test_head_of_the_admin_side():
    """As GET, without the body, and the connection goes on."""
    host, port = way.admin.rsplit(":", 1)
    conn = http.client.HTTPConnection(host, int(port), timeout=30)
    for path in ("/", "/admin/v1/teams", "/admin/v1/catalog", "/metrics", "/admin/v1/nowhere"):
        got = []
        for method in ("GET", "HEAD", "GET"):
            conn.request(method, path, headers={"authorization": "Bearer admin-token-for-tests"})
            answer = conn.getresponse()
            body = answer.read()
            assert method == "GET" or body == b"", (path, body)
            got.append((answer.status, answer.getheader("content-type"), int(answer.getheader("content-length")) > 0))
        assert got[0] == got[1] == got[2], (path, got)
    conn.request("PUT", "/admin/v1/teams", headers={"authorization": "Bearer admin-token-for-tests"})
    answer = conn.getresponse()
    assert answer.status == 405 and answer.getheader("allow") == "GET, HEAD, POST", answer.getheaders()
    conn.close()


def test_keep_alive():
    conn = way.connect()
    for _ in range(5):
        conn.request("POST", "/v1/messages", json.dumps({"model": "m", "max_tokens": 5, "messages": [
            {"role": "user", "content": "x"}]}), {"x-api-key": way.key})
        answer = conn.getresponse()
        assert answer.status == 200
        answer.read()
    conn.close()


def test_usage_totals():
    wait_for("the last attempt's end", lambda: metric(way, "wayfare_ledger_running") == 0)
    rows = way.cli_json("usage", "--by", "provider")
    total = sum(Decimal(r["cost_usd"]) for r in rows["rows"])
    assert total == Decimal(rows["total"]["cost_usd"]) and rows["total"]["requests"] > 0
    by_team = way.cli_json("usage", "--by", "team")
    assert by_team["rows"][0]["team"] == "t" and by_team["total"] == rows["total"]
    way.verify()


def test_large_body():
    status, _, body = way.messages(messages=[{"role": "user", "content": "x" * (600 * 1024)}], max_tokens=1)
    assert status == 200, body[:300]
    big = b'{"model":"m","x":"' + b"y" * (33 * 1024 * 1024) + b'"}'
    answer = way.raw(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key: " + way.key.encode() +
                     b"\r\nContent-Length: %d\r\n\r\n" % len(big))
    assert answer.startswith(b"HTTP/1.1 413"), answer[:200]


def test_clean_exit():
    assert way.stop() == 0, way.server_log()[-2000:]
    assert sim.stop() == 0


if __name__ == "__main__":
    run_module(globals())
