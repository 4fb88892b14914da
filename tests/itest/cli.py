#!/usr/bin/env python3
"""Drives the command line: directly on the file, and through a running server.

WAYFARE_BIN names the program (default ./wayfare).  Python 3 standard library only."""

import csv
import http.client
import io
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

BIN = os.path.abspath(os.environ.get("WAYFARE_BIN", "./wayfare"))
SLOW = float(os.environ.get("WAYFARE_TEST_SLOW", "1"))
KEY = re.compile(r"wf_[A-Za-z0-9_-]{43}\n")

CATALOG = {
    "providers": [
        {"slug": "alpha", "name": "Alpha", "protocol": "anthropic", "base_url": "http://127.0.0.1:9",
         "credential": {"none": True}, "data_collection": "deny"},
        {"slug": "beta", "name": "Beta", "protocol": "anthropic", "base_url": "http://127.0.0.1:9",
         "credential": {"env": "WAYFARE_CLI_TEST_NO_SUCH_KEY"}},
    ],
    "models": [
        {"id": "test/small", "aliases": ["small"], "name": "Small", "endpoints": [
            {"provider": "alpha", "upstream_model": "small-1", "context_length": 100000,
             "max_completion_tokens": 8000, "input_modalities": ["text"],
             "supported_parameters": ["max_tokens", "temperature"],
             "pricing": {"prompt": "1", "completion": "5"}},
            {"provider": "beta", "upstream_model": "small-b", "context_length": 100000,
             "max_completion_tokens": 8000, "input_modalities": ["text"],
             "supported_parameters": ["max_tokens"],
             "pricing": {"prompt": "0.5", "completion": "2.5"}},
        ]},
    ],
}
BODY = {"model": "small", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello there"}]}

passed = failed = skipped = 0


def report(word, name, note=""):
    print("%s %s%s" % (word, name, " # " + note if note else ""), flush=True)


def check(name, condition, note=""):
    global passed, failed
    if condition:
        passed += 1
        report("ok", name)
    else:
        failed += 1
        report("not ok", name, str(note)[:300])
    return bool(condition)


class Shell:
    """One database in a directory of its own, and the commands that speak of it."""

    def __init__(self, directory):
        self.directory = directory
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("WAYFARE_")}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        self.env["http_proxy"] = "http://127.0.0.1:1"  # must not come between us and the socket

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, value):
        with open(self.path(name), "w") as f:
            f.write(value if isinstance(value, str) else json.dumps(value))
        return name

    def run(self, *words, stdin=None):
        done = subprocess.run([BIN, *words], cwd=self.directory, env=self.env, input=stdin,
                              capture_output=True, text=True, timeout=60 * SLOW)
        return done.returncode, done.stdout, done.stderr

    def ok(self, *words, stdin=None):
        code, out, err = self.run(*words, stdin=stdin)
        if code != 0:
            raise AssertionError("%s: exit %d: %s" % (" ".join(words), code, err))
        return out

    def json(self, *words, stdin=None):
        return json.loads(self.ok(*words, "--json", stdin=stdin))


def one_line_error(code, out, err, expected_code):
    return code == expected_code and out == "" and err.startswith("wayfare: ") and err.count("\n") == 1


