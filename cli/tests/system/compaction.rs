//! Many small parts become a large one while a coordinator is at work, and nothing else changes.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::Connection;

use super::folder::{Folder, curves, manifest, study, study_folder};
use super::process::{Service, curvefleet, run};
use super::proxy::{Mood, Proxy};
use super::s3_server::{SECRET, serve, variables};

/// Parts of the study: one for each run.
const PARTS: usize = 18;

/// A study that was trained in shards of one run.
fn trained() -> (Folder, PathBuf) {
    let study = study("many", PARTS as u32 / 2, 2).replace("shard_size = 2", "shard_size = 1");
    let folder = Folder::new().and("study.toml", study);
    run(curvefleet(folder.path()).args(["run", "study.toml"])).succeeded();
    let store = folder.path().join("curvefleet-data");
    assert_eq!(named(&store).len(), PARTS);
    (folder, store)
}

fn coordinator(folder: &Folder, log: &str) -> Service {
    let log = File::create(folder.path().join(log)).unwrap();
    let mut command = curvefleet(folder.path());
    Service::start_logged(command.args(["coordinator", "--listen", "127.0.0.1:0"]), log.into())
}

/// The parts that the manifest names.
fn named(store: &Path) -> BTreeSet<String> {
    manifest(store, "many").into_values().collect()
}

/// The parts that lie in the study's folder.
fn stored(store: &Path) -> BTreeSet<String> {
    let files = std::fs::read_dir(study_folder(store, "many").join("curves")).unwrap();
    files.map(|file| format!("studies/many/curves/{}", file.unwrap().file_name().to_str().unwrap())).collect()
}

fn is_large(part: &str) -> bool {
    part.starts_with("studies/many/curves/compacted-")
}

/// Asks until this is so.
fn wait(folder: &Folder, coordinator: &Service, is_so: impl Fn() -> bool) {
    while !is_so() {
        run(curvefleet(folder.path()).args(["status", "--coordinator", &coordinator.url()])).succeeded();
    }
}

fn verify(folder: &Folder, more: &[&str]) -> String {
    run(curvefleet(folder.path()).args(["verify", "many"]).args(more)).succeeded().out
}

/// All files of a new report.
fn report(folder: &Folder, store: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    run(curvefleet(folder.path()).args(["report", "many", "--name", "again"])).succeeded();
    let mut folders = vec![study_folder(store, "many").join("reports/again")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else {
                let content = std::fs::read(&entry).unwrap();
                files.push((entry, content));
            }
        }
    }
    files.sort();
    files
}

fn in_ledger(store: &Path, statement: &str) {
    Connection::open(store.join("ledger.sqlite")).unwrap().execute(statement, []).unwrap();
}

/// Files and moves get old by the system's clock.
#[allow(clippy::disallowed_methods)]
fn age(store: &Path) {
    in_ledger(store, "UPDATE compactions SET at_ms = at_ms - 3 * 86400000");
    for part in stored(store) {
        let old = SystemTime::now() - Duration::from_secs(3 * 86_400);
        File::options().write(true).open(store.join(part)).unwrap().set_modified(old).unwrap();
    }
}

/// The coordinator is killed as soon as the large part is in the store, whether the ledger knows of it or not; the next one goes on.
#[test]
fn small_parts_become_a_large_one_whoever_is_killed_and_the_old_ones_are_collected_later() {
    let (folder, store) = trained();
    let (rows, pages) = (curves(&store, "many"), report(&folder, &store));
    let small = named(&store);

    let mut first = coordinator(&folder, "first.log");
    wait(&folder, &first, || stored(&store).iter().any(|part| is_large(part)));
    first.kill();
    verify(&folder, &[]);
    assert!(curves(&store, "many") == rows);

    // Otherwise the next one waits until the killed one's claim ends.
    in_ledger(&store, "UPDATE studies SET compaction_until_ms = 0");
    let second = coordinator(&folder, "second.log");
    wait(&folder, &second, || named(&store).iter().all(|part| is_large(part)));
    let large = named(&store);
    assert_eq!(large.len(), 1);
    assert!(curves(&store, "many") == rows, "the same rows to the bit");
    assert!(stored(&store).is_superset(&small), "whoever has read the old manifest finds its parts");
    assert!(second.terminate().success());

    assert!(report(&folder, &store) == pages, "the same curves give the same report");
    assert!(verify(&folder, &["--rerun", "2"]).contains("2 of 2 runs with the same bits"));
    let gc = |more: &[&str]| run(curvefleet(folder.path()).arg("gc").args(more)).succeeded().out;
    assert!(gc(&["--delete"]).contains("deleted: 0 objects"));
    age(&store);
    let garbage = gc(&["--only", "parts", "--delete"]);
    assert!(garbage.contains("deleted: "), "{garbage}");
    assert_eq!(stored(&store), large, "{garbage}");
    verify(&folder, &[]);
    assert!(curves(&store, "many") == rows && report(&folder, &store) == pages);
    run(curvefleet(folder.path()).args(["export", "many", "--to", "copy"])).succeeded();
    assert!(curves(&folder.path().join("copy"), "many") == rows);
}

