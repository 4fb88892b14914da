#!/usr/bin/env python3
"""Who may do what: every route of both listeners with every kind of credential, in every header that may
carry it, against the table below.  The routes are read from the program's own tables: one that is not
in the table here fails."""

import json
import re
import time

from harness import SLOW, SOURCE, Report, Sim, Wayfare, catalog_of, wait_for

ADMIN = "admin-token-for-tests"
sim = Sim(["alpha"])
way = Wayfare(catalog_of(sim), threads=1, args=["--max-auth-failures", "0"])
report = Report()


def key(*options):
    return way.cli("key", "create", "--name", "x", *options).strip()


way.cli("team", "create", "rivals")
soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 4 * SLOW))
KEYS = {"good": way.key, "rival": key("--team", "rivals"), "expired": key("--team", "t", "--expires", soon), "revoked": key("--team", "t"),
        "rotated": key("--team", "t"), "configs": key("--team", "t", "--allow-provider-configs"),
        "graced": key("--team", "t")}
ids = [row["id"] for row in way.cli_json("key", "list")["data"]]
way.cli("key", "revoke", ids[3])
KEYS["successor"] = way.cli("key", "rotate", ids[4]).strip()
way.cli("key", "rotate", ids[6], "--grace", "1s")
KEYS.update({"unknown": "wf_" + "A" * 43, "short": "wf_A", "admin": ADMIN, "long": "wf_" + "A" * 4000, "case": way.key.swapcase(),
             "tail": way.key + "A", "blank": " "})


# ---- credentials: what is sent, and whose request it is then (None: nobody's) ----

def x(name):
    return {"x-api-key": KEYS[name]}


def bearer(name, scheme="Bearer "):
    return {"authorization": scheme + KEYS[name]}


CREDENTIALS = {"none": ({}, None)}
for name, who in (("good", "t"), ("rival", "rivals"), ("configs", "t"), ("successor", "t"), ("expired", None), ("revoked", None), ("rotated", None),
                  ("unknown", None), ("short", None), ("long", None), ("case", None), ("tail", None), ("blank", None), ("admin", None)):
    CREDENTIALS["x-api-key, " + name] = (x(name), who)
    CREDENTIALS["Bearer, " + name] = (bearer(name), who)
    CREDENTIALS["both, " + name] = ({**x(name), **bearer(name)}, who)
CREDENTIALS.update({
    "bearer in lower case": (bearer("good", "bearer "), "t"), "BEARER": (bearer("good", "BEARER "), "t"),
    "Basic": (bearer("good", "Basic "), None), "no scheme": (bearer("good", ""), None), "Token": (bearer("good", "Token "), None),
    "good and rival": ({**x("good"), **bearer("rival")}, None), "rival and good": ({**x("rival"), **bearer("good")}, None),
    "good and unknown": ({**x("good"), **bearer("unknown")}, None), "unknown and good": ({**x("unknown"), **bearer("good")}, None),
    "good and Basic": ({**x("good"), "authorization": "Basic eDp5"}, None), "admin and good": ({**x("admin"), **bearer("good")}, None),
    "good and admin": ({**x("good"), **bearer("admin")}, None), "cookie": ({"cookie": "key=" + way.key}, None),
    "proxy-authorization": ({"proxy-authorization": "Bearer " + way.key}, None), "api-key": ({"api-key": way.key}, None),
})
# On the admin side: true where the operator is known.
OPERATOR = {"x-api-key, admin", "Bearer, admin", "both, admin"}

# ---- routes ----

