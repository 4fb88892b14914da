#!/usr/bin/env python3
"""Usage of which a provider states only a part, or something that is no count: what is missing is no
zero.  It is completed by an estimate, and the row says so; what is stated is billed as it is.  And
cache writes of which it does not state how long they are kept: as long as was asked for."""

import json
import re
import time
from decimal import Decimal

from crowd import BUCKETS, ledger, nothing_held, oracle_pusd
from harness import Report, Wayfare, endpoint, provider, wait_for
from rawprovider import RawProvider, whole

REPORT = Report()
BEGAN = time.monotonic()
PRICES = {"prompt": "3", "completion": "15", "cache_read": "0.30", "cache_write_5m": "3.75", "cache_write_1h": "6"}
TEXT = "Some words of an answer that is a little longer than one. " * 4
GUESS = None  # instead of a figure: an estimate
RAW = RawProvider()


class Number:
    """In just these digits."""

    def __init__(self, digits):
        self.digits = digits


def dumps(value):
    if isinstance(value, dict):
        return "{%s}" % ",".join("%s:%s" % (json.dumps(k), dumps(v)) for k, v in value.items())
    if isinstance(value, list):
        return "[%s]" % ",".join(map(dumps, value))
    return value.digits if isinstance(value, Number) else json.dumps(value)


# ---- the answers of each protocol ----


def anthropic(usage):
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "x", "stop_reason": "end_turn", "stop_sequence": None,
            "content": [{"type": "text", "text": TEXT}], "usage": usage}


def openai(usage):
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": "x", "usage": usage,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}]}


def openai_silent(usage):
    answer = openai(usage)
    answer["choices"][0]["message"]["content"] = None
    return answer


def unknown(usage):
    return openai(usage)


def xai(usage):
    return openai(usage)


def vercel(usage):
    return openai(usage)


def openrouter(usage):
    return openai(usage)


def gemini(usage, text=TEXT):
    return {"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"}],
            "usageMetadata": usage, "modelVersion": "x", "responseId": "r1"}


def gemini_silent(usage):
    return gemini(usage, "")


def bedrock(usage):
    return {"output": {"message": {"role": "assistant", "content": [{"text": TEXT}]}}, "stopReason": "end_turn", "usage": usage,
            "metrics": {"latencyMs": 1}}


def cohere(usage):
    return {"id": "c1", "finish_reason": "COMPLETE", "usage": {"billed_units": usage},
            "message": {"role": "assistant", "content": [{"type": "text", "text": TEXT}]}}


def anthropic_stream(start, delta):
    frame = dict(anthropic(start), content=[], stop_reason=None)
    events = [("message_start", {"message": frame}),
              ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
              ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": TEXT}}),
              ("content_block_stop", {"index": 0}),
              ("message_delta", {"delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": delta}),
              ("message_stop", {})]
    return "".join("event: %s\ndata: %s\n\n" % (name, dumps(dict({"type": name}, **data))) for name, data in events)


def openai_stream(usage):
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "x"}
    chunks = [dict(chunk, choices=[{"index": 0, "delta": {"role": "assistant", "content": TEXT}, "finish_reason": None}]),
              dict(chunk, choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]), dict(chunk, choices=[], usage=usage)]
    return "".join("data: %s\n\n" % dumps(c) for c in chunks) + "data: [DONE]\n\n"


def openai_silent_stream(usage):
    return openai_stream(usage).replace(json.dumps(TEXT), '""')


def openai_twice_stream(first, usage):
    """The usage is in every chunk, and grows."""
    return openai_stream(first).replace("data: [DONE]\n\n", "") + openai_stream(usage).split("\n\n", 2)[2]


def openrouter_stream(usage):
    return openai_stream(usage)


def gemini_stream(*usages):
    return "".join("data: %s\n\n" % dumps(gemini(usage)) for usage in usages)


def word_of(answer):
    return answer.__name__.split("_")[0]


