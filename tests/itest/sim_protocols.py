#!/usr/bin/env python3
"""wayfare-sim in every protocol but Anthropic's (that one: sim_smoke.py), over plain sockets, read
with plain Python: what it answers, what it refuses, what it says it understood."""
import base64
import binascii
import json
import os
import struct
import sys
import tempfile

import sim_smoke
from sim_smoke import Sim, ask, equal

TEXT = 'Grüße, "quoted" & 50% 🐚'
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
checks = []


def check(function):
    checks.append(function)
    return function


def post(sim, path, body, headers=(), **keys):
    """A request, its script set beforehand for every model."""
    equal(ask(sim, dict(keys, model="*"), "/_sim/script").status, 200)
    return ask(sim, body, path, headers=headers)


# ---- OpenAI's chat completions ----
def chat(model="m", stream=False, text="hi", **more):
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    if stream:
        body.update(stream=True, stream_options={"include_usage": True})
    body.update(more)
    return body


def chunks(answer, eol=b"\n"):
    """The data of a stream and its comments."""
    data, comments = [], []
    for block in answer.body.split(eol + eol)[:-1]:
        for line in block.split(eol):
            if line.startswith(b"data: "):
                text = line[6:]
                data.append("[DONE]" if text == b"[DONE]" else json.loads(text))
            else:
                comments.append(line)
    return data, comments


def joined(data, field="content"):
    deltas = [c["choices"][0]["delta"] for c in data if c != "[DONE]" and c.get("choices")]
    return "".join(d.get(field) or "" for d in deltas)


def finish_of(data):
    return [c["choices"][0]["finish_reason"] for c in data
            if c != "[DONE]" and c.get("choices") and c["choices"][0]["finish_reason"]]


def calls_of(data):
    """Tool calls put together by their index."""
    calls = {}
    for c in data:
        if c == "[DONE]" or not c.get("choices"):
            continue
        for piece in c["choices"][0]["delta"].get("tool_calls", ()):
            call = calls.setdefault(piece["index"], {"id": "", "name": "", "arguments": ""})
            call["id"] += piece.get("id", "")
            call["name"] += piece["function"].get("name", "")
            call["arguments"] += piece["function"].get("arguments", "")
    return [calls[i] for i in sorted(calls)]


CHAT_TOOLS = [{"type": "function", "function": {"name": n, "parameters": SCHEMA}} for n in ("weather", "time")]
CHAT = "/v1/chat/completions"


@check
def openai_text(sim):
    body = post(sim, CHAT, chat(), text=TEXT, input_tokens=11, cache_read=3, output_tokens=7).json()
    equal((body["object"], body["model"]), ("chat.completion", "m"))
    equal(body["choices"][0]["message"]["content"], TEXT)
    equal(body["choices"][0]["finish_reason"], "stop")
    equal(body["usage"]["prompt_tokens"], 14)
    equal(body["usage"]["prompt_tokens_details"]["cached_tokens"], 3)
    equal((body["usage"]["completion_tokens"], body["usage"]["total_tokens"]), (7, 21))
    data, _ = chunks(ask(sim, chat(stream=True), CHAT))
    equal(joined(data), TEXT)
    equal((data[-1], finish_of(data)), ("[DONE]", ["stop"]))
    equal((data[-2]["choices"], data[-2]["usage"]), ([], body["usage"]))
    assert all(c["usage"] is None for c in data[:-2])
    unasked = chat(stream=True)
    del unasked["stream_options"]
    data, _ = chunks(ask(sim, unasked, CHAT))
    assert all("usage" not in c for c in data[:-1])
    equal(post(sim, "/api" + CHAT, chat()).status, 200)


