//! Ends leases whose workers were not heard of in time. Leasing does the same first, so nothing waits for a timer.

use super::operation::Apply;
use super::sql::{Context, values};
use super::{Error, shard};

/// Asks to end leases.
#[derive(Debug, Clone)]
pub struct Expire {
    /// Whether to end all leases, also those before their deadline: only right where no worker can be alive.
    pub all: bool,
}

impl Apply for Expire {
    /// How many leases ended.
    fn apply(&self, context: &mut Context<'_>) -> Result<u64, Error> {
        if self.all { end_all(context) } else { sweep(context) }
    }
}

/// A lease: the shard's row, the worker, the fence.
type Over = (i64, String, u64);

/// Ends the leases whose deadline has passed.
pub(super) fn sweep(context: &mut Context<'_>) -> Result<u64, Error> {
    let over = until(context, context.now_ms)?;
    for (shard_id, worker, fence) in &over {
        shard::expire_lease(context, *shard_id, worker, *fence)?;
    }
    Ok(over.len() as u64)
}

/// No worker failed: their process ended, and the shards need not wait.
fn end_all(context: &mut Context<'_>) -> Result<u64, Error> {
    let over = until(context, u64::MAX)?;
    for (shard_id, worker, fence) in &over {
        let error = format!("the lease ended with the process of the worker `{worker}`");
        shard::lose_lease(context, *shard_id, worker, *fence, &error)?;
    }
    Ok(over.len() as u64)
}

fn until(context: &mut Context<'_>, until_ms: u64) -> Result<Vec<Over>, Error> {
    context.rows(
        "SELECT id, worker, fence FROM shards WHERE state = 'leased' AND deadline_ms <= ?1 ORDER BY id",
        values![until_ms],
        |row| Ok((row.int(0)?, row.text(1)?, row.unsigned(2)?)),
    )
}
