-- Large parts that the rows of many small ones were moved into.
CREATE TABLE compactions (
  id INTEGER PRIMARY KEY,
  -- the study that the small ones were committed for
  study_id INTEGER NOT NULL REFERENCES studies(id),
  key TEXT NOT NULL UNIQUE,
  size_bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  at_ms INTEGER NOT NULL
);

CREATE INDEX compactions_study ON compactions(study_id, at_ms);

-- who compacts a study: as for manifests, one at a time and each with a number of its own
ALTER TABLE studies ADD COLUMN compaction_claim INTEGER NOT NULL DEFAULT 0;
ALTER TABLE studies ADD COLUMN compaction_until_ms INTEGER NOT NULL DEFAULT 0;
-- its loose parts, their runs and bytes
ALTER TABLE studies ADD COLUMN loose_parts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE studies ADD COLUMN loose_runs INTEGER NOT NULL DEFAULT 0;
ALTER TABLE studies ADD COLUMN loose_bytes INTEGER NOT NULL DEFAULT 0;

-- the study that it was committed for, and how many runs it made done
ALTER TABLE parts ADD COLUMN study_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE parts ADD COLUMN runs INTEGER NOT NULL DEFAULT 0;
-- loose: it may be moved; kept: it stays as it is; moved: its rows are in its compaction's part
ALTER TABLE parts ADD COLUMN state TEXT NOT NULL DEFAULT 'kept';
ALTER TABLE parts ADD COLUMN compaction_id INTEGER REFERENCES compactions(id);

UPDATE parts SET study_id = (SELECT shards.study_id FROM shards WHERE shards.id = parts.shard_id),
  runs = (SELECT COUNT(*) FROM runs WHERE runs.shard_id = parts.shard_id AND runs.part_id = parts.id);
-- the bounds of compact.rs
UPDATE parts SET state = 'loose' WHERE runs > 0 AND runs < 1000 AND size_bytes < 33554432;
UPDATE studies SET
  loose_parts = (SELECT COUNT(*) FROM parts WHERE parts.state = 'loose' AND parts.study_id = studies.id),
  loose_runs = (SELECT COALESCE(SUM(parts.runs), 0) FROM parts WHERE parts.state = 'loose' AND parts.study_id = studies.id),
  loose_bytes = (SELECT COALESCE(SUM(parts.size_bytes), 0) FROM parts WHERE parts.state = 'loose' AND parts.study_id = studies.id);

CREATE INDEX parts_loose ON parts(study_id, shard_id, id) WHERE state = 'loose';
CREATE INDEX parts_compaction ON parts(compaction_id) WHERE compaction_id IS NOT NULL;
