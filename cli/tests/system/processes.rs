//! Coordinator, workers and client as separate processes on loopback.

use super::folder::{Folder, epochs_by_run, manifest, report};
use super::process::{Service, curvefleet, run};

fn coordinator(folder: &Folder, arguments: &[&str]) -> Service {
    Service::start(curvefleet(folder.path()).args(["coordinator", "--listen", "127.0.0.1:0"]).args(arguments))
}

fn worker(folder: &Folder, url: &str, name: &str) -> Service {
    Service::start(curvefleet(folder.path()).args(["worker", "--slots", "1", "--name", name, "--coordinator", url]))
}

/// Two workers train a study; one is killed with SIGKILL while it holds a lease. The other one finishes the study, and
/// every run is done exactly once: the manifest has each run once, and the part it names holds each of its epochs once.
#[test]
fn a_study_survives_the_sigkill_of_a_worker_with_every_run_done_exactly_once() {
    let folder = Folder::with_study("fleet", 10, 25);
    let coordinator = coordinator(&folder, &["--lease-seconds", "2"]);
    let url = coordinator.url();
    let ask = |arguments: &[&str]| run(curvefleet(folder.path()).args(arguments).args(["--coordinator", &url]));

    ask(&["submit", "study.toml"]).succeeded();
    let _survivor = worker(&folder, &url, "survivor");
    let mut victim = worker(&folder, &url, "victim");
    // The victim dies while it holds a shard and the study is far from its end.
    loop {
        let workers: serde_json::Value = serde_json::from_str(&ask(&["workers", "--json"]).succeeded().out).unwrap();
        let holds = |name: &str| {
            workers
                .as_array()
                .unwrap()
                .iter()
                .any(|worker| worker["name"] == name && worker["shards"].as_u64() > Some(0))
        };
        if holds("victim") {
            break;
        }
    }
    victim.kill();

    let watched = ask(&["watch", "fleet"]).succeeded();
    assert!(watched.out.contains("20 of 20 runs done"), "{}", watched.out);
    let store = folder.path().join("curvefleet-data");
    let runs = manifest(&store, "fleet");
    assert_eq!(runs.len(), 20);
    for (run, part) in &runs {
        assert_eq!(epochs_by_run(&store, part)[run], 25);
    }

    let status: serde_json::Value = serde_json::from_str(&ask(&["status", "fleet", "--json"]).succeeded().out).unwrap();
    assert_eq!((status[0]["state"].as_str(), status[0]["done"].as_u64()), (Some("finished"), Some(20)));
    let listed = ask(&["runs", "fleet", "--state", "done", "--json"]).succeeded().out;
    assert_eq!(listed.lines().count(), 20);
    let first: serde_json::Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    let logs = ask(&["logs", first["run"].as_str().unwrap()]).succeeded().out;
    assert!(logs.contains("done") && logs.contains("25 epochs"), "{logs}");

    let reported = run(curvefleet(folder.path()).args(["report", "fleet", "--coordinator", &url])).succeeded();
    assert!(reported.out.contains("20 of 20 planned runs are in the report"), "{}", reported.out);
    assert!(report(&store, "fleet").contains("<svg"));
}

/// A worker that is told to stop hands its leases back at once: a lease of an hour does not keep the study waiting.
#[test]
fn a_worker_that_is_told_to_stop_hands_its_leases_back() {
    let folder = Folder::with_study("polite", 6, 60);
    let coordinator = coordinator(&folder, &["--lease-seconds", "3600"]);
    let url = coordinator.url();
    let ask = |arguments: &[&str]| run(curvefleet(folder.path()).args(arguments).args(["--coordinator", &url]));
    ask(&["submit", "study.toml"]).succeeded();
    let first = worker(&folder, &url, "first");
    while !ask(&["workers"]).succeeded().out.contains("yes    1      1") {}
    assert!(first.terminate().success());
    let _second = worker(&folder, &url, "second");
    assert!(ask(&["watch", "polite"]).succeeded().out.contains("12 of 12 runs done"));
}

#[test]
fn a_cancelled_study_stops_and_retry_brings_it_back() {
    let folder = Folder::with_study("fickle", 2, 3);
    let coordinator = coordinator(&folder, &[]);
    let url = coordinator.url();
    let ask = |arguments: &[&str]| run(curvefleet(folder.path()).args(arguments).args(["--coordinator", &url]));
    ask(&["submit", "study.toml"]).succeeded();
    assert!(ask(&["submit", "study.toml"]).succeeded().out.contains("was there already"));
    for _ in 0..2 {
        assert!(ask(&["cancel", "fickle"]).succeeded().out.contains("study fickle is cancelled: 0 of 4 runs done"));
    }
    assert!(ask(&["status"]).succeeded().out.contains("cancelled"));
    assert!(ask(&["retry", "fickle"]).succeeded().out.contains("4 runs of study fickle put back"));
    let _worker = worker(&folder, &url, "only");
    assert!(ask(&["watch", "fickle"]).succeeded().out.contains("4 of 4 runs done"));
}

/// The ledger is all a coordinator has: killed and started again on another port, it goes on.
#[test]
fn a_coordinator_killed_and_started_again_loses_nothing() {
    let folder = Folder::with_study("phoenix", 3, 3);
    let mut first = coordinator(&folder, &[]);
    let url = first.url();
    run(curvefleet(folder.path()).args(["submit", "study.toml", "--coordinator", &url])).succeeded();
    first.kill();
    let second = coordinator(&folder, &[]);
    let _worker = worker(&folder, &second.url(), "only");
    let watched = run(curvefleet(folder.path()).args(["watch", "phoenix", "--coordinator", &second.url()])).succeeded();
    assert!(watched.out.contains("6 of 6 runs done"), "{}", watched.out);
}