def usage_errors(sh):
    for words in ((), ("frob",), ("key",), ("team", "create"), ("team", "list", "--frob"),
                  ("experiment", "frob"), ("replay", "x"), ("usage", "--by", "weather"),
                  ("team", "create", "x", "--budget", "5")):
        check("usage error: wayfare " + " ".join(words), one_line_error(*sh.run(*words), 2), sh.run(*words))
    for option in ("--retain-days", "--drain-timeout"):
        code, out, err = sh.run("serve", option, str(10 ** 8))
        check("usage error: serve %s names it" % option, one_line_error(code, out, err, 2) and option + " must be" in err, err)
    for option in ("--listen", "--admin-listen"):
        for address in ("foo", "127.0.0.1:99999", "127.0.0.1:", ""):
            code, out, err = sh.run("serve", option, address)
            check("usage error: serve %s %r" % (option, address), one_line_error(code, out, err, 2) and option + " must be" in err, err)
    code, out, err = sh.run("serve", "--alert-webhook", "foo")
    check("usage error: serve --alert-webhook foo", one_line_error(code, out, err, 2) and "--alert-webhook must be an http" in err, err)
    sh.env["WAYFARE_ALERT_WEBHOOK"] = "foo"
    code, out, err = sh.run("serve")
    check("usage error: WAYFARE_ALERT_WEBHOOK", one_line_error(code, out, err, 2) and "WAYFARE_ALERT_WEBHOOK must be an http" in err, err)
    del sh.env["WAYFARE_ALERT_WEBHOOK"]
    sh.write("nul", "{}\0{")
    for words in (("key", "create", "--team", "x", "--preset", "nul"), ("catalog", "import", "nul")):
        code, out, err = sh.run(*words)
        check("a file with NUL: " + words[0], one_line_error(code, out, err, 1) and "nul holds NUL bytes" in err, err)
    for words in (("--help",), ("key", "--help"), ("key", "create", "--help"), ("serve", "--help")):
        code, out, err = sh.run(*words)
        check("help: wayfare " + " ".join(words), code == 0 and out.startswith("Usage: ") and err == "", err)
    options = sh.ok("key", "set", "--help").split("\n  --")
    for option in ("models", "providers-only", "providers-ignore", "expires", "preset", "rpm", "budget"):
        text = " ".join(next(o for o in options if o.startswith(option + " ")).split())
        check("help says how --%s is taken away" % option, "`none` takes it away" in text, text)


def no_database(sh):
    """A command on a database that is not there says so, and makes none."""
    key = "key_0123456789abcdef"
    sh.write("some.json", CATALOG)
    sh.write("empty.db", "")
    before = sorted(os.listdir(sh.directory))
    for words in (("usage",), ("team", "list"), ("team", "set", "x", "--timezone", "UTC"), ("key", "create", "--team", "x"), ("key", "set", key, "--rpm", "1"),
                  ("key", "revoke", key), ("key", "rotate", key), ("experiment", "stop", "x"), ("experiment", "set", "x", "--ramp", "5"),
                  ("experiment", "create", "x", "--model", "m", "--arm", "a=none:1", "--arm", "b=none:1"), ("backup", "copy.db"),
                  ("catalog", "remove", "--model", "m"), ("catalog", "import", "some.json", "--dry-run"), ("ledger", "verify")):
        code, out, err = sh.run(*words, "--db", "typo.db")
        check("no database is made: " + " ".join(words), one_line_error(code, out, err, 1) and "database typo.db: No such file or directory" in err and
              sorted(os.listdir(sh.directory)) == before, (err, os.listdir(sh.directory)))
    for words in (("usage",), ("key", "revoke", key)):
        code, out, err = sh.run(*words, "--db", "empty.db")
        check("an empty file is no database: " + words[0], one_line_error(code, out, err, 1) and "empty.db is empty: not a database of wayfare" in err and
              sorted(os.listdir(sh.directory)) == before, err)
    check("an import makes a database", sh.run("catalog", "import", "some.json", "--db", "made.db")[0] == 0 and os.path.exists(sh.path("made.db")))


