#!/usr/bin/env python3
"""Wrong requests: each is refused with the right status and the name of the field, none
reaches a provider, and the server answers the next good one."""

import json

from harness import Report, Sim, Wayfare, catalog_of, endpoint, price, provider, wait_for

sim = Sim(["alpha", "beta"])
catalog = catalog_of(sim)
catalog["providers"][1]["headers"] = {"x-operator": "1"}
catalog["providers"] += [provider("open", sim.url["alpha"], credential={"none": True}),
                         provider("chat", sim.url["alpha"] + "/v1", protocol="openai")]
catalog["models"][0]["endpoints"] += [endpoint(p, "m-alpha", price("9", "45")) for p in ("open", "chat")]
way = Wayfare(catalog, args=("--allow-base-url", "127.0.0.1"))
allowed = way.cli("key", "create", "--team", "t", "--name", "configs", "--allow-provider-configs").strip()
report = Report()

NUMBERS = ["-1", "\"-1\"", "\"1e3\"", "\"x\"", "\"\"", "true", "{\"a\":1}", "[1]", "\" 1\"", "\"NaN\"", "1e400"]
NOT_FLAG = ["\"true\"", "1", "0", "[true]", "{\"a\":1}"]
NOT_SLUGS = ["\"alpha\"", "1", "true", "{\"a\":1}", "[1]", "[null]", "[[\"alpha\"]]", "[\"\"]", "[\"" + "s" * 129 + "\"]",
             "[\"a\\u0000b\"]", "[\"\\u00e9\"]", json.dumps(["p%d" % i for i in range(129)])]
NOT_PERF = ["-1", "\"1\"", "true", "[1]", "{\"p51\":1}", "{\"p50\":-1}", "{\"p50\":\"1\"}", "{\"p90\":1,\"p90\":2}", "{\"p99\":true}"]
NOT_WORD = ["\"cheap\"", "\"PRICE\"", "\"none\"", "\"\"", "1", "true", "[\"price\"]"]
NOT_COLLECTION = ["\"never\"", "\"\"", "true", "1", "[\"deny\"]"]
NOT_QUANTS = ["\"fp8\"", "[\"fp9\"]", "[8]", "[\"FP8\"]", "{\"fp8\":1}", "true", "[null]"]

# flat name, nested path, wrong values, one good value
FIELDS = [
    ("provider_order", "order", NOT_SLUGS, '["alpha"]'),
    ("provider_only", "only", NOT_SLUGS, '["alpha"]'),
    ("provider_ignore", "ignore", NOT_SLUGS, '["nobody"]'),
    ("provider_sort", "sort", NOT_WORD, '"price"'),
    ("provider_quantizations", "quantizations", NOT_QUANTS, '["unknown"]'),
    ("provider_max_prompt_price", "max_price.prompt", NUMBERS, "5"),
    ("provider_max_completion_price", "max_price.completion", NUMBERS, '"50.5"'),
    ("provider_max_request_price", "max_price.request", NUMBERS, "0"),
    ("provider_max_image_price", "max_price.image", NUMBERS, "1e2"),
    (None, "max_price.audio", NUMBERS, "1"),
    ("provider_max_total_cost", None, NUMBERS, '"5"'),
    ("provider_require_parameters", "require_parameters", NOT_FLAG, "true"),
    ("provider_data_collection", "data_collection", NOT_COLLECTION, '"deny"'),
    ("provider_zdr", "zdr", NOT_FLAG, "true"),
    ("provider_enforce_distillable_text", "enforce_distillable_text", NOT_FLAG, "false"),
    ("provider_allow_fallbacks", "allow_fallbacks", NOT_FLAG, "true"),
    ("provider_preferred_max_latency", "preferred_max_latency", NOT_PERF, '{"p50":5,"p99":9.5}'),
    ("provider_preferred_min_throughput", "preferred_min_throughput", NOT_PERF, "1"),
]

GOOD = '{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}]%s}'


_seen = {"calls": 0}


def calls():
    """Requests the simulator has seen."""
    for line in sim.unread_witness():
        _seen["calls"] += line["event"] == "begin"
    return _seen["calls"]


def check(holds, what):
    assert holds, what


def nested(path, value):
    inner = value
    for name in reversed(path.split(".")):
        inner = '{"%s":%s}' % (name, inner)
    return '"provider":' + inner


