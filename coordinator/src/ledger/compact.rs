//! Many small parts become one large one: which may be moved together, and the move.
//!
//! The ledger keeps every commit as it was and notes beside it in which object its rows lie now, so that a move is one small transaction
//! that changes no run. It never sees the objects: a coordinator takes a [`Plan`], writes the large part, reads it back and then says
//! so with [`EndCompaction`]. A part moves only if it is still loose at that moment. Its rows never change, and no run comes to it after
//! its commit, so that nothing that happens between plan and end can make the large part wrong:
//!
//! - A commit makes a new part, which is in no plan that was made before.
//! - A part that was lost meanwhile is not loose any more and does not move. Its rows in the large part are of runs that lie elsewhere
//!   or nowhere, and count for nothing: whoever reads a part takes from it the runs that the ledger or a manifest places there.
//! - A coordinator that dies before the end leaves an object that nothing names, which is garbage. One that comes late, after another
//!   has moved the same parts, moves nothing. No two plans of a study share a number, and the number is in the object's key.
//!
//! A run that other studies reuse is a run of the shard that its part was committed for: it was made done there first, and is lost in
//! all of them together.

use std::collections::HashMap;

use super::Error;
use super::operation::Apply;
use super::sql::{Context, values};
use super::study::id_of;

/// A large part is full with so many runs: a million of them are in a thousand objects, ...
pub const TARGET_RUNS: u64 = 1_000;
/// ... or with so many bytes, because whoever reads a part holds all of it in memory.
pub const TARGET_BYTES: u64 = 64 << 20;
/// Parts of at least so many bytes stay as they are; a large part has at most these beyond its target.
pub const LARGE_BYTES: u64 = TARGET_BYTES / 2;
/// What is left when a study has ended is moved together if there are at least so many parts: fewer are no burden.
pub const LAST_PARTS: u64 = 16;
/// How long a plan keeps others from compacting its study, in milliseconds: after that its coordinator is taken to be gone. Reading a
/// thousand parts from a slow store takes about a minute.
pub const CLAIM_MS: u64 = 180_000;

/// Asks for small parts that are to become a large one.
#[derive(Debug, Clone)]
pub struct PlanCompaction;

/// What is to become one large part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The study that the parts were committed for.
    pub study: String,
    /// The plan's number, which no other plan of the study ever had.
    pub claim: u64,
    /// The parts, in the order of the study's plan; those of one place in it by shard, then by age.
    pub sources: Vec<Source>,
}

/// A part that is to be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its key.
    pub part: String,
    /// Where its runs stand in the study's plan: the place of the shard that it was committed for, or that this one was split off.
    pub plan_place: u64,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// The runs that it made done, in the shard's order; others in it count for nothing.
    pub runs: Vec<String>,
}

/// Says what became of a plan.
#[derive(Debug, Clone)]
pub struct EndCompaction {
    /// The plan's study.
    pub study: String,
    /// The plan's number.
    pub claim: u64,
    /// The large part, if one was made.
    pub made: Option<Made>,
    /// Keys of parts that cannot be moved, because they are damaged: they stay as they are.
    pub unfit: Vec<String>,
}

/// A large part that is in the store and was read back.
#[derive(Debug, Clone)]
pub struct Made {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// The keys of the parts whose rows it holds.
    pub sources: Vec<String>,
}

/// Asks which parts of a study were moved, for whoever deletes what nothing names.
#[derive(Debug, Clone)]
pub struct ListMoved {
    /// The study that they were committed for.
    pub study: String,
    /// Only those that were moved then or later, in milliseconds since 1970.
    pub since_ms: u64,
    /// The key after which the page begins; empty for the first one.
    pub after: String,
    /// How many at most; at least 1.
    pub limit: u32,
}

/// A part whose rows are in a large one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Its key.
    pub part: String,
    /// When it was moved, in milliseconds since 1970.
    pub moved_ms: u64,
}

/// Whether a part that makes so many runs done may be moved.
pub(super) fn first_state(runs: u64, size_bytes: u64) -> &'static str {
    if runs > 0 && runs < TARGET_RUNS && size_bytes < LARGE_BYTES { "loose" } else { "kept" }
}

