//! `curvefleet run`: everything in one process.

use std::process::{Command, Stdio};

use super::folder::{Folder, curves, epochs_by_run, manifest, provenance, report};
use super::process::{curvefleet, run};

#[test]
fn a_study_file_becomes_a_report_and_a_second_time_nothing_is_done() {
    let folder = Folder::with_study("first", 3, 4);
    let first = run(curvefleet(folder.path()).args(["run", "study.toml"])).succeeded();
    assert!(first.out.contains("study first: 6 of 6 runs done"), "{}", first.out);
    assert!(first.out.contains("report: "), "{}", first.out);

    let store = folder.path().join("curvefleet-data");
    let runs = manifest(&store, "first");
    assert_eq!(runs.len(), 6);
    for (run, part) in &runs {
        assert_eq!(epochs_by_run(&store, part)[run], 4, "every epoch of every run is in its part");
    }
    assert!(report(&store, "first").contains("<svg"));

    let again = run(curvefleet(folder.path()).args(["run", "study.toml"])).succeeded();
    assert!(again.out.starts_with("all 6 runs of study first are done already"), "{}", again.out);
    assert!(again.out.contains("index.html"), "it says where the report is: {}", again.out);
    assert_eq!(manifest(&store, "first"), runs);

    let plan = run(curvefleet(folder.path()).args(["plan", "study.toml"])).succeeded();
    assert!(plan.out.contains("6 runs in 4 shards") && plan.out.contains("6 of 6 runs"), "{}", plan.out);
}

/// The rows, not the files: a part's metadata say when and by whom it was trained.
#[test]
fn the_same_study_in_two_folders_gives_the_same_curves_to_the_bit() {
    let folders = [Folder::with_study("twin", 2, 3), Folder::with_study("twin", 2, 3)];
    let [one, other] = folders.each_ref().map(|folder| {
        run(curvefleet(folder.path()).args(["run", "study.toml"])).succeeded();
        curves(&folder.path().join("curvefleet-data"), "twin")
    });
    assert_eq!(one.len(), 4 * 3);
    assert!(one == other);
}

#[test]
fn a_part_says_where_its_curves_come_from() {
    let folder = Folder::with_study("told", 2, 3);
    run(curvefleet(folder.path()).args(["run", "study.toml", "--workers", "1"])).succeeded();
    let store = folder.path().join("curvefleet-data");
    let study = std::fs::read(store.join("studies/told/study.toml")).unwrap();
    let parts: std::collections::BTreeSet<String> = manifest(&store, "told").into_values().collect();
    for part in parts {
        let told = provenance(&store, &part);
        let text = |key: &str| told[key].as_str().unwrap().to_string();
        assert_eq!(
            (text("study"), text("worker"), text("version")),
            ("told".into(), "here-1".into(), env!("CARGO_PKG_VERSION").into())
        );
        assert_eq!(text("study_sha256"), curvefleet_proto::artifact::sha256_hex(&study));
        assert!(text("backend").starts_with("cpu/") && !text("device").is_empty());
        assert_eq!(told["fence"].as_u64(), Some(1));
        let commit = text("git_commit");
        let checkout = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../.git");
        assert_eq!(commit != "unknown", checkout.exists(), "{commit}");
        assert!(commit == "unknown" || commit.len() >= 40, "{commit}");
        let runs = told["runs"].as_array().unwrap();
        assert_eq!(runs.len(), epochs_by_run(&store, &part).len());
        for run in runs {
            let ms = |key: &str| run[key].as_u64().unwrap();
            assert!(0 < ms("started_ms") && ms("started_ms") <= ms("ended_ms") && ms("resumed_after_epoch") == 0);
        }
    }
}

#[test]
fn a_study_reuses_the_runs_of_another_and_trains_only_what_is_new() {
    let folder = Folder::with_study("small", 2, 3).and("larger.toml", super::folder::study("larger", 4, 3));
    run(curvefleet(folder.path()).args(["run", "study.toml"])).succeeded();
    let plan = run(curvefleet(folder.path()).args(["plan", "larger.toml"])).succeeded();
    assert!(plan.out.contains("4 of 8 runs"), "{}", plan.out);
    let larger = run(curvefleet(folder.path()).args(["run", "larger.toml"])).succeeded();
    assert!(larger.out.contains("4 done already (4 of them in other studies)"), "{}", larger.out);
    let store = folder.path().join("curvefleet-data");
    let reused = manifest(&store, "larger").into_values().filter(|part| part.starts_with("studies/small/")).count();
    assert_eq!(reused, 4);
}

#[test]
fn after_ctrl_c_the_same_command_goes_on_where_it_stopped() {
    let folder = Folder::with_study("long", 20, 40);
    let mut child = curvefleet(folder.path())
        .args(["run", "study.toml", "--workers", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The first committed part shows that training is under way and part of it is done.
    let curves = folder.path().join("curvefleet-data/studies/long/curves");
    while !curves.is_dir() || std::fs::read_dir(&curves).unwrap().next().is_none() {
        assert!(child.try_wait().unwrap().is_none(), "the study ended before it could be interrupted");
        std::thread::yield_now();
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let stopped = child.wait_with_output().unwrap();
    let out = String::from_utf8(stopped.stdout).unwrap();
    assert_eq!(stopped.status.code(), Some(130), "{out}\n{}", String::from_utf8_lossy(&stopped.stderr));
    assert!(out.contains("goes on from here"), "{out}");

    let resumed = run(curvefleet(folder.path()).args(["run", "study.toml"])).succeeded();
    assert!(resumed.out.contains("done already"), "what was done stays done: {}", resumed.out);
    assert_eq!(manifest(&folder.path().join("curvefleet-data"), "long").len(), 40);
}
