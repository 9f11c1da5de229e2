//! A worker's dealings with the coordinator and the store.
//!
//! ```text
//! register ─> lease ─> fetch data ─> train (a thread per run) ─> lease …
//!                                       └─> spool ─> upload part ─> commit
//!                └─── heartbeats renew the leases, and say which ones are lost ───┘
//! ```
//! - [`Agent`]: leases shards as slots fall free, and ends politely
//! - `link`: calls to the coordinator, with deadlines and retries
//! - `asks`: how much work to ask for, and when
//! - `holdings`: the leases held, shared by heartbeats and training threads
//! - `heartbeat`: the stream that keeps leases alive
//! - `shard`: one lease's work
//! - `split`: runs that have not begun go to a worker that has nothing to do
//! - [`trainer`]: what trains the runs
//! - `delivery`: what is on its way under a lease while training goes on
//! - `upload`: curve parts into the store, again and again while it is away
//! - `spool`: where they wait for it, in memory and on disk
//! - `outage`: what is known of the store, and said of it once
//! - `checkpoints`: what unfinished runs go on from
//! - `cache`: data sets from the store, on this machine's disk and in memory
//! - `local`: what the workers of one process share of all this
//! - `memory`: how much the machine has, and who takes it
//! - `machine`: what provenance says of the machine and the time

mod asks;
mod cache;
mod checkpoints;
mod delivery;
mod heartbeat;
mod holdings;
mod link;
mod local;
mod machine;
mod memory;
mod outage;
mod shard;
mod split;
mod spool;
pub mod trainer;
mod upload;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use curvefleet_proto::access::Access;
use curvefleet_proto::store::{Patience, Store};
use curvefleet_proto::v1::{RegisterRequest, RegisterResponse, ReleaseRequest};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tonic::Status;

pub use cache::DataCache;
pub use link::Transport;
pub use local::{Local, LocalLimits};

use crate::error::Error;
use crate::train::Device;
use asks::Asks;
use delivery::Ending;
use holdings::Holdings;
use link::Link;
use trainer::{DeviceTrainer, Trainer};

/// How long a coordinator may take to hear, once time is out, that leases are handed back and the worker ends.
const GOODBYE_WITHIN: Duration = Duration::from_secs(5);
/// How often a worker that leases nothing for now looks whether it may again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What a worker is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The URLs of the coordinators; any of them serves the fleet.
    pub coordinators: Vec<String>,
    /// The certificates and the token that the coordinators take.
    pub access: Access,
    /// The store, where it is not the one that the coordinator names.
    pub store: Option<String>,
    /// The worker's name.
    pub name: String,
    /// Runs trained at the same time; on a GPU packs of runs.
    pub slots: usize,
    /// What trains.
    pub device: Device,
    /// How much training a cut costs at the most; zero means a checkpoint after every epoch.
    pub checkpoint_every: Duration,
    /// How many epochs a cut costs at the most, if that is less.
    pub checkpoint_epochs: Option<u32>,
    /// What its owner says of it, for studies that require it.
    pub labels: BTreeMap<String, String>,
    /// How long to wait for work before ending; for ever if `None`.
    pub idle: Option<Duration>,
    /// How long results may be on their way, and checkpoints be written, once the worker is told to stop and the epochs at hand have
    /// ended.
    pub stop_within: Duration,
    /// The environment's variables, for the store's credentials.
    pub environment: Vec<(String, String)>,
    /// The commit that the program was built from, for provenance.
    pub git_commit: String,
}

/// A worker.
#[derive(Debug)]
pub struct Agent {
    settings: Settings,
    link: Link,
    trainer: Arc<dyn Trainer>,
    local: Arc<Local>,
    /// The store, where it is there already.
    store: Option<Store>,
    /// Tells this process from others that go by the worker's name.
    session: String,
}

/// What surrounds an agent in a simulation, in place of a network, a store that has a URL and training that takes time.
#[derive(Debug)]
pub struct Surroundings {
    /// The ways to the coordinators.
    pub coordinators: Vec<Transport>,
    /// The store.
    pub store: Store,
    /// What trains.
    pub trainer: Arc<dyn Trainer>,
    /// Tells this life of the worker from others that go by its name.
    pub session: String,
}

/// What every part of a running worker shares.
#[derive(Debug)]
struct Shared {
    name: String,
    link: Link,
    store: Store,
    trainer: Arc<dyn Trainer>,
    local: Arc<Local>,
    holdings: Holdings,
    device: Device,
    /// The device's name, which takes a look at the device to find.
    backend: String,
    git_commit: String,
    /// Ends training after the epoch at hand.
    stopping: watch::Receiver<bool>,
    stop_within: Duration,
    /// When time is out, once the worker is told to stop.
    time_out: Mutex<Option<Instant>>,
    /// Leases whose slots are free again, and whose results are still on their way.
    ending: Ending,
    /// Finished runs whose results were given up because time was out.
    lost_runs: AtomicUsize,
    /// Tells this process from others that go by the worker's name.
    session: String,
    /// Turns true when another process has taken the worker's name.
    superseded: watch::Sender<bool>,
    /// Why the coordinators refuse the worker, once they have done so for the length of a lease.
    refusal: OnceLock<String>,
}