/// Counts a study's loose parts anew.
pub(super) fn recount(context: &mut Context<'_>, study_id: i64) -> Result<(), Error> {
    let counted = context.row(
        "SELECT COUNT(*), CAST(COALESCE(SUM(runs), 0) AS BIGINT), CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) FROM parts
         WHERE state = 'loose' AND study_id = ?1",
        values![study_id],
        |row| Ok((row.unsigned(0)?, row.unsigned(1)?, row.unsigned(2)?)),
    )?;
    let (parts, runs, bytes) = counted.unwrap_or_default();
    context.execute(
        "UPDATE studies SET loose_parts = ?2, loose_runs = ?3, loose_bytes = ?4 WHERE id = ?1",
        values![study_id, parts, runs, bytes],
    )?;
    Ok(())
}

/// A loose part.
struct Loose {
    id: i64,
    shard_id: i64,
    runs: u64,
    source: Source,
}

impl Apply for PlanCompaction {
    /// `None` where there is nothing to do, or others do it.
    fn apply(&self, context: &mut Context<'_>) -> Result<Option<Plan>, Error> {
        let until_ms = context.now_ms.saturating_add(CLAIM_MS);
        let claimed = context.row(
            "UPDATE studies SET compaction_claim = compaction_claim + 1, compaction_until_ms = ?2
             WHERE id = (SELECT id FROM studies
                         WHERE compaction_until_ms <= ?1 AND loose_parts > 0
                           AND (loose_runs >= ?3 OR loose_bytes >= ?4 OR (state <> 'active' AND loose_parts >= ?5))
                         ORDER BY id LIMIT 1)
             RETURNING id, name, compaction_claim",
            values![context.now_ms, until_ms, TARGET_RUNS, TARGET_BYTES, LAST_PARTS],
            |row| Ok((row.int(0)?, row.text(1)?, row.unsigned(2)?)),
        )?;
        let Some((study_id, study, claim)) = claimed else { return Ok(None) };
        Ok(Some(Plan { study, claim, sources: sources(context, study_id)? }))
    }
}

/// The first loose parts of a study that fill a large one, or all.
fn sources(context: &mut Context<'_>, study_id: i64) -> Result<Vec<Source>, Error> {
    // Each has a run, so that so many are enough.
    let mut loose = context.rows(
        "SELECT parts.id, parts.shard_id, parts.runs, parts.key, shards.plan_place, parts.size_bytes, parts.sha256
         FROM parts JOIN shards ON shards.id = parts.shard_id
         WHERE parts.state = 'loose' AND parts.study_id = ?1 ORDER BY parts.shard_id, parts.id LIMIT ?2",
        values![study_id, TARGET_RUNS],
        |row| {
            let source = Source {
                part: row.text(3)?,
                plan_place: row.unsigned(4)?,
                size_bytes: row.unsigned(5)?,
                sha256: row.text(6)?,
                runs: Vec::new(),
            };
            Ok(Loose { id: row.int(0)?, shard_id: row.int(1)?, runs: row.unsigned(2)?, source })
        },
    )?;
    loose.truncate(filling(&loose));
    let Some(last) = loose.last().map(|last| last.shard_id) else { return Ok(Vec::new()) };
    // What was split off a shard goes beside it.
    loose.sort_by_key(|part| part.source.plan_place);
    let runs = context.rows(
        "SELECT part_id, key FROM runs
         WHERE state = 'done' AND shard_id IN
           (SELECT shard_id FROM parts WHERE state = 'loose' AND study_id = ?1 AND shard_id <= ?2)
         ORDER BY shard_id, place",
        values![study_id, last],
        |row| Ok((row.maybe_int(0)?, row.text(1)?)),
    )?;
    let mut of_part: HashMap<i64, Vec<String>> = HashMap::new();
    for (part_id, run) in runs {
        if let Some(part_id) = part_id {
            of_part.entry(part_id).or_default().push(run);
        }
    }
    let with_runs = |loose: Loose| Source { runs: of_part.remove(&loose.id).unwrap_or_default(), ..loose.source };
    Ok(loose.into_iter().map(with_runs).collect())
}

