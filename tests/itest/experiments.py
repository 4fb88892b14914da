"""A/B tests: who gets which arm (against an independent computation), what wins over what, what
users say of it, copies for shadow arms, and the commands with and without a server."""

import hashlib
import json
import os
import sqlite3
import struct
from concurrent.futures import ThreadPoolExecutor

from harness import Sim, Wayfare, catalog_of, endpoint, price, run_module, wait_for

sim = Sim(["a", "b"])


def model(slug, alias, *providers):
    return {"id": slug, "aliases": [alias], "name": alias, "endpoints": [
        endpoint(p, "%s-%s" % (alias, p), price("1", "5")) for p in providers]}


# A model for each part, so that they do not disturb each other.
NAMES = ["m", "two", "users", "sessions", "arms", "small", "marked", "copied", "lonely", "layers", "more", "ended", "emptied", "sorted", "unreadable"]
server = Wayfare(catalog_of(sim, [model("test/" + n, n, "a", "b") for n in NAMES]), threads=2)


def prefs(**fields):
    path = os.path.join(server.dir, "prefs-%s.json" % hashlib.sha256(repr(fields).encode()).hexdigest()[:8])
    with open(path, "w") as f:
        json.dump(fields, f)
    return path


A, B = prefs(provider_only=["a"]), prefs(provider_only=["b"])
AB = ("--arm", "A=%s:50" % A, "--arm", "B=%s:50" % B)


BODY = {"model": "arms", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
BODY_FILE = os.path.join(server.dir, "body.json")
with open(BODY_FILE, "w") as body_file:
    json.dump(BODY, body_file)


def create(name, *argv):
    return server.cli_json("experiment", "create", name, *argv)


def refused(text, *argv, code=1):
    done = server.cli(*argv, check=False)
    assert done.returncode == code and text in done.stderr, (argv, done.returncode, done.stderr)


def ask(headers=None, **fields):
    status, head, body = server.messages(headers=headers, **fields)
    assert status == 200, (status, body)
    return head


def ask_all(requests):
    """Several at a time: they share commits."""
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda fields: ask(**fields), requests))


def by_user(model, n):
    return [{"model": model, "metadata": {"user_id": "u%d" % i}} for i in range(n)]


def arm_of(head):
    return head.get("x-wayfare-experiment")


def words(salt, unit, name):
    """The digest of router/experiment.h, computed apart from it."""
    h = hashlib.sha256()
    for part in (b"unit", salt.encode(), unit.encode(), name, b""):
        h.update(struct.pack("<Q", len(part)) + part)
    return struct.unpack("<4Q", h.digest())


def rows(sql, *args):
    """From a copy: nobody else may open the file."""
    copy = os.path.join(server.dir, "copy.db")
    if os.path.exists(copy):
        os.unlink(copy)
    server.cli("backup", copy)
    db = sqlite3.connect(copy)
    try:
        return db.execute(sql, args).fetchall()
    finally:
        db.close()


def metric(name):
    _, _, page = admin("GET", "/metrics")
    return int([line for line in page.decode().splitlines() if line.startswith("wayfare_" + name + " ")][0].split()[1])


def admin(method, path, body=None):
    host, port = server.host, server.port
    server.host, server.port = server.admin.rsplit(":", 1)
    try:
        return server.request(method, path, body, {"authorization": "Bearer admin-token-for-tests"}, key=False)
    finally:
        server.host, server.port = host, port


class as_key:
    """Asks with another key."""

    def __init__(self, *argv):
        self.key = server.cli("key", "create", "--team", "t", *argv).strip()

    def __enter__(self):
        self.old, server.key = server.key, self.key

    def __exit__(self, *_):
        server.key = self.old


