#!/usr/bin/env python3
"""Every way a stream can begin: what is held back until its first content comes out unchanged or
not at all; who waits for a provider is told so, and can still be given to another."""

import http.client
import json
import socket
import threading
import time

from harness import SLOW, Report, Sim, Wayfare, endpoint, price, provider, sse_events, wait_for

report = Report()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nrequest-id: req_raw\r\nconnection: close\r\n\r\n"
HOLDBACK_S = 1.0


def event(name, **data):
    return b"event: %s\ndata: %s\n\n" % (name.encode(), json.dumps(dict(data, type=name)).encode())


def message_start(**usage):
    return event("message_start", message={
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": dict({"input_tokens": 7, "output_tokens": 1}, **usage)})


def chunk(delta, finish=None, **more):
    return b"data: %s\n\n" % json.dumps(dict({
        "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}, **more)).encode()


# Of each protocol: the frame before the first content, content, the end.
FRAMES = {
    "messages": (message_start() + event("content_block_start", index=0, content_block={"type": "text", "text": ""}) +
                 event("ping"),
                 event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi"}),
                 event("content_block_stop", index=0) +
                 event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None},
                       usage={"output_tokens": 3}) + event("message_stop")),
    "chat": (chunk({"role": "assistant", "content": ""}) + b": waiting\n\n", chunk({"content": "Hi"}),
             chunk({}, "stop") + b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m",'
             b'"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}\n\n'
             b"data: [DONE]\n\n"),
}

class Raw:
    """A provider that plays given pieces; between two it waits to be told."""

    def __init__(self):
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.sock.getsockname()[1]
        self.taken = 0  # connections: each has the pieces that were played when it came
        self.play([])
        threading.Thread(target=self.serve, daemon=True).start()

    def play(self, pieces):
        self.pieces, self.go = pieces, threading.Semaphore(0)

    def serve(self):
        while True:
            conn, _ = self.sock.accept()
            threading.Thread(target=self.answer, args=(conn, self.pieces, self.go), daemon=True).start()
            self.taken += 1

    @staticmethod
    def answer(conn, pieces, go):
        data = b""
        while b"\r\n\r\n" not in data:
            data += conn.recv(65536)
        head, body = data.split(b"\r\n\r\n", 1)
        length = int([x for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:")][0].split(b":")[1])
        while len(body) < length:
            body += conn.recv(65536)
        for i, piece in enumerate(pieces):
            if i > 0:
                go.acquire()
            try:
                conn.sendall(piece)
            except OSError:
                break
        conn.close()


raw = Raw()
sim = Sim(["spare", "slow"])
LONG = {"connect_ms": 5000, "first_byte_ms": 120000, "idle_ms": 120000, "total_ms": 300000}


SHORT_MS = int(1500 * SLOW)  # the spare one has no more


def model(name, *endpoints):
    return {"id": "test/" + name, "endpoints": list(endpoints)}


def on(slug, upstream):
    return endpoint(slug, upstream, price("1", "5"))


SLOWLY = "delay_ms=%d" % (10000 + 3000 * SLOW)  # the first sign of life comes after 10 s, on a busy machine later
way = Wayfare({
    "providers": [provider("raw", raw.url, timeouts=LONG), provider("spare", sim.url["spare"], timeouts=LONG),
                  provider("chat", raw.url + "/v1", protocol="openai", timeouts=LONG),
                  provider("slow", sim.url["slow"], timeouts=LONG)],
    "models": [model("messages", on("raw", "m"), on("spare", "s")), model("chat", on("chat", "m"), on("spare", "s")),
               model("late", on("slow", "late?" + SLOWLY)),
               model("late-fails", on("slow", "f?status=529&" + SLOWLY), on("spare", "s")),
               model("late-alone", on("slow", "g?status=429&retry_after=3&" + SLOWLY)),
               model("limits", dict(on("slow", "h?hang=1"), timeouts={"first_byte_ms": SHORT_MS}), on("spare", "s")),
               dict(model("limits-of-model", on("slow", "i?hang=1"), on("spare", "s")),
                    timeouts={"first_byte_ms": SHORT_MS})],
})
PATHS = {"messages": "/v1/messages", "chat": "/v1/chat/completions"}
FIRST = ["raw", "chat", "slow", "spare"]


def open_stream(door, name, stream=True, **more):
    """(connection, answer): the answer's head has come."""
    conn = http.client.HTTPConnection(way.host, way.port, timeout=60 * SLOW)
    body = dict({"model": "test/" + name, "max_tokens": 50, "stream": stream, "provider_order": FIRST,
                 "messages": [{"role": "user", "content": "Hello"}]}, **more)
    if door == "chat" and stream:
        body["stream_options"] = {"include_usage": True}
    conn.request("POST", PATHS[door], json.dumps(body),
                 {"x-api-key": way.key, "content-type": "application/json"})
    return conn, conn.getresponse()


def ask(door, name, **more):
    conn, answer = open_stream(door, name, **more)
    data = answer.read()
    headers = {k.lower(): v for k, v in answer.getheaders()}
    conn.close()
    return answer.status, headers, data


def is_spares(door, status, headers, data):
    """The other provider's answer, whole, and nothing of the first one's."""
    assert status == 200 and headers["x-wayfare-provider"] == "spare", (status, headers, data)
    assert headers["x-wayfare-attempts"] == "2" and headers.get("request-id") != "req_raw", headers
    assert b"msg_1" not in data and b'"c1"' not in data, data
    assert (b"message_stop" if door == "messages" else b"[DONE]") in data and b"error" not in data, data


# ---- held back, and given up ----

def cut_within_the_frame(door):
    frame = HEAD + FRAMES[door][0]
    for at in list(range(0, len(frame), 29)) + [len(frame)]:
        raw.play([frame[:at]])
        is_spares(door, *ask(door, door))


# Of each protocol: an error where a stream should be, and where a body should be.
ERRORS = {
    "messages": (event("error", error={"type": "overloaded_error", "message": "Overloaded"}),
                 b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'),
    "chat": (b'data: {"error":{"message":"Overloaded","type":"server_error","code":503}}\n\n',
             b'{"error":{"message":"Overloaded","type":"server_error","code":503}}'),
}
JSON_HEAD = HEAD.replace(b"text/event-stream", b"application/json")


def error_within_the_frame(door):
    raw.play([HEAD + FRAMES[door][0] + ERRORS[door][0]])
    is_spares(door, *ask(door, door))


def alone(door, stream, pieces, at=None):
    """The error for a client that nobody else is left for: (status, error)."""
    raw.play(pieces)
    status, _, data = ask(at or door, door, stream=stream, provider_only=["raw", "chat"])
    return status, json.loads(data)["error"]


def its_own_words(door):
    """What the provider says with status 200 is told, whoever asked, as if it had come with its own status."""
    for at in FRAMES:
        for stream, pieces in ((True, [HEAD + ERRORS[door][0]]), (True, [HEAD + FRAMES[door][0] + ERRORS[door][0]]),
                               (False, [JSON_HEAD + ERRORS[door][1]])):
            status, error = alone(door, stream, pieces, at)
            assert status == (529 if (at, door) == ("messages", "messages") else 503), (at, status, error)
            assert error["message"] == "Overloaded" and "attempts" not in error, (at, stream, error)


def not_the_protocols_words(door):
    """An error body of another shape becomes one of the protocol's, with what it says."""
    status, error = alone(door, False, [JSON_HEAD.replace(b"200 OK", b"422 No") + b'{"detail":"no such adapter"}'])
    assert status == 422 and error["message"].endswith("no such adapter"), (status, error)


def frame_of_nothing(door):
    """An end without content and without a reason to end."""
    end = event("message_stop") if door == "messages" else b"data: [DONE]\n\n"
    raw.play([HEAD + FRAMES[door][0] + end])
    is_spares(door, *ask(door, door))


def translated(door):
    """The client speaks the other protocol."""
    other = "chat" if door == "messages" else "messages"
    raw.play([HEAD + FRAMES[door][0]])
    is_spares(other, *ask(other, door))


# ---- held back, and let go ----

def whole(door):
    """In one piece, byte by byte the same."""
    frame, content, end = FRAMES[door]
    raw.play([HEAD + frame + content + end])
    status, headers, data = ask(door, door)
    assert status == 200 and data == frame + content + end, data
    assert headers["x-wayfare-attempts"] == "1"
    assert way.generation(headers)["attempts"][0]["usage_source"] == "final"


def empty_answer(door):
    """No content, but a reason to end: an answer."""
    frame, _, end = FRAMES[door]
    raw.play([HEAD + frame + end])
    status, headers, data = ask(door, door)
    assert status == 200 and data == frame + end and headers["x-wayfare-attempts"] == "1", (headers, data)


def begins_with_content(door):
    """With its first content the stream goes on at once."""
    frame, content, end = FRAMES[door]
    took = []
    for _ in range(5):
        raw.play([HEAD + frame + content, end])
        began = time.monotonic()
        conn, answer = open_stream(door, door)
        data = answer.read(len(frame + content))
        took.append(time.monotonic() - began)
        raw.go.release()
        assert data + answer.read() == frame + content + end, data
        conn.close()
    assert min(took) < HOLDBACK_S * 0.8 * max(1.0, SLOW / 2), took


def a_call_is_content():
    frame = message_start() + event("content_block_start", index=0, content_block={
        "type": "tool_use", "id": "toolu_1", "name": "f", "input": {}})
    took = []
    for _ in range(5):
        raw.play([HEAD + frame, b""])
        began = time.monotonic()
        conn, answer = open_stream("messages", "messages")
        assert answer.read(len(frame)) == frame
        took.append(time.monotonic() - began)
        raw.go.release()
        conn.close()
    assert min(took) < HOLDBACK_S * 0.8 * max(1.0, SLOW / 2), took


def not_longer_than_a_second(door):
    """A provider that is silent behind its frame: the client gets that, and then all the rest."""
    frame, content, end = FRAMES[door]
    raw.play([HEAD + frame, content + end])
    began = time.monotonic()
    conn, answer = open_stream(door, door)
    data = answer.read(len(frame))
    took = time.monotonic() - began
    assert data == frame and HOLDBACK_S * 0.9 <= took < HOLDBACK_S + 5 * SLOW, (data, took)
    raw.go.release()
    assert answer.read() == content + end
    conn.close()


for door in FRAMES:
    for case in (cut_within_the_frame, error_within_the_frame, its_own_words, not_the_protocols_words, frame_of_nothing, translated, whole, empty_answer,
                 begins_with_content, not_longer_than_a_second):
        report.case("%s: %s" % (door, case.__name__.replace("_", " ")), case, door)
report.case("a tool call is content", a_call_is_content)


# ---- waiting ----

KEEP_ALIVE = {"messages": b"event: ping", "chat": b": keep-alive"}
waited = {}


def wait_at(door, name):
    conn, answer = open_stream(door, name)
    first = answer.read(len(KEEP_ALIVE[door]))
    headers = {k.lower(): v for k, v in answer.getheaders()}
    waited[door, name] = (answer.status, headers, first, first + answer.read())
    conn.close()


def stall_within_an_event(door):
    """The client has whole events only: what it waits for may be half here."""
    frame, content, end = FRAMES[door]
    raw.play([HEAD + frame + content + end[:20], end[20:]])
    go = raw.go
    conn, answer = open_stream(door, door, provider_only=["raw", "chat"])
    begun = answer.read(len(frame + content))
    first = answer.read(len(KEEP_ALIVE[door]))
    go.release()
    stalled[door] = (begun == frame + content, first, answer.read())
    conn.close()


stalled = {}


def kept_alive_within_an_event(door):
    same, first, rest = stalled[door]
    assert same and first == KEEP_ALIVE[door], stalled[door]
    assert rest.endswith(b"\n\n" + FRAMES[door][2]), rest


def wait_together():
    cases = [("messages", "late"), ("chat", "late"), ("messages", "late-fails"), ("chat", "late-fails"),
             ("messages", "late-alone"), ("chat", "late-alone")]
    threads = [threading.Thread(target=wait_at, args=c) for c in cases]
    for door in FRAMES:
        threads.append(threading.Thread(target=stall_within_an_event, args=(door,)))
    for t in threads[:len(cases)]:
        t.start()
    for t in threads[len(cases):]:
        taken = raw.taken
        t.start()
        wait_for("the call", lambda: raw.taken > taken)  # raw plays one after the other
    waited["whole"] = ask("messages", "late-alone", stream=False)
    for t in threads:
        t.join()
    assert len(waited) == len(cases) + 1, waited.keys()


def kept_alive(door, name, attempts, status):
    got, headers, first, data = waited[door, name]
    assert got == 200 and first == KEEP_ALIVE[door], (got, first)
    assert headers["content-type"] == "text/event-stream" and "x-wayfare-provider" not in headers, headers
    g = way.generation(headers)
    assert len(g["attempts"]) == attempts and g["status"] == status, g
    return data, g


def answered_late(door):
    data, g = kept_alive(door, "late", 1, "ok")
    assert (b"message_stop" if door == "messages" else b"[DONE]") in data and b'"error"' not in data, data


def another_took_over(door):
    data, g = kept_alive(door, "late-fails", 2, "ok")
    assert g["provider"] == "spare" and g["attempts"][0]["http_status"] == 529, g
    assert (b"message_stop" if door == "messages" else b"[DONE]") in data and b'"error"' not in data, data


def told_in_the_stream(door):
    data, g = kept_alive(door, "late-alone", 1, "error")
    assert b"message_stop" not in data and b"[DONE]" not in data, data
    if door == "messages":
        name, error = sse_events(data)[-1]
        assert name == "error" and error["error"]["type"] == "rate_limit_error", data
    else:
        assert json.loads(data.rstrip().rsplit(b"data: ", 1)[1])["error"]["code"] == 429, data


def whole_answers_wait():
    status, headers, body = waited["whole"]
    assert status == 429 and headers["retry-after"] == "3" and b"rate_limit_error" in body, (status, headers)


report.case("eight streams and a body that wait", wait_together)
for door in FRAMES:
    report.case("%s: kept alive within an event" % door, kept_alive_within_an_event, door)
    report.case("%s: answered late" % door, answered_late, door)
    report.case("%s: another took over" % door, another_took_over, door)
    report.case("%s: told in the stream" % door, told_in_the_stream, door)
report.case("who asked for a body gets a status", whole_answers_wait)


def own_limits(name):
    """The endpoint's, or the model's: its provider would wait two minutes."""
    status, headers, _ = ask("messages", name)
    assert status == 200 and headers["x-wayfare-provider"] == "spare", (status, headers)


report.case("timeouts of an endpoint", own_limits, "limits")
report.case("timeouts of a model", own_limits, "limits-of-model")
report.case("ledger", way.verify)
report.case("clean exit", lambda: (way.stop() == 0) or 1 / 0)
report.end()
