-- The same refusal as in 0004, after the row was written instead of before: RAISE(ABORT) takes the
-- statement back either way, and SQLite need not look for the row a second time (a fifteenth of
-- what a settlement with the end of its request costs the ledger).
DROP TRIGGER attempt_ends_once;
CREATE TRIGGER attempt_ends_once AFTER UPDATE ON attempt WHEN OLD.state IN ('SETTLED', 'VOID')
BEGIN SELECT RAISE(ABORT, 'this attempt has ended'); END;
