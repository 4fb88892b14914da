#!/usr/bin/env python3
"""What Wayfare prices and routes on is what a strict, independent reading of the same bytes
says, and of the bytes that arrive at the provider: cases written by hand, then generated and
mutated requests against Python's json (seeded; WAYFARE_LONG=1 for many more).

What was priced is read off two endpoints: one charges for the completion only, so that its hold
is max_tokens; the other for the prompt only, so that its worst case is the body's bytes but for the
routing members, the prompt's without their escapes."""

import base64
import http.client
import json
import os
import random

from crowd import count
from harness import Report, Sim, Wayfare, endpoint, price, provider

SEED = int(os.environ.get("WAYFARE_SEED_JSON", "20261"))
NO_LIMIT_TOK = 131072   # the bound when neither request nor endpoint names one
FRAME_TOK = 64          # what is added in the bound of a prompt, for each message, for each block
MESSAGE_TOK = 16
BLOCK_TOK = 8
LARGEST_TOK = 2 ** 53
MILLION = 10 ** 6

sim = Sim(["talk", "read", "chat"], extra=("--log-bodies",))


def listed(slug, upstream, pricing):
    return endpoint(slug, upstream, pricing, context_length=None, max_completion_tokens=None, supported_parameters=None)


CATALOG = {
    "providers": [provider("talk", sim.url["talk"]), provider("read", sim.url["read"]),
                  provider("chat", sim.url["chat"] + "/v1", protocol="openai")],
    "models": [
        {"id": "test/m", "aliases": ["m"], "endpoints": [listed("talk", "upstream-talk", price("0", "1")),
                                                         listed("read", "upstream-read", price("1", "0"))]},
        {"id": "test/o", "aliases": ["o"], "endpoints": [listed("chat", "upstream-chat", price("0", "1"))]}]}
for m in CATALOG["models"]:
    for e in m["endpoints"]:
        for absent in [k for k, v in e.items() if v is None]:
            del e[absent]

way = Wayfare(CATALOG, threads=1)
way.cli("team", "set", "t", "--bound", "strict")
report = Report()
conn = None


def post(path, body):
    """(status, headers, bytes) over one kept connection."""
    global conn
    conn = conn or way.connect()
    conn.request("POST", path, body, {"x-api-key": way.key, "content-type": "application/json"})
    answer = conn.getresponse()
    data = answer.read()
    headers = {k.lower(): v for k, v in answer.getheaders()}
    if answer.will_close:
        conn.close()
        conn = None
    return answer.status, headers, data


# ---- the independent reading ----


class Refused(Exception):
    pass


class Members(list):
    """The members of an object in order, duplicates included."""

    def once(self, name):
        values = [v for n, v in self if n == name]
        if len(values) > 1:
            raise Refused(name + " twice")
        return values[0] if values else None


class Number(str):
    """A number as it is written."""


class NotJson:
    def __init__(self, word):
        raise Refused(word)


class Text(str):
    """A string, and how many bytes it takes as it is written."""

    def saved(self):
        return self.written - len(encoded(self))


def scan_string(text, begin, strict=True):
    value, after = json.decoder.scanstring(text, begin, strict)
    value = Text(value)
    value.written = len(text[begin:after - 1].encode())
    return value, after


class Decoder(json.JSONDecoder):
    def __init__(self):
        super().__init__(object_pairs_hook=members, parse_constant=NotJson, parse_int=Number, parse_float=Number)
        self.parse_string = scan_string
        self.scan_once = json.scanner.py_make_scanner(self)


