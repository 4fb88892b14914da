#!/usr/bin/env python3
"""The operator's credential is lent to requests, never given away: it goes to the operator's address in
the operator's way alone, no answer that repeats it shows it, and what a request spoils of its own is
not held against it.  And ids of a provider's that are no text leave records readable."""

import json

from harness import Report, Wayfare, endpoint, price, provider
from rawprovider import RawProvider, whole

SECRET = b"sk-operator-secret"  # of the harness
PAIR = b"AKIAEXAMPLE00:wJalrXUtnFEMIbPxRfiCYEXAMPLEKEY"
SLASHED = b"sk/operator/secret1"
OWN = "sk-of-the-client"
report = Report()
raw = RawProvider()
elsewhere = RawProvider()


def model(name, *providers):
    return {"id": "test/" + name, "aliases": [name], "endpoints": [endpoint(p, "up", price("1", "5")) for p in providers]}


CATALOG = {
    "providers": [provider("alpha", raw.url), provider("beta", raw.url), provider("open", raw.url, credential={"none": True}),
                  provider("bare", raw.url, credential={"env": "TEST_NO_SUCH_KEY"}),
                  provider("bed", raw.url, protocol="bedrock", region="us-east-1", credential={"env": "TEST_PAIR"}),
                  provider("slashed", raw.url, credential={"env": "TEST_SLASHED"}),
                  provider("chat", raw.url, protocol="openai"), provider("gem", raw.url, protocol="gemini"),
                  provider("az", raw.url, protocol="azure-openai"), provider("ver", raw.url + "/v1/projects/p/locations/l", protocol="vertex")],
    "models": [model("m", "alpha"), model("two", "alpha", "beta"), model("open", "open"), model("bare", "bare"), model("named", "named"), model("bed", "bed"),
               model("slashed", "slashed"), model("twice", "slashed", "bare"), model("chat", "chat"), model("gem", "gem"),
               model("az", "az"), model("ver", "ver")],
}
CATALOG["models"][-1]["endpoints"][0]["upstream_model"] = "claude-sonnet-4-5"
CATALOG["providers"].append({"slug": "named", "name": "Named", "protocol": "anthropic", "base_url": ""})  # as imported lists name them
way = Wayfare(CATALOG, args=["--verbose", "--allow-base-url", "127.0.0.1"], threads=1, key_args=["--allow-provider-configs"],
              env={"TEST_PAIR": PAIR.decode(), "TEST_SLASHED": SLASHED.decode()})


def ask(name="m", path="/v1/messages", config=None, provider_slug="alpha", **more):
    fields = dict(more, provider_configs={provider_slug: config}) if config is not None else more
    status, headers, data = way.messages(path=path, model=name, **fields)
    return status, headers, data


def another_address():
    """The operator's credential does not follow a base_url of the request's."""
    assert ask()[0] == 200 and SECRET in raw.requests[-1]
    for more in ({}, {"api_key": OWN}, {"headers": {"x-tenant": "blue"}}):
        status, _, data = ask(config=dict(more, base_url=elsewhere.url))
        assert status == 200, (status, data)
        head = elsewhere.requests[-1]
        assert SECRET not in head and (OWN.encode() in head) == ("api_key" in more), head


def another_address_needs_none():
    status, _, data = ask("bare")
    assert status == 404 and b"no_credential" in data, (status, data)
    before = len(elsewhere.requests)
    status, _, data = ask("bare", config={"base_url": elsewhere.url}, provider_slug="bare")
    assert status == 200 and len(elsewhere.requests) == before + 1, (status, data)


