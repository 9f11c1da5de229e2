//! The facts about a worker.

use super::{AboutWorker, Error, LISTED_MAX, Lease, read_failed, read_waiting, select_failing, select_waiting};
use crate::ledger::sql::{Context, values};
use crate::ledger::workers;

/// What is known of the worker of this name, if there is one.
pub(super) fn about(context: &mut Context<'_>, name: &str) -> Result<Option<AboutWorker>, Error> {
    let Some(worker) = workers::maybe_find(context, name)? else { return Ok(None) };
    let leases = context.rows(
        "SELECT studies.name, shards.key, fence, leased_ms, deadline_ms, open
         FROM shards JOIN studies ON studies.id = shards.study_id
         WHERE shards.worker = ?1 AND shards.state = 'leased' ORDER BY shards.id LIMIT ?2",
        values![name, LISTED_MAX],
        |row| {
            Ok(Lease {
                study: row.text(0)?,
                shard: row.text(1)?,
                fence: row.unsigned(2)?,
                leased_ms: row.unsigned(3)?,
                deadline_ms: row.unsigned(4)?,
                open: row.unsigned(5)?,
            })
        },
    )?;
    let failing = context.rows(select_failing!("failing.worker = ?1"), values![name, LISTED_MAX], read_failed)?;
    let now_ms = context.now_ms;
    let waiting = context.rows(select_waiting!("state = 'active'"), values![now_ms, LISTED_MAX], read_waiting)?;
    Ok(Some(AboutWorker { worker, leases, failing, waiting }))
}
