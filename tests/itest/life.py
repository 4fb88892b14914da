#!/usr/bin/env python3
"""The server's life: sockets that a supervisor holds while it restarts under load, what the
service manager is told, drain, and the sandbox in service."""

import ctypes
import http.client
import json
import mmap
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from crowd import Load, metric
from harness import SLOW, SOURCE, WAYFARE, Process, Sim, Skip, Wayfare, catalog_of, run_module, sse_events, wait_for

LONG = os.environ.get("WAYFARE_LONG", "") not in ("", "0")
RESTARTS = 100 if LONG else 3
sim = Sim(["one", "two"])
CATALOG = catalog_of(sim)


def is_checked_by_sanitizer():
    """Built with one: then the sandbox stays off, and says so."""
    with open(WAYFARE, "rb") as f:
        text = f.read()
    return b"__asan_init" in text or b"__tsan_init" in text


class Supervisor:
    """Holds the listening sockets and hears what the server says of itself, as systemd does."""

    def __init__(self):
        self.sockets = []
        for _ in range(2):
            s = socket.socket()
            s.bind(("127.0.0.1", 0))
            s.listen(512)
            self.sockets.append(s)
        self.dir = tempfile.mkdtemp(prefix="wayfare-life-")
        self.path = os.path.join(self.dir, "notify")
        self.ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ear.bind(self.path)
        self.heard = []
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            for line in self.ear.recv(4096).decode().splitlines():
                self.heard.append((time.monotonic(), line))

    def lines(self, since=0):
        return [line for _, line in self.heard[since:]]

    def wait(self, line, since=0, seconds=15):
        wait_for(line, lambda: [x for x in self.lines(since) if x.startswith(line)], seconds)

    def environment(self, names="data:admin"):
        return {"LISTEN_FDS": "2", "LISTEN_FDNAMES": names, "NOTIFY_SOCKET": self.path}

    def put_in_place(self):
        """In the child: descriptors 3 and 4, wherever the sockets were."""
        high = [os.dup2(s.fileno(), 200 + i) for i, s in enumerate(self.sockets)]
        for i, fd in enumerate(high):
            os.dup2(fd, 3 + i)

    def spawn(self, argv, env, stderr):
        return Process(["sh", "-c", 'LISTEN_PID=$$; export LISTEN_PID; exec "$@"', "sh", *argv],
                       env=dict(env, **self.environment()), stderr=stderr, pass_fds=(3, 4), preexec_fn=self.put_in_place)


class Held(Wayfare):
    """A server whose sockets belong to a supervisor."""

    def __init__(self, catalog, boss, **more):
        self.boss = boss
        self.more_env = more.pop("more_env", {})
        super().__init__(catalog, **more)

    def spawn(self):
        self.stderr = open(os.path.join(self.dir, "server.log"), "a")
        argv = [WAYFARE, "serve", "--threads", str(self.threads), *self.args]
        return self.boss.spawn(argv, dict(self.env, **self.more_env), self.stderr)

    def start(self):
        self.adopt(self.spawn())

    def adopt(self, process):
        self.child = process.child
        self.address = self.read_address("listening on ")
        self.admin = self.read_address("admin on ")
        self.host, port = self.address.rsplit(":", 1)
        self.port = int(port)


# ---- restart under load ----


def test_restart_under_load():
    """No connection is refused, no request is lost, streams finish: the old server drains while the
    sockets' queue holds who comes, whether the next one starts after its end or beside it."""
    for name in sim.url:
        sim.script(name, output_tokens=30, tps=100)
    boss = Supervisor()
    way = Held(CATALOG, boss)
    with Load(way) as load:
        for i in range(RESTARTS):
            load.wait_for_more(12)
            old = way.child
            old.send_signal(signal.SIGTERM)
            if i % 2 == 0:
                beside = way.spawn()
                assert old.wait(60 * SLOW) == 0
            else:
                assert old.wait(60 * SLOW) == 0
                beside = way.spawn()
            way.adopt(beside)
        load.wait_for_more(12)
    assert not load.faults(), (len(load.faults()), load.faults()[:5])
    sim.reset()
    wait_for("the last attempts' ends", lambda: metric(way, "wayfare_ledger_running") == 0)
    assert way.stop() == 0
    way.verify()
    total = way.cli_json("usage", "--by", "team")["total"]
    assert total["requests"] == load.answers(), (total, load.answers())


