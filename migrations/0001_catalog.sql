-- Providers, models, endpoints and their prices.  Read whole by catalog_db_load into the
-- snapshot that every request uses; written by catalog_db_merge (an import) only.
-- Secrets are never stored: a credential row says where the secret is found.

CREATE TABLE provider(
  id INTEGER PRIMARY KEY,
  slug TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  protocol TEXT NOT NULL,
  base_url TEXT NOT NULL,                    -- '' = not known: listed, not routable
  region TEXT,
  auth TEXT NOT NULL CHECK(auth IN ('bearer', 'api_key', 'basic', 'custom', 'none')),
  auth_header TEXT,
  collects INTEGER NOT NULL CHECK(collects IN (0, 1)),
  zdr INTEGER NOT NULL CHECK(zdr IN (0, 1)),
  cancel_stops_billing INTEGER NOT NULL CHECK(cancel_stops_billing IN (0, 1)),
  connect_ms INTEGER NOT NULL CHECK(connect_ms > 0),
  first_byte_ms INTEGER NOT NULL CHECK(first_byte_ms > 0),
  idle_ms INTEGER NOT NULL CHECK(idle_ms > 0),
  total_ms INTEGER NOT NULL CHECK(total_ms > 0)
) STRICT;

CREATE TABLE credential(
  provider_id INTEGER NOT NULL REFERENCES provider(id),
  n INTEGER NOT NULL CHECK(n >= 0),          -- order of use
  kind TEXT NOT NULL CHECK(kind IN ('none', 'env', 'file')),
  ref TEXT NOT NULL,                         -- variable name or path
  PRIMARY KEY(provider_id, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE provider_header(
  provider_id INTEGER NOT NULL REFERENCES provider(id),
  n INTEGER NOT NULL CHECK(n >= 0),
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY(provider_id, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE model(
  id INTEGER PRIMARY KEY,
  slug TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  distillable INTEGER NOT NULL CHECK(distillable IN (0, 1)),
  created_ms INTEGER NOT NULL
) STRICT;

-- Other names a client may send; never one that is a model's own slug.
CREATE TABLE model_alias(
  name TEXT NOT NULL PRIMARY KEY,
  model_id INTEGER NOT NULL REFERENCES model(id),
  n INTEGER NOT NULL                         -- order in the file
) STRICT, WITHOUT ROWID;

-- For catalog_db_load, which reads the aliases model by model.
CREATE INDEX model_alias_model ON model_alias(model_id, n);

CREATE TABLE endpoint(
  id INTEGER PRIMARY KEY,                    -- stable: attempts and health refer to it
  model_id INTEGER NOT NULL REFERENCES model(id),
  provider_id INTEGER NOT NULL REFERENCES provider(id),
  variant TEXT NOT NULL DEFAULT '',          -- '' = none
  upstream_model TEXT NOT NULL,
  context_length INTEGER NOT NULL CHECK(context_length >= 0),               -- 0 = unknown
  max_completion_tokens INTEGER NOT NULL CHECK(max_completion_tokens >= 0), -- 0 = unknown
  quantization TEXT NOT NULL,
  modalities TEXT NOT NULL,                  -- words, separated by spaces, as the next two
  params TEXT NOT NULL,
  server_tools TEXT NOT NULL,
  price_id INTEGER,                          -- the version in force; NULL: removed, or inside an import
  UNIQUE(model_id, provider_id, variant)
) STRICT;

-- Price versions: immutable, kept for ever, since attempts are recomputed from them.
-- Pico-USD per token (prompt .. cache_write_1h, audio) or per unit; NULL = not stated.
CREATE TABLE price(
  id INTEGER PRIMARY KEY,
  endpoint_id INTEGER NOT NULL REFERENCES endpoint(id),
  valid_from_ms INTEGER NOT NULL,
  prompt INTEGER CHECK(prompt >= 0),
  completion INTEGER CHECK(completion >= 0),
  cache_read INTEGER CHECK(cache_read >= 0),
  cache_write_5m INTEGER CHECK(cache_write_5m >= 0),
  cache_write_1h INTEGER CHECK(cache_write_1h >= 0),
  request INTEGER CHECK(request >= 0),
  image INTEGER CHECK(image >= 0),
  web_search INTEGER CHECK(web_search >= 0),
  audio INTEGER CHECK(audio >= 0)
) STRICT;

-- Applies to the whole request when its prompt is above the threshold; NULL inherits.
CREATE TABLE price_tier(
  price_id INTEGER NOT NULL REFERENCES price(id),
  above_prompt_tok INTEGER NOT NULL CHECK(above_prompt_tok > 0),
  prompt INTEGER CHECK(prompt >= 0),
  completion INTEGER CHECK(completion >= 0),
  cache_read INTEGER CHECK(cache_read >= 0),
  cache_write_5m INTEGER CHECK(cache_write_5m >= 0),
  cache_write_1h INTEGER CHECK(cache_write_1h >= 0),
  request INTEGER CHECK(request >= 0),
  image INTEGER CHECK(image >= 0),
  web_search INTEGER CHECK(web_search >= 0),
  audio INTEGER CHECK(audio >= 0),
  PRIMARY KEY(price_id, above_prompt_tok)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER price_stays BEFORE DELETE ON price
BEGIN SELECT RAISE(ABORT, 'price versions are kept'); END;
CREATE TRIGGER price_keeps BEFORE UPDATE ON price
BEGIN SELECT RAISE(ABORT, 'price versions are immutable'); END;
CREATE TRIGGER tier_stays BEFORE DELETE ON price_tier
BEGIN SELECT RAISE(ABORT, 'price versions are kept'); END;
CREATE TRIGGER tier_keeps BEFORE UPDATE ON price_tier
BEGIN SELECT RAISE(ABORT, 'price versions are immutable'); END;

-- One row; version grows with every import that changed something.
CREATE TABLE catalog_meta(
  id INTEGER PRIMARY KEY CHECK(id = 1),
  version INTEGER NOT NULL
) STRICT;
INSERT INTO catalog_meta(id, version) VALUES(1, 0);