@check
def openai_thinking_and_dialects(sim):
    body = post(sim, CHAT, chat(reasoning_effort="low"), output_tokens=20).json()
    thought = body["choices"][0]["message"]["reasoning_content"]
    equal(body["usage"]["completion_tokens_details"]["reasoning_tokens"], 5)
    data, _ = chunks(post(sim, CHAT, chat(stream=True), thinking=1, output_tokens=20, reasoning_field="reasoning"))
    equal(joined(data, "reasoning"), thought)
    data, _ = chunks(post(sim, CHAT, chat(stream=True), thinking=1, thoughts="hm", reasoning_field="tags"))
    assert joined(data).startswith("<think>\nhm</think>\n"), joined(data)
    data, _ = chunks(post(sim, CHAT, chat(stream=True), thinking=1, thoughts="hm", text="x", reasoning_field="parts"))
    contents = [c["choices"][0]["delta"].get("content") for c in data if c != "[DONE]" and c["choices"]]
    assert [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}] in contents, contents
    on_top = post(sim, CHAT, chat(), thinking=1, output_tokens=20, reasoning_on_top=1).json()["usage"]
    equal((on_top["completion_tokens"], on_top["total_tokens"] - on_top["prompt_tokens"]), (15, 20))
    answer = post(sim, CHAT, chat(stream=True), comment="OPENROUTER PROCESSING", usage_place="beside", done=0)
    data, comments = chunks(answer)
    assert b": OPENROUTER PROCESSING" in comments and "[DONE]" not in data
    equal((len(data[-1]["choices"]), data[-1]["usage"]["completion_tokens"]), (1, 32))
    data, _ = chunks(post(sim, CHAT, chat(stream=True), usage_place="choice"))
    equal((data[-2]["choices"][0]["finish_reason"], data[-2]["usage"]["completion_tokens"]), ("stop", 32))
    data, _ = chunks(post(sim, CHAT, chat(stream=True), usage_place="every", crlf=1), b"\r\n")
    told = [c["usage"]["completion_tokens"] for c in data[:-1]]
    assert told == sorted(told) and told[-1] == 32 and 0 < told[3] < 32, told
    data, _ = chunks(post(sim, CHAT, chat(stream=True), usage_place="groq"))
    equal(data[-2]["x_groq"]["usage"], data[-2]["usage"])


