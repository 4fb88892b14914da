#!/usr/bin/env python3
"""Writes the binary streams beside it, and in ../bedrock-invoke, from what is written here.  Streams
that are broken on the wire are in tests/unit/check_bedrock.c.

    tests/golden/bedrock/make.py

The wire format is that of smithy.io/2.0/aws/amazon-eventstream.html, the events those of Bedrock's
API reference.  What a stream must mean stands in its .expect file (tests/unit/golden.h).
"""
import base64
import json
import os
import struct
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))


def message(headers, payload):
    block = b""
    for name, value in headers:
        block += bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    head = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    whole = head + struct.pack(">I", zlib.crc32(head)) + block + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


def event(kind, body, padding="abcdefgh"):
    if isinstance(body, dict):
        body = dict(body, p=padding) if padding else body
        body = json.dumps(body, separators=(",", ":")).encode()
    return message([(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")], body)


def exception(kind, text):
    return message(
        [(":exception-type", kind), (":content-type", "application/json"), (":message-type", "exception")],
        json.dumps({"message": text}).encode(),
    )


def start(role="assistant"):
    return event("messageStart", {"role": role})


def delta(index, change):
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": change})


def text(index, piece):
    return delta(index, {"text": piece})


def think(index, **piece):
    return delta(index, {"reasoningContent": piece})


def call(index, use_id, name):
    return event("contentBlockStart", {"contentBlockIndex": index, "start": {"toolUse": {"toolUseId": use_id, "name": name}}})


def arguments(index, piece):
    return delta(index, {"toolUse": {"input": piece}})


def close(index):
    return event("contentBlockStop", {"contentBlockIndex": index})


def stop(reason, **more):
    return event("messageStop", dict({"stopReason": reason}, **more))


def metadata(**usage):
    return event("metadata", {"usage": usage, "metrics": {"latencyMs": 321}})


def chunk(body):
    if not isinstance(body, bytes):
        body = json.dumps(body, separators=(",", ":")).encode()
    return event("chunk", {"bytes": base64.b64encode(body).decode()})


USAGE = {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}
HELLO = start() + text(0, "Hel") + text(0, "lo") + close(0)

CONVERSE = {
    "text": HELLO + stop("end_turn") + metadata(**USAGE),
    # Models of the OpenAI and Cohere families announce neither blocks nor their ends in some regions.
    "text_without_block_stop": start() + text(0, "Hello") + stop("end_turn") + metadata(**USAGE),
    "text_escapes": start() + text(0, 'a"b\\c\n\u00e9 \U0001f600') + close(0) + stop("end_turn") + metadata(**USAGE),
    "text_lone_surrogate": start()
    + event("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":"a\\ud83d b"}}')
    + close(0)
    + stop("end_turn")
    + metadata(**USAGE),
    "empty": start() + stop("end_turn") + metadata(**dict(USAGE, outputTokens=0)),
    "cache": HELLO
    + stop("end_turn")
    + metadata(
        **USAGE,
        cacheReadInputTokens=100,
        cacheReadInputTokenCount=100,
        cacheWriteInputTokens=70,
        cacheWriteInputTokenCount=70,
        cacheDetails=[{"ttl": "1h", "inputTokens": 30}, {"ttl": "5m", "inputTokens": 40}],
    ),
    "cache_without_details": HELLO + stop("end_turn") + metadata(**USAGE, cacheReadInputTokens=0, cacheWriteInputTokens=70),
    "usage_nonsense": HELLO + stop("end_turn") + metadata(inputTokens=-1, outputTokens=2.5, cacheReadInputTokens="7"),
    "tools_parallel": start()
    + text(0, "I look.")
    + close(0)
    + call(1, "tooluse_a", "weather")
    + arguments(1, '{"city":')
    + arguments(1, ' "Paris"}')
    + close(1)
    + call(2, "tooluse_b", "time")
    + close(2)
    + stop("tool_use")
    + metadata(**USAGE),
    "tools_interleaved": start()
    + call(0, "tooluse_a", "weather")
    + call(1, "tooluse_b", "time")
    + arguments(0, '{"city"')
    + arguments(1, '{"zone"')
    + text(2, "Wait.")
    + arguments(0, ':"Paris"}')
    + arguments(1, ':"CET"}')
    + close(1)
    + close(0)
    + close(2)
    + stop("tool_use")
    + metadata(**USAGE),
    "tools_left_open": start()
    + call(0, "tooluse_a", "weather")
    + call(1, "tooluse_b", "time")
    + arguments(1, '{"zone":1}')
    + arguments(0, '{"city":2}')
    + stop("tool_use")
    + metadata(**USAGE),
    # A stop of its own is no reason to lose the calls (BerriAI/litellm#34692).
    "tool_with_end_turn": start()
    + call(0, "tooluse_a", "weather")
    + arguments(0, "{}")
    + close(0)
    + stop("end_turn")
    + metadata(**USAGE),
    # A tool that Bedrock runs itself is no call for the client.
    "tool_of_the_server": start()
    + event("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t", "name": "nova_grounding", "type": "server_tool_use"}}})
    + arguments(0, '{"q":"x"}')
    + close(0)
    + event("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolResult": {"toolUseId": "t", "status": "success", "type": "nova_grounding_result"}}})
    + delta(1, {"toolResult": [{"json": {"a": 1}}]})
    + close(1)
    + text(2, "Hello")
    + close(2)
    + stop("end_turn")
    + metadata(**USAGE),
    "tool_without_id": start()
    + event("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {"name": "weather"}}})
    + arguments(0, "{}")
    + close(0)
    + stop("tool_use")
    + metadata(**USAGE),
    "arguments_without_call": start() + arguments(0, '{"a":1}') + close(0) + stop("end_turn") + metadata(**USAGE),
    "thinking": start()
    + think(0, text="Let me")
    + think(0, text=" see.")
    + think(0, signature="Eq")
    + think(0, signature="QB")
    + close(0)
    + text(1, "Hello")
    + close(1)
    + stop("end_turn")
    + metadata(**USAGE),
    "thinking_unsigned": start() + think(0, text="Hm.") + close(0) + text(1, "Hello") + close(1) + stop("end_turn") + metadata(**USAGE),
    "thinking_and_text_under_one_index": start() + think(0, text="Hm.") + text(0, "Hello") + close(0) + stop("end_turn") + metadata(**USAGE),
    "thinking_redacted": start()
    + think(0, redactedContent="RXRrRQ==")
    + close(0)
    + think(1, redactedContent="RXFBRA==")
    + close(1)
    + text(2, "Hello")
    + close(2)
    + stop("end_turn")
    + metadata(**USAGE),
    "thinking_redacted_waits": start()
    + text(1, "first")
    + think(0, redactedContent="RXRrRQ==")
    + think(0, text="more", signature="Sg==")
    + close(0)
    + close(1)
    + stop("end_turn")
    + metadata(**USAGE),
    "citations": start()
    + delta(
        0,
        {
            "citation": {
                "title": "facts",
                "source": "https://example.com/facts",
                "sourceContent": [{"text": "Made in 1993."}],
                "location": {"documentChar": {"documentIndex": 0, "start": 0, "end": 13}},
            }
        },
    )
    + text(0, "In 1993.")
    + delta(0, {"citation": {"title": "web", "location": {"web": {"url": "https://example.org/", "domain": "example.org"}}}})
    + close(0)
    + stop("end_turn")
    + metadata(**USAGE),
    "stop_max_tokens": HELLO + stop("max_tokens") + metadata(**USAGE),
    "stop_sequence": HELLO + stop("stop_sequence", additionalModelResponseFields={"stop_sequence": "END"}) + metadata(**USAGE),
    "stop_guardrail": HELLO + stop("guardrail_intervened") + event("metadata", {"usage": USAGE, "trace": {"guardrail": {"actionReason": "masked"}}}),
    "stop_filtered": HELLO + stop("content_filtered") + metadata(**USAGE),
    "stop_context": HELLO + stop("model_context_window_exceeded") + metadata(**USAGE),
    "stop_unknown": HELLO + stop("tomorrow") + metadata(**USAGE),
    "stop_malformed": HELLO + stop("malformed_tool_use") + metadata(**USAGE),
    "stop_malformed_without_metadata": HELLO + stop("malformed_model_output"),
    # A body that ends behind messageStop has its end; one that is cut off has not.
    "no_metadata": HELLO + stop("end_turn"),
    "no_metadata-reset": HELLO + stop("end_turn"),
    "metadata_first": start() + text(0, "Hello") + metadata(**USAGE) + close(0) + stop("end_turn"),
    "cut_before_stop": HELLO,
    "cut_inside_a_message": HELLO + stop("end_turn") + metadata(**USAGE)[:40],
    "cut_after_stop": HELLO + stop("end_turn")[:-1],
    "nothing": b"",
    "exception_first": exception("validationException", "The image is not a PNG."),
    "exception_midway": HELLO + exception("modelStreamErrorException", "The model broke off."),
    "exception_throttling": start() + exception("throttlingException", "Too many tokens, please wait."),
    "exception_after_the_end": HELLO + stop("end_turn") + metadata(**USAGE) + exception("internalServerException", "late"),
    "exception_without_body": start()
    + message([(":exception-type", "serviceUnavailableException"), (":message-type", "exception")], b""),
    "error_of_the_service": start()
    + message([(":error-code", "InternalFailure"), (":error-message", "The service failed."), (":message-type", "error")], b""),
    "events_after_the_end": HELLO + stop("end_turn") + metadata(**USAGE) + text(0, "ghost") + stop("end_turn"),
    "text_after_the_stop": HELLO + stop("end_turn") + text(0, "ghost") + metadata(**USAGE),
    "unknown_event": start() + event("weatherReport", {"rain": True}) + text(0, "Hello") + close(0) + stop("end_turn") + metadata(**USAGE),
    "unknown_event_binary": start() + event("initial-response", b"\x00\x01") + text(0, "Hello") + close(0) + stop("end_turn") + metadata(**USAGE),
    "unknown_delta": start() + delta(0, {"hologram": {"a": 1}}) + text(0, "Hello") + close(0) + stop("end_turn") + metadata(**USAGE),
}

