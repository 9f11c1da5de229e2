-- A large study is entered some shards at a time: how many of its plan's shards, the last ones, are not in the ledger yet,
ALTER TABLE studies ADD COLUMN unentered INTEGER NOT NULL DEFAULT 0;
-- and how many of the runs that were entered were done in other studies already.
ALTER TABLE studies ADD COLUMN reused INTEGER NOT NULL DEFAULT 0;

CREATE INDEX studies_entering ON studies(id) WHERE unentered > 0;
