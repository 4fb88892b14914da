-- Usage summed up by day, so that reports need not read every attempt; and retention: the detail
-- of days that are over may go away, their sums stay (router/rollup_db.c, docs/retention.md).

-- How far the sums reach.  One row; all instants are of admission.
CREATE TABLE rollup(
  id INTEGER PRIMARY KEY CHECK(id = 1),
  -- Attempts admitted before this have ended and are in usage_day; those from here on are not.
  summed_ms INTEGER NOT NULL,
  -- UTC days since 1970: attempts admitted before this day may be deleted.
  pruned_day INTEGER NOT NULL CHECK(pruned_day >= 0),
  CHECK(pruned_day * 86400000 <= summed_ms)
) STRICT;
INSERT INTO rollup(id, summed_ms, pruned_day) VALUES (1, 0, 0);

CREATE TRIGGER rollup_advances BEFORE UPDATE ON rollup
  WHEN NEW.summed_ms < OLD.summed_ms OR NEW.pruned_day < OLD.pruned_day
BEGIN SELECT RAISE(ABORT, 'what was summed up stays summed up'); END;
CREATE TRIGGER rollup_stays BEFORE DELETE ON rollup
BEGIN SELECT RAISE(ABORT, 'what was summed up stays summed up'); END;

-- Sums over attempts that were sent and are not void.  Every figure adds up over any choice of
-- rows: a request counts where its first such attempt is (requests), where its first one on this
-- model is (requests_of_model) and where its first one at this provider is; errors likewise.
CREATE TABLE usage_day(
  day INTEGER NOT NULL,                      -- UTC days since 1970, of the admission
  key_id INTEGER NOT NULL REFERENCES api_key(id),
  model TEXT NOT NULL,
  provider TEXT NOT NULL,
  upstream_model TEXT NOT NULL,
  usage_source TEXT NOT NULL,
  experiment TEXT NOT NULL,                  -- '' = none, as the arm
  arm TEXT NOT NULL,
  team_id INTEGER NOT NULL REFERENCES team(id),
  attempts INTEGER NOT NULL CHECK(attempts > 0),
  requests INTEGER NOT NULL CHECK(requests >= 0),
  requests_of_model INTEGER NOT NULL CHECK(requests_of_model >= 0),
  requests_of_provider INTEGER NOT NULL CHECK(requests_of_provider >= 0),
  errors INTEGER NOT NULL CHECK(errors >= 0),
  errors_of_model INTEGER NOT NULL CHECK(errors_of_model >= 0),
  errors_of_provider INTEGER NOT NULL CHECK(errors_of_provider >= 0),
  input_tok INTEGER NOT NULL CHECK(input_tok >= 0),
  output_tok INTEGER NOT NULL CHECK(output_tok >= 0),
  cache_read_tok INTEGER NOT NULL CHECK(cache_read_tok >= 0),
  cache_write_5m_tok INTEGER NOT NULL CHECK(cache_write_5m_tok >= 0),
  cache_write_1h_tok INTEGER NOT NULL CHECK(cache_write_1h_tok >= 0),
  web_searches INTEGER NOT NULL CHECK(web_searches >= 0),
  charge_nusd INTEGER NOT NULL CHECK(charge_nusd >= 0), -- posts, without corrections
  PRIMARY KEY(day, key_id, model, provider, upstream_model, usage_source, experiment, arm)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER usage_day_grows BEFORE UPDATE ON usage_day
  WHEN NEW.attempts < OLD.attempts OR NEW.charge_nusd < OLD.charge_nusd
    OR OLD.day < (SELECT pruned_day FROM rollup)
BEGIN SELECT RAISE(ABORT, 'what was summed up stays summed up'); END;
CREATE TRIGGER usage_day_is_over BEFORE INSERT ON usage_day
  WHEN NEW.day < (SELECT pruned_day FROM rollup)
BEGIN SELECT RAISE(ABORT, 'the detail of this day is gone'); END;
CREATE TRIGGER usage_day_stays BEFORE DELETE ON usage_day
BEGIN SELECT RAISE(ABORT, 'what was summed up stays summed up'); END;

-- Detail may be deleted for days before rollup.pruned_day, and only for these: the number only
-- grows, and never beyond what is in usage_day.
DROP TRIGGER attempt_stays;
CREATE TRIGGER attempt_stays BEFORE DELETE ON attempt
  WHEN OLD.admitted_ms >= (SELECT pruned_day * 86400000 FROM rollup)
    OR OLD.state NOT IN ('SETTLED', 'VOID')
BEGIN SELECT RAISE(ABORT, 'attempts are not deleted'); END;
DROP TRIGGER entry_stays;
CREATE TRIGGER entry_stays BEFORE DELETE ON entry
  WHEN coalesce((SELECT a.admitted_ms FROM attempt a WHERE a.id = OLD.attempt_id)
    >= (SELECT pruned_day * 86400000 FROM rollup), 1)
BEGIN SELECT RAISE(ABORT, 'the journal is immutable'); END;

-- No index of its own: attempts of a time are found key by key, through attempt_key.
