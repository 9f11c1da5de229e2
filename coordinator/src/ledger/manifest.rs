//! The rows of a study's manifest, and whether the manifest in the store shows them.

use std::collections::HashSet;

use super::operation::Apply;
use super::origin::Training;
use super::runs::Place;
use super::sql::{Context, Row, values};
use super::study::id_of;
use super::{Error, origin};

/// How long a claim keeps others away, in milliseconds: after that its coordinator is taken to be gone, ...
const CLAIM_MS: u64 = 15_000;
/// ... and one millisecond more for so many runs of the study, because a large manifest takes longer.
const RUNS_PER_CLAIM_MS: u64 = 20;

/// Asks which studies have a manifest in the store that does not show all that the ledger knows.
#[derive(Debug, Clone)]
pub struct StaleManifests;

/// A study whose manifest is stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// The study's name.
    pub study: String,
    /// Whether the study has ended, so that someone waits for its manifest.
    pub ended: bool,
    /// How many runs its manifest will have.
    pub runs: u64,
}

/// Asks for a page of a manifest.
#[derive(Debug, Clone)]
pub struct ReadPage {
    /// The study's name.
    pub study: String,
    /// The run after which the page begins; `None` for the first page.
    pub after: Option<Place>,
    /// How many rows at most; at least 1.
    pub limit: u32,
}

/// A page of a manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Counts the study's changes; a manifest shows at least those up to its first page's count.
    pub changes: u64,
    /// Runs that are done or failed, in the plan's order.
    pub entries: Vec<Entry>,
    /// The last entry's place, where there may be more.
    pub next: Option<Place>,
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The run's place in the plan.
    pub place: Place,
    /// The run's id.
    pub run: String,
    /// The data set's name.
    pub data: String,
    /// The condition's name.
    pub condition: String,
    /// `true` or `shuffled`.
    pub labels: String,
    /// The model's name.
    pub model: String,
    /// The run's seed.
    pub seed: u64,
    /// The shard's id.
    pub shard: String,
    /// `done` or `failed`.
    pub state: String,
    /// The key of the part that holds its curve now; `None` for failed runs, as are all columns of the part.
    pub part: Option<String>,
    /// The part's size in bytes.
    pub size_bytes: Option<u64>,
    /// SHA-256 of the part.
    pub sha256: Option<String>,
    /// The fence under which the part was committed.
    pub fence: Option<u64>,
    /// Who committed the part, or failed last.
    pub worker: Option<String>,
    /// When the part was committed, milliseconds since 1970.
    pub committed_ms: Option<u64>,
    /// Failures held against the run.
    pub attempts: u32,
    /// The last error.
    pub error: Option<String>,
    /// How it was trained; `None` for failed runs, and where no one said so.
    pub training: Option<Training>,
}

/// Asks for the right to write a study's manifest. One coordinator at a time has it, so that an older manifest does not overwrite a
/// newer one.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The study's name.
    pub study: String,
}

/// Gives the right back without having written.
#[derive(Debug, Clone)]
pub struct Abandon {
    /// The study's name.
    pub study: String,
    /// The number that [`Claim`] was answered.
    pub claim: u64,
}

/// Notes that a manifest has been written, and gives the right back.
#[derive(Debug, Clone)]
pub struct Written {
    /// The study's name.
    pub study: String,
    /// The number that [`Claim`] was answered.
    pub claim: u64,
    /// [`Page::changes`] of its first page.
    pub changes: u64,
    /// How many runs it has.
    pub runs: u64,
}

impl Apply for StaleManifests {
    fn apply(&self, context: &mut Context<'_>) -> Result<Vec<Stale>, Error> {
        context.rows(
            "SELECT name, state, done + failed FROM studies WHERE changes <> manifest_changes ORDER BY id",
            values![],
            |row| Ok(Stale { study: row.text(0)?, ended: row.text(1)? != "active", runs: row.unsigned(2)? }),
        )
    }
}

impl Apply for ReadPage {
    fn apply(&self, context: &mut Context<'_>) -> Result<Page, Error> {
        let study_id = id_of(context, &self.study)?;
        let changes = context
            .row("SELECT changes FROM studies WHERE id = ?1", values![study_id], |row| row.unsigned(0))?
            .unwrap_or_default();
        let (shard, run) = self.after.map_or((0, -1), |(shard, run)| (clamp(shard), clamp(run)));
        let rows = context.rows(
            "SELECT shards.plan_place, runs.place, runs.key, data, condition, labels, model, seed, shards.key, runs.state,
                    attempts, error, runs.worker,
                    COALESCE(compactions.key, parts.key), COALESCE(compactions.size_bytes, parts.size_bytes),
                    COALESCE(compactions.sha256, parts.sha256), parts.fence, parts.worker, parts.committed_ms, parts.id
             FROM shards JOIN runs ON runs.shard_id = shards.id LEFT JOIN parts ON parts.id = runs.part_id
               LEFT JOIN compactions ON compactions.id = parts.compaction_id
             WHERE shards.study_id = ?1 AND shards.plan_place >= ?2 AND (shards.plan_place > ?2 OR runs.place > ?3)
               AND runs.state IN ('done', 'failed')
             ORDER BY shards.plan_place, runs.place LIMIT ?4",
            values![study_id, shard, run, self.limit],
            read,
        )?;
        let full = rows.len() >= self.limit as usize;
        let last = rows.last().map(|(entry, _)| entry.place);
        let entries = with_training(context, study_id, (shard, run), rows)?;
        Ok(Page { changes, entries, next: last.filter(|_| full) })
    }
}