def another_header():
    """A provider tells which value of a header it does not like: there the credential would come back."""
    before = len(raw.requests)
    for config in ({"auth_header_name": "anthropic-version"}, {"auth_type": "custom", "auth_header_name": "anthropic-beta"},
                   {"auth_type": "bearer"}, {"auth_type": "basic", "base_url": elsewhere.url}):
        for path in ("/v1/messages", "/v1/messages/count_tokens", "/v1/route"):
            status, _, data = ask(config=config, path=path)
            assert status == 400 and b"provider_configs.alpha" in data and b"api_key" in data, (config, path, status, data)
    assert len(raw.requests) == before
    status, _, data = ask(config={"auth_type": "custom", "auth_header_name": "x-mine", "api_key": OWN})
    assert status == 200 and b"x-mine: " + OWN.encode() in raw.requests[-1] and SECRET not in raw.requests[-1], (status, data)


def another_name():
    """Under a slug that nobody has the client's key would be left aside, and the operator would pay."""
    before = len(raw.requests)
    for slug in ("alfa", "alpha/fast", "Alpha2", "test/m"):
        for path in ("/v1/messages", "/v1/messages/count_tokens", "/v1/route"):
            status, _, data = ask(config={"api_key": OWN}, provider_slug=slug, path=path)
            assert status == 400 and b"provider_configs." + slug.lower().encode() in data.lower() and OWN.encode() not in data, (slug, data)
    assert len(raw.requests) == before
    # of another model's provider: the client sends the same with all it asks
    assert ask(config={"api_key": OWN}, provider_slug="open")[0] == 200


def nobody_knows_where():
    """A provider that an imported catalog only names: a key does not make it one that can be called."""
    status, _, data = ask("named", config={"api_key": OWN}, provider_slug="named")
    assert status == 404 and b"no base_url for named" in data, (status, data)
    status, _, data = ask("named", config={"api_key": OWN, "base_url": elsewhere.url}, provider_slug="named")
    assert status == 200 and OWN.encode() in elsewhere.requests[-1], (status, data)


def another_protocol():
    """In the other protocol a credential goes into another header; half of a pair of keys is never sent."""
    before = len(raw.requests)
    for name, slug, word in (("bed", "bed", "openai"), ("bed", "bed", "anthropic"), ("m", "alpha", "openai"), ("chat", "chat", "anthropic")):
        for path in ("/v1/messages", "/v1/route"):
            status, _, data = ask(name, config={"native_format": word}, provider_slug=slug, path=path)
            assert status == 400 and b"native_format" in data and b"api_key" in data, (name, word, status, data)
    assert len(raw.requests) == before
    for config in ({"native_format": "openai", "api_key": OWN}, {"native_format": "openai", "base_url": elsewhere.url}):
        ask("bed", config=config, provider_slug="bed")
        for sent in (raw.requests + elsewhere.requests)[before:]:
            assert PAIR not in sent and PAIR.split(b":")[1] not in sent, sent
    assert len(raw.requests) > before
    assert ask(config={"native_format": "anthropic"})[0] == 200  # what it is
    assert ask("az", config={"native_format": "openai"}, provider_slug="az", path="/v1/route")[0] == 200
    assert ask("ver", config={"native_format": "anthropic"}, provider_slug="ver", path="/v1/route")[0] == 200  # Claude there


def own_key_where_none_is_needed():
    assert ask("open")[0] == 200 and b"x-api-key" not in raw.requests[-1]
    assert ask("open", config={"api_key": OWN}, provider_slug="open")[0] == 200
    assert b"x-api-key: " + OWN.encode() in raw.requests[-1], raw.requests[-1]


def spoiled_by_a_request():
    """A bad key in a request's own headers is not the operator's that is bad."""
    raw.answer = lambda request: whole(b'{"type":"error","error":{"type":"authentication_error","message":"bad"}}', b"401 No") \
        if b"x-api-key: spoiled" in request else whole()
    for _ in range(3):
        assert ask(config={"headers": {"x-api-key": "spoiled"}})[0] == 502
    plan = json.loads(ask(path="/v1/route")[2])["plan"]
    assert len(plan) == 1 and "held back" not in plan[0]["why"], plan
    assert "refuses a credential" not in way.server_log()
    raw.answer = lambda request: whole()