@check
def openai_tools(sim):
    body = post(sim, CHAT, chat(tools=CHAT_TOOLS), tool=2, arguments='{"city":"Köln"}').json()
    calls = body["choices"][0]["message"]["tool_calls"]
    equal([c["function"]["name"] for c in calls], ["weather", "time"])
    equal(json.loads(calls[1]["function"]["arguments"]), {"city": "Köln"})
    equal(body["choices"][0]["finish_reason"], "tool_calls")
    for keys in ({}, {"interleave": 1, "event_tokens": 1}):
        data, _ = chunks(post(sim, CHAT, chat(stream=True, tools=CHAT_TOOLS), tool=3, **keys))
        calls = calls_of(data)
        equal([json.loads(c["arguments"]) for c in calls], [{"city": "an example", "days": 42}] * 3)
        equal(len({c["id"] for c in calls}), 3)
    body = ask(sim, chat(tools=CHAT_TOOLS, parallel_tool_calls=False), CHAT).json()
    equal(len(body["choices"][0]["message"]["tool_calls"]), 1)
    named = {"type": "function", "function": {"name": "time"}}
    body = post(sim, CHAT, chat(tools=CHAT_TOOLS, tool_choice=named)).json()
    equal(body["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "time")
    data, _ = chunks(post(sim, CHAT, chat(stream=True, tools=CHAT_TOOLS), tool=2, no_tool_id=1))
    bare = [p for c in data[:-2] for p in c["choices"][0]["delta"].get("tool_calls", ())]
    equal([sorted(p) for p in bare], [["function", "type"]] * 2)


@check
def openai_endings(sim):
    equal(post(sim, CHAT, chat(max_tokens=3)).json()["choices"][0]["finish_reason"], "length")
    body = post(sim, CHAT, chat(stop=["END"]), text="before END after").json()
    equal((body["choices"][0]["message"]["content"], body["choices"][0]["finish_reason"]), ("before ", "stop"))
    equal(post(sim, CHAT, chat(), stop_reason="refusal").json()["choices"][0]["finish_reason"], "content_filter")
    equal(post(sim, CHAT, chat(), stop_reason="eos").json()["choices"][0]["finish_reason"], "eos")
    message = post(sim, CHAT, chat(), refusal="I will not.").json()["choices"][0]["message"]
    equal((message["content"], message["refusal"]), (None, "I will not."))
    data, _ = chunks(ask(sim, chat(stream=True), CHAT))
    equal((joined(data, "refusal"), finish_of(data)), ("I will not.", ["stop"]))
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    content = post(sim, CHAT, chat(response_format=form)).json()["choices"][0]["message"]["content"]
    equal(json.loads(content), {"city": "an example", "days": 42})


@check
def openai_errors(sim):
    answer = post(sim, CHAT, chat(), status=429, retry_after=3, error_message="slow")
    equal((answer.status, answer.headers["retry-after"]), (429, "3"))
    equal(answer.json()["error"], {"message": "slow", "type": "rate_limit_exceeded", "param": None,
                                   "code": "rate_limit_exceeded"})
    data, _ = chunks(post(sim, CHAT, chat(stream=True), error_event_after=3, error_message="broken"))
    equal((len(data), data[-1]["error"]["message"]), (4, "broken"))
    answer = post(sim, CHAT, chat(stream=True), error_event_after=3, error_form="event")
    equal(chunks(answer)[1], [b"event: error"])
    data, _ = chunks(post(sim, CHAT, chat(stream=True), error_event_after=3, error_form="choice"))
    equal((data[-1]["choices"][0]["finish_reason"], data[-1]["error"]["code"]), ("error", 502))
    answer = post(sim, CHAT, chat(stream=True), cut_after_events=2)
    equal((len(chunks(answer)[0]), answer.end), (2, "closed"))


def user(content):
    return {"role": "user", "content": content}


CALL = {"role": "assistant", "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "sunny"}


@check
def openai_refuses_what_the_real_one_does(sim):
    post(sim, CHAT, chat())
    rows = [
        ({"messages": []}, "empty array"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [user(None)]}, "got null"),
        ({"messages": [user([])]}, "messages[0].content"),
        ({"messages": [user([{"type": "tool_result"}])]}, "messages[0].content"),
        ({"messages": [user([{"type": "image_url", "image_url": {"url": "AAAA"}}])]}, "Invalid image URL"),
        ({"messages": [user("x"), RESULT]}, "must be a response"),
        ({"messages": [user("x"), CALL, user("y")]}, "did not have response messages: c1"),
        ({"messages": [user("x"), CALL]}, "did not have response messages: c1"),
        ({"tools": []}, "empty array"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "does not match pattern"),
        ({"tool_choice": "auto"}, "only allowed when 'tools'"),
        ({"parallel_tool_calls": True}, "only allowed when 'tools'"),
        ({"tools": CHAT_TOOLS, "tool_choice": {"type": "any"}}, "tool_choice"),
        ({"stream_options": {"include_usage": True}}, "only allowed when 'stream'"),
        ({"max_tokens": 1, "max_completion_tokens": 1}, "at the same time"),
        ({"max_tokens": 0}, "below minimum"),
        ({"temperature": 2.5}, "temperature"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "array too long"),
        ({"n": 2}, "'n'"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}}, "name"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"provider": {}}, "provider"),
    ]
    for more, words in rows:
        answer = ask(sim, chat(**more), CHAT)
        equal((more, answer.status), (more, 400))
        assert words in answer.json()["error"]["message"], (words, answer.body)
    equal(ask(sim, chat(messages=[user("x"), CALL, RESULT]), CHAT).status, 200)
    equal(ask(sim, chat(top_k=3), CHAT).status, 200)
    equal(post(sim, CHAT, chat(top_k=3), strict=1).status, 400)


@check
def azure(sim):
    path = "/openai/deployments/my-gpt/chat/completions"
    key = [("api-key", "k")]
    equal(post(sim, path + "?api-version=2024-10-21", chat()).status, 401)
    equal(ask(sim, chat(), path, headers=key).status, 404)
    body = ask(sim, chat(), path + "?api-version=2024-10-21", headers=key).json()
    equal(body["model"], "my-gpt")
    assert body["prompt_filter_results"] and body["choices"][0]["content_filter_results"]
    data, _ = chunks(ask(sim, chat(stream=True), path + "?api-version=2024-10-21", headers=key))
    equal((data[0]["choices"], data[0]["id"]), ([], ""))
    assert data[0]["prompt_filter_results"]
    equal(data[-1], "[DONE]")


# ---- Gemini ----
GEMINI = "/v1beta/models/g:generateContent"
GEMINI_STREAM = "/v1beta/models/g:streamGenerateContent?alt=sse"
GOOGLE_KEY = [("x-goog-api-key", "k")]
FUNCTIONS = [{"functionDeclarations": [{"name": n, "parameters": {"type": "OBJECT", "properties": {
    "city": {"type": "STRING"}}}} for n in ("weather", "time")]}]


def prompt(text="hi", **more):
    return dict({"contents": [{"role": "user", "parts": [{"text": text}]}]}, **more)


def gemini_post(sim, body, path=GEMINI, **keys):
    return post(sim, path, body, GOOGLE_KEY, **keys)


