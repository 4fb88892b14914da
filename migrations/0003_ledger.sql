-- What was asked, what was sent, what it cost.  Written by the ledger thread alone
-- (router/ledger_db.c); models, providers and upstream names are copied as text, so that a
-- row keeps its meaning when the catalog changes.

CREATE TABLE request(
  id BLOB NOT NULL PRIMARY KEY CHECK(length(id) = 16),
  created_ms INTEGER NOT NULL,
  team_id INTEGER NOT NULL REFERENCES team(id),
  key_id INTEGER NOT NULL REFERENCES api_key(id),
  stream INTEGER NOT NULL CHECK(stream IN (0, 1)),
  requested_model TEXT NOT NULL,
  door TEXT NOT NULL,
  experiment TEXT,
  arm TEXT,
  status TEXT NOT NULL DEFAULT 'running'
    CHECK(status IN ('running', 'ok', 'error', 'canceled', 'refused')),
  http_status INTEGER,
  ended_ms INTEGER
) STRICT, WITHOUT ROWID;

-- For recovery: requests whose process died.
CREATE INDEX request_running ON request(id) WHERE status = 'running';

-- For a team's recent requests, newest first (ids are ordered by time).
CREATE INDEX request_team ON request(team_id);

-- One call to a provider: the unit of money.
CREATE TABLE attempt(
  id BLOB NOT NULL PRIMARY KEY CHECK(length(id) = 16), -- made by the caller before sending
  request_id BLOB NOT NULL REFERENCES request(id),
  n INTEGER NOT NULL CHECK(n >= 1),
  team_id INTEGER NOT NULL REFERENCES team(id),
  key_id INTEGER NOT NULL REFERENCES api_key(id),
  boot_id BLOB NOT NULL CHECK(length(boot_id) = 16),   -- the run of the program that made it
  state TEXT NOT NULL
    CHECK(state IN ('HELD', 'SENT', 'STREAMING', 'SETTLED', 'VOID', 'INDET')),
  admitted_ms INTEGER NOT NULL, -- never before an earlier one of the same run: picks the windows
  endpoint_id INTEGER NOT NULL,
  price_version INTEGER NOT NULL,
  model TEXT NOT NULL,
  provider TEXT NOT NULL,
  upstream_model TEXT NOT NULL,
  cancel_stops_billing INTEGER NOT NULL CHECK(cancel_stops_billing IN (0, 1)),
  prompt_estimate_tok INTEGER NOT NULL CHECK(prompt_estimate_tok >= 0),
  prompt_estimate_nusd INTEGER NOT NULL CHECK(prompt_estimate_nusd >= 0),
  n_images INTEGER NOT NULL CHECK(n_images >= 0),
  hold_nusd INTEGER NOT NULL CHECK(hold_nusd >= 0),
  sent_ms INTEGER,
  -- Usage so far (STREAMING) or in the end; NULL = the provider did not state it.
  input_tok INTEGER CHECK(input_tok >= 0),
  output_tok INTEGER CHECK(output_tok >= 0),
  cache_read_tok INTEGER CHECK(cache_read_tok >= 0),
  cache_write_5m_tok INTEGER CHECK(cache_write_5m_tok >= 0),
  cache_write_1h_tok INTEGER CHECK(cache_write_1h_tok >= 0),
  web_searches INTEGER CHECK(web_searches >= 0),
  usage_source TEXT
    CHECK(usage_source IN ('none', 'estimated', 'partial', 'final', 'reconciled')),
  cost_pusd INTEGER CHECK(cost_pusd >= 0),
  charge_nusd INTEGER CHECK(charge_nusd >= 0),
  http_status INTEGER,
  first_byte_ms INTEGER,
  duration_ms INTEGER,
  end_reason TEXT,
  provider_request_id TEXT,
  iterations TEXT,
  UNIQUE(request_id, n),
  CHECK(state NOT IN ('SETTLED', 'VOID') OR
        (charge_nusd IS NOT NULL AND cost_pusd IS NOT NULL AND usage_source IS NOT NULL)),
  CHECK(state <> 'VOID' OR (charge_nusd = 0 AND cost_pusd = 0))
) STRICT, WITHOUT ROWID;