def repeated():
    """A provider that says in an error, or beside it, which key it was given."""
    message = b"Incorrect API key provided: " + SECRET
    body = b'{"type":"error","error":{"type":"x","message":"%s, %s"}}' % (message, SECRET)
    stars = b"*" * len(SECRET)
    for status_line in (b"400 Bad", b"401 No", b"402 Pay", b"403 No", b"404 No", b"429 Slow", b"500 Oh", b"529 Oh"):
        raw.answer = lambda request: whole(body, status_line, b"x-told: key=%s;\r\n" % SECRET)
        for name in ("m", "two"):
            for stream in (False, True):
                status, headers, data = ask(name, stream=stream)
                told = str(headers).encode() + data
                assert status >= 400 and SECRET not in told, (status_line, name, stream, told)
                assert b"Incorrect API key provided: " + stars in data, (status_line, name, data)
                if "x-told" in headers:
                    assert headers["x-told"] == "key=%s;" % stars.decode(), headers
        status, _, data = ask(path="/v1/messages/count_tokens")
        assert SECRET not in data, (status, data)
    raw.answer = lambda request: whole()
    assert SECRET.decode() not in way.server_log()


def event(name, **data):
    return b"event: %s\ndata: %s\n\n" % (name.encode(), json.dumps(dict({"type": name}, **data)).encode())


