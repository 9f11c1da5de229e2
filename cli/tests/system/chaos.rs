//! Real processes under faults: coordinators, four workers and an S3 server, killed, stopped, cut off and out of disk at moments that
//! are drawn from a seed. In the end nothing is lost, nothing is done twice, and the curves are those of a quiet run.
//!
//! - `plan`: which faults, when
//! - `nemesis`: carries them out
//! - `fleet`: the processes
//! - `proxy`: a network that fails
//! - `store`: an S3 server that fails, and a disk that can be full
//! - `ledger`: the database, read past the coordinators

mod fleet;
mod ledger;
mod nemesis;
mod plan;
mod proxy;
mod store;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::folder::{Folder, curves, epochs_by_run, manifest, study};
use super::process::{curvefleet, run};
use super::server::Database;
use fleet::{Fleet, STORE};
use nemesis::Nemesis;
use plan::{Draws, SEED, plan, seed};

const SEEDS: u32 = 20;
/// One with true labels and one with shuffled labels for each seed.
const RUNS: i64 = 2 * SEEDS as i64;
const EPOCHS: u32 = 1_000;
const WORKERS: usize = 4;
/// Between two looks at the fleet, so that the processor is the fleet's.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// A fleet that has not come to its end by then never does. All faults together last less than half of it.
const NEVER: Duration = Duration::from_secs(180);

#[test]
fn one_coordinator_on_sqlite_under_faults_loses_and_repeats_nothing() {
    befall("one_coordinator_on_sqlite_under_faults_loses_and_repeats_nothing", None);
}

#[test]
fn two_coordinators_on_postgresql_under_faults_lose_and_repeat_nothing() {
    let test = "two_coordinators_on_postgresql_under_faults_lose_and_repeat_nothing";
    let Some(database) = Database::new(test) else { return };
    befall(test, Some(database));
}

/// Says on a failure what led to it, and how to have it again.
struct Account {
    test: &'static str,
    seed: u64,
    fleet: Fleet,
    nemesis: Nemesis,
}

impl Drop for Account {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}\n{}", self.fleet.logs(), self.nemesis.story.join("\n"));
            eprintln!("again: {SEED}={} cargo test --release --workspace --test system -- {}", self.seed, self.test);
        }
    }
}

/// Lets faults befall a fleet that trains a study, and looks at what is left.
fn befall(test: &'static str, database: Option<Database>) {
    let seed = seed();
    println!("{test}: {SEED}={seed}");
    let mut draws = Draws::new(seed);
    let fleet = Fleet::start(Folder::with_study("chaos", SEEDS, EPOCHS), database);
    let faults = plan(&mut draws, RUNS as usize, WORKERS, fleet.coordinators.len());
    let mut account = Account { test, seed, fleet, nemesis: Nemesis::new(faults) };
    let Account { fleet, nemesis, .. } = &mut account;

    run(fleet.through_the_network().args(["submit", "study.toml", "--coordinator", &fleet.urls()])).succeeded();
    let mut watch = fleet.through_the_network();
    watch.args(["watch", "chaos", "--coordinator", &fleet.urls()]);
    let watched = std::thread::spawn(move || run(&mut watch));
    for _ in 0..WORKERS {
        fleet.add_worker(draws.below(2) as u32);
    }
    live_through(fleet, nemesis);
    let watched = watched.join().unwrap().succeeded();
    assert!(watched.out.contains(&format!("{RUNS} of {RUNS} runs done")), "{}", watched.out);

    assert!(undisturbed() == disturbed(fleet), "the curves differ from those of a quiet run");
    inspect_the_ledger(fleet);
    let verified = run(fleet.at_the_store().args(["verify", "chaos", "--store", STORE])).succeeded();
    assert!(verified.out.contains(&format!("{RUNS} of {RUNS} done runs are whole")), "{}", verified.out);
    tell(fleet, nemesis);
}

