#!/usr/bin/env python3
"""Both doors to every protocol: what a client says reaches the provider, what the provider answers
reaches the client, and the ledger holds what the provider charged.

A cell is a feature, a door and a protocol, as JSON and as a stream.  Its verdict is "yes", "yes,
dropped: X" (the header x-wayfare-dropped names X) or "not possible", with a reason from a table
below.  Whatever is not named as dropped must have been understood by the provider (the simulator's
witness log), which refuses what the real one refuses.

usage: translate.py [--write-doc] [TEST...]     --write-doc writes docs/translation.md
"""
import json
import socket
import sys
import threading
import time
from decimal import ROUND_CEILING, Decimal

from harness import SLOW, SOURCE, Report, Sim, Wayfare, endpoint, price, provider, wait_for
from matrix_doors import DOORS, Invalid, Talk, text
from matrix_heard import Heard, check_signature, is_shown, plain_schema

AWS_ID, AWS_SECRET = "AKIATESTTESTTEST", "wJalrXUtnFEMIexampleKEY"
PRICES = {"input": Decimal("3"), "output": Decimal("15"), "cache_read": Decimal("0.30"),
          "cache_write_5m": Decimal("3.75"), "cache_write_1h": Decimal("6")}
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
PLACE = "/v1/projects/p/locations/global"

# name, catalog word, what follows the host in base_url, upstream model, variable of the credential
PROTOCOLS = [
    ("anthropic", "anthropic", "", "claude-sonnet-4-5", "TEST_PROVIDER_KEY"),
    ("openai", "openai", "/v1", "gpt-sim", "TEST_PROVIDER_KEY"),
    ("azure-openai", "azure-openai", "", "gpt-sim", "TEST_PROVIDER_KEY"),
    ("gemini", "gemini", "", "gemini-2.5-flash", "TEST_PROVIDER_KEY"),
    ("vertex-gemini", "vertex", PLACE, "gemini-2.5-flash", "TEST_PROVIDER_KEY"),
    ("vertex-claude", "vertex", PLACE, "claude-sonnet-4-5@20250929", "TEST_PROVIDER_KEY"),
    ("bedrock-converse", "bedrock", "", "converse/" + CLAUDE, "TEST_AWS_KEYS"),
    ("bedrock-invoke", "bedrock", "", CLAUDE, "TEST_PROVIDER_KEY"),
]
CREDENTIALS = {p[0]: {"anthropic": "x-api-key", "azure-openai": "api-key", "gemini": "x-goog-api-key"}.get(
    p[1], "authorization") for p in PROTOCOLS}  # the header that brings it
NAMES = [p[0] for p in PROTOCOLS]
SIGNING = ("anthropic", "vertex-claude", "bedrock-converse", "bedrock-invoke")  # Claude's thinking

TEXT = 'Grüße, "quoted" \\ and 50% of a 🐚.\nA second line.'
LONG = "".join("Zeile %d: äöü 🐚, " % i for i in range(1500))
THOUGHTS = "First consider «this», then decide."
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "description": "Where"},
                                           "days": {"type": "integer"}},
          "required": ["city"], "additionalProperties": False}
ARGUMENTS = {"city": "Köln \"am\" Rhein 🐚", "days": 3}
TOOLS = [("weather", "The weather of a city", SCHEMA), ("clock", "The time in a city", SCHEMA)]
PDF = "JVBERi0xLjQKJSBubyByZWFsIHBhZ2VzCg=="
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


def is_native(door, protocol):
    """Bytes pass."""
    return protocol in (("anthropic", "vertex-claude") if door.name == "anthropic" else
                        ("openai", "azure-openai"))


class World:
    """The simulator with a port per protocol, and a server in front of it."""

    def __init__(self, options=("--log-bodies",)):
        self.sim = Sim(NAMES, options)
        providers, models = [], []
        for name, word, tail, upstream, key in PROTOCOLS:
            providers.append(provider(name, self.sim.url[name] + tail, protocol=word, region="eu-west-1",
                                      credential={"env": key}))
            models.append({"id": "test/" + name, "aliases": [name], "name": name, "endpoints": [endpoint(
                name, upstream, price("3", "15", cache_read="0.30", cache_write_5m="3.75", cache_write_1h="6"),
                context_length=100000000)]})
        models.append({"id": "test/all", "aliases": ["all"], "name": "all",
                       "endpoints": [e for m in models for e in m["endpoints"]]})
        self.wf = Wayfare({"providers": providers, "models": models},
                          env={"TEST_AWS_KEYS": AWS_ID + ":" + AWS_SECRET}, threads=1)

    def ask(self, door, protocol, body, headers=None, **script):
        """One request under a script: (status, headers, body, what the simulator wrote of it)."""
        self.sim.script(protocol, **dict({"strict": 1, "input_tokens": 100}, **script))
        list(self.sim.unread_witness())  # of requests before
        answer = self.wf.request("POST", door.path, body, headers)
        lines = []

        def ended():
            """Once every call that began has ended: the client may be told before that is written."""
            lines.extend(self.sim.unread_witness())
            running = sum(1 if line["event"] == "begin" else -1 for line in lines)
            return [line for line in lines if line["event"] == "end" and "protocol" in line] if running <= 0 else []

        if answer[0] == 200 or script.get("status", 0) >= 400:
            wait_for("the witness", ended, 5)
        time.sleep(0.002 if answer[0] >= 400 else 0)  # a refusal of the provider's would be there by now
        seen = ended() or lines and ended()
        return answer + (seen[-1] if seen else None,)


world = None
dropped_in_cell = []  # names of x-wayfare-dropped, of the cell that is being run


