//! The facts about a worker.

use super::{AboutWorker, Error, LISTED_MAX, Lease, read_failed, read_waiting, select_failing, select_waiting};
use crate::ledger::queue;
use crate::ledger::sql::{Context, values};
use crate::ledger::workers::{self, Worker};

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
    let lacking = lacking(context, &worker)?;
    Ok(Some(AboutWorker { worker, leases, failing, waiting, lacking }))
}

/// What the worker lacks for shards that wait, by study.
fn lacking(context: &mut Context<'_>, worker: &Worker) -> Result<Vec<(String, String)>, Error> {
    let studies = context.rows(
        "SELECT id, name, requirements FROM studies WHERE state = 'active' AND requirements <> ''
         ORDER BY priority DESC, id LIMIT ?1",
        values![LISTED_MAX],
        |row| Ok((row.int(0)?, row.text(1)?, row.text(2)?)),
    )?;
    let mut all = Vec::new();
    for (study_id, study, list) in studies {
        for (requirement, place) in queue::requirements(&list)?.iter().zip(0_i64..) {
            let Some(lacking) = requirement.lacking(&worker.has) else { continue };
            let waits = context.row(
                "SELECT 1 FROM shards WHERE study_id = ?1 AND requires = ?2 AND state = 'pending' LIMIT 1",
                values![study_id, place],
                |row| row.int(0),
            )?;
            all.extend(waits.map(|_| (study.clone(), lacking)));
        }
    }
    Ok(all)
}
