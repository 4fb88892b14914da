#!/usr/bin/env python3
"""Rate limits per key (requests, tokens, concurrency) and Idempotency-Key: what reaches the
providers is read from the simulator's own log."""

import http.client
import json
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from harness import SLOW, Report, Sim, Wayfare, endpoint, price, provider, wait_for

sim = Sim(["stops", "bills"])
LIMITS = {k: int(ms * SLOW) for k, ms in dict(connect_ms=2000, first_byte_ms=3000, idle_ms=3000, total_ms=60000).items()}
models = [{"id": "test/" + n, "aliases": [n], "endpoints": [endpoint(n, "m-" + n, price("3", "15"))]} for n in sim.url]
# of which nothing is learned before its case
models.append({"id": "test/tpm", "aliases": ["tpm"], "endpoints": [endpoint("stops", "m-tpm", price("3", "15"))]})
models.append({"id": "test/free", "aliases": ["free"], "endpoints": [endpoint("stops", "m-free", price("0", "0"))]})
way = Wayfare({"providers": [provider("stops", sim.url["stops"], timeouts=LIMITS, cancel_stops_billing=True),
                             provider("bills", sim.url["bills"], timeouts=LIMITS, cancel_stops_billing=False)],
               "models": models})
report = Report()
names = iter("k%d" % i for i in range(1000))


