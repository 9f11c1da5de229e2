//! Rubbish in: one clear sentence, exit code 2 (the user can mend it) or 1, no panic, nothing half-done.

use std::net::TcpListener;

use super::folder::{Folder, manifest, study};
use super::process::{Finished, Service, curvefleet, run};

fn run_study(folder: &Folder) -> Finished {
    run(curvefleet(folder.path()).args(["run", "study.toml"]))
}

/// A study on one `.ts` file with this content.
fn with_ts(content: &str) -> Folder {
    let text = "name = \"toy\"\nseeds = 1\n[[data]]\nname = \"toy\"\nformat = \"ts\"\nfiles = [\"toy.ts\"]\n[training]\nepochs = 1\n";
    let folder = Folder::new().and("study.toml", text);
    std::fs::create_dir(folder.path().join("data")).unwrap();
    folder.and("data/toy.ts", content)
}

#[test]
fn wrong_study_files_are_refused_before_anything_is_written() {
    let cases: [(&str, &[&str]); 5] = [
        ("name = \"x\"\nsede = 3\n", &["study.toml: line 2", "sede", "seeds"]),
        ("name = ", &["study.toml: line 1"]),
        ("name = \"x\"\n", &["[[data]]"]),
        (
            "name = \"x\"\n[[data]]\nname = \"d\"\nformat = \"ts\"\nfiles = [\"none.ts\"]\n",
            &["none.ts", "data set `d`"],
        ),
        (
            "name = \"../x\"\n[[data]]\nname = \"d\"\nformat = \"generated\"\n",
            &["study.toml: line 1", "letters, digits"],
        ),
    ];
    for (text, words) in cases {
        let folder = Folder::new().and("study.toml", text);
        run_study(&folder).refused(2, words);
        let studies = folder.path().join("curvefleet-data/studies");
        assert!(!studies.exists(), "nothing is half-done");
    }
    run(curvefleet(Folder::new().path()).args(["run", "nowhere.toml"])).refused(2, &["nowhere.toml", "cannot be read"]);
}

#[test]
fn malformed_data_are_refused_with_the_line_and_what_was_expected() {
    let header = "@problemName toy\n@classLabel true a b\n@data\n";
    let cases: [(String, &[&str]); 4] = [
        (format!("{header}1,2,x:a\n"), &["toy.ts, line 4", "x"]),
        (format!("{header}1,2,3:c\n"), &["toy.ts, line 4", "c"]),
        ("@problemName toy\n1,2,3:a\n".to_string(), &["toy.ts, line 2"]),
        (String::new(), &["toy.ts"]),
    ];
    for (content, words) in cases {
        run_study(&with_ts(&content)).refused(2, words);
    }
}

#[test]
fn an_empty_class_and_one_sample_per_class_are_refused() {
    let header = "@problemName toy\n@classLabel true a b\n@data\n";
    run_study(&with_ts(&format!("{header}1,2,3:a\n3,2,1:a\n1,1,1:a\n"))).refused(2, &["only the class", "\"a\""]);
    run_study(&with_ts(&format!("{header}1,2,3:a\n3,2,1:b\n"))).refused(2, &["class `a`", "at least 3"]);
    run_study(&with_ts(&format!("{header}{}", "1,2,3:a\n3,2,1:b\n".repeat(3)))).succeeded();
}

#[test]
fn the_name_of_another_study_is_refused() {
    let folder = Folder::with_study("taken", 1, 2);
    run_study(&folder).succeeded();
    let folder = folder.and("study.toml", study("taken", 2, 2));
    run_study(&folder).refused(2, &["taken", "another name"]);
    assert_eq!(manifest(&folder.path().join("curvefleet-data"), "taken").len(), 2);
}

#[test]
fn a_port_in_use_a_bad_address_and_an_open_port_are_refused() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let listen = |address: &str| run(curvefleet(folder.path()).args(["coordinator", "--listen", address]));
    listen(&address).refused(2, &[&address, "--listen"]);
    assert!(!folder.path().join("curvefleet-data").exists(), "nothing is half-done");
    listen("here").refused(2, &["`here`"]);
    listen("0.0.0.0:0").refused(2, &["--insecure"]);
}

#[test]
fn a_store_that_cannot_be_used_is_refused() {
    let folder = Folder::with_study("stuck", 1, 1).and("a-file", "not a folder");
    let with_store = |store: &str| run(curvefleet(folder.path()).args(["run", "study.toml", "--store", store]));
    with_store("a-file/store").refused(2, &["a-file/store"]);
    with_store("ftp://host/x").refused(2, &["ftp://host/x", "s3://"]);
    if is_root() {
        // Root writes everywhere, but not below /proc.
        with_store("/proc/curvefleet").refused(2, &["/proc/curvefleet"]);
    } else {
        let locked = folder.path().join("locked");
        std::fs::create_dir(&locked).unwrap();
        let mut permissions = std::fs::metadata(&locked).unwrap().permissions();
        permissions.set_readonly(true);
        std::fs::set_permissions(&locked, permissions).unwrap();
        with_store("locked").refused(2, &["locked"]);
    }
}

pub fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| status.lines().any(|line| line.starts_with("Uid:\t0\t")))
}

#[test]
fn two_programs_on_one_ledger_are_refused() {
    let folder = Folder::with_study("locked", 1, 1);
    let _coordinator = Service::start(curvefleet(folder.path()).args(["coordinator", "--listen", "127.0.0.1:0"]));
    run_study(&folder).refused(2, &["ledger.sqlite"]);
}

