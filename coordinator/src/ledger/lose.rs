//! Takes back the runs of parts that are lost: the one way from done to anything else.
//!
//! The ledger cannot see the store. It is told that a part is lost by the service, which has read the part and found it missing or
//! with other bytes, because a person asked it to look or a new study would reuse its runs. A part here is an object of the store: where
//! rows were moved into a large part ([`super::compact`]), that one is lost with all of them, and the loss of one that they were moved from
//! changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::operation::Apply;
use super::sql::{Context, values};
use super::study::{Status, id_of, status_of};
use super::{Error, attempt, audit, compact};

/// Asks what parts of a study must be.
#[derive(Debug, Clone)]
pub struct CommittedParts {
    /// The study's name.
    pub study: String,
    /// The parts' keys.
    pub parts: Vec<String>,
}

/// A part as it was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedPart {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// Parts that are lost. Their done runs go back into the queue in every study that has them from there; in studies that were
/// cancelled or stopped they are given up like the others.
#[derive(Debug, Clone)]
pub struct Lose {
    /// The study that someone looked at.
    pub study: String,
    /// The parts, each with what was found; those that no done run of any study lies in change nothing.
    pub parts: Vec<(String, String)>,
    /// Who asks, for the audit ...
    pub who: String,
    /// ... and what for: `retry damaged`, or `submit` of a study that would have reused the runs.
    pub what: &'static str,
}

/// What became of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Lost {
    /// How many runs of the study are not done any more.
    pub requeued: u64,
    /// The study's status now.
    pub status: Status,
}

/// A run that a part made done.
struct Row {
    shard_id: i64,
    place: i64,
    study_id: i64,
    goes_on: bool,
    worker: String,
    fence: u64,
}

impl Apply for CommittedParts {
    /// Those that done runs of the study lie in.
    fn apply(&self, context: &mut Context<'_>) -> Result<Vec<CommittedPart>, Error> {
        let study_id = id_of(context, &self.study)?;
        let mut found = Vec::new();
        for key in &self.parts {
            // By way of the runs' ids, which are indexed: a part's runs are runs of the shard that it was committed for.
            let part = context.row(
                "SELECT COALESCE(compactions.size_bytes, parts.size_bytes), COALESCE(compactions.sha256, parts.sha256)
                 FROM (SELECT id FROM parts WHERE key = ?1 AND compaction_id IS NULL
                       UNION ALL SELECT parts.id FROM compactions JOIN parts ON parts.compaction_id = compactions.id
                       WHERE compactions.key = ?1) AS named
                   JOIN parts ON parts.id = named.id LEFT JOIN compactions ON compactions.id = parts.compaction_id
                   JOIN runs AS own ON own.shard_id = parts.shard_id
                   JOIN runs ON runs.key = own.key JOIN shards ON shards.id = runs.shard_id
                 WHERE runs.part_id = parts.id AND runs.state = 'done' AND shards.study_id = ?2
                 LIMIT 1",
                values![key, study_id],
                |row| Ok((row.unsigned(0)?, row.text(1)?)),
            )?;
            found.extend(part.map(|(size_bytes, sha256)| CommittedPart { key: key.clone(), size_bytes, sha256 }));
        }
        Ok(found)
    }
}

impl Apply for Lose {
    fn apply(&self, context: &mut Context<'_>) -> Result<Lost, Error> {
        let study_id = id_of(context, &self.study)?;
        let mut requeued = 0;
        for (part, found) in &self.parts {
            let rows = rows(context, part)?;
            requeued += rows.iter().filter(|row| row.study_id == study_id).count() as u64;
            lose(context, &rows, &format!("the part {part} {found}"))?;
            let kept = context.row(
                "UPDATE parts SET state = 'kept' WHERE key = ?1 AND state = 'loose' RETURNING study_id",
                values![part],
                |row| row.int(0),
            )?;
            if let Some(study_id) = kept {
                compact::recount(context, study_id)?;
            }
            if !rows.is_empty() {
                audit::record(context, &self.who, self.what, part, found)?;
            }
        }
        Ok(Lost { requeued, status: status_of(context, &self.study)? })
    }
}

