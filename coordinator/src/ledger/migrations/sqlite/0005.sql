-- What shards need of their workers: the study has the list, as JSON (empty: nothing in particular), each shard a place in it.
ALTER TABLE studies ADD COLUMN requirements TEXT NOT NULL DEFAULT '';
ALTER TABLE shards ADD COLUMN requires INTEGER NOT NULL DEFAULT 0;
-- planned work of each of its runs, in milliseconds of a core: what studies share workers by
ALTER TABLE shards ADD COLUMN work_ms INTEGER NOT NULL DEFAULT 1;

CREATE INDEX shards_queue ON shards(study_id, requires, place) WHERE state = 'pending';
DROP INDEX shards_waiting;
