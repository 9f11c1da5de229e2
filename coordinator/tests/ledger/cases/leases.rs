//! Leasing, renewing, expiring and releasing shards.

use curvefleet_coordinator::ledger::Error;
use curvefleet_coordinator::ledger::backoff::FIRST_MS;
use curvefleet_coordinator::ledger::expire::Expire;
use curvefleet_coordinator::ledger::heartbeat::{Held, Renewed};
use curvefleet_coordinator::ledger::logs::Logs;
use curvefleet_coordinator::ledger::release::Release;
use curvefleet_coordinator::ledger::workers::ListWorkers;

use crate::bench::{Bench, SETTINGS, lease_of, runs_of, study};

pub fn leases_follow_submission_and_plan(bench: &mut Bench) {
    bench.submit_small("b");
    bench.submit(study("a", "[7, 8]", 2)).unwrap();
    let leases = bench.lease("w", 5);
    let studies: Vec<&str> = leases.iter().map(|given| given.study.as_str()).collect();
    assert_eq!(studies, ["b", "a", "b", "a", "b"]);
    assert_eq!(leases[0].runs, [0, 1]);
    assert_eq!(leases[0].fence, 1);
    let planned: Vec<String> = bench.runs("b").into_iter().map(|run| run.run).collect();
    assert_eq!(leases.iter().step_by(2).flat_map(runs_of).collect::<Vec<_>>(), planned);
    assert_eq!(bench.status("b").leased, 6);
}

pub fn only_registered_workers_are_given_work(bench: &mut Bench) {
    bench.submit_small("one");
    let error = bench.ask(lease_of("stranger", 1)).unwrap_err();
    assert!(matches!(error, Error::NoWorker(_)));
    assert!(!bench.beat("stranger", &[]).registered);
    bench.register("stranger");
    assert!(bench.beat("stranger", &[]).registered);
}

pub fn a_held_shard_is_not_given_twice(bench: &mut Bench) {
    bench.submit_small("one");
    let first = bench.lease("w", 2);
    let second = bench.lease("w", 2);
    assert_eq!((first.len(), second.len()), (2, 1), "a worker that asks again is given others beside what it has");
    assert!(bench.lease("v", 1).is_empty());
    let waits = bench.ask(lease_of("v", 1)).unwrap().retry_after_ms;
    assert!((1..=1_000).contains(&waits));
    assert!(first.iter().chain(&second).all(|given| bench.holds("w", given)));
}

pub fn heartbeats_keep_a_lease_beyond_its_first_deadline(bench: &mut Bench) {
    bench.submit_small("one");
    let given = bench.lease_one("w");
    for _ in 0..3 {
        bench.now_ms += SETTINGS.lease_ms - 1;
        let renewed = Renewed { study: "one".to_string(), hand_back: false, wanted: false };
        assert_eq!(bench.beat("w", &[&given]).leases, [Some(renewed)]);
        assert_eq!(bench.ask(Expire { all: false }).unwrap(), 0);
    }
    bench.now_ms += SETTINGS.lease_ms;
    assert_eq!(bench.ask(Expire { all: false }).unwrap(), 1);
    assert_eq!(bench.beat("w", &[&given]).leases, [None]);
}

pub fn leases_that_a_heartbeat_does_not_name_expire(bench: &mut Bench) {
    bench.submit_small("one");
    let leases = bench.lease("w", 2);
    bench.now_ms += SETTINGS.lease_ms - 1;
    bench.beat("w", &[&leases[0]]);
    bench.now_ms += 1;
    assert_eq!(bench.ask(Expire { all: false }).unwrap(), 1);
    assert!(bench.holds("w", &leases[0]));
    assert!(!bench.holds("w", &leases[1]));
}

/// Nothing but leasing is asked: expiry needs no timer.
pub fn an_expired_shard_is_given_on_with_a_higher_fence(bench: &mut Bench) {
    bench.submit_small("one");
    let first = bench.lease_one("w");
    bench.now_ms += SETTINGS.lease_ms;
    assert!(
        bench.lease("v", 3).iter().all(|given| given.shard != first.shard),
        "it waits, lest it kills one after another"
    );
    bench.now_ms += FIRST_MS;
    let second = bench.lease_one("v");
    assert_eq!((&second.shard, second.fence), (&first.shard, first.fence + 1));
    assert!(!bench.holds("w", &first));
    assert!(bench.holds("v", &second));
    let logs = bench.ask(Logs { run: runs_of(&first)[0].clone() }).unwrap().attempts;
    assert_eq!(logs.len(), 1);
    assert_eq!((logs[0].outcome.as_str(), logs[0].worker.as_str(), logs[0].fence), ("infrastructure", "w", 1));
    assert!(bench.runs("one").iter().all(|run| run.attempts == 0));
}

pub fn released_shards_are_given_at_once(bench: &mut Bench) {
    bench.submit_small("one");
    let leases = bench.lease("w", 2);
    let named = Held { shard: leases[0].shard.clone(), fence: leases[0].fence };
    let stale = Held { fence: leases[1].fence + 1, shard: leases[1].shard.clone() };
    let release = Release { worker: "w".to_string(), held: vec![named, stale], leaving: None };
    assert_eq!(bench.ask(release.clone()).unwrap(), 1);
    assert_eq!(bench.ask(release).unwrap(), 0);
    assert!(bench.holds("w", &leases[1]));
    let given = bench.lease_one("v");
    assert_eq!((&given.shard, given.fence), (&leases[0].shard, 2));
}

pub fn all_leases_can_be_ended_at_start(bench: &mut Bench) {
    bench.submit_small("one");
    let leases = bench.lease("w", 3);
    bench.restart();
    assert_eq!(bench.ask(Expire { all: true }).unwrap(), 3);
    assert!(leases.iter().all(|given| !bench.holds("w", given)));
    assert_eq!(bench.lease("v", 9).len(), 3);
}

pub fn listing_workers_says_who_is_alive_and_holds_what(bench: &mut Bench) {
    bench.submit_small("one");
    bench.lease("w", 2);
    bench.now_ms += SETTINGS.lease_ms + 1;
    bench.register("v");
    let workers = bench.ask(ListWorkers).unwrap();
    let told: Vec<_> = workers.iter().map(|worker| (worker.name.as_str(), worker.alive, worker.shards)).collect();
    assert_eq!(told, [("v", true, 0), ("w", false, 2)]);
}
