"""What the integration tests share: a simulator, a server on a fresh database, an HTTP
client that shows raw bytes, and a reporter.  Python 3 standard library only.

The programs are found by WAYFARE_BIN and WAYFARE_SIM (default: the top of the build tree,
else of the source tree).  Every server and simulator that a test starts is ended with it.
"""

import atexit
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

SOURCE = pathlib.Path(__file__).resolve().parents[2]


def find_program(variable, name):
    if os.environ.get(variable):
        return os.path.abspath(os.environ[variable])
    for top in (pathlib.Path.cwd(), SOURCE):
        if (top / name).exists():
            return str(top / name)
    sys.exit("harness: no %s: build first, or set %s" % (name, variable))


WAYFARE = find_program("WAYFARE_BIN", "wayfare")
SIM = find_program("WAYFARE_SIM", "wayfare-sim")
SLOW = float(os.environ.get("WAYFARE_TEST_SLOW", "1"))  # sanitizers: longer waits
SHARED = pathlib.Path(os.environ.get("WAYFARE_SHARED", SOURCE.parent / "shared"))

_children = []


def _reap():
    for child in _children:
        if child.poll() is None:
            child.kill()


atexit.register(_reap)


def wait_for(what, condition, seconds=10.0):
    """Polls until condition() is true; raises AssertionError with `what` otherwise."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("timed out waiting for " + what)
        time.sleep(0.02)


def clear_of_midnight(seconds):
    """Waits for the next day (UTC) where it begins within so many seconds: then all windows begin anew."""
    left = 86400 - time.time() % 86400
    if left < seconds * SLOW:
        time.sleep(left + 0.1)


class Process:
    """A child whose first lines on stdout say where it listens."""

    def __init__(self, argv, env=None, stderr=None, **popen):
        self.child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=stderr, env=env, text=True, **popen)
        _children.append(self.child)

    def read_address(self, prefix):
        line = self.child.stdout.readline()
        if not line.startswith(prefix):
            raise AssertionError("expected %r, got %r (exit %s)" % (prefix, line, self.child.poll()))
        return line.strip().rsplit("://", 1)[1]

    def stop(self, sig=signal.SIGTERM, seconds=30):
        if self.child.poll() is None:
            self.child.send_signal(sig)
        try:
            return self.child.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            self.child.kill()
            raise AssertionError("%s did not end" % self.child.args[0])


class Sim(Process):
    """wayfare-sim with one port per provider name."""

    def __init__(self, names, extra=()):
        self.dir = tempfile.mkdtemp(prefix="wayfare-sim-")
        atexit.register(shutil.rmtree, self.dir, True)
        self.log = os.path.join(self.dir, "witness.jsonl")
        self.log_at = 0  # how far unread_witness has come
        argv = [SIM, "--log", self.log, "--seed", "1"] + list(extra)
        for name in names:
            argv += ["--listen", "127.0.0.1:0=" + name]
        super().__init__(argv)
        self.url = {name: "http://" + self.read_address("listening on ") for name in names}

    def script(self, name, model="*", **keys):
        """Sets behaviour of one listener's model; "*" is every model."""
        host = self.url[name].split("//")[1]
        conn = http.client.HTTPConnection(host, timeout=10 * SLOW)
        conn.request("POST", "/_sim/script", json.dumps(dict(keys, model=model)))
        answer = conn.getresponse()
        body = answer.read()
        conn.close()
        assert answer.status == 200, (answer.status, body)

    def reset(self):
        for url in self.url.values():
            conn = http.client.HTTPConnection(url.split("//")[1], timeout=10 * SLOW)
            conn.request("POST", "/_sim/reset", "{}")
            assert conn.getresponse().status == 200
            conn.close()

    def witness(self):
        """Every line of the simulator's own log; one that is being written is not there yet."""
        try:
            with open(self.log) as f:
                return [json.loads(line) for line in f if line.endswith("\n")]
        except FileNotFoundError:
            return []

    def unread_witness(self):
        """The lines since the last call: for a log too long to be read each time."""
        with open(self.log) as f:
            f.seek(self.log_at)
            for line in iter(f.readline, ""):
                if not line.endswith("\n"):
                    break
                self.log_at = f.tell()
                yield json.loads(line)


