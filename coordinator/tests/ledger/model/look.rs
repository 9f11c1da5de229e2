//! What there is.

use std::sync::Arc;

use curvefleet_coordinator::ledger::Error;
use curvefleet_coordinator::ledger::audit::{Entry, ListAudit};
use curvefleet_coordinator::ledger::check::CheckRuns;
use curvefleet_coordinator::ledger::logs::{self, Attempts, Logs};
use curvefleet_coordinator::ledger::manifest::{self, ReadPage, Stale};
use curvefleet_coordinator::ledger::origin::Training;
use curvefleet_coordinator::ledger::runs::{self, ListRuns, Place};
use curvefleet_coordinator::ledger::state::{RunState, StudyState};
use curvefleet_coordinator::ledger::study::{self, GetStudy, Status};
use curvefleet_coordinator::ledger::workers::Worker;
use curvefleet_proto::plan;
use curvefleet_proto::requirement::Requirement;

use super::{Model, Run, Shard, ShardState};
use crate::bench::SETTINGS;

/// A shard and the place of a run in it.
type Placed<'a> = (&'a Shard, usize);

impl Model {
    pub fn status(&self, now_ms: u64, study: usize) -> Status {
        let leased = self.shards.iter().filter(|shard| shard.study == study && shard.state == ShardState::Leased);
        let leased = leased.map(|shard| shard.pending().count() as u64).sum();
        let shards = plan::shards(&self.studies[study].submit.study).unwrap();
        let planned = shards.map(|shard| shard.seeds.len() as u64).sum();
        let study_index = study;
        let study = &self.studies[study];
        Status {
            name: study.submit.study.name.clone(),
            hash: study.submit.hash.clone(),
            state: study.state,
            stop_reason: study.stop_reason.clone(),
            priority: study.priority,
            paused_ms: study.paused_ms,
            planned,
            done: self.count(study_index, RunState::Done),
            failed: self.count(study_index, RunState::Failed),
            cancelled: self.count(study_index, RunState::Cancelled),
            leased,
            epochs_per_run: u64::from(study.submit.study.training.epochs),
            submitted_ms: study.submitted_ms,
            ended_ms: study.ended_ms,
            manifest_runs: study.manifest_runs,
            manifest_current: study.manifest_changes == Some(study.changes),
            unentered: self.unentered(study_index),
            unmet: self.unmet(now_ms, study_index),
        }
    }

    /// What shards that wait need and no worker has.
    fn unmet(&self, now_ms: u64, study: usize) -> Vec<String> {
        let told = &self.studies[study];
        let is_unmet = |requirement: &Requirement| {
            let waits = |shard: &Shard| {
                shard.study == study
                    && shard.state == ShardState::Pending
                    && told.submit.study.requirement_of(&shard.spec.model) == *requirement
            };
            let mut workers = self.list_workers(now_ms).into_iter().filter(|worker| worker.takes_work());
            self.shards.iter().any(waits) && !workers.any(|worker| requirement.lacking(&worker.has).is_none())
        };
        let needed = told.submit.study.requirements();
        if told.state != StudyState::Active || needed.iter().all(Requirement::is_empty) {
            return Vec::new();
        }
        needed.iter().filter(|needed| is_unmet(needed)).map(Requirement::describe).collect()
    }

    pub fn list_studies(&self, now_ms: u64) -> Vec<Status> {
        (0..self.studies.len()).rev().map(|study| self.status(now_ms, study)).collect()
    }

    pub fn get_study(&self, now_ms: u64, get: &GetStudy) -> Result<study::Study, Error> {
        let study = self.find(&get.name)?;
        Ok(study::Study { status: self.status(now_ms, study), toml: self.studies[study].submit.toml.clone() })
    }

    pub fn check_runs(&self, check: &CheckRuns) -> Vec<String> {
        let done = |id: &String| {
            let mut runs = self.shards.iter().flat_map(|shard| shard.runs.values());
            runs.any(|run| run.id == *id && run.state == RunState::Done)
        };
        check.runs.iter().filter(|id| done(id)).cloned().collect()
    }

    /// The runs of a study after a place, at most `limit`, and where there may be more.
    fn page(
        &self,
        study: usize,
        after: Option<Place>,
        limit: u32,
        wanted: impl Fn(&Run) -> bool,
    ) -> (Vec<Placed<'_>>, Option<Place>) {
        let shards = self.shards.iter().filter(|shard| shard.study == study);
        let mut runs: Vec<_> = shards.flat_map(|shard| shard.runs.keys().map(move |place| (shard, *place))).collect();
        runs.retain(|(shard, place)| wanted(&shard.runs[place]) && Some((shard.plan_place, *place as u64)) > after);
        runs.sort_by_key(|(shard, place)| (shard.plan_place, *place));
        runs.truncate(limit as usize);
        let full = runs.len() == limit as usize;
        let next = runs.last().filter(|_| full).map(|(shard, place)| (shard.plan_place, *place as u64));
        (runs, next)
    }

    pub fn list_runs(&self, list: &ListRuns) -> Result<runs::Page, Error> {
        let study = self.find(&list.study)?;
        let wanted = |run: &Run| list.state.is_none_or(|state| run.state == state);
        let (runs, next) = self.page(study, list.after, list.limit, wanted);
        let runs = runs.into_iter().map(|(shard, place)| {
            let run = &shard.runs[&place];
            runs::Run {
                place: (shard.plan_place, place as u64),
                run: run.id.clone(),
                shard: shard.spec.shard.as_str().to_string(),
                data: shard.spec.data.clone(),
                condition: shard.spec.condition.clone(),
                labels: shard.spec.settings.condition.labels.as_str().to_string(),
                model: shard.spec.model.clone(),
                seed: run.seed,
                state: run.state,
                attempts: run.attempts,
                error: run.error.clone(),
                part: run.part.map(|part| self.object(part).0.to_string()).unwrap_or_default(),
                worker: run.worker.clone(),
            }
        });
        Ok(runs::Page { runs: runs.collect(), next })
    }

