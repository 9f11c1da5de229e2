//! What people ask for, and what the ledger does in their place: pausing, priorities, draining, and whose lease it is.

use curvefleet_coordinator::ledger::Error;
use curvefleet_coordinator::ledger::audit::ListAudit;
use curvefleet_coordinator::ledger::backoff::FIRST_MS;
use curvefleet_coordinator::ledger::cancel::Cancel;
use curvefleet_coordinator::ledger::drain::{DRAIN_AFTER_RUNS, Drain};
use curvefleet_coordinator::ledger::heartbeat::{Heartbeat, Held};
use curvefleet_coordinator::ledger::lease::{ANOTHER_WORKER_MS, Given, Known, Lease, Leased};
use curvefleet_coordinator::ledger::logs::Logs;
use curvefleet_coordinator::ledger::pause::{Pause, Prioritize};
use curvefleet_coordinator::ledger::register::Register;
use curvefleet_coordinator::ledger::release::Release;
use curvefleet_coordinator::ledger::state::FailureKind;
use curvefleet_coordinator::ledger::workers::ListWorkers;

use crate::bench::{Bench, SETTINGS, beat_of, commit_of, lease_of, register_of, runs_of, study};

fn pause(bench: &mut Bench, study: &str, paused: bool) {
    let (study, reason, who) = (study.to_string(), "dinner".to_string(), "ada".to_string());
    let status = bench.ask(Pause { study, paused, reason, who }).unwrap();
    assert_eq!(status.paused_ms > 0, paused);
}

fn drain(bench: &mut Bench, worker: &str, drained: bool) {
    let (worker, reason, who) = (worker.to_string(), "new disk".to_string(), "ada".to_string());
    let worker = bench.ask(Drain { worker, drained, reason, who }).unwrap();
    assert_eq!((worker.drained_ms > 0, worker.drain_reason == "new disk"), (drained, drained));
}

fn audit(bench: &mut Bench, target: &str) -> Vec<String> {
    let entries = bench.ask(ListAudit { target: target.to_string(), before: None, limit: 100 }).unwrap();
    entries.into_iter().map(|entry| format!("{} {}: {}", entry.who, entry.what, entry.note)).collect()
}

fn held(given: &Given) -> Held {
    Held { shard: given.shard.clone(), fence: given.fence }
}

pub fn a_paused_study_rests_and_its_leases_are_handed_back(bench: &mut Bench) {
    bench.submit_small("one");
    let given = bench.lease_one("w");
    pause(bench, "one", true);
    assert!(bench.lease("v", 9).is_empty(), "nothing of it is leased");
    let heard = bench.beat("w", &[&given]);
    assert!(heard.leases[0].as_ref().is_some_and(|renewed| renewed.hand_back), "the lease goes on until it is back");
    assert!(bench.ask(commit_of("w", &given, 0, &runs_of(&given)[..1])).unwrap(), "what is done counts");
    bench.ask(Release { worker: "w".to_string(), held: vec![held(&given)], leaving: None }).unwrap();
    bench.restart();
    assert!(bench.lease("v", 9).is_empty(), "pausing lasts");
    pause(bench, "one", false);
    let leases = bench.lease("v", 9);
    assert_eq!((leases.len(), &leases[0].runs[..]), (3, &[1][..]));
    assert!(!bench.beat("v", &[&leases[0]]).leases[0].as_ref().unwrap().hand_back);
}

pub fn studies_of_higher_priority_go_first(bench: &mut Bench) {
    bench.submit_small("early");
    bench.submit(study("late", "[7, 8]", 2)).unwrap();
    let prioritize = |study: &str, priority| Prioritize { study: study.to_string(), priority, who: "ada".to_string() };
    assert_eq!(bench.ask(prioritize("late", 5)).unwrap().priority, 5);
    assert_eq!(bench.lease_one("w").study, "late");
    bench.ask(prioritize("late", -5)).unwrap();
    assert_eq!(bench.lease_one("w").study, "early");
}

pub fn a_drained_worker_is_given_nothing_until_it_is_undrained(bench: &mut Bench) {
    bench.submit_small("one");
    let given = bench.lease_one("w");
    drain(bench, "w", true);
    let heard = bench.beat("w", &[&given]);
    assert!(heard.drained && heard.leases[0].is_some(), "it keeps the lease until it hands it back");
    let leased = bench.ask(lease_of("w", 9)).unwrap();
    assert_eq!((leased.leases.len(), leased.drained), (0, true));
    bench.register("w");
    bench.restart();
    assert!(bench.ask(lease_of("w", 9)).unwrap().drained, "draining lasts, also when it starts again");
    drain(bench, "w", false);
    assert_eq!(bench.lease("w", 9).len(), 2);
    assert!(!bench.beat("w", &[&given]).drained);
    let unknown = Drain { worker: "x".to_string(), drained: true, reason: String::new(), who: String::new() };
    assert!(matches!(bench.ask(unknown), Err(Error::UnknownWorker(_))));
}