-- For every sum over a key's, a team's (its keys') or everybody's (all keys') attempts of some
-- time: usage reports, the audit, the first balance of a window that got its cap later.
CREATE INDEX attempt_key ON attempt(key_id, admitted_ms);
-- For recovery; holds only what runs now.
CREATE INDEX attempt_open ON attempt(id) WHERE state NOT IN ('SETTLED', 'VOID');

-- An attempt ends once, and what has ended stays as it is.
CREATE TRIGGER attempt_ends_once BEFORE UPDATE ON attempt WHEN OLD.state IN ('SETTLED', 'VOID')
BEGIN SELECT RAISE(ABORT, 'this attempt has ended'); END;
CREATE TRIGGER attempt_facts BEFORE UPDATE OF id, request_id, n, team_id, key_id, admitted_ms,
  price_version, hold_nusd ON attempt
BEGIN SELECT RAISE(ABORT, 'the facts of an attempt do not change'); END;
CREATE TRIGGER attempt_stays BEFORE DELETE ON attempt
BEGIN SELECT RAISE(ABORT, 'attempts are not deleted'); END;

-- The journal: one hold per attempt, then one post (what it cost) or one release (nothing);
-- corrections come later and are rows of their own.
CREATE TABLE entry(
  attempt_id BLOB NOT NULL REFERENCES attempt(id),
  kind TEXT NOT NULL CHECK(kind IN ('hold', 'post', 'release', 'correction')),
  n INTEGER NOT NULL DEFAULT 1 CHECK(n = 1 OR kind = 'correction'),
  amount_nusd INTEGER NOT NULL CHECK(amount_nusd >= 0 OR kind = 'correction'),
  at_ms INTEGER NOT NULL,
  PRIMARY KEY(attempt_id, kind, n)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER entry_keeps BEFORE UPDATE ON entry
BEGIN SELECT RAISE(ABORT, 'the journal is immutable'); END;
CREATE TRIGGER entry_stays BEFORE DELETE ON entry
BEGIN SELECT RAISE(ABORT, 'the journal is immutable'); END;

-- Balances, by owner and calendar window: the sums over the attempts admitted in
-- [start_ms, end_ms), written in the transaction of the rows they sum up (router/audit_db.c
-- compares).  Every owner has its 'total'; other windows exist where there is a cap.
CREATE TABLE account(
  id INTEGER PRIMARY KEY,
  scope TEXT NOT NULL CHECK(scope IN ('team', 'key')),
  owner_id INTEGER NOT NULL,
  window TEXT NOT NULL CHECK(window IN ('day', 'week', 'month', 'total')),
  start_ms INTEGER NOT NULL,
  end_ms INTEGER NOT NULL CHECK(end_ms > start_ms),
  cap_nusd INTEGER CHECK(cap_nusd >= 0),             -- as the ledger last saw it; NULL = none
  pending_nusd INTEGER NOT NULL DEFAULT 0 CHECK(pending_nusd >= 0), -- held by running attempts
  posted_nusd INTEGER NOT NULL DEFAULT 0 CHECK(posted_nusd >= 0),   -- spent
  -- What the truth (an attempt dearer than its hold, a cap lowered later) put above the cap.
  -- Admission never uses it.
  overrun_nusd INTEGER NOT NULL DEFAULT 0 CHECK(overrun_nusd >= 0),
  UNIQUE(scope, owner_id, window, start_ms),
  CHECK(cap_nusd IS NULL OR posted_nusd + pending_nusd <= cap_nusd + overrun_nusd)
) STRICT;

CREATE TRIGGER account_grows BEFORE UPDATE OF posted_nusd, overrun_nusd ON account
  WHEN NEW.posted_nusd < OLD.posted_nusd OR NEW.overrun_nusd < OLD.overrun_nusd
BEGIN SELECT RAISE(ABORT, 'what was spent is not taken back'); END;
