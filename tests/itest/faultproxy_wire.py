#!/usr/bin/env python3
"""The fault proxy itself: what each fault puts on the wire, byte by byte, and that a seed repeats it.
The provider here is a socket that always says the same; the client is a socket that writes down
what comes and how it ends."""

import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib

import faultproxy
from faultproxy import KINDS, FaultProxy, Remote, fault, faults_of_text
from harness import SLOW, Process, Report, wait_for

EVENTS = [b'event: message_start\ndata: {"type":"message_start"}\n\n',
          b'event: content_block_delta\ndata: {"type":"content_block_delta","n":1}\n\n',
          b'event: content_block_delta\ndata: {"type":"content_block_delta","n":2}\n\n',
          b'event: message_delta\ndata: {"type":"message_delta"}\n\n',
          b'event: message_stop\ndata: {"type":"message_stop"}\n\n']
PLAIN = b'{"type":"message"}'
TRIED = set()  # kinds that a case has looked at: all of them must be


def aws_frame(payload):
    """As docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html, without headers."""
    prelude = struct.pack(">II", 16 + len(payload), 0)
    data = prelude + struct.pack(">I", zlib.crc32(prelude)) + payload
    return data + struct.pack(">I", zlib.crc32(data))


FRAMES = [aws_frame(b'{"n":%d}' % i) for i in range(4)]


def chunked(pieces):
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


def head_of(content_type, framing):
    return b"HTTP/1.1 200 OK\r\ncontent-type: " + content_type + b"\r\n" + framing + b"\r\n\r\n"


STREAM_HEAD = head_of(b"text/event-stream", b"transfer-encoding: chunked")
AWS_HEAD = head_of(b"application/vnd.amazon.eventstream", b"transfer-encoding: chunked")
PLAIN_HEAD = head_of(b"application/json", b"content-length: %d" % len(PLAIN))


class Provider:
    """By path: /v1/messages streams EVENTS (in chunks that are no events), /plain a body, /aws FRAMES."""

    def __init__(self):
        self.requests = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            sock, _ = self.listener.accept()
            threading.Thread(target=self.answer, args=(sock,), daemon=True).start()

    def answer(self, sock):
        data = b""
        while b"\r\n\r\n" not in data or not data.endswith(b"}"):
            data += sock.recv(65536)
        self.requests.append(data)
        path = data.split(b" ")[1]
        if path == b"/plain":
            sock.sendall(PLAIN_HEAD + PLAIN)
        else:
            head, whole = (AWS_HEAD, b"".join(FRAMES)) if path == b"/aws" else (STREAM_HEAD, b"".join(EVENTS))
            sock.sendall(head + chunked([whole[i:i + 37] for i in range(0, len(whole), 37)]))
        sock.close()


class Client:
    def __init__(self, url):
        host, port = url.split("//")[1].split(":")
        self.sock = socket.create_connection((host, int(port)), timeout=20 * SLOW)
        self.data, self.pieces, self.times, self.ended = b"", [], [], None

    def send(self, path="/v1/messages", text="", request_id="att_1"):
        body = json.dumps({"text": text}).encode()
        self.sock.sendall(b"POST %s HTTP/1.1\r\nhost: x\r\nx-request-id: %s\r\ncontent-length: %d\r\n\r\n"
                          % (path.encode(), request_id.encode(), len(body)) + body)
        self.data, self.pieces, self.times = b"", [], []
        return self

    def read(self, until=None, seconds=None):
        """Until these bytes have come, or an end."""
        if seconds is not None:
            self.sock.settimeout(seconds)
        try:
            while until is None or not self.data.endswith(until):
                piece = self.sock.recv(65536)
                if not piece:
                    self.ended = "fin"
                    break
                self.data += piece
                self.pieces.append(len(piece))
                self.times.append(time.monotonic())
        except ConnectionResetError:
            self.ended = "rst"
        except socket.timeout:
            self.ended = "silence"
        return self

    def body(self):
        return self.data.partition(b"\r\n\r\n")[2]


provider = Provider()
proxy = FaultProxy({"p": provider.url}, seed=5)
report = Report()


