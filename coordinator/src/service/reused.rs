//! Looks at the parts that the reused runs of a new study lie in. The ledger says that they are done; whether their curves are still in
//! the store, and as they were committed, only reading them tells. Runs whose parts are missing or damaged are trained again. One thing
//! is not believed: that parts are missing from a store that has nothing of any earlier study. A coordinator that was given the wrong
//! store, or whose disk is not mounted, would take back all that was ever done.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use curvefleet_proto::artifact::study_key;
use curvefleet_proto::limits::MAX_PARTS_PER_RETRY;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::ObjectStoreExt as _;
use tonic::Status;

use super::damage::{self, Damage};
use super::{Core, refuse, stopped};
use crate::ledger::lose::{CommittedPart, CommittedParts, Lose};
use crate::ledger::runs::ListRuns;
use crate::ledger::state::RunState;
use crate::ledger::study::ListStudies;

/// How long the submission of a study waits for it; it goes on after that.
const WAIT_FOR: Duration = Duration::from_secs(10);
/// Parts read side by side: enough that a store far away answers hundreds within the time.
const AT_ONCE: usize = 16;
/// Runs read from the ledger at a time.
const PAGE_RUNS: u32 = 8_192;

/// What was found.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Found {
    /// Parts that are missing or damaged, and whose runs were taken back.
    pub damaged: u64,
    /// Runs of the study that are not reused after all.
    pub taken_back: u64,
    /// Parts that are missing, which is not believed.
    pub doubtful: u64,
    /// Whether all were read.
    pub is_all: bool,
}

/// Looks at the parts of a new study's reused runs, and takes back those that are not sound. All runs of the study that are done count as
/// reused, since it is new. Where there is much to read, what it answers is of what was read by then; the rest is read while this
/// coordinator lives.
pub(super) async fn check(core: Arc<Core>, study: String, who: String) -> Found {
    let (report, mut reported) = tokio::sync::watch::channel(Found::default());
    let name = study.clone();
    tokio::spawn(async move {
        let looked = tokio::select! {
            biased;
            () = stopped(core.stopping.clone()) => Err(refuse::stopping()),
            looked = look(&core, &study, &who, &report) => looked,
        };
        match looked {
            Ok(()) => report.send_modify(|found| found.is_all = true),
            Err(error) => tracing::warn!(study, error = error.message(), "not all parts of reused runs were looked at"),
        }
    });
    let ended = async { while reported.changed().await.is_ok() {} };
    if tokio::time::timeout(WAIT_FOR, ended).await.is_err() {
        tracing::info!(study = name, "reading the parts of reused runs takes long, and goes on after the submission");
    }
    *reported.borrow()
}

async fn look(core: &Core, study: &str, who: &str, report: &tokio::sync::watch::Sender<Found>) -> Result<(), Status> {
    let keys: Vec<String> = parts(core, study).await?.into_iter().collect();
    let mut is_own = None;
    for keys in keys.chunks(MAX_PARTS_PER_RETRY) {
        let named = CommittedParts { study: study.to_string(), parts: keys.to_vec() };
        let parts = core.ledger.ask(named).await.map_err(refuse::ledger)?;
        let look = |part: CommittedPart| async move {
            let found = damage::damage(core, &part).await?;
            Ok::<_, Status>((part.key, found))
        };
        let mut looked = futures::stream::iter(parts).map(look).buffered(AT_ONCE);
        let (mut lost, mut doubtful) = (Vec::new(), 0);
        while let Some((key, found)) = looked.try_next().await? {
            let Some(damage) = found else { continue };
            if damage == Damage::Missing && is_own.is_none() {
                is_own = Some(is_own_store(core, study).await?);
            }
            if damage == Damage::Missing && is_own == Some(false) {
                doubtful += 1;
            } else {
                lost.push((key, damage.to_string()));
            }
        }
        let damaged = lost.len() as u64;
        let mut taken_back = 0;
        if damaged > 0 {
            let lose = Lose { study: study.to_string(), parts: lost, who: who.to_string(), what: "submit" };
            taken_back = core.ledger.ask(lose).await.map_err(refuse::ledger)?.requeued;
        }
        if damaged + doubtful > 0 {
            tracing::warn!(study, damaged, taken_back, doubtful, "parts of reused runs are missing or damaged");
        }
        report.send_modify(|found| {
            found.damaged += damaged;
            found.taken_back += taken_back;
            found.doubtful += doubtful;
        });
    }
    Ok(())
}

/// Whether the store is the one that the ledger's studies were trained into: it holds the ledger, or the file of one of them beside the
/// new one.
async fn is_own_store(core: &Core, new: &str) -> Result<bool, Status> {
    if core.holds_ledger {
        return Ok(true);
    }
    let studies = core.ledger.ask(ListStudies).await.map_err(refuse::ledger)?;
    let keys = studies.into_iter().filter(|study| study.name != new).map(|study| study_key(&study.name));
    let objects = core.store.objects();
    let look = |key: String| {
        let objects = objects.clone();
        async move { objects.head(&key.as_str().into()).await }
    };
    let mut looked = futures::stream::iter(keys).map(look).buffered(AT_ONCE);
    while let Some(found) = looked.next().await {
        match found {
            Ok(_) => return Ok(true),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(Status::unavailable(format!("the store {} fails: {error}", core.store.url()))),
        }
    }
    Ok(false)
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
