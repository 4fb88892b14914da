-- Spend alerts: one row for each threshold that was passed, written in the transaction of the
-- settlement that passed it (router/alert_db.c), told by server/webhook.c.
-- "Once" is per account (an owner's window), threshold and cap: another cap is another promise,
-- so that a total that is topped up warns again.
CREATE TABLE alert(
  id INTEGER PRIMARY KEY,
  public_id BLOB NOT NULL UNIQUE CHECK(length(public_id) = 16), -- for receivers: the same in every try
  account_id INTEGER NOT NULL REFERENCES account(id),
  threshold INTEGER NOT NULL CHECK(threshold BETWEEN 1 AND 100), -- per cent of the cap
  cap_nusd INTEGER NOT NULL CHECK(cap_nusd > 0),
  spent_nusd INTEGER NOT NULL CHECK(spent_nusd >= 0),
  at_ms INTEGER NOT NULL,
  logged_ms INTEGER,                             -- NULL = not in the log yet
  delivered_ms INTEGER,                          -- NULL = nobody has taken it yet
  tries INTEGER NOT NULL DEFAULT 0 CHECK(tries >= 0),
  next_try_ms INTEGER DEFAULT 0,                 -- NULL = there will be none: delivered, or given up
  UNIQUE(account_id, threshold, cap_nusd),
  CHECK(delivered_ms IS NULL OR next_try_ms IS NULL)
) STRICT;

-- For alert_db_due: what is still to be told.
CREATE INDEX alert_due ON alert(next_try_ms) WHERE next_try_ms IS NOT NULL;
