#!/usr/bin/env python3
"""Nothing of a secret ever leaves: after successes, refusals, failovers, bad requests, commands and a
crash, no canary is in a log, in the database's files, in metrics, in an answer, or in a core dump."""

import base64
import hashlib
import http.client
import json
import os
import resource
import shutil
import signal
import tempfile

from harness import SLOW, Sim, Wayfare, catalog_of, run_module, wait_for

ENV_KEY = "sk-canary-env-7f3a9c1e5b"
FILE_KEY = "sk-canary-file-b8d2e6f40a"
ADMIN = "canary-admin-token-93c7d1"
FORGED = "wf_canaryforged" + "Q" * 31

sim = Sim(["one", "two"])
work = tempfile.mkdtemp(prefix="wayfare-secrets-")
os.mkdir(os.path.join(work, "keys"))
key_file = os.path.join(work, "keys", "two.key")
with open(key_file, "w") as f:
    f.write(FILE_KEY + "\n")
CATALOG = catalog_of(sim)
CATALOG["providers"][0]["credential"] = {"env": "CANARY_PROVIDER_KEY"}
CATALOG["providers"][1]["credential"] = {"file": key_file}


def allow_core():
    """As far as its parent is concerned, the server may dump core."""
    limit = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))


class Watched(Wayfare):
    """Works where it may write, as a core dump would have to."""

    def start(self):
        self.popen = {"cwd": self.dir, "preexec_fn": allow_core}
        super().start()


way = Watched(CATALOG, args=["--verbose"], env={"CANARY_PROVIDER_KEY": ENV_KEY, "WAYFARE_ADMIN_TOKEN": ADMIN})
heard = []  # (where, bytes) of all that came out


def canaries():
    """Each secret as it is and as it might have been wrapped."""
    for name, text in (("provider key (env)", ENV_KEY), ("provider key (file)", FILE_KEY), ("admin token", ADMIN),
                       ("client key", way.key), ("forged key", FORGED)):
        raw = text.encode()
        yield name, raw
        yield name + " without its head", raw[-20:]
        yield name + " in base64", base64.b64encode(raw).rstrip(b"=")[:-2]
        yield name + " in hex", raw.hex().encode()


def scan(where, data):
    for name, canary in canaries():
        assert canary not in data, "%s holds the %s: ...%r..." % (where, name, data[max(0, data.index(canary) - 80):][:200])


def ask(where, *args, **fields):
    status, headers, body = way.messages(*args, **fields)
    heard.append((where, json.dumps(headers).encode() + body))
    return status


def admin(method, path, token=ADMIN, body=None):
    conn = http.client.HTTPConnection(way.admin, timeout=30 * SLOW)
    conn.request(method, path, body, {"authorization": "Bearer " + token, "content-type": "application/json"})
    answer = conn.getresponse()
    data = answer.read()
    conn.close()
    heard.append(("admin %s" % path, str(answer.getheaders()).encode() + data))
    return answer.status, data


def test_traffic():
    for stream in (False, True):
        assert ask("an answer", provider_only=["one"], stream=stream) == 200
        assert ask("an answer", provider_only=["two"], stream=stream) == 200
    for script in ({"status": 401}, {"status": 403}, {"status": 429}, {"status": 500}, {"status": 529}):
        for name in ("one", "two"):
            sim.script(name, **script)
            ask("a failover from %s %s" % (name, script))
        ask("all fail with %s" % script)
        sim.reset()
    for name in ("one", "two"):
        sim.script(name, cut_after_events=3)
    ask("a broken stream", stream=True)
    sim.reset()


def test_refusals():
    def send(where, headers, body="{}", path="/v1/messages"):
        status, got, data = way.request("POST", path, body, headers, key=False)
        heard.append((where, json.dumps(got).encode() + data))
        return status

    assert send("a forged key", {"x-api-key": FORGED}) == 401
    assert send("two keys", {"x-api-key": way.key, "authorization": "Bearer " + FORGED}) == 401
    assert send("basic", {"authorization": "Basic " + base64.b64encode(way.key.encode()).decode()}) == 401
    assert send("the admin token as a key", {"x-api-key": ADMIN}) == 401
    assert send("bad JSON", {"x-api-key": way.key}, "{" + way.key) == 400
    assert send("no such path", {"x-api-key": way.key}, path="/v1/nothing") == 404
    heard.append(("a bad header", way.raw(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key : " + way.key.encode() +
                                         b"\r\nContent-Length: 2\r\n\r\n{}")))
    assert admin("GET", "/admin/v1/keys", token=FORGED)[0] == 401
    assert admin("GET", "/admin/v1/keys", token=way.key)[0] == 401


def test_commands_and_pages():
    for words in (["catalog", "export"], ["catalog", "list"], ["key", "list"], ["team", "list"], ["usage"], ["generation", "list"],
                  ["ledger", "verify"]):
        heard.append((" ".join(words), way.cli(*words, "--json").encode()))
    path = os.path.join(way.dir, "request.json")
    with open(path, "w") as f:
        json.dump({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}, f)
    heard.append(("route", way.cli("route", path, "--explain", "--json").encode()))
    for page in ("/metrics", "/", "/admin/v1/catalog", "/admin/v1/keys"):
        admin("GET", page)
    assert any(b"wayfare_requests_total" in data for _, data in heard)
    for path in ("/v1/models", "/v1/key", "/v1/generations?limit=100"):
        status, headers, body = way.request("GET", path)
        assert status == 200, (path, status)
        heard.append((path, body))
    # A key file that is no key, told about in the log or an error.
    with open(key_file, "w") as f:
        f.write(FILE_KEY + "\0" + FILE_KEY)
    way.child.send_signal(signal.SIGHUP)
    wait_for("the reload", lambda: "reloaded" in way.server_log())
    ask("a bad key file", provider_only=["two"])
    with open(key_file, "w") as f:
        f.write(FILE_KEY)


def test_no_program_is_started():
    with open("/proc/%d/task/%d/children" % (way.child.pid, way.child.pid)) as f:
        assert f.read() == "", "children inherit the environment"


def test_a_crash_leaves_no_core():
    sandboxed = 'msg="sandbox"' in way.server_log()
    way.child.send_signal(signal.SIGSEGV)
    _, status = os.waitpid(way.child.pid, 0)
    way.child.returncode = 1
    if sandboxed:
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSEGV and not os.WCOREDUMP(status), status
        assert not [n for n in os.listdir(way.dir) if "core" in n], os.listdir(way.dir)
    way.start()
    assert ask("after the crash") == 200


def test_nothing_was_told():
    for where, data in heard:
        scan(where, data)
    assert len(heard) > 40, len(heard)


def test_nothing_was_written():
    copy = os.path.join(way.dir, "copy.db")
    way.cli("backup", copy)
    names = sorted(os.listdir(way.dir))
    assert {"copy.db", "server.log", "wayfare.db", "wayfare.db-wal"} <= set(names), names
    for name in names:
        path = os.path.join(way.dir, name)
        if os.path.isfile(path):
            with open(path, "rb") as f:
                scan(name, f.read())
    assert way.stop() == 0
    with open(way.db, "rb") as f:
        data = f.read()
    scan("the database", data)
    # The scan can see: what is kept of the client's key is there, and readable.
    assert hashlib.sha256(way.key.encode()).digest() in data
    way.verify()
    shutil.rmtree(work)


if __name__ == "__main__":
    run_module(globals())