def test_commands_say_what_is_wrong():
    broken = prefs(provider_sort="cheapest")
    refused("arm A: provider_sort must be one of", "experiment", "create", "x", "--model", "m",
            "--arm", "A=%s:1" % broken, "--arm", "B=none:1")
    refused("--arm must be NAME=FILE:WEIGHT", "experiment", "create", "x", "--model", "m", "--arm", "A", code=2)
    refused("No such file", "experiment", "create", "x", "--model", "m", "--arm", "A=/nowhere:1")
    refused("the catalog has no model nothing", "experiment", "create", "x", "--model", "nothing", *AB)
    refused("arm A: the catalog has no model nothing", "experiment", "create", "x", "--model", "m",
            "--arm", "A=%s:1" % prefs(model="nothing"), "--arm", "B=none:1")
    refused("there is no experiment x", "experiment", "show", "x")
    refused("there is no experiment x", "experiment", "stop", "x")
    tried = create("x", "--model", "m", *AB, "--dry-run")
    assert tried["dry_run"] is True and server.cli_json("experiment", "list") == {"data": []}, tried


def test_arms_as_computed():
    create("users", "--model", "users", *AB, "--unit", "user", "--ramp", "80")
    before = metric("experiment_units_missing_total")
    got = {}
    # That all three are met is as good as certain: 0.8^100 is 2e-10.
    for i, head in enumerate(ask_all(by_user("users", 50) + by_user("test/users", 100)[50:])):
        arm, served = arm_of(head), head["x-wayfare-provider"]
        assert arm is None or arm == "users/" + served.upper(), head
        got["u%d" % i] = arm
    salt, = rows("SELECT salt FROM experiment WHERE name = 'users'")[0]
    hashes = {}
    for name, arm in got.items():
        w = words(salt, "user", name.encode())
        expected = ("users/A" if w[2] % 100 < 50 else "users/B") if w[1] % 10000 < 8000 else None
        assert arm == expected, (name, arm, expected)
        if arm:
            hashes[struct.unpack("<q", struct.pack("<Q", w[0]))[0]] = arm.split("/")[1]
    assert len(set(got.values())) == 3, got
    stored = dict(rows("SELECT unit, arm FROM request WHERE experiment = 'users'"))
    assert stored == hashes, (stored, hashes)
    # A higher ramp moves nobody; one without a user has the key, and is told so.
    assert server.cli_json("experiment", "set", "users", "--ramp", "100")["ramp"] == 100
    for i, head in enumerate(ask_all(by_user("users", 100))):
        assert arm_of(head) and got["u%d" % i] in (arm_of(head), None), (i, got, head)
    head = ask(model="users")
    assert arm_of(head).endswith("; unit=key"), head
    assert metric("experiment_units_missing_total") == before + 1
    record = server.generation(head)
    # It is in the sums, and compared with nobody.
    shown = server.cli_json("experiment", "show", "users")
    assert sum(a["requests"] - a["cost"]["n"] for a in shown["arms"]) == 1, shown
    assert sum(a["requests_without_unit"] for a in shown["arms"]) == 1, shown
    assert sum(a["units"] for a in shown["arms"]) == 100, shown
    assert shown["verdict"]["text"].endswith(" Not compared: 1 request that names no user."), shown["verdict"]
    assert record["experiment"] == "users" and record["arm"] == arm_of(head)[6], record


def test_sticky_after_a_restart():
    def arms():
        return [arm_of(head) for head in ask_all(by_user("users", 32))]
    before = arms()
    server.stop()
    server.start()
    assert arms() == before and len(set(before)) == 2, before


def test_sessions():
    create("sessions", "--model", "sessions", *AB, "--unit", "session")
    code = '{"device_id":"d","account_uuid":"","session_id":"s1"}'
    same = {arm_of(ask(model="sessions", **fields)) for fields in (
        {"session_id": "s1"}, {"headers": {"x-claude-code-session-id": "s1"}}, {"headers": {"x-session-id": "s1"}},
        {"metadata": {"user_id": code}}, {"metadata": {"user_id": "user_1_account_2_session_s1"}})}
    assert len(same) == 1, same
    for i in range(32):
        asked = {"headers": {"x-session-id": "r%d" % i}}
        _, _, body = server.messages(path="/v1/route", model="sessions", **asked)
        assert "sessions/" + json.loads(body)["experiment"]["arm"] == arm_of(ask(model="sessions", **asked)), (i, body)
    many = {arm_of(head) for head in ask_all({"model": "sessions", "session_id": "s%d" % i} for i in range(40))}
    assert many == {"sessions/A", "sessions/B"}, many
    status, head, body = server.request("POST", "/v1/chat/completions", {
        "model": "sessions", "max_tokens": 5, "session_id": "s1", "messages": [{"role": "user", "content": "x"}]})
    assert status == 200 and {arm_of(head)} == same, (status, head, body)


