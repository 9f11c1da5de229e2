//! Curve parts into the store, and their commits. Upload first, then commit: a part that no commit names is garbage, a commit that
//! names no part would be a loss.

use std::time::Duration;

use curvefleet_proto::artifact::{PartProvenance, diverged_key, part_key, sha256_hex};
use curvefleet_proto::limits::{MAX_LOG_BYTES, MAX_NAME_BYTES, prefix};
use curvefleet_proto::plan::ShardSpec;
use curvefleet_proto::v1::{CommitRequest, CommittedRun, Origin};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use tokio::time::Instant;

use super::Shared;
use super::holdings::Holding;
use super::link::{self, Verdict};
use super::machine;
use crate::train::curve::{FinishedRun, encode_part};

/// How long a store may be away before the shard goes back to the coordinator.
const STORE_AWAY_AT_MOST: Duration = Duration::from_secs(300);

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
        /// What the store says.
        source: object_store::Error,
    },
    /// The part cannot be made or the coordinator does not take it.
    #[error("the curve part cannot be committed: {0}")]
    Refused(String),
}

/// Uploads some finished runs of a shard as the `n`-th part under this lease and commits them.
///
/// # Errors
/// If the lease is lost, the store is away for too long, or the coordinator refuses the commit.
pub async fn commit(
    shared: &Shared,
    holding: &Holding,
    spec: &ShardSpec,
    runs: &[FinishedRun],
    n: u32,
) -> Result<(), Error> {
    let held = holding.held();
    let provenance = provenance(shared, spec, held.fence, runs);
    let bytes = encode(spec, runs, &provenance)?;
    let key = part_key(&spec.study, spec.shard.as_str(), held.fence, n);
    let request = CommitRequest {
        worker: shared.name.clone(),
        shard: held.shard,
        fence: held.fence,
        part: key.clone(),
        size_bytes: bytes.len() as u64,
        sha256: sha256_hex(&bytes),
        runs: runs.iter().map(committed).collect(),
        origin: Some(origin(provenance)),
    };
    put(shared, holding, &key, PutPayload::from(bytes)).await?;
    match shared.link.commit(&request).await {
        Ok(Verdict::Accepted) => Ok(()),
        Ok(Verdict::Stale) => Err(Error::Stale),
        Err(status) => Err(Error::Refused(status.message().to_string())),
    }
}

/// Keeps the curve of a run up to where it diverged; gives its key.
///
/// # Errors
/// If the lease is lost or the store is away for too long.
pub async fn keep_diverged(
    shared: &Shared,
    holding: &Holding,
    spec: &ShardSpec,
    run: FinishedRun,
) -> Result<String, Error> {
    let fence = holding.held().fence;
    let key = diverged_key(&spec.study, run.run, fence);
    let runs = [run];
    let bytes = encode(spec, &runs, &provenance(shared, spec, fence, &runs))?;
    put(shared, holding, &key, PutPayload::from(bytes)).await?;
    Ok(key)
}

fn encode(spec: &ShardSpec, runs: &[FinishedRun], provenance: &PartProvenance) -> Result<Vec<u8>, Error> {
    encode_part(spec, runs, provenance).map_err(|error| Error::Refused(error.to_string()))
}

fn provenance(shared: &Shared, spec: &ShardSpec, fence: u64, runs: &[FinishedRun]) -> PartProvenance {
    PartProvenance {
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
    }
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

/// Writes an object, again and again while the store is away and the lease is ours.
async fn put(shared: &Shared, holding: &Holding, key: &str, payload: PutPayload) -> Result<(), Error> {
    let began = Instant::now();
    let mut pause = link::RETRY_AFTER;
    loop {
        let Err(source) = shared.store.objects().put(&Path::from(key), payload.clone()).await else { return Ok(()) };
        if holding.is_lost() {
            return Err(Error::Stale);
        }
        if began.elapsed() + pause > STORE_AWAY_AT_MOST {
            return Err(Error::Store { key: key.to_string(), source });
        }
        tracing::warn!(worker = shared.name, key, error = %source, "the store does not take a curve part, trying again");
        tokio::time::sleep(pause).await;
        pause *= 2;
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