def gemini_chunks(answer):
    assert answer.body.endswith(b"\r\n\r\n"), answer.body[-20:]
    return chunks(answer, b"\r\n")[0]


def parts_of(answers):
    return [p for a in answers for p in a["candidates"][0]["content"]["parts"]]


@check
def gemini_text(sim):
    answer = gemini_post(sim, prompt(), text=TEXT, input_tokens=11, cache_read=3, output_tokens=7).json()
    equal(parts_of([answer]), [{"text": TEXT}])
    equal((answer["candidates"][0]["finishReason"], answer["modelVersion"]), ("STOP", "g"))
    usage = answer["usageMetadata"]
    equal(usage, {"promptTokenCount": 14, "cachedContentTokenCount": 3, "candidatesTokenCount": 7,
                  "totalTokenCount": 21})
    data = gemini_chunks(ask(sim, prompt(), GEMINI_STREAM, headers=GOOGLE_KEY))
    equal("".join(p["text"] for p in parts_of(data)), TEXT)
    equal(data[-1]["usageMetadata"], usage)
    equal([c["candidates"][0].get("finishReason") for c in data], [None] * (len(data) - 1) + ["STOP"])
    array = json.loads(ask(sim, prompt(), "/v1beta/models/g:streamGenerateContent", headers=GOOGLE_KEY).body)
    equal("".join(p["text"] for p in parts_of(array)), TEXT)
    equal(ask(sim, prompt(), GEMINI).status, 403)
    count = ask(sim, prompt(), "/v1beta/models/g:countTokens", headers=GOOGLE_KEY)
    equal(count.json(), {"totalTokens": 11})


@check
def gemini_thinking_and_calls(sim):
    thinking = {"thinkingConfig": {"thinkingBudget": 100, "includeThoughts": True}}
    body = prompt(tools=FUNCTIONS, generationConfig=thinking)
    answer = gemini_post(sim, body, tool=2, output_tokens=20).json()
    parts = parts_of([answer])
    equal([sorted(p) for p in parts], [["text", "thought"], ["text"], ["functionCall", "thoughtSignature"],
                                       ["functionCall"]])
    equal(parts[2]["functionCall"]["args"], {"city": "an example"})
    equal((answer["usageMetadata"]["thoughtsTokenCount"], answer["usageMetadata"]["candidatesTokenCount"]), (5, 15))
    data = gemini_chunks(ask(sim, body, GEMINI_STREAM, headers=GOOGLE_KEY))
    equal([p["functionCall"]["name"] for p in parts_of(data) if "functionCall" in p], ["weather", "time"])
    equal(data[-1]["usageMetadata"], answer["usageMetadata"])
    thinking["thinkingConfig"]["includeThoughts"] = False
    data = gemini_chunks(gemini_post(sim, prompt(generationConfig=thinking), GEMINI_STREAM))
    assert not any(p.get("thought") for p in parts_of(data)) and parts_of(data)[-1]["thoughtSignature"]
    equal(data[-1]["usageMetadata"]["thoughtsTokenCount"], 8)
    # and the signature's way back
    back = prompt(tools=FUNCTIONS)
    call = {"functionCall": {"name": "weather", "args": {}}}
    back["contents"] += [{"role": "model", "parts": [call]},
                         {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"r": 1}}}]}]
    equal(gemini_post(sim, back).status, 200)
    equal(gemini_post(sim, back, need_signature=1).status, 400)
    call["thoughtSignature"] = parts[2]["thoughtSignature"]
    equal(gemini_post(sim, back, need_signature=1).status, 200)
    call["thoughtSignature"] = "AAAA"
    equal(gemini_post(sim, back).json()["error"]["message"], "Corrupted thought signature.")