NOVA, CLAUDE = "converse/amazon.nova-pro-v1:0", "converse/anthropic.claude-sonnet-4-5-v1:0"

# what is answered, with which usage; what the row says: (input, output, marked as)
CASES = [
    (anthropic, ({"input_tokens": 100, "output_tokens": 7},), (100, 7, "final")),
    (anthropic, ({"input_tokens": 100, "output_tokens": 0},), (100, 0, "final")),
    (anthropic, ({"input_tokens": 100},), (100, GUESS, "partial")),
    (anthropic, ({"input_tokens": 100, "output_tokens": None},), (100, GUESS, "partial")),
    (anthropic, ({"output_tokens": 10},), (GUESS, 10, "partial")),
    (anthropic, ({"input_tokens": -5, "output_tokens": 10},), (GUESS, 10, "partial")),
    (anthropic, ({"input_tokens": Number("100.0"), "output_tokens": Number("10.00")},), (100, 10, "final")),
    (anthropic, ({"input_tokens": Number("100.5"), "output_tokens": 10},), (GUESS, 10, "partial")),
    (anthropic, ({"input_tokens": 100, "output_tokens": "10"},), (100, GUESS, "partial")),
    (anthropic, ({"input_tokens": 1000000001, "output_tokens": 10},), (GUESS, 10, "partial")),
    (anthropic, ({"input_tokens": "many", "output_tokens": []},), (GUESS, GUESS, "estimated")),
    (anthropic, ({},), (GUESS, GUESS, "estimated")),
    (anthropic, ({"input_tokens": 9999, "output_tokens": 10, "cache_read_input_tokens": -1},), (9999, 10, "partial")),
    (anthropic, ({"input_tokens": 90, "output_tokens": 10, "iterations": [
        {"type": "message", "input_tokens": 40, "output_tokens": 4}, {"type": "message", "input_tokens": 50, "output_tokens": -1}]},),
     (90, GUESS, "partial")),
    (anthropic_stream, ({"input_tokens": 100, "output_tokens": 1}, {"output_tokens": 7}), (100, 7, "final")),
    (anthropic_stream, ({"output_tokens": 1}, {"output_tokens": 7}), (GUESS, 7, "partial")),
    (anthropic_stream, ({"input_tokens": Number("1.5"), "output_tokens": 1}, {"output_tokens": 7}), (GUESS, 7, "partial")),
    (anthropic_stream, ({"input_tokens": 100, "output_tokens": 1}, {"output_tokens": Number("7.5")}), (100, GUESS, "partial")),
    # What was no count at first.
    (anthropic_stream, ({"input_tokens": 100, "output_tokens": -1}, {"output_tokens": 7}), (100, 7, "final")),
    (anthropic_stream, ({"input_tokens": "100", "output_tokens": 1}, {"input_tokens": 100, "output_tokens": 7}), (100, 7, "final")),
    (openai_twice_stream, ({"prompt_tokens": 100, "completion_tokens": -1}, {"prompt_tokens": 100, "completion_tokens": 40}),
     (100, 40, "final")),
    (openai_twice_stream, ({"prompt_tokens": 100, "completion_tokens": 40}, {"prompt_tokens": 100, "completion_tokens": -1}),
     (100, GUESS, "partial")),
    (gemini_stream, ({"promptTokenCount": 100, "candidatesTokenCount": -1}, {"promptTokenCount": 100, "candidatesTokenCount": 40}),
     (100, 40, "final")),
    (openai, ({"prompt_tokens": 100, "completion_tokens": 0, "total_tokens": 100},), (100, 0, "final")),
    (openai, ({"prompt_tokens": 100},), (100, GUESS, "partial")),
    (openai, ({"prompt_tokens": 100, "completion_tokens": None, "total_tokens": 100},), (100, GUESS, "partial")),
    (openai, ({"prompt_tokens": 100, "completion_tokens": None, "total_tokens": 140},), (100, 40, "final")),
    (openai, ({"completion_tokens": 40, "total_tokens": 140},), (100, 40, "final")),
    (openai, ({"prompt_tokens": 100, "completion_tokens": -1, "total_tokens": 140},), (100, 40, "final")),
    (openai, ({"prompt_tokens": "?", "completion_tokens": 40, "total_tokens": 140},), (100, 40, "final")),
    # What thinking is no part of completion_tokens may be in the total, or not.
    (openai, ({"completion_tokens": 40, "total_tokens": 140, "completion_tokens_details": {"reasoning_tokens": 20}},), (100, 40, "final")),
    (unknown, ({"completion_tokens": 40, "total_tokens": 140, "completion_tokens_details": {"reasoning_tokens": 20}},),
     (GUESS, 40, "partial")),
    (unknown, ({"completion_tokens": 40, "total_tokens": 140},), (100, 40, "final")),
    (xai, ({"prompt_tokens": 100, "completion_tokens": 40, "total_tokens": 160, "completion_tokens_details": {"reasoning_tokens": 20}},),
     (100, 60, "final")),
    (xai, ({"completion_tokens": 40, "total_tokens": 160, "completion_tokens_details": {"reasoning_tokens": 20}},), (GUESS, 60, "partial")),
    (xai, ({"completion_tokens": 40, "total_tokens": 140, "completion_tokens_details": {"reasoning_tokens": 0}},), (100, 40, "final")),
    (xai, ({"completion_tokens": 40, "total_tokens": 160},), (GUESS, 40, "partial")),
    (xai, ({"prompt_tokens": 100, "total_tokens": 140},), (100, 40, "final")),
    (xai, ({"prompt_tokens": 100, "total_tokens": 1600, "completion_tokens_details": {"reasoning_tokens": 20}},), (100, 1500, "partial")),
    (vercel, ({"completion_tokens": 40, "total_tokens": 140, "completion_tokens_details": {"reasoning_tokens": 20}},),
     (GUESS, 60, "partial")),
    # Without content there is no output.
    (openai_silent, ({"prompt_tokens": 100, "total_tokens": 100},), (100, 0, "final")),
    (openai_silent, ({"prompt_tokens": 100},), (100, GUESS, "partial")),
    (openai_silent_stream, ({"prompt_tokens": 100, "total_tokens": 100},), (100, 0, "final")),
    (openai, ({"prompt_tokens": 100, "completion_tokens": Number("40.0")},), (100, 40, "final")),
    (openai, ({"prompt_tokens": 100, "completion_tokens": Number("40.5")},), (100, GUESS, "partial")),
    (openai, ({"prompt_tokens": Number("1e3"), "completion_tokens": 40},), (GUESS, 40, "partial")),
    (openai, ({"completion_tokens": 40},), (GUESS, 40, "partial")),
    (openai, ({"total_tokens": 140},), (GUESS, GUESS, "estimated")),
    (openai_stream, ({"prompt_tokens": 100, "completion_tokens": 40, "total_tokens": 140},), (100, 40, "final")),
    (openai_stream, ({"prompt_tokens": 100, "completion_tokens": None},), (100, GUESS, "partial")),
    (openai_stream, ({"prompt_tokens": Number("1e3"), "completion_tokens": 40},), (GUESS, 40, "partial")),
    # Google writes no zeros.
    (gemini_silent, ({"promptTokenCount": 100, "totalTokenCount": 100},), (100, 0, "final")),
    (gemini, ({"promptTokenCount": 100, "candidatesTokenCount": 40, "totalTokenCount": 140},), (100, 40, "final")),
    (gemini, ({"promptTokenCount": 100, "totalTokenCount": 100},), (100, GUESS, "partial")),
    (gemini, ({"promptTokenCount": 100, "thoughtsTokenCount": 20, "totalTokenCount": 160},), (100, 60, "final")),
    (gemini, ({"candidatesTokenCount": 40},), (GUESS, 40, "partial")),
    (gemini, ({"promptTokenCount": 100, "candidatesTokenCount": Number("2.5")},), (100, GUESS, "partial")),
    (gemini_stream, ({"promptTokenCount": 100, "totalTokenCount": 100},), (100, GUESS, "partial")),
    (gemini_stream, ({"promptTokenCount": 100, "candidatesTokenCount": 40},), (100, 40, "final")),
    (bedrock, ({"inputTokens": 100, "outputTokens": 40},), (100, 40, "final")),
    (bedrock, ({"inputTokens": 100},), (100, GUESS, "partial")),
    (bedrock, ({"inputTokens": -1, "outputTokens": 40},), (GUESS, 40, "partial")),
    (cohere, ({"input_tokens": Number("100.0"), "output_tokens": 40},), (100, 40, "final")),
    (cohere, ({"output_tokens": 40},), (GUESS, 40, "partial")),
]
# what is answered by which model, with which usage; the times that the request names; 5m and 1h of the row
DETAILS = [{"ttl": "5m", "inputTokens": 10}]
WRITES = [
    (anthropic, "up", {"input_tokens": 9, "output_tokens": 1, "cache_creation_input_tokens": 40}, ("1h",), (0, 40)),
    (openai, "up", {"prompt_tokens": 50, "completion_tokens": 1, "prompt_tokens_details": {"cache_write_tokens": 40}}, ("5m",), (40, 0)),
    (openai, "up", {"prompt_tokens": 50, "completion_tokens": 1, "prompt_tokens_details": {"cache_write_tokens": 40}}, (), (40, 0)),
    # It has no such marks: it was not told of the hour.
    (openai, "up", {"prompt_tokens": 50, "completion_tokens": 1, "prompt_tokens_details": {"cache_write_tokens": 40}}, ("1h",), (40, 0)),
    (openrouter, "up", {"prompt_tokens": 50, "completion_tokens": 1, "prompt_tokens_details": {"cache_write_tokens": 40}}, ("1h",), (0, 40)),
    (openrouter, "up", {"prompt_tokens": 50, "completion_tokens": 1, "prompt_tokens_details": {"cache_write_tokens": 40}}, ("1h", "5m"),
     (0, 40)),
    (openrouter, "up", {"prompt_tokens": 50, "completion_tokens": 1, "prompt_tokens_details": {"cache_write_tokens": 40},
                        "cache_creation": {"ephemeral_1h_input_tokens": 10}}, ("1h",), (30, 10)),
    (openrouter_stream, "up", {"prompt_tokens": 50, "completion_tokens": 1, "prompt_tokens_details": {"cache_write_tokens": 40}}, ("1h",),
     (0, 40)),
    (bedrock, CLAUDE, {"inputTokens": 9, "outputTokens": 1, "cacheWriteInputTokens": 40}, ("1h",), (0, 40)),
    (bedrock, CLAUDE, {"inputTokens": 9, "outputTokens": 1, "cacheWriteInputTokens": 40}, ("5m",), (40, 0)),
    (bedrock, CLAUDE, {"inputTokens": 9, "outputTokens": 1, "cacheWriteInputTokens": 40, "cacheDetails": DETAILS}, ("1h",), (10, 30)),
    (bedrock, NOVA, {"inputTokens": 9, "outputTokens": 1, "cacheWriteInputTokens": 40}, ("1h",), (40, 0)),
]


