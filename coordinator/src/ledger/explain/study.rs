//! The facts about a study.

use super::{
    AboutStudy, Error, LISTED_MAX, Standing, Waiting, audit, read_failed, read_waiting, select_failing, select_waiting,
};
use crate::ledger::operation::Apply as _;
use crate::ledger::sql::{Context, values};
use crate::ledger::state::StudyState;
use crate::ledger::study::status_of;
use crate::ledger::workers::ListWorkers;

/// What is known of the study of this name, if there is one.
pub(super) fn about(context: &mut Context<'_>, name: &str) -> Result<Option<AboutStudy>, Error> {
    let standing = match standing(context, name) {
        Err(Error::NoStudy(_)) => return Ok(None),
        standing => standing?,
    };
    let now_ms = context.now_ms;
    let waiting = context.row(select_waiting!("name = ?3"), values![now_ms, 1_i64, name], read_waiting)?;
    let holders = context.rows(
        "SELECT shards.worker, COUNT(*) FROM shards JOIN studies ON studies.id = shards.study_id
         WHERE studies.name = ?1 AND shards.state = 'leased'
         GROUP BY shards.worker ORDER BY COUNT(*) DESC, shards.worker LIMIT ?2",
        values![name, LISTED_MAX],
        |row| Ok((row.text(0)?, row.unsigned(1)?)),
    )?;
    let errors = if standing.status.failed == 0 { Vec::new() } else { errors(context, name)? };
    let failing = context.rows(select_failing!("studies.name = ?1"), values![name, LISTED_MAX], read_failed)?;
    let empty = Waiting { study: name.to_string(), priority: 0, is_paused: false, ready: 0, backoff: 0, next_ms: 0 };
    Ok(Some(AboutStudy { standing, waiting: waiting.unwrap_or(empty), holders, failing, errors }))
}

fn errors(context: &mut Context<'_>, name: &str) -> Result<Vec<(String, u64, String)>, Error> {
    context.rows(
        "SELECT runs.error, COUNT(*), MIN(runs.key)
         FROM studies JOIN shards ON shards.study_id = studies.id JOIN runs ON runs.shard_id = shards.id
         WHERE studies.name = ?1 AND runs.state = 'failed'
         GROUP BY runs.error ORDER BY COUNT(*) DESC, runs.error LIMIT ?2",
        values![name, LISTED_MAX],
        |row| Ok((row.text(0)?, row.unsigned(1)?, row.text(2)?)),
    )
}

/// A study and what stands before it.
pub(super) fn standing(context: &mut Context<'_>, name: &str) -> Result<Standing, Error> {
    let status = status_of(context, name)?;
    let what = match (status.state, status.paused_ms > 0) {
        (StudyState::Cancelled, _) => "cancel",
        (StudyState::Active, true) => "pause",
        _ => "",
    };
    let entry = context.row(
        "SELECT id, at_ms, who, what, target, note FROM audit WHERE target = ?1 AND what = ?2 ORDER BY id DESC LIMIT 1",
        values![name, what],
        audit::read,
    )?;
    let now_ms = context.now_ms;
    let higher = context.rows(
        select_waiting!("state = 'active' AND paused_ms = 0 AND priority > ?3"),
        values![now_ms, LISTED_MAX, i64::from(status.priority)],
        read_waiting,
    )?;
    let workers = ListWorkers.apply(context)?;
    Ok(Standing {
        status,
        by_hand: entry,
        higher: higher.into_iter().filter(|waiting| waiting.ready > 0).collect(),
        working: workers.iter().filter(|worker| worker.takes_work()).count() as u64,
        drained: workers.iter().filter(|worker| worker.alive && worker.drained_ms > 0).count() as u64,
    })
}
