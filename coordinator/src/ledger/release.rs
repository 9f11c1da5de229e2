//! Takes leases back from a worker that stops politely.

use super::heartbeat::Held;
use super::operation::Apply;
use super::sql::{Context, values};
use super::{Error, register, shard};

/// Leases to hand back; the worker's others stay.
#[derive(Debug, Clone)]
pub struct Release {
    /// Who hands them back.
    pub worker: String,
    /// Which.
    pub held: Vec<Held>,
    /// The process that ends with this, if it does: all of its leases go back, also those it does not know of.
    pub leaving: Option<String>,
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
        if let Some(session) = &self.leaving {
            released += self.leave(context, session)?;
        }
        Ok(released)
    }
}

impl Release {
    /// Another process that has taken the worker's place stays.
    fn leave(&self, context: &mut Context<'_>, session: &str) -> Result<u32, Error> {
        let left = context.execute(
            "UPDATE workers SET left_ms = ?3 WHERE name = ?1 AND session = ?2",
            values![&self.worker, session, context.now_ms],
        )?;
        let held = if left > 0 { shard::held_by(context, &self.worker)? } else { Vec::new() };
        for lease in &held {
            shard::end_lease(context, lease.id, context.now_ms)?;
        }
        Ok(held.len().try_into().unwrap_or(u32::MAX))
    }
}
