//! Takes leases back from a worker that stops politely.

use super::heartbeat::Held;
use super::operation::Apply;
use super::sql::Context;
use super::{Error, register, shard};

/// Leases to hand back; the worker's others stay.
#[derive(Debug, Clone)]
pub struct Release {
    /// Who hands them back.
    pub worker: String,
    /// Which.
    pub held: Vec<Held>,
}

impl Apply for Release {
    /// How many were the worker's to hand back.
    fn apply(&self, context: &mut Context<'_>) -> Result<u32, Error> {
        register::seen(context, &self.worker)?;
        let mut released = 0;
        for held in &self.held {
            if let Some(held) = shard::held(context, &held.shard, &self.worker, held.fence)? {
                shard::end_lease(context, held.id, context.now_ms)?;
                released += 1;
            }
        }
        Ok(released)
    }
}