def encoded(text):
    """UTF-8; a lone surrogate as readers write it that replace it."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def members(pairs):
    for name, _ in pairs:
        if "\0" in name or any(0xd800 <= ord(c) <= 0xdfff for c in name):
            raise Refused("a key")
    return Members(pairs)


def depth(value):
    deepest, todo = 0, [(value, 1)]
    while todo:
        v, d = todo.pop()
        if isinstance(v, list):
            deepest = max(deepest, d)
            todo += [(c[1] if isinstance(v, Members) else c, d + 1) for c in v]
    return deepest


def parse(body):
    try:
        value = Decoder().decode(body.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as e:
        raise Refused(str(e))
    if not isinstance(value, Members):
        raise Refused("no object")
    if depth(value) > 256:
        raise Refused("too deep")
    return value


ROUTING = ("models", "provider", "provider_only", "provider_zdr")


def cut_bytes(body):
    """What routing members take of a body: each up to the next name; where none follows that stays, from the
    end of what stays."""
    text = body.decode()
    cut, kept_end, at = 0, None, json.decoder.WHITESPACE.match(text, 0).end() + 1
    run = None  # where a run of routing members began
    while True:
        begin = json.decoder.WHITESPACE.match(text, at).end()
        if text[begin] == "}":
            return 0  # nothing is in it
        name, at = json.decoder.scanstring(text, begin + 1)
        at = json.decoder.WHITESPACE.match(text, text.index(":", at) + 1).end()
        _, end = Decoder().raw_decode(text, at)
        ours = name in ROUTING
        if ours and run is None:
            run = begin
        if not ours and run is not None:
            cut += len(text[run:begin].encode())
            run = None
        if not ours:
            kept_end = end
        at = json.decoder.WHITESPACE.match(text, end).end()
        if text[at] == "}":
            break
        at += 1
    if run is not None:
        cut += len(text[run if kept_end is None else kept_end:end].encode())
    return cut


def is_text(v):
    return isinstance(v, str) and not isinstance(v, Number)


def is_name(v):
    """A model's name or a slug: as C strings can hold them."""
    return is_text(v) and v and "\0" not in v and not any(0xd800 <= ord(c) <= 0xdfff for c in v)


def is_array(v):
    return isinstance(v, list) and not isinstance(v, Members)


def folded(name):
    """As Go's encoding/json compares names."""
    return "".join({"\u017f": "s", "\u212a": "k"}.get(c, c.lower() if c.isascii() else c) for c in name)


ANTHROPIC = {"model", "models", "messages", "system", "tools", "tool_choice", "stop_sequences", "temperature", "top_p", "top_k",
             "thinking", "output_config", "output_format", "cache_control", "container", "thread", "previous_message_id",
             "mcp_servers", "metadata", "context_management", "max_tokens", "stream"}
OPENAI = {"model", "models", "messages", "max_tokens", "max_completion_tokens", "n", "stream", "stop", "temperature", "seed", "user"}


def limit(v):
    if v is None:
        return None
    digits = v[1:] if isinstance(v, Number) and v.startswith("-") else v
    if not isinstance(v, Number) or not digits.isdigit() or not 0 <= int(v) <= LARGEST_TOK:
        raise Refused("max_tokens")
    return int(v)


def prompt_tok(content):
    """What content adds to the bound beyond its bytes as they are written."""
    if content is None:
        return 0
    if is_text(content):
        return -content.saved()
    if not is_array(content):
        raise AssertionError("the generator makes no such content: %r" % content)
    total = 0
    for block in content:
        for name in ("type", "text", "cache_control"):
            block.once(name)
        assert is_text(block.once("text")), block
        total += BLOCK_TOK - block.once("text").saved()
    return total


def only_list(top):
    """provider_only, flat or nested."""
    flat, outer = top.once("provider_only"), top.once("provider")
    if outer is not None and not isinstance(outer, Members):
        raise Refused("provider")
    for name, _ in outer or ():
        if name not in ("only", "zdr"):
            raise Refused("provider." + name)
    nested = outer.once("only") if outer is not None else None
    flat, nested = (None if is_array(v) and not v else v for v in (flat, nested))  # an empty list is absent
    for flag in (top.once("provider_zdr"), outer.once("zdr") if outer is not None else None):
        if flag is not None and not isinstance(flag, bool):
            raise Refused("zdr")
    if flat is not None and nested is not None:
        raise Refused("both forms")
    if outer is not None and outer.once("zdr") is not None and top.once("provider_zdr") is not None:
        raise Refused("both forms")
    value = flat if flat is not None else nested
    if value is None:
        return []
    if not is_array(value) or not all(is_name(v) and v.isascii() and len(v) <= 128 for v in value):
        raise Refused("provider_only")
    return value