@check
def gemini_refuses_what_the_real_one_does(sim):
    gemini_post(sim, prompt())
    turn = lambda role, *parts: {"role": role, "parts": list(parts)}
    call = {"functionCall": {"name": "weather", "args": {}}}
    response = {"functionResponse": {"name": "weather", "response": {}}}
    rows = [
        ({"contents": []}, "contents is not specified"),
        ({"contents": [turn("assistant", {"text": "x"})]}, "valid role"),
        ({"contents": [turn("user")]}, "must not be empty"),
        ({"contents": [turn("user", {"text": ""})]}, "must have a text parameter"),
        ({"contents": [turn("user", {"type": "text"})]}, 'Unknown name "type"'),
        ({"contents": [turn("user", {})]}, "required oneof"),
        ({"contents": [turn("user", {"text": "x"}), turn("model", call), turn("user", {"text": "y"})]}, "equal to the number"),
        ({"contents": [turn("user", {"text": "x"}), turn("model", call, call), turn("user", response)]}, "equal to the number"),
        ({"contents": [turn("user", response)]}, "equal to the number"),
        ({"contents": [turn("model", call), turn("user", response)]}, "immediately after a user turn"),
        ({"max_tokens": 5}, 'Unknown name "max_tokens"'),
        ({"generationConfig": {"maxTokens": 5}}, 'Unknown name "maxTokens" at \'generation_config\''),
        ({"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "additionalProperties": False}}]}]},
         'Unknown name "additionalProperties"'),
        ({"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": ["string"]}}]}]}, "not repeating"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": ["f"]}}}, "only when the mode"),
        ({"generationConfig": {"responseSchema": {"type": "OBJECT"}}}, "requires response_mime_type"),
    ]
    for more, words in rows:
        answer = ask(sim, prompt(**more), GEMINI, headers=GOOGLE_KEY)
        equal((more, answer.status), (more, 400))
        error = answer.json()["error"]
        equal((error["code"], error["status"]), (400, "INVALID_ARGUMENT"))
        assert words in error["message"], (words, error)
    snake = prompt(generation_config={"max_output_tokens": 5})
    equal(ask(sim, snake, GEMINI, headers=GOOGLE_KEY).json()["candidates"][0]["finishReason"], "MAX_TOKENS")


@check
def gemini_errors(sim):
    answer = gemini_post(sim, prompt(), status=429)
    equal((answer.status, answer.json()["error"]["status"]), (429, "RESOURCE_EXHAUSTED"))
    data = gemini_chunks(gemini_post(sim, prompt(), GEMINI_STREAM, error_event_after=2))
    equal((len(data), data[-1]["error"]["status"]), (3, "UNAVAILABLE"))
    answer = gemini_post(sim, prompt(), GEMINI_STREAM, error_event_after=2, error_form="raw")
    equal(json.loads(answer.body.split(b"\r\n\r\n")[-1])["error"]["code"], 503)
    equal(gemini_post(sim, prompt(), stop_reason="refusal").json()["candidates"][0]["finishReason"], "SAFETY")


@check
def vertex(sim):
    bearer = [("authorization", "Bearer t")]
    top = "/v1/projects/p/locations/global/publishers/"
    post(sim, "/v1/messages", message_body())
    equal(ask(sim, prompt(), top + "google/models/g:generateContent", headers=GOOGLE_KEY).status, 401)
    answer = ask(sim, prompt(), top + "google/models/g:generateContent", headers=bearer)
    equal(answer.json()["modelVersion"], "g")
    data = gemini_chunks(ask(sim, prompt(), top + "google/models/g:streamGenerateContent?alt=sse", headers=bearer))
    equal(data[-1]["candidates"][0]["finishReason"], "STOP")
    body = message_body(anthropic_version="vertex-2023-10-16")
    path = top + "anthropic/models/claude%4020250219:rawPredict"
    answer = ask(sim, body, path, headers=bearer)
    equal((answer.status, answer.json()["model"]), (200, "claude@20250219"))
    equal(ask(sim, dict(body, stream=True), path.replace("raw", "streamRaw"), headers=bearer).events()[-1][0], "message_stop")
    equal(ask(sim, message_body(), path, headers=bearer).status, 400)
    equal(ask(sim, dict(body, model="x"), path, headers=bearer).status, 400)


