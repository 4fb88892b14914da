-- Teams, API keys and their caps.  Read whole by identity_load (router/identity.c) into the
-- snapshot that every request uses; written by router/team_db.c and router/key_db.c.
-- Rows of team and api_key are never deleted: the ledger refers to them for ever.

CREATE TABLE team(
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE CHECK(length(name) BETWEEN 1 AND 63),
  timezone TEXT NOT NULL DEFAULT 'UTC',          -- IANA name: where this team's days begin
  created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE api_key(
  id INTEGER PRIMARY KEY,
  public_id TEXT NOT NULL UNIQUE CHECK(substr(public_id, 1, 4) = 'key_'),
  hash BLOB NOT NULL UNIQUE CHECK(length(hash) = 32), -- SHA-256 of the key's text
  name TEXT NOT NULL CHECK(length(name) BETWEEN 1 AND 63),
  team_id INTEGER NOT NULL REFERENCES team(id),
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER,                            -- NULL = never
  revoked_ms INTEGER,                            -- NULL = in force
  models TEXT CHECK(models IS NULL OR substr(models, 1, 1) = '['), -- NULL = all
  providers_only TEXT CHECK(providers_only IS NULL OR substr(providers_only, 1, 1) = '['),
  providers_ignore TEXT CHECK(providers_ignore IS NULL OR substr(providers_ignore, 1, 1) = '['),
  zdr INTEGER NOT NULL DEFAULT 0 CHECK(zdr IN (0, 1)),
  rpm INTEGER NOT NULL DEFAULT 0 CHECK(rpm >= 0),                -- 0 = unlimited, as the next two
  tpm INTEGER NOT NULL DEFAULT 0 CHECK(tpm >= 0),
  concurrency INTEGER NOT NULL DEFAULT 0 CHECK(concurrency >= 0),
  preset TEXT CHECK(preset IS NULL OR substr(preset, 1, 1) = '{'), -- canonical prefs
  allow_provider_configs INTEGER NOT NULL DEFAULT 0 CHECK(allow_provider_configs IN (0, 1)),
  -- What happens when a request's worst case does not fit under a cap.
  on_limit TEXT NOT NULL DEFAULT 'refuse' CHECK(on_limit IN ('refuse', 'clamp'))
) STRICT;

-- For key_db_list --team and the count of keys in team_db_list.
CREATE INDEX api_key_team ON api_key(team_id);

-- Hashes that were replaced by a rotation and are accepted until their grace is over.
CREATE TABLE key_hash(
  hash BLOB NOT NULL PRIMARY KEY CHECK(length(hash) = 32),
  key_id INTEGER NOT NULL REFERENCES api_key(id),
  valid_until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- For revocation, which ends every grace of the key at once.
CREATE INDEX key_hash_key ON key_hash(key_id);

-- Spend caps: one per owner and window.  owner_id is team.id or api_key.id by scope.
CREATE TABLE budget(
  id INTEGER PRIMARY KEY,
  scope TEXT NOT NULL CHECK(scope IN ('team', 'key')),
  owner_id INTEGER NOT NULL,
  window TEXT NOT NULL CHECK(window IN ('day', 'week', 'month', 'total')),
  cap_nusd INTEGER NOT NULL CHECK(cap_nusd >= 0),
  UNIQUE(scope, owner_id, window)
) STRICT;

-- One row; version grows with every change of the tables above, so that a snapshot
-- knows whether it is stale.
CREATE TABLE identity_meta(
  id INTEGER PRIMARY KEY CHECK(id = 1),
  version INTEGER NOT NULL
) STRICT;
INSERT INTO identity_meta(id, version) VALUES (1, 1);
