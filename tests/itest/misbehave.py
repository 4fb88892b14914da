#!/usr/bin/env python3
"""Clients that misbehave, one kind after the other: too many connections, keys that fail, more
requests than the server can take, bodies that do not come, answers that are not read, clients
that leave.  What they cost is bounded, what they get is an answer, and the others notice nothing.

tests/itest/besieged.py does the same with crowds."""

import json
import os
import re
import resource
import select
import socket
import struct
import subprocess
import time

from crowd import metric
from harness import SLOW, WAYFARE, Report, Sim, Wayfare, catalog_of, endpoint, price, wait_for

LOAD = 6       # --max-requests
PATIENCE = 2   # --client-timeout, seconds
KIB, MIB = 1024, 1024 * 1024
FLOOD_TOK = 4000000
# Memory of a program that watches itself is not its own.
MEMORY = 8 if any(os.environ.get(x) for x in ("ASAN_OPTIONS", "TSAN_OPTIONS")) else 1

sim = Sim(["acme"])
CATALOG = catalog_of(sim, models=[
    {"id": "test/" + n, "aliases": [n], "endpoints": [
        endpoint("acme", "m-" + n, price("1", "5"), max_completion_tokens=FLOOD_TOK, context_length=2 * FLOOD_TOK)]}
    for n in ("m", "slow", "flood")])
sim.script("acme", model="m-slow", delay_ms=3600000)
sim.script("acme", model="m-flood", output_tokens=FLOOD_TOK, event_tokens=1000)
report = Report()


