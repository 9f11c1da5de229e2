//! What becomes of the runs that a lost worker had in training. A process that the system kills for want of memory says no word, and
//! looks like any machine that is gone. What tells it apart is that it happens again, on every worker, before the run has finished an
//! epoch: what a run needs at the most, it needs in its first epoch.

use super::attempt::{self, Entry};
use super::sql::{Context, values};
use super::{Error, fail};

/// So many workers in a row may be lost in the first epoch of a run by other causes. From this one on, each is held against the run:
/// with the default number of attempts, it is set aside when two more are lost.
pub const LOST_WORKERS: u64 = 5;

/// A run that was in training when a worker was heard of last.
struct Run {
    place: i64,
    attempts: u32,
    lost_workers: u64,
}

/// Takes note that the worker of a lease was lost, before the lease ends.
pub(super) fn note(context: &mut Context<'_>, shard_id: i64, worker: &str, fence: u64) -> Result<(), Error> {
    let told = context.row(
        "SELECT study_id, in_training FROM shards
         WHERE id = ?1 AND state = 'leased' AND in_training <> '' AND has_epoch = 0",
        values![shard_id],
        |row| Ok((row.int(0)?, row.text(1)?)),
    )?;
    let Some((study_id, in_training)) = told else { return Ok(()) };
    context.execute("UPDATE shards SET suspect = 1 WHERE id = ?1", values![shard_id])?;
    for key in in_training.split(',') {
        if let Some(run) = open(context, shard_id, key, fence)? {
            suspect(context, (shard_id, study_id), run, (worker, fence))?;
        }
    }
    Ok(())
}

/// Takes note that these runs of a shard have finished an epoch.
pub(super) fn clear(context: &mut Context<'_>, shard_id: i64, runs: &[String]) -> Result<(), Error> {
    let sets: Vec<_> = runs.iter().map(|key| values![shard_id, key].to_vec()).collect();
    context.execute_many("UPDATE runs SET lost_workers = 0 WHERE shard_id = ?1 AND key = ?2", &sets)?;
    context.execute(
        "UPDATE shards SET suspect = CASE
           WHEN EXISTS (SELECT 1 FROM runs WHERE runs.shard_id = shards.id AND runs.lost_workers > 0) THEN 1 ELSE 0 END
         WHERE id = ?1",
        values![shard_id],
    )?;
    Ok(())
}

/// A run of the shard that is to be done, and has not been held against under this lease.
fn open(context: &mut Context<'_>, shard_id: i64, key: &str, fence: u64) -> Result<Option<Run>, Error> {
    context.row(
        "SELECT place, attempts, lost_workers FROM runs
         WHERE shard_id = ?1 AND key = ?2 AND state = 'pending' AND tried_fence < ?3",
        values![shard_id, key, fence],
        |row| {
            let attempts = row.unsigned(1)?.try_into().unwrap_or(u32::MAX);
            Ok(Run { place: row.int(0)?, attempts, lost_workers: row.unsigned(2)? })
        },
    )
}

fn suspect(
    context: &mut Context<'_>,
    (shard_id, study_id): (i64, i64),
    run: Run,
    (worker, fence): (&str, u64),
) -> Result<(), Error> {
    let (place, lost_workers) = (run.place, run.lost_workers.saturating_add(1));
    context.execute(
        "UPDATE runs SET lost_workers = ?3 WHERE shard_id = ?1 AND place = ?2",
        values![shard_id, place, lost_workers],
    )?;
    if lost_workers < LOST_WORKERS {
        return Ok(());
    }
    let error = format!(
        "{lost_workers} workers in a row, the last one `{worker}`, were lost before this run finished an epoch with them: it probably \
         needs more memory than they have, and the system ended them"
    );
    attempt::record(context, &Entry { shard_id, place, worker, fence, outcome: "run", error: &error, log: "" })?;
    context.execute(
        "UPDATE runs SET error = ?3, worker = ?4 WHERE shard_id = ?1 AND place = ?2",
        values![shard_id, place, &error, worker],
    )?;
    fail::hold_against(context, shard_id, study_id, place, run.attempts, fence)
}
