-- A study may rest: since when, 0 where it does not. None of its shards is leased, and those that are leased are handed back.
ALTER TABLE studies ADD COLUMN paused_ms INTEGER NOT NULL DEFAULT 0;
-- when a run of it was committed last
ALTER TABLE studies ADD COLUMN committed_ms INTEGER NOT NULL DEFAULT 0;

-- when the lease at hand, or the last one, was given
ALTER TABLE shards ADD COLUMN leased_ms INTEGER NOT NULL DEFAULT 0;
-- the worker that failed on it last: others are tried first
ALTER TABLE shards ADD COLUMN avoid TEXT NOT NULL DEFAULT '';

CREATE INDEX shards_avoided ON shards(avoid) WHERE state = 'pending' AND avoid <> '';
CREATE INDEX shards_backoff ON shards(not_before_ms) WHERE state = 'pending' AND not_before_ms > 0;

-- the process that goes by the worker's name, and the number of its last request for work
ALTER TABLE workers ADD COLUMN session TEXT NOT NULL DEFAULT '';
ALTER TABLE workers ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
-- when it began, ended politely (0: it has not), and committed something last
ALTER TABLE workers ADD COLUMN registered_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN left_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN committed_ms INTEGER NOT NULL DEFAULT 0;
-- what it has: JSON
ALTER TABLE workers ADD COLUMN has TEXT NOT NULL DEFAULT '';
-- a drained worker is given nothing: since when (0: it is not), by whom, why
ALTER TABLE workers ADD COLUMN drained_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN drained_by TEXT NOT NULL DEFAULT '';
ALTER TABLE workers ADD COLUMN drain_reason TEXT NOT NULL DEFAULT '';

-- The runs that failed on a worker since it committed something last.
CREATE TABLE failing (
  worker TEXT NOT NULL,
  run TEXT NOT NULL,
  study_id INTEGER NOT NULL REFERENCES studies(id),
  at_ms INTEGER NOT NULL,
  error TEXT NOT NULL,
  PRIMARY KEY (worker, run)
) WITHOUT ROWID;

-- why, in the words of who did it
ALTER TABLE audit ADD COLUMN note TEXT NOT NULL DEFAULT '';
