-- Limits of one model or one endpoint: 0 = not stated, those further up hold (endpoint, model,
-- provider).
ALTER TABLE model ADD COLUMN connect_ms INTEGER NOT NULL DEFAULT 0 CHECK(connect_ms >= 0);
ALTER TABLE model ADD COLUMN first_byte_ms INTEGER NOT NULL DEFAULT 0 CHECK(first_byte_ms >= 0);
ALTER TABLE model ADD COLUMN idle_ms INTEGER NOT NULL DEFAULT 0 CHECK(idle_ms >= 0);
ALTER TABLE model ADD COLUMN total_ms INTEGER NOT NULL DEFAULT 0 CHECK(total_ms >= 0);
ALTER TABLE endpoint ADD COLUMN connect_ms INTEGER NOT NULL DEFAULT 0 CHECK(connect_ms >= 0);
ALTER TABLE endpoint ADD COLUMN first_byte_ms INTEGER NOT NULL DEFAULT 0 CHECK(first_byte_ms >= 0);
ALTER TABLE endpoint ADD COLUMN idle_ms INTEGER NOT NULL DEFAULT 0 CHECK(idle_ms >= 0);
ALTER TABLE endpoint ADD COLUMN total_ms INTEGER NOT NULL DEFAULT 0 CHECK(total_ms >= 0);
