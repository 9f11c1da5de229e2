//! One lease's work: its runs one after another, committed as they are finished.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use curvefleet_proto::limits::{MAX_ERROR_BYTES, prefix};
use curvefleet_proto::plan::{Run, ShardSpec};
use curvefleet_proto::v1::{FailRequest, FailureKind, Lease, ReleaseRequest};
use tokio::time::Instant;

use super::holdings::Holding;
use super::link::Verdict;
use super::{Shared, cache, upload};
use crate::data::prepare::{Selection, select};
use crate::train::curve::FinishedRun;
use crate::train::{self, Curve, backend};

/// Finished runs wait at most this long for their commit while others of the shard train: what a killed worker loses beyond the
/// run at hand. Committing each short run by itself would make an object of a few kilobytes for each.
const COMMIT_EVERY: Duration = Duration::from_secs(10);

/// A lease at work.
struct Work {
    shared: Arc<Shared>,
    holding: Arc<Holding>,
    spec: ShardSpec,
    /// Finished and not yet committed.
    finished: Vec<FinishedRun>,
    committed_at: Instant,
    /// Commits made under this lease.
    parts: u32,
}

/// Why work on a lease ends early.
enum End {
    /// It is not ours any more; there is no one to tell.
    Lost,
    /// The worker stops; the lease goes back.
    Stopping,
    /// It cannot go on; the coordinator is told.
    Failed(FailureKind, String),
}

/// Trains the runs of a lease and leaves nothing behind: at the end they are committed, reported or handed back.
pub async fn train(shared: Arc<Shared>, lease: Lease) {
    let holding = shared.holdings.add(&lease.shard, lease.fence);
    tracing::debug!(worker = shared.name, study = lease.study, shard = lease.shard, fence = lease.fence, "leased");
    let end = match serde_json::from_str::<ShardSpec>(&lease.spec_json) {
        Ok(spec) => {
            let committed_at = Instant::now();
            let work = Work {
                shared: shared.clone(),
                holding: holding.clone(),
                spec,
                finished: Vec::new(),
                committed_at,
                parts: 0,
            };
            work.all(&lease.runs).await
        }
        Err(error) => Err(End::Failed(
            FailureKind::Infrastructure,
            format!("this worker (version {}) does not understand the shard: {error}", env!("CARGO_PKG_VERSION")),
        )),
    };
    match end {
        Ok(()) => {}
        Err(End::Lost) => {
            tracing::info!(worker = shared.name, shard = lease.shard, fence = lease.fence, "dropped: the lease is lost")
        }
        Err(End::Stopping) => release(&shared, &holding).await,
        Err(End::Failed(kind, error)) => {
            let run = first_run(&lease).unwrap_or_default();
            report(&shared, &holding, &run, kind, &error, "").await;
            release(&shared, &holding).await;
        }
    }
    shared.holdings.remove(&holding);
}

impl Work {
    async fn all(mut self, indices: &[u32]) -> Result<(), End> {
        let selection = self.select().await?;
        let runs: Vec<Run> = self.spec.runs().collect();
        for index in indices {
            let Some(run) = runs.get(*index as usize) else {
                return Err(End::Failed(
                    FailureKind::Infrastructure,
                    format!("the lease names run {index} of a shard of {}", runs.len()),
                ));
            };
            if *self.shared.stopping.borrow() {
                self.commit().await?;
                return Err(End::Stopping);
            }
            self.one(run, &selection).await?;
            if self.committed_at.elapsed() >= COMMIT_EVERY {
                self.commit().await?;
            }
        }
        self.commit().await
    }

    /// The condition's samples, shared by the shard's runs.
    async fn select(&self) -> Result<Arc<Selection>, End> {
        let settings = self.spec.settings.clone();
        let dataset =
            self.shared.cache.get(&self.shared.store, &settings.data_sha256).await.map_err(|error| match error {
                cache::Error::Store { .. } => End::Failed(FailureKind::Infrastructure, error.to_string()),
                cache::Error::Damaged { .. } => End::Failed(FailureKind::Study, error.to_string()),
            })?;
        let selected =
            tokio::task::spawn_blocking(move || select(&dataset, &settings.condition, settings.training.shuffle)).await;
        match selected {
            Ok(Ok(selection)) => Ok(Arc::new(selection)),
            Ok(Err(error)) => Err(End::Failed(FailureKind::Study, error.to_string())),
            Err(panic) => {
                Err(End::Failed(FailureKind::Infrastructure, format!("selecting the samples failed: {panic}")))
            }
        }
    }

