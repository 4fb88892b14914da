#!/usr/bin/env python3
"""Small causes that would like large effects: deep and wide JSON, strings of the whole body, compressed
answers, floods of events, lines and headers without end.  Each costs a bounded amount of memory
and holds the loop up for a bounded time, which /health/live, asked all the while, says."""

import gzip
import json
import os

from harness import Report, SLOW, Wayfare, endpoint, price, provider
from rawprovider import Liveness, RawProvider, whole

MIB = 1 << 20
MEMORY_MIB = 64  # above what the request's own bytes take, which are kept until it is answered
ANSWER_MIB = 64  # a whole answer is kept until its end, and may be so large
# Reading a million values is not interrupted.  What it may take is processor time: on a busy machine the
# wall's clock says little, so that its bound is only for what waits.
CPU_S = 1.5 * max(1, SLOW)
STALL_S = 15 * max(1, SLOW)
SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
FLOOD_EVENTS = 100000

raw = RawProvider()
CATALOG = {"providers": [provider("raw", raw.url), provider("rawchat", raw.url + "/v1", protocol="openai")],
           "models": [{"id": "test/m", "aliases": ["m"], "endpoints": [endpoint("raw", "up", price("1", "5"), context_length=10 ** 9)]},
                      {"id": "test/o", "aliases": ["o"], "endpoints": [endpoint("rawchat", "up", price("1", "5"), context_length=10 ** 9)]}]}
way = Wayfare(CATALOG, threads=1, args=["--verify-every", "0"])
report = Report()


def memory(field):
    with open("/proc/%d/status" % way.child.pid) as f:
        return next(int(line.split()[1]) / 1024 for line in f if line.startswith(field))


def cpu_s():
    with open("/proc/%d/stat" % way.child.pid) as f:
        numbers = f.read().rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")


def forget_peak():
    with open("/proc/%d/clear_refs" % way.child.pid, "w") as f:
        f.write("5")


def bounded(send, own_mib=0):
    """Runs send() and judges what it cost; what it returned."""
    forget_peak()
    before, cpu = memory("VmRSS"), cpu_s()
    with Liveness(way) as live:
        result = send()
    grown = memory("VmHWM") - before
    cpu = cpu_s() - cpu
    print("# +%d MiB, %.2f s of processor, loop held up %d ms at most" % (grown, cpu, live.worst_s * 1000), flush=True)
    assert cpu <= CPU_S, "%.2f s of processor" % cpu
    assert grown <= MEMORY_MIB + own_mib, "%d MiB" % grown
    assert live.worst_s <= STALL_S, "%.2f s" % live.worst_s
    return result


M = b'"messages":[{"role":"user","content":"x"}]'
GOOD = b'{"model":"m","max_tokens":5,%s%s}'


