//! Why the ledger refuses a request.

use std::sync::Arc;

/// Why a request was refused. Each is a sentence for the person or program that asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is no such study.
    #[error("there is no study `{0}`; `curvefleet status` lists the studies there are")]
    NoStudy(String),
    /// The name is taken by another study.
    #[error(
        "there is a study `{0}` already, and it is another one; give this study another name (runs that are the same \
         in both are reused, not trained again)"
    )]
    OtherStudy(String),
    /// No run begins with these digits.
    #[error("there is no run `{0}`; `curvefleet runs STUDY` lists a study's runs")]
    NoRun(String),
    /// More than one run begins with these digits.
    #[error("more than one run begins with `{0}`; give more of its digits")]
    AmbiguousRun(String),
    /// Nothing goes by this name.
    #[error(
        "there is no run, shard, worker or study `{0}`; `curvefleet status`, `curvefleet workers` and `curvefleet runs STUDY` \
         list what there is"
    )]
    Nothing(String),
    /// More than one run or shard begins with these digits.
    #[error("more than one run or shard begins with `{0}`; give more of its digits")]
    Ambiguous(String),
    /// A worker asks for work without having introduced itself.
    #[error("the worker `{0}` is not registered with this coordinator; register first")]
    NoWorker(String),
    /// There is no such worker.
    #[error("there is no worker `{0}`; `curvefleet workers` lists the workers there are")]
    UnknownWorker(String),
    /// Another process has registered under the worker's name since.
    #[error("another worker has registered as `{0}` since; give each worker a --name of its own")]
    Superseded(String),
    /// The fleet is full.
    #[error(
        "{} workers are alive, and a ledger takes no more; give each machine one worker with more --slots",
        curvefleet_proto::limits::MAX_WORKERS
    )]
    TooManyWorkers,
    /// There is no token of this id.
    #[error("there is no token `{0}`; `curvefleet token list` lists the tokens there are")]
    NoToken(String),
    /// The request contradicts itself or the plan.
    #[error("{0}")]
    Invalid(String),
    /// The database failed; nothing of the batch was changed.
    #[error("the ledger's database failed: {0}")]
    Database(Arc<dyn std::error::Error + Send + Sync>),
    /// The database went away while it was asked to commit, and did not come back in time.
    #[error(
        "the ledger's database went away while it was asked to commit this, and whether it did is not known; ask again: \
         what was done is not done twice"
    )]
    Unknown,
    /// The ledger has shut down.
    #[error("the coordinator is shutting down; ask again in a moment")]
    Closed,
}

impl Error {
    /// A word in the database that this program does not know.
    pub(super) fn unreadable(what: &str, word: &str) -> Error {
        Error::Database(Arc::from(Box::from(format!("`{word}` is not a known {what}"))))
    }

    /// Whether the database is to blame, so that nothing of the batch may count.
    pub(super) fn is_database(&self) -> bool {
        matches!(self, Error::Database(_))
    }
}
