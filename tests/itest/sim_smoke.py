#!/usr/bin/env python3
"""Starts wayfare-sim and checks its main behaviours over plain sockets.

usage: sim_smoke.py [PATH-OF-WAYFARE-SIM]   (default: WAYFARE_SIM, else ./wayfare-sim)
Prints "ok NAME" or "not ok NAME" per check and a last line of totals."""
import base64
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

SIM = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("WAYFARE_SIM", "./wayfare-sim")
SHARED = os.environ.get(
    "WAYFARE_SHARED", str(pathlib.Path(__file__).resolve().parents[3] / "shared"))
SLOW = float(os.environ.get("WAYFARE_TEST_SLOW", "1"))  # sanitizers: longer waits
checks = []


def check(function):
    checks.append(function)
    return function


class Skip(Exception):
    pass


class Sim:
    """A running simulator."""

    def __init__(self, *args, listeners=("127.0.0.1:0=alpha",)):
        command = [SIM]
        for listener in listeners:
            command += ["--listen", listener]
        self.process = subprocess.Popen(command + list(args), stdout=subprocess.PIPE, text=True)
        self.ports = []
        for _ in listeners:
            line = self.process.stdout.readline()
            assert line.startswith("listening on http://127.0.0.1:"), line
            self.ports.append(int(line.rsplit(":", 1)[1]))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10 * SLOW)


class Answer:
    def __init__(self):
        self.status = 0
        self.headers = {}
        self.body = b""
        self.end = ""  # "complete", "closed", "reset", "timeout"
        self.pieces = []  # (time, bytes of the wire)
        self.time = 0.0

    def json(self):
        return json.loads(self.body)

    def events(self):
        return parse_events(self.body)


def parse_events(body):
    found = []
    for block in body.decode().replace("\r\n", "\n").split("\n\n")[:-1]:
        lines = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((lines["event"], json.loads(lines["data"])))
    return found


def decode_chunks(data):
    """The decoded bytes and whether the end was there."""
    out, at = b"", 0
    while True:
        line_end = data.find(b"\r\n", at)
        if line_end < 0:
            return out, False
        size = int(data[at:line_end], 16)
        piece = data[line_end + 2 : line_end + 2 + size]
        out += piece
        if len(piece) < size:
            return out, False
        if size == 0:
            return out, data[line_end + 2 : line_end + 4] == b"\r\n"
        at = line_end + 2 + size + 2


def receive(sock, timeout=5.0 * SLOW, head_only=False):
    """Reads one answer from a connection."""
    answer, data, start = Answer(), b"", time.monotonic()
    while True:
        head, blank, rest = data.partition(b"\r\n\r\n")
        if blank:
            lines = head.decode().split("\r\n")
            answer.status = int(lines[0].split()[1])
            answer.headers = {}
            for line in lines[1:]:
                name, value = line.split(": ", 1)
                answer.headers[name.lower()] = value
            if "transfer-encoding" in answer.headers:
                whole = rest.endswith(b"0\r\n\r\n") and decode_chunks(rest)[1]
            else:
                length = int(answer.headers.get("content-length", -1))
                answer.body, whole = rest, len(rest) == length
            if whole or (head_only and blank):
                answer.end = "complete"
                break
        left = start + timeout - time.monotonic()
        try:
            if left <= 0:
                raise socket.timeout
            sock.settimeout(left)
            piece = sock.recv(1 << 20)
        except socket.timeout:
            answer.end = "timeout"
            break
        except ConnectionResetError:
            answer.end = "reset"
            break
        if not piece:
            answer.end = "closed"
            break
        answer.pieces.append((time.monotonic() - start, piece))
        data += piece
    answer.time = time.monotonic() - start
    if "transfer-encoding" in answer.headers:
        answer.body = decode_chunks(rest)[0]
    return answer


