#!/usr/bin/env python3
"""Fills a ledger with attempts, to measure reports: ledger_rows.py DB ROWS [DAYS [KEYS]]

DB is one that `wayfare team list` has made (or any command); the rows end now.  Every twentieth
request has a second attempt at another provider, every fiftieth ended in an error, every
hundredth attempt is void.  The journal's entries are left out unless ENTRIES=1: reports do not
read them, `ledger verify` does.  Nothing here asserts a speed: see bench/run and docs.
"""
import os
import sqlite3
import sys
import time

CHUNK = 200000
DAY_MS = 86400000

NUMBERS = "WITH RECURSIVE c(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM c WHERE i < :last) "

# i counts requests; the time is spread evenly, the rest follows from i.
REQUESTS = NUMBERS + """
INSERT INTO request(id, created_ms, team_id, key_id, stream, requested_model, door, experiment,
                    arm, status, http_status, ended_ms)
SELECT CAST(printf('R%015d', i) AS BLOB), :start + i * :step / 1000, 1 + i % :keys % :teams,
       1 + i % :keys, i % 2, 'model-' || (i % 7), 'messages',
       CASE i % 10 WHEN 0 THEN 'exp' END, CASE i % 10 WHEN 0 THEN 'a' END,
       CASE i % 50 WHEN 3 THEN 'error' ELSE 'ok' END, 200, :start + i * :step / 1000 + 900
FROM c"""

ATTEMPTS = NUMBERS + """
INSERT INTO attempt(id, request_id, n, team_id, key_id, boot_id, state, admitted_ms, endpoint_id,
                    price_version, model, provider, upstream_model, cancel_stops_billing,
                    prompt_estimate_tok, prompt_estimate_nusd, n_images, hold_nusd, sent_ms,
                    input_tok, output_tok, cache_read_tok, cache_write_5m_tok, cache_write_1h_tok,
                    web_searches, usage_source, cost_pusd, charge_nusd, http_status,
                    first_byte_ms, duration_ms, end_reason, provider_request_id)
SELECT CAST(printf('A%014d%d', i, :n) AS BLOB), CAST(printf('R%015d', i) AS BLOB), :n,
       1 + i % :keys % :teams, 1 + i % :keys, zeroblob(16),
       CASE WHEN i % 100 = 5 THEN 'VOID' ELSE 'SETTLED' END,
       :start + i * :step / 1000 + :n - 1, 1 + i % 7, 0, 'vendor/model-' || (i % 7),
       'provider-' || ((i + :n) % 3), 'model-' || (i % 7) || '-20260101', 1, 100, 1000, 0,
       100000000, :start + i * :step / 1000 + :n - 1, 100 + i % 900, 10 + i % 90,
       CASE i % 3 WHEN 0 THEN i % 5000 END, CASE i % 5 WHEN 0 THEN i % 700 END, NULL,
       CASE i % 40 WHEN 0 THEN 1 END,
       CASE WHEN i % 100 = 5 THEN 'none' WHEN i % 200 = 7 THEN 'partial' ELSE 'final' END,
       CASE WHEN i % 100 = 5 THEN 0 ELSE (1000 + i % 100000) * 1000 END,
       CASE WHEN i % 100 = 5 THEN 0 ELSE 1000 + i % 100000 END, 200, 300, 900, 'end_turn', 'req'
FROM c WHERE :n = 1 OR i % 20 = 0"""

ENTRIES = [NUMBERS + """
INSERT INTO entry(attempt_id, kind, amount_nusd, at_ms)
SELECT CAST(printf('A%014d%d', i, :n) AS BLOB), 'hold', 100000000,
       :start + i * :step / 1000 FROM c WHERE :n = 1 OR i % 20 = 0""", NUMBERS + """
INSERT INTO entry(attempt_id, kind, amount_nusd, at_ms)
SELECT CAST(printf('A%014d%d', i, :n) AS BLOB),
       CASE WHEN i % 100 = 5 THEN 'release' ELSE 'post' END,
       CASE WHEN i % 100 = 5 THEN 100000000 ELSE 1000 + i % 100000 END,
       :start + i * :step / 1000 + 900 FROM c WHERE :n = 1 OR i % 20 = 0"""]

ACCOUNTS = """
INSERT INTO account(scope, owner_id, window, start_ms, end_ms, posted_nusd)
SELECT '{0}', {0}_id, 'total', 0, 9223372036854775807, sum(charge_nusd)
FROM attempt GROUP BY {0}_id"""


def owners(db, keys, teams):
    for t in range(1, teams + 1):
        db.execute("INSERT OR IGNORE INTO team(id, name, created_ms) VALUES (?, ?, 0)",
                   (t, f"team-{t}"))
    for k in range(1, keys + 1):
        db.execute("INSERT OR IGNORE INTO api_key(id, public_id, hash, name, team_id, created_ms)"
                   " VALUES (?, ?, randomblob(32), ?, ?, 0)",
                   (k, f"key_{k:06d}", f"key {k}", 1 + k % keys % teams))


def main():
    path, rows = sys.argv[1], int(sys.argv[2])
    days = int(sys.argv[3]) if len(sys.argv) > 3 else 30
    keys = int(sys.argv[4]) if len(sys.argv) > 4 else 50
    teams = min(10, keys)
    requests = rows * 20 // 21
    now = int(time.time() * 1000)
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
                     "PRAGMA cache_size = -200000; PRAGMA foreign_keys = OFF;")
    db.execute("BEGIN")
    owners(db, keys, teams)
    db.execute("COMMIT")
    # key 1 + i % keys is of team 1 + i % keys % teams: the same rule as in owners()
    db.execute("UPDATE api_key SET team_id = 1 + (id - 1) % ?", (teams,))
    p = {"start": now - days * DAY_MS, "step": days * DAY_MS * 1000 // requests, "keys": keys,
         "teams": teams}
    for first in range(0, requests, CHUNK):
        p["first"], p["last"] = first, min(first + CHUNK, requests) - 1
        db.execute("BEGIN")
        db.execute(REQUESTS, {**p})
        for n in (1, 2):
            db.execute(ATTEMPTS, {**p, "n": n})
            for sql in ENTRIES if os.environ.get("ENTRIES") == "1" else []:
                db.execute(sql, {**p, "n": n})
        db.execute("COMMIT")
        if first % (CHUNK * 10) == 0:
            print(f"{first} requests", flush=True)
    db.execute("BEGIN")
    for scope in ("team", "key"):
        db.execute(ACCOUNTS.format(scope))
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    print(db.execute("SELECT count(*) FROM attempt").fetchone()[0], "attempts")


main()
