//! Taking back runs whose parts are lost.

use curvefleet_coordinator::ledger::cancel::Cancel;
use curvefleet_coordinator::ledger::check::CheckRuns;
use curvefleet_coordinator::ledger::logs::Logs;
use curvefleet_coordinator::ledger::lose::{CommittedParts, Lose, Lost};
use curvefleet_coordinator::ledger::manifest::ReadPage;
use curvefleet_coordinator::ledger::state::{RunState, StudyState};

use crate::bench::{Bench, commit_of, runs_of, study};

fn lose(bench: &mut Bench, study: &str, parts: &[&str]) -> Lost {
    let parts = parts.iter().map(|part| (part.to_string(), "is missing from the store".to_string())).collect();
    bench.ask(Lose { study: study.to_string(), parts, who: "test".to_string(), what: "retry damaged" }).unwrap()
}

pub fn the_runs_of_a_lost_part_are_trained_again_and_no_others(bench: &mut Bench) {
    bench.submit_small("one");
    bench.finish_all("w");
    let before = bench.runs("one");
    let part = before[2].part.clone();
    let lost = lose(bench, "one", &[&part]);
    assert_eq!((lost.requeued, lost.status.state, lost.status.done), (2, StudyState::Active, 4));
    assert_eq!((lost.status.open(), lost.status.ended_ms), (2, 0));
    assert!(!lost.status.manifest_current, "the manifest names the lost part");
    let page = bench.ask(ReadPage { study: "one".to_string(), after: None, limit: 9 }).unwrap();
    assert_eq!(page.entries.len(), 4, "what is lost is not in the next manifest");

    let again = bench.lease_one("v");
    let ids: Vec<&String> = before[2..4].iter().map(|run| &run.run).collect();
    assert_eq!(runs_of(&again).iter().collect::<Vec<_>>(), ids);
    assert!(bench.lease("v", 9).is_empty(), "the others stay done");
    assert!(bench.ask(commit_of("v", &again, 0, &runs_of(&again))).unwrap());
    let after = bench.runs("one");
    assert!(after[2].part != part && after[2].worker == "v");
    assert_eq!((&after[..2], &after[4..]), (&before[..2], &before[4..]));
    assert_eq!(bench.status("one").state, StudyState::Finished);
    let attempts = bench.ask(Logs { run: after[2].run.clone() }).unwrap().attempts;
    let outcomes: Vec<&str> = attempts.iter().map(|attempt| attempt.outcome.as_str()).collect();
    assert_eq!(outcomes, ["done", "lost", "done"]);
    assert!(attempts[1].error.contains(&part) && attempts[1].error.contains("missing"));
}

pub fn a_part_lost_twice_is_lost_once(bench: &mut Bench) {
    bench.submit_small("one");
    bench.finish_all("w");
    let part = bench.runs("one")[0].part.clone();
    let known = |bench: &mut Bench| {
        bench.ask(CommittedParts { study: "one".to_string(), parts: vec![part.clone(), "x".to_string()] }).unwrap()
    };
    let committed = known(bench);
    assert_eq!(committed.len(), 1);
    assert_eq!((committed[0].key.as_str(), committed[0].size_bytes), (part.as_str(), 100));
    assert_eq!(lose(bench, "one", &[&part, "x"]).requeued, 2);
    let before = (bench.status("one"), bench.runs("one"));
    assert!(known(bench).is_empty());
    assert_eq!(lose(bench, "one", &[&part]).requeued, 0);
    assert_eq!((bench.status("one"), bench.runs("one")), before);
}

/// The study that reuses a run would otherwise hand the lost part on.
pub fn a_lost_part_is_lost_in_every_study_that_reuses_it(bench: &mut Bench) {
    bench.submit_small("one");
    bench.finish_all("w");
    bench.submit_small("two");
    let part = bench.runs("two")[0].part.clone();
    assert!(part.starts_with("studies/one/"));
    assert_eq!(lose(bench, "two", &[&part]).requeued, 2);
    for name in ["one", "two"] {
        let status = bench.status(name);
        assert_eq!((status.state, status.done, status.open()), (StudyState::Active, 4, 2));
    }
    let run = bench.runs("one")[0].run.clone();
    assert!(bench.ask(CheckRuns { runs: vec![run] }).unwrap().is_empty());
    bench.finish_all("v");
    for name in ["one", "two"] {
        assert_eq!((bench.status(name).state, bench.status(name).done), (StudyState::Finished, 6));
    }
    assert!(bench.runs("two")[0].part != part);
}

pub fn a_lost_run_of_a_cancelled_study_is_given_up_like_the_others(bench: &mut Bench) {
    bench.submit_small("one");
    let given = bench.lease_one("w");
    assert!(bench.ask(commit_of("w", &given, 0, &runs_of(&given))).unwrap());
    bench.ask(Cancel { study: "one".to_string(), who: "test".to_string() }).unwrap();
    let part = bench.runs("one")[0].part.clone();
    let lost = lose(bench, "one", &[&part]);
    assert_eq!((lost.status.state, lost.status.done, lost.status.cancelled), (StudyState::Cancelled, 0, 6));
    assert!(bench.runs("one").iter().all(|run| run.state == RunState::Cancelled && run.part.is_empty()));
    assert!(bench.lease("w", 9).is_empty());
}

pub fn a_run_lost_while_its_shard_is_leased_is_trained_after_the_lease(bench: &mut Bench) {
    bench.submit_small("one");
    let given = bench.lease_one("w");
    let runs = runs_of(&given);
    assert!(bench.ask(commit_of("w", &given, 0, &runs[..1])).unwrap());
    let part = bench.runs("one")[0].part.clone();
    lose(bench, "one", &[&part]);
    assert!(bench.holds("w", &given));
    assert!(bench.ask(commit_of("w", &given, 1, &runs[1..])).unwrap());
    assert_eq!(bench.status("one").done, 1);
    bench.outlast_leases();
    bench.finish_all("v");
    assert_eq!((bench.status("one").state, bench.status("one").done), (StudyState::Finished, 6));
}

/// The lost part's own commit, sent again after a lost answer, does not bring it back.
pub fn a_late_repeat_of_a_lost_commit_changes_nothing(bench: &mut Bench) {
    bench.submit(study("one", "2", 2)).unwrap();
    let given = bench.lease_one("w");
    let commit = commit_of("w", &given, 0, &runs_of(&given));
    assert!(bench.ask(commit.clone()).unwrap());
    lose(bench, "one", &[&commit.part]);
    let before = (bench.status("one"), bench.runs("one"));
    assert!(bench.ask(commit).unwrap(), "it was accepted once, and its worker need not know what became of it");
    assert_eq!((bench.status("one"), bench.runs("one")), before);
}
