//! The service for workers.

use std::sync::Arc;

use curvefleet_proto::limits::{
    MAX_CPU_FEATURES, MAX_ERROR_BYTES, MAX_GPUS, MAX_HELD_PER_MESSAGE, MAX_LABELS, MAX_LEASES_PER_WORKER,
    MAX_LOG_BYTES, MAX_NAME_BYTES, MAX_RUNS_PER_SHARD, MAX_SHARDS_PER_LEASE,
};
use curvefleet_proto::requirement::Capabilities;
use curvefleet_proto::v1::worker_service_server::WorkerService;
use curvefleet_proto::v1::{
    self, CommitRequest, CommitResponse, FailRequest, FailResponse, HeartbeatRequest, HeartbeatResponse, LeaseRequest,
    LeaseResponse, RegisterRequest, RegisterResponse, ReleaseRequest, ReleaseResponse, SplitRequest, SplitResponse,
};
use tonic::{Request, Response, Status, Streaming};

use super::{Answers, Core, check, heartbeat, message, refuse};
use crate::access::Caller;
use crate::ledger::commit::Commit;
use crate::ledger::fail::Fail;
use crate::ledger::heartbeat::Held;
use crate::ledger::lease::{Known, Lease};
use crate::ledger::origin::{Origin, Provenance, Trained};
use crate::ledger::register::Register;
use crate::ledger::release::Release;
use crate::ledger::split::Split;

/// Heartbeats per lease, so that several may be lost before a lease is.
const HEARTBEATS_PER_LEASE: u64 = 4;
/// The longest time between heartbeats, in milliseconds: people watch the rates that they carry.
const HEARTBEAT_MS_MAX: u64 = 2_000;
/// Longest key of a part in the store, in bytes: those of two names, a fence and a count fit many times.
pub(super) const MAX_KEY_BYTES: usize = 1_024;

/// [`WorkerService`] over the ledger.
pub(crate) struct WorkerApi {
    core: Arc<Core>,
}

impl WorkerApi {
    pub fn new(core: Arc<Core>) -> WorkerApi {
        WorkerApi { core }
    }
}

#[tonic::async_trait]
impl WorkerService for WorkerApi {
    type HeartbeatStream = Answers<HeartbeatResponse>;

    async fn register(&self, request: Request<RegisterRequest>) -> Result<Response<RegisterResponse>, Status> {
        let caller = Caller::of(&request)?;
        let mut register = introduction(request.into_inner())?;
        register.worker = worker_name(&caller, &register.worker)?;
        let Register { worker, slots, backend, version, .. } = &register;
        tracing::info!(worker, slots, backend, version, "the worker registers");
        self.core.ledger.ask(register).await.map_err(refuse::ledger)?;
        let lease_ms = self.core.settings.lease_ms;
        Ok(Response::new(RegisterResponse {
            store_url: self.core.store.url().to_string(),
            lease_ms,
            heartbeat_ms: (lease_ms / HEARTBEATS_PER_LEASE).clamp(1, HEARTBEAT_MS_MAX),
        }))
    }

    async fn lease(&self, request: Request<LeaseRequest>) -> Result<Response<LeaseResponse>, Status> {
        let caller = Caller::of(&request)?;
        let LeaseRequest { worker, shards, session, number, held, ahead_ms } = request.into_inner();
        let worker = worker_name(&caller, &worker)?;
        check::text("the worker's session", &session, MAX_NAME_BYTES)?;
        if shards == 0 && ahead_ms == 0 {
            return Err(Status::invalid_argument("the request asks for 0 shards; ask for at least 1"));
        }
        check::count("the request", shards as usize, MAX_SHARDS_PER_LEASE as usize, "shards")?;
        let held_already = held.len();
        let known = if number > 0 { Some(Known { number, held: leases(held)? }) } else { None };
        if held_already + shards as usize > MAX_LEASES_PER_WORKER {
            let message = format!(
                "the worker holds {held_already} shards and asks for {shards}; a worker holds at most {MAX_LEASES_PER_WORKER}"
            );
            return Err(Status::failed_precondition(message));
        }
        // Work ahead comes in as many shards as fit an answer, and only where there is room for all of them.
        let has_room = held_already + MAX_SHARDS_PER_LEASE as usize <= MAX_LEASES_PER_WORKER;
        let ahead_ms = if has_room { ahead_ms } else { 0 };
        let lease = Lease { worker: worker.clone(), session, shards, ahead_ms, known };
        let leased = self.core.ledger.ask(lease).await.map_err(refuse::ledger)?;
        for lease in &leased.leases {
            tracing::debug!(study = lease.study, shard = lease.shard, worker, fence = lease.fence, "leased the shard");
        }
        let leases = leased.leases.into_iter().map(message::lease).collect();
        Ok(Response::new(LeaseResponse { leases, retry_after_ms: leased.retry_after_ms, drained: leased.drained }))
    }

