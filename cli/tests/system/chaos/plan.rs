//! Which faults befall a fleet, and when: drawn from one seed.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Names the seed to draw from, in place of a new one.
pub const SEED: &str = "CURVEFLEET_CHAOS_SEED";

/// Faults beyond one of each kind.
const MORE: usize = 3;

/// What goes wrong. Numbers are those of workers or coordinators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL; it is started again after so many runs of others.
    WorkerKilled(usize),
    /// SIGSTOP for so many runs of others.
    WorkerStopped(usize),
    /// SIGSTOP until all its leases have gone to others: it comes back and knows nothing of it.
    WorkerForgotten(usize),
    /// SIGKILL; it is started again after it was asked so often in vain.
    CoordinatorKilled(usize),
    /// SIGSTOP until it was asked so often.
    CoordinatorStopped(usize),
    /// All connections to it are reset.
    NetworkCut(usize),
    /// As before, and new ones until so many were tried.
    NetworkDown(usize),
    /// Nothing gets through until so much was sent; then all that was sent arrives.
    NetworkHole(usize),
    /// As before, but what was sent is lost with its connections.
    NetworkLost(usize),
    /// Requests arrive, answers do not.
    NetworkDeaf(usize),
    StoreCut,
    StoreDown,
    StoreDeaf,
    /// 500 or 503 to so many requests; 507 to those that write.
    StoreAnswers(u16),
    /// The disk of the store (and of the ledger, where it is a file) is full until so many requests came.
    DiskFull,
}

/// A fault and its time.
#[derive(Debug, Clone, Copy)]
pub struct Planned {
    /// It begins when so many runs are done.
    pub at: i64,
    pub fault: Fault,
    /// How many events it lasts; the fault says of what.
    pub lasts: u64,
}

/// The seed of the environment, or a new one.
pub fn seed() -> u64 {
    match std::env::var(SEED) {
        Ok(seed) => seed.parse().unwrap_or_else(|_| panic!("{SEED} is `{seed}`, no whole number")),
        Err(_) => fastrand::u32(..).into(),
    }
}

/// The random stream of a seed: all that is drawn in a test comes from it.
pub struct Draws(ChaCha12Rng);

impl Draws {
    pub fn new(seed: u64) -> Draws {
        Draws(ChaCha12Rng::seed_from_u64(seed))
    }

    /// A number in `0..n`; the bias of so small numbers does not matter here.
    pub fn below(&mut self, n: usize) -> usize {
        (self.0.next_u64() % n as u64) as usize
    }
}

/// Each kind of fault once and some again, spread over the first nine tenths of so many runs.
pub fn plan(draws: &mut Draws, runs: usize, workers: usize, coordinators: usize) -> Vec<Planned> {
    let mut faults = each_kind(draws, workers, coordinators);
    let again = each_kind(draws, workers, coordinators);
    faults.extend((0..MORE).map(|_| again[draws.below(again.len())]));
    for place in 1..faults.len() {
        faults.swap(place, draws.below(place + 1));
    }
    let mut times: Vec<usize> = faults.iter().map(|_| draws.below(runs * 9 / 10)).collect();
    times.sort_unstable();
    let planned = |(fault, at): (Fault, usize)| Planned { at: at as i64, fault, lasts: lasts(draws, fault) };
    faults.into_iter().zip(times).map(planned).collect()
}

fn each_kind(draws: &mut Draws, workers: usize, coordinators: usize) -> Vec<Fault> {
    let worker = [Fault::WorkerKilled, Fault::WorkerStopped, Fault::WorkerForgotten];
    let coordinator = [
        Fault::CoordinatorKilled,
        Fault::CoordinatorStopped,
        Fault::NetworkCut,
        Fault::NetworkDown,
        Fault::NetworkHole,
        Fault::NetworkLost,
        Fault::NetworkDeaf,
    ];
    let statuses = [500, 503, 507];
    let store = [Fault::StoreCut, Fault::StoreDown, Fault::StoreDeaf, Fault::DiskFull];
    let mut faults: Vec<Fault> = worker.iter().map(|fault| fault(draws.below(workers))).collect();
    faults.extend(coordinator.iter().map(|fault| fault(draws.below(coordinators))));
    faults.extend(store.into_iter().chain(statuses.map(Fault::StoreAnswers)));
    faults
}

fn lasts(draws: &mut Draws, fault: Fault) -> u64 {
    match fault {
        Fault::NetworkCut(_) | Fault::StoreCut | Fault::WorkerForgotten(_) => 0,
        Fault::WorkerKilled(_) | Fault::WorkerStopped(_) => draws.below(8) as u64,
        Fault::CoordinatorKilled(_) => draws.below(20) as u64,
        Fault::CoordinatorStopped(_) | Fault::NetworkHole(_) | Fault::NetworkLost(_) => 5 + draws.below(40) as u64,
        Fault::NetworkDown(_) | Fault::NetworkDeaf(_) => 2 + draws.below(10) as u64,
        Fault::StoreDown | Fault::StoreDeaf | Fault::StoreAnswers(_) => 2 + draws.below(20) as u64,
        Fault::DiskFull => 10 + draws.below(60) as u64,
    }
}