def body_of(model, **more):
    return json.dumps(dict({"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}, **more)).encode()


class Client:
    """A connection, with what came over it."""

    def __init__(self, way, receive=None):
        self.sock = socket.socket()
        if receive:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.sock.settimeout(30 * SLOW)
        self.sock.connect((way.host, way.port))
        self.got, self.closed = b"", False

    def head(self, key, length, path="/v1/messages", more=b""):
        framing = b"Transfer-Encoding: chunked" if length is None else b"Content-Length: %d" % length
        self.sock.sendall(b"POST " + path.encode() + b" HTTP/1.1\r\nHost: h\r\nx-api-key: " + key.encode() + b"\r\n" + framing + b"\r\n" + more + b"\r\n")
        return self

    def post(self, key, body, path="/v1/messages"):
        self.head(key, len(body), path)
        self.sock.sendall(body)
        return self

    def answer(self, seconds=20.0):
        """The next answer that has a length: (status, headers, body)."""
        until = time.monotonic() + seconds * SLOW
        while True:
            head, sep, rest = self.got.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (x.partition(":") for x in lines[1:])}
            n = int(headers.get("content-length", 0))
            if sep and len(rest) >= n:
                self.got = rest[n:]
                return int(lines[0].split()[1]), headers, rest[:n]
            assert not self.closed, "closed after %r" % self.got[:200]
            self.read(until)

    def read(self, until):
        left = until - time.monotonic()
        assert left > 0 and select.select([self.sock], [], [], left)[0], "nothing came; had %r" % self.got[:200]
        try:
            piece = self.sock.recv(65536)
        except ConnectionError:
            piece = b""
        self.closed |= not piece
        self.got += piece

    def end(self, seconds=20.0):
        """Waits until the server has closed; how long that took."""
        begun = time.monotonic()
        while not self.closed:
            self.read(begun + seconds * SLOW)
        return time.monotonic() - begun

    def close(self, rst=False):
        if rst:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def new_key(way, name, *args):
    return way.cli("key", "create", "--team", "t", "--name", name, *args).strip()


def idle(way):
    wait_for("nothing in flight", lambda: metric(way, "wayfare_requests_in_flight") == 0)


def refusal(answer, status, kind):
    got, headers, data = answer
    error = json.loads(data)["error"]
    assert (got, error["type"]) == (status, kind), (got, data)
    return headers


# ---- connections of one address ----

def per_address():
    way = Wayfare(CATALOG, args=["--max-connections-per-address", "3"])
    body = body_of("m")
    kept = [Client(way) for _ in range(3)]
    for c in kept:
        assert c.post(way.key, body).answer()[0] == 200
    for _ in range(5):
        refused = Client(way)
        refused.end()
        assert refused.got == b"", refused.got
    assert metric(way, "wayfare_connections_refused_total") == 5
    other = socket.create_connection((way.host, way.port), source_address=("127.0.0.2", 0))
    other.sendall(b"GET /health/live HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert other.recv(100).startswith(b"HTTP/1.1 200"), "another address is refused too"
    assert kept[0].post(way.key, body).answer()[0] == 200
    kept.pop().close()
    wait_for("its place", lambda: try_connection(way))
    lines = [x for x in way.server_log().splitlines() if "connections refused" in x]
    assert 1 <= len(lines) <= 5, lines
    for c in kept:
        c.close()
    assert way.stop() == 0


def try_connection(way):
    c = Client(way)
    c.sock.sendall(b"GET /health/live HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    try:
        return c.answer()[0] == 200
    except AssertionError:
        return False
    finally:
        c.close()


# ---- keys that fail ----

def failing_keys():
    way = Wayfare(CATALOG, args=["--max-auth-failures", "2"])
    c, body, seen = Client(way), body_of("m"), []
    for i in range(300):
        status, headers, data = c.post("wf_" + "A" * 43, body).answer()
        seen.append(status)
        if status == 429:
            assert headers["retry-after"] == "1" and json.loads(data)["error"]["type"] == "rate_limit_error", (headers, data)
    # 120 at once, two more for each second that it takes
    assert seen[:120] == [401] * 120, seen
    assert 429 in seen, seen
    assert c.post(way.key, body).answer()[0] == 200, "a valid key of that address is refused"
    assert Client(way).post("", body, "/v1/chat/completions").answer()[0] in (401, 429)
    other = Client.__new__(Client)
    other.sock = socket.create_connection((way.host, way.port), source_address=("127.0.0.3", 0))
    other.got, other.closed = b"", False
    assert other.post("wf_x", body).answer()[0] == 401, "another address is limited too"
    wait_for("it to be over", lambda: Client(way).post("wf_x", body).answer()[0] == 401)
    assert metric(way, "wayfare_requests_unauthenticated_total") >= 41
    assert way.stop() == 0


# ---- more than it can take ----

way = Wayfare(CATALOG, args=["--max-requests", str(LOAD), "--max-buffer-mib", "64"])
hog, good = way.key, new_key(way, "good")
brisk = Wayfare(CATALOG, args=["--client-timeout", str(PATIENCE)])


def fill(key=None, n=LOAD, beside=0):
    """So many requests that wait for their provider, beside those that do already."""
    clients = [Client(way).post(key or hog, body_of("slow")) for _ in range(n)]
    wait_for("them to be in flight", lambda: metric(way, "wayfare_requests_in_flight") == beside + n)
    return clients


def leave(clients):
    for c in clients:
        c.close()
    idle(way)


def shed_fairly():
    clients = fill()
    shed = metric(way, "wayfare_requests_shed_total")
    headers = refusal(Client(way).post(hog, body_of("m")).answer(), 529, "overloaded_error")
    assert headers["retry-after"] == "1" and headers["x-should-retry"] == "true", headers
    status, headers, data = Client(way).post(hog, body_of("m"), "/v1/chat/completions").answer()
    assert (status, json.loads(data)["error"]["code"]) == (503, "overloaded"), (status, data)
    assert metric(way, "wayfare_requests_shed_total") == shed + 2
    for path in ("/health/ready", "/v1/models", "/v1/key"):
        assert way.request("GET", path)[0] == 200, path
    # who has less than its share gets in: half of the load, with two keys
    others = fill(good, LOAD // 2, beside=LOAD)
    refusal(Client(way).post(good, body_of("m")).answer(), 529, "overloaded_error")
    assert Client(way).post(new_key(way, "third"), body_of("m")).answer()[0] == 200
    for c in clients:
        c.close()
    wait_for("room", lambda: Client(way).post(hog, body_of("m")).answer()[0] == 200)
    leave(others)
    lines = [x for x in way.server_log().splitlines() if "overloaded" in x]
    assert 1 <= len(lines) <= 3, lines


def shed_before_the_body():
    clients = fill()
    # without a byte of it
    for more, path in ((b"", "/v1/messages"), (b"Expect: 100-continue\r\n", "/v1/messages"), (b"", "/v1/chat/completions")):
        c = Client(way).head(hog, MIB, path, more)
        status = c.answer()[0]
        assert status == (503 if "chat" in path else 529), status
        c.end()
        assert c.got == b"", c.got
    # who sends all the same still gets to read it
    c = Client(way).head(hog, 8 * MIB)
    try:
        c.sock.sendall(b"x" * (8 * MIB))
    except OSError:
        pass
    assert c.answer()[0] == 529
    # a small one is read away, and the connection lives
    c = Client(way)
    for _ in range(3):
        assert c.post(hog, body_of("m")).answer()[0] == 529
    leave(clients)
    assert c.post(hog, body_of("m")).answer()[0] == 200


def memory():
    """The bytes that are announced count at once; a chunked body when it has come."""
    clients = [Client(way).head(hog, 20 * MIB) for _ in range(2)]
    wait_for("their memory", lambda: metric(way, "wayfare_buffer_bytes") == 40 * MIB)
    assert Client(way).head(hog, 20 * MIB).answer()[0] == 529
    clients.append(Client(way).head(good, 20 * MIB))
    wait_for("the others' share", lambda: metric(way, "wayfare_buffer_bytes") == 60 * MIB)
    assert Client(way).post(good, body_of("m")).answer()[0] == 200
    c = Client(way).head(good, None)
    try:
        for _ in range(8):
            c.sock.sendall(b"%x\r\n" % MIB + b" " * MIB + b"\r\n")
    except OSError:
        pass
    assert c.answer(30 / SLOW)[0] == 529, "not told at once"
    c.end()
    leave(clients)
    wait_for("their memory to be free", lambda: metric(way, "wayfare_buffer_bytes") == 0)


def concurrency_counts_uploads():
    key = new_key(way, "two", "--concurrency", "2")
    body = body_of("m")
    up = [Client(way).head(key, len(body)) for _ in range(2)]
    wait_for("both", lambda: metric(way, "wayfare_requests_in_flight") == 2)
    status, headers, data = Client(way).post(key, body).answer()
    limit = json.loads(data)["error"]["rate_limit"]
    assert (status, limit["limit"], limit["used"], limit["max"]) == (429, "concurrency", 2, 2), data
    assert headers["retry-after"] == "1", headers
    c = Client(way).head(key, MIB)  # without its body
    assert c.answer()[0] == 429
    for x in up:
        x.sock.sendall(body)
        status, _, data = x.answer()
        assert status == 200, data
    assert Client(way).post(key, body).answer()[0] == 200
    # no limit of the dry run
    up = [Client(way).head(key, len(body), "/v1/route") for _ in range(3)]
    assert Client(way).post(key, body).answer()[0] == 200
    leave(up)


# ---- too slow ----

def slow_body(path, kind, drip, length):
    body = body_of("m")
    before = metric(brisk, "wayfare_requests_slow_body_total")
    c, begun = Client(brisk).head(brisk.key, length, path), time.monotonic()
    while drip and not select.select([c.sock], [], [], 0.2)[0]:
        c.sock.sendall(b"1\r\n \r\n" if length is None else b" ")
        assert time.monotonic() < begun + (PATIENCE + 10) * SLOW, "it lives by a byte now and then"
    status, headers, data = c.answer()
    took = time.monotonic() - begun
    assert (status, json.loads(data)["error"]["type"]) == (408, kind), (status, data)
    assert headers["connection"] == "close" and headers["x-wayfare-generation-id"].startswith("gen_"), headers
    assert took >= PATIENCE - 0.1, took
    c.end()
    assert c.got == b"", c.got
    assert metric(brisk, "wayfare_requests_slow_body_total") == before + 1
    assert Client(brisk).post(brisk.key, body, path).answer()[0] == 200
    idle(brisk)


def slow_refused_body():
    """A refused request's body, read for the sake of the connection, has no more time."""
    c = Client(brisk).head("wf_x", 1000)
    assert c.answer()[0] == 401
    c.end()


def slow_but_steady():
    """A body in time for its size is none of them."""
    body = body_of("m", metadata={"user_id": "x" * 200})
    c = Client(brisk).head(brisk.key, len(body))
    for i in range(0, len(body), 40):
        c.sock.sendall(body[i:i + 40])
        time.sleep(0.1)
    assert c.answer()[0] == 200


def stalled_reader():
    """Nobody reads: the provider is paused, and after the client timeout it is over."""
    c = Client(brisk, receive=4096).post(brisk.key, body_of("flood", stream=True, max_tokens=FLOOD_TOK))
    wait_for("the stream", lambda: metric(brisk, "wayfare_requests_in_flight") == 1)
    most = 0

    def over():
        nonlocal most
        most = max(most, metric(brisk, "wayfare_buffer_bytes"))
        return metric(brisk, "wayfare_requests_in_flight") == 0

    wait_for("the end of it", over, PATIENCE + 15)
    assert 256 * KIB <= most <= 512 * KIB, most
    wait_for("the provider to be told", lambda: any(w["event"] == "end" and w["ended"] == "client_closed"
                                                    for w in sim.unread_witness()))
    c.close()
    brisk.verify()


def headers_without_end():
    c, begun = Client(way), time.monotonic()
    c.sock.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: h\r\n")
    while time.monotonic() < begun + 12 * SLOW and not select.select([c.sock], [], [], 0.5)[0]:
        try:
            c.sock.sendall(b"X: y\r\n")
        except OSError:
            break
    c.end(5)
    assert time.monotonic() - begun > 9, "closed too early"
    wait_for("it to be counted", lambda: metric(way, "wayfare_connections_late_total") >= 1)


def leaves_while_parked(rst):
    """The provider says nothing, the client goes: noticed at once, not at the next write."""
    list(sim.unread_witness())
    clients = fill(good, 4)
    for c in clients:
        c.close(rst=rst)
    seen = []

    def told():
        seen.extend(w for w in sim.unread_witness() if w["event"] == "end")
        return len(seen) == 4

    wait_for("the provider to be told", told, 20)
    assert all(w["ended"] == "client_closed" for w in seen), seen
    idle(way)
    way.verify()


def leaves_with_its_headers():
    """The end of input in one piece with the headers: also noticed long before the client timeout."""
    for _ in range(40):
        Client(way).head(good, 2000).close()
    wait_for("nothing in flight", lambda: metric(way, "wayfare_requests_in_flight") == 0)
    wait_for("their connections", lambda: metric(way, "wayfare_connections") <= 4)


# ---- what the library refuses by itself ----

LINE, HOST = b"POST /v1/messages HTTP/1.1\r\n", b"Host: h\r\n"
OWN_PAGES = {
    "no version": (b"GET /\r\n\r\n", 400),
    "another version": (b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "no colon": (LINE + HOST + b"nonsense\r\n\r\n", 400),
    "length": (LINE + HOST + b"Content-Length: 5z\r\n\r\n", 400),
    "length beyond 64 bits": (LINE + HOST + b"Content-Length: %d\r\n\r\n" % 2 ** 64, 413),
    "block of 64 KiB": (LINE + HOST + b"X: " + b"a" * 65536 + b"\r\n\r\n", 431),
    "path of 64 KiB": (b"GET /" + b"a" * 65536 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    "chunk": (LINE + HOST + b"x-api-key: " + way.key.encode() + b"\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400),
}


def own_page(data, status):
    """Plain, without a word about who serves it, and the connection ends."""
    c = Client(way)
    try:
        c.sock.sendall(data)
    except OSError:
        pass
    c.end()
    head = c.got.split(b"\r\n\r\n")[0].lower()
    assert int(c.got[9:12]) == status, c.got[:300]
    assert b"microhttpd" not in c.got.lower() and b"\r\nserver:" not in head, c.got[:300]
    assert b"connection: close" in head, head


# ---- descriptors ----

def no_descriptors():
    """Few descriptors, many clients: neither spins nor starves its own calls, and recovers."""
    small = Wayfare.__new__(Wayfare)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    Wayfare.__init__(small, CATALOG)
    small.stop()
    launch = subprocess.Popen

    def limited(argv, **named):
        return launch(["prlimit", "--nofile=200:200", *argv], **named)

    subprocess.Popen = limited
    try:
        small.start()
    finally:
        subprocess.Popen = launch
    # Of its second start.
    told = wait_for("the log", lambda: re.findall(r"max_connections=(\d+)\b.*\n", small.server_log())[1:])
    most = int(told[0])
    assert 50 <= most < 200, most
    crowd = [Client(small) for _ in range(min(400, soft // 2))]
    wait_for("its limit", lambda: metric(small, "wayfare_connections") == most)
    begun, cpu = time.monotonic(), cpu_s(small.child.pid)
    time.sleep(1)
    used = (cpu_s(small.child.pid) - cpu) / (time.monotonic() - begun)
    assert used < 0.5, "%.0f %% of a core while nothing happens" % (100 * used)
    kept = [c for c in crowd if not select.select([c.sock], [], [], 0)[0]]
    assert len(kept) >= most // 2, len(kept)
    for c in kept[:20]:
        c.post(small.key, body_of("m"))
    # its calls have descriptors, or are not begun
    answers = [c.answer()[0] for c in kept[:20]]
    assert set(answers) <= {200, 529} and answers.count(200) >= 5, answers
    for c in crowd:
        c.close()
    wait_for("room", lambda: try_connection(small))
    assert small.messages()[0] == 200
    small.verify()
    assert small.stop() == 0


def rss(pid):
    with open("/proc/%d/status" % pid) as f:
        return next(int(x.split()[1]) * KIB for x in f if x.startswith("VmRSS"))


def long_lists():
    """Asked for and not read: their memory is bounded as that of all answers is, and another key has its
    share.  What is short is served all the same."""
    names = ["%s-%04d" % ("long" * 20, i) for i in range(4000)]
    crowded = Wayfare(catalog_of(sim, models=[
        {"id": "test/" + n, "endpoints": [endpoint("acme", n, price("1", "5"))]} for n in names]), args=["--max-buffer-mib", "64"], threads=1)
    other = new_key(crowded, "other")
    size = len(crowded.request("GET", "/v1/models")[2])
    assert size > MIB, size
    before, asked = rss(crowded.child.pid), 200 * MIB // size
    clients = [Client(crowded, receive=4096) for _ in range(asked)]
    for c in clients:
        c.sock.sendall(b"GET /v1/models HTTP/1.1\r\nHost: h\r\nx-api-key: %s\r\n\r\n" % crowded.key.encode())
    wait_for("all to be answered or refused", lambda: metric(crowded, "wayfare_requests_shed_total") > asked - 64 * MIB / size, 120 * SLOW)
    assert metric(crowded, "wayfare_buffer_bytes") <= 48 * MIB
    grown = rss(crowded.child.pid) - before
    print("#   %d lists of %.1f MiB asked for: %.0f MiB more, %d refused" % (asked, size / MIB, grown / MIB, metric(crowded, "wayfare_requests_shed_total")))
    assert MEMORY > 1 or grown < 80 * MIB, grown
    status, headers, body = crowded.request("GET", "/v1/models")
    assert status == 503 and headers["x-should-retry"] == "true" and json.loads(body)["error"]["code"] == "overloaded", (status, body)
    assert crowded.request("GET", "/v1/key")[0] == 200 and crowded.request("GET", "/v1/models/test/" + names[0])[0] == 200
    assert crowded.request("GET", "/v1/models", headers={"x-api-key": other}, key=None)[0] == 200
    for c in clients:
        c.close()
    wait_for("their memory", lambda: metric(crowded, "wayfare_buffer_bytes") == 0)
    assert crowded.request("GET", "/v1/models")[0] == 200
    assert crowded.stop() == 0


def cpu_s(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def usage_errors():
    for args in (["--max-requests", "0"], ["--max-buffer-mib", "63"], ["--client-timeout", "0"], ["--client-timeout", "3601"]):
        done = subprocess.run([WAYFARE, "serve", *args], capture_output=True, text=True, env=way.env)
        assert done.returncode == 2 and args[0] + " must be" in done.stderr, (args, done)


report.case("connections of one address", per_address)
report.case("keys that fail", failing_keys)
report.case("overload is shared fairly", shed_fairly)
report.case("overload is told before the body", shed_before_the_body)
report.case("memory for bodies", memory)
report.case("concurrency counts what is on its way in", concurrency_counts_uploads)
for name, path, kind in (("messages", "/v1/messages", "timeout_error"), ("chat", "/v1/chat/completions", "invalid_request_error")):
    report.case("a body that stops: " + name, slow_body, path, kind, False, 1000)
    report.case("a body that drips: " + name, slow_body, path, kind, True, 1000)
report.case("a chunked body that drips", slow_body, "/v1/messages", "timeout_error", True, None)
report.case("a refused body that stops", slow_refused_body)
report.case("a body that is slow but steady", slow_but_steady)
report.case("an answer that nobody reads", stalled_reader)
report.case("headers without end", headers_without_end)
report.case("a parked client leaves", leaves_while_parked, False)
report.case("a client leaves with its headers", leaves_with_its_headers)
report.case("a parked client resets", leaves_while_parked, True)
for name, (data, status) in OWN_PAGES.items():
    report.case("the library's own page: " + name, own_page, data, status)
report.case("few descriptors", no_descriptors)
report.case("long lists that nobody reads", long_lists)
report.case("wrong options", usage_errors)
way.verify()
brisk.verify()
assert way.stop() == 0 and brisk.stop() == 0
report.end()
