//! One curve part: fetched once, held against the manifest's size and SHA-256 byte by byte, then decoded with the needed columns alone.
//!
//! A part is read whole, because its hash needs every byte; a second, partial read of its columns would only cost more.
//! What is in memory at a time is bounded by the parts in flight ([`super::results::PARTS_IN_FLIGHT`]) and [`MAX_PART_BYTES`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use bytes::{Bytes, BytesMut};
use curvefleet_proto::artifact::{PartProvenance, SCORES, provenance, sha256_hex};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::manifest::PartRef;
use super::{float_column, list_column, list_row, optional, text_column, u32_column};
use crate::curve::metrics::{CurveMetrics, Undefined};

/// Largest part that is read: a thousand runs (the most of a shard) of 500 epochs with 150 steps.
pub const MAX_PART_BYTES: u64 = 1 << 30;
/// Rows decoded at once.
const BATCH_ROWS: usize = 1024;

/// The network's scores in the order of [`SCORES`]: loss, accuracy, precision, recall, F1; undefined ones are `None`.
pub type Scores = [Option<f64>; SCORES.len()];

/// One row of a part: one epoch of one run.
#[derive(Debug, Clone)]
pub struct CurveRow {
    /// The run's id.
    pub run: String,
    /// The epoch, from 1.
    pub epoch: u32,
    /// Mean training loss of the epoch; `None` if it is not finite.
    pub train_loss: Option<f64>,
    /// Scores on the validation samples.
    pub validation: Scores,
    /// Scores on the test samples; in the last epoch alone.
    pub test: Scores,
    /// The probe's accuracy at every time step, `[time]`; NaN where the part holds a null.
    pub curve: Vec<f64>,
}

/// A part that was read whole.
#[derive(Debug)]
pub struct Part {
    /// Its rows, in its order.
    pub rows: Vec<CurveRow>,
    /// Where its rows come from, as far as it says so.
    pub provenance: Vec<PartProvenance>,
}

/// Why a part's runs are missing. The messages are half sentences that follow the part's key.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// There is no such object.
    #[error("is missing from the store")]
    Missing,
    /// The object has another size, such as a truncated one.
    #[error("has {found} bytes where the manifest says {expected}")]
    Size {
        /// The manifest's.
        expected: u64,
        /// The object's.
        found: u64,
    },
    /// The object was changed.
    #[error("has a SHA-256 other than the manifest's")]
    Hash,
    /// The object is larger than any worker writes.
    #[error("has more than {MAX_PART_BYTES} bytes, the most that is read")]
    TooLarge,
    /// The bytes are those that were committed, but not a curve part.
    #[error("is not a curve part: {0}")]
    Malformed(String),
    /// The store failed.
    #[error("could not be fetched: {0}")]
    Store(object_store::Error),
}

/// One row of a part with the metrics of its curve.
#[derive(Debug, Clone)]
pub struct MeasuredRow {
    /// The row.
    pub row: CurveRow,
    /// The metrics, or why there are none.
    pub metrics: Result<CurveMetrics, Undefined>,
}

/// A part with the metrics of its curves.
#[derive(Debug)]
pub struct MeasuredPart {
    /// Its rows, in its order.
    pub rows: Vec<MeasuredRow>,
    /// Where its rows come from, as far as it says so.
    pub provenance: Vec<PartProvenance>,
}

/// Fetches, checks, decodes and measures a part, on a thread where that holds nothing else up.
///
/// # Errors
/// If the object is missing, is not the one that was committed, or is not a curve part.
pub async fn read_measured(objects: Arc<dyn ObjectStore>, part: &PartRef) -> Result<MeasuredPart, Problem> {
    let bytes = fetch(objects, part).await?;
    let sha256 = part.sha256.clone();
    let work = tokio::task::spawn_blocking(move || -> Result<MeasuredPart, Problem> {
        let Part { rows, provenance } = decode(checked(bytes, &sha256)?)?;
        let measured = |row: CurveRow| MeasuredRow { metrics: CurveMetrics::of(&row.curve), row };
        Ok(MeasuredPart { rows: rows.into_iter().map(measured).collect(), provenance })
    });
    work.await.unwrap_or_else(|stopped| std::panic::resume_unwind(stopped.into_panic()))
}

