//! Curve parts on their way into the store. They are made here, wait in the spool for their turn, and are written again and again while
//! the store is away and the lease is ours.

use std::sync::Arc;
use std::time::Duration;

use curvefleet_proto::artifact::{PartProvenance, diverged_key, part_key, sha256_hex};
use curvefleet_proto::limits::{MAX_LOG_BYTES, MAX_NAME_BYTES, prefix};
use curvefleet_proto::plan::ShardSpec;
use curvefleet_proto::v1::{CommitRequest, CommittedRun, Origin};
use tokio::time::Instant;

use super::holdings::Holding;
use super::spool::{self, Waiting};
use super::{Shared, aside, machine};
use crate::train::curve::{FinishedRun, encode_part};

/// How long a part may wait for the store before its shard goes back to the coordinator. Its runs would have to be trained again, so
/// this is long; that a store is away is nothing that another worker could do better about, unless the trouble is this machine's.
pub const WAIT_AT_MOST: Duration = Duration::from_secs(3_600);

/// Why some finished runs were not committed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lease is lost; the runs are someone else's now.
    #[error("the lease is not ours any more")]
    Stale,
    /// The store was away for too long.
    #[error("the curve part {key} cannot be written to the store: {source}")]
    Store {
        /// The part.
        key: String,
        /// What the store or the local disk says.
        source: spool::Error,
    },
    /// The part cannot be made or the coordinator does not take it.
    #[error("the curve part cannot be committed: {0}")]
    Refused(String),
}

/// An object that waits for the store.
#[derive(Debug)]
pub struct Outgoing {
    /// Its key.
    pub key: String,
    waiting: Waiting,
    since: Instant,
}

/// A part with some finished runs of a shard, the `n`-th under this lease, and its commit. Waits until there is room for it.
///
/// # Errors
/// If the part cannot be made.
pub async fn part(
    shared: &Arc<Shared>,
    holding: &Holding,
    spec: &Arc<ShardSpec>,
    runs: Vec<FinishedRun>,
    n: u32,
) -> Result<(Outgoing, CommitRequest), Error> {
    let held = holding.held();
    let committed = runs.iter().map(committed).collect();
    let (bytes, origin) = encode(shared, spec, held.fence, runs).await?;
    let key = part_key(&spec.study, spec.shard.as_str(), held.fence, n);
    let commit = CommitRequest {
        worker: shared.name.clone(),
        shard: held.shard,
        fence: held.fence,
        part: key.clone(),
        size_bytes: bytes.len() as u64,
        sha256: sha256_hex(&bytes),
        runs: committed,
        origin: Some(origin),
    };
    Ok((Outgoing::keep(shared, key, bytes).await, commit))
}

/// The curve of a run up to where it diverged.
///
/// # Errors
/// If it cannot be made.
pub async fn diverged(
    shared: &Arc<Shared>,
    holding: &Holding,
    spec: &Arc<ShardSpec>,
    run: FinishedRun,
) -> Result<Outgoing, Error> {
    let fence = holding.held().fence;
    let key = diverged_key(&spec.study, run.run, fence);
    let (bytes, _) = encode(shared, spec, fence, vec![run]).await?;
    Ok(Outgoing::keep(shared, key, bytes).await)
}

impl Outgoing {
    async fn keep(shared: &Shared, key: String, bytes: Vec<u8>) -> Outgoing {
        let waiting = shared.local.spool.keep(bytes).await;
        Outgoing { key, waiting, since: Instant::now() }
    }

    /// Writes it to the store when it is its turn, again and again while the store is away and the lease is ours.
    ///
    /// # Errors
    /// If the lease is lost, or the store was away for too long.
    pub async fn write(&self, shared: &Shared, holding: &Holding) -> Result<(), Error> {
        let mut trouble = shared.link.trouble();
        loop {
            // Never closed; an error would let it through at once. It is kept through the pause, so that a store that is away is left in
            // peace, and given up after it, so that what one part meets does not hold up the others.
            let _turn = shared.local.uploads.acquire().await;
            if holding.is_lost() {
                return Err(Error::Stale);
            }
            let source = match self.waiting.write(&shared.store, &self.key).await {
                Ok(()) => {
                    shared.local.outage.worked();
                    return Ok(());
                }
                Err(spool::Error::Store(error)) => {
                    shared.local.outage.failed("writing a curve part", &error);
                    spool::Error::Store(error)
                }
                Err(error) => return Err(Error::Store { key: self.key.clone(), source: error }),
            };
            let pause = trouble.pause();
            if self.since.elapsed() + pause > WAIT_AT_MOST {
                return Err(Error::Store { key: self.key.clone(), source });
            }
            tokio::time::sleep(pause).await;
        }
    }
}

async fn encode(
    shared: &Arc<Shared>,
    spec: &Arc<ShardSpec>,
    fence: u64,
    runs: Vec<FinishedRun>,
) -> Result<(Vec<u8>, Origin), Error> {
    let (shared, spec) = (shared.clone(), spec.clone());
    let encoded = aside(move || {
        let provenance = PartProvenance {
            study: spec.study.clone(),
            study_sha256: spec.study_sha256.clone(),
            shard: spec.shard.to_string(),
            fence,
            worker: shared.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            git_commit: shared.git_commit.clone(),
            backend: shared.backend.clone(),
            device: machine::device_name(shared.device, &shared.backend),
            cpu_features: machine::cpu_features(),
            data_sha256: spec.settings.data_sha256.clone(),
            runs: runs.iter().map(|run| run.provenance.clone()).collect(),
        };
        let bytes = encode_part(&spec, &runs, &provenance).map_err(|error| Error::Refused(error.to_string()))?;
        Ok((bytes, origin(provenance)))
    });
    encoded.await.unwrap_or_else(|panic| Err(Error::Refused(panic.to_string())))
}

/// What the manifest is to say of the part's runs; who trained them under which lease stands in the commit itself.
fn origin(provenance: PartProvenance) -> Origin {
    let PartProvenance { study_sha256, data_sha256, version, git_commit, backend, device, cpu_features, .. } =
        provenance;
    Origin {
        study_sha256,
        data_sha256,
        version,
        git_commit,
        backend,
        device: prefix(&device, MAX_NAME_BYTES).to_string(),
        cpu_features,
    }
}

fn committed(run: &FinishedRun) -> CommittedRun {
    CommittedRun {
        run: run.run.to_string(),
        log: prefix(&run.log, MAX_LOG_BYTES).to_string(),
        started_ms: run.provenance.started_ms,
        ended_ms: run.provenance.ended_ms,
        resumed_after_epoch: run.provenance.resumed_after_epoch,
    }
}
