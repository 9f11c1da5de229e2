//! `curvefleet watch`: follows a study until it ends.

use std::process::ExitCode;

use clap::Args;
use curvefleet_proto::v1::{ListRunsRequest, RunState, StudyState, StudyStatus, WatchStudyRequest};

use crate::client::{Client, Coordinator};
use crate::failure::Failure;
use crate::listing::{counted, grouped};
use crate::output::say;
use crate::progress::Progress;

/// Failed runs whose errors are shown at the end; `curvefleet runs` lists them all.
const FAILURES_SHOWN: u32 = 3;

/// Follow a study until it ends.
#[derive(Debug, Args)]
pub struct Watch {
    /// The study's name
    study: String,
    #[command(flatten)]
    coordinator: Coordinator,
}

impl Watch {
    /// Watches; the exit code is 0 if every run is done.
    ///
    /// # Errors
    /// If the coordinator does not answer or knows no such study.
    pub async fn execute(self) -> Result<ExitCode, Failure> {
        let mut client = self.coordinator.connect().await?;
        let status = follow(&mut client, &self.study).await?;
        say!("{}", outcome(&status));
        show_failures(&mut client, &status).await?;
        Ok(exit_code(&status))
    }
}

/// Follows a study with a progress bar until it ends; gives its last status.
///
/// # Errors
/// If the coordinator goes away or knows no such study.
pub async fn follow(client: &mut Client, study: &str) -> Result<StudyStatus, Failure> {
    let mut news = client.watch_study(WatchStudyRequest { name: study.to_string() }).await?.into_inner();
    let mut progress = Progress::new(0);
    let mut last = None;
    while let Some(reply) = news.message().await? {
        if let Some(status) = reply.status {
            progress.show(&status);
            last = Some(status);
        }
    }
    progress.finish();
    last.ok_or_else(|| Failure::other("the coordinator ended the watch without a word"))
}

/// What has become of a study, in a sentence.
pub fn outcome(status: &StudyStatus) -> String {
    let runs = status.runs.unwrap_or_default();
    let name = &status.name;
    match status.state() {
        StudyState::Cancelled => {
            format!("study {name} is cancelled: {} of {} done", grouped(runs.done), counted(runs.planned, "run"))
        }
        StudyState::Stopped => format!("study {name} is stopped: {}", status.stop_reason),
        _ if runs.failed > 0 => format!(
            "study {name} has ended: {} of {} done, {} failed",
            grouped(runs.done),
            counted(runs.planned, "run"),
            grouped(runs.failed)
        ),
        _ => format!("study {name}: {} of {} done", grouped(runs.done), counted(runs.planned, "run")),
    }
}

/// Shows why the first failed runs failed, and what to do.
///
/// # Errors
/// If the coordinator does not answer.
pub async fn show_failures(client: &mut Client, status: &StudyStatus) -> Result<(), Failure> {
    if status.runs.unwrap_or_default().failed == 0 {
        return Ok(());
    }
    let request = ListRunsRequest {
        study: status.name.clone(),
        state: RunState::Failed.into(),
        page_size: FAILURES_SHOWN,
        page: String::new(),
    };
    for run in client.list_runs(request).await?.into_inner().runs {
        eprintln!(
            "  run {} ({} {}, {} labels, {}, seed {}): {}",
            run.run, run.data, run.condition, run.labels, run.model, run.seed, run.error
        );
    }
    Ok(())
}

/// 0 if every run is done, else 1.
pub fn exit_code(status: &StudyStatus) -> ExitCode {
    let runs = status.runs.unwrap_or_default();
    if runs.done == runs.planned { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
