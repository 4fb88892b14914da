#!/usr/bin/env python3
"""The operator's credential is lent to requests, never given away: it goes to the operator's address in
the operator's way alone, no answer that repeats it shows it, and what a request spoils of its own is
not held against it.  And ids of a provider's that are no text leave records readable."""

import json

from harness import Report, Wayfare, endpoint, price, provider
from rawprovider import RawProvider, whole

SECRET = b"sk-operator-secret"  # of the harness
OWN = "sk-of-the-client"
report = Report()
raw = RawProvider()
elsewhere = RawProvider()


def model(name, *providers):
    return {"id": "test/" + name, "aliases": [name], "endpoints": [endpoint(p, "up", price("1", "5")) for p in providers]}


CATALOG = {
    "providers": [provider("alpha", raw.url), provider("beta", raw.url), provider("open", raw.url, credential={"none": True}),
                  provider("bare", raw.url, credential={"env": "TEST_NO_SUCH_KEY"})],
    "models": [model("m", "alpha"), model("two", "alpha", "beta"), model("open", "open"), model("bare", "bare")],
}
way = Wayfare(CATALOG, args=["--verbose", "--allow-base-url", "127.0.0.1"], threads=1, key_args=["--allow-provider-configs"])


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
report.case("a key of one's own where none is needed", own_key_where_none_is_needed)
report.case("what a request spoils is its own", spoiled_by_a_request)
report.case("an error that repeats the credential", repeated)
report.case("ids that are no text", ids_that_are_no_text)
report.case("the ledger", way.verify)
way.stop()
report.end()
