//! Many small parts that become a large one.

use curvefleet_coordinator::ledger::cancel::Cancel;
use curvefleet_coordinator::ledger::compact::{
    CLAIM_MS, EndCompaction, LARGE_BYTES, LAST_PARTS, ListMoved, Made, Plan, PlanCompaction, TARGET_BYTES,
};
use curvefleet_coordinator::ledger::lose::{CommittedParts, Lose};
use curvefleet_coordinator::ledger::manifest::{Claim, ReadPage, StaleManifests, Written};
use curvefleet_coordinator::ledger::runs::Run;
use curvefleet_coordinator::ledger::state::{RunState, StudyState};
use curvefleet_proto::artifact::{compacted_key, sha256_hex};

use crate::bench::{Bench, commit_of, runs_of, study};

/// A finished study of 3 × 7 runs with a part for each: enough to be compacted.
fn finished(bench: &mut Bench, name: &str) -> Vec<Run> {
    bench.submit(study(name, "7", 1)).unwrap();
    bench.finish_all("w");
    let runs = bench.runs(name);
    assert!(runs.len() as u64 >= LAST_PARTS);
    runs
}

fn plan(bench: &mut Bench) -> Option<Plan> {
    bench.ask(PlanCompaction).unwrap()
}

fn keys(plan: &Plan) -> Vec<String> {
    plan.sources.iter().map(|source| source.part.clone()).collect()
}

/// The plan's end: a large part of these sources.
fn made(plan: &Plan, sources: Vec<String>) -> EndCompaction {
    let sha256 = sha256_hex(sources.concat().as_bytes());
    let key = compacted_key(&plan.study, plan.claim, &sha256);
    let made = Made { key, size_bytes: 1_234, sha256, sources };
    EndCompaction { study: plan.study.clone(), claim: plan.claim, made: Some(made), unfit: Vec::new() }
}

/// Compacts all that a plan names; gives the large part's key.
fn compact(bench: &mut Bench) -> String {
    let plan = plan(bench).expect("there is something to compact");
    let end = made(&plan, keys(&plan));
    let key = end.made.as_ref().unwrap().key.clone();
    assert_eq!(bench.ask(end).unwrap(), plan.sources.len() as u64);
    key
}

fn write_manifest(bench: &mut Bench, study: &str) {
    let study = study.to_string();
    let claim = bench.ask(Claim { study: study.clone() }).unwrap().unwrap();
    let page = bench.ask(ReadPage { study: study.clone(), after: None, limit: 100 }).unwrap();
    let runs = page.entries.len() as u64;
    assert!(bench.ask(Written { study, claim, changes: page.changes, runs }).unwrap());
}

pub fn the_parts_of_a_finished_study_become_one_and_its_runs_stay_as_they_are(bench: &mut Bench) {
    let before = finished(bench, "one");
    write_manifest(bench, "one");
    let planned = plan(bench).unwrap();
    assert_eq!(planned.study, "one");
    assert_eq!(keys(&planned), before.iter().map(|run| run.part.clone()).collect::<Vec<_>>(), "in the plan's order");
    let runs: Vec<_> = planned.sources.iter().flat_map(|source| source.runs.clone()).collect();
    assert_eq!(runs, before.iter().map(|run| run.run.clone()).collect::<Vec<_>>());
    let end = made(&planned, keys(&planned));
    let large = end.made.clone().unwrap();
    assert_eq!(bench.ask(end.clone()).unwrap(), 21);
    let key = large.key;
    bench.restart();
    let expected: Vec<Run> = before.iter().map(|run| Run { part: key.clone(), ..run.clone() }).collect();
    assert_eq!(bench.runs("one"), expected);
    assert_eq!(bench.ask(StaleManifests).unwrap().len(), 1, "the manifest names the old parts");
    let page = bench.ask(ReadPage { study: "one".to_string(), after: None, limit: 100 }).unwrap();
    for entry in page.entries {
        assert_eq!(entry.part.as_deref(), Some(key.as_str()));
        assert_eq!((entry.size_bytes, entry.sha256.as_deref()), (Some(1_234), Some(large.sha256.as_str())));
        assert_eq!((entry.fence, entry.worker.as_deref()), (Some(1), Some("w")), "who trained it is kept");
        assert_eq!(entry.training.map(|it| it.origin.backend.clone()).as_deref(), Some("cpu/w"));
    }
    assert_eq!(bench.ask(end).unwrap(), 0, "told again");
    assert_eq!(plan(bench), None, "nothing is left to do");
}

