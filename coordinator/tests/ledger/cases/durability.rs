//! What survives restarts and refusals, and what manifests and pages show.

use curvefleet_coordinator::ledger::logs::Logs;
use curvefleet_coordinator::ledger::manifest::{Abandon, Claim, ReadPage, Stale, StaleManifests, Written};
use curvefleet_coordinator::ledger::runs::ListRuns;
use curvefleet_coordinator::ledger::state::{FailureKind, RunState};
use curvefleet_coordinator::ledger::study::ListStudies;
use curvefleet_coordinator::ledger::workers::ListWorkers;
use curvefleet_coordinator::ledger::{Error, Reply};

use crate::bench::{Bench, beat_of, commit_of, lease_of, runs_of, study};

pub fn a_restart_keeps_everything(bench: &mut Bench) {
    bench.submit_small("one");
    bench.submit_small("two");
    let leases = bench.lease("w", 2);
    assert!(bench.ask(commit_of("w", &leases[0], 0, &runs_of(&leases[0])[..1])).unwrap());
    bench.fail("w", &leases[1], &runs_of(&leases[1])[0], FailureKind::Run);
    let told = |bench: &mut Bench| {
        (bench.ask(ListStudies).unwrap(), bench.ask(ListWorkers).unwrap(), bench.runs("one"), bench.runs("two"))
    };
    let before = told(bench);
    bench.restart();
    assert_eq!(told(bench), before);
    assert!(bench.holds("w", &leases[0]), "a worker goes on with its lease");
    assert!(bench.ask(commit_of("w", &leases[0], 1, &runs_of(&leases[0])[1..])).unwrap());
}

pub fn a_refused_request_leaves_its_neighbours_alone(bench: &mut Bench) {
    bench.register("w");
    bench.submit_small("one");
    let worker = || "w".to_string();
    let replies = bench.transact(vec![
        study("two", "[5]", 1).into(),
        study("one", "9", 1).into(),
        lease_of("stranger", 1).into(),
        lease_of(&worker(), 1).into(),
        beat_of(&worker(), vec![]).into(),
    ]);
    assert!(matches!(replies[0], Ok(Reply::Submit(_))));
    assert!(matches!(replies[1], Err(Error::OtherStudy(_))));
    assert!(matches!(replies[2], Err(Error::NoWorker(_))));
    assert!(matches!(&replies[3], Ok(Reply::Lease(leased)) if leased.leases.len() == 1));
    assert!(matches!(replies[4], Ok(Reply::Heartbeat(_))));
    bench.restart();
    assert_eq!(bench.status("two").planned, 3);
    assert_eq!((bench.status("one").planned, bench.status("one").leased), (6, 2));
}

pub fn the_manifest_is_stale_until_it_is_written(bench: &mut Bench) {
    bench.submit_small("one");
    assert_eq!(bench.ask(StaleManifests).unwrap(), []);
    let leases = bench.lease("w", 3);
    assert!(bench.ask(commit_of("w", &leases[1], 0, &runs_of(&leases[1]))).unwrap());
    let stale = Stale { study: "one".to_string(), ended: false, runs: 2 };
    assert_eq!(bench.ask(StaleManifests).unwrap(), [stale]);
    let read = ReadPage { study: "one".to_string(), after: None, limit: 100 };
    let page = bench.ask(read.clone()).unwrap();
    assert_eq!((page.entries.len(), page.next), (2, None));
    let entry = &page.entries[0];
    assert_eq!((entry.run.clone(), entry.state.as_str()), (runs_of(&leases[1])[0].clone(), "done"));
    assert_eq!((entry.fence, entry.size_bytes, entry.committed_ms), (Some(1), Some(100), Some(bench.now_ms)));
    // A commit between reading and writing: what was written is noted, and the manifest is still stale.
    assert!(bench.ask(commit_of("w", &leases[0], 0, &runs_of(&leases[0]))).unwrap());
    let claim = claim_manifest(bench).unwrap();
    assert!(bench.ask(Written { study: "one".to_string(), claim, changes: page.changes, runs: 2 }).unwrap());
    assert_eq!((bench.status("one").manifest_runs, bench.status("one").manifest_current), (2, false));
    let page = bench.ask(read).unwrap();
    let claim = claim_manifest(bench).unwrap();
    assert!(bench.ask(Written { study: "one".to_string(), claim, changes: page.changes, runs: 4 }).unwrap());
    assert!(bench.status("one").manifest_current);
    assert_eq!(bench.ask(StaleManifests).unwrap(), []);
}

