//! What a run leaves behind, and curve parts: the Parquet form of some runs' curves (`proto::artifact::CURVE_SCHEMA`).

use std::sync::Arc;

use arrow_array::builder::{Float64Builder, ListBuilder};
use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt32Array, UInt64Array};
use arrow_schema::{DataType, Field};
use curvefleet_proto::artifact::{CURVE_SCHEMA, PART_METADATA, PartProvenance, RunProvenance};
use curvefleet_proto::plan::{RunId, ShardSpec};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::scores::Scores;

/// A run's figures, epoch by epoch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Curve {
    /// One record per epoch, from the first.
    pub epochs: Vec<EpochRecord>,
}

/// One epoch's figures.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochRecord {
    /// From 1.
    pub epoch: u32,
    /// Mean training loss per sample, each before its batch's update.
    pub train_loss: f64,
    /// Scores on the validation samples.
    pub validation: Scores,
    /// Scores on the test samples, after the last epoch alone.
    pub test: Option<Scores>,
    /// The probe's accuracy at every time step, `[time]`.
    pub curve: Vec<f64>,
}

/// A finished run of a shard.
#[derive(Debug, Clone)]
pub struct FinishedRun {
    /// Its id.
    pub run: RunId,
    /// Its seed.
    pub seed: u64,
    /// Its figures.
    pub curve: Curve,
    /// What was logged about it.
    pub log: String,
    /// When it was trained; of no influence on its rows.
    pub provenance: RunProvenance,
}

/// The bytes of a curve part with these runs of a shard. The same runs give the same rows; the metadata say when, where and
/// by whom they were trained.
///
/// # Errors
/// Only if the Parquet writer fails, which for data in memory it does not.
pub fn encode_part(
    spec: &ShardSpec,
    runs: &[FinishedRun],
    provenance: &PartProvenance,
) -> Result<Vec<u8>, ParquetError> {
    let batch = rows(spec, runs)?;
    let provenance = serde_json::to_string(provenance).map_err(|error| ParquetError::External(Box::new(error)))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by("curvefleet".to_string())
        .set_key_value_metadata(Some(vec![KeyValue::new(PART_METADATA.to_string(), provenance)]))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), CURVE_SCHEMA.clone(), Some(properties))?;
    writer.write(&batch)?;
    writer.into_inner()
}

/// One row per run and epoch, in the columns of `CURVE_SCHEMA`.
fn rows(spec: &ShardSpec, runs: &[FinishedRun]) -> Result<RecordBatch, ParquetError> {
    let rows: Vec<(&FinishedRun, &EpochRecord)> =
        runs.iter().flat_map(|run| run.curve.epochs.iter().map(move |epoch| (run, epoch))).collect();
    let same =
        |text: &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows.len()))) };
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rows.iter().map(|(run, _)| run.run.to_string()))),
        same(&spec.data),
        same(&spec.condition),
        same(spec.settings.condition.labels.as_str()),
        same(&spec.model),
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|(run, _)| run.seed))),
        Arc::new(UInt32Array::from_iter_values(rows.iter().map(|(_, epoch)| epoch.epoch))),
        Arc::new(Float64Array::from_iter_values(rows.iter().map(|(_, epoch)| epoch.train_loss))),
    ];
    for part in [|epoch: &EpochRecord| Some(epoch.validation), |epoch: &EpochRecord| epoch.test] {
        for figure in 0..5 {
            let values = rows.iter().map(|(_, epoch)| part(epoch).and_then(|scores| scores.in_order()[figure]));
            columns.push(Arc::new(Float64Array::from_iter(values)));
        }
    }
    let item = Arc::new(Field::new_list_field(DataType::Float64, false));
    let mut curves = ListBuilder::new(Float64Builder::new()).with_field(item);
    for (_, epoch) in &rows {
        curves.values().append_slice(&epoch.curve);
        curves.append(true);
    }
    columns.push(Arc::new(curves.finish()));
    Ok(RecordBatch::try_new(CURVE_SCHEMA.clone(), columns)?)
}
