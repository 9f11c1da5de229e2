//! Imported curves as the parts and the manifest that a report reads.

use std::sync::Arc;

use arrow_array::builder::{Float64Builder, ListBuilder};
use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt32Array, UInt64Array, new_null_array};
use arrow_schema::{DataType, Field, Schema};
use curvefleet_proto::artifact::{
    CURVE_SCHEMA, MANIFEST_METADATA, MANIFEST_SCHEMA, PART_METADATA, PartProvenance, SCORES,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::curve_file::Curves;
use crate::error::Error;

/// What the column `worker` says of imported runs.
const WORKER: &str = "import-curves";

/// A run with its names and its curves.
#[derive(Debug, Clone)]
pub struct ImportedRun {
    /// Its id.
    pub run: String,
    /// Data set, condition, labels and model.
    pub names: [String; 4],
    /// Its seed.
    pub seed: u64,
    /// Its curves.
    pub curves: Curves,
}

/// A run of the manifest.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its id.
    pub run: String,
    /// Data set, condition, labels and model.
    pub names: [String; 4],
    /// Its seed.
    pub seed: u64,
    /// The shard in its part's key.
    pub shard: String,
    /// Key, size and SHA-256 of its part.
    pub part: (String, u64, String),
}

/// A part: one row per run and epoch. Files of curves say nothing about losses and scores, which are NaN and null.
///
/// # Errors
/// If the writer fails, which for data in memory it does not.
pub fn part(runs: &[ImportedRun], provenance: &PartProvenance) -> Result<Vec<u8>, Error> {
    let rows = || {
        runs.iter().flat_map(|run| run.curves.epochs.iter().zip(1_u32..).map(move |(curve, epoch)| (run, epoch, curve)))
    };
    let count = rows().count();
    let mut columns: Vec<ArrayRef> = vec![texts(rows().map(|(run, _, _)| run.run.as_str()))];
    columns.extend((0..4).map(|name| texts(rows().map(move |(run, _, _)| run.names[name].as_str()))));
    columns.push(Arc::new(rows().map(|(run, _, _)| run.seed).collect::<UInt64Array>()));
    columns.push(Arc::new(rows().map(|(_, epoch, _)| epoch).collect::<UInt32Array>()));
    columns.push(Arc::new(Float64Array::from_iter_values(rows().map(|_| f64::NAN))));
    columns.extend((0..2 * SCORES.len()).map(|_| new_null_array(&DataType::Float64, count)));
    let mut curves =
        ListBuilder::new(Float64Builder::new()).with_field(Field::new_list_field(DataType::Float64, false));
    for (_, _, curve) in rows() {
        curves.values().append_slice(curve);
        curves.append(true);
    }
    columns.push(Arc::new(curves.finish()));
    let provenance = serde_json::to_string(provenance).map_err(|error| failed(&error))?;
    encode(&CURVE_SCHEMA, columns, KeyValue::new(PART_METADATA.to_string(), provenance))
}

/// The manifest of a study whose runs are all done, committed at `now_ms`.
///
/// # Errors
/// As [`part`].
pub fn manifest(study: &str, runs: &[Listed], now_ms: u64) -> Result<Vec<u8>, Error> {
    let count = runs.len();
    let of = |text: fn(&Listed) -> &str| texts(runs.iter().map(text));
    let same = |value: u64| -> ArrayRef { Arc::new(UInt64Array::from_iter_values(std::iter::repeat_n(value, count))) };
    let mut columns: Vec<ArrayRef> = vec![of(|run| &run.run)];
    columns.extend((0..4).map(|name| texts(runs.iter().map(move |run| run.names[name].as_str()))));
    columns.push(Arc::new(runs.iter().map(|run| run.seed).collect::<UInt64Array>()));
    columns.extend([of(|run| &run.shard), of(|_| "done"), of(|run| &run.part.0)]);
    columns.push(Arc::new(runs.iter().map(|run| run.part.1).collect::<UInt64Array>()));
    columns.extend([of(|run| &run.part.2), same(1), of(|_| WORKER), same(now_ms)]);
    columns.push(Arc::new(UInt32Array::from_iter_values(std::iter::repeat_n(0, count))));
    // An error, and how the runs were trained: nothing is known of it.
    let unknown = MANIFEST_SCHEMA.fields().iter().skip(columns.len());
    let unknown: Vec<ArrayRef> = unknown.map(|field| new_null_array(field.data_type(), count)).collect();
    columns.extend(unknown);
    encode(&MANIFEST_SCHEMA, columns, KeyValue::new(MANIFEST_METADATA.to_string(), study.to_string()))
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn encode(schema: &Arc<Schema>, columns: Vec<ArrayRef>, metadata: KeyValue) -> Result<Vec<u8>, Error> {
    let batch = RecordBatch::try_new(schema.clone(), columns).map_err(|error| failed(&error))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by("curvefleet".to_string())
        .set_key_value_metadata(Some(vec![metadata]))
        .build();
    let mut writer =
        ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties)).map_err(|error| failed(&error))?;
    writer.write(&batch).map_err(|error| failed(&error))?;
    writer.into_inner().map_err(|error| failed(&error))
}

fn failed(error: &dyn std::error::Error) -> Error {
    Error::Table { table: "of imported curves".to_string(), reason: error.to_string() }
}
