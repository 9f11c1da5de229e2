//! The leases that a worker holds: heartbeats read progress from here and write losses to it, training threads the other way round.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use curvefleet_proto::v1::Held;
use tokio::sync::{Notify, watch};

/// All leases of a worker.
#[derive(Debug, Default)]
pub struct Holdings {
    leases: Mutex<BTreeMap<String, Arc<Holding>>>,
    /// Epochs trained since the worker began.
    epochs: AtomicU64,
    /// Rung when something has become of a lease that may not have begun.
    told: Notify,
    /// Rung when the next heartbeat is not to wait for its time.
    news: Notify,
    /// Heartbeats sent so far, and the last of them that was answered.
    sent: AtomicU64,
    answered: watch::Sender<u64>,
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
    left: Mutex<Left>,
}

/// What is left to begin of a lease.
#[derive(Debug, Default)]
struct Left {
    /// Packs that are trained one after another, each by its number and its runs' places in the shard; `None` until work on the lease
    /// begins.
    packs: Option<VecDeque<(usize, Vec<u32>)>>,
    /// Runs begun so far.
    begun: u64,
    /// How many runs the coordinator is being told of that they will not be begun.
    telling: Option<usize>,
}

/// What another worker may have of a lease.
#[derive(Debug, PartialEq, Eq)]
pub enum Spare {
    /// The lease itself: work on it has not begun.
    All,
    /// These runs, which are not going to be begun here; maybe none.
    Runs(Vec<u32>),
    /// The coordinator is being told already.
    Told,
}

