//! What changes.

use std::collections::BTreeSet;

use curvefleet_coordinator::ledger::Error;
use curvefleet_coordinator::ledger::backoff::backoff_ms;
use curvefleet_coordinator::ledger::cancel::Cancel;
use curvefleet_coordinator::ledger::commit::Commit;
use curvefleet_coordinator::ledger::fail::Fail;
use curvefleet_coordinator::ledger::heartbeat::{Heard, Heartbeat, Held, Renewed};
use curvefleet_coordinator::ledger::lease::{ANOTHER_WORKER_MS, Given, Lease, Leased};
use curvefleet_coordinator::ledger::lose::{CommittedPart, CommittedParts, Lose, Lost};
use curvefleet_coordinator::ledger::manifest::{Abandon, Claim, Written};
use curvefleet_coordinator::ledger::register::Register;
use curvefleet_coordinator::ledger::release::Release;
use curvefleet_coordinator::ledger::retry::{Retried, Retry};
use curvefleet_coordinator::ledger::state::{FailureKind, RunState, StudyState};
use curvefleet_coordinator::ledger::study::Status;
use curvefleet_coordinator::ledger::submit::{Submit, Submitted};
use curvefleet_proto::artifact::part_key;
use curvefleet_proto::plan;

use super::{Attempt, Known, Model, Part, Run, Shard, ShardState, Study};
use crate::bench::SETTINGS;

impl Model {
    pub fn submit(&mut self, now_ms: u64, submit: &Submit) -> Result<Submitted, Error> {
        let name = &submit.study.name;
        if let Ok(study) = self.find(name) {
            if self.studies[study].submit.hash != submit.hash {
                return Err(Error::OtherStudy(name.clone()));
            }
            return Ok(Submitted { status: self.status(now_ms, study), existed: true, reused: 0 });
        }
        let study = self.studies.len();
        self.studies.push(Study {
            submit: submit.clone(),
            state: StudyState::Active,
            stop_reason: String::new(),
            priority: 0,
            paused_ms: 0,
            committed_ms: 0,
            submitted_ms: now_ms,
            ended_ms: 0,
            changes: 0,
            manifest_changes: Some(0),
            manifest_runs: 0,
            manifest_claim: 0,
            manifest_until_ms: 0,
        });
        let mut reused = 0;
        let cells = plan::cells(&submit.study).unwrap();
        for (place, spec) in plan::shards(&submit.study).unwrap().enumerate() {
            let is_cell = |cell: &&plan::Cell<'_>| plan::RunSettings::of(&submit.study, cell) == spec.settings;
            let work = plan::work::of(&submit.study, cells.iter().find(is_cell).unwrap());
            let work_ms = (work.core_seconds() * 1e3).clamp(1.0, 1e12) as u64;
            self.shards.push(new_shard(study, place as u64, spec, work_ms));
            let shard = self.shards.len() - 1;
            let adopted = self.adopt(shard);
            if adopted > 0 {
                self.settle(now_ms, shard);
            }
            reused += adopted;
        }
        if reused > 0 {
            self.changed(now_ms, study);
        }
        self.audit(now_ms, &submit.who, "submit", name, "");
        Ok(Submitted { status: self.status(now_ms, study), existed: false, reused })
    }

    pub fn register(&mut self, now_ms: u64, register: &Register) {
        let known = self.workers.get(&register.worker);
        if known.is_some_and(|known| known.register.session != register.session) {
            let error = format!("the worker `{}` was started anew and does not know of the lease", register.worker);
            self.lose_leases(now_ms, &register.worker, &[], &error);
        }
        let known = self.workers.entry(register.worker.clone()).or_insert_with(|| Known {
            register: register.clone(),
            registered_ms: now_ms,
            last_seen_ms: now_ms,
            left_ms: 0,
            committed_ms: 0,
            asked: 0,
            drained: None,
            failing: Vec::new(),
        });
        if known.register.session != register.session {
            (known.registered_ms, known.asked) = (now_ms, 0);
        }
        (known.register, known.last_seen_ms, known.left_ms) = (register.clone(), now_ms, 0);
    }

    fn seen(&mut self, now_ms: u64, worker: &str) -> bool {
        let Some(known) = self.workers.get_mut(worker) else { return false };
        known.last_seen_ms = now_ms;
        true
    }

