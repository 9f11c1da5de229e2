-- What the last heartbeat said of a lease: the runs in training, with commas between, and whether they have finished an epoch under it.
ALTER TABLE shards ADD COLUMN in_training TEXT NOT NULL DEFAULT '';
ALTER TABLE shards ADD COLUMN has_epoch INTEGER NOT NULL DEFAULT 0;

-- Workers in a row that were lost in the run's first epoch under their lease; and whether that holds of any run of the shard.
ALTER TABLE runs ADD COLUMN lost_workers INTEGER NOT NULL DEFAULT 0;
ALTER TABLE shards ADD COLUMN suspect INTEGER NOT NULL DEFAULT 0;