def wrong_values(sh, mode):
    """What only the operation can judge is told as what the reader of the command line refuses."""
    sh.ok("team", "create", "wrong")
    key = sh.json("key", "create", "--team", "wrong")["id"]
    sh.write("prefs", {})
    sh.write("empty", "")
    arms = ("--model", "small", "--arm", "a=prefs:1", "--arm", "b=none:1")
    for words in (("usage", "--since", "yesterday"), ("key", "create", "--team", "wrong", "--expires", "tomorrow"),
                  ("key", "rotate", key, "--grace", "24"), ("generation", "list", "--limit", "0"), ("ledger", "prune", "--older-than", "x"),
                  ("team", "create", "x", "--timezone", "Mars/Olympus"), ("replay", "--discount", "a=200"),
                  ("experiment", "create", "x", *arms, "--metric", "q:up"), ("experiment", "create", "x", *arms, "--guardrail", "q"),
                  ("experiment", "create", "x", *arms, "--ramp", "0"), ("experiment", "create", "x", "--model", "small", "--arm", "a=prefs:0")):
        check(mode + "usage error: " + " ".join(words), one_line_error(*sh.run(*words), 2), sh.run(*words))
    for words in (("experiment", "create", "x", "--model", "small", "--arm", "a=empty:1", "--arm", "b=none:1"),
                  ("key", "create", "--team", "wrong", "--preset", "empty"), ("generation", "list", "--team", "nobody")):
        check(mode + "no usage error: " + " ".join(words), one_line_error(*sh.run(*words), 1), sh.run(*words))


def teams_and_keys(sh, mode):
    out = sh.ok("team", "create", "search", "--budget", "100", "--window", "month", "--timezone", "Europe/Berlin")
    check(mode + "team create shows the team", "search" in out and "100/month" in out, out)
    check(mode + "database is private", os.stat(sh.path("wayfare.db")).st_mode & 0o777 == 0o600)
    check(mode + "team exists already", one_line_error(*sh.run("team", "create", "search"), 1))
    team = sh.json("team", "set", "search", "--budget", "2.5", "--window", "day", "--budget", "none", "--window", "month")
    check(mode + "team set", team["budgets"] == [{"window": "day", "cap_usd": "2.5"}], team)
    check(mode + "unknown team", one_line_error(*sh.run("key", "create", "--team", "nobody"), 1))

    key = sh.ok("key", "create", "--team", "search", "--name", "ci", "--models", "test/small", "--rpm", "60",
                "--budget", "0.25", "--window", "day", "--expires", "2099-12-31")
    check(mode + "key stands alone on stdout", KEY.fullmatch(key), key)
    listing = sh.ok("key", "list", "--json")
    row = json.loads(listing)["data"][0]
    check(mode + "the key is not shown again", key.strip() not in listing)
    check(mode + "key list", row["name"] == "ci" and row["status"] == "active" and row["rate"]["rpm"] == 60
          and row["models"] == ["test/small"] and row["budgets"] == [{"window": "day", "cap_usd": "0.25"}]
          and row["expires_at"] == "2099-12-31T00:00:00.000Z", row)
    with open(sh.path("wayfare.db"), "rb") as f:
        check(mode + "the key is not in the file", key.strip()[3:].encode() not in f.read())

    rotated = sh.ok("key", "rotate", row["id"], "--grace", "24h")
    check(mode + "key rotate prints another key", KEY.fullmatch(rotated) and rotated != key)
    changed = sh.json("key", "set", row["id"], "--models", "none", "--zdr", "--name", "new name")
    check(mode + "key set", changed["models"] is None and changed["zdr"] and changed["name"] == "new name", changed)
    rows = list(csv.reader(io.StringIO(sh.ok("key", "list", "--format", "csv"))))
    check(mode + "csv", rows[0][:3] == ["id", "team", "name"] and rows[1][:3] == [row["id"], "search", "new name"], rows)
    gone = sh.json("key", "revoke", row["id"])
    check(mode + "key revoke", gone["status"] == "revoked" and gone["revoked_at"])
    check(mode + "a revoked key is not rotated", one_line_error(*sh.run("key", "rotate", row["id"]), 1))


