#!/usr/bin/env python3
"""Recorded answers of real providers, delivered to clients of the other protocol: valid, with the
text, the calls and the usage that plain Python reads in the same bytes.  And recorded requests of
real clients, translated for every other protocol, whose simulator refuses what the real one does."""
import base64
import json

from harness import SHARED, Report
from matrix_doors import DOORS, Talk
from sim_protocols import aws_events
from translate import NAMES, World, ask_text, generation, is_native

RECORDINGS = SHARED / "recordings"
# api of a recording: protocol of the matrix
PROTOCOL_OF = {
    "anthropic.messages": "anthropic", "openai.chat": "openai", "gemini.generateContent": "gemini",
    "gemini.streamGenerateContent": "gemini", "bedrock.converse": "bedrock-converse",
    "bedrock.converse-stream": "bedrock-converse", "bedrock.invoke": "bedrock-invoke",
    "bedrock.invoke-stream": "bedrock-invoke", "vertex.rawPredict": "vertex-claude",
    "vertex.streamRawPredict": "vertex-claude",
}


# Beyond the plain reading below, or none of the protocol's.
SKIPPED = {
    "anthropic/messages-stream-programmatic-tool-calling.json": "many messages in one file",
    "bedrock/converse-citations-with-bedrock-claude-haiku-4-5-cites-tool-results-retur-1.json": "text inside of citations",
    "bedrock/invoke-openai-gpt-oss-120b-1-0-tool-round-trip-2.json": "InvokeModel is for Claude alone",
    "bedrock/invoke-stream-openai-gpt-oss-20b-1-0-object-streaming.json": "InvokeModel is for Claude alone",
    "bedrock/invoke-amazon-bedrock-amazon-bedrock-basic.json": "InvokeModel is for Claude alone",
    "vertex/generate-stream-partial-args.json": "arguments in pieces",
    "openai/chat-async-parsed-refused-completion-1.json": "a refusal, which is text to Anthropic's clients",
    "openai/chat-chat-text-to-audio.json": "sound, whose transcript is the text",
    "openai/chat-open-ai-function-calls.json": "function_call, the old form",
}


def all_recordings():
    for path in sorted(RECORDINGS.glob("*/*.json")):
        recording = json.loads(path.read_text())
        if recording["api"] in PROTOCOL_OF:
            yield "%s/%s" % (path.parent.name, path.name), recording


# ---- the plain reading ----
class Reading:
    def __init__(self):
        self.text, self.calls, self.error, self.ended = "", [], False, False


def sse_data(text):
    for block in text.replace("\r\n", "\n").split("\n\n"):
        data = [line[5:].strip() for line in block.split("\n") if line.startswith("data:")]
        if data and data[0] != "[DONE]":
            yield json.loads("\n".join(data))


def loads(text):
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text  # cut off by max_tokens


def read_openai(answer, read):
    whole = [answer["body"]] if answer.get("body") else list(sse_data(answer["body_text"]))
    read.ended = "[DONE]" in answer.get("body_text", "")
    calls = {}
    for chunk in whole:
        read.error = read.error or bool(chunk.get("error"))
        for choice in chunk.get("choices") or ():
            said = choice.get("message" if answer.get("body") else "delta") or {}  # Perplexity has both
            content = said.get("content")
            if isinstance(content, list):
                content = "".join(p.get("text", "") for p in content if p["type"] == "text")
            if choice.get("index", 0) == 0:
                read.text += content or ""
                read.ended = read.ended or bool(choice.get("finish_reason"))
            for i, call in enumerate(said.get("tool_calls") or ()):
                have = calls.setdefault(call.get("index", i) if "delta" in choice else i, ["", ""])
                have[0] += call["function"].get("name") or ""
                have[1] += call["function"].get("arguments") or ""
    read.calls = [(name, loads(arguments)) for name, arguments in calls.values()]


def read_gemini(answer, read):
    text = answer.get("body_text", "")
    body = answer.get("body") or (json.loads(text) if text.startswith("[") else list(sse_data(text)))
    read.error = "\n{\n  \"error\"" in text  # bare, between events
    for chunk in body if isinstance(body, list) else [body]:
        for candidate in chunk.get("candidates") or ():
            read.ended = read.ended or "finishReason" in candidate
            for part in candidate.get("content", {}).get("parts") or ():
                if "text" in part and not part.get("thought"):
                    read.text += part["text"]
                if "functionCall" in part:
                    read.calls.append((part["functionCall"]["name"], part["functionCall"].get("args") or {}))
        read.ended = read.ended or "promptFeedback" in chunk


def read_blocks(blocks, read):
    for block in blocks:
        if block.get("text") and block.get("type", "text") == "text":
            read.text += block["text"]
        call = block.get("toolUse") or (block if block.get("type") == "tool_use" else None)
        if call:
            read.calls.append((call["name"], call["input"]))


