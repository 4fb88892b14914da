-- Holds that grow while they run, and where a bound came from.
SELECT 1;
