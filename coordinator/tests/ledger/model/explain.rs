//! Everything that bears on where something is.

use curvefleet_coordinator::ledger::Error;
use curvefleet_coordinator::ledger::explain::{
    About, AboutRun, AboutShard, AboutStudy, AboutWorker, Counts, Explain, Explained, Failed, Lease, RunPlace,
    Standing, Waiting,
};
use curvefleet_coordinator::ledger::logs::{Attempt, Logs};
use curvefleet_coordinator::ledger::runs::ListRuns;
use curvefleet_coordinator::ledger::state::{RunState, StudyState};

use super::{Known, Model, Shard, ShardState};

impl Model {
    pub fn explain(&self, now_ms: u64, explain: &Explain) -> Result<Explained, Error> {
        let what = &explain.what;
        let mut about = Vec::new();
        if self.workers.contains_key(what) {
            about.push(About::Worker(Box::new(self.about_worker(now_ms, what))));
        }
        if let Ok(study) = self.find(what) {
            about.push(About::Study(Box::new(self.about_study(now_ms, study))));
        }
        if about.is_empty() {
            about.push(self.by_digits(now_ms, &what.to_ascii_lowercase(), what)?);
        }
        Ok(Explained { now_ms, about })
    }

    fn by_digits(&self, now_ms: u64, digits: &str, typed: &str) -> Result<About, Error> {
        let shards = (0..self.shards.len()).filter(|index| self.key(*index).starts_with(digits));
        let shards: Vec<usize> = shards.collect();
        let ids = self.shards.iter().flat_map(|shard| shard.runs.values()).map(|run| &run.id);
        let mut runs: Vec<&String> = ids.filter(|id| id.starts_with(digits)).collect();
        runs.sort();
        runs.dedup();
        match (&shards[..], &runs[..]) {
            ([], []) => Err(Error::Nothing(typed.to_string())),
            ([shard], []) => Ok(About::Shard(Box::new(self.about_shard(now_ms, *shard)))),
            ([], [run]) => Ok(About::Run(Box::new(self.about_run(now_ms, run)))),
            _ => Err(Error::Ambiguous(typed.to_string())),
        }
    }

    fn key(&self, shard: usize) -> &str {
        self.shards[shard].spec.shard.as_str()
    }

    fn about_run(&self, now_ms: u64, id: &str) -> AboutRun {
        let logs = self.logs(&Logs { run: id.to_string() }).unwrap();
        let left_out = logs.attempts.len().saturating_sub(10);
        let attempts = logs.attempts.into_iter().skip(left_out);
        let mut places = Vec::new();
        let mut shards: Vec<(usize, &Shard)> = self.shards.iter().enumerate().collect();
        shards.sort_by_key(|(_, shard)| shard.study);
        for (index, shard) in shards {
            let Some(place) = shard.place_of(id) else { continue };
            let run = &shard.runs[&place];
            let study = self.studies[shard.study].submit.study.name.clone();
            let list = ListRuns { study, state: None, after: None, limit: u32::MAX };
            let listed = self.list_runs(&list).unwrap().runs.into_iter();
            places.push(RunPlace {
                run: listed.rev().find(|listed| listed.run == id && listed.shard == self.key(index)).unwrap(),
                committed_ms: run.part.map_or(0, |part| self.parts[part].committed_ms),
                is_tried: shard.state == ShardState::Leased && run.tried_fence == shard.fence,
                shard: self.about_shard(now_ms, index),
            });
        }
        let attempts = attempts.map(|attempt| Attempt { log: String::new(), ..attempt }).collect();
        AboutRun { run: id.to_string(), attempts, left_out: left_out as u64, places }
    }

