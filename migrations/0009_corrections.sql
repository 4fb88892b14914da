-- Corrections: what a provider's own figures changed of attempts that had ended without them
-- (router/correction_db.c, docs/retention.md "Corrections").  The attempt's row stays as it is; a
-- correction is an entry of the journal and a row here, which says what changed and where it
-- counts in reports.

CREATE TABLE correction(
  attempt_id BLOB NOT NULL CHECK(length(attempt_id) = 16), -- no reference: it stays when the detail goes
  n INTEGER NOT NULL CHECK(n >= 1),            -- that of the entry
  at_ms INTEGER NOT NULL,
  -- Facts of the attempt and its request, as in usage_day ('' = none).
  admitted_ms INTEGER NOT NULL,
  key_id INTEGER NOT NULL REFERENCES api_key(id),
  team_id INTEGER NOT NULL REFERENCES team(id),
  model TEXT NOT NULL,
  provider TEXT NOT NULL,
  upstream_model TEXT NOT NULL,
  usage_source TEXT NOT NULL,                  -- what it was settled by
  experiment TEXT NOT NULL,
  arm TEXT NOT NULL,
  -- What is added; below zero where less was used than was charged for.
  input_tok INTEGER NOT NULL,
  output_tok INTEGER NOT NULL,
  cache_read_tok INTEGER NOT NULL,
  cache_write_5m_tok INTEGER NOT NULL,
  cache_write_1h_tok INTEGER NOT NULL,
  web_searches INTEGER NOT NULL,
  charge_nusd INTEGER NOT NULL,
  PRIMARY KEY(attempt_id, n)
) STRICT, WITHOUT ROWID;

-- For reports of some time (ROLLUP_PART) and a window that gets its cap later.
CREATE INDEX correction_admitted ON correction(admitted_ms);

CREATE TRIGGER correction_keeps BEFORE UPDATE ON correction
BEGIN SELECT RAISE(ABORT, 'corrections are immutable'); END;
CREATE TRIGGER correction_stays BEFORE DELETE ON correction
BEGIN SELECT RAISE(ABORT, 'corrections are immutable'); END;

-- What corrections since this account exists have added to posted_nusd (below zero: taken away):
-- nothing else may make it smaller.
ALTER TABLE account ADD COLUMN corrected_nusd INTEGER NOT NULL DEFAULT 0;
DROP TRIGGER account_grows;
CREATE TRIGGER account_grows BEFORE UPDATE OF posted_nusd, overrun_nusd, corrected_nusd ON account
  WHEN NEW.posted_nusd - NEW.corrected_nusd < OLD.posted_nusd - OLD.corrected_nusd
    OR NEW.overrun_nusd < OLD.overrun_nusd
BEGIN SELECT RAISE(ABORT, 'what was spent is not taken back'); END;