def test_one_queue_for_all_workers():
    """The passed socket is the only one there is: nobody else listens, all workers answer."""
    boss = Supervisor()
    way = Held(CATALOG, boss, threads=4)
    assert way.port == boss.sockets[0].getsockname()[1] and int(way.admin.rsplit(":", 1)[1]) == boss.sockets[1].getsockname()[1]
    assert way.messages()[0] == 200
    assert metric(way, "wayfare_requests_total") == 1
    assert way.stop() == 0
    late = socket.create_connection((way.host, way.port), timeout=5)  # waits in the queue for the next one
    way.start()
    late.sendall(b"GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    late.settimeout(20 * SLOW)
    assert late.recv(100).startswith(b"HTTP/1.1 200")
    way.stop()


# ---- the service manager ----


def test_what_the_manager_hears():
    boss = Supervisor()
    way = Held(CATALOG, boss)
    boss.wait("READY=1")
    before = len(boss.heard)
    way.child.send_signal(signal.SIGHUP)
    boss.wait("READY=1", before)
    told = [x for x in boss.lines(before) if not x.startswith("STATUS=")]
    assert told[0] == "RELOADING=1" and told[1].startswith("MONOTONIC_USEC="), told
    assert not [x for x in boss.lines() if x.startswith("WATCHDOG")], "there is no watchdog"
    # A second one with the same sockets waits for the first one's end, and can be told to give up.
    before = len(boss.heard)
    second = way.spawn()
    boss.wait("STATUS=waiting: database", before)
    boss.wait("EXTEND_TIMEOUT_USEC=", before)
    wait_for("the log line", lambda: "waiting for the database" in way.server_log())
    assert way.messages()[0] == 200
    assert second.stop() == 0
    before = len(boss.heard)
    assert way.stop() == 0
    boss.wait("STOPPING=1", before)


def test_watchdog():
    """WATCHDOG=1 comes while the loops turn, and stops when one of them stands still."""
    boss = Supervisor()
    way = Held(CATALOG, boss, args=["--sandbox", "off"], more_env={"WATCHDOG_USEC": "2000000"})

    def beats(since):
        return sum(1 for at, line in boss.heard if line == "WATCHDOG=1" and at > since)

    wait_for("two signs of life", lambda: beats(0) >= 2, 20)
    worker = None
    for task in os.listdir("/proc/%d/task" % way.child.pid):
        with open("/proc/%d/task/%s/comm" % (way.child.pid, task)) as f:
            worker = int(task) if f.read().strip() == "wf-worker-0" else worker
    assert worker is not None
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    seize, interrupt, detach, wall = 0x4206, 0x4207, 17, 0x40000000
    assert libc.ptrace(seize, worker, None, None) == 0, os.strerror(ctypes.get_errno())
    assert libc.ptrace(interrupt, worker, None, None) == 0
    os.waitpid(worker, wall)
    # One sign may be under way: the loop had turned since the last look.
    stands_since = time.monotonic() + 2.5 * SLOW
    time.sleep(2.5 * SLOW + 4)
    silent = beats(stands_since)
    assert libc.ptrace(detach, worker, None, None) == 0
    assert silent == 0, silent
    now = time.monotonic()
    wait_for("signs of life again", lambda: beats(now) >= 1, 20)
    assert way.stop() == 0


# ---- a wall clock that is set ----

CLOCK = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *ahead_s;

static __attribute__((constructor)) void start(void)
{
    int fd = open(getenv("CLOCK_PAGE"), O_RDWR | O_CLOEXEC);
    ahead_s = mmap(NULL, sizeof *ahead_s, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    long rc = syscall(SYS_clock_gettime, clock, t);
    t->tv_sec += clock == CLOCK_REALTIME ? *ahead_s : 0;
    return (int)rc;
}
"""


class Clock:
    """What the server takes for the wall clock; set(s): so much ahead of the real one."""

    def __init__(self):
        work = tempfile.mkdtemp(prefix="wayfare-clock-")
        source, library, page = (os.path.join(work, name) for name in ("clock.c", "clock.so", "page"))
        with open(source, "w") as f:
            f.write(CLOCK)
        subprocess.run([os.environ.get("CC", "cc").split()[0], "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
        with open(page, "wb") as f:
            f.write(bytes(8))
        self.file = open(page, "r+b")
        self.page = ctypes.c_int64.from_buffer(mmap.mmap(self.file.fileno(), 8))
        asan = os.environ.get("ASAN_OPTIONS", "")
        self.env = {"LD_PRELOAD": library, "CLOCK_PAGE": page, "ASAN_OPTIONS": (asan + ":" if asan else "") + "verify_asan_link_order=0"}

    def set(self, ahead_s):
        self.page.value = ahead_s


def test_watchdog_when_the_clock_is_set_back():
    """By an hour: the signs of life still come, or the service manager would kill the server."""
    boss, clock = Supervisor(), Clock()
    way = Held(CATALOG, boss, args=["--sandbox", "off"], more_env={"WATCHDOG_USEC": "2000000", **clock.env})

    def beats(since):
        return [at for at, line in boss.heard if line == "WATCHDOG=1" and at > since]

    wait_for("two signs of life", lambda: len(beats(0)) >= 2, 20 * SLOW)
    clock.set(-3600)
    now = time.monotonic()
    wait_for("signs of life after it", lambda: len(beats(now)) >= 3, 10 * SLOW)
    assert way.messages()[0] == 200
    clock.set(0)
    assert way.stop() == 0


def test_limits_when_the_clock_is_set_back():
    """By two days: what may be spent is still what the ledger, whose time goes on, would admit."""
    clock = Clock()
    way = Wayfare(CATALOG, args=["--sandbox", "off"], env=clock.env)

    def limits():
        return json.loads(way.request("GET", "/v1/key")[2])["limits"]

    way.cli("team", "set", "t", "--budget", "5", "--window", "day")
    assert way.messages()[0] == 200
    wait_for("the attempt to be settled", lambda: float(limits()[0]["spent_usd"]) > 0 and limits()[0]["held_usd"] == "0")
    before = limits()
    clock.set(-2 * 86400)
    assert limits() == before, (limits(), before)
    team = [t for t in json.loads(way.cli("team", "list", "--json"))["data"] if t["name"] == "t"][0]
    assert team["limits"] == before, (team, before)
    assert way.stop() == 0


# ---- drain ----


def stream_in_thread(way, **fields):
    result = {}
    t = threading.Thread(target=lambda: result.update(answer=way.messages(stream=True, **fields)), daemon=True)
    t.start()
    # Its first content has come: before that a failure would still be a status.
    wait_for("the stream", lambda: metric(way, "wayfare_streams_total") == 1)
    return t, result


def test_drain():
    """Not ready at once, no new connections, requests on open ones are served and told to close."""
    sim.script("one", output_tokens=100, tps=max(1, int(25 / SLOW)))
    way = Wayfare(CATALOG)
    kept = [way.connect() for _ in range(2)]
    for conn in kept:
        conn.request("GET", "/health/ready")
        answer = conn.getresponse()
        assert answer.status == 200 and answer.read() and answer.getheader("connection") != "close"
    t, result = stream_in_thread(way)
    way.child.send_signal(signal.SIGTERM)
    wait_for("the drain", lambda: "msg=\"draining\"" in way.server_log())
    kept[0].request("GET", "/health/ready")
    answer = kept[0].getresponse()
    assert answer.status == 503 and answer.getheader("connection") == "close", answer.status
    assert json.loads(answer.read())["error"]["type"] == "overloaded_error"
    kept[1].request("POST", "/v1/messages", json.dumps({"model": "m", "max_tokens": 5, "provider_only": ["two"],
                                                       "messages": [{"role": "user", "content": "x"}]}),
                    {"x-api-key": way.key, "content-type": "application/json"})
    answer = kept[1].getresponse()
    assert answer.status == 200 and answer.getheader("connection") == "close", answer.status
    answer.read()

    def refused():
        try:
            socket.create_connection((way.host, way.port), timeout=2).close()
        except OSError:
            return True
        return False

    wait_for("connections to be refused", refused, 5)
    t.join(60 * SLOW)
    status, _, body = result["answer"]
    assert status == 200 and sse_events(body)[-1][0] == "message_stop"
    assert way.child.wait(30 * SLOW) == 0
    sim.reset()


def test_drain_when_the_clock_is_set_forward():
    """By a day: that is no --drain-timeout."""
    sim.script("one", output_tokens=60, tps=25)
    clock = Clock()
    way = Wayfare(CATALOG, args=["--sandbox", "off"], env=clock.env)
    t, result = stream_in_thread(way)
    way.child.send_signal(signal.SIGTERM)
    wait_for("the drain", lambda: "msg=\"draining\"" in way.server_log())
    clock.set(86400)
    t.join(60 * SLOW)
    status, _, body = result["answer"]
    assert status == 200 and sse_events(body)[-1][0] == "message_stop", body[-300:]
    assert way.child.wait(30 * SLOW) == 0 and "ending what still runs" not in way.server_log()
    sim.reset()


def test_second_signal():
    sim.script("one", output_tokens=4000, tps=20)
    way = Wayfare(CATALOG)
    t, result = stream_in_thread(way, max_tokens=4000)
    way.child.send_signal(signal.SIGTERM)
    wait_for("the drain", lambda: "msg=\"draining\"" in way.server_log())
    assert way.child.poll() is None
    way.child.send_signal(signal.SIGTERM)
    assert way.child.wait(30 * SLOW) == 0
    t.join(30 * SLOW)
    status, _, body = result["answer"]
    events = [n for n, _ in sse_events(body)]
    assert status == 200 and events[-1] == "error" and "message_stop" not in events, events[-3:]
    assert "a second signal" in way.server_log()
    way.verify()
    sim.reset()


# ---- the sandbox in service ----


def status_of(pid):
    with open("/proc/%d/status" % pid) as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def test_sandbox_is_on():
    way = Wayfare(CATALOG)
    if is_checked_by_sanitizer():
        wait_for("the log", lambda: "no sandbox" in way.server_log() and "built with a sanitizer" in way.server_log())
        way.stop()
        return
    line = wait_for("the log", lambda: re.search(r'msg="sandbox" (.*)\n', way.server_log())).group(1)
    assert "no_new_privs=on" in line and "core_dumps=off" in line, line
    for task in os.listdir("/proc/%d/task" % way.child.pid):
        status = status_of(int(task))
        assert status["NoNewPrivs"] == "1", (task, status["Name"])
        assert ("seccomp=on" in line) == (status["Seccomp"] == "2"), (task, status["Name"], line)
    with open("/proc/%d/limits" % way.child.pid) as f:
        assert re.search(r"Max core file size +0 +0 ", f.read())
    way.stop()
    way.args = ["--sandbox", "off"]
    way.start()
    wait_for("the log", lambda: 'msg="no sandbox" reason="--sandbox off"' in way.server_log())
    assert status_of(way.child.pid)["NoNewPrivs"] == "0"
    way.stop()


def test_all_still_works_inside():
    """A key file that is renewed, name resolution, a catalog that is imported, a backup elsewhere,
    and one that the server itself is asked for."""
    work = tempfile.mkdtemp(prefix="wayfare-inside-")
    secrets = os.path.join(work, "secrets")
    os.mkdir(secrets)
    path = os.path.join(secrets, "one.key")

    def write_key(text):
        with open(path + ".new", "w") as f:
            f.write(text + "\n")
        os.rename(path + ".new", path)

    def key_seen():
        return json.dumps(sim.witness()[-2:])  # one call: its begin and its end

    write_key("sk-of-the-file-aaaa")
    catalog = json.loads(json.dumps(CATALOG))
    catalog["providers"][0]["credential"] = {"file": path}
    catalog["providers"][0]["base_url"] = catalog["providers"][0]["base_url"].replace("127.0.0.1", "localhost")
    way = Wayfare(catalog)
    assert way.messages(provider_only=["one"])[0] == 200
    assert "...aaaa" in key_seen(), key_seen()
    write_key("sk-of-the-file-bbbb")
    way.child.send_signal(signal.SIGHUP)
    wait_for("the reload", lambda: "reloaded" in way.server_log())
    assert way.messages(provider_only=["one"])[0] == 200
    assert "...bbbb" in key_seen(), key_seen()
    # A file that the catalog names later, in a directory that nobody knew.
    other = os.path.join(tempfile.mkdtemp(prefix="wayfare-later-", dir="/var/tmp"), "two.key")
    with open(other, "w") as f:
        f.write("sk-of-the-file-cccc")
    catalog["providers"][1]["credential"] = {"file": other}
    assert "changed" in way.import_catalog(catalog)
    assert way.messages(provider_only=["two"])[0] == 200
    assert "...cccc" in key_seen(), key_seen()
    # Backups: the command writes where its caller may, the server only beside the database.
    copy = os.path.join(work, "copy.db")
    way.cli("backup", copy)
    shutil.copy(copy, os.path.join(work, "copy2.db"))
    assert json.loads(way.cli("usage", "--json", "--db", os.path.join(work, "copy2.db")))["total"] == way.cli_json("usage")["total"]
    again = way.cli("backup", copy, check=False)
    assert again.returncode == 1 and "cannot be created" in again.stderr, again.stderr

    def ask_server(dest):
        conn = http.client.HTTPConnection(way.admin, timeout=30 * SLOW)
        conn.request("POST", "/admin/v1/backup", json.dumps({"dest": dest}),
                     {"authorization": "Bearer admin-token-for-tests", "content-type": "application/json"})
        answer = conn.getresponse()
        return answer.status, json.loads(answer.read())

    assert ask_server(os.path.join(way.dir, "beside.db"))[0] == 200
    status, answer = ask_server(os.path.join(work, "elsewhere.db"))
    if "landlock=on" in way.server_log():
        assert status == 400 and "beside the database" in answer["error"]["message"], answer
    else:
        assert status == 200, answer
    assert way.stop() == 0
    way.verify()
    shutil.rmtree(work)


# ---- the unit ----


def test_the_unit_is_tight():
    """What systemd itself thinks of the service's exposure: 2.0 or less of 10."""
    if shutil.which("systemd-analyze") is None:
        raise Skip("systemd-analyze is not installed")
    work = tempfile.mkdtemp(prefix="wayfare-unit-")
    path = os.path.join(work, "wayfare.service")
    with open(SOURCE / "packaging/wayfare.service.in") as f, open(path, "w") as out:
        out.write(f.read().replace("@bindir@", "/usr/bin"))
    done = subprocess.run(["systemd-analyze", "security", "--offline=yes", path], capture_output=True, text=True, timeout=60 * SLOW)
    shutil.rmtree(work)
    if "--offline" in done.stderr and done.returncode != 0:
        raise Skip("this systemd-analyze cannot look at a file: " + done.stderr.strip())
    level = re.search(r"Overall exposure level for wayfare.service: ([0-9.]+)", done.stdout)
    assert level and float(level.group(1)) <= 2.0, done
    # A setting that systemd does not know would be ignored with a warning.
    assert "nknown" not in done.stderr and "gnoring" not in done.stderr, done.stderr


if __name__ == "__main__":
    run_module(globals())