    /// Ends the leases of a worker that are not among those named: nothing was tried.
    fn lose_leases(&mut self, now_ms: u64, worker: &str, held: &[Held], error: &str) {
        for index in 0..self.shards.len() {
            let shard = &self.shards[index];
            let is_named = |held: &Held| shard.is_held(&held.shard, worker, held.fence);
            if shard.worker == worker && !held.iter().any(is_named) {
                let fence = shard.fence;
                self.note(now_ms, index, None, (worker, fence), ("infrastructure", error, ""));
                self.shards[index].end_lease(now_ms);
            }
        }
    }

    pub fn lease(&mut self, now_ms: u64, lease: &Lease) -> Result<Leased, Error> {
        if !self.seen(now_ms, &lease.worker) {
            return Err(Error::NoWorker(lease.worker.clone()));
        }
        let known = &self.workers[&lease.worker];
        if !lease.session.is_empty() && known.register.session != lease.session {
            return Err(Error::Superseded(lease.worker.clone()));
        }
        if let Some(told) = &lease.known {
            if told.number <= known.asked {
                return Ok(Leased { retry_after_ms: 100, ..Leased::default() });
            }
            self.workers.get_mut(&lease.worker).unwrap().asked = told.number;
            let error = format!("the worker `{}` never heard of the lease: the answer was lost", lease.worker);
            self.lose_leases(now_ms, &lease.worker, &told.held, &error);
        }
        self.expire(now_ms, false);
        if self.workers[&lease.worker].drained.is_some() {
            return Ok(Leased { retry_after_ms: 1_000, drained: true, ..Leased::default() });
        }
        let mut leases = Vec::new();
        let others = self.list_workers(now_ms).into_iter().filter(|worker| worker.takes_work());
        let is_alone = others.filter(|worker| worker.name != lease.worker).count() == 0;
        self.lease_to(now_ms, lease, is_alone, &mut leases);
        let waiting = self.shards.iter().filter(|shard| shard.state == ShardState::Pending);
        let first_ms = waiting.map(|shard| shard.not_before_ms).filter(|ms| *ms > now_ms).min();
        let wait_ms = first_ms.map_or(1_000, |ms| (ms - now_ms).clamp(100, 1_000));
        let retry_after_ms = if leases.is_empty() { wait_ms } else { 0 };
        Ok(Leased { leases, retry_after_ms, drained: false })
    }

    /// Leases what waits: of the studies of highest priority, from the one with the least work leased, in the plan's order.
    fn lease_to(&mut self, now_ms: u64, lease: &Lease, is_alone: bool, leases: &mut Vec<Given>) {
        let mut ahead_ms = 0;
        let slots: u64 = self.list_workers(now_ms).iter().filter(|w| w.takes_work()).map(|w| u64::from(w.slots)).sum();
        // Sharing goes by what was leased when the request came.
        let mut leased: Vec<u64> = (0..self.studies.len()).map(|study| self.leased_ms(study)).collect();
        while let Some(index) = self.next_shard(now_ms, lease, is_alone, &leased) {
            let study = self.shards[index].study;
            let work_ms = self.shards[index].pending().count() as u64 * self.shards[index].work_ms;
            if leases.len() >= lease.shards as usize {
                let pending = |shard: &&Shard| shard.study == study && shard.state == ShardState::Pending;
                let is_plentiful = self.shards.iter().filter(pending).count() as u64 > slots;
                if lease.ahead_ms == 0 || leases.len() >= 64 || ahead_ms + work_ms > lease.ahead_ms || !is_plentiful {
                    return;
                }
            }
            if self.adopt(index) > 0 {
                self.settle(now_ms, index);
                self.changed(now_ms, study);
            }
            let shard = &mut self.shards[index];
            if shard.state == ShardState::Pending {
                ahead_ms += if leases.len() >= lease.shards as usize { work_ms } else { 0 };
                leased[study] += work_ms;
                shard.state = ShardState::Leased;
                shard.fence += 1;
                shard.worker = lease.worker.clone();
                shard.leased_ms = now_ms;
                shard.deadline_ms = now_ms + SETTINGS.lease_ms;
                shard.avoid = String::new();
                leases.push(Given {
                    study: self.studies[study].submit.study.name.clone(),
                    shard: shard.spec.shard.as_str().to_string(),
                    fence: shard.fence,
                    runs: shard.pending().map(|place| place as u32).collect(),
                    spec_json: serde_json::to_string(&shard.spec).unwrap(),
                    work_ms: shard.work_ms,
                });
            }
        }
    }

    fn leased_ms(&self, study: usize) -> u64 {
        let leased = self.shards.iter().filter(|shard| shard.study == study && shard.state == ShardState::Leased);
        leased.map(|shard| shard.pending().count() as u64 * shard.work_ms).sum()
    }