def good_request(extra="", key=None):
    status, headers, body = way.request("POST", "/v1/messages", GOOD % (("," + extra) if extra else ""),
                                        {"x-api-key": key} if key else None)
    assert status == 200, (extra, status, body)
    return headers


def refused(body, status=400, names=(), kind=None, key=None, path="/v1/messages", headers=None):
    """The answer's message, after the checks every refusal has to pass."""
    before = calls()
    sent = dict(headers or {})
    if key:
        sent["x-api-key"] = key
    got, answered, data = way.request("POST", path, body, sent)
    shown = body[:200] if body else body
    assert got == status, (shown, got, data[:300])
    assert answered["content-type"].startswith("application/json"), answered
    answer = json.loads(data)
    assert answer["type"] == "error" and answer["error"]["type"] == (kind or "invalid_request_error"), (shown, answer)
    for name in (names,) if isinstance(names, str) else names:
        assert name in answer["error"]["message"], (shown, name, answer["error"]["message"])
    good_request()
    seen = calls()
    assert seen == before + 1, "%r: %d calls for one good request" % (shown, seen - before)
    return answer["error"]["message"]


def each(bodies, **checks):
    for body, names in bodies:
        refused(body, names=names, **checks)


# ---- routing fields ----
for flat, path, wrong, good in FIELDS:
    if flat:
        report.case("%s: wrong values" % flat, each, [(GOOD % (',"%s":%s' % (flat, w)), flat) for w in wrong])
        report.case("%s: good and null" % flat,
                    lambda f, g: (good_request('"%s":%s' % (f, g)), good_request('"%s":null' % f)), flat, good)
        report.case("%s: twice" % flat, refused, GOOD % (',"%s":%s,"%s":%s' % (flat, good, flat, good)), 400, flat)
        report.case("%s: escaped twin" % flat, refused,
                    GOOD % (',"%s":%s,"\\u0070%s":%s' % (flat, good, flat[1:], good)), 400, flat[1:])
    if path:
        report.case("provider.%s: wrong values" % path, each,
                    [(GOOD % ("," + nested(path, w)), "provider." + path) for w in wrong])
        report.case("provider.%s: good and null" % path,
                    lambda p, g: (good_request(nested(p, g)), good_request(nested(p, "null"))), path, good)
    if flat and path:
        report.case("%s: both forms" % flat, each, [
            (GOOD % (',"%s":%s,%s' % (flat, good, nested(path, good))), (flat, "provider." + path)),
            (GOOD % (',%s,"%s":%s' % (nested(path, good), flat, good)), (flat, "provider." + path))])

report.case("unknown flat names", each, [
    (GOOD % (',"%s":%s' % (name, value)), name) for name, value in
    (("provider_", "1"), ("provider_odrer", '["a"]'), ("provider_maxprice", "1"), ("provider_Order", "[]"),
     ("provider_max_price", "1"), ("provider_by", "null"))])
report.case("names in other letters", each, [
    (GOOD % (',"%s":%s' % (name, value)), name.lower()) for name, value in
    (("Provider_zdr", "true"), ("PROVIDER_ONLY", '["alpha"]'), ("Provider", "{}"), ("Models", '["m"]'))])
report.case("unknown nested names", each, [
    (GOOD % (',"provider":{%s}' % inner), name) for inner, name in
    (('"odrer":["a"]', "provider.odrer"), ('"max_price":{"tokens":1}', "provider.max_price.tokens"),
     ('"sort":{"by":"price","way":1}', "provider.sort.way"), ('"max_total_cost":1', "provider_max_total_cost"),
     ('"configs":{}', "provider_configs"), ('"provider_only":["a"]', "provider_only"))])
report.case("nested: not an object", each, [(GOOD % (',"provider":' + v), "provider") for v in
                                            ('"alpha"', "1", '["alpha"]', "true")])
report.case("nested: twice", each, [
    (GOOD % ',"provider":{"only":["alpha"]},"provider":{"zdr":true}', "provider"),
    (GOOD % ',"provider":{"only":["alpha"],"only":["beta"]}', "provider.only"),
    (GOOD % ',"provider":{"max_price":{"prompt":1,"prompt":2}}', "provider.max_price.prompt"),
    (GOOD % ',"provider":{"sort":{"by":"price","by":"latency"}}', "provider.sort.by")])
