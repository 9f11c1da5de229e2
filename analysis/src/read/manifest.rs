//! The manifest: which runs are done or failed, and which object holds a done run's curve.
//!
//! A coordinator replaces the manifest while a study runs. It is therefore fetched in one request, which gives one version of it;
//! ranged reads could mix two.

use std::collections::HashSet;

use arrow_array::{Array, RecordBatch, StringArray, UInt64Array};
use bytes::Bytes;
use curvefleet_proto::artifact::manifest_key;
use curvefleet_proto::store::Store;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{text_column, u64_column};
use crate::error::Error;

/// The columns that the analysis needs.
const COLUMNS: [&str; 11] =
    ["run", "data", "condition", "labels", "model", "seed", "state", "part", "size_bytes", "sha256", "error"];

/// One run of the manifest.
#[derive(Debug, Clone)]
pub struct ManifestRow {
    /// The run's id, 32 hex digits.
    pub run: String,
    /// The data set.
    pub data: String,
    /// The condition.
    pub condition: String,
    /// Whether the labels were shuffled.
    pub shuffled: bool,
    /// The model.
    pub model: String,
    /// The seed.
    pub seed: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a run.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Its curve was committed.
    Done(PartRef),
    /// It was given up, with this error.
    Failed(String),
}

/// The object that holds a run's curve, and what it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartRef {
    /// Its key, relative to the store's root.
    pub key: String,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256 of its bytes, 64 hex digits.
    pub sha256: String,
}

/// Reads the manifest of a study, in its order.
///
/// # Errors
/// If there is none, the store fails, or the file is not a manifest.
pub async fn read_manifest(store: &Store, study: &str) -> Result<Vec<ManifestRow>, Error> {
    let key = manifest_key(study);
    let in_store = |source| Error::Objects { place: store.locate(&key), source };
    let found = match store.objects().get(&Path::from(key.as_str())).await {
        Err(object_store::Error::NotFound { .. }) => return Err(Error::NothingDone(study.to_string())),
        found => found.map_err(in_store)?,
    };
    let bytes = found.bytes().await.map_err(in_store)?;
    read_rows(bytes).map_err(|reason| Error::Manifest { place: store.locate(&key), reason })
}

fn read_rows(bytes: Bytes) -> Result<Vec<ManifestRow>, String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| error.to_string())?;
    let projection = ProjectionMask::columns(builder.parquet_schema(), COLUMNS);
    let batches = builder.with_projection(projection).build().map_err(|error| error.to_string())?;
    let mut rows = Vec::new();
    let mut seen = HashSet::new();
    for batch in batches {
        for row in rows_of(&batch.map_err(|error| error.to_string())?)? {
            if !seen.insert(row.run.clone()) {
                return Err(format!("it names the run {} twice", row.run));
            }
            rows.push(row);
        }
    }
    Ok(rows)
}

fn rows_of(batch: &RecordBatch) -> Result<Vec<ManifestRow>, String> {
    let text = |name| text_column(batch, name);
    let (run, data, condition, labels, model) =
        (text("run")?, text("data")?, text("condition")?, text("labels")?, text("model")?);
    let (state, part, sha256, error) = (text("state")?, text("part")?, text("sha256")?, text("error")?);
    let (seed, size_bytes) = (u64_column(batch, "seed")?, u64_column(batch, "size_bytes")?);
    let row = |i: usize| -> Result<ManifestRow, String> {
        let outcome = match state.value(i) {
            "done" => done(i, part, size_bytes, sha256)
                .ok_or_else(|| format!("it names no part for the run {}", run.value(i)))?,
            "failed" => {
                Outcome::Failed(if error.is_valid(i) { error.value(i) } else { "no error was kept" }.to_string())
            }
            other => return Err(format!("the run {} has the unknown state `{other}`", run.value(i))),
        };
        Ok(ManifestRow {
            run: run.value(i).to_string(),
            data: data.value(i).to_string(),
            condition: condition.value(i).to_string(),
            shuffled: match labels.value(i) {
                "true" => false,
                "shuffled" => true,
                other => return Err(format!("the run {} has the unknown labels `{other}`", run.value(i))),
            },
            model: model.value(i).to_string(),
            seed: seed.value(i),
            outcome,
        })
    };
    (0..batch.num_rows()).map(row).collect()
}

fn done(row: usize, part: &StringArray, size_bytes: &UInt64Array, sha256: &StringArray) -> Option<Outcome> {
    let known = part.is_valid(row) && size_bytes.is_valid(row) && sha256.is_valid(row);
    known.then(|| {
        Outcome::Done(PartRef {
            key: part.value(row).to_string(),
            size_bytes: size_bytes.value(row),
            sha256: sha256.value(row).to_ascii_lowercase(),
        })
    })
}
