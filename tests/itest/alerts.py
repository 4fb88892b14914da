#!/usr/bin/env python3
"""Spend alerts: once per threshold, in the log and at a webhook that fails, hangs or is down, also
across restarts and kill -9; what recovery says; figures of a stream that was killed."""

import http.server
import json
import re
import signal
import socket
import sqlite3
import threading
import time
from decimal import Decimal

from harness import SLOW, Report, Sim, Wayfare, catalog_of, endpoint, price, wait_for

report = Report()
sim = Sim(["one"])
# A token out costs 1 cent; the prompt costs nothing.
catalog = catalog_of(sim, [{"id": "test/m", "aliases": ["m"], "name": "M",
                            "endpoints": [endpoint("one", "m-one", price("0", "10000"))]}])


class Receiver:
    """Takes alerts; `behave` says how: a list of statuses or "hang", the last one for ever.  One that is
    down has its port and refuses."""

    def __init__(self, behave=(204,), down=False):
        self.behave = list(behave)
        self.bodies = []  # of all tries
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                receiver.bodies.append(body)
                what = receiver.behave.pop(0) if len(receiver.behave) > 1 else receiver.behave[0]
                if what == "hang":
                    time.sleep(8)
                    return
                self.send_response(what)
                if what == 302:
                    self.send_header("location", "http://127.0.0.1:1/")
                self.end_headers()

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            allow_reuse_address = True
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self.server.server_bind()
        self.url = "http://127.0.0.1:%d/hook/secret-path" % self.server.server_address[1]
        if not down:
            self.up()

    def up(self):
        self.server.server_activate()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def serve(url=None, budget="1", **more):
    return Wayfare(catalog, args=["--alert-webhook", url] if url else [], budget=budget, **more)


def spend(way, cents):
    sim.script("one", output_tokens=cents)
    status, _, body = way.messages(max_tokens=cents)
    assert status == 200, (status, body)


def logged(way):
    return re.findall(r'msg="spend alert" id=(alert_[0-9a-f]{32}) scope=(\w+) name="(\w+)".* percent=(\d+)',
                      way.server_log())


def rows(way):
    db = sqlite3.connect("file:%s?mode=ro" % way.db, uri=True)  # not the live file's writer
    try:
        return db.execute("SELECT threshold, cap_nusd, spent_nusd, delivered_ms IS NOT NULL, tries FROM alert"
                          " ORDER BY id").fetchall()
    finally:
        db.close()


def metric(way, name):
    import http.client
    host, port = way.admin.rsplit(":", 1)
    conn = http.client.HTTPConnection(host, int(port), timeout=30 * SLOW)
    conn.request("GET", "/metrics", headers={"authorization": "Bearer admin-token-for-tests"})
    text = conn.getresponse().read().decode()
    conn.close()
    return int(re.search(r"^wayfare_%s (\d+)$" % name, text, re.M).group(1))


def test_log_only():
    way = serve()
    spend(way, 79)
    spend(way, 1)
    wait_for("the first alert", lambda: len(logged(way)) == 1, 5)
    spend(way, 14)
    spend(way, 1)
    wait_for("the second alert", lambda: len(logged(way)) == 2, 5)
    assert [(a[1], a[2], a[3]) for a in logged(way)] == [("team", "t", "80"), ("team", "t", "95")], logged(way)
    for _ in range(5):
        spend(way, 1)
    time.sleep(0.3)
    assert len(logged(way)) == 2 and metric(way, "alerts_total") == 2
    way.stop()
    way.start()
    time.sleep(0.5)
    assert len(logged(way)) == 2, logged(way)
    way.verify()
    assert way.stop() == 0
    assert [(r[0], r[3]) for r in rows(way)] == [(80, 1), (95, 1)], rows(way)


def test_payload():
    hook = Receiver()
    way = serve(hook.url, key_args=["--budget", "0.5", "--window", "month"])
    spend(way, 48)
    wait_for("two alerts of the key", lambda: len(hook.bodies) == 2, 5)
    first, second = sorted(hook.bodies, key=lambda b: b["threshold_percent"])
    assert first["id"] != second["id"] and first["id"].startswith("alert_"), hook.bodies
    assert (first["scope"], first["name"], first["team"], first["window"]) == ("key", "k", "t", "month"), first
    assert first["key_id"].startswith("key_"), first
    assert (first["threshold_percent"], second["threshold_percent"]) == (80, 95)
    assert first["cap_usd"] == "0.5" and first["spent_usd"] == "0.48", first
    assert re.match(r"^\d{4}-\d\d-01T00:00:00", first["resets_at"]) and first["at"][:4].isdigit(), first
    assert "secret-path" not in way.server_log()
    assert way.stop() == 0


