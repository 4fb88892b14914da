#!/usr/bin/env python3
"""Framing at random: requests put together and mutated by a seeded generator (lengths, codings,
white space, line feeds, chunks, folded lines, requests behind each other).

Each begins as a request whose framing is plain, with a second request, the canary, where only
another reading of the framing would begin one: inside its body.  Whatever is done to it, a
provider of its own must never see the canary, every answer must be one of HTTP, and there may be
no more answers than the sender meant to send requests.  smuggle.py SEED COUNT repeats a run;
WAYFARE_LONG=1 asks for the long form."""

import random
import re
import select
import socket
import sys
import time

from crowd import LONG
from harness import SLOW, Report, Sim, Wayfare, catalog_of, endpoint, price

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 20261129
COUNT = int(sys.argv[2]) if len(sys.argv) > 2 else 20000 if LONG else int(1500 / SLOW)
AT_ONCE = 64
QUIET_S = 1.0 * SLOW  # a connection that has nothing to say for so long, and whose sender has ended, is over

sim = Sim(["good", "canary"])
way = Wayfare(catalog_of(sim, models=[
    {"id": "test/" + n, "aliases": [n], "endpoints": [endpoint(n, "m-" + n, price("1", "5"))]} for n in ("good", "canary")]),
    args=["--max-auth-failures", "0"])
report = Report()
KEY = way.key.encode()
draw = random.Random(SEED)


def body_of(model):
    return b'{"model":"%s","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}' % model


CANARY = (b"POST /v1/messages HTTP/1.1\r\nHost: h\r\nx-api-key: " + KEY + b"\r\nContent-Length: %d\r\n\r\n" % len(body_of(b"canary")) +
          body_of(b"canary"))


# ---- a request in parts ----

def chunk_lines(data):
    """[(size line, data)]; the last has none."""
    out = []
    while data:
        n = draw.choice((1, 5, 16, 100, len(data)))
        out.append([b"%x" % len(data[:n]), data[:n]])
        data = data[n:]
    return out + [[b"0", b""]]


class Request:
    def __init__(self):
        self.line = b"POST /v1/messages HTTP/1.1"
        self.chunked = draw.random() < 0.5
        # For another reading of its framing the body ends at once and the canary begins.
        self.body = draw.choice((b"0\r\n\r\n" + CANARY, b"\r\n" + CANARY, CANARY, body_of(b"good") + CANARY, body_of(b"good")))
        self.headers = [b"Host: h", b"x-api-key: " + KEY]
        self.framing = b"Transfer-Encoding: chunked" if self.chunked else b"Content-Length: %d" % len(self.body)
        self.headers.insert(draw.randrange(3), self.framing)
        self.chunks = chunk_lines(self.body) if self.chunked else None
        self.eol, self.chunk_eol = b"\r\n", b"\r\n"
        self.trailer = b""

    def wire(self):
        head = self.line + self.eol + b"".join(h + self.eol for h in self.headers) + self.eol
        if self.chunks is None:
            return head + self.body
        out = head
        for size, data in self.chunks[:-1]:
            out += size + self.chunk_eol + data + self.chunk_eol
        return out + self.chunks[-1][0] + self.chunk_eol + self.trailer + self.chunk_eol

    def at(self, begin):
        return [i for i, h in enumerate(self.headers) if h.lower().startswith(begin)]


# ---- mutations: each changes one thing about where the request ends ----

SPACES = (b" ", b"\t", b"  ", b"\x0b", b"\x0c", b"\xa0", b"\x00", b"\r", b"")
CODINGS = (b"chunked", b"Chunked", b"xchunked", b"identity", b"gzip, chunked", b"chunked, identity", b"chunked, chunked", b"chunked;q=1",
           b"\"chunked\"", b"chunked\x00", b"cow", b"", b",", b"chunked,", b"ch\xc5\xabnked")


