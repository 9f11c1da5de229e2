//! The leases that a worker holds: heartbeats read progress from here and write losses to it, training threads the other way round.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use curvefleet_proto::v1::Held;
use tokio::sync::Notify;

/// All leases of a worker.
#[derive(Debug, Default)]
pub struct Holdings {
    leases: Mutex<BTreeMap<String, Arc<Holding>>>,
    /// Epochs trained since the worker began.
    epochs: AtomicU64,
    /// Rung when something has become of a lease that may not have begun.
    told: Notify,
}

/// One lease.
#[derive(Debug)]
pub struct Holding {
    shard: String,
    fence: u64,
    /// Set when the lease is not the worker's any more; training ends after the epoch at hand and nothing is reported.
    lost: AtomicBool,
    /// Set when the lease is to go back: training ends after the epoch at hand, with a checkpoint.
    unwanted: AtomicBool,
    progress: Mutex<Progress>,
}

#[derive(Debug, Clone, Default)]
struct Progress {
    run: String,
    epoch: u32,
    train_loss: f64,
}

impl Holdings {
    /// Takes note of a lease.
    pub fn add(&self, shard: &str, fence: u64) -> Arc<Holding> {
        let holding = Arc::new(Holding {
            shard: shard.to_string(),
            fence,
            lost: AtomicBool::new(false),
            unwanted: AtomicBool::new(false),
            progress: Mutex::default(),
        });
        lock(&self.leases).insert(shard.to_string(), holding.clone());
        holding
    }

    /// Forgets a lease, unless the shard has been leased again since.
    pub fn remove(&self, holding: &Holding) {
        let mut leases = lock(&self.leases);
        if leases.get(&holding.shard).is_some_and(|known| known.fence == holding.fence) {
            leases.remove(&holding.shard);
        }
    }

    /// What a heartbeat says about the leases.
    pub fn held(&self) -> Vec<Held> {
        lock(&self.leases).values().filter(|holding| !holding.is_lost()).map(|holding| holding.held()).collect()
    }

    /// Marks a lease as lost; false where it had ended already. A newer lease of the same shard stays.
    pub fn lose(&self, shard: &str, fence: u64) -> bool {
        let leases = lock(&self.leases);
        leases.get(shard).is_some_and(|holding| holding.fence == fence && !holding.lost.swap(true, Ordering::Relaxed))
    }

    /// Marks a lease as one to be handed back.
    pub fn hand_back(&self, shard: &str, fence: u64) {
        let leases = lock(&self.leases);
        if let Some(holding) = leases.get(shard).filter(|holding| holding.fence == fence) {
            holding.unwanted.store(true, Ordering::Relaxed);
            self.told.notify_one();
        }
    }

    /// Marks all leases as ones to be handed back.
    pub fn hand_back_all(&self) {
        lock(&self.leases).values().for_each(|holding| holding.unwanted.store(true, Ordering::Relaxed));
        self.told.notify_one();
    }

    /// Marks all leases as lost; says how many there were.
    pub fn lose_all(&self) -> usize {
        let leases = lock(&self.leases);
        leases.values().filter(|holding| !holding.lost.swap(true, Ordering::Relaxed)).count()
    }

    /// Returns when something has become of a lease that may not have begun.
    pub async fn told(&self) {
        self.told.notified().await;
    }

    /// Epochs trained since the worker began, for its rate.
    pub fn epochs(&self) -> u64 {
        self.epochs.load(Ordering::Relaxed)
    }

    /// Notes a finished epoch of `runs` runs that are trained in lockstep, the first of which is `run`.
    pub fn note_epoch(&self, holding: &Holding, run: &str, runs: u64, epoch: u32, train_loss: f64) {
        self.epochs.fetch_add(runs, Ordering::Relaxed);
        *lock(&holding.progress) = Progress { run: run.to_string(), epoch, train_loss };
    }
}

impl Holding {
    /// Whether the lease is not the worker's any more.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Whether the lease is to be handed back.
    pub fn is_unwanted(&self) -> bool {
        self.unwanted.load(Ordering::Relaxed)
    }

    /// The lease as messages name it.
    pub fn held(&self) -> Held {
        let Progress { run, epoch, train_loss } = lock(&self.progress).clone();
        Held { shard: self.shard.clone(), fence: self.fence, run, epoch, train_loss }
    }
}

/// A panic elsewhere leaves these plain values whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_word_about_an_old_lease_leaves_the_new_one_alone() {
        let holdings = Holdings::default();
        let old = holdings.add("shard", 1);
        let new = holdings.add("shard", 2);
        assert!(!holdings.lose("shard", 1));
        holdings.remove(&old);
        assert!(!new.is_lost());
        assert_eq!(holdings.held().len(), 1);
        assert!(holdings.lose("shard", 2) && new.is_lost());
        assert!(holdings.held().is_empty(), "a lost lease is not renewed");
    }
}
