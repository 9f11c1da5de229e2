//! `curvefleet watch`: follows a study until it ends.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use curvefleet_proto::v1::{ListRunsRequest, RunState, StudyState, StudyStatus, WatchStudyRequest};
use tonic::{Code, Status};

use crate::client::{Client, Coordinator, Way};
use crate::failure::Failure;
use crate::listing::{counted, grouped};
use crate::output::say;
use crate::progress::Progress;

/// Failed runs whose errors are shown at the end; `curvefleet runs` lists them all.
const FAILURES_SHOWN: u32 = 3;

/// The pause after a coordinator went away; it doubles with each failure in a row ...
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// ... of which so many, in a minute or more, are the end of it.
const RECONNECTS: u32 = 8;

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
        let status = follow(&self.coordinator.way()?, &self.study).await?;
        say!("{}", outcome(&status));
        let mut client = self.coordinator.connect().await?;
        show_failures(&mut client, &status).await?;
        Ok(exit_code(&status))
    }
}

/// Follows a study with a progress bar until it ends; gives its last status. A coordinator that goes away meanwhile may come back, or
/// another one answer in its place.
///
/// # Errors
/// If no coordinator answers at first, or none for a while, or there is no such study.
pub async fn follow(way: &Way, study: &str) -> Result<StudyStatus, Failure> {
    let mut progress = Progress::new(0);
    let mut client = way.connect().await?;
    let mut failures = 0;
    loop {
        let mut heard = false;
        let ended = one_watch(&mut client, study, |status| {
            heard = true;
            progress.show(status);
        })
        .await;
        match ended {
            Ok(last) => {
                progress.finish();
                return last.ok_or_else(|| Failure::other("the coordinator ended the watch without a word"));
            }
            Err(status)
                if matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal) =>
            {
                failures = if heard { 0 } else { failures };
                let Some(again) = reconnect(way, &mut failures).await else { return Err(status.into()) };
                client = again;
            }
            Err(status) => return Err(status.into()),
        }
    }
}

/// Follows a study on one stream; gives the last status if the stream came to its end.
async fn one_watch(
    client: &mut Client,
    study: &str,
    mut show: impl FnMut(&StudyStatus),
) -> Result<Option<StudyStatus>, Status> {
    let mut news = client.watch_study(WatchStudyRequest { name: study.to_string() }).await?.into_inner();
    let mut last = None;
    while let Some(reply) = news.message().await? {
        if let Some(status) = reply.status {
            show(&status);
            last = Some(status);
        }
    }
    Ok(last)
}

/// Connects again, after a pause that doubles with each failure in a row; `None` after too many of them.
async fn reconnect(way: &Way, failures: &mut u32) -> Option<Client> {
    // By its number each process waits a little less or more, so that all who watch do not come back at once.
    let share = 0.75 + f64::from(std::process::id() % 64) / 128.0;
    while *failures < RECONNECTS {
        tokio::time::sleep((FIRST_PAUSE * (1 << *failures)).mul_f64(share)).await;
        *failures += 1;
        if let Ok(client) = way.connect().await {
            return Some(client);
        }
    }
    None
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
