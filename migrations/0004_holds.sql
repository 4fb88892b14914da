-- Holds that grow while their attempt runs (a stream that produces more than was expected), and
-- how large a team's holds are (docs/money.md).

-- How the prompt and an absent max_tokens are bounded: by what cannot be exceeded, or by what
-- was learned from earlier requests.
ALTER TABLE team ADD COLUMN bound TEXT NOT NULL DEFAULT 'calibrated'
  CHECK(bound IN ('strict', 'calibrated'));

-- The three tables of the journal again, as 0003 explains them, with two differences.  An entry
-- may be of kind 'extend': what was added to a running attempt's hold.  And no CHECK tests a
-- list of more than two words with IN: SQLite builds such a list as a table in memory each time
-- a row is written, a sixth of the CPU of a hold.

CREATE TABLE request_4(
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
    CHECK(status IN ('running', 'ok') OR status IN ('error', 'canceled') OR status = 'refused'),
  http_status INTEGER,
  ended_ms INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt_4(
  id BLOB NOT NULL PRIMARY KEY CHECK(length(id) = 16), -- made by the caller before sending
  request_id BLOB NOT NULL REFERENCES request_4(id),
  n INTEGER NOT NULL CHECK(n >= 1),
  team_id INTEGER NOT NULL REFERENCES team(id),
  key_id INTEGER NOT NULL REFERENCES api_key(id),
  boot_id BLOB NOT NULL CHECK(length(boot_id) = 16),   -- the run of the program that made it
  state TEXT NOT NULL
    CHECK(state IN ('HELD', 'SENT') OR state IN ('STREAMING', 'SETTLED') OR
          state IN ('VOID', 'INDET')),
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
    CHECK(usage_source IN ('none', 'estimated') OR usage_source IN ('partial', 'final') OR
          usage_source = 'reconciled'),
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

CREATE TABLE entry_4(
  attempt_id BLOB NOT NULL REFERENCES attempt_4(id),
  kind TEXT NOT NULL
    CHECK(kind IN ('hold', 'extend') OR kind IN ('post', 'release') OR kind = 'correction'),
  n INTEGER NOT NULL DEFAULT 1 CHECK(n = 1 OR n > 1 AND kind IN ('extend', 'correction')),
  amount_nusd INTEGER NOT NULL CHECK(amount_nusd >= 0 OR kind = 'correction'),
  at_ms INTEGER NOT NULL,
  PRIMARY KEY(attempt_id, kind, n)
) STRICT, WITHOUT ROWID;

INSERT INTO request_4 SELECT * FROM request;
INSERT INTO attempt_4 SELECT * FROM attempt;
INSERT INTO entry_4 SELECT * FROM entry;
DROP TABLE entry;
DROP TABLE attempt;
DROP TABLE request;
-- References follow the name.
ALTER TABLE request_4 RENAME TO request;
ALTER TABLE attempt_4 RENAME TO attempt;
ALTER TABLE entry_4 RENAME TO entry;

-- For recovery: requests whose process died.
CREATE INDEX request_running ON request(id) WHERE status = 'running';
-- For a team's recent requests, newest first (ids are ordered by time).
CREATE INDEX request_team ON request(team_id);
-- For every sum over a key's, a team's (its keys') or everybody's (all keys') attempts of some
-- time: usage reports, the audit, the first balance of a window that got its cap later.
CREATE INDEX attempt_key ON attempt(key_id, admitted_ms);
-- For recovery; holds only what runs now.
CREATE INDEX attempt_open ON attempt(id) WHERE state NOT IN ('SETTLED', 'VOID');

-- An attempt ends once, and what has ended stays as it is; what it holds never shrinks.
CREATE TRIGGER attempt_ends_once BEFORE UPDATE ON attempt WHEN OLD.state IN ('SETTLED', 'VOID')
BEGIN SELECT RAISE(ABORT, 'this attempt has ended'); END;
CREATE TRIGGER attempt_facts BEFORE UPDATE OF id, request_id, n, team_id, key_id, admitted_ms,
  price_version ON attempt
BEGIN SELECT RAISE(ABORT, 'the facts of an attempt do not change'); END;
CREATE TRIGGER attempt_hold_grows BEFORE UPDATE OF hold_nusd ON attempt
  WHEN NEW.hold_nusd < OLD.hold_nusd
BEGIN SELECT RAISE(ABORT, 'a hold does not shrink'); END;
CREATE TRIGGER attempt_stays BEFORE DELETE ON attempt
BEGIN SELECT RAISE(ABORT, 'attempts are not deleted'); END;
CREATE TRIGGER entry_keeps BEFORE UPDATE ON entry
BEGIN SELECT RAISE(ABORT, 'the journal is immutable'); END;
CREATE TRIGGER entry_stays BEFORE DELETE ON entry
BEGIN SELECT RAISE(ABORT, 'the journal is immutable'); END;

-- The kind of prompt (enum estimate_class, router/estimate.h) where its size teaches something
-- about the next one; NULL = it does not.  Read at start by router/calibrate_db.c.
ALTER TABLE attempt ADD COLUMN prompt_class INTEGER;
