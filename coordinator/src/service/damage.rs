//! Taking back runs whose parts are lost. Someone says which parts; the coordinator believes what it reads itself.

use curvefleet_proto::limits::MAX_PARTS_PER_RETRY;
use curvefleet_proto::v1::{RetryDamagedRequest, RetryDamagedResponse};
use futures::TryStreamExt as _;
use object_store::ObjectStoreExt as _;
use sha2::{Digest as _, Sha256};
use tonic::Status;

use super::worker::MAX_KEY_BYTES;
use super::{Core, check, message, refuse};
use crate::ledger::lose::{CommittedPart, CommittedParts, Lose};

/// Reads the parts that are said to be damaged and puts the runs of those that are back into the queue.
pub(super) async fn retry(
    core: &Core,
    request: RetryDamagedRequest,
    who: String,
) -> Result<RetryDamagedResponse, Status> {
    let RetryDamagedRequest { study, parts } = request;
    check::name("the study's name", &study)?;
    check::count("the request", parts.len(), MAX_PARTS_PER_RETRY, "parts")?;
    parts.iter().try_for_each(|part| check::text("the part's key", part, MAX_KEY_BYTES))?;
    let named = CommittedParts { study: study.clone(), parts };
    let (mut lost, mut whole) = (Vec::new(), Vec::new());
    for part in core.ledger.ask(named).await.map_err(refuse::ledger)? {
        match damage(core, &part).await? {
            Some(damage) => lost.push((part.key, damage.to_string())),
            None => whole.push(part.key),
        }
    }
    tracing::info!(study, who, lost = lost.len(), whole = whole.len(), "retrying the runs of damaged parts");
    let lose = Lose { study, parts: lost, who, what: "retry damaged" };
    let answer = core.ledger.ask(lose).await.map_err(refuse::ledger)?;
    let status = Some(message::status(core, answer.status));
    Ok(RetryDamagedResponse { whole, requeued: answer.requeued, status })
}

/// What is wrong with a part in the store, as half a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    /// It is not there.
    #[error("is missing from the store")]
    Missing,
    /// It is cut off, or longer.
    #[error("has {found} bytes where {committed} were committed")]
    Length {
        /// Bytes that it has.
        found: u64,
        /// Bytes that it had.
        committed: u64,
    },
    /// It is as long as it was, and has changed.
    #[error("has other bytes than were committed")]
    Bytes,
}

/// What is wrong with a part in the store; `None` if it is as it was committed. A store that fails says nothing about the part.
pub(super) async fn damage(core: &Core, part: &CommittedPart) -> Result<Option<Damage>, Status> {
    let fails = |error| Status::unavailable(format!("the store {} fails: {error}", core.store.url()));
    let object = match core.store.objects().get(&part.key.as_str().into()).await {
        Ok(object) => object,
        Err(object_store::Error::NotFound { .. }) => return Ok(Some(Damage::Missing)),
        Err(error) => return Err(fails(error)),
    };
    let found = object.meta.size;
    if found != part.size_bytes {
        return Ok(Some(Damage::Length { found, committed: part.size_bytes }));
    }
    let mut hash = Sha256::new();
    let mut chunks = object.into_stream();
    while let Some(chunk) = chunks.try_next().await.map_err(fails)? {
        hash.update(&chunk);
    }
    let is_same = hex::encode(hash.finalize()) == part.sha256;
    Ok((!is_same).then_some(Damage::Bytes))
}
