//! Several coordinators on one PostgreSQL database, all at work at once, while their connections are ended at random.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use curvefleet_coordinator::ledger::heartbeat::Held;
use curvefleet_coordinator::ledger::lease::Given;
use curvefleet_coordinator::ledger::release::Release;
use curvefleet_coordinator::ledger::runs::ListRuns;
use curvefleet_coordinator::ledger::state::{RunState, StudyState};
use curvefleet_coordinator::ledger::study::StudyStatus;
use curvefleet_coordinator::ledger::{Ledger, Operation, PostgresLedger};

use crate::bench::{commit_of, enter_of, lease_of, register_of, runs_of, study};
use crate::database::Postgres;

const COORDINATORS: usize = 4;
const NOW_MS: u64 = 1_000_000;

/// What one coordinator was told.
#[derive(Default)]
struct Told {
    leases: Vec<Given>,
    /// Runs whose commit was accepted.
    done: Vec<String>,
}

fn ask<O: Operation>(ledger: &mut PostgresLedger, operation: O) -> O::Answer {
    O::answer(ledger.transact(NOW_MS, vec![operation.into()]).remove(0).unwrap()).unwrap()
}

/// Submits, leases, commits and fails runs by one coordinator until nothing is left to lease.
fn work(mut ledger: PostgresLedger, number: usize) -> Told {
    let worker = format!("w{number}");
    let mut told = Told::default();
    // Of all who submit it, one makes it, and all enter it.
    for name in ["one", "two"] {
        let study = study(name, "24", 3);
        let enter = enter_of(&study);
        ask(&mut ledger, study);
        while ask(&mut ledger, enter.clone()).left > 0 {}
    }
    ask(&mut ledger, register_of(&worker));
    loop {
        let given = ask(&mut ledger, lease_of(&worker, 2)).leases;
        if given.is_empty() {
            return told;
        }
        for given in given {
            let runs = runs_of(&given);
            let open: Vec<String> = given.runs.iter().map(|place| runs[*place as usize].clone()).collect();
            let (first, rest) = open.split_at(1);
            if ask(&mut ledger, commit_of(&worker, &given, 0, first)) {
                told.done.extend_from_slice(first);
            }
            // Some shards go back to be leased again, by whoever comes.
            if given.fence == 1 && told.leases.len() % 3 == 0 {
                let held = vec![Held { shard: given.shard.clone(), fence: given.fence }];
                ask(&mut ledger, Release { worker: worker.clone(), held, leaving: None });
            } else if !rest.is_empty() && ask(&mut ledger, commit_of(&worker, &given, 1, rest)) {
                told.done.extend_from_slice(rest);
            }
            told.leases.push(given);
        }
    }
}

/// Ends a coordinator's connection whenever a few more batches were committed, until `over`.
fn end_connections(postgres: &Postgres, over: &AtomicBool) -> u64 {
    let (mut ended, mut next) = (0, 20);
    while !over.load(Ordering::SeqCst) {
        let batches = postgres.column("SELECT COALESCE(SUM(batches), 0) FROM coordinators").remove(0);
        if batches.parse::<u64>().unwrap() >= next {
            let victims = postgres.column(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = 'curvefleet-coordinator'
                 ORDER BY random() LIMIT 1",
            );
            ended += victims.len() as u64;
            next += 20;
        }
    }
    ended
}

#[test]
fn coordinators_at_once_lease_every_shard_once_and_lose_nothing_though_their_connections_are_ended() {
    let test = "coordinators_at_once_lease_every_shard_once_and_lose_nothing_though_their_connections_are_ended";
    let Some(postgres) = Postgres::new(test) else { return };
    // All find an empty database, and one makes the ledger.
    let over = AtomicBool::new(false);
    let (told, ended) = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..COORDINATORS)
            .map(|number| {
                scope.spawn({
                    let postgres = &postgres;
                    move || work(postgres.ledger(), number)
                })
            })
            .collect();
        let mut first = Some(());
        while workers.iter().all(|worker| !worker.is_finished()) && first.is_some() {
            let tables = "SELECT COUNT(*) FROM pg_tables WHERE tablename = 'coordinators'";
            first = (postgres.column(tables) == ["0"]).then_some(());
        }
        let faults = scope.spawn(|| end_connections(&postgres, &over));
        let told: Vec<Told> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
        over.store(true, Ordering::SeqCst);
        (told, faults.join().unwrap())
    });
    assert!(ended > 0, "some connections were ended");
    let mut ledger = postgres.ledger();
    let leases: Vec<&Given> = told.iter().flat_map(|told| &told.leases).collect();
    let mut fences: HashMap<&str, Vec<u64>> = HashMap::new();
    for given in &leases {
        fences.entry(&given.shard).or_default().push(given.fence);
    }
    for (shard, mut fences) in fences {
        fences.sort_unstable();
        let all: Vec<u64> = (1..=fences.len() as u64).collect();
        assert_eq!(fences, all, "the shard {shard} was leased once under each fence");
    }
    let given = postgres.column("SELECT SUM(fence) FROM shards").remove(0);
    assert_eq!(given, leases.len().to_string(), "a lease that no one was told of");
    let done: Vec<&String> = told.iter().flat_map(|told| &told.done).collect();
    let attempts = postgres.column("SELECT COUNT(*) FROM attempts WHERE outcome = 'done'").remove(0);
    assert_eq!(attempts, (3 * 24).to_string(), "every run was committed once");
    for name in ["one", "two"] {
        let status = ask(&mut ledger, StudyStatus { name: name.to_string() });
        assert_eq!((status.state, status.planned, status.done), (StudyState::Finished, 72, 72));
        let runs = ask(&mut ledger, ListRuns { study: name.to_string(), state: None, after: None, limit: 100 }).runs;
        assert!(runs.iter().all(|run| run.state == RunState::Done));
        assert!(done.iter().all(|id| runs.iter().any(|run| run.run == **id)), "what was accepted is there");
    }
}