def repeated_in_a_stream():
    told = event("error", error={"type": "authentication_error", "message": "bad key " + SECRET.decode()})
    start = event("message_start", message={"id": "msg_1", "type": "message", "role": "assistant", "model": "x", "content": [],
                                            "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}})
    text = event("content_block_start", index=0, content_block={"type": "text", "text": ""}) + \
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": "hello"})
    cuts = [(start + text, told[:i], told[i:]) for i in (1, told.index(SECRET), told.index(SECRET) + 5, len(told) - 2, len(told) - 1)]
    lines = told.splitlines(keepends=True)
    for pieces in ((told,), (start, told), (start + text, told), (start + text + told,), *cuts, (start + text, *lines)):
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % sum(map(len, pieces))
        raw.answer = lambda request: [head, *pieces]
        for name in ("m", "two"):
            for path, more in (("/v1/messages", {}), ("/v1/chat/completions", {}), ("/v1/messages", {"x-wayfare-report": "body"})):
                status, headers, data = ask(name, path=path, stream=True, headers=more)
                assert (status == 200) == (text in b"".join(pieces)), (pieces, path, status, data)
                assert SECRET not in data and b"bad key " + b"*" * len(SECRET) in data, (pieces, path, status, data)
                assert SECRET.decode() not in json.dumps(way.generation(headers)), headers
    raw.answer = lambda request: whole()
    assert SECRET.decode() not in way.server_log()


def repeated_in_chunks():
    """Of OpenAI's protocol: with an end or without, and as servers say it without an `error`."""
    chunk = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"x","choices":[{"index":0,"delta":{"content":"hello"},"finish_reason":null}]}\n\n'
    word = b"bad key " + SECRET
    for told in (b'{"error":{"message":"%s","type":"x"}}', b'{"object":"error","message":"%s","code":40001}', b'{"detail":"%s"}'):
        event_of = b"data: " + told % word + b"\n\n"
        for pieces in ((chunk, event_of), (chunk + event_of,), (chunk, event_of[:-1]), (chunk, event_of[:-2]), (chunk, event_of[:30], event_of[30:-2])):
            head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % sum(map(len, pieces))
            raw.answer = lambda request: [head, *pieces]
            for path, more, fields in (("/v1/messages", {}, {}), ("/v1/chat/completions", {}, {}), ("/v1/chat/completions", {"x-wayfare-report": "body"}, {}),
                                       ("/v1/chat/completions", {}, {"stream_options": {"include_usage": True}})):
                status, headers, data = ask("chat", path=path, stream=True, headers=more, **fields)
                assert status == 200 and b"hello" in data, (pieces, path, status, data)
                assert SECRET not in data and SECRET.decode() not in json.dumps(way.generation(headers)), (pieces, path, data)
    headers_that_repeat_it()


def headers_that_repeat_it():
    raw.answer = lambda request: whole(headers=b"request-id: %s%s\r\n" % (b"x" * 90, SECRET), content_type=b"application/json; a=%s%s" % (b"x" * 100, SECRET))
    status, headers, _ = ask()
    told = json.dumps([headers, way.generation(headers)])
    assert status == 200 and SECRET.decode()[:10] not in told, told
    raw.answer = lambda request: whole()
    assert SECRET.decode() not in way.server_log()


def said(path, name, config, *pieces):
    """A provider's stream in these pieces, as the client has it, and its record."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % sum(map(len, pieces))
    raw.answer = lambda request: [head, *pieces]
    for more in ({}, {"x-wayfare-report": "body"}):
        status, headers, data = ask(name, path=path, stream=True, headers=more, config=config)
        assert SECRET not in data and SECRET.decode() not in json.dumps(way.generation(headers)), (pieces, path, data)
        yield status, data, way.generation(headers)
    raw.answer = lambda request: whole()


CHUNK = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"x","choices":[{"index":0,"delta":{%s},"finish_reason":%s}]%s}\n\n'
HELLO = CHUNK % (b'"content":"hello"', b"null", b"")
LAST = CHUNK % (b"", b'"stop"', b',"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}')
DONE = b"data: [DONE]\n\n"
WORD = b"bad key " + SECRET
FLAT = (b'{"object":"error","message":"%s","code":40001}' % WORD, b'{"detail":"%s"}' % WORD)


def flat_error_in_a_stream():
    """An error without an `error` is one: whatever comes behind it, the answer is not whole."""
    for error in FLAT:
        for name in (b"event: error\n", b""):
            for end in (b"", DONE, LAST + DONE):
                for path in ("/v1/messages", "/v1/chat/completions"):
                    for status, data, record in said(path, "chat", None, HELLO, name + b"data: " + error + b"\n\n" + end):
                        assert status == 200 and b"hello" in data and b"bad key ***" in data, (error, name, end, path, data)
                        assert b"message_stop" not in data, (error, name, end, data)
                        assert record["status"] == "error", record
                        assert record["attempts"][-1]["end_reason"] == "stream_error", record


def odd_errors_in_a_stream():
    """Where and how nobody says an error, but some server does."""
    for told in (b"data: " + FLAT[1], b"data: %s\n" % FLAT[1], DONE + b'data: {"error":{"message":"%s"}}\n\n' % WORD,
                 b'data: {"message":"%s","type":"x"}\n\n' % WORD, b"data: %s\n\n" % WORD, b'data: [{"error":{"message":"%s"}}]\n\n' % WORD):
        for before in ((HELLO,), (HELLO, LAST), (HELLO + LAST,)):
            for path in ("/v1/messages", "/v1/chat/completions"):
                for status, data, _ in said(path, "chat", None, *before, told):
                    # What is no event of the protocol, before anything went out: no answer at all.
                    assert status == 502 or (status == 200 and b"hello" in data), (told, path, data)
    text = event("message_start", message={"id": "msg_1", "type": "message", "role": "assistant", "model": "x", "content": [], "stop_reason": None,
                                           "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}) + \
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}) + \
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": "hello"})
    last = event("content_block_stop", index=0) + event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2}) + \
        event("message_stop")
    failed = event("error", error={"type": "x", "message": WORD.decode()})
    for told in (b'data: {"error":{"message":"%s"}}\n\n' % WORD, b"data: " + FLAT[1] + b"\n\n", b"data: %s\n\n" % WORD, last + failed, last + failed[:-1],
                 last + failed[:-2]):
        for pieces in ((text, told), (text + told,), (text + told[:20], told[20:])):
            for status, data, _ in said("/v1/messages", "m", None, *pieces):
                assert status == 502 or (status == 200 and b"hello" in data), (pieces, data)


def content_that_repeats_it():
    """A model's own words go on as they are."""
    told = CHUNK % (b'"content":"%s"' % WORD, b"null", b"")
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    raw.answer = lambda request: [head, HELLO, told, LAST, DONE]
    status, _, data = ask("chat", path="/v1/chat/completions", stream=True)
    assert status == 200 and data.count(WORD) == 1, data
    raw.answer = lambda request: whole()


def header_called_like_the_key():
    raw.answer = lambda request: whole(headers=b"set-cookie: sess=1\r\n")
    status, headers, _ = ask(config={"api_key": "set-cookie"})
    assert status == 200 and "sess=1" not in headers.values(), headers
    raw.answer = lambda request: whole()


def repeated_by_chance():
    """A key of the client's that is made of asterisks, or stands in our own words for it."""
    raw.answer = lambda request: whole(b'{"type":"error","error":{"type":"x","message":"bad key ************"}}', b"401 No")
    status, _, data = ask(config={"api_key": "********"})
    assert status >= 400 and b"bad key ************" in data, (status, data)
    raw.answer = lambda request: whole(json.dumps({"candidates": [{"content": {"parts": []}, "finishReason": "MALFORMED_FUNCTION_CALL"}],
                                                   "modelVersion": "x", "responseId": "r"}).encode())
    for word in ("malformed", "malformeX"):
        for stream in (False, True):
            status, _, data = ask("gem", config={"api_key": word}, provider_slug="gem", stream=stream)
            assert status >= 400, (status, data)
    raw.answer = lambda request: whole()
    assert ask()[0] == 200


def repeated_with_escapes():
    """As PHP's servers write a slash in JSON."""
    for status_line in (b"400 Bad", b"500 Oh"):
        raw.answer = lambda request: whole(b'{"type":"error","error":{"type":"x","message":"bad key %s"}}' % SLASHED.replace(b"/", b"\\/"), status_line)
        for name in ("slashed", "twice"):
            for path in ("/v1/messages", "/v1/chat/completions"):
                status, _, data = ask(name, path=path)
                assert status >= 400 and b"bad key **" in data, (status, data)
                assert b"secret1" not in data and SLASHED not in data, (status_line, path, data)
    raw.answer = lambda request: whole()
    assert "secret1" not in way.server_log()


def ids_that_are_no_text():
    for sent, kept in ((b"req_1", "req_1"), (b"\xff\xfe\x80", None), (b"req_\xc3\xa9", None)):
        raw.answer = lambda request: whole(headers=b"request-id: %s\r\n" % sent)
        status, headers, _ = ask()
        assert status == 200 and way.generation(headers)["attempts"][0]["provider_request_id"] == kept, (sent, kept)
    raw.answer = lambda request: whole()
    status, _, data = way.request("GET", "/v1/generations?limit=100")
    assert status == 200 and len(json.loads(data.decode("utf-8"))["data"]) > 3


report.case("another address", another_address)
report.case("another address needs no credential of the operator's", another_address_needs_none)
report.case("another header", another_header)
report.case("a slug that nobody has", another_name)
report.case("a provider without an address", nobody_knows_where)
report.case("another protocol", another_protocol)
report.case("a key of one's own where none is needed", own_key_where_none_is_needed)
report.case("what a request spoils is its own", spoiled_by_a_request)
report.case("an error that repeats the credential", repeated)
report.case("an error in a stream that repeats it", repeated_in_a_stream)
report.case("an error in a stream of chunks that repeats it", repeated_in_chunks)
report.case("an error without an `error`", flat_error_in_a_stream)
report.case("errors of other shapes, and elsewhere", odd_errors_in_a_stream)
report.case("content that repeats it", content_that_repeats_it)
report.case("a header that is called like the key", header_called_like_the_key)
report.case("a key that is there by chance", repeated_by_chance)
report.case("an error that repeats it with escapes", repeated_with_escapes)
report.case("ids that are no text", ids_that_are_no_text)
report.case("the ledger", way.verify)
way.stop()
report.end()
