//! Many seeds, one seed twice, and the planted bugs.

use std::sync::atomic::{AtomicU64, Ordering};

use super::checker::Counts;
use super::scene::Planted;
use super::world::{Told, simulate};

/// Seeds in an ordinary test; `CURVEFLEET_SIMULATION_SEEDS=FIRST..END` asks for others.
const SEEDS: std::ops::Range<u64> = 0..200;
/// Lines of a failing history that are shown; of a seed that is asked for alone, all are.
const SHOWN: usize = 80;

fn seeds() -> std::ops::Range<u64> {
    let Ok(asked) = std::env::var("CURVEFLEET_SIMULATION_SEEDS") else { return SEEDS };
    let (first, end) = asked.split_once("..").expect("CURVEFLEET_SIMULATION_SEEDS looks like 0..10000");
    first.parse().unwrap()..end.parse().unwrap()
}

/// A failing seed's violations, and its history up to the first.
fn describe(seed: u64, told: &Told) -> String {
    let first = told.history.iter().position(|line| line.contains("VIOLATION")).unwrap_or(told.history.len());
    let from = first.saturating_sub(if seeds().count() == 1 { usize::MAX } else { SHOWN });
    // Of what came before, the large events.
    let words = ["NEMESIS", "NEWS", "the wish", "the storm", "begins life", "ends:"];
    let early = told.history[..from].iter().filter(|line| words.iter().any(|word| line.contains(word)));
    let early = early.map(String::as_str).collect::<Vec<_>>().join("\n");
    let shown = told.history[from..told.history.len().min(first + 1)].join("\n");
    format!(
        "seed {seed}, again with CURVEFLEET_SIMULATION_SEEDS={seed}..{}:\n{}\n\nits history until then:\n{early}\n...\n{shown}\n",
        seed + 1,
        told.violations.join("\n")
    )
}

/// No acknowledged commit is lost, no run is committed twice, no shard has two live leases, and every study ends once faults do.
#[test]
fn what_is_promised_holds_under_faults() {
    let seeds = seeds();
    let next = AtomicU64::new(seeds.start);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (failures, total) = std::thread::scope(|scope| {
        let work = || {
            let (mut failures, mut total) = (Vec::new(), Counts::default());
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end {
                    return (failures, total);
                }
                let told = simulate(seed, None);
                total.add(told.counts);
                if !told.violations.is_empty() {
                    failures.push(describe(seed, &told));
                }
            }
        };
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let (mut failures, mut total) = (Vec::new(), Counts::default());
        for handle in handles {
            let (more, counts) = handle.join().unwrap();
            failures.extend(more);
            total.add(counts);
        }
        (failures, total)
    });
    println!("{} seeds, {} of them failed: {total:?}", seeds.end - seeds.start, failures.len());
    assert!(failures.is_empty(), "{} seeds fail; the first:\n{}", failures.len(), failures[0]);
    // The faults were met: a fleet that was never disturbed would prove nothing.
    assert!(
        total.leased_again > 0 && total.stale > 0 && total.repeated > 0 && total.split > 0
            || seeds.end - seeds.start < 50,
        "{total:?}"
    );
}

#[test]
fn a_seed_gives_the_same_history_again() {
    for seed in [1, 2, 3, 4] {
        let (first, second) = (simulate(seed, None).history, simulate(seed, None).history);
        assert!(first.len() > 100);
        let differs = first.iter().zip(&second).position(|(a, b)| a != b);
        if let Some(at) = differs {
            panic!(
                "seed {seed} differs at line {at}:\n{}\n{}",
                first[at.saturating_sub(3)..=at].join("\n"),
                second[at]
            );
        }
        assert_eq!(first.len(), second.len());
    }
}

/// The first seed that catches a planted bug, and what it says.
fn caught(planted: Planted, words: &str) {
    for seed in 0..40 {
        let told = simulate(seed, Some(planted));
        if told.violations.iter().any(|violation| violation.contains(words)) {
            println!("{planted:?} is caught by seed {seed}");
            return;
        }
    }
    panic!("{planted:?} is not caught by 40 seeds");
}

#[test]
fn a_ledger_that_does_not_check_fences_is_caught() {
    caught(Planted::FenceUnchecked, "which is not its lease");
}

#[test]
fn a_ledger_that_forgets_expiries_is_caught() {
    caught(Planted::ExpiryForgotten, "was leased under fence");
}

#[test]
fn workers_that_commit_before_they_upload_are_caught() {
    caught(Planted::CommitBeforeUpload, "is not in the store");
}
