//! A curve part down to its bits: what is compared and checked number by number.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt32Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use bytes::Bytes;
use curvefleet_proto::artifact::{CURVE_SCHEMA, PartProvenance, SCORES, provenance};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// One epoch of a run, its numbers as bits, so that two are equal only if every bit is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochBits {
    /// The run's seed.
    pub seed: u64,
    /// `true` or `shuffled`.
    pub labels: String,
    /// From 1.
    pub epoch: u32,
    /// The columns of [`figure_names`]; `None` for nulls.
    pub figures: Vec<Option<u64>>,
    /// The probe's accuracies, `[time]`.
    pub curve: Vec<u64>,
}

/// A part's content.
#[derive(Debug, Default)]
pub struct PartBits {
    /// The epochs of each run, in the part's order.
    pub runs: HashMap<String, Vec<EpochBits>>,
    /// Where its rows come from, as far as it says so.
    pub provenance: Vec<PartProvenance>,
}

/// The columns with one number per row, in their order.
pub fn figure_names() -> Vec<String> {
    let scores = |part: &'static str| SCORES.iter().map(move |score| format!("{part}_{score}"));
    std::iter::once("train_loss".to_string()).chain(scores("validation")).chain(scores("test")).collect()
}

/// Decodes a part; the error is half a sentence about it.
///
/// # Errors
/// If the bytes are no Parquet file, or one with other columns than a curve part's.
pub fn decode(bytes: Bytes) -> Result<PartBits, String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| error.to_string())?;
    if builder.schema().fields() != CURVE_SCHEMA.fields() {
        return Err("its columns are not those of a curve part".to_string());
    }
    let metadata = builder.metadata().file_metadata().key_value_metadata();
    let value_of = |key: &str| metadata?.iter().find(|pair| pair.key == key)?.value.as_deref();
    let mut part = PartBits { runs: HashMap::new(), provenance: provenance(value_of) };
    let names = figure_names();
    for batch in builder.build().map_err(|error| error.to_string())? {
        add(&mut part, &batch.map_err(|error| error.to_string())?, &names)?;
    }
    Ok(part)
}

/// The schema has been checked, so that every column is there with its type.
fn add(part: &mut PartBits, batch: &RecordBatch, names: &[String]) -> Result<(), String> {
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| format!("it has no column `{name}`"));
    let (run, labels) = (column("run")?.as_string::<i32>(), column("labels")?.as_string::<i32>());
    let (seed, epoch) = (column("seed")?.as_primitive::<UInt64Type>(), column("epoch")?.as_primitive::<UInt32Type>());
    let curve = column("curve")?.as_list::<i32>();
    let figures = names.iter().map(|name| Ok(column(name)?.as_primitive::<Float64Type>()));
    let figures = figures.collect::<Result<Vec<_>, String>>()?;
    for row in 0..batch.num_rows() {
        let steps = curve.value(row);
        let bits = EpochBits {
            seed: seed.value(row),
            labels: labels.value(row).to_string(),
            epoch: epoch.value(row),
            figures: figures.iter().map(|column| column.is_valid(row).then(|| column.value(row).to_bits())).collect(),
            curve: steps.as_primitive::<Float64Type>().values().iter().map(|value| value.to_bits()).collect(),
        };
        part.runs.entry(run.value(row).to_string()).or_default().push(bits);
    }
    Ok(())
}
