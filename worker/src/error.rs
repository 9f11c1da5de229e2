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
    /// The coordinator refuses the worker.
    #[error("the coordinator refuses this worker: {0}")]
    Refused(String),
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
        !matches!(self, Error::System { .. })
    }
}