/// The runs that lie in a part, in all studies.
fn rows(context: &mut Context<'_>, part: &str) -> Result<Vec<Row>, Error> {
    context.rows(
        "SELECT runs.shard_id, runs.place, shards.study_id, studies.state, parts.worker, parts.fence
         FROM (SELECT id FROM parts WHERE key = ?1 AND compaction_id IS NULL
               UNION ALL SELECT parts.id FROM compactions JOIN parts ON parts.compaction_id = compactions.id
               WHERE compactions.key = ?1) AS named
           JOIN parts ON parts.id = named.id
           JOIN runs AS own ON own.shard_id = parts.shard_id AND own.part_id = parts.id
           JOIN runs ON runs.key = own.key JOIN shards ON shards.id = runs.shard_id
           JOIN studies ON studies.id = shards.study_id
         WHERE runs.part_id = parts.id AND runs.state = 'done'
         ORDER BY runs.shard_id, runs.place",
        values![part],
        |row| {
            let state = row.text(3)?;
            Ok(Row {
                shard_id: row.int(0)?,
                place: row.int(1)?,
                study_id: row.int(2)?,
                goes_on: state == "active" || state == "finished",
                worker: row.text(4)?,
                fence: row.unsigned(5)?,
            })
        },
    )
}

fn lose(context: &mut Context<'_>, rows: &[Row], error: &str) -> Result<(), Error> {
    let mut studies: BTreeMap<i64, (bool, i64)> = BTreeMap::new();
    for row in rows {
        let state = if row.goes_on { "pending" } else { "cancelled" };
        // `tried_fence` stays: a lease that is still held may commit the run again, or fail it, and the next one has a higher fence.
        context.execute(
            "UPDATE runs SET state = ?3, part_id = NULL, attempts = 0, lost_workers = 0, error = '', worker = ''
             WHERE shard_id = ?1 AND place = ?2",
            values![row.shard_id, row.place, state],
        )?;
        let Row { shard_id, place, fence, .. } = *row;
        let entry = attempt::Entry { shard_id, place, worker: &row.worker, fence, outcome: "lost", error, log: "" };
        attempt::record(context, &entry)?;
        studies.entry(row.study_id).or_insert((row.goes_on, 0)).1 += 1;
    }
    for shard_id in rows.iter().map(|row| row.shard_id).collect::<BTreeSet<_>>() {
        reopen_shard(context, shard_id)?;
    }
    for (study_id, (goes_on, lost)) in studies {
        reopen_study(context, study_id, goes_on, lost)?;
    }
    Ok(())
}

/// A shard that is leased stays so: its worker does not know of the lost runs, and they are leased when it is through.
fn reopen_shard(context: &mut Context<'_>, shard_id: i64) -> Result<(), Error> {
    context.execute(
        "UPDATE shards SET open = (SELECT COUNT(*) FROM runs WHERE runs.shard_id = shards.id AND runs.state = 'pending')
         WHERE id = ?1",
        values![shard_id],
    )?;
    context.execute(
        "UPDATE shards SET state = 'pending', not_before_ms = 0, setbacks = 0, avoid = ''
         WHERE id = ?1 AND state = 'closed' AND open > 0",
        values![shard_id],
    )?;
    Ok(())
}

fn reopen_study(context: &mut Context<'_>, study_id: i64, goes_on: bool, lost: i64) -> Result<(), Error> {
    let query = if goes_on {
        "UPDATE studies SET done = done - ?2, state = 'active', ended_ms = 0, changes = changes + 1 WHERE id = ?1"
    } else {
        "UPDATE studies SET done = done - ?2, cancelled = cancelled + ?2, changes = changes + 1 WHERE id = ?1"
    };
    context.execute(query, values![study_id, lost])?;
    Ok(())
}
