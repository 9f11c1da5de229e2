//! Parts that are lost.

use std::collections::BTreeSet;

use curvefleet_coordinator::ledger::Error;
use curvefleet_coordinator::ledger::lose::{CommittedPart, CommittedParts, Lose, Lost};
use curvefleet_coordinator::ledger::state::{RunState, StudyState};

use super::{Model, Run, ShardState};

impl Model {
    pub fn committed_parts(&self, asked: &CommittedParts) -> Result<Vec<CommittedPart>, Error> {
        let study = self.find(&asked.study)?;
        let is_named = |index: usize| {
            let mut runs = self.shards_of(study).into_iter().flat_map(|shard| self.shards[shard].runs.values());
            runs.any(|run| run.state == RunState::Done && run.part == Some(index))
        };
        let find = |key: &String| self.parts.iter().position(|part| part.key == *key).filter(|index| is_named(*index));
        let found = asked.parts.iter().filter_map(find).map(|index| &self.parts[index]);
        Ok(found
            .map(|part| CommittedPart {
                key: part.key.clone(),
                size_bytes: part.size_bytes,
                sha256: part.sha256.clone(),
            })
            .collect())
    }

    pub fn lose(&mut self, now_ms: u64, lose: &Lose) -> Result<Lost, Error> {
        let asked = self.find(&lose.study)?;
        let mut requeued = 0;
        for (key, found) in &lose.parts {
            let Some(part) = self.parts.iter().position(|part| part.key == *key) else { continue };
            let (worker, fence) = (self.parts[part].worker.clone(), self.parts[part].fence);
            let mut studies = BTreeSet::new();
            let is_of_part = |run: &Run| run.state == RunState::Done && run.part == Some(part);
            if self.shards.iter().flat_map(|shard| shard.runs.values()).any(is_of_part) {
                self.audit(now_ms, &lose.who, "retry damaged", key, found);
            }
            for shard in 0..self.shards.len() {
                let study = self.shards[shard].study;
                let goes_on = matches!(self.studies[study].state, StudyState::Active | StudyState::Finished);
                let places: Vec<usize> = self.shards[shard].runs.keys().copied().collect();
                for place in places {
                    let run = self.shards[shard].run(place);
                    if run.state != RunState::Done || run.part != Some(part) {
                        continue;
                    }
                    run.state = if goes_on { RunState::Pending } else { RunState::Cancelled };
                    (run.part, run.attempts) = (None, 0);
                    (run.error, run.worker) = (String::new(), String::new());
                    requeued += u64::from(study == asked);
                    studies.insert(study);
                    let error = format!("the part {key} {found}");
                    self.note(now_ms, shard, Some(place), (&worker, fence), ("lost", &error, ""));
                }
                let shard = &mut self.shards[shard];
                if studies.contains(&study) && shard.state == ShardState::Closed && shard.pending().count() > 0 {
                    shard.reopen();
                }
            }
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
