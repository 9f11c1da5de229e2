//! What becomes of the run that a lost worker had in training. A process that the system kills for want of memory says no word, and
//! looks like any machine that is gone. What tells it apart is that it happens again, on every worker, before the run has finished an
//! epoch: what a run needs at the most, it needs in its first epoch.

use super::attempt::{self, Entry};
use super::sql::{Context, values};
use super::{Error, fail};

/// So many workers in a row may be lost in the first epoch of a run by other causes. From this one on, each is held against the run:
/// with the default number of attempts, it is set aside when two more are lost.
pub const LOST_WORKERS: u64 = 5;

/// The run that was in training when a worker was heard of last.
struct Run {
    place: i64,
    study_id: i64,
    attempts: u32,
    lost_workers: u64,
    has_epoch: bool,
}

/// Takes note that the worker of a lease was lost, before the lease ends.
pub(super) fn note(context: &mut Context<'_>, shard_id: i64, worker: &str, fence: u64) -> Result<(), Error> {
    let Some(run) = in_training(context, shard_id)? else { return Ok(()) };
    let lost_workers = if run.has_epoch { 0 } else { run.lost_workers.saturating_add(1) };
    context.execute(
        "UPDATE runs SET lost_workers = ?3 WHERE shard_id = ?1 AND place = ?2",
        values![shard_id, run.place, lost_workers],
    )?;
    if lost_workers < LOST_WORKERS {
        return Ok(());
    }
    let error = format!(
        "{lost_workers} workers in a row, the last one `{worker}`, were lost before this run finished an epoch: it probably needs more \
         memory than they have, and the system ended them"
    );
    let entry = Entry { shard_id, place: run.place, worker, fence, outcome: "run", error: &error, log: "" };
    attempt::record(context, &entry)?;
    context.execute(
        "UPDATE runs SET error = ?3, worker = ?4 WHERE shard_id = ?1 AND place = ?2",
        values![shard_id, run.place, &error, worker],
    )?;
    fail::hold_against(context, shard_id, run.study_id, run.place, run.attempts, fence)
}

fn in_training(context: &mut Context<'_>, shard_id: i64) -> Result<Option<Run>, Error> {
    context.row(
        "SELECT runs.place, shards.study_id, runs.attempts, runs.lost_workers, shards.has_epoch
         FROM shards JOIN runs ON runs.shard_id = shards.id AND runs.key = shards.in_training
         WHERE shards.id = ?1 AND shards.state = 'leased' AND runs.state = 'pending' AND runs.tried_fence < shards.fence",
        values![shard_id],
        |row| {
            Ok(Run {
                place: row.int(0)?,
                study_id: row.int(1)?,
                attempts: row.unsigned(2)?.try_into().unwrap_or(u32::MAX),
                lost_workers: row.unsigned(3)?,
                has_epoch: row.unsigned(4)? > 0,
            })
        },
    )
}
