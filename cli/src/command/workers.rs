//! `curvefleet workers`: the fleet.

use clap::Args;
use curvefleet_proto::v1::{ListWorkersRequest, WorkerStatus};

use super::print_json;
use crate::client::Coordinator;
use crate::failure::Failure;
use crate::listing::{counted, print_table, time};
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
                &["worker", "state", "slots", "shards", "has", "backend", "version", "last seen"],
                &workers.iter().map(row).collect::<Vec<_>>(),
            );
        }
        for worker in workers.iter().filter(|worker| !self.json && worker.drained_ms > 0) {
            let why = if worker.drain_reason.is_empty() { String::new() } else { format!(": {}", worker.drain_reason) };
            say!("{} was drained by {}{why}; curvefleet undrain {}", worker.name, worker.drained_by, worker.name);
        }
        Ok(())
    }
}

fn row(worker: &WorkerStatus) -> Vec<String> {
    let mut row = vec![worker.name.clone(), state(worker).to_string()];
    row.extend([worker.slots.to_string(), worker.shards.to_string(), has(worker)]);
    row.extend([worker.backend.clone(), worker.version.clone(), time(worker.last_seen_ms)]);
    row
}

/// Where it stands, in a word.
fn state(worker: &WorkerStatus) -> &'static str {
    match (worker.left_ms > 0, worker.alive, worker.drained_ms > 0) {
        (true, ..) => "ended",
        (_, false, _) => "silent",
        (_, _, true) => "drained",
        _ => "alive",
    }
}

/// What it has, in a few words.
fn has(worker: &WorkerStatus) -> String {
    let mut parts = vec![counted(u64::from(worker.cores), "core")];
    if worker.memory_bytes > 0 {
        parts.push(format!("{:.0} GiB", worker.memory_bytes as f64 / f64::from(1 << 30)));
    }
    parts.extend(worker.gpus.iter().cloned());
    let mut labels: Vec<String> = worker.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    labels.sort();
    parts.extend(labels);
    parts.join(", ")
}

fn json(worker: &WorkerStatus) -> serde_json::Value {
    serde_json::json!({
        "name": worker.name, "alive": worker.alive, "slots": worker.slots, "shards": worker.shards, "backend": worker.backend,
        "version": worker.version, "last_seen_ms": worker.last_seen_ms, "registered_ms": worker.registered_ms, "left_ms": worker.left_ms,
        "cores": worker.cores, "memory_bytes": worker.memory_bytes, "gpus": worker.gpus, "labels": worker.labels,
        "drained_ms": worker.drained_ms, "drained_by": worker.drained_by, "drain_reason": worker.drain_reason,
    })
}
