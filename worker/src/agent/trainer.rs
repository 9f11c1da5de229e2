//! What trains the runs of a lease: the seam between an agent's dealings with coordinator and store, and the arithmetic. A worker has
//! [`DeviceTrainer`]; a simulation, in which a fleet runs in one thread, has one that takes no time.

use std::fmt::Debug;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use curvefleet_proto::limits::MAX_CHECKPOINT_BYTES;
use curvefleet_proto::plan::{RunId, RunSettings, ShardSpec};
use curvefleet_proto::store::Store;
use curvefleet_proto::v1::FailureKind;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::cache::{self, Held};
use super::holdings::Holding;
use super::local::Local;
use super::{Shared, aside, checkpoints, link};
use crate::data::prepare::{Selection, select};
use crate::train::{self, Device, Outcome, Pack, Training};

/// How long a store may be away before a shard that has nothing to train on goes back, and before no more are leased.
pub const STORE_AWAY_AT_MOST: Duration = Duration::from_secs(300);
/// How long a run that takes much memory waits for the coordinator to hear of it.
const HEARD_WITHIN: Duration = Duration::from_secs(2);
/// Longest pause between two tries to get a data set. There is one try at a time for all slots of a process.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Trains runs.
pub trait Trainer: Debug + Send + Sync {
    /// Gets what all runs of a shard are trained with, once per lease.
    fn prepare<'a>(
        &'a self,
        store: &'a Store,
        spec: &'a ShardSpec,
    ) -> BoxFuture<'a, Result<Arc<dyn ShardTrainer>, Unprepared>>;
}

/// Trains the runs of one shard.
pub trait ShardTrainer: Send + Sync {
    /// Sets memory aside for so many runs that are trained together; waits until others have given it back.
    fn room(&self, _runs: usize) -> BoxFuture<'_, Result<Room, Untrained>> {
        Box::pin(async { Ok(None) })
    }

    /// Trains the runs of these seeds together in the room set aside for them, and tells `watch` of each epoch; says after which epoch it
    /// went on from a checkpoint (0 for none), and what became of each run.
    fn train<'a>(
        &'a self,
        seeds: &'a [u64],
        room: Room,
        watch: Watch,
    ) -> BoxFuture<'a, (u32, Result<Vec<Outcome>, Untrained>)>;
}

/// Why a shard's runs cannot be trained.
#[derive(Debug, Clone)]
pub struct Unprepared {
    /// Whose fault it is.
    pub kind: FailureKind,
    /// A sentence.
    pub reason: String,
}

/// Why runs were not trained to their end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Untrained {
    /// They were told to end.
    Stopped,
    /// What trains them failed.
    Device(String),
    /// They failed by their own fault.
    Run(String),
}

/// Told of every finished epoch of some runs; says whether they go on.
#[derive(Debug)]
pub struct Watch {
    pub(super) shared: Arc<Shared>,
    pub(super) holding: Arc<Holding>,
    /// The first of the runs that are trained together.
    pub(super) first: RunId,
    /// Those of them that were not done before.
    pub(super) open: Vec<RunId>,
}

/// Memory that is set aside for training, until this is dropped.
pub type Room = Option<OwnedSemaphorePermit>;

/// What follows on an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The next one.
    GoOn,
    /// An end: the runs are someone else's now.
    Drop,
    /// An end, with a checkpoint: the lease goes back.
    HandBack,
}

impl Watch {
    /// Takes note that training begins, or goes on from a checkpoint.
    pub fn begin(&self) {
        self.holding.trains(self.open.iter().map(RunId::to_string).collect());
    }

    /// Takes note of a finished epoch of so many runs.
    pub fn epoch(&self, runs: u64, epoch: u32, train_loss: f64) -> Next {
        let Watch { shared, holding, first, .. } = self;
        shared.holdings.note_epoch(holding, &first.to_string(), runs, epoch, train_loss);
        if holding.is_lost() {
            Next::Drop
        } else if *shared.stopping.borrow() {
            shared.begin_time();
            Next::HandBack
        } else if holding.is_unwanted() {
            Next::HandBack
        } else {
            Next::GoOn
        }
    }
}

