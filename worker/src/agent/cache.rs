//! Data sets from the store: fetched once per process, checked against their SHA-256, kept while a shard uses them.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use curvefleet_proto::artifact::dataset_key;
use curvefleet_proto::store::Store;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use tokio::sync::Mutex;

use crate::data::{Dataset, canonical};

/// The data sets in memory, by SHA-256. The last one fetched is kept even while no shard uses it, because the next shard will.
#[derive(Debug, Default)]
pub struct DataCache {
    inner: Mutex<Cached>,
}

#[derive(Debug, Default)]
struct Cached {
    known: HashMap<String, Weak<Dataset>>,
    last: Option<Arc<Dataset>>,
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
    #[error("the data set {sha256} in the store is damaged: {reason}; import it again")]
    Damaged {
        /// Which.
        sha256: String,
        /// What is wrong.
        reason: String,
    },
}

impl DataCache {
    /// The data set with this SHA-256. Callers that ask for one at the same time wait for one download.
    ///
    /// # Errors
    /// If the store does not give it, or gives something else.
    pub async fn get(&self, store: &Store, sha256: &str) -> Result<Arc<Dataset>, Error> {
        let mut cached = self.inner.lock().await;
        if let Some(dataset) = cached.known.get(sha256).and_then(Weak::upgrade) {
            return Ok(dataset);
        }
        let unreadable = |source| Error::Store { sha256: sha256.to_string(), source };
        let object = store.objects().get(&Path::from(dataset_key(sha256))).await.map_err(unreadable)?;
        let bytes = object.bytes().await.map_err(unreadable)?;
        let damaged = |reason: String| Error::Damaged { sha256: sha256.to_string(), reason };
        let expected = sha256.to_string();
        let decoded = tokio::task::spawn_blocking(move || canonical::decode_expecting(&bytes, &expected)).await;
        let dataset =
            decoded.map_err(|panic| damaged(panic.to_string()))?.map_err(|error| damaged(error.to_string()))?;
        let dataset = Arc::new(dataset);
        cached.known.retain(|_, known| known.strong_count() > 0);
        cached.known.insert(sha256.to_string(), Arc::downgrade(&dataset));
        cached.last = Some(dataset.clone());
        Ok(dataset)
    }
}
