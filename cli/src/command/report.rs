//! `curvefleet report`: from curves to conclusions.

use std::time::SystemTime;

use clap::Args;
use curvefleet_proto::access::AccessOptions;
use curvefleet_proto::v1::WriteManifestRequest;

use crate::client::Way;
use crate::failure::Failure;
use crate::output::say;

/// Write the report of a study.
#[derive(Debug, Args)]
pub struct Report {
    #[command(flatten)]
    options: curvefleet_analysis::Options,
    /// A coordinator at work on the study, asked to bring the study's manifest up to date first
    #[arg(long, env = "CURVEFLEET_COORDINATOR", value_name = "URL", value_delimiter = ',')]
    coordinator: Option<Vec<String>>,
    #[command(flatten)]
    access: AccessOptions,
}

impl Report {
    /// Writes the report.
    ///
    /// # Errors
    /// If there is no such study in the store, or it cannot be read or written.
    pub async fn execute(self) -> Result<(), Failure> {
        if let Some(urls) = &self.coordinator {
            let mut client = Way::new(urls, &self.access)?.connect().await?;
            client.write_manifest(WriteManifestRequest { study: self.options.study.clone() }).await?;
        }
        let json = self.options.json;
        // The clock names the report and decides nothing else.
        #[allow(clippy::disallowed_methods)]
        let now = SystemTime::now();
        let summary = curvefleet_analysis::run(self.options, now, std::env::vars()).await?;
        say!("{}", if json { summary.to_json() } else { summary.to_text() });
        Ok(())
    }
}
