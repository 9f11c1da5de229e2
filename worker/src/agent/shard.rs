//! One lease's work: its runs one after another (on a GPU its packs), committed as they are finished.

use std::sync::Arc;
use std::time::Duration;

use curvefleet_proto::artifact::RunProvenance;
use curvefleet_proto::limits::{MAX_ERROR_BYTES, prefix};
use curvefleet_proto::plan::{Run, RunId, ShardSpec};
use curvefleet_proto::v1::{FailRequest, FailureKind, Lease, ReleaseRequest};
use futures::FutureExt as _;
use tokio::time::Instant;

use super::asks::Done;
use super::delivery::{Deliveries, Finding};
use super::holdings::Holding;
use super::link::Verdict;
use super::trainer::{Room, ShardTrainer, Unprepared, Untrained, Watch};
use super::{Shared, machine, upload};
use crate::train::curve::FinishedRun;
use crate::train::{Curve, Outcome};

/// Finished runs wait at most this long for their commit while others of the shard train: what a killed worker loses beyond the
/// run at hand. Committing each short run by itself would make an object of a few kilobytes for each.
const COMMIT_EVERY: Duration = Duration::from_secs(10);
/// How soon a lease that waits for memory goes back when it is not to go on.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A lease at work.
struct Work {
    shared: Arc<Shared>,
    holding: Arc<Holding>,
    spec: Arc<ShardSpec>,
    /// Finished and not yet on their way.
    finished: Vec<FinishedRun>,
    /// The first runs of the packs that are through: their checkpoints go once the runs are committed.
    obsolete: Vec<RunId>,
    sent_at: Instant,
    /// Parts made under this lease.
    parts: u32,
    /// What is on its way.
    deliveries: Deliveries,
}

/// Runs that are trained together, and whether each is still to be done.
#[derive(Debug, Clone)]
struct PackRuns {
    runs: Vec<(Run, bool)>,
    /// The places in the shard of those that are.
    open: Vec<u32>,
}

/// When a pack was trained.
#[derive(Debug, Clone, Copy)]
struct Times {
    started_ms: u64,
    ended_ms: u64,
    resumed_after_epoch: u32,
}

/// Why work on a lease ends early.
#[derive(Debug)]
pub enum End {
    /// It is not ours any more; there is no one to tell.
    Lost,
    /// The worker stops; the lease goes back.
    Stopping,
    /// It cannot go on; the coordinator is told.
    Failed(FailureKind, String),
}

/// Trains the runs of a lease; gives the work that was done, if all of it was. When this ends the slot is free; a task of its own waits
/// until the results are delivered, and then ends the lease: nothing is left behind, all runs are committed, reported or handed back.
pub async fn train(shared: Arc<Shared>, lease: Lease, holding: Arc<Holding>) -> Option<Done> {
    let began = Instant::now();
    tracing::debug!(worker = shared.name, study = lease.study, shard = lease.shard, fence = lease.fence, "leased");
    let deliveries = Deliveries::new(shared.clone(), holding.clone());
    let (end, deliveries) = match serde_json::from_str::<ShardSpec>(&lease.spec_json) {
        Ok(_) if holding.is_lost() => (Err(End::Lost), deliveries),
        Ok(_) if holding.is_unwanted() => (Err(End::Stopping), deliveries),
        Ok(spec) => {
            let mut work = Work {
                shared: shared.clone(),
                holding: holding.clone(),
                spec: Arc::new(spec),
                finished: Vec::new(),
                obsolete: Vec::new(),
                sent_at: Instant::now(),
                parts: 0,
                deliveries,
            };
            (work.all(&lease.runs).await, work.deliveries)
        }
        Err(error) => {
            let error =
                format!("this worker (version {}) does not understand the shard: {error}", env!("CARGO_PKG_VERSION"));
            (Err(End::Failed(FailureKind::Infrastructure, error)), deliveries)
        }
    };
    let done = end.is_ok().then(|| (lease.work_ms.saturating_mul(holding.begun()), began.elapsed()));
    shared.clone().ending.spawn(async move {
        let delivered = deliveries.finish().await;
        conclude(&shared, &holding, &lease, delivered.and(end)).await;
        shared.holdings.remove(&holding);
    });
    done
}

/// Ends a lease whose results have been delivered, as far as they can be.
async fn conclude(shared: &Shared, holding: &Holding, lease: &Lease, end: Result<(), End>) {
    match end {
        Ok(()) => {}
        Err(End::Lost) => {
            tracing::info!(worker = shared.name, shard = lease.shard, fence = lease.fence, "dropped: the lease is lost")
        }
        Err(End::Stopping) => release(shared, holding).await,
        Err(End::Failed(kind, error)) => {
            let run = first_run(lease).unwrap_or_default();
            tokio::select! {
                _ = report(shared, holding, &run, kind, &error, "") => {}
                () = shared.out_of_time() => {}
            }
            release(shared, holding).await;
        }
    }
}

