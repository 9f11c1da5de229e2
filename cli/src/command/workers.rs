//! `curvefleet workers`: the fleet.

use clap::Args;
use curvefleet_proto::v1::{ListWorkersRequest, WorkerStatus};

use super::print_json;
use crate::client::Coordinator;
use crate::failure::Failure;
use crate::listing::{print_table, time};
use crate::output::say;

/// List the workers.
#[derive(Debug, Args)]
pub struct Workers {
    #[command(flatten)]
    coordinator: Coordinator,
    /// Print the workers for programs
    #[arg(long)]
    json: bool,
}

impl Workers {
    /// Lists.
    ///
    /// # Errors
    /// If the coordinator does not answer.
    pub async fn execute(self) -> Result<(), Failure> {
        let mut client = self.coordinator.connect().await?;
        let workers = client.list_workers(ListWorkersRequest {}).await?.into_inner().workers;
        if self.json {
            print_json(&workers.iter().map(json).collect());
        } else if workers.is_empty() {
            say!(
                "no worker has called yet; start one with: curvefleet worker --coordinator {}",
                self.coordinator.coordinator.join(",")
            );
        } else {
            print_table(
                &["worker", "alive", "slots", "shards", "backend", "version", "last seen"],
                &workers.iter().map(row).collect::<Vec<_>>(),
            );
        }
        Ok(())
    }
}

fn row(worker: &WorkerStatus) -> Vec<String> {
    let alive = if worker.alive { "yes" } else { "no" };
    let mut row = vec![worker.name.clone(), alive.to_string(), worker.slots.to_string(), worker.shards.to_string()];
    row.extend([worker.backend.clone(), worker.version.clone(), time(worker.last_seen_ms)]);
    row
}

fn json(worker: &WorkerStatus) -> serde_json::Value {
    serde_json::json!({
        "name": worker.name, "alive": worker.alive, "slots": worker.slots, "shards": worker.shards, "backend": worker.backend,
        "version": worker.version, "last_seen_ms": worker.last_seen_ms,
    })
}