class Key:
    """A fresh key; asks for this model."""

    def __init__(self, *options, model="stops"):
        self.model, self.name = model, next(names)
        self.text = way.cli("key", "create", "--team", "t", "--name", self.name, *options).strip()
        self.id = way.cli_json("key", "list")["data"][-1]["id"]

    def body(self, **fields):
        return dict({"model": self.model, "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}, **fields)

    def ask(self, headers=None, path="/v1/messages", raw=None, **fields):
        return way.request("POST", path, raw if raw is not None else self.body(**fields),
                           dict({"x-api-key": self.text}, **(headers or {})), key=False)

    def show(self):
        return json.loads(way.request("GET", "/v1/key", headers={"x-api-key": self.text}, key=False)[2])

    def used(self):
        return self.show()["rate"]["used"]

    def stream(self, **fields):
        """The socket of a stream whose answer has begun."""
        body = json.dumps(self.body(stream=True, **fields)).encode()
        sock = socket.create_connection((way.host, way.port), timeout=20 * SLOW)
        sock.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key: " + self.text.encode() +
                     b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        return sock


def error_of(answer, status, kind):
    assert answer[0] == status, answer
    error = json.loads(answer[2])["error"]
    assert error["type"] == kind, error
    return error


def calls(name):
    """How many requests have reached this provider."""
    return sum(1 for line in sim.witness()
               if line["event"] == "begin" and line["listener"] == name and line["path"] == "/v1/messages")


def limited(answer, limit):
    error = error_of(answer, 429, "rate_limit_error")
    assert error["rate_limit"]["limit"] == limit, error
    assert limit in error["message"], error
    assert 1 <= int(answer[1]["retry-after"]) <= 61, answer[1]
    return error


# ---- rate ----

def rpm_is_exact():
    sim.reset()
    key, before = Key("--rpm", "17"), calls("stops")
    with ThreadPoolExecutor(25) as pool:
        answers = list(pool.map(lambda _: key.ask(), range(100)))
    ok = [a for a in answers if a[0] == 200]
    assert len(ok) == 17 and calls("stops") - before == 17, len(ok)
    for a in answers:
        if a[0] != 200:
            error = limited(a, "rpm")
            assert error["rate_limit"]["max"] == 17 and error["rate_limit"]["key"] == key.name, error
            assert "17" in error["message"] and key.name in error["message"], error
            assert int(a[1]["retry-after"]) >= 50, a[1]
    used = key.used()
    assert used == {"rpm": 17, "tpm": used["tpm"], "concurrency": 0} and used["tpm"] > 0, used
    other = Key("--rpm", "1")
    assert other.ask()[0] == 200
    limited(other.ask(), "rpm")


report.case("rpm is exact under 100 parallel requests", rpm_is_exact)


def limits_follow():
    key = Key("--rpm", "1")
    assert key.ask()[0] == 200
    limited(key.ask(), "rpm")
    way.cli("key", "set", key.id, "--rpm", "3")
    wait_for("the new limit", lambda: key.ask()[0] == 200, 1)
    way.cli("key", "set", key.id, "--rpm", "2")
    time.sleep(0.2)
    limited(key.ask(), "rpm")
    fresh = way.cli("key", "rotate", key.id).strip()  # the same key: no new minute
    time.sleep(0.2)
    key.text = fresh
    limited(key.ask(), "rpm")


report.case("a changed limit holds within a second", limits_follow)


def eats_nothing():
    """Refused by validation, permission, no endpoint, budget: the quota is still there."""
    sim.reset()
    key = Key("--rpm", "2", "--concurrency", "1", "--budget", "0.01", "--window", "total", "--models", "stops,bills")
    assert key.ask(raw=b"{")[0] == 400
    assert key.ask(max_tokens="x")[0] == 400
    assert key.ask(provider_sort="beauty")[0] == 400
    assert key.ask(model="nothing")[0] in (403, 404)
    assert key.ask(provider_only=["bills"])[0] == 404
    for _ in range(5):
        error_of(key.ask(max_tokens=64000), 402, "billing_error")
    assert key.used() == {"rpm": 0, "tpm": 0, "concurrency": 0}, key.used()
    assert key.ask()[0] == 200 and key.ask()[0] == 200
    limited(key.ask(), "rpm")
    # Counting and the dry run are not requests in this sense.
    assert key.ask(path="/v1/messages/count_tokens")[0] == 200
    assert key.ask(path="/v1/route")[0] == 200


report.case("a refused request eats no quota", eats_nothing)


def failed_ones_count():
    sim.reset()
    sim.script("stops", status=529)
    key = Key("--rpm", "1", "--tpm", "100000")
    assert key.ask()[0] == 529
    sim.reset()
    limited(key.ask(), "rpm")
    assert key.used()["tpm"] == 0, key.used()  # the provider used none


report.case("a request that reached a provider counts, its tokens as used", failed_ones_count)


def tokens():
    sim.reset()
    sim.script("stops", output_tokens=50, input_tokens=40)
    key = Key("--tpm", "200", model="tpm")
    assert key.ask()[0] == 200
    assert key.used()["tpm"] == 90, key.used()
    error = limited(key.ask(max_tokens=120), "tpm")  # 90 used, the estimate is over 110
    assert error["rate_limit"]["used"] == 90 and error["rate_limit"]["needs"] > 110, error
    assert key.ask()[0] == 200  # 50 fit
    assert key.used()["tpm"] == 180
    limited(key.ask(), "tpm")
    answer = key.ask(messages=[{"role": "user", "content": "long " * 400}])
    error = error_of(answer, 429, "rate_limit_error")
    assert "never fit" in error["message"] and "retry-after" not in answer[1], answer
    assert answer[1]["x-should-retry"] == "false", answer[1]
    cached = Key("--tpm", "100000")
    sim.script("stops", output_tokens=7, input_tokens=5, cache_read=300, cache_write_5m=20)
    assert cached.ask()[0] == 200
    assert cached.used()["tpm"] == 332, cached.used()  # cache reads and writes too
    sim.reset()


report.case("tokens per minute: estimated, then as used", tokens)


def read_events(sock, n):
    data = b""
    while data.count(b"event: ") < n or b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        assert piece, data
        data += piece
    return data


def concurrency():
    sim.reset()
    sim.script("stops", output_tokens=80, tps=max(1, int(30 / SLOW)), ttft_ms=100)
    key = Key("--concurrency", "3")
    socks = [key.stream(max_tokens=200) for _ in range(3)]
    wait_for("three to run", lambda: key.used()["concurrency"] == 3, 5)
    answer = key.ask()
    error = limited(answer, "concurrency")
    assert answer[1]["retry-after"] == "1" and error["rate_limit"]["used"] == 3, answer
    way.cli("key", "set", key.id, "--concurrency", "4")
    wait_for("a fourth", lambda: key.ask(max_tokens=1)[0] == 200, 5)
    for s in socks:
        assert b"message_stop" in read_events(s, 23), "whole"
        s.close()
    wait_for("nothing to run", lambda: key.used()["concurrency"] == 0, 5)


report.case("concurrency with slow streams", concurrency)


def slot_comes_back(model, events, how):
    """The client leaves before the answer, or after so many events; the one slot is free again."""
    key = Key("--concurrency", "1", model=model)
    sim.reset()
    sim.script(model, output_tokens=40, tps=200, ttft_ms=60, delay_ms=60 if events else 1000)
    sock = key.stream()
    if events:
        read_events(sock, events)
    else:
        wait_for("it to run", lambda: key.used()["concurrency"] == 1, 5)
    if how == "rst":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()
    wait_for("the slot", lambda: key.used()["concurrency"] == 0, 5)
    sim.reset()
    assert key.ask()[0] == 200


for model in ("stops", "bills"):
    for events in (0, 1, 2, 3, 5, 9, 13):
        report.case("a client of %s leaves after %d events" % (model, events), slot_comes_back, model, events,
                    "rst" if events % 2 else "fin")


def gone_at_once():
    """Clients that leave right behind their request, in every phase of admission."""
    key = Key("--concurrency", "2", "--rpm", "100000")
    sim.reset()
    for i in range(60):
        sock = key.stream()
        if i % 3:
            time.sleep(0.001 * (i % 7))
        sock.close()
    wait_for("the slots", lambda: key.used()["concurrency"] == 0, 10)
    assert key.ask()[0] == 200


report.case("clients that leave at once", gone_at_once)


def every_ending():
    key = Key("--concurrency", "1", "--rpm", "1000")
    for keys in ({"status": 500}, {"status": 400}, {"html": 1}, {"close_before_headers": 1}, {"cut_after_events": 3},
                 {"error_event_after": 2}, {"hang": 1}, {"end_after_events": 2}):
        for stream in (False, True):
            sim.reset()
            sim.script("stops", **keys)
            key.ask(stream=stream)
            wait_for("the slot after %s" % keys, lambda: key.used()["concurrency"] == 0, 5)
    sim.reset()
    assert key.ask()[0] == 200


report.case("the slot comes back after every ending", every_ending)


def metrics():
    conn = http.client.HTTPConnection(way.admin, timeout=30 * SLOW)
    conn.request("GET", "/metrics", headers={"authorization": "Bearer admin-token-for-tests"})
    text = conn.getresponse().read().decode()
    conn.close()
    for name in ("rpm", "tpm", "concurrency"):
        line = [x for x in text.splitlines() if x.startswith("wayfare_requests_over_%s_total " % name)]
        assert line and int(line[0].split()[1]) > 0, (name, line)


report.case("refusals are counted by kind", metrics)


# ---- Idempotency-Key ----

def repeat(key, value, **fields):
    return key.ask({"idempotency-key": value}, **fields)


def done_as(answer, first, status):
    error = error_of(answer, 409, "invalid_request_error")
    gid = first if isinstance(first, str) else first[1]["x-wayfare-generation-id"]
    assert error["idempotency"]["generation_id"] == gid and error["idempotency"]["status"] == status, error
    assert answer[1]["x-wayfare-generation-id"] == gid and answer[1]["x-should-retry"] == "false", answer[1]
    assert gid in error["message"] and "/v1/generations/" + gid in error["message"], error
    return error


def finished_is_not_sent_again():
    sim.reset()
    key = Key("--rpm", "100")
    before = calls("stops")
    first = repeat(key, "order 1")
    assert first[0] == 200
    error = done_as(repeat(key, "order 1"), first, "ok")
    assert Decimal(error["idempotency"]["cost_usd"]) == Decimal(first[1]["x-wayfare-cost"]), error
    assert key.used()["rpm"] == 1, key.used()  # a repetition eats nothing
    record = way.request("GET", "/v1/generations/" + error["idempotency"]["generation_id"],
                         headers={"x-api-key": key.text}, key=False)
    assert record[0] == 200 and json.loads(record[2])["cost_usd"] == error["idempotency"]["cost_usd"]
    answer = repeat(key, "order 1", max_tokens=51)
    error = error_of(answer, 400, "invalid_request_error")
    assert "Idempotency-Key" in error["message"], error
    assert repeat(key, "order 2")[0] == 200
    assert repeat(Key(), "order 1")[0] == 200  # another key's
    assert key.ask()[0] == 200 and key.ask()[0] == 200  # without the header
    assert calls("stops") - before == 5
    for line in sim.witness():  # two attempts of one request are two calls: the header stays here
        assert "idempotency-key" not in [name.lower() for name in line["headers"]], line


report.case("what has succeeded is not sent again", finished_is_not_sent_again)


def bad_values():
    key = Key()
    for value in ("", "x" * 256, "caf\xe9", "a\tb"):
        answer = repeat(key, value)
        error = error_of(answer, 400, "invalid_request_error")
        assert "Idempotency-Key" in error["message"] or "control byte" in error["message"], (value, error)
    assert repeat(key, "x" * 255)[0] == 200
    twice = way.raw(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\nx-api-key: " + key.text.encode() +
                    b"\r\nIdempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: 2\r\n\r\n{}")
    assert b" 400 " in twice.split(b"\r\n")[0] and b"Idempotency-Key" in twice, twice


report.case("values that are none", bad_values)


def parallel_duplicates(stream):
    sim.reset()
    sim.script("stops", delay_ms=1000)
    key, before = Key(), calls("stops")
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: repeat(key, "same", stream=stream), range(40)))
    good = [a for a in answers if a[0] == 200]
    assert len(good) == 1 and calls("stops") - before == 1, [a[0] for a in answers]
    running = 0
    for a in answers:
        if a[0] != 200:
            error = error_of(a, 409, "invalid_request_error")
            assert error["idempotency"]["generation_id"] == good[0][1]["x-wayfare-generation-id"], error
            if error["idempotency"]["status"] == "running":
                running += 1
                assert a[1]["retry-after"] == "1" and "x-should-retry" not in a[1], a[1]
    assert running > 0
    way.generation(good[0][1])
    done_as(repeat(key, "same", stream=stream), good[0], "ok")