impl Work {
    async fn all(&mut self, indices: &[u32]) -> Result<(), End> {
        let packs = self.packs(indices)?;
        self.holding.begin(packs.iter().map(|pack| pack.open.clone()));
        let trainer = self.prepare().await?;
        let at_once = packs.iter().map(|pack| pack.runs.len()).max().unwrap_or(0);
        while self.holding.has_next() {
            // Before the pack is begun, so that another worker may have it while this one waits.
            let room = self.room(&*trainer, at_once).await?;
            let Some(number) = self.holding.next() else { break };
            let pack = packs[number].clone();
            if self.is_to_stop() {
                self.send().await?;
                return Err(End::Stopping);
            }
            self.pack(pack, &*trainer, room).await?;
            if self.sent_at.elapsed() >= COMMIT_EVERY {
                self.send().await?;
            }
            self.deliveries.check()?;
        }
        self.send().await?;
        if self.holding.owes() { Err(End::Stopping) } else { Ok(()) }
    }

    /// Whether the lease goes back after what is at hand.
    fn is_to_stop(&self) -> bool {
        *self.shared.stopping.borrow() || self.holding.is_unwanted()
    }

    /// What is trained one after another: on a processor each run that is not done; on a GPU each pack of the plan that has one,
    /// whole, because the bits of a packed run depend on the pack.
    fn packs(&self, indices: &[u32]) -> Result<Vec<PackRuns>, End> {
        let runs: Vec<Run> = self.spec.runs().collect();
        if let Some(index) = indices.iter().find(|index| **index as usize >= runs.len()) {
            let error = format!("the lease names run {index} of a shard of {}", runs.len());
            return Err(End::Failed(FailureKind::Infrastructure, error));
        }
        if !self.shared.device.takes_packs() {
            let one = |index: &u32| PackRuns { runs: vec![(runs[*index as usize].clone(), true)], open: vec![*index] };
            return Ok(indices.iter().map(one).collect());
        }
        let numbered: Vec<(u32, Run)> = (0..).zip(runs).collect();
        let packs = numbered.chunks(self.spec.pack_size.max(1) as usize).map(|pack| {
            let runs = pack.iter().map(|(index, run)| (run.clone(), indices.contains(index))).collect();
            PackRuns {
                runs,
                open: pack.iter().map(|(index, _)| *index).filter(|index| indices.contains(index)).collect(),
            }
        });
        Ok(packs.filter(|pack| !pack.open.is_empty()).collect())
    }

    /// What all runs of the shard are trained with.
    async fn prepare(&self) -> Result<Arc<dyn ShardTrainer>, End> {
        let prepared = tokio::select! {
            biased;
            prepared = self.shared.trainer.prepare(&self.shared.store, &self.spec) => prepared,
            () = self.shared.told_to_stop() => return Err(End::Stopping),
        };
        prepared.map_err(|Unprepared { kind, reason }| End::Failed(kind, reason))
    }

