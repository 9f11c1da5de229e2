//! Making runs done.

use curvefleet_coordinator::ledger::Error;
use curvefleet_coordinator::ledger::check::CheckRuns;
use curvefleet_coordinator::ledger::commit::Commit;
use curvefleet_coordinator::ledger::lose::Lose;
use curvefleet_coordinator::ledger::state::{RunState, StudyState};

use crate::bench::{Bench, SETTINGS, commit_of, runs_of, study};

pub fn committed_runs_are_done_and_the_last_one_ends_the_study(bench: &mut Bench) {
    bench.submit_small("one");
    let leases = bench.lease("w", 3);
    for (done, given) in leases.iter().enumerate() {
        let status = bench.status("one");
        assert_eq!((status.state, status.done, status.ended_ms), (StudyState::Active, 2 * done as u64, 0));
        bench.now_ms += 1;
        assert!(bench.ask(commit_of("w", given, 0, &runs_of(given))).unwrap());
        assert!(!bench.holds("w", given), "nothing is left to hold");
    }
    let status = bench.status("one");
    assert_eq!((status.state, status.done, status.ended_ms), (StudyState::Finished, 6, bench.now_ms));
    let runs = bench.runs("one");
    assert!(runs.iter().all(|run| run.state == RunState::Done && run.worker == "w" && !run.part.is_empty()));
    let mut asked: Vec<String> = runs.into_iter().map(|run| run.run).collect();
    let known = asked.clone();
    asked.push("0".repeat(32));
    assert_eq!(bench.ask(CheckRuns { runs: asked }).unwrap(), known);
}

pub fn a_stale_fence_changes_nothing(bench: &mut Bench) {
    bench.submit_small("one");
    let old = bench.lease_one("w");
    bench.outlast_leases();
    let new = bench.lease_one("v");
    let before = (bench.status("one"), bench.runs("one"));
    let runs = runs_of(&old);
    assert!(!bench.ask(commit_of("w", &old, 0, &runs)).unwrap());
    assert!(!bench.ask(commit_of("w", &new, 0, &runs)).unwrap(), "the right fence of the wrong worker is stale");
    assert!(!bench.fail("w", &old, &runs[0], curvefleet_coordinator::ledger::state::FailureKind::Study));
    let unknown = Commit { shard: "0000".to_string(), ..commit_of("v", &new, 0, &runs) };
    assert!(!bench.ask(unknown).unwrap());
    assert_eq!((bench.status("one"), bench.runs("one")), before);
    assert!(bench.ask(commit_of("v", &new, 0, &runs)).unwrap());
}

/// Also after the lease is over, and after a restart.
pub fn a_commit_repeated_is_the_same_commit(bench: &mut Bench) {
    bench.submit_small("one");
    let given = bench.lease_one("w");
    let commit = commit_of("w", &given, 0, &runs_of(&given)[..1]);
    assert!(bench.ask(commit.clone()).unwrap());
    let before = (bench.status("one"), bench.runs("one"));
    assert!(bench.ask(commit.clone()).unwrap());
    bench.now_ms += SETTINGS.lease_ms;
    bench.restart();
    bench.lease_one("v");
    assert!(bench.ask(commit).unwrap());
    assert_eq!(bench.status("one").done, before.0.done);
    assert_eq!(bench.runs("one"), before.1);
}

/// A part may hold a run that another part had made done before; if that other part is lost, the run is pending again.
pub fn a_commit_repeated_is_the_same_where_a_run_of_it_was_taken_back(bench: &mut Bench) {
    bench.submit_small("one");
    let given = bench.lease_one("w");
    let runs = runs_of(&given);
    let first = commit_of("w", &given, 0, &runs[..1]);
    assert!(bench.ask(first.clone()).unwrap());
    let both = commit_of("w", &given, 1, &runs);
    assert!(bench.ask(both.clone()).unwrap());
    let lose = Lose {
        study: "one".to_string(),
        parts: vec![(first.part.clone(), "is missing".to_string())],
        who: String::new(),
        what: "retry damaged",
    };
    assert_eq!(bench.ask(lose).unwrap().requeued, 1);
    let before = bench.runs("one");
    assert!(bench.ask(both).unwrap(), "a worker that did not hear the answer does not fail for it");
    assert!(bench.ask(first).unwrap());
    assert_eq!(bench.runs("one"), before, "what was taken back stays so");
}

pub fn a_part_is_never_committed_with_other_bytes_and_never_makes_more_runs_done(bench: &mut Bench) {
    bench.submit_small("one");
    let given = bench.lease_one("w");
    let runs = runs_of(&given);
    let commit = commit_of("w", &given, 0, &runs[..1]);
    assert!(bench.ask(commit.clone()).unwrap());
    let other_bytes = Commit { sha256: "cd".repeat(32), ..commit.clone() };
    assert!(matches!(bench.ask(other_bytes), Err(Error::Invalid(_))));
    assert!(bench.ask(commit_of("w", &given, 0, &runs)).unwrap());
    assert_eq!(bench.status("one").done, 1);
}

