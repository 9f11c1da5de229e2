//! Where a shard goes when its runs have changed or its lease ends, and the counters that go with it.

use super::backoff::backoff_ms;
use super::sql::{Context, values};
use super::{Error, attempt, vanish};

/// A shard under the lease that a message names.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// The shard's row.
    pub id: i64,
    /// Its study's row.
    pub study_id: i64,
    /// Its study's name.
    pub study: String,
    /// Infrastructure failures since something was committed last.
    pub setbacks: u32,
}

/// The shard that `worker` holds under `fence`; `None` if the message is stale.
pub(super) fn held(context: &mut Context<'_>, shard: &str, worker: &str, fence: u64) -> Result<Option<Held>, Error> {
    context.row(
        "SELECT shards.id, shards.study_id, studies.name, shards.setbacks
         FROM shards JOIN studies ON studies.id = shards.study_id
         WHERE shards.key = ?1 AND shards.worker = ?2 AND shards.fence = ?3 AND shards.state = 'leased'",
        values![shard, worker, fence],
        |row| {
            Ok(Held {
                id: row.int(0)?,
                study_id: row.int(1)?,
                study: row.text(2)?,
                setbacks: row.unsigned(3)?.try_into().unwrap_or(u32::MAX),
            })
        },
    )
}

/// Counts a shard's pending runs again and moves the shard on: it closes when none is left, and its lease ends when
/// every one that is left was tried under it. Says whether it closed.
pub(super) fn settle(context: &mut Context<'_>, shard_id: i64) -> Result<bool, Error> {
    let counts = context.row(
        "SELECT COUNT(*), COALESCE(SUM(CASE WHEN runs.tried_fence < shards.fence THEN 1 ELSE 0 END), 0),
                COALESCE(MAX(runs.attempts), 0)
         FROM runs JOIN shards ON shards.id = runs.shard_id
         WHERE runs.shard_id = ?1 AND runs.state = 'pending'",
        values![shard_id],
        |row| Ok((row.unsigned(0)?, row.unsigned(1)?, row.unsigned(2)?)),
    )?;
    let (open, untried, attempts) = counts.unwrap_or_default();
    context.execute("UPDATE shards SET open = ?2 WHERE id = ?1", values![shard_id, open])?;
    if open == 0 {
        context.execute(
            "UPDATE shards SET state = 'closed', worker = '', deadline_ms = 0 WHERE id = ?1",
            values![shard_id],
        )?;
    } else if untried == 0 {
        let wait_ms = backoff_ms(attempts.try_into().unwrap_or(u32::MAX));
        end_failed_lease(context, shard_id, context.now_ms.saturating_add(wait_ms))?;
    }
    Ok(open == 0)
}

/// A lease of a worker.
pub(super) struct OfWorker {
    /// The shard's row.
    pub id: i64,
    /// The shard's id.
    pub shard: String,
    /// The lease's fence.
    pub fence: u64,
}

/// All leases of a worker.
pub(super) fn held_by(context: &mut Context<'_>, worker: &str) -> Result<Vec<OfWorker>, Error> {
    context.rows(
        "SELECT id, key, fence FROM shards WHERE worker = ?1 AND state = 'leased' ORDER BY id",
        values![worker],
        |row| Ok(OfWorker { id: row.int(0)?, shard: row.text(1)?, fence: row.unsigned(2)? }),
    )
}

/// Puts a leased shard back into the queue, not to be leased before `not_before_ms`. Does nothing to other shards.
pub(super) fn end_lease(context: &mut Context<'_>, shard_id: i64, not_before_ms: u64) -> Result<(), Error> {
    context.execute(
        "UPDATE shards SET state = 'pending', worker = '', deadline_ms = 0, not_before_ms = ?2
         WHERE id = ?1 AND state = 'leased'",
        values![shard_id, not_before_ms],
    )?;
    Ok(())
}

/// As [`end_lease`], after a failure on the lease's worker: others are tried first.
pub(super) fn end_failed_lease(context: &mut Context<'_>, shard_id: i64, not_before_ms: u64) -> Result<(), Error> {
    context.execute("UPDATE shards SET avoid = worker WHERE id = ?1 AND state = 'leased'", values![shard_id])?;
    end_lease(context, shard_id, not_before_ms)
}

/// Ends the lease of a worker that was not heard of in time, and writes it down. The shard waits longer with each setback in a
/// row, because it may be what kills its workers.
pub(super) fn expire_lease(context: &mut Context<'_>, shard_id: i64, worker: &str, fence: u64) -> Result<(), Error> {
    let error = format!("the lease ended because nothing was heard of the worker `{worker}` in time");
    attempt::record_lease_end(context, shard_id, worker, fence, &error)?;
    vanish::note(context, shard_id, worker, fence)?;
    let setbacks = context.row(
        "UPDATE shards SET setbacks = setbacks + 1 WHERE id = ?1 RETURNING setbacks",
        values![shard_id],
        |row| row.unsigned(0),
    )?;
    let wait_ms = backoff_ms(setbacks.unwrap_or(1).try_into().unwrap_or(u32::MAX));
    let not_before_ms = context.now_ms.saturating_add(wait_ms);
    end_lease(context, shard_id, not_before_ms)?;
    // Where what was noted has ended it, for a shorter time.
    context.execute(
        "UPDATE shards SET not_before_ms = ?2 WHERE id = ?1 AND state = 'pending' AND not_before_ms < ?2",
        values![shard_id, not_before_ms],
    )?;
    Ok(())
}

/// Ends a lease that its worker does not know of, and writes it down. Nothing was tried, so that nothing waits.
pub(super) fn lose_lease(
    context: &mut Context<'_>,
    shard_id: i64,
    worker: &str,
    fence: u64,
    error: &str,
) -> Result<(), Error> {
    attempt::record_lease_end(context, shard_id, worker, fence, error)?;
    end_lease(context, shard_id, context.now_ms)
}

/// By how much a study's counters change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Delta {
    /// Runs done.
    pub done: i64,
    /// Runs set aside.
    pub failed: i64,
    /// Runs given up.
    pub cancelled: i64,
}

/// Counts changed runs of a study, and ends the study when none of its runs is open.
pub(super) fn count(context: &mut Context<'_>, study_id: i64, delta: Delta) -> Result<(), Error> {
    context.execute(
        "UPDATE studies SET done = done + ?2, failed = failed + ?3, cancelled = cancelled + ?4, changes = changes + 1
         WHERE id = ?1",
        values![study_id, delta.done, delta.failed, delta.cancelled],
    )?;
    context.execute(
        "UPDATE studies SET state = 'finished', ended_ms = ?2
         WHERE id = ?1 AND state = 'active' AND done + failed + cancelled = planned",
        values![study_id, context.now_ms],
    )?;
    Ok(())
}

/// Gives up a study's pending runs and closes its shards. Their workers learn of it at their next heartbeat.
pub(super) fn give_up(context: &mut Context<'_>, study_id: i64) -> Result<(), Error> {
    let cancelled = context.execute(
        "UPDATE runs SET state = 'cancelled'
         WHERE state = 'pending' AND shard_id IN (SELECT id FROM shards WHERE study_id = ?1 AND state <> 'closed')",
        values![study_id],
    )?;
    context.execute(
        "UPDATE shards SET state = 'closed', worker = '', deadline_ms = 0, open = 0
         WHERE study_id = ?1 AND state <> 'closed'",
        values![study_id],
    )?;
    let cancelled = i64::try_from(cancelled).unwrap_or(i64::MAX);
    count(context, study_id, Delta { cancelled, ..Delta::default() })
}
