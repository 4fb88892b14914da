-- Requests that a client may repeat without being billed twice.
SELECT 1;