def get_world():
    global world
    if world is None:
        world = World()
    return world


class NotAnswered(AssertionError):
    """Another status than the one that was expected."""

    def __init__(self, cell):
        super().__init__("%s %s" % (cell.status, cell.body[:1000]))
        self.status, self.body, self.line = cell.status, cell.body, cell.line


class Cell:
    """One exchange, looked at from both ends."""

    def __init__(self, door, protocol, stream, talk, error=None, **script):
        self.door, self.protocol, self.stream, self.talk = door, protocol, stream, talk
        self.world = get_world()
        script.setdefault("chunk", "random")
        self.status, self.headers, self.body, self.line = self.world.ask(
            door, protocol, door.body(talk, protocol, stream), **script)
        self.dropped = [d.strip() for d in self.headers.get("x-wayfare-dropped", "").split(",") if d.strip()]
        if self.status != (error or 200):
            raise NotAnswered(self)
        dropped_in_cell.extend(d for d in self.dropped if d not in dropped_in_cell)
        if error:
            return
        self.heard = Heard(self.line["heard"])
        self.answer = (door.read_stream if stream else door.read_json)(self.body)

    def heard_or_dropped(self, heard, *names):
        """True when it was understood; else it must have been named, by one of these names."""
        if not heard:
            assert any(d in names or d.rpartition(".")[2] in names for d in self.dropped), \
                ("neither understood nor named as dropped", names, self.dropped, self.line["heard"])
        return heard

    def said(self, content=TEXT, stop="end"):
        assert self.answer.error is None, self.answer.error
        assert (self.answer.text, self.answer.stop) == (content, stop), (self.answer.text, self.answer.stop)

    def generation(self):
        return generation(self.world, self.headers)

    def paid(self):
        """Client, ledger and provider name the same figures; the cost is theirs to the nano-dollar."""
        bill = {k: self.line[k + "_tokens"] for k in PRICES}
        told = self.answer.usage
        written = bill["cache_write_5m"] + bill["cache_write_1h"]
        assert told == {"input": bill["input"], "cache_read": bill["cache_read"], "cache_write": written,
                        "output": bill["output"]}, (told, bill)
        attempt = self.generation()["attempts"][-1]
        have = {k: attempt["usage"][k + "_tokens"] or 0 for k in PRICES}  # null: never said
        assert (have, attempt["usage_source"]) == (bill, "final"), (attempt, bill)
        cost = sum(bill[k] * PRICES[k] for k in PRICES) / 1000000
        assert Decimal(attempt["cost_usd"]) == cost.quantize(Decimal("1e-9"), ROUND_CEILING), (attempt, cost)


def generation(w, headers):
    """The settled record, over HTTP."""
    path = "/v1/generations/" + headers["x-wayfare-generation-id"]

    def settled():
        status, _, body = w.wf.request("GET", path)
        g = json.loads(body) if status == 200 else None
        done = g and g["status"] not in (None, "running") and all(a["state"] in ("SETTLED", "VOID") for a in g["attempts"])
        return g if done else None

    return wait_for(path, settled)


# ---- the features ----
def ask_text(content="Say something."):
    return [("user", [text(content)])]


def same_turns(cell):
    """The texts of the conversation, in their turns."""
    have = [(role, [b["text"] for b in blocks if b["kind"] == "text"]) for role, blocks in cell.heard.turns]
    want = [(role, [b["text"] for b in blocks if b["kind"] == "text"]) for role, blocks in cell.talk.turns]
    assert [(r, "".join(t)) for r, t in have] == [(r, "".join(t)) for r, t in want], (have, want)


def feature_text(door, protocol, stream):
    turns = ask_text("Wie geht's? 🐚") + [("assistant", [text("Gut.")]), ("user", [text("Und\n\"morgen\"?")])]
    cell = Cell(door, protocol, stream, Talk(turns), text=TEXT)
    same_turns(cell)
    assert cell.heard.settings["max_tokens"] == 1000, cell.heard.settings
    assert CREDENTIALS[protocol] in {h.lower() for h in cell.line["headers"]}, cell.line["headers"]
    cell.said()
    cell.paid()


def feature_system(door, protocol, stream):
    system = ["Be brief.", "Answer in «German»."]
    cell = Cell(door, protocol, stream, Talk(ask_text(), system), text=TEXT)
    have = "\n".join(cell.heard.system)
    assert have.index(system[0]) < have.index(system[1]), cell.heard.system
    assert len(have) <= len("\n".join(system)) + 2, cell.heard.system
    same_turns(cell)
    cell.said()
    cell.paid()


def feature_image(door, protocol, stream):
    turns = [("user", [text("What is this?"), {"kind": "image", "media": "image/png", "data": PNG}])]
    cell = Cell(door, protocol, stream, Talk(turns), text=TEXT)
    same_turns(cell)
    images = cell.heard.of_kind("image")
    assert [i["media"] for i in images] == ["image/png"] and is_shown(images[0]["data"], PNG), images
    cell.said()
    cell.paid()


def feature_image_by_url(door, protocol, stream):
    url = "https://example.com/a%20b.png?x=1&y=2"
    cell = Cell(door, protocol, stream, Talk([("user", [text("What is this?"), {"kind": "image_url", "url": url}])]), text=TEXT)
    images = cell.heard.of_kind("image")
    cell.heard_or_dropped([i["url"] for i in images] == [url], "image", "image_url")
    cell.said()
    cell.paid()