/// Trains on this machine's device, on a thread per pack, with checkpoints in the store.
#[derive(Debug)]
pub struct DeviceTrainer {
    /// Data sets, memory, and how the store answers.
    pub local: Arc<Local>,
    /// What trains.
    pub device: Device,
    /// How much training a cut costs at the most.
    pub checkpoint_every: Duration,
    /// How many epochs a cut costs at the most, if that is less.
    pub checkpoint_epochs: Option<u32>,
}

/// The condition's samples, shared by the shard's runs.
struct Samples {
    local: Arc<Local>,
    selection: Arc<Selection>,
    settings: RunSettings,
    device: Device,
    checkpoint_every: Duration,
    checkpoint_epochs: Option<u32>,
    /// Keeps the data set in this machine's cache for as long as the shard is at work.
    _held: Arc<Held>,
}

impl Trainer for DeviceTrainer {
    fn prepare<'a>(
        &'a self,
        store: &'a Store,
        spec: &'a ShardSpec,
    ) -> BoxFuture<'a, Result<Arc<dyn ShardTrainer>, Unprepared>> {
        Box::pin(async move {
            let settings = spec.settings.clone();
            let (selection, held) = self.select(store, settings.clone()).await?;
            let samples = Samples {
                local: self.local.clone(),
                selection: Arc::new(selection),
                settings,
                device: self.device,
                checkpoint_every: self.checkpoint_every,
                checkpoint_epochs: self.checkpoint_epochs,
                _held: held,
            };
            Ok(Arc::new(samples) as Arc<dyn ShardTrainer>)
        })
    }
}

impl DeviceTrainer {
    async fn select(&self, store: &Store, settings: RunSettings) -> Result<(Selection, Arc<Held>), Unprepared> {
        let cache::Loaded { dataset, held } = self.load(store, &settings.data_sha256).await.map_err(|error| {
            let kind = match error {
                cache::Error::Store { .. } => FailureKind::Infrastructure,
                cache::Error::Damaged { .. } => FailureKind::Study,
            };
            Unprepared { kind, reason: error.to_string() }
        })?;
        match aside(move || select(&dataset, &settings.condition, settings.training.shuffle)).await {
            Ok(Ok(selection)) => Ok((selection, held)),
            Ok(Err(error)) => Err(Unprepared { kind: FailureKind::Study, reason: error.to_string() }),
            Err(panic) => {
                let reason = format!("selecting the samples failed: {panic}");
                Err(Unprepared { kind: FailureKind::Infrastructure, reason })
            }
        }
    }
}

impl DeviceTrainer {
    /// The data set, from this machine or the store; asks again while the store is away, for a while.
    async fn load(&self, store: &Store, sha256: &str) -> Result<cache::Loaded, cache::Error> {
        let (began, mut pause) = (Instant::now(), link::RETRY_AFTER);
        loop {
            let error = match self.local.cache.get(store, sha256).await {
                Ok(loaded) => {
                    self.local.outage.worked();
                    return Ok(loaded);
                }
                Err(error) => error,
            };
            match &error {
                cache::Error::Damaged { .. }
                | cache::Error::Store { source: object_store::Error::NotFound { .. }, .. } => {
                    return Err(error);
                }
                cache::Error::Store { source, .. } => self.local.outage.failed("reading a data set", source),
            }
            if began.elapsed() + pause > STORE_AWAY_AT_MOST {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

impl ShardTrainer for Samples {
    fn room(&self, runs: usize) -> BoxFuture<'_, Result<Room, Untrained>> {
        let taken = self.local.memory.take(self.needed_bytes(runs));
        Box::pin(async { taken.await.map(Some).map_err(|error| Untrained::Run(error.to_string())) })
    }

    fn train<'a>(
        &'a self,
        seeds: &'a [u64],
        room: Room,
        watch: Watch,
    ) -> BoxFuture<'a, (u32, Result<Vec<Outcome>, Untrained>)> {
        Box::pin(self.train_on_a_thread(seeds.to_vec(), room, watch))
    }
}

impl Samples {
    fn needed_bytes(&self, runs: usize) -> u64 {
        train::memory::least_bytes(&self.settings, self.selection.samples.len(), runs, self.device)
    }

