//! Copies of a ledger file, made while a coordinator writes to it.

use curvefleet_coordinator::ledger::sqlite::{BackupError, backup};
use curvefleet_coordinator::ledger::study::{ListStudies, Status};
use curvefleet_coordinator::ledger::submit::Submit;
use curvefleet_coordinator::ledger::{Ledger, Operation, SqliteLedger};

use crate::bench::{SETTINGS, enter_of, study};

fn ask<O: Operation>(ledger: &mut SqliteLedger, operation: O) -> O::Answer {
    O::answer(ledger.transact(1_000, vec![operation.into()]).remove(0).unwrap()).unwrap()
}

fn submit(ledger: &mut SqliteLedger, study: Submit) {
    let enter = enter_of(&study);
    ask(ledger, study);
    while ask(ledger, enter.clone()).left > 0 {}
}

fn studies(path: &std::path::Path) -> Vec<Status> {
    ask(&mut SqliteLedger::open(path, SETTINGS).unwrap(), ListStudies)
}

/// Each copy holds what one commit left: the studies from the first to some last one, each whole.
#[test]
fn a_copy_made_while_the_ledger_is_written_is_the_state_after_one_commit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    let mut ledger = SqliteLedger::open(&path, SETTINGS).unwrap();
    submit(&mut ledger, study("s0", "40", 4));
    let over = std::sync::atomic::AtomicBool::new(false);
    let copies = std::thread::scope(|scope| {
        let copies = scope.spawn(|| {
            let mut copies = 0;
            while !over.load(std::sync::atomic::Ordering::SeqCst) || copies == 0 {
                backup(&path, &folder.path().join(format!("copy-{copies}"))).unwrap();
                copies += 1;
            }
            copies
        });
        for number in 1..30 {
            ask(&mut ledger, study(&format!("s{number}"), &format!("[{number}]"), 1));
        }
        over.store(true, std::sync::atomic::Ordering::SeqCst);
        copies.join().unwrap()
    });
    let all = ask(&mut ledger, ListStudies);
    for copy in 0..copies {
        let found = studies(&folder.path().join(format!("copy-{copy}")));
        assert!(!found.is_empty() && all.ends_with(&found), "copy {copy} holds {} studies", found.len());
    }
    let last = folder.path().join("last");
    let bytes = backup(&path, &last).unwrap();
    assert_eq!(std::fs::metadata(&last).unwrap().len(), bytes);
    assert_eq!(studies(&last), all);
}

#[test]
fn a_backup_overwrites_nothing_and_leaves_nothing_half_done() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("ledger.sqlite"), folder.path().join("copy"));
    assert!(matches!(backup(&path, &copy), Err(BackupError::Missing { .. })));
    drop(SqliteLedger::open(&path, SETTINGS).unwrap());
    std::fs::write(&copy, "precious").unwrap();
    assert!(matches!(backup(&path, &copy), Err(BackupError::Exists { .. })));
    assert_eq!(std::fs::read(&copy).unwrap(), b"precious");
    let nowhere = folder.path().join("no-such-folder/copy");
    assert!(matches!(backup(&path, &nowhere), Err(BackupError::Unwritable { .. })));
    let notes = folder.path().join("notes");
    std::fs::write(&notes, "These are notes, and not a database at all. ".repeat(50)).unwrap();
    let other = folder.path().join("other");
    assert!(matches!(backup(&notes, &other), Err(BackupError::Ledger(_))));
    assert!(!other.exists());
}

#[test]
fn a_damaged_ledger_is_not_backed_up_as_if_it_were_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("ledger.sqlite"), folder.path().join("copy"));
    let mut ledger = SqliteLedger::open(&path, SETTINGS).unwrap();
    submit(&mut ledger, study("one", "40", 4));
    drop(ledger);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4_096 * 4_096;
    bytes[middle..middle + 4 * 4_096].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    backup(&path, &copy).unwrap_err();
    assert!(!copy.exists());
}
