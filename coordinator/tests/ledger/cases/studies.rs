//! Submitting, cancelling and retrying studies.

use curvefleet_coordinator::ledger::Error;
use curvefleet_coordinator::ledger::cancel::Cancel;
use curvefleet_coordinator::ledger::enter::{ListUnentered, Unentered};
use curvefleet_coordinator::ledger::retry::Retry;
use curvefleet_coordinator::ledger::state::StudyState;
use curvefleet_coordinator::ledger::study::{GetStudy, ListStudies};

use crate::bench::{Bench, commit_of, enter_of, runs_of, study};

fn cancel(bench: &mut Bench, study: &str) -> curvefleet_coordinator::ledger::study::Status {
    bench.ask(Cancel { study: study.to_string(), who: "test".to_string() }).unwrap()
}

fn retry(bench: &mut Bench, study: &str) -> curvefleet_coordinator::ledger::retry::Retried {
    bench.ask(Retry { study: study.to_string(), who: "test".to_string() }).unwrap()
}

pub fn a_submitted_study_is_planned_into_shards_and_runs(bench: &mut Bench) {
    let submitted = bench.submit(study("one", "5", 2)).unwrap();
    assert_eq!((submitted.existed, submitted.entered.reused), (false, 0));
    assert_eq!(submitted.status.state, StudyState::Active);
    assert_eq!((submitted.status.planned, submitted.status.open()), (15, 15));
    assert_eq!(submitted.status.submitted_ms, bench.now_ms);
    let runs = bench.runs("one");
    assert_eq!(runs.len(), 15);
    assert_eq!(runs[0].condition, "up/down");
    assert_eq!(runs.iter().take(5).map(|run| run.seed).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    let shards: std::collections::HashSet<_> = runs.iter().map(|run| &run.shard).collect();
    assert_eq!(shards.len(), 9);
}

pub fn a_large_study_is_entered_some_shards_at_a_time_and_leased_meanwhile(bench: &mut Bench) {
    let study = study("one", "5", 2);
    let enter = enter_of(&study);
    let submitted = bench.ask(study.clone()).unwrap();
    assert_eq!((submitted.status.planned, submitted.entered.left), (15, 7), "2 of 9 shards have 4 runs together");
    assert_eq!(bench.ask(ListUnentered).unwrap(), [Unentered { toml: study.toml.clone(), hash: study.hash.clone() }]);
    bench.finish_all("w");
    let status = bench.status("one");
    assert_eq!((status.state, status.done, status.open()), (StudyState::Active, 4, 11), "more is to come");
    assert!(bench.ask(study).unwrap().existed);
    assert_eq!(bench.ask(enter.clone()).unwrap().left, 4, "1 + 2 + 2 runs");
    cancel(bench, "one");
    bench.restart();
    while bench.ask(enter.clone()).unwrap().left > 0 {}
    let status = bench.status("one");
    assert_eq!((status.state, status.done, status.cancelled), (StudyState::Cancelled, 4, 11), "given up as it comes");
    assert_eq!(retry(bench, "one").requeued, 11);
    bench.finish_all("w");
    assert_eq!(bench.status("one").state, StudyState::Finished);
    assert_eq!(bench.ask(ListUnentered).unwrap(), []);
}

pub fn the_same_study_twice_is_the_same_study(bench: &mut Bench) {
    bench.submit_small("one");
    bench.finish_all("w");
    let before = (bench.status("one"), bench.runs("one"));
    let again = bench.submit_small("one");
    assert!(again.existed);
    assert_eq!((again.status, bench.runs("one")), before);
    assert_eq!(bench.ask(ListStudies).unwrap().len(), 1);
}

pub fn another_study_of_the_same_name_is_refused(bench: &mut Bench) {
    bench.submit_small("one");
    let error = bench.submit(study("one", "3", 2)).unwrap_err();
    assert!(matches!(error, Error::OtherStudy(_)));
    assert!(error.to_string().contains("another name") && error.to_string().contains("reused"), "{error}");
    assert_eq!(bench.status("one").planned, 6);
}

pub fn a_study_that_is_not_there_is_refused_by_name(bench: &mut Bench) {
    let error = bench.ask(GetStudy { name: "none".to_string() }).unwrap_err();
    assert!(error.to_string().contains("`none`"), "{error}");
    assert!(bench.ask(Cancel { study: "none".to_string(), who: String::new() }).is_err());
    assert!(bench.ask(Retry { study: "none".to_string(), who: String::new() }).is_err());
}

pub fn cancelling_keeps_what_is_done_and_revokes_leases(bench: &mut Bench) {
    bench.submit_small("one");
    let given = bench.lease_one("w");
    let runs = runs_of(&given);
    assert!(bench.ask(commit_of("w", &given, 0, &runs[..1])).unwrap());
    bench.now_ms += 5;
    let status = cancel(bench, "one");
    assert_eq!((status.state, status.done, status.cancelled), (StudyState::Cancelled, 1, 5));
    assert_eq!(status.ended_ms, bench.now_ms);
    assert!(!bench.holds("w", &given));
    assert!(!bench.ask(commit_of("w", &given, 1, &runs[1..])).unwrap());
    assert!(bench.lease("w", 9).is_empty());
    bench.now_ms += 5;
    assert_eq!(cancel(bench, "one"), status, "cancelling twice is cancelling once");
}

pub fn retrying_requeues_what_failed_or_was_cancelled(bench: &mut Bench) {
    bench.submit_small("one");
    let given = bench.lease_one("w");
    let runs = runs_of(&given);
    assert!(bench.ask(commit_of("w", &given, 0, &runs[..1])).unwrap());
    cancel(bench, "one");
    let retried = retry(bench, "one");
    assert_eq!(retried.requeued, 5);
    assert_eq!((retried.status.state, retried.status.done, retried.status.cancelled), (StudyState::Active, 1, 0));
    assert_eq!(retried.status.ended_ms, 0);
    let again = bench.lease_one("v");
    assert_eq!((again.shard == given.shard, again.fence, &again.runs[..]), (true, 2, &[1][..]));
    bench.finish_all("v");
    assert!(bench.ask(commit_of("v", &again, 0, &runs[1..])).unwrap());
    assert_eq!(bench.status("one").state, StudyState::Finished);
    assert_eq!(retry(bench, "one").requeued, 0);
    assert_eq!(bench.status("one").state, StudyState::Finished);
}

/// Two studies share all runs; one is cancelled, the other finishes; retried, the first has nothing left to train.
pub fn a_cancelled_study_retried_adopts_what_was_done_elsewhere_meanwhile(bench: &mut Bench) {
    bench.submit_small("one");
    cancel(bench, "one");
    bench.submit_small("two");
    bench.finish_all("w");
    assert_eq!(bench.status("one").done, 0);
    assert_eq!(retry(bench, "one").requeued, 6);
    assert!(bench.lease("w", 9).is_empty());
    let status = bench.status("one");
    assert_eq!((status.state, status.done), (StudyState::Finished, 6));
    assert!(bench.runs("one").iter().all(|run| run.part.starts_with("studies/two/")));
}