pub fn few_parts_and_studies_that_go_on_are_left_alone(bench: &mut Bench) {
    bench.submit_small("few");
    bench.finish_all("w");
    assert_eq!(plan(bench), None, "three parts are no burden");
    bench.submit(study("active", "[10, 11, 12, 13, 14, 15, 16]", 1)).unwrap();
    for given in bench.lease("w", 20) {
        bench.ask(commit_of("w", &given, 0, &runs_of(&given))).unwrap();
    }
    assert_eq!(bench.status("active").done, 20);
    assert_eq!(plan(bench), None, "more are to come");
    bench.ask(Cancel { study: "active".to_string(), who: String::new() }).unwrap();
    assert_eq!(plan(bench).map(|plan| plan.sources.len()), Some(20));
}

pub fn a_study_that_goes_on_is_compacted_when_a_large_part_is_full(bench: &mut Bench) {
    bench.submit(study("one", "9", 1)).unwrap();
    let leases = bench.lease("w", 9);
    let sizes = [LARGE_BYTES, LARGE_BYTES - 1, LARGE_BYTES - 1, 1, LARGE_BYTES - 1, 9];
    let mut parts = Vec::new();
    for (given, size_bytes) in leases.iter().zip(sizes) {
        let mut commit = commit_of("w", given, 0, &runs_of(given));
        commit.size_bytes = size_bytes;
        parts.push(commit.part.clone());
        assert!(bench.ask(commit).unwrap());
        let is_full = parts.len() == 5;
        match plan(bench) {
            Some(plan) => {
                assert!(is_full);
                assert_eq!(keys(&plan), parts[1..5], "a part that is large already stays, and the last one fills it");
                assert!(plan.sources.iter().map(|source| source.size_bytes).sum::<u64>() >= TARGET_BYTES);
                assert_eq!(bench.ask(made(&plan, keys(&plan))).unwrap(), 4);
            }
            None => assert!(!is_full),
        }
    }
    let runs = bench.runs("one");
    assert_eq!((&runs[0].part, &runs[5].part), (&parts[0], &parts[5]));
}

pub fn one_coordinator_at_a_time_compacts_a_study_and_a_late_one_moves_nothing(bench: &mut Bench) {
    finished(bench, "one");
    let first = plan(bench).unwrap();
    assert_eq!(plan(bench), None, "another is at it");
    bench.now_ms += CLAIM_MS;
    let second = plan(bench).expect("a claim does not last for ever");
    assert!(second.claim > first.claim && second.sources == first.sources);
    assert_eq!(bench.ask(made(&second, keys(&second))).unwrap(), 21);
    let before = (bench.runs("one"), bench.status("one"));
    assert_eq!(bench.ask(made(&first, keys(&first))).unwrap(), 0);
    assert_eq!((bench.runs("one"), bench.status("one")), before);
    // One that gives up lets others go on at once.
    bench.submit(study("two", "[20, 21, 22, 23, 24, 25]", 1)).unwrap();
    bench.finish_all("w");
    let third = plan(bench).unwrap();
    let given_up = EndCompaction { study: third.study.clone(), claim: third.claim, made: None, unfit: Vec::new() };
    assert_eq!(bench.ask(given_up).unwrap(), 0);
    assert!(plan(bench).is_some());
}

pub fn a_part_that_was_lost_between_plan_and_end_does_not_move(bench: &mut Bench) {
    let before = finished(bench, "one");
    let planned = plan(bench).unwrap();
    let (lost, who) = (before[4].part.clone(), String::new());
    let lose = Lose {
        study: "one".to_string(),
        parts: vec![(lost.clone(), "is missing".to_string())],
        who,
        what: "retry damaged",
    };
    assert_eq!(bench.ask(lose).unwrap().requeued, 1);
    assert_eq!(bench.ask(made(&planned, keys(&planned))).unwrap(), 20);
    let after = bench.runs("one");
    assert_eq!((after[4].state, after[4].part.as_str()), (RunState::Pending, ""));
    bench.finish_all("v");
    let after = bench.runs("one");
    assert!(after[4].part != lost && after[4].part != after[5].part && after[4].worker == "v");
    assert!(after[5].part == after[20].part && after[5].part.contains("/compacted-"));
}