    async fn train_on_a_thread(
        &self,
        seeds: Vec<u64>,
        room: Room,
        watch: Watch,
    ) -> (u32, Result<Vec<Outcome>, Untrained>) {
        let (settings, selection, device) = (self.settings.clone(), self.selection.clone(), self.device);
        let described = Pack { settings: &settings, seeds: &seeds, selection: &selection, device };
        let (shared, first) = (watch.shared.clone(), watch.first);
        watch.begin();
        if self.local.memory.is_much(self.needed_bytes(seeds.len())) {
            // The coordinator is to know what was in training, should the system end this process for it.
            tokio::select! {
                biased;
                () = shared.told_to_stop() => return (0, Err(Untrained::Stopped)),
                () = shared.holdings.told_all() => {}
                () = tokio::time::sleep(HEARD_WITHIN) => {}
            }
        }
        let checkpoint = tokio::select! {
            biased;
            checkpoint = checkpoints::newest(&shared, first, &described) => checkpoint,
            () = shared.told_to_stop() => return (0, Err(Untrained::Stopped)),
        };
        if watch.holding.is_lost() || watch.holding.is_unwanted() {
            return (0, Err(Untrained::Stopped));
        }
        if let Some(checkpoint) = &checkpoint {
            tracing::info!(worker = shared.name, run = %first, epoch = checkpoint.epoch, "goes on from a checkpoint");
        }
        let resumed_after_epoch = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.epoch);
        let writer = checkpoints::Writer::start(shared.clone(), first);
        let mut observer = Observer {
            watch,
            outbox: writer.outbox(),
            runtime: Handle::current(),
            checkpoint_every: self.checkpoint_every,
            checkpoint_epochs: self.checkpoint_epochs,
            saved_at: Instant::now(),
            saved_epoch: resumed_after_epoch,
            too_large: false,
        };
        let trained = tokio::task::spawn_blocking(move || {
            let pack = Pack { settings: &settings, seeds: &seeds, selection: &selection, device };
            let mut training = || train::train(&pack, checkpoint.as_ref(), &mut |training| observer.epoch(training));
            let trained = catch_unwind(AssertUnwindSafe(|| in_pool(device, &mut training)));
            // The writer of checkpoints ends when nothing can come any more.
            drop(observer);
            trained
        });
        let trained = trained.await;
        drop(room);
        tokio::select! {
            biased;
            () = writer.finish() => {}
            () = shared.out_of_time() => {}
        }
        let trained = match trained {
            Ok(Ok(Ok(outcomes))) => Ok(outcomes),
            Ok(Ok(Err(train::Error::Stopped { .. }))) => Err(Untrained::Stopped),
            Ok(Ok(Err(error @ train::Error::Device(_)))) => Err(by_device(&error.to_string())),
            Ok(Ok(Err(error))) => Err(Untrained::Run(error.to_string())),
            Ok(Err(panic)) => Err(by_panic(&panic_text(panic.as_ref()))),
            Err(error) => Err(Untrained::Run(format!("the training thread ended: {error}"))),
        };
        (resumed_after_epoch, trained)
    }
}

/// Looks at each finished epoch of a pack from its training thread.
struct Observer {
    watch: Watch,
    outbox: checkpoints::Outbox,
    /// For what waits, from a thread that is none of its own.
    runtime: Handle,
    checkpoint_every: Duration,
    checkpoint_epochs: Option<u32>,
    saved_at: Instant,
    saved_epoch: u32,
    /// Whether a checkpoint was too large to be kept; the next would be, too.
    too_large: bool,
}

