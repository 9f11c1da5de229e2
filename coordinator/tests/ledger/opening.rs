//! Every reason to refuse a ledger file.

use std::path::Path;

use curvefleet_coordinator::ledger::sqlite::{OpenError, SqliteLedger};

use crate::bench::SETTINGS;

fn refused(path: &Path) -> OpenError {
    let error = SqliteLedger::open(path, SETTINGS).expect_err("the file is refused");
    assert!(error.to_string().contains(&path.display().to_string()), "the file is named: {error}");
    error
}

#[test]
fn a_second_coordinator_on_one_file_is_refused_until_the_first_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    let first = SqliteLedger::open(&path, SETTINGS).unwrap();
    assert!(matches!(refused(&path), OpenError::Locked { .. }));
    drop(first);
    SqliteLedger::open(&path, SETTINGS).unwrap();
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    drop(SqliteLedger::open(&path, SETTINGS).unwrap());
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let error = refused(&path);
    assert!(matches!(error, OpenError::Newer { found: 99, .. }) && error.to_string().contains("newer"), "{error}");
}

#[test]
fn files_that_are_no_ledger_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "These are notes, and not a database at all. ".repeat(50)).unwrap();
    assert!(matches!(refused(&text), OpenError::NotALedger { .. }));
    let other = folder.path().join("other.sqlite");
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE recipes (name TEXT)").unwrap();
    assert!(matches!(refused(&other), OpenError::NotALedger { .. }));
    assert!(matches!(refused(folder.path()), OpenError::Unwritable { .. }), "a folder is no file");
}

#[test]
fn a_damaged_ledger_is_refused_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    drop(SqliteLedger::open(&path, SETTINGS).unwrap());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100..200].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let error = refused(&path);
    assert!(matches!(error, OpenError::Database { .. } | OpenError::NotALedger { .. }), "{error}");
}

#[test]
fn a_read_only_folder_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
    if std::fs::write(folder.path().join("probe"), "").is_ok() {
        eprintln!("skipped a_read_only_folder_is_refused: this user (root) writes to read-only folders");
        return;
    }
    assert!(matches!(refused(&folder.path().join("ledger.sqlite")), OpenError::Unwritable { .. }));
}