pub fn damaged_parts_stay_and_the_others_move(bench: &mut Bench) {
    let before = finished(bench, "one");
    let planned = plan(bench).unwrap();
    let (unfit, sound) = (keys(&planned)[..1].to_vec(), keys(&planned)[1..].to_vec());
    let end = EndCompaction { unfit, ..made(&planned, sound) };
    assert_eq!(bench.ask(end).unwrap(), 20);
    let after = bench.runs("one");
    assert_eq!(after[0], before[0]);
    assert!(after[1..].iter().all(|run| run.part == after[1].part));
    assert_eq!(plan(bench), None, "it is not tried again");
}

/// The study that reuses a run reads it from the large part, too, and loses it with it.
pub fn reused_runs_move_and_are_lost_with_their_part(bench: &mut Bench) {
    finished(bench, "one");
    bench.submit(study("two", "[0, 9]", 1)).unwrap();
    bench.finish_all("v");
    for name in ["one", "two"] {
        write_manifest(bench, name);
    }
    let old = bench.runs("one")[0].part.clone();
    let key = compact(bench);
    let stale = bench.ask(StaleManifests).unwrap();
    assert_eq!(stale.iter().map(|stale| stale.study.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    let two = bench.runs("two");
    assert_eq!(two.iter().map(|run| run.part == key).collect::<Vec<_>>(), [true, false].repeat(3));

    let asked = |parts: Vec<String>| CommittedParts { study: "two".to_string(), parts };
    let committed = bench.ask(asked(vec![old.clone(), key.clone()])).unwrap();
    assert_eq!((committed.len(), committed[0].key.as_str(), committed[0].size_bytes), (1, key.as_str(), 1_234));
    let lose = |part: &str| {
        let parts = vec![(part.to_string(), "is missing".to_string())];
        Lose { study: "two".to_string(), parts, who: String::new(), what: "retry damaged" }
    };
    assert_eq!(bench.ask(lose(&old)).unwrap().requeued, 0, "its rows are elsewhere");
    assert_eq!(bench.ask(lose(&key)).unwrap().requeued, 3);
    assert_eq!((bench.status("one").done, bench.status("two").done), (0, 3));
    bench.finish_all("u");
    assert_eq!(bench.status("one").state, StudyState::Finished);
    assert!(bench.runs("one").iter().all(|run| run.worker == "u" && run.part != key));
    assert!(compact(bench) != key);
}

/// A worker that has not heard of its commit says it again, whatever has become of the part.
pub fn a_commit_repeated_after_its_part_has_moved_is_the_same_commit(bench: &mut Bench) {
    bench.submit(study("one", "6", 1)).unwrap();
    let given = bench.lease_one("w");
    let commit = commit_of("w", &given, 0, &runs_of(&given));
    assert!(bench.ask(commit.clone()).unwrap());
    bench.finish_all("w");
    compact(bench);
    let before = (bench.runs("one"), bench.status("one"));
    assert!(bench.ask(commit).unwrap());
    assert_eq!((bench.runs("one"), bench.status("one")), before);
}

pub fn moved_parts_are_listed_by_the_time_and_page_by_page(bench: &mut Bench) {
    let before = finished(bench, "one");
    let moved_ms = bench.now_ms;
    compact(bench);
    let list = |bench: &mut Bench, since_ms, after: &str, limit| {
        bench.ask(ListMoved { study: "one".to_string(), since_ms, after: after.to_string(), limit }).unwrap()
    };
    let mut expected: Vec<String> = before.into_iter().map(|run| run.part).collect();
    expected.sort();
    let first = list(bench, moved_ms, "", 10);
    assert!(first.iter().all(|moved| moved.moved_ms == moved_ms));
    let second = list(bench, moved_ms, &first[9].part, 20);
    let all: Vec<String> = first.into_iter().chain(second).map(|moved| moved.part).collect();
    assert_eq!(all, expected);
    assert_eq!(list(bench, moved_ms + 1, "", 10), []);
}