def connect(sim, index=0):
    sock = socket.create_connection(("127.0.0.1", sim.ports[index]))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def request_bytes(body, path="/v1/messages", method="POST", headers=()):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "host: sim", "anthropic-version: 2023-06-01"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines += [f"content-length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def ask(sim, body, path="/v1/messages", method="POST", headers=(), index=0, timeout=5.0 * SLOW):
    with connect(sim, index) as sock:
        sock.sendall(request_bytes(body, path, method, headers))
        return receive(sock, timeout)


def message(model="m", stream=False, text="hi", **more):
    body = {"model": model, "max_tokens": 4096, "messages": [{"role": "user", "content": text}]}
    if stream:
        body["stream"] = True
    body.update(more)
    return body


def equal(a, b):
    assert a == b, f"{a!r} is not {b!r}"


def text_of_events(events):
    return "".join(
        data["delta"].get("text", "") for name, data in events if name == "content_block_delta"
    )


@check
def json_message(sim):
    answer = ask(sim, message("m?output_tokens=7&input_tokens=11&cache_read=3"))
    equal(answer.status, 200)
    equal(answer.headers["content-type"], "application/json")
    assert answer.headers["request-id"].startswith("req_")
    body = answer.json()
    equal((body["type"], body["role"], body["model"]), ("message", "assistant", "m"))
    equal(body["stop_reason"], "end_turn")
    usage = body["usage"]
    equal((usage["input_tokens"], usage["output_tokens"]), (11, 7))
    equal(usage["cache_read_input_tokens"], 3)


@check
def stream_has_the_same_text(sim):
    plain = ask(sim, message(text="one")).json()["content"][0]["text"]
    answer = ask(sim, message(stream=True, text="one"))
    equal(answer.headers["content-type"], "text/event-stream; charset=utf-8")
    events = answer.events()
    equal(text_of_events(events), plain)
    names = [name for name, _ in events]
    equal(names[0], "message_start")
    equal(names[-2:], ["message_delta", "message_stop"])
    assert all(data["type"] == name for name, data in events)
    equal(events[-2][1]["usage"]["output_tokens"], 32)


@check
def scripted_text(sim):
    text = 'Grüße, "quoted" & 50% 🐚'
    script = "text=" + text.replace("%", "%25").replace("&", "%26") + "&event_tokens=1"
    equal(ask(sim, message("m?" + script)).json()["content"][0]["text"], text)
    equal(text_of_events(ask(sim, message("m?" + script, True)).events()), text)


@check
def max_tokens_limits(sim):
    body = ask(sim, message(max_tokens=3)).json()
    equal((body["stop_reason"], body["usage"]["output_tokens"]), ("max_tokens", 3))
    body = ask(sim, message(max_tokens=0)).json()
    equal((body["content"], body["usage"]["output_tokens"]), ([], 0))


TOOLS = [
    {
        "name": "get_weather",
        "input_schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"},
                           "unit": {"enum": ["C", "F"]}, "ärea": {"type": "array"}},
        },
    }
]


@check
def tool_use(sim):
    body = ask(sim, message(tools=TOOLS, tool_choice={"type": "any"})).json()
    equal(body["stop_reason"], "tool_use")
    call = body["content"][-1]
    equal((call["type"], call["name"]), ("tool_use", "get_weather"))
    equal(call["input"], {"city": "an example", "days": 42, "unit": "C", "ärea": []})
    events = ask(
        sim, message("m?event_tokens=1", True, tools=TOOLS,
                     tool_choice={"type": "tool", "name": "get_weather"})
    ).events()
    parts = [d["delta"]["partial_json"] for n, d in events
             if n == "content_block_delta" and d["delta"]["type"] == "input_json_delta"]
    assert len(parts) > 5
    equal(json.loads("".join(parts)), call["input"])
    equal(ask(sim, message(tools=TOOLS)).json()["stop_reason"], "end_turn")


@check
def thinking_block(sim):
    body = ask(sim, message(thinking={"type": "enabled", "budget_tokens": 1024})).json()
    equal([b["type"] for b in body["content"]], ["thinking", "text"])
    assert body["content"][0]["signature"]
    events = ask(sim, message(stream=True, thinking={"type": "adaptive"})).events()
    kinds = [d["delta"]["type"] for n, d in events if n == "content_block_delta"]
    assert "thinking_delta" in kinds and "signature_delta" in kinds


@check
def usage_variants(sim):
    body = ask(sim, message("m?web_searches=2&iterations=1&iteration_model=other")).json()
    equal(body["usage"]["server_tool_use"]["web_search_requests"], 2)
    equal(body["usage"]["iterations"][1]["model"], "other")
    assert "usage" not in ask(sim, message("m?no_usage=1")).json()
    events = ask(sim, message("m?usage_in_delta=0", True)).events()
    equal(list(events[-2][1]["usage"]), ["output_tokens"])
    equal(ask(sim, message("m?stop_reason=refusal")).json()["stop_reason"], "refusal")