BODY = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
BY_KEY, OPEN, OWN = "a key", "anybody", "its own team"
# path in the table (with what follows the parameter): who, and a request that is served
DATA = {
    ("POST", "/v1/messages"): (BY_KEY, "/v1/messages", BODY),
    ("POST", "/v1/messages/count_tokens"): (BY_KEY, "/v1/messages/count_tokens", BODY),
    ("POST", "/v1/chat/completions"): (BY_KEY, "/v1/chat/completions", BODY),
    ("POST", "/v1/route"): (BY_KEY, "/v1/route", BODY),
    ("GET", "/v1/models"): (BY_KEY, "/v1/models", None),
    ("GET", "/v1/models/*"): (BY_KEY, "/v1/models/test/m", None),
    ("GET", "/v1/models/*/endpoints"): (BY_KEY, "/v1/models/test/m/endpoints", None),
    ("GET", "/v1/generations"): (BY_KEY, "/v1/generations", None),
    ("GET", "/v1/generations/*"): (OWN, "/v1/generations/%s", None),
    ("POST", "/v1/feedback"): (OWN, "/v1/feedback", {"metric": "liked", "value": 1}),  # of the generation below
    ("GET", "/v1/key"): (BY_KEY, "/v1/key", None),
    ("GET", "/health/live"): (OPEN, "/health/live", None),
    ("GET", "/health/ready"): (OPEN, "/health/ready", None),
    ("GET", "/"): (OPEN, "/", None),
}
ADMIN_OPEN = {("GET", "/")}  # the dashboard's page, which holds nothing
ADMIN_ROUTES = {
    ("POST", "/admin/v1/op"), ("GET", "/admin/v1/teams"), ("POST", "/admin/v1/teams"), ("PATCH", "/admin/v1/teams/*"), ("GET", "/admin/v1/keys"),
    ("POST", "/admin/v1/keys"), ("PATCH", "/admin/v1/keys/*"), ("DELETE", "/admin/v1/keys/*"), ("POST", "/admin/v1/keys/*/rotate"),
    ("GET", "/admin/v1/usage"), ("GET", "/admin/v1/generations"), ("GET", "/admin/v1/generations/*"), ("GET", "/admin/v1/catalog"),
    ("GET", "/admin/v1/experiments"), ("POST", "/admin/v1/experiments"), ("GET", "/admin/v1/experiments/*"),
    ("PATCH", "/admin/v1/experiments/*"), ("POST", "/admin/v1/experiments/*/stop"), ("POST", "/admin/v1/catalog"), ("GET", "/admin/v1/endpoints"), ("DELETE", "/admin/v1/endpoints"), ("POST", "/admin/v1/route"), ("POST", "/admin/v1/replay"), ("GET", "/admin/v1/ledger/verify"),
    ("POST", "/admin/v1/ledger/prune"), ("POST", "/admin/v1/ledger/reconcile"), ("POST", "/admin/v1/backup"), ("GET", "/metrics"), ("GET", "/")}


def data_routes():
    text = (SOURCE / "server/routes.c").read_text()
    for row in re.findall(r"\{(\.method = .*?)\}", text, re.S):
        get = dict(re.findall(r'\.(\w+) = (?:"([^"]*)"|)', row))
        yield get["method"], get["path"] + ("*" + get.get("suffix", "") if "parameter" in get else "")


def admin_routes():
    return re.findall(r'^    \{"([A-Z]+)", "([^"]+)"', (SOURCE / "server/admin_route.c").read_text(), re.M)


def tables_are_complete():
    found = set(data_routes())
    assert found == set(DATA), "data: %r" % (found ^ set(DATA))
    found = set(admin_routes())
    assert found == ADMIN_ROUTES, "admin: %r" % (found ^ ADMIN_ROUTES)


def call(address, method, path, body, headers):
    host, port = address.rsplit(":", 1)
    import http.client
    conn = http.client.HTTPConnection(host, int(port), timeout=30)
    payload = json.dumps(body) if body is not None else None
    conn.request(method, path, payload, dict({"content-type": "application/json"}, **headers))
    answer = conn.getresponse()
    data = answer.read()
    conn.close()
    return answer.status, data


way.cli("experiment", "create", "x", "--model", "m", "--arm", "A=none:1", "--arm", "B=none:1", "--metric", "liked:higher")
_, headers, _ = way.messages()
way.generation(headers)
OURS = headers["x-wayfare-generation-id"]
DATA[("POST", "/v1/feedback")][2]["generation_id"] = OURS


def expected(who_may, who):
    if who_may == OPEN:
        return 200
    if who is None:
        return 401
    return 404 if who_may == OWN and who != "t" else 200


def data_route(route):
    who_may, path, body = DATA[route]
    path = path % OURS if "%s" in path else path
    for name, (sent, who) in CREDENTIALS.items():
        status, data = call(way.address, route[0], path, body, sent)
        assert status == expected(who_may, who), (name, status, data[:200])
        if status == 401:
            error = json.loads(data)["error"]
            openai = path.startswith(("/v1/chat/", "/v1/models"))  # no anthropic-version is sent
            assert error["type"] == ("invalid_request_error" if openai else "authentication_error"), (name, data)
            assert not openai or error["code"] == "invalid_api_key", (name, data)
            for k in KEYS.values():
                assert len(k) < 12 or k.encode() not in data, (name, data)
    assert call(way.address, route[0], path + "?x-api-key=%s&key=%s" % (way.key, way.key), body, {})[0] == expected(who_may, None)