report.case("nested sort object", each, [
    (GOOD % ',"provider":{"sort":{"by":"cheap"}}', "provider.sort.by"),
    (GOOD % ',"provider":{"sort":{"by":1}}', "provider.sort.by"),
    (GOOD % ',"provider":{"sort":{"by":"price","partition":"all"}}', "provider.sort.partition"),
    (GOOD % ',"provider_sort":{"by":"price"}', "provider_sort")])
report.case("empty lists and objects are absent", lambda: (
    good_request('"provider_only":[],"provider":{"only":["alpha"]}'), good_request('"provider":{}'),
    good_request('"provider_quantizations":[]'), good_request('"models":[]')))
for name, value in (("provider_max_prompt_price", "0.0000031"), ("provider_max_completion_price", '"0.00001"')):
    def tiny(name=name, value=value):
        status, headers, _ = way.request("POST", "/v1/messages", GOOD % (',"%s":%s' % (name, value)))
        assert status == 404 and "x-wayfare-warning" in headers, (status, headers)
    report.case("%s of a token: warning" % name, tiny)
report.case("no warning without cause", lambda: [
    check("x-wayfare-warning" not in good_request(extra), extra) for extra in ('"provider_max_prompt_price":5', "")])

# ---- what else is read ----
M = '"messages":[{"role":"user","content":"x"}]'
report.case("model: escaped twin", refused, '{"model":"m","mod\\u0065l":"m","max_tokens":5,%s}' % M, 400, "twice")
report.case("model", each, [(b, "model") for b in (
    '{"max_tokens":5,%s}' % M, '{"model":null,"max_tokens":5,%s}' % M, '{"model":1,"max_tokens":5,%s}' % M,
    '{"model":"","max_tokens":5,%s}' % M, '{"model":["m"],"max_tokens":5,%s}' % M,
    '{"model":"m","model":"m","max_tokens":5,%s}' % M, '{"model":"m","model":"n","max_tokens":5,%s}' % M,
    '{"model":"%s","max_tokens":5,%s}' % ("m" * 5000, M), '{"model":":floor","max_tokens":5,%s}' % M,
    '{"model":"m\\u0000","max_tokens":5,%s}' % M)])
report.case("models", each, [(GOOD % (',"models":' + v), "models") for v in (
    '"m"', "1", "[1]", "[null]", '[""]', '{"a":1}', json.dumps(["m%d" % i for i in range(40)]),
    '["m"],"models":["m"]')])
report.case("max_tokens", each, [('{"model":"m",%s%s}' % (M, v), "max_tokens") for v in (
    ',"max_tokens":-1', ',"max_tokens":"5"', ',"max_tokens":1.5', ',"max_tokens":true',
    ',"max_tokens":[5]', ',"max_tokens":99999999999999999999', ',"max_tokens":5,"max_tokens":6')])
report.case("stream", each, [(GOOD % (',"stream":' + v), "stream") for v in (
    '"true"', "1", "[]", "{}", 'true,"stream":false')])
report.case("messages", each, [('{"model":"m","max_tokens":5%s}' % v, "messages") for v in (
    "", ',"messages":null', ',"messages":"x"', ',"messages":{}', ',"messages":[]', ',"messages":[1]',
    ',"messages":["x"]', ',"messages":[null]', ',%s,%s' % (M, M))])
report.case("message parts", each, [('{"model":"m","max_tokens":5,"messages":[%s]}' % v, "messages") for v in (
    '{"role":"user","content":"x","content":"y"}', '{"role":"user","role":"user","content":"x"}')])
report.case("tools", each, [(GOOD % (',"tools":' + v), "tools") for v in ('"x"', "1", '{"a":1}', "true",
                                                                         '[],"tools":[]')])
report.case("system", each, [(GOOD % (',"system":' + v), "system") for v in ("1", "true", '{"a":1}')])