#[test]
fn a_damaged_part_stays_as_it_is_and_is_told_once() {
    let (folder, store) = trained();
    let damaged = named(&store).into_iter().next().unwrap();
    std::fs::write(store.join(&damaged), "rubbish").unwrap();
    let coordinator = coordinator(&folder, "coordinator.log");
    wait(&folder, &coordinator, || named(&store).iter().any(|part| is_large(part)));
    assert_eq!(named(&store).len(), 2);
    assert!(named(&store).contains(&damaged));
    assert!(coordinator.terminate().success());
    let log = std::fs::read_to_string(folder.path().join("coordinator.log")).unwrap();
    assert_eq!(log.matches("stays as it is").count(), 1, "{log}");
    let found = run(curvefleet(folder.path()).args(["verify", "many"]));
    assert_eq!(found.code, 1, "{}", found.out);
    assert!(found.out.contains(&damaged), "{}", found.out);
}

/// The store takes no large part at first, and then gives it back altered. Both times the ledger is told nothing, and nothing is lost.
#[test]
fn a_store_that_fails_in_the_middle_delays_large_parts_and_alters_nothing() {
    let text = study("many", PARTS as u32 / 2, 2).replace("shard_size = 2", "shard_size = 1");
    let (folder, buckets) = (Folder::new().and("study.toml", text), Folder::new());
    std::fs::create_dir(buckets.path().join("lab")).unwrap();
    let endpoint = serve(buckets.path());
    let proxy = Proxy::start(&endpoint);
    let at = ["--store", "s3://lab/experiments", "--ledger", "ledger.sqlite"];
    run(curvefleet(folder.path()).args(["run", "study.toml"]).args(at).envs(variables(&endpoint, SECRET))).succeeded();
    let store = buckets.path().join("lab/experiments");
    let (rows, small) = (curves(&store, "many"), named(&store));
    let start = |log: &str| {
        let mut command = curvefleet(folder.path());
        command.args(["coordinator", "--listen", "127.0.0.1:0"]).args(at);
        Service::start_logging(command.envs(variables(&proxy.endpoint, SECRET)), &folder.path().join(log))
    };
    let logged = |log: &str, words: &str| std::fs::read_to_string(folder.path().join(log)).unwrap().contains(words);
    let again = || {
        Connection::open(folder.path().join("ledger.sqlite"))
            .unwrap()
            .execute("UPDATE studies SET compaction_until_ms = 0", [])
            .unwrap()
    };

    proxy.set(Mood::Away("/curves/compacted-"));
    let first = start("first.log");
    wait(&folder, &first, || logged("first.log", "cannot move small parts into a large one"));
    assert!(first.terminate().success());
    assert_eq!(named(&store), small);
    again();
    proxy.set(Mood::Altering { part: "/curves/compacted-", answers: 1 });
    let second = start("second.log");
    wait(&folder, &second, || logged("second.log", "has other bytes when it is read back"));
    assert!(second.terminate().success());
    assert_eq!(named(&store), small);
    assert!(curves(&store, "many") == rows);
    again();
    proxy.set(Mood::Good);
    let third = start("third.log");
    wait(&folder, &third, || named(&store).iter().all(|part| is_large(part)));
    assert_eq!(named(&store).len(), 1);
    assert!(curves(&store, "many") == rows, "the same rows to the bit");
    assert!(third.terminate().success());
    run(curvefleet(folder.path()).args(["verify", "many"]).args(&at[..2]).envs(variables(&endpoint, SECRET)))
        .succeeded();
}
