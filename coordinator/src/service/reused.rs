//! Looks at the parts that the reused runs of a new study lie in. The ledger says that they are done; whether their curves are still in
//! the store, and as they were committed, only reading them tells. What is damaged is told to who submits, and not taken back: a
//! coordinator that was given the wrong store would take back everything.

use std::collections::BTreeSet;
use std::time::Duration;

use curvefleet_proto::limits::MAX_PARTS_PER_RETRY;
use futures::{StreamExt as _, TryStreamExt as _};
use tonic::Status;

use super::{Core, damage, refuse};
use crate::ledger::lose::{CommittedPart, CommittedParts};
use crate::ledger::runs::ListRuns;
use crate::ledger::state::RunState;

/// How long the submission of a study waits for it.
const LOOK_FOR: Duration = Duration::from_secs(10);
/// Parts read side by side: enough that a store far away answers hundreds within the time.
const AT_ONCE: usize = 16;
/// Runs read from the ledger at a time.
const PAGE_RUNS: u32 = 8_192;

/// Keys of the parts that reused runs lie in and that are missing or damaged, as far as there was time to look. All runs of the study
/// that are done count as reused, since it is new.
pub(super) async fn damaged(core: &Core, study: &str) -> Vec<String> {
    let mut damaged = Vec::new();
    match tokio::time::timeout(LOOK_FOR, look(core, study, &mut damaged)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(study, error = error.message(), "cannot look at the parts of reused runs"),
        Err(_) => tracing::info!(study, "there was no time to read all parts of reused runs; `curvefleet verify` does"),
    }
    if !damaged.is_empty() {
        tracing::warn!(study, parts = damaged.len(), "reused runs lie in parts that are missing or damaged");
    }
    damaged
}

async fn look(core: &Core, study: &str, damaged: &mut Vec<String>) -> Result<(), Status> {
    let keys: Vec<String> = parts(core, study).await?.into_iter().collect();
    for keys in keys.chunks(MAX_PARTS_PER_RETRY) {
        let named = CommittedParts { study: study.to_string(), parts: keys.to_vec() };
        let parts = core.ledger.ask(named).await.map_err(refuse::ledger)?;
        let look = |part: CommittedPart| async move {
            let found = damage::damage(core, &part).await?;
            Ok::<_, Status>((part.key, found))
        };
        let mut looked = futures::stream::iter(parts).map(look).buffered(AT_ONCE);
        while let Some((key, found)) = looked.try_next().await? {
            damaged.extend(found.map(|_| key));
        }
    }
    Ok(())
}

/// The parts that the study's done runs lie in.
async fn parts(core: &Core, study: &str) -> Result<BTreeSet<String>, Status> {
    let (mut parts, mut after) = (BTreeSet::new(), None);
    loop {
        let list = ListRuns { study: study.to_string(), state: Some(RunState::Done), after, limit: PAGE_RUNS };
        let page = core.ledger.ask(list).await.map_err(refuse::ledger)?;
        parts.extend(page.runs.into_iter().map(|run| run.part));
        after = page.next;
        if after.is_none() {
            return Ok(parts);
        }
    }
}