#[derive(Debug, Clone, Default)]
struct Progress {
    run: String,
    epoch: u32,
    train_loss: f64,
    /// The runs in training now, without those that were done before.
    training: Vec<String>,
    /// Whether they have finished an epoch.
    has_epoch: bool,
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
            left: Mutex::default(),
        });
        lock(&self.leases).insert(shard.to_string(), holding.clone());
        holding
    }

    /// A lease by its name.
    pub fn find(&self, shard: &str, fence: u64) -> Option<Arc<Holding>> {
        lock(&self.leases).get(shard).filter(|holding| holding.fence == fence).cloned()
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

    /// Returns when the next heartbeat is not to wait for its time.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// A heartbeat is about to say what is known now; gives its number.
    pub fn sending(&self) -> u64 {
        self.sent.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The heartbeat of this number was answered.
    pub fn answered(&self, number: u64) {
        self.answered.send_replace(number);
    }

    /// Returns when a coordinator knows what is known now.
    pub async fn told_all(&self) {
        let next = self.sent.load(Ordering::SeqCst) + 1;
        self.news.notify_one();
        // The sender is ours, and there as long as we are.
        drop(self.answered.subscribe().wait_for(|answered| *answered >= next).await);
    }

    /// Epochs trained since the worker began, for its rate.
    pub fn epochs(&self) -> u64 {
        self.epochs.load(Ordering::Relaxed)
    }

    /// Notes a finished epoch of `runs` runs that are trained in lockstep, the first of which is `run`.
    pub fn note_epoch(&self, holding: &Holding, run: &str, runs: u64, epoch: u32, train_loss: f64) {
        self.epochs.fetch_add(runs, Ordering::Relaxed);
        let mut progress = lock(&holding.progress);
        (progress.run, progress.epoch, progress.train_loss) = (run.to_string(), epoch, train_loss);
        progress.has_epoch = true;
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

    /// Work begins on these packs of runs.
    pub fn begin(&self, packs: impl IntoIterator<Item = Vec<u32>>) {
        lock(&self.left).packs = Some(packs.into_iter().enumerate().collect());
    }

    /// The number of the pack that is to be trained now, if one is left.
    pub fn next(&self) -> Option<usize> {
        let mut left = lock(&self.left);
        let (number, runs) = left.packs.as_mut()?.pop_front()?;
        left.begun += runs.len() as u64;
        Some(number)
    }

    /// Training of these runs begins.
    pub fn trains(&self, runs: Vec<String>) {
        let mut progress = lock(&self.progress);
        (progress.training, progress.has_epoch) = (runs, false);
    }

    /// It has ended.
    pub fn rests(&self) {
        self.trains(Vec::new());
    }

    /// Whether a pack is left.
    pub fn has_next(&self) -> bool {
        lock(&self.left).packs.as_ref().is_some_and(|packs| !packs.is_empty())
    }

    /// Runs begun so far.
    pub fn begun(&self) -> u64 {
        lock(&self.left).begun
    }

    /// Gives up half of the packs that have not begun, the last ones; the odd one goes where it begins sooner. They are never begun
    /// here, whatever the coordinator says to that.
    pub fn spare(&self) -> Spare {
        let mut left = lock(&self.left);
        let Left { packs: Some(packs), begun, telling: None } = &mut *left else {
            return if left.packs.is_none() { Spare::All } else { Spare::Told };
        };
        let kept = if *begun > 0 { packs.len() / 2 } else { packs.len().div_ceil(2) };
        let runs: Vec<u32> = packs.split_off(kept).into_iter().flat_map(|(_, runs)| runs).collect();
        left.telling = Some(runs.len());
        Spare::Runs(runs)
    }

    /// The coordinator has taken what was given up.
    pub fn spared(&self) {
        lock(&self.left).telling = None;
    }

    /// Whether the coordinator may not know yet that some runs are not going to be begun here.
    pub fn owes(&self) -> bool {
        lock(&self.left).telling.is_some_and(|runs| runs > 0)
    }

    /// The lease as messages name it.
    pub fn held(&self) -> Held {
        let Progress { run, epoch, train_loss, training, has_epoch } = lock(&self.progress).clone();
        Held { shard: self.shard.clone(), fence: self.fence, run, epoch, train_loss, training, has_epoch }
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
    fn half_of_what_has_not_begun_is_given_up_once_and_never_begun() {
        let holding = Holdings::default().add("shard", 1);
        assert_eq!(holding.spare(), Spare::All);
        holding.begin([vec![0], vec![2, 3], vec![4, 5], vec![7], vec![8]]);
        assert_eq!(holding.next(), Some(0));
        assert_eq!(holding.spare(), Spare::Runs(vec![7, 8]));
        assert!(holding.owes());
        assert_eq!(holding.spare(), Spare::Told, "the coordinator has not answered");
        holding.spared();
        assert!(!holding.owes());
        assert_eq!(holding.next(), Some(1));
        assert_eq!(
            holding.spare(),
            Spare::Runs(vec![4, 5]),
            "one is in training: another worker begins the other sooner"
        );
        holding.spared();
        assert_eq!((holding.next(), holding.begun()), (None, 3));
        assert_eq!(holding.spare(), Spare::Runs(Vec::new()));
        assert!(!holding.owes());
    }

    #[test]
    fn a_lease_on_which_work_is_about_to_begin_keeps_something_to_do() {
        let holding = Holdings::default().add("shard", 1);
        holding.begin([vec![0], vec![1], vec![2]]);
        assert_eq!(holding.spare(), Spare::Runs(vec![2]));
        holding.spared();
        assert_eq!(holding.spare(), Spare::Runs(vec![1]));
        holding.spared();
        assert_eq!(holding.spare(), Spare::Runs(Vec::new()));
    }

    #[test]
    fn heartbeats_tell_a_run_in_its_first_epoch_from_one_that_has_finished_some() {
        let holdings = Holdings::default();
        let holding = holdings.add("shard", 1);
        let told = || {
            let Held { training, has_epoch, run, .. } = holding.held();
            (training.join(" "), has_epoch, run)
        };
        let is = |training: &str, has_epoch: bool, run: &str| (training.to_string(), has_epoch, run.to_string());
        holding.trains(vec!["r1".to_string()]);
        assert_eq!(told(), is("r1", false, ""));
        holdings.note_epoch(&holding, "r1", 1, 1, 0.5);
        assert_eq!(told(), is("r1", true, "r1"));
        holding.rests();
        holding.trains(vec!["r2".to_string(), "r3".to_string()]);
        assert_eq!(told(), is("r2 r3", false, "r1"));
        holding.rests();
        assert_eq!(told(), is("", false, "r1"), "they failed before they had an epoch");
    }

    #[tokio::test]
    async fn who_waits_to_be_heard_waits_for_a_heartbeat_that_was_sent_after() {
        use futures::FutureExt as _;
        let holdings = Holdings::default();
        let before = holdings.sending();
        let mut told = Box::pin(holdings.told_all());
        assert!((&mut told).now_or_never().is_none());
        holdings.news().await;
        let after = holdings.sending();
        holdings.answered(before);
        assert!((&mut told).now_or_never().is_none(), "that one was sent before");
        holdings.answered(after);
        told.await;
    }

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
