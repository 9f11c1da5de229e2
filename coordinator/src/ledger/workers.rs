//! Lists the workers.

use curvefleet_proto::requirement::Capabilities;

use super::Error;
use super::operation::Apply;
use super::sql::{Context, Row, values};

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
    /// What it has.
    pub has: Capabilities,
    /// When its process introduced itself, milliseconds since 1970; 0 where an older coordinator did not note it.
    pub registered_ms: u64,
    /// When it was last heard of, milliseconds since 1970.
    pub last_seen_ms: u64,
    /// When it ended politely, milliseconds since 1970; 0 where it has not.
    pub left_ms: u64,
    /// How many shards it holds.
    pub shards: u32,
    /// Whether it was heard of within a lease's time and has not ended.
    pub alive: bool,
    /// Since when it is drained, milliseconds since 1970; 0 where it is not.
    pub drained_ms: u64,
    /// Who drained it.
    pub drained_by: String,
    /// Why.
    pub drain_reason: String,
}

impl Worker {
    /// Whether it is given shards that need nothing in particular.
    pub fn takes_work(&self) -> bool {
        self.alive && self.drained_ms == 0
    }
}

/// The columns that [`read`] reads, in its order, with what follows them in a query.
macro_rules! select_workers {
    ($rest:literal) => {
        concat!(
            "SELECT name, slots, backend, version, has, registered_ms, last_seen_ms, left_ms,
                    (SELECT COUNT(*) FROM shards WHERE shards.worker = workers.name AND shards.state = 'leased'),
                    drained_ms, drained_by, drain_reason
             FROM workers ",
            $rest
        )
    };
}

impl Apply for ListWorkers {
    fn apply(&self, context: &mut Context<'_>) -> Result<Vec<Worker>, Error> {
        let alive_since_ms = alive_since_ms(context);
        context.rows(select_workers!("ORDER BY name"), values![], |row| read(row, alive_since_ms))
    }
}

/// The worker of this name.
pub(super) fn find(context: &mut Context<'_>, name: &str) -> Result<Worker, Error> {
    maybe_find(context, name)?.ok_or_else(|| Error::UnknownWorker(name.to_string()))
}

/// The worker of this name, if there is one.
pub(super) fn maybe_find(context: &mut Context<'_>, name: &str) -> Result<Option<Worker>, Error> {
    let alive_since_ms = alive_since_ms(context);
    context.row(select_workers!("WHERE name = ?1"), values![name], |row| read(row, alive_since_ms))
}

/// The workers that are given work, by name.
pub(super) fn working(context: &mut Context<'_>) -> Result<Vec<Worker>, Error> {
    let alive_since_ms = alive_since_ms(context);
    context.rows(
        select_workers!("WHERE last_seen_ms >= ?1 AND left_ms = 0 AND drained_ms = 0 ORDER BY name"),
        values![alive_since_ms],
        |row| read(row, alive_since_ms),
    )
}

/// How many runs are trained at the same time: by one worker, and by all that are given work.
pub(super) fn slots(context: &mut Context<'_>, worker: &str) -> Result<(u64, u64), Error> {
    let alive_since_ms = alive_since_ms(context);
    let slots = context.row(
        "SELECT CAST(COALESCE(SUM(CASE WHEN name = ?2 THEN slots ELSE 0 END), 0) AS BIGINT),
                CAST(COALESCE(SUM(slots), 0) AS BIGINT)
         FROM workers WHERE last_seen_ms >= ?1 AND left_ms = 0 AND drained_ms = 0",
        values![alive_since_ms, worker],
        |row| Ok((row.unsigned(0)?, row.unsigned(1)?)),
    )?;
    Ok(slots.unwrap_or_default())
}

/// Workers that were heard of since are alive.
pub(super) fn alive_since_ms(context: &Context<'_>) -> u64 {
    context.now_ms.saturating_sub(context.settings.lease_ms)
}

fn read(row: &dyn Row, alive_since_ms: u64) -> Result<Worker, Error> {
    let (has, last_seen_ms, left_ms) = (row.text(4)?, row.unsigned(6)?, row.unsigned(7)?);
    Ok(Worker {
        name: row.text(0)?,
        slots: row.unsigned(1)?.try_into().unwrap_or(u32::MAX),
        backend: row.text(2)?,
        version: row.text(3)?,
        has: capabilities(&has)?,
        registered_ms: row.unsigned(5)?,
        last_seen_ms,
        left_ms,
        shards: row.unsigned(8)?.try_into().unwrap_or(u32::MAX),
        alive: last_seen_ms >= alive_since_ms && left_ms == 0,
        drained_ms: row.unsigned(9)?,
        drained_by: row.text(10)?,
        drain_reason: row.text(11)?,
    })
}

/// What a worker that registered with an older coordinator has is not known.
pub(super) fn capabilities(json: &str) -> Result<Capabilities, Error> {
    if json.is_empty() {
        return Ok(Capabilities::default());
    }
    serde_json::from_str(json).map_err(|source| Error::Database(std::sync::Arc::new(source)))
}
