-- Requests that a client may repeat without being billed twice: one row per API key and
-- Idempotency-Key header, written in the transaction of the request's first hold, so that nothing
-- is sent before it is there.  Kept for 24 hours (router/idempotency_db.c prunes).
CREATE TABLE idempotency(
  key_id INTEGER NOT NULL REFERENCES api_key(id),
  key_hash BLOB NOT NULL CHECK(length(key_hash) = 32),   -- SHA-256 of the header's value
  body_hash BLOB NOT NULL CHECK(length(body_hash) = 32), -- SHA-256 of what was asked
  request_id BLOB NOT NULL CHECK(length(request_id) = 16),
  created_ms INTEGER NOT NULL,
  PRIMARY KEY(key_id, key_hash)
) STRICT, WITHOUT ROWID;

-- For pruning, oldest first.
CREATE INDEX idempotency_created ON idempotency(created_ms);