/// Until all faults have been, all runs are done, and the manifest in the store says so.
fn live_through(fleet: &mut Fleet, nemesis: &mut Nemesis) {
    let began = Instant::now();
    let mut done = 0;
    loop {
        done = fleet.ledger.try_number("SELECT CAST(SUM(done) AS BIGINT) FROM studies").unwrap_or(done);
        nemesis.act(fleet, done);
        let fallen = fleet.fallen();
        assert!(fallen.is_empty(), "{fallen:?} ended, and nobody killed them");
        let stale = "SELECT COUNT(*) FROM studies WHERE changes <> manifest_changes OR state <> 'finished'";
        if nemesis.is_through() && done == RUNS && fleet.ledger.try_number(stale) == Some(0) {
            return;
        }
        assert!(began.elapsed() < NEVER, "{done} of {RUNS} runs are done, and it does not end");
        std::thread::sleep(LOOK_AGAIN);
    }
}

type Curves = BTreeMap<(String, u32), String>;

/// What the fleet's store holds in the end.
fn disturbed(fleet: &Fleet) -> Curves {
    let store = fleet.objects();
    let runs = manifest(&store, "chaos");
    assert_eq!(runs.len(), RUNS as usize);
    for (run, part) in &runs {
        assert_eq!(epochs_by_run(&store, part)[run], EPOCHS as usize);
    }
    curves(&store, "chaos")
}

/// What the same study gives in one process that nothing befalls.
fn undisturbed() -> Curves {
    let folder = Folder::new().and("study.toml", study("chaos", SEEDS, EPOCHS));
    run(curvefleet(folder.path()).args(["run", "study.toml"])).succeeded();
    curves(&folder.path().join("curvefleet-data"), "chaos")
}

/// Each count is of what must not be there.
fn inspect_the_ledger(fleet: &Fleet) {
    let none = [
        ("shards that are leased or open", "SELECT COUNT(*) FROM shards WHERE state <> 'closed' OR open <> 0"),
        ("runs without a curve", "SELECT COUNT(*) FROM runs WHERE state <> 'done' OR part_id IS NULL"),
        ("faults of the fleet held against a run", "SELECT COUNT(*) FROM runs WHERE attempts <> 0"),
        (
            "runs committed twice",
            "SELECT COUNT(*) FROM (SELECT 1 FROM attempts WHERE outcome = 'done' AND place IS NOT NULL
             GROUP BY shard_id, place HAVING COUNT(*) <> 1) AS twice",
        ),
        ("parts that no run is in", "SELECT COUNT(*) FROM parts WHERE id NOT IN (SELECT part_id FROM runs)"),
        (
            "parts under a fence never given",
            "SELECT COUNT(*) FROM parts JOIN shards ON shards.id = parts.shard_id WHERE parts.fence > shards.fence",
        ),
        (
            "studies whose counts do not add up",
            "SELECT COUNT(*) FROM studies WHERE done <> planned OR failed <> 0 OR cancelled <> 0
             OR done <> (SELECT COUNT(*) FROM runs WHERE state = 'done')",
        ),
        ("drained workers", "SELECT COUNT(*) FROM workers WHERE drained_ms <> 0"),
        ("runs that failed on a worker", "SELECT COUNT(*) FROM failing"),
    ];
    for (what, query) in none {
        assert_eq!(fleet.ledger.number(query), 0, "{what}");
    }
    let number = |query| fleet.ledger.number(query);
    assert_eq!(number("SELECT COUNT(*) FROM runs"), RUNS);
    assert_eq!(number("SELECT COUNT(*) FROM attempts WHERE outcome = 'done'"), RUNS);
}

/// What the faults did, for a person who reads along.
fn tell(fleet: &Fleet, nemesis: &Nemesis) {
    println!("{}", nemesis.story.join("\n"));
    let leases = fleet.ledger.number("SELECT CAST(SUM(fence) AS BIGINT) FROM shards");
    let shards = fleet.ledger.number("SELECT COUNT(*) FROM shards");
    let ended = fleet.ledger.number("SELECT COUNT(*) FROM attempts WHERE outcome <> 'done'");
    println!("{shards} shards took {leases} leases, and {ended} of them ended with a setback");
}
