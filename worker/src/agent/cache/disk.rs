//! Data sets on this machine's disk, shared by all its workers: a file each, named by its SHA-256.
//!
//! ```text
//! <folder>/<sha256>.parquet   a data set; whoever uses it holds a shared lock on it, and what is locked is not evicted
//! <folder>/<sha256>.lock      whoever fetches it from the store holds it; others wait and find it there
//! <folder>/<sha256>.partial   a data set that is being written, renamed when it is whole
//! ```
//! Whatever is wrong with the folder, the workers do without it: what cannot be kept is fetched again.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use crate::agent::machine;

/// The folder, with a limit.
#[derive(Debug)]
pub struct DiskCache {
    folder: PathBuf,
    limit: u64,
    /// Whether it was said that the folder is of no use.
    said: AtomicBool,
}

/// Keeps a data set from being evicted for as long as it lives.
#[derive(Debug)]
pub struct InUse {
    _file: File,
}

/// The right to fetch a data set, one holder per machine at a time.
#[derive(Debug)]
pub struct Turn {
    path: PathBuf,
    _file: File,
}

/// A file of the cache, for eviction.
struct Kept {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

impl DiskCache {
    /// A cache of at most `limit` bytes in `folder`, which is made when it is needed.
    pub fn new(folder: PathBuf, limit: u64) -> DiskCache {
        DiskCache { folder, limit, said: AtomicBool::new(false) }
    }

    /// The bytes of a data set that is there, not yet checked.
    pub fn read(&self, sha256: &str) -> Option<(Vec<u8>, InUse)> {
        let path = self.data(sha256);
        let read = || -> std::io::Result<(Vec<u8>, InUse)> {
            let mut file = File::open(&path)?;
            // Its lock is taken by who is about to evict it: as good as gone.
            file.try_lock_shared()?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            // For eviction, which takes what was used longest ago; a file system that keeps no times makes it a guess.
            let _ = file.set_modified(machine::now());
            Ok((bytes, InUse { _file: file }))
        };
        match read() {
            Ok(found) => Some(found),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::WouldBlock) => None,
            Err(error) => {
                self.say(&error);
                None
            }
        }
    }

    /// Forgets a data set whose file is not what its name says.
    pub fn forget(&self, sha256: &str, reason: &str) {
        let path = self.data(sha256);
        tracing::warn!(file = %path.display(), reason, "a data set in the cache is damaged; it is fetched again");
        // Another worker may have been faster.
        let _ = std::fs::remove_file(path);
    }

    /// Waits while another worker of this machine fetches the data set.
    pub async fn turn(&self, sha256: &str) -> Option<Turn> {
        let path = self.folder.join(format!("{sha256}.lock"));
        let open = || -> std::io::Result<File> {
            std::fs::create_dir_all(&self.folder)?;
            OpenOptions::new().create(true).truncate(false).write(true).open(&path)
        };
        let file = match open() {
            Ok(file) => file,
            Err(error) => {
                self.say(&error);
                return None;
            }
        };
        loop {
            match file.try_lock() {
                Ok(()) => return Some(Turn { path, _file: file }),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(super::LOOK_AGAIN).await,
                Err(TryLockError::Error(error)) => {
                    self.say(&error);
                    return None;
                }
            }
        }
    }

    /// Keeps a data set, if there is room for it.
    pub fn keep(&self, sha256: &str, bytes: &[u8]) -> Option<InUse> {
        if bytes.len() as u64 > self.limit {
            tracing::debug!(sha256, bytes = bytes.len(), "a data set is larger than the cache");
            return None;
        }
        let kept = self.make_room(bytes.len() as u64).and_then(|()| self.write(sha256, bytes));
        match kept {
            Ok(in_use) => Some(in_use),
            Err(error) => {
                self.say(&error);
                None
            }
        }
    }