    /// The shard that is given next, if there is one for this worker.
    fn next_shard(&self, now_ms: u64, lease: &Lease, is_alone: bool, leased: &[u64]) -> Option<usize> {
        let has = &self.workers[&lease.worker].register.has;
        let may_have = |index: &usize| {
            let shard = &self.shards[*index];
            let study = &self.studies[shard.study];
            let is_forgotten = is_alone || shard.not_before_ms + ANOTHER_WORKER_MS <= now_ms;
            shard.state == ShardState::Pending
                && shard.not_before_ms <= now_ms
                && (shard.avoid != lease.worker || is_forgotten)
                && study.submit.study.requirement_of(&shard.spec.model).lacking(has).is_none()
                && study.state == StudyState::Active
                && study.paused_ms == 0
        };
        let order = |index: &usize| {
            let shard = &self.shards[*index];
            let study = &self.studies[shard.study];
            let needs = study.submit.study.requirement_of(&shard.spec.model);
            let requires = study.submit.study.requirements().iter().position(|known| *known == needs);
            (std::cmp::Reverse(study.priority), leased[shard.study], shard.study, requires, shard.place)
        };
        (0..self.shards.len()).filter(may_have).min_by_key(order)
    }

    pub fn heartbeat(&mut self, now_ms: u64, heartbeat: &Heartbeat) -> Heard {
        let mut heard = Heard { leases: vec![None; heartbeat.held.len()], ..Heard::default() };
        let Some(known) = self.workers.get_mut(&heartbeat.worker) else { return heard };
        heard.registered = true;
        heard.superseded = !heartbeat.session.is_empty() && known.register.session != heartbeat.session;
        if heard.superseded {
            return heard;
        }
        heard.drained = known.drained.is_some();
        self.seen(now_ms, &heartbeat.worker);
        let leases = heartbeat.held.iter().map(|held| {
            let shard = self.held(&held.shard, &heartbeat.worker, held.fence)?;
            self.shards[shard].deadline_ms = now_ms + SETTINGS.lease_ms;
            let study = &self.studies[self.shards[shard].study];
            Some(Renewed { study: study.submit.study.name.clone(), hand_back: study.paused_ms > 0 })
        });
        heard.leases = leases.collect();
        heard
    }

    fn held(&self, key: &str, worker: &str, fence: u64) -> Option<usize> {
        self.shards.iter().position(|shard| shard.is_held(key, worker, fence))
    }

