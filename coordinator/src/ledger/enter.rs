//! Brings the shards of a study into the ledger, some at a time: the fleet is served between one transaction and the next, however
//! large the study is. What is there is leased at once.

use std::sync::Arc;

use curvefleet_proto::plan::{self, ShardSpec, shards_from, shards_per_cell};
use curvefleet_proto::study;

use super::operation::Apply;
use super::shard::Delta;
use super::sql::{Context, values};
use super::state::StudyState;
use super::{Error, reuse, shard};

/// Runs that are entered in one transaction, or the first shard's if it has more: some 150 ms of SQLite's time and 400 ms of
/// PostgreSQL's. Fewer make the whole slower: runs are found by hashes, so that each transaction writes pages all over an index.
pub const RUNS_AT_ONCE: u32 = 10_000;
/// The most work that is counted for a run, in milliseconds: some thirty years, so that sums of it stay numbers of a database.
const WORK_MS_MAX: f64 = 1e12;

/// Asks for the next shards of a study that was submitted. A study that is complete is left as it is.
#[derive(Debug, Clone)]
pub struct Enter {
    /// The study.
    pub study: Arc<study::Study>,
    /// SHA-256 of its canonical text, 64 hex digits.
    pub hash: String,
}

/// How far a study is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entered {
    /// Shards that are not in the ledger yet.
    pub left: u64,
    /// Of the runs entered so far, how many were done in other studies already.
    pub reused: u64,
}

/// Asks for the studies of which some shards are not in the ledger yet, oldest first.
#[derive(Debug, Clone)]
pub struct ListUnentered;

/// A study that is being entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unentered {
    /// Its canonical text.
    pub toml: String,
    /// SHA-256 of `toml`, 64 hex digits.
    pub hash: String,
}

impl Apply for Enter {
    fn apply(&self, context: &mut Context<'_>) -> Result<Entered, Error> {
        let name = &self.study.name;
        let found = context.row(
            "SELECT id, hash, state, unentered, reused FROM studies WHERE name = ?1",
            values![name],
            |row| Ok((row.int(0)?, row.text(1)?, row.text(2)?, row.unsigned(3)?, row.unsigned(4)?)),
        )?;
        let (id, hash, state, left, reused) = found.ok_or_else(|| Error::NoStudy(name.clone()))?;
        if hash != self.hash {
            return Err(Error::OtherStudy(name.clone()));
        }
        let state = StudyState::parse(&state).ok_or_else(|| Error::unreadable("study state", &state))?;
        Entering { id, study: &self.study, hash: &hash, is_given_up: state != StudyState::Active, left, reused }
            .next(context)
    }
}

impl Apply for ListUnentered {
    fn apply(&self, context: &mut Context<'_>) -> Result<Vec<Unentered>, Error> {
        context.rows(
            "SELECT toml, hash FROM studies JOIN study_files ON study_files.study_id = studies.id WHERE unentered > 0
             ORDER BY studies.id",
            values![],
            |row| Ok(Unentered { toml: row.text(0)?, hash: row.text(1)? }),
        )
    }
}

/// A study on its way into the ledger.
pub(super) struct Entering<'a> {
    /// Its row.
    pub id: i64,
    /// The study.
    pub study: &'a study::Study,
    /// SHA-256 of its canonical text.
    pub hash: &'a str,
    /// Whether it was cancelled or stopped since: then its runs are given up as they come.
    pub is_given_up: bool,
    /// Shards that are not there yet: the last ones of its plan.
    pub left: u64,
    /// Runs that were done in other studies already.
    pub reused: u64,
}

impl Entering<'_> {
    /// Enters the next shards.
    pub fn next(mut self, context: &mut Context<'_>) -> Result<Entered, Error> {
        let invalid = |error: plan::Error| Error::Invalid(error.to_string());
        let cells = plan::cells(self.study).map_err(invalid)?;
        let per_cell = shards_per_cell(self.study);
        let first = (cells.len() * per_cell).saturating_sub(usize::try_from(self.left).unwrap_or(usize::MAX));
        let requirements = self.study.requirements();
        let (mut runs, mut delta) = (0, Delta::default());
        for (place, spec) in (first..).zip(shards_from(self.study, self.hash.to_string(), first).map_err(invalid)?) {
            if runs >= u64::from(context.settings.runs_entered_at_once) {
                break;
            }
            let work_ms = cells.get(place / per_cell).map_or(1, |cell| work_ms(self.study, cell));
            let needs = self.study.requirement_of(&spec.model);
            let requires = requirements.iter().position(|requirement| *requirement == needs).unwrap_or(0) as u64;
            let shard_id = self.insert(context, place as u64, &spec, requires, work_ms)?;
            runs += spec.seeds.len() as u64;
            self.left = self.left.saturating_sub(1);
            if self.is_given_up {
                delta.cancelled += spec.seeds.len() as i64;
                continue;
            }
            let adopted = reuse::adopt_done(context, shard_id)?;
            if adopted > 0 {
                shard::settle(context, shard_id)?;
                delta.done += i64::try_from(adopted).unwrap_or(i64::MAX);
                self.reused += adopted;
            }
        }
        context.execute(
            "UPDATE studies SET unentered = ?2, reused = ?3 WHERE id = ?1",
            values![self.id, self.left, self.reused],
        )?;
        if delta != Delta::default() {
            shard::count(context, self.id, delta)?;
        }
        Ok(Entered { left: self.left, reused: self.reused })
    }

    fn insert(
        &self,
        context: &mut Context<'_>,
        place: u64,
        spec: &ShardSpec,
        requires: u64,
        work_ms: u64,
    ) -> Result<i64, Error> {
        let spec_json = serde_json::to_string(spec).map_err(|error| Error::Invalid(error.to_string()))?;
        let labels = spec.settings.condition.labels.as_str();
        let key = spec.shard.as_str();
        let (state, open) = if self.is_given_up { ("closed", 0) } else { ("pending", spec.seeds.len() as u64) };
        let id = context.row(
            "INSERT INTO shards (study_id, place, plan_place, key, data, condition, labels, model, state, open, requires, work_ms)
             VALUES (?1, ?2, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) RETURNING id",
            values![
                self.id,
                place,
                key,
                &spec.data,
                &spec.condition,
                labels,
                &spec.model,
                state,
                open,
                requires,
                work_ms
            ],
            |row| row.int(0),
        )?;
        let id = super::submit::inserted(id)?;
        context.execute("INSERT INTO shard_specs (shard_id, spec_json) VALUES (?1, ?2)", values![id, &spec_json])?;
        let state = if self.is_given_up { "cancelled" } else { "pending" };
        let runs: Vec<_> = spec.runs().map(|run| (run.id.to_string(), run.seed)).collect();
        let sets = runs.iter().zip(0_u64..);
        let sets: Vec<_> = sets.map(|((run, seed), place)| values![id, place, run, *seed, state].to_vec()).collect();
        context
            .execute_many("INSERT INTO runs (shard_id, place, key, seed, state) VALUES (?1, ?2, ?3, ?4, ?5)", &sets)?;
        Ok(id)
    }
}

/// Planned work of each run of a cell, in milliseconds of a core; at least 1, so that all work counts.
fn work_ms(study: &study::Study, cell: &plan::Cell<'_>) -> u64 {
    (plan::work::of(study, cell).core_seconds() * 1e3).clamp(1.0, WORK_MS_MAX) as u64
}