def read_messages_events(events, read):
    blocks, arguments = {}, {}
    for e in events:
        if e["type"] == "content_block_start":
            blocks[e["index"]] = dict(e["content_block"])
        elif e["type"] == "content_block_delta":
            block, delta = blocks[e["index"]], e["delta"]
            if "text" in delta:
                block["text"] += delta["text"]
            arguments[e["index"]] = arguments.get(e["index"], "") + delta.get("partial_json", "")
        read.ended = read.ended or e["type"] == "message_stop"
        read.error = read.error or e["type"] == "error"
    for i, block in blocks.items():
        if arguments.get(i):
            block["input"] = loads(arguments[i])
    read_blocks(blocks.values(), read)


def read_converse(answer, read):
    if answer.get("body"):
        read_blocks(answer["body"]["output"]["message"]["content"], read)
        read.ended = True
        return
    calls = {}
    for headers, data in aws_events(base64.b64decode(answer["body_base64"])):
        read.error = read.error or headers[":message-type"] == "exception"
        read.ended = read.ended or headers.get(":event-type") == "messageStop"
        read.text += data.get("delta", {}).get("text", "")
        if "start" in data and "toolUse" in data["start"]:
            calls[data["contentBlockIndex"]] = [data["start"]["toolUse"]["name"], ""]
        if "toolUse" in data.get("delta", {}):
            calls[data["contentBlockIndex"]][1] += data["delta"]["toolUse"]["input"]
    read.calls = [(name, loads(arguments)) for name, arguments in calls.values()]


def read_messages(answer, read):
    if answer.get("body"):
        read_blocks(answer["body"]["content"], read)
        read.ended = True
    elif "body_base64" in answer:
        events = aws_events(base64.b64decode(answer["body_base64"]))
        read_messages_events([json.loads(base64.b64decode(p["bytes"])) for _, p in events], read)
    else:
        read_messages_events(list(sse_data(answer["body_text"])), read)


READERS = {"openai": read_openai, "gemini": read_gemini, "bedrock-converse": read_converse}


def plain_reading(protocol, answer):
    read = Reading()
    READERS.get(protocol, read_messages)(answer, read)
    return read


# ---- answers ----
def deliver(w, door, protocol, name, recording):
    answer = recording["response"]
    stream = recording["framing"] is not None
    status, headers, body, _ = w.ask(door, protocol, door.body(Talk(ask_text(), max_tokens=60000), protocol, stream),
                                     replay=name, strict=0, chunk="recorded", status=200)
    if answer["status"] >= 400:
        keys = answer["status"] in (401, 402) or "API key not valid" in json.dumps(answer.get("body"))
        passed = 503 if answer["status"] == 529 and door.name == "openai" else answer["status"]
        assert status == (502 if keys else passed), (status, body)
        assert door.read_error(body)[1], body
        return
    read = plain_reading(protocol, answer)
    assert status == 200 or read.error, (status, body[:500])
    if status != 200:
        assert door.read_error(body)[1], body
        return
    told = (door.read_stream if stream else door.read_json)(body)
    assert (told.error is None) == (read.ended and not read.error), (told.error, read.ended, read.error)
    assert told.text == read.text, (told.text, read.text)
    if told.error is None:
        assert [(n, a) for _, n, a in told.calls] == read.calls, (told.calls, read.calls)
        attempt = generation(w, headers)["attempts"][-1]
        assert attempt["state"] == "SETTLED", attempt


# ---- requests ----
def translate(w, door, protocol, recording):
    """The provider takes it; or nothing was sent, and the client is told why."""
    body = dict(recording["request"]["body"], model=protocol)
    status, _, answer, line = w.ask(door, protocol, body, strict=1, status=200)
    if status != 200:
        kind, message = door.read_error(answer)
        assert status in (400, 404) and message, (status, answer)
        assert line is None, ("refused by the provider", message)
        return
    stream = bool(body.get("stream"))
    (door.read_stream if stream and "usage" in str(body.get("stream_options", "usage")) else lambda b: None)(answer)


def requests_of(door):
    api = {"anthropic": "anthropic.messages", "openai": "openai.chat"}[door.name]
    for path in sorted(RECORDINGS.glob("*/*.json")):
        recording = json.loads(path.read_text())
        if recording["api"] == api and isinstance((recording.get("request") or {}).get("body"), dict):
            if recording["response"]["status"] < 400 and "n" not in recording["request"]["body"]:
                yield "%s/%s" % (path.parent.name, path.name), recording


def main():
    report = Report()
    if not RECORDINGS.is_dir():
        report.skip("recordings", "no recordings at %s" % RECORDINGS)
        report.end()
    w = World(("--replay", str(RECORDINGS)))
    for name, recording in all_recordings():
        protocol = PROTOCOL_OF[recording["api"]]
        if name in SKIPPED:
            report.skip(name, SKIPPED[name])
            continue
        for door in DOORS:
            if not is_native(door, protocol):
                report.case("%s to %s" % (name, door.name), deliver, w, door, protocol, name, recording)
    for door in DOORS:
        for name, recording in requests_of(door):
            for protocol in NAMES:
                if not is_native(door, protocol):
                    report.case("request of %s to %s" % (name, protocol), translate, w, door, protocol, recording)
    report.case("ledger", w.wf.verify)
    report.end()


if __name__ == "__main__":
    main()