# ---- not JSON ----
DEEP = 300
for name, body in {
    "empty": "", "blank": "  \n", "word": "hello", "trailing bytes": GOOD % "" + "x", "two values": (GOOD % "") * 2,
    "trailing comma": GOOD % ",", "NaN": GOOD % ',"temperature":NaN', "Infinity": GOOD % ',"temperature":-Infinity',
    "single quotes": "{'model':'m'}", "comment": GOOD % "/* */", "leading zero": GOOD % ',"top_k":01',
    "hex": GOOD % ',"top_k":0x1', "plus": GOOD % ',"top_k":+1', "bare point": GOOD % ',"top_p":.5',
    "control byte": GOOD % ',"x":"a\tb"', "bad escape": GOOD % ',"x":"\\q"', "cut escape": GOOD % ',"x":"\\u12"',
    "cut": (GOOD % "")[:-1], "byte order mark": b"\xef\xbb\xbf" + (GOOD % "").encode(),
    "invalid UTF-8": (GOOD % ',"x":"?"').encode().replace(b'"?"', b'"\xff\xfe"'),
    "overlong UTF-8": (GOOD % ',"x":"?"').encode().replace(b'"?"', b'"\xc0\xaf"'),
    "surrogate in UTF-8": (GOOD % ',"x":"?"').encode().replace(b'"?"', b'"\xed\xa0\x80"'),
    "NUL byte": (GOOD % ',"x":"?"').encode().replace(b'"?"', b'"\0"'),
    "key with \\u0000": GOOD % ',"mo\\u0000del":1',
    "depth %d" % DEEP: GOOD % (',"x":' + "[" * DEEP + "]" * DEEP),
    "depth 100000": GOOD % (',"x":' + "[" * 100000 + "]" * 100000),
    "1.1 million values": GOOD % (',"x":[' + "1," * 1100000 + "1]"),
}.items():
    report.case("not JSON: " + name, refused, body)
report.case("not an object", each, [(v, "object") for v in ("[]", '"x"', "1", "null", "true")])
report.case("depth 200 is fine", good_request, '"x":' + "[" * 200 + "]" * 200)
report.case("duplicates among members not read pass", good_request, '"x":1,"x":2')
def a_tier_many_times():
    """Cut out of a request that counts tokens as well, where nothing else is read of it."""
    body = '{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}]%s}'
    for path in ("/v1/messages", "/v1/messages/count_tokens", "/v1/route", "/v1/chat/completions"):
        for n in (2, 64, 65, 500):
            status, _, data = way.request("POST", path, body % (',"service_tier":"flex"' * n))
            assert status == 400 and b"service_tier" in data, (path, n, status, data)
    assert way.messages()[0] == 200


report.case("a tier many times", a_tier_many_times)


def uses_beyond_count():
    """The sum of what the provider's tools may be used is more than 64 bits hold: a bound, not less than nothing."""
    body = GOOD % (',"context_management":{"edits":[{"type":"compact_20260112"}]},"tools":[%s]' % ",".join(
        '{"type":"web_fetch_20250910","name":"f%d","max_uses":%d}' % (i, n)
        for i, n in enumerate((2 ** 63 - 1, 2 ** 63 - 999))))
    for path in ("/v1/messages", "/v1/messages/count_tokens", "/v1/route", "/v1/chat/completions"):
        status, _, data = way.request("POST", path, body)
        assert status in (200, 400, 402, 404), (path, status, data)
    assert way.messages()[0] == 200


report.case("uses beyond count", uses_beyond_count)
report.case("count_tokens and the dry run are as strict", lambda: [
    refused(GOOD % ',"provider_sort":"cheap"', names="provider_sort", path=p)
    for p in ("/v1/messages/count_tokens", "/v1/route")])

# ---- HTTP ----
BIG = 33 * 1024 * 1024
HEAD = ("POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\n" % way.key).encode()


def raw_status(data, status):
    before = calls()
    answer = way.raw(data, seconds=10)
    assert answer.startswith(b"HTTP/1.1 %d" % status), answer[:200]
    good_request()
    assert calls() == before + 1
    return answer


def too_large_chunked():
    piece = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    raw_status_tolerant(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + piece * 33 + b"0\r\n\r\n", b"413")


def raw_status_tolerant(data, status):
    """The server may close while we still send: then the answer may be lost to a reset."""
    import socket
    before = calls()
    sock = socket.create_connection((way.host, way.port), timeout=20)
    out = b""
    try:
        sock.sendall(data)
    except OSError:
        pass
    try:
        while piece := sock.recv(65536):
            out += piece
    except OSError:
        pass
    sock.close()
    assert out[9:12] == status, out[:200]
    good_request()
    assert calls() == before + 1


