//! What changes studies, and the steps that many changes share.

use curvefleet_coordinator::ledger::Error;
use curvefleet_coordinator::ledger::backoff::backoff_ms;
use curvefleet_coordinator::ledger::cancel::Cancel;
use curvefleet_coordinator::ledger::enter::{Enter, Entered, Unentered};
use curvefleet_coordinator::ledger::retry::{Retried, Retry};
use curvefleet_coordinator::ledger::state::{RunState, StudyState};
use curvefleet_coordinator::ledger::study::Status;
use curvefleet_coordinator::ledger::submit::{Submit, Submitted};
use curvefleet_proto::plan;

use super::{Attempt, Model, Run, Shard, ShardState, Study};
use crate::bench::SETTINGS;

impl Model {
    pub fn submit(&mut self, now_ms: u64, submit: &Submit) -> Result<Submitted, Error> {
        let name = &submit.study.name;
        if let Ok(study) = self.find(name) {
            if self.studies[study].submit.hash != submit.hash {
                return Err(Error::OtherStudy(name.clone()));
            }
            return Ok(Submitted { status: self.status(now_ms, study), existed: true, entered: self.entered(study) });
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
            entered: 0,
            reused: 0,
            changes: 0,
            manifest_changes: Some(0),
            manifest_runs: 0,
            manifest_claim: 0,
            manifest_until_ms: 0,
            compaction_claim: 0,
            compaction_until_ms: 0,
        });
        self.audit(now_ms, &submit.who, "submit", name, "");
        let entered = self.enter_next(now_ms, study);
        Ok(Submitted { status: self.status(now_ms, study), existed: false, entered })
    }

    fn entered(&self, study: usize) -> Entered {
        Entered { left: self.unentered(study), reused: self.studies[study].reused }
    }

    pub fn enter(&mut self, now_ms: u64, enter: &Enter) -> Result<Entered, Error> {
        let study = self.find(&enter.study.name)?;
        if self.studies[study].submit.hash != enter.hash {
            return Err(Error::OtherStudy(enter.study.name.clone()));
        }
        Ok(self.enter_next(now_ms, study))
    }

    pub fn list_unentered(&self) -> Vec<Unentered> {
        let unentered = (0..self.studies.len()).filter(|study| self.unentered(*study) > 0);
        let submits = unentered.map(|study| &self.studies[study].submit);
        submits.map(|submit| Unentered { toml: submit.toml.clone(), hash: submit.hash.clone() }).collect()
    }

    /// Enters shard after shard until enough runs are; those of a study that was given up since are given up, too.
    fn enter_next(&mut self, now_ms: u64, study: usize) -> Entered {
        let submit = self.studies[study].submit.clone();
        let cells = plan::cells(&submit.study).unwrap();
        let (mut runs, mut changed) = (0, false);
        for (place, spec) in plan::shards(&submit.study).unwrap().enumerate().skip(self.studies[study].entered) {
            if runs >= SETTINGS.runs_entered_at_once as usize {
                break;
            }
            let is_cell = |cell: &&plan::Cell<'_>| plan::RunSettings::of(&submit.study, cell) == spec.settings;
            let work = plan::work::of(&submit.study, cells.iter().find(is_cell).unwrap());
            let work_ms = (work.core_seconds() * 1e3).clamp(1.0, 1e12) as u64;
            runs += spec.seeds.len();
            self.shards.push(new_shard(study, place as u64, spec, work_ms));
            self.studies[study].entered += 1;
            let shard = self.shards.len() - 1;
            if self.studies[study].state != StudyState::Active {
                self.shards[shard].state = ShardState::Closed;
                self.shards[shard].runs.values_mut().for_each(|run| run.state = RunState::Cancelled);
                changed = true;
                continue;
            }
            let adopted = self.adopt(shard);
            if adopted > 0 {
                self.settle(now_ms, shard);
                changed = true;
            }
            self.studies[study].reused += adopted;
        }
        if changed {
            self.changed(now_ms, study);
        }
        self.entered(study)
    }

    pub fn cancel(&mut self, now_ms: u64, cancel: &Cancel) -> Result<Status, Error> {
        let study = self.find(&cancel.study)?;
        if self.studies[study].state == StudyState::Active {
            self.give_up(now_ms, study, StudyState::Cancelled, "");
            self.audit(now_ms, &cancel.who, "cancel", &cancel.study, "");
        }
        Ok(self.status(now_ms, study))
    }

    pub fn give_up(&mut self, now_ms: u64, study: usize, state: StudyState, reason: &str) {
        let told = &mut self.studies[study];
        (told.state, told.stop_reason, told.ended_ms) = (state, reason.to_string(), now_ms);
        for index in self.shards_of(study) {
            let shard = &mut self.shards[index];
            for run in shard.runs.values_mut().filter(|run| run.state == RunState::Pending) {
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
            for run in shard.runs.values_mut() {
                if matches!(run.state, RunState::Failed | RunState::Cancelled) {
                    (run.state, run.attempts, run.lost_workers) = (RunState::Pending, 0, 0);
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

    /// A shard without pending runs closes; a lease under which all that are left were tried ends.
    pub fn settle(&mut self, now_ms: u64, shard: usize) {
        let shard = &mut self.shards[shard];
        let left: Vec<_> = shard.pending().map(|place| &shard.runs[&place]).collect();
        let attempts = left.iter().map(|run| run.attempts).max().unwrap_or(0);
        let (open, untried) = (!left.is_empty(), left.iter().any(|run| run.tried_fence < shard.fence));
        if !open {
            shard.close();
        } else if !untried {
            shard.end_failed_lease(now_ms + backoff_ms(attempts));
        }
    }

    /// Runs of a study have changed, and may have been its last.
    pub fn changed(&mut self, now_ms: u64, study: usize) {
        let open = self.count(study, RunState::Pending) + self.unentered(study);
        let study = &mut self.studies[study];
        study.changes += 1;
        if study.state == StudyState::Active && open == 0 {
            (study.state, study.ended_ms) = (StudyState::Finished, now_ms);
        }
    }

    pub fn note(
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
        lost_workers: 0,
        error: String::new(),
        worker: String::new(),
        part: None,
    });
    Shard {
        study,
        place,
        plan_place: place,
        runs: runs.enumerate().collect(),
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
        split_from: String::new(),
        wanted_by: String::new(),
        spent: false,
        in_training: None,
    }
}

impl Shard {
    pub fn end_lease(&mut self, not_before_ms: u64) {
        if self.state == ShardState::Leased {
            (self.state, self.worker, self.deadline_ms) = (ShardState::Pending, String::new(), 0);
            self.not_before_ms = not_before_ms;
        }
    }

    /// Others than its worker are tried first.
    pub fn end_failed_lease(&mut self, not_before_ms: u64) {
        if self.state == ShardState::Leased {
            self.avoid = self.worker.clone();
        }
        self.end_lease(not_before_ms);
    }

    pub fn reopen(&mut self) {
        (self.state, self.not_before_ms, self.setbacks) = (ShardState::Pending, 0, 0);
        self.avoid = String::new();
    }

    pub fn close(&mut self) {
        (self.state, self.worker, self.deadline_ms) = (ShardState::Closed, String::new(), 0);
    }
}
