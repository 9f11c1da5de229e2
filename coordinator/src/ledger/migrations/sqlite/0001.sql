-- The ledger's first schema. Times are milliseconds since 1970 by the ledger's clock; 0 stands for "not yet".

CREATE TABLE studies (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  hash TEXT NOT NULL,
  -- active, finished, cancelled or stopped
  state TEXT NOT NULL,
  stop_reason TEXT NOT NULL DEFAULT '',
  -- studies of higher priority are leased first
  priority INTEGER NOT NULL DEFAULT 0,
  epochs_per_run INTEGER NOT NULL,
  -- counters of its runs, kept up in the transactions that change the runs
  planned INTEGER NOT NULL DEFAULT 0,
  done INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,
  cancelled INTEGER NOT NULL DEFAULT 0,
  submitted_ms INTEGER NOT NULL,
  ended_ms INTEGER NOT NULL DEFAULT 0,
  -- counts the changes that a manifest shows; the manifest in the store is current where both are equal
  changes INTEGER NOT NULL DEFAULT 0,
  manifest_changes INTEGER NOT NULL DEFAULT 0,
  manifest_runs INTEGER NOT NULL DEFAULT 0
);

-- Long texts that never change stand apart from the rows whose counters and states do: a database writes whole rows.
CREATE TABLE study_files (
  study_id INTEGER PRIMARY KEY REFERENCES studies(id),
  toml TEXT NOT NULL
);

CREATE INDEX studies_active ON studies(priority, id) WHERE state = 'active';

CREATE TABLE shards (
  id INTEGER PRIMARY KEY,
  study_id INTEGER NOT NULL REFERENCES studies(id),
  -- its place in the plan, from 0
  place INTEGER NOT NULL,
  key TEXT NOT NULL UNIQUE,
  data TEXT NOT NULL,
  condition TEXT NOT NULL,
  labels TEXT NOT NULL,
  model TEXT NOT NULL,
  -- pending, leased or closed
  state TEXT NOT NULL,
  -- of the last lease; never falls
  fence INTEGER NOT NULL DEFAULT 0,
  -- who holds it; empty unless leased
  worker TEXT NOT NULL DEFAULT '',
  deadline_ms INTEGER NOT NULL DEFAULT 0,
  -- not leased before this time
  not_before_ms INTEGER NOT NULL DEFAULT 0,
  -- infrastructure failures since something was committed last
  setbacks INTEGER NOT NULL DEFAULT 0,
  -- how many of its runs are pending
  open INTEGER NOT NULL,
  UNIQUE (study_id, place)
);

CREATE TABLE shard_specs (
  shard_id INTEGER PRIMARY KEY REFERENCES shards(id),
  spec_json TEXT NOT NULL
);

CREATE INDEX shards_waiting ON shards(study_id, place) WHERE state = 'pending';
CREATE INDEX shards_deadline ON shards(deadline_ms) WHERE state = 'leased';
CREATE INDEX shards_leased ON shards(study_id) WHERE state = 'leased';
CREATE INDEX shards_held ON shards(worker) WHERE state = 'leased';

CREATE TABLE parts (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  size_bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  shard_id INTEGER NOT NULL REFERENCES shards(id),
  fence INTEGER NOT NULL,
  worker TEXT NOT NULL,
  committed_ms INTEGER NOT NULL
);

CREATE TABLE runs (
  shard_id INTEGER NOT NULL REFERENCES shards(id),
  -- its place in the shard, from 0
  place INTEGER NOT NULL,
  key TEXT NOT NULL,
  seed INTEGER NOT NULL,
  -- pending, done, failed or cancelled
  state TEXT NOT NULL,
  -- failures held against it
  attempts INTEGER NOT NULL DEFAULT 0,
  -- fence of the last lease under which it failed: it is not waited for under that lease any more
  tried_fence INTEGER NOT NULL DEFAULT 0,
  error TEXT NOT NULL DEFAULT '',
  worker TEXT NOT NULL DEFAULT '',
  part_id INTEGER REFERENCES parts(id),
  PRIMARY KEY (shard_id, place)
) WITHOUT ROWID;

CREATE INDEX runs_key ON runs(key);

-- What was tried, for a person to read. A row without a run's place is about the whole lease.
CREATE TABLE attempts (
  id INTEGER PRIMARY KEY,
  shard_id INTEGER NOT NULL REFERENCES shards(id),
  place INTEGER,
  worker TEXT NOT NULL,
  fence INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  error TEXT NOT NULL,
  log TEXT NOT NULL
);

CREATE INDEX attempts_shard ON attempts(shard_id, place);

CREATE TABLE workers (
  name TEXT PRIMARY KEY,
  slots INTEGER NOT NULL,
  backend TEXT NOT NULL,
  version TEXT NOT NULL,
  last_seen_ms INTEGER NOT NULL
);

-- Who changed what by hand.
CREATE TABLE audit (
  id INTEGER PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  who TEXT NOT NULL,
  what TEXT NOT NULL,
  target TEXT NOT NULL
);
