//! `curvefleet backup`: a copy of a coordinator's ledger, also while it is at work.

use std::path::PathBuf;

use clap::Args;
use curvefleet_coordinator::ledger::sqlite;
use curvefleet_coordinator::options::{STORE, ledger_file};

use crate::failure::Failure;
use crate::output::say;

/// Copy the ledger into a new file, also while the coordinator is at work
#[derive(Debug, Args)]
pub struct Backup {
    /// The new file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The store that the coordinator was given
    #[arg(long, env = "CURVEFLEET_STORE", default_value = STORE, value_name = "URL")]
    store: String,
    /// The ledger that the coordinator was given [default: ledger.sqlite in the store's folder, or
    /// ./curvefleet-ledger.sqlite where the store is no folder]
    #[arg(long, env = "CURVEFLEET_LEDGER", value_name = "FILE")]
    ledger: Option<PathBuf>,
}

impl Backup {
    /// Copies.
    ///
    /// # Errors
    /// If there is no ledger, the file is there already, or one of them fails.
    pub async fn execute(self) -> Result<(), Failure> {
        let ledger = ledger_file(self.ledger.as_deref(), &self.store);
        let (from, to) = (ledger.clone(), self.file.clone());
        let copied = tokio::task::spawn_blocking(move || sqlite::backup(&from, &to)).await;
        let bytes = copied.map_err(Failure::other)?.map_err(|error| match error {
            sqlite::BackupError::Damaged { .. } => Failure::other(error),
            error => Failure::user(error),
        })?;
        say!("the ledger {} is copied to {}: {bytes} bytes, checked", ledger.display(), self.file.display());
        Ok(())
    }
}