def feature_document(door, protocol, stream):
    document = {"kind": "document", "title": "a file.pdf", "media": "application/pdf", "data": PDF}
    cell = Cell(door, protocol, stream, Talk([("user", [document, text("What is this?")])]), text=TEXT)
    have = [(d["media"].split("/")[-1], d["data"]) for d in cell.heard.of_kind("document")]
    cell.heard_or_dropped(have == [("pdf", PDF)], "document", "file")
    cell.said()
    cell.paid()


SAMPLING = {"anthropic": {"temperature": 0.50, "top_p": 0.9, "top_k": 40},
            "openai": {"temperature": 0.50, "top_p": 0.9, "seed": 7, "frequency_penalty": 0.5, "presence_penalty": 0.25}}


def feature_sampling(door, protocol, stream):
    cell = Cell(door, protocol, stream, Talk(ask_text(), **SAMPLING[door.name]), text=TEXT)
    for name, value in SAMPLING[door.name].items():
        cell.heard_or_dropped(cell.heard.settings.get(name) == value, name)
    cell.said()
    cell.paid()


def heard_tools(cell):
    want = {n: (d, plain_schema(s)) for n, d, s in cell.talk.tools}
    assert cell.heard.tools == want, cell.heard.tools


def called(cell, names, arguments=ARGUMENTS):
    assert [(n, a) for _, n, a in cell.answer.calls] == [(n, arguments) for n in names], cell.answer.calls
    assert cell.answer.stop == "tool", cell.answer.stop
    ids = [i for i, _, _ in cell.answer.calls]
    assert len(set(ids)) == len(ids), ids


def feature_tools(door, protocol, stream):
    cell = Cell(door, protocol, stream, Talk(ask_text(), tools=TOOLS), text=TEXT, tool=1, output_tokens=60,
                arguments=json.dumps(ARGUMENTS))
    heard_tools(cell)
    called(cell, ["weather"])
    assert cell.answer.text == TEXT, cell.answer.text
    cell.paid()


def feature_tool_choice(door, protocol, stream):
    for choice, calls in (("any", 1), ("clock", 1), ("none", 0)):
        cell = Cell(door, protocol, stream, Talk(ask_text(), tools=TOOLS, choice=choice), tool=1, output_tokens=60,
                    arguments=json.dumps(ARGUMENTS))
        have = cell.heard.settings.get("choice")
        if choice == "none":  # a provider that has no such word gets no tools
            ok = have == "none" or not cell.heard.tools
        else:
            ok = (have, cell.heard.settings.get("choice_name")) == (("any", None) if choice == "any" else ("tool", choice))
            ok = ok or (have == "any" and list(cell.heard.tools) == [choice])
        if cell.heard_or_dropped(ok, "tool_choice"):
            assert len(cell.answer.calls) == calls, cell.answer.calls
            assert choice != "clock" or cell.answer.calls[0][1] == "clock", cell.answer.calls
        cell.paid()


def feature_parallel_tools(door, protocol, stream):
    for interleave in (0, 1):
        cell = Cell(door, protocol, stream, Talk(ask_text(), tools=TOOLS), text=TEXT, tool=3, output_tokens=90,
                    arguments=json.dumps(ARGUMENTS), interleave=interleave, event_tokens=1)
        called(cell, ["weather", "clock", "weather"])
        cell.paid()


def feature_one_tool_at_a_time(door, protocol, stream):
    cell = Cell(door, protocol, stream, Talk(ask_text(), tools=TOOLS, parallel=False), tool=3, output_tokens=60,
                arguments=json.dumps(ARGUMENTS))
    if cell.heard_or_dropped(cell.heard.settings.get("parallel") is False, "parallel_tool_calls",
                             "disable_parallel_tool_use"):
        called(cell, ["weather"])
    cell.paid()


def feature_image_in_a_result(door, protocol, stream):
    turns = ask_text() + [("assistant", [{"kind": "call", "id": "call_1", "name": "weather", "arguments": {}}]),
                          ("user", [{"kind": "result", "id": "call_1", "text": "A map",
                                     "image": {"kind": "image", "media": "image/png", "data": PNG}}])]
    cell = Cell(door, protocol, stream, Talk(turns, tools=TOOLS), text=TEXT)
    result = cell.heard.of_kind("result")[0]
    assert any("A map" in t for t in result["texts"]), result
    there = PNG in json.dumps(result["raw"]) or PNG in json.dumps(cell.heard.of_kind("image"))
    cell.heard_or_dropped(there, "image", "tool_result.image")
    cell.said()
    cell.paid()


def result_turns():
    return [("user", [text("And now?")]),
            ("assistant", [text("I look."), {"kind": "call", "id": "call_1", "name": "weather", "arguments": ARGUMENTS},
                           {"kind": "call", "id": "call_2", "name": "clock", "arguments": {}}]),
            ("user", [{"kind": "result", "id": "call_1", "text": "Sonnig, 21°"},
                      {"kind": "result", "id": "call_2", "text": "no such clock", "error": True}, text("Well?")])]


def feature_tool_result(door, protocol, stream):
    cell = Cell(door, protocol, stream, Talk(result_turns(), tools=TOOLS), text=TEXT)
    same_turns(cell)
    heard_tools(cell)
    calls, results = cell.heard.of_kind("call"), cell.heard.of_kind("result")
    assert [(c["name"], c["arguments"]) for c in calls] == [("weather", ARGUMENTS), ("clock", {})], calls
    for call, result, said in zip(calls, results, ("Sonnig, 21°", "no such clock"), strict=True):
        assert any(said in t for t in result["texts"]), (said, result)
        assert result["name"] in (None, call["name"]) and result["id"] == call.get("id"), (call, result)
    if door.name == "anthropic":  # the other door has no word for it
        failed = "error" in json.dumps(results[1]["raw"]).lower()  # a flag, or words
        cell.heard_or_dropped(failed, "is_error", "tool_result.is_error")
    cell.said()
    cell.paid()


