//! Opening a ledger file, and every reason to refuse it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::SqliteLedger;
use super::{lock, migrate};
use crate::ledger::Settings;

/// How long a statement waits for another program that reads or backs up the file, before the batch fails.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Memory for pages of the file: enough for the indices of a million runs, whose pages are needed in no order.
const CACHE_KIB: i64 = 64 << 10;
/// Pages of 4 KiB in the write-ahead log before they are copied into the file, which waits for the disk twice: SQLite's own 1,000 are
/// a few transactions of a large fleet.
const CHECKPOINT_PAGES: i64 = 8_000;
/// Prepared statements kept; above the number of different queries in the operations.
const STATEMENTS_KEPT: usize = 128;

/// Why a ledger file cannot be opened. Each is for the user to act on.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another coordinator has it.
    #[error("the ledger {} is in use by another coordinator; stop that one first, or give this one a ledger of its own with --ledger", path.display())]
    Locked {
        /// The ledger file.
        path: PathBuf,
    },
    /// The folder or file cannot be written.
    #[error("the ledger {} cannot be opened for writing: {reason}; choose another place with --ledger", path.display())]
    Unwritable {
        /// The ledger file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// It is some other file.
    #[error("the file {} is not a curvefleet ledger; choose another place with --ledger", path.display())]
    NotALedger {
        /// The file.
        path: PathBuf,
    },
    /// It was written by a newer program.
    #[error("the ledger {} has schema {found}, and this program knows schemas up to {known}: use the newer curvefleet that wrote it", path.display())]
    Newer {
        /// The ledger file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
    /// It is at work under a coordinator of another version.
    #[error("the ledger {} is in use by a coordinator of an older version; stop that one first", path.display())]
    Older {
        /// The ledger file.
        path: PathBuf,
    },
    /// The database fails in some other way.
    #[error("the ledger {} cannot be used: {source}", path.display())]
    Database {
        /// The ledger file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
}

impl SqliteLedger {
    /// Opens the ledger in the file `path`, makes it where it is missing, and brings it up to this program's schema.
    ///
    /// # Errors
    /// If another coordinator has the file, it cannot be written, is no ledger, is damaged or newer than this program.
    pub fn open(path: &Path, settings: Settings) -> Result<SqliteLedger, OpenError> {
        make_folder(path)?;
        let lock = lock::acquire(path)?;
        let classify = |source| classify(path, source);
        let mut connection = Connection::open(path).map_err(classify)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(classify)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        migrate::check(path, &connection)?;
        // FULL makes every commit wait for the disk, so that what was answered survives a power cut.
        let pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;";
        connection.execute_batch(pragmas).map_err(classify)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB).map_err(classify)?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).map_err(classify)?;
        migrate::run(path, &mut connection)?;
        // No other coordinator is there: who was writing a manifest is gone.
        connection.execute("UPDATE studies SET manifest_until_ms = 0", []).map_err(classify)?;
        Ok(SqliteLedger { connection, settings, _lock: Some(lock) })
    }

    /// Opens the ledger in the file `path` beside the coordinator that is at work on it, for changes that leave alone what that one
    /// relies on: SQLite lets their transactions follow one another.
    ///
    /// # Errors
    /// If the file is no ledger of exactly this program's schema, or cannot be written.
    pub(crate) fn open_beside(path: &Path, settings: Settings) -> Result<SqliteLedger, OpenError> {
        let classify = |source| classify(path, source);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(classify)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(classify)?;
        migrate::check(path, &connection)?;
        if !migrate::is_current(path, &connection)? {
            return Err(OpenError::Older { path: path.to_path_buf() });
        }
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;").map_err(classify)?;
        Ok(SqliteLedger { connection, settings, _lock: None })
    }
}

fn make_folder(path: &Path) -> Result<(), OpenError> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    std::fs::create_dir_all(folder)
        .map_err(|error| OpenError::Unwritable { path: path.to_path_buf(), reason: error.to_string() })
}

/// The reason to refuse that an SQLite error means.
pub(super) fn classify(path: &Path, source: rusqlite::Error) -> OpenError {
    let path = path.to_path_buf();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotALedger { path },
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            OpenError::Unwritable { path, reason: source.to_string() }
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::Locked { path },
        _ => OpenError::Database { path, source },
    }
}