def test_what_wins():
    """The request over the arm, the arm over the key's preset, the key's policy over everything."""
    create("arms", "--model", "arms", "--arm", "A=%s:1" % prefs(provider_only=["a"], model="small"),
           "--shadow-arm", "S=none:1")
    head = ask(model="arms")
    assert (head["x-wayfare-model"], head["x-wayfare-provider"]) == ("test/small", "a"), head
    assert server.generation(head)["requested_model"] == "arms"
    assert ask(model="arms", provider_only=["b"])["x-wayfare-provider"] == "b"
    # A suffix of the arm's model is a way of sorting, and so is the request's provider_sort.
    create("sorted", "--model", "sorted", "--arm", "A=%s:1" % prefs(model="sorted:floor"), "--shadow-arm", "S=none:1")
    for sort, why in ((None, "provider_sort price"), ("latency", "latency")):
        body = dict(BODY, model="sorted", **({"provider_sort": sort} if sort else {}))
        plan = json.loads(server.request("POST", "/v1/route", body)[2])["plan"]
        assert why in plan[0]["why"], (sort, plan)
    with as_key("--preset", B):
        assert ask(model="arms")["x-wayfare-provider"] == "a"
        assert ask(model="small")["x-wayfare-provider"] == "b"
    with as_key("--models", "arms"):
        head = ask(model="arms")
        assert head["x-wayfare-model"] == "test/arms" and arm_of(head) is None, head
    with as_key("--providers-only", "b"):
        status, _, body = server.messages(model="arms")
        assert status == 404 and b"key_policy" in body, body
    # The dry run says the same; without a key there is nobody to take part.
    _, _, told = server.request("POST", "/v1/route", BODY)
    told = json.loads(told)
    assert told["experiment"] == {"name": "arms", "arm": "A", "unit": "key"}, told
    assert {p["model"] for p in told["plan"]} == {"test/small"}, told
    assert server.cli_json("route", BODY_FILE)["experiment"] is None


def test_arms_that_can_serve_nobody():
    """Refused where an experiment begins; where the catalog changes later, an error of the arm."""
    typo, empty = prefs(provider_only=["aa"]), prefs(provider_only=["b"], provider_max_prompt_price=0.5)
    for wrong, text in (("W=%s:1" % typo, "arm W: provider_only names aa, which is no provider of the catalog"),
                        ("W=%s:1" % prefs(provider_order=["b/fast"]), "arm W: provider_order names b/fast"),
                        ("W=%s:1" % empty, "arm W could serve no request: ")):
        for argv in (["--arm", "A=%s:1" % A, "--arm", wrong], ["--arm", "A=%s:1" % A, "--shadow-arm", wrong]):
            refused(text, "experiment", "create", "emptied", "--model", "emptied", *argv)
            refused(text, "experiment", "create", "emptied", "--model", "emptied", "--dry-run", *argv)
    create("emptied", "--model", "emptied", "--unit", "user", "--arm", "A=%s:50" % A,
           "--arm", "B=%s:50" % prefs(provider_only=["b"], provider_max_prompt_price=2))
    models = [model("test/" + n, n, "a", "b") for n in NAMES]
    models[NAMES.index("emptied")]["endpoints"][1]["pricing"]["prompt"] = "3"
    server.import_catalog(catalog_of(sim, models))
    wait_for("the change", lambda: server.messages(
        model="emptied", provider_only=["b"], provider_max_prompt_price=2)[0] == 404)
    got = {}
    for request in by_user("emptied", 40):
        status, head, body = server.messages(**request)
        got.setdefault((arm_of(head), status), []).append(head["x-wayfare-generation-id"])
    assert set(got) == {("emptied/A", 200), ("emptied/B", 404)}, got
    lost = got["emptied/B", 404]

    def figures():
        arms = server.cli_json("experiment", "show", "emptied")["arms"]
        return {a["name"]: (a["requests"], a["errors"], a["units"]) for a in arms}

    # The first request above is counted too: it was nobody's user, and in one of the arms.
    def all_there():
        f = figures()
        return f if f["B"][1] >= len(lost) and f["B"][2] >= len(lost) and f["A"][0] >= len(got["emptied/A", 200]) else None

    wait_for("the requests of both arms", all_there)
    record = server.request("GET", "/v1/generations/" + lost[0])
    record = json.loads(record[2])
    assert (record["status"], record["http_status"], record["attempts"], record["arm"]) == ("error", 404, [], "B"), record
    assert metric("experiment_unserved_dropped_total") == 0
    assert server.cli("ledger", "verify", check=False).returncode == 0
    server.cli("experiment", "stop", "emptied")
    server.import_catalog(catalog_of(sim, [model("test/" + n, n, "a", "b") for n in NAMES]))


