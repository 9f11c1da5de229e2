//! A worker's dealings with the coordinator and the store.
//!
//! ```text
//! register ─> lease ─> fetch data ─> train (a thread per run) ─> upload part ─> commit ─> lease …
//!                └────── heartbeats renew the leases, and say which ones are lost ──────┘
//! ```
//! - [`Agent`]: leases shards as slots fall free, and ends politely
//! - `link`: calls to the coordinator, with deadlines and retries
//! - `asks`: how much work to ask for, and when
//! - `holdings`: the leases held, shared by heartbeats and training threads
//! - `heartbeat`: the stream that keeps leases alive
//! - `shard`: one lease's work
//! - `split`: runs that have not begun go to a worker that has nothing to do
//! - [`trainer`]: what trains the runs
//! - `upload`: curve parts into the store, and their commits
//! - `checkpoints`: what unfinished runs go on from
//! - `cache`: data sets from the store
//! - `machine`: what provenance says of the machine and the time

mod asks;
mod cache;
mod checkpoints;
mod heartbeat;
mod holdings;
mod link;
mod machine;
mod shard;
mod split;
pub mod trainer;
mod upload;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use curvefleet_proto::access::Access;
use curvefleet_proto::store::Store;
use curvefleet_proto::v1::{RegisterRequest, RegisterResponse, ReleaseRequest};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

pub use cache::DataCache;
pub use link::Transport;

use crate::error::Error;
use crate::train::Device;
use asks::Asks;
use holdings::Holdings;
use link::Link;
use trainer::{DeviceTrainer, Trainer};

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
    /// How much training a checkpoint saves at the most; zero means one after every epoch.
    pub checkpoint_every: Duration,
    /// What its owner says of it, for studies that require it.
    pub labels: BTreeMap<String, String>,
    /// How long to wait for work before ending; for ever if `None`.
    pub idle: Option<Duration>,
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
    holdings: Holdings,
    device: Device,
    /// The device's name, which takes a look at the device to find.
    backend: String,
    git_commit: String,
    /// Ends training after the epoch at hand.
    stopping: watch::Receiver<bool>,
    /// Tells this process from others that go by the worker's name.
    session: String,
    /// Turns true when another process has taken the worker's name.
    superseded: watch::Sender<bool>,
    /// Why the coordinators refuse the worker, once they have done so for the length of a lease.
    refusal: OnceLock<String>,
}

impl Agent {
    /// A worker that has not called anyone yet. Workers of one process share a cache.
    ///
    /// # Errors
    /// If there is no coordinator's URL, or one of them is none.
    pub fn new(settings: Settings, cache: Arc<DataCache>) -> Result<Agent, Error> {
        let link = Link::new(&settings.coordinators, &settings.access, &settings.name).map_err(Error::Flag)?;
        let (device, checkpoint_every) = (settings.device, settings.checkpoint_every);
        let trainer = Arc::new(DeviceTrainer { cache, device, checkpoint_every });
        Ok(Agent { settings, link, trainer, store: None, session: machine::session() })
    }

    /// A worker in surroundings of the caller's; of the settings, coordinators and store are not looked at.
    ///
    /// # Errors
    /// If there is no coordinator.
    pub fn within(settings: Settings, surroundings: Surroundings) -> Result<Agent, Error> {
        let Surroundings { coordinators, store, trainer, session } = surroundings;
        let link = Link::over(coordinators, settings.access.bearer(), &settings.name).map_err(Error::Flag)?;
        Ok(Agent { settings, link, trainer, store: Some(store), session })
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
            memory_bytes: machine::memory_bytes(),
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
            holdings: Holdings::default(),
            device: self.settings.device,
            backend,
            git_commit: self.settings.git_commit,
            stopping: stopping.clone(),
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
        Ok(())
    }
}

impl Shared {
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
    Ok(Store::open(location, settings.environment.iter().cloned())?)
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
        let wait = if asks.is_due(&working) { asks.ask(shared, slots - working.len()).await } else { Duration::MAX };
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
}

/// Tells the coordinator that the process ends, so that leases whose answer it never had do not have to run out.
async fn leave(shared: &Shared) {
    let (worker, session) = (shared.name.clone(), shared.session.clone());
    let request = ReleaseRequest { worker, held: Vec::new(), leaving: true, session };
    if let Err(status) = shared.link.release(request).await {
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
