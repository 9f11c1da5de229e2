//! Checkpoints of unfinished runs in the store: found when a shard is leased, written now and then, removed with the commit.
//!
//! Losing one costs time and nothing else, so nothing here holds up training or fails a run: what cannot be written or read is
//! logged and done without.

use curvefleet_proto::artifact::{checkpoint_folder, checkpoint_key};
use curvefleet_proto::plan::RunId;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Shared;
use crate::train::{Checkpoint, Pack};

/// Writes the checkpoints of one pack while it trains.
pub struct Writer {
    sender: mpsc::Sender<(u32, Vec<u8>)>,
    task: JoinHandle<()>,
}

/// Where a training thread leaves checkpoints. A clone of it must be dropped before [`Writer::finish`] ends.
pub type Outbox = mpsc::Sender<(u32, Vec<u8>)>;

impl Writer {
    /// A writer for the pack whose first run is `run`.
    pub fn start(shared: std::sync::Arc<Shared>, run: RunId) -> Writer {
        // One waits while one is written; a third would be newer than the second before either is of use.
        let (sender, mut receiver) = mpsc::channel::<(u32, Vec<u8>)>(1);
        let task = tokio::spawn(async move {
            while let Some((epoch, bytes)) = receiver.recv().await {
                write(&shared, run, epoch, bytes).await;
            }
        });
        Writer { sender, task }
    }

    /// Where the training thread leaves checkpoints.
    pub fn outbox(&self) -> Outbox {
        self.sender.clone()
    }

    /// Waits until all that was left has been written.
    pub async fn finish(self) {
        drop(self.sender);
        if let Err(panic) = self.task.await {
            tracing::warn!(error = %panic, "the writer of checkpoints ended");
        }
    }
}

/// The newest checkpoint that this pack can go on from here. Those that it cannot are named with the reason.
pub async fn newest(shared: &Shared, run: RunId, pack: &Pack<'_>) -> Option<Checkpoint> {
    let mut known = list(shared, run).await;
    known.sort_unstable_by_key(|(epoch, _)| std::cmp::Reverse(*epoch));
    for (epoch, key) in known {
        let bytes = match shared.store.objects().get(&key).await {
            Ok(object) => object.bytes().await,
            Err(error) => Err(error),
        };
        let checkpoint = match bytes {
            Ok(bytes) => Checkpoint::decode(bytes.to_vec()).and_then(|found| found.check(pack).map(|()| found)),
            Err(error) => {
                tracing::warn!(worker = shared.name, run = %run, epoch, error = %error, "a checkpoint cannot be read");
                continue;
            }
        };
        match checkpoint {
            Ok(checkpoint) => return Some(checkpoint),
            Err(error) => {
                tracing::warn!(worker = shared.name, run = %run, epoch, error = %error, "a checkpoint is not used")
            }
        }
    }
    None
}

/// Removes all checkpoints of the pack whose first run is `run`.
pub async fn remove(shared: &Shared, run: RunId) {
    for (_, key) in list(shared, run).await {
        delete(shared, run, &key).await;
    }
}

/// Writes the new one, then removes the older ones.
async fn write(shared: &Shared, run: RunId, epoch: u32, bytes: Vec<u8>) {
    let key = Path::from(checkpoint_key(run, epoch));
    if let Err(error) = shared.store.objects().put(&key, PutPayload::from(bytes)).await {
        tracing::warn!(worker = shared.name, run = %run, epoch, error = %error, "a checkpoint cannot be written");
        return;
    }
    for (_, older) in list(shared, run).await.into_iter().filter(|(known, _)| *known < epoch) {
        delete(shared, run, &older).await;
    }
}

/// Epochs and keys of the checkpoints there are.
async fn list(shared: &Shared, run: RunId) -> Vec<(u32, Path)> {
    let folder = Path::from(checkpoint_folder(run));
    let objects: Result<Vec<_>, _> = shared.store.objects().list(Some(&folder)).try_collect().await;
    let objects = objects.unwrap_or_else(|error| {
        tracing::warn!(worker = shared.name, run = %run, error = %error, "checkpoints cannot be listed");
        Vec::new()
    });
    let epoch = |path: &Path| path.filename()?.strip_prefix("epoch-")?.strip_suffix(".bpk")?.parse().ok();
    objects.into_iter().filter_map(|object| Some((epoch(&object.location)?, object.location))).collect()
}

async fn delete(shared: &Shared, run: RunId, key: &Path) {
    match shared.store.objects().delete(key).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
        Err(error) => {
            tracing::warn!(worker = shared.name, run = %run, error = %error, "a checkpoint cannot be removed")
        }
    }
}
