-- What the last heartbeat said of a lease: the run in training, and whether it has finished an epoch under this lease.
ALTER TABLE shards ADD COLUMN in_training TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE shards ADD COLUMN has_epoch BIGINT NOT NULL DEFAULT 0;

-- Workers in a row that were lost in the run's first epoch under their lease.
ALTER TABLE runs ADD COLUMN lost_workers BIGINT NOT NULL DEFAULT 0;