report.case("33 MiB announced", lambda: raw_status(HEAD + b"Content-Length: %d\r\n\r\n" % BIG, 413))
report.case("33 MiB sent", lambda: raw_status_tolerant(HEAD + b"Content-Length: %d\r\n\r\n" % BIG + b"x" * BIG, b"413"))
report.case("33 MiB in chunks", too_large_chunked)
for coding in ("gzip", "br", "deflate", "GZIP", "identity, gzip"):
    report.case("content-encoding " + coding, refused, GOOD % "", 415, (), None, None, "/v1/messages",
                {"content-encoding": coding})
report.case("no length", lambda: raw_status(HEAD + b"Connection: close\r\n\r\n", 400))
report.case("content types are not asked for", lambda: [
    check(way.messages(headers={"content-type": t})[0] == 200, t)
    for t in ("text/plain", "application/json; charset=utf-8", "application/x-www-form-urlencoded")])

# ---- provider_configs ----
URL = sim.url["alpha"]


def configs(inner):
    return GOOD % (',"provider_only":["alpha"],"provider_configs":' + inner)


MALFORMED = {
    '"x"': "provider_configs", "[1]": "provider_configs", "1": "provider_configs", '{"alpha":1}': "provider_configs.alpha",
    '{"alpha":{"key":"x"}}': "provider_configs.alpha", '{"alpha":{"api_key":1}}': "api_key",
    '{"alpha":{"api_key":""}}': "api_key", '{"alpha":{"api_key":"a\\nb"}}': "api_key",
    '{"alpha":{"headers":["x"]}}': "headers", '{"alpha":{"headers":{"a b":"x"}}}': "headers",
    '{"alpha":{"headers":{"x":1}}}': "headers", '{"alpha":{"headers":{"x":"a\\r\\nb: c"}}}': "headers",
    '{"alpha":{"headers":{"Host":"x"}}}': "headers", '{"alpha":{"headers":{"content-length":"1"}}}': "headers",
    '{"alpha":{"headers":{"transfer-encoding":"chunked"}}}': "headers",
    '{"alpha":{"timeout_ms":"1000"}}': "timeout_ms", '{"alpha":{"timeout_ms":10}}': "timeout_ms",
    '{"alpha":{"timeout_ms":99999999}}': "timeout_ms", '{"alpha":{"timeout_ms":1000.5}}': "timeout_ms",
    '{"alpha":{"base_url":"ftp://x"}}': "base_url", '{"alpha":{"base_url":"127.0.0.1"}}': "base_url",
    '{"alpha":{"base_url":"http://u:p@127.0.0.1"}}': "base_url", '{"alpha":{"base_url":"http://127.0.0.1/?q"}}': "base_url",
    '{"alpha":{"base_url":"http://"}}': "base_url", '{"alpha":{"base_url":1}}': "base_url",
    '{"alpha":{"base_url":"http://127.0.0.1\\\\@evil.example"}}': "base_url",
    '{"alpha":{"auth_type":"digest"}}': "auth_type", '{"alpha":{"auth_header_name":"a b"}}': "auth_header_name",
    '{"alpha":{"native_format":"cohere"}}': "native_format",
    '{"alpha":{"api_key":"a","api_key":"b"}}': "api_key", '{"alpha":{"api_key":"a"},"alpha":{"api_key":"b"}}': "alpha",
    "{%s}" % ",".join('"p%d":{"api_key":"a"}' % i for i in range(17)): "provider_configs",
}
report.case("provider_configs malformed: 400 whoever asks", each, [(configs(v), n) for v, n in MALFORMED.items()])
report.case("the same with a key that may", lambda: each([(configs(v), n) for v, n in MALFORMED.items()], key=allowed))
report.case("provider_configs not allowed", refused, configs('{"alpha":{"api_key":"sk-mine-7531"}}'), 403, "provider_configs",
            "permission_error")
report.case("malformed elsewhere comes first", refused,
            GOOD % ',"provider_configs":{"alpha":{"api_key":"a"}},"provider_sort":"cheap"', 400, "provider_sort")
for host in ("http://evil.example", "http://127.0.0.2:9", "http://localhost:9", "http://[::1]:9", "http://127.0.0.1.evil.example",
             "http://2130706433:9", "http://0x7f.1:9", "http://127.1:9", "http://169.254.169.254/latest"):
    report.case("base_url of a host not listed: " + host, refused,
                configs('{"alpha":{"base_url":"%s"}}' % host), 403, "base_url", "permission_error", allowed)