impl Agent {
    /// A worker that has not called anyone yet. Workers of one process share what is `local`.
    ///
    /// # Errors
    /// If there is no coordinator's URL, or one of them is none.
    pub fn new(settings: Settings, local: Arc<Local>) -> Result<Agent, Error> {
        let link = Link::new(&settings.coordinators, &settings.access, &settings.name).map_err(Error::Flag)?;
        let Settings { device, checkpoint_every, checkpoint_epochs, .. } = settings;
        let trainer = Arc::new(DeviceTrainer { local: local.clone(), device, checkpoint_every, checkpoint_epochs });
        Ok(Agent { settings, link, trainer, local, store: None, session: machine::session() })
    }

    /// A worker in surroundings of the caller's; of the settings, coordinators and store are not looked at.
    ///
    /// # Errors
    /// If there is no coordinator.
    pub fn within(settings: Settings, surroundings: Surroundings) -> Result<Agent, Error> {
        let Surroundings { coordinators, store, trainer, session } = surroundings;
        let link = Link::over(coordinators, settings.access.bearer(), &settings.name).map_err(Error::Flag)?;
        Ok(Agent { settings, link, trainer, local: Local::in_memory(), store: Some(store), session })
    }

    /// Works until `stopping` says so (or there has been no work for long enough), then commits what is done and hands back the rest.
    ///
    /// # Errors
    /// If the store cannot be opened or the coordinator refuses the worker.
    pub async fn work(self, mut stopping: watch::Receiver<bool>) -> Result<(), Error> {
        let backend = self.settings.device.name();
        let registration = RegisterRequest {
            worker: self.settings.name.clone(),
            slots: self.settings.slots as u32,
            backend: backend.clone(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            session: self.session.clone(),
            cores: machine::cores(),
            memory_bytes: memory::limit_bytes(),
            gpus: machine::gpus(self.settings.device, &backend),
            labels: self.settings.labels.clone().into_iter().collect(),
        };
        let registered = tokio::select! {
            biased;
            registered = self.link.register(&registration) => registered.map_err(Error::Refused)?,
            _ = stopping.wait_for(|stop| *stop) => return Ok(()),
        };
        let store = match self.store {
            Some(store) => store,
            None => open_store(&self.settings, &registered.store_url)?,
        };
        let shared = Arc::new(Shared {
            name: self.settings.name.clone(),
            link: self.link,
            store,
            trainer: self.trainer,
            local: self.local,
            holdings: Holdings::default(),
            device: self.settings.device,
            backend,
            git_commit: self.settings.git_commit,
            stopping: stopping.clone(),
            stop_within: self.settings.stop_within,
            time_out: Mutex::default(),
            ending: Ending::default(),
            lost_runs: AtomicUsize::new(0),
            session: self.session,
            superseded: watch::channel(false).0,
            refusal: OnceLock::new(),
        });
        let heartbeats = tokio::spawn(heartbeat::keep(shared.clone(), registration, times(&registered)));
        lease_until_stopped(&shared, self.settings.slots, self.settings.idle, stopping).await;
        if *shared.superseded.borrow() {
            heartbeats.abort();
            if let Some(refusal) = shared.refusal.get() {
                return Err(Error::Refused(refusal.clone()));
            }
            return Err(Error::Superseded(shared.name.clone()));
        }
        leave(&shared).await;
        heartbeats.abort();
        match shared.lost_runs.load(Ordering::Relaxed) {
            0 => Ok(()),
            runs => Err(Error::Undelivered { runs, within: shared.stop_within }),
        }
    }
}

impl Shared {
    /// Ends once the worker is told to stop.
    async fn told_to_stop(&self) {
        if self.stopping.clone().wait_for(|stop| *stop).await.is_err() {
            // Who could say so is gone.
            std::future::pending::<()>().await;
        }
    }

    /// Ends when the worker has been told to stop and there is no more time for what is on its way.
    async fn out_of_time(&self) {
        self.told_to_stop().await;
        loop {
            let time_out = *self.time_out().get_or_insert_with(|| Instant::now() + self.stop_within);
            if Instant::now() >= time_out {
                return;
            }
            tokio::time::sleep_until(time_out).await;
        }
    }

    /// An epoch that was at hand when the worker was told to stop has ended: the time for what follows begins.
    fn begin_time(&self) {
        *self.time_out() = Some(Instant::now() + self.stop_within);
    }

