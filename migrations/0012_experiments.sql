-- A/B tests (docs/api.md "Experiments"): what is compared, for whom, and what users said of it.
-- The arm of a request is computed from these rows alone (router/experiment.h), so that every
-- server and every start give the same; what it was is in the request's own row.

-- A stopped experiment keeps its rows and its name, which is not used again: reports go by it.
CREATE TABLE experiment(
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  model TEXT NOT NULL,                       -- alias or id, as asked
  layer TEXT NOT NULL,                       -- those of one layer share its 10,000 slots:
  slot_from INTEGER NOT NULL,                -- no unit is in two of them
  slot_to INTEGER NOT NULL,                  -- the first one behind
  salt TEXT NOT NULL UNIQUE,                 -- random, hex
  unit TEXT NOT NULL CHECK(unit IN ('key', 'user') OR unit IN ('session', 'request')),
  ramp INTEGER NOT NULL CHECK(ramp BETWEEN 0 AND 10000), -- of 10,000 units, so many take part
  metrics TEXT NOT NULL,                     -- [{"name", "better": "higher"|"lower"}]
  guardrails TEXT NOT NULL,                  -- [{"metric": "error_rate"|"cost"|"latency", "max"}]
  created_ms INTEGER NOT NULL,
  stopped_ms INTEGER,
  stop_reason TEXT,
  CHECK(slot_from >= 0 AND slot_from < slot_to AND slot_to <= 10000),
  CHECK((stopped_ms IS NULL) = (stop_reason IS NULL))
) STRICT;

-- For the snapshot of what runs.
CREATE INDEX experiment_running ON experiment(id) WHERE stopped_ms IS NULL;

CREATE TRIGGER experiment_facts BEFORE UPDATE OF id, name, model, layer, slot_from, slot_to, salt,
  unit, metrics, guardrails, created_ms ON experiment
BEGIN SELECT RAISE(ABORT, 'the facts of an experiment do not change'); END;
CREATE TRIGGER experiment_ends_once BEFORE UPDATE ON experiment WHEN OLD.stopped_ms IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'this experiment has been stopped'); END;
CREATE TRIGGER experiment_stays BEFORE DELETE ON experiment
BEGIN SELECT RAISE(ABORT, 'experiments are kept'); END;

CREATE TABLE arm(
  experiment_id INTEGER NOT NULL REFERENCES experiment(id),
  position INTEGER NOT NULL CHECK(position >= 0),
  name TEXT NOT NULL,
  weight INTEGER NOT NULL CHECK(weight > 0), -- a share; a shadow arm's: per cent
  shadow INTEGER NOT NULL CHECK(shadow IN (0, 1)), -- 1: gets copies, answers nobody
  prefs TEXT NOT NULL,                       -- routing fields in the flat form, model, models
  PRIMARY KEY(experiment_id, position),
  UNIQUE(experiment_id, name)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER arm_keeps BEFORE UPDATE ON arm
BEGIN SELECT RAISE(ABORT, 'the arms of an experiment do not change'); END;
CREATE TRIGGER arm_stays BEFORE DELETE ON arm
BEGIN SELECT RAISE(ABORT, 'the arms of an experiment do not change'); END;

-- Who was assigned: a 64-bit hash of the unit that the experiment salts; NULL = in none.
ALTER TABLE request ADD COLUMN unit INTEGER;
-- For reports of one experiment, in the order of time.
CREATE INDEX request_experiment ON request(experiment, id) WHERE experiment IS NOT NULL;

-- What came of a generation: the last value of a metric counts.  Goes with its request.
CREATE TABLE feedback(
  request_id BLOB NOT NULL REFERENCES request(id) ON DELETE CASCADE,
  metric TEXT NOT NULL,
  value REAL NOT NULL,
  at_ms INTEGER NOT NULL,
  PRIMARY KEY(request_id, metric)
) STRICT, WITHOUT ROWID;
