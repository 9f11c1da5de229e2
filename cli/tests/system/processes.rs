//! Coordinator, workers and client as separate processes on loopback.

use std::path::Path;

use super::folder::{Folder, curves, epochs_by_run, manifest, report, study, study_folder};
use super::process::{Service, curvefleet, run};

fn coordinator(folder: &Folder, arguments: &[&str]) -> Service {
    Service::start(curvefleet(folder.path()).args(["coordinator", "--listen", "127.0.0.1:0"]).args(arguments))
}

fn worker(folder: &Folder, url: &str, name: &str) -> Service {
    Service::start(curvefleet(folder.path()).args(["worker", "--slots", "1", "--name", name, "--coordinator", url]))
}

/// Asks for the workers until one of this name holds a shard.
fn wait_for_a_lease(folder: &Folder, url: &str, name: &str) {
    let ask = |arguments: &[&str]| {
        let answer = run(curvefleet(folder.path()).args(arguments).args(["--coordinator", url])).succeeded();
        serde_json::from_str::<serde_json::Value>(&answer.out).unwrap()
    };
    loop {
        let workers = ask(&["workers", "--json"]);
        let holds = |worker: &serde_json::Value| worker["name"] == name && worker["shards"].as_u64() > Some(0);
        if workers.as_array().unwrap().iter().any(holds) {
            return;
        }
        assert_ne!(
            ask(&["status", "--json"])[0]["state"],
            "finished",
            "the study ended before {name} was seen at work"
        );
    }
}

/// The newest checkpoint in a store: its file's name and its epoch.
fn newest_checkpoint(store: &Path) -> Option<u32> {
    let runs = std::fs::read_dir(store.join("checkpoints")).ok()?;
    let files = runs.flatten().flat_map(|run| std::fs::read_dir(run.path()).into_iter().flatten().flatten());
    let epoch = |name: &str| name.strip_prefix("epoch-")?.strip_suffix(".bpk")?.parse().ok();
    files.filter_map(|file| epoch(file.file_name().to_str()?)).max()
}

/// Two workers train a study; one is killed with SIGKILL while it holds a lease. The other one finishes the study, and
/// every run is done exactly once: the manifest has each run once, and the part it names holds each of its epochs once.
#[test]
fn a_study_survives_the_sigkill_of_a_worker_with_every_run_done_exactly_once() {
    let folder = Folder::with_study("fleet", 10, 1_500);
    let coordinator = coordinator(&folder, &["--lease-seconds", "2"]);
    let url = coordinator.url();
    let ask = |arguments: &[&str]| run(curvefleet(folder.path()).args(arguments).args(["--coordinator", &url]));

    ask(&["submit", "study.toml"]).succeeded();
    let _survivor = worker(&folder, &url, "survivor");
    let mut victim = worker(&folder, &url, "victim");
    // The victim dies while it holds a shard and the study is far from its end.
    wait_for_a_lease(&folder, &url, "victim");
    victim.kill();

    let watched = ask(&["watch", "fleet"]).succeeded();
    assert!(watched.out.contains("20 of 20 runs done"), "{}", watched.out);
    let store = folder.path().join("curvefleet-data");
    let runs = manifest(&store, "fleet");
    assert_eq!(runs.len(), 20);
    for (run, part) in &runs {
        assert_eq!(epochs_by_run(&store, part)[run], 1_500);
    }

    let status: serde_json::Value = serde_json::from_str(&ask(&["status", "fleet", "--json"]).succeeded().out).unwrap();
    assert_eq!((status[0]["state"].as_str(), status[0]["done"].as_u64()), (Some("finished"), Some(20)));
    let listed = ask(&["runs", "fleet", "--state", "done", "--json"]).succeeded().out;
    assert_eq!(listed.lines().count(), 20);
    let first: serde_json::Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    let logs = ask(&["logs", first["run"].as_str().unwrap()]).succeeded().out;
    assert!(logs.contains("done") && logs.contains("1500 epochs"), "{logs}");

    let reported = run(curvefleet(folder.path()).args(["report", "fleet", "--coordinator", &url])).succeeded();
    assert!(reported.out.contains("20 of 20 planned runs are in the report"), "{}", reported.out);
    assert!(report(&store, "fleet").contains("<svg"));
    // A watch over a study that has ended writes one report and ends too.
    let kept =
        run(curvefleet(folder.path()).args(["report", "fleet", "--watch", "--name", "kept", "--coordinator", &url]));
    assert!(kept.succeeded().out.trim_end().ends_with("reports/kept/index.html"));
}

