//! What a ledger should answer, said as plainly as can be: vectors of studies, shards and attempts, gone through from the front to the
//! end for every question. No SQL, no indices, no counters; nothing of it is shared with the ledger but the types of requests
//! and answers and the plan.
//!
//! - `change`: the operations that change studies; `control`: those that people ask for; `compact`: those that move parts
//! - `lease`: workers and their leases; `commit`: commits and failures; `lose`: lost parts; `manifest`: the writers of manifests
//! - `split`: runs that leave a shard for another worker
//! - `look`: the operations that answer what there is; `explain`: why it is where it is

mod change;
mod commit;
mod compact;
mod control;
mod explain;
mod lease;
mod look;
mod lose;
mod manifest;
mod split;

use std::collections::BTreeMap;

use curvefleet_coordinator::ledger::audit::Entry;
use curvefleet_coordinator::ledger::explain::Failed;
use curvefleet_coordinator::ledger::heartbeat::InTraining;
use curvefleet_coordinator::ledger::origin::Provenance;
use curvefleet_coordinator::ledger::register::Register;
use curvefleet_coordinator::ledger::state::{RunState, ShardState, StudyState};
use curvefleet_coordinator::ledger::submit::Submit;
use curvefleet_coordinator::ledger::tokens::Token;
use curvefleet_coordinator::ledger::{Error, Reply, Request};
use curvefleet_proto::plan::{self, ShardSpec};

/// All there is.
#[derive(Default)]
pub struct Model {
    /// In the order of submission.
    studies: Vec<Study>,
    /// Of all studies, in the order of submission and plan.
    shards: Vec<Shard>,
    parts: Vec<Part>,
    compactions: Vec<Compaction>,
    /// By name.
    workers: BTreeMap<String, Known>,
    /// The oldest first.
    attempts: Vec<Attempt>,
    /// The oldest first.
    audit: Vec<Entry>,
    tokens: Vec<Token>,
}

/// A worker.
struct Known {
    register: Register,
    registered_ms: u64,
    last_seen_ms: u64,
    left_ms: u64,
    committed_ms: u64,
    /// The number of its last request for work.
    asked: u64,
    /// Since when, by whom and why it is drained.
    drained: Option<(u64, String, String)>,
    /// Runs that failed on it, each with when it failed first and how.
    failing: Vec<Failed>,
}

struct Study {
    submit: Submit,
    state: StudyState,
    stop_reason: String,
    priority: i32,
    paused_ms: u64,
    committed_ms: u64,
    submitted_ms: u64,
    ended_ms: u64,
    /// Shards of its plan, from the first on, that are entered, and how many of their runs were done already.
    entered: usize,
    reused: u64,
    /// How often its runs changed for a manifest to show.
    changes: u64,
    /// What the manifest shows; `None` after a late writer.
    manifest_changes: Option<u64>,
    manifest_runs: u64,
    manifest_claim: u64,
    manifest_until_ms: u64,
    compaction_claim: u64,
    compaction_until_ms: u64,
}

struct Shard {
    /// Index of its study.
    study: usize,
    /// Its place in the queue.
    place: u64,
    /// Where its runs stand in the plan.
    plan_place: u64,
    spec: ShardSpec,
    /// By place.
    runs: BTreeMap<usize, Run>,
    state: ShardState,
    fence: u64,
    worker: String,
    leased_ms: u64,
    deadline_ms: u64,
    not_before_ms: u64,
    setbacks: u32,
    /// Who failed on it last.
    avoid: String,
    /// Planned work of each run.
    work_ms: u64,
    /// The shard that it was split off.
    split_from: String,
    /// Who would have some of its runs.
    wanted_by: String,
    /// Whether its holder has none to spare.
    spent: bool,
    /// What the last heartbeat said.
    in_training: Option<InTraining>,
}

struct Run {
    id: String,
    seed: u64,
    state: RunState,
    attempts: u32,
    tried_fence: u64,
    /// Workers in a row that were lost in its first epoch.
    lost_workers: u64,
    error: String,
    worker: String,
    /// Index of the part that made it done.
    part: Option<usize>,
}

struct Part {
    key: String,
    size_bytes: u64,
    sha256: String,
    shard: usize,
    fence: u64,
    worker: String,
    committed_ms: u64,
    provenance: Option<Provenance>,
    /// How many runs it made done.
    runs: u64,
    /// Whether it may be moved.
    is_loose: bool,
    /// Index of the compaction that holds its rows.
    compaction: Option<usize>,
}

/// A large part.
struct Compaction {
    study: usize,
    key: String,
    size_bytes: u64,
    sha256: String,
    at_ms: u64,
}

#[derive(Clone)]
struct Attempt {
    shard: usize,
    /// `None`: the end of a whole lease.
    place: Option<usize>,
    worker: String,
    fence: u64,
    at_ms: u64,
    outcome: &'static str,
    error: String,
    log: String,
}

