//! Renews a worker's leases.

use super::operation::Apply;
use super::sql::{Context, values};
use super::{Error, register};

/// A lease that a message names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The shard's id.
    pub shard: String,
    /// The lease's fence.
    pub fence: u64,
}

/// A worker's sign of life. Leases that it does not name are not renewed.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    /// Who it is.
    pub worker: String,
    /// The leases it holds.
    pub held: Vec<Held>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// For each lease that was named, in order: the study it belongs to, or `None` where the lease is not the worker's
    /// any more.
    pub studies: Vec<Option<String>>,
    /// Whether the worker is known; if not, it registers again.
    pub registered: bool,
}

impl Apply for Heartbeat {
    fn apply(&self, context: &mut Context<'_>) -> Result<Heard, Error> {
        let registered = register::seen(context, &self.worker)?;
        let deadline_ms = context.now_ms.saturating_add(context.settings.lease_ms);
        let mut studies = Vec::with_capacity(self.held.len());
        for held in &self.held {
            let study = context.row(
                "UPDATE shards SET deadline_ms = ?4
                 WHERE key = ?1 AND worker = ?2 AND fence = ?3 AND state = 'leased'
                 RETURNING (SELECT name FROM studies WHERE studies.id = shards.study_id)",
                values![&held.shard, &self.worker, held.fence, deadline_ms],
                |row| row.text(0),
            )?;
            studies.push(study);
        }
        Ok(Heard { studies, registered })
    }
}