/// How many of the parts fill a large one.
fn filling(parts: &[Loose]) -> usize {
    let (mut runs, mut bytes) = (0, 0);
    let fills = |part: &Loose| {
        runs += part.runs;
        bytes += part.source.size_bytes;
        runs >= TARGET_RUNS || bytes >= TARGET_BYTES
    };
    parts.iter().position(fills).map_or(parts.len(), |last| last + 1)
}

impl Apply for EndCompaction {
    /// How many parts have moved.
    fn apply(&self, context: &mut Context<'_>) -> Result<u64, Error> {
        let study_id = id_of(context, &self.study)?;
        for key in &self.unfit {
            context.execute(
                "UPDATE parts SET state = 'kept' WHERE key = ?1 AND study_id = ?2 AND state = 'loose'",
                values![key, study_id],
            )?;
        }
        let moved = self.made.as_ref().map_or(Ok(0), |made| made.note(context, study_id))?;
        recount(context, study_id)?;
        context.execute(
            "UPDATE studies SET compaction_until_ms = 0 WHERE id = ?1 AND compaction_claim = ?2",
            values![study_id, self.claim],
        )?;
        Ok(moved)
    }
}

impl Made {
    fn note(&self, context: &mut Context<'_>, study_id: i64) -> Result<u64, Error> {
        let known = context.row("SELECT id FROM compactions WHERE key = ?1", values![&self.key], |row| row.int(0))?;
        if known.is_some() {
            return Ok(0);
        }
        let id = context.row(
            "INSERT INTO compactions (study_id, key, size_bytes, sha256, at_ms) VALUES (?1, ?2, ?3, ?4, ?5) RETURNING id",
            values![study_id, &self.key, self.size_bytes, &self.sha256, context.now_ms],
            |row| row.int(0),
        )?;
        let id = id.ok_or_else(|| Error::unreadable("id", "an inserted compaction's"))?;
        let sources: Vec<_> = self.sources.iter().map(|key| values![key, study_id, id].to_vec()).collect();
        context.execute_many(
            "UPDATE parts SET state = 'moved', compaction_id = ?3 WHERE key = ?1 AND study_id = ?2 AND state = 'loose'",
            &sources,
        )?;
        let moved = context
            .row("SELECT COUNT(*) FROM parts WHERE compaction_id = ?1", values![id], |row| row.unsigned(0))?
            .unwrap_or_default();
        if moved == 0 {
            context.execute("DELETE FROM compactions WHERE id = ?1", values![id])?;
            return Ok(0);
        }
        // The studies whose manifests name the parts. A part's runs are runs of the shard that it was committed for.
        context.execute(
            "UPDATE studies SET changes = changes + 1 WHERE id IN (
               SELECT shards.study_id
               FROM (SELECT DISTINCT shard_id FROM parts WHERE compaction_id = ?1) AS source
                 JOIN runs AS own ON own.shard_id = source.shard_id
                 JOIN parts ON parts.id = own.part_id AND parts.compaction_id = ?1
                 JOIN runs ON runs.key = own.key AND runs.part_id = own.part_id
                 JOIN shards ON shards.id = runs.shard_id)",
            values![id],
        )?;
        Ok(moved)
    }
}

impl Apply for ListMoved {
    fn apply(&self, context: &mut Context<'_>) -> Result<Vec<Moved>, Error> {
        let study_id = id_of(context, &self.study)?;
        context.rows(
            "SELECT parts.key, compactions.at_ms FROM compactions JOIN parts ON parts.compaction_id = compactions.id
             WHERE compactions.study_id = ?1 AND compactions.at_ms >= ?2 AND parts.key > ?3
             ORDER BY parts.key LIMIT ?4",
            values![study_id, self.since_ms, &self.after, self.limit],
            |row| Ok(Moved { part: row.text(0)?, moved_ms: row.unsigned(1)? }),
        )
    }
}