report.case("40 duplicates at once: one is sent", parallel_duplicates, False)
report.case("40 duplicate streams at once: one is sent", parallel_duplicates, True)


def failed_runs_again():
    key = Key()
    for keys in ({"status": 529}, {"status": 429}, {"status": 400}, {"status": 500}):
        sim.reset()
        sim.script("stops", **keys)
        value = "failed %s" % keys
        assert repeat(key, value)[0] == keys["status"]
        sim.reset()
        assert repeat(key, value)[0] == 200
        error_of(repeat(key, value), 409, "invalid_request_error")
    poor = Key("--budget", "0.001", "--window", "total")
    error_of(repeat(poor, "v", max_tokens=5000), 402, "billing_error")
    way.cli("key", "set", poor.id, "--budget", "5", "--window", "total")
    assert repeat(poor, "v", max_tokens=5000)[0] == 200


report.case("what was not billed runs again", failed_runs_again)


def unknown_does_not():
    sim.reset()
    sim.script("stops", close_before_headers=1)
    for model in ("stops", "free"):
        key = Key(model=model)
        first = repeat(key, "lost")
        assert first[0] == 529, first
        sim.reset()
        if model == "stops":
            sim.script("stops", close_before_headers=1)
        assert way.generation(first[1])["attempts"][0]["usage_source"] == "estimated"
        done_as(repeat(key, "lost"), first, "error")
    sim.reset()