    async fn heartbeat(
        &self,
        request: Request<Streaming<HeartbeatRequest>>,
    ) -> Result<Response<Answers<HeartbeatResponse>>, Status> {
        Ok(Response::new(heartbeat::start(self.core.clone(), Caller::of(&request)?, request.into_inner())))
    }

    async fn commit(&self, request: Request<CommitRequest>) -> Result<Response<CommitResponse>, Status> {
        let caller = Caller::of(&request)?;
        let mut commit = commit(request.into_inner())?;
        commit.worker = worker_name(&caller, &commit.worker)?;
        let (shard, worker, fence) = (commit.shard.clone(), commit.worker.clone(), commit.fence);
        let runs = commit.runs.len();
        let accepted = self.core.ledger.ask(commit).await.map_err(refuse::ledger)?;
        tracing::debug!(shard, worker, fence, runs, accepted, "commit");
        Ok(Response::new(CommitResponse { accepted }))
    }

    async fn fail(&self, request: Request<FailRequest>) -> Result<Response<FailResponse>, Status> {
        let caller = Caller::of(&request)?;
        let mut fail = fail(request.into_inner())?;
        fail.worker = worker_name(&caller, &fail.worker)?;
        let (shard, run, worker) = (fail.shard.clone(), fail.run.clone(), fail.worker.clone());
        let (fence, kind, error) = (fail.fence, fail.kind.as_str(), fail.error.clone());
        let accepted = self.core.ledger.ask(fail).await.map_err(refuse::ledger)?;
        tracing::warn!(shard, run, worker, fence, kind, accepted, error, "an attempt failed");
        Ok(Response::new(FailResponse { accepted }))
    }

    async fn release(&self, request: Request<ReleaseRequest>) -> Result<Response<ReleaseResponse>, Status> {
        let caller = Caller::of(&request)?;
        let ReleaseRequest { worker, held, leaving, session } = request.into_inner();
        let worker = worker_name(&caller, &worker)?;
        check::text("the worker's session", &session, MAX_NAME_BYTES)?;
        let (held, leaving) = (leases(held)?, leaving.then_some(session));
        let release = Release { worker: worker.clone(), held, leaving };
        let released = self.core.ledger.ask(release).await.map_err(refuse::ledger)?;
        tracing::info!(worker, released, "the worker hands leases back");
        Ok(Response::new(ReleaseResponse { released }))
    }

    async fn split(&self, request: Request<SplitRequest>) -> Result<Response<SplitResponse>, Status> {
        let caller = Caller::of(&request)?;
        let mut split = split(request.into_inner())?;
        split.worker = worker_name(&caller, &split.worker)?;
        let Split { worker, shard, fence, runs } = split.clone();
        let accepted = self.core.ledger.ask(split).await.map_err(refuse::ledger)?;
        tracing::debug!(shard, worker, fence, runs = runs.len(), accepted, "runs that have not begun are handed back");
        Ok(Response::new(SplitResponse { accepted }))
    }
}

/// The name in the fleet of the worker that sent a message; the one that it calls itself is checked.
pub(super) fn worker_name(caller: &Caller, name: &str) -> Result<String, Status> {
    check::name("the worker's name", name)?;
    let name = caller.worker(name);
    check::name("the worker's name, with its token's holder before it,", &name)?;
    Ok(name)
}

pub(super) fn introduction(request: RegisterRequest) -> Result<Register, Status> {
    let RegisterRequest { worker, slots, backend, version, session, cores, memory_bytes, gpus, labels } = request;
    check::name("the worker's backend", &backend)?;
    check::name("the worker's version", &version)?;
    check::text("the worker's session", &session, MAX_NAME_BYTES)?;
    check::count("the worker", gpus.len(), MAX_GPUS, "graphics cards")?;
    gpus.iter().try_for_each(|gpu| check::name("the graphics card's name", gpu))?;
    check::count("the worker", labels.len(), MAX_LABELS, "labels")?;
    for (key, value) in &labels {
        check::name("the label's key", key)?;
        check::name(&format!("the value of the label `{key}`"), value)?;
    }
    let has = Capabilities { cores, memory_bytes, gpus, labels: labels.into_iter().collect() };
    Ok(Register { worker, session, slots, backend, version, has })
}