def ask(*faults, path="/v1/messages", until=None, text="", **reading):
    TRIED.update(f["kind"] for f in faults)
    proxy.set("p", *faults)
    client = Client(proxy.url["p"]).send(path, text)
    if until is None and not faults:
        until = b"0\r\n\r\n"
    return client.read(until, **reading)


def last():
    """The record of the last request, once it has ended."""
    return wait_for("the record", lambda: [r for r in proxy.seen("p")[-1:] if r["ended"] is not None])[0]


def nothing():
    before = len(provider.requests)
    client = ask(until=b"0\r\n\r\n")
    assert client.data == STREAM_HEAD + chunked(EVENTS), client.data
    assert ask(path="/aws", until=b"0\r\n\r\n").data == AWS_HEAD + chunked(FRAMES)
    client = ask(path="/plain", until=PLAIN)
    assert client.data == PLAIN_HEAD + PLAIN and client.ended is None
    assert client.send("/plain").read(PLAIN).data == PLAIN_HEAD + PLAIN  # kept
    assert len(provider.requests) == before + 4
    record = last()
    assert (record["status"], record["ended"], record["whole"], record["id"]) == (200, "complete", True, "att_1"), record


def accept_rst():
    kept = ask(until=b"0\r\n\r\n")
    before = len(provider.requests)
    client = Client(proxy.url["p"])
    proxy.set("p", fault("accept_rst"))
    TRIED.add("accept_rst")
    assert kept.send().read().ended == "rst" and kept.data == b""  # a kept connection too
    client = Client(proxy.url["p"]).read()
    assert client.ended == "rst" and client.data == b"", client.ended
    assert len(provider.requests) == before


def refuse():
    kept = ask(until=b"0\r\n\r\n")
    proxy.refuse("p")
    assert kept.read().ended in ("fin", "rst")
    for _ in range(3):
        try:
            Client(proxy.url["p"])
            raise AssertionError("accepted")
        except ConnectionRefusedError:
            pass
    proxy.refuse("p", False)
    assert ask(until=b"0\r\n\r\n").data == STREAM_HEAD + chunked(EVENTS)


def blackhole():
    before = len(provider.requests)
    client = ask(fault("blackhole"), seconds=0.3)
    assert client.ended == "silence" and client.data == b"" and len(provider.requests) == before
    client.sock.close()
    assert last()["ended"] == "client_gone" and last()["faults"] == ["blackhole"], last()


def status():
    for code, after in ((429, 7), (429, None), (529, None), (500, None)):
        before = len(provider.requests)
        client = ask(fault("status", code=code, retry_after=after), until=b"}}")
        head, _, body = client.data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % code) and (b"retry-after: 7" in head) == (after == 7), head
        assert b"retry-after" not in head or after == 7
        assert json.loads(body)["type"] == "error" and len(provider.requests) == before
        assert (b"content-length: %d\r\n" % len(body)) in head + b"\r\n"
        assert client.send().read(b"}}").data.startswith(b"HTTP/1.1 %d " % code)  # it is kept
    assert b'"overloaded_error"' in ask(fault("status", code=529), until=b"}}").data
    assert b'"rate_limit_error"' in ask(fault("status", code=429), path="/v1/chat/completions", until=b"}}").data


def cut():
    whole = STREAM_HEAD + chunked(EVENTS)
    for how in ("fin", "rst"):
        for n in (0, 1, len(STREAM_HEAD), len(STREAM_HEAD) + 3, len(whole) - 1, len(whole)):
            client = ask(fault("cut", bytes=n, how=how))
            assert client.data == whole[:n] and client.ended == how, (n, how, client.ended, client.data)
        for k in range(len(EVENTS) + 1):
            client = ask(fault("cut", events=k, how=how))
            assert client.data == STREAM_HEAD + chunked(EVENTS[:k])[:-5] and client.ended == how, (k, client.data)
            assert last()["events"] == k and last()["ended"] == how, last()
    assert ask(fault("cut", events=2), path="/aws").data == AWS_HEAD + chunked(FRAMES[:2])[:-5]
    assert ask(fault("cut", bytes=len(whole) + 9), until=b"0\r\n\r\n").ended is None  # never reached


def half_close():
    client = ask(fault("half_close", events=2))
    assert client.data == STREAM_HEAD + chunked(EVENTS[:2])[:-5] and client.ended == "fin"
    for _ in range(3):
        client.sock.sendall(b"still read")
    assert proxy.seen("p")[-1]["ended"] is None
    client.sock.close()
    assert last()["ended"] == "half_close"


