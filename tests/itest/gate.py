#!/usr/bin/env python3
"""The front door, byte by byte: framing that two parsers could read differently, malformed
headers, limits, pipelining, chunks cut anywhere, old and slow clients.

Every doubtful request carries a second request, the canary, where another reading of the
framing would begin one.  A provider of its own serves the canary's model: it must never see
a call."""

import json
import re
import select
import socket
import threading
import time

from harness import SLOW, Report, Sim, Wayfare, catalog_of, endpoint, price, wait_for

sim = Sim(["good", "canary"])
way = Wayfare(catalog_of(sim, models=[
    {"id": "test/" + n, "aliases": ["m" if n == "good" else n],
     "endpoints": [endpoint(n, "m-" + n, price("1", "5"))]} for n in ("good", "canary")]))
report = Report()

KEY = b"x-api-key: " + way.key.encode() + b"\r\n"
HOST = b"Host: here\r\n"
LINE = b"POST /v1/messages HTTP/1.1\r\n"


def body_of(model, **more):
    return json.dumps(dict({"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}, **more)).encode()


def length(n):
    return b"Content-Length: %d\r\n" % n


def chunks(data, size=None):
    size = size or len(data)
    out = b""
    for i in range(0, len(data), size):
        piece = data[i:i + size]
        out += b"%x\r\n%s\r\n" % (len(piece), piece)
    return out + b"0\r\n\r\n"


GOOD = body_of("m")
CANARY_BODY = body_of("canary")
CANARY = LINE + HOST + KEY + length(len(CANARY_BODY)) + b"\r\n" + CANARY_BODY
CHUNKED = b"Transfer-Encoding: chunked\r\n"
_state = {"good": 0, "canary": 0}


def calls(listener="good"):
    for w in sim.unread_witness():
        if w["event"] == "begin":
            _state[w["listener"]] += 1
    return _state[listener]


def read_answers(sock, quiet=0.4, first=10.0, enough=1):
    """All bytes until the server closes or, after so many answers, is quiet: (bytes, closed)."""
    out, wait = b"", first * SLOW
    while select.select([sock], [], [], wait)[0]:
        try:
            piece = sock.recv(65536)
        except ConnectionError:
            return out, True
        if not piece:
            return out, True
        out += piece
        wait = (quiet if out.count(b"HTTP/1.") >= enough else first) * SLOW
    return out, False


def send(data):
    sock = socket.create_connection((way.host, way.port), timeout=20 * SLOW)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        sock.sendall(data)
    except OSError:
        pass
    return sock


def statuses(data):
    """The status of each answer in a row of answers."""
    found = []
    while data:
        head, sep, rest = data.partition(b"\r\n\r\n")
        assert sep and head.startswith(b"HTTP/1."), data[:100]
        found.append(int(head[9:12]))
        if rest.startswith(head):  # libmicrohttpd 0.9.75 repeats the head of its own error pages
            rest = rest[len(head) + 4:]
        lower = head.lower()
        if b"\r\ncontent-length:" in lower:
            n = int(lower.split(b"\r\ncontent-length:")[1].split(b"\r\n")[0])
            data = rest[n:]
        elif b"transfer-encoding: chunked" in lower:
            data = rest.partition(b"0\r\n\r\n")[2]
        elif 100 <= found[-1] < 200:
            data = rest
        else:
            data = b""
    return found


def alive():
    status, _, body = way.messages()
    assert status == 200, (status, body)


def doubtful(data, expect, closes=True, quiet=0.4):
    """expect: the statuses the first answer may have; None may also be no answer at all."""
    before = calls("canary")
    sock = send(data)
    # Where it closes, its end is waited for; a busy machine takes its time.
    out, closed = read_answers(sock, 2.0 if closes else quiet, first=1.0 if None in expect else 10.0)
    sock.close()
    got = statuses(out)
    assert calls("canary") == before, "the canary was executed: %r" % out[:300]
    assert (got[0] if got else None) in expect, (got, expect, out[:300])
    assert 200 not in got[1:], got
    if closes and got and got[0] >= 400:
        assert closed, "left open: %r" % out[:300]
    alive()
    assert calls("canary") == before, "the canary was executed later"


def case(name, headers, body, expect=(400,), line=LINE, **options):
    report.case(name, lambda: doubtful(line + headers + b"\r\n" + body, expect, **options))


class Unfinished(threading.Thread):
    """The header block has 10 s, however lively the sender is.  Runs beside the other cases."""

    def __init__(self, half_close, drip, kept=False):
        super().__init__(daemon=True)
        self.half_close, self.drip, self.kept = half_close, drip, kept
        self.lasted = None
        self.start()

    def run(self):
        sock = send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n" if self.kept else b"")
        if self.kept:
            read_answers(sock)
        sock.sendall(LINE + HOST)
        begun = time.monotonic()
        if self.half_close:
            sock.shutdown(socket.SHUT_WR)
        closed = False
        while not closed and time.monotonic() < begun + 10 + 10 * SLOW:
            closed = read_answers(sock, first=1.0 / SLOW)[1]
            try:
                sock.sendall(self.drip) if self.drip else None
            except OSError:
                closed = True
        self.lasted = time.monotonic() - begun if closed else None
        sock.close()

    def result(self):
        self.join()
        assert self.lasted is not None, "still open after %d s" % (10 + 10 * SLOW)


UNFINISHED = {
    "headers that never end": Unfinished(False, b""),
    "headers that drip": Unfinished(False, b"X"),
    "end of input inside the headers": Unfinished(True, b""),
    "later headers that never end": Unfinished(False, b"", kept=True),
    "later headers that drip": Unfinished(False, b"X", kept=True),
}

# ---- framing ----
BOTH = b"0\r\n\r\n" + CANARY
FULL = HOST + KEY
case("length and chunked", FULL + length(len(BOTH)) + CHUNKED, BOTH)
case("chunked and length", FULL + CHUNKED + length(len(BOTH)), BOTH)
case("length and chunked, body by length", FULL + length(len(GOOD)) + CHUNKED, GOOD + CANARY)
for value in (b"gzip, chunked", b"xchunked", b"identity", b"\tchunked\t", b"chunked, identity", b"chunked, chunked",
              b"chunked;q=1", b'"chunked"', b"chunked\x0b", b"\x0cchunked", b"", b",chunked", b"chunked,"):
    # White space around a value is no part of it.
    fine = (400, 200) if value.strip(b"\t") == b"chunked" else (400,)
    case("transfer-encoding %r with length" % value, FULL + b"Transfer-Encoding: " + value + b"\r\n" + length(len(BOTH)), BOTH)
    case("transfer-encoding %r alone" % value, FULL + b"Transfer-Encoding: " + value + b"\r\n",
         chunks(GOOD) + (b"" if fine != (400,) else CANARY), fine)
for name in (b"Transfer-Encoding ", b"Transfer-Encoding\t", b" Transfer-Encoding", b"Transfer_Encoding", b"Transfer-Encoding\x00",
             b"Transfer-Encoding\x0b", b"transfer-encoding\xa0"):
    case("name %r with length" % name, FULL + name + b": chunked\r\n" + length(len(BOTH)), BOTH)
    case("name %r alone" % name, FULL + name + b": chunked\r\n", BOTH, (400,))
for name in (b"Content-Length ", b"Content_Length", b"Content-Length\x00", b"Content-Length\t"):
    case("name %r" % name, FULL + name + b": %d\r\n" % len(GOOD), GOOD + CANARY, (400,))
    case("name %r with chunked" % name, FULL + CHUNKED + name + b": %d\r\n" % len(GOOD), BOTH)
case("two transfer-encodings", FULL + CHUNKED * 2, BOTH)
case("two transfer-encodings, one identity", FULL + CHUNKED + b"Transfer-Encoding: identity\r\n", BOTH)
case("two lengths, the same", FULL + length(len(GOOD)) * 2, GOOD + CANARY)
case("two lengths, small first", FULL + length(len(GOOD)) + length(len(GOOD + CANARY)), GOOD + CANARY)
case("two lengths, large first", FULL + length(len(GOOD + CANARY)) + length(len(GOOD)), GOOD + CANARY)
for value in (b"+5", b"5, 5", b"0x5", b"5z", b"-5", b"", b"5 5", b"5;", b"1e1", b"\xb2", b"5.0", b"5_0"):
    case("content-length %r" % value, FULL + b"Content-Length: " + value + b"\r\n", b"12345" + CANARY)
for value in (2 ** 64 + 5, 2 ** 63, 2 ** 32 * 2 ** 32 + len(GOOD), 10 ** 40):
    case("content-length %d" % value, FULL + length(value), GOOD + CANARY, (400, 413))
for size in (b"0x5", b" 5", b"5 ", b"-5", b"+5", b"g", b"", b"5\x00", b"10000000000000005"):
    case("chunk size %r" % size, FULL + CHUNKED, size + b"\r\n12345\r\n0\r\n\r\n" + CANARY, (400, 413))
case("chunk without its CRLF", FULL + CHUNKED, b"5\r\n123450\r\n\r\n" + CANARY)
case("chunk longer than its size", FULL + CHUNKED, b"5\r\n1234567\r\n0\r\n\r\n" + CANARY)
case("line feed inside a chunk extension", FULL + CHUNKED, b"5;a\nb\r\n12345\r\n0\r\n\r\n" + CANARY)
case("HTTP/1.0 with chunked", FULL + CHUNKED, BOTH, line=b"POST /v1/messages HTTP/1.0\r\n")

# ---- folded lines ----
for fold in (b" ", b"\t", b"  \t "):
    case("folded transfer-encoding %r" % fold, FULL + length(len(BOTH)) + b"Transfer-Encoding:\r\n" + fold + b"chunked\r\n", BOTH)
    case("folded transfer-encoding %r alone" % fold, FULL + b"Transfer-Encoding:\r\n" + fold + b"chunked\r\n", BOTH, (400,))
    case("framing in a folded line %r" % fold, FULL + b"X-A: b\r\n" + fold + b"Transfer-Encoding: chunked\r\n" + length(len(BOTH)),
         BOTH)
    case("folded after the length %r" % fold, FULL + length(len(BOTH)) + fold + b"0\r\n", BOTH)
    case("folded content-length %r" % fold, FULL + b"Content-Length:\r\n" + fold + b"%d\r\n" % len(GOOD), GOOD + CANARY, (400,))
    case("folded host %r" % fold, KEY + b"Host: a\r\n" + fold + b"b\r\n" + length(len(BOTH)), BOTH)
    case("folded key %r" % fold, HOST + KEY + fold + b"b\r\n" + length(len(BOTH)), BOTH, (400, 401))
    case("folded first line %r" % fold, fold + b"X: y\r\n" + FULL + length(len(BOTH)), BOTH)
case("a folded line of no meaning, body intact", FULL + b"X-A: b\r\n c\r\n" + length(len(BOTH)), BOTH, closes=False)

# ---- headers ----
case("two hosts", HOST * 2 + KEY + length(len(BOTH)), BOTH)
case("two different hosts", HOST + b"Host: there\r\n" + KEY + length(len(BOTH)), BOTH)
case("no host", KEY + length(len(BOTH)), BOTH)
for byte in b"\x01\x02\x07\x08\x0b\x0c\x0e\x1b\x1f\x7f":
    case("control byte %#04x in a value" % byte, FULL + b"X-A: a%cb\r\n" % byte + length(len(BOTH)), BOTH)
for byte in b"\x01\x08\x0b\x1f\x7f \"(),/;<=>?@[\\]{}\x80\xff":
    case("byte %#04x in a name" % byte, FULL + b"X%cA: b\r\n" % byte + length(len(BOTH)), BOTH)
case("carriage return in a value", FULL + b"X-A: a\rb\r\n" + length(len(BOTH)), BOTH)
case("carriage return hides a header", FULL + b"X-A: a\rTransfer-Encoding: chunked\r\n" + length(len(BOTH)), BOTH)
case("no colon", FULL + b"nonsense\r\n" + length(len(BOTH)), BOTH)
case("no name", FULL + b": x\r\n" + length(len(BOTH)), BOTH, (400,))
case("NUL in a value", FULL + b"X-A: a\x00b\r\n" + length(len(BOTH)), BOTH, closes=False)
case("NUL hides a header", FULL + b"X-A: a\x00\r\nTransfer-Encoding: chunked\r\n" + length(len(BOTH)), BOTH)
AUTH = b"Authorization: Bearer " + way.key.encode() + b"\r\n"
case("two keys, the same", HOST + KEY * 2 + length(len(GOOD)), GOOD, (400,))
case("two keys, different", HOST + KEY + b"X-Api-Key: wf_" + b"A" * 43 + b"\r\n" + length(len(GOOD)), GOOD, (400,))
case("two authorizations", HOST + AUTH * 2 + length(len(GOOD)), GOOD, (400,))
case("both kinds, different keys", HOST + KEY + b"Authorization: Bearer wf_" + b"A" * 43 + b"\r\n" + length(len(GOOD)), GOOD,
     (401,), closes=False)


def blanks_around():
    """They are no part of a header's value (RFC 9110, 5.5); libmicrohttpd leaves those behind it there."""
    for line in (b"x-api-key:%s\r\n", b"x-api-key: \t%s \t\r\n", b"Authorization: Bearer %s  \r\n"):
        out = way.raw(LINE + HOST + b"Connection: close\r\n" + line % way.key.encode() + length(len(GOOD)) + b"\r\n" + GOOD)
        assert out.startswith(b"HTTP/1.1 200"), (line, out)


report.case("blanks around a key", blanks_around)
for name in (b"X_Api_Key", b"x-api_key", b"x_api-key"):
    case("name %r" % name, HOST + KEY + name + b": x\r\n" + length(len(GOOD)), GOOD)


def ignored_body(line, framing, body, status):
    """It is thrown away, and nothing that came behind is read."""
    before = calls("canary")
    sock = send(line + b" HTTP/1.1\r\n" + FULL + framing + b"\r\n" + body + CANARY)
    out, closed = read_answers(sock, 2.0)
    sock.close()
    assert closed and statuses(out) == [status] and b"\r\nconnection: close\r\n" in out.lower(), out[:500]
    if status == 405:
        assert b"\r\nallow: " in out.lower(), out[:500]
    alive()
    assert calls("canary") == before, "the canary was executed"


LARGE = b" " * 3000000
for line, status in ((b"GET /v1/models", 200), (b"HEAD /", 200), (b"GET /v1/nowhere", 404), (b"DELETE /v1/messages", 405),
                     (b"OPTIONS /v1/messages", 405), (b"GET /v1/messages", 405), (b"BREW /v1/models", 405)):
    for name, framing, body in (("a body", length(len(CANARY)), CANARY), ("a large body", length(len(LARGE)), LARGE),
                                ("a chunked body", CHUNKED, chunks(CANARY)), ("large chunks", CHUNKED, chunks(LARGE, 100000))):
        report.case("%s with %s" % (line.decode(), name), ignored_body, line, framing, body, status)
case("GET with a malformed chunk", FULL + CHUNKED, b"x\r\n" + CANARY, line=b"GET /v1/models HTTP/1.1\r\n")
for line in (b"POST /v1/messages\r\n", b"POST /v1/messages HTTP/2.0\r\n", b"POST /v1/messages HTTP/1.2\r\n",
             b"POST  /v1/messages HTTP/1.1\r\n", b"POST /v1/messages HTTP/1.1 x\r\n", b"POST /v1/mess ages HTTP/1.1\r\n",
             b"post /v1/messages HTTP/1.1\r\n", b"POST /v1/messages http/1.1\r\n", b" POST /v1/messages HTTP/1.1\r\n",
             b"POST /v1/messages\x00 HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", b"PRI * HTTP/2.0\r\n"):
    case("request line %r" % line, FULL + length(len(BOTH)), BOTH, (400, 404, 405, 505, None), line=line, closes=False)
for path in (b"/v1//messages", b"/v1/messages/", b"/v1/messages/../models", b"/V1/messages", b"/v1/messages%00", b"/v1/messages;x",
             b"//v1/messages"):
    case("path %r" % path, FULL + length(len(GOOD)), GOOD, (404, 405), line=b"POST " + path + b" HTTP/1.1\r\n", closes=False)

case("a line of NUL", FULL + length(0) + b"\x00\r\n" + length(len(BOTH)), BOTH)
case("a line that begins with NUL", FULL + length(0) + b"\x00X-A: b\r\n" + length(len(BOTH)), BOTH)
case("a line of NUL before the canary", FULL + length(0) + b"\x00\r\n" + CANARY, b"")
case("a line of NUL before a body", FULL + length(len(GOOD)) + b"\x00\r\n" + GOOD + CANARY, b"")
case("NUL behind a length", FULL + b"Content-Length: 0\x00\r\n", CANARY)
case("NUL before a length", FULL + b"Content-Length: \x000\r\n", CANARY)

# ---- bare line feeds: in the head refused; behind it taken for line ends, on both readings the body is one body ----
INSIDE = json.dumps({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": CANARY.decode()}]}).encode()
for name, data in {
    "in the head": (LINE + FULL + length(len(INSIDE))).replace(b"\r\n", b"\n") + b"\n" + INSIDE,
    "after one header": LINE + HOST + b"X-A: b\n" + KEY + length(len(INSIDE)) + b"\r\n" + INSIDE,
    "after the request line": LINE[:-2] + b"\n" + FULL + length(len(INSIDE)) + b"\r\n" + INSIDE,
    "after the last header": LINE + FULL + length(len(INSIDE))[:-2] + b"\n\r\n" + INSIDE,
    "as the empty line": LINE + FULL + length(len(INSIDE)) + b"\n" + INSIDE,
    "in chunk lines": LINE + FULL + CHUNKED + b"\r\n" + chunks(INSIDE).replace(b"\r\n", b"\n"),
}.items():
    report.case("bare line feed " + name, doubtful, data, (200,) if "chunk" in name else (400,), False)
report.case("bare line feed hides chunked from a length", doubtful,
            LINE + FULL + length(len(BOTH)) + b"X-A: b\nTransfer-Encoding: chunked\r\n\r\n" + BOTH, (400,))

# ---- limits ----
def block(size, lines=1):
    head = LINE + FULL + length(len(GOOD))
    filler = (size - len(head)) // lines
    return head + b"".join(b"X-%03d: %s\r\n" % (i, b"a" * (filler - 9)) for i in range(lines)) + b"\r\n" + GOOD


for size, lines, expect in ((30 * 1024, 1, (200,)), (30 * 1024, 60, (200,)), (33 * 1024, 1, (431,)), (33 * 1024, 60, (431,)),
                            (64 * 1024, 8, (431,)), (1024 * 1024, 100, (431,)), (8 * 1024, 300, (431,))):
    report.case("%d bytes of headers in %d lines" % (size, lines), doubtful, block(size, lines), expect, True)
report.case("a path of 40 KiB", doubtful, b"POST /" + b"a" * 40960 + b" HTTP/1.1\r\n" + FULL + length(len(GOOD)) + b"\r\n" + GOOD,
            (404, 414, 431), False)


# ---- what must work ----
def exchange(data, expect, quiet=0.4):
    before = calls()
    sock = send(data)
    out, _ = read_answers(sock, quiet, enough=len(expect))
    sock.close()
    got = [s for s in statuses(out) if s != 100]
    assert got == expect, (got, out[:300])
    assert calls() - before == expect.count(200), calls() - before
    return out


PLAIN = LINE + FULL + length(len(GOOD)) + b"\r\n" + GOOD
report.case("five in a row on one connection", exchange, PLAIN * 5, [200] * 5)
report.case("lengths and chunks in a row", exchange, (PLAIN + LINE + FULL + CHUNKED + b"\r\n" + chunks(GOOD, 7)) * 2, [200] * 4)
report.case("a refused one in a row", exchange,
            PLAIN + LINE + FULL + length(2) + b"\r\n{}" + PLAIN, [200, 400, 200])


def no_framing():
    """Neither a length nor chunks: a body of length zero (RFC 9112, 6.3), so that the path and the method decide."""
    out = exchange(b"".join(line + b" HTTP/1.1\r\n" + FULL + b"\r\n" for line in (
        b"POST /v1/messages", b"POST /v1/nowhere", b"PUT /v1/messages", b"PATCH /v1/models")) + PLAIN, [400, 404, 405, 405, 200])
    assert re.findall(rb"(?i)^allow: (.*)\r$", out, re.M) == [b"POST", b"GET, HEAD"], out


def admin(data, expect):
    host, port = way.admin.rsplit(":", 1)
    sock = socket.create_connection((host, int(port)), timeout=20 * SLOW)
    sock.sendall(data)
    out, closed = read_answers(sock, enough=len(expect))
    sock.close()
    assert statuses(out) == expect, out[:500]
    return out, closed


ADMIN = b"Host: " + way.admin.encode() + b"\r\nAuthorization: Bearer admin-token-for-tests\r\n"


def admin_no_framing():
    key = json.loads(way.cli("key", "create", "--team", "t", "--json"))["id"].encode()
    lines = (b"POST /admin/v1/keys/%s/rotate" % key, b"POST /admin/v1/replay", b"GET /admin/v1/teams", b"POST /admin/v1/nowhere")
    out, _ = admin(b"".join(line + b" HTTP/1.1\r\n" + ADMIN + b"\r\n" for line in lines), [200, 200, 200, 404])
    assert b'"key":"wf_' in out.replace(b" ", b""), out


def admin_ignored_body():
    small = b"Content-Length: 2\r\n\r\n{}"
    for line, framing, status in ((b"GET /admin/v1/teams", small, 200), (b"GET /", small, 200), (b"DELETE /admin/v1/teams", small, 405),
                                  (b"GET /admin/v1/nowhere", small, 404), (b"GET /admin/v1/teams", CHUNKED + b"\r\n2\r\n{}\r\n0\r\n\r\n", 200),
                                  (b"GET /admin/v1/teams", length(10 ** 9) + b"\r\n", 200)):
        again = b"GET /admin/v1/teams HTTP/1.1\r\n" + ADMIN + b"\r\n"
        out, closed = admin(line + b" HTTP/1.1\r\n" + ADMIN + framing + again, [status])
        assert closed and b"\r\nconnection: close\r\n" in out.lower(), (line, out)


report.case("an ignored body on the admin listener", admin_ignored_body)
report.case("no framing: an empty body", no_framing)
report.case("no framing on the admin listener", admin_no_framing)
report.case("an empty line before a request", exchange, b"\r\n" + PLAIN, [200])
for value in (b"chunked", b"Chunked", b"CHUNKED"):
    report.case("transfer-encoding: " + value.decode(), exchange,
                LINE + FULL + b"Transfer-Encoding: " + value + b"\r\n\r\n" + chunks(GOOD, 11), [200])
report.case("chunk extensions, leading zeros, trailers", exchange, LINE + FULL + CHUNKED + b"\r\n" +
            b"000%X;a=b;c\r\n" % len(GOOD) + GOOD + b"\r\n0;x\r\nX-Trailer: y\r\n\r\n", [200])
report.case("upgrade to h2c is ignored", exchange, LINE + FULL + length(len(GOOD)) +
            b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n" + GOOD, [200])


def cut_anywhere(head, payload):
    for at in range(len(payload) + 1):
        sock = send(head + payload[:at])
        time.sleep(0.003)
        sock.sendall(payload[at:])
        out, _ = read_answers(sock, quiet=0)
        sock.close()
        assert out.startswith(b"HTTP/1.1 200"), (at, out[:200])


report.case("chunks cut at every byte", cut_anywhere, LINE + FULL + CHUNKED + b"\r\n", chunks(GOOD, 9))
report.case("headers cut at every byte", cut_anywhere, b"", LINE + FULL + length(len(GOOD)) + b"\r\n" + GOOD)


def left_anywhere(head, payload):
    before = calls()
    for at in range(len(payload)):
        send(head + payload[:at]).close()
    time.sleep(0.3 * SLOW)
    assert calls() == before, "%d calls for requests that were not whole" % (calls() - before)
    alive()


report.case("client leaves at every byte of its chunks", left_anywhere, LINE + FULL + CHUNKED + b"\r\n", chunks(GOOD, 9))
report.case("client leaves at every byte of its body", left_anywhere, LINE + FULL + length(len(GOOD)) + b"\r\n", GOOD)


def byte_by_byte():
    sock = send(b"")
    for byte in LINE + FULL + CHUNKED + b"\r\n" + chunks(GOOD, 3):
        sock.sendall(bytes([byte]))
    out, _ = read_answers(sock)
    assert statuses(out) == [200], out[:200]


report.case("byte by byte", byte_by_byte)


def slow_body():
    sock = send(LINE + FULL + length(len(GOOD)) + b"\r\n")
    for i in range(0, len(GOOD), 6):
        time.sleep(0.2)
        sock.sendall(GOOD[i:i + 6])
    out, _ = read_answers(sock)
    assert statuses(out) == [200], out[:200]


report.case("slow body", slow_body)


def expect_continue(key, final):
    sock = send(LINE + HOST + key + length(len(GOOD)) + b"Expect: 100-continue\r\n\r\n")
    out, _ = read_answers(sock, quiet=0)
    if final == 200:
        assert out == b"HTTP/1.1 100 Continue\r\n\r\n", out
    sock.sendall(GOOD)
    if not out.startswith(b"HTTP/1.1 4"):
        out, _ = read_answers(sock)
    assert [s for s in statuses(out) if s != 100] == [final], out[:200]


report.case("expect: 100-continue", expect_continue, KEY, 200)
report.case("expect: 100-continue, unknown key", expect_continue, b"x-api-key: wf_x\r\n", 401)


def head_request(path, status):
    sock = send(b"HEAD " + path + b" HTTP/1.1\r\n" + FULL + b"Connection: close\r\n\r\n")
    out, closed = read_answers(sock)
    head, _, rest = out.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d" % status) and rest == b"" and closed, out[:300]


report.case("HEAD /", head_request, b"/", 200)
report.case("HEAD of an unknown path", head_request, b"/api/hello", 404)


def old_client(stream):
    payload = body_of("m", stream=stream)
    sock = send(b"POST /v1/messages HTTP/1.0\r\n" + KEY + length(len(payload)) + b"\r\n" + payload)
    out, closed = read_answers(sock, quiet=5)
    head, _, rest = out.partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == b"200" and closed, out[:300]
    assert b"transfer-encoding" not in head.lower(), head
    if stream:
        assert rest.endswith(b'{"type":"message_stop"}\n\n'), rest[-200:]
    else:
        assert json.loads(rest)["type"] == "message"


report.case("HTTP/1.0", old_client, False)
report.case("HTTP/1.0 stream", old_client, True)


def old_keep_alive():
    data = b"POST /v1/messages HTTP/1.0\r\nConnection: keep-alive\r\n" + KEY + length(len(GOOD)) + b"\r\n" + GOOD
    sock = send(data)
    out, closed = read_answers(sock)
    assert statuses(out) == [200] and (closed or b"keep-alive" in out.lower()), out[:300]


report.case("HTTP/1.0 keep-alive", old_keep_alive)


for name, sender in UNFINISHED.items():
    report.case(name, sender.result)
report.case("the canary can be seen where it is meant", lambda: (
    exchange(PLAIN, [200]), read_answers(send(CANARY)), wait_for("the canary", lambda: calls("canary") == 1)))
report.case("ledger", way.verify)
report.end()
