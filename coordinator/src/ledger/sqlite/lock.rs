//! Keeps a second coordinator out of a ledger file: a lock on a file beside it, which the system drops with the process.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use super::open::OpenError;

/// Locks the ledger file `path` for as long as the returned file is open.
pub(super) fn acquire(path: &Path) -> Result<File, OpenError> {
    let unwritable =
        |error: std::io::Error| OpenError::Unwritable { path: path.to_path_buf(), reason: error.to_string() };
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(beside(path)).map_err(unwritable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: path.to_path_buf() }),
        Err(TryLockError::Error(error)) => Err(unwritable(error)),
    }
}

/// The lock of `ledger.sqlite` is `ledger.sqlite.lock`. It stays there: removing it would let two coordinators lock two
/// files of the same name.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(".lock");
    PathBuf::from(name)
}