def cut_chunk():
    for how in ("fin", "rst"):
        client = ask(fault("cut_chunk", events=1, how=how))
        half = EVENTS[1][:len(EVENTS[1]) // 2]
        assert client.data == STREAM_HEAD + chunked(EVENTS[:1])[:-5] + b"%x\r\n" % len(EVENTS[1]) + half, client.data
        assert client.ended == how


def corrupt_chunk():
    n = len(EVENTS[2])
    for how, size in (("letters", b"zz"), ("long", b"%x" % (n + 7)), ("short", b"%x" % (n - 7))):
        client = ask(fault("corrupt_chunk", events=2, how=how), until=b"0\r\n\r\n")
        want = STREAM_HEAD + chunked(EVENTS[:2])[:-5] + size + b"\r\n" + EVENTS[2] + b"\r\n" + chunked(EVENTS[3:])
        assert client.data == want, client.data


def slices():
    client = ask(fault("slice", bytes=1, pause_ms=1), until=b"0\r\n\r\n")
    whole = STREAM_HEAD + chunked(EVENTS)
    assert client.data == whole and last()["writes"] == len(whole), last()
    assert statistics.median(client.pieces) <= 8 * SLOW, client.pieces
    assert ask(fault("slice", bytes=7), path="/plain", until=PLAIN).data == PLAIN_HEAD + PLAIN


def slow_ones():
    began = time.monotonic()
    assert ask(fault("latency", ms=150), until=b"0\r\n\r\n").data == STREAM_HEAD + chunked(EVENTS)
    assert time.monotonic() - began >= 0.15
    whole = len(STREAM_HEAD + chunked(EVENTS))
    began = time.monotonic()
    assert len(ask(fault("bandwidth", bytes_per_s=whole * 4), until=b"0\r\n\r\n").data) == whole
    assert time.monotonic() - began >= 0.2
    n = len(STREAM_HEAD) + 20
    client = ask(fault("delay_at", bytes=n, ms=1000), until=b"0\r\n\r\n")
    assert client.pieces[0] <= n and client.times[-1] - client.times[0] >= 0.75 and len(client.data) == whole


def huge_header():
    client = ask(fault("huge_header", bytes=70000), until=b"0\r\n\r\n")
    assert b"x-huge: " + b"h" * 70000 + b"\r\n\r\n" in client.data and client.body() == chunked(EVENTS)


def the_stream(*faults, events):
    client = ask(*faults, until=b"0\r\n\r\n")
    assert client.data == STREAM_HEAD + chunked(events), (faults, client.data)


def other_streams():
    e = EVENTS
    the_stream(fault("duplicate", event=0), events=[e[0]] + e)
    the_stream(fault("duplicate", event=4), events=e + [e[4]])
    the_stream(fault("drop", name="message_delta"), events=e[:3] + e[4:])
    the_stream(fault("drop", name="content_block_delta"), events=[e[0]] + e[3:])
    the_stream(fault("drop", event=-1), events=e[:-1])
    the_stream(fault("drop", event=1), events=[e[0]] + e[2:])
    the_stream(fault("swap", event=0), events=[e[1], e[0]] + e[2:])
    the_stream(fault("swap", event=3), events=e[:3] + [e[4], e[3]])
    the_stream(fault("swap", event=4), events=e)  # there is none after it
    for k in (1, 3):
        the_stream(fault("error_event", events=k), events=e[:k] + [faultproxy.error_event("/v1/messages")])
    the_stream(fault("duplicate", event=1), fault("drop", event=-1), events=[e[0], e[1], e[1], e[2], e[3]])


def idle_close():
    for how in ("fin", "rst"):
        client = ask(fault("idle_close", ms=30, how=how), until=b"0\r\n\r\n")
        assert client.data.endswith(b"0\r\n\r\n")
        assert client.read().ended == how, client.ended
    before = len(provider.requests)
    client = ask(fault("idle_close", how="race"), until=b"0\r\n\r\n")
    assert client.send().read().ended == "rst" and client.data == b""
    assert len(provider.requests) == before + 1
    client = ask(fault("idle_close", ms=60000, how="fin"), until=b"0\r\n\r\n")
    assert client.send().read(b"0\r\n\r\n").data == STREAM_HEAD + chunked(EVENTS)  # not idle for so long


def in_the_text():
    assert faults_of_text("cut,events=3;slice") == [fault("cut", events=3), fault("slice")]
    assert faults_of_text("cut,bytes=5-9,how=rst") == [fault("cut", bytes=(5, 9), how="rst")]
    client = ask(text="one [[fault:cut,events=2,how=rst]] two", until=b"0\r\n\r\n")
    assert client.data == STREAM_HEAD + chunked(EVENTS[:2])[:-5] and client.ended == "rst", client.data
    for bad in ("nothing", "cut,colour=3"):
        try:
            faults_of_text(bad)
        except (KeyError, ValueError):
            continue
        raise AssertionError(bad)


def run_of(seed):
    """What 60 requests meet: [(faults, bytes)]."""
    other = FaultProxy({"p": provider.url}, seed=seed)
    other.set("p", fault("status", code=500, share=0.3), fault("cut", bytes=(0, 300), how="fin", share=0.3))
    for i in range(60):
        client = Client(other.url["p"]).send()
        wait_for("its end", lambda: len(other.seen("p")) > i and other.seen("p")[i]["ended"])
        client.sock.close()
    wait_for("the records", lambda: all(r["ended"] for r in other.seen("p")))
    seen = [(r["faults"], r["bytes"]) for r in other.seen("p")]
    other.stop()
    return seen


def seeds():
    first = run_of(1)
    assert len(first) == 60 and first == run_of(1) and first != run_of(2)
    failed = sum("status" in f for f, _ in first)
    assert 6 <= failed <= 32, failed
    assert len({n for f, n in first if f == ["cut"]}) > 3, first  # drawn bytes differ
    proxy.set("p", fault("status", code=500, times=2))
    answers = [Client(proxy.url["p"]).send("/plain").read(b"}").data[9:12] for _ in range(4)]
    assert answers == [b"500", b"500", b"200", b"200"], answers


def program():
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "control")
        child = Process([sys.executable, faultproxy.__file__, "--seed", "3", "--control", path, "p=" + provider.url],
                        stderr=subprocess.DEVNULL)
        url = "http://" + child.read_address("listening on ")
        control = Remote(path)
        assert Client(url).send().read(b"0\r\n\r\n").data == STREAM_HEAD + chunked(EVENTS)
        assert control.ask(lane="p", faults=[{"kind": "status", "code": 529}]) == {"ok": True}
        assert Client(url).send().read(b"}}").data.startswith(b"HTTP/1.1 529 ")
        records = []

        def both():
            records.extend(control.ask(log=True)["log"])  # those that have ended, each once
            return len(records) >= 2

        wait_for("the records", both)
        assert [r["status"] for r in records] == [200, 529], records
        assert control.ask(log=True)["log"] == []
        control.ask(lane="p", refuse=True)
        try:
            Client(url)
            raise AssertionError("accepted")
        except ConnectionRefusedError:
            pass
        assert control.ask(counts=True)["p"]["requests"] == 2
        for bad in ({"lane": "q", "faults": []}, {"lane": "p", "faults": [{"kind": "none"}]}):
            try:
                control.ask(**bad)
            except RuntimeError:
                continue
            raise AssertionError(bad)
        child.stop()


CASES = [("nothing is changed without faults", nothing), ("accept, then RST", accept_rst), ("refuse", refuse),
         ("blackhole", blackhole), ("error statuses", status), ("cut at bytes and events", cut), ("half-close", half_close),
         ("cut in a chunk", cut_chunk), ("corrupt chunk size", corrupt_chunk), ("slices", slices),
         ("latency, bandwidth, delay at a byte", slow_ones), ("huge header", huge_header),
         ("duplicated, dropped, swapped, error event", other_streams), ("idle connections", idle_close),
         ("faults in the text", in_the_text), ("the same seed, the same faults", seeds), ("as a program", program)]
for name, case in CASES:
    report.case(name, case)


def all_tried():
    assert TRIED == set(KINDS), set(KINDS) ^ TRIED


report.case("every kind was tried", all_tried)
proxy.stop()
report.end()
