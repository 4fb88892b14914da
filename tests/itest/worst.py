#!/usr/bin/env python3
"""Whatever a request is made of, it costs no more than was held.  Requests of many small pieces, by seed,
are billed at the worst that the published formats come to: every byte of text is a token, and around each
piece stands the longest that a format puts there.  The judge counts the request's JSON and knows nothing of
the router's code."""

import json
import math
import random
import urllib.request
from decimal import Decimal

from harness import Report, Sim, Wayfare, endpoint, price, provider, wait_for

SEEDS = 60
CONTEXT = 200000
sim = Sim(["claude", "gpt"])
PRICES = {"claude": price("3", "15", web_search="0.01"), "gpt": price("0.15", "0.6")}
AT = {"claude": "claude", "gpt": "gpt", "learned": "claude"}  # model -> its provider
way = Wayfare({
    "providers": [provider("claude", sim.url["claude"]), provider("gpt", sim.url["gpt"] + "/v1", protocol="openai")],
    "models": [{"id": "test/" + name, "aliases": [name], "endpoints": [endpoint(at, "m-" + name, PRICES[at])]}
               for name, at in AT.items()]})
way.cli("team", "create", "strict", "--bound", "strict")
strict_key = way.cli("key", "create", "--team", "strict", "--name", "s").strip()
report = Report()


# ---- the judge ----

def size(text):
    return len(text.encode())


class Judge:
    """text(s): tokens of a string.  value, argument: what is around a value of JSON that is written anew, on
    a line or in a tag of its own, and around an argument of a call."""

    def __init__(self, text, value, argument):
        self.text, self.around_value, self.around_argument = text, value, argument

    def value(self, v):
        if isinstance(v, dict):
            return 2 + sum(self.around_value + self.text(k) + self.value(e) for k, e in v.items())
        if isinstance(v, list):
            return 2 + sum(1 + self.value(e) for e in v)
        return 2 + self.text(v if isinstance(v, str) else json.dumps(v))

    def call(self, name, arguments):
        """<tool_calls><invoke name="NAME">"""
        return 20 + self.text(name) + sum(self.around_argument + self.text(k) + self.value(v)
                                          for k, v in arguments.items())

    def tools(self, body):
        tok = 0
        for tool in body.get("tools", []):
            kind = tool.get("type", "")
            known = {"bash_20250124": 245, "text_editor_20250728": 700, "computer_20251124": 1234, "memory_20250818": 1250}
            tok += known.get(kind, 12) + self.value(tool.get("function", tool))
        return tok + 600 if "tools" in body else 0

    def part(self, p, images):
        kind = p["type"]
        tok = 3
        if kind in ("image", "image_url"):
            tok += images
        elif kind == "document":
            tok += self.text(p["source"]["data"]) + (600 + 8 if p.get("citations") else 0)
        elif kind == "tool_use":
            tok += self.call(p["name"], p["input"])
        elif kind == "tool_result":
            tok += 20 + self.text("x" * 64) + self.content(p.get("content", ""), images)
        elif kind == "thinking":
            tok += self.text(p["thinking"]) + self.text(p["signature"])
        else:
            tok += self.text(p["text"])
        return tok

    def content(self, content, images):
        return self.text(content) if isinstance(content, str) else sum(self.part(p, images) for p in content or [])

    def prompt(self, body, images):
        tok = 72 + self.tools(body) + self.content(body.get("system", ""), images)
        if "response_format" in body or "output_format" in body:
            tok += 180 + self.value(body.get("response_format") or body["output_format"])
        for m in body["messages"]:
            tok += 8 + self.content(m.get("content"), images)
            if m["role"] == "tool":
                tok += 20 + self.text("x" * 64)
            for c in m.get("tool_calls", []):
                tok += self.call(c["function"]["name"], json.loads(c["function"]["arguments"]))
        return tok

    def billed(self, rng, body, images):
        """With the rounds of tools that the provider runs: each reads all that was there before."""
        prompt = self.prompt(body, images)
        hosted = [t for t in body.get("tools", []) if t.get("type", "").startswith(("web_", "code_"))]
        prompt += 5000 * len(hosted)
        uses = sum(t.get("max_uses", 10) for t in hosted)
        tok, searches, read = min(prompt, CONTEXT), 0, prompt
        for _ in range(10):
            calls = min(uses, rng.choice((1, 1, 1, uses)))
            if calls <= 0:
                break
            uses -= calls
            read += calls * rng.choice((25000, 25000, 7000)) + body["max_tokens"]
            tok += min(read, CONTEXT)
        if any(t["type"].startswith("web_search") for t in hosted):
            searches = sum(t.get("max_uses", 10) for t in hosted if t["type"].startswith("web_search"))
        return tok, searches


# <parameter name="a" string="true">1</parameter> (DeepSeek V3.2); <parameter>\n<name>a</name>\n (Qwen3-Coder)
WORST = Judge(size, 11, 17)
# "a": 1,
PLAIN = Judge(lambda s: math.ceil(len(s) / 4), 3, 3)