def answered(cell):
    """The talk goes on: what the model said and thought, and the result of its first call."""
    turns = ask_text() + [("assistant", [cell.answer.back]),
                          ("user", [{"kind": "result", "id": cell.answer.calls[0][0], "text": "Sonnig"}])]
    return Talk(turns, tools=TOOLS, max_tokens=4000, thinking=2000)


def feature_thinking(door, protocol, stream):
    talk = Talk(ask_text(), tools=TOOLS, max_tokens=4000, thinking=2000)
    cell = Cell(door, protocol, stream, talk, text=TEXT, tool=1, output_tokens=80, thoughts=THOUGHTS, thinking=1,
                arguments=json.dumps(ARGUMENTS))
    settings = cell.heard.settings
    told = settings.get("thinking") in ("enabled", "adaptive") or settings.get("effort") or settings.get("thinking_budget")
    if cell.heard_or_dropped(told, "thinking", "reasoning_effort", "reasoning"):
        assert cell.answer.thinking == THOUGHTS, cell.answer.thinking
    called(cell, ["weather"])
    cell.paid()
    # And back: with what the provider wants to see again, and without what it would refuse.
    again = Cell(door, protocol, stream, answered(cell), text=TEXT, thinking=0, need_signature=1)
    again.said()
    heard = again.heard.of_kind("call" if "gemini" in protocol else "thinking")
    if protocol in SIGNING or "gemini" in protocol:
        assert heard and heard[0].get("signature"), again.line["heard"]
    calls, results = again.heard.of_kind("call"), again.heard.of_kind("result")
    assert len(calls) == len(results) == 1 and calls[0].get("id") == results[0]["id"], (calls, results)


def feature_cache(door, protocol, stream):
    script = {"cache_read": 40, "cache_write_5m": 20 if protocol in SIGNING else 0}
    cell = Cell(door, protocol, stream, Talk(ask_text("Hello"), ["You are a machine."], cache=True), text=TEXT, **script)
    cell.heard_or_dropped(cell.heard.marks >= 2, "cache_control")
    cell.said()
    cell.paid()


def feature_stop(door, protocol, stream):
    cell = Cell(door, protocol, stream, Talk(ask_text(), stop=["ENDE", "STOP🐚"]), text="Before it ENDE and behind")
    if not cell.heard_or_dropped(cell.heard.settings.get("stop") == ["ENDE", "STOP🐚"], "stop", "stop_sequences"):
        return
    known = door.name == "anthropic" and protocol in SIGNING  # the others say no more than "stop"
    cell.said("Before it ", "sequence" if known else "end")
    assert cell.answer.sequence == ("ENDE" if known else None), cell.answer.sequence
    cell.paid()


def feature_json_schema(door, protocol, stream):
    cell = Cell(door, protocol, stream, Talk(ask_text(), schema=SCHEMA), text=json.dumps(ARGUMENTS))
    have = plain_schema(cell.heard.settings.get("schema"))
    cell.heard_or_dropped(have == plain_schema(SCHEMA), "output_config.format", "response_format")
    cell.said(json.dumps(ARGUMENTS))
    cell.paid()


def feature_long_output(door, protocol, stream):
    cell = Cell(door, protocol, stream, Talk(ask_text(), max_tokens=60000), text=LONG, event_tokens=2)
    cell.said(LONG)
    cell.paid()


def feature_error(door, protocol, stream):
    for status, retry in ((429, 7), (400, None), (503, None)):
        script = {"status": status, "error_message": "Because of «that»."}
        cell = Cell(door, protocol, stream, Talk(ask_text()), error=status, **script,
                    **({"retry_after": retry} if retry else {}))
        kind, message = door.read_error(cell.body)
        assert kind and "Because of «that»." in message, cell.body
        assert not retry or cell.headers["retry-after"] == str(retry), cell.headers
        g = cell.generation()
        assert (g["attempts"][0]["http_status"], Decimal(g["cost_usd"])) == (status, 0), g


def feature_error_in_stream(door, protocol, stream):
    cell = Cell(door, protocol, stream, Talk(ask_text()), text=LONG, output_tokens=400, error_event_after=12,
                error_message="Because of «that».")
    assert cell.answer.error is not None and cell.answer.stop is None, cell.answer
    assert "Because of «that»." in cell.answer.error[1], cell.answer.error
    assert cell.answer.text and LONG.startswith(cell.answer.text), cell.answer.text
    attempt = cell.generation()["attempts"][0]
    assert attempt["state"] == "SETTLED" and Decimal(attempt["cost_usd"]) > 0, attempt


def feature_refusal(door, protocol, stream):
    cell = Cell(door, protocol, stream, Talk(ask_text()), text=TEXT, stop_reason="refusal")
    cell.said(TEXT, "refusal")
    cell.paid()


def feature_max_tokens(door, protocol, stream):
    cell = Cell(door, protocol, stream, Talk(ask_text(), max_tokens=5), text=LONG)
    assert cell.heard.settings["max_tokens"] == 5, cell.heard.settings
    assert cell.answer.stop == "length" and LONG.startswith(cell.answer.text) and cell.answer.text, cell.answer.text
    cell.paid()


