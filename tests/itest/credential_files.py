#!/usr/bin/env python3
"""Credentials that cannot be read: a running server keeps the secret it had and says so, the
operator is told why, once, and clients are told nothing of paths and variables."""

import http.client
import json
import os
import re
import shutil
import signal
import tempfile

from harness import SLOW, Report, Sim, Wayfare, endpoint, price, provider, wait_for

work = tempfile.mkdtemp(prefix="wayfare-files-")
sim = Sim(["acme", "spare", "nokey"])
report = Report()
KEPT = "a credential file cannot be read, its last secret stays"
NEVER = "msg=\"a credential file cannot be read\""
acme, never = os.path.join(work, "acme.key"), os.path.join(work, "never.key")


def write_key(text):
    with open(acme, "w") as f:
        f.write(text)


def catalog(zdr=True):
    return {"providers": [provider("acme", sim.url["acme"], credential={"file": acme}, zdr=zdr),
                          provider("spare", sim.url["spare"], credential={"file": never}),
                          provider("nokey", sim.url["nokey"], credential=[{"env": "NO_KEY_A"}, {"env": "NO_KEY_B"}]),
                          provider("homeless", "", credential=[])],
            "models": [{"id": "test/m", "aliases": ["m"], "endpoints": [
                endpoint(p, "m", price("1", "5")) for p in ("acme", "spare", "nokey", "homeless")]}]}


write_key("sk-of-the-file-aaaa\n")
way = Wayfare(catalog())


def status_of(**more):
    return way.messages(provider_only=["acme"], **more)[0]


def key_seen():
    return json.dumps(sim.witness()[-2:])


def lines(text):
    return [line for line in way.server_log().splitlines() if text in line]


def reload():
    before = len(lines("reloaded catalog and keys"))
    way.child.send_signal(signal.SIGHUP)
    wait_for("the reload", lambda: len(lines("reloaded catalog and keys")) > before)


def failed_reloads():
    host, port = way.admin.rsplit(":", 1)
    conn = http.client.HTTPConnection(host, int(port), timeout=30 * SLOW)
    conn.request("GET", "/metrics", headers={"authorization": "Bearer admin-token-for-tests"})
    text = conn.getresponse().read().decode()
    conn.close()
    return int(re.search(r"^wayfare_reloads_failed_total (\d+)", text, re.M).group(1))


def rows():
    return {e["provider"]: e for e in way.cli_json("catalog", "list")["data"]}


def told_at_the_start():
    wait_for("the log", lambda: lines("credentials whose variable is not set"))
    assert len(lines(NEVER)) == 1, way.server_log()
    line = lines(NEVER)[0]
    assert "level=warn" in line and "provider=spare" in line and never + ": No such file or directory" in line, line
    unset = lines("credentials whose variable is not set")
    assert len(unset) == 1 and "level=info" in unset[0] and "n=2" in unset[0], unset
    assert not lines(KEPT) and status_of() == 200


def the_reason_is_in_the_list():
    e = rows()
    assert e["acme"]["status"] == "ready" and e["acme"]["reason"] is None, e["acme"]
    assert e["spare"]["status"] == "no credential" and e["spare"]["reason"] == never + ": No such file or directory", e["spare"]
    assert e["nokey"]["status"] == "no credential", e["nokey"]
    assert e["nokey"]["reason"] == "variable NO_KEY_A is not set; variable NO_KEY_B is not set", e["nokey"]
    assert e["homeless"]["status"] == "no base_url", e["homeless"]


def clients_are_told_nothing():
    for p in ("spare", "nokey"):
        body = way.messages(provider_only=[p])[2]
        assert b"no_credential" in body and work.encode() not in body and b"NO_KEY" not in body, body


def lost(how, reason):
    """A file that is gone, emptied or something else: what was read before stays."""
    failed, said = failed_reloads(), len(lines(KEPT))
    how()
    reload()
    assert status_of() == 200 and "...aaaa" in key_seen(), key_seen()
    told = lines(KEPT)[said:]
    assert len(told) == 1 and "level=error" in told[0] and "provider=acme" in told[0] and reason in told[0], told
    assert failed_reloads() == failed + 1, (failed, failed_reloads())
    e = rows()["acme"]
    assert e["status"] == "ready" and e["reason"] == reason + " (its last secret is in use)", e


def an_admin_write_does_not_repeat_it():
    kept, never_read = len(lines(KEPT)), len(lines(NEVER))
    for i in range(3):
        way.cli("key", "create", "--team", "t", "--name", "more%d" % i)
    assert status_of() == 200 and "...aaaa" in key_seen()
    way.import_catalog(catalog(zdr=False))
    assert status_of() == 200 and "...aaaa" in key_seen()
    assert (len(lines(KEPT)), len(lines(NEVER))) == (kept, never_read), way.server_log()


def the_next_secret_is_taken():
    os.rmdir(acme)
    write_key("sk-of-the-file-bbbb")
    said, failed = len(lines(KEPT)), failed_reloads()
    reload()
    assert status_of() == 200 and "...bbbb" in key_seen(), key_seen()
    assert len(lines(KEPT)) == said and failed_reloads() == failed + 1  # spare's file was never there


def an_import_that_names_a_lost_file():
    """Another path: nothing was read from there.  And the old one is forgotten."""
    other = catalog()
    other["providers"][0]["credential"] = {"file": os.path.join(work, "other.key")}
    way.import_catalog(other)
    wait_for("the log", lambda: [x for x in lines(NEVER) if "provider=acme" in x and "other.key" in x])
    assert status_of() == 404
    os.unlink(acme)
    way.import_catalog(catalog())
    assert status_of() == 404
    assert rows()["acme"]["status"] == "no credential"


def a_relative_path_is_remarked_upon():
    relative = catalog()
    relative["providers"][0]["credential"] = [{"env": "A"}, {"file": "keys/acme"}]
    with open(os.path.join(way.dir, "relative.json"), "w") as f:
        json.dump(relative, f)
    done = way.cli("catalog", "import", f.name, "--dry-run")
    assert "providers[0].credential[1].file: keys/acme is no absolute path" in done, done


report.case("told at the start, variables in one line", told_at_the_start)
report.case("catalog list says why", the_reason_is_in_the_list)
report.case("clients are told nothing of paths", clients_are_told_nothing)
report.case("a file that is gone", lost, lambda: os.unlink(acme), acme + ": No such file or directory")
report.case("a file that is empty", lost, lambda: write_key(""), acme + " is empty")
report.case("a directory in its place", lost, lambda: (os.unlink(acme), os.mkdir(acme)), acme + ": Is a directory")
report.case("an admin write does not repeat it", an_admin_write_does_not_repeat_it)
report.case("the next secret is taken", the_next_secret_is_taken)
report.case("an import that names a lost file", an_import_that_names_a_lost_file)
report.case("a relative path is remarked upon", a_relative_path_is_remarked_upon)
report.case("no secret is told", lambda: "sk-of-the-file" not in way.server_log() or 1 / 0)
report.case("clean exit", lambda: (way.stop() == 0) or 1 / 0)
shutil.rmtree(work)
report.end()