report.case("secrets are not in messages", lambda: [
    check("sk-secret" not in refused(configs(v), key=allowed), v) for v in (
        '{"alpha":{"api_key":"sk-secret\\n"}}', '{"alpha":{"api_key":["sk-secret"]}}', '{"alpha":"sk-secret"}',
        '{"alpha":{"headers":{"x":["sk-secret"]}}}')])


def honoured(settings, expect, absent=()):
    before = len(sim.witness())
    settings = dict({"base_url": URL, "api_key": "sk-mine-7531"}, **settings)
    good_request('"provider_only":["alpha"],"provider_configs":' + json.dumps({"alpha": settings}), key=allowed)
    sent = [w for w in sim.witness()[before:] if w["event"] == "begin"][-1]
    headers = {k.lower(): v for k, v in sent["headers"].items()}
    for name, value in expect.items():
        # The log shows the last four characters of a credential.
        assert headers.get(name) in (value, "..." + value[-4:]), (name, headers)
    for name in absent:
        assert name not in headers, (name, headers)
    assert headers.get("x-api-key", "...7531") == "...7531", headers


report.case("own key", honoured, {}, {"x-api-key": "sk-mine-7531"})
report.case("own key as bearer", honoured, {"auth_type": "bearer"}, {"authorization": "Bearer sk-mine-7531"}, ("x-api-key",))
report.case("own key as api_key", honoured, {"auth_type": "api_key"}, {"x-api-key": "sk-mine-7531"}, ("authorization",))
report.case("own key in a header of its own", honoured, {"auth_type": "custom", "auth_header_name": "x-mine"},
            {"x-mine": "sk-mine-7531"}, ("x-api-key", "authorization"))
report.case("own headers", honoured, {"headers": {"X-Tenant": "blue", "x-two": ""}}, {"x-tenant": "blue"})


def last_call(settings, provider="alpha"):
    before = len(sim.witness())
    good_request('"provider_only":["%s"],"provider_configs":%s' % (provider, json.dumps({provider: settings})), key=allowed)
    sent = [w for w in sim.witness()[before:] if w["event"] == "begin"][-1]
    return sent["path"], {k.lower(): v for k, v in sent["headers"].items()}


def nothing_of_ours():
    """To an address that a request names goes no credential and no header of the operator's."""
    _, ours = last_call({"headers": {"x-mine": "1"}})
    assert ours["x-api-key"] == "...cret", ours
    _, ours = last_call({}, "beta")
    assert ours["x-operator"] == "1", ours
    for name in ("alpha", "beta"):
        _, theirs = last_call({"base_url": URL}, name)
        assert not {"x-api-key", "authorization", "x-operator"} & set(theirs), theirs


def own_protocol():
    """native_format: what is spoken at the endpoint, whatever the catalog says of it."""
    mine = {"api_key": "sk-mine-7531"}
    path, headers = last_call(dict(mine, base_url=URL + "/v1", native_format="openai"))
    assert path == "/v1/chat/completions" and headers["authorization"] == "...7531", (path, headers)
    path, headers = last_call(dict(mine, native_format="anthropic"))
    assert path == "/v1/messages" and headers["x-api-key"] == "...7531", (path, headers)
    path, headers = last_call(dict(mine, base_url=URL, native_format="anthropic"), "chat")
    assert path == "/v1/messages" and headers["x-api-key"] == "...7531", (path, headers)


def own_timeout():
    sim.script("alpha", hang=1)
    status, _, body = way.request("POST", "/v1/messages", configs('{"alpha":{"timeout_ms":1000}}'), {"x-api-key": allowed})
    sim.reset()
    assert status == 504 and json.loads(body)["error"]["type"] == "timeout_error", (status, body)


report.case("own key where the operator needs none", lambda: check(
    last_call({"api_key": "sk-mine-7531"}, "open")[1].get("x-api-key") == "...7531", "it was not sent"))
report.case("an address of one's own: nothing of the operator's", nothing_of_ours)
report.case("own protocol", own_protocol)
report.case("own timeout", own_timeout)
report.case("secrets are not in the log", lambda: [
    check(s not in way.server_log(), "a secret is in the log: " + s[:9]) for s in ("sk-mine-7531", "sk-secret", "sk-operator-secret", way.key, allowed)])
report.case("ledger", way.verify)
report.case("still alive", lambda: wait_for("a good answer", lambda: good_request() is not None))
report.end()