# ---- Bedrock ----
def message_body(**more):
    return dict({"max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}, **more)


def crc32(data):
    return binascii.crc32(data) & 0xffffffff


def aws_events(data):
    """[(headers, payload)] of an event stream whose every sum is right."""
    events, at = [], 0
    while at < len(data):
        total, n_headers, crc = struct.unpack(">III", data[at:at + 12])
        equal(crc, crc32(data[at:at + 8]))
        equal(struct.unpack(">I", data[at + total - 4:at + total])[0], crc32(data[at:at + total - 4]))
        headers, rest = {}, data[at + 12:at + 12 + n_headers]
        while rest:
            name, rest = rest[1:1 + rest[0]].decode(), rest[1 + rest[0]:]
            equal(rest[0], 7)
            size = struct.unpack(">H", rest[1:3])[0]
            headers[name], rest = rest[3:3 + size].decode(), rest[3 + size:]
        events.append((headers, json.loads(data[at + 12 + n_headers:at + total - 4])))
        at += total
    return events


CONVERSE = "/model/us.anthropic.claude-x%3A0/converse"
AWS_KEY = [("authorization", "Bearer t")]
TOOL_CONFIG = {"tools": [{"toolSpec": {"name": n, "inputSchema": {"json": SCHEMA}}} for n in ("weather", "time")]}


THINKS = {"thinking": {"type": "enabled", "budget_tokens": 1024}}


def converse(text="hi", **more):
    return dict({"messages": [{"role": "user", "content": [{"text": text}]}]}, **more)


@check
def converse_text(sim):
    answer = post(sim, CONVERSE, converse(), AWS_KEY, text=TEXT, input_tokens=11, cache_read=3, output_tokens=7)
    body = answer.json()
    assert answer.headers["x-amzn-requestid"]
    equal(body["output"]["message"], {"content": [{"text": TEXT}], "role": "assistant"})
    equal((body["stopReason"], body["usage"]["inputTokens"], body["usage"]["cacheReadInputTokens"],
           body["usage"]["outputTokens"], body["usage"]["totalTokens"]), ("end_turn", 11, 3, 7, 21))
    answer = ask(sim, converse(), CONVERSE + "-stream", headers=AWS_KEY)
    equal(answer.headers["content-type"], "application/vnd.amazon.eventstream")
    events = aws_events(answer.body)
    equal([h[":event-type"] for h, _ in events][:2], ["messageStart", "contentBlockDelta"])
    equal([h[":event-type"] for h, _ in events][-3:], ["contentBlockStop", "messageStop", "metadata"])
    equal("".join(p["delta"]["text"] for _, p in events if "delta" in p), TEXT)
    equal(events[-1][1]["usage"], body["usage"])
    aws = [("authorization", "AWS4-HMAC-SHA256 Credential=AKID/20300101/r/bedrock/aws4_request, SignedHeaders=host, "
            "Signature=00"), ("x-amz-date", "20300101T000000Z")]
    equal(ask(sim, converse(), CONVERSE).status, 403)
    equal(ask(sim, converse(), CONVERSE, headers=aws[:1]).status, 403)
    equal(post(sim, CONVERSE, converse(), aws, require_key="AKID").status, 200)
    equal(post(sim, CONVERSE, converse(), aws, require_key="AKIX").status, 401)


@check
def converse_thinking_and_calls(sim):
    body = converse(toolConfig=TOOL_CONFIG, additionalModelRequestFields=THINKS)
    answer = post(sim, CONVERSE, body, AWS_KEY, tool=2).json()
    content = answer["output"]["message"]["content"]
    equal([list(b)[0] for b in content], ["reasoningContent", "text", "toolUse", "toolUse"])
    equal((answer["stopReason"], content[3]["toolUse"]["input"]), ("tool_use", {"city": "an example", "days": 42}))
    events = aws_events(ask(sim, body, CONVERSE + "-stream", headers=AWS_KEY).body)
    inputs = ["".join(p["delta"]["toolUse"]["input"] for _, p in events
                      if p.get("contentBlockIndex") == i and "delta" in p) for i in (2, 3)]
    equal([json.loads(i) for i in inputs], [content[2]["toolUse"]["input"]] * 2)
    starts = [p["start"]["toolUse"]["name"] for h, p in events if h[":event-type"] == "contentBlockStart"]
    equal(starts, ["weather", "time"])
    signatures = [p["delta"]["reasoningContent"]["signature"] for _, p in events
                  if "signature" in p.get("delta", {}).get("reasoningContent", {})]
    equal(len(signatures), 1)


@check
def converse_refuses_what_the_real_one_does(sim):
    post(sim, CONVERSE, converse(), AWS_KEY)
    turn = lambda role, *blocks: {"role": role, "content": list(blocks)}
    call = {"toolUse": {"toolUseId": "c1", "name": "weather", "input": {}}}
    result = {"toolResult": {"toolUseId": "c1", "content": [{"text": "x"}]}}
    text = {"text": "x"}
    rows = [
        ({"messages": []}, "messages field is empty"),
        ({"messages": [turn("assistant", text)]}, "start with a user message"),
        ({"messages": [turn("user", text), turn("user", text)]}, "alternate"),
        ({"messages": [turn("user")]}, "is empty"),
        ({"messages": [turn("user", {"text": ""})]}, "is blank"),
        ({"messages": [turn("user", {"type": "text", "text": "x"})]}, "exactly one member"),
        ({"messages": [turn("user", text), turn("assistant", call), turn("user", text)], "toolConfig": TOOL_CONFIG}, "Ids: c1"),
        ({"messages": [turn("user", result)], "toolConfig": TOOL_CONFIG}, "exceeds the number"),
        ({"messages": [turn("user", text), turn("assistant", call), turn("user", result)]}, "toolConfig field must be defined"),
        ({"toolConfig": {"tools": []}}, "toolConfig.tools"),
        ({"inferenceConfig": {"temperature": 1.5}}, "temperature"),
        ({"additionalModelRequestFields": THINKS, "inferenceConfig": {"temperature": 0.5}}, "only be set to 1"),
        ({"messages": [turn("user", text), turn("assistant", call), turn("user", result)], "toolConfig": TOOL_CONFIG,
          "additionalModelRequestFields": THINKS}, "Expected `thinking`"),
        ({"messages": [turn("user", {"document": {"name": "a.b", "format": "pdf", "source": {"bytes": "AAAA"}}})]}, "file name"),
        ({"messages": [turn("user", {"image": {"format": "bmp", "source": {"bytes": "AAAA"}}})]}, "format"),
    ]
    for more, words in rows:
        answer = ask(sim, converse(**more), CONVERSE, headers=AWS_KEY)
        equal((more, answer.status), (more, 400))
        assert words in answer.json()["message"], (words, answer.body)
        equal(answer.headers["x-amzn-errortype"], "ValidationException")
    equal(post(sim, CONVERSE, converse(max_tokens=3), AWS_KEY, strict=1).status, 400)


@check
def converse_errors_and_cache(sim):
    answer = post(sim, CONVERSE, converse(), AWS_KEY, status=429)
    equal((answer.status, answer.headers["x-amzn-errortype"]), (429, "ThrottlingException"))
    answer = post(sim, CONVERSE + "-stream", converse(), AWS_KEY, error_event_after=2, error_type="throttlingException")
    events = aws_events(answer.body)
    equal((len(events), events[-1][0][":exception-type"], events[-1][0][":message-type"]),
          (3, "throttlingException", "exception"))
    system = [{"text": "s" * 4000}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
    first = post(sim, CONVERSE, converse(system=system), AWS_KEY).json()["usage"]
    again = ask(sim, converse("other", system=system), CONVERSE, headers=AWS_KEY).json()["usage"]
    assert first["cacheWriteInputTokens"] > 900 and first["cacheReadInputTokens"] == 0, first
    equal(first["cacheDetails"][1], {"inputTokens": first["cacheWriteInputTokens"], "ttl": "1h"})
    assert again["cacheReadInputTokens"] > 900 and again["cacheWriteInputTokens"] == 0, again


@check
def invoke(sim):
    path = "/model/us.anthropic.claude-x%3A0/invoke"
    body = message_body(anthropic_version="bedrock-2023-05-31")
    answer = post(sim, path, body, AWS_KEY, text=TEXT).json()
    equal((answer["model"], answer["content"][0]["text"]), ("us.anthropic.claude-x:0", TEXT))
    events = aws_events(ask(sim, body, path + "-with-response-stream", headers=AWS_KEY).body)
    inner = [json.loads(base64.b64decode(p["bytes"])) for _, p in events]
    equal("".join(e["delta"].get("text", "") for e in inner if e["type"] == "content_block_delta"), TEXT)
    equal((inner[0]["type"], inner[-1]["type"]), ("message_start", "message_stop"))
    assert inner[-1]["amazon-bedrock-invocationMetrics"]
    assert not any(e["type"] == "ping" for e in inner)
    equal(ask(sim, dict(body, stream=True), path, headers=AWS_KEY).status, 400)
    equal(ask(sim, message_body(), path, headers=AWS_KEY).json(), {"message": "anthropic_version: Field required"})


# ---- Anthropic's checks ----
@check
def anthropic_refuses_what_the_real_one_does(sim):
    post(sim, "/v1/messages", message_body(model="m"))
    turn = lambda role, content: {"role": role, "content": content}
    call = {"type": "tool_use", "id": "c1", "name": "weather", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "c1", "content": "x"}
    tools = [{"name": "weather", "input_schema": SCHEMA}]
    marked = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
    rows = [
        ({"max_tokens": None}, "max_tokens"),
        ({"messages": [turn("robot", "x")]}, "messages.0.role"),
        ({"messages": [turn("user", "")]}, "non-empty content"),
        ({"messages": [turn("user", [{"type": "text", "text": ""}])]}, "must be non-empty"),
        ({"messages": [turn("user", [{"type": "text", "text": " \n"}])]}, "non-whitespace"),
        ({"messages": [turn("user", [result])]}, "unexpected `tool_use_id`"),
        ({"messages": [turn("user", "x"), turn("assistant", [call]), turn("user", "y")]}, "without `tool_result`"),
        ({"messages": [turn("user", "x"), turn("assistant", [dict(call, id="c.1")])]}, "tool_use.id"),
        ({"messages": [turn("user", "x"), turn("assistant", [dict(call, input="{}")])]}, "valid dictionary"),
        ({"messages": [turn("user", "x"), turn("assistant", [{"type": "thinking", "thinking": "t", "signature": "wf:gemini:AAAA"}])]},
         "Invalid `signature`"),
        ({"messages": [turn("user", [marked] * 5)]}, "maximum of 4 blocks"),
        ({"tools": [{"name": "a b", "input_schema": SCHEMA}]}, "custom.name"),
        ({"tools": [{"name": "a"}]}, "input_schema"),
        ({"tool_choice": {"type": "any"}}, "while providing `tools`"),
        ({"tools": tools, "tool_choice": {"type": "required"}}, "tool_choice"),
        ({"temperature": 1.5}, "temperature"),
        ({"stop_sequences": ["\n"]}, "non-whitespace"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10}}, "budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "`max_tokens` must be greater"),
        ({"max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 2000}, "tools": tools,
          "tool_choice": {"type": "any"}}, "forces tool use"),
        ({"max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 2000}, "temperature": 0.5}, "only be set to 1"),
        ({"max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 2000}, "tools": tools,
          "messages": [turn("user", "x"), turn("assistant", [call]), turn("user", [result])]}, "Expected `thinking`"),
        ({"provider_order": []}, "Extra inputs"),
    ]
    for more, words in rows:
        answer = ask(sim, message_body(model="m", **{k: v for k, v in more.items() if k != "max_tokens"})
                     if "max_tokens" not in more else dict(message_body(model="m"), **more))
        equal((more, answer.status), (more, 400))
        assert words in answer.json()["error"]["message"], (words, answer.body)
    equal(post(sim, "/v1/messages", message_body(model="m", n=1), strict=1).status, 400)


# ---- What the provider understood ----
@check
def heard_in_one_form(_):
    path = os.path.join(tempfile.mkdtemp(), "witness")
    sim = Sim("--log", path)
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    body = chat(messages=[{"role": "system", "content": "be brief"}, user([{"type": "text", "text": "x" * 2000}, image]),
                          CALL, RESULT], tools=CHAT_TOOLS, tool_choice="required", temperature=0.50, stop="END")
    equal(ask(sim, body, CHAT).status, 200)
    equal(ask(sim, chat(messages=[]), CHAT).status, 400)
    equal(sim.stop(), 0)
    with open(path) as log:
        ends = [line for line in map(json.loads, log) if line["event"] == "end"]
    os.unlink(path)
    os.rmdir(os.path.dirname(path))
    equal(ends[0]["protocol"], "openai")
    assert "heard" not in ends[1]
    heard = ends[0]["heard"]
    equal([m["role"] for m in heard["messages"]], ["system", "user", "assistant", "tool"])
    equal(heard["messages"][1]["content"],
          [{"type": "text", "text": {"length": 2000, "fnv": fnv("x" * 2000)}},
           {"type": "image", "media": "image/png", "data": "AAAA"}])
    equal(heard["messages"][2]["content"], [{"type": "call", "id": "c1", "name": "weather", "arguments": {}}])
    equal(heard["messages"][3]["content"], [{"type": "result", "id": "c1", "content": [{"type": "text", "text": "sunny"}]}])
    equal(heard["tools"][0], {"name": "weather", "schema": SCHEMA})
    equal(heard["settings"], {"choice": "any", "stop": ["END"], "temperature": 0.5})


def fnv(text):
    value = 14695981039346656037
    for byte in text.encode():
        value = (value ^ byte) * 1099511628211 % 2 ** 64
    return "%016x" % value


if __name__ == "__main__":
    sim_smoke.checks = checks
    sys.exit(sim_smoke.main())