class Reading:
    """What the bytes ask for."""

    def __init__(self, body, known):
        top = parse(body)
        for name, _ in top:
            routing = folded(name) == "provider" or folded(name).startswith("provider_")
            if folded(name) != name and name not in known and (routing or folded(name) in known):
                raise Refused(name + " is nearly one of them")
            if name.startswith("provider_") and name not in ("provider_only", "provider_zdr"):
                raise Refused(name)
        for name in known:
            top.once(name)
        self.top = top
        self.model, models = top.once("model"), top.once("models")
        if self.model is None and is_array(models) and models:
            self.model = models[0]
        if not is_name(self.model) or len(encoded(self.model)) > 255:
            raise Refused("model")
        self.stream = top.once("stream")
        if self.stream is not None and not isinstance(self.stream, bool):
            raise Refused("stream")
        self.only = only_list(top)
        self.max_tok = limit(top.once("max_tokens"))
        if "max_completion_tokens" in known:
            newer = limit(top.once("max_completion_tokens"))
            if None not in (newer, self.max_tok) and newer != self.max_tok:
                raise Refused("two limits")
            self.max_tok = newer if newer is not None else self.max_tok
        self.prompt_bound = len(body) - cut_bytes(body) + FRAME_TOK
        self.prompt_bound += prompt_tok(top.once("system")) if "system" in known else 0
        messages = top.once("messages")
        if not is_array(messages) or not messages:
            raise Refused("messages")
        for message in messages:
            if not isinstance(message, Members):
                raise Refused("a message")
            message.once("role")
            self.prompt_bound += MESSAGE_TOK + prompt_tok(message.once("content"))

    def completion_bound(self):
        """0 is no limit to some servers."""
        return self.max_tok or NO_LIMIT_TOK


def reading(body, known=ANTHROPIC):
    try:
        return Reading(body, known)
    except Refused:
        return None


# ---- what Wayfare makes of it ----


def uncountable(tokens):
    """At a dollar per million tokens in pico-dollars."""
    return tokens * MILLION >= 2 ** 63


def same_money(text, tokens):
    if uncountable(tokens):
        return text is None
    whole, _, fraction = text.partition(".")
    return int(whole + fraction.ljust(9, "0")) == tokens * 1000


def check_plan(body):
    """The dry run against the reading of the bytes."""
    want = reading(body)
    status, _, data = post("/v1/route", body)
    shown = body[:1500]
    if want is None:
        assert status == 400, (shown, status, data[:300])
        return False
    if want.model not in ("m", "test/m"):
        assert status == 404, (shown, status, data[:300])
        return False
    assert status == 200, (shown, status, data[:300])
    plan = {row["provider"]: row for row in json.loads(data)["plan"]}
    assert set(plan) == {"talk", "read"} & set(want.only or ("talk", "read")), (shown, plan)
    if "talk" in plan:
        assert same_money(plan["talk"]["worst_cost_usd"], want.completion_bound()), (shown, plan["talk"])
    if "read" in plan:
        assert same_money(plan["read"]["worst_cost_usd"], want.prompt_bound), (shown, want.prompt_bound, plan["read"])
    return True


def arrivals():
    return [w for w in sim.unread_witness() if w["event"] == "begin"]


def check_sent(body, path="/v1/messages", known=ANTHROPIC, models=("m", "test/m")):
    """A whole request: what arrives is what came, but for the model and the routing members; the
    hold is what the arrived bytes allow; the record says the same."""
    want = reading(body, known)
    status, headers, data = post(path, body)
    arrived = arrivals()
    shown = body[:1500]
    if want is None or want.model not in models or want.only and not set(want.only) & {"talk", "read", "chat"}:
        assert status == (400 if want is None else 404) and not arrived, (shown, status, data[:300], len(arrived))
        return False
    if uncountable(want.completion_bound()) and b"lower max_tokens" in data:
        assert not arrived and status == 400, (shown, status, data[:300])
        return False
    assert len(arrived) == 1, (shown, status, data[:300], len(arrived))
    got = Members(parse(base64.b64decode(arrived[0]["body_base64"])))
    at = arrived[0]["listener"]
    expected = [(n, "upstream-" + at if n == "model" else v) for n, v in want.top if n not in ROUTING]
    if all(n != "model" for n, v in want.top):
        expected.insert(0, ("model", "upstream-" + at))
    if known is OPENAI and want.stream:
        got = [(n, v) for n, v in got if n != "stream_options"]  # a stream is asked for its usage
    assert list(got) == expected, (shown, got, expected)
    assert headers.get("x-wayfare-provider") == at and (not want.only or at in want.only), (shown, headers)
    if status == 200:
        assert headers["content-type"].startswith("text/event-stream" if want.stream else "application/json"), (shown, headers)
    conn.request("GET", "/v1/generations/" + headers["x-wayfare-generation-id"], headers={"x-api-key": way.key})
    record = json.loads(conn.getresponse().read())
    assert record["requested_model"] == want.model and record["stream"] == bool(want.stream), (shown, record)
    held = want.prompt_bound if at == "read" else want.completion_bound()
    assert same_money(record["attempts"][0]["hold_usd"], held), (shown, held, record)
    return True


