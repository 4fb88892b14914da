#!/usr/bin/env python3
"""What this server lacks is not its providers' failure: no descriptors, a ledger whose disk hangs, no
time left in a drain.  And streams that have not begun."""

import ctypes
import json
import os
import resource
import signal
import threading
import time

from crowd import metric
from harness import ONLY_ROOT, SLOW, Report, Wayfare, endpoint, price, provider, sse_events, wait_for
from rawprovider import RawProvider, whole

NAMES = ("a", "b", "c")
RAW = {n: RawProvider() for n in NAMES}
CATALOG = {
    "providers": [provider(n, RAW[n].url, cancel_stops_billing=False) for n in NAMES] +
                 [provider("secret", RAW["a"].url.replace("http:", "https:")), provider("odd", "http://a=b"),
                  provider("stops", RAW["b"].url, cancel_stops_billing=True)],
    "models": [{"id": "test/" + m, "aliases": [m], "endpoints": [
        endpoint(n, "up", price(str(i + 1), "5")) for i, n in enumerate(NAMES)]} for m in ("m", "copied")] +
              [{"id": "test/" + n, "aliases": [n], "endpoints": [
                  endpoint(n, "up", price("1", "5"), supported_parameters=["max_tokens"])]} for n in ("secret", "odd", "stops")]}
HOLD_WAIT_S = 20  # CALL_HOLD_WAIT_S
REPORT = Report()
ERROR = json.dumps({"type": "error", "error": {"type": "api_error", "message": "broken"}}).encode()


def answers(**by_name):
    for n in NAMES:
        RAW[n].answer = by_name.get(n, lambda request: whole())
        RAW[n].requests.clear()


