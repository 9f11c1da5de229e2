//! Damaged parts given up and their runs put back into the queue. The coordinator reads each part itself before it believes it.

use std::collections::BTreeSet;

use curvefleet_proto::limits::MAX_PARTS_PER_RETRY;
use curvefleet_proto::store::Store;
use curvefleet_proto::v1::{RetryDamagedRequest, WriteManifestRequest};

use super::verify::{Verified, verify};
use crate::client::Client;
use crate::failure::Failure;

/// What was repaired.
#[derive(Debug)]
pub struct Repaired {
    /// What was found damaged.
    pub verified: Verified,
    /// How many runs of the study went back into the queue.
    pub requeued: u64,
    /// Parts that the coordinator finds as they were committed, although they are no sound curve parts.
    pub as_committed: Vec<String>,
}

/// Verifies a study and puts the runs of its damaged parts back into the queue.
///
/// # Errors
/// If the study cannot be verified or the coordinator refuses.
pub async fn repair(client: &mut Client, store: &Store, study: &str) -> Result<Repaired, Failure> {
    // What was committed in the last seconds is to be looked at, too.
    client.write_manifest(WriteManifestRequest { study: study.to_string() }).await?;
    let verified = verify(store, study).await?;
    let parts: BTreeSet<&str> = verified.damaged.iter().map(|damaged| damaged.part.as_str()).collect();
    let parts: Vec<String> = parts.into_iter().map(str::to_string).collect();
    let (mut requeued, mut as_committed) = (0, Vec::new());
    for parts in parts.chunks(MAX_PARTS_PER_RETRY) {
        let request = RetryDamagedRequest { study: study.to_string(), parts: parts.to_vec() };
        let answer = client.retry_damaged(request).await?.into_inner();
        requeued += answer.requeued;
        as_committed.extend(answer.whole);
    }
    if requeued > 0 {
        // The lost parts are not to stand in the manifest for as long as it waits for its turn.
        client.write_manifest(WriteManifestRequest { study: study.to_string() }).await?;
    }
    Ok(Repaired { verified, requeued, as_committed })
}