pub(super) fn leases(held: Vec<v1::Held>) -> Result<Vec<Held>, Status> {
    check::count("the message", held.len(), MAX_HELD_PER_MESSAGE, "leases")?;
    held.into_iter().map(lease).collect()
}

/// One lease that a message names.
pub(super) fn lease(held: v1::Held) -> Result<Held, Status> {
    check::name("the shard's id", &held.shard)?;
    Ok(Held { shard: held.shard, fence: held.fence })
}

pub(super) fn commit(request: CommitRequest) -> Result<Commit, Status> {
    let CommitRequest { worker, shard, fence, part, size_bytes, sha256, runs, origin } = request;
    check::name("the shard's id", &shard)?;
    check::text("the part's key", &part, MAX_KEY_BYTES)?;
    check::sha256("the part's `sha256`", &sha256)?;
    check::count("the commit", runs.len(), MAX_RUNS_PER_SHARD as usize, "runs")?;
    if runs.is_empty() {
        return Err(Status::invalid_argument("the commit names no run; name those in the part"));
    }
    if i64::try_from(size_bytes).is_err() {
        return Err(Status::invalid_argument(format!("no part has {size_bytes} bytes")));
    }
    let (mut logs, mut trained) = (Vec::new(), Vec::new());
    for run in runs {
        check::text("the run's log", &run.log, MAX_LOG_BYTES)?;
        let id = check::run_id(&run.run)?;
        let v1::CommittedRun { started_ms, ended_ms, resumed_after_epoch, .. } = run;
        trained.push((id.clone(), Trained { started_ms, ended_ms, resumed_after_epoch }));
        logs.push((id, run.log));
    }
    let origin = origin.map(origin_of).transpose()?;
    let provenance = origin.map(|origin| Provenance { origin, trained });
    Ok(Commit { worker, shard, fence, part, size_bytes, sha256, runs: logs, provenance })
}

fn origin_of(origin: v1::Origin) -> Result<Origin, Status> {
    let v1::Origin { study_sha256, data_sha256, version, git_commit, backend, device, cpu_features } = origin;
    if !study_sha256.is_empty() {
        check::sha256("the study's `study_sha256`", &study_sha256)?;
    }
    check::sha256("the data set's `data_sha256`", &data_sha256)?;
    // Empty where a worker does not know it: a curve is not refused for that.
    for (what, text) in [("version", &version), ("git commit", &git_commit), ("backend", &backend), ("device", &device)]
    {
        check::text(&format!("the worker's {what}"), text, MAX_NAME_BYTES)?;
    }
    check::count("the commit", cpu_features.len(), MAX_CPU_FEATURES, "features of a processor")?;
    cpu_features.iter().try_for_each(|feature| check::name("the processor's feature", feature))?;
    let cpu_features = cpu_features.join(" ");
    Ok(Origin { study_sha256, data_sha256, version, git_commit, backend, device, cpu_features })
}

pub(super) fn split(request: SplitRequest) -> Result<Split, Status> {
    let SplitRequest { worker, shard, fence, runs } = request;
    check::name("the shard's id", &shard)?;
    check::count("the request", runs.len(), MAX_RUNS_PER_SHARD as usize, "runs")?;
    Ok(Split { worker, shard, fence, runs })
}

pub(super) fn fail(request: FailRequest) -> Result<Fail, Status> {
    let kind = request.kind;
    let FailRequest { worker, shard, fence, run, error, log, .. } = request;
    check::name("the shard's id", &shard)?;
    check::text("the error", &error, MAX_ERROR_BYTES)?;
    check::text("the run's log", &log, MAX_LOG_BYTES)?;
    let run = check::run_id(&run)?;
    let kind = v1::FailureKind::try_from(kind).ok().and_then(message::failure_kind);
    let kind = kind.ok_or_else(|| Status::invalid_argument("the report does not say who is to blame"))?;
    Ok(Fail { worker, shard, fence, run, kind, error, log })
}