def test_other_thresholds_and_caps():
    way = serve(budget="1", env={"WAYFARE_ALERT_WEBHOOK": ""})
    way.stop()
    way.args = ["--alert-at", "50"]
    way.start()
    spend(way, 60)
    wait_for("the alert", lambda: [a[3] for a in logged(way)] == ["50"], 5)
    way.cli("team", "set", "t", "--budget", "2", "--window", "total")  # 60 of 200: none
    time.sleep(0.3)
    assert len(logged(way)) == 1
    spend(way, 40)  # 100 of 200: the new cap's own alert
    wait_for("the new cap's alert", lambda: len(logged(way)) == 2, 5)
    way.cli("team", "set", "t", "--budget", "1.5", "--window", "total")  # lowered: told at once
    wait_for("the lowered cap's alert", lambda: len(logged(way)) == 3, 5)
    way.cli("team", "set", "t", "--budget", "2", "--window", "total")  # this one was told
    time.sleep(0.3)
    assert len(logged(way)) == 3
    way.stop()
    way.args = ["--alert-at", "none"]
    way.start()
    spend(way, 99)
    assert way.stop() == 0
    assert len(logged(way)) == 3
    for bad in ("0", "101", "80,x", "1,2,3,4,5,6,7,8,9"):
        done = way.cli("serve", "--alert-at", bad, check=False)
        assert done.returncode == 2 and "--alert-at" in done.stderr, (bad, done)
    done = way.cli("serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--alert-webhook",
                   "ftp://secret.example/x", check=False)
    assert done.returncode == 2 and "--alert-webhook must be" in done.stderr and "secret" not in done.stderr, done


def test_failing_receiver():
    hook = Receiver([500, 302, 204])
    way = serve(hook.url)
    spend(way, 85)
    wait_for("three tries", lambda: len(hook.bodies) == 3, 20)
    assert len({b["id"] for b in hook.bodies}) == 1, hook.bodies
    wait_for("the mark", lambda: metric(way, "webhook_delivered_total") == 1, 5)
    assert metric(way, "webhook_failed_total") == 2
    time.sleep(1.2)
    assert len(hook.bodies) == 3
    assert way.stop() == 0
    assert rows(way)[0][3:] == (1, 3), rows(way)


def test_receiver_down_across_a_restart():
    hook = Receiver(down=True)  # a port that is given back may be another test's by then
    way = serve(hook.url)
    spend(way, 85)
    wait_for("a failed try", lambda: metric(way, "webhook_failed_total") >= 1, 10)
    wait_for("its line in the log", lambda: len(logged(way)) == 1, 10)  # written by a thread of its own
    way.stop(signal.SIGKILL)
    hook.up()
    way.start()
    wait_for("the alert after the restart", lambda: len(hook.bodies) == 1, 15)
    time.sleep(1.2)
    assert len(hook.bodies) == 1 and len({a[0] for a in logged(way)}) == 1
    assert hook.bodies[0]["id"] == logged(way)[0][0]
    assert way.stop() == 0


def test_hanging_receiver_disturbs_nobody():
    hook = Receiver(["hang"])
    way = serve(hook.url, budget="10")
    spend(way, 850)
    wait_for("the try", lambda: len(hook.bodies) == 1, 5)
    sim.script("one", output_tokens=1)
    for _ in range(5):  # well within the 5 s of one try
        assert way.messages(max_tokens=1)[0] == 200
    begun = time.monotonic()
    assert way.stop() == 0
    assert time.monotonic() - begun < 4 * SLOW, "a hanging receiver holds up the end"
    assert rows(way)[0][3:] == (0, 0), rows(way)  # a try that we broke off does not count


