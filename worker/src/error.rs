//! Why a worker ended with an error.

use curvefleet_proto::store;

/// Why the worker ended with an error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A flag's value cannot be used.
    #[error("{0}")]
    Flag(String),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The coordinator's store is a folder that this machine does not have.
    #[error(
        "the store's folder {0} is not on this machine; a folder that is a store must be shared between coordinator and workers, \
         and --store names it where it lies elsewhere"
    )]
    NoStore(String),
    /// The coordinator refuses the worker.
    #[error("the coordinator refuses this worker: {0}")]
    Refused(String),
    /// Another process has registered under the worker's name.
    #[error(
        "another worker has registered as `{0}`, and this one ends; what it was training goes on there or elsewhere (give each \
         worker a --name of its own)"
    )]
    Superseded(String),
    /// Told to stop, the worker could not deliver all its results.
    #[error(
        "{runs} finished runs could not be uploaded and committed within the {} s that --stop-seconds gives; they will be trained again, \
         from their last checkpoints where they have any", within.as_secs()
    )]
    Undelivered {
        /// How many.
        runs: usize,
        /// The time there was.
        within: std::time::Duration,
    },
    /// The system cannot give what a worker needs.
    #[error("{what}: {source}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What it says.
        source: std::io::Error,
    },
}

impl Error {
    /// Whether a person can mend it by other flags or settings (exit code 2).
    pub fn is_user_error(&self) -> bool {
        !matches!(self, Error::System { .. } | Error::Undelivered { .. })
    }
}
