//! `curvefleet report`: from curves to conclusions.

use std::time::SystemTime;

use clap::Args;
use curvefleet_analysis::ReportSummary;
use curvefleet_analysis::report::watch::News;
use curvefleet_proto::access::AccessOptions;
use curvefleet_proto::v1::{GetStudyRequest, StudyState, WriteManifestRequest};

use super::run::told_to_stop;
use crate::client::{Client, Way};
use crate::failure::Failure;
use crate::output::say;

/// Write the report of a study, or of several together.
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
        let json = self.options.json;
        let summary = if self.options.watch { self.watch().await? } else { Some(self.write().await?) };
        match summary {
            Some(summary) => say!("{}", if json { summary.to_json() } else { summary.to_text() }),
            None => say!("nothing is done yet, so there is no report"),
        }
        Ok(())
    }

    async fn write(self) -> Result<ReportSummary, Failure> {
        if let Some(urls) = &self.coordinator {
            let mut client = Way::new(urls, &self.access)?.connect().await?;
            for study in &self.options.studies {
                client.write_manifest(WriteManifestRequest { study: study.clone() }).await?;
            }
        }
        Ok(curvefleet_analysis::run(self.options, now(), std::env::vars()).await?)
    }

    async fn watch(self) -> Result<Option<ReportSummary>, Failure> {
        let mut client = match &self.coordinator {
            Some(urls) => Some(Way::new(urls, &self.access)?.connect().await?),
            None => None,
        };
        let watch = self.options.watch(now(), std::env::vars())?;
        let before = async || match &mut client {
            Some(client) => match ended(client, &self.options.studies).await {
                Ok(ended) => ended,
                // The store alone is enough for a report.
                Err(failure) => {
                    tracing::warn!(%failure, "the coordinator was not reached; the report is of what the store holds");
                    false
                }
            },
            None => false,
        };
        let json = self.options.json;
        let tell = |news: News<'_>| match news {
            News::Written(summary) if json => say!("{}", summary.to_json()),
            News::Written(summary) => eprintln!("{}: {}", summary.runs_in_words(), summary.location),
            News::Waiting => eprintln!("nothing is done yet; waiting for the first runs (Ctrl-C ends the watch)"),
            News::Trouble(error) => eprintln!("trouble: {error}; looking again in {} s", self.options.every),
        };
        let stop = async {
            // Where signals cannot be heard, the watch ends with the study.
            if told_to_stop().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        Ok(watch.follow(now, before, tell, stop).await?)
    }
}

/// Brings the manifests up to date; gives whether no study will have more runs.
async fn ended(client: &mut Client, studies: &[String]) -> Result<bool, Failure> {
    let mut all_ended = true;
    for study in studies {
        client.write_manifest(WriteManifestRequest { study: study.clone() }).await?;
        let found = client.get_study(GetStudyRequest { name: study.clone() }).await?.into_inner();
        all_ended &= found.status.is_some_and(|status| status.state() != StudyState::Active);
    }
    Ok(all_ended)
}

// The clock names the report and its renewals, and decides nothing else.
#[allow(clippy::disallowed_methods)]
fn now() -> SystemTime {
    SystemTime::now()
}
