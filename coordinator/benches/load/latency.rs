//! How long calls take.

use std::fmt;
use std::time::Duration;

/// Of each kind of call, microseconds.
#[derive(Debug, Default)]
pub struct Latencies {
    /// From a request for work to its answer.
    pub lease: Vec<u64>,
    /// From a heartbeat to its answer.
    pub heartbeat: Vec<u64>,
    /// From a commit to its answer, when it is on disk.
    pub commit: Vec<u64>,
}

impl Latencies {
    /// Takes in another worker's.
    pub fn extend(&mut self, other: Latencies) {
        self.lease.extend(other.lease);
        self.heartbeat.extend(other.heartbeat);
        self.commit.extend(other.commit);
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<10} {:>9} {:>10} {:>10} {:>10}", "", "calls", "p50", "p99", "longest")?;
        for (name, calls) in [("lease", &self.lease), ("heartbeat", &self.heartbeat), ("commit", &self.commit)] {
            let mut sorted = calls.clone();
            sorted.sort_unstable();
            let at = |share: f64| {
                let place = (share * sorted.len() as f64) as usize;
                let micros = sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default();
                format!("{:.1} ms", Duration::from_micros(micros).as_secs_f64() * 1e3)
            };
            writeln!(f, "{name:<10} {:>9} {:>10} {:>10} {:>10}", sorted.len(), at(0.5), at(0.99), at(1.0))?;
        }
        Ok(())
    }
}
