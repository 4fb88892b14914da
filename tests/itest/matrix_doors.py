"""The client's side of the translation matrix: a conversation that no protocol owns, written for
either door, and answers of either door read by validators that forgive nothing.

Written after platform.claude.com/docs/en/build-with-claude/streaming and
platform.openai.com/docs/api-reference/chat-streaming."""
import json


class Invalid(AssertionError):
    """The answer breaks the door's protocol."""


def need(truth, what, shown=None):
    if not truth:
        raise Invalid(what + ("" if shown is None else ": " + json.dumps(shown, ensure_ascii=False)[:600]))


def members(value, required, optional=()):
    """An object with exactly these members (optional None: and any others)."""
    need(isinstance(value, dict), "not an object", value)
    missing = [name for name in required if name not in value]
    need(not missing, "lacks %s" % missing, value)
    if optional is not None:
        more = set(value) - set(required) - set(optional)
        need(not more, "has unknown members %s" % sorted(more), value)


def count(value, what):
    need(isinstance(value, int) and not isinstance(value, bool) and value >= 0, what + " is no count", value)


class Talk:
    """What a client says.  turns: [(role, [block])], a block is a dict with "kind":
    text (text, cache), image (media, data), call (id, name, arguments), result (id, text, error),
    raw (whatever the door's own answer held: for the way back)."""

    def __init__(self, turns, system=(), tools=(), **settings):
        self.turns = turns
        self.system = list(system)  # texts
        self.tools = list(tools)  # (name, description, schema)
        self.cache = settings.pop("cache", False)  # marks behind the system and the last text
        self.settings = dict({"max_tokens": 1000}, **settings)


def text(value):
    return {"kind": "text", "text": value}


class Answer:
    """What the client was told, in one form for both doors."""

    def __init__(self):
        self.text = self.thinking = self.refusal = ""
        self.calls = []  # (id, name, arguments)
        self.stop = None  # end, length, sequence, tool, refusal
        self.sequence = None
        self.usage = None  # input, cache_read, cache_write, output
        self.error = None  # (type, message)
        self.back = None  # the assistant's turn, as the client would send it back


