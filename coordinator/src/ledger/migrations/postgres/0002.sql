-- Who may write a study's manifest into the store: one at a time, also where several coordinators serve one ledger. Each claim has
-- a number of its own; a claim that was not ended in time may be followed by another.
ALTER TABLE studies ADD COLUMN manifest_claim BIGINT NOT NULL DEFAULT 0;
-- until then, no one else claims it; 0 where no one writes
ALTER TABLE studies ADD COLUMN manifest_until_ms BIGINT NOT NULL DEFAULT 0;