def catalog_and_route(sh, mode):
    sh.write("catalog.json", CATALOG)
    key_id = sh.json("key", "create", "--team", "search", "--models", "other/model")["id"]  # nothing is known yet
    tried = sh.json("catalog", "import", "catalog.json", "--dry-run")
    check(mode + "dry run of an import", tried["endpoints_added"] == 2 and tried["dry_run"], tried)
    check(mode + "a dry run changes nothing", sh.json("catalog", "list")["data"] == [])
    first = sh.json("catalog", "import", "catalog.json")
    check(mode + "import", first["endpoints_added"] == 2 and first["prices_added"] == 2
          and first["providers_added"] == 2 and first["models_added"] == 1, first)
    again = sh.json("catalog", "import", "-", stdin=json.dumps(CATALOG))
    check(mode + "importing twice changes nothing", again["endpoints_unchanged"] == 2 and again["endpoints_added"] == 0
          and again["endpoints_changed"] == 0 and again["changes"] == [], again)
    lines = sh.ok("catalog", "import", "catalog.json").splitlines()
    check(mode + "import ends with a summary", lines[-1].startswith("imported: 0 endpoints added"), lines)
    sh.write("broken.json", {"providers": [{"slug": "x", "protocol": "anthropic"}], "models": [7]})
    check(mode + "an invalid file is refused", one_line_error(*sh.run("catalog", "import", "broken.json"), 1))
    rows = sh.json("catalog", "list", "--provider", "alpha")["data"]
    check(mode + "catalog list", [(r["model"], r["provider"], r["pricing"]["prompt"]) for r in rows]
          == [("test/small", "alpha", "1")], rows)
    check(mode + "catalog list by alias", len(sh.json("catalog", "list", "--model", "small")["data"]) == 2)
    sh.write("export.json", sh.ok("catalog", "export"))
    back = sh.json("catalog", "import", "export.json")
    check(mode + "an export imports as it is", back["endpoints_unchanged"] == 2 and back["changes"] == [], back)

    sh.write("body.json", BODY)
    route = sh.json("route", "body.json")
    check(mode + "route: plan", [p["provider"] for p in route["plan"]] == ["alpha"]
          and route["plan"][0]["rank"] == 1, route)
    check(mode + "route: excluded", [(x["provider"], x["reason"]) for x in route["excluded"]]
          == [("beta", "no_credential")], route)
    out = sh.ok("route", "body.json", "--explain")
    check(mode + "route --explain", "no_credential" in out and "RANK" in out, out)
    sh.write("bad.json", dict(BODY, provider_sort="cheap"))
    code, out, err = sh.run("route", "bad.json")
    check(mode + "route names a bad field", one_line_error(code, out, err, 1) and "provider_sort" in err, err)
    check(mode + "route as a key that may not", one_line_error(*sh.run("route", "body.json", "--key", key_id), 1))
    gone = sh.json("key", "create", "--team", "search")["id"]
    sh.ok("route", "body.json", "--key", gone)
    sh.ok("key", "revoke", gone)
    code, out, err = sh.run("route", "body.json", "--key", gone)
    check(mode + "route as a revoked key", one_line_error(code, out, err, 1) and "revoked: its requests get 401" in err, err)
    for option in ("--provider", "--model"):
        check(mode + "catalog list %s of none" % option, one_line_error(*sh.run("catalog", "list", option, "nope"), 1))
    check(mode + "catalog import --format json", sh.run("catalog", "import", "catalog.json", "--format", "json", "--dry-run")[1].startswith("{"))
    check(mode + "team --json list", sh.ok("team", "--json", "list") == sh.ok("team", "list", "--json"))
    replayed = sh.json("replay", "--catalog", "builtin")
    check(mode + "replay --catalog builtin", "prices: those of the built-in catalog" in replayed["notes"], replayed)


