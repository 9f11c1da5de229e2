//! Gives away runs that have not begun, because another worker has nothing to do.

use std::sync::Arc;

use curvefleet_proto::v1::{Held, SplitRequest};

use super::Shared;
use super::holdings::{Holding, Spare};
use super::link::Verdict;

/// Hands back what another worker would have of a lease.
pub fn share(shared: &Arc<Shared>, lease: &Held) {
    let Some(holding) = shared.holdings.find(&lease.shard, lease.fence) else { return };
    match holding.spare() {
        Spare::All => shared.holdings.hand_back(&lease.shard, lease.fence),
        Spare::Runs(runs) => drop(tokio::spawn(tell(shared.clone(), holding, runs))),
        Spare::Told => {}
    }
}

/// Tells the coordinator that these runs will not be begun.
async fn tell(shared: Arc<Shared>, holding: Arc<Holding>, runs: Vec<u32>) {
    let Held { shard, fence, .. } = holding.held();
    if !runs.is_empty() {
        tracing::info!(
            worker = shared.name,
            shard,
            runs = runs.len(),
            "hands runs back: another worker has nothing to do"
        );
    }
    let request = SplitRequest { worker: shared.name.clone(), shard: shard.clone(), fence, runs };
    match shared.link.split(&request).await {
        Ok(Verdict::Accepted) => holding.spared(),
        Ok(Verdict::Stale) => drop(shared.holdings.lose(&shard, fence)),
        // The runs go back with the lease.
        Err(status) => {
            tracing::warn!(worker = shared.name, shard, error = status.message(), "the coordinator takes no runs back");
        }
    }
}
