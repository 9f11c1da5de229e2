//! `curvefleet pause`, `curvefleet resume` and `curvefleet priority`.

use clap::Args;
use curvefleet_proto::v1::{PauseStudyRequest, PrioritizeStudyRequest, ResumeStudyRequest, StudyState, StudyStatus};

use super::watch::outcome;
use crate::client::Coordinator;
use crate::failure::Failure;
use crate::listing::counted;
use crate::output::say;

/// Let a study rest: none of its runs is given out. Workers finish the epoch at hand, leave checkpoints and hand back.
#[derive(Debug, Args)]
pub struct Pause {
    /// The study's name
    study: String,
    /// Why, for those who read `curvefleet audit` and `curvefleet explain`
    #[arg(long, default_value = "")]
    reason: String,
    #[command(flatten)]
    coordinator: Coordinator,
}

/// Let a study that rests go on.
#[derive(Debug, Args)]
pub struct Resume {
    /// The study's name
    study: String,
    #[command(flatten)]
    coordinator: Coordinator,
}

/// Put a study before or behind others: those of higher priority are given out first, those of the same share the workers.
#[derive(Debug, Args)]
pub struct Priority {
    /// The study's name
    study: String,
    /// 0 unless given; may be negative
    #[arg(allow_negative_numbers = true)]
    priority: i32,
    #[command(flatten)]
    coordinator: Coordinator,
}

impl Pause {
    /// Pauses.
    ///
    /// # Errors
    /// If the coordinator does not answer or knows no such study.
    pub async fn execute(self) -> Result<(), Failure> {
        let mut client = self.coordinator.connect().await?;
        let request = PauseStudyRequest { name: self.study, reason: self.reason };
        let status = client.pause_study(request).await?.into_inner().status.unwrap_or_default();
        if status.state() != StudyState::Active {
            say!("{}; there is nothing to pause", outcome(&status));
            return Ok(());
        }
        let held = status.runs.unwrap_or_default().leased;
        say!("study {} is paused{}", status.name, if held > 0 { handing_back(held) } else { String::new() });
        say!("let it go on with: curvefleet resume {}", status.name);
        Ok(())
    }
}

fn handing_back(runs: u64) -> String {
    format!("; workers finish the epoch at hand and hand back {}", counted(runs, "run"))
}

impl Resume {
    /// Resumes.
    ///
    /// # Errors
    /// If the coordinator does not answer or knows no such study.
    pub async fn execute(self) -> Result<(), Failure> {
        let mut client = self.coordinator.connect().await?;
        let reply = client.resume_study(ResumeStudyRequest { name: self.study }).await?.into_inner();
        say!("{}", goes_on(&reply.status.unwrap_or_default()));
        Ok(())
    }
}

fn goes_on(status: &StudyStatus) -> String {
    let runs = status.runs.unwrap_or_default();
    match status.state() {
        StudyState::Active => {
            format!("study {} goes on: {} to do", status.name, counted(runs.pending + runs.leased, "run"))
        }
        _ => outcome(status),
    }
}

impl Priority {
    /// Changes the priority.
    ///
    /// # Errors
    /// If the coordinator does not answer or knows no such study.
    pub async fn execute(self) -> Result<(), Failure> {
        let mut client = self.coordinator.connect().await?;
        let request = PrioritizeStudyRequest { name: self.study, priority: self.priority };
        let status = client.prioritize_study(request).await?.into_inner().status.unwrap_or_default();
        say!("study {} has priority {}; what is leased already stays where it is", status.name, status.priority);
        Ok(())
    }
}
