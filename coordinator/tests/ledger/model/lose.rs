//! Parts that are lost.

use std::collections::BTreeSet;

use curvefleet_coordinator::ledger::Error;
use curvefleet_coordinator::ledger::lose::{CommittedPart, CommittedParts, Lose, Lost};
use curvefleet_coordinator::ledger::state::{RunState, StudyState};

use super::{Model, Run, ShardState};

impl Model {
    pub fn committed_parts(&self, asked: &CommittedParts) -> Result<Vec<CommittedPart>, Error> {
        let study = self.find(&asked.study)?;
        let is_named = |key: &String| {
            let parts = self.parts_in(key);
            let mut runs = self.shards_of(study).into_iter().flat_map(|shard| self.shards[shard].runs.values());
            runs.any(|run| run.state == RunState::Done && run.part.is_some_and(|part| parts.contains(&part)))
        };
        let named = asked.parts.iter().filter(|key| is_named(key)).map(|key| {
            let (_, size_bytes, sha256) = self.object(self.parts_in(key)[0]);
            CommittedPart { key: key.clone(), size_bytes, sha256: sha256.to_string() }
        });
        Ok(named.collect())
    }

    pub fn lose(&mut self, now_ms: u64, lose: &Lose) -> Result<Lost, Error> {
        let asked = self.find(&lose.study)?;
        let mut requeued = 0;
        for (key, found) in &lose.parts {
            let parts = self.parts_in(key);
            let mut studies = BTreeSet::new();
            let is_lost = |run: &Run| run.state == RunState::Done && run.part.is_some_and(|part| parts.contains(&part));
            for shard in 0..self.shards.len() {
                let study = self.shards[shard].study;
                let goes_on = matches!(self.studies[study].state, StudyState::Active | StudyState::Finished);
                let places: Vec<usize> = self.shards[shard].runs.keys().copied().collect();
                for place in places {
                    let run = self.shards[shard].run(place);
                    let Some(part) = run.part.filter(|_| is_lost(run)) else { continue };
                    run.state = if goes_on { RunState::Pending } else { RunState::Cancelled };
                    (run.part, run.attempts, run.lost_workers) = (None, 0, 0);
                    (run.error, run.worker) = (String::new(), String::new());
                    requeued += u64::from(study == asked);
                    studies.insert(study);
                    let error = format!("the part {key} {found}");
                    let (worker, fence) = (self.parts[part].worker.clone(), self.parts[part].fence);
                    self.note(now_ms, shard, Some(place), (&worker, fence), ("lost", &error, ""));
                }
                let shard = &mut self.shards[shard];
                if studies.contains(&study) && shard.state == ShardState::Closed && shard.pending().count() > 0 {
                    shard.reopen();
                }
            }
            if !studies.is_empty() {
                self.audit(now_ms, &lose.who, "retry damaged", key, found);
            }
            parts.into_iter().for_each(|part| self.parts[part].is_loose = false);
            for study in studies {
                let told = &mut self.studies[study];
                if matches!(told.state, StudyState::Active | StudyState::Finished) {
                    (told.state, told.ended_ms) = (StudyState::Active, 0);
                }
                told.changes += 1;
            }
        }
        Ok(Lost { requeued, status: self.status(now_ms, asked) })
    }
}