    /// A panic elsewhere leaves this plain value whole.
    fn time_out(&self) -> MutexGuard<'_, Option<Instant>> {
        self.time_out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands leases back; once time is out a coordinator that does not answer is not waited for.
    async fn release(&self, request: ReleaseRequest) -> Result<u32, Status> {
        tokio::select! {
            biased;
            released = self.link.release(request) => released,
            () = self.goodbye_said() => Err(Status::deadline_exceeded("the coordinator does not answer")),
        }
    }

    async fn goodbye_said(&self) {
        self.out_of_time().await;
        let time_out = *self.time_out().get_or_insert_with(Instant::now);
        tokio::time::sleep_until(time_out + GOODBYE_WITHIN).await;
    }

    /// Takes note of finished runs whose results are given up.
    fn lose(&self, runs: usize) {
        self.lost_runs.fetch_add(runs, Ordering::Relaxed);
    }

    /// Why no more shards are leased for now, though there is room for their results.
    fn full_hands(&self) -> Option<&'static str> {
        if self.local.outage.away_for().is_some_and(|away| away >= trainer::STORE_AWAY_AT_MOST) {
            return Some("the store has been away for five minutes");
        }
        self.ending.is_full().then_some("the results of too many leases wait to be delivered")
    }

    /// Ends the worker, whose token opens nothing any more: leases it has lost, and no one takes what it says.
    fn end_refused(&self, reason: &str) {
        // The first reason is as good as any later one.
        let _ = self.refusal.set(reason.to_string());
        self.superseded.send_replace(true);
    }
}

/// The store that the worker was told of, or else the one that the coordinator named.
fn open_store(settings: &Settings, named: &str) -> Result<Store, Error> {
    let location = settings.store.as_deref().unwrap_or(named);
    if !location.contains("://") && !std::path::Path::new(location).is_dir() {
        return Err(Error::NoStore(location.to_string()));
    }
    Ok(Store::open_with(location, settings.environment.iter().cloned(), Patience::Brief)?)
}

fn times(registered: &RegisterResponse) -> heartbeat::Times {
    heartbeat::Times {
        lease: Duration::from_millis(registered.lease_ms.max(1)),
        interval: Duration::from_millis(registered.heartbeat_ms.max(1)),
    }
}

/// Leases shards as slots fall free, and some ahead where they are short, again and again.
async fn lease_until_stopped(
    shared: &Arc<Shared>,
    slots: usize,
    idle: Option<Duration>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut working = JoinSet::new();
    let mut asks = Asks::new(shared, slots);
    let mut had_work = Instant::now();
    let mut superseded = shared.superseded.subscribe();
    while !*stopping.borrow() && !*superseded.borrow() {
        asks.hand_back(shared, false).await;
        asks.begin(shared, &mut working);
        if !working.is_empty() {
            had_work = Instant::now();
        }
        if idle.is_some_and(|idle| had_work.elapsed() >= idle) {
            tracing::info!(worker = shared.name, "there has been no work for a while, the worker ends");
            break;
        }
        let wait = if !asks.is_due(&working) {
            Duration::MAX
        } else if asks.has_full_hands(shared) {
            had_work = Instant::now();
            LOOK_AGAIN
        } else {
            tokio::select! {
                biased;
                wait = asks.ask(shared, slots - working.len()) => wait,
                // What it may have been given goes back with the goodbye.
                () = shared.told_to_stop() => continue,
            }
        };
        if wait.is_zero() {
            continue;
        }
        tokio::select! {
            biased;
            Some(ended) = working.join_next() => asks.speed.note(ended.ok().flatten()),
            () = sleep(wait) => {}
            () = shared.holdings.told() => {}
            _ = stopping.changed() => {}
            _ = superseded.changed() => {}
        }
    }
    asks.hand_back(shared, true).await;
    while working.join_next().await.is_some() {}
    shared.ending.finish().await;
}

/// Tells the coordinator that the process ends, so that leases whose answer it never had do not have to run out.
async fn leave(shared: &Shared) {
    let (worker, session) = (shared.name.clone(), shared.session.clone());
    let request = ReleaseRequest { worker, held: Vec::new(), leaving: true, session };
    if let Err(status) = shared.release(request).await {
        tracing::debug!(worker = shared.name, error = status.message(), "cannot say goodbye");
    }
}

/// Like [`tokio::time::sleep`], and for ever where the duration is [`Duration::MAX`].
async fn sleep(duration: Duration) {
    if duration == Duration::MAX {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(duration).await;
}

/// Does work that takes its time on another thread; on a runtime of one thread, where nothing else may decide the order of events,
/// on that one.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => Ok(work()),
        _ => tokio::task::spawn_blocking(work).await,
    }
}
