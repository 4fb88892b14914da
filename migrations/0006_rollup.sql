-- Detail rolled up by day; corrections by reconciliation.
SELECT 1;
