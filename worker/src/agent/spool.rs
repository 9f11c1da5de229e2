//! Parts that wait for the store: in memory as far as it is set aside for them, then on the local disk, up to a limit. Beyond that
//! whoever has one more waits, and the worker leases no more.
//!
//! Files have no name: they are gone with the process, however it ends, and with the lease for which they were kept.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use curvefleet_proto::store::{PART_BYTES, Store};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::aside;

/// A spool that is full again and again says so once in this time.
const QUIET: Duration = Duration::from_secs(300);

/// Where parts wait, and how many bytes of them may.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    memory_limit: u64,
    disk_limit: u64,
    used: Mutex<Used>,
    /// Told whenever a part has gone.
    gone: Notify,
}

#[derive(Debug, Default)]
struct Used {
    memory: u64,
    disk: u64,
    /// What was used when there was no room left; until half of it is free again, no more is leased.
    full_at: Option<u64>,
    /// When it was said that there is no room.
    said_at: Option<Instant>,
    /// Whether it remains to be said that there is room again.
    is_news: bool,
}

/// A part that waits; its room is free again when it is dropped.
#[derive(Debug)]
pub struct Waiting {
    content: Content,
    bytes: u64,
    spool: Arc<Spool>,
}

#[derive(Debug)]
enum Content {
    Memory(Bytes),
    Disk(Arc<File>),
}

