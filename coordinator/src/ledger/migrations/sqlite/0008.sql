-- A shard may be split off another one: its id, empty where there is none. Its runs keep the places that the plan gave them: that of the
-- shard they come from, which listings go by, and their own in it.
ALTER TABLE shards ADD COLUMN split_from TEXT NOT NULL DEFAULT '';
ALTER TABLE shards ADD COLUMN plan_place INTEGER NOT NULL DEFAULT 0;
UPDATE shards SET plan_place = place;
CREATE INDEX shards_planned ON shards(study_id, plan_place);

-- a worker that has nothing to do and would have some of its runs; of interest while it is leased
ALTER TABLE shards ADD COLUMN wanted_by TEXT NOT NULL DEFAULT '';
-- 1 once its holder has said under the lease at hand that it has no run to spare
ALTER TABLE shards ADD COLUMN spent INTEGER NOT NULL DEFAULT 0;
CREATE INDEX shards_spare ON shards(study_id, requires) WHERE state = 'leased' AND wanted_by = '' AND spent = 0;
CREATE INDEX shards_wanted ON shards(wanted_by) WHERE state = 'leased' AND wanted_by <> '';