def names_of_keys(sh, mode):
    """What a key may use is in the catalog, or it is misspelt; what was refused left nothing behind."""
    key = sh.json("key", "create", "--team", "search")["id"]
    before = sh.ok("key", "list", "--json")
    sh.write("typo.json", {"provider_order": ["alhpa"]})
    for option, value, told in (("--providers-ignore", "alpha,alhpa", "providers_ignore names alhpa, which is no provider"),
                                ("--providers-only", "alpha/fast", "providers_only names alpha/fast, which is no provider"),
                                ("--models", "small,smal", "models names smal, which is no model"),
                                ("--models", "small:flor", "models names small:flor, which is no model"),
                                ("--preset", "typo.json", "preset: provider_order names alhpa, which is no provider")):
        for command in (("key", "create", "--team", "search"), ("key", "set", key)):
            code, out, err = sh.run(*command, option, value)
            check(mode + " ".join(command[:2]) + ": %s %s is refused" % (option, value),
                  one_line_error(code, out, err, 1 if option == "--preset" else 2) and told + " of the catalog" in err, err)
    check(mode + "a misspelt key is not made", sh.ok("key", "list", "--json") == before)
    sh.write("good.json", {"provider_ignore": ["Beta"]})
    sh.ok("key", "set", key, "--providers-only", "alpha,BETA", "--preset", "good.json")
    sh.ok("key", "set", key, "--models", "small:floor")
    route = sh.json("route", "body.json", "--key", key)
    check(mode + "a model with a suffix is that model", [p["provider"] for p in route["plan"]] == ["alpha"], route)
    sh.ok("key", "set", key, "--models", "none", "--providers-only", "none", "--preset", "none")


def secrets_for_ids(sh, mode):
    """Who has nothing but a leaked key can end it, and no message repeats the secret."""
    def told(words, code, *parts):
        got = sh.run(*words)
        spoken = got[1] + got[2] if words[1] != "rotate" or got[0] else got[2]
        check(mode + "a secret for an id: " + " ".join(words[:2]), got[0] == code and not any(k in spoken for k in secrets) and
              all(p in spoken for p in parts), got)
        return got[1].strip()

    first = sh.ok("key", "create", "--team", "search").strip()
    key_id = sh.json("key", "list", "--team", "search")["data"][-1]["id"]
    secrets = [first[3:40], "A" * 30]
    told(("key", "set", first, "--name", "leaked"), 0, key_id, "leaked")
    told(("route", "body.json", "--key", first), 0)
    told(("generation", "list", "--key", first), 0)
    second = told(("key", "rotate", first, "--grace", "1h"), 0)
    secrets.append(second[3:40])
    told(("key", "set", first, "--rpm", "5"), 0, key_id)  # also in its grace
    told(("key", "revoke", second), 0, key_id, "revoked")
    told(("key", "rotate", second), 1, "is revoked or expired")
    told(("route", "body.json", "--key", second), 1, key_id + " is revoked")
    for wrong in (first, "wf_" + "A" * 43, "wf_" + "A" * 30, "'wf_" + "A" * 43):
        told(("key", "revoke", wrong), 1, "there is no key with this secret")
        told(("route", "body.json", "--key", wrong), 1, "there is no key with this secret")
        told(("generation", "list", "--key", wrong), 1, "there is no key with this secret")
    # A secret whose grace is over is nobody's: it does not end the key that is in force.
    old = sh.ok("key", "create", "--team", "search").strip()
    secrets.append(old[3:40])
    new = told(("key", "rotate", old, "--grace", "1s"), 0)
    secrets.append(new[3:40])
    time.sleep(1.2)
    told(("key", "revoke", old), 1, "there is no key with this secret")
    told(("route", "body.json", "--key", old), 1)
    told(("route", "body.json", "--key", new), 0)
    told(("key", "list", "--team", new), 1, "there is no team")
    told(("key", "revoke", new, new), 2, "unexpected argument")
    told(("key", new), 2, "unknown command")
    told(("key", "revoke", new), 0)
    told(("key", "revoke", "key_nor"), 1, "there is no key key_nor")
    told(("generation", "list", "--key", "key_nor"), 1, "there is no key key_nor")
    told(("generation", "list", "--team", "norteam"), 1, "there is no team norteam")
    told(("replay", "--team", "norteam"), 1, "there is no team norteam")


