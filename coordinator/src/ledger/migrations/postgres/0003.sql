-- A study may rest: since when, 0 where it does not. None of its shards is leased, and those that are leased are handed back.
ALTER TABLE studies ADD COLUMN paused_ms BIGINT NOT NULL DEFAULT 0;
-- when a run of it was committed last
ALTER TABLE studies ADD COLUMN committed_ms BIGINT NOT NULL DEFAULT 0;

-- when the lease at hand, or the last one, was given
ALTER TABLE shards ADD COLUMN leased_ms BIGINT NOT NULL DEFAULT 0;
-- the worker that failed on it last: others are tried first
ALTER TABLE shards ADD COLUMN avoid TEXT COLLATE "C" NOT NULL DEFAULT '';

CREATE INDEX shards_avoided ON shards(avoid) WHERE state = 'pending' AND avoid <> '';
CREATE INDEX shards_backoff ON shards(not_before_ms) WHERE state = 'pending' AND not_before_ms > 0;

-- the process that goes by the worker's name, and the number of its last request for work
ALTER TABLE workers ADD COLUMN session TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE workers ADD COLUMN asked BIGINT NOT NULL DEFAULT 0;
-- when it began, ended politely (0: it has not), and committed something last
ALTER TABLE workers ADD COLUMN registered_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN left_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN committed_ms BIGINT NOT NULL DEFAULT 0;
-- what it has: JSON
ALTER TABLE workers ADD COLUMN has TEXT COLLATE "C" NOT NULL DEFAULT '';
-- a drained worker is given nothing: since when (0: it is not), by whom, why
ALTER TABLE workers ADD COLUMN drained_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN drained_by TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE workers ADD COLUMN drain_reason TEXT COLLATE "C" NOT NULL DEFAULT '';

-- The runs that failed on a worker since it committed something last.
CREATE TABLE failing (
  worker TEXT COLLATE "C" NOT NULL,
  run TEXT COLLATE "C" NOT NULL,
  study_id BIGINT NOT NULL REFERENCES studies(id),
  at_ms BIGINT NOT NULL,
  error TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (worker, run)
);

-- why, in the words of who did it
ALTER TABLE audit ADD COLUMN note TEXT COLLATE "C" NOT NULL DEFAULT '';
