#!/usr/bin/env python3
"""Operations that take long (verify, backup) over a large ledger: beside them clients, other operations
and the end of the server wait for nobody."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time

from harness import Report, Sim, Wayfare, catalog_of, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
ROWS = 150000

sim = Sim(["acme"])
# Its own looks at the books would take the processor from what is measured here.
way = Wayfare(catalog_of(sim), args=["--verify-every", "0"])
report = Report()
way.stop()
subprocess.run([sys.executable, os.path.join(HERE, "..", "..", "bench", "ledger_rows.py"), way.db, str(ROWS), "30", "20"],
               env=dict(os.environ, ENTRIES="1"), check=True, stdout=subprocess.DEVNULL)
begin = time.monotonic()
assert way.cli("ledger", "verify").strip() == "ok"
ALONE_S = time.monotonic() - begin
# What waited for a verify would take nearly as long as it; what does not takes milliseconds.  Relative, so that a
# busy machine is no failure.
AT_ONCE_S = 0.6 * ALONE_S
way.start()


class Long:
    """One operation in a thread of its own."""

    def __init__(self, *argv, pause_s=None):
        self.argv, self.done = argv, None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        time.sleep(ALONE_S / 10 if pause_s is None else pause_s)
        assert self.thread.is_alive(), self.done

    def run(self):
        self.done = way.cli(*self.argv, check=False)


def timed(what, *args, **named):
    began = time.monotonic()
    answer = what(*args, **named)
    return time.monotonic() - began, answer


def nobody_waits():
    other = way.cli("key", "create", "--team", "t", "--name", "second").strip()
    second, = [k["id"] for k in way.cli_json("key", "list")["data"] if k["name"] == "second"]
    long = Long("ledger", "verify")
    spent = {}
    spent["GET /v1/key"], answer = timed(way.request, "GET", "/v1/key")
    assert answer[0] == 200, answer
    spent["POST /v1/messages"], answer = timed(way.messages)
    assert answer[0] == 200, answer
    spent["GET /v1/generations"], answer = timed(way.request, "GET", "/v1/generations?limit=5")
    assert answer[0] == 200, answer
    spent["key revoke"], _ = timed(way.cli, "key", "revoke", second)
    spent["until it is refused"], _ = timed(wait_for, "the revocation",
                                            lambda: way.request("GET", "/v1/key", headers={"x-api-key": other}, key=None)[0] == 401, 5)
    assert long.thread.is_alive(), "the verify (%.1f s alone) was over before the others" % ALONE_S
    print("#   beside a verify of %.1f s: %s" % (ALONE_S, ", ".join("%s %.0f ms" % (k, 1000 * v) for k, v in spent.items())))
    assert all(s < AT_ONCE_S for s in spent.values()), spent
    long.thread.join()
    assert long.done.returncode == 0 and long.done.stdout.strip() == "ok", long.done


def not_more_than_four():
    # All five at once: whichever comes last while the others run.
    five = [Long("ledger", "verify", pause_s=0) for _ in range(5)]
    assert way.request("GET", "/v1/key")[0] == 200
    for long in five:
        long.thread.join()
    refused = [long.done for long in five if long.done.returncode != 0]
    assert len(refused) == 1 and "4 operations of this kind run already" in refused[0].stderr, refused
    assert all(long.done.stdout.strip() == "ok" for long in five if long.done.returncode == 0)


def ends_in_time(*argv):
    long = Long(*argv)
    began = time.monotonic()
    way.child.send_signal(signal.SIGTERM)
    assert way.child.wait(ALONE_S * 2 + 10) == 0, way.server_log()[-500:]
    took = time.monotonic() - began
    long.thread.join()
    print("#   ended after %.0f ms" % (1000 * took))
    assert took < AT_ONCE_S, (took, ALONE_S)
    # Either the server said so, or its end came first and the command took over the file.
    assert long.done.returncode == 0 or "shutting down" in long.done.stderr, long.done
    way.start()


def an_import_at_the_end():
    """What took effect is answered, also when the server ends meanwhile."""
    way.start()
    many = catalog_of(sim)
    endpoint = many["models"][0]["endpoints"][0]
    many["models"] = [{"id": "big/%d" % i, "name": "big %d" % i, "endpoints": [endpoint]} for i in range(6000)]
    path = os.path.join(way.dir, "many.json")
    with open(path, "w") as f:
        json.dump(many, f)
    long = Long("catalog", "import", path, pause_s=0.1)
    way.child.send_signal(signal.SIGTERM)
    assert way.child.wait(30) == 0, way.server_log()[-500:]
    long.thread.join()
    assert long.done.returncode == 0 and "6000 endpoints added" in long.done.stdout, long.done.stderr


def a_backup():
    dest = os.path.join(way.dir, "copy.db")
    way.cli("backup", dest)
    with sqlite3.connect(dest) as db:
        assert db.execute("SELECT count(*) FROM attempt").fetchone()[0] >= ROWS - 100
    os.unlink(dest)


report.case("nobody waits for a verify", nobody_waits)
report.case("four at a time", not_more_than_four)
report.case("SIGTERM during a verify", ends_in_time, "ledger", "verify")
report.case("a backup beside it all", a_backup)
way.stop()
report.case("an import at the end", an_import_at_the_end)
report.end()
