#!/usr/bin/env python3
"""Several credentials of one provider: fair turns; a refused one is passed over and another takes
the request; what is remembered, what the operator is told, and that no secret is."""

import http.client
import json
import re
from collections import Counter

from harness import SLOW, Report, Sim, Wayfare, endpoint, price, provider, sse_events, wait_for

KEYS = {"A": "sk-operator-first-AAAA", "B": "sk-operator-second-BBBB", "C": "sk-operator-third-CCCC"}
HEADERS = ("x-api-key", "authorization")
sim = Sim(["many", "spare", "chat", "own"])
report = Report()


def credentials(names):
    return [{"env": "TEST_KEY_" + n} for n in names]


def model(name, *providers):
    return {"id": "test/" + name, "endpoints": [endpoint(p, "up-" + name, price("1", "5")) for p in providers]}


catalog = {
    "providers": [provider("many", sim.url["many"], credential=credentials("ABC")),
                  provider("two", sim.url["own"], credential=credentials("AB")),
                  provider("chat", sim.url["chat"] + "/v1", protocol="openai", credential=credentials("AB")),
                  provider("spare", sim.url["spare"])],
    # A model for each case: what one remembers does not hold another back.
    "models": [model(n, "many", "spare") for n in ("turns", "limited", "barred", "invalid", "again", "state", "threads",
                                                     "left")] +
              [model("alone", "two"), model("alone-barred", "two"), model("spent", "two", "spare"),
               model("quota", "chat", "spare"), model("brought", "two", "spare"), model("untold", "chat", "spare"), dict(model("mended", "spare"))],
}
catalog["models"][-1]["endpoints"][0]["rules"] = ["no_sampling"]
way = Wayfare(catalog, env={"TEST_KEY_" + n: k for n, k in KEYS.items()}, key_args=["--allow-provider-configs"])


def ask(name, **more):
    return way.messages(model="test/" + name, **dict({"provider_order": ["many", "two", "chat", "spare"]}, **more))


def used(name, site=None):
    """Last letters of the credentials in the simulator's log, call by call."""
    def over():
        """Once every call that began has ended: the client may be told before that is written."""
        lines = sim.witness()
        return lines if sum(1 if w["event"] == "begin" else -1 for w in lines) == 0 else None

    found = []
    for w in wait_for("the simulator", over) if sim.witness() else []:
        if w["event"] == "end" and w.get("model") == "up-" + name and (site is None or w["site"] == site):
            shown = [v for h, v in heads(w) if h.lower() in HEADERS]
            found.append(shown[0][-1])
    return found


def heads(w):
    headers = w["headers"]
    return headers.items() if isinstance(headers, dict) else headers


