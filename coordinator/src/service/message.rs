//! From the ledger's answers to messages.

use curvefleet_proto::v1;

use super::Core;
use crate::ledger::state::{FailureKind, RunState, StudyState};
use crate::ledger::{audit, lease, logs, runs, study, workers};

/// A study's status, with how fast it is trained at the moment.
pub(super) fn status(core: &Core, status: study::Status) -> v1::StudyStatus {
    let progress = core.rates.of(&status.name, core.clock.now_ms());
    let open = status.open();
    let epochs_open = open.saturating_mul(status.epochs_per_run);
    v1::StudyStatus {
        state: study_state(status.state).into(),
        runs: Some(v1::RunCounts {
            planned: status.planned,
            done: status.done,
            failed: status.failed,
            leased: status.leased,
            pending: open.saturating_sub(status.leased),
            cancelled: status.cancelled,
        }),
        name: status.name,
        hash: status.hash,
        stop_reason: status.stop_reason,
        submitted_ms: status.submitted_ms,
        ended_ms: status.ended_ms,
        manifest_runs: status.manifest_runs,
        epochs_per_second: if open > 0 { progress.epochs_per_second } else { 0.0 },
        epochs_left: epochs_open.saturating_sub(progress.epochs_in_training),
        priority: status.priority,
        paused_ms: status.paused_ms,
        unmet: status.unmet,
    }
}

fn study_state(state: StudyState) -> v1::StudyState {
    match state {
        StudyState::Active => v1::StudyState::Active,
        StudyState::Finished => v1::StudyState::Finished,
        StudyState::Cancelled => v1::StudyState::Cancelled,
        StudyState::Stopped => v1::StudyState::Stopped,
    }
}

fn run_state(state: RunState) -> v1::RunState {
    match state {
        RunState::Pending => v1::RunState::Pending,
        RunState::Done => v1::RunState::Done,
        RunState::Failed => v1::RunState::Failed,
        RunState::Cancelled => v1::RunState::Cancelled,
    }
}

/// The state that a listing is filtered by.
pub(super) fn filter(state: v1::RunState) -> Option<RunState> {
    match state {
        v1::RunState::Unspecified => None,
        v1::RunState::Pending => Some(RunState::Pending),
        v1::RunState::Done => Some(RunState::Done),
        v1::RunState::Failed => Some(RunState::Failed),
        v1::RunState::Cancelled => Some(RunState::Cancelled),
    }
}

/// Who is to blame; `None` if it is not said.
pub(super) fn failure_kind(kind: v1::FailureKind) -> Option<FailureKind> {
    match kind {
        v1::FailureKind::Unspecified => None,
        v1::FailureKind::Infrastructure => Some(FailureKind::Infrastructure),
        v1::FailureKind::Run => Some(FailureKind::Run),
        v1::FailureKind::Study => Some(FailureKind::Study),
    }
}

/// One run.
pub(super) fn run(run: runs::Run) -> v1::RunStatus {
    v1::RunStatus {
        run: run.run,
        shard: run.shard,
        data: run.data,
        condition: run.condition,
        labels: run.labels,
        model: run.model,
        seed: run.seed,
        state: run_state(run.state).into(),
        attempts: run.attempts,
        error: run.error,
        part: run.part,
        worker: run.worker,
    }
}

/// A page's token: the place of the last run before it.
pub(super) fn page_token(place: Option<runs::Place>) -> String {
    place.map(|(shard, run)| format!("{shard}.{run}")).unwrap_or_default()
}

/// The place in a page's token; `None` if it is no token.
pub(super) fn parse_page_token(token: &str) -> Option<runs::Place> {
    let (shard, run) = token.split_once('.')?;
    Some((shard.parse().ok()?, run.parse().ok()?))
}

/// A run's attempts; what was left out is said in an entry of its own.
pub(super) fn attempts(attempts: logs::Attempts) -> Vec<v1::Attempt> {
    let logs::Attempts { run, attempts, left_out } = attempts;
    let note = (left_out > 0).then(|| v1::Attempt {
        run: run.clone(),
        outcome: "omitted".to_string(),
        error: format!("{left_out} older attempts are left out of this answer"),
        ..v1::Attempt::default()
    });
    let attempts = attempts.into_iter().map(|attempt| v1::Attempt {
        run: run.clone(),
        worker: attempt.worker,
        fence: attempt.fence,
        at_ms: attempt.at_ms,
        outcome: attempt.outcome,
        error: attempt.error,
        log: attempt.log,
    });
    note.into_iter().chain(attempts).collect()
}

/// One worker.
pub(super) fn worker(worker: workers::Worker) -> v1::WorkerStatus {
    v1::WorkerStatus {
        name: worker.name,
        slots: worker.slots,
        backend: worker.backend,
        last_seen_ms: worker.last_seen_ms,
        shards: worker.shards,
        alive: worker.alive,
        version: worker.version,
        cores: worker.has.cores,
        memory_bytes: worker.has.memory_bytes,
        gpus: worker.has.gpus,
        labels: worker.has.labels.into_iter().collect(),
        registered_ms: worker.registered_ms,
        left_ms: worker.left_ms,
        drained_ms: worker.drained_ms,
        drained_by: worker.drained_by,
        drain_reason: worker.drain_reason,
    }
}

/// One entry of the audit.
pub(super) fn audit(entry: audit::Entry) -> v1::AuditEntry {
    let audit::Entry { id, at_ms, who, what, target, note } = entry;
    v1::AuditEntry { id, at_ms, who, what, target, note }
}

/// One lease.
pub(super) fn lease(given: lease::Given) -> v1::Lease {
    v1::Lease {
        study: given.study,
        shard: given.shard,
        fence: given.fence,
        runs: given.runs,
        spec_json: given.spec_json,
        work_ms: given.work_ms,
    }
}