# ---- cases by hand: the reading is tested by them, too ----

M = b'"messages":[{"role":"user","content":"x"}]'
GOOD = b'{"model":"m","max_tokens":5,%s}' % M


def with_(more):
    return b'{"model":"m","max_tokens":5,%s,%s}' % (M, more)


HAND = [
    (GOOD, True), (b" \t\r\n" + GOOD + b"\n ", True), (with_(b'"x":{"a":1,"a":2}'), True), (with_(b'"x":1,"x":2'), True),
    (with_(b'"model":"m"'), False), (with_(b'"mod\\u0065l":"m"'), False), (with_(b'"max_tokens":5'), False),
    (with_(b'"max_token\\u0073":9'), False), (with_(b'"Max_Tokens":900'), False), (with_(b'"MODEL":"dear"'), False),
    (with_(b'"max_to\xe2\x84\xaaens":900'), False), (with_(b'"max_token\xc5\xbf":900'), False),
    (with_(b'"max_to\\u212aens":900'), False), (with_(b'"\\u017ftream":true'), False), (with_(b'"Messages":[]'), False),
    (with_(b'"max_token":900'), True), (with_(b'"max_tokenss":900'), True), (with_(b'"\xd0\xbcodel":"m"'), True),
    (b'{"model":"m","max_tokens":5e0,%s}' % M, False), (b'{"model":"m","max_tokens":5.0,%s}' % M, False),
    (b'{"model":"m","max_tokens":-0,%s}' % M, True), (b'{"model":"m","max_tokens":-1,%s}' % M, False),
    (b'{"model":"m","max_tokens":05,%s}' % M, False), (b'{"model":"m","max_tokens":9007199254740992,"provider_only":["read"],%s}' % M, True),
    (b'{"model":"m","max_tokens":9007199254740993,%s}' % M, False), (b'{"model":"m","max_tokens":18446744073709551621,%s}' % M, False),
    (b'{"model":"m","max_tokens":null,%s}' % M, True), (b'{"model":"m","max_tokens":"5",%s}' % M, False),
    (b'{"model":"m","max_tokens":1E400,%s}' % M, False), (b'{"model":"m\\u0000","max_tokens":5,%s}' % M, False),
    (b'{"model":"\\u006d","max_tokens":5,%s}' % M, True), (b'{"model":"m\\ud800","max_tokens":5,%s}' % M, False),
    (b'{"models":["m"],"max_tokens":5,%s}' % M, True), (b'{ "max_tokens":5,%s, "models" : ["m"] }' % M, True),
    (b'{"models":["m"],"model":null,%s}' % M, True), (b'{ "provider_only":["read"],"models":["m"],%s,"provider":{}}' % M, True),
    (b'{"models":[],"max_tokens":5,%s}' % M, False), (b'{"models":null,"model":null,%s}' % M, False),
    (b'{"models":["m"],"models":["m"],%s}' % M, False), (b'{"models":"m",%s}' % M, False),
    (with_(b'"stream":true'), True), (with_(b'"stream":"true"'), False), (with_(b'"stream":1'), False),
    (with_(b'"x":NaN'), False), (with_(b'"x":-Infinity'), False), (with_(b'"x":"\xc0\xaf"'), False),
    (with_(b'"x":"\xed\xa0\x80"'), False), (with_(b'"x":"\xf4\x90\x80\x80"'), False), (with_(b'"x":"\xf4\x8f\xbf\xbf"'), True),
    (with_(b'"x":"\\ud83d\\ude00\\ud800"'), True), (with_(b'"\\ud800":1'), False), (with_(b'"a\\u0000b":1'), False),
    (with_(b'"x":"a\x00b"'), False), (with_(b'"x":"a\x1fb"'), False), (with_(b'"x":"a\x7fb"'), True), (with_(b'"x":"\\x41"'), False),
    (with_(b'"x":[1,]'), False), (with_(b'"x":{,}'), False), (with_(b'"x":1.'), False), (with_(b'"x":1e'), False),
    (with_(b'"x":' + b"[" * 255 + b"]" * 255), True), (with_(b'"x":' + b"[" * 256 + b"]" * 256), False),
    (with_(b'"provider_only":["read"]'), True), (with_(b'"provider":{"only":["talk"]}'), True),
    (with_(b'"provider_only":["talk"],"provider":{"only":["talk"]}'), False), (with_(b'"provider_onl\\u0079":["read"]'), True),
    (with_(b'"provider_only":["talk"],"provider_onl\\u0079":["read"]'), False), (with_(b'"provider_onyl":[]'), False),
    (b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x","content":"' + b"y" * 999 + b'"}]}', False),
    (b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x","cont\\u0065nt":"yy"}]}', False),
    (b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":[{"type":"text","text":"x","text":"yy"}]}]}', False),
    (b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"\\ud83d\\ude00\\u00e9\\n\\ud800\\u0041"}]}', True),
    (b'\xef\xbb\xbf' + GOOD, False), (GOOD + b"x", False), (GOOD + GOOD, False), (b"[" + GOOD + b"]", False),
]


def by_hand(body, good):
    assert (reading(body) is not None) == good, "the reading itself is wrong: %r" % body[:300]
    assert check_plan(body) == good and check_sent(body) == good, body[:300]


def more_than_can_be_held():
    """No cap is in the way: the request is wrong."""
    body = b'{"model":"m","max_tokens":9007199254740992,"provider_only":["talk"],%s}' % M
    status, _, data = post("/v1/messages", body)
    error = json.loads(data)["error"]
    assert status == 400 and error["type"] == "invalid_request_error" and error["message"].startswith("max_tokens: "), data
    assert not arrivals()


# ---- generated ----

rng = random.Random(SEED)
NUMBERS = ["0", "1", "7", "-0", "-1", "1.0", "1e2", "1E0", "9007199254740992", "9007199254740993", "99999999999999999999", "0.5",
           "1e999", "-5", "4096"]
CHARACTERS = ["a", "Z", " ", "\\n", "\\\"", "\\\\", "\\/", "\\u0041", "\\u00e9", "\u00e9", "\u4e2d", "\U0001f600",
              "\\ud83d\\ude00", "\\ud83d", "\\ude00", "\\u0000", "\\u2028", "\u2028", "\x7f", "\\ud83d\\u0041"]


def text():
    return '"%s"' % "".join(rng.choice(CHARACTERS) for _ in range(rng.choice((0, 1, 3, 9, 40))))


def spelled(name):
    """A name, sometimes with escapes, sometimes in another case."""
    out = "".join("\\u%04x" % ord(c) if rng.random() < 0.08 else c for c in name) if rng.random() < 0.2 else name
    if rng.random() < 0.03:
        out = out.upper() if rng.random() < 0.5 else out.replace("k", "\u212a").replace("s", "\u017f")
    return '"%s"' % out


def value(deep=0):
    kind = rng.randrange(8 if deep < 4 else 5)
    if kind < 5:
        return [text(), rng.choice(NUMBERS), "true", "null", '"%s"' % rng.choice("mxyz")][kind]
    inner = [value(deep + 1) for _ in range(rng.randrange(4))]
    if kind == 5:
        return "[%s]" % ",".join(inner)
    return "{%s}" % ",".join('"%s":%s' % (rng.choice("abc"), v) for v in inner)


def blank():
    return rng.choice(("", "", "", " ", "\n", "\t\r\n"))


def joined(pairs):
    return "{%s}" % ",".join("%s%s%s:%s%s%s" % (blank(), n, blank(), blank(), v, blank()) for n, v in pairs)


def content():
    if rng.random() < 0.6:
        return text()
    blocks = [joined([('"type"', '"text"'), (spelled("text"), text())] + ([('"text"', text())] if rng.random() < 0.04 else []))
              for _ in range(rng.randrange(1, 4))]
    return "[%s]" % ",".join(blocks)


def messages():
    made = []
    for _ in range(rng.randrange(1, 4)):
        pairs = [('"role"', '"user"'), (spelled("content"), content())]
        if rng.random() < 0.03:
            pairs.append(('"content"', content()))
        made.append(joined(pairs))
    return "[%s]" % ",".join(made)


def request(chat):
    """Text of a request; mostly good, every so often wrong in one member or by a twin of one."""
    r = rng.random
    name = '"%s"' % ("o" if chat else "m")
    pairs = [(spelled("model"), name if r() < 0.9 else value()), (spelled("messages"), messages())]
    if r() < 0.1:
        pairs[0] = (spelled("models"), "[%s]" % name)
    if r() < 0.8:
        pairs.append((spelled("max_tokens"), rng.choice(NUMBERS) if r() < 0.5 else str(rng.randrange(1, 9999))))
    if chat and r() < 0.4:
        pairs.append((spelled("max_completion_tokens"), str(rng.randrange(1, 9999)) if r() < 0.5 else "null"))
    if r() < 0.4:
        pairs.append((spelled("stream"), rng.choice(("true", "false", "null", "1", '"true"') if r() < 0.2 else ("true", "false"))))
    if r() < 0.2 and not chat:
        pairs.append((spelled("system"), content()))
    if r() < 0.2 and not chat:
        pairs.append((spelled("provider_only"), rng.choice(('["talk"]', '["read"]', '["read","talk"]', "[]", '["nobody"]', '"read"'))))
    if r() < 0.1 and not chat:
        pairs.append(('"provider"', rng.choice(('{"only":["talk"]}', '{"zdr":true}', '{"only":null}', "{}", '{"x":1}', "1"))))
    for _ in range(rng.randrange(3)):
        pairs.append(('"x%d"' % rng.randrange(9), value()))
    if r() < 0.06:
        pairs.append(rng.choice(pairs))
    rng.shuffle(pairs)
    return joined(pairs).encode("utf-8")


def mutated(body):
    """The bytes, and in one of four something done to them."""
    if rng.random() < 0.75 or not body:
        return body
    out = bytearray(body)
    for _ in range(rng.choice((1, 1, 1, 3))):
        at = rng.randrange(len(out))
        what = rng.randrange(6)
        if what == 0:
            out[at] = rng.randrange(256)
        elif what == 1:
            out[at:at] = rng.choice((b"\xff", b"\xc0\x80", b"\x00", b",", b'"', b"\\", b"{", b"]", b"\xe2\x80", b"\xef\xbb\xbf", b"/**/", b" "))
        elif what == 2:
            del out[at]
        elif what == 3:
            del out[at:at + rng.randrange(1, 20)]
        elif what == 4:
            end = min(len(out), at + rng.randrange(1, 30))
            out[at:at] = out[at:end]
        else:
            out = out[:at + 1]
        if not out:
            break
    return bytes(out)


def understood(body, known):
    """The reading asserts what the generator promises of the prompt's shape; a mutation may break
    that promise, and then the body says nothing here."""
    try:
        reading(body, known)
    except (AssertionError, AttributeError):
        return False
    return True


def generated(n, check, chat, least_good):
    good = done = 0
    while done < n:
        body = mutated(request(chat))
        if not understood(body, OPENAI if chat else ANTHROPIC):
            continue
        done += 1
        good += check(body)
    assert good * 100 >= least_good * n, "only %d of %d requests were good: the generator proves little" % (good, n)
    print("# %d requests, %d good" % (n, good))


def main():
    for i, (body, good) in enumerate(HAND):
        report.case("by hand %d: %r" % (i, body[:60]), by_hand, body, good)
    report.case("more than can be held", more_than_can_be_held)
    report.case("generated: the plan (seed %d)" % SEED, generated, count(1500, 60000, 100), check_plan, False, 25)
    report.case("generated: what is sent", generated, count(400, 6000, 50), check_sent, False, 25)
    report.case("generated: what is sent, Chat Completions", generated, count(400, 6000, 50),
                lambda body: check_sent(body, "/v1/chat/completions", OPENAI, ("o", "test/o")), True, 25)
    report.case("the ledger", way.verify)
    report.end()


if __name__ == "__main__":
    main()
