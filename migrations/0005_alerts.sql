-- Spend alerts: one row for each threshold that was passed.
SELECT 1;
