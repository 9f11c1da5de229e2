//! `curvefleet status`: where studies stand.

use clap::Args;
use curvefleet_proto::v1::{GetStudyRequest, ListStudiesRequest, StudyState, StudyStatus};

use super::print_json;
use crate::client::Coordinator;
use crate::failure::Failure;
use crate::listing::{grouped, print_table, study_state, time};
use crate::output::say;

/// Show where all studies stand, or one.
#[derive(Debug, Args)]
pub struct Status {
    /// The study's name; all studies unless given
    study: Option<String>,
    #[command(flatten)]
    coordinator: Coordinator,
    /// Print the status for programs
    #[arg(long)]
    json: bool,
}

impl Status {
    /// Shows.
    ///
    /// # Errors
    /// If the coordinator does not answer or knows no such study.
    pub async fn execute(self) -> Result<(), Failure> {
        let mut client = self.coordinator.connect().await?;
        let studies = match self.study {
            Some(name) => client.get_study(GetStudyRequest { name }).await?.into_inner().status.into_iter().collect(),
            None => client.list_studies(ListStudiesRequest {}).await?.into_inner().studies,
        };
        if self.json {
            print_json(&serde_json::Value::Array(studies.iter().map(json).collect()));
            return Ok(());
        }
        if studies.is_empty() {
            say!("there is no study yet; hand one in with: curvefleet submit studies/quickstart.toml");
            return Ok(());
        }
        let headings = ["study", "state", "priority", "done", "failed", "training", "waiting", "planned", "submitted"];
        print_table(&headings, &studies.iter().map(row).collect::<Vec<_>>());
        for study in studies.iter().filter(|study| !study.stop_reason.is_empty()) {
            say!("{} was stopped: {}", study.name, study.stop_reason);
        }
        for study in &studies {
            for unmet in &study.unmet {
                say!("{}: no worker that takes work has what some of its runs need: {unmet}", study.name);
            }
        }
        Ok(())
    }
}

fn row(study: &StudyStatus) -> Vec<String> {
    let runs = study.runs.unwrap_or_default();
    let mut row = vec![study.name.clone(), state(study).to_string(), study.priority.to_string()];
    row.extend([runs.done, runs.failed, runs.leased, runs.pending, runs.planned].map(grouped));
    row.push(time(study.submitted_ms));
    row
}

/// A study that rests is active; for a person it is paused.
fn state(study: &StudyStatus) -> &'static str {
    if study.paused_ms > 0 && study.state() == StudyState::Active { "paused" } else { study_state(study.state) }
}

fn json(study: &StudyStatus) -> serde_json::Value {
    let runs = study.runs.unwrap_or_default();
    serde_json::json!({
        "name": study.name, "hash": study.hash, "state": study_state(study.state), "stop_reason": study.stop_reason,
        "planned": runs.planned, "done": runs.done, "failed": runs.failed, "leased": runs.leased, "pending": runs.pending,
        "cancelled": runs.cancelled, "submitted_ms": study.submitted_ms, "ended_ms": study.ended_ms,
        "priority": study.priority, "paused_ms": study.paused_ms, "unmet": study.unmet,
        "manifest_runs": study.manifest_runs, "epochs_per_second": study.epochs_per_second, "epochs_left": study.epochs_left,
    })
}
