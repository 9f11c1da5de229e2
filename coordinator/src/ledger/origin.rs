//! Where curves come from: what trained the runs of a part, and when. Programs and machines stand in the ledger once, however many
//! parts they have made.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use curvefleet_proto::artifact::sha256_hex;

use super::Error;
use super::sql::{Context, Row, values};

/// How the runs of a part were trained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// What trained them.
    pub origin: Origin,
    /// Each run's id, and when it was trained.
    pub trained: Vec<(String, Trained)>,
}

/// What trained the runs of a part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// SHA-256 of the study's file; empty where an older coordinator planned the shard.
    pub study_sha256: String,
    /// SHA-256 of the data set.
    pub data_sha256: String,
    /// Version of the worker program.
    pub version: String,
    /// The commit that it was built from.
    pub git_commit: String,
    /// Backend and instruction set.
    pub backend: String,
    /// The processor's or card's name.
    pub device: String,
    /// What the processor can do, separated by spaces.
    pub cpu_features: String,
}

/// When a run was trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trained {
    /// When it began under its lease, in milliseconds since 1970 by the worker's clock.
    pub started_ms: u64,
    /// When its last epoch ended.
    pub ended_ms: u64,
    /// The epoch of the checkpoint that it went on from; 0 where it began at the beginning.
    pub resumed_after_epoch: u32,
}

/// How a run was trained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Training {
    /// What trained it.
    pub origin: Arc<Origin>,
    /// When.
    pub trained: Trained,
}

/// A run as it is kept: id, beginning, end and checkpoint.
type Kept = (String, u64, u64, u32);

impl Origin {
    fn texts(&self) -> [&str; 7] {
        let Origin { study_sha256, data_sha256, version, git_commit, backend, device, cpu_features } = self;
        [study_sha256, data_sha256, version, git_commit, backend, device, cpu_features]
    }
}

/// Keeps how a part's runs were trained.
pub(super) fn record(context: &mut Context<'_>, part_id: i64, provenance: &Provenance) -> Result<(), Error> {
    let origin_id = find_or_insert(context, &provenance.origin)?;
    let kept = provenance
        .trained
        .iter()
        .map(|(run, trained)| (run.as_str(), trained.started_ms, trained.ended_ms, trained.resumed_after_epoch));
    let kept = serde_json::to_string(&kept.collect::<Vec<_>>()).map_err(|error| Error::Database(Arc::new(error)))?;
    context.execute(
        "INSERT INTO part_origins (part_id, origin_id, trained) VALUES (?1, ?2, ?3)",
        values![part_id, origin_id, &kept],
    )?;
    Ok(())
}

fn find_or_insert(context: &mut Context<'_>, origin: &Origin) -> Result<i64, Error> {
    let texts = origin.texts();
    let key = sha256_hex(texts.join("\n").as_bytes());
    let known = context.row("SELECT id FROM origins WHERE key = ?1", values![&key], |row| row.int(0))?;
    if let Some(id) = known {
        return Ok(id);
    }
    let [study_sha256, data_sha256, version, git_commit, backend, device, cpu_features] = texts;
    let id = context.row(
        "INSERT INTO origins (key, study_sha256, data_sha256, version, git_commit, backend, device, cpu_features)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING id",
        values![&key, study_sha256, data_sha256, version, git_commit, backend, device, cpu_features],
        |row| row.int(0),
    )?;
    id.ok_or_else(|| Error::unreadable("id", "an inserted origin's"))
}

/// How the done runs of a study from a place, exclusively, to another, inclusively, were trained, by the row of the part and the run.
/// Runs that are not among `wanted` are left out.
pub(super) fn of_runs(
    context: &mut Context<'_>,
    study_id: i64,
    after: (i64, i64),
    last: (i64, i64),
    wanted: &HashSet<&str>,
) -> Result<HashMap<(i64, String), Training>, Error> {
    let parts = context.rows(
        "SELECT part_id, origin_id, trained FROM part_origins WHERE part_id IN (
           SELECT runs.part_id FROM shards JOIN runs ON runs.shard_id = shards.id
           WHERE shards.study_id = ?1 AND shards.plan_place >= ?2 AND (shards.plan_place > ?2 OR runs.place > ?3)
             AND shards.plan_place <= ?4 AND (shards.plan_place < ?4 OR runs.place <= ?5) AND runs.state = 'done')",
        values![study_id, after.0, after.1, last.0, last.1],
        |row| {
            let mut kept: Vec<Kept> =
                serde_json::from_str(&row.text(2)?).map_err(|error| Error::Database(Arc::new(error)))?;
            kept.retain(|(run, ..)| wanted.contains(run.as_str()));
            Ok((row.int(0)?, row.int(1)?, kept))
        },
    )?;
    let mut origins: HashMap<i64, Arc<Origin>> = HashMap::new();
    let mut found = HashMap::new();
    for (part_id, origin_id, kept) in parts {
        let origin = match origins.get(&origin_id) {
            Some(origin) => origin.clone(),
            None => {
                let origin = Arc::new(get(context, origin_id)?);
                origins.insert(origin_id, origin.clone());
                origin
            }
        };
        for (run, started_ms, ended_ms, resumed_after_epoch) in kept {
            let trained = Trained { started_ms, ended_ms, resumed_after_epoch };
            found.insert((part_id, run), Training { origin: origin.clone(), trained });
        }
    }
    Ok(found)
}

fn get(context: &mut Context<'_>, id: i64) -> Result<Origin, Error> {
    let found = context.row(
        "SELECT study_sha256, data_sha256, version, git_commit, backend, device, cpu_features FROM origins WHERE id = ?1",
        values![id],
        read,
    )?;
    found.ok_or_else(|| Error::unreadable("origin", &id.to_string()))
}

fn read(row: &dyn Row) -> Result<Origin, Error> {
    Ok(Origin {
        study_sha256: row.text(0)?,
        data_sha256: row.text(1)?,
        version: row.text(2)?,
        git_commit: row.text(3)?,
        backend: row.text(4)?,
        device: row.text(5)?,
        cpu_features: row.text(6)?,
    })
}
