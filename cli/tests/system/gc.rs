//! `curvefleet gc`: what nothing names goes, and nothing else, whoever has the word on what is committed.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::folder::{Folder, curves, manifest, study};
use super::process::{Finished, Service, curvefleet, run};

const DAY: Duration = Duration::from_secs(86_400);

/// An object that nothing names, written so long ago.
#[allow(clippy::disallowed_methods)] // Files get old by the system's clock.
fn leave(store: &Path, key: &str, age: Duration) {
    let file = store.join(key);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "left behind").unwrap();
    File::options().write(true).open(file).unwrap().set_modified(SystemTime::now() - age).unwrap();
}

/// All files get so old.
#[allow(clippy::disallowed_methods)]
fn age_all(folder: &Path, age: Duration) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            age_all(&entry, age);
        } else {
            File::options().write(true).open(entry).unwrap().set_modified(SystemTime::now() - age).unwrap();
        }
    }
}

fn gc(folder: &Folder, more: &[&str]) -> Finished {
    run(curvefleet(folder.path()).arg("gc").args(more))
}

fn garbage(finished: &Finished) -> Vec<String> {
    let found: serde_json::Value = serde_json::from_str(&finished.out).unwrap();
    found["garbage"].as_array().unwrap().iter().map(|object| object["key"].as_str().unwrap().to_string()).collect()
}

const GARBAGE: [&str; 3] = [
    "studies/kept/curves/0123456789abcdef-7-1.parquet",
    "checkpoints/00112233445566778899aabbccddeeff/epoch-3.bpk",
    "datasets/0000000000000000000000000000000000000000000000000000000000000000.parquet",
];

#[test]
fn what_nothing_names_is_listed_and_goes_when_told_and_all_else_stays() {
    let folder = Folder::with_study("kept", 2, 3).and("reuses.toml", study("reuses", 3, 3));
    run(curvefleet(folder.path()).args(["run", "study.toml"])).succeeded();
    run(curvefleet(folder.path()).args(["run", "reuses.toml"])).succeeded();
    let store = folder.path().join("curvefleet-data");
    let before = [curves(&store, "kept"), curves(&store, "reuses")];
    age_all(&store, 3 * DAY);
    GARBAGE.iter().for_each(|key| leave(&store, key, 2 * DAY));
    leave(&store, "studies/kept/curves/fedcba9876543210-7-1.parquet", DAY / 2);

    let dry = gc(&folder, &[]).succeeded();
    assert!(dry.out.contains("garbage: 3 objects") && dry.out.contains("(by the ledger)"), "{}", dry.out);
    assert!(dry.out.contains("1 unnamed object younger than 1 d 0 h"), "{}", dry.out);
    assert!(dry.out.contains("delete them with --delete"), "{}", dry.out);
    assert!(GARBAGE.iter().all(|key| dry.out.contains(key) && store.join(key).exists()));
    assert_eq!(garbage(&gc(&folder, &["--only", "data", "--json"])), GARBAGE[2..]);

    let deleted = gc(&folder, &["--delete"]).succeeded();
    assert!(deleted.out.contains("deleted: 3 objects"), "{}", deleted.out);
    assert!(GARBAGE.iter().all(|key| !store.join(key).exists()));
    assert!(store.join("studies/kept/curves/fedcba9876543210-7-1.parquet").exists());
    for name in ["kept", "reuses"] {
        run(curvefleet(folder.path()).args(["verify", name])).succeeded();
    }
    assert!([curves(&store, "kept"), curves(&store, "reuses")] == before);
    assert!(gc(&folder, &["--delete"]).succeeded().out.contains("deleted: 0 objects"));
}

/// The manifest lags behind the ledger; a coordinator is asked, and the manifest is not what counts.
#[test]
fn what_the_ledger_names_stays_whatever_the_manifest_says() {
    let folder = Folder::with_study("lagging", 2, 3);
    run(curvefleet(folder.path()).args(["run", "study.toml"])).succeeded();
    let store = folder.path().join("curvefleet-data");
    let parts: Vec<String> = manifest(&store, "lagging").into_values().collect();
    std::fs::remove_file(store.join("studies/lagging/manifest.parquet")).unwrap();
    age_all(&store, 3 * DAY);
    let coordinator = Service::start(curvefleet(folder.path()).args(["coordinator", "--listen", "127.0.0.1:0"]));
    gc(&folder, &["--delete"]).refused(2, &["a coordinator is at work", "--coordinator"]);
    let url = coordinator.url();
    let deleted = gc(&folder, &["--delete", "--coordinator", &url]).succeeded();
    assert!(deleted.out.contains("deleted: 0 objects, 0 B (by the coordinator)"), "{}", deleted.out);
    assert!(parts.iter().all(|part| store.join(part).exists()));
    let missing = gc(&folder, &["--coordinator", "http://127.0.0.1:1"]);
    missing.refused(2, &["no coordinator answers"]);
}

