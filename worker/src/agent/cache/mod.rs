//! Data sets from the store: fetched once per machine, checked against their SHA-256 whenever they are loaded, in memory while a shard
//! uses them.

mod disk;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use curvefleet_proto::artifact::dataset_key;
use curvefleet_proto::store::{PART_BYTES, Store};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use tokio::sync::Mutex;

use super::aside;
use super::link::RETRY_AFTER;
use crate::data::{DataError, Dataset, canonical};
use disk::{DiskCache, InUse};

/// Pause between two looks at whether another worker of this machine has fetched a data set.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How often a data set that is not what its name says is fetched before it is called damaged.
const TRIES: u32 = 3;

/// The data sets in memory, by SHA-256, and on disk. The last one loaded is kept even while no shard uses it, because the next shard will.
#[derive(Debug, Default)]
pub struct DataCache {
    inner: Mutex<Cached>,
    disk: Option<Arc<DiskCache>>,
}

#[derive(Debug, Default)]
struct Cached {
    known: HashMap<String, (Weak<Dataset>, Weak<Held>)>,
    last: Option<Loaded>,
}

/// A data set in memory.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The data set.
    pub dataset: Arc<Dataset>,
    /// Keeps its file on disk from being evicted; to be held for as long as the data set may be asked for again.
    pub held: Arc<Held>,
}

/// A data set's file on disk that is not evicted, if it has one.
#[derive(Debug)]
pub struct Held {
    _in_use: Option<InUse>,
}

/// Why a data set is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store does not give it; it may later.
    #[error("the data set {sha256} cannot be read from the store: {source}")]
    Store {
        /// Which.
        sha256: String,
        /// What the store says.
        source: object_store::Error,
    },
    /// What the store gives is not the data set.
    #[error("the data set {sha256} in the store is damaged, also when it is fetched again: {reason}; import it again")]
    Damaged {
        /// Which.
        sha256: String,
        /// What is wrong.
        reason: String,
    },
}

impl DataCache {
    /// A cache that also keeps at most `limit` bytes of data sets in `folder`, which other processes may share.
    pub fn on_disk(folder: PathBuf, limit: u64) -> DataCache {
        DataCache { inner: Mutex::default(), disk: Some(Arc::new(DiskCache::new(folder, limit))) }
    }

    /// The data set with this SHA-256. Callers that ask for one at the same time wait for one download. From a store that is a folder
    /// it is read each time that it is not in memory; there is nothing to gain from another copy.
    ///
    /// # Errors
    /// If the store does not give it, or gives something else.
    pub async fn get(&self, store: &Store, sha256: &str) -> Result<Loaded, Error> {
        let mut cached = self.inner.lock().await;
        if let Some((dataset, held)) = cached.known.get(sha256)
            && let (Some(dataset), Some(held)) = (dataset.upgrade(), held.upgrade())
        {
            return Ok(Loaded { dataset, held });
        }
        let (dataset, in_use) = match self.disk.as_ref().filter(|_| !store.is_folder()) {
            Some(disk) => by_way_of(disk, store, sha256).await?,
            None => (fetch(store, sha256).await?.0, None),
        };
        let loaded = Loaded { dataset: Arc::new(dataset), held: Arc::new(Held { _in_use: in_use }) };
        cached.known.retain(|_, (known, _)| known.strong_count() > 0);
        let weak = (Arc::downgrade(&loaded.dataset), Arc::downgrade(&loaded.held));
        cached.known.insert(sha256.to_string(), weak);
        cached.last = Some(loaded.clone());
        Ok(loaded)
    }
}

/// From the disk, or from the store and onto the disk.
async fn by_way_of(disk: &Arc<DiskCache>, store: &Store, sha256: &str) -> Result<(Dataset, Option<InUse>), Error> {
    if let Some((dataset, in_use)) = cached(disk, sha256).await {
        return Ok((dataset, Some(in_use)));
    }
    let turn = disk.turn(sha256).await;
    if turn.is_some()
        && let Some((dataset, in_use)) = cached(disk, sha256).await
    {
        return Ok((dataset, Some(in_use)));
    }
    let (dataset, bytes) = fetch(store, sha256).await?;
    if turn.is_none() {
        return Ok((dataset, None));
    }
    let (disk, name) = (disk.clone(), sha256.to_string());
    let in_use = aside(move || {
        let in_use = disk.keep(&name, &bytes);
        drop(turn);
        in_use
    });
    Ok((dataset, in_use.await.unwrap_or_default()))
}

/// The data set from the disk, if it is there and what its name says.
async fn cached(disk: &Arc<DiskCache>, sha256: &str) -> Option<(Dataset, InUse)> {
    let (reader, name) = (disk.clone(), sha256.to_string());
    let (bytes, in_use) = aside(move || reader.read(&name)).await.ok()??;
    match decode(sha256, bytes.into()).await {
        Ok(dataset) => Some((dataset, in_use)),
        Err(error) => {
            disk.forget(sha256, &error.to_string());
            None
        }
    }
}

async fn decode(sha256: &str, bytes: Bytes) -> Result<Dataset, DataError> {
    let expected = sha256.to_string();
    let decoded = aside(move || canonical::decode_expecting(&bytes, &expected));
    decoded.await.unwrap_or_else(|panic| Err(DataError::Canonical(format!("decoding it panicked: {panic}"))))
}

/// From the store, checked. What is damaged is fetched again before it is called so: the way may have done it.
async fn fetch(store: &Store, sha256: &str) -> Result<(Dataset, Bytes), Error> {
    let mut tries = 1;
    loop {
        let bytes = download(store, sha256).await?;
        match decode(sha256, bytes.clone()).await {
            Ok(dataset) => return Ok((dataset, bytes)),
            Err(error) if tries < TRIES => {
                let reason = error.to_string();
                if tries == 1 {
                    tracing::warn!(sha256, reason, "a data set came damaged from the store; it is fetched again");
                } else {
                    tracing::debug!(sha256, reason, tries, "a data set came damaged again");
                }
            }
            Err(error) => return Err(Error::Damaged { sha256: sha256.to_string(), reason: error.to_string() }),
        }
        tokio::time::sleep(RETRY_AFTER * tries).await;
        tries += 1;
    }
}

/// The object, a piece at a time: each has the store's patience for itself, so that a slow line carries a large one.
async fn download(store: &Store, sha256: &str) -> Result<Bytes, Error> {
    let unreadable = |source| Error::Store { sha256: sha256.to_string(), source };
    let (objects, key) = (store.objects(), Path::from(dataset_key(sha256)));
    let size = objects.head(&key).await.map_err(unreadable)?.size;
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < size {
        let at = bytes.len() as u64;
        let piece = objects.get_range(&key, at..size.min(at + PART_BYTES as u64)).await.map_err(unreadable)?;
        if piece.is_empty() {
            break;
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.into())
}