    fn about_shard(&self, now_ms: u64, index: usize) -> AboutShard {
        let shard = &self.shards[index];
        let needs = self.studies[shard.study].submit.study.requirement_of(&shard.spec.model);
        let count = |state| shard.runs.values().filter(|run| run.state == state).count() as u64;
        let failures = self.attempts.iter().rev().filter(|attempt| attempt.shard == index && attempt.outcome != "done");
        let last_failure = failures.map(|attempt| Attempt {
            worker: attempt.worker.clone(),
            fence: attempt.fence,
            at_ms: attempt.at_ms,
            outcome: attempt.outcome.to_string(),
            error: attempt.error.clone(),
            log: String::new(),
        });
        let is_before =
            |other: &&Shard| other.study == shard.study && other.place < shard.place && is_ready(other, now_ms);
        AboutShard {
            shard: self.key(index).to_string(),
            data: shard.spec.data.clone(),
            condition: shard.spec.condition.clone(),
            labels: shard.spec.settings.condition.labels.as_str().to_string(),
            model: shard.spec.model.clone(),
            state: shard.state,
            fence: shard.fence,
            holder: (!shard.worker.is_empty()).then(|| self.worker(now_ms, &shard.worker)),
            leased_ms: shard.leased_ms,
            deadline_ms: shard.deadline_ms,
            not_before_ms: shard.not_before_ms,
            setbacks: shard.setbacks,
            avoid: shard.avoid.clone(),
            split_from: shard.split_from.clone(),
            wanted_by: shard.wanted_by.clone(),
            others: self
                .list_workers(now_ms)
                .iter()
                .filter(|worker| worker.takes_work() && worker.name != shard.avoid)
                .count() as u64,
            needs: if needs.is_empty() { String::new() } else { needs.describe() },
            fitting: self
                .list_workers(now_ms)
                .iter()
                .filter(|worker| worker.takes_work() && needs.lacking(&worker.has).is_none())
                .count() as u64,
            runs: Counts {
                pending: count(RunState::Pending),
                done: count(RunState::Done),
                failed: count(RunState::Failed),
                cancelled: count(RunState::Cancelled),
            },
            last_failure: last_failure.take(1).last(),
            before: self.shards.iter().filter(is_before).count() as u64,
            study: self.standing(now_ms, shard.study),
        }
    }

    fn standing(&self, now_ms: u64, study: usize) -> Standing {
        let status = self.status(now_ms, study);
        let what = match status.state {
            StudyState::Cancelled => "cancel",
            StudyState::Active if status.paused_ms > 0 => "pause",
            _ => "",
        };
        let by_hand = self.audit.iter().rev().find(|entry| entry.target == status.name && entry.what == what);
        let others = self.active(|other| other.paused_ms == 0 && other.priority > status.priority).into_iter();
        let higher = others.map(|other| self.waiting(now_ms, other)).filter(|waiting| waiting.ready > 0);
        let workers = self.list_workers(now_ms);
        Standing {
            by_hand: by_hand.cloned(),
            higher: higher.collect(),
            working: workers.iter().filter(|worker| worker.takes_work()).count() as u64,
            drained: workers.iter().filter(|worker| worker.alive && worker.drained_ms > 0).count() as u64,
            status,
        }
    }

    /// The active studies of some kind, by priority and age.
    fn active(&self, wanted: impl Fn(&super::Study) -> bool) -> Vec<usize> {
        let is_wanted = |study: &usize| {
            let study = &self.studies[*study];
            study.state == StudyState::Active && wanted(study)
        };
        let mut studies: Vec<usize> = (0..self.studies.len()).filter(is_wanted).collect();
        studies.sort_by_key(|study| std::cmp::Reverse(self.studies[*study].priority));
        studies
    }

    fn waiting(&self, now_ms: u64, study: usize) -> Waiting {
        let shards = self.shards_of(study).into_iter().map(|shard| &self.shards[shard]);
        let pending: Vec<&Shard> = shards.filter(|shard| shard.state == ShardState::Pending).collect();
        let later = pending.iter().map(|shard| shard.not_before_ms).filter(|ms| *ms > now_ms);
        let told = &self.studies[study];
        Waiting {
            study: told.submit.study.name.clone(),
            priority: told.priority,
            is_paused: told.paused_ms > 0,
            ready: pending.iter().filter(|shard| is_ready(shard, now_ms)).count() as u64,
            backoff: later.clone().count() as u64,
            next_ms: later.min().unwrap_or(0),
        }
    }

