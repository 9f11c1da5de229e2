//! Lists the workers.

use super::Error;
use super::operation::Apply;
use super::sql::{Context, values};

/// Asks for all workers, by name.
#[derive(Debug, Clone)]
pub struct ListWorkers;

/// One worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// Its name.
    pub name: String,
    /// How many runs it trains at the same time.
    pub slots: u32,
    /// The backend and instruction set it trains with.
    pub backend: String,
    /// Version of its program.
    pub version: String,
    /// When it was last heard of, milliseconds since 1970.
    pub last_seen_ms: u64,
    /// How many shards it holds.
    pub shards: u32,
    /// Whether it was heard of within a lease's time.
    pub alive: bool,
}

impl Apply for ListWorkers {
    fn apply(&self, context: &mut Context<'_>) -> Result<Vec<Worker>, Error> {
        let alive_since_ms = context.now_ms.saturating_sub(context.settings.lease_ms);
        context.rows(
            "SELECT name, slots, backend, version, last_seen_ms,
                    (SELECT COUNT(*) FROM shards WHERE shards.worker = workers.name AND shards.state = 'leased')
             FROM workers ORDER BY name",
            values![],
            |row| {
                let last_seen_ms = row.unsigned(4)?;
                Ok(Worker {
                    name: row.text(0)?,
                    slots: row.unsigned(1)?.try_into().unwrap_or(u32::MAX),
                    backend: row.text(2)?,
                    version: row.text(3)?,
                    last_seen_ms,
                    shards: row.unsigned(5)?.try_into().unwrap_or(u32::MAX),
                    alive: last_seen_ms >= alive_since_ms,
                })
            },
        )
    }
}
