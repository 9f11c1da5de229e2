//! The command line of `curvefleet report` and of this crate's own program.

use std::time::SystemTime;

use clap::Args;
use curvefleet_proto::store::Store;

use crate::error::Error;
use crate::report::{ReportOptions, ReportSummary, time, write_report};

/// What to report on, and where.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The study's name
    pub study: String,
    /// Where studies lie: a folder, or s3://bucket/prefix, gs://bucket/prefix, az://container/prefix
    #[arg(long, value_name = "URL", env = "CURVEFLEET_STORE", default_value = "./curvefleet-data")]
    pub store: String,
    /// The report's folder name; the time in UTC unless given
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Print a summary for programs
    #[arg(long)]
    pub json: bool,
}

/// Writes a report. `now` names it unless the options do; `environment` gives the store's keys, regions and endpoints.
///
/// # Errors
/// If the store cannot be opened, and wherever [`write_report`] errs.
pub async fn run(
    options: Options,
    now: SystemTime,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<ReportSummary, Error> {
    let store = Store::open(&options.store, environment)?;
    let time = options.name.unwrap_or_else(|| time::folder_name(now));
    write_report(&store, &options.study, ReportOptions { time }).await
}

impl ReportSummary {
    /// The summary for a person: the result, what is missing, and where the report is.
    pub fn to_text(&self) -> String {
        let mut lines = self.headline.clone();
        let mut runs = format!("{} of {} planned runs are in the report", self.done, self.planned);
        let losses = [
            (self.pending, "not trained yet"),
            (self.failed, "failed"),
            (self.unreadable, "done but unreadable"),
            (self.excluded_epochs, if self.excluded_epochs == 1 { "epoch excluded" } else { "epochs excluded" }),
        ];
        for (number, what) in losses {
            if number > 0 {
                runs += &format!(", {number} {what}");
            }
        }
        lines.push(runs);
        lines.push(format!("report: {}", self.location));
        lines.join("\n")
    }

    /// The summary as one line of JSON.
    pub fn to_json(&self) -> String {
        // Strings and counts always become JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}
