//! The operations that move parts.

use curvefleet_coordinator::ledger::Error;
use curvefleet_coordinator::ledger::compact::{
    CLAIM_MS, EndCompaction, LARGE_BYTES, LAST_PARTS, ListMoved, Made, Moved, Plan, Source, TARGET_BYTES, TARGET_RUNS,
};
use curvefleet_coordinator::ledger::state::{RunState, StudyState};

use super::{Compaction, Model};

pub fn is_small(runs: u64, size_bytes: u64) -> bool {
    (1..TARGET_RUNS).contains(&runs) && size_bytes < LARGE_BYTES
}

impl Model {
    /// The object that holds a part's rows: key, size and SHA-256.
    pub fn object(&self, part: usize) -> (&str, u64, &str) {
        let part = &self.parts[part];
        match part.compaction.map(|index| &self.compactions[index]) {
            Some(large) => (&large.key, large.size_bytes, &large.sha256),
            None => (&part.key, part.size_bytes, &part.sha256),
        }
    }

    /// The parts whose rows the object of a key holds.
    pub fn parts_in(&self, key: &str) -> Vec<usize> {
        (0..self.parts.len()).filter(|part| self.object(*part).0 == key).collect()
    }

    /// A study's loose parts, by shard and age.
    fn loose(&self, study: usize) -> Vec<usize> {
        let of_study = |part: &usize| {
            let part = &self.parts[*part];
            part.is_loose && self.shards[part.shard].study == study
        };
        let mut loose: Vec<usize> = (0..self.parts.len()).filter(of_study).collect();
        loose.sort_by_key(|part| (self.parts[*part].shard, *part));
        loose
    }

    pub fn plan_compaction(&mut self, now_ms: u64) -> Option<Plan> {
        let is_full = |parts: &[usize]| {
            let runs: u64 = parts.iter().map(|part| self.parts[*part].runs).sum();
            let bytes: u64 = parts.iter().map(|part| self.parts[*part].size_bytes).sum();
            runs >= TARGET_RUNS || bytes >= TARGET_BYTES
        };
        let is_ripe = |study: &usize| {
            let told = &self.studies[*study];
            let loose = self.loose(*study);
            let is_last = told.state != StudyState::Active && loose.len() as u64 >= LAST_PARTS;
            told.compaction_until_ms <= now_ms && (is_full(&loose) || is_last)
        };
        let study = (0..self.studies.len()).find(is_ripe)?;
        let loose = self.loose(study);
        let count = (1..=loose.len()).find(|count| is_full(&loose[..*count])).unwrap_or(loose.len());
        let source = |part: &usize| {
            let (index, part) = (*part, &self.parts[*part]);
            let shard = &self.shards[part.shard];
            let done = shard.runs.values().filter(|run| run.state == RunState::Done && run.part == Some(index));
            Source {
                part: part.key.clone(),
                plan_place: shard.plan_place,
                size_bytes: part.size_bytes,
                sha256: part.sha256.clone(),
                runs: done.map(|run| run.id.clone()).collect(),
            }
        };
        let mut sources: Vec<Source> = loose[..count].iter().map(source).collect();
        sources.sort_by_key(|source| source.plan_place);
        let told = &mut self.studies[study];
        (told.compaction_claim, told.compaction_until_ms) = (told.compaction_claim + 1, now_ms + CLAIM_MS);
        Some(Plan { study: told.submit.study.name.clone(), claim: told.compaction_claim, sources })
    }

    pub fn end_compaction(&mut self, now_ms: u64, end: &EndCompaction) -> Result<u64, Error> {
        let study = self.find(&end.study)?;
        for part in self.loose(study) {
            if end.unfit.contains(&self.parts[part].key) {
                self.parts[part].is_loose = false;
            }
        }
        let moved = end.made.as_ref().map_or(0, |made| self.moved(now_ms, study, made));
        let told = &mut self.studies[study];
        if told.compaction_claim == end.claim {
            told.compaction_until_ms = 0;
        }
        Ok(moved)
    }

    fn moved(&mut self, now_ms: u64, study: usize, made: &Made) -> u64 {
        if self.compactions.iter().any(|known| known.key == made.key) {
            return 0;
        }
        let loose = self.loose(study);
        let sources: Vec<usize> =
            loose.into_iter().filter(|part| made.sources.contains(&self.parts[*part].key)).collect();
        if sources.is_empty() {
            return 0;
        }
        for part in &sources {
            (self.parts[*part].is_loose, self.parts[*part].compaction) = (false, Some(self.compactions.len()));
        }
        let Made { key, size_bytes, sha256, .. } = made.clone();
        self.compactions.push(Compaction { study, key, size_bytes, sha256, at_ms: now_ms });
        for study in 0..self.studies.len() {
            let shards = self.shards.iter().filter(|shard| shard.study == study);
            let mut parts = shards.flat_map(|shard| shard.runs.values()).filter_map(|run| run.part);
            if parts.any(|part| sources.contains(&part)) {
                self.studies[study].changes += 1;
            }
        }
        sources.len() as u64
    }

    pub fn list_moved(&self, list: &ListMoved) -> Result<Vec<Moved>, Error> {
        let study = self.find(&list.study)?;
        let moved = self.parts.iter().filter_map(|part| {
            let large = &self.compactions[part.compaction?];
            let is_wanted = large.study == study && large.at_ms >= list.since_ms && part.key > list.after;
            is_wanted.then(|| Moved { part: part.key.clone(), moved_ms: large.at_ms })
        });
        let mut moved: Vec<Moved> = moved.collect();
        moved.sort_by(|a, b| a.part.cmp(&b.part));
        moved.truncate(list.limit as usize);
        Ok(moved)
    }
}