def lengths():
    return draw.choice((b"0", b"5", b"%d" % draw.randrange(4000), b"+5", b"-1", b"0x10", b"5, 5", b"05", b"5 ", b"1e1", b"", b"5_0", b"%d" % 2 ** 64,
                        b"%d" % (2 ** 64 + 5), b"%d" % (2 ** 32 + 5), b"\xd9\xa5"))


def second_length(r):
    r.headers.insert(draw.randrange(len(r.headers) + 1), b"Content-Length:" + draw.choice((b" ", b"")) + lengths())


def second_coding(r):
    r.headers.insert(draw.randrange(len(r.headers) + 1), b"Transfer-Encoding: " + draw.choice((b"chunked", draw.choice(CODINGS))))


def other_value(r):
    i = draw.randrange(len(r.headers))
    name = r.headers[i].split(b":")[0]
    if name.lower() in (b"content-length", b"transfer-encoding"):
        r.headers[i] = name + b": " + (lengths() if name.lower() == b"content-length" else draw.choice(CODINGS))


def odd_name(r):
    i = draw.randrange(len(r.headers))
    name, _, value = r.headers[i].partition(b":")
    at = draw.randrange(len(name) + 1)
    what = draw.randrange(4)
    if what == 0:
        name = name[:at] + draw.choice(SPACES) + name[at:]
    elif what == 1:
        name = name + draw.choice(SPACES)
    elif what == 2:
        name = name.replace(b"-", b"_")
    else:
        name = draw.choice(SPACES) + name
    r.headers[i] = name + b":" + value


def odd_value(r):
    i = draw.randrange(len(r.headers))
    name, _, value = r.headers[i].partition(b":")
    r.headers[i] = name + b":" + draw.choice(SPACES) + value + draw.choice(SPACES)


def hidden(r):
    """A framing header inside another's value, behind something that some take for a line's end."""
    inner = draw.choice((b"Transfer-Encoding: chunked", b"Content-Length: 5", b"Host: x"))
    r.headers.insert(draw.randrange(len(r.headers) + 1), b"X-A: b" + draw.choice((b"\r", b"\n", b"\x00", b"\x0b", b"\r\n ", b"\n\t", b"\r\r\n", b"\x85")) + inner)


def folded(r):
    i = draw.randrange(len(r.headers))
    name, _, value = r.headers[i].partition(b":")
    r.headers[i] = name + b":\r\n" + draw.choice((b" ", b"\t")) + value.strip()


def bare_feeds(r):
    if draw.random() < 0.5:
        r.eol = b"\n"
    else:
        r.chunk_eol = draw.choice((b"\n", b"\r", b"\n\r", b"\r\r\n", b""))


def odd_chunk(r):
    if r.chunks is None:
        return
    c = draw.choice(r.chunks)
    c[0] = draw.choice((b"0x" + c[0], b"+" + c[0], b"-" + c[0], c[0] + b" ", b" " + c[0], c[0] + b";a=b", c[0] + b";a\nb", b"0000000" + c[0],
                        c[0] + b"\t;x", b"1" + b"0" * 15 + c[0], c[0] + b"\x00", b"", c[0] + b"g", c[0] + b";\r", b"%x" % draw.randrange(300),
                        c[0].upper(), b"f" * 16, b"0"))


