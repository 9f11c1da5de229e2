//! Which shards come next: shares, requirements, work ahead, and runs for a worker that has nothing to do.

use curvefleet_coordinator::ledger::explain::{About, Explain};
use curvefleet_coordinator::ledger::lease::{Given, Lease};
use curvefleet_coordinator::ledger::logs::Logs;
use curvefleet_coordinator::ledger::register::Register;
use curvefleet_coordinator::ledger::split::Split;
use curvefleet_coordinator::ledger::state::{FailureKind, StudyState};
use curvefleet_proto::requirement::Capabilities;

use crate::bench::{Bench, commit_of, lease_of, register_of, runs_of, study, study_that};

fn studies(leases: &[Given]) -> Vec<&str> {
    leases.iter().map(|given| given.study.as_str()).collect()
}

/// The second study's runs are twice the work, so that it gets half the shards.
pub fn studies_of_one_priority_share_by_the_work_that_is_leased(bench: &mut Bench) {
    bench.submit(study_that("light", "4", 1, "[training]\nepochs = 50\n")).unwrap();
    bench.submit(study_that("heavy", "4", 1, "[training]\nepochs = 100\n")).unwrap();
    let leases = bench.lease("w", 9);
    assert_eq!(studies(&leases), ["light", "heavy", "light", "light", "heavy", "light", "light", "heavy", "light"]);
    // What is done is not held any more: the study that has finished much is not put back for it.
    for given in leases.iter().filter(|given| given.study == "light") {
        assert!(bench.ask(commit_of("w", given, 0, &runs_of(given))).unwrap());
    }
    assert_eq!(bench.lease_one("w").study, "light");
}

fn register(bench: &mut Bench, worker: &str, cores: u32, gpu: &str) {
    let gpus = if gpu.is_empty() { Vec::new() } else { vec![gpu.to_string()] };
    let has = Capabilities { cores, gpus, ..Capabilities::default() };
    bench.ask(Register { has, ..register_of(worker) }).unwrap();
}

const MODELS: &str = "[[models]]\nkind = \"lstm\"\n[[models]]\nkind = \"gru\"\nrequires = { gpu = \"h100\" }\n";

pub fn workers_that_lack_what_is_needed_are_not_given_it(bench: &mut Bench) {
    let plain = bench.submit(study_that("plain", "1", 1, "[[models]]\nkind = \"lstm\"\n[[models]]\nkind = \"gru\"\n"));
    assert_eq!(plain.unwrap().entered.reused, 0);
    let leases = bench.lease("w", 9);
    for given in &leases {
        assert!(bench.ask(commit_of("w", given, 0, &runs_of(given))).unwrap());
    }
    let picky = bench.submit(study_that("picky", "2", 1, MODELS)).unwrap();
    assert_eq!(picky.entered.reused, 6, "what a run needs is no part of what it is");
    let needs_cores = format!("{MODELS}[requires]\ncores = 8\n");
    bench.submit(study_that("large", "[7]", 1, &needs_cores)).unwrap();
    register(bench, "small", 4, "");
    register(bench, "cores", 8, "");
    register(bench, "card", 8, "NVIDIA H100 80GB");
    let given = |bench: &mut Bench, worker: &str| {
        let leases = bench.ask(lease_of(worker, 64)).unwrap().leases;
        let model = |given: &Given| if given.spec_json.contains("\"model\":\"gru\"") { "gru" } else { "lstm" };
        leases.iter().map(|given| format!("{} {}", given.study, model(given))).collect::<Vec<_>>()
    };
    assert_eq!(given(bench, "small"), ["picky lstm"; 3]);
    assert_eq!(given(bench, "cores"), ["large lstm"; 3]);
    let mut card = given(bench, "card");
    card.sort();
    assert_eq!(card, ["large gru", "large gru", "large gru", "picky gru", "picky gru", "picky gru"]);
}

pub fn what_no_worker_has_is_told(bench: &mut Bench) {
    bench.submit(study_that("picky", "1", 1, MODELS)).unwrap();
    register(bench, "w", 4, "");
    assert_eq!(bench.status("picky").unmet, ["a graphics card h100"]);
    let About::Worker(worker) = bench.ask(Explain { what: "w".to_string() }).unwrap().about.remove(0) else { panic!() };
    assert_eq!(worker.lacking, [("picky".to_string(), "a graphics card h100 (it has none)".to_string())]);
    register(bench, "v", 4, "H100");
    assert!(bench.status("picky").unmet.is_empty());
    let given = bench.ask(lease_of("v", 9)).unwrap().leases.pop().unwrap();
    let About::Shard(shard) = bench.ask(Explain { what: given.shard }).unwrap().about.remove(0) else { panic!() };
    assert_eq!((shard.needs.as_str(), shard.fitting), ("a graphics card h100", 1));
}

/// Of 24 runs each of two workers may hold six and begin more; a third with twice the slots may hold as many.
pub fn work_ahead_is_no_more_than_half_a_share_of_what_is_left(bench: &mut Bench) {
    bench.submit(study("one", "8", 1)).unwrap();
    bench.register("w");
    bench.register("v");
    let first = bench.lease_one("w");
    let ask = |worker: &str, shards, shards_ahead: u64| Lease {
        ahead_ms: shards_ahead * first.work_ms,
        ..lease_of(worker, shards)
    };
    let too_little = Lease { ahead_ms: first.work_ms - 1, ..lease_of("w", 0) };
    assert!(bench.ask(too_little).unwrap().leases.is_empty(), "no shard is as small");
    let given = |bench: &mut Bench, ask: Lease| bench.ask(ask).unwrap().leases.len();
    assert_eq!(given(bench, ask("w", 1, 2)), 3);
    assert_eq!(given(bench, ask("w", 0, 100)), 2);
    assert_eq!(given(bench, ask("w", 0, 100)), 0);
    assert_eq!(given(bench, ask("w", 1, 0)), 1, "a slot that is free is not left so");
    bench.ask(Register { slots: 2, ..register_of("x") }).unwrap();
    assert_eq!(given(bench, ask("x", 1, 100)), 6);
    assert_eq!(given(bench, ask("v", 1, 100)), 3);
}

