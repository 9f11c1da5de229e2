//! Introduces a worker.

use super::Error;
use super::operation::Apply;
use super::sql::{Context, values};

/// A worker's introduction; again with the same name after a restart. Leases are left as they are: those that the
/// worker still knows of it goes on with, the others expire.
#[derive(Debug, Clone)]
pub struct Register {
    /// Its name, unique in the fleet.
    pub worker: String,
    /// How many runs it trains at the same time.
    pub slots: u32,
    /// The backend and instruction set it trains with.
    pub backend: String,
    /// Version of its program.
    pub version: String,
}

impl Apply for Register {
    fn apply(&self, context: &mut Context<'_>) -> Result<(), Error> {
        context.execute(
            "INSERT INTO workers (name, slots, backend, version, last_seen_ms) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (name) DO UPDATE SET slots = excluded.slots, backend = excluded.backend,
               version = excluded.version, last_seen_ms = excluded.last_seen_ms",
            values![&self.worker, self.slots, &self.backend, &self.version, context.now_ms],
        )?;
        Ok(())
    }
}

/// Notes that a worker was heard of; false if it is not registered.
pub(super) fn seen(context: &mut Context<'_>, worker: &str) -> Result<bool, Error> {
    let changed =
        context.execute("UPDATE workers SET last_seen_ms = ?2 WHERE name = ?1", values![worker, context.now_ms])?;
    Ok(changed > 0)
}