def request(body, wanted, path="/v1/messages"):
    status, _, data = bounded(lambda: way.request("POST", path, body), 2 * len(body) // MIB)
    assert status in wanted, (status, data[:300])
    if status >= 400:
        assert "error" in json.loads(data), data[:300]
    assert way.messages()[0] == 200


N = 900000  # below the limit of values: it is read to the end
REQUESTS = {
    "depth of a million": (GOOD % (M, b',"x":' + b"[" * 10 ** 6), (400,)),
    "depth of a million, closed": (GOOD % (M, b',"x":' + b"[" * 10 ** 6 + b"]" * 10 ** 6), (400,)),
    "depth of a million, objects": (GOOD % (M, b',"x":' + b'{"a":' * 10 ** 6), (400,)),
    "more than a million members": (GOOD % (M, b"".join(b',"k%d":1' % i for i in range(1100000))), (400,)),
    "nearly a million members": (GOOD % (M, b"".join(b',"k%d":1' % i for i in range(N))), (200,)),
    "nearly a million times the same member": (GOOD % (M, b',"k":1' * N), (200,)),
    "members like those that are read": (GOOD % (M, b',"max_tokenz":1' * N), (200,)),
    "escaped members": (GOOD % (M, b',"\\u006d\\u0061\\u0078":1' * N), (200,)),
    "nearly a million members of a tool": (GOOD % (M, b',"tools":[{"name":"t","input_schema":{%s}}]' % b",".join(b'"k%d":1' % i for i in range(N))), (200,)),
    "nearly a million blocks": (b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":[%s]}]}' % b",".join([b'"x"'] * N), (200,)),
    "300,000 messages": (b'{"model":"m","max_tokens":5,"messages":[%s]}' % b",".join([b'{"role":"user"}'] * 300000), (200,)),
    "a string of 31 MiB": (b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"%s"}]}' % (b"y" * 31 * MIB), (200,)),
    "31 MiB of escapes": (b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"%s"}]}' % (b"\\u00e9" * (31 * MIB // 6)), (200,)),
    "31 MiB of blanks": (GOOD % (M, b" " * 31 * MIB), (200,)),
    "a number of a megabyte": (GOOD % (M, b',"x":' + b"9" * MIB), (200,)),
    "max_tokens of a megabyte": (b'{"model":"m","max_tokens":%s,%s}' % (b"9" * MIB, M), (400,)),
    "a model of a megabyte": (b'{"model":"%s","max_tokens":5,%s}' % (b"m" * MIB, M), (400,)),
    "a key of a megabyte": (GOOD % (M, b',"%s":1' % (b"k" * MIB)), (400,)),
    "a million models": (GOOD % (M, b',"models":[%s]' % b",".join([b'"m"'] * N)), (400,)),
    "a million slugs": (GOOD % (M, b',"provider_only":[%s]' % b",".join([b'"a"'] * N)), (400,)),
    "a million providers in provider_configs": (GOOD % (M, b',"provider_configs":{%s}' % b",".join(b'"p%d":{}' % i for i in range(N // 2))), (400,)),
}


# ---- answers ----


def answered(answer, wanted=None, stream=False, model="m", own_mib=0):
    raw.answer = answer
    try:
        status, headers, data = bounded(lambda: way.messages(stream=stream, model=model), own_mib)
    finally:
        raw.answer = lambda request: whole()
    assert wanted is None or status in wanted, (status, data[:300])
    assert way.messages()[0] == 200
    return status, headers, data


def compressed():
    bomb = gzip.compress(b"\0" * (64 * MIB), 9)
    for model in ("m", "o"):
        for coding in (b"gzip", b"br", b"deflate", b"zstd", b"gzip, gzip", b"x-gzip", b"GZIP"):
            status, headers, data = answered(lambda request: whole(bomb, headers=b"content-encoding: %s\r\n" % coding), (502,), model=model)
            assert "content-encoding" not in headers and json.loads(data)["error"], (headers, data[:200])


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(name, **data):
    return b"event: %s\ndata: %s\n\n" % (name.encode(), json.dumps(dict({"type": name}, **data)).encode())


START = event("message_start", message={"id": "msg_1", "type": "message", "role": "assistant", "model": "up", "content": [],
                                        "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 5, "output_tokens": 1}}) + \
    event("content_block_start", index=0, content_block={"type": "text", "text": ""})
DELTA = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "x"})
END = event("content_block_stop", index=0) + event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None},
                                                   usage={"output_tokens": 5}) + event("message_stop")


def flood():
    """As fast as the wire takes them."""
    def pieces(request):
        yield SSE + chunk(START)
        for _ in range(FLOOD_EVENTS // 1000):
            yield chunk(DELTA * 1000)
        yield chunk(END) + b"0\r\n\r\n"
    status, _, data = answered(pieces, (200,), stream=True)
    assert data.count(b"content_block_delta\n") == FLOOD_EVENTS and data.endswith(END), (len(data), data[-200:])


def flood_of_nothing():
    """Events without a name, comments, blank lines: nothing that means anything, without end."""
    for noise in (b": \n\n", b"\n", b"data:\n\n", b"event: ping\ndata: {\"type\":\"ping\"}\n\n", b"id: 1\nretry: 1\n", b"\r\n"):
        def pieces(request):
            yield SSE + chunk(START)
            for _ in range(40):
                yield chunk(noise * (100000 // len(noise)))
            yield chunk(END) + b"0\r\n\r\n"
        status, _, data = answered(pieces, (200,), stream=True)
        assert data.endswith(END), (noise, data[-200:])


def line_without_end():
    for before in (b"", START):
        def pieces(request):
            yield SSE + chunk(before + b"data: ")
            for _ in range(48):
                yield chunk(b"x" * MIB)
        status, _, data = answered(pieces, (200, 502), stream=True)
        assert b"message_stop" not in data and b"error" in data, (status, data[:100], data[-200:])


def body_without_end():
    def pieces(request):
        yield b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        for _ in range(128):
            yield chunk(b" " * MIB)
    for model in ("m", "o"):
        answered(pieces, (502,), model=model, own_mib=ANSWER_MIB)


def deep_answers():
    for text in (b"[" * 10 ** 6, b'{"a":' * 10 ** 6, b'{"type":"message","content":' + b"[" * 300 + b"]" * 300 + b"}",
                 b"{" + b",".join(b'"k%d":1' % i for i in range(N)) + b"}"):
        for model in ("m", "o"):
            answered(lambda request: whole(text), (502,), model=model)
        answered(lambda request: [SSE, chunk(START + b"event: content_block_delta\ndata: " + text + b"\n\n"), b"0\r\n\r\n"], (200, 502), stream=True)


def headers():
    def endless(line):
        def pieces(request):
            yield b"HTTP/1.1 200 OK\r\n"
            for _ in range(64):
                yield line * (MIB // len(line))
        return pieces
    for answer in (endless(b"x"), endless(b"x-a: b\r\n"), endless(b"x-%s: b\r\n" % (b"n" * 9000)), endless(b" folded\r\n"), endless(b"\0"),
                   lambda request: [b"HTTP/1.1 " + b"2" * MIB * 8],
                   lambda request: (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 1000 for _ in range(200)),
                   lambda request: [SSE + chunk(START + END) + b"0\r\n"] + [b"x-t: %s\r\n" % (b"t" * 60000)] * 500):
        status, _, _ = answered(answer, None)
        assert status in (200, 502, 504, 529), status


for name, (body, wanted) in REQUESTS.items():
    report.case("request: " + name, request, body, wanted)
report.case("answer: compressed", compressed)
report.case("answer: %d events at once" % FLOOD_EVENTS, flood)
report.case("answer: a flood of nothing", flood_of_nothing)
report.case("answer: a line without end", line_without_end)
report.case("answer: a body without end", body_without_end)
report.case("answer: deep and wide", deep_answers)
report.case("answer: headers without end", headers)
report.case("the ledger", way.verify)
report.case("the end", way.stop)
report.end()