# ---- Anthropic ----
class AnthropicDoor:
    name = "anthropic"
    path = "/v1/messages"
    STOPS = {"end_turn": "end", "max_tokens": "length", "stop_sequence": "sequence", "tool_use": "tool",
             "refusal": "refusal", "pause_turn": "pause", "model_context_window_exceeded": "length"}

    # -- the request --
    @staticmethod
    def block(b):
        kind = b["kind"]
        if kind == "raw":
            return b["raw"]
        if kind == "text":
            return {"type": "text", "text": b["text"]}
        if kind == "image":
            return {"type": "image", "source": {"type": "base64", "media_type": b["media"], "data": b["data"]}}
        if kind == "image_url":
            return {"type": "image", "source": {"type": "url", "url": b["url"]}}
        if kind == "document":
            return {"type": "document", "title": b["title"],
                    "source": {"type": "base64", "media_type": b["media"], "data": b["data"]}}
        if kind == "call":
            return {"type": "tool_use", "id": b["id"], "name": b["name"], "input": b["arguments"]}
        assert kind == "result", b
        result = {"type": "tool_result", "tool_use_id": b["id"], "content": [{"type": "text", "text": b["text"]}]}
        if b.get("image"):
            result["content"].append(AnthropicDoor.block(b["image"]))
        if b.get("error"):
            result["is_error"] = True
        return result

    def body(self, talk, model, stream):
        messages = []
        for role, blocks in talk.turns:
            content = []
            for b in blocks:
                more = self.block(b)
                content += more if isinstance(more, list) else [more]
            messages.append({"role": role, "content": content})
        body = {"model": model, "messages": messages, "stream": stream}
        if talk.system:
            body["system"] = [{"type": "text", "text": t} for t in talk.system]
        if talk.tools:
            body["tools"] = [{"name": n, "description": d, "input_schema": s} for n, d, s in talk.tools]
        if talk.cache:
            mark = {"type": "ephemeral"}
            body["system"][-1]["cache_control"] = mark
            messages[-1]["content"][-1]["cache_control"] = mark
        for key, value in talk.settings.items():
            self.setting(body, key, value)
        return body

    @staticmethod
    def setting(body, key, value):
        if key == "stop":
            body["stop_sequences"] = value
        elif key == "schema":
            body["output_config"] = {"format": {"type": "json_schema", "schema": value}}
        elif key == "thinking":
            body["thinking"] = {"type": "enabled", "budget_tokens": value}
        elif key == "choice":
            body["tool_choice"] = {"type": "tool", "name": value} if value not in ("auto", "any", "none") else {"type": value}
        elif key == "parallel":
            body["tool_choice"] = {"type": "auto", "disable_parallel_tool_use": not value}
        else:
            body[key] = value

    # -- the answer --
    @staticmethod
    def usage(u, answer):
        for name in ("input_tokens", "output_tokens"):
            count(u.get(name), name)
        for name in ("cache_read_input_tokens", "cache_creation_input_tokens"):
            if u.get(name) is not None:
                count(u[name], name)
        answer.usage = {"input": u["input_tokens"], "cache_read": u.get("cache_read_input_tokens") or 0,
                        "cache_write": u.get("cache_creation_input_tokens") or 0, "output": u["output_tokens"]}

    def head(self, message):
        members(message, ("id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"),
                ("container", "context_management", "stop_details", "diagnostics", "provider"))
        need((message["type"], message["role"]) == ("message", "assistant"), "type, role", message)
        need(isinstance(message["id"], str) and message["id"] and isinstance(message["model"], str), "id, model", message)

    def take_block(self, answer, block):
        kind = block.get("type")
        if kind == "text":
            members(block, ("type", "text"), ("citations",))
            need(block["text"] != "", "an empty text block", block)
            answer.text += block["text"]
        elif kind == "thinking":
            members(block, ("type", "thinking", "signature"))
            need(isinstance(block["signature"], str), "signature", block)
            answer.thinking += block["thinking"]
        elif kind == "tool_use":
            members(block, ("type", "id", "name", "input"), ("caller",))
            need(isinstance(block["input"], dict), "input is no object", block)
            need(isinstance(block["id"], str) and block["id"], "the id of a call", block)
            answer.calls.append((block["id"], block["name"], block["input"]))
        else:
            need(kind == "redacted_thinking", "unknown block", block)

    def finish(self, answer, content, stop_reason, stop_sequence):
        need(stop_reason in self.STOPS, "stop_reason", stop_reason)
        answer.stop = self.STOPS[stop_reason]
        need((stop_sequence is not None) == (stop_reason == "stop_sequence"), "stop_sequence", stop_sequence)
        answer.sequence = stop_sequence
        need((answer.stop == "tool") == bool(answer.calls) or answer.stop == "length", "stop_reason against calls",
             [stop_reason, content])
        answer.back = {"kind": "raw", "raw": content}

    def read_json(self, body):
        answer = Answer()
        message = json.loads(body)
        self.head(message)
        for block in message["content"]:
            self.take_block(answer, block)
        self.usage(message["usage"], answer)
        self.finish(answer, message["content"], message["stop_reason"], message["stop_sequence"])
        return answer

    def read_error(self, body):
        error = json.loads(body)
        members(error, ("type", "error"), ("request_id",))
        need(error["type"] == "error", "type", error)
        members(error["error"], ("type", "message"), None)
        return error["error"]["type"], error["error"]["message"]

    def events(self, body):
        """[(name, data)]: each with its event line and one data line."""
        need(body.endswith(b"\n\n"), "the last event has no end", body[-60:].decode(errors="replace"))
        events = []
        for block in body.replace(b"\r\n", b"\n").split(b"\n\n")[:-1]:
            lines = [line for line in block.split(b"\n") if line and not line.startswith(b":")]
            if not lines:
                continue
            need(len(lines) == 2 and lines[0].startswith(b"event: ") and lines[1].startswith(b"data: "),
                 "lines of an event", block.decode(errors="replace"))
            data = json.loads(lines[1][6:])
            need(data.get("type") == lines[0][7:].decode(), "type against event", data)
            events.append((data["type"], data))
        return events

    DELTAS = {"text": {"text_delta": "text", "citations_delta": None},
              "thinking": {"thinking_delta": "thinking", "signature_delta": "signature"},
              "tool_use": {"input_json_delta": "partial_json"}, "redacted_thinking": {}}

    def read_stream(self, body):
        answer, content, block, arguments = Answer(), [], None, ""
        state, stop = "start", (None, None)
        for name, data in self.events(body):
            need(state not in ("stopped", "error"), "an event behind the last one", data)
            if name == "ping":
                need(state != "start", "ping before message_start", data)
            elif name == "error":
                members(data, ("type", "error"), ("request_id",))
                members(data["error"], ("type", "message"), None)
                answer.error = (data["error"]["type"], data["error"]["message"])
                answer.text += (block or {}).get("text", "")
                state = "error"
            elif name == "message_start":
                need(state == "start", "a second message_start", data)
                self.head(data["message"])
                need(data["message"]["content"] == [] and data["message"]["stop_reason"] is None, "message_start", data)
                self.usage(data["message"]["usage"], answer)
                state = "open"
            elif name == "content_block_start":
                members(data, ("type", "index", "content_block"))
                need(state == "open" and block is None, "a block inside of a block", data)
                need(data["index"] == len(content), "index", data)
                block, arguments = data["content_block"], ""
                need(block.get("type") in self.DELTAS, "unknown block", data)
                need(block["type"] != "tool_use" or block.get("input") == {}, "input at the beginning", data)
                need(block["type"] != "text" or block.get("text") == "", "text at the beginning", data)
            elif name == "content_block_delta":
                members(data, ("type", "index", "delta"))
                need(block is not None and data["index"] == len(content), "a delta outside of its block", data)
                kind = data["delta"]["type"]
                need(kind in self.DELTAS[block["type"]], "a delta of another block's kind", [block["type"], data])
                member = self.DELTAS[block["type"]][kind]
                if kind == "input_json_delta":
                    arguments += data["delta"][member]
                elif member is not None:
                    block[member] = block.get(member, "") + data["delta"][member]
            elif name == "content_block_stop":
                members(data, ("type", "index"))
                need(block is not None and data["index"] == len(content), "the end of no block", data)
                if block["type"] == "tool_use" and arguments != "":
                    block["input"] = json.loads(arguments)
                self.take_block(answer, block)
                content.append(block)
                block = None
            elif name == "message_delta":
                need(state == "open" and block is None, "message_delta inside of a block", data)
                members(data, ("type", "delta", "usage"), ("context_management", "provider"))
                stop = data["delta"]["stop_reason"], data["delta"].get("stop_sequence")
                count(data["usage"].get("output_tokens"), "output_tokens")
                begun = answer.usage
                self.usage(dict({"input_tokens": begun["input"], "cache_read_input_tokens": begun["cache_read"],
                                 "cache_creation_input_tokens": begun["cache_write"]}, **data["usage"]), answer)
                need(answer.usage["output"] >= begun["output"], "usage went back", [begun, answer.usage])
                state = "over"
            else:
                need(name == "message_stop" and state == "over", "out of place", data)
                self.finish(answer, content, *stop)
                state = "stopped"
        need(state in ("stopped", "error"), "the stream ended in state " + state)
        return answer