# ---- requests ----

def word(rng):
    return rng.choice(("k", "", "\n", "é", "中", "\U0001f600", "a b", "\"", "x" * rng.randint(1, 60)))


def text(rng):
    said = word(rng)
    return said if said.strip() else "k"


def name(rng):
    return "n" + "".join(rng.choice("abcdefgh") for _ in range(rng.choice((0, 3, 60))))


def arguments(rng):
    return {"%s%d" % (rng.choice("abc"), i): rng.choice((1, "", [1, 2, 3], {"a": {}}, None))
            for i in range(rng.choice((0, 0, 1, 40)))}


def schema(rng):
    kinds = ({}, {"type": "string"}, {"enum": [1, 2, 3, 4]}, {"type": "array", "items": {}})
    return {"type": "object", "properties": {"p%d" % i: rng.choice(kinds) for i in range(rng.choice((0, 1, 60)))}}


def tools(rng, door):
    made = []
    for i in range(rng.choice((1, 3, 80))):
        of = {"name": "%s%d" % (name(rng)[:50], i), "description": word(rng)}
        made.append(dict(of, input_schema=schema(rng)) if door == "claude"
                    else {"type": "function", "function": dict(of, parameters=schema(rng))})
    if door == "claude" and rng.random() < 0.3:
        made.append(dict(rng.choice(({"type": "bash_20250124", "name": "bash"}, {"type": "memory_20250818", "name": "memory"},
                                     {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"}))))
    return made


def claude_pair(rng, i):
    n, ids = name(rng), ["toolu_%d_%d" % (i, k) for k in range(rng.choice((1, 1, 5)))]
    return [{"role": "assistant", "content": [{"type": "tool_use", "id": t, "name": n, "input": arguments(rng)} for t in ids]},
            {"role": "user", "content": [dict({"type": "tool_result", "tool_use_id": t},
                                              **rng.choice(({}, {"content": text(rng)}))) for t in ids]}]


def gpt_pair(rng, i):
    n, ids = name(rng), ["call_%d_%d" % (i, k) for k in range(rng.choice((1, 1, 5)))]
    return [{"role": "assistant", "content": None, "tool_calls": [
                {"id": t, "type": "function", "function": {"name": n, "arguments": json.dumps(arguments(rng), separators=(",", ":"))}}
                for t in ids]}] + [{"role": "tool", "tool_call_id": t, "content": word(rng)} for t in ids]


PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def first(rng, door):
    """What a conversation begins with: a word, many blocks, pictures, documents to cite from."""
    kind = rng.choice(("word", "blocks", "images", "cited"))
    blocks = [{"type": "text", "text": text(rng)} for _ in range(rng.choice((1, 300)) if kind == "blocks" else 1)]
    if kind == "images":
        image = ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}} if door == "claude"
                 else {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PIXEL}})
        blocks += [image] * rng.randint(1, 3)
    if kind == "cited" and door == "claude":
        blocks += [{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "A. B. " * rng.randint(1, 50)},
                    "citations": {"enabled": True}}] * rng.randint(1, 3)
    return {"role": "user", "content": "k" if kind == "word" else blocks}


def made(seed, door):
    rng = random.Random("%s %d" % (door, seed))
    body = {"model": door, "max_tokens": rng.randint(1, 40), "messages": [first(rng, door)]}
    for i in range(rng.choice((0, 1, 20, 200))):
        if rng.random() < 0.5:
            body["messages"] += claude_pair(rng, i) if door == "claude" else gpt_pair(rng, i)
        else:
            body["messages"] += [{"role": "assistant", "content": "k"}, {"role": "user", "content": text(rng)}]
    if body["messages"][-1]["role"] == "tool":
        body["messages"].append({"role": "user", "content": "k"})
    pairs = any("tool_use" in json.dumps(m) or "tool_calls" in m for m in body["messages"])
    if pairs or rng.random() < 0.5:
        body["tools"] = tools(rng, door)
    if rng.random() < 0.2:
        form = {"type": "json_schema", "schema": dict(schema(rng), additionalProperties=False)}
        if door == "claude":
            body["output_format"] = form
        else:
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "f", "schema": form["schema"]}}
    elif door == "claude" and rng.random() < 0.3:
        body.setdefault("tools", []).append(rng.choice(({"type": "web_search_20250305", "name": "web_search", "max_uses": rng.randint(1, 20)},
                                                        {"type": "web_search_20250305", "name": "web_search"},
                                                        {"type": "code_execution_20250825", "name": "code_execution"})))
    return rng, body


def send(key, body, door):
    path = "/v1/messages" if door == "claude" else "/v1/chat/completions"
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    status, headers, data = way.request("POST", path, text.encode(), {"x-api-key": key}, key=None)
    assert status == 200, (status, data[:500])
    return headers