impl Model {
    /// What the ledger should answer.
    pub fn answer(&mut self, now_ms: u64, request: &Request) -> Result<Reply, Error> {
        match request {
            Request::Submit(submit) => self.submit(now_ms, submit).map(Reply::Submit),
            Request::Enter(enter) => self.enter(now_ms, enter).map(Reply::Enter),
            Request::ListUnentered(_) => Ok(Reply::ListUnentered(self.list_unentered())),
            Request::CheckRuns(check) => Ok(Reply::CheckRuns(self.check_runs(check))),
            Request::ListStudies(_) => Ok(Reply::ListStudies(self.list_studies(now_ms))),
            Request::GetStudy(get) => self.get_study(now_ms, get).map(Reply::GetStudy),
            Request::StudyStatus(get) => {
                self.find(&get.name).map(|study| Reply::StudyStatus(self.status(now_ms, study)))
            }
            Request::Cancel(cancel) => self.cancel(now_ms, cancel).map(Reply::Cancel),
            Request::Retry(retry) => self.retry(now_ms, retry).map(Reply::Retry),
            Request::Explain(explain) => self.explain(now_ms, explain).map(Reply::Explain),
            Request::Pause(pause) => self.pause(now_ms, pause).map(Reply::Pause),
            Request::Prioritize(prioritize) => self.prioritize(now_ms, prioritize).map(Reply::Prioritize),
            Request::Drain(drain) => self.drain(now_ms, drain).map(Reply::Drain),
            Request::ListAudit(list) => Ok(Reply::ListAudit(self.list_audit(list))),
            Request::CommittedParts(asked) => self.committed_parts(asked).map(Reply::CommittedParts),
            Request::Lose(lose) => self.lose(now_ms, lose).map(Reply::Lose),
            Request::ListRuns(list) => self.list_runs(list).map(Reply::ListRuns),
            Request::Logs(logs) => self.logs(logs).map(Reply::Logs),
            Request::Register(register) => {
                self.register(now_ms, register);
                Ok(Reply::Register(()))
            }
            Request::ListWorkers(_) => Ok(Reply::ListWorkers(self.list_workers(now_ms))),
            Request::Lease(lease) => self.lease(now_ms, lease).map(Reply::Lease),
            Request::Heartbeat(heartbeat) => Ok(Reply::Heartbeat(self.heartbeat(now_ms, heartbeat))),
            Request::Commit(commit) => self.commit(now_ms, commit).map(Reply::Commit),
            Request::Fail(fail) => self.fail(now_ms, fail).map(Reply::Fail),
            Request::Split(split) => Ok(Reply::Split(self.split(now_ms, split))),
            Request::Release(release) => Ok(Reply::Release(self.release(now_ms, release))),
            Request::Expire(expire) => Ok(Reply::Expire(self.expire(now_ms, expire.all))),
            Request::StaleManifests(_) => Ok(Reply::StaleManifests(self.stale_manifests())),
            Request::ManifestPage(read) => self.manifest_page(read).map(Reply::ManifestPage),
            Request::ManifestClaim(claim) => self.claim_manifest(now_ms, claim).map(Reply::ManifestClaim),
            Request::ManifestAbandon(abandon) => self.abandon_manifest(abandon).map(Reply::ManifestAbandon),
            Request::ManifestWritten(written) => self.manifest_written(written).map(Reply::ManifestWritten),
            Request::PlanCompaction(_) => Ok(Reply::PlanCompaction(self.plan_compaction(now_ms))),
            Request::EndCompaction(end) => self.end_compaction(now_ms, end).map(Reply::EndCompaction),
            Request::ListMoved(list) => self.list_moved(list).map(Reply::ListMoved),
            Request::MakeToken(make) => self.make_token(now_ms, make).map(Reply::MakeToken),
            Request::ListTokens(_) => Ok(Reply::ListTokens(self.list_tokens(now_ms))),
            Request::RevokeToken(revoke) => self.revoke_token(now_ms, revoke).map(Reply::RevokeToken),
        }
    }

    fn find(&self, name: &str) -> Result<usize, Error> {
        let found = self.studies.iter().position(|study| study.submit.study.name == name);
        found.ok_or_else(|| Error::NoStudy(name.to_string()))
    }

    /// Shards of a study that are not entered yet.
    fn unentered(&self, study: usize) -> u64 {
        let study = &self.studies[study];
        (plan::shards(&study.submit.study).unwrap().count() - study.entered) as u64
    }

    /// Their runs.
    fn unentered_runs(&self, study: usize) -> u64 {
        let study = &self.studies[study];
        plan::shards(&study.submit.study).unwrap().skip(study.entered).map(|shard| shard.seeds.len() as u64).sum()
    }

    /// The shards of a study, by index.
    fn shards_of(&self, study: usize) -> Vec<usize> {
        (0..self.shards.len()).filter(|shard| self.shards[*shard].study == study).collect()
    }

    /// How many runs of a study are in a state.
    fn count(&self, study: usize, state: RunState) -> u64 {
        let shards = self.shards.iter().filter(|shard| shard.study == study);
        shards.flat_map(|shard| shard.runs.values()).filter(|run| run.state == state).count() as u64
    }
}

impl Shard {
    fn pending(&self) -> impl Iterator<Item = usize> + '_ {
        self.runs.iter().filter(|(_, run)| run.state == RunState::Pending).map(|(place, _)| *place)
    }

    fn run(&mut self, place: usize) -> &mut Run {
        self.runs.get_mut(&place).unwrap()
    }

    fn place_of(&self, id: &str) -> Option<usize> {
        self.runs.iter().find(|(_, run)| run.id == id).map(|(place, _)| *place)
    }

    fn is_held(&self, key: &str, worker: &str, fence: u64) -> bool {
        let named = self.spec.shard.as_str() == key && self.worker == worker && self.fence == fence;
        named && self.state == ShardState::Leased
    }
}