/// Fetches a part's bytes and holds them against what was committed.
///
/// # Errors
/// If the object is missing or is not the one that was committed.
pub async fn read_bytes(objects: Arc<dyn ObjectStore>, part: &PartRef) -> Result<Bytes, Problem> {
    checked(fetch(objects, part).await?, &part.sha256)
}

fn checked(bytes: Bytes, sha256: &str) -> Result<Bytes, Problem> {
    if sha256_hex(&bytes) == sha256 { Ok(bytes) } else { Err(Problem::Hash) }
}

async fn fetch(objects: Arc<dyn ObjectStore>, part: &PartRef) -> Result<Bytes, Problem> {
    let from_store = |error| match error {
        object_store::Error::NotFound { .. } => Problem::Missing,
        other => Problem::Store(other),
    };
    let found = objects.get(&Path::from(part.key.as_str())).await.map_err(from_store)?;
    let size = found.meta.size;
    if size != part.size_bytes {
        return Err(Problem::Size { expected: part.size_bytes, found: size });
    }
    if size > MAX_PART_BYTES {
        return Err(Problem::TooLarge);
    }
    let mut bytes = BytesMut::with_capacity(usize::try_from(size).map_err(|_| Problem::TooLarge)?);
    let mut chunks = found.into_stream();
    while let Some(chunk) = chunks.try_next().await.map_err(from_store)? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// Decodes a part. The Parquet library reports almost all damage as errors; what it meets with a panic is the same finding.
///
/// # Errors
/// If the bytes are no curve part.
pub fn decode(bytes: Bytes) -> Result<Part, Problem> {
    let decoded = catch_unwind(AssertUnwindSafe(|| decode_all(bytes)));
    decoded.unwrap_or_else(|_| Err("its pages are damaged".to_string())).map_err(Problem::Malformed)
}

fn decode_all(bytes: Bytes) -> Result<Part, String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| error.to_string())?;
    let metadata = builder.metadata().file_metadata().key_value_metadata();
    let provenance = provenance(|key| metadata?.iter().find(|pair| pair.key == key)?.value.as_deref());
    let scores = SCORES.iter().flat_map(|score| [format!("validation_{score}"), format!("test_{score}")]);
    // The names of data set, condition and model are the manifest's: a reused run may carry another study's.
    let names: Vec<String> =
        ["run", "epoch", "train_loss", "curve"].map(str::to_string).into_iter().chain(scores).collect();
    let projection = ProjectionMask::columns(builder.parquet_schema(), names.iter().map(String::as_str));
    let reader =
        builder.with_projection(projection).with_batch_size(BATCH_ROWS).build().map_err(|error| error.to_string())?;
    let mut rows = Vec::new();
    for batch in reader {
        decode_batch(&batch.map_err(|error| error.to_string())?, &mut rows)?;
    }
    Ok(Part { rows, provenance })
}

fn decode_batch(batch: &RecordBatch, rows: &mut Vec<CurveRow>) -> Result<(), String> {
    let (run, epoch) = (text_column(batch, "run")?, u32_column(batch, "epoch")?);
    let (train_loss, curve) = (float_column(batch, "train_loss")?, list_column(batch, "curve")?);
    let columns = |part: &str| -> Result<Vec<_>, String> {
        SCORES.iter().map(|score| float_column(batch, &format!("{part}_{score}"))).collect()
    };
    let (validation, test) = (columns("validation")?, columns("test")?);
    if run.null_count() + epoch.null_count() > 0 {
        return Err("it has a row without a run or an epoch".to_string());
    }
    for i in 0..batch.num_rows() {
        rows.push(CurveRow {
            run: run.value(i).to_string(),
            epoch: epoch.value(i),
            train_loss: optional(train_loss, i),
            validation: std::array::from_fn(|score| optional(validation[score], i)),
            test: std::array::from_fn(|score| optional(test[score], i)),
            curve: list_row(curve, i)?,
        });
    }
    Ok(())
}
