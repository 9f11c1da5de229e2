//! Failing runs, machines and studies.

use curvefleet_coordinator::ledger::Error;
use curvefleet_coordinator::ledger::backoff::{FIRST_MS, LONGEST_MS};
use curvefleet_coordinator::ledger::drain::Drain;
use curvefleet_coordinator::ledger::expire::Expire;
use curvefleet_coordinator::ledger::heartbeat::{Held, InTraining};
use curvefleet_coordinator::ledger::lease::ANOTHER_WORKER_MS;
use curvefleet_coordinator::ledger::logs::Logs;
use curvefleet_coordinator::ledger::register::Register;
use curvefleet_coordinator::ledger::release::Release;
use curvefleet_coordinator::ledger::retry::Retry;
use curvefleet_coordinator::ledger::state::{FailureKind, RunState, StudyState};
use curvefleet_coordinator::ledger::vanish::LOST_WORKERS;

use crate::bench::{Bench, SETTINGS, commit_of, lease_of, register_of, runs_of, study};

/// One shard of two runs; the first always fails. Its worker goes on with the second; then the shard waits and comes
/// back with the first alone, until it is set aside and the study ends.
pub fn a_failing_run_is_retried_after_the_others_and_set_aside_at_the_last_attempt(bench: &mut Bench) {
    bench.submit_small("one");
    let mut leases = bench.lease("w", 3);
    let given = leases.remove(0);
    for given in leases {
        assert!(bench.ask(commit_of("w", &given, 0, &runs_of(&given))).unwrap());
    }
    let runs = runs_of(&given);
    assert!(bench.fail("w", &given, &runs[0], FailureKind::Run));
    assert!(bench.holds("w", &given), "the other run is not tried yet");
    assert!(bench.ask(commit_of("w", &given, 0, &runs[1..])).unwrap());
    assert!(!bench.holds("w", &given));
    assert!(bench.lease("w", 9).is_empty(), "the shard waits");
    let mut wait_ms = FIRST_MS;
    for attempt in 2..=SETTINGS.max_attempts {
        bench.now_ms += wait_ms;
        let again = bench.lease_one("w");
        assert_eq!((&again.runs[..], again.fence), (&[0][..], u64::from(attempt)));
        assert!(bench.fail("w", &again, &runs[0], FailureKind::Run));
        assert_eq!(bench.runs("one")[0].attempts, attempt);
        wait_ms = (2 * wait_ms).min(LONGEST_MS);
    }
    let run = bench.runs("one").remove(0);
    assert_eq!((run.state, run.error.as_str(), run.worker.as_str()), (RunState::Failed, "it broke", "w"));
    let status = bench.status("one");
    assert_eq!((status.state, status.done, status.failed), (StudyState::Finished, 5, 1));
    let retried = bench.ask(Retry { study: "one".to_string(), who: String::new() }).unwrap();
    assert_eq!((retried.requeued, retried.status.state), (1, StudyState::Active));
    assert_eq!(bench.runs("one")[0].attempts, 0);
    bench.finish_all("w");
    assert_eq!(bench.status("one").done, 6);
    assert_eq!(bench.runs("one")[0].error, "", "a run that is done has no error");
}

pub fn a_failure_told_twice_counts_once(bench: &mut Bench) {
    bench.submit_small("one");
    let given = bench.lease_one("w");
    let runs = runs_of(&given);
    assert!(bench.fail("w", &given, &runs[0], FailureKind::Run));
    assert!(bench.fail("w", &given, &runs[0], FailureKind::Run));
    assert_eq!(bench.runs("one")[0].attempts, 1);
    assert_eq!(bench.ask(Logs { run: runs[0].clone() }).unwrap().attempts.len(), 1);
}