def within(what, key, body, door, tok, searches=0):
    sim.script(AT[body["model"]], input_tokens=tok, output_tokens=body["max_tokens"], web_searches=searches)
    attempt = way.generation(send(key, body, door))["attempts"][0]
    assert attempt["usage"]["input_tokens"] == tok, attempt
    cost, hold = Decimal(attempt["cost_usd"]), Decimal(attempt["hold_usd"])
    assert cost <= hold, "%s: %d tokens cost %s, held %s: %s" % (what, tok, cost, hold, json.dumps(body)[:300])
    return cost / hold


def exceeded():
    request = urllib.request.Request("http://" + way.admin + "/metrics",
                                     headers={"Authorization": "Bearer admin-token-for-tests"})
    page = urllib.request.urlopen(request, timeout=30).read().decode()
    return int([line.split()[1] for line in page.splitlines() if line.startswith("wayfare_holds_exceeded_total ")][0])


# ---- cases ----

def tiny_messages():
    """The judge of the simulator itself: a quarter of the body."""
    sim.reset()
    many = [{"role": ("user", "assistant")[i % 2], "content": "k"} for i in range(201)]
    headers = send(strict_key, {"model": "claude", "max_tokens": 10, "messages": many}, "claude")
    attempt = way.generation(headers)["attempts"][0]
    assert Decimal(attempt["cost_usd"]) <= Decimal(attempt["hold_usd"]), attempt
    assert attempt["usage"]["input_tokens"] > 1000, attempt


def by_seed(door):
    """Strict: nothing that is published costs more."""
    sim.reset()
    highest = Decimal(0)
    for seed in range(SEEDS):
        rng, body = made(seed, door)
        tok, searches = WORST.billed(rng, body, 4784 if door == "claude" else 2833 + 8 * 5667)
        highest = max(highest, within("seed %d" % seed, strict_key, body, door, tok, searches))
    # a judge that bills next to nothing proves nothing
    assert highest > Decimal("0.3"), highest


def translated(door, model):
    """What is held rests on the client's body, and the provider reads another."""
    sim.reset()
    for seed in range(SEEDS // 3):
        rng, body = made(seed, door)
        for member in ("output_format", "response_format"):
            body.pop(member, None)
        if "tools" in body:
            body["tools"] = [t for t in body["tools"] if t.get("type") in (None, "function")]
            if not body["tools"]:
                continue
        if body["messages"][0]["content"] != "k":
            body["messages"][0]["content"] = [p for p in body["messages"][0]["content"] if p["type"] == "text"]
        body["model"] = model
        tok, _ = WORST.billed(rng, body, 0)
        within("seed %d" % seed, strict_key, body, door, tok)


def learned_of_long_texts():
    """A team whose bound was learned from long texts with few tokens a byte; then the small pieces, each
    with as many tokens as such have."""
    sim.reset()
    long = {"model": "learned", "max_tokens": 10, "messages": [{"role": "user", "content": "A long word. " * 3000}]}
    sim.script("claude", input_tokens=6000, output_tokens=10)
    before = Decimal(way.generation(send(way.key, long, "claude"))["attempts"][0]["hold_usd"])
    for _ in range(140):
        send(way.key, long, "claude")

    def learned():
        hold = Decimal(way.generation(send(way.key, long, "claude"))["attempts"][0]["hold_usd"])
        return hold < before / 2

    wait_for("the bound to be learned", learned)
    for seed in range(SEEDS):
        rng, body = made(seed, "claude")
        body["model"] = "learned"
        tok, searches = PLAIN.billed(rng, body, 1600)
        within("seed %d" % seed, way.key, body, "claude", tok, searches)


def servable():
    """Five searches on a model of 200,000 tokens, under a cap of two dollars."""
    sim.reset()
    key = way.cli("key", "create", "--team", "strict", "--name", "small", "--budget", "2", "--window", "total").strip()
    body = {"model": "claude", "max_tokens": 4096, "messages": [{"role": "user", "content": "What is new?"}],
            "tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 5}]}
    sim.script("claude", input_tokens=60000, output_tokens=300, web_searches=5)
    attempt = way.generation(send(key, body, "claude"))["attempts"][0]
    assert Decimal("1") < Decimal(attempt["hold_usd"]) < Decimal("1.6"), attempt


def none_exceeded():
    assert exceeded() == 0
    way.verify()


report.case("many messages of a letter", tiny_messages)
report.case("requests by seed, Anthropic's protocol", by_seed, "claude")
report.case("requests by seed, OpenAI's protocol", by_seed, "gpt")
report.case("translated to OpenAI's", translated, "claude", "gpt")
report.case("translated to Anthropic's", translated, "gpt", "claude")
report.case("small pieces after long texts", learned_of_long_texts)
report.case("searches under a small cap", servable)
report.case("no hold was exceeded", none_exceeded)
report.end()
