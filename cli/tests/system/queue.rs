//! Who gets which work: studies that share workers, studies that require what not every worker has, and the last runs of a study.

use std::collections::BTreeSet;

use super::folder::{Folder, curves, manifest, provenance, study};
use super::process::{Service, curvefleet, run};

fn coordinator(folder: &Folder) -> Service {
    Service::start(curvefleet(folder.path()).args(["coordinator", "--listen", "127.0.0.1:0"]))
}

fn worker(folder: &Folder, url: &str, name: &str, more: &[&str]) -> Service {
    let mut command = curvefleet(folder.path());
    command.args(["worker", "--name", name, "--coordinator", url]).args(more);
    if !more.contains(&"--slots") {
        command.args(["--slots", "1"]);
    }
    Service::start(&mut command)
}

/// What `status --json` says of the studies, the newest first.
fn status(folder: &Folder, url: &str) -> Vec<serde_json::Value> {
    let told = run(curvefleet(folder.path()).args(["status", "--json", "--coordinator", url])).succeeded();
    serde_json::from_str(&told.out).unwrap()
}

/// Two workers come when two studies wait: each study gets one of them, though one was submitted first.
#[test]
fn studies_of_one_priority_have_a_worker_each() {
    let folder = Folder::with_study("first", 20, 600).and("second.toml", study("second", 20, 601));
    let coordinator = coordinator(&folder);
    let url = coordinator.url();
    for file in ["study.toml", "second.toml"] {
        run(curvefleet(folder.path()).args(["submit", file, "--coordinator", &url])).succeeded();
    }
    let _workers = [worker(&folder, &url, "u", &[]), worker(&folder, &url, "v", &[])];
    loop {
        let studies = status(&folder, &url);
        if studies.iter().all(|study| study["leased"].as_u64() > Some(0)) {
            break;
        }
        assert!(
            studies.iter().all(|study| study["state"] == "active"),
            "one was trained before the other: {studies:?}"
        );
    }
}

/// A study that needs what no worker has waits, everything that is asked says why, and it is trained once such a worker comes.
#[test]
fn a_study_waits_for_a_worker_that_has_what_it_requires() {
    let picky = format!("requires = {{ labels = {{ site = \"basel\" }} }}\n{}", study("picky", 1, 3));
    let folder = Folder::new().and("study.toml", picky);
    let coordinator = coordinator(&folder);
    let url = coordinator.url();
    let ask = |arguments: &[&str]| run(curvefleet(folder.path()).args(arguments).args(["--coordinator", &url]));
    ask(&["submit", "study.toml"]).succeeded();
    let _other = worker(&folder, &url, "zurich", &["--label", "site=zurich"]);
    while !ask(&["workers"]).succeeded().out.contains("zurich") {}

    let plan = ask(&["plan", "study.toml"]).succeeded().out;
    assert!(plan.contains("the label site=basel: none of 1 live worker has that"), "{plan}");
    let plan: serde_json::Value =
        serde_json::from_str(&ask(&["plan", "study.toml", "--json"]).succeeded().out).unwrap();
    assert_eq!(plan["requires"]["lstm"]["labels"]["site"], "basel");
    let unmet = "no worker that takes work has what some of its runs need: the label site=basel";
    let told = ask(&["status"]).succeeded().out;
    assert!(told.contains(unmet), "{told}");
    assert_eq!(status(&folder, &url)[0]["unmet"], serde_json::json!(["the label site=basel"]));
    let told = ask(&["explain", "picky"]).succeeded().out;
    assert!(told.contains(&unmet[1..]), "{told}");
    let told = ask(&["explain", "zurich"]).succeeded().out;
    assert!(told.contains("site=basel (it has site=zurich)"), "{told}");

    let _fitting = worker(&folder, &url, "basel", &["--label", "site=basel"]);
    assert!(ask(&["watch", "picky"]).succeeded().out.contains("2 of 2 runs done"));
    assert_eq!(status(&folder, &url)[0]["unmet"], serde_json::json!([]));
    let store = folder.path().join("curvefleet-data");
    for part in manifest(&store, "picky").values() {
        assert_eq!(provenance(&store, part)["worker"], "basel");
    }
}

/// One worker has all that is left of a study. Another one that comes is given runs of it, and the curves are those of one worker alone.
#[test]
fn the_last_runs_of_a_study_are_shared_with_a_worker_that_has_nothing_to_do() {
    the_last_runs_are_shared(&study("tail", 10, 1_500).replace("shard_size = 2", "shard_size = 10"), "cpu");
}

/// As on a graphics card, runs are trained in packs, and the bits of a run depend on its pack: packs go to the other worker whole.
#[test]
fn the_last_packs_of_a_study_are_shared_whole() {
    let packs = "shard_size = 10\npack_size = 2";
    the_last_runs_are_shared(&study("tail", 10, 400).replace("shard_size = 2", packs), "flex");
}

fn the_last_runs_are_shared(text: &str, device: &str) {
    let folder = Folder::new().and("study.toml", text);
    let coordinator = Service::start(curvefleet(folder.path()).args([
        "coordinator",
        "--listen",
        "127.0.0.1:0",
        "--lease-seconds",
        "2",
    ]));
    let url = coordinator.url();
    let ask = |arguments: &[&str]| run(curvefleet(folder.path()).args(arguments).args(["--coordinator", &url]));
    ask(&["submit", "study.toml"]).succeeded();
    let _holder = worker(&folder, &url, "holder", &["--slots", "2", "--device", device]);
    while status(&folder, &url)[0]["leased"].as_u64() < Some(18) {}
    let _idle = worker(&folder, &url, "idle", &["--device", device]);
    assert!(ask(&["watch", "tail"]).succeeded().out.contains("20 of 20 runs done"));

    let store = folder.path().join("curvefleet-data");
    let runs = manifest(&store, "tail");
    assert_eq!(runs.len(), 20);
    let parts: BTreeSet<&String> = runs.values().collect();
    let by: BTreeSet<String> = parts.iter().map(|part| provenance(&store, part)["worker"].to_string()).collect();
    assert_eq!(by.len(), 2, "{by:?}");
    let given = runs.iter().find(|(_, part)| provenance(&store, part)["worker"] == "idle").unwrap();
    let told = ask(&["explain", given.0]).succeeded().out;
    assert!(told.contains("idle"), "{told}");
    let told = ask(&["explain", provenance(&store, given.1)["shard"].as_str().unwrap()]).succeeded().out;
    assert!(told.contains("was split off the shard"), "{told}");

    let alone = Folder::new().and("study.toml", text);
    run(curvefleet(alone.path()).args(["run", "study.toml", "--device", device])).succeeded();
    assert!(curves(&store, "tail") == curves(&alone.path().join("curvefleet-data"), "tail"), "the curves differ");
}