def catalog():
    """A model for each case: none learns from another."""
    models = []
    for n, (answer, _, _) in enumerate(CASES):
        word = word_of(answer)
        models.append({"id": "half/%d" % n, "endpoints": [endpoint(word, NOVA if word == "bedrock" else "up", PRICES)]})
    for n, (answer, upstream, _, _, _) in enumerate(WRITES):
        models.append({"id": "writes/%d" % n, "endpoints": [endpoint(word_of(answer), upstream, PRICES)]})
    protocols = {word: "openai" if word in ("openrouter", "unknown", "vercel", "xai") else word
                 for word in sorted({word_of(c[0]) for c in CASES + WRITES})}
    return {"providers": [provider(word, RAW.url, protocol=protocol) for word, protocol in protocols.items()], "models": models}


way = Wayfare(catalog())
ROWS = {}


def told_nusd(body):
    """What the answer's last word says that it costs."""
    return int(Decimal(re.findall(rb'"cost": *"?([0-9.]+)', body)[-1].decode()) * 10**9)


def ask(model, answer, usage, **fields):
    stream = answer.__name__.endswith("_stream")
    said = answer(*usage) if stream else dumps(answer(*usage))
    RAW.answer = lambda request: whole(said.encode(), content_type=b"text/event-stream" if stream else b"application/json")
    status, headers, body = way.messages(model=model, max_tokens=5000, stream=stream, headers={"x-wayfare-report": "body"}, **fields,
                                         messages=[{"role": "user", "content": "A question of some length. " * 20}])
    assert status == 200, (status, body[:400])
    return headers["x-wayfare-generation-id"], len(TEXT if stream else said.encode()) // 4, told_nusd(body)


