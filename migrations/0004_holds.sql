-- Holds that grow while their attempt runs (a stream that produces more than was expected), and
-- how large a team's holds are (docs/money.md).

-- How the prompt and an absent max_tokens are bounded: by what cannot be exceeded, or by what
-- was learned from earlier requests.
ALTER TABLE team ADD COLUMN bound TEXT NOT NULL DEFAULT 'calibrated'
  CHECK(bound IN ('strict', 'calibrated'));

-- What an attempt holds grows with an entry of kind 'extend', and never shrinks.
DROP TRIGGER attempt_facts;
CREATE TRIGGER attempt_facts BEFORE UPDATE OF id, request_id, n, team_id, key_id, admitted_ms,
  price_version ON attempt
BEGIN SELECT RAISE(ABORT, 'the facts of an attempt do not change'); END;
CREATE TRIGGER attempt_hold_grows BEFORE UPDATE OF hold_nusd ON attempt
  WHEN NEW.hold_nusd < OLD.hold_nusd
BEGIN SELECT RAISE(ABORT, 'a hold does not shrink'); END;

-- The journal: one hold per attempt and its extensions, then one post (what it cost) or one
-- release (nothing); corrections come later and are rows of their own.
CREATE TABLE entry_4(
  attempt_id BLOB NOT NULL REFERENCES attempt(id),
  kind TEXT NOT NULL CHECK(kind IN ('hold', 'extend', 'post', 'release', 'correction')),
  n INTEGER NOT NULL DEFAULT 1 CHECK(n = 1 OR n > 1 AND kind IN ('extend', 'correction')),
  amount_nusd INTEGER NOT NULL CHECK(amount_nusd >= 0 OR kind = 'correction'),
  at_ms INTEGER NOT NULL,
  PRIMARY KEY(attempt_id, kind, n)
) STRICT, WITHOUT ROWID;
INSERT INTO entry_4 SELECT attempt_id, kind, n, amount_nusd, at_ms FROM entry;
DROP TABLE entry;
ALTER TABLE entry_4 RENAME TO entry;

CREATE TRIGGER entry_keeps BEFORE UPDATE ON entry
BEGIN SELECT RAISE(ABORT, 'the journal is immutable'); END;
CREATE TRIGGER entry_stays BEFORE DELETE ON entry
BEGIN SELECT RAISE(ABORT, 'the journal is immutable'); END;

-- The kind of prompt (enum estimate_class, router/estimate.h) where its size teaches something
-- about the next one; NULL = it does not.  Read at start by router/calibrate_db.c.
ALTER TABLE attempt ADD COLUMN prompt_class INTEGER;
