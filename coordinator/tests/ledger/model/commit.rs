//! What becomes of runs: commits and failures.

use curvefleet_coordinator::ledger::Error;
use curvefleet_coordinator::ledger::backoff::backoff_ms;
use curvefleet_coordinator::ledger::commit::Commit;
use curvefleet_coordinator::ledger::fail::Fail;
use curvefleet_coordinator::ledger::state::{FailureKind, RunState, StudyState};
use curvefleet_proto::artifact::part_key;

use super::compact::is_small;
use super::{Model, Part, Shard};
use crate::bench::SETTINGS;

impl Model {
    pub fn commit(&mut self, now_ms: u64, commit: &Commit) -> Result<bool, Error> {
        let refused = || Err(Error::Invalid(String::new()));
        let place_of = |shard: &Shard, id: &str| shard.place_of(id);
        if let Some(part) = self.parts.iter().find(|part| part.key == commit.part) {
            let same = part.sha256 == commit.sha256 && part.size_bytes == commit.size_bytes;
            return if same { Ok(true) } else { refused() };
        }
        let Some(index) = self.held(&commit.shard, &commit.worker, commit.fence) else { return Ok(false) };
        let study = self.shards[index].study;
        let name = self.studies[study].submit.study.name.clone();
        if !(0..1_000).any(|n| part_key(&name, &commit.shard, commit.fence, n) == commit.part) {
            return refused();
        }
        let places: Vec<_> = commit.runs.iter().map(|(id, log)| (place_of(&self.shards[index], id), log)).collect();
        if places.iter().any(|(place, _)| place.is_none()) {
            return refused();
        }
        if let Some(known) = self.workers.get_mut(&commit.worker) {
            (known.last_seen_ms, known.committed_ms) = (now_ms, now_ms);
        }
        let part = self.parts.len();
        self.parts.push(Part {
            key: commit.part.clone(),
            size_bytes: commit.size_bytes,
            sha256: commit.sha256.clone(),
            shard: index,
            fence: commit.fence,
            worker: commit.worker.clone(),
            committed_ms: now_ms,
            provenance: commit.provenance.clone(),
            runs: 0,
            is_loose: false,
            compaction: None,
        });
        let mut done = Vec::new();
        for (place, log) in places.into_iter().filter_map(|(place, log)| Some((place?, log))) {
            if self.shards[index].runs[&place].state != RunState::Done {
                self.make_done(index, place, part);
                self.note(now_ms, index, Some(place), (&commit.worker, commit.fence), ("done", "", log));
                done.push(self.shards[index].runs[&place].id.clone());
            }
        }
        self.parts[part].runs = done.len() as u64;
        self.parts[part].is_loose = is_small(done.len() as u64, commit.size_bytes);
        self.shards[index].setbacks = 0;
        self.settle(now_ms, index);
        if !done.is_empty() {
            self.changed(now_ms, study);
            self.studies[study].committed_ms = now_ms;
        }
        self.spread(now_ms, &done, part);
        Ok(true)
    }

    /// The same runs in other studies, where they are pending.
    fn spread(&mut self, now_ms: u64, done: &[String], part: usize) {
        for study in 0..self.studies.len() {
            let mut spread = false;
            for shard in self.shards_of(study) {
                let places: Vec<_> = self.shards[shard].pending().collect();
                let same = |place: &usize| done.contains(&self.shards[shard].runs[place].id);
                let places: Vec<_> = places.into_iter().filter(same).collect();
                for place in &places {
                    self.make_done(shard, *place, part);
                }
                if !places.is_empty() {
                    self.settle(now_ms, shard);
                    spread = true;
                }
            }
            if spread {
                self.changed(now_ms, study);
            }
        }
    }

    fn make_done(&mut self, shard: usize, place: usize, part: usize) {
        let worker = self.parts[part].worker.clone();
        let run = self.shards[shard].run(place);
        (run.state, run.part, run.error, run.worker) = (RunState::Done, Some(part), String::new(), worker);
    }

    /// Makes pending runs done that are done elsewhere; says how many.
    pub fn adopt(&mut self, shard: usize) -> u64 {
        let places: Vec<_> = self.shards[shard].pending().collect();
        let mut adopted = 0;
        for place in places {
            let id = &self.shards[shard].runs[&place].id;
            let done = self.shards.iter().flat_map(|other| other.runs.values()).filter(|run| run.id == *id);
            if let Some(part) = done.filter_map(|run| run.part).min() {
                self.make_done(shard, place, part);
                adopted += 1;
            }
        }
        adopted
    }

    pub fn fail(&mut self, now_ms: u64, fail: &Fail) -> Result<bool, Error> {
        let Some(index) = self.held(&fail.shard, &fail.worker, fail.fence) else { return Ok(false) };
        let Some(place) = self.shards[index].place_of(&fail.run) else {
            return Err(Error::Invalid(String::new()));
        };
        self.seen(now_ms, &fail.worker);
        let run = self.shards[index].run(place);
        let told_before = run.state != RunState::Pending || run.tried_fence == fail.fence;
        if fail.kind == FailureKind::Run && told_before {
            return Ok(true);
        }
        if run.state == RunState::Pending {
            (run.error, run.worker) = (fail.error.clone(), fail.worker.clone());
        }
        let how = (fail.kind.as_str(), fail.error.as_str(), fail.log.as_str());
        self.note(now_ms, index, Some(place), (&fail.worker, fail.fence), how);
        let study = self.shards[index].study;
        if fail.kind != FailureKind::Study {
            self.note_failure(now_ms, &fail.worker, &fail.run, study, &fail.error);
        }
        match fail.kind {
            FailureKind::Infrastructure => {
                let shard = &mut self.shards[index];
                shard.setbacks += 1;
                shard.end_failed_lease(now_ms + backoff_ms(shard.setbacks));
            }
            FailureKind::Run => {
                let run = self.shards[index].run(place);
                run.attempts += 1;
                run.tried_fence = fail.fence;
                if run.attempts == SETTINGS.max_attempts {
                    run.state = RunState::Failed;
                }
                let set_aside = run.state == RunState::Failed;
                self.settle(now_ms, index);
                if set_aside {
                    self.changed(now_ms, study);
                }
            }
            FailureKind::Study => self.give_up(now_ms, study, StudyState::Stopped, &fail.error),
        }
        Ok(true)
    }
}