fn split_of(worker: &str, given: &Given, runs: &[u32]) -> Split {
    let (worker, shard) = (worker.to_string(), given.shard.clone());
    Split { worker, shard, fence: given.fence, runs: runs.to_vec() }
}

/// Which of the leases a worker that has nothing to do would share.
fn wanted(bench: &mut Bench, worker: &str, leases: &[Given]) -> Vec<usize> {
    let heard = bench.beat(worker, &leases.iter().collect::<Vec<_>>()).leases.into_iter().map(Option::unwrap);
    heard.enumerate().filter(|(_, renewed)| renewed.wanted).map(|(index, _)| index).collect()
}

pub fn runs_that_have_not_begun_go_to_a_worker_that_has_nothing_to_do(bench: &mut Bench) {
    bench.submit(study("one", "4", 4)).unwrap();
    let leases = bench.lease("w", 3);
    let runs = runs_of(&leases[0]);
    assert!(wanted(bench, "w", &leases).is_empty());
    assert!(bench.lease("v", 1).is_empty());
    assert_eq!(wanted(bench, "w", &leases), [0], "one slot is free");
    assert!(bench.lease("v", 1).is_empty());
    assert_eq!(wanted(bench, "w", &leases), [0], "it has asked already");
    let About::Shard(told) = bench.ask(Explain { what: leases[0].shard.clone() }).unwrap().about.remove(0) else {
        panic!()
    };
    assert_eq!(told.wanted_by, "v");

    assert!(bench.fail("w", &leases[0], &runs[2], FailureKind::Run));
    let before = bench.runs("one");
    for _ in 0..2 {
        assert!(bench.ask(split_of("w", &leases[0], &[2, 3])).unwrap(), "again, because the answer was lost");
    }
    assert!(wanted(bench, "w", &leases).is_empty());
    let after = bench.runs("one");
    assert!(before.iter().map(|run| &run.run).eq(after.iter().map(|run| &run.run)), "the plan's order stays");
    assert_eq!((after[2].attempts, &after[2].error), (1, &before[2].error));
    assert_eq!(bench.ask(Logs { run: runs[2].clone() }).unwrap().attempts.len(), 1);

    let split = bench.lease_one("v");
    assert_ne!(split.shard, leases[0].shard);
    assert_eq!((split.fence, &split.runs[..]), (leases[0].fence + 1, &[2, 3][..]));
    assert_eq!(runs_of(&split), runs, "packs are those of the plan");
    let About::Shard(told) = bench.ask(Explain { what: split.shard.clone() }).unwrap().about.remove(0) else {
        panic!()
    };
    assert_eq!((told.split_from, told.runs.pending), (leases[0].shard.clone(), 2));
    let theirs = bench.ask(commit_of("w", &leases[0], 0, &runs));
    assert!(theirs.is_err(), "runs that have left are someone else's");
    assert!(bench.ask(commit_of("w", &leases[0], 0, &runs[..2])).unwrap());
    assert!(!bench.holds("w", &leases[0]), "nothing is left of it");
    assert!(!bench.ask(split_of("w", &leases[0], &[0])).unwrap(), "a lease that has ended gives nothing");
    assert!(bench.ask(commit_of("v", &split, 0, &runs[2..])).unwrap());
    for given in &leases[1..] {
        assert!(bench.ask(commit_of("w", given, 0, &runs_of(given))).unwrap());
    }
    let status = bench.status("one");
    assert_eq!((status.state, status.planned, status.done), (StudyState::Finished, 12, 12));
}

pub fn a_shard_that_has_no_run_to_spare_is_not_asked_for_again(bench: &mut Bench) {
    bench.submit(study_that("picky", "4", 4, MODELS)).unwrap();
    register(bench, "card", 4, "H100");
    let leases = bench.ask(lease_of("card", 6)).unwrap().leases;
    register(bench, "v", 4, "");
    assert!(bench.ask(lease_of("v", 2)).unwrap().leases.is_empty());
    assert_eq!(wanted(bench, "card", &leases), [0, 1]);
    assert!(bench.ask(split_of("card", &leases[0], &[])).unwrap());
    assert!(bench.ask(split_of("card", &leases[1], &[])).unwrap());
    assert!(bench.ask(lease_of("v", 2)).unwrap().leases.is_empty());
    assert_eq!(wanted(bench, "card", &leases), [2], "the others need what it has not");
    assert!(bench.ask(split_of("card", &leases[2], &[])).unwrap());
    assert!(bench.ask(lease_of("v", 2)).unwrap().leases.is_empty());
    assert!(wanted(bench, "card", &leases).is_empty());
    // The next holder may have begun less.
    bench.outlast_leases();
    let again = bench.ask(lease_of("card", 6)).unwrap().leases;
    assert!(bench.ask(lease_of("v", 3)).unwrap().leases.is_empty());
    assert_eq!(wanted(bench, "card", &again), [0, 1, 2]);
}
