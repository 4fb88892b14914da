#!/usr/bin/env python3
"""Old detail goes and no report notices; a provider's export against the ledger.  With a server
and without one, from a ledger of 90 days that bench/ledger_rows.py wrote."""

import collections
import datetime
import json
import os
import sqlite3
import subprocess
import sys

from harness import Report, Sim, Wayfare, catalog_of, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
ROWS = 3000
AXES = ["team", "key", "model", "provider", "day", "experiment"]
TODAY = datetime.datetime.now(datetime.timezone.utc).date()

sim = Sim(["acme"])
way = Wayfare(catalog_of(sim))
way.stop()
subprocess.run([sys.executable, os.path.join(HERE, "..", "..", "bench", "ledger_rows.py"), way.db, str(ROWS), "90", "7"],
               env=dict(os.environ, ENTRIES="1"), check=True, stdout=subprocess.DEVNULL)
report = Report()


def usages(env=None):
    """Each report, up to the start of today."""
    out = {}
    for by in AXES:
        argv = ["usage", "--by", by, "--since", "2020-01-01", "--until", TODAY.isoformat()]
        out[by] = way.cli_json(*argv, *(["--db", env] if env else []))
    return out


def attempts():
    return way.cli_json("ledger", "verify")["checked"]["attempts"]


before = usages()
total = before["day"]["total"]


def the_witness_agrees():
    """The rows themselves, added up here."""
    with sqlite3.connect("file:%s?mode=ro" % way.db, uri=True) as db:
        end = int(datetime.datetime.combine(TODAY, datetime.time(), datetime.timezone.utc).timestamp() * 1000)
        n, cost, tokens = db.execute("SELECT count(*), sum(charge_nusd), sum(input_tok) FROM attempt"
                                     " WHERE state = 'SETTLED' AND admitted_ms < ?", (end,)).fetchone()
    assert total["attempts"] == n and total["input_tokens"] == tokens, total
    assert total["cost_usd"].rstrip("0") == ("%d.%09d" % divmod(cost, 10 ** 9)).rstrip("0"), (total, cost)


def prune_without_a_server():
    had = attempts()
    done = way.cli_json("ledger", "prune", "--older-than", "60d")
    assert 0 < done["attempts"] < had, done
    # 60 days before the last row, which may be yesterday's
    assert done["before"][:10] in [(TODAY - datetime.timedelta(n)).isoformat() for n in (60, 61)], done
    assert attempts() == had - done["attempts"]
    assert usages() == before
    way.verify()


def too_young():
    for age in ["32d", "0", "soon", "-1d"]:
        done = way.cli("ledger", "prune", "--older-than", age, check=False)
        assert done.returncode in (1, 2) and done.stderr.count("\n") == 1, (age, done)


def a_backup_tells_the_same():
    copy = os.path.join(way.dir, "copy.db")
    way.cli("backup", copy)
    assert usages(copy) == before
    assert way.cli("ledger", "verify", "--db", copy).strip() == "ok"


def prune_beside_traffic():
    status, headers, _ = way.messages()
    assert status == 200
    g = way.generation(headers)
    done = way.cli_json("ledger", "prune", "--older-than", "45d")
    assert done["attempts"] > 0, done
    assert usages() == before
    assert way.cli_json("generation", g["id"])["cost_usd"] == g["cost_usd"]
    now = way.cli_json("usage", "--since", TODAY.isoformat())["total"]
    assert now["attempts"] >= 1, now
    way.verify()


def retain_days():
    had = attempts()
    way.stop()
    way.args += ["--retain-days", "35"]
    way.start()
    wait_for("old detail to go", lambda: attempts() < had)
    wait_for("all of it", lambda: way.cli_json("ledger", "prune", "--older-than", "35d")["attempts"] == 0)
    assert usages() == before
    way.verify()


# ---- reconciliation ----

def export_of(provider):
    """What that provider would report: Anthropic's shape, made from the rows by this program."""
    days = collections.defaultdict(list)
    with sqlite3.connect("file:%s?mode=ro" % way.db, uri=True) as db:
        for row in db.execute(
                "SELECT admitted_ms / 86400000, upstream_model, sum(input_tok), sum(output_tok), sum(cache_read_tok),"
                " sum(cache_write_5m_tok), sum(web_searches) FROM attempt WHERE state = 'SETTLED' AND provider = ?"
                " AND admitted_ms / 86400000 BETWEEN ? AND ? GROUP BY 1, 2",
                (provider, day_number(20), day_number(11))):
            days[row[0]].append(row[1:])
    data = []
    for day in range(day_number(20), day_number(11) + 1):
        start = datetime.date(1970, 1, 1) + datetime.timedelta(day)
        data.append({"starting_at": "%sT00:00:00Z" % start,
                     "ending_at": "%sT00:00:00Z" % (start + datetime.timedelta(1)),
                     "results": [{"model": m, "uncached_input_tokens": i, "output_tokens": o,
                                  "cache_read_input_tokens": r or 0,
                                  "cache_creation": {"ephemeral_5m_input_tokens": w or 0, "ephemeral_1h_input_tokens": 0},
                                  "server_tool_use": {"web_search_requests": s or 0}} for m, i, o, r, w, s in days[day]]})
    return {"data": data, "has_more": False, "next_page": None}


def day_number(ago):
    return (TODAY - datetime.date(1970, 1, 1)).days - ago


def reconcile(export, *more):
    path = os.path.join(way.dir, "export")
    with open(path, "w") as f:
        f.write(export if isinstance(export, str) else json.dumps(export))
    return way.cli("ledger", "reconcile", path, "--provider", "provider-1", *more, check=False)


def equal_books():
    done = reconcile(export_of("provider-1"))
    assert done.returncode == 0 and "equal (" in done.stdout, done
    done = reconcile(export_of("provider-1"), "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["data"] == [], done


def different_books():
    export = export_of("provider-1")
    first = export["data"][0]["results"][0]
    first["output_tokens"] += 5
    removed = export["data"][3]["results"].pop()
    done = reconcile(export, "--json")
    rows = json.loads(done.stdout)["data"]
    assert done.returncode == 1, done
    one = [r for r in rows if r["model"] == first["model"] and r["day"] == export["data"][0]["starting_at"][:10]]
    assert len(one) == 1 and one[0]["figure"] == "output_tokens" and one[0]["difference"] == 5, rows
    gone = {r["figure"]: r for r in rows if r["model"] == removed["model"] and r["theirs"] == 0}
    assert gone["output_tokens"]["ours"] == removed["output_tokens"], rows
    assert reconcile(export).stdout.count("\n") == len(rows) + 2


def a_broken_export():
    export = export_of("provider-1")
    export["data"][1]["results"][0]["output_tokens"] = "many"
    done = reconcile(export)
    assert done.returncode == 1 and "data[1].results[0].output_tokens" in done.stderr, done
    assert reconcile("date,model,usage\n2026-01-01,m,x\n").returncode == 1
    done = way.cli("ledger", "reconcile", os.path.join(way.dir, "export"), "--format", "openai", check=False)
    assert done.returncode == 1, done


report.case("the report equals the rows", the_witness_agrees)
report.case("an export that agrees, without a server", equal_books)
report.case("prune without a server", prune_without_a_server)
report.case("what is too young stays", too_young)
report.case("a backup tells the same", a_backup_tells_the_same)
way.start()
report.case("prune beside traffic", prune_beside_traffic)
report.case("serve --retain-days", retain_days)
report.case("an export that agrees, beside a server", equal_books)
report.case("an export that differs", different_books)
report.case("a broken export", a_broken_export)
way.stop()
report.end()
