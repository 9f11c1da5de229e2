//! The command line of `curvefleet report` and of this crate's own program.

use std::time::{Duration, SystemTime};

use clap::Args;
use curvefleet_proto::store::Store;

use crate::error::Error;
use crate::report::watch::Watch;
use crate::report::{ReportOptions, ReportSummary, time, write_joint_report};

/// What to report on, and where.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The study's name; several are compared in one report, in the folder of the first
    #[arg(required = true, value_name = "STUDY")]
    pub studies: Vec<String>,
    /// Where studies lie: a folder, or s3://bucket/prefix, gs://bucket/prefix, az://container/prefix
    #[arg(long, value_name = "URL", env = "CURVEFLEET_STORE", default_value = "./curvefleet-data")]
    pub store: String,
    /// The report's folder name; the time in UTC unless given
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Renew the report as runs arrive, until all are done or failed
    #[arg(long)]
    pub watch: bool,
    /// With --watch, seconds between looks at the store
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub every: u64,
    /// Print a summary for programs
    #[arg(long)]
    pub json: bool,
}

impl Options {
    /// The report's folder name. `now` names it unless the options do; that of several studies says so.
    fn folder_name(&self, now: SystemTime) -> String {
        let given = || time::folder_name(now);
        let joint = if self.studies.len() > 1 { "-together" } else { "" };
        self.name.clone().unwrap_or_else(|| given() + joint)
    }

    /// The watch that these options ask for.
    ///
    /// # Errors
    /// If the store cannot be opened.
    pub fn watch(
        &self,
        now: SystemTime,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Watch, Error> {
        let store = Store::open(&self.store, environment)?;
        Ok(Watch::new(store, self.studies.clone(), self.folder_name(now), Duration::from_secs(self.every)))
    }
}

/// Writes a report. `now` names it unless the options do; `environment` gives the store's keys, regions and endpoints.
///
/// # Errors
/// If the store cannot be opened, and wherever [`write_joint_report`] errs.
pub async fn run(
    options: Options,
    now: SystemTime,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<ReportSummary, Error> {
    let store = Store::open(&options.store, environment)?;
    let time = options.folder_name(now);
    write_joint_report(&store, &options.studies, ReportOptions { time }).await
}

impl ReportSummary {
    /// The summary for a person: the result, what is missing, and where the report is.
    pub fn to_text(&self) -> String {
        let mut lines = self.headline.clone();
        lines.push(self.runs_in_words());
        lines.push(format!("report: {}", self.location));
        lines.join("\n")
    }

    /// How many of the planned runs are in the report, and what became of the others.
    pub fn runs_in_words(&self) -> String {
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
        runs
    }

    /// The summary as one line of JSON.
    pub fn to_json(&self) -> String {
        // Strings and counts always become JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}
