//! From the bytes of a file back to the data set, trusting nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt32Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Schema};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use super::metadata::from_footer;
use super::{Metadata, schema, sha256};
use crate::data::{DataError, Dataset, Sequence};

/// How many numbers one batch of rows may hold about, so that reading needs little memory beside the data set itself.
const VALUES_PER_BATCH: usize = 16 << 20;
/// The most rows read at once where sequences are short.
const ROWS_PER_BATCH: usize = 8192;

/// Reads a canonical data set and checks every rule of the format.
///
/// # Errors
/// [`DataError::Canonical`] with one sentence for whatever is wrong: a truncated or damaged file, other columns, an unknown format
/// version, labels out of range, values that are not `steps * features` finite numbers, rows that contradict the metadata.
pub fn decode(bytes: &Bytes) -> Result<Dataset, DataError> {
    shielded(|| read(bytes.clone()))
}

/// Like [`decode`], after checking that the bytes are those that `expected` (64 hex digits) names.
///
/// # Errors
/// Those of [`decode`], and one that names both hashes where they differ.
pub fn decode_expecting(bytes: &Bytes, expected: &str) -> Result<Dataset, DataError> {
    let found = sha256(bytes);
    if found != expected {
        return Err(DataError::Canonical(format!(
            "its SHA-256 is {found}, but {expected} was asked for; the copy is damaged and has to be fetched or imported again"
        )));
    }
    decode(bytes)
}

/// Runs a reader of untrusted Parquet bytes. The Parquet library reports almost all damage as errors; what it meets
/// with a panic (an index inside a page that points outside) is the same finding and becomes the same kind of error.
pub(super) fn shielded<T>(read: impl FnOnce() -> Result<T, DataError>) -> Result<T, DataError> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(DataError::Canonical("its pages are damaged".to_string())))
}

fn damaged(error: impl std::fmt::Display) -> DataError {
    DataError::Canonical(format!("it is not a whole Parquet file ({error})"))
}

fn read(bytes: Bytes) -> Result<Dataset, DataError> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let size = bytes.len();
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options).map_err(damaged)?;
    let metadata = from_footer(builder.metadata())?;
    check_columns(builder.schema())?;
    check_chunks(builder.metadata(), size)?;
    let longest = (metadata.steps_max as usize).saturating_mul(metadata.features.len());
    let rows = (VALUES_PER_BATCH / longest.max(1)).clamp(1, ROWS_PER_BATCH);
    let reader = builder.with_batch_size(rows).build().map_err(damaged)?;
    let dataset = collect(reader, &metadata)?;
    dataset.check().map_err(DataError::Canonical)?;
    agree(&dataset, &metadata)?;
    Ok(dataset)
}

/// Names and types must be those of the format; what a file says of nullability is left to [`append`], which refuses nulls.
fn check_columns(found: &Schema) -> Result<(), DataError> {
    let expected = schema();
    let names =
        |schema: &Schema| schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ");
    if names(found) != names(&expected) {
        return Err(DataError::Canonical(format!(
            "it has the columns {}; expected {}",
            names(found),
            names(&expected)
        )));
    }
    for (found, expected) in found.fields().iter().zip(expected.fields()) {
        let same = match (found.data_type(), expected.data_type()) {
            (DataType::List(found), DataType::List(expected)) => found.data_type() == expected.data_type(),
            (found, expected) => found == expected,
        };
        if !same {
            return Err(DataError::Canonical(format!(
                "its column \"{}\" has the type {}; expected {}",
                found.name(),
                found.data_type(),
                expected.data_type()
            )));
        }
    }
    Ok(())
}

/// Every column chunk must lie inside the file, which the Parquet library takes for granted.
fn check_chunks(footer: &ParquetMetaData, size: usize) -> Result<(), DataError> {
    for chunk in footer.row_groups().iter().flat_map(RowGroupMetaData::columns) {
        let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
        let end = start.checked_add(chunk.compressed_size());
        let lies_inside =
            start >= 0 && chunk.compressed_size() >= 0 && end.is_some_and(|end| end as u64 <= size as u64);
        if !lies_inside || chunk.num_values() < 0 {
            return Err(DataError::Canonical("its footer points outside the file; the file is damaged".to_string()));
        }
    }
    Ok(())
}

fn collect(reader: ParquetRecordBatchReader, metadata: &Metadata) -> Result<Dataset, DataError> {
    let mut dataset = Dataset {
        name: metadata.name.clone(),
        classes: metadata.classes.iter().map(|class| class.name.clone()).collect(),
        features: metadata.features.clone(),
        sequences: Vec::new(),
        provenance: metadata.provenance.clone(),
    };
    for batch in reader {
        append(&mut dataset, &batch.map_err(damaged)?)?;
    }
    Ok(dataset)
}

/// Adds the rows of a batch whose columns have passed [`check_columns`].
fn append(dataset: &mut Dataset, batch: &RecordBatch) -> Result<(), DataError> {
    for column in 0..5 {
        if batch.column(column).null_count() > 0 {
            let name = batch.schema_ref().field(column).name().clone();
            return Err(DataError::Canonical(format!("its column \"{name}\" has empty cells")));
        }
    }
    let items = batch.column(0).as_primitive::<UInt32Type>();
    let labels = batch.column(1).as_primitive::<UInt32Type>();
    let classes = batch.column(2).as_string::<i32>();
    let steps = batch.column(3).as_primitive::<UInt32Type>();
    let lists = batch.column(4).as_list::<i32>();
    let texts = batch.column(5).as_string::<i32>();
    for row in 0..batch.num_rows() {
        let item = dataset.sequences.len();
        if items.value(row) as usize != item {
            return Err(DataError::Canonical(format!(
                "item {} stands where item {item} was expected",
                items.value(row)
            )));
        }
        let label = labels.value(row);
        if dataset.classes.get(label as usize).is_none_or(|class| class != classes.value(row)) {
            return Err(DataError::Canonical(format!(
                "item {item} has label {label} and class {}, which do not belong together in its list of {} classes",
                crate::data::error::quoted(classes.value(row)),
                dataset.classes.len()
            )));
        }
        let values = lists.value(row);
        let values = values.as_primitive::<Float32Type>();
        if values.null_count() > 0 {
            return Err(DataError::Canonical(format!("item {item} has empty values")));
        }
        dataset.sequences.push(Sequence {
            label,
            steps: steps.value(row),
            values: values.values().to_vec(),
            text: texts.is_valid(row).then(|| texts.value(row).to_string()),
        });
    }
    Ok(())
}

/// The rows must be what the metadata says they are: planning has only the metadata to go by.
fn agree(dataset: &Dataset, metadata: &Metadata) -> Result<(), DataError> {
    let found = Metadata::of(dataset);
    if (found.sequences, &found.classes) != (metadata.sequences, &metadata.classes) {
        return Err(DataError::Canonical(format!(
            "its rows hold {} sequences in other numbers per class than the {} that its metadata counts",
            found.sequences, metadata.sequences
        )));
    }
    if (found.steps_min, found.steps_max) != (metadata.steps_min, metadata.steps_max) {
        return Err(DataError::Canonical(format!(
            "its sequences have {} to {} steps, but its metadata says {} to {}",
            found.steps_min, found.steps_max, metadata.steps_min, metadata.steps_max
        )));
    }
    Ok(())
}