    fn write(&self, sha256: &str, bytes: &[u8]) -> std::io::Result<InUse> {
        std::fs::create_dir_all(&self.folder)?;
        let partial = self.folder.join(format!("{sha256}.partial"));
        let write = || -> std::io::Result<InUse> {
            // Also for reading, without which a network file system gives no shared lock.
            let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&partial)?;
            file.write_all(bytes)?;
            file.try_lock_shared()?;
            std::fs::rename(&partial, self.data(sha256))?;
            Ok(InUse { _file: file })
        };
        write().inspect_err(|_| {
            // What is left of it takes room that others may need.
            let _ = std::fs::remove_file(&partial);
        })
    }

    /// Evicts what was used longest ago and is not in use, until there is room for so many bytes.
    fn make_room(&self, bytes: u64) -> std::io::Result<()> {
        let mut kept = self.kept()?;
        let mut used: u64 = kept.iter().map(|file| file.bytes).sum();
        kept.sort_by_key(|file| file.used);
        for file in kept {
            if used + bytes <= self.limit {
                return Ok(());
            }
            if evict(&file.path) {
                tracing::debug!(file = %file.path.display(), "evicted from the cache of data sets");
                used -= file.bytes;
            }
        }
        if used + bytes <= self.limit {
            return Ok(());
        }
        Err(Error::other(format!("the data sets in use fill the {} MiB that --cache-mib allows", self.limit >> 20)))
    }

    fn kept(&self) -> std::io::Result<Vec<Kept>> {
        std::fs::create_dir_all(&self.folder)?;
        let mut kept = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let is = |extension: &str| path.extension().is_some_and(|found| found == extension);
            if is("partial") {
                remove_abandoned(&path);
            } else if is("parquet")
                && let Ok(about) = std::fs::metadata(&path)
            {
                kept.push(Kept { bytes: about.len(), used: about.modified()?, path });
            }
        }
        Ok(kept)
    }

    fn data(&self, sha256: &str) -> PathBuf {
        self.folder.join(format!("{sha256}.parquet"))
    }

    fn say(&self, error: &Error) {
        if !self.said.swap(true, Ordering::Relaxed) {
            let folder = self.folder.display();
            tracing::warn!(%folder, %error, "data sets are not cached on this machine's disk; they are fetched from the store each time");
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Who waits for it holds the same file open, sees that it was fetched, and needs no name for it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Removes a file unless someone uses it.
fn evict(path: &Path) -> bool {
    // For writing, without which a network file system gives no lock to one alone.
    let Ok(file) = OpenOptions::new().read(true).write(true).open(path) else { return false };
    file.try_lock().is_ok() && std::fs::remove_file(path).is_ok()
}

/// Removes a file that was being written, unless its writer is still at it.
fn remove_abandoned(partial: &Path) {
    let lock = File::open(partial.with_extension("lock"));
    if lock.is_err() || lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
        let _ = std::fs::remove_file(partial);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_used_longest_ago_goes_first_and_what_is_in_use_stays() {
        let folder = tempfile::tempdir().unwrap();
        let cache = DiskCache::new(folder.path().join("cache"), 250);
        let old = cache.keep("old", &[1; 100]).unwrap();
        drop(cache.keep("middle", &[2; 100]).unwrap());
        let aged = |name: &str, seconds| {
            let file = File::options().write(true).open(cache.data(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds)).unwrap();
        };
        aged("old", 1);
        aged("middle", 2);
        drop(cache.keep("new", &[3; 100]).unwrap());
        assert_eq!(names(&cache.folder), ["new.parquet", "old.parquet"]);
        drop(old);
        drop(cache.keep("newer", &[4; 200]).unwrap());
        assert_eq!(names(&cache.folder), ["newer.parquet"]);
        assert_eq!(cache.read("newer").unwrap().0, [4; 200]);
        assert!(cache.read("old").is_none());
    }

    #[test]
    fn what_is_larger_than_the_limit_or_finds_no_room_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let cache = DiskCache::new(folder.path().to_path_buf(), 250);
        assert!(cache.keep("large", &[0; 251]).is_none());
        let in_use = cache.keep("used", &[0; 200]).unwrap();
        assert!(cache.keep("more", &[0; 100]).is_none());
        assert_eq!(names(folder.path()), ["used.parquet"]);
        drop(in_use);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_done_without() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        let cache = DiskCache::new(folder.path().join("file/cache"), 250);
        assert!(cache.keep("data", &[0; 100]).is_none());
        assert!(cache.read("data").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_has_the_turn_and_leaves_no_lock_behind() {
        let folder = tempfile::tempdir().unwrap();
        let cache = DiskCache::new(folder.path().to_path_buf(), 250);
        let first = cache.turn("data").await.unwrap();
        let second = cache.turn("data");
        tokio::pin!(second);
        let early = tokio::time::timeout(super::super::LOOK_AGAIN * 10, &mut second).await;
        assert!(early.is_err());
        drop(first);
        drop(second.await.unwrap());
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn what_a_killed_worker_was_writing_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = DiskCache::new(folder.path().to_path_buf(), 250);
        std::fs::write(folder.path().join("data.partial"), [0; 100]).unwrap();
        drop(cache.keep("other", &[0; 250]).unwrap());
        assert_eq!(names(folder.path()), ["other.parquet"]);
    }
}