pub fn an_infrastructure_failure_is_not_held_against_the_run(bench: &mut Bench) {
    bench.submit(study("one", "[1]", 1)).unwrap();
    let others = bench.lease("v", 3);
    for given in &others[1..] {
        assert!(bench.ask(commit_of("v", given, 0, &runs_of(given))).unwrap());
    }
    let (mut given, mut wait_ms) = (others[0].clone(), FIRST_MS);
    let mut worker = "v";
    let drain = Drain { worker: "v".to_string(), drained: true, reason: String::new(), who: String::new() };
    bench.ask(drain).unwrap();
    for setback in 1..=2 * u64::from(SETTINGS.max_attempts) {
        let run = runs_of(&given).remove(0);
        assert!(bench.fail(worker, &given, &run, FailureKind::Infrastructure));
        assert!(!bench.fail(worker, &given, &run, FailureKind::Infrastructure), "the lease is over");
        let listed = bench.runs("one").remove(0);
        assert_eq!((listed.attempts, listed.state, listed.error.as_str()), (0, RunState::Pending, "it broke"));
        bench.now_ms += wait_ms - 1;
        assert!(bench.lease("w", 1).is_empty());
        bench.now_ms += 1;
        (given, worker) = (bench.lease_one("w"), "w");
        assert_eq!(given.fence, setback + 1);
        wait_ms = (2 * wait_ms).min(LONGEST_MS);
    }
}

pub fn a_study_failure_stops_the_study(bench: &mut Bench) {
    bench.submit_small("one");
    let leases = bench.lease("w", 2);
    bench.submit(study("two", "[9]", 1)).unwrap();
    let runs = runs_of(&leases[0]);
    assert!(bench.ask(commit_of("w", &leases[0], 0, &runs[..1])).unwrap());
    assert!(bench.fail("w", &leases[0], &runs[1], FailureKind::Study));
    let status = bench.status("one");
    assert_eq!((status.state, status.stop_reason.as_str()), (StudyState::Stopped, "it broke"));
    assert_eq!((status.done, status.cancelled, status.open()), (1, 5, 0));
    assert!(leases.iter().all(|given| !bench.holds("w", given)));
    assert!(bench.lease("w", 9).iter().all(|given| given.study == "two"));
    let retried = bench.ask(Retry { study: "one".to_string(), who: String::new() }).unwrap();
    assert_eq!((retried.requeued, retried.status.stop_reason.as_str()), (5, ""));
}

pub fn attempts_are_kept_for_a_person_to_read(bench: &mut Bench) {
    bench.submit_small("one");
    let given = bench.lease_one("w");
    let runs = runs_of(&given);
    bench.fail("w", &given, &runs[0], FailureKind::Run);
    assert!(bench.ask(commit_of("w", &given, 0, &runs[1..])).unwrap());
    bench.now_ms += SETTINGS.lease_ms;
    let again = bench.lease("v", 9).into_iter().find(|again| again.shard == given.shard).unwrap();
    bench.now_ms += SETTINGS.lease_ms;
    assert!(bench.lease("v", 9).is_empty());
    bench.now_ms += FIRST_MS;
    let third = bench.lease("v", 9).into_iter().find(|again| again.shard == given.shard).unwrap();
    assert!(third.fence > again.fence);
    assert!(bench.ask(commit_of("v", &third, 0, &runs[..1])).unwrap());
    let attempts = bench.ask(Logs { run: runs[0][..20].to_string() }).unwrap();
    assert_eq!((&attempts.run, attempts.left_out), (&runs[0], 0));
    let told: Vec<_> =
        attempts.attempts.iter().map(|attempt| (attempt.outcome.as_str(), attempt.worker.as_str())).collect();
    assert_eq!(told, [("run", "w"), ("infrastructure", "v"), ("done", "v")]);
    assert_eq!(attempts.attempts[0].log, "the last lines");
    let second = bench.ask(Logs { run: runs[1].clone() }).unwrap().attempts;
    assert_eq!(second.len(), 1, "the lease that expired later is no attempt at a run that was done");
    assert!(matches!(bench.ask(Logs { run: String::new() }), Err(Error::AmbiguousRun(_))));
    assert!(matches!(bench.ask(Logs { run: "0".repeat(32) }), Err(Error::NoRun(_))));
}

/// A worker that gets the first shard, says that its first run is in training, and is not heard of again.
fn lost_in_training(bench: &mut Bench, worker: &str, has_epoch: bool) {
    // Whatever the shard waits for, and another worker before the one that failed.
    bench.now_ms += LONGEST_MS + ANOTHER_WORKER_MS;
    let given = bench.lease_one(worker);
    let run = runs_of(&given)[given.runs[0] as usize].clone();
    assert!(bench.trains(worker, &given, InTraining { runs: vec![run], has_epoch }));
    bench.now_ms += SETTINGS.lease_ms;
    assert_eq!(bench.ask(Expire { all: false }).unwrap(), 1);
}

