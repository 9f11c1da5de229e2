//! How long answers took, by what was asked and what went on meanwhile.

use std::time::Duration;

/// What goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// The fleet connects; nothing is measured.
    Start,
    /// Heartbeats alone.
    Quiet,
    /// Heartbeats, while the study is submitted.
    Submission,
    /// Leases and commits as fast as they are answered, and heartbeats.
    Work,
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Lease,
    Heartbeat,
    Commit,
}

/// One answer.
#[derive(Debug, Clone, Copy)]
pub struct Answered {
    pub phase: Phase,
    pub kind: Kind,
    pub after: Duration,
}

/// All answers.
pub struct Table {
    answered: Vec<Answered>,
}

impl Phase {
    pub fn of(number: u8) -> Phase {
        [Phase::Start, Phase::Quiet, Phase::Submission, Phase::Work][usize::from(number.min(3))]
    }
}

impl Table {
    pub fn new(by_worker: Vec<Vec<Answered>>) -> Table {
        let mut answered: Vec<Answered> = by_worker.into_iter().flatten().collect();
        answered.sort_unstable_by_key(|answered| answered.after);
        Table { answered }
    }

    pub fn count(&self, phase: Phase, kind: Kind) -> usize {
        self.of(phase, kind).count()
    }

    fn of(&self, phase: Phase, kind: Kind) -> impl Iterator<Item = &Answered> {
        self.answered.iter().filter(move |answered| answered.phase == phase && answered.kind == kind)
    }

    /// Prints a line for each phase and kind: how many, and quantiles of their times.
    pub fn print(&self) {
        println!(
            "{:<12} {:<10} {:>9} {:>10} {:>10} {:>10}",
            "while", "request", "answers", "p50 ms", "p99 ms", "max ms"
        );
        for phase in [Phase::Quiet, Phase::Submission, Phase::Work] {
            for kind in [Kind::Lease, Kind::Heartbeat, Kind::Commit] {
                let times: Vec<f64> = self.of(phase, kind).map(|answered| answered.after.as_secs_f64() * 1e3).collect();
                let Some(last) = times.last() else { continue };
                // The nearest rank: the time within which at least this share was answered.
                let quantile = |share: f64| times[((times.len() as f64 * share).ceil() as usize).max(1) - 1];
                let (phase, kind) = (format!("{phase:?}"), format!("{kind:?}"));
                println!(
                    "{phase:<12} {kind:<10} {:>9} {:>10.1} {:>10.1} {last:>10.1}",
                    times.len(),
                    quantile(0.5),
                    quantile(0.99)
                );
            }
        }
    }
}