/// Without a ledger the manifests speak, for what they can.
#[test]
fn without_a_ledger_only_what_a_manifest_must_have_named_goes() {
    let folder = Folder::with_study("kept", 2, 3).and("open.toml", study("open", 2, 3));
    run(curvefleet(folder.path()).args(["run", "study.toml"])).succeeded();
    let store = folder.path().join("curvefleet-data");
    age_all(&store, 3 * DAY);
    // A study that was submitted and whose coordinator was killed before it wrote a manifest.
    std::fs::create_dir_all(store.join("studies/open")).unwrap();
    let text = std::fs::read_to_string(store.join("studies/kept/study.toml")).unwrap();
    std::fs::write(store.join("studies/open/study.toml"), text.replace("\"kept\"", "\"open\"")).unwrap();
    for ledger in ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"] {
        let _ = std::fs::remove_file(store.join(ledger));
    }
    leave(&store, "studies/kept/curves/0123456789abcdef-7-1.parquet", 4 * DAY);
    leave(&store, "studies/kept/curves/0123456789abcdef-8-1.parquet", 2 * DAY);
    leave(&store, "studies/open/curves/0123456789abcdef-1-1.parquet", 4 * DAY);
    leave(&store, "studies/strange/curves/0123456789abcdef-1-1.parquet", 4 * DAY);
    let found = gc(&folder, &["--json"]).succeeded();
    assert_eq!(garbage(&found), ["studies/kept/curves/0123456789abcdef-7-1.parquet"]);
    let found = gc(&folder, &["--delete"]).succeeded();
    assert!(found.out.contains("deleted: 1 object") && found.out.contains("(by the manifests)"), "{}", found.out);
    assert!(found.out.contains("left alone: 3 parts that no manifest names"), "{}", found.out);
    run(curvefleet(folder.path()).args(["verify", "kept"])).succeeded();
}

#[test]
fn a_store_whose_names_cannot_be_read_is_not_touched() {
    let folder = Folder::with_study("kept", 2, 3);
    run(curvefleet(folder.path()).args(["run", "study.toml"])).succeeded();
    let store = folder.path().join("curvefleet-data");
    leave(&store, GARBAGE[2], 2 * DAY);
    std::fs::write(store.join("studies/kept/study.toml"), "name = ").unwrap();
    gc(&folder, &["--delete"]).refused(1, &["study.toml"]);
    assert!(store.join(GARBAGE[2]).exists());
}

#[test]
fn too_short_a_grace_a_missing_store_and_a_missing_ledger_are_refused() {
    let folder = Folder::with_study("kept", 1, 1);
    gc(&folder, &[]).refused(2, &["there is no store"]);
    std::fs::create_dir(folder.path().join("curvefleet-data")).unwrap();
    gc(&folder, &["--delete", "--grace", "1m"]).refused(2, &["--grace is 1 min 0 s", "at least 10 min"]);
    gc(&folder, &["--ledger", "nowhere.sqlite"]).refused(2, &["nowhere.sqlite"]);
    let wrong = gc(&folder, &["--grace", "soon"]);
    assert!(wrong.code == 2 && wrong.err.contains("such as 24h"), "{}", wrong.err);
    let empty = gc(&folder, &[]).succeeded();
    assert!(empty.out.contains("garbage: 0 objects"), "{}", empty.out);
}

/// A worker was stopped in the middle of its runs: what they go on from is no garbage, until they are done.
#[test]
fn checkpoints_of_runs_that_go_on_stay() {
    let folder = Folder::with_study("long", 2, 400);
    let coordinator = Service::start(curvefleet(folder.path()).args(["coordinator", "--listen", "127.0.0.1:0"]));
    let url = coordinator.url();
    run(curvefleet(folder.path()).args(["submit", "study.toml", "--coordinator", &url])).succeeded();
    let worker = Service::start(curvefleet(folder.path()).args([
        "worker",
        "--coordinator",
        &url,
        "--slots",
        "1",
        "--checkpoint-seconds",
        "0",
    ]));
    let store = folder.path().join("curvefleet-data");
    let checkpoints = store.join("checkpoints");
    while !checkpoints.is_dir() || std::fs::read_dir(&checkpoints).unwrap().next().is_none() {
        std::thread::yield_now();
    }
    worker.terminate();
    age_all(&store, 3 * DAY);
    leave(&store, GARBAGE[1], 2 * DAY);
    let found = gc(&folder, &["--json", "--coordinator", &url]).succeeded();
    assert_eq!(garbage(&found), [GARBAGE[1]]);
}
