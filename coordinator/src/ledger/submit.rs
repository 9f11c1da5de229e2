//! Takes a study with all its shards and runs.

use std::sync::Arc;

use curvefleet_proto::plan::{self, ShardSpec, shards};
use curvefleet_proto::requirement::Requirement;
use curvefleet_proto::study;

use super::operation::Apply;
use super::shard::Delta;
use super::sql::{Context, values};
use super::study::{Status, status_of};
use super::{Error, audit, reuse, shard};

/// The most work that is counted for a run, in milliseconds: some thirty years, so that sums of it stay numbers of a database.
const WORK_MS_MAX: f64 = 1e12;

/// A resolved study to take. The plan is made from it shard by shard, so that a large one needs no memory of its own.
#[derive(Debug, Clone)]
pub struct Submit {
    /// The study.
    pub study: Arc<study::Study>,
    /// Its canonical text, as `Study::to_toml` writes it.
    pub toml: String,
    /// SHA-256 of `toml`, 64 hex digits.
    pub hash: String,
    /// Who submits it, for the audit.
    pub who: String,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Submitted {
    /// The study's status now.
    pub status: Status,
    /// Whether this very study was in the ledger already; then nothing was changed.
    pub existed: bool,
    /// Runs that were done already in other studies.
    pub reused: u64,
}

impl Apply for Submit {
    fn apply(&self, context: &mut Context<'_>) -> Result<Submitted, Error> {
        let name = &self.study.name;
        let known = context.row("SELECT hash FROM studies WHERE name = ?1", values![name], |row| row.text(0))?;
        match known {
            Some(hash) if hash == self.hash => {
                return Ok(Submitted { status: status_of(context, name)?, existed: true, reused: 0 });
            }
            Some(_) => return Err(Error::OtherStudy(name.clone())),
            None => {}
        }
        let study_id = self.insert_study(context)?;
        let invalid = |error: plan::Error| Error::Invalid(error.to_string());
        let specs = shards(&self.study).map_err(invalid)?;
        let cells = plan::cells(&self.study).map_err(invalid)?;
        let works: Vec<u64> = cells.iter().map(|cell| work_ms(&self.study, cell)).collect();
        let shards_per_cell = self.study.seeds.len().div_ceil(self.study.shard_size.max(1) as usize).max(1);
        let requirements = self.study.requirements();
        let (mut planned, mut reused) = (0_u64, 0_u64);
        for (place, spec) in specs.enumerate() {
            let work_ms = works.get(place / shards_per_cell).copied().unwrap_or(1);
            let needs = self.study.requirement_of(&spec.model);
            let requires = requirements.iter().position(|requirement| *requirement == needs).unwrap_or(0) as u64;
            let shard_id = insert_shard(context, study_id, place as u64, &spec, requires, work_ms)?;
            planned += spec.seeds.len() as u64;
            let adopted = reuse::adopt_done(context, shard_id)?;
            if adopted > 0 {
                shard::settle(context, shard_id)?;
            }
            reused += adopted;
        }
        context.execute("UPDATE studies SET planned = ?2 WHERE id = ?1", values![study_id, planned])?;
        if reused > 0 {
            let done = i64::try_from(reused).unwrap_or(i64::MAX);
            shard::count(context, study_id, Delta { done, ..Delta::default() })?;
        }
        audit::record(context, &self.who, "submit", name, "")?;
        Ok(Submitted { status: status_of(context, name)?, existed: false, reused })
    }
}

impl Submit {
    fn insert_study(&self, context: &mut Context<'_>) -> Result<i64, Error> {
        let epochs = self.study.training.epochs;
        let requirements = self.study.requirements();
        let needs_nothing = requirements.iter().all(Requirement::is_empty);
        let requirements = if needs_nothing { Ok(String::new()) } else { serde_json::to_string(&requirements) };
        let requirements = requirements.map_err(|error| Error::Invalid(error.to_string()))?;
        let id = context.row(
            "INSERT INTO studies (name, hash, state, epochs_per_run, submitted_ms, requirements)
             VALUES (?1, ?2, 'active', ?3, ?4, ?5) RETURNING id",
            values![&self.study.name, &self.hash, epochs, context.now_ms, &requirements],
            |row| row.int(0),
        )?;
        let id = inserted(id)?;
        context.execute("INSERT INTO study_files (study_id, toml) VALUES (?1, ?2)", values![id, &self.toml])?;
        Ok(id)
    }
}

/// Planned work of each run of a cell, in milliseconds of a core; at least 1, so that all work counts.
fn work_ms(study: &study::Study, cell: &plan::Cell<'_>) -> u64 {
    (plan::work::of(study, cell).core_seconds() * 1e3).clamp(1.0, WORK_MS_MAX) as u64
}

fn insert_shard(
    context: &mut Context<'_>,
    study_id: i64,
    place: u64,
    spec: &ShardSpec,
    requires: u64,
    work_ms: u64,
) -> Result<i64, Error> {
    let spec_json = serde_json::to_string(spec).map_err(|error| Error::Invalid(error.to_string()))?;
    let labels = spec.settings.condition.labels.as_str();
    let key = spec.shard.as_str();
    let open = spec.seeds.len() as u64;
    let id = context.row(
        "INSERT INTO shards (study_id, place, plan_place, key, data, condition, labels, model, state, open, requires, work_ms)
         VALUES (?1, ?2, ?2, ?3, ?4, ?5, ?6, ?7, 'pending', ?8, ?9, ?10) RETURNING id",
        values![study_id, place, key, &spec.data, &spec.condition, labels, &spec.model, open, requires, work_ms],
        |row| row.int(0),
    )?;
    let id = inserted(id)?;
    context.execute("INSERT INTO shard_specs (shard_id, spec_json) VALUES (?1, ?2)", values![id, &spec_json])?;
    let runs: Vec<_> = spec.runs().map(|run| (run.id.to_string(), run.seed)).collect();
    let sets: Vec<_> =
        runs.iter().enumerate().map(|(place, (run, seed))| values![id, place as u64, run, *seed].to_vec()).collect();
    context.execute_many(
        "INSERT INTO runs (shard_id, place, key, seed, state) VALUES (?1, ?2, ?3, ?4, 'pending')",
        &sets,
    )?;
    Ok(id)
}

fn inserted(id: Option<i64>) -> Result<i64, Error> {
    id.ok_or_else(|| Error::Database(Arc::from(Box::from("an inserted row has no id"))))
}