def books(sh, mode):
    check(mode + "ledger verify", sh.ok("ledger", "verify") == "ok\n")
    for by in ("team", "key", "model", "provider", "day", "experiment"):
        usage = sh.json("usage", "--by", by)
        check(mode + "usage by " + by, usage["by"] == by and usage["rows"] == [] and usage["total"]["cost_usd"] == "0", usage)
    check(mode + "usage csv", sh.ok("usage", "--format", "csv").startswith("team,requests,attempts,errors,"))
    check(mode + "generation list", sh.json("generation", "list", "--limit", "5")["data"] == [])
    check(mode + "no generation", one_line_error(*sh.run("generation", "gen_x"), 1))
    check(mode + "unknown generation", one_line_error(*sh.run("generation", "gen_" + "0" * 32), 1))
    dest = sh.path("copy.db")
    sh.ok("backup", "copy.db")
    check(mode + "backup", os.stat(dest).st_mode & 0o777 == 0o600)
    check(mode + "backup does not overwrite", one_line_error(*sh.run("backup", "copy.db"), 1))
    copied = [t["name"] for t in sh.json("team", "list", "--db", "copy.db")["data"]]
    check(mode + "the backup is a whole database", copied == [t["name"] for t in sh.json("team", "list")["data"]]
          and "search" in copied, copied)