# The rows of the document.
FEATURES = [
    ("text", feature_text), ("system", feature_system), ("image", feature_image), ("image by URL", feature_image_by_url),
    ("document", feature_document), ("tools", feature_tools), ("tool choice", feature_tool_choice),
    ("parallel tools", feature_parallel_tools), ("one tool at a time", feature_one_tool_at_a_time),
    ("tool result", feature_tool_result), ("image in a result", feature_image_in_a_result),
    ("thinking", feature_thinking), ("cache", feature_cache), ("stop", feature_stop), ("JSON schema", feature_json_schema),
    ("sampling", feature_sampling), ("long output", feature_long_output), ("error", feature_error),
    ("error in a stream", feature_error_in_stream), ("refusal", feature_refusal), ("max_tokens", feature_max_tokens),
]

# (feature, door or *, protocol or *, JSON or SSE or *): why not.
# Where it says so, the refusal is looked at.
NOT_POSSIBLE = {
    ("error in a stream", "*", "*", "JSON"): "an answer that comes whole has no middle",
    ("image in a result", "openai", "*", "*"): "the client's protocol has only text there",
    ("image by URL", "*", "bedrock-converse", "*"): "Converse takes data only: refused with 400",
}


def why_not(feature, door, protocol, mode):
    for key, reason in NOT_POSSIBLE.items():
        if all(k in ("*", v) for k, v in zip(key, (feature, door, protocol, mode))):
            return reason
    return None


results = {}  # (feature, door, protocol, mode): verdict


def check_refused(function, door, protocol, stream):
    """The client is told what and why; nothing is sent."""
    try:
        function(door, protocol, stream)
    except NotAnswered as e:
        assert e.status == 400 and e.line is None, (e.status, e.line)
        assert "image" in door.read_error(e.body)[1], e.body
        return
    raise AssertionError("it was not refused")


def run_cell(feature, function, door, protocol, mode):
    reason = why_not(feature, door.name, protocol, mode)
    if reason is not None:
        if reason.endswith("refused with 400"):
            check_refused(function, door, protocol, mode == "SSE")
        results[feature, door.name, protocol, mode] = "not possible: " + reason
        return
    dropped_in_cell.clear()
    try:
        function(door, protocol, mode == "SSE")
    except Invalid as e:
        raise AssertionError("the answer is not valid: %s" % e) from e
    dropped = ", ".join("`%s`" % d for d in dropped_in_cell)
    results[feature, door.name, protocol, mode] = "yes, dropped: " + dropped if dropped else "yes"


# ---- the document ----
def verdict(feature, door, protocol):
    """JSON and SSE together, where they agree."""
    json_form, sse_form = (results.get((feature, door, protocol, mode), "not tested") for mode in ("JSON", "SSE"))
    return json_form if json_form == sse_form else "JSON: %s; SSE: %s" % (json_form, sse_form)


def document():
    out = ["# What is translated", "",
           "Written by `tests/itest/translate.py --write-doc` from what the tests saw; a test compares it. A cell holds for whole",
           "answers and for streams, where it does not name them. \"dropped\": the provider cannot be told; the answer's header",
           "`x-wayfare-dropped` names it. Client and provider of the same protocol: bytes pass through.", ""]
    reasons = []
    for door in DOORS:
        out += ["## From a client of `%s`" % door.path, "", "| | %s |" % " | ".join(NAMES), "|---|" + "---|" * len(NAMES)]
        for feature, _ in FEATURES:
            cells = []
            for protocol in NAMES:
                cell = verdict(feature, door.name, protocol)
                for reason in sorted(set(NOT_POSSIBLE.values())):
                    if "not possible: " + reason in cell:
                        if reason not in reasons:
                            reasons.append(reason)
                        cell = cell.replace("not possible: " + reason, "not possible (%d)" % (1 + reasons.index(reason)))
                cells.append(cell)
            out.append("| %s | %s |" % (feature, " | ".join(cells)))
        out.append("")
    out += ["%d. %s" % (i + 1, reason) for i, reason in enumerate(reasons)]
    return "\n".join(out) + "\n"


DOCUMENT = SOURCE / "docs" / "translation.md"


def check_document():
    assert DOCUMENT.read_text() == document(), "run tests/itest/translate.py --write-doc and look at the difference"


# ---- beyond the cells ----
def pieces_of(door, w, protocol, leave=None, **script):
    """The times at which pieces of a stream reach the client: [(seconds, bytes)].  leave: after so
    many seconds the client goes."""
    w.sim.script(protocol, **dict({"strict": 1, "input_tokens": 100}, **script))
    body = json.dumps(door.body(Talk(ask_text()), protocol, True)).encode()
    head = "POST %s HTTP/1.1\r\nhost: x\r\nx-api-key: %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    out, begun = [], time.monotonic()
    with socket.create_connection((w.wf.host, w.wf.port), timeout=30 * SLOW) as sock:
        sock.sendall((head % (door.path, w.wf.key, len(body))).encode() + body)
        try:
            for piece in iter(lambda: sock.recv(65536), b""):
                out.append((time.monotonic() - begun, piece))
                if leave is not None:
                    sock.settimeout(max(leave - out[-1][0], 0.01))
        except socket.timeout:
            assert leave is not None
    return out


def run_beyond(report):
    first_tokens(report)
    for name, function in list(globals().items()):
        if name.startswith("known_"):
            report.case(name[6:], function)
    report.case("failover between protocols", failover)
    report.case("silence is filled", silence)
    report.case("signature of AWS", aws_signature)


def first_tokens(report):
    """A door at a time, its protocols at once: much of it is waiting."""
    w = get_world()
    for door in DOORS:
        seen = {}
        threads = [threading.Thread(target=lambda p=p: seen.update({p: pieces_of(
            door, w, p, text="w" * 400, event_tokens=4, tps=100, ttft_ms=50)})) for p in NAMES]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for protocol in NAMES:
            report.case("first token is not held back: %s to %s" % (door.name, protocol), first_token, seen.get(protocol))


