//! Checkpoints of unfinished runs in the store: found when a shard is leased, written now and then, removed with the commit.
//!
//! Losing one costs time and nothing else, so nothing here holds up training or fails a run: what cannot be written or read is
//! logged and done without.
//!
//! The newest object is the pointer: an object is there whole or not at all, its key says of which epoch it is, and the ones before are
//! deleted only when it is there. Whoever goes on takes the one with the highest epoch that it can use.

use std::time::Duration;

use curvefleet_proto::artifact::{checkpoint_folder, checkpoint_key};
use curvefleet_proto::limits::MAX_CHECKPOINT_BYTES;
use curvefleet_proto::plan::RunId;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Shared;
use crate::train::{Checkpoint, Pack};

/// How long a store that is away is asked for a checkpoint before the run begins anew: training is not to wait for long, and what a
/// checkpoint saves may be hours of it.
const ASK_AT_MOST: Duration = Duration::from_secs(60);

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

/// The newest checkpoint that this pack can go on from here. Those that it cannot are named with the reason. While the store is away
/// it is asked again, for [`ASK_AT_MOST`].
pub async fn newest(shared: &Shared, run: RunId, pack: &Pack<'_>) -> Option<Checkpoint> {
    let began = Instant::now();
    let mut trouble = shared.link.trouble();
    loop {
        if let Ok(found) = look(shared, run, pack).await {
            return found;
        }
        let pause = trouble.pause();
        if began.elapsed() + pause > ASK_AT_MOST {
            tracing::warn!(worker = shared.name, %run, "the store does not say whether there is a checkpoint; the run begins anew");
            return None;
        }
        tokio::time::sleep(pause).await;
    }
}

async fn look(shared: &Shared, run: RunId, pack: &Pack<'_>) -> Result<Option<Checkpoint>, Away> {
    let mut known = list(shared, run).await?;
    known.sort_unstable_by_key(|known| std::cmp::Reverse(known.epoch));
    for Known { epoch, key, bytes } in known {
        if bytes > MAX_CHECKPOINT_BYTES as u64 {
            let limit = MAX_CHECKPOINT_BYTES >> 20;
            tracing::warn!(worker = shared.name, run = %run, epoch, bytes, "a checkpoint of more than {limit} MiB is not used");
            continue;
        }
        let bytes = match shared.store.objects().get(&key).await {
            Ok(object) => object.bytes().await,
            Err(error) => Err(error),
        };
        let checkpoint = match bytes {
            Ok(bytes) => Checkpoint::decode(bytes.to_vec()).and_then(|found| found.check(pack).map(|()| found)),
            // Whoever had the run before was about to write the next one.
            Err(object_store::Error::NotFound { .. }) => continue,
            Err(error) => {
                shared.local.outage.failed("reading a checkpoint", &error);
                return Err(Away);
            }
        };
        match checkpoint {
            Ok(checkpoint) => return Ok(Some(checkpoint)),
            Err(error) => {
                tracing::warn!(worker = shared.name, run = %run, epoch, error = %error, "a checkpoint is not used")
            }
        }
    }
    Ok(None)
}

/// Removes all checkpoints of the pack whose first run is `run`.
pub async fn remove(shared: &Shared, run: RunId) {
    for known in list(shared, run).await.unwrap_or_default() {
        delete(shared, &known.key).await;
    }
}

/// Writes the new one, then removes the older ones.
async fn write(shared: &Shared, run: RunId, epoch: u32, bytes: Vec<u8>) {
    if let Err(error) = shared.store.put(&checkpoint_key(run, epoch), bytes).await {
        tracing::debug!(worker = shared.name, run = %run, epoch, "a checkpoint is lost");
        shared.local.outage.failed("writing a checkpoint", &error);
        return;
    }
    shared.local.outage.worked();
    for older in list(shared, run).await.unwrap_or_default().into_iter().filter(|known| known.epoch < epoch) {
        delete(shared, &older.key).await;
    }
}

/// A checkpoint in the store.
struct Known {
    epoch: u32,
    key: Path,
    bytes: u64,
}

/// The store did not answer; note was taken of it.
#[derive(Debug)]
struct Away;

/// The checkpoints there are.
async fn list(shared: &Shared, run: RunId) -> Result<Vec<Known>, Away> {
    let folder = Path::from(checkpoint_folder(run));
    let objects: Result<Vec<_>, _> = shared.store.objects().list(Some(&folder)).try_collect().await;
    let objects = objects.map_err(|error| {
        shared.local.outage.failed("listing checkpoints", &error);
        Away
    })?;
    let epoch = |path: &Path| path.filename()?.strip_prefix("epoch-")?.strip_suffix(".bpk")?.parse().ok();
    let known = objects.into_iter().map(|object| {
        let epoch = epoch(&object.location)?;
        Some(Known { epoch, key: object.location, bytes: object.size })
    });
    Ok(known.flatten().collect())
}

async fn delete(shared: &Shared, key: &Path) {
    match shared.store.objects().delete(key).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
        Err(error) => shared.local.outage.failed("removing a checkpoint", &error),
    }
}