/// A worker that is told to stop hands its leases back at once: a lease of an hour does not keep the study waiting.
#[test]
fn a_worker_that_is_told_to_stop_hands_its_leases_back() {
    let folder = Folder::with_study("polite", 6, 1_500);
    let coordinator = coordinator(&folder, &["--lease-seconds", "3600"]);
    let url = coordinator.url();
    let ask = |arguments: &[&str]| run(curvefleet(folder.path()).args(arguments).args(["--coordinator", &url]));
    ask(&["submit", "study.toml"]).succeeded();
    let first = worker(&folder, &url, "first");
    wait_for_a_lease(&folder, &url, "first");
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

/// A worker is killed again and again in the middle of long runs; each new one goes on from the last checkpoint, and in the end the
/// curves are those of a machine that was never disturbed, to the bit.
#[test]
fn killed_runs_go_on_from_their_checkpoints_with_the_bits_of_undisturbed_ones() {
    let folder = Folder::with_study("lazarus", 1, 4_000);
    let store = folder.path().join("curvefleet-data");
    let coordinator = coordinator(&folder, &["--lease-seconds", "1"]);
    let url = coordinator.url();
    let ask = |arguments: &[&str]| run(curvefleet(folder.path()).args(arguments).args(["--coordinator", &url]));
    ask(&["submit", "study.toml"]).succeeded();
    let eager = |name: &str| {
        let mut command = curvefleet(folder.path());
        command.args(["worker", "--slots", "1", "--name", name, "--coordinator", &url, "--checkpoint-seconds", "0"]);
        Service::start(&mut command)
    };
    let mut reached = 0;
    for life in 0..3 {
        let mut worker = eager(&format!("life-{life}"));
        let finished = |out: &str| serde_json::from_str::<serde_json::Value>(out).unwrap()[0]["state"] == "finished";
        while newest_checkpoint(&store).is_none_or(|epoch| epoch <= reached + 300) {
            assert!(!finished(&ask(&["status", "--json"]).succeeded().out), "the study ended before it was disturbed");
        }
        worker.kill();
        let found = newest_checkpoint(&store).unwrap();
        assert!(found > reached, "epoch {found} after epoch {reached}: a life began again from nothing");
        reached = found;
    }
    let _last = eager("last");
    assert!(ask(&["watch", "lazarus"]).succeeded().out.contains("2 of 2 runs done"));

    let undisturbed = Folder::new().and("study.toml", study("lazarus", 1, 4_000));
    run(curvefleet(undisturbed.path()).args(["run", "study.toml"])).succeeded();
    let expected = curves(&undisturbed.path().join("curvefleet-data"), "lazarus");
    let found = curves(&store, "lazarus");
    assert_eq!(found.len(), 2 * 4_000);
    assert!(found == expected, "the curves differ");
    assert_eq!(newest_checkpoint(&store), None, "checkpoints of committed runs are removed");
}

/// SIGTERM costs no finished epoch: the worker leaves a checkpoint behind, although none was due again, and another one goes on from it.
#[test]
fn a_worker_that_is_told_to_stop_leaves_a_checkpoint() {
    let folder = Folder::with_study("relay", 1, 30_000);
    let store = folder.path().join("curvefleet-data");
    let coordinator = coordinator(&folder, &["--lease-seconds", "3600"]);
    let url = coordinator.url();
    let ask = |arguments: &[&str]| run(curvefleet(folder.path()).args(arguments).args(["--coordinator", &url]));
    ask(&["submit", "study.toml"]).succeeded();
    let mut command = curvefleet(folder.path());
    command.args(["worker", "--slots", "1", "--name", "first", "--coordinator", &url, "--checkpoint-seconds", "1"]);
    let first = Service::start(&mut command);
    let due = loop {
        assert!(!ask(&["status"]).succeeded().out.contains("finished"), "the study ended before it was disturbed");
        if let Some(epoch) = newest_checkpoint(&store) {
            break epoch;
        }
    };
    assert!(first.terminate().success());
    assert!(newest_checkpoint(&store).is_some_and(|epoch| due < epoch && epoch < 30_000));
    let _second = worker(&folder, &url, "second");
    assert!(ask(&["watch", "relay"]).succeeded().out.contains("2 of 2 runs done"));
    assert_eq!(newest_checkpoint(&store), None);
}

/// A run that diverges is set aside with the place where it did, and what it had come to is kept beside the results.
#[test]
fn a_diverged_run_names_epoch_and_batch_and_its_curve_is_kept() {
    let reckless = study("reckless", 1, 2_000).replace("learning_rate = 5e-3", "learning_rate = 1e36");
    let folder = Folder::new().and("study.toml", reckless);
    let ran = run(curvefleet(folder.path()).args(["run", "study.toml"]));
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    let said = ran.out + &ran.err;
    assert!(said.contains("training diverged: the loss is ") && said.contains(" in epoch "), "{said}");
    let store = folder.path().join("curvefleet-data");
    let kept: Vec<_> =
        std::fs::read_dir(study_folder(&store, "reckless").join("diverged")).unwrap().flatten().collect();
    assert!(!kept.is_empty());
    let part = format!("studies/reckless/diverged/{}", kept[0].file_name().to_str().unwrap());
    let epochs = epochs_by_run(&store, &part);
    assert!(epochs.len() == 1 && epochs.values().all(|epochs| (1..2_000).contains(epochs)), "{epochs:?}");
}