def body(**more):
    return json.dumps(dict({"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}, **more))



# ---- descriptors ----


def no_descriptors():
    """Not one socket can be had, or one and nothing more: nobody is ejected for it, and all is well when there are
    some again."""
    answers()
    way = Wayfare(CATALOG, threads=1, args=["--verify-every", "0"])
    conn = way.connect()
    headers = {"x-api-key": way.key, "content-type": "application/json"}

    def ask(model):
        conn.request("POST", "/v1/messages", body(model=model), headers)
        answer = conn.getresponse()
        return answer.status, json.loads(answer.read())

    def health(model):
        conn.request("GET", "/v1/models/test/%s/endpoints" % model, headers=headers)
        return [e["health"] for e in json.loads(conn.getresponse().read())["data"]["endpoints"]]

    def all_is_well(model):
        assert all(h["state"] == "ok" and h["failures_last_30s"] == 0 for h in health(model)), health(model)

    health("m")  # the connection is there
    limits = resource.prlimit(way.child.pid, resource.RLIMIT_NOFILE)
    for model, free in (("m", 0), ("secret", 0), ("secret", 1)):  # for the socket, not for the file of authorities
        used = {int(fd) for fd in os.listdir("/proc/%d/fd" % way.child.pid)}
        first = next(fd for fd in range(1 << 16) if fd not in used)
        resource.prlimit(way.child.pid, resource.RLIMIT_NOFILE, (first + free if free else 3, limits[1]))
        for _ in range(8):
            status, data = ask(model)
            assert status == 529 and "descriptors" in data["error"]["message"], (model, free, status, data)
        all_is_well(model)
        resource.prlimit(way.child.pid, resource.RLIMIT_NOFILE, limits)
    assert ask("m")[0] == 200
    conn.close()
    way.verify()
    assert way.stop() == 0


def no_address():
    """A host of letters that no name has, which cannot be called at all: no lack of ours."""
    answers()
    way = Wayfare(CATALOG, threads=1)
    for _ in range(5):
        status, _, data = way.messages(model="odd")
        assert status == 529 and b"could not connect" in data, (status, data)
    health = json.loads(way.request("GET", "/v1/models/test/odd/endpoints")[2])["data"]["endpoints"][0]["health"]
    assert health["failures_last_30s"] == 5, health
    assert way.stop() == 0


# ---- the ledger ----


PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207


class Hung:
    """One thread of the server is stopped, as a write to a disk that does not answer stops it."""

    def __init__(self, way, name):
        tasks = "/proc/%d/task" % way.child.pid
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        for tid in os.listdir(tasks):
            with open("%s/%s/comm" % (tasks, tid)) as f:
                if f.read().strip() == name:
                    self.tid = int(tid)
        self.trace(PTRACE_SEIZE)

    def trace(self, request):
        if self.libc.ptrace(request, self.tid, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    def __enter__(self):
        self.trace(PTRACE_INTERRUPT)
        os.waitpid(self.tid, 0x40000000)  # __WALL
        return self

    def __exit__(self, *ignored):
        self.trace(PTRACE_DETACH)


def hang(way):
    """The ledger's thread, to be stopped by `with`; None where that is not allowed."""
    time.sleep(0.2)  # it waits, and holds no lock
    try:
        return Hung(way, "wf-ledger")
    except OSError:
        return None


def event(name, **members):
    return b"event: %s\ndata: %s\n\n" % (name.encode(), json.dumps(dict(members, type=name)).encode())


BEGINNING = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + event(
    "message_start", message={"id": "m", "type": "message", "role": "assistant", "model": "x", "content": [], "stop_reason": None,
                              "stop_sequence": None, "usage": {"input_tokens": 5, "output_tokens": 1}}) + event(
    "content_block_start", index=0, content_block={"type": "text", "text": ""})


def words(text):
    return event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


def hung_ledger():
    """Clients are told after a while, in the middle of a failover, of a stream and before the first attempt, and so
    are copies for a shadow arm; who waits hears a keep-alive; nothing is sent, nothing stays held."""
    answers()
    way = Wayfare(CATALOG, threads=1, budget="5")
    prefs = {n: os.path.join(way.dir, n + ".json") for n in NAMES}
    for n in NAMES:
        with open(prefs[n], "w") as f:
            json.dump({"provider_order": [n]}, f)
    way.cli("experiment", "create", "x", "--model", "copied", "--arm", "A=%s:1" % prefs["b"], "--shadow-arm", "S=%s:100" % prefs["c"])
    assert way.messages()[0] == 200
    hold_up, told = threading.Event(), {}

    def fails_later(request):
        hold_up.wait(30 * SLOW)
        return whole(ERROR, b"500 Internal Server Error")

    def goes_on(request):
        yield BEGINNING + words("so it begins")
        hold_up.wait(30 * SLOW)
        for _ in range(4000):  # much more than its hold is for
            yield words("word " * 40)

    def ask(name, path="/v1/messages", **more):
        asked = dict(json.loads(body()), **more)
        told[name] = way.request("POST", path, {k: v for k, v in asked.items() if v is not None})

    def asks(name, **more):
        thread = threading.Thread(target=ask, args=(name,), kwargs=more)
        thread.start()
        return thread

    answers(a=fails_later, b=goes_on)
    asking = [asks("moving", provider_order=["a"]), asks("growing", path="/v1/chat/completions", model="stops", stream=True, max_tokens=None)]
    wait_for("both to be asked", lambda: RAW["a"].requests and RAW["b"].requests)
    RAW["b"].answer, RAW["c"].answer = lambda request: whole(), fails_later
    ask("copied", model="copied")
    assert told["copied"][0] == 200, told
    wait_for("the copy to be asked", lambda: RAW["c"].requests)
    hung = hang(way)
    if hung is None:
        hold_up.set()
        for thread in asking:
            thread.join()
        assert way.stop() == 0
        REPORT.skip("a ledger that hangs", ONLY_ROOT)
        return
    n_b = len(RAW["b"].requests)
    with hung:
        hold_up.set()
        asking.append(asks("waiting", path="/v1/chat/completions", stream=True))
        begun = time.monotonic()
        ask("new")
        waited = time.monotonic() - begun
        for thread in asking:
            thread.join()
    for name in ("new", "moving"):
        status, _, data = told[name]
        assert status == 503 and json.loads(data)["error"]["type"] == "api_error", (name, status, data)
    assert b"nothing was sent" in told["new"][2] and b"nothing was sent" not in told["moving"][2], told
    assert b"broken" in told["moving"][2] and told["moving"][1]["x-wayfare-provider"] == "a", told
    assert "x-wayfare-provider" not in told["new"][1], told
    assert HOLD_WAIT_S - 1 < waited < (HOLD_WAIT_S + 5) * SLOW, waited
    assert (len(RAW["a"].requests), len(RAW["b"].requests), len(RAW["c"].requests)) == (1, n_b, 1)
    status, _, data = told["waiting"]
    assert status == 200 and b"\n: " in b"\n" + data and data.count(b"data: ") == 1 and b"nothing was sent" in data, told["waiting"]
    assert b'"model":"m"' in data, data
    grown = told["growing"][2]
    assert b"word" in grown and b"\n: " in grown and grown.count(b'"error":') == 1 and b"the ledger cannot record" in grown, grown[-500:]
    wait_for("the holds to be given back", lambda: metric(way, "wayfare_ledger_held_nusd") == 0 == metric(way, "wayfare_ledger_running"))
    record = way.generation(told["moving"][1])
    assert [(a["provider"], a["http_status"], a["end_reason"]) for a in record["attempts"]] == [
        ("a", 500, "status"), (record["attempts"][1]["provider"], None, "late_hold")], record
    assert record["status"] == "error" and way.generation(told["new"][1])["status"] == "refused", record
    assert way.generation(told["growing"][1])["attempts"][0]["end_reason"] == "over_cap"
    answers()
    assert way.messages()[0] == 200
    wait_for("the load to be empty", lambda: metric(way, "wayfare_requests_in_flight") == 0)
    way.verify()
    assert way.stop() == 0


# ---- a drain ----


def error_in_a_drain():
    """A provider that dribbles an error while the drain's deadline passes: no other is asked any more."""
    begun = threading.Event()

    def dribbles(request):
        yield b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n"
        begun.set()
        for _ in range(300):
            yield b" "
            time.sleep(0.1)

    answers(a=dribbles)
    way = Wayfare(CATALOG, threads=1, args=["--drain-timeout", "1"])
    told = []
    client = threading.Thread(target=lambda: told.append(way.messages(provider_order=["a"])))
    client.start()
    assert begun.wait(10 * SLOW)
    way.child.send_signal(signal.SIGTERM)
    client.join()
    assert way.child.wait(20 * SLOW) == 0
    assert told[0][0] == 503, told
    assert not RAW["b"].requests and not RAW["c"].requests, "another was asked for an answer that nobody gets"
    way.verify()


def hold_after_a_drain():
    """A hold that comes when the drain's deadline is over: told in the name of the attempt that was made."""
    hold_up, told = threading.Event(), []

    def fails_later(request):
        hold_up.wait(30 * SLOW)
        return whole(ERROR, b"500 Internal Server Error")

    answers(a=fails_later)
    way = Wayfare(CATALOG, threads=1, args=["--drain-timeout", "1"])
    client = threading.Thread(target=lambda: told.append(way.messages(provider_order=["a", "c"])))
    client.start()
    wait_for("it to be asked", lambda: RAW["a"].requests)
    hung = hang(way)
    if hung is None:
        hold_up.set()
        client.join()
        assert way.stop() == 0
        REPORT.skip("a hold after a drain", ONLY_ROOT)
        return
    with hung:
        hold_up.set()
        way.child.send_signal(signal.SIGTERM)
        time.sleep(3 * SLOW)
    client.join()
    assert way.child.wait(20 * SLOW) == 0
    status, headers, data = told[0]
    assert status == 503 and headers["x-wayfare-provider"] == "a", told
    assert [a["provider"] for a in json.loads(data)["error"]["attempts"]] == ["a"], data
    assert not RAW["b"].requests and not RAW["c"].requests
    way.verify()


def error_before_a_drain():
    """The provider has said that it failed when the deadline cuts it: no more than was seen is charged."""
    begun = threading.Event()

    def fails(request):
        yield BEGINNING + words("so it begins")
        begun.set()
        time.sleep(0.6)
        yield event("error", error={"type": "api_error", "message": "broken"})
        time.sleep(5)

    answers(a=fails)
    way = Wayfare(CATALOG, threads=1, args=["--drain-timeout", "1"])
    told = []
    client = threading.Thread(target=lambda: told.append(way.messages(provider_order=["a"], stream=True, max_tokens=50000)))
    client.start()
    assert begun.wait(10 * SLOW)
    way.child.send_signal(signal.SIGTERM)
    client.join()
    assert way.child.wait(20 * SLOW) == 0
    status, headers, data = told[0]
    assert [n for n, _ in sse_events(data)].count("error") == 1 and b"broken" in data, data
    attempt = json.loads(way.cli("generation", headers["x-wayfare-generation-id"], "--json"))["attempts"][0]
    assert attempt["end_reason"] == "stream_error" and float(attempt["cost_usd"]) < 0.001 < float(attempt["hold_usd"]), attempt
    way.verify()


def answer_before_a_drain():
    """All is said, and the connection is not closed, when the deadline cuts it: it is an answer."""
    begun = threading.Event()

    def says_all(request):
        yield BEGINNING + words("hello")
        begun.set()
        time.sleep(0.6)
        yield event("content_block_stop", index=0) + event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None},
                                                            usage={"output_tokens": 2}) + event("message_stop")
        time.sleep(5)

    answers(a=says_all)
    way = Wayfare(CATALOG, threads=1, args=["--drain-timeout", "1"])
    told = []
    asked = dict(json.loads(body()), provider_order=["a"])
    client = threading.Thread(target=lambda: told.append(way.request("POST", "/v1/chat/completions", asked)))
    client.start()
    assert begun.wait(10 * SLOW)
    way.child.send_signal(signal.SIGTERM)
    client.join()
    assert way.child.wait(20 * SLOW) == 0
    assert told[0][0] == 200 and json.loads(told[0][2])["choices"][0]["message"]["content"] == "hello", told
    way.verify()


# ---- a stream that has not begun ----


def comments_are_no_beginning():
    """A server in front of the provider that says it is still there, and then it is not: another answers."""
    def comments(request):
        yield b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
        for _ in range(25):
            yield b": PROCESSING\n\n"
            time.sleep(0.1)
        raise OSError

    events = (b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"x",'
              b'"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":5,"output_tokens":1}}}\n\n'
              b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
              b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}\n\n'
              b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
              b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
              b'"usage":{"output_tokens":2}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n')
    answers(a=comments, b=lambda request: whole(events, content_type=b"text/event-stream"))
    way = Wayfare(CATALOG, threads=1)
    status, headers, data = way.messages(stream=True, provider_order=["a", "b"])
    assert status == 200 and [n for n, _ in sse_events(data)][-1] == "message_stop" and b"PROCESSING" not in data, (status, data)
    assert headers["x-wayfare-provider"] == "b", headers
    assert way.stop() == 0


for case in (no_descriptors, no_address, hung_ledger, error_in_a_drain, hold_after_a_drain, error_before_a_drain, answer_before_a_drain, comments_are_no_beginning):
    REPORT.case(case.__name__.replace("_", " "), case)
REPORT.end()