    /// Trains one run on a thread of its own.
    async fn one(&mut self, run: &Run, selection: &Arc<Selection>) -> Result<(), End> {
        let (shared, holding, settings) = (self.shared.clone(), self.holding.clone(), self.spec.settings.clone());
        let (selection, run) = (selection.clone(), run.clone());
        let trained = tokio::task::spawn_blocking({
            let run = run.clone();
            move || {
                let mut observe = |record: &train::EpochRecord| {
                    shared.holdings.note_epoch(&holding, &run.id.to_string(), record.epoch, record.train_loss);
                    if holding.is_lost() || *shared.stopping.borrow() {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                };
                catch_unwind(AssertUnwindSafe(|| {
                    train::train(&settings, run.seed, &selection, &backend::device(), &mut observe)
                }))
            }
        });
        let error = match trained.await {
            Ok(Ok(Ok(curve))) => {
                let log = describe(&self.shared.name, &run, &curve);
                self.finished.push(FinishedRun { run: run.id, seed: run.seed, curve, log });
                return Ok(());
            }
            Ok(Ok(Err(train::Error::Stopped { .. }))) => return self.stopped().await,
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(panic)) => format!("training panicked: {}", panic_text(panic.as_ref())),
            Err(error) => format!("the training thread ended: {error}"),
        };
        let log = format!("seed {} on {} ({}): {error}", run.seed, self.shared.name, backend::name());
        match report(&self.shared, &self.holding, &run.id.to_string(), FailureKind::Run, &error, &log).await {
            Verdict::Accepted => Ok(()),
            Verdict::Stale => Err(End::Lost),
        }
    }

    async fn stopped(&mut self) -> Result<(), End> {
        if self.holding.is_lost() {
            return Err(End::Lost);
        }
        self.commit().await?;
        Err(End::Stopping)
    }

    /// Uploads and commits what is finished.
    async fn commit(&mut self) -> Result<(), End> {
        self.committed_at = Instant::now();
        if self.finished.is_empty() {
            return Ok(());
        }
        let runs = std::mem::take(&mut self.finished);
        self.parts += 1;
        let committed = upload::commit(&self.shared, &self.holding, &self.spec, &runs, self.parts).await;
        committed.map_err(|error| match error {
            upload::Error::Stale => End::Lost,
            upload::Error::Store { .. } | upload::Error::Refused(_) => {
                End::Failed(FailureKind::Infrastructure, error.to_string())
            }
        })
    }
}

async fn release(shared: &Shared, holding: &Holding) {
    let request = ReleaseRequest { worker: shared.name.clone(), held: vec![holding.held()] };
    if let Err(status) = shared.link.release(request).await {
        tracing::warn!(worker = shared.name, error = status.message(), "cannot hand a lease back; it will expire");
    }
}

async fn report(shared: &Shared, holding: &Holding, run: &str, kind: FailureKind, error: &str, log: &str) -> Verdict {
    let held = holding.held();
    tracing::warn!(worker = shared.name, shard = held.shard, run, error, "failed");
    let request = FailRequest {
        worker: shared.name.clone(),
        shard: held.shard,
        fence: held.fence,
        run: run.to_string(),
        kind: kind.into(),
        error: prefix(error, MAX_ERROR_BYTES).to_string(),
        log: log.to_string(),
    };
    match shared.link.fail(&request).await {
        Ok(verdict) => verdict,
        Err(status) => {
            tracing::warn!(
                worker = shared.name,
                run,
                error = status.message(),
                "the coordinator refuses a failure report"
            );
            Verdict::Stale
        }
    }
}

fn first_run(lease: &Lease) -> Option<String> {
    let spec: ShardSpec = serde_json::from_str(&lease.spec_json).ok()?;
    let index = *lease.runs.first()? as usize;
    spec.runs().nth(index).map(|run| run.id.to_string())
}

/// What the attempt's log says of a run that went well.
fn describe(worker: &str, run: &Run, curve: &Curve) -> String {
    let mut log = format!("seed {} on {worker} ({}): {} epochs", run.seed, backend::name(), curve.epochs.len());
    if let Some(last) = curve.epochs.last() {
        let accuracy = last.validation.accuracy.map_or("undefined".to_string(), |accuracy| format!("{accuracy:.3}"));
        let peak = last.curve.iter().copied().fold(0.0, f64::max);
        log += &format!(
            "; at the end training loss {:.4}, validation accuracy {accuracy}, highest probe accuracy {peak:.3}",
            last.train_loss
        );
    }
    log
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()));
    text.unwrap_or_else(|| "without a message".to_string())
}
