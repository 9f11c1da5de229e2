//! From a data set to the bytes of its file.

use std::sync::Arc;

use arrow_array::builder::{Float32Builder, ListBuilder};
use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::{METADATA_KEY, Metadata, element, schema};
use crate::data::{DataError, Dataset, Sequence};

/// A row group is closed once it holds this many numbers (64 MiB), so that neither writer nor reader ever needs more memory
/// than that beside the data set itself.
const VALUES_PER_ROW_GROUP: usize = 16 << 20;
/// The `created_by` of every file: a fixed text, because the library's own names its version and would change the bytes.
const CREATED_BY: &str = "curvefleet data set";

/// Writes a data set as the bytes of a canonical file; the same data set always gives the same bytes.
///
/// # Errors
/// [`DataError::Canonical`] if the data set breaks a rule of the format: no classes, labels out of range, values that are not
/// `steps * features` finite numbers, more than 2³² sequences.
pub fn encode(dataset: &Dataset) -> Result<Vec<u8>, DataError> {
    dataset.check().map_err(DataError::Canonical)?;
    let metadata =
        serde_json::to_string(&Metadata::of(dataset)).map_err(|error| DataError::Canonical(error.to_string()))?;
    write(dataset, metadata).map_err(|error| DataError::Canonical(format!("it cannot be written ({error})")))
}

fn write(dataset: &Dataset, metadata: String) -> Result<Vec<u8>, ParquetError> {
    let options = ArrowWriterOptions::new().with_properties(properties(metadata)?).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), schema(), options)?;
    let mut first = 0;
    while first < dataset.sequences.len() {
        let mut values = 0;
        let group = dataset.sequences[first..].iter().take_while(|sequence| {
            let fits = values == 0 || values + sequence.values.len() <= VALUES_PER_ROW_GROUP;
            values += sequence.values.len();
            fits
        });
        let rows = group.count();
        writer.write(&batch(dataset, first, &dataset.sequences[first..first + rows])?)?;
        writer.flush()?;
        first += rows;
    }
    writer.into_inner()
}

fn properties(metadata: String) -> Result<WriterProperties, ParquetError> {
    let values = ColumnPath::from(vec!["values".to_string(), "list".to_string(), "element".to_string()]);
    Ok(WriterProperties::builder()
        .set_created_by(CREATED_BY.to_string())
        .set_key_value_metadata(Some(vec![KeyValue::new(METADATA_KEY.to_string(), metadata)]))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_column_dictionary_enabled(values.clone(), false)
        .set_column_statistics_enabled(values, EnabledStatistics::None)
        .build())
}

/// The rows of some sequences, the first of which is item `first`.
fn batch(dataset: &Dataset, first: usize, sequences: &[Sequence]) -> Result<RecordBatch, ParquetError> {
    let too_many = |_| ParquetError::General("a data set has at most 2^32 sequences".to_string());
    let items = (first..first + sequences.len())
        .map(|item| u32::try_from(item).map_err(too_many))
        .collect::<Result<Vec<u32>, _>>()?;
    let mut values = ListBuilder::new(Float32Builder::new()).with_field(element());
    for sequence in sequences {
        values.values().append_slice(&sequence.values);
        values.append(true);
    }
    let classes = sequences.iter().map(|sequence| dataset.classes[sequence.label as usize].as_str());
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt32Array::from(items)),
        Arc::new(UInt32Array::from_iter_values(sequences.iter().map(|sequence| sequence.label))),
        Arc::new(StringArray::from_iter_values(classes)),
        Arc::new(UInt32Array::from_iter_values(sequences.iter().map(|sequence| sequence.steps))),
        Arc::new(values.finish()),
        Arc::new(StringArray::from_iter(sequences.iter().map(|sequence| sequence.text.as_deref()))),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}
