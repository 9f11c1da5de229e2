//! The diary of attempts, for a person to read.

use super::Error;
use super::sql::{Context, values};

/// An attempt at one run.
pub(super) struct Entry<'a> {
    /// The run's shard.
    pub shard_id: i64,
    /// The run's place in the shard.
    pub place: i64,
    /// Who tried.
    pub worker: &'a str,
    /// Under which lease.
    pub fence: u64,
    /// `done`, `infrastructure`, `run`, `study`, or `lost` where a done run was taken back.
    pub outcome: &'a str,
    /// Empty where it succeeded.
    pub error: &'a str,
    /// The worker's last lines.
    pub log: &'a str,
}

const INSERT: &str = "INSERT INTO attempts (shard_id, place, worker, fence, at_ms, outcome, error, log)
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

/// Writes down an attempt at one run.
pub(super) fn record(context: &mut Context<'_>, entry: &Entry<'_>) -> Result<(), Error> {
    let Entry { shard_id, place, worker, fence, outcome, error, log } = *entry;
    let at_ms = context.now_ms;
    context.execute(INSERT, values![shard_id, place, worker, fence, at_ms, outcome, error, log])?;
    Ok(())
}

/// Writes down attempts at several runs.
pub(super) fn record_all(context: &mut Context<'_>, entries: &[Entry<'_>]) -> Result<(), Error> {
    let at_ms = context.now_ms;
    let sets: Vec<_> = entries
        .iter()
        .map(|&Entry { shard_id, place, worker, fence, outcome, error, log }| {
            values![shard_id, place, worker, fence, at_ms, outcome, error, log].to_vec()
        })
        .collect();
    context.execute_many(INSERT, &sets)
}

/// Writes down that a whole lease ended by the fault of the machine or the network: one row for all its runs.
pub(super) fn record_lease_end(
    context: &mut Context<'_>,
    shard_id: i64,
    worker: &str,
    fence: u64,
    error: &str,
) -> Result<(), Error> {
    let (no_place, at_ms) = (None::<i64>, context.now_ms);
    context.execute(INSERT, values![shard_id, no_place, worker, fence, at_ms, "infrastructure", error, ""])?;
    Ok(())
}

/// The diary of runs that have gone from one shard to another goes with them, and so does what ended leases that they were under.
pub(super) fn follow(context: &mut Context<'_>, from: i64, to: i64) -> Result<(), Error> {
    context.execute(
        "INSERT INTO attempts (shard_id, place, worker, fence, at_ms, outcome, error, log)
         SELECT CAST(?2 AS BIGINT), place, worker, fence, at_ms, outcome, error, log FROM attempts
         WHERE shard_id = ?1 AND (place IS NULL OR place IN (SELECT place FROM runs WHERE shard_id = ?2)) ORDER BY id",
        values![from, to],
    )?;
    context.execute(
        "DELETE FROM attempts WHERE shard_id = ?1 AND place IN (SELECT place FROM runs WHERE shard_id = ?2)",
        values![from, to],
    )?;
    Ok(())
}