def plan(name):
    body = {"model": "test/" + name, "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
    return json.loads(way.request("POST", "/v1/route", body)[2])["plan"]


def metric(name):
    host, port = way.admin.rsplit(":", 1)
    conn = http.client.HTTPConnection(host, int(port), timeout=30 * SLOW)
    conn.request("GET", "/metrics", headers={"authorization": "Bearer admin-token-for-tests"})
    text = conn.getresponse().read().decode()
    conn.close()
    return int(re.search(r"^wayfare_%s (\d+)" % name, text, re.M).group(1))


def logged(text):
    """The lines that say so, once there is one: the log is written by a thread of its own."""
    def lines():
        return [line for line in way.server_log().splitlines() if text in line]

    wait_for("the log to say: " + text, lines)
    return lines()


def turns():
    sim.reset()
    for _ in range(30):
        assert ask("turns")[0] == 200
    assert Counter(used("turns")) == {"A": 10, "B": 10, "C": 10}, used("turns")


def limited():
    """retry-after holds back the credential, not the endpoint."""
    sim.reset()
    sim.script("many", status=429, retry_after=600, fail_key=KEYS["B"])
    for _ in range(9):
        status, headers, body = ask("limited")
        assert status == 200 and headers["x-wayfare-provider"] == "many", (status, headers, body)
    seen = Counter(used("limited"))
    assert seen["B"] == 1 and seen["A"] + seen["C"] == 9, seen
    assert not any("held back" in p["why"] for p in plan("limited")), plan("limited")
    assert metric("credentials_limited_total") == 1
    # All of them: the endpoint waits.
    sim.script("many", status=429, retry_after=600)
    status, headers, body = ask("limited")
    assert status == 200 and headers["x-wayfare-provider"] == "spare" and headers["x-wayfare-attempts"] == "3", headers
    last = plan("limited")[-1]
    assert last["provider"] == "many" and "429" in last["why"], last
    listed = json.loads(way.request("GET", "/v1/models/test/limited/endpoints")[2])["data"]["endpoints"]
    many = next(e for e in listed if e["health"]["held_back_until"])
    assert many["status"] == -2 and [e["status"] for e in listed if e is not many] == [0], listed


def last_attempt():
    """Credentials of one account fail together: one attempt is left for another endpoint."""
    sim.reset()
    sim.script("many", status=429)
    status, headers, body = ask("turns")
    assert status == 200 and headers["x-wayfare-provider"] == "spare" and headers["x-wayfare-attempts"] == "3", headers


def invalid():
    """A bad key is told once, by its name, and the others go on, for every model."""
    sim.reset()
    sim.script("many", status=401, fail_key=KEYS["C"])
    for _ in range(6):
        status, headers, body = ask("invalid")
        assert status == 200 and headers["x-wayfare-provider"] == "many", (status, headers, body)
        assert ask("again")[0] == 200
    seen = Counter(used("invalid")) + Counter(used("again"))
    assert seen["C"] == 1 and seen["A"] + seen["B"] == 12, seen
    lines = logged("a provider refuses a credential")
    assert len(lines) == 1 and "TEST_KEY_C (3 of 3)" in lines[0] and "endpoint=many" in lines[0], lines
    assert metric("credentials_refused_total") == 1


def barred():
    """403: of this endpoint alone."""
    sim.reset()
    sim.script("many", model="up-barred", status=403, fail_key=KEYS["A"])
    for _ in range(6):
        assert ask("barred")[0] == 200
    assert Counter(used("barred"))["A"] == 1, used("barred")
    for _ in range(6):
        assert ask("left")[0] == 200
    assert Counter(used("left"))["A"] >= 2, used("left")
    assert len(logged("a credential may not use an endpoint")) == 1


def alone():
    """No other endpoint: every attempt may be this one's, and its answer is told as ever."""
    sim.reset()
    sim.script("own", status=429, retry_after=9, fail_key=KEYS["A"])
    assert {ask("alone")[0] for _ in range(4)} == {200}
    sim.script("own", status=429, retry_after=5)
    status, headers, body = ask("alone")
    assert status == 429 and int(headers["retry-after"]) <= 9, (status, headers, body)
    sim.reset()
    # Held back, but there is nothing else: it is tried all the same.
    assert ask("alone")[0] == 200
    sim.script("own", model="up-alone-barred", status=403)
    status, headers, body = ask("alone-barred")
    assert status == 502 and headers["x-wayfare-attempts"] == "2", (status, headers, body)
    assert len(json.loads(body)["error"]["attempts"]) == 2


def brought():
    """A key of the client's own says nothing of the operator's."""
    sim.reset()
    sim.script("own", model="up-brought", status=401, fail_key="sk-of-the-client")
    before = metric("credentials_refused_total")
    status, headers, body = ask("brought", provider_configs={"two": {"api_key": "sk-of-the-client"}})
    assert status == 200 and headers["x-wayfare-provider"] == "spare" and headers["x-wayfare-attempts"] == "2", headers
    assert metric("credentials_refused_total") == before
    assert {ask("brought")[1]["x-wayfare-provider"] for _ in range(4)} == {"two"}
    # Nor do the operator's, all refused, say anything of the client's.
    sim.script("own", model="up-brought", status=403)
    assert ask("brought", provider_order=["two"])[1]["x-wayfare-provider"] == "spare"
    sim.script("own", model="up-brought", status=403, fail_key=KEYS["A"])
    for config, serves in (({}, "spare"), ({"two": {"api_key": "sk-of-another"}}, "two")):
        _, headers, _ = ask("brought", provider_order=[], provider_sort="price", provider_configs=config)
        assert headers["x-wayfare-provider"] == serves and headers["x-wayfare-attempts"] == "1", (config, headers)


def spent():
    """A used-up limit, said with a 400 that is not the client's fault."""
    sim.reset()
    before = metric("credentials_spent_total")
    sim.script("own", model="up-spent", status=400, fail_key=KEYS["B"], error_type="invalid_request_error",
               error_message="You have reached your specified API usage limits. You will regain access on "
                             "2099-01-01 at 00:00 UTC.")
    for _ in range(6):
        status, headers, body = ask("spent")
        assert status == 200 and headers["x-wayfare-provider"] == "two", (status, headers, body)
    assert Counter(used("spent"))["B"] == 1, used("spent")
    lines = logged("the spend limit of a credential is used up")
    assert len(lines) == 1 and "TEST_KEY_B (2 of 2)" in lines[0] and "resets=2099-01-01T00:00:00" in lines[0], lines
    assert metric("credentials_spent_total") == before + 1
    sim.script("own", model="up-spent", status=400, error_message="Your credit balance is too low")
    status, headers, body = ask("spent")
    assert status == 200 and headers["x-wayfare-provider"] == "spare", (status, headers, body)
    assert way.generation(headers)["attempts"][0]["http_status"] == 400, way.generation(headers)  # it counts as 402
    last = plan("spent")[-1]
    assert last["provider"] == "two" and "spend limit" in last["why"], last
    assert [ask("spent", provider_order=None)[1]["x-wayfare-provider"] for _ in range(3)] == ["spare"] * 3


def quota():
    sim.reset()
    body = json.dumps({"error": {"message": "You exceeded your current quota", "type": "insufficient_quota",
                                 "param": None, "code": "insufficient_quota"}})
    sim.script("chat", status=429, body=body, content_type="application/json", fail_key=KEYS["A"])
    for _ in range(4):
        status, headers, _ = ask("quota")
        assert status == 200 and headers["x-wayfare-provider"] == "chat", headers
    assert Counter(used("quota"))["A"] == 1, used("quota")
    wait_for("the line", lambda: any("endpoint=chat" in line and "resets=unknown" not in line
                                     for line in logged("the spend limit of a credential is used up")))


def state():
    """What one account keeps is not asked of another."""
    sim.reset()
    status, _, body = ask("state", provider_only=["many"], container="container_1")
    assert status == 400 and json.loads(body)["error"]["details"]["error_code"], body


def threads():
    """A thread goes back to the provider and the credential that issued its last message."""
    sim.reset()
    sim.script("many", lenient=1)
    for stream in (False, True):
        for _ in range(3):
            status, headers, body = ask("threads", stream=stream, provider_only=["many"], thread={"type": "create"})
            assert status == 200, (status, body)
            first = used("threads")[-1]
            for _ in range(4):
                message = json.loads(body) if not stream else dict(sse_events(body))["message_start"]["message"]
                status, headers, body = ask("threads", stream=stream,
                                            thread={"type": "continue", "previous_message_id": message["id"]})
                assert status == 200 and headers["x-wayfare-provider"] == "many", (status, headers, body)
                assert used("threads")[-1] == first, used("threads")
    assert {"A", "B"} <= set(used("threads")), used("threads")  # C is held back since it was refused
    thread = {"type": "continue", "previous_message_id": "msg_of_nobody"}
    status, _, body = ask("threads", provider_only=["many"], thread=thread)
    assert status == 400 and b"thread_unsupported_request" in body and b"several credentials" in body, body
    assert b"provider_only" not in body, body  # that would not help


def untold():
    """Nobody is asked to go on with what his protocol has no words for: he would see the last message alone."""
    sim.reset()
    sim.script("spare", lenient=1)
    thread = {"type": "continue", "previous_message_id": "msg_1"}
    for code, state in (("thread_unsupported_request", {"thread": {"type": "create"}}), ("thread_unsupported_request", {"thread": thread}),
                        ("thread_unsupported_request", {"previous_message_id": "msg_1"}),
                        ("state_unsupported_request", {"container": "container_1"})):
        status, _, body = ask("untold", provider_only=["chat"], **state)
        assert status == 400 and json.loads(body)["error"]["details"]["error_code"] == code, (state, status, body)
    status, headers, body = ask("untold", thread={"type": "create"})
    assert status == 200 and headers["x-wayfare-provider"] == "spare", (status, headers, body)
    assert not used("untold", "chat")
    body = {"model": "test/untold", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}], "thread": {"type": "create"}}
    dry = json.loads(way.request("POST", "/v1/route", body)[2])
    assert [p["provider"] for p in dry["plan"]] == ["spare"] and "thread is told" in dry["warnings"][0], dry
    # A model that has to be spared a parameter is told all the same.
    status, headers, body = ask("mended", temperature=0.5, container={"skills": [{"type": "anthropic", "skill_id": "x"}]})
    assert status == 200 and headers["x-wayfare-dropped"] == "temperature", (status, headers, body)
    status, headers, body = ask("untold", provider_only=["chat"], container={"skills": [{"type": "anthropic", "skill_id": "x"}]})
    assert status == 400 and b"leave it out" in body, (status, body)
    # The other door has no word for it, whoever would be asked.
    for model in ("untold", "threads"):
        for field, state in (("container", "container_1"), ("thread", thread), ("previous_message_id", "msg_1")):
            status, _, body = way.request("POST", "/v1/chat/completions", {
                "model": "test/" + model, "messages": [{"role": "user", "content": "x"}], field: state})
            assert status == 400 and json.loads(body)["error"]["param"] == field, (status, body)
    assert not used("untold", "chat")


def no_secret():
    text = way.server_log() + json.dumps([way.generation(ask("turns")[1])])
    assert not any(key in text or key[-8:] in text for key in KEYS.values())


for name in ("turns", "last_attempt", "limited", "invalid", "barred", "alone", "brought", "spent", "quota", "state", "threads", "untold"):
    report.case(name, globals()[name])
report.case("no secret is told", no_secret)
report.case("ledger", way.verify)
report.case("clean exit", lambda: (way.stop() == 0) or 1 / 0)
report.end()