def one_answer_for_all():
    """What nobody has been given is unknown; only who has the secret of a key that has ended learns that it has."""
    answers = {}
    for name in ("unknown", "revoked", "expired", "rotated", "graced", "case", "tail", "short"):
        for sent in (x(name), bearer(name)):
            status, data = call(way.address, "GET", "/v1/key", None, sent)
            error = json.loads(data)["error"]
            assert (status, error["type"]) == (401, "authentication_error"), (name, data)
            answers.setdefault(error["message"], set()).add(name)
    assert answers == {"unknown API key": {"unknown", "rotated", "case", "tail", "short"}, "this API key is revoked": {"revoked"},
                       "this API key is expired": {"expired"}, "this API key is replaced": {"graced"}}, answers
    told = [line for line in way.server_log().splitlines() if "a key that has ended is used" in line]
    assert "key=%s why=replaced n=1" % ids[6] in told[0], told
    assert len(told) < time.monotonic() - begun + 2 and not any(k in line for line in told for k in KEYS.values() if len(k) > 12), told


def own_only():
    """Lists show the caller's own team, and nothing of a limit or a key of another."""
    for sent in (x("rival"), bearer("rival")):
        status, data = call(way.address, "GET", "/v1/generations?limit=1000", None, sent)
        assert status == 200 and OURS.encode() not in data, data
        status, data = call(way.address, "GET", "/v1/key", None, sent)
        assert json.loads(data)["team"] == "rivals", data
    assert OURS.encode() in call(way.address, "GET", "/v1/generations?limit=1000", None, x("successor"))[1]


def configs_need_permission():
    body = dict(BODY, provider_configs={"alpha": {"api_key": "k"}})
    for path in ("/v1/messages", "/v1/messages/count_tokens", "/v1/route", "/v1/chat/completions"):
        for form in (x, bearer):
            assert call(way.address, "POST", path, body, form("good"))[0] == 403, path
            assert call(way.address, "POST", path, body, form("configs"))[0] == 200, path


def admin_route(route):
    """Served is what is neither 401 nor 403; the bodies are of no use, so that nothing changes."""
    method, path = route
    path = path.replace("*", "nobody")
    body = {} if method in ("POST", "PATCH") else None
    for name, (sent, _) in CREDENTIALS.items():
        status, data = call(way.admin, method, path, body, sent)
        known = name in OPERATOR or route in ADMIN_OPEN
        assert (status not in (401, 403)) == known, (name, status, data[:200])
        assert known or status == 401, (name, status)
    good = bearer("admin")
    for evil, wanted in (({"Host": "evil.example"}, 403), ({"Origin": "https://evil.example"}, 403), ({"Host": "127.0.0.1.evil.example"}, 403)):
        status, data = call(way.admin, method, path, body, {**good, **evil})
        assert status == wanted, (evil, status, data[:200])


def no_route_is_the_others():
    """The data listener has no admin route, the admin listener no data route, whoever asks."""
    for method, path in ADMIN_ROUTES - ADMIN_OPEN:
        for sent in ({}, x("good"), bearer("admin"), x("admin")):
            status, _ = call(way.address, method, path.replace("*", "nobody"), {} if method in ("POST", "PATCH") else None, sent)
            assert status in (404, 405), (method, path, status)
    for (method, _), (_, path, body) in DATA.items():
        if path == "/":
            continue
        for sent in ({}, x("good"), bearer("admin")):
            status, data = call(way.admin, method, path % OURS if "%s" in path else path, body, sent)
            assert status in (401, 404), (method, path, status, data[:200])


def probing_the_path():
    """No spelling of a path is served without a key that is not served with its own name."""
    for path in ("/v1/key/", "//v1/key", "/v1//key", "/V1/KEY", "/v1/key%00", "/v1/key;x", "/v1/./key", "/x/../v1/key", "/v1/key%2f", "/health/live/../../v1/key",
                 "/%76%31/key", "/v1/models/../key", "/health/live%2f..%2f..%2fv1%2fkey", "http://x/v1/key", "/v1/generations/../key"):
        status, data = call(way.address, "GET", path, None, {})
        assert status in (400, 401, 404), (path, status, data[:100])



begun = time.monotonic()
wait_for("the grace to be over", lambda: call(way.address, "GET", "/v1/key", None, x("graced"))[0] == 401, 6)
wait_for("the key to expire", lambda: call(way.address, "GET", "/v1/key", None, x("expired"))[0] == 401, 6)
report.case("the tables are complete", tables_are_complete)
for route in DATA:
    report.case("data: %s %s" % route, data_route, route)
report.case("one answer for every key that is none", one_answer_for_all)
report.case("a team sees its own", own_only)
report.case("provider_configs", configs_need_permission)
for route in sorted(ADMIN_ROUTES):
    report.case("admin: %s %s" % route, admin_route, route)
report.case("no route is on both listeners", no_route_is_the_others)
report.case("other spellings of paths", probing_the_path)
report.case("the ledger", way.verify)
report.end()
