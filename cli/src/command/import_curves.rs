//! `curvefleet import-curves`: curves that other programs wrote, as a study.

use clap::Args;
use curvefleet_analysis::{ImportOptions, import_curves};

use super::now_ms;
use crate::failure::Failure;
use crate::output::say;

/// Make a study of curves that other programs wrote, such as the paper's authors' files.
#[derive(Debug, Args)]
pub struct ImportCurves {
    #[command(flatten)]
    options: ImportOptions,
}

impl ImportCurves {
    /// Imports, and says what.
    ///
    /// # Errors
    /// If a file is not what it should be, there is such a study already, or the store does not take it.
    pub async fn execute(self) -> Result<(), Failure> {
        let summary = import_curves(&self.options, now_ms(), std::env::vars()).await?;
        say!("{}", if self.options.json { summary.to_json() } else { summary.to_text() });
        Ok(())
    }
}