pub fn what_people_do_is_audited_once(bench: &mut Bench) {
    bench.submit_small("one");
    bench.register("w");
    for paused in [true, true, false, false] {
        pause(bench, "one", paused);
    }
    for drained in [true, true, false, false] {
        drain(bench, "w", drained);
    }
    for priority in [3, 3] {
        bench.ask(Prioritize { study: "one".to_string(), priority, who: "ada".to_string() }).unwrap();
    }
    for _ in 0..2 {
        bench.ask(Cancel { study: "one".to_string(), who: "bob".to_string() }).unwrap();
    }
    let expected =
        ["bob cancel: ", "ada priority: from 0 to 3", "ada resume: dinner", "ada pause: dinner", "test submit: "];
    assert_eq!(audit(bench, "one"), expected);
    assert_eq!(audit(bench, "w"), ["ada undrain: new disk", "ada drain: new disk"]);
    let entries = bench.ask(ListAudit { target: String::new(), before: None, limit: 3 }).unwrap();
    let next = ListAudit { target: String::new(), before: Some(entries[2].id), limit: 100 };
    assert_eq!((entries.len(), bench.ask(next).unwrap().len()), (3, 4));
}

/// One worker fails all it is given, while another does well on the same study.
pub fn a_worker_on_which_many_different_runs_fail_is_drained(bench: &mut Bench) {
    bench.submit(study("one", "8", 4)).unwrap();
    let good = bench.lease_one("good");
    let bad = bench.lease("bad", 2);
    let runs: Vec<_> = bad.iter().flat_map(|given| runs_of(given).into_iter().map(move |run| (given, run))).collect();
    let many = DRAIN_AFTER_RUNS as usize;
    bench.now_ms += 1;
    for (given, run) in &runs[..many - 1] {
        assert!(bench.fail("bad", given, run, FailureKind::Run));
    }
    bench.now_ms += 1;
    assert!(bench.ask(commit_of("good", &good, 0, &runs_of(&good)[..1])).unwrap());
    assert_eq!(bench.ask(ListWorkers).unwrap()[0].drained_ms, 0);
    let (given, run) = &runs[many - 1];
    assert!(bench.fail("bad", given, run, FailureKind::Run));
    let workers = bench.ask(ListWorkers).unwrap();
    assert_eq!((workers[0].name.as_str(), workers[0].drained_by.as_str()), ("bad", "coordinator"));
    assert!(workers[0].drain_reason.contains("5 different runs") && workers[0].drain_reason.contains("it broke"));
    assert!(bench.beat("bad", &[]).drained && !bench.beat("good", &[]).drained);
    assert_eq!(audit(bench, "bad").len(), 1);
    // It gets a new chance, and one more failure is not one too many.
    drain(bench, "bad", false);
    let (given, run) = &runs[many];
    bench.fail("bad", given, run, FailureKind::Run);
    assert!(!bench.beat("bad", &[]).drained);
}

/// Runs that fail on all workers are at fault themselves.
pub fn a_study_that_fails_everywhere_drains_no_one(bench: &mut Bench) {
    bench.submit(study("one", "8", 4)).unwrap();
    for worker in ["v", "w"] {
        for given in bench.lease(worker, 3) {
            for run in runs_of(&given) {
                bench.now_ms += 1;
                bench.fail(worker, &given, &run, FailureKind::Run);
            }
        }
    }
    assert!(bench.ask(ListWorkers).unwrap().iter().all(|worker| worker.drained_ms == 0));
}

pub fn a_run_that_failed_is_tried_on_another_worker(bench: &mut Bench) {
    bench.submit(study("one", "[1]", 1)).unwrap();
    let leases = bench.lease("w", 3);
    bench.register("v");
    for given in &leases[1..] {
        assert!(bench.ask(commit_of("w", given, 0, &runs_of(given))).unwrap());
    }
    let given = &leases[0];
    bench.fail("w", given, &runs_of(given)[0], FailureKind::Run);
    bench.now_ms += FIRST_MS;
    assert!(bench.lease("w", 1).is_empty(), "another worker is there");
    let again = bench.lease_one("v");
    assert_eq!(again.shard, given.shard);
    bench.fail("v", &again, &runs_of(given)[0], FailureKind::Infrastructure);
    // The other is busy, or has something better to do: after a while the first to ask has it.
    bench.now_ms += FIRST_MS;
    bench.register("w");
    assert!(bench.lease("v", 1).is_empty());
    bench.now_ms += ANOTHER_WORKER_MS - 1;
    bench.register("w");
    assert!(bench.lease("v", 1).is_empty());
    bench.now_ms += 1;
    let third = bench.lease_one("v");
    bench.fail("v", &third, &runs_of(given)[0], FailureKind::Run);
    // No other is there.
    drain(bench, "w", true);
    bench.now_ms += 2 * FIRST_MS;
    assert_eq!(bench.lease_one("v").fence, 4);
}