def many_at_once(sh, mode):
    results = []

    def create(n):
        results.append(sh.run("team", "create", "t%d" % n))

    threads = [threading.Thread(target=create, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check(mode + "commands at the same time wait for each other", all(r[0] == 0 for r in results), results)


def lock_without_socket(sh):
    import fcntl
    with open(sh.path("wayfare.db.lock"), "r+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        code, out, err = sh.run("team", "list")
        check("a held file without a socket is told", one_line_error(code, out, err, 1) and "in use" in err, err)


def a_silent_server(sh, server):
    """A command that waits says what it waits for, once, and is answered when the server goes on."""
    server.child.send_signal(signal.SIGSTOP)
    waiting = subprocess.Popen([BIN, "team", "list", "--json"], cwd=sh.directory, env=sh.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = waiting.stderr.readline() if select.select([waiting.stderr], [], [], 20 * SLOW)[0] else ""
        check("a server that does not answer is told", "(pid %d) has not answered for 10 s" % server.child.pid in line, line)
        check("the command goes on waiting", waiting.poll() is None)
    finally:
        server.child.send_signal(signal.SIGCONT)
    out, err = waiting.communicate(timeout=60 * SLOW)
    check("and is answered", waiting.returncode == 0 and err == "" and json.loads(out)["data"] != [], (out, err))


class Server:
    def __init__(self, sh):
        self.child = subprocess.Popen([BIN, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
                                       "--threads", "1"], cwd=sh.directory, env=sh.env, stdout=subprocess.PIPE,
                                      stderr=open(sh.path("server.log"), "w"), text=True)
        self.lines = [self.child.stdout.readline(), self.child.stdout.readline()]
        self.ready = self.lines[0].startswith("listening on http://") and self.lines[1].startswith("admin on http://")
        self.admin = self.lines[1].strip().rsplit("/", 1)[-1]

    def ask(self, method, path, body=None, headers=None):
        c = http.client.HTTPConnection(self.admin, timeout=30 * SLOW)
        c.request(method, path, body, headers or {})
        r = c.getresponse()
        data = r.read()
        c.close()
        return r.status, data

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(60 * SLOW)


def admin_listener(sh, server):
    with open(sh.path("wayfare.db.admin-token")) as f:
        token = f.read().strip()
    auth = {"authorization": "Bearer " + token}
    check("admin token file is private", os.stat(sh.path("wayfare.db.admin-token")).st_mode & 0o777 == 0o600)
    check("admin socket is private", os.stat(sh.path("wayfare.db.sock")).st_mode & 0o777 == 0o600)
    check("admin: no token", server.ask("GET", "/admin/v1/teams")[0] == 401)
    check("admin: wrong token", server.ask("GET", "/admin/v1/teams", headers={"x-api-key": token + "x"})[0] == 401)
    check("admin: unknown path needs the token too", server.ask("GET", "/admin/v1/frob")[0] == 401)
    check("admin: bearer", server.ask("GET", "/admin/v1/teams", headers=auth)[0] == 200)
    check("admin: x-api-key", server.ask("GET", "/admin/v1/teams", headers={"x-api-key": token})[0] == 200)
    check("admin: foreign origin", server.ask("GET", "/admin/v1/teams", headers=dict(auth, origin="http://evil.example"))[0] == 403)
    check("admin: own origin", server.ask("GET", "/admin/v1/teams", headers=dict(auth, origin="http://" + server.admin))[0] == 200)
    check("admin: foreign host", server.ask("GET", "/admin/v1/teams", headers=dict(auth, host="evil.example"))[0] == 403)
    check("admin: dashboard", server.ask("GET", "/")[1].startswith(b"<!DOCTYPE html>"))
    check("admin: metrics", b"requests_total" in server.ask("GET", "/metrics", headers=auth)[1])
    check("admin: wrong method", server.ask("PUT", "/admin/v1/teams", "{}", auth)[0] == 405)
    check("admin: unknown path", server.ask("GET", "/admin/v1/frob", headers=auth)[0] == 404)
    too_large = dict(auth, **{"content-length": str(1024 * 1024 + 1)})  # refused before it is sent
    check("admin: body over the limit", server.ask("POST", "/admin/v1/teams", headers=too_large)[0] == 413)

    status, data = server.ask("POST", "/admin/v1/teams", json.dumps({"name": "over http"}), auth)
    check("admin: team create", status == 200 and json.loads(data)["name"] == "over http", data)
    status, data = server.ask("PATCH", "/admin/v1/teams/over%20http", json.dumps({"budget": "5", "window": "week"}), auth)
    check("admin: team set", status == 200 and json.loads(data)["budgets"] == [{"window": "week", "cap_usd": "5"}], data)
    status, data = server.ask("PATCH", "/admin/v1/teams/over%20http", json.dumps({"name": "renamed"}), auth)
    check("admin: what stands in the path is not in the body", status == 400 and json.loads(data)["error"]["field"] == "name", data)
    for models in ([], ""):
        status, data = server.ask("POST", "/admin/v1/keys", json.dumps({"team": "over http", "models": models}), auth)
        check("admin: a list %r makes no key without limits" % models, status == 400 and json.loads(data)["error"]["field"] == "models", data)
    status, data = server.ask("POST", "/admin/v1/keys", json.dumps({"team": "over http", "colour": 1}), auth)
    check("admin: unknown argument", status == 400 and json.loads(data)["error"]["field"] == "colour", data)
    status, data = server.ask("POST", "/admin/v1/keys", json.dumps({"team": "over http"}), auth)
    key = json.loads(data)
    check("admin: key create", status == 200 and KEY.fullmatch(key["key"] + "\n"), data)
    status, data = server.ask("POST", "/admin/v1/keys/%s/rotate" % key["id"], json.dumps({"grace": "1h"}), auth)
    check("admin: key rotate", status == 200 and json.loads(data)["key"] != key["key"], data)
    status, data = server.ask("DELETE", "/admin/v1/keys/" + key["id"], headers=auth)
    check("admin: key revoke", status == 200 and json.loads(data)["status"] == "revoked", data)
    status, data = server.ask("GET", "/admin/v1/generations/gen_x", headers=auth)
    check("admin: no generation", status == 404, data)
    for prefs, expected in (({"provider_sort": "price"}, 200), ('{"provider_sort": "price"}', 200), ({}, 200), (None, 200), ([], 400), (5, 400), ({"x": 1}, 400)):
        status, data = server.ask("POST", "/admin/v1/replay", json.dumps({"prefs": prefs}), auth)
        check("admin: replay with the prefs %r" % (prefs,), status == expected and b"must be a string" not in data, data)
    for path in ("/admin/v1/keys?team=search", "/admin/v1/usage?by=model", "/admin/v1/generations?limit=3",
                 "/admin/v1/endpoints?provider=alpha", "/admin/v1/ledger/verify", "/admin/v1/catalog"):
        status, data = server.ask("GET", path, headers=auth)
        check("admin: GET " + path, status == 200 and isinstance(json.loads(data), dict), data)
    status, data = server.ask("POST", "/admin/v1/catalog?dry_run=true", json.dumps(CATALOG), auth)
    check("admin: import", status == 200 and json.loads(data)["dry_run"], data)
    status, data = server.ask("POST", "/admin/v1/route", json.dumps(BODY), auth)
    check("admin: route", status == 200 and json.loads(data)["plan"][0]["provider"] == "alpha", data)


def through_a_server(sh):
    server = Server(sh)
    try:
        with_server(sh, server)
    finally:
        if server.child.poll() is None:
            server.child.kill()
            server.child.wait()


def with_server(sh, server):
    global skipped
    if not check("serve prints where it listens", server.ready, server.lines):
        skipped += 1
        report("skip", "everything through a server")
        return
    teams_and_keys(sh, "server: ")
    catalog_and_route(sh, "server: ")
    names_of_keys(sh, "server: ")
    secrets_for_ids(sh, "server: ")
    books(sh, "server: ")
    wrong_values(sh, "server: ")
    many_at_once(sh, "server: ")
    admin_listener(sh, server)
    a_silent_server(sh, server)
    second = sh.run("serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
    check("a second server does not start", second[0] == 1 and "in use" in second[2], second)
    with open(sh.path("wayfare.db.lock")) as f:
        check("the lock file names the server after all that", f.read() == "%d\n" % server.child.pid)
    with tempfile.TemporaryDirectory(prefix="wayfare-cli-") as directory:
        code, out, err = Shell(directory).run("serve", "--listen", "127.0.0.1:0", "--admin-listen", server.admin)
        check("an admin port that is taken is told", code == 1 and
              "admin listener %s is in use by another program" % server.admin in err, err)
    check("SIGTERM: exit 0", server.stop() == 0)
    check("the socket is gone", not os.path.exists(sh.path("wayfare.db.sock")))
    check("the file is free again", sh.ok("ledger", "verify") == "ok\n")


def stale_socket(sh):
    s = socket.socket(socket.AF_UNIX)
    s.bind(sh.path("wayfare.db.sock"))
    s.close()  # what a killed server leaves behind
    check("a dead socket is no server", sh.run("team", "list")[0] == 0)
    os.unlink(sh.path("wayfare.db.sock"))


def main():
    global failed
    for title, body in (("direct", direct), ("server", through_a_server)):
        with tempfile.TemporaryDirectory(prefix="wayfare-cli-") as directory:
            try:
                body(Shell(directory))
            except Exception as problem:  # one broken part must not hide the others
                failed += 1
                report("not ok", title, repr(problem)[:500])
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    return 1 if failed else 0


def direct(sh):
    usage_errors(sh)
    no_database(sh)
    teams_and_keys(sh, "direct: ")
    catalog_and_route(sh, "direct: ")
    names_of_keys(sh, "direct: ")
    secrets_for_ids(sh, "direct: ")
    books(sh, "direct: ")
    wrong_values(sh, "direct: ")
    many_at_once(sh, "direct: ")
    lock_without_socket(sh)
    stale_socket(sh)


if __name__ == "__main__":
    sys.exit(main())
