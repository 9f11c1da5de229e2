//! How fast the fleet trains, from its last heartbeats. Kept in memory alone: after a restart the next heartbeats fill it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The last heartbeat of each worker.
#[derive(Debug)]
pub(crate) struct Rates {
    beats: Mutex<HashMap<String, Beat>>,
    /// A heartbeat counts for this long, in milliseconds: as long as the leases that it renewed.
    counts_for_ms: u64,
}

/// A heartbeat.
#[derive(Debug)]
struct Beat {
    at_ms: u64,
    epochs_per_second: f64,
    training: Vec<Training>,
}

/// A run in training, as a heartbeat tells it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Training {
    /// The study it belongs to.
    pub study: String,
    /// The shard it belongs to.
    pub shard: String,
    /// The run; of a pack the first.
    pub run: String,
    /// Its finished epochs.
    pub epochs: u32,
    /// The last epoch's training loss.
    pub train_loss: f64,
}

/// What is known of a study.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Progress {
    /// Epochs trained per second, by all workers together.
    pub epochs_per_second: f64,
    /// Finished epochs of runs that are in training.
    pub epochs_in_training: u64,
}

impl Rates {
    pub fn new(counts_for_ms: u64) -> Rates {
        Rates { beats: Mutex::new(HashMap::new()), counts_for_ms }
    }

    /// Takes a heartbeat; forgets workers that have fallen silent.
    pub fn note(&self, worker: &str, now_ms: u64, epochs_per_second: f64, training: Vec<Training>) {
        let mut beats = self.beats();
        beats.retain(|_, beat| self.counts(beat, now_ms));
        let sound = epochs_per_second.is_finite() && epochs_per_second > 0.0;
        let epochs_per_second = if sound { epochs_per_second } else { 0.0 };
        beats.insert(worker.to_string(), Beat { at_ms: now_ms, epochs_per_second, training });
    }

    /// What is known of a study. A worker that trains for several studies is split evenly by its runs in training.
    pub fn of(&self, study: &str, now_ms: u64) -> Progress {
        let mut progress = Progress::default();
        for beat in self.beats().values().filter(|beat| self.counts(beat, now_ms)) {
            let ours = beat.training.iter().filter(|training| training.study == study);
            let (count, epochs) = ours.fold((0_u32, 0), |(n, sum), run| (n + 1, sum + u64::from(run.epochs)));
            if count > 0 {
                progress.epochs_per_second += beat.epochs_per_second * f64::from(count) / beat.training.len() as f64;
                progress.epochs_in_training += epochs;
            }
        }
        progress
    }

    /// What a worker said last that it trains; `None` where it has not been heard here lately.
    pub fn training(&self, worker: &str, now_ms: u64) -> Option<Vec<Training>> {
        let beats = self.beats();
        beats.get(worker).filter(|beat| self.counts(beat, now_ms)).map(|beat| beat.training.clone())
    }

    fn counts(&self, beat: &Beat, now_ms: u64) -> bool {
        now_ms.saturating_sub(beat.at_ms) <= self.counts_for_ms
    }

    fn beats(&self) -> MutexGuard<'_, HashMap<String, Beat>> {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn training(study: &str, epochs: u32) -> Training {
        let (study, shard, run) = (study.to_string(), format!("shard of {study}"), "run".to_string());
        Training { study, shard, run, epochs, train_loss: 0.5 }
    }

    #[test]
    fn a_worker_counts_for_its_studies_in_proportion_until_it_falls_silent() {
        let rates = Rates::new(1_000);
        rates.note("w", 0, 9.0, vec![training("a", 4), training("a", 1), training("b", 2)]);
        rates.note("v", 500, f64::NAN, vec![training("a", 1)]);
        assert_eq!(rates.of("a", 900), Progress { epochs_per_second: 6.0, epochs_in_training: 6 });
        assert_eq!(rates.of("b", 900), Progress { epochs_per_second: 3.0, epochs_in_training: 2 });
        assert_eq!(rates.of("b", 1_001), Progress::default());
    }
}