    /// Memory for so many runs at once. What is finished does not wait for it.
    async fn room(&mut self, trainer: &dyn ShardTrainer, runs: usize) -> Result<Result<Room, Untrained>, End> {
        let mut room = trainer.room(runs);
        if let Some(room) = (&mut room).now_or_never() {
            return Ok(room);
        }
        self.send().await?;
        loop {
            tokio::select! {
                biased;
                room = &mut room => return Ok(room),
                () = self.shared.told_to_stop() => return Err(End::Stopping),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if self.holding.is_lost() {
                return Err(End::Lost);
            }
            if self.holding.is_unwanted() {
                return Err(End::Stopping);
            }
        }
    }

    /// Trains a pack, from its last checkpoint if there is one.
    async fn pack(
        &mut self,
        pack: PackRuns,
        trainer: &dyn ShardTrainer,
        room: Result<Room, Untrained>,
    ) -> Result<(), End> {
        let started_ms = machine::now_ms();
        let open = pack.runs.iter().filter(|(_, is_open)| *is_open).map(|(run, _)| run.id).collect();
        let watch = Watch { shared: self.shared.clone(), holding: self.holding.clone(), first: pack.first(), open };
        let (resumed_after_epoch, trained) = match room {
            Ok(room) => trainer.train(&pack.seeds(), room, watch).await,
            Err(untrained) => (0, Err(untrained)),
        };
        self.holding.rests();
        let times = Times { started_ms, ended_ms: machine::now_ms(), resumed_after_epoch };
        let error = match trained {
            Ok(outcomes) => return self.take(pack, outcomes, times).await,
            Err(Untrained::Stopped) => return self.stopped().await,
            Err(Untrained::Device(error)) => return Err(End::Failed(FailureKind::Infrastructure, error)),
            Err(Untrained::Run(error)) => error,
        };
        for (run, _) in pack.runs.iter().filter(|(_, is_open)| *is_open) {
            self.fail(run, &error).await?;
        }
        Ok(())
    }

    /// Takes what has become of a pack's runs.
    async fn take(&mut self, pack: PackRuns, outcomes: Vec<Outcome>, times: Times) -> Result<(), End> {
        let first = pack.first();
        for ((run, is_open), outcome) in pack.runs.into_iter().zip(outcomes) {
            if !is_open {
                continue;
            }
            let log = describe(&self.shared, &run, &outcome.curve);
            let finished =
                FinishedRun { run: run.id, seed: run.seed, curve: outcome.curve, log, provenance: times.of(run.id) };
            match outcome.diverged {
                None => self.finished.push(finished),
                Some(diverged) => self.keep_and_fail(&run, finished, &diverged.to_string()).await?,
            }
        }
        self.obsolete.push(first);
        Ok(())
    }

    /// A run that diverged: its curve so far is kept for a person to look at, and the failure says where.
    async fn keep_and_fail(&mut self, run: &Run, finished: FinishedRun, error: &str) -> Result<(), End> {
        let epochs = finished.curve.epochs.len();
        let kept = match epochs {
            0 => None,
            _ => Some(self.in_time(upload::diverged(&self.shared, &self.holding, &self.spec, finished), 1).await?),
        };
        let (error, log) = (error.to_string(), self.failure_log(run, error));
        self.deliveries.send(Finding::Diverged { kept, run: run.id, error, log, epochs }, Vec::new());
        Ok(())
    }

    async fn fail(&self, run: &Run, error: &str) -> Result<(), End> {
        let (id, log) = (run.id.to_string(), self.failure_log(run, error));
        tokio::select! {
            biased;
            verdict = report(&self.shared, &self.holding, &id, FailureKind::Run, error, &log) => match verdict {
                Verdict::Accepted => Ok(()),
                Verdict::Stale => Err(End::Lost),
            },
            () = self.shared.out_of_time() => Err(End::Stopping),
        }
    }

    fn failure_log(&self, run: &Run, error: &str) -> String {
        format!("seed {} on {} ({}): {error}", run.seed, self.shared.name, self.shared.backend)
    }

    async fn stopped(&mut self) -> Result<(), End> {
        if self.holding.is_lost() {
            return Err(End::Lost);
        }
        self.send().await?;
        Err(End::Stopping)
    }

    /// Sends what is finished on its way: it is uploaded and committed, and then its checkpoints have had their time.
    async fn send(&mut self) -> Result<(), End> {
        self.sent_at = Instant::now();
        if self.finished.is_empty() {
            self.deliveries.forget(std::mem::take(&mut self.obsolete));
            return Ok(());
        }
        let runs = std::mem::take(&mut self.finished);
        self.parts += 1;
        let count = runs.len();
        let made = upload::part(&self.shared, &self.holding, &self.spec, runs, self.parts);
        let (part, commit) = self.in_time(made, count).await?;
        self.deliveries.send(Finding::Part { part, commit: Box::new(commit) }, std::mem::take(&mut self.obsolete));
        Ok(())
    }

    /// What gets room in the spool before the worker, told to stop, has no more time.
    async fn in_time<T>(&self, made: impl Future<Output = Result<T, upload::Error>>, runs: usize) -> Result<T, End> {
        tokio::select! {
            biased;
            made = made => Ok(made?),
            () = self.shared.out_of_time() => {
                self.shared.lose(runs);
                Err(End::Stopping)
            }
        }
    }
}

impl Times {
    fn of(self, run: RunId) -> RunProvenance {
        let Times { started_ms, ended_ms, resumed_after_epoch } = self;
        RunProvenance { run: run.to_string(), started_ms, ended_ms, resumed_after_epoch }
    }
}

impl PackRuns {
    fn seeds(&self) -> Vec<u64> {
        self.runs.iter().map(|(run, _)| run.seed).collect()
    }

    fn first(&self) -> RunId {
        self.runs[0].0.id
    }
}

/// Hands a lease back.
pub async fn release(shared: &Shared, holding: &Holding) {
    let request =
        ReleaseRequest { worker: shared.name.clone(), held: vec![holding.held()], ..ReleaseRequest::default() };
    if let Err(status) = shared.release(request).await {
        tracing::warn!(worker = shared.name, error = status.message(), "cannot hand a lease back; it will expire");
    }
}

/// Reports a failure, until the coordinator has heard it.
pub async fn report(
    shared: &Shared,
    holding: &Holding,
    run: &str,
    kind: FailureKind,
    error: &str,
    log: &str,
) -> Verdict {
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
fn describe(shared: &Shared, run: &Run, curve: &Curve) -> String {
    let epochs = curve.epochs.len();
    let mut log = format!("seed {} on {} ({}): {epochs} epochs", run.seed, shared.name, shared.backend);
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
