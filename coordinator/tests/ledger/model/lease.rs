//! Who works on what: workers, leases and their ends.

use curvefleet_coordinator::ledger::Error;
use curvefleet_coordinator::ledger::backoff::backoff_ms;
use curvefleet_coordinator::ledger::heartbeat::{Heard, Heartbeat, Held, Renewed};
use curvefleet_coordinator::ledger::lease::{ANOTHER_WORKER_MS, Given, Lease, Leased};
use curvefleet_coordinator::ledger::register::Register;
use curvefleet_coordinator::ledger::release::Release;
use curvefleet_coordinator::ledger::state::{RunState, StudyState};
use curvefleet_coordinator::ledger::vanish::LOST_WORKERS;

use super::{Known, Model, ShardState};
use crate::bench::SETTINGS;

impl Model {
    pub fn register(&mut self, now_ms: u64, register: &Register) {
        let known = self.workers.get(&register.worker);
        if known.is_some_and(|known| known.register.session != register.session) {
            let error = format!("the worker `{}` was started anew and does not know of the lease", register.worker);
            for index in 0..self.shards.len() {
                if self.shards[index].worker == register.worker {
                    let fence = self.shards[index].fence;
                    self.note(now_ms, index, None, (&register.worker, fence), ("infrastructure", &error, ""));
                    self.lose_worker(now_ms, index);
                    self.shards[index].end_lease(now_ms);
                }
            }
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

    pub fn seen(&mut self, now_ms: u64, worker: &str) -> bool {
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
        if leases.is_empty() {
            self.want(lease);
        }
        let waiting = self.shards.iter().filter(|shard| shard.state == ShardState::Pending);
        let first_ms = waiting.map(|shard| shard.not_before_ms).filter(|ms| *ms > now_ms).min();
        let wait_ms = first_ms.map_or(1_000, |ms| (ms - now_ms).clamp(100, 1_000));
        let retry_after_ms = if leases.is_empty() { wait_ms } else { 0 };
        Ok(Leased { leases, retry_after_ms, drained: false })
    }

    /// Leases what waits: of the studies of highest priority, from the one with the least work leased, in the plan's order.
    fn lease_to(&mut self, now_ms: u64, lease: &Lease, is_alone: bool, leases: &mut Vec<Given>) {
        let mut ahead_ms = 0;
        let of_worker = self.shards.iter().filter(|shard| shard.worker == lease.worker);
        let mut held: u64 = of_worker.map(|shard| shard.pending().count() as u64).sum();
        let slots: u64 = self.list_workers(now_ms).iter().filter(|w| w.takes_work()).map(|w| u64::from(w.slots)).sum();
        let own_slots = u64::from(self.workers[&lease.worker].register.slots);
        // Sharing goes by what was leased when the request came.
        let mut leased: Vec<u64> = (0..self.studies.len()).map(|study| self.leased_ms(study)).collect();
        let open: Vec<u64> = (0..self.studies.len())
            .map(|study| self.count(study, RunState::Pending) + self.unentered_runs(study))
            .collect();
        while let Some(index) = self.next_shard(now_ms, lease, is_alone, &leased) {
            let study = self.shards[index].study;
            let runs = self.shards[index].pending().count() as u64;
            let work_ms = runs * self.shards[index].work_ms;
            if leases.len() >= lease.shards as usize {
                let is_fair = 2 * (held + runs) * slots <= open[study] * own_slots;
                if lease.ahead_ms == 0 || leases.len() >= 64 || ahead_ms + work_ms > lease.ahead_ms || !is_fair {
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
                held += runs;
                shard.state = ShardState::Leased;
                shard.fence += 1;
                shard.worker = lease.worker.clone();
                shard.leased_ms = now_ms;
                shard.deadline_ms = now_ms + SETTINGS.lease_ms;
                shard.avoid = String::new();
                (shard.wanted_by, shard.spent, shard.in_training) = (String::new(), false, None);
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
            let training = heartbeat.in_training.get(&held.shard).cloned();
            for run in training.iter().filter(|training| training.has_epoch).flat_map(|training| &training.runs) {
                if let Some(place) = self.shards[shard].place_of(run) {
                    self.shards[shard].run(place).lost_workers = 0;
                }
            }
            self.shards[shard].in_training = training;
            let study = &self.studies[self.shards[shard].study];
            let wanted = !self.shards[shard].wanted_by.is_empty();
            Some(Renewed { study: study.submit.study.name.clone(), hand_back: study.paused_ms > 0, wanted })
        });
        heard.leases = leases.collect();
        heard
    }

    pub fn held(&self, key: &str, worker: &str, fence: u64) -> Option<usize> {
        self.shards.iter().position(|shard| shard.is_held(key, worker, fence))
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
                if !all {
                    self.lose_worker(now_ms, index);
                }
                let shard = &mut self.shards[index];
                shard.setbacks += u32::from(!all);
                let not_before_ms = if all { now_ms } else { now_ms + backoff_ms(shard.setbacks) };
                shard.end_lease(not_before_ms);
                if shard.state == ShardState::Pending {
                    shard.not_before_ms = shard.not_before_ms.max(not_before_ms);
                }
                expired += 1;
            }
        }
        expired
    }

    /// A worker that is lost in the first epoch of runs, after others were, is held against them.
    fn lose_worker(&mut self, now_ms: u64, index: usize) {
        let shard = &self.shards[index];
        let (worker, fence) = (shard.worker.clone(), shard.fence);
        let Some(training) = shard.in_training.clone().filter(|training| !training.has_epoch) else { return };
        for place in training.runs.iter().filter_map(|run| self.shards[index].place_of(run)).collect::<Vec<_>>() {
            self.suspect(now_ms, index, place, (&worker, fence));
        }
    }

    fn suspect(&mut self, now_ms: u64, index: usize, place: usize, (worker, fence): (&str, u64)) {
        let study = self.shards[index].study;
        let run = self.shards[index].run(place);
        if run.state != RunState::Pending || run.tried_fence == fence {
            return;
        }
        run.lost_workers += 1;
        if run.lost_workers < LOST_WORKERS {
            return;
        }
        let error = format!(
            "{} workers in a row, the last one `{worker}`, were lost before this run finished an epoch with them: it probably needs more \
             memory than they have, and the system ended them",
            run.lost_workers
        );
        (run.error, run.worker) = (error.clone(), worker.to_string());
        (run.attempts, run.tried_fence) = (run.attempts + 1, fence);
        let set_aside = run.attempts == SETTINGS.max_attempts;
        if set_aside {
            run.state = RunState::Failed;
        }
        self.note(now_ms, index, Some(place), (worker, fence), ("run", &error, ""));
        self.settle(now_ms, index);
        if set_aside {
            self.changed(now_ms, study);
        }
    }
}