/// Why a part cannot be written to the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store does not take it.
    #[error(transparent)]
    Store(#[from] object_store::Error),
    /// It cannot be read back from the local disk.
    #[error("a curve part that waited on this machine's disk cannot be read: {0}")]
    Disk(#[from] std::io::Error),
}

impl Spool {
    /// A spool with so many bytes of memory, and of disk in `folder`, which is made when it is needed.
    pub fn new(folder: PathBuf, memory_limit: u64, disk_limit: u64) -> Arc<Spool> {
        Arc::new(Spool { folder, memory_limit, disk_limit, used: Mutex::default(), gone: Notify::new() })
    }

    /// Whether there was room for the last part, or has been made since.
    pub fn has_room(&self) -> bool {
        self.lock().full_at.is_none()
    }

    /// Keeps a part; waits until there is room for it.
    pub async fn keep(self: &Arc<Spool>, bytes: Vec<u8>) -> Waiting {
        let bytes = Bytes::from(bytes);
        loop {
            // Before the look, so that nothing that goes after it is missed.
            let gone = self.gone.notified();
            if let Some(waiting) = self.in_memory(&bytes) {
                return waiting;
            }
            match self.on_disk(&bytes).await {
                Ok(waiting) => return waiting,
                Err(reason) => self.note_full(&reason),
            }
            gone.await;
        }
    }

    /// Keeps it in memory, if there is room or nothing else is kept: a part of any size gets through.
    fn in_memory(self: &Arc<Spool>, bytes: &Bytes) -> Option<Waiting> {
        let mut used = self.lock();
        let size = bytes.len() as u64;
        if used.memory + size > self.memory_limit && used.memory + used.disk > 0 {
            return None;
        }
        used.memory += size;
        Some(Waiting { content: Content::Memory(bytes.clone()), bytes: size, spool: self.clone() })
    }

    async fn on_disk(self: &Arc<Spool>, bytes: &Bytes) -> Result<Waiting, String> {
        let size = bytes.len() as u64;
        {
            let mut used = self.lock();
            if used.disk + size > self.disk_limit {
                return Err(format!("the {} that --spool-mib allows are used", mib(self.disk_limit)));
            }
            used.disk += size;
        }
        let (folder, content) = (self.folder.clone(), bytes.clone());
        let written = aside(move || {
            std::fs::create_dir_all(&folder)?;
            let file = tempfile::tempfile_in(&folder)?;
            file.write_all_at(&content, 0)?;
            Ok::<_, std::io::Error>(file)
        });
        let written = written.await.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
        match written {
            Ok(file) => Ok(Waiting { content: Content::Disk(Arc::new(file)), bytes: size, spool: self.clone() }),
            Err(error) => {
                self.lock().disk -= size;
                Err(format!("{} cannot take it: {error}", self.folder.display()))
            }
        }
    }

    fn note_full(&self, reason: &str) {
        let mut used = self.lock();
        if used.full_at.is_some() {
            return;
        }
        used.full_at = Some(used.memory + used.disk);
        if used.said_at.is_none_or(|said_at| said_at.elapsed() >= QUIET) {
            (used.said_at, used.is_news) = (Some(Instant::now()), true);
            tracing::warn!(
                reason,
                "no room on this machine for more curve parts that wait for the store: training waits, and no more shards are leased"
            );
        }
    }

    fn free(&self, waiting: &Waiting) {
        let mut used = self.lock();
        match waiting.content {
            Content::Memory(_) => used.memory -= waiting.bytes,
            Content::Disk(_) => used.disk -= waiting.bytes,
        }
        if used.full_at.is_some_and(|full| used.memory + used.disk <= full / 2) {
            used.full_at = None;
            if std::mem::take(&mut used.is_news) {
                tracing::info!("there is room again for curve parts that wait for the store");
            }
        }
        drop(used);
        self.gone.notify_waiters();
    }

    /// A panic elsewhere leaves these plain values whole.
    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Writes it to the store as `key`, in pieces that bound the memory for it.
    ///
    /// # Errors
    /// If the store does not take it, or the disk does not give it back.
    pub async fn write(&self, store: &Store, key: &str) -> Result<(), Error> {
        let file = match &self.content {
            Content::Memory(bytes) => return Ok(store.put(key, bytes.clone()).await?),
            Content::Disk(file) => file,
        };
        let mut writer = store.writer(key);
        let mut at = 0;
        while at < self.bytes {
            let size = (self.bytes - at).min(PART_BYTES as u64) as usize;
            let file = file.clone();
            let piece = aside(move || {
                let mut piece = vec![0; size];
                file.read_exact_at(&mut piece, at).map(|()| piece)
            });
            let piece = piece.await.unwrap_or_else(|panic| Err(std::io::Error::other(panic)))?;
            writer.put(piece.into()).await?;
            at += size as u64;
        }
        Ok(writer.finish().await?)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.spool.clone().free(self);
    }
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use futures::FutureExt;
    use object_store::ObjectStoreExt;
    use object_store::path::Path;

    use super::*;

    fn content(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|index| (index * 31 % 251) as u8).collect()
    }

    fn is_on_disk(waiting: &Waiting) -> bool {
        matches!(waiting.content, Content::Disk(_))
    }

    #[tokio::test]
    async fn what_does_not_fit_into_memory_waits_on_disk_and_comes_back_whole() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store").to_str().unwrap(), []).unwrap();
        let spool = Spool::new(folder.path().join("spool"), 1_000, 64 << 20);
        let sizes = [800, 800, 2 * PART_BYTES + 17, 100];
        let mut waiting = Vec::new();
        for size in sizes {
            waiting.push(spool.keep(content(size)).await);
        }
        assert_eq!(waiting.iter().map(is_on_disk).collect::<Vec<_>>(), [false, true, true, false]);
        for (part, size) in waiting.iter().zip(sizes) {
            part.write(&store, "part").await.unwrap();
            let found = store.objects().get(&Path::from("part")).await.unwrap().bytes().await.unwrap();
            assert!(found == content(size), "{size} bytes");
        }
        let files = std::fs::read_dir(folder.path().join("spool")).unwrap().count();
        assert_eq!(files, 0, "files without a name are gone with the process");
        drop(waiting);
        let used = spool.lock();
        assert_eq!((used.memory, used.disk), (0, 0));
    }

    #[tokio::test]
    async fn without_room_one_waits_until_enough_has_gone_and_no_more_is_leased_until_half_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path().to_path_buf(), 100, 200);
        let kept = [spool.keep(content(100)).await, spool.keep(content(100)).await, spool.keep(content(100)).await];
        assert!(spool.has_room());
        let another = spool.keep(content(100));
        tokio::pin!(another);
        assert!((&mut another).now_or_never().is_none());
        assert!(!spool.has_room());
        let [first, second, third] = kept;
        drop(first);
        let another = another.await;
        assert!(!spool.has_room(), "as much waits as before");
        drop((second, third));
        assert!(spool.has_room());
        drop(another);
    }

    #[tokio::test]
    async fn a_disk_that_cannot_be_written_is_as_good_as_full_and_one_part_still_gets_through() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "no folder").unwrap();
        let spool = Spool::new(folder.path().join("file"), 10, 1 << 20);
        let first = spool.keep(content(100)).await;
        let second = tokio::spawn({
            let spool = spool.clone();
            async move { spool.keep(content(100)).await }
        });
        while spool.has_room() {
            tokio::task::yield_now().await;
        }
        drop(first);
        assert!(!is_on_disk(&second.await.unwrap()));
    }
}
