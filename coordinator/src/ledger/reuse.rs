//! Runs that are done in one study are done in all: the same id means the same numbers.

use std::collections::{BTreeMap, BTreeSet};

use super::Error;
use super::shard::{self, Delta};
use super::sql::{Context, values};

/// Marks the pending runs of a shard that are done elsewhere as done; says how many. The caller settles the shard and
/// counts them.
pub(super) fn adopt_done(context: &mut Context<'_>, shard_id: i64) -> Result<u64, Error> {
    let found = context.rows(
        "SELECT runs.place, MIN(other.part_id) FROM runs JOIN runs AS other ON other.key = runs.key
         WHERE runs.shard_id = ?1 AND runs.state = 'pending' AND other.state = 'done'
         GROUP BY runs.place ORDER BY runs.place",
        values![shard_id],
        |row| Ok((row.int(0)?, row.int(1)?)),
    )?;
    let done: Vec<_> = found.iter().map(|(place, part_id)| (shard_id, *place, *part_id)).collect();
    mark_done(context, &done)?;
    Ok(found.len() as u64)
}

/// Marks runs, by shard and place, as done by parts. The runs of a part mostly stand side by side in their shard: one statement is
/// enough for those.
pub(super) fn mark_done(context: &mut Context<'_>, runs: &[(i64, i64, i64)]) -> Result<(), Error> {
    let mut runs = runs.to_vec();
    runs.sort_unstable();
    let side_by_side = |&a: &(i64, i64, i64), &b: &(i64, i64, i64)| (a.0, a.1 + 1, a.2) == b;
    let sets: Vec<_> = runs
        .chunk_by(side_by_side)
        .filter_map(|runs| Some((runs.first()?, runs.last()?)))
        .map(|((shard_id, first, part_id), (_, last, _))| values![*shard_id, *first, *last, *part_id].to_vec())
        .collect();
    context.execute_many(
        "UPDATE runs SET state = 'done', part_id = ?4, error = '', worker = (SELECT worker FROM parts WHERE id = ?4)
         WHERE shard_id = ?1 AND place BETWEEN ?2 AND ?3",
        &sets,
    )
}

/// Marks the runs of a shard that a part has just made done as done in the other studies that wait for them.
pub(super) fn spread(context: &mut Context<'_>, shard_id: i64, part_id: i64) -> Result<(), Error> {
    let waiting = context.rows(
        "SELECT other.shard_id, other.place, shards.study_id
         FROM runs JOIN runs AS other ON other.key = runs.key JOIN shards ON shards.id = other.shard_id
         WHERE runs.shard_id = ?1 AND runs.part_id = ?2 AND other.state = 'pending'
         ORDER BY other.shard_id, other.place",
        values![shard_id, part_id],
        |row| Ok((row.int(0)?, row.int(1)?, row.int(2)?)),
    )?;
    let mut studies: BTreeMap<i64, i64> = BTreeMap::new();
    let mut shards = BTreeSet::new();
    let done: Vec<_> = waiting.iter().map(|(other_shard_id, place, _)| (*other_shard_id, *place, part_id)).collect();
    mark_done(context, &done)?;
    for (other_shard_id, _, study_id) in waiting {
        *studies.entry(study_id).or_default() += 1;
        shards.insert(other_shard_id);
    }
    for other_shard_id in shards {
        shard::settle(context, other_shard_id)?;
    }
    for (study_id, done) in studies {
        shard::count(context, study_id, Delta { done, ..Delta::default() })?;
    }
    Ok(())
}