    fn about_study(&self, now_ms: u64, study: usize) -> AboutStudy {
        let shards: Vec<&Shard> = self.shards_of(study).into_iter().map(|shard| &self.shards[shard]).collect();
        let mut holders: Vec<(String, u64)> = Vec::new();
        for shard in shards.iter().filter(|shard| shard.state == ShardState::Leased) {
            tally(&mut holders, &shard.worker);
        }
        holders.sort_by_key(|(worker, shards)| (std::cmp::Reverse(*shards), worker.clone()));
        let failed = shards.iter().flat_map(|shard| shard.runs.values()).filter(|run| run.state == RunState::Failed);
        let mut errors: Vec<(String, u64)> = Vec::new();
        failed.clone().for_each(|run| tally(&mut errors, &run.error));
        errors.sort_by_key(|(error, runs)| (std::cmp::Reverse(*runs), error.clone()));
        let one_of =
            |error: &String| failed.clone().filter(|run| run.error == *error).map(|run| &run.id).min().unwrap();
        AboutStudy {
            standing: self.standing(now_ms, study),
            waiting: self.waiting(now_ms, study),
            holders,
            failing: self.failing(|failed| failed.study == self.studies[study].submit.study.name),
            errors: errors.into_iter().map(|(error, runs)| (error.clone(), runs, one_of(&error).clone())).collect(),
        }
    }

    fn about_worker(&self, now_ms: u64, name: &str) -> AboutWorker {
        let held = (0..self.shards.len()).filter(|index| self.shards[*index].worker == name);
        let leases = held.map(|index| {
            let shard = &self.shards[index];
            Lease {
                study: self.studies[shard.study].submit.study.name.clone(),
                shard: self.key(index).to_string(),
                fence: shard.fence,
                leased_ms: shard.leased_ms,
                deadline_ms: shard.deadline_ms,
                open: shard.pending().count() as u64,
            }
        });
        let waiting = self.active(|_| true).into_iter().map(|study| self.waiting(now_ms, study));
        AboutWorker {
            worker: self.worker(now_ms, name),
            leases: leases.take(20).collect(),
            failing: self.failing(|failed| failed.worker == name),
            waiting: waiting.collect(),
            lacking: self.lacking(name),
        }
    }

    fn lacking(&self, worker: &str) -> Vec<(String, String)> {
        let has = &self.workers[worker].register.has;
        let mut all = Vec::new();
        for study in self.active(|_| true) {
            let told = &self.studies[study].submit.study;
            for needed in told.requirements() {
                let waits = |shard: &Shard| {
                    shard.study == study
                        && shard.state == ShardState::Pending
                        && told.requirement_of(&shard.spec.model) == needed
                };
                if self.shards.iter().any(waits) {
                    all.extend(needed.lacking(has).map(|lacking| (told.name.clone(), lacking)));
                }
            }
        }
        all
    }

    fn failing(&self, wanted: impl Fn(&Failed) -> bool) -> Vec<Failed> {
        let known = self.workers.values();
        let since = |known: &Known| {
            let failing = known.failing.iter().filter(|failed| failed.at_ms > known.committed_ms);
            failing.cloned().collect::<Vec<_>>()
        };
        let mut failing: Vec<Failed> = known.flat_map(since).filter(|failed| wanted(failed)).collect();
        failing.sort_by_key(|failed| (std::cmp::Reverse(failed.at_ms), failed.run.clone(), failed.worker.clone()));
        failing.truncate(20);
        failing
    }
}

fn is_ready(shard: &Shard, now_ms: u64) -> bool {
    shard.state == ShardState::Pending && shard.not_before_ms <= now_ms
}

fn tally(counts: &mut Vec<(String, u64)>, key: &str) {
    match counts.iter_mut().find(|(known, _)| known == key) {
        Some((_, count)) => *count += 1,
        None => counts.push((key.to_string(), 1)),
    }
}
