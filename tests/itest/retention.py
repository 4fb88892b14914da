#!/usr/bin/env python3
"""Old detail goes and no report notices; a provider's export against the ledger.  With a server
and without one, from a ledger of 90 days that bench/ledger_rows.py wrote."""

import collections
import concurrent.futures
import datetime
import json
import os
import sqlite3
import subprocess
import sys
import time
from decimal import Decimal

from harness import Report, Sim, Wayfare, catalog_of, clear_of_midnight, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
ROWS = 3000
AXES = ["team", "key", "model", "provider", "day", "experiment"]
clear_of_midnight(120)  # reports are asked for up to the start of today
TODAY = datetime.datetime.now(datetime.timezone.utc).date()

sim = Sim(["acme"])
way = Wayfare(catalog_of(sim))
way.stop()
subprocess.run([sys.executable, os.path.join(HERE, "..", "..", "bench", "ledger_rows.py"), way.db, str(ROWS), "90", "7"],
               env=dict(os.environ, ENTRIES="1"), check=True, stdout=subprocess.DEVNULL)
report = Report()


def an_estimate(name, days_ago, charge_nusd, input_tok):
    """An attempt whose end nobody knew, with a hold of $0.10."""
    at = int(time.time() * 1000) - days_ago * 86400000
    rid, aid = b"R-" + name, b"A-" + name
    with sqlite3.connect(way.db) as db:
        version, = db.execute("SELECT price_id FROM endpoint LIMIT 1").fetchone()
        db.execute("INSERT INTO request(id, created_ms, team_id, key_id, stream, requested_model, door, status)"
                   " VALUES (?, ?, 1, 1, 0, 'model-1', 'messages', 'error')", (rid, at))
        db.execute("INSERT INTO attempt(id, request_id, n, team_id, key_id, boot_id, state, admitted_ms, endpoint_id,"
                   " price_version, model, provider, upstream_model, cancel_stops_billing, prompt_estimate_tok,"
                   " prompt_estimate_nusd, n_images, hold_nusd, sent_ms, usage_source, cost_pusd, charge_nusd, end_reason,"
                   " input_tok) VALUES (?, ?, 1, 1, 1, zeroblob(16), 'SETTLED', ?, 1, ?, 'vendor/model-1', 'provider-1',"
                   " 'model-1-20260101', 0, 100, 1000, 0, 100000000, ?, 'estimated', ?, ?, 'timed_out', ?)",
                   (aid, rid, at, version, at, charge_nusd * 1000, charge_nusd, input_tok))
        for kind, amount in (("hold", 100000000), ("post", charge_nusd)):
            db.execute("INSERT INTO entry(attempt_id, kind, amount_nusd, at_ms) VALUES (?, ?, ?, ?)", (aid, kind, amount, at))
        db.execute("UPDATE account SET posted_nusd = posted_nusd + ? WHERE owner_id = 1 AND window = 'total'", (charge_nusd,))


SEVERAL = 300  # more than are corrected in one transaction
an_estimate(b"estimate------", 15, 100000000, None)  # all of its hold
for i in range(SEVERAL):
    an_estimate(b"prompt-%07d" % i, 12, 100000, 100)  # its prompt


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


def reconcile(export, *more, name="export"):
    path = os.path.join(way.dir, name)
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
    lines = reconcile(export).stdout.splitlines()
    assert len([x for x in lines if x[:3] == "202"]) == len(rows), lines


def a_broken_export():
    export = export_of("provider-1")
    export["data"][1]["results"][0]["output_tokens"] = "many"
    done = reconcile(export)
    assert done.returncode == 1 and "data[1].results[0].output_tokens" in done.stderr, done
    assert reconcile("date,model,usage\n2026-01-01,m,x\n").returncode == 1
    done = way.cli("ledger", "reconcile", os.path.join(way.dir, "export"), "--format", "openai", check=False)
    assert done.returncode == 1, done


def books():
    """Everything reported, and what the ledger has posted; the two are equal to the nano-dollar."""
    told = usages()
    with sqlite3.connect("file:%s?mode=ro" % way.db, uri=True) as db:
        posted, = db.execute("SELECT sum(posted_nusd) FROM account WHERE scope = 'key' AND window = 'total'").fetchone()
        young, = db.execute("SELECT coalesce(sum(charge_nusd), 0) FROM attempt WHERE admitted_ms >= ?",
                            (int(datetime.datetime.combine(TODAY, datetime.time(), datetime.timezone.utc).timestamp() * 1000),)).fetchone()
    for by in AXES:
        assert Decimal(told[by]["total"]["cost_usd"]) * 10 ** 9 == posted - young, (by, told[by]["total"], posted, young)
    return told


