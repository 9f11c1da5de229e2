//! Backups of a coordinator's ledger, and what becomes of a fleet that goes on from one.

use super::folder::{Folder, manifest};
use super::process::{Service, curvefleet, run};

/// The copy is made while the coordinator is at work; the ledger is lost, and the fleet goes on from the copy.
#[test]
fn a_fleet_goes_on_from_a_backup_that_was_made_while_it_was_at_work() {
    let folder = Folder::with_study("kept", 3, 3);
    let start = |arguments: &[&str]| {
        Service::start(curvefleet(folder.path()).args(["coordinator", "--listen", "127.0.0.1:0"]).args(arguments))
    };
    let mut lost = start(&[]);
    run(curvefleet(folder.path()).args(["submit", "study.toml", "--coordinator", &lost.url()])).succeeded();
    let copied = run(curvefleet(folder.path()).args(["backup", "copy.sqlite"])).succeeded();
    assert!(copied.out.contains("copy.sqlite") && copied.out.contains("checked"), "{}", copied.out);
    run(curvefleet(folder.path()).args(["backup", "copy.sqlite"])).refused(2, &["copy.sqlite", "overwrites nothing"]);
    run(curvefleet(folder.path()).args(["backup", "x", "--store", "nowhere"])).refused(2, &["no ledger", "--store"]);
    lost.kill();
    let ledger = folder.path().join("curvefleet-data/ledger.sqlite");
    for end in ["", "-wal", "-shm"] {
        let file = format!("{}{end}", ledger.display());
        if std::path::Path::new(&file).exists() {
            std::fs::remove_file(file).unwrap();
        }
    }
    std::fs::copy(folder.path().join("copy.sqlite"), &ledger).unwrap();
    let restored = start(&[]);
    let _worker =
        Service::start(curvefleet(folder.path()).args(["worker", "--slots", "1", "--coordinator", &restored.url()]));
    let watched = run(curvefleet(folder.path()).args(["watch", "kept", "--coordinator", &restored.url()])).succeeded();
    assert!(watched.out.contains("6 of 6 runs done"), "{}", watched.out);
    assert_eq!(manifest(&folder.path().join("curvefleet-data"), "kept").len(), 6);
}