pub fn runs_and_parts_of_others_are_refused(bench: &mut Bench) {
    bench.submit_small("one");
    let leases = bench.lease("w", 2);
    let before = bench.runs("one");
    let mut strange = runs_of(&leases[0]);
    strange.push(runs_of(&leases[1])[0].clone());
    let error = bench.ask(commit_of("w", &leases[0], 0, &strange)).unwrap_err();
    assert!(error.to_string().contains("not one of the shard"), "{error}");
    for part in ["studies/one/study.toml", &commit_of("w", &leases[1], 0, &[]).part, "x-0.parquet", "", "../-1.parquet"]
    {
        let commit = Commit { part: part.to_string(), ..commit_of("w", &leases[0], 0, &runs_of(&leases[0])) };
        assert!(matches!(bench.ask(commit), Err(Error::Invalid(_))), "{part}");
    }
    assert_eq!(bench.runs("one"), before);
}

pub fn what_is_done_of_a_shard_stays_done_when_it_goes_to_someone_else(bench: &mut Bench) {
    bench.submit_small("one");
    let first = bench.lease_one("w");
    let runs = runs_of(&first);
    assert!(bench.ask(commit_of("w", &first, 0, &runs[..1])).unwrap());
    let part = bench.runs("one")[0].part.clone();
    bench.outlast_leases();
    let second = bench.lease_one("v");
    assert_eq!((&second.shard, &second.runs[..]), (&first.shard, &[1][..]));
    assert!(!bench.ask(commit_of("w", &first, 1, &runs[1..])).unwrap());
    assert!(bench.ask(commit_of("v", &second, 0, &runs)).unwrap());
    let listed = bench.runs("one");
    assert_eq!((&listed[0].part, listed[0].worker.as_str()), (&part, "w"), "a run is done once");
    assert_eq!((listed[1].state, listed[1].worker.as_str()), (RunState::Done, "v"));
    assert_eq!(bench.status("one").done, 2);
}

pub fn a_late_worker_that_was_not_replaced_may_commit(bench: &mut Bench) {
    bench.submit_small("one");
    let given = bench.lease_one("w");
    bench.now_ms += 10 * SETTINGS.lease_ms;
    assert!(bench.ask(commit_of("w", &given, 0, &runs_of(&given)[..1])).unwrap());
    assert!(bench.holds("w", &given));
}

pub fn a_run_done_in_one_study_is_done_in_all(bench: &mut Bench) {
    bench.submit_small("one");
    bench.submit(study("two", "3", 3)).unwrap();
    let given = bench.lease_one("w");
    assert!(bench.ask(commit_of("w", &given, 0, &runs_of(&given))).unwrap());
    assert_eq!((bench.status("one").done, bench.status("two").done), (2, 2));
    let leases = bench.lease("w", 9);
    let partly: Vec<_> = leases.iter().filter(|lease| lease.study == "two").map(|lease| lease.runs.clone()).collect();
    assert_eq!(partly, [vec![2], vec![0, 1, 2], vec![0, 1, 2]]);
}

/// Both studies' workers train the same runs; the first commit counts, the second changes nothing and is no error.
pub fn a_run_of_a_leased_shard_done_elsewhere_is_done_once(bench: &mut Bench) {
    bench.submit_small("one");
    bench.submit(study("two", "3", 3)).unwrap();
    let one = bench.lease_one("w");
    let two = bench.lease_one("v");
    assert!(bench.ask(commit_of("w", &one, 0, &runs_of(&one))).unwrap());
    assert!(bench.holds("v", &two), "one of its runs is still open");
    assert!(bench.ask(commit_of("v", &two, 0, &runs_of(&two))).unwrap());
    let runs = bench.runs("two");
    assert!(runs[0].part.starts_with("studies/one/") && runs[2].part.starts_with("studies/two/"));
    assert_eq!((bench.status("one").done, bench.status("two").done), (2, 3));
}

pub fn a_new_study_reuses_what_is_done(bench: &mut Bench) {
    bench.submit_small("one");
    bench.finish_all("w");
    let two = bench.submit(study("two", "3", 2)).unwrap();
    assert_eq!((two.entered.reused, two.status.done, two.status.state), (6, 6, StudyState::Active));
    assert_eq!(bench.lease("w", 9).iter().map(|given| given.runs.len()).sum::<usize>(), 3);
    let three = bench.submit_small("three");
    assert_eq!((three.entered.reused, three.status.state), (6, StudyState::Finished));
    assert_eq!(three.status.ended_ms, bench.now_ms);
    assert!(bench.runs("three").iter().all(|run| run.part.starts_with("studies/one/")));
}