impl Observer {
    fn epoch(&mut self, training: &Training<'_>) -> ControlFlow<()> {
        let runs = training.outcomes().count() as u64;
        let next = self.watch.epoch(runs, training.epoch(), training.train_loss());
        let is_stopping = next == Next::HandBack;
        if next != Next::Drop && (is_stopping || self.is_due(training.epoch())) {
            self.save(training, is_stopping);
        }
        if next == Next::GoOn { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn is_due(&self, epoch: u32) -> bool {
        let epochs = epoch.saturating_sub(self.saved_epoch);
        self.saved_at.elapsed() >= self.checkpoint_every || self.checkpoint_epochs.is_some_and(|every| epochs >= every)
    }

    /// Leaves a checkpoint to be written. The last one before a stop waits for its turn; others are left out while one waits.
    fn save(&mut self, training: &Training<'_>, is_last: bool) {
        if self.too_large || (!is_last && self.outbox.capacity() == 0) {
            return;
        }
        let checkpoint = training.checkpoint().map_err(|error| error.to_string());
        let bytes = checkpoint.and_then(|checkpoint| checkpoint.encode().map_err(|error| error.to_string()));
        let sent = bytes.and_then(|bytes| {
            if bytes.len() > MAX_CHECKPOINT_BYTES {
                self.too_large = true;
                return Err(format!(
                    "it has {} MiB, and at most {} are kept; cut off, the run begins again",
                    bytes.len() >> 20,
                    MAX_CHECKPOINT_BYTES >> 20
                ));
            }
            let checkpoint = (training.epoch(), bytes);
            let sent = if is_last {
                self.runtime.block_on(async {
                    tokio::select! {
                        biased;
                        sent = self.outbox.send(checkpoint) => sent.is_ok(),
                        () = self.watch.shared.out_of_time() => false,
                    }
                })
            } else {
                self.outbox.try_send(checkpoint).is_ok()
            };
            if sent { Ok(()) } else { Err("the store does not take it in time".to_string()) }
        });
        if let Err(error) = sent {
            let (worker, run) = (&self.watch.shared.name, self.watch.first);
            tracing::warn!(worker, %run, error, "a checkpoint cannot be made");
        }
        self.saved_at = Instant::now();
        self.saved_epoch = training.epoch();
    }
}

/// Runs `training` with the device's number of threads to share its work.
fn in_pool<T: Send>(device: Device, training: &mut (dyn FnMut() -> T + Send)) -> T {
    if device.threads() == 1 {
        return training();
    }
    match rayon::ThreadPoolBuilder::new().num_threads(device.threads()).build() {
        Ok(pool) => pool.install(training),
        Err(error) => {
            tracing::warn!(error = %error, "no threads to share a run's work: one trains it");
            training()
        }
    }
}

/// Whose fault it is that a device failed: a card that has too little memory for the runs is whole.
fn by_device(error: &str) -> Untrained {
    if is_out_of_memory(error) { Untrained::Run(too_large(error)) } else { Untrained::Device(error.to_string()) }
}

/// burn reports with a panic what its operations cannot return.
fn by_panic(text: &str) -> Untrained {
    Untrained::Run(if is_out_of_memory(text) { too_large(text) } else { format!("training panicked: {text}") })
}

fn too_large(error: &str) -> String {
    format!(
        "out of memory: the graphics card has too little for these runs; make `pack_size`, `batch_size` or `hidden` smaller: {error}"
    )
}

/// Whether an error of burn's says that a card's memory is too small, in the words of `IoError` and `ServerError` of
/// cubecl-runtime 0.11.
fn is_out_of_memory(error: &str) -> bool {
    ["out of device memory", "out-of-memory", "can't allocate buffer of size"].iter().any(|words| error.contains(words))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()));
    text.unwrap_or_else(|| "without a message".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_without_enough_memory_is_the_runs_fault_and_any_other_trouble_is_the_cards() {
        let full = by_device("the device failed: out of device memory allocating 68719476736 bytes");
        assert!(
            matches!(&full, Untrained::Run(error) if error.starts_with("out of memory") && error.contains("pack_size"))
        );
        assert!(matches!(by_device("DeviceLost"), Untrained::Device(_)));
        assert!(
            matches!(by_panic("can't allocate buffer of size: 9"), Untrained::Run(error) if error.starts_with("out of memory"))
        );
        assert!(
            matches!(by_panic("index out of bounds"), Untrained::Run(error) if error.starts_with("training panicked"))
        );
    }
}