def test_feedback():
    create("marked", "--model", "marked", *AB, "--metric", "liked:higher", "--metric", "turns:lower")
    gen = ask(model="marked")["x-wayfare-generation-id"]

    def tell(expected, field=None, key=True, **body):
        headers = None if key is True else {"x-api-key": key}
        status, _, data = server.request("POST", "/v1/feedback", body, headers, key=key is True)
        assert status == expected and (field is None or field.encode() in data), (status, data, body)
        return json.loads(data)

    told = tell(200, generation_id=gen, metric="liked", value=0.1)
    assert told == {"generation_id": gen, "metric": "liked", "value": 0.1}, told
    tell(200, generation_id=gen, metric="liked", value=True)
    tell(200, generation_id=gen, metric="turns", value=-3e2)
    assert rows("SELECT metric, value FROM feedback ORDER BY 1") == [("liked", 1.0), ("turns", -300.0)]
    tell(400, "metric must be one of the experiment's: marked has liked, turns",
         generation_id=gen, metric="loved", value=1)
    tell(400, "value must be a number", generation_id=gen, metric="liked", value="1")
    tell(400, "value must be a number", generation_id=gen, metric="liked", value=int("9" * 400))
    tell(400, "value must be a number from -1e15 to 1e15, true or false", generation_id=gen, metric="turns", value=1e15 + 1)
    tell(200, generation_id=gen, metric="turns", value=-1e15)
    tell(200, generation_id=gen, metric="turns", value=-3e2)
    tell(400, "generation_id must be the id", generation_id="gen_1", metric="liked", value=1)
    tell(400, "metric is required", generation_id=gen, value=1)
    tell(400, "colour is not known", generation_id=gen, metric="liked", value=1, colour=2)
    tell(400, "took part in no experiment", value=1, metric="liked",
         generation_id=ask(model="small")["x-wayfare-generation-id"])
    tell(404, "no such generation", generation_id="gen_" + "0" * 32, metric="liked", value=1)
    server.cli("team", "create", "others")
    stranger = server.cli("key", "create", "--team", "others").strip()
    tell(404, "no such generation", key=stranger, generation_id=gen, metric="liked", value=1)
    assert rows("SELECT count(*) FROM feedback") == [(2,)]


def answered(upstream):
    return [w for w in sim.witness() if w["event"] == "end" and w.get("model") == upstream]


def begun(listener):
    return sum(w["event"] == "begin" and w["listener"] == listener for w in sim.witness())