report.case("what may have been billed does not", unknown_does_not)


def canceled_is_remembered():
    sim.reset()
    sim.script("bills", output_tokens=60, tps=20)  # three seconds: the repetition is to come before the end
    key, before = Key(model="bills"), calls("bills")
    body = json.dumps(key.body(stream=True)).encode()
    sock = socket.create_connection((way.host, way.port), timeout=20 * SLOW)
    sock.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nIdempotency-Key: left\r\nx-api-key: " + key.text.encode() +
                 b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    read_events(sock, 3)
    sock.close()
    time.sleep(0.1)
    answer = key.ask({"idempotency-key": "left"}, raw=body)
    assert json.loads(answer[2])["error"]["idempotency"]["status"] == "running", answer  # it is read to its end
    gid = answer[1]["x-wayfare-generation-id"]
    way.generation({"x-wayfare-generation-id": gid})
    done_as(key.ask({"idempotency-key": "left"}, raw=body), gid, "canceled")
    assert calls("bills") - before == 1


report.case("a client that left and repeats", canceled_is_remembered)


def gone_before_sending_runs_again():
    """Clients that leave while the ledger is busy (a long import) and their hold waits: void, and
    free again for the same key.  On a free model, whose holds are of nothing."""
    sim.reset()
    key = Key(model="free")
    path = os.path.join(way.dir, "long.json")
    with open(path, "w") as f:
        json.dump({"models": [{"id": "test/long-%d" % i, "endpoints": [
            endpoint("stops", "long-%d" % i, price("1", "1"))]} for i in range(6000)]}, f)
    busy = threading.Thread(target=lambda: way.cli("catalog", "import", path))
    busy.start()
    body = json.dumps(key.body()).encode()
    values = []
    while busy.is_alive() and len(values) < 300:
        values.append("early %d" % len(values))
        sock = socket.create_connection((way.host, way.port), timeout=20 * SLOW)
        sock.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key: " + key.text.encode() +
                     b"\r\nIdempotency-Key: " + values[-1].encode() +
                     b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        time.sleep(0.02)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
    busy.join()

    def ended():
        rows = way.cli_json("generation", "list", "--key", key.id, "--limit", "400")["data"]
        return all(r["status"] != "running" for r in rows) and rows

    rows = wait_for("no record to be running", ended, 10)
    wait_for("the slots", lambda: key.used()["concurrency"] == 0, 5)
    void = [r["id"] for r in rows if r["status"] == "canceled" and all(a["state"] == "VOID" for a in r["attempts"])]
    print("    %d of %d clients left before their hold was answered" % (len(void), len(values)))
    for value in values[:40]:
        answer = key.ask({"idempotency-key": value}, raw=body)
        if answer[0] == 200:
            continue
        gid = json.loads(answer[2])["error"]["idempotency"]["generation_id"]
        assert gid not in void, answer