def first_token(pieces):
    total = pieces[-1][0]
    first = next(t for t, piece in pieces if b"ww" in piece)
    assert total > 0.8 and first < total / 2, (first, total)
    assert sum(b"ww" in piece for _, piece in pieces) > 5, [len(p) for _, p in pieces]


def failover():
    """A provider that fails is followed by one of another protocol; what the client hears is of the
    second alone."""
    w = get_world()
    for door in DOORS:
        for i, first in enumerate(NAMES):
            second = NAMES[(i + 3) % len(NAMES)]
            for stream in (False, True):
                w.sim.script(first, status=503)
                body = dict(door.body(Talk(ask_text(), tools=TOOLS), "all", stream), provider_order=[first, second])
                status, headers, answer, line = w.ask(door, second, body, text=TEXT, tool=1, output_tokens=60,
                                                      arguments=json.dumps(ARGUMENTS))
                assert (status, headers["x-wayfare-attempts"], headers["x-wayfare-provider"]) == (200, "2", second), headers
                told = (door.read_stream if stream else door.read_json)(answer)
                assert (told.text, told.stop, len(told.calls)) == (TEXT, "tool", 1), (first, second, told.text)
                assert line["listener"] == second, line
                w.sim.script(first)


def silence():
    """litellm#34374, #34819: a long silence makes clients leave; after 10 s in a stream that has begun
    there is a keep-alive, between events.  (Before its first byte another provider may still be tried:
    then nothing is sent.)"""
    w = get_world()
    answers = {}

    def run(door, protocol):
        answers[door.name, protocol] = b"".join(p for _, p in pieces_of(door, w, protocol, 10 + 4 * SLOW, text=LONG,
                                                                          hang_after_events=5))

    threads = [threading.Thread(target=run, args=(door, protocol)) for door in DOORS
               for protocol in NAMES]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    marks = {"anthropic": b"event: ping", "openai": b"\n: "}
    # Behind all that the provider has said: Anthropic's has a ping of its own before its first words.
    bad = [key for key, raw in answers.items() if marks[key[0]] not in raw[raw.rfind(b"delta"):]]
    assert not bad, (bad, answers[bad[0]][:600])


def aws_signature():
    cell = Cell(DOORS[0], "bedrock-converse", False, Talk(ask_text()), text=TEXT)
    check_signature(cell.line, AWS_ID, AWS_SECRET)
    try:
        check_signature(cell.line, AWS_ID, AWS_SECRET + "x")
    except AssertionError:
        return
    raise AssertionError("a wrong secret gives the same signature")


# What other gateways got wrong; the numbers are those of their issues.
def known_litellm_34692_stop_reason_with_a_tool_call():
    """A provider that ends a tool call with "stop" has called a tool all the same."""
    for door in DOORS:
        for protocol in ("openai", "azure-openai", "bedrock-converse"):
            if is_native(door, protocol):
                continue
            for stream in (False, True):
                cell = Cell(door, protocol, stream, Talk(ask_text(), tools=TOOLS), tool=1, output_tokens=40,
                            stop_reason="end_turn", arguments=json.dumps(ARGUMENTS))
                called(cell, ["weather"])


def known_litellm_32357_thinking_then_text_then_tools():
    """One message_start; each kind of delta in a block of its own.  The validators look; here in
    every dialect of thinking that servers of OpenAI's protocol have."""
    for field in ("reasoning_content", "reasoning", "parts", "tags"):
        for stream in (False, True):
            cell = Cell(DOORS[0], "openai", stream, Talk(ask_text(), tools=TOOLS), text=TEXT, tool=2, thinking=1,
                        thoughts=THOUGHTS, output_tokens=80, reasoning_field=field, arguments=json.dumps(ARGUMENTS),
                        event_tokens=1)
            called(cell, ["weather", "clock"])
            if field == "tags":  # text like any other: nobody may guess
                assert cell.answer.text.endswith(TEXT), cell.answer.text
            else:
                assert (cell.answer.thinking, cell.answer.text) == (THOUGHTS, TEXT), (field, cell.answer.thinking)


def known_litellm_30765_first_text_behind_thinking():
    for protocol in NAMES:
        cell = Cell(DOORS[0], protocol, True, Talk(ask_text(), max_tokens=4000, thinking=2000), text="FINAL: ABC DEF",
                    thinking=1, thoughts=THOUGHTS, output_tokens=20, event_tokens=1)
        cell.said("FINAL: ABC DEF")


def known_litellm_25321_25561_29491_tool_arguments():
    """Whole in the chunk that names the call, a byte at a time, or none at all."""
    for door in DOORS:
        for protocol in NAMES:
            for script in ({"event_tokens": 100}, {"event_tokens": 1, "chunk": 1}, {"no_tool_id": 1}):
                if "no_tool_id" in script and (protocol in SIGNING or is_native(door, protocol)):
                    continue
                for arguments in (ARGUMENTS, {}):
                    cell = Cell(door, protocol, True, Talk(ask_text(), tools=TOOLS), tool=2, output_tokens=40,
                                arguments=json.dumps(arguments), **script)
                    called(cell, ["weather", "clock"], arguments)


