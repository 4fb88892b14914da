#!/usr/bin/env python3
"""Small causes that would like large effects: deep and wide JSON, strings of the whole body, compressed
answers, floods of events, lines and headers without end.  Each costs a bounded amount of memory
and holds the loop up for a bounded time, which /health/live, asked all the while, says."""

import gzip
import json
import os

from harness import ONLY_ROOT, Report, SLOW, Wayfare, endpoint, price, provider
from rawprovider import Liveness, RawProvider, whole

MIB = 1 << 20
MEMORY_MIB = 64  # above what the request's own bytes take, which are kept until it is answered
DIALOG_MIB = 96  # what a request for another protocol is read into (DIALOG_MEMORY_MAX)
ANSWER_MIB = 64  # a whole answer is kept until its end, and may be so large
# Reading a body is not interrupted, nor is writing it anew for another protocol.  What each may take is
# processor time of the worker: on a busy machine the wall's clock says little, so that its bound is only for what
# waits.  A quiet server of 2024 reads each in less than 0.05 s, and writes 31 MiB anew in 0.2; a machine whose cores
# are shared takes three times that.  The bound is for what grows faster than the body.
CPU_S = 3 * max(1, SLOW)
STALL_CPU_S = 1 * max(1, SLOW)
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
    """False: only root may, and what stays is judged instead."""
    try:
        with open("/proc/%d/clear_refs" % way.child.pid, "w") as f:
            f.write("5")
    except PermissionError:
        return False
    return True


if not forget_peak():
    report.skip("peaks of memory", ONLY_ROOT)


def bounded(send, own_mib=0):
    """Runs send() and judges what it cost; what it returned."""
    peak = "VmHWM" if forget_peak() else "VmRSS"
    before, cpu = memory("VmRSS"), cpu_s()
    with Liveness(way) as live:
        result = send()
    grown = memory(peak) - before
    cpu = cpu_s() - cpu
    print("# +%d MiB, %.2f s of processor, loop held up %d ms at most, by %d ms of work" % (
        grown, cpu, live.worst_s * 1000, live.worst_cpu_s * 1000), flush=True)
    assert cpu <= CPU_S, "%.2f s of processor" % cpu
    assert grown <= MEMORY_MIB + own_mib, "%d MiB" % grown
    assert live.worst_cpu_s <= STALL_CPU_S, "%.2f s of processor at once" % live.worst_cpu_s
    assert live.worst_s <= STALL_S, "%.2f s" % live.worst_s
    return result


M = b'"messages":[{"role":"user","content":"x"}]'
GOOD = b'{"model":"m","max_tokens":5,%s%s}'


