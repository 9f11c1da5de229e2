//! `curvefleet drain` and `curvefleet undrain`.

use clap::Args;
use curvefleet_proto::v1::{DrainWorkerRequest, UndrainWorkerRequest};

use crate::client::Coordinator;
use crate::failure::Failure;
use crate::listing::counted;
use crate::output::say;

/// Drain a worker: it finishes the epochs at hand, leaves checkpoints, hands back what it holds and is given nothing. It stays
/// connected, and drained until `curvefleet undrain`, also when it is started anew.
#[derive(Debug, Args)]
pub struct Drain {
    /// The worker's name
    worker: String,
    /// Why, for those who read `curvefleet audit` and `curvefleet explain`
    #[arg(long, default_value = "")]
    reason: String,
    #[command(flatten)]
    coordinator: Coordinator,
}

/// Let a drained worker work again.
#[derive(Debug, Args)]
pub struct Undrain {
    /// The worker's name
    worker: String,
    #[command(flatten)]
    coordinator: Coordinator,
}

impl Drain {
    /// Drains.
    ///
    /// # Errors
    /// If the coordinator does not answer or knows no such worker.
    pub async fn execute(self) -> Result<(), Failure> {
        let mut client = self.coordinator.connect().await?;
        let request = DrainWorkerRequest { worker: self.worker, reason: self.reason };
        let worker = client.drain_worker(request).await?.into_inner().worker.unwrap_or_default();
        match (worker.alive, worker.shards) {
            (true, 0) => say!("worker {} is drained; it holds nothing", worker.name),
            (true, held) => say!(
                "worker {} is drained; it finishes the epochs at hand and hands back {}",
                worker.name,
                counted(u64::from(held), "shard")
            ),
            (false, _) => say!("worker {} is drained, for when it comes back", worker.name),
        }
        say!("let it work again with: curvefleet undrain {}", worker.name);
        Ok(())
    }
}

impl Undrain {
    /// Undrains.
    ///
    /// # Errors
    /// If the coordinator does not answer or knows no such worker.
    pub async fn execute(self) -> Result<(), Failure> {
        let mut client = self.coordinator.connect().await?;
        let reply = client.undrain_worker(UndrainWorkerRequest { worker: self.worker }).await?.into_inner();
        let worker = reply.worker.unwrap_or_default();
        let when = if worker.alive { "" } else { " when it comes back" };
        say!("worker {} is given work again{when}", worker.name);
        Ok(())
    }
}