@check
def prompt_cache(sim):
    def turn(*texts):
        blocks = [{"type": "text", "text": text} for text in texts]
        blocks[-1]["cache_control"] = {"type": "ephemeral"}
        system = [{"type": "text", "text": "s" * 4000, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
        body = message("cached", system=system)
        body["messages"][0]["content"] = blocks
        return ask(sim, body).json()["usage"]

    first = turn("a" * 2000)
    equal(first["cache_read_input_tokens"], 0)
    assert first["cache_creation"]["ephemeral_1h_input_tokens"] > 900
    assert first["cache_creation"]["ephemeral_5m_input_tokens"] > 400
    second = turn("a" * 2000, "b" * 400)
    assert second["cache_read_input_tokens"] > 1400, second
    equal(second["cache_creation"]["ephemeral_1h_input_tokens"], 0)
    assert second["cache_creation"]["ephemeral_5m_input_tokens"] > 50


@check
def count_tokens(sim):
    body = message()
    equal(ask(sim, body, "/v1/messages/count_tokens").json(),
          {"input_tokens": (len(json.dumps(body)) + 3) // 4})
    equal(ask(sim, message("m?count_status=404"), "/v1/messages/count_tokens").status, 404)
    equal(ask(sim, message("m?count_status=404")).status, 200)


@check
def other_paths(sim):
    models = ask(sim, b"", "/v1/models?limit=1000", "GET").json()
    equal(models["last_id"], models["data"][-1]["id"])
    equal(ask(sim, b"", "/v1/models/claude-x", "GET").json()["id"], "claude-x")
    equal(ask(sim, b"", "/", "GET").status, 200)
    with connect(sim) as sock:
        sock.sendall(request_bytes(b"", "/", "HEAD") + request_bytes(b"", "/", "GET"))
        equal(receive(sock).status, 200)
    equal(ask(sim, b"", "/nothing", "GET").json()["error"]["type"], "not_found_error")
    equal(ask(sim, b"", "/v1/messages", "GET").status, 405)
    equal(ask(sim, message(), "/some/prefix/v1/messages?beta=true").status, 200)


@check
def refusals(sim):
    equal(ask(sim, b'{"model":').status, 400)
    equal(ask(sim, b"[]").status, 400)
    equal(ask(sim, {"messages": []}).status, 400)
    equal(ask(sim, {"model": "m", "messages": []}).status, 400)
    answer = ask(sim, message(provider_order=["a"]))
    equal(answer.status, 400)
    equal(answer.json()["error"]["message"], "provider_order: Extra inputs are not permitted")
    equal(ask(sim, message("m?lenient=1", provider_order=["a"])).status, 200)
    equal(ask(sim, message("m?nonsense=1")).status, 400)
    for model, status in (("m", 200), ("m?require_version=1", 400)):
        with connect(sim) as sock:
            body = json.dumps(message(model)).encode()
            sock.sendall(b"POST /v1/messages HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            equal(receive(sock).status, status)


@check
def require_key(sim):
    body = message("m?require_key=secret-1")
    equal(ask(sim, body).status, 401)
    equal(ask(sim, body, headers=[("x-api-key", "secret-1")]).status, 200)
    equal(ask(sim, body, headers=[("Authorization", "bearer secret-1")]).status, 200)
    equal(ask(sim, body, headers=[("authorization", "Bearer secret-2")]).status, 401)


@check
def errors(sim):
    rows = [(400, "invalid_request_error"), (401, "authentication_error"), (402, "billing_error"),
            (403, "permission_error"), (404, "not_found_error"), (413, "request_too_large"),
            (429, "rate_limit_error"), (500, "api_error"), (529, "overloaded_error")]
    for status, kind in rows:
        answer = ask(sim, message(f"m?status={status}&retry_after=7", stream=True))
        equal((answer.status, answer.json()["error"]["type"]), (status, kind))
        equal(answer.headers["retry-after"], "7")
    answer = ask(sim, message("m?status=418&error_type=teapot&error_message=short&header.x-a=b"))
    equal(answer.json()["error"], {"type": "teapot", "message": "short"})
    equal(answer.headers["x-a"], "b")
    answer = ask(sim, message("m?header.Request-Id=req_mine"))
    equal(sum(line.lower().startswith(b"request-id") for line in answer.pieces[0][1].split(b"\r\n")), 1)
    equal(answer.headers["request-id"], "req_mine")
    answer = ask(sim, message("m?html=1"))
    equal((answer.status, answer.headers["content-type"]), (502, "text/html"))
    answer = ask(sim, message("m?body={}%0a&content_type=text/plain&status=503"))
    equal((answer.status, answer.body, answer.headers["content-type"]), (503, b"{}\n", "text/plain"))


@check
def script_in_the_text(sim):
    equal(ask(sim, message(text="say [[sim:status=503,retry_after=2]] please")).status, 503)
    body = message()
    body["messages"] = [{"role": "user", "content": "[[sim:status=500]]"},
                        {"role": "assistant", "content": "x"},
                        {"role": "user", "content": [{"type": "text", "text": "now [[sim:output_tokens=5]]"}]}]
    equal(ask(sim, body).json()["usage"]["output_tokens"], 5)


@check
def control_endpoint(sim):
    post = lambda path, body: ask(sim, body, path).status
    equal(post("/_sim/script", {"model": "ctl", "status": 529, "fail_first": 2}), 200)
    equal([ask(sim, message("ctl")).status for _ in range(4)], [529, 529, 200, 200])
    equal(post("/beta/_sim/script", {"model": "*", "status": 500}), 200)
    equal(ask(sim, message(), "/beta/v1/messages").status, 500)
    equal(ask(sim, message()).status, 200)
    equal(post("/_sim/script", {"model": "ctl", "what": 1}), 400)
    equal(post("/_sim/script", {"model": "ctl", "text": "a&b=%", "output_tokens": 2}), 200)
    equal(ask(sim, message("ctl")).json()["content"][0]["text"], "a&b=%")
    stats = ask(sim, b"", "/_sim/stats", "GET").json()
    row = [m for m in stats["models"] if m["model"] == "ctl" and m["site"] == "alpha"][0]
    equal((row["requests"], row["failed"]), (5, 2))
    equal(row["complete"] + row["in_flight"], 3)  # its client may have the last answer a little before that is counted
    equal(post("/_sim/reset", b""), 200)
    equal(ask(sim, message(), "/beta/v1/messages").status, 200)


@check
def fail_rate(sim):
    statuses = [ask(sim, message("flaky?fail_rate=50")).status for _ in range(60)]
    assert 10 < statuses.count(529) < 50, statuses
    equal(statuses.count(529) + statuses.count(200), 60)


@check
def cuts(sim):
    whole = ask(sim, message(stream=True)).body
    for key in ("cut", "reset"):
        end = "closed" if key == "cut" else "reset"
        for n in (0, 1, 3):
            answer = ask(sim, message(f"m?{key}_after_events={n}", stream=True))
            equal((answer.status, answer.end), (200, end))
            equal(len(answer.events()), n)
        for n in (0, 1, 200):
            answer = ask(sim, message(f"m?{key}_after_bytes={n}", stream=True))
            equal((len(answer.body), answer.end), (n, end))
        answer = ask(sim, message(f"m?{key}_after_bytes=9"))
        equal((len(answer.body), answer.end), (9, end))
        answer = ask(sim, message(f"m?{key[:5]}_after_events=2"))
        assert 0 < len(answer.body) < int(answer.headers["content-length"])
    answer = ask(sim, message("m?end_after_events=3", stream=True))
    equal((len(answer.events()), answer.end), (3, "complete"))
    answer = ask(sim, message("m?end_after_bytes=20"))
    equal((len(answer.body), answer.end), (20, "complete"))
    assert len(whole) > 500


@check
def no_answer(sim):
    answer = ask(sim, message("m?close_before_headers=1"))
    equal((answer.status, answer.end), (0, "closed"))
    answer = ask(sim, message("m?reset_before_headers=1"))
    equal((answer.status, answer.end), (0, "reset"))
    answer = ask(sim, message("m?hang=1"), timeout=0.3)
    equal((answer.status, answer.end), (0, "timeout"))
    answer = ask(sim, message("m?hang_after_events=2", stream=True), timeout=1.5 * SLOW)
    equal((len(answer.events()), answer.end), (2, "timeout"))


@check
def error_event(sim):
    answer = ask(sim, message("m?error_event_after=4&error_type=api_error", stream=True))
    events = answer.events()
    equal((len(events), answer.end), (5, "complete"))
    equal((events[-1][0], events[-1][1]["error"]["type"]), ("error", "api_error"))


@check
def chunking(sim):
    whole = ask(sim, message("m?thinking=1&input_tokens=1", stream=True)).body
    for chunk in ("1", "7", "random", "whole", "recorded"):
        answer = ask(sim, message(f"m?thinking=1&input_tokens=1&chunk={chunk}", stream=True))
        equal(strip_ids(answer.body), strip_ids(whole))
    answer = ask(sim, message("m?chunk=100&gap_ms=20", stream=True))
    assert len(answer.pieces) >= len(answer.body) // 200, len(answer.pieces)  # a busy machine reads two at once


def strip_ids(body):
    events = parse_events(body)
    for _, data in events:
        data.pop("message", None)
        data.get("delta", {}).pop("signature", None)
    return events


@check
def line_forms(sim):
    plain = ask(sim, message(stream=True)).events()
    answer = ask(sim, message("m?crlf=1&pad=12", stream=True))
    assert b'}   ' in answer.body and b"\r\n\r\n" in answer.body
    equal(len(answer.events()), len(plain))


@check
def timing(sim):
    answer = ask(sim, message("m?delay_ms=150"))
    assert 0.14 < answer.time < 2 * SLOW, answer.time
    answer = ask(sim, message("m?ttft_ms=1000&tps=100&output_tokens=20", stream=True))
    assert 1.18 < answer.time < 3 * SLOW, answer.time
    assert b"200 OK" in answer.pieces[0][1] and answer.pieces[0][0] < 0.8
    assert b"message_start" not in answer.pieces[0][1]
    answer = ask(sim, message("m?ttft_ms=100&tps=100&output_tokens=20"))
    assert answer.pieces[0][0] > 0.28, answer.pieces[0][0]
    answer = ask(sim, message("m?ttft_ms=200&ping_every_ms=20", stream=True))
    pings = sum(name == "ping" for name, _ in answer.events())
    assert 3 <= pings <= 12, pings


@check
def chunked_request(sim):
    body = json.dumps(message()).encode()
    head = (b"POST /v1/messages HTTP/1.1\r\nanthropic-version: 2023-06-01\r\n"
            b"transfer-encoding: chunked\r\n\r\n")
    coded = b"".join(b"%X;x=y\r\n%c\r\n" % (1, byte) for byte in body) + b"0\r\nt: 1\r\n\r\n"
    with connect(sim) as sock:
        for byte in head + coded:
            sock.sendall(bytes([byte]))
        equal(receive(sock).json()["usage"]["input_tokens"], (len(body) + 3) // 4)
        # pipelined behind a chunked one, and with the other's end in the same packet
        sock.sendall(head + coded + request_bytes(message(), headers=[("connection", "close")]))
        data = b""
        for piece in iter(lambda: sock.recv(1 << 20), b""):
            data += piece
        equal(data.count(b"HTTP/1.1 200 OK"), 2)


@check
def expect_continue(sim):
    body = json.dumps(message()).encode()
    with connect(sim) as sock:
        sock.sendall(b"POST /v1/messages HTTP/1.1\r\nanthropic-version: 1\r\nexpect: 100-continue\r\n"
                     b"content-length: %d\r\n\r\n" % len(body))
        equal(sock.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
        sock.sendall(body)
        equal(receive(sock).status, 200)


@check
def keep_alive_and_http10(sim):
    with connect(sim) as sock:
        for _ in range(50):
            sock.sendall(request_bytes(message(stream=True)))
            equal(receive(sock).end, "complete")
        sock.sendall(request_bytes(message(), headers=[("connection", "close")]))
        answer = receive(sock)
        equal((answer.status, answer.headers["connection"], sock.recv(1)), (200, "close", b""))
    with connect(sim) as sock:
        sock.sendall(request_bytes(message(stream=True)).replace(b"HTTP/1.1", b"HTTP/1.0"))
        answer = receive(sock)
        equal((answer.end, "transfer-encoding" in answer.headers), ("closed", False))
        equal(answer.events()[-1][0], "message_stop")


@check
def malformed_http(sim):
    for junk in (b"GARBAGE\r\n\r\n", b"GET / HTTP/2.0\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
                 b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
                 b"POST /v1/messages HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"):
        with connect(sim) as sock:
            sock.sendall(junk)
            answer = receive(sock)
            equal((answer.status, answer.headers["connection"]), (400, "close"))
    with connect(sim) as sock:
        sock.sendall(b"POST /v1/messages HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n")
        equal(receive(sock).status, 413)


@check
def large_body(sim):
    answer = ask(sim, message(text="x" * (32 << 20)), timeout=20)
    assert answer.json()["usage"]["input_tokens"] > 8 << 20


@check
def pipelined_burst(sim):
    with connect(sim) as sock:
        sock.sendall(request_bytes(message("m?output_tokens=1")) * 500)
        data, n = b"", 0
        sock.settimeout(5 * SLOW)
        while n < 500:
            data += sock.recv(1 << 20)
            n = data.count(b'"type":"message","role"')
        equal(n, 500)


@check
def client_leaves(sim):
    sock = connect(sim)
    sock.sendall(request_bytes(message("leaver?tps=20&output_tokens=1000", stream=True)))
    receive(sock, 0.5 * SLOW)
    stats = lambda: [m for m in ask(sim, b"", "/_sim/stats", "GET").json()["models"]
                     if m["model"] == "leaver"][0]
    equal(stats()["in_flight"], 1)
    sock.close()
    until = time.monotonic() + 5 * SLOW
    while (row := stats())["in_flight"] and time.monotonic() < until:
        time.sleep(0.02)
    equal((row["in_flight"], row["failed"]), (0, 1))
    assert 0 < row["output_tokens"] < 100 * SLOW, row


@check
def many_connections(sim):
    socks = []
    try:
        for _ in range(500):
            socks.append(connect(sim))
        for sock in socks:
            sock.sendall(request_bytes(message("m?delay_ms=200")))
        for sock in socks:
            equal(receive(sock).status, 200)
    finally:
        for sock in socks:
            sock.close()


@check
def slow_reader(sim):
    with connect(sim) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.sendall(request_bytes(message("m?output_tokens=50000", stream=True, max_tokens=50000)))
        time.sleep(0.3)
        answer = receive(sock, 20)
        equal((answer.end, answer.events()[-1][0]), ("complete", "message_stop"))


@check
def several_listeners(_):
    sim = Sim("--name", "left", listeners=("127.0.0.1:0", "127.0.0.1:0=right"))
    equal(ask(sim, {"model": "*", "status": 500}, "/_sim/script", index=1).status, 200)
    equal(ask(sim, message(), index=0).status, 200)
    equal(ask(sim, message(), index=1).status, 500)
    equal(sim.stop(), 0)


@check
def stops_with_work_in_flight(_):
    sim = Sim()
    socks = [connect(sim) for _ in range(20)]
    for i, sock in enumerate(socks):
        if i % 2 == 0:
            sock.sendall(request_bytes(message("m?hang_after_events=3", stream=True)))
    time.sleep(0.2)
    equal(sim.stop(), 0)


@check
def witness_log(_):
    path = os.path.join(tempfile.mkdtemp(), "witness")
    sim = Sim("--log", path, "--log-bodies")
    body = json.dumps(message("m?input_tokens=5&output_tokens=6&web_searches=1")).encode()
    ask(sim, body, headers=[("X-Api-Key", "sk-abcdefghijklmnop"), ("x-request-id", "att_7"),
                             ("x-a", "1"), ("X-A", "2")])
    ask(sim, message("m?cut_after_events=4&event_tokens=2", stream=True))
    ask(sim, message("m?status=429"))
    equal(sim.stop(), 0)
    with open(path) as log:
        text = log.read()
    os.unlink(path)
    os.rmdir(os.path.dirname(path))
    assert "abcdefghijkl" not in text and '"...mnop"' in text
    lines = [json.loads(line) for line in text.splitlines()]
    equal([(line["seq"], line["event"]) for line in lines],
          [(n, event) for n in (1, 2, 3) for event in ("begin", "end")])
    equal(base64.b64decode(lines[0]["body_base64"]), body)
    for line in lines[:2]:
        equal((line["headers"]["X-Api-Key"], line["headers"]["x-a"]), ("...mnop", "1, 2"))
        equal((line["body_len"], line["path"]), (len(body), "/v1/messages"))
    equal((lines[1]["x_request_id"], lines[1]["listener"], lines[1]["status"]), ("att_7", "alpha", 200))
    equal((lines[1]["input_tokens"], lines[1]["output_tokens"], lines[1]["web_searches"]), (5, 6, 1))
    equal((lines[3]["ended"], lines[3]["output_tokens"]), ("cut", 2))
    equal((lines[5]["status"], lines[5]["input_tokens"], lines[5]["ended"]), (429, 0, "complete"))


@check
def command_line(_):
    run = lambda *args: subprocess.run([SIM, *args], capture_output=True, text=True)
    equal(run("--help").returncode, 0)
    assert "cut_after_events" in run("--keys").stdout
    equal(run("--nonsense").returncode, 2)
    equal(run("--seed", "x").returncode, 2)
    equal(run("--listen", "nowhere").returncode, 1)
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        equal(run("--listen", f"127.0.0.1:{busy.getsockname()[1]}").returncode, 1)


@check
def replay(_):
    folder = os.path.join(SHARED, "recordings")
    if not os.path.isdir(folder):
        raise Skip(f"no {folder}")
    sim = Sim("--replay", folder)
    n = 0
    for name in sorted(os.listdir(os.path.join(folder, "anthropic"))):
        with open(os.path.join(folder, "anthropic", name)) as f:
            recording = json.load(f)
        wanted = recording["response"]
        for chunk in ("whole", "random"):
            answer = ask(sim, message(f"replay:anthropic/{name}?chunk={chunk}"))
            equal((answer.status, answer.end), (wanted["status"], "complete"))
            for key, value in (wanted.get("headers") or {}).items():
                if key.lower() == "content-length":
                    continue  # framing is the simulator's own
                equal(answer.headers[key.lower()], value)
            if "body_text" in wanted:
                equal(answer.body, wanted["body_text"].encode())
            elif "body" in wanted:
                equal(answer.json(), wanted["body"])
        n += 1
    assert n > 40
    name = "vertex-anthropic/rawpredict-stream-claude-opus-4-1-20250805-reasoning-streaming.json"
    with open(os.path.join(folder, name)) as f:
        wanted = json.load(f)["response"]
    answer = ask(sim, message(f"replay:{name}?chunk=recorded&gap_ms=3"))
    equal(answer.body, wanted["body_text"].encode())
    sizes = [int(line, 16) for line in chunk_size_lines(answer)]
    equal(sizes[: len(wanted["chunk_sizes"])], wanted["chunk_sizes"])
    answer = ask(sim, message(f"replay:{name}?cut_after_events=3"))
    equal((len(answer.events()), answer.end), (3, "closed"))
    for bad in ("replay:nothing.json", "replay:../contract.md", "replay:/etc/passwd", "replay:README.md"):
        equal(ask(sim, message(bad)).status, 404)
    equal(sim.stop(), 0)


def chunk_size_lines(answer):
    data = b"".join(piece for _, piece in answer.pieces).partition(b"\r\n\r\n")[2]
    at = 0
    while True:
        end = data.index(b"\r\n", at)
        line = data[at:end]
        if int(line, 16) == 0:
            return
        yield line
        at = end + 2 + int(line, 16) + 2


def main():
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    sim = Sim()
    for function in checks:
        name = function.__name__
        try:
            function(sim)
            counts["passed"] += 1
            print(f"ok {name}")
        except Skip as why:
            counts["skipped"] += 1
            print(f"ok {name} # skip {why}")
        except Exception as error:  # a failed check must not end the others
            counts["failed"] += 1
            print(f"not ok {name}: {type(error).__name__} {str(error)[:400]}")
        sys.stdout.flush()
    try:
        status = sim.stop()
    except subprocess.TimeoutExpired:
        sim.process.kill()
        status = "none: it did not stop"
    if status == 0:
        counts["passed"] += 1
        print("ok clean_exit")
    else:
        counts["failed"] += 1
        print(f"not ok clean_exit: status {status}")
    print(", ".join(f"{n} {what}" for what, n in counts.items()))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
