//! Which shards come next: shares, requirements, and work ahead.

use curvefleet_coordinator::ledger::explain::{About, Explain};
use curvefleet_coordinator::ledger::lease::{Given, Lease};
use curvefleet_coordinator::ledger::register::Register;
use curvefleet_proto::requirement::Capabilities;

use crate::bench::{Bench, commit_of, lease_of, register_of, runs_of, study, study_that};

fn studies(leases: &[Given]) -> Vec<&str> {
    leases.iter().map(|given| given.study.as_str()).collect()
}

/// The second study's runs are twice the work, so that it gets half the shards.
pub fn studies_of_one_priority_share_by_the_work_that_is_leased(bench: &mut Bench) {
    bench.ask(study_that("light", "4", 1, "[training]\nepochs = 50\n")).unwrap();
    bench.ask(study_that("heavy", "4", 1, "[training]\nepochs = 100\n")).unwrap();
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
    let plain = bench.ask(study_that("plain", "1", 1, "[[models]]\nkind = \"lstm\"\n[[models]]\nkind = \"gru\"\n"));
    assert_eq!(plain.unwrap().reused, 0);
    let leases = bench.lease("w", 9);
    for given in &leases {
        assert!(bench.ask(commit_of("w", given, 0, &runs_of(given))).unwrap());
    }
    let picky = bench.ask(study_that("picky", "2", 1, MODELS)).unwrap();
    assert_eq!(picky.reused, 6, "what a run needs is no part of what it is");
    let needs_cores = format!("{MODELS}[requires]\ncores = 8\n");
    bench.ask(study_that("large", "[7]", 1, &needs_cores)).unwrap();
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
    bench.ask(study_that("picky", "1", 1, MODELS)).unwrap();
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

pub fn work_ahead_is_given_while_there_is_plenty(bench: &mut Bench) {
    bench.ask(study("one", "4", 1)).unwrap();
    bench.register("w");
    bench.register("v");
    let first = bench.lease_one("w");
    let ask = |worker: &str, shards, ahead_ms| Lease { ahead_ms, ..lease_of(worker, shards) };
    assert!(bench.ask(ask("w", 0, first.work_ms - 1)).unwrap().leases.is_empty(), "no shard is as small");
    assert_eq!(bench.ask(ask("w", 1, 2 * first.work_ms)).unwrap().leases.len(), 3);
    assert_eq!(bench.ask(ask("w", 0, 3 * first.work_ms)).unwrap().leases.len(), 3);
    // Five are left, and two workers have a slot each: the last three are not given ahead of their time.
    let leases = bench.ask(ask("w", 0, 100 * first.work_ms)).unwrap().leases;
    assert_eq!(leases.len(), 3);
    assert!(bench.ask(ask("w", 0, 100 * first.work_ms)).unwrap().leases.is_empty());
    assert_eq!(bench.ask(ask("v", 1, 100 * first.work_ms)).unwrap().leases.len(), 1);
}