def price(prompt, completion, **more):
    return dict({"prompt": prompt, "completion": completion}, **more)


def endpoint(provider, upstream, pricing, **more):
    e = {
        "provider": provider,
        "upstream_model": upstream,
        "context_length": 200000,
        "max_completion_tokens": 64000,
        "input_modalities": ["text", "image", "pdf"],
        "supported_parameters": ["max_tokens", "temperature", "top_p", "top_k", "stop", "tools", "tool_choice",
                                 "parallel_tool_calls", "reasoning", "reasoning_effort", "structured_outputs"],
        "server_tools": ["web_search", "web_fetch", "code_execution", "tool_search", "advisor", "mcp"],
        "pricing": pricing,
    }
    e.update(more)
    return e


def provider(slug, url, **more):
    p = {"slug": slug, "name": slug.title(), "protocol": "anthropic", "base_url": url,
         "credential": {"env": "TEST_PROVIDER_KEY"}, "data_collection": "deny", "zdr": True,
         "cancel_stops_billing": True}
    p.update(more)
    return p


def catalog_of(sim, models=None, **provider_options):
    """Each listener of the simulator as a provider; by default one model "m" on all of
    them, dearer from one to the next."""
    names = list(sim.url)
    providers = [provider(n, sim.url[n], **provider_options) for n in names]
    if models is None:
        models = [{"id": "test/m", "aliases": ["m"], "name": "M", "endpoints": [
            endpoint(n, "m-" + n, price(str(i + 1), str(5 * (i + 1)))) for i, n in enumerate(names)]}]
    return {"providers": providers, "models": models}