def test_many_at_once():
    hook = Receiver()
    way = serve(hook.url, budget="1")
    sim.script("one", output_tokens=1)
    statuses = []

    def one():
        statuses.append(way.messages(max_tokens=1)[0])

    threads = [threading.Thread(target=one) for _ in range(97)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert statuses.count(200) == 97, statuses
    wait_for("both alerts", lambda: len(hook.bodies) == 2, 5)
    time.sleep(0.3)
    assert sorted(b["threshold_percent"] for b in hook.bodies) == [80, 95], hook.bodies
    by = {b["threshold_percent"]: Decimal(b["spent_usd"]) for b in hook.bodies}
    assert by[80] >= Decimal("0.8") and by[95] >= Decimal("0.95"), by
    way.verify()
    assert way.stop() == 0


def stream(way, tokens, tps, n_events):
    """Starts a stream and reads n events; the socket stays open."""
    sim.script("one", output_tokens=tokens, tps=tps)
    body = json.dumps({"model": "m", "max_tokens": tokens, "stream": True,
                       "messages": [{"role": "user", "content": "x"}]}).encode()
    sock = socket.create_connection((way.host, way.port), timeout=30 * SLOW)
    sock.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key: " + way.key.encode() +
                 b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    data = b""
    while data.count(b"event: ") < n_events:
        piece = sock.recv(65536)
        assert piece, data
        data += piece
    return sock


def open_attempt(way):
    db = sqlite3.connect("file:%s?mode=ro" % way.db, uri=True)
    try:
        return db.execute("SELECT coalesce(output_tok, 0), state FROM attempt ORDER BY id DESC LIMIT 1").fetchone()
    finally:
        db.close()


def test_killed_mid_stream():
    """By tokens: 2,000 more at a time; by time: what came until 5 s."""
    for name, tokens, tps, least, most, seconds in (("tokens", 30000, 3000, 2000, 29000, 10),
                                                    ("time", 2000, 50, 100, 1900, 15)):
        way = serve(budget="1000")
        sock = stream(way, tokens, tps, 3)
        seen = wait_for("a checkpoint by " + name, lambda: (lambda a: a[0] >= least and a)(open_attempt(way)),
                        seconds)
        assert seen[1] == "STREAMING", seen
        way.stop(signal.SIGKILL)
        sock.close()
        at_end = open_attempt(way)
        assert least <= at_end[0] <= most, (name, at_end)
        way.start()
        recovered = (r"recovered 1 requests: 1 attempts settled from a checkpoint, 0 by the prompt's estimate,"
                     r" 0 at the whole hold, 0 void; \$([0-9.]+) charged of \$([0-9.]+) held")
        line = wait_for("the recovery's line", lambda: re.search(recovered, way.server_log()))
        assert Decimal(line.group(1)) == Decimal(at_end[0]) / 100, (line.group(0), at_end)
        g = json.loads(way.cli("generation", "list", "--json"))["data"][0]
        assert Decimal(g["cost_usd"]) == Decimal(line.group(1)), g
        way.verify()
        wait_for("the pages to be checked", lambda: "unclean_end=yes violations=0" in way.server_log(), 10)
        assert way.stop() == 0
        way.start()
        wait_for("the next check", lambda: "unclean_end=no violations=0" in way.server_log(), 10)
        assert way.stop() == 0


def test_damage_is_noticed():
    way = serve(budget="100")
    way.stop()
    way.args = ["--verify-every", "1"]
    way.start()
    for _ in range(3):
        spend(way, 1)
    wait_for("some checks", lambda: metric(way, "ledger_checks_total") >= 3, 10)
    assert metric(way, "ledger_violations_total") == 0
    assert way.stop() == 0
    db = sqlite3.connect(way.db)
    db.execute("UPDATE account SET posted_nusd = posted_nusd + 1 WHERE scope = 'team'")
    db.commit()
    db.close()
    way.start()
    wait_for("the alarm", lambda: 'the books are wrong" invariant=I2' in way.server_log(), 10)
    wait_for("its count", lambda: metric(way, "ledger_violations_total") >= 1)
    spend(way, 1)  # and it goes on
    assert way.stop() == 0


for test in (test_log_only, test_payload, test_other_thresholds_and_caps, test_failing_receiver,
             test_receiver_down_across_a_restart, test_hanging_receiver_disturbs_nobody, test_many_at_once,
             test_killed_mid_stream, test_damage_is_noticed):
    report.case(test.__name__[5:], test)
report.end()
