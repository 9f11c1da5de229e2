//! `curvefleet runs`: a study's runs.

use clap::{Args, ValueEnum};
use curvefleet_proto::v1::{ListRunsRequest, RunState, RunStatus};

use crate::client::Coordinator;
use crate::failure::Failure;
use crate::listing::{print_table, run_state};
use crate::output::say;

/// List a study's runs.
#[derive(Debug, Args)]
pub struct Runs {
    /// The study's name
    study: String,
    /// Only runs in this state
    #[arg(long, value_enum)]
    state: Option<State>,
    #[command(flatten)]
    coordinator: Coordinator,
    /// Print one JSON object per run
    #[arg(long)]
    json: bool,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    /// Waiting or in training
    Pending,
    /// Its curve is committed
    Done,
    /// Set aside after too many failed attempts
    Failed,
    /// Given up with its study
    Cancelled,
}

impl Runs {
    /// Lists.
    ///
    /// # Errors
    /// If the coordinator does not answer or knows no such study.
    pub async fn execute(self) -> Result<(), Failure> {
        let mut client = self.coordinator.connect().await?;
        let state = match self.state {
            None => RunState::Unspecified,
            Some(State::Pending) => RunState::Pending,
            Some(State::Done) => RunState::Done,
            Some(State::Failed) => RunState::Failed,
            Some(State::Cancelled) => RunState::Cancelled,
        };
        let mut page = String::new();
        let mut rows = Vec::new();
        loop {
            let request = ListRunsRequest { study: self.study.clone(), state: state.into(), page_size: 0, page };
            let reply = client.list_runs(request).await?.into_inner();
            match self.json {
                true => reply.runs.iter().for_each(|run| say!("{}", json(run))),
                false => rows.extend(reply.runs.iter().map(row)),
            }
            page = reply.next_page;
            if page.is_empty() {
                break;
            }
        }
        if !self.json && rows.is_empty() {
            say!("no run of study {} is in that state", self.study);
        } else if !self.json {
            print_table(
                &["run", "data", "condition", "labels", "model", "seed", "state", "attempts", "worker", "error"],
                &rows,
            );
        }
        Ok(())
    }
}

fn row(run: &RunStatus) -> Vec<String> {
    let text = [&run.run, &run.data, &run.condition, &run.labels, &run.model].map(String::clone);
    let mut row = Vec::from(text);
    row.extend([
        run.seed.to_string(),
        run_state(run.state).to_string(),
        run.attempts.to_string(),
        run.worker.clone(),
        run.error.clone(),
    ]);
    row
}

fn json(run: &RunStatus) -> serde_json::Value {
    serde_json::json!({
        "run": run.run, "shard": run.shard, "data": run.data, "condition": run.condition, "labels": run.labels, "model": run.model,
        "seed": run.seed, "state": run_state(run.state), "attempts": run.attempts, "error": run.error, "part": run.part, "worker": run.worker,
    })
}
