#!/usr/bin/env python3
"""Line ends, NUL and other bytes that are no text, in everything that becomes a header of a call or of an
answer, or a line of the log: none gets out as what it is not.  The provider is a raw socket, so that
what is judged is the wire."""

import json
import os
import re
import socket

from crowd import LONG
from harness import Report, SLOW, Wayfare, endpoint, price, provider, wait_for
from rawprovider import MESSAGE, RawProvider, whole

report = Report()
raw = RawProvider()

EVIL = {"CRLF": "a\r\nx-injected: 1", "LF": "a\nx-injected: 1", "CR": "a\rx-injected: 1", "NUL": "a\0x-injected: 1", "two lines": "a\r\n\r\nGET /x-injected HTTP/1.1\r\n\r\n",
        "folded": "a\r\n x-injected", "ESC": "a\x1b[31mx-injected", "DEL": "a\x7fx-injected", "latin": "a\xe9x-injected", "wide": "a\u2028\u2029x-injected",
        "NEL": "a\x85x-injected", "CR in UTF-8": "a\u010dx-injected", "LF in UTF-8": "a\u010ax-injected", "VT": "a\x0bx-injected"}
SLOWLY = EVIL if LONG else {k: EVIL[k] for k in ("CRLF", "LF", "NUL", "wide")}  # where each costs an import or a server
NAMES = ["", " ", "x y", "x:y", "x\r\nx-injected", "x\n", "\u00e9", "x\0", "x\t", ":x", "x\x7f", "(x)", "x-injected\r\n\r\n"]
TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VALUE = re.compile(rb"[\x20-\x7e\t]*")


def check_wire(what):
    """Every request that has arrived since the last look is one plain request."""
    seen, raw.requests[:] = raw.requests[:], []
    for request in seen:
        head, _, body = request.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert re.fullmatch(rb"POST [\x21-\x7e]+ HTTP/1\.1", lines[0]), (what, lines[0])
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            assert colon and TOKEN.fullmatch(name) and VALUE.fullmatch(value), (what, line)
            assert not name.lower().startswith(b"x-injected"), (what, line)
        json.loads(body)  # one body, as long as it was said to be
    return len(seen)