report.case("no record stays running", gone_before_sending_runs_again)


def after_a_restart():
    sim.reset()
    key, before = Key(), calls("stops")
    first = repeat(key, "kept")
    assert first[0] == 200
    way.stop()
    way.start()
    done_as(repeat(key, "kept"), first, "ok")
    error_of(repeat(key, "kept", max_tokens=49), 400, "invalid_request_error")
    assert calls("stops") - before == 1


report.case("after a restart", after_a_restart)


def after_kill():
    """Killed while the first is at the provider: it may be billed, so it is not sent again."""
    for round_ in range(3):
        sim.reset()
        sim.script("stops", hang=1)
        key, before = Key(), calls("stops")
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(catch(lambda: repeat(key, "killed"))), daemon=True)
                   for _ in range(5)]
        for t in threads:
            t.start()
        wait_for("one to be sent", lambda: calls("stops") - before == 1, 5)
        way.child.send_signal(signal.SIGKILL)
        way.child.wait()
        for t in threads:
            t.join(10)
        sim.reset()
        way.start()
        answer = repeat(key, "killed")
        error = error_of(answer, 409, "invalid_request_error")
        assert error["idempotency"]["status"] == "error" and Decimal(error["idempotency"]["cost_usd"]) > 0, error
        assert calls("stops") - before == 1
        assert repeat(key, "another")[0] == 200
    way.verify()


def catch(fn):
    try:
        return fn()
    except (OSError, http.client.HTTPException):
        return None


report.case("after kill -9", after_kill)
report.case("the ledger verifies", way.verify)
report.end()