/// The entries after a place, each with the row of its part, with what is known of their training.
fn with_training(
    context: &mut Context<'_>,
    study_id: i64,
    after: (i64, i64),
    rows: Vec<(Entry, Option<i64>)>,
) -> Result<Vec<Entry>, Error> {
    let Some((last, _)) = rows.last() else { return Ok(Vec::new()) };
    let last = (clamp(last.place.0), clamp(last.place.1));
    let wanted: HashSet<&str> = rows.iter().map(|(entry, _)| entry.run.as_str()).collect();
    let mut known = origin::of_runs(context, study_id, after, last, &wanted)?;
    let known_of = |(entry, part_id): (Entry, Option<i64>)| {
        let training = part_id.and_then(|id| known.remove(&(id, entry.run.clone())));
        Entry { training, ..entry }
    };
    Ok(rows.into_iter().map(known_of).collect())
}

fn clamp(place: u64) -> i64 {
    i64::try_from(place).unwrap_or(i64::MAX)
}

/// An entry, and the row of its part.
fn read(row: &dyn Row) -> Result<(Entry, Option<i64>), Error> {
    let unsigned = |column| Ok::<_, Error>(row.maybe_int(column)?.and_then(|number| u64::try_from(number).ok()));
    let filled = |text: String| Some(text).filter(|text| !text.is_empty());
    let entry = Entry {
        place: (row.unsigned(0)?, row.unsigned(1)?),
        run: row.text(2)?,
        data: row.text(3)?,
        condition: row.text(4)?,
        labels: row.text(5)?,
        model: row.text(6)?,
        seed: row.unsigned(7)?,
        shard: row.text(8)?,
        state: row.text(9)?,
        attempts: row.unsigned(10)?.try_into().unwrap_or(u32::MAX),
        error: filled(row.text(11)?),
        part: row.maybe_text(13)?,
        size_bytes: unsigned(14)?,
        sha256: row.maybe_text(15)?,
        fence: unsigned(16)?,
        worker: row.maybe_text(17)?.or(filled(row.text(12)?)),
        committed_ms: unsigned(18)?,
        training: None,
    };
    Ok((entry, row.maybe_int(19)?))
}

impl Apply for Claim {
    /// The claim's number; `None` while another has the right.
    fn apply(&self, context: &mut Context<'_>) -> Result<Option<u64>, Error> {
        let study_id = id_of(context, &self.study)?;
        let until_ms = context.now_ms.saturating_add(CLAIM_MS);
        context.row(
            "UPDATE studies SET manifest_claim = manifest_claim + 1, manifest_until_ms = ?3 + planned / ?4
             WHERE id = ?1 AND manifest_until_ms <= ?2 RETURNING manifest_claim",
            values![study_id, context.now_ms, until_ms, RUNS_PER_CLAIM_MS],
            |row| row.unsigned(0),
        )
    }
}

impl Apply for Abandon {
    fn apply(&self, context: &mut Context<'_>) -> Result<(), Error> {
        let study_id = id_of(context, &self.study)?;
        context.execute(
            "UPDATE studies SET manifest_until_ms = 0 WHERE id = ?1 AND manifest_claim = ?2",
            values![study_id, self.claim],
        )?;
        Ok(())
    }
}

impl Apply for Written {
    /// Whether the claim was still the last one. If not, what was written may be older than what it replaced, and the manifest is
    /// stale.
    fn apply(&self, context: &mut Context<'_>) -> Result<bool, Error> {
        let study_id = id_of(context, &self.study)?;
        let noted = context.execute(
            "UPDATE studies SET manifest_changes = ?3, manifest_runs = ?4, manifest_until_ms = 0
             WHERE id = ?1 AND manifest_claim = ?2",
            values![study_id, self.claim, self.changes, self.runs],
        )?;
        if noted == 0 {
            // No count of changes is below 0.
            context.execute("UPDATE studies SET manifest_changes = -1 WHERE id = ?1", values![study_id])?;
        }
        Ok(noted > 0)
    }
}