def tokens_are_applied():
    """The provider knows what the attempt used that was charged its whole hold."""
    export = export_of("provider-1")
    start = datetime.datetime.now(datetime.timezone.utc).date() - datetime.timedelta(15)
    day, = [d for d in export["data"] if d["starting_at"][:10] == start.isoformat()]
    row = [r for r in day["results"] if r["model"] == "model-1-20260101"][0]
    row["uncached_input_tokens"] += 700
    row["output_tokens"] += 30
    first = books()
    dry = reconcile(export)
    assert dry.returncode == 1 and "--apply would correct 1 attempts, by -0.09915 USD" in dry.stdout, dry
    assert books() == first, "a dry run changes nothing"
    done = reconcile(export, "--apply", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 0 and told["applied"] and told["unattributed"] == 0, done
    assert [(r["figure"], r["difference"], r["attributed"]) for r in told["data"]] == [
        ("input_tokens", 700, 700), ("output_tokens", 30, 30)], told
    second = books()
    change = {k: Decimal(v) - Decimal(first["team"]["total"][k]) for k, v in second["team"]["total"].items()}
    change.pop("cache_hit_rate")  # derived: more was read than was known
    assert change.pop("cost_usd") == Decimal("-0.1") + 700 * Decimal("0.000001") + 30 * Decimal("0.000005"), change
    assert change.pop("input_tokens") == 700 and change.pop("output_tokens") == 30 and not any(change.values()), change
    again = reconcile(export, "--apply", "--json")
    told = json.loads(again.stdout)
    assert again.returncode == 0 and told["ok"] and told["corrections"] == [], again
    assert books() == second, "the same file again changes nothing"
    g = way.cli_json("generation", "gen_" + b"R-estimate------".hex())
    assert g["attempts"][0]["usage_source"] == "reconciled" and g["usage"]["input_tokens"] == 700, g
    assert Decimal(g["cost_usd"]) == Decimal("0.00085"), g
    way.verify()
    way.stop()
    assert books() == second and way.cli("ledger", "verify").strip() == "ok"
    way.start()


def applied_by_several_at_once():
    """One of them corrects, the others wait for it and find nothing to do."""
    export = export_of("provider-1")
    start = datetime.datetime.now(datetime.timezone.utc).date() - datetime.timedelta(12)
    day, = [d for d in export["data"] if d["starting_at"][:10] == start.isoformat()]
    row = [r for r in day["results"] if r["model"] == "model-1-20260101"][0]
    row["output_tokens"] += 10 * SEVERAL
    row = [d for d in export["data"] if d["starting_at"][:10] == str(start - datetime.timedelta(3))][0]
    row = [r for r in row["results"] if r["model"] == "model-1-20260101"][0]
    row["uncached_input_tokens"] += 700  # as they are corrected already
    row["output_tokens"] += 30
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda i: reconcile(export, "--apply", "--json", name="export-%d" % i), range(4)))
    assert all(d.returncode == 0 for d in done), done
    n = sorted(len(json.loads(d.stdout)["corrections"]) for d in done)
    assert n[:3] == [0, 0, 0] and n[3] >= SEVERAL, n
    way.verify()


def costs_are_applied():
    """One day of costs, without a server.  What final attempts differ by stays a difference."""
    way.stop()
    with sqlite3.connect("file:%s?mode=ro" % way.db, uri=True) as db:
        day, model = db.execute("SELECT admitted_ms / 86400000, upstream_model FROM attempt WHERE provider = 'provider-1'"
                                " AND usage_source = 'partial' AND admitted_ms / 86400000 <= ? ORDER BY 1 DESC LIMIT 1",
                                (day_number(1),)).fetchone()
        sums = dict(db.execute("SELECT upstream_model, sum(charge_nusd) FROM attempt WHERE provider = 'provider-1'"
                               " AND state = 'SETTLED' AND admitted_ms / 86400000 = ? GROUP BY 1", (day,)).fetchall())
    sums[model] += 1500
    other = [m for m in sums if m != model][0]
    sums[other] += 7000
    date = (datetime.date(1970, 1, 1) + datetime.timedelta(day)).isoformat()
    export = "date,model,usage\n" + "".join("%s,%s,%s\n" % (date, m, Decimal(n) / 10 ** 9) for m, n in sums.items())
    first = books()
    done = reconcile(export, "--apply", "--format", "openrouter")
    assert done.returncode == 1 and "1 attempts corrected, by 0.0000015 USD" in done.stdout, done
    assert "1 figures belong to no attempt" in done.stdout, done
    second = books()
    assert Decimal(second["day"]["total"]["cost_usd"]) - Decimal(first["day"]["total"]["cost_usd"]) == Decimal("0.0000015")
    done = reconcile(export, "--apply", "--format", "openrouter", "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["corrections"] == [] and books() == second, done
    assert way.cli("ledger", "verify").strip() == "ok"
    way.start()


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
report.case("tokens of an export become corrections", tokens_are_applied)
report.case("several apply the same export at once", applied_by_several_at_once)
report.case("costs of an export become corrections", costs_are_applied)
way.stop()
report.end()