pub fn workers_lost_in_a_runs_first_epoch_are_held_against_it_from_the_fifth_in_a_row_on(bench: &mut Bench) {
    bench.submit_small("one");
    let attempts = |bench: &mut Bench| bench.runs("one")[0].attempts;
    for _ in 1..LOST_WORKERS {
        lost_in_training(bench, "a", false);
    }
    assert_eq!(attempts(bench), 0, "so many are lost by other causes");
    lost_in_training(bench, "b", true);
    for _ in 1..LOST_WORKERS {
        lost_in_training(bench, "c", false);
    }
    assert_eq!(attempts(bench), 0, "they were not lost in a row: the run had an epoch in between");
    for attempt in 1..=SETTINGS.max_attempts {
        assert_eq!(attempts(bench), attempt - 1);
        lost_in_training(bench, "d", false);
    }
    let run = bench.runs("one").remove(0);
    assert_eq!((run.state, run.worker.as_str()), (RunState::Failed, "d"));
    assert!(run.error.contains("7 workers in a row") && run.error.contains("memory"), "{}", run.error);
    assert_eq!(bench.status("one").failed, 1);
    bench.now_ms += LONGEST_MS + ANOTHER_WORKER_MS;
    assert_eq!(bench.lease_one("e").runs, [1], "the others go on");
    bench.now_ms += SETTINGS.lease_ms;
    bench.ask(Expire { all: false }).unwrap();
    bench.now_ms += LONGEST_MS;
    bench.ask(Retry { study: "one".to_string(), who: String::new() }).unwrap();
    bench.finish_all("e");
    assert_eq!(bench.status("one").done, 6);
}

pub fn a_worker_that_is_started_anew_was_lost_too(bench: &mut Bench) {
    bench.submit_small("one");
    let start = |bench: &mut Bench, life: u64| {
        bench.ask(Register { session: life.to_string(), ..register_of("w") }).unwrap();
        let given = bench.ask(lease_of("w", 1)).unwrap().leases.remove(0);
        let run = runs_of(&given).remove(0);
        assert!(bench.trains("w", &given, InTraining { runs: vec![run], has_epoch: false }));
    };
    for life in 0..LOST_WORKERS {
        start(bench, life);
        assert_eq!(bench.runs("one")[0].attempts, 0);
    }
    bench.ask(Register { session: "again".to_string(), ..register_of("w") }).unwrap();
    let run = bench.runs("one").remove(0);
    assert_eq!((run.attempts, run.state), (1, RunState::Pending));
    assert!(run.error.contains("5 workers in a row"), "{}", run.error);
}

/// Runs that are trained in lockstep are lost together, and no one knows which of them it was.
pub fn the_runs_of_a_pack_are_held_to_account_together(bench: &mut Bench) {
    bench.submit_small("one");
    for _ in 1..LOST_WORKERS + u64::from(SETTINGS.max_attempts) {
        bench.now_ms += LONGEST_MS + ANOTHER_WORKER_MS;
        let given = bench.lease_one("w");
        assert_eq!(given.runs, [0, 1]);
        assert!(bench.trains("w", &given, InTraining { runs: runs_of(&given), has_epoch: false }));
        bench.now_ms += SETTINGS.lease_ms;
        assert_eq!(bench.ask(Expire { all: false }).unwrap(), 1);
    }
    assert_eq!(bench.status("one").failed, 2);
    bench.finish_all("w");
    assert_eq!((bench.status("one").state, bench.status("one").done), (StudyState::Finished, 4));
}

pub fn a_run_that_has_finished_an_epoch_is_suspected_no_more(bench: &mut Bench) {
    bench.submit_small("one");
    for _ in 1..LOST_WORKERS {
        lost_in_training(bench, "a", false);
    }
    bench.now_ms += LONGEST_MS + ANOTHER_WORKER_MS;
    let given = bench.lease_one("b");
    let runs = vec![runs_of(&given).remove(0)];
    assert!(bench.trains("b", &given, InTraining { runs, has_epoch: true }));
    // It was handed back then.
    let held = vec![Held { shard: given.shard.clone(), fence: given.fence }];
    bench.ask(Release { worker: "b".to_string(), held, leaving: None }).unwrap();
    lost_in_training(bench, "c", false);
    assert_eq!(bench.runs("one")[0].attempts, 0);
}
