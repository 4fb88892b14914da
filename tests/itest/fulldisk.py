#!/usr/bin/env python3
"""A disk that is really full: a small tmpfs, mounted in a namespace of this test's own.  Nothing is
sent that is not recorded, what was spent is written all the same, and it goes on by itself.
Where neither root nor user namespaces can mount (said in a line), tests/unit/check_ballast.c does
the same on a disk of its own."""

import http.client
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

MOUNT = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs"]
if os.environ.get("WAYFARE_TEST_NAMESPACE") != "1":
    # Root needs no user namespace, but a mount namespace keeps the mount from everybody else.
    for how in (["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"], ["unshare", "-rm"]):
        probe = "d=$(mktemp -d) && mount -t tmpfs -o size=1m tmpfs $d && umount $d; r=$?; rmdir $d; exit $r"
        if shutil.which("unshare") and subprocess.run(how + ["sh", "-c", probe], capture_output=True).returncode == 0:
            os.environ["WAYFARE_TEST_NAMESPACE"] = "1"
            os.execvp(how[0], how + [sys.executable] + sys.argv)
    print("skip disk: no mount here, neither as root nor in a user namespace")
    print("0 passed, 0 failed, 1 skipped")
    sys.exit(0)

from harness import SLOW, Report, Sim, Wayfare, catalog_of, endpoint, price, wait_for  # noqa: E402

report = Report()
sim = Sim(["one"])
catalog = catalog_of(sim, [{"id": "test/m", "aliases": ["m"], "name": "M",
                            "endpoints": [endpoint("one", "m-one", price("3", "15"))]}])
disk = tempfile.mkdtemp(prefix="wayfare-disk-")
subprocess.run(MOUNT + [disk], check=True)
logs = tempfile.mkdtemp(prefix="wayfare-test-")
tempfile.tempdir = disk


class OnSmallDisk(Wayfare):
    """Its database is on the small disk, its log is not: a full disk must not hide what it says."""

    def start(self):
        self.dir = logs
        super().start()


way = OnSmallDisk(catalog, args=["--ballast-mib", "8"])
filler = os.path.join(disk, "filler")
N_STREAMS = 40
REFUSED_MS, REFUSALS = 100, 51  # a millisecond where the machine is free; the ledger's next try is later


def fill():
    with open(filler, "ab", buffering=0) as f:
        for size in (1 << 20, 4096, 1):
            try:
                while f.write(b"x" * size) == size:
                    pass
            except OSError:
                pass


def stream(done):
    body = json.dumps({"model": "m", "max_tokens": 400, "stream": True,
                       "messages": [{"role": "user", "content": "x"}]})
    conn = http.client.HTTPConnection(way.host, way.port, timeout=60 * SLOW)
    conn.request("POST", "/v1/messages", body, {"x-api-key": way.key, "content-type": "application/json"})
    data = conn.getresponse().read()
    done.append(b"message_stop" in data)


def metric(name):
    host, port = way.admin.rsplit(":", 1)
    conn = http.client.HTTPConnection(host, int(port), timeout=30 * SLOW)
    conn.request("GET", "/metrics", headers={"authorization": "Bearer admin-token-for-tests"})
    text = conn.getresponse().read().decode()
    return int(re.search(r"^wayfare_%s (\d+)$" % name, text, re.M).group(1))


def sent():
    return len([w for w in sim.witness() if w["event"] == "begin" and w["path"] == "/v1/messages"])


def refuse_until_full():
    """Requests until one is refused."""
    for _ in range(20000):
        status, headers, body = way.messages(max_tokens=10)
        if status != 200:
            assert status == 503 and b"ledger" in body and "retry-after" in headers, (status, headers, body)
            return
    raise AssertionError("the disk is never full")


def full_disk():
    sim.script("one", output_tokens=200, tps=60)
    done = []
    threads = [threading.Thread(target=stream, args=(done,)) for _ in range(N_STREAMS)]
    for t in threads:
        t.start()
    wait_for("the streams to run", lambda: metric("ledger_running") == N_STREAMS, 10)
    sim.script("one", output_tokens=10)
    assert os.stat(way.db + ".ballast").st_size == 8 << 20
    fill()
    refuse_until_full()
    wait_for("the log", lambda: "the ballast makes room" in way.server_log(), 5)
    assert os.stat(way.db + ".ballast").st_size == 0
    before = sent()
    took = []
    for _ in range(REFUSALS):
        begun = time.monotonic()
        assert way.messages(max_tokens=10)[0] == 503
        took.append(1000 * (time.monotonic() - begun))
    print("# refused after %.1f ms (median of %d, slowest %.1f ms)" % (statistics.median(took), REFUSALS, max(took)))
    assert statistics.median(took) <= REFUSED_MS * SLOW, took
    assert sent() == before, "sent and not recorded"
    for t in threads:
        t.join()
    assert done == [True] * N_STREAMS
    wait_for("what was spent to be written on the full disk", lambda: metric("ledger_running") == 0, 10)
    assert metric("ledger_holds_refused") == 1
    way.verify()
    assert way.messages(max_tokens=10)[0] == 503


def by_itself():
    os.unlink(filler)
    wait_for("holds to be admitted again", lambda: way.messages(max_tokens=10)[0] == 200, 10)
    wait_for("the log", lambda: "the ballast is back" in way.server_log(), 5)
    assert metric("ledger_holds_refused") == 0
    assert os.stat(way.db + ".ballast").st_size == 8 << 20
    way.verify()


def books_equal_the_witness():
    wait_for("the last attempt's end", lambda: metric("ledger_running") == 0)
    total = way.cli_json("usage")["total"]
    assert total["attempts"] == sent(), (total, sent())


def killed_on_a_full_disk():
    before = sent()
    sim.script("one", output_tokens=200, tps=20)
    done = []
    threads = [threading.Thread(target=lambda: swallow(done)) for _ in range(5)]
    for t in threads:
        t.start()
    wait_for("the streams to be sent", lambda: sent() == before + 5, 10)
    way.stop(signal.SIGKILL)
    for t in threads:
        t.join()
    fill()
    way.start()
    wait_for("the log", lambda: "recovered 5 requests" in way.server_log(), 5)
    way.verify()
    assert way.messages(max_tokens=10)[0] in (200, 503)
    os.unlink(filler)
    sim.script("one", output_tokens=10)
    wait_for("holds to be admitted again", lambda: way.messages(max_tokens=10)[0] == 200, 70)
    books_equal_the_witness()
    assert way.stop() == 0


def swallow(done):
    try:
        stream(done)
    except (http.client.HTTPException, OSError):
        done.append(False)


report.case("full disk", full_disk)
report.case("goes on by itself", by_itself)
report.case("the books equal the witness", books_equal_the_witness)
report.case("killed on a full disk", killed_on_a_full_disk)
way.child.kill()
way.child.wait()
subprocess.run(["umount", "-l", disk])
shutil.rmtree(logs, True)
os.rmdir(disk)
report.end()