def check(n):
    (of_input, of_output, source), (generation, size, told) = CASES[n][2], ASKED[n]
    row = ROWS[generation]
    got = row["input_tok"], row["output_tok"], row["usage_source"]
    assert got[2] == source, got
    assert got[0] == of_input if of_input is not GUESS else 100 < got[0] < 500, got
    assert got[1] == (of_output if of_output is not GUESS else size), (got, size)
    seen = {name: row[column] or 0 for name, column, _ in BUCKETS}
    assert row["cost_pusd"] == oracle_pusd(seen, PRICES), dict(row)
    assert told == row["charge_nusd"], (told, row["charge_nusd"])


WARNING = "usage is not stated in full"


def warnings():
    """Of what is stated in part, or so that it cannot be read: once a minute, by each thread."""
    said = re.findall(WARNING + r".* endpoint=\S+ n=(\d+)", way.server_log())
    minutes = 1 + int((time.monotonic() - BEGAN) / 60)
    assert 1 <= len(said) <= 2 * minutes and said[0] == "1", said


def system(ttls):
    return [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": ttl}} for ttl in ttls]


def check_writes(n):
    row = ROWS[WRITTEN[n][0]]
    got = row["cache_write_5m_tok"] or 0, row["cache_write_1h_tok"] or 0
    assert got == WRITES[n][4] and row["usage_source"] == "final", (got, row["usage_source"])
    seen = {name: row[column] or 0 for name, column, _ in BUCKETS}
    assert row["cost_pusd"] == oracle_pusd(seen, PRICES), dict(row)


SILENT = [c for c in CASES if c[1] == ({},)]  # where nothing is stated there is no warning
for c in SILENT:
    ask("half/%d" % CASES.index(c), c[0], c[1])
wait_for("the books to be closed", lambda: nothing_held(way, [way.key]) and len(ledger(way)) == len(SILENT) > 0)
assert WARNING not in way.server_log()
ASKED = [ask("half/%d" % n, c[0], c[1]) for n, c in enumerate(CASES)]
WRITTEN = [ask("writes/%d" % n, w[0], (w[2],), system=system(w[3])) for n, w in enumerate(WRITES)]
wait_for("the books to be closed", lambda: nothing_held(way, [way.key]))
ROWS = {"gen_" + r["request_id"].hex(): r for r in ledger(way).values()}
for n, (answer, usage, _) in enumerate(CASES):
    REPORT.case("%s %s" % (answer.__name__, " ".join(map(dumps, usage))), check, n)
for n, (answer, _, usage, ttls, _) in enumerate(WRITES):
    REPORT.case("%s, asked for %s: %s" % (answer.__name__, " and ".join(ttls) or "nothing", dumps(usage)), check_writes, n)
REPORT.case("the log says so", warnings)
REPORT.case("ledger", way.verify)
REPORT.case("clean exit", lambda: (way.stop() == 0) or 1 / 0)
REPORT.end()