BEGIN = {
    "type": "message_start",
    "message": {
        "id": "msg_bdrk_01Golden",
        "type": "message",
        "role": "assistant",
        "model": "claude-example-4-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 20,
            "cache_creation_input_tokens": 300,
            "cache_read_input_tokens": 40,
            "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
            "output_tokens": 1,
        },
    },
}
SAID = (
    chunk({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    + chunk({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}})
    + chunk({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}})
    + chunk({"type": "content_block_stop", "index": 0})
)
ENDED = chunk(
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 7}}
) + chunk(
    {
        "type": "message_stop",
        "amazon-bedrock-invocationMetrics": {
            "inputTokenCount": 20,
            "outputTokenCount": 7,
            "invocationLatency": 900,
            "firstByteLatency": 300,
            "cacheReadInputTokenCount": 40,
            "cacheWriteInputTokenCount": 300,
        },
    }
)

INVOKE = {
    "text": chunk(BEGIN) + SAID + ENDED,
    # The same JSON with line ends in it: it goes on as one event.
    "text_with_line_ends": chunk(json.dumps(BEGIN, indent=1).replace("\n", "\r\n").encode()) + SAID + ENDED,
    "thinking_and_tool": chunk(BEGIN)
    + chunk({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}})
    + chunk({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}})
    + chunk({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "EqQB"}})
    + chunk({"type": "content_block_stop", "index": 0})
    + chunk({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "toolu_bdrk_01", "name": "weather", "input": {}}})
    + chunk({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": ""}})
    + chunk({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"city": "Paris"}'}})
    + chunk({"type": "content_block_stop", "index": 1})
    + chunk({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": {"output_tokens": 7}})
    + chunk({"type": "message_stop"}),
    # Events of the other API mean nothing in this one (found by fuzzing).
    "events_of_converse": chunk(BEGIN) + start() + SAID + text(0, "ghost") + stop("end_turn") + metadata(**USAGE) + ENDED,
    "cut": chunk(BEGIN) + SAID,
    "exception_midway": chunk(BEGIN) + SAID + exception("modelTimeoutException", "Too slow."),
    "exception_after_the_end": chunk(BEGIN) + SAID + ENDED + exception("internalServerException", "late"),
    "error_event": chunk(BEGIN) + SAID + chunk({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    + exception("internalServerException", "twice"),
}


def write(folder, streams):
    for name, stream in streams.items():
        with open(os.path.join(HERE, folder, name + ".bin"), "wb") as out:
            out.write(stream)


write(".", CONVERSE)
write("../bedrock-invoke", INVOKE)
