//! Brings the rest of large studies into the ledger, after their submission and after a coordinator was killed in the middle of it.

use std::sync::Arc;
use std::time::Duration;

use curvefleet_proto::study::{Study, file};
use tokio::sync::watch;

use crate::ledger::enter::{Enter, Entered, ListUnentered, Unentered};
use crate::ledger::{Error, Handle};
use crate::service::stopped;

/// Enters what is left of a study. Others may be entering it, too: each transaction goes on where the last one was.
///
/// # Errors
/// If the ledger refuses or fails; what was entered by then stays.
pub(crate) async fn enter(
    ledger: &Handle,
    study: Arc<Study>,
    hash: &str,
    mut entered: Entered,
) -> Result<Entered, Error> {
    while entered.left > 0 {
        entered = ledger.ask(Enter { study: study.clone(), hash: hash.to_string() }).await?;
    }
    Ok(entered)
}

/// Looks at once, and then again and again, for studies that are not entered to the end, until the coordinator stops.
pub(crate) async fn keep(ledger: Handle, every: Duration, stopping: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let stopped = stopped(stopping);
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            biased;
            () = &mut stopped => return,
            () = async { ticks.tick().await; enter_all(&ledger).await } => {}
        }
    }
}

async fn enter_all(ledger: &Handle) {
    let unentered = match ledger.ask(ListUnentered).await {
        Ok(unentered) => unentered,
        Err(error) => return tracing::warn!(%error, "cannot look for studies that are not entered to the end"),
    };
    for Unentered { toml, hash } in unentered {
        let study = match file::parse(&toml).and_then(|parsed| parsed.resolve_stored()) {
            Ok(study) => study,
            Err(error) => {
                tracing::error!(%error, hash, "a study in the ledger cannot be read, and its rest is not entered");
                continue;
            }
        };
        let name = study.name.clone();
        // How far it is, the first answer says.
        let begin = Entered { left: 1, reused: 0 };
        if let Err(error) = enter(ledger, Arc::new(study), &hash, begin).await {
            tracing::warn!(%error, study = name, "cannot enter the rest of a study; it is tried again");
        }
    }
}
