//! A consistent copy of a ledger file, also while a coordinator is at work on it: SQLite copies the state after one commit, and the
//! coordinator goes on writing meanwhile.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::migrate;
use super::open::{BUSY_TIMEOUT, OpenError, classify};

/// Why there is no backup. Whatever was written of it is gone again.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is no ledger.
    #[error("there is no ledger {}; name it with --ledger, or the coordinator's store with --store", path.display())]
    Missing {
        /// The ledger file.
        path: PathBuf,
    },
    /// The file for the copy is there.
    #[error("{} is there already, and a backup overwrites nothing; give it another name", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The copy cannot be written.
    #[error("the backup {} cannot be written: {reason}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The ledger is none, or fails.
    #[error(transparent)]
    Ledger(#[from] OpenError),
    /// The copy is not what it should be.
    #[error("the copy of the ledger {} is damaged, so the ledger is, too: {reason}", path.display())]
    Damaged {
        /// The ledger file.
        path: PathBuf,
        /// What SQLite finds.
        reason: String,
    },
}

/// Copies the ledger file `ledger` to the new file `copy`, which is whole or not there; says its size in bytes.
///
/// # Errors
/// If there is no ledger, `copy` is there already or cannot be written, or the ledger is damaged.
pub fn backup(ledger: &Path, copy: &Path) -> Result<u64, BackupError> {
    if !ledger.is_file() {
        return Err(BackupError::Missing { path: ledger.to_path_buf() });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(ledger, flags).map_err(|source| classify(ledger, source))?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(|source| classify(ledger, source))?;
    migrate::check(ledger, &connection)?;
    reserve(copy)?;
    // Written beside and renamed, so that what bears the name is whole; the reserved file sees to it that nothing is overwritten.
    let mut part = copy.as_os_str().to_os_string();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = write(ledger, &connection, &part).and_then(|bytes| finish(&part, copy).map(|()| bytes));
    if written.is_err() {
        for file in [&part, copy] {
            // What cannot be removed is seen by whoever looks; the first error says more.
            drop(std::fs::remove_file(file));
        }
    }
    written
}

/// Makes the file that the copy will replace.
fn reserve(copy: &Path) -> Result<(), BackupError> {
    match OpenOptions::new().write(true).create_new(true).open(copy) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(BackupError::Exists { path: copy.to_path_buf() })
        }
        Err(error) => Err(unwritable(copy, &error)),
    }
}

fn write(ledger: &Path, connection: &Connection, part: &Path) -> Result<u64, BackupError> {
    match std::fs::remove_file(part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unwritable(part, &error)),
        _ => {}
    }
    let reason =
        |error: rusqlite::Error| BackupError::Unwritable { path: part.to_path_buf(), reason: error.to_string() };
    let name = part.to_str().ok_or_else(|| unwritable(part, &std::io::Error::other("its name is not Unicode")))?;
    connection.execute("VACUUM INTO ?1", [name]).map_err(reason)?;
    check(ledger, part)?;
    let file = File::open(part).map_err(|error| unwritable(part, &error))?;
    file.sync_all().map_err(|error| unwritable(part, &error))?;
    file.metadata().map(|metadata| metadata.len()).map_err(|error| unwritable(part, &error))
}

/// A backup is worth what can be read of it.
fn check(ledger: &Path, part: &Path) -> Result<(), BackupError> {
    let damaged = |reason: String| BackupError::Damaged { path: ledger.to_path_buf(), reason };
    let copy = Connection::open_with_flags(part, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(|error| damaged(error.to_string()))?;
    migrate::check(part, &copy)?;
    let found: String = copy
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(|error| damaged(error.to_string()))?;
    if found == "ok" { Ok(()) } else { Err(damaged(found)) }
}

fn finish(part: &Path, copy: &Path) -> Result<(), BackupError> {
    std::fs::rename(part, copy).map_err(|error| unwritable(copy, &error))?;
    let folder = copy.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // So that the name, too, survives a power cut.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| unwritable(copy, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> BackupError {
    BackupError::Unwritable { path: path.to_path_buf(), reason: error.to_string() }
}