fn ask_knowing(bench: &mut Bench, worker: &str, number: u64, known: &[&Given]) -> Leased {
    let known = Known { number, held: known.iter().map(|given| held(given)).collect() };
    bench.ask(Lease { session: "1".to_string(), known: Some(known), ..lease_of(worker, 1) }).unwrap()
}

fn start(bench: &mut Bench, worker: &str, session: &str) {
    bench.ask(Register { session: session.to_string(), ..register_of(worker) }).unwrap();
}

pub fn leases_that_the_worker_never_heard_of_are_given_again_at_once(bench: &mut Bench) {
    bench.submit_small("one");
    start(bench, "w", "1");
    let known = ask_knowing(bench, "w", 1, &[]).leases.remove(0);
    let lost = ask_knowing(bench, "w", 2, &[&known]).leases.remove(0);
    let again = ask_knowing(bench, "w", 3, &[&known]).leases.remove(0);
    assert_eq!((&again.shard, again.fence), (&lost.shard, lost.fence + 1));
    assert!(bench.holds("w", &known) && bench.holds("w", &again) && !bench.holds("w", &lost));
    let attempts = bench.ask(Logs { run: runs_of(&lost).remove(0) }).unwrap().attempts;
    assert!(attempts[0].error.contains("never heard"), "{}", attempts[0].error);
}

/// It was on its way for long, and its list of leases is as old.
pub fn a_request_for_work_that_a_later_one_has_overtaken_does_nothing(bench: &mut Bench) {
    bench.submit_small("one");
    start(bench, "w", "1");
    let given = ask_knowing(bench, "w", 2, &[]).leases.remove(0);
    let late = ask_knowing(bench, "w", 1, &[]);
    assert!(late.leases.is_empty() && late.retry_after_ms > 0);
    assert!(ask_knowing(bench, "w", 2, &[]).leases.is_empty(), "nor does one that is delivered twice");
    assert!(bench.holds("w", &given));
}

pub fn a_new_process_takes_the_name_and_the_old_one_is_told_so(bench: &mut Bench) {
    bench.submit_small("one");
    start(bench, "w", "1");
    let given = ask_knowing(bench, "w", 1, &[]).leases.remove(0);
    start(bench, "w", "1");
    assert!(bench.holds("w", &given), "the same process introduces itself again");
    bench.now_ms += 5;
    start(bench, "w", "2");
    assert!(!bench.holds("w", &given), "the new one knows of no lease");
    let old = |held| Heartbeat { session: "1".to_string(), ..beat_of("w", held) };
    let heard = bench.ask(old(vec![held(&given)])).unwrap();
    assert!(heard.superseded && heard.leases == [None]);
    assert!(matches!(bench.ask(Lease { session: "1".to_string(), ..lease_of("w", 1) }), Err(Error::Superseded(_))));
    let new = Known { number: 1, held: Vec::new() };
    let again = bench.ask(Lease { session: "2".to_string(), known: Some(new), ..lease_of("w", 1) }).unwrap();
    assert_eq!((&again.leases[0].shard, again.leases[0].fence), (&given.shard, 2));
    let leaving = Release { worker: "w".to_string(), held: Vec::new(), leaving: Some("1".to_string()) };
    assert_eq!(bench.ask(leaving).unwrap(), 0, "the old one cannot say goodbye for the new one");
    assert!(bench.holds("w", &again.leases[0]));
}

pub fn a_worker_that_leaves_holds_nothing(bench: &mut Bench) {
    bench.submit_small("one");
    start(bench, "w", "1");
    let given = ask_knowing(bench, "w", 1, &[]).leases.remove(0);
    let leaving = Release { worker: "w".to_string(), held: Vec::new(), leaving: Some("1".to_string()) };
    assert_eq!(bench.ask(leaving).unwrap(), 1);
    let worker = bench.ask(ListWorkers).unwrap().remove(0);
    assert_eq!((worker.alive, worker.shards, worker.left_ms), (false, 0, bench.now_ms));
    assert_eq!(bench.lease_one("v").shard, given.shard);
    bench.now_ms += SETTINGS.lease_ms / 2;
    start(bench, "w", "2");
    assert!(bench.ask(ListWorkers).unwrap().iter().all(|worker| worker.alive));
}