def odd_trailer(r):
    r.trailer = draw.choice((b"X-A: b\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"x\r\n", b": \r\n", b" x\r\n", b"A: b\n"))


def odd_line(r):
    r.line = draw.choice((b"POST /v1/messages HTTP/1.0", b"POST /v1/messages HTTP/1.2", b"POST /v1/messages HTTP/2.0", b"POST /v1/messages", b"GET /v1/models HTTP/1.1",
                          b"POST  /v1/messages HTTP/1.1", b"POST /v1/messages HTTP/1.1 ", b"POST\t/v1/messages\tHTTP/1.1",
                          b"\r\nPOST /v1/messages HTTP/1.1", b"OPTIONS * HTTP/1.1", b"CONNECT h:1 HTTP/1.1", b"POST http://h/v1/messages HTTP/1.1",
                          b"POST /v1/messages HTTP/1.1\rX: y", b"POST /v1/messages\x00 HTTP/1.1", b"DELETE /v1/messages HTTP/1.1"))


def lost_line(r):
    r.headers.pop(draw.randrange(len(r.headers)))


def twice(r):
    r.headers.insert(draw.randrange(len(r.headers) + 1), draw.choice(r.headers))


def expects(r):
    r.headers.append(draw.choice((b"Expect: 100-continue", b"Connection: close", b"Connection: Transfer-Encoding", b"Upgrade: h2c", b"Connection: keep-alive, content-length",
                                  b"Content-Encoding: gzip", b"TE: trailers", b"Trailer: Content-Length")))


MUTATIONS = (second_length, second_coding, other_value, odd_name, odd_value, hidden, folded, bare_feeds, odd_chunk, odd_trailer, odd_line, lost_line, twice, expects)


def one():
    """(bytes, how often it is cut, requests meant, what was done)"""
    requests, done = [], []
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        r = Request()
        for _ in range(draw.choice((0, 1, 1, 1, 2, 3))):
            m = draw.choice(MUTATIONS)
            m(r)
            done.append(m.__name__)
        requests.append(r)
    return b"".join(r.wire() for r in requests), draw.choice((0, 0, 1, 3)), len(requests), done


# ---- a reader of its own ----

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


def body_end(headers, data, at, eol):
    """Where the body that begins at `at` ends; None: its framing is in doubt, or it is cut."""
    lengths_ = [v for n, v in headers if n == b"content-length"]
    codings = [v for n, v in headers if n == b"transfer-encoding"]
    if len(lengths_) + len(codings) > 1 or (codings and codings[0].lower() != b"chunked"):
        return None
    if not codings:
        if lengths_ and not (lengths_[0].isdigit() and len(lengths_[0]) < 10):
            return None
        at += int(lengths_[0]) if lengths_ else 0
        return at if at <= len(data) else None
    while True:
        line = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(;[^\r\n]*)?" + eol).match(data, at)
        if not line:
            return None
        at, n = line.end(), int(line.group(1), 16)
        if n == 0:
            end = re.compile(rb"([^\r\n]+" + eol + rb")*" + eol).match(data, at)
            return end.end() if end else None
        end = re.compile(eol).match(data, at + n)
        if not end:
            return None
        at = end.end()


def plain_requests(data, lenient):
    """The requests on whose extent all readers agree, from the first on; lenient: those that take a line feed for
    the end of a chunk's line, and of an empty one before a request, as libmicrohttpd does."""
    eol, found, at = rb"\r?\n" if lenient else rb"\r\n", [], 0
    block = re.compile(rb"(?:" + eol + rb")?((?:[^\r\n\0]+\r\n)+)\r\n")
    while at < len(data):
        head = block.match(data, at)
        if not head:
            break
        lines = head.group(1).split(b"\r\n")[:-1]
        headers = []
        for line in lines[1:]:
            name, sep, value = line.partition(b":")
            if not sep or not TOKEN.match(name):
                return found
            headers.append((name.lower(), value.strip(b" \t")))
        at = body_end(headers, data, head.end(), eol)
        if at is None:
            break
        found.append(head.group(1) + b"\n" + data[head.end():at])
    return found


def splits(data):
    """Nobody doubts that the canary is a request of its own: it was not smuggled."""
    return any(body_of(b"canary") == x[-len(body_of(b"canary")):] and x.count(b"POST ") == 1
               for lenient in (False, True) for x in plain_requests(data, lenient))


# ---- what comes back ----

def answers(data):
    """The statuses of whole, well-formed answers; AssertionError for anything else."""
    found = []
    while data:
        head, sep, rest = data.partition(b"\r\n\r\n")
        assert sep, "an answer without end: %r" % data[:200]
        lines = head.split(b"\r\n")
        assert lines[0].startswith(b"HTTP/1.1 ") and lines[0][9:12].isdigit(), "no answer: %r" % data[:200]
        headers = {}
        for line in lines[1:]:
            name, sep, value = line.partition(b":")
            assert sep and name.strip() == name and name.lower() not in headers, "header %r" % line
            headers[name.lower()] = value.strip()
        status = int(lines[0][9:12])
        found.append(status)
        if status == 100:
            data = rest
            continue
        if rest.startswith(lines[0]):  # libmicrohttpd 0.9.75 repeats the head of its own error pages, with a new date
            rest = rest[len(head) + 4:]
        assert b"content-length" in headers, "no length: %r" % head
        n = int(headers[b"content-length"])
        assert len(rest) >= n, "cut: %r" % data[:200]
        data = rest[n:]
    return found


class Probe:
    def __init__(self, number):
        self.number = number
        self.data, cuts, self.meant, self.done = one()
        while splits(self.data):
            self.data, cuts, self.meant, self.done = one()
        self.meant = max(self.meant, 1 + max(len(plain_requests(self.data, lenient)) for lenient in (False, True)))
        self.pieces, at = [], 0
        for cut in sorted(draw.randrange(len(self.data)) for _ in range(cuts)) + [len(self.data)]:
            self.pieces.append(self.data[at:cut])
            at = cut
        self.got, self.over = b"", False
        self.heard = time.monotonic()
        self.sock = socket.create_connection((way.host, way.port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)

    def fileno(self):
        return self.sock.fileno()

    def write(self):
        try:
            self.pieces[0] = self.pieces[0][self.sock.send(self.pieces[0]):]
            if not self.pieces[0]:
                self.pieces.pop(0)
                self.heard = time.monotonic()
        except BlockingIOError:
            pass
        except OSError:
            self.pieces = []

    def read(self):
        try:
            piece = self.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        self.got += piece
        self.heard = time.monotonic()
        self.over |= not piece

    def check(self):
        self.sock.close()
        text = "seed %d, request %d (%s): %r\n-> %r" % (SEED, self.number, ", ".join(self.done), self.data, self.got)
        try:
            got = [s for s in answers(self.got) if s != 100]
        except AssertionError as e:
            raise AssertionError("%s\n%s" % (e, text))
        assert len(got) <= self.meant, "%d answers to %d requests\n%s" % (len(got), self.meant, text)
        return got


def canary_calls():
    return sum(1 for w in sim.unread_witness() if w["event"] == "begin" and w["listener"] == "canary")


def run():
    seen, open_probes, begun = {}, [], 0
    while begun < COUNT or open_probes:
        while begun < COUNT and len(open_probes) < AT_ONCE:
            open_probes.append(Probe(begun))
            begun += 1
        readable, writable, _ = select.select(open_probes, [p for p in open_probes if p.pieces], [], 0.05)
        for p in writable:
            p.write()
        for p in readable:
            p.read()
        now = time.monotonic()
        left = []
        for p in open_probes:
            if not p.over and (p.pieces or now < p.heard + QUIET_S):
                left.append(p)
                continue
            for status in p.check() or [0]:
                seen[status] = seen.get(status, 0) + 1
        open_probes = left
    assert canary_calls() == 0, "a canary was executed: find it by SEED and a smaller COUNT"
    print("#   seed %d, %d connections, answers by status: %s" % (SEED, COUNT, dict(sorted(seen.items()))))
    # What is refused and what is not must both have been met: else the generator proves nothing.
    assert seen.get(400, 0) > COUNT / 4 and seen.get(200, 0) > COUNT / 50 and seen.get(0, 0) < COUNT / 2, seen


def control():
    """The same canary, meant: it is seen where it is looked for."""
    sock = socket.create_connection((way.host, way.port))
    sock.settimeout(20 * SLOW)
    sock.sendall(CANARY)
    assert sock.recv(20).startswith(b"HTTP/1.1 200")
    sock.close()
    assert canary_calls() == 1


report.case("no second request", run)
report.case("the canary can be seen where it is meant", control)
report.case("the server goes on", lambda: way.messages(model="good"))
way.verify()
report.end()