    pub fn commit(&mut self, now_ms: u64, commit: &Commit) -> Result<bool, Error> {
        let refused = || Err(Error::Invalid(String::new()));
        let place_of = |shard: &Shard, id: &str| shard.runs.iter().position(|run| run.id == id);
        if let Some(part) = self.parts.iter().find(|part| part.key == commit.part) {
            let shard = &self.shards[part.shard];
            let same = part.sha256 == commit.sha256 && part.size_bytes == commit.size_bytes;
            let is_done = |(id, _): &(String, String)| {
                place_of(shard, id).is_some_and(|place| shard.runs[place].state == RunState::Done)
            };
            return if same && commit.runs.iter().all(is_done) { Ok(true) } else { refused() };
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
        });
        let mut done = Vec::new();
        for (place, log) in places.into_iter().filter_map(|(place, log)| Some((place?, log))) {
            if self.shards[index].runs[place].state != RunState::Done {
                self.make_done(index, place, part);
                self.note(now_ms, index, Some(place), (&commit.worker, commit.fence), ("done", "", log));
                done.push(self.shards[index].runs[place].id.clone());
            }
        }
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
                let same = |place: &usize| done.contains(&self.shards[shard].runs[*place].id);
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
        let run = &mut self.shards[shard].runs[place];
        (run.state, run.part, run.error, run.worker) = (RunState::Done, Some(part), String::new(), worker);
    }

    /// Makes pending runs done that are done elsewhere; says how many.
    fn adopt(&mut self, shard: usize) -> u64 {
        let places: Vec<_> = self.shards[shard].pending().collect();
        let mut adopted = 0;
        for place in places {
            let id = &self.shards[shard].runs[place].id;
            let done = self.shards.iter().flat_map(|other| &other.runs).filter(|run| run.id == *id);
            if let Some(part) = done.filter_map(|run| run.part).min() {
                self.make_done(shard, place, part);
                adopted += 1;
            }
        }
        adopted
    }

    pub fn fail(&mut self, now_ms: u64, fail: &Fail) -> Result<bool, Error> {
        let Some(index) = self.held(&fail.shard, &fail.worker, fail.fence) else { return Ok(false) };
        let Some(place) = self.shards[index].runs.iter().position(|run| run.id == fail.run) else {
            return Err(Error::Invalid(String::new()));
        };
        self.seen(now_ms, &fail.worker);
        let run = &mut self.shards[index].runs[place];
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
                let run = &mut self.shards[index].runs[place];
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

    pub fn release(&mut self, now_ms: u64, release: &Release) -> u32 {
        self.seen(now_ms, &release.worker);
        let mut released = 0;
        for held in &release.held {
            if let Some(shard) = self.held(&held.shard, &release.worker, held.fence) {
                self.shards[shard].end_lease(now_ms);
                released += 1;
            }
        }
        let session = self.workers.get(&release.worker).map(|known| known.register.session.clone());
        if release.leaving.is_some() && release.leaving == session {
            self.workers.get_mut(&release.worker).unwrap().left_ms = now_ms;
            for shard in self.shards.iter_mut().filter(|shard| shard.worker == release.worker) {
                shard.end_lease(now_ms);
                released += 1;
            }
        }
        released
    }

    pub fn expire(&mut self, now_ms: u64, all: bool) -> u64 {
        let mut expired = 0;
        for index in 0..self.shards.len() {
            let shard = &self.shards[index];
            if shard.state == ShardState::Leased && (all || shard.deadline_ms <= now_ms) {
                let (worker, fence) = (shard.worker.clone(), shard.fence);
                let how = if all { "with the process" } else { "because nothing was heard" };
                let when = if all { "" } else { " in time" };
                let error = format!("the lease ended {how} of the worker `{worker}`{when}");
                self.note(now_ms, index, None, (&worker, fence), ("infrastructure", &error, ""));
                let shard = &mut self.shards[index];
                shard.setbacks += u32::from(!all);
                shard.end_lease(if all { now_ms } else { now_ms + backoff_ms(shard.setbacks) });
                expired += 1;
            }
        }
        expired
    }

    pub fn cancel(&mut self, now_ms: u64, cancel: &Cancel) -> Result<Status, Error> {
        let study = self.find(&cancel.study)?;
        if self.studies[study].state == StudyState::Active {
            self.give_up(now_ms, study, StudyState::Cancelled, "");
            self.audit(now_ms, &cancel.who, "cancel", &cancel.study, "");
        }
        Ok(self.status(now_ms, study))
    }

    fn give_up(&mut self, now_ms: u64, study: usize, state: StudyState, reason: &str) {
        let told = &mut self.studies[study];
        (told.state, told.stop_reason, told.ended_ms) = (state, reason.to_string(), now_ms);
        for index in self.shards_of(study) {
            let shard = &mut self.shards[index];
            for run in shard.runs.iter_mut().filter(|run| run.state == RunState::Pending) {
                run.state = RunState::Cancelled;
            }
            shard.close();
        }
        self.changed(now_ms, study);
    }

    pub fn retry(&mut self, now_ms: u64, retry: &Retry) -> Result<Retried, Error> {
        let study = self.find(&retry.study)?;
        let mut requeued = 0;
        for index in self.shards_of(study) {
            let shard = &mut self.shards[index];
            for run in &mut shard.runs {
                if matches!(run.state, RunState::Failed | RunState::Cancelled) {
                    (run.state, run.attempts) = (RunState::Pending, 0);
                    requeued += 1;
                }
            }
        }
        if requeued > 0 {
            for index in self.shards_of(study) {
                let shard = &mut self.shards[index];
                if shard.state == ShardState::Closed && shard.pending().count() > 0 {
                    shard.reopen();
                }
            }
            let told = &mut self.studies[study];
            (told.state, told.stop_reason, told.ended_ms) = (StudyState::Active, String::new(), 0);
            told.changes += 1;
            self.audit(now_ms, &retry.who, "retry", &retry.study, &format!("{requeued} runs"));
        }
        Ok(Retried { requeued, status: self.status(now_ms, study) })
    }

    pub fn committed_parts(&self, asked: &CommittedParts) -> Result<Vec<CommittedPart>, Error> {
        let study = self.find(&asked.study)?;
        let is_named = |index: usize| {
            let mut runs = self.shards_of(study).into_iter().flat_map(|shard| &self.shards[shard].runs);
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
            if self.shards.iter().flat_map(|shard| &shard.runs).any(is_of_part) {
                self.audit(now_ms, &lose.who, "retry damaged", key, found);
            }
            for shard in 0..self.shards.len() {
                let study = self.shards[shard].study;
                let goes_on = matches!(self.studies[study].state, StudyState::Active | StudyState::Finished);
                for place in 0..self.shards[shard].runs.len() {
                    let run = &mut self.shards[shard].runs[place];
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

    pub fn claim_manifest(&mut self, now_ms: u64, claim: &Claim) -> Result<Option<u64>, Error> {
        let study = self.find(&claim.study)?;
        let runs: usize = self.shards_of(study).into_iter().map(|shard| self.shards[shard].runs.len()).sum();
        let study = &mut self.studies[study];
        if study.manifest_until_ms > now_ms {
            return Ok(None);
        }
        study.manifest_claim += 1;
        study.manifest_until_ms = now_ms + 15_000 + runs as u64 / 20;
        Ok(Some(study.manifest_claim))
    }

    pub fn abandon_manifest(&mut self, abandon: &Abandon) -> Result<(), Error> {
        let study = self.find(&abandon.study)?;
        let study = &mut self.studies[study];
        if study.manifest_claim == abandon.claim {
            study.manifest_until_ms = 0;
        }
        Ok(())
    }

    pub fn manifest_written(&mut self, written: &Written) -> Result<bool, Error> {
        let study = self.find(&written.study)?;
        let study = &mut self.studies[study];
        let last = study.manifest_claim == written.claim;
        if last {
            (study.manifest_changes, study.manifest_runs) = (Some(written.changes), written.runs);
            study.manifest_until_ms = 0;
        } else {
            study.manifest_changes = None;
        }
        Ok(last)
    }

    /// A shard without pending runs closes; a lease under which all that are left were tried ends.
    fn settle(&mut self, now_ms: u64, shard: usize) {
        let shard = &mut self.shards[shard];
        let left: Vec<_> = shard.pending().map(|place| &shard.runs[place]).collect();
        let attempts = left.iter().map(|run| run.attempts).max().unwrap_or(0);
        let (open, untried) = (!left.is_empty(), left.iter().any(|run| run.tried_fence < shard.fence));
        if !open {
            shard.close();
        } else if !untried {
            shard.end_failed_lease(now_ms + backoff_ms(attempts));
        }
    }

    /// Runs of a study have changed, and may have been its last.
    fn changed(&mut self, now_ms: u64, study: usize) {
        let open = self.count(study, RunState::Pending);
        let study = &mut self.studies[study];
        study.changes += 1;
        if study.state == StudyState::Active && open == 0 {
            (study.state, study.ended_ms) = (StudyState::Finished, now_ms);
        }
    }

    fn note(
        &mut self,
        at_ms: u64,
        shard: usize,
        place: Option<usize>,
        (worker, fence): (&str, u64),
        (outcome, error, log): (&'static str, &str, &str),
    ) {
        let (worker, error, log) = (worker.to_string(), error.to_string(), log.to_string());
        self.attempts.push(Attempt { shard, place, worker, fence, at_ms, outcome, error, log });
    }
}

fn new_shard(study: usize, place: u64, spec: plan::ShardSpec, work_ms: u64) -> Shard {
    let runs = spec.runs().map(|run| Run {
        id: run.id.to_string(),
        seed: run.seed,
        state: RunState::Pending,
        attempts: 0,
        tried_fence: 0,
        error: String::new(),
        worker: String::new(),
        part: None,
    });
    Shard {
        study,
        place,
        runs: runs.collect(),
        spec,
        state: ShardState::Pending,
        fence: 0,
        worker: String::new(),
        leased_ms: 0,
        deadline_ms: 0,
        not_before_ms: 0,
        setbacks: 0,
        avoid: String::new(),
        work_ms,
    }
}

impl Shard {
    fn end_lease(&mut self, not_before_ms: u64) {
        if self.state == ShardState::Leased {
            (self.state, self.worker, self.deadline_ms) = (ShardState::Pending, String::new(), 0);
            self.not_before_ms = not_before_ms;
        }
    }

    /// Others than its worker are tried first.
    fn end_failed_lease(&mut self, not_before_ms: u64) {
        if self.state == ShardState::Leased {
            self.avoid = self.worker.clone();
        }
        self.end_lease(not_before_ms);
    }

    fn reopen(&mut self) {
        (self.state, self.not_before_ms, self.setbacks) = (ShardState::Pending, 0, 0);
        self.avoid = String::new();
    }

    fn close(&mut self) {
        (self.state, self.worker, self.deadline_ms) = (ShardState::Closed, String::new(), 0);
    }
}