class Wayfare(Process):
    """A server on its own database with a team and a key."""

    popen = {}  # more for subprocess.Popen

    def __init__(self, catalog, args=(), env=None, threads=2, budget=None, key_args=()):
        self.dir = tempfile.mkdtemp(prefix="wayfare-test-")
        atexit.register(shutil.rmtree, self.dir, True)
        self.db = os.path.join(self.dir, "wayfare.db")
        self.env = dict(os.environ, TEST_PROVIDER_KEY="sk-operator-secret", WAYFARE_DB=self.db,
                        WAYFARE_ADMIN_TOKEN="admin-token-for-tests", WAYFARE_SEED="7")
        self.env.update(env or {})
        self.args = list(args)
        self.threads = threads
        self.import_catalog(catalog)
        self.cli("team", "create", "t", *(["--budget", budget, "--window", "total"] if budget else []))
        self.key = self.cli("key", "create", "--team", "t", "--name", "k", *key_args).strip()
        self.start()

    def import_catalog(self, catalog):
        path = os.path.join(self.dir, "catalog.json")
        with open(path, "w") as f:
            json.dump(catalog, f)
        return self.cli("catalog", "import", path)

    def cli(self, *argv, check=True):
        done = subprocess.run([WAYFARE, *argv], env=self.env, capture_output=True, text=True, timeout=60 * SLOW)
        if check and done.returncode != 0:
            raise AssertionError("wayfare %s: exit %d: %s" % (" ".join(argv), done.returncode, done.stderr))
        return done.stdout if check else done

    def cli_json(self, *argv):
        return json.loads(self.cli(*argv, "--json"))

    def start(self):
        self.stderr = open(os.path.join(self.dir, "server.log"), "a")
        super().__init__([WAYFARE, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
                          "--threads", str(self.threads), *self.args], env=self.env, stderr=self.stderr, **self.popen)
        self.address = self.read_address("listening on ")
        self.admin = self.read_address("admin on ")
        self.host, port = self.address.rsplit(":", 1)
        self.port = int(port)

    def server_log(self):
        with open(os.path.join(self.dir, "server.log")) as f:
            return f.read()

    # ---- HTTP ----
    def connect(self):
        return http.client.HTTPConnection(self.host, self.port, timeout=30 * SLOW)

    def request(self, method, path, body=None, headers=None, key=True):
        """One request on its own connection: (status, headers, body bytes)."""
        conn = self.connect()
        all_headers = {"x-api-key": self.key} if key is True else {}
        all_headers.update(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        if body is not None:
            all_headers.setdefault("content-type", "application/json")
        conn.request(method, path, body, all_headers)
        answer = conn.getresponse()
        data = answer.read()
        conn.close()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, data

    def messages(self, body=None, headers=None, path="/v1/messages", **fields):
        base = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}
        base.update(fields)
        return self.request("POST", path, body if body is not None else base, headers)

    def raw(self, data, read=True, seconds=5):
        """Sends bytes as they are; returns everything until close or silence."""
        sock = socket.create_connection((self.host, self.port), timeout=seconds * SLOW)
        sock.sendall(data)
        out = b""
        try:
            while read:
                piece = sock.recv(65536)
                if not piece:
                    break
                out += piece
        except (socket.timeout, ConnectionResetError):
            pass
        sock.close()
        return out

    def generation(self, headers):
        """The record of an answered request, once it is settled."""
        gid = headers["x-wayfare-generation-id"]

        def settled():
            done = self.cli("generation", gid, "--json", check=False)
            if done.returncode != 0:
                return None
            g = json.loads(done.stdout)
            running = any(a["state"] not in ("SETTLED", "VOID") for a in g["attempts"])
            return None if running or g["status"] in (None, "running") else g

        return wait_for("generation " + gid + " to be settled", settled)

    def verify(self):
        done = self.cli("ledger", "verify", check=False)
        assert done.returncode == 0 and done.stdout.strip().endswith("ok"), (done.stdout, done.stderr)


def sse_events(data):
    """[(name, parsed data)] of a whole stream."""
    events = []
    for block in data.replace(b"\r\n", b"\n").split(b"\n\n"):
        name, payload = None, []
        for line in block.split(b"\n"):
            if line.startswith(b"event:"):
                name = line[6:].strip().decode()
            elif line.startswith(b"data:"):
                payload.append(line[5:].strip())
        if payload:
            events.append((name, json.loads(b"\n".join(payload))))
    return events


def descriptors_of(pid):
    """How many a server has; None where only root may look: it cannot be attached to."""
    try:
        return len(os.listdir("/proc/%d/fd" % pid))
    except PermissionError:
        return None


ONLY_ROOT = "only root may look into a server that cannot be attached to"


class Skip(Exception):
    """A case that cannot be run here, and why."""


class Report:
    """Counts; prints a line per case; the last line is "N passed, N failed, N skipped"."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def case(self, name, function, *args):
        try:
            function(*args)
        except Skip as why:
            self.skip(name, why)
        except Exception:
            self.failed += 1
            print("not ok", name)
            print("    " + traceback.format_exc().strip().replace("\n", "\n    "), flush=True)
        else:
            self.passed += 1
            print("ok", name, flush=True)

    def skip(self, name, why):
        self.skipped += 1
        print("skip %s: %s" % (name, why), flush=True)

    def end(self):
        print("%d passed, %d failed, %d skipped" % (self.passed, self.failed, self.skipped), flush=True)
        sys.exit(1 if self.failed else 0)


def run_module(namespace):
    """Runs every test_* function of a test file, in order of definition."""
    report = Report()
    only = sys.argv[1:]
    for name, function in list(namespace.items()):
        if name.startswith("test_") and callable(function) and (not only or name in only):
            report.case(name[5:], function)
    report.end()