def test_shadow_arms():
    create("copied", "--model", "copied", "--arm", "A=%s:1" % A, "--shadow-arm", "S=%s:100" % B)
    sim.script("b", "copied-b", text="of the shadow")
    with as_key("--rpm", "3"):
        for stream in (False, True, False):  # three requests a minute, and their copies
            status, head, body = server.messages(
                model="copied", stream=stream, headers={"anthropic-beta": "x-1", "anthropic-version": "2023-01-01"})
            assert status == 200 and arm_of(head) == "copied/A" and b"of the shadow" not in body, (status, head, body)
    wait_for("three copies", lambda: len(answered("copied-b")) == len(answered("copied-a")) == 3)
    for w in answered("copied-b"):
        assert (w["headers"]["anthropic-beta"], w["headers"]["anthropic-version"]) == ("x-1", "2023-01-01"), w

    def settled():
        found = rows("SELECT r.arm, r.status, count(DISTINCT r.id), count(DISTINCT r.unit), min(a.charge_nusd) > 0"
                     " FROM request r JOIN attempt a ON a.request_id = r.id WHERE r.experiment = 'copied'"
                     " GROUP BY 1, 2 ORDER BY 1")
        return found if all(r[1] == "ok" for r in found) else None

    found = wait_for("the copies to be settled", settled)
    assert found == [("A", "ok", 3, 1, 1), ("S", "ok", 3, 1, 1)], found
    # A request that states itself what the arm would try tells nothing about it: no copy.
    dropped = metric("shadows_dropped_total")
    ask(model="copied", provider_only=["a"])
    wait_for("the copy to be dropped", lambda: metric("shadows_dropped_total") == dropped + 1)
    # What becomes of a copy is nobody's business but the report's.
    sim.script("b", "copied-b", status=500)
    head = ask(model="copied")
    wait_for("a failed copy", lambda: rows(
        "SELECT count(*) FROM request WHERE experiment = 'copied' AND arm = 'S' AND status = 'error'") == [(1,)])
    assert head["x-wayfare-attempts"] == "1"
    assert metric("shadows_total") == 5
    sim.reset()


def test_copies_are_bounded():
    create("lonely", "--model", "lonely", "--arm", "A=%s:1" % A, "--shadow-arm", "S=%s:100" % B)
    dropped = metric("shadows_dropped_total")
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * (4 << 20)}}
    ask(model="lonely", messages=[{"role": "user", "content": [image]}])
    assert metric("shadows_dropped_total") == dropped + 1
    sim.script("b", "lonely-b", hang=1)
    before = begun("b")
    ask_all([{"model": "lonely"}] * 66)
    wait_for("64 copies", lambda: begun("b") == before + 64)
    assert metric("shadows_dropped_total") == dropped + 3
    server.cli("experiment", "stop", "lonely")
    server.stop(seconds=60, sig=9)
    sim.reset()
    server.start()


def test_layers():
    create("layers-1", "--model", "layers", *AB, "--share", "60", "--unit", "user")
    refused("the layer test/layers has 40 per cent free in a row, 50 are asked for", "experiment", "create", "layers-2",
            "--model", "layers", *AB, "--share", "50", "--unit", "user")
    refused("layers-1 has the unit user in this layer", "experiment", "create", "layers-2", "--model", "layers", *AB,
            "--share", "40")
    refused("layers-1 runs for this model in the layer test/layers", "experiment", "create", "layers-2", "--model",
            "test/layers", *AB, "--layer", "other", "--unit", "user")
    create("layers-2", "--model", "more", *AB, "--share", "40", "--unit", "user", "--layer", "test/layers")
    refused("there is an experiment layers-1 already", "experiment", "create", "layers-1", "--model", "m", *AB)
    for both in zip(ask_all(by_user("layers", 24)), ask_all(by_user("more", 24))):
        assert [arm_of(head) for head in both].count(None) == 1, both
    # What has been stopped gives its part of the layer back, and keeps its name.
    server.cli("experiment", "stop", "layers-1")
    create("layers-3", "--model", "layers", *AB, "--share", "60", "--unit", "user")
    refused("there is an experiment layers-1 already", "experiment", "create", "layers-1", "--model", "m", *AB)


def test_stop_and_reports():
    create("ended", "--model", "ended", *AB, "--guardrail", "error_rate:0.05")
    gen = server.generation(ask(model="ended"))
    assert gen["experiment"] == "ended", gen
    usage = server.cli_json("usage", "--by", "experiment")
    assert [r["requests"] for r in usage["rows"] if r["experiment"] == "ended"] == [1], usage
    status, _, body = admin("POST", "/admin/v1/experiments/ended/stop", {"reason": "enough"})
    assert status == 200 and json.loads(body)["stop_reason"] == "enough", body
    assert arm_of(ask(model="ended")) is None
    refused("ended has been stopped", "experiment", "stop", "ended")
    refused("ended has been stopped", "experiment", "set", "ended", "--ramp", "5")
    status, _, body = admin("GET", "/admin/v1/experiments/ended")
    assert status == 200 and json.loads(body)["status"] == "stopped", body
    table = server.cli("experiment", "show", "ended")
    assert "enough" in table and '"provider_only":["a"]' in table.replace(" ", ""), table


