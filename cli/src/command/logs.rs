//! `curvefleet logs`: the attempts at a run.

use clap::Args;
use curvefleet_proto::v1::GetLogsRequest;

use super::print_json;
use crate::client::Coordinator;
use crate::failure::Failure;
use crate::listing::time;
use crate::output::say;

/// Show the attempts at a run with their logs.
#[derive(Debug, Args)]
pub struct Logs {
    /// The run's id, or the first digits of it
    run: String,
    #[command(flatten)]
    coordinator: Coordinator,
    /// Print the attempts for programs
    #[arg(long)]
    json: bool,
}

impl Logs {
    /// Shows.
    ///
    /// # Errors
    /// If the coordinator does not answer or knows no such run.
    pub async fn execute(self) -> Result<(), Failure> {
        let mut client = self.coordinator.connect().await?;
        let attempts = client.get_logs(GetLogsRequest { run: self.run.clone() }).await?.into_inner().attempts;
        if self.json {
            let attempts = attempts.iter().map(|attempt| {
                serde_json::json!({
                    "run": attempt.run, "worker": attempt.worker, "fence": attempt.fence, "at_ms": attempt.at_ms,
                    "outcome": attempt.outcome, "error": attempt.error, "log": attempt.log,
                })
            });
            print_json(&attempts.collect());
            return Ok(());
        }
        if attempts.is_empty() {
            say!("run {} has not been tried yet", self.run);
        }
        for attempt in attempts {
            say!("{}  {}  worker {}, fence {}", time(attempt.at_ms), attempt.outcome, attempt.worker, attempt.fence);
            for line in
                [&attempt.error, &attempt.log].into_iter().filter(|text| !text.is_empty()).flat_map(|text| text.lines())
            {
                say!("    {line}");
            }
        }
        Ok(())
    }
}
