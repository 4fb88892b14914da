#!/usr/bin/env python3
"""wayfare-sim in every protocol but Anthropic's (that one: sim_smoke.py), over plain sockets, read
with plain Python: what it answers, what it refuses, what it says it understood."""
import json
import os
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


def script(**keys):
    return "&".join("%s=%s" % (k, str(v).replace("%", "%25").replace("&", "%26")) for k, v in keys.items())


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