def good_body(model="m", **more):
    return json.dumps(dict({"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}, **more)).encode()


PROTOCOLS = ["anthropic", "openai", "gemini", "bedrock", "azure-openai", "vertex"]


def providers_of_all():
    return [provider(p, raw.url + {"vertex": "/v1/projects/p/locations/l"}.get(p, ""), protocol=p, region="us-east-1") for p in PROTOCOLS]


def models_of_all(upstream="up"):
    return [{"id": "test/" + p, "aliases": [p], "endpoints": [endpoint(p, upstream, price("1", "5"))]} for p in PROTOCOLS]


CATALOG = {"providers": providers_of_all() + [provider("m", raw.url)],
           "models": models_of_all() + [{"id": "test/m", "aliases": ["m"], "endpoints": [endpoint("m", "up", price("1", "5"))]}]}
way = Wayfare(CATALOG, threads=1, args=["--verbose"], key_args=["--allow-provider-configs"])


# ---- the largest heads ----

def largest_heads(stream):
    """As many and as large headers as a client may send, and more of the provider's than there is room for
    beside them: what has been paid for arrives, with the headers that clients act on."""
    body = good_body(stream=stream)
    for query, more in ((b"", None), (b"?" + b"&".join([b"a"] * 620), b""), (b"", b"cookie: " + b"; ".join(b"c%03d=%s" % (i, b"v" * 38) for i in range(300)))):
        head = b"POST /v1/messages%s HTTP/1.1\r\nHost: h\r\nConnection: close\r\nx-api-key: %s\r\nContent-Length: %d\r\n" % (query, way.key.encode(), len(body))
        if more is None:
            n = 200 - head.count(b"\r\n") + 1
            each = (32 * 1024 - len(head)) // n - 1
            more = b"".join(b"x-%03d: %s\r\n" % (i, b"a" * (each - len("x-000: \r\n"))) for i in range(n))
        elif more:
            more += b"\r\n"
        largest_head(body, head + more, stream)


def largest_head(body, head, stream):
    answer = b"retry-after: 7\r\nrequest-id: req_1\r\n" + b"".join(b"x-relayed-%03d: %s\r\n" % (i, b"v" * 60) for i in range(200))
    if stream:
        events = b"".join(b"event: %s\ndata: %s\n\n" % (name.encode(), json.dumps(dict({"type": name}, **data)).encode()) for name, data in (
            ("message_start", {"message": json.loads(MESSAGE)}), ("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
            ("message_stop", {})))
        raw.answer = lambda request: whole(events, headers=answer, content_type=b"text/event-stream")
    else:
        raw.answer = lambda request: whole(headers=answer)
    got = way.raw(head + b"\r\n" + body)
    raw.answer = lambda request: whole()
    assert check_wire("the largest heads") == 1, got[:500]
    assert got.startswith(b"HTTP/1.1 200") and (b"request-id: req_1" in got or b"cookie" in head), (len(head), len(got), got[:200])
    assert (b"message_stop" if stream else b"hello") in got, got[-200:]


report.case("the largest heads", largest_heads, False)
report.case("the largest heads, a stream", largest_heads, True)


# ---- headers of the client ----

CLIENT_HEADERS = ["anthropic-version", "anthropic-beta", "anthropic-x", "x-request-id", "user-agent", "cookie", "x-wayfare-report",
                  "idempotency-key", "content-type", "accept", "traceparent", "x-stainless-os", "openai-organization"]


def client_header(name):
    for kind, value in EVIL.items():
        for encoding in ("utf-8", "latin-1"):
            try:
                sent = value.encode(encoding)
            except UnicodeEncodeError:
                continue
            body = good_body()
            way.raw(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\nx-api-key: %s\r\n%s: %s\r\nContent-Length: %d\r\n\r\n"
                    % (way.key.encode(), name.encode(), sent, len(body)) + body, seconds=5)
            check_wire((name, kind))
    status, _, data = way.request("POST", "/v1/messages", good_body(), {name: "plain"})
    assert status == 200 and check_wire(name) == 1, (status, data)


def client_header_names():
    for name in NAMES:
        body = good_body()
        way.raw(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\nx-api-key: %s\r\nanthropic-%s: 1\r\nContent-Length: %d\r\n\r\n"
                % (way.key.encode(), name.encode(), len(body)) + body, seconds=5)
        check_wire(name)


# ---- provider_configs ----


def configs():
    refused = 0
    for kind, value in EVIL.items():
        for settings in ({"api_key": value}, {"headers": {"x-a": value}}, {"auth_type": "custom", "auth_header_name": value, "api_key": "k"},
                         {"base_url": raw.url + "/" + value}, {"headers": {value: "1"}}):
            for p in PROTOCOLS:
                status, _, data = way.request("POST", "/v1/messages", good_body(p, provider_configs={p: settings}))
                assert status == 400, (kind, settings, status, data)
                refused += 1
    for name in NAMES:
        status, _, data = way.request("POST", "/v1/messages", good_body(provider_configs={"m": {"headers": {name: "1"}}}))
        assert status == 400, (name, status, data)
    assert refused and check_wire("configs") == 0


def routing_texts():
    """Models and slugs of the request; what names them back is JSON."""
    for kind, value in EVIL.items():
        for more in ({"model": value}, {"models": [value]}, {"provider_only": [value]}, {"provider_order": [value]}, {"metadata": {"user_id": value}},
                     {"x": value}, {"system": value}):
            status, headers, data = way.request("POST", "/v1/messages", good_body(**{**{"model": "m"}, **more}))
            json.loads(data)
            assert "x-injected" not in headers, (kind, more, headers)
            check_wire((kind, more))


# ---- the catalog ----


def refused_or_harmless(what, change):
    """An import that takes the value must not put it on the wire."""
    catalog = json.loads(json.dumps(CATALOG))
    change(catalog)
    path = os.path.join(way.dir, "evil.json")
    with open(path, "w") as f:
        json.dump(catalog, f)
    done = way.cli("catalog", "import", path, check=False)
    if done.returncode == 0:
        for p in PROTOCOLS:
            for door, body in (("/v1/messages", good_body(p, stream=True)), ("/v1/chat/completions", good_body(p))):
                _, headers, _ = way.request("POST", door, body)
                assert "x-injected" not in headers, (what, headers)
        check_wire(what)
        way.import_catalog(CATALOG)
    else:
        assert done.returncode == 1 and done.stderr.count("\n") == 1, (what, done.stderr)
    return done.returncode


def each_provider(member, value):
    def change(catalog):
        for p in catalog["providers"]:
            p[member] = value(p) if callable(value) else value
    return change


def each_endpoint(member, value):
    def change(catalog):
        for m in catalog["models"]:
            for e in m["endpoints"]:
                e[member] = value
    return change


def the_catalog():
    for kind, value in SLOWLY.items():
        assert refused_or_harmless(kind, each_provider("headers", {"x-a": value})) == 1, kind
        assert refused_or_harmless(kind, each_provider("headers", {value: "1"})) == 1, kind
        assert refused_or_harmless(kind, each_provider("base_url", lambda p: p["base_url"] + "/" + value)) == 1, kind
        refused_or_harmless(kind, each_provider("region", value))
        refused_or_harmless(kind, each_provider("name", value))
        refused_or_harmless(kind, each_endpoint("upstream_model", value))
        refused_or_harmless(kind, lambda c: c["models"][0].update(id="test/" + value))
        refused_or_harmless(kind, lambda c: c["models"][0].update(aliases=[value]))
        refused_or_harmless(kind, lambda c: (c["providers"][0].update(slug=value), c["models"][0]["endpoints"][0].update(provider=value)))
    for name in NAMES:
        assert refused_or_harmless(name, each_provider("headers", {name: "1"})) == 1, name
    for path in ("../up", "up?x=1", "up#x", "up/../../x", "up%0d%0ax-injected", "u p", "/up", "//evil.example/up"):
        refused_or_harmless(path, each_endpoint("upstream_model", path))


# ---- credentials ----


def credentials():
    """Of the environment and of files; a line end behind the secret is how editors leave files."""
    for kind, value in SLOWLY.items():
        if kind == "NUL":
            continue  # no variable holds one
        catalog = dict(CATALOG, providers=[dict(p, credential={"env": "EVIL_KEY"}) for p in CATALOG["providers"]])
        other = Wayfare(catalog, threads=1, env={"EVIL_KEY": value})
        for p in PROTOCOLS:
            status, headers, data = other.request("POST", "/v1/messages", good_body(p))
            assert b"x-injected" not in data and status != 200, (kind, p, status, data)
        assert check_wire(kind) == 0 and "x-injected" not in other.server_log().replace(other.key, ""), kind
        other.stop()
    path = os.path.join(way.dir, "secret")
    for content, arrives in (("sk-plain\n", True), ("sk-plain\r\n", True), ("sk-plain\nx-injected: 1\n", False), ("sk\r\nx-injected: 1", False),
                             ("sk\0x-injected", False)):
        with open(path, "w", newline="") as f:
            f.write(content)
        catalog = {"providers": [provider("m", raw.url, credential={"file": path})], "models": [CATALOG["models"][-1]]}
        other = Wayfare(catalog, threads=1)
        status, _, data = other.request("POST", "/v1/messages", good_body())
        got = list(raw.requests)
        assert check_wire(content) == (1 if arrives else 0), (content, status, data)
        assert not arrives or b"x-api-key: sk-plain\r\n" in got[0], got
        other.stop()


# ---- answers ----


def answers():
    """Headers of a provider that would split the client's answer."""
    for name, value in ((b"request-id", b"a\rx-injected: 1"), (b"x-a", b"a\x00x-injected: 1"), (b"retry-after", b"1\rx-injected: 1"), (b"x a", b"x-injected"),
                        (b"x-\xe9", b"1"), (b"x-b", b"\x1b[31m"), (b"x-c\rx-injected", b"1"), (b"anthropic-x", b"a\x0bb\rx-injected: 2")):
        line = name + b": " + value + b"\r\n"
        for status in (b"200 OK", b"429 Too Many"):
            raw.answer = lambda request: whole(headers=line, status=status)
            body = good_body()
            out = way.raw(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\nx-api-key: %s\r\nContent-Length: %d\r\n\r\n"
                          % (way.key.encode(), len(body)) + body, seconds=20)
            head = out.partition(b"\r\n\r\n")[0]
            assert out.startswith(b"HTTP/1.1 "), out
            for got in re.split(b"[\r\n]+", head)[1:]:
                assert not got.lower().startswith(b"x-injected") and b"\0" not in got, (line, got)
    raw.answer = lambda request: whole()
    check_wire("answers")


# ---- the log ----

FIELD = re.compile(r'([a-z_0-9]+)=("(?:[^"\\]|\\["\\]|\\x[0-9a-f]{2})*"|[^\s"=]*)')


def fields(line):
    """A line of the log as a strict reader of logfmt has it."""
    got, at = {}, 0
    while at < len(line):
        m = FIELD.match(line, at)
        assert m, "not a field at %d: %r" % (at, line)
        assert m.group(1) not in got, "twice %s: %r" % (m.group(1), line)
        got[m.group(1)] = m.group(2)
        at = m.end()
        assert at == len(line) or line[at] == " ", line
        at += 1
    assert "time" in got and "level" in got, line
    return got


def log_lines():
    with open(os.path.join(way.dir, "server.log"), "rb") as f:
        data = f.read()
    data = data[:data.rfind(b"\n") + 1]  # a line that is being written is not there yet
    for byte in data:
        assert byte == 10 or 0x20 <= byte < 0x7f, "byte %#x is in the log" % byte
    return [fields(line.decode()) for line in data.split(b"\n") if line]


TEXTS = list(EVIL.values()) + ['a" level=error msg="x-injected', "a\\", "\\\"", "time=1 level=info req=gen_x", "\u4e2d" * 100, "\"" * 255, "\x1b]0;x\x07",
                               "e" * (1 << 20)]


def the_log():
    """Each request leaves one line that can be read, whatever it brought."""
    ids = []

    def send(method, path, body=None, headers=None, key=True):
        status, got, _ = way.request(method, path, body, headers, key)
        ids.append((got.get("x-wayfare-generation-id"), method, path[:60], status))

    for text in TEXTS:
        for more in ({"model": text}, {"models": [text]}, {"provider_sort": text}, {"provider_" + text[:900]: 1}, {"provider_only": [text]}, {"metadata": {"user_id": text}},
                     {"thread": {"type": text, "previous_message_id": text}}, {"container": text}, {"provider_configs": {text[:900]: {"api_key": 1}}},
                     {"provider_configs": {"m": {"headers": {text[:900]: "1"}}}}, {"messages": text}, {"max_tokens": text}, {text[:900]: 1}):
            send("POST", "/v1/messages", good_body(**{**{"model": "m"}, **more}))
            send("POST", "/v1/chat/completions", good_body(**{**{"model": "m"}, **more}))
        quoted = "".join("%%%02x" % b for b in text.encode()[:400])
        send("GET", "/v1/generations/" + quoted)
        send("GET", "/v1/models/" + quoted)
        send("GET", "/v1/" + quoted)
        send("POST", "/v1/messages?x=" + quoted, good_body())
        plain = "".join(c for c in text if 0x20 <= ord(c) < 0x100 and ord(c) != 0x7f)[:4000]
        for name in ("idempotency-key", "anthropic-beta", "anthropic-version", "user-agent", "x-request-id"):
            send("POST", "/v1/messages", good_body(), {name: plain.encode("latin-1")})
        send("POST", "/v1/messages", good_body(), {"x-api-key": plain.encode("latin-1")}, key=False)
    unknown = [what for what in ids if what[0] is None and what[3] not in (200,)]
    assert not unknown, unknown[:5]
    wanted = {i for i, _, _, _ in ids if i}
    wait_for("the log", lambda: wanted <= {f.get("req") for f in log_lines()}, 10)
    wait_for("the end of its last line", lambda: way.server_log().endswith("\n"))
    seen = [f["req"] for f in log_lines() if "req" in f]
    assert len(seen) == len(set(seen)), "a request has several lines"
    forged = [f for f in log_lines() if any("x-injected" in k or k == "x" for k in f)]
    assert not forged, forged[:3]
    print("# %d requests" % len(ids))


def large_ids():
    """Too large for a header block: refused, and not a line more than one."""
    for name in ("idempotency-key", "anthropic-beta", "x-request-id", "x-api-key", "authorization"):
        sock = socket.create_connection((way.host, way.port), timeout=10 * SLOW)
        try:
            sock.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\n%s: %s\r\nContent-Length: 2\r\n\r\n{}" % (name.encode(), b"A" * (1 << 20)))
            answer = sock.recv(65536)
        except OSError:
            answer = b""
        sock.close()
        assert answer == b"" or answer[9:12] in (b"431", b"400", b"413"), answer[:100]
    log_lines()
    assert "A" * 300 not in way.server_log()


for name in CLIENT_HEADERS:
    report.case("a client's " + name, client_header, name)
report.case("names of client headers", client_header_names)
report.case("provider_configs", configs)
report.case("models and slugs", routing_texts)
report.case("the catalog", the_catalog)
report.case("credentials", credentials)
report.case("answers of providers", answers)
report.case("the log", the_log)
report.case("ids of a megabyte", large_ids)
report.case("the ledger", way.verify)
report.end()
