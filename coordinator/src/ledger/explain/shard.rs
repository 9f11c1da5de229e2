//! The facts about a shard.

use super::study::standing;
use super::{AboutShard, Counts, Error, read_attempt};
use crate::ledger::sql::{Context, values};
use crate::ledger::state::{RunState, ShardState};
use crate::ledger::{queue, workers};

/// A shard's row.
struct Row {
    id: i64,
    study_id: i64,
    place: i64,
    study: String,
    worker: String,
    requirements: String,
    requires: usize,
    about: Plain,
}

/// What stands in the row itself.
struct Plain {
    data: String,
    condition: String,
    labels: String,
    model: String,
    state: ShardState,
    fence: u64,
    leased_ms: u64,
    deadline_ms: u64,
    not_before_ms: u64,
    setbacks: u32,
    avoid: String,
    split_from: String,
    wanted_by: String,
}

/// What is known of the shard of this id.
pub(super) fn about(context: &mut Context<'_>, key: &str) -> Result<AboutShard, Error> {
    let row = row(context, key)?.ok_or_else(|| Error::Nothing(key.to_string()))?;
    let holder = workers::maybe_find(context, &row.worker)?;
    let working = workers::working(context)?;
    let others = working.iter().filter(|worker| worker.name != row.about.avoid).count() as u64;
    let requirement = queue::requirements(&row.requirements)?.into_iter().nth(row.requires).unwrap_or_default();
    let needs = if requirement.is_empty() { String::new() } else { requirement.describe() };
    let fitting = working.iter().filter(|worker| requirement.lacking(&worker.has).is_none()).count() as u64;
    let runs = counts(context, row.id)?;
    let last_failure = context.row(
        "SELECT worker, fence, at_ms, outcome, error FROM attempts WHERE shard_id = ?1 AND outcome <> 'done'
         ORDER BY id DESC LIMIT 1",
        values![row.id],
        read_attempt,
    )?;
    let before = context.row(
        "SELECT COUNT(*) FROM shards WHERE study_id = ?1 AND place < ?2 AND state = 'pending' AND not_before_ms <= ?3",
        values![row.study_id, row.place, context.now_ms],
        |row| row.unsigned(0),
    )?;
    let study = standing(context, &row.study)?;
    let Plain {
        data,
        condition,
        labels,
        model,
        state,
        fence,
        leased_ms,
        deadline_ms,
        not_before_ms,
        setbacks,
        avoid,
        split_from,
        wanted_by,
    } = row.about;
    let before = before.unwrap_or_default();
    Ok(AboutShard {
        shard: key.to_string(),
        data,
        condition,
        labels,
        model,
        state,
        fence,
        holder,
        leased_ms,
        deadline_ms,
        not_before_ms,
        setbacks,
        avoid,
        split_from,
        wanted_by,
        others,
        needs,
        fitting,
        runs,
        last_failure,
        before,
        study,
    })
}

fn row(context: &mut Context<'_>, key: &str) -> Result<Option<Row>, Error> {
    context.row(
        "SELECT shards.id, study_id, place, studies.name, shards.worker, data, condition, labels, model, shards.state, fence,
                leased_ms, deadline_ms, not_before_ms, setbacks, avoid, requirements, requires, split_from, wanted_by
         FROM shards JOIN studies ON studies.id = shards.study_id WHERE shards.key = ?1",
        values![key],
        |row| {
            let state = row.text(9)?;
            Ok(Row {
                id: row.int(0)?,
                study_id: row.int(1)?,
                place: row.int(2)?,
                study: row.text(3)?,
                worker: row.text(4)?,
                requirements: row.text(16)?,
                requires: row.unsigned(17)?.try_into().unwrap_or(0),
                about: Plain {
                    data: row.text(5)?,
                    condition: row.text(6)?,
                    labels: row.text(7)?,
                    model: row.text(8)?,
                    state: ShardState::parse(&state).ok_or_else(|| Error::unreadable("shard state", &state))?,
                    fence: row.unsigned(10)?,
                    leased_ms: row.unsigned(11)?,
                    deadline_ms: row.unsigned(12)?,
                    not_before_ms: row.unsigned(13)?,
                    setbacks: row.unsigned(14)?.try_into().unwrap_or(u32::MAX),
                    avoid: row.text(15)?,
                    split_from: row.text(18)?,
                    wanted_by: row.text(19)?,
                },
            })
        },
    )
}

fn counts(context: &mut Context<'_>, shard_id: i64) -> Result<Counts, Error> {
    let mut counts = Counts::default();
    let found = context.rows(
        "SELECT state, COUNT(*) FROM runs WHERE shard_id = ?1 GROUP BY state",
        values![shard_id],
        |row| Ok((row.text(0)?, row.unsigned(1)?)),
    )?;
    for (state, number) in found {
        match RunState::parse(&state) {
            Some(RunState::Pending) => counts.pending = number,
            Some(RunState::Done) => counts.done = number,
            Some(RunState::Failed) => counts.failed = number,
            Some(RunState::Cancelled) => counts.cancelled = number,
            None => return Err(Error::unreadable("run state", &state)),
        }
    }
    Ok(counts)
}
