//! Following a study: its status again whenever it has changed, until it has ended and its manifest is in the store.

use std::sync::Arc;
use std::time::Duration;

use curvefleet_proto::limits::MAX_WATCHERS;
use curvefleet_proto::v1::{StudyStatus as StatusMessage, WatchStudyResponse};
use tokio::sync::mpsc;
use tonic::Status;

use super::{Answers, Core, answers, message, refuse, stopped};
use crate::ledger::state::StudyState;
use crate::ledger::study::StudyStatus;

/// The shortest time between two messages, so that many commits make one.
const PAUSE: Duration = Duration::from_millis(250);
/// How often rates are looked at, which change without the ledger.
const RATES_INTERVAL: Duration = Duration::from_secs(1);

/// Starts to follow a study; refuses one that there is not.
pub(super) async fn start(core: Arc<Core>, name: String) -> Result<Answers<WatchStudyResponse>, Status> {
    let place = core.watchers.clone().try_acquire_owned().map_err(|_| {
        let message =
            format!("{MAX_WATCHERS} clients follow studies already; ask `curvefleet status` now and then instead");
        Status::resource_exhausted(message)
    })?;
    core.ledger.ask(StudyStatus { name: name.clone() }).await.map_err(refuse::ledger)?;
    let (sender, stream) = answers();
    tokio::spawn(async move {
        // Held until the watch ends.
        let _place = place;
        let stopped = stopped(core.stopping.clone());
        let end = tokio::select! {
            biased;
            end = follow(&core, name, &sender) => end,
            () = stopped => Err(refuse::stopping()),
            () = sender.closed() => Ok(()),
        };
        if let Err(status) = end {
            // A watcher that has gone does not want to know.
            drop(sender.send(Err(status)).await);
        }
    });
    Ok(stream)
}

async fn follow(
    core: &Core,
    name: String,
    sender: &mpsc::Sender<Result<WatchStudyResponse, Status>>,
) -> Result<(), Status> {
    let mut changes = core.ledger.changes();
    let mut last: Option<StatusMessage> = None;
    loop {
        // Seen before the question, so that what changes after it wakes the next round.
        changes.borrow_and_update();
        let status = core.ledger.ask(StudyStatus { name: name.clone() }).await.map_err(refuse::ledger)?;
        let over = status.state != StudyState::Active && status.manifest_current;
        let status = message::status(core, status);
        if last.as_ref() != Some(&status) {
            last = Some(status.clone());
            if sender.send(Ok(WatchStudyResponse { status: Some(status) })).await.is_err() {
                return Ok(());
            }
        }
        if over {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
        tokio::select! {
            changed = changes.changed() => changed.map_err(|_| refuse::stopping())?,
            () = tokio::time::sleep(RATES_INTERVAL) => {}
        }
    }
}