# ---- OpenAI ----
class OpenAIDoor:
    name = "openai"
    path = "/v1/chat/completions"
    STOPS = {"stop": "end", "length": "length", "tool_calls": "tool", "content_filter": "refusal"}

    # -- the request --
    @staticmethod
    def part(b):
        if b["kind"] == "text":
            return {"type": "text", "text": b["text"]}
        if b["kind"] == "document":
            data = "data:%s;base64,%s" % (b["media"], b["data"])
            return {"type": "file", "file": {"filename": b["title"], "file_data": data}}
        url = b["url"] if b["kind"] == "image_url" else "data:%s;base64,%s" % (b["media"], b["data"])
        return {"type": "image_url", "image_url": {"url": url}}

    def messages(self, role, blocks):
        out = [{"role": "tool", "tool_call_id": b["id"], "content": b["text"]} for b in blocks if b["kind"] == "result"]
        out += [b["raw"] for b in blocks if b["kind"] == "raw"]
        calls = [{"id": b["id"], "type": "function",
                  "function": {"name": b["name"], "arguments": json.dumps(b["arguments"])}}
                 for b in blocks if b["kind"] == "call"]
        parts = [self.part(b) for b in blocks if b["kind"] in ("text", "image", "image_url", "document")]
        if calls:
            out.append({"role": role, "content": parts[0]["text"] if parts else None, "tool_calls": calls})
        elif parts:
            out.append({"role": role, "content": parts if role == "user" else parts[0]["text"]})
        return out

    def body(self, talk, model, stream):
        messages = [{"role": "system", "content": t} for t in talk.system]
        for role, blocks in talk.turns:
            messages += self.messages(role, blocks)
        body = {"model": model, "messages": messages, "stream": stream}
        if stream:
            body["stream_options"] = {"include_usage": True}
        if talk.tools:
            body["tools"] = [{"type": "function", "function": {"name": n, "description": d, "parameters": s}}
                             for n, d, s in talk.tools]
        if talk.cache:
            mark = {"type": "ephemeral"}
            messages[0]["content"] = [{"type": "text", "text": messages[0]["content"], "cache_control": mark}]
            messages[-1]["content"][-1]["cache_control"] = mark
        for key, value in talk.settings.items():
            self.setting(body, key, value)
        return body

    @staticmethod
    def setting(body, key, value):
        if key == "schema":
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": value}}
        elif key == "thinking":
            body["reasoning_effort"] = "low"
        elif key == "parallel":
            body["parallel_tool_calls"] = value
        elif key == "choice":
            words = {"any": "required", "auto": "auto", "none": "none"}
            body["tool_choice"] = words.get(value) or {"type": "function", "function": {"name": value}}
        else:
            body[key] = value

    # -- the answer --
    @staticmethod
    def usage(u, answer):
        members(u, ("prompt_tokens", "completion_tokens", "total_tokens"), None)
        need(u["total_tokens"] == u["prompt_tokens"] + u["completion_tokens"], "total_tokens", u)
        details = u.get("prompt_tokens_details") or {}
        read, written = details.get("cached_tokens") or 0, details.get("cache_write_tokens") or 0
        answer.usage = {"input": u["prompt_tokens"] - read - written, "cache_read": read, "cache_write": written,
                        "output": u["completion_tokens"]}

    @staticmethod
    def take_call(answer, call):
        need(call.get("type") == "function" and call.get("id"), "a call without type or id", call)
        try:
            arguments = json.loads(call["function"]["arguments"])
        except ValueError:
            arguments = call["function"]["arguments"]  # only where max_tokens cut them off
        answer.calls.append((call["id"], call["function"]["name"], arguments))

    def finish(self, answer, message, reason):
        need(reason in self.STOPS, "finish_reason", reason)
        answer.stop = self.STOPS[reason]
        need(all(isinstance(a, dict) for _, _, a in answer.calls) or reason == "length", "arguments are no object", message)
        need((answer.stop == "tool") == bool(answer.calls) or answer.stop == "length", "finish_reason against calls",
             [reason, message])
        if answer.refusal:
            answer.stop = "refusal"
        answer.back = {"kind": "raw", "raw": message}

    MESSAGE = ("reasoning", "reasoning_content", "reasoning_details", "tool_calls", "annotations", "images", "audio",
               "function_call")

    def choice(self, whole):
        need(isinstance(whole.get("choices"), list) and len(whole["choices"]) == 1, "choices", whole)
        choice = whole["choices"][0]
        need(choice.get("index") == 0, "index", choice)
        return choice

    def read_json(self, body):
        answer = Answer()
        whole = json.loads(body)
        need(whole.get("object") == "chat.completion", "object", whole)
        members(whole, ("id", "object", "created", "model", "choices"), None)
        choice = self.choice(whole)
        message = choice["message"]
        members(message, ("role", "content"), self.MESSAGE + ("refusal",))
        need(message["role"] == "assistant", "role", message)
        answer.text = message["content"] or ""
        answer.refusal = message.get("refusal") or ""
        answer.thinking = message.get("reasoning_content") or message.get("reasoning") or ""
        need(message.get("tool_calls") != [], "an empty list of calls", message)
        for call in message.get("tool_calls") or ():
            self.take_call(answer, call)
        if "usage" in whole:  # not where the provider said none
            self.usage(whole["usage"], answer)
        self.finish(answer, message, choice["finish_reason"])
        return answer

    def read_error(self, body):
        error = json.loads(body)
        members(error, ("error",), None)
        members(error["error"], ("message", "type"), None)
        return error["error"]["type"], error["error"]["message"]

    def events(self, body):
        need(body.endswith(b"\n\n"), "the last event has no end", body[-60:].decode(errors="replace"))
        out = []
        for block in body.replace(b"\r\n", b"\n").split(b"\n\n")[:-1]:
            lines = [line for line in block.split(b"\n") if line and not line.startswith(b":")]
            if not lines:
                continue
            need(len(lines) == 1 and lines[0].startswith(b"data: "), "lines of an event", block.decode(errors="replace"))
            out.append("[DONE]" if lines[0] == b"data: [DONE]" else json.loads(lines[0][6:]))
        return out

    def take_delta(self, message, delta, first):
        members(delta, (), self.MESSAGE + ("role", "content", "refusal"))
        need(not first or delta.get("role") == "assistant", "the first delta has no role", delta)
        for name in ("content", "refusal", "reasoning", "reasoning_content"):
            if delta.get(name):
                message[name] = (message.get(name) or "") + delta[name]
        for detail in delta.get("reasoning_details") or ():
            self.take_detail(message.setdefault("reasoning_details", []), detail)
        for piece in delta.get("tool_calls") or ():
            calls = message.setdefault("tool_calls", [])
            need(isinstance(piece.get("index"), int) and piece["index"] <= len(calls), "index of a call", piece)
            if piece["index"] == len(calls):
                members(piece, ("index", "id", "type", "function"))
                calls.append({"id": piece["id"], "type": piece["type"],
                              "function": {"name": piece["function"]["name"], "arguments": ""}})
            else:
                need(not piece.get("id") or piece["id"] == calls[piece["index"]]["id"], "a call changed its id", piece)
                need(not piece["function"].get("name"), "a call was named twice", piece)
            calls[piece["index"]]["function"]["arguments"] += piece["function"].get("arguments", "")

    @staticmethod
    def take_detail(details, piece):
        """Pieces of one index are one entry: their texts joined, the rest from whoever says it."""
        for have in details:
            if have.get("index") == piece.get("index") and have["type"] == piece["type"]:
                for key, value in piece.items():
                    have[key] = (have.get(key) or "") + value if key == "text" and value else value or have.get(key)
                return
        details.append(dict(piece))

    def read_stream(self, body):
        answer, message, reason, usage = Answer(), {"role": "assistant", "content": None}, None, None
        head, done, first = None, False, True
        for chunk in self.events(body):
            need(not done and answer.error is None, "something behind the end", chunk)
            if chunk == "[DONE]":
                done = True
                continue
            if "error" in chunk:
                members(chunk["error"], ("message",), None)
                answer.error = (chunk["error"].get("type"), chunk["error"]["message"])
                continue
            if chunk.get("choices") == [] and "prompt_filter_results" in chunk:
                continue  # Azure's own, passed on as it is
            members(chunk, ("id", "object", "created", "model", "choices"), None)
            need(chunk["object"] == "chat.completion.chunk", "object", chunk)
            head = head or (chunk["id"], chunk["created"], chunk["model"])
            need(head == (chunk["id"], chunk["created"], chunk["model"]), "the head changed", chunk)
            if chunk.get("usage") is not None:
                need(usage is None, "usage twice", chunk)
                usage = chunk["usage"]
            if chunk["choices"] == []:
                need(chunk.get("usage") is not None and reason is not None, "a chunk without a choice", chunk)
                continue
            need(reason is None, "a choice behind its end", chunk)
            choice = self.choice(chunk)
            self.take_delta(message, choice["delta"], first)
            first = False
            reason = choice.get("finish_reason")
        if answer.error is None:
            need(done and reason is not None, "no end: done %s, reason %s" % (done, reason))
            if usage is not None:
                self.usage(usage, answer)
        else:
            need(not done, "[DONE] behind an error")
        answer.text, answer.refusal = message["content"] or "", message.get("refusal") or ""
        answer.thinking = message.get("reasoning_content") or message.get("reasoning") or ""
        if answer.error is None:
            for call in message.get("tool_calls") or ():
                self.take_call(answer, call)
            self.finish(answer, message, reason)
        return answer


DOORS = (AnthropicDoor(), OpenAIDoor())