def known_thinking_of_another_provider():
    """A conversation that changes its provider does not fail for what the one before thought, nor
    for how its signatures travel."""
    for door in DOORS:
        for protocol in NAMES:
            talk = Talk(ask_text(), tools=TOOLS, max_tokens=4000, thinking=2000)
            back = answered(Cell(door, protocol, False, talk, text=TEXT, tool=1, output_tokens=80, thoughts=THOUGHTS,
                                 thinking=1))
            for other in NAMES:
                cell = Cell(door, other, False, back, text=TEXT, thinking=0)
                cell.said()
                assert len(cell.heard.of_kind("call")) == len(cell.heard.of_kind("result")) == 1, cell.line["heard"]


def known_claude_will_not_think_and():
    """What Claude refuses beside thinking: a temperature, a tool that is forced.  A client of another
    protocol cannot know that; something is left out, and named."""
    for door in DOORS:
        for protocol in SIGNING:
            if door.name == "anthropic" and protocol != "bedrock-converse":
                continue  # the client's own protocol: it is told what Anthropic tells it
            for settings in ({"temperature": 0.5}, {"choice": "any"}, {"choice": "clock"}):
                talk = Talk(ask_text(), tools=TOOLS, max_tokens=4000, thinking=2000, **settings)
                cell = Cell(door, protocol, False, talk, output_tokens=60)
                assert cell.dropped, (door.name, protocol, settings, cell.line["heard"])


def known_redacted_thinking_of_another_provider():
    door = DOORS[0]
    secret = {"kind": "raw", "raw": [{"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix"}, {"type": "text", "text": "Hm."}]}
    for protocol in NAMES:
        cell = Cell(door, protocol, False, Talk(ask_text() + [("assistant", [secret]), ("user", [text("And?")])]), text=TEXT)
        cell.said()
        assert bool(cell.heard.of_kind("redacted")) == is_native(door, protocol) or protocol in SIGNING, cell.line["heard"]


def known_conversations_of_only_one_door():
    """OpenAI's clients begin with the assistant, repeat roles, name calls as they like, answer them
    in any order, say nothing at all; the other protocols refuse all that."""
    door = DOORS[1]
    calls = {"role": "assistant", "content": "", "tool_calls": [
        {"id": i, "type": "function", "function": {"name": "weather", "arguments": ""}} for i in ("call.1|ä", "call:2/é")]}
    messages = [{"role": "system", "content": "A."}, {"role": "developer", "content": "B."},
                {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "One."},
                {"role": "user", "content": "Two."}, calls,
                {"role": "tool", "tool_call_id": "call:2/é", "content": "second"},
                {"role": "tool", "tool_call_id": "call.1|ä", "content": ""},
                {"role": "assistant", "content": "Well. "}, {"role": "user", "content": ""},
                {"role": "user", "content": "Go on."}]
    for protocol in NAMES:
        if is_native(door, protocol):
            continue
        for stream in (False, True):
            body = door.body(Talk(ask_text(), tools=TOOLS), protocol, stream)
            body["messages"] = messages
            status, _, answer, line = get_world().ask(door, protocol, body, text=TEXT)
            assert status == 200, (protocol, answer)
            heard = Heard(line["heard"])
            assert "A." in "\n".join(heard.system) and "B." in "\n".join(heard.system), heard.system
            told = [t["text"] for t in heard.of_kind("text")]
            assert [t for t in ("Hello.", "One.", "Two.", "Go on.") if t not in told] == [], told
            pairs = zip(heard.of_kind("call"), heard.of_kind("result"), strict=True)
            if "gemini" not in protocol:
                assert {c["id"] for c, _ in pairs} == {r["id"] for r in heard.of_kind("result")}, line["heard"]


def known_max_tokens_unsaid():
    """OpenAI's clients need not say it; Anthropic's protocol must."""
    for protocol in NAMES:
        body = DOORS[1].body(Talk(ask_text()), protocol, False)
        del body["max_tokens"]
        status, _, answer, _ = get_world().ask(DOORS[1], protocol, body, text=TEXT)
        assert status == 200 and DOORS[1].read_json(answer).text == TEXT, (protocol, answer)


def known_usage_chunk_only_when_asked():
    for protocol in NAMES:
        body = DOORS[1].body(Talk(ask_text()), protocol, True)
        del body["stream_options"]
        status, headers, answer, line = get_world().ask(DOORS[1], protocol, body, text=TEXT)
        chunks = DOORS[1].events(answer)
        assert status == 200 and chunks[-1] == "[DONE]", answer
        told = [c for c in chunks[:-1] if c.get("usage") or (not c["choices"] and "prompt_filter_results" not in c)]
        assert not told, (protocol, told)
        attempt = generation(get_world(), headers)["attempts"][0]  # it is known all the same
        assert (attempt["usage"]["output_tokens"], attempt["usage_source"]) == (line["output_tokens"], "final"), attempt


def known_report_in_the_body():
    for door in DOORS:
        for protocol in NAMES:
            for stream in (False, True):
                w = get_world()
                _, headers, body, _ = w.ask(door, protocol, door.body(Talk(ask_text()), protocol, stream),
                                            {"x-wayfare-report": "body"}, text=TEXT)
                if stream:
                    events = [e[1] if isinstance(e, tuple) else e for e in door.events(body)]
                    usage = [e["usage"] for e in events if e != "[DONE]" and e.get("usage")][-1]
                    slug = [(e.get("message") or e).get("provider") for e in events if e != "[DONE]"]
                else:
                    usage, slug = json.loads(body)["usage"], [json.loads(body)["provider"]]
                cost = Decimal(generation(w, headers)["cost_usd"])
                assert Decimal(str(usage["cost"])) == cost > 0 and protocol in slug, (door.name, protocol, usage, slug)