    pub fn list_workers(&self, now_ms: u64) -> Vec<Worker> {
        self.workers.keys().map(|name| self.worker(now_ms, name)).collect()
    }

    pub fn worker(&self, now_ms: u64, name: &str) -> Worker {
        let known = &self.workers[name];
        let register = &known.register;
        let (drained_ms, drained_by, drain_reason) = known.drained.clone().unwrap_or_default();
        Worker {
            name: name.to_string(),
            slots: register.slots,
            backend: register.backend.clone(),
            version: register.version.clone(),
            has: register.has.clone(),
            registered_ms: known.registered_ms,
            last_seen_ms: known.last_seen_ms,
            left_ms: known.left_ms,
            shards: self.shards.iter().filter(|shard| shard.worker == *name).count() as u32,
            alive: known.left_ms == 0 && known.last_seen_ms + SETTINGS.lease_ms >= now_ms,
            drained_ms,
            drained_by,
            drain_reason,
        }
    }

    pub fn list_audit(&self, list: &ListAudit) -> Vec<Entry> {
        let wanted = |entry: &&Entry| {
            list.before.is_none_or(|before| entry.id < before)
                && (list.target.is_empty() || entry.target == list.target)
        };
        self.audit.iter().rev().filter(wanted).take(list.limit as usize).cloned().collect()
    }

    pub fn logs(&self, logs: &Logs) -> Result<Attempts, Error> {
        let ids = self.shards.iter().flat_map(|shard| shard.runs.values()).map(|run| &run.id);
        let mut found: Vec<_> = ids.filter(|id| id.starts_with(&logs.run)).collect();
        found.sort();
        found.dedup();
        let run = match found[..] {
            [] => return Err(Error::NoRun(logs.run.clone())),
            [run] => run.clone(),
            _ => return Err(Error::AmbiguousRun(logs.run.clone())),
        };
        let mut attempts = Vec::new();
        let mut done_in = Vec::new();
        let mut all: Vec<_> = self.attempts.iter().collect();
        all.sort_by_key(|attempt| attempt.at_ms);
        for attempt in all {
            let runs = &self.shards[attempt.shard].runs;
            let about = match attempt.place {
                Some(place) => runs.get(&place).is_some_and(|other| other.id == run),
                // A lease's end concerns the runs that were not done by then.
                None => runs.values().any(|other| other.id == run) && !done_in.contains(&attempt.shard),
            };
            if about {
                attempts.push(logs::Attempt {
                    worker: attempt.worker.clone(),
                    fence: attempt.fence,
                    at_ms: attempt.at_ms,
                    outcome: attempt.outcome.to_string(),
                    error: attempt.error.clone(),
                    log: attempt.log.clone(),
                });
                if attempt.outcome == "done" {
                    done_in.push(attempt.shard);
                }
            }
        }
        Ok(Attempts { run, attempts, left_out: 0 })
    }

    pub fn stale_manifests(&self) -> Vec<Stale> {
        let stale = (0..self.studies.len()).filter(|study| {
            let study = &self.studies[*study];
            study.manifest_changes != Some(study.changes)
        });
        let stale = stale.map(|study| Stale {
            study: self.studies[study].submit.study.name.clone(),
            ended: self.studies[study].state != StudyState::Active,
            runs: self.count(study, RunState::Done) + self.count(study, RunState::Failed),
        });
        stale.collect()
    }

    pub fn manifest_page(&self, read: &ReadPage) -> Result<manifest::Page, Error> {
        let study = self.find(&read.study)?;
        let shown = |run: &Run| matches!(run.state, RunState::Done | RunState::Failed);
        let (runs, next) = self.page(study, read.after, read.limit, shown);
        let entries = runs.into_iter().map(|(shard, place)| {
            let run = &shard.runs[&place];
            let part = run.part.map(|part| &self.parts[part]);
            let object = run.part.map(|part| self.object(part));
            manifest::Entry {
                place: (shard.plan_place, place as u64),
                run: run.id.clone(),
                data: shard.spec.data.clone(),
                condition: shard.spec.condition.clone(),
                labels: shard.spec.settings.condition.labels.as_str().to_string(),
                model: shard.spec.model.clone(),
                seed: run.seed,
                shard: shard.spec.shard.as_str().to_string(),
                state: run.state.as_str().to_string(),
                part: object.map(|(key, ..)| key.to_string()),
                size_bytes: object.map(|(_, size_bytes, _)| size_bytes),
                sha256: object.map(|(.., sha256)| sha256.to_string()),
                fence: part.map(|part| part.fence),
                worker: Some(part.map_or(&run.worker, |part| &part.worker).clone()),
                committed_ms: part.map(|part| part.committed_ms),
                attempts: run.attempts,
                error: Some(run.error.clone()).filter(|error| !error.is_empty()),
                training: part.and_then(|part| part.provenance.as_ref()).and_then(|known| {
                    let (_, trained) = known.trained.iter().find(|(id, _)| *id == run.id)?;
                    Some(Training { origin: Arc::new(known.origin.clone()), trained: *trained })
                }),
            }
        });
        Ok(manifest::Page { changes: self.studies[study].changes, entries: entries.collect(), next })
    }
}