def request(body, wanted, dialog_mib=0):
    status, _, data = bounded(lambda: way.request("POST", "/v1/messages", body), 2 * len(body) // MIB + dialog_mib)
    assert status in wanted, (status, data[:300])
    if status >= 400:
        assert "error" in json.loads(data), data[:300]
    assert way.messages()[0] == 200


N = 390000  # values, of the million that are read (JSON_VALUES_MAX)
MEMBERS = 1000  # of the body: all are read (CHAT_MEMBERS_MAX)


def list_of(value, values):
    """As many as may be, of so many values each."""
    return b",".join([value] * (N // values))


def content(of):
    return b'"messages":[{"role":"user","content":%s}]' % of


def text(of):
    return content(b'"%s"' % (of * (31 * MIB // len(of))))


def good(members):
    return GOOD % (members, b"")


def member(value):
    return GOOD % (M, b',"x":' + value)


REQUESTS = {
    "depth of a million": (member(b"[" * 10 ** 6), (400,)),
    "depth of a million, closed": (member(b"[" * 10 ** 6 + b"]" * 10 ** 6), (400,)),
    "depth of a million, objects": (member(b'{"a":' * 10 ** 6), (400,)),
    "31 MiB of depth": (member(b"[" * 31 * MIB), (400,)),
    "more values than are read": (member(b"[%s]" % b",".join([b"1"] * 1000001)), (400,)),
    "more members than are read": (GOOD % (M, b"".join(b',"k%d":1' % i for i in range(N))), (400,)),
    "the same member again and again": (GOOD % (M, b',"k":1' * N), (400,)),
    "members": (GOOD % (M, b"".join(b',"k%d":1' % i for i in range(MEMBERS))), (200,)),
    "members like those that are read": (GOOD % (M, b',"max_tokenz":1' * MEMBERS), (200,)),
    "escaped members": (GOOD % (M, b',"\\u006d\\u0061\\u0078":1' * MEMBERS), (200,)),
    "numbers": (member(b"[%s]" % list_of(b"1", 1)), (200,)),
    "long numbers": (member(b"[%s]" % list_of(b"1" * 70, 1)), (200,)),
    "arrays": (member(b"[%s]" % list_of(b"[]", 1)), (200,)),
    "objects": (member(b"[%s]" % list_of(b'{"a":1}', 2)), (200,)),
    "long keys of escapes": (member(b"{%s}" % list_of(b'"%s":1' % (b"\\u0061" * 12), 1)), (200,)),
    "longer keys of escapes": (member(b"{%s}" % b",".join([b'"%s":1' % (b"\\u0061" * 170)] * 29000)), (200,)),
    "members of a tool": (good(M + b',"tools":[{"name":"t","input_schema":{%s}}]' % list_of(b'"k":1', 1)), (200,)),
    "tools": (good(M + b',"tools":[%s]' % list_of(b'{"name":"t"}', 2)), (200,)),
    "blocks": (good(content(b"[%s]" % list_of(b'"x"', 1))), (200,)),
    "blocks of text": (good(content(b"[%s]" % list_of(b'{"type":"text","text":"x"}', 3))), (200,)),
    "empty blocks": (good(content(b"[%s]" % list_of(b"{}", 1))), (200,)),
    "members of a block": (good(content(b"[{%s}]" % list_of(b'"cache_controls":1', 1))), (200,)),
    "escaped members of a block": (good(content(b"[{%s}]" % list_of(b'"\\u0063ontents":1', 1))), (200,)),
    "messages": (good(b'"messages":[%s]' % list_of(b'{"role":"user","content":"x"}', 3)), (200,)),
    "300,000 messages": (good(b'"messages":[%s]' % b",".join([b'{"role":"user"}'] * 300000)), (200, 400)),
    "messages of escapes": (good(b'"messages":[%s]' % list_of(b'{"role":"user","content":"%s"}' % (b"\\u00e9" * 30), 3)), (200,)),
    "a string of 31 MiB": (good(text(b"y")), (200,)),
    "31 MiB of escapes": (good(text(b"\\u00e9")), (200,)),
    "31 MiB of short escapes": (good(text(b"\\n")), (200,)),
    "31 MiB of pairs of surrogates": (good(text(b"\\ud83d\\ude00")), (200,)),
    "31 MiB of lone surrogates": (good(text(b"\\ud83d")), (200,)),
    "31 MiB of two bytes each": (good(text("ä".encode())), (200,)),
    "31 MiB of three bytes each": (good(text("河".encode())), (200,)),
    "31 MiB of four bytes each": (good(text("😀".encode())), (200,)),
    "31 MiB of code": (good(text(b'    if (n == 0)\\n        return \\"none\\";\\n')), (200,)),
    "31 MiB of blanks": (GOOD % (M, b" " * 31 * MIB), (200,)),
    "a number of 31 MiB": (member(b"9" * 31 * MIB), (200,)),
    "max_tokens of a megabyte": (b'{"model":"m","max_tokens":%s,%s}' % (b"9" * MIB, M), (400,)),
    "a model of a megabyte": (b'{"model":"%s","max_tokens":5,%s}' % (b"m" * MIB, M), (400,)),
    "a key of a megabyte": (GOOD % (M, b',"%s":1' % (b"k" * MIB)), (400,)),
    "models": (good(M + b',"models":[%s]' % list_of(b'"m"', 1)), (400,)),
    "slugs": (good(M + b',"provider_only":[%s]' % list_of(b'"a"', 1)), (400,)),
    "providers in provider_configs": (good(M + b',"provider_configs":{%s}' % list_of(b'"p":{}', 1)), (400,)),
}

# Written anew for a provider of the other protocol, which answers what is none of it.
TRANSLATED = ["tools", "blocks of text", "messages", "a string of 31 MiB", "31 MiB of escapes", "31 MiB of short escapes",
              "31 MiB of three bytes each", "31 MiB of code"]


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
        # Nor is an error, whose status passes.
        error = gzip.compress(b'{"type":"error","error":{"type":"invalid_request_error","message":"x"}}')
        _, headers, data = answered(lambda request: whole(error, b"400 Bad", b"content-encoding: gzip\r\n"), (400,), model=model)
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
                 b"{%s}" % list_of(b'"k":1', 1)):
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
for name in TRANSLATED:
    report.case("translated: " + name, request, REQUESTS[name][0].replace(b'"model":"m"', b'"model":"o"', 1), (502,), DIALOG_MIB)
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