def known_bifrost_970_counting_is_no_completion():
    """count_tokens goes to who can count, or is estimated; nobody generates anything for it."""
    w = get_world()
    for protocol in NAMES:
        body = DOORS[0].body(Talk(ask_text("Count me."), ["A."], tools=TOOLS), protocol, False)
        del body["max_tokens"], body["stream"]
        list(w.sim.unread_witness())
        status, headers, answer = w.wf.request("POST", "/v1/messages/count_tokens", body)
        assert status == 200 and json.loads(answer)["input_tokens"] > 0, (protocol, answer)
        time.sleep(0.05)
        calls = [line for line in w.sim.unread_witness() if line["event"] == "end" and "protocol" in line]
        assert sum(line["output_tokens"] for line in calls) == 0, (protocol, calls)
        assert calls or headers.get("x-wayfare-estimated") == "true", (protocol, headers)


def known_portkey_a_client_that_leaves_ends_the_call():
    w = get_world()
    for door in DOORS:
        for protocol in NAMES:
            list(w.sim.unread_witness())
            pieces_of(door, w, protocol, 0.3, text=LONG, output_tokens=1000, event_tokens=4, tps=100)
            lines = []

            def ended():
                lines.extend(w.sim.unread_witness())
                return [line for line in lines if line["event"] == "end" and "protocol" in line]

            line = wait_for("the end of the call", ended, 5)[0]
            assert line["ended"] == "client_closed" and line["output_tokens"] < 500, (protocol, line)


def known_envoy_2227_large_bodies():
    """20 MB are translated, and reach the provider whole."""
    large = "x" * (20 << 20)
    for door, protocol in ((DOORS[0], "openai"), (DOORS[1], "anthropic")):
        cell = Cell(door, protocol, False, Talk([("user", [text(large)])]), text=TEXT)
        assert is_shown(cell.heard.of_kind("text")[0]["text"], large)


def known_ccr_annotations_are_no_search():
    """`annotations: []` is in every answer of OpenAI's; it is no block."""
    cell = Cell(DOORS[0], "openai", False, Talk(ask_text()), text=TEXT)
    assert [b["type"] for b in json.loads(cell.body)["content"]] == ["text"], cell.body


def known_ccr_a_cut_stream_is_not_complete():
    for door in DOORS:
        for protocol in NAMES:
            w = get_world()
            _, _, body, _ = w.ask(door, protocol, door.body(Talk(ask_text()), protocol, True), text=LONG,
                                  output_tokens=200, end_after_events=12)
            assert b"message_stop" not in body and b"[DONE]" not in body and b"rror" in body, (protocol, body[-300:])


def known_openai_cached_tokens_are_billed_once():
    for protocol in ("openai", "azure-openai", "gemini", "vertex-gemini"):
        for door in DOORS:
            cell = Cell(door, protocol, True, Talk(ask_text()), text=TEXT, input_tokens=10, cache_read=90)
            cell.paid()


def known_dialects_of_usage_and_end():
    """Usage in the last chunk with its choice, beside an empty one, in every chunk, twice; without
    [DONE]; comments between."""
    for place in ("last", "choice", "beside", "every", "groq"):
        for done in (0, 1):
            cell = Cell(DOORS[0], "openai", True, Talk(ask_text()), text=TEXT, usage_place=place, done=done,
                        comment="OPENROUTER PROCESSING")
            cell.said()
            cell.paid()


def known_errors_inside_a_200_stream():
    for protocol, forms in (("openai", ("plain", "choice", "event")), ("vertex-gemini", ("plain", "raw"))):
        for form in forms:
            cell = Cell(DOORS[0], protocol, True, Talk(ask_text()), text=LONG, output_tokens=200, error_event_after=8,
                        error_form=form, error_message="Because of «that».")
            assert cell.answer.error and "Because of «that»." in cell.answer.error[1], (form, cell.answer.error)


def known_openrouter_members_at_other_servers():
    """What only OpenRouter knows breaks no request: it is translated, or named as dropped."""
    for protocol in ("openai", "anthropic"):
        body = DOORS[1].body(Talk(ask_text(), max_tokens=4000), protocol, False)
        body.update({"reasoning": {"effort": "low", "exclude": True}, "transforms": ["middle-out"], "route": "fallback",
                     "session_id": "s", "usage": {"include": True}})
        status, headers, answer, line = get_world().ask(DOORS[1], protocol, body, text=TEXT, thoughts=THOUGHTS, thinking=1)
        assert status == 200, (protocol, answer)
        message = json.loads(answer)["choices"][0]["message"]
        assert message["content"] == TEXT and "cost" in json.loads(answer)["usage"], (protocol, answer)
        assert headers["x-wayfare-dropped"] == "transforms, session_id", (protocol, headers)
        assert Heard(line["heard"]).settings.get("effort") == "low", (protocol, line["heard"])
        if protocol == "anthropic":
            assert not any(k.startswith("reasoning") for k in message), answer


def main():
    write = "--write-doc" in sys.argv
    only = [a for a in sys.argv[1:] if not a.startswith("--")]
    report = Report()
    case = report.case
    report.case = lambda name, *rest: case(name, *rest) if not only or any(o in name for o in only) else None
    for feature, function in FEATURES:
        for door in DOORS:
            for protocol in NAMES:
                for mode in ("JSON", "SSE"):
                    report.case("%s: %s to %s, %s" % (feature, door.name, protocol, mode), run_cell, feature, function,
                                door, protocol, mode)
    if write:
        DOCUMENT.write_text(document())
    report.case("docs/translation.md is what was seen", check_document)
    run_beyond(report)
    report.case("ledger", lambda: get_world().wf.verify())
    report.end()


if __name__ == "__main__":
    main()
