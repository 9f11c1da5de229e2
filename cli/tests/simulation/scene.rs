//! What all parts of a simulation share: the time, the random streams, the weather and the history.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use curvefleet_worker::rng::{self, Stream};
use object_store::memory::InMemory;

use super::checker::Checker;
use super::network::Network;

/// Milliseconds since 1970 when a simulation begins.
pub const BEGINNING_MS: u64 = 1_700_000_000_000;

/// A bug put into the harness's seams, as if it were in the program. None needs another build: each wraps what the program under test
/// talks to, so that from outside it behaves as the program with the bug would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// The ledger takes a commit whatever its fence.
    FenceUnchecked,
    /// A coordinator that dies takes back the expiries since it was started.
    ExpiryForgotten,
    /// Workers commit a part first and upload it later.
    CommitBeforeUpload,
}

/// How likely single messages and operations fail, and what is away altogether.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// Whether anything fails at random.
    pub stormy: bool,
    /// Every operation on the store fails.
    pub store_away: bool,
    /// Every transaction fails.
    pub database_away: bool,
}

pub struct Scene {
    now_ms: AtomicU64,
    pub planted: Option<Planted>,
    pub network: Mutex<Network>,
    pub checker: Mutex<Checker>,
    /// What lies in the store.
    pub objects: Arc<InMemory>,
    weather: Mutex<Weather>,
    streams: Mutex<BTreeMap<&'static str, Stream>>,
    root: [u8; 32],
    history: Mutex<Vec<String>>,
    /// Set by the submitter once it has had its way.
    pub all_submitted: AtomicBool,
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

impl Scene {
    pub fn new(seed: u64, planted: Option<Planted>, servers: usize) -> Arc<Scene> {
        let mut root = [0; 32];
        root[..8].copy_from_slice(&seed.to_le_bytes());
        Arc::new(Scene {
            now_ms: AtomicU64::new(0),
            planted,
            network: Mutex::new(Network::new(servers)),
            checker: Mutex::default(),
            objects: Arc::new(InMemory::new()),
            weather: Mutex::default(),
            streams: Mutex::default(),
            root,
            history: Mutex::default(),
            all_submitted: AtomicBool::new(false),
        })
    }

    /// True time since the beginning.
    pub fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    pub fn set_now_ms(&self, now_ms: u64) {
        self.now_ms.store(now_ms, Ordering::Relaxed);
    }

    pub fn weather(&self) -> Weather {
        *lock(&self.weather)
    }

    pub fn change_weather(&self, change: impl FnOnce(&mut Weather)) {
        change(&mut lock(&self.weather));
    }

    /// A number below `n` from the stream of this name.
    pub fn below(&self, stream: &'static str, n: u64) -> u64 {
        lock(&self.streams).entry(stream).or_insert_with(|| rng::stream(&self.root, stream)).below(n)
    }

    /// A number from `from` up to `to`.
    pub fn between(&self, stream: &'static str, from: u64, to: u64) -> u64 {
        from + self.below(stream, to - from + 1)
    }

    /// True `thousandths` times in a thousand.
    pub fn chance(&self, stream: &'static str, thousandths: u64) -> bool {
        self.below(stream, 1_000) < thousandths
    }

    /// As [`Scene::chance`], and never in calm weather.
    pub fn mishap(&self, stream: &'static str, thousandths: u64) -> bool {
        self.weather().stormy && self.chance(stream, thousandths)
    }

    pub fn note(&self, line: impl AsRef<str>) {
        let line = format!("{:>7} {}", self.now_ms(), line.as_ref());
        lock(&self.history).push(line);
    }

    pub fn history(&self) -> Vec<String> {
        lock(&self.history).clone()
    }
}