#[test]
fn damaged_artifacts_are_told_apart_from_results() {
    let folder = Folder::with_study("hurt", 1, 2);
    run_study(&folder).succeeded();
    let store = folder.path().join("curvefleet-data");
    let part = manifest(&store, "hurt").into_values().next().unwrap();
    let whole = std::fs::read(store.join(&part)).unwrap();
    std::fs::write(store.join(&part), &whole[..whole.len() / 2]).unwrap();
    let report = run(curvefleet(folder.path()).args(["report", "hurt"])).succeeded();
    assert!(report.out.contains("1 of 2 planned runs") && report.out.contains("unreadable"), "{}", report.out);

    let manifest = store.join("studies/hurt/manifest.parquet");
    std::fs::write(&manifest, b"PAR1 rubbish").unwrap();
    run(curvefleet(folder.path()).args(["report", "hurt"])).refused(1, &["manifest.parquet"]);
    std::fs::write(store.join("ledger.sqlite"), b"this is no database, whatever its name says; it is only text")
        .unwrap();
    run_study(&folder).refused(2, &["ledger.sqlite"]);
}

#[test]
fn a_truncated_data_set_is_refused_by_its_hash_and_replaced_where_its_source_is_at_hand() {
    let folder = Folder::with_study("first", 1, 1);
    run_study(&folder).succeeded();
    let datasets = folder.path().join("curvefleet-data/datasets");
    let dataset = std::fs::read_dir(&datasets).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&dataset).unwrap();
    let sha256 = dataset.file_stem().unwrap().to_str().unwrap();
    let by_hash = format!("name = \"by-hash\"\n[[data]]\nname = \"joints\"\nformat = \"ts\"\nsha256 = \"{sha256}\"\n");
    let folder = folder.and("by-hash.toml", by_hash).and("second.toml", study("second", 2, 1));

    std::fs::write(&dataset, &whole[..whole.len() / 3]).unwrap();
    run(curvefleet(folder.path()).args(["run", "by-hash.toml"])).refused(2, &[sha256, "cannot be used"]);
    run(curvefleet(folder.path()).args(["run", "second.toml"])).succeeded();
    assert!(std::fs::read(&dataset).unwrap() == whole);
}

/// What is damaged where only a worker reads it stops the study with the reason, instead of failing run after run.
#[test]
fn a_data_set_with_altered_bytes_stops_the_study_with_the_reason() {
    let folder = Folder::with_study("first", 1, 1);
    run_study(&folder).succeeded();
    let datasets = folder.path().join("curvefleet-data/datasets");
    let dataset = std::fs::read_dir(&datasets).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&dataset).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&dataset, bytes).unwrap();
    let folder = folder.and("second.toml", study("second", 2, 1));
    let stopped = run(curvefleet(folder.path()).args(["run", "second.toml"]));
    assert_eq!(stopped.code, 1);
    assert!(stopped.out.contains("study second is stopped") && stopped.out.contains("damaged"), "{}", stopped.out);
}

#[test]
fn data_sets_that_are_not_there_or_damaged_are_refused() {
    let folder = Folder::new().and("cut.parquet", b"PAR1 cut");
    let show = |dataset: &str| run(curvefleet(folder.path()).args(["data", "show", dataset]));
    show(&"ab".repeat(32)).refused(2, &["there is no data set"]);
    show("cut.parquet").refused(2, &["cut.parquet"]);
}

#[test]
fn names_that_nobody_knows_are_refused() {
    let folder = Folder::new();
    run(curvefleet(folder.path()).args(["report", "unheard-of"])).refused(2, &["unheard-of"]);
    let coordinator = Service::start(curvefleet(folder.path()).args(["coordinator", "--listen", "127.0.0.1:0"]));
    let url = coordinator.url();
    let ask = |arguments: &[&str]| run(curvefleet(folder.path()).args(arguments).args(["--coordinator", &url]));
    for command in ["status", "watch", "runs", "cancel", "retry"] {
        ask(&[command, "unheard-of"]).refused(2, &["unheard-of"]);
    }
    ask(&["logs", "00000000000000000000000000000000"]).refused(2, &["00000000"]);
    run(curvefleet(folder.path()).args(["status", "--coordinator", "http://127.0.0.1:1"]))
        .refused(2, &["no coordinator answers", "127.0.0.1:1"]);
    run(curvefleet(folder.path()).args(["worker", "--coordinator", "127.0.0.1:7700"]))
        .refused(2, &["http://127.0.0.1:7700"]);
}

/// `curvefleet plan … | head -1`: the reader goes before all is said.
#[test]
fn a_reader_that_goes_away_ends_a_command_quietly() {
    let folder = Folder::with_study("piped", 2, 1);
    let mut plan = curvefleet(folder.path());
    plan.args(["plan", "study.toml"]).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = plan.spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), String::from_utf8(ended.stderr).unwrap().as_str()), (Some(141), ""));
}

/// A worker on a machine that does not see the coordinator's folder says so instead of failing run after run.
#[test]
fn a_worker_without_the_stores_folder_says_so() {
    let folder = Folder::new();
    let coordinator = Service::start(curvefleet(folder.path()).args(["coordinator", "--listen", "127.0.0.1:0"]));
    let url = coordinator.url();
    let worker = run(curvefleet(folder.path()).args(["worker", "--coordinator", &url, "--store", "not-here"]));
    worker.refused(2, &["not-here", "shared"]);
}
