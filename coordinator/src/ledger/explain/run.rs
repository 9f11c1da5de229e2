//! The facts about a run.

use super::{AboutRun, Error, RUN_PLACES_MAX, RunPlace, shard};
use crate::ledger::logs::{Attempt, Logs};
use crate::ledger::operation::Apply as _;
use crate::ledger::runs;
use crate::ledger::sql::{Context, values};

/// Attempts that are told.
pub const ATTEMPTS_MAX: usize = 10;

/// What is known of the run of this id.
pub(super) fn about(context: &mut Context<'_>, key: &str) -> Result<AboutRun, Error> {
    let logs = Logs { run: key.to_string() }.apply(context)?;
    let skipped = logs.attempts.len().saturating_sub(ATTEMPTS_MAX);
    let attempts = logs.attempts.into_iter().skip(skipped).map(|attempt| Attempt { log: String::new(), ..attempt });
    let attempts = attempts.collect();
    let rows = context.rows(
        "SELECT shards.plan_place, runs.place, runs.key, shards.key, data, condition, labels, model, seed, runs.state,
                attempts, error, COALESCE(parts.key, ''), runs.worker,
                COALESCE(parts.committed_ms, 0),
                CASE WHEN shards.state = 'leased' AND runs.tried_fence = shards.fence THEN 1 ELSE 0 END
         FROM runs JOIN shards ON shards.id = runs.shard_id LEFT JOIN parts ON parts.id = runs.part_id
         WHERE runs.key = ?1 ORDER BY shards.study_id LIMIT ?2",
        values![key, RUN_PLACES_MAX],
        |row| Ok((runs::read(row)?, row.unsigned(14)?, row.int(15)? == 1)),
    )?;
    let mut places = Vec::new();
    for (run, committed_ms, is_tried) in rows {
        let shard = shard::about(context, &run.shard)?;
        places.push(RunPlace { run, committed_ms, is_tried, shard });
    }
    Ok(AboutRun { run: key.to_string(), attempts, left_out: logs.left_out + skipped as u64, places })
}