def rewrite_arms(old, new):
    """As another version would have stored them; the server is stopped."""
    db = sqlite3.connect(server.db)
    trigger, = db.execute("SELECT sql FROM sqlite_master WHERE name = 'arm_keeps'").fetchone()
    db.execute("DROP TRIGGER arm_keeps")
    changed = db.execute("UPDATE arm SET prefs = replace(prefs, ?1, ?2) WHERE name = 'B' AND experiment_id ="
                         " (SELECT id FROM experiment WHERE name = 'odd')", (old, new)).rowcount
    db.execute(trigger)
    db.commit()
    db.close()
    assert changed == 1, changed


def test_an_arm_of_another_version():
    """An arm that this program cannot read takes nobody, keeps its part of the layer and no server from
    starting; it is said once where it is loaded, and by the commands."""
    def warnings():
        with open(os.path.join(server.dir, "server.log")) as f:
            return [line for line in f if "cannot read" in line]

    create("odd", "--model", "unreadable", "--unit", "user", *AB, "--share", "60")
    users = by_user("unreadable", 100)  # 0.8^100: an arm of a fifth of them that is not met
    before = [arm_of(head) for head in ask_all(users)]
    assert set(before) == {"odd/A", "odd/B", None}, before
    server.stop()
    rewrite_arms("provider_only", "provider_of_tomorrow")
    server.start()
    line, = wait_for("the warning", warnings)
    assert "level=warn" in line and "experiment=odd" in line and "arm B" in line and "provider_of_tomorrow" in line, line
    assert {arm_of(head) for head in ask_all(users)} == {None}
    shown = server.cli_json("experiment", "show", "odd")
    assert shown["status"] == "unreadable" and "arm B" in shown["stop_reason"] and shown["stopped_at"] is None, shown
    assert "unreadable: arm B" in server.cli("experiment", "show", "odd"), shown
    row, = [e for e in server.cli_json("experiment", "list")["data"] if e["name"] == "odd"]
    assert row["status"] == "unreadable" and row["stop_reason"] == shown["stop_reason"], row
    refused("has 40 per cent free", "experiment", "create", "beside", "--model", "unreadable", "--unit", "user", *AB, "--share", "50")
    create("beside", "--model", "unreadable", "--unit", "user", *AB, "--share", "40")  # a reload: it is not said again
    assert {arm_of(head) for head in ask_all(users)} == {"beside/A", "beside/B", None} and len(warnings()) == 1
    server.stop()
    assert server.cli_json("experiment", "show", "odd")["status"] == "unreadable"
    rewrite_arms("provider_of_tomorrow", "provider_only")
    server.start()
    after = [arm_of(head) for head in ask_all(users)]
    assert [a for a in after if a and a.startswith("odd")] == [b for b in before if b], (before, after)
    server.stop()
    rewrite_arms("provider_only", "provider_of_tomorrow")
    server.start()
    assert server.cli_json("experiment", "stop", "odd", "--reason", "no use")["status"] == "stopped"
    assert server.cli_json("experiment", "show", "odd")["stop_reason"] == "no use"
    wait_for("the second warning", lambda: len(warnings()) == 2)


def test_without_a_server():
    server.stop()
    create("offline", "--model", "m", *AB, "--metric", "liked:higher", "--ramp", "12.5")
    shown = server.cli_json("experiment", "show", "offline")
    assert (shown["ramp"], shown["share"], shown["layer"]) == (12.5, 100, "test/m"), shown
    assert shown["metrics"] == [{"name": "liked", "better": "higher"}], shown
    key = server.cli_json("key", "list")["data"][0]["id"]
    assert server.cli_json("route", BODY_FILE, "--key", key)["experiment"]["name"] == "arms"
    assert server.cli_json("experiment", "stop", "offline", "--reason", "tried")["stop_reason"] == "tried"
    assert "offline" in [e["name"] for e in server.cli_json("experiment", "list")["data"]]
    server.verify()


run_module(globals())