/// A run that another study's worker trained says how that one did; a part of an older program says nothing.
pub fn the_manifest_says_how_each_run_was_trained(bench: &mut Bench) {
    bench.submit_small("one");
    let leases = bench.lease("w", 1);
    assert!(bench.ask(commit_of("w", &leases[0], 0, &runs_of(&leases[0]))).unwrap());
    bench.finish_all("old");
    bench.submit(study("two", "[1, 7]", 2)).unwrap();
    bench.finish_all("v");
    let read = |bench: &mut Bench, study: &str| {
        let mut after = None;
        let mut told = Vec::new();
        // Page by page, so that places and parts are looked up for each.
        loop {
            let page = bench.ask(ReadPage { study: study.to_string(), after, limit: 2 }).unwrap();
            told.extend(page.entries.into_iter().map(|entry| {
                let training = entry.training?;
                Some((
                    training.origin.backend.clone(),
                    training.trained.started_ms,
                    training.trained.resumed_after_epoch,
                ))
            }));
            match page.next {
                Some(next) => after = Some(next),
                None => return told,
            }
        }
    };
    let by = |worker: &str, place| Some((format!("cpu/{worker}"), place, 7));
    assert_eq!(read(bench, "one"), [by("w", 0), by("w", 1), None, None, None, None]);
    // Of seeds 1 and 7, the first one is the second run of study one.
    assert_eq!(read(bench, "two"), [by("w", 1), by("v", 0), None, by("v", 0), None, by("v", 0)]);
    bench.restart();
    assert_eq!(read(bench, "two").len(), 6);
}

fn claim_manifest(bench: &mut Bench) -> Option<u64> {
    bench.ask(Claim { study: "one".to_string() }).unwrap()
}

pub fn a_manifest_has_one_writer_at_a_time_and_one_that_was_late_makes_it_stale(bench: &mut Bench) {
    bench.submit_small("one");
    bench.finish_all("w");
    let written = |claim| Written { study: "one".to_string(), claim, changes: 3, runs: 6 };
    let first = claim_manifest(bench).unwrap();
    assert_eq!(claim_manifest(bench), None, "another is writing");
    bench.ask(Abandon { study: "one".to_string(), claim: first }).unwrap();
    let second = claim_manifest(bench).unwrap();
    assert!(second > first);
    bench.ask(Abandon { study: "one".to_string(), claim: first }).unwrap();
    assert_eq!(claim_manifest(bench), None, "a claim is given back by who has it");
    bench.now_ms += 60_000;
    let third = claim_manifest(bench).expect("a claim does not last for ever");
    assert!(bench.ask(written(third)).unwrap());
    assert!(bench.status("one").manifest_current);
    assert!(!bench.ask(written(second)).unwrap(), "the second has replaced what the third wrote");
    assert!(!bench.status("one").manifest_current);
    let fourth = claim_manifest(bench).unwrap();
    assert!(bench.ask(written(fourth)).unwrap());
    assert!(bench.status("one").manifest_current);
}

pub fn pages_list_every_run_once(bench: &mut Bench) {
    bench.submit(study("one", "5", 2)).unwrap();
    let given = bench.lease("w", 9);
    let some = runs_of(&given[4]);
    assert!(bench.ask(commit_of("w", &given[4], 0, &some)).unwrap());
    let all: Vec<String> = bench.runs("one").into_iter().map(|run| run.run).collect();
    for limit in [1, 2, 4, 15, 16] {
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let page = bench.ask(ListRuns { study: "one".to_string(), state: None, after, limit }).unwrap();
            listed.extend(page.runs.into_iter().map(|run| run.run));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(listed, all, "pages of {limit}");
    }
    let state = Some(RunState::Done);
    let done = bench.ask(ListRuns { study: "one".to_string(), state, after: None, limit: 100 }).unwrap().runs;
    assert_eq!(done.into_iter().map(|run| run.run).collect::<Vec<_>>(), some);
}

/// A worker's log may hold any characters; PostgreSQL keeps all but one.
pub fn texts_of_workers_are_kept_whatever_is_in_them(bench: &mut Bench) {
    bench.submit_small("one");
    let given = bench.lease_one("w");
    let run = runs_of(&given).remove(0);
    let mut fail = bench.failure("w", &given, &run, FailureKind::Run);
    fail.error = "it said `\u{1f980}\\'; DROP TABLE runs; --\u{7f}`".to_string();
    assert!(bench.ask(fail.clone()).unwrap());
    assert_eq!(bench.runs("one")[0].error, fail.error);
    fail.run = runs_of(&given).remove(1);
    fail.log = "before\0after".to_string();
    let replies = bench.transact_unmodelled(vec![fail.clone().into()]);
    assert!(matches!(replies[0], Ok(Reply::Fail(true))));
    let log = bench.ask_unmodelled(Logs { run: fail.run.clone() }).attempts.remove(0).log;
    assert!(["before\0after", "before\u{fffd}after"].contains(&log.as_str()), "{log:?}");
}
