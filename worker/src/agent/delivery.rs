//! What is on its way under a lease. Training hands its results over and goes on; a task for each result uploads it and tells the
//! coordinator, and the lease is held until the last of them is through, also after its slot has turned to the next shard.

use std::sync::{Arc, Mutex, PoisonError};

use curvefleet_proto::plan::RunId;
use curvefleet_proto::v1::{CommitRequest, FailureKind};
use tokio::task::JoinSet;

use super::holdings::Holding;
use super::link::Verdict;
use super::shard::{self, End};
use super::upload::{self, Outgoing};
use super::{Shared, checkpoints};

/// Leases that wait for their last results to be delivered; when there are so many, no more are taken.
const ENDING_AT_MOST: usize = 256;

/// A result on its way.
#[derive(Debug)]
pub enum Finding {
    /// A part to be uploaded and committed.
    Part { part: Outgoing, commit: Box<CommitRequest> },
    /// A run that diverged: what there is of it is uploaded, and the failure reported.
    Diverged { kept: Option<Outgoing>, run: RunId, error: String, log: String, epochs: usize },
}

/// The results of one lease that are on their way.
#[derive(Debug)]
pub struct Deliveries {
    shared: Arc<Shared>,
    holding: Arc<Holding>,
    tasks: JoinSet<Result<(), End>>,
}

/// Leases whose slots are free again and whose results are still on their way.
#[derive(Debug, Default)]
pub struct Ending {
    tasks: Mutex<JoinSet<()>>,
}

impl Deliveries {
    /// None so far.
    pub fn new(shared: Arc<Shared>, holding: Arc<Holding>) -> Deliveries {
        Deliveries { shared, holding, tasks: JoinSet::new() }
    }

    /// Sends a result on its way; once it is through, the checkpoints of the packs with these first runs have had their time.
    pub fn send(&mut self, result: Finding, obsolete: Vec<RunId>) {
        let (shared, holding) = (self.shared.clone(), self.holding.clone());
        self.tasks.spawn(async move {
            let runs = result.runs();
            tokio::select! {
                biased;
                delivered = deliver(&shared, &holding, result) => delivered?,
                () = shared.out_of_time() => {
                    shared.lose(runs);
                    return Err(End::Stopping);
                }
            }
            forget(&shared, obsolete);
            Ok(())
        });
    }

    /// Removes the checkpoints of the packs with these first runs, beside what goes on.
    pub fn forget(&self, obsolete: Vec<RunId>) {
        forget(&self.shared, obsolete);
    }

    /// Whether all results that are through so far went well.
    ///
    /// # Errors
    /// With what has ended the lease.
    pub fn check(&mut self) -> Result<(), End> {
        while let Some(delivered) = self.tasks.try_join_next() {
            ended(delivered)?;
        }
        Ok(())
    }

    /// Waits for all of them.
    ///
    /// # Errors
    /// With what has ended the lease.
    pub async fn finish(mut self) -> Result<(), End> {
        let mut end = Ok(());
        while let Some(delivered) = self.tasks.join_next().await {
            end = end.and(ended(delivered));
        }
        end
    }
}

impl Ending {
    /// Goes on with the end of a lease beside the next ones.
    pub fn spawn(&self, end: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(end);
    }

    /// Whether as many leases wait as may.
    pub fn is_full(&self) -> bool {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.len() >= ENDING_AT_MOST
    }

    /// Waits for all of them.
    pub async fn finish(&self) {
        loop {
            let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
            if tasks.is_empty() {
                return;
            }
            while tasks.join_next().await.is_some() {}
        }
    }
}

impl Finding {
    /// How many finished runs would have to be trained again without it.
    fn runs(&self) -> usize {
        match self {
            Finding::Part { commit, .. } => commit.runs.len(),
            Finding::Diverged { .. } => 1,
        }
    }
}

async fn deliver(shared: &Shared, holding: &Holding, result: Finding) -> Result<(), End> {
    match result {
        Finding::Part { part, commit } => {
            part.write(shared, holding).await?;
            drop(part);
            match shared.link.commit(&commit).await {
                Ok(Verdict::Accepted) => Ok(()),
                Ok(Verdict::Stale) => Err(End::Lost),
                Err(status) => Err(upload::Error::Refused(status.message().to_string()).into()),
            }
        }
        Finding::Diverged { kept, run, error, log, epochs } => {
            let what_is_left = match kept {
                None => "it has no finished epoch".to_string(),
                Some(kept) => match kept.write(shared, holding).await {
                    Ok(()) => format!("its {epochs} finished epochs are kept in {}", kept.key),
                    Err(upload::Error::Stale) => return Err(End::Lost),
                    Err(error) => format!("its {epochs} finished epochs are lost: {error}"),
                },
            };
            let log = format!("{log}; {what_is_left}");
            match shard::report(shared, holding, &run.to_string(), FailureKind::Run, &error, &log).await {
                Verdict::Accepted => Ok(()),
                Verdict::Stale => Err(End::Lost),
            }
        }
    }
}

/// Removes checkpoints beside the lease that they were of: it has ended with its last commit, and is not to be held for them.
fn forget(shared: &Arc<Shared>, obsolete: Vec<RunId>) {
    if obsolete.is_empty() {
        return;
    }
    let shared = shared.clone();
    shared.clone().ending.spawn(async move { remove(&shared, obsolete).await });
}

/// Removes the checkpoints of the packs with these first runs; what there is no time for is left to the collection of garbage.
async fn remove(shared: &Shared, obsolete: Vec<RunId>) {
    let removed = async {
        for run in obsolete {
            checkpoints::remove(shared, run).await;
        }
    };
    tokio::select! {
        biased;
        () = removed => {}
        () = shared.out_of_time() => {}
    }
}

fn ended(delivered: Result<Result<(), End>, tokio::task::JoinError>) -> Result<(), End> {
    delivered.unwrap_or_else(|panic| {
        Err(End::Failed(FailureKind::Infrastructure, format!("delivering a result failed: {panic}")))
    })
}

impl From<upload::Error> for End {
    fn from(error: upload::Error) -> End {
        match error {
            upload::Error::Stale => End::Lost,
            upload::Error::Store { .. } | upload::Error::Refused(_) => {
                End::Failed(FailureKind::Infrastructure, error.to_string())
            }
        }
    }
}
