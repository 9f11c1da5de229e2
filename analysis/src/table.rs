//! One table as CSV and as Parquet, written row by row: into memory, or, where it has millions of rows, to where it is to lie.
//!
//! An undefined value is an empty cell in CSV and a null in Parquet; a NaN or an infinity cannot get in.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::Arc;

use arrow_array::builder::{ArrayBuilder, Float64Builder, StringBuilder, UInt64Builder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::error::Error;

/// Rows gathered before they are encoded.
const BATCH_ROWS: usize = 8192;
/// Rows of a row group of Parquet, which is in memory until it is full.
const GROUP_ROWS: usize = 16 * BATCH_ROWS;
/// Numbers below this or above its inverse are written in scientific notation, since digits alone would be long.
const SCIENTIFIC_BELOW: f64 = 1e-5;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Words.
    Text,
    /// Real numbers.
    Number,
    /// Whole numbers from 0.
    Count,
}

/// A cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Words.
    Text(&'a str),
    /// A real number; what is not finite becomes missing.
    Number(f64),
    /// A whole number.
    Count(u64),
    /// Nothing.
    Missing,
}

impl From<Option<f64>> for Value<'_> {
    fn from(number: Option<f64>) -> Self {
        number.map_or(Value::Missing, Value::Number)
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Value::Missing, Value::Text)
    }
}

impl From<usize> for Value<'_> {
    fn from(count: usize) -> Self {
        Value::Count(count as u64)
    }
}

/// A finished table's files.
#[derive(Debug, Clone)]
pub struct Files {
    /// Comma-separated, with a header, UTF-8.
    pub csv: Vec<u8>,
    /// Parquet, Zstandard.
    pub parquet: Vec<u8>,
    /// The columns' names and kinds.
    pub columns: Vec<(String, Kind)>,
}

impl Files {
    /// The cells row by row, as in the CSV file, to show them.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let records = csv::Reader::from_reader(self.csv.as_slice()).into_records();
        records.filter_map(|record| Some(record.ok()?.iter().map(str::to_string).collect())).collect()
    }

    /// The rows as JSON objects; empty cells are null.
    pub fn to_json(&self) -> serde_json::Value {
        let value = |kind: Kind, cell: &str| match kind {
            _ if cell.is_empty() => serde_json::Value::Null,
            Kind::Text => cell.into(),
            Kind::Number => cell.parse::<f64>().map_or(serde_json::Value::Null, Into::into),
            Kind::Count => cell.parse::<u64>().map_or(serde_json::Value::Null, Into::into),
        };
        let object = |row: &Vec<String>| {
            let pairs = self.columns.iter().zip(row).map(|((name, kind), cell)| (name.clone(), value(*kind, cell)));
            serde_json::Value::Object(pairs.collect())
        };
        self.rows().iter().map(object).collect()
    }
}

/// A table while rows are added, and where its two files go.
pub struct Writer<W: Write + Send = Vec<u8>> {
    name: &'static str,
    columns: Vec<Column>,
    rows: usize,
    schema: Arc<Schema>,
    csv: csv::Writer<W>,
    parquet: ArrowWriter<W>,
    named: Vec<(String, Kind)>,
    /// The text of a cell, kept for its memory.
    cell: String,
}

enum Column {
    Text(StringBuilder),
    Number(Float64Builder),
    Count(UInt64Builder),
}

impl Column {
    fn new(kind: Kind) -> Column {
        match kind {
            Kind::Text => Column::Text(StringBuilder::new()),
            Kind::Number => Column::Number(Float64Builder::new()),
            Kind::Count => Column::Count(UInt64Builder::new()),
        }
    }

    /// Takes a value and writes its CSV cell; false if the value is of another kind.
    fn push(&mut self, value: Value<'_>, cell: &mut String) -> bool {
        cell.clear();
        match (self, value) {
            (Column::Text(texts), Value::Text(text)) => {
                texts.append_value(text);
                cell.push_str(text);
            }
            (Column::Number(numbers), Value::Number(number)) if number.is_finite() => {
                numbers.append_value(number);
                write_number(number, cell);
            }
            (Column::Count(counts), Value::Count(count)) => {
                counts.append_value(count);
                // Writing into a string does not fail.
                let _ = write!(cell, "{count}");
            }
            (Column::Text(texts), Value::Missing) => texts.append_null(),
            (Column::Number(numbers), Value::Missing | Value::Number(_)) => numbers.append_null(),
            (Column::Count(counts), Value::Missing) => counts.append_null(),
            _ => return false,
        }
        true
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Column::Text(texts) => ArrayBuilder::finish(texts),
            Column::Number(numbers) => ArrayBuilder::finish(numbers),
            Column::Count(counts) => ArrayBuilder::finish(counts),
        }
    }
}

/// Writes a number with the fewest digits that give it back.
fn write_number(number: f64, cell: &mut String) {
    let size = number.abs();
    let scientific = size != 0.0 && !(SCIENTIFIC_BELOW..1.0 / SCIENTIFIC_BELOW.powi(3)).contains(&size);
    // Writing into a string does not fail.
    let _ = if scientific { write!(cell, "{number:e}") } else { write!(cell, "{number}") };
}

impl Writer {
    /// An empty table with these columns, in memory.
    ///
    /// # Errors
    /// If the writers refuse the columns.
    pub fn new(name: &'static str, columns: &[(&str, Kind)]) -> Result<Writer, Error> {
        Writer::to(name, columns, Vec::new(), Vec::new())
    }

    /// Ends the table.
    ///
    /// # Errors
    /// If the last rows cannot be encoded.
    pub fn finish(self) -> Result<Files, Error> {
        let columns = self.named.clone();
        let (csv, parquet) = self.end()?;
        Ok(Files { csv, parquet, columns })
    }
}

impl<W: Write + Send> Writer<W> {
    /// An empty table with these columns, whose files go to `csv_file` and `parquet_file`.
    ///
    /// # Errors
    /// If the writers refuse the columns, or the files cannot be written.
    pub fn to(name: &'static str, columns: &[(&str, Kind)], csv_file: W, parquet_file: W) -> Result<Writer<W>, Error> {
        let fields: Vec<Field> = columns
            .iter()
            .map(|(column, kind)| {
                let data_type = match kind {
                    Kind::Text => DataType::Utf8,
                    Kind::Number => DataType::Float64,
                    Kind::Count => DataType::UInt64,
                };
                Field::new(*column, data_type, true)
            })
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by("curvefleet".to_string())
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        let failed = |reason: String| Error::Table { table: name.to_string(), reason };
        let parquet = ArrowWriter::try_new(parquet_file, schema.clone(), Some(properties))
            .map_err(|error| failed(error.to_string()))?;
        let mut csv = csv::Writer::from_writer(csv_file);
        csv.write_record(columns.iter().map(|(column, _)| column)).map_err(|error| failed(error.to_string()))?;
        let named = columns.iter().map(|(column, kind)| ((*column).to_string(), *kind)).collect();
        let columns = columns.iter().map(|(_, kind)| Column::new(*kind)).collect();
        Ok(Writer { name, columns, rows: 0, schema, csv, parquet, named, cell: String::new() })
    }

    /// Adds a row, one value for each column.
    ///
    /// # Errors
    /// If a value is not of its column's kind.
    pub fn push(&mut self, row: &[Value<'_>]) -> Result<(), Error> {
        if row.len() != self.columns.len() {
            return Err(self.failed(format!("a row has {} values for {} columns", row.len(), self.columns.len())));
        }
        for (column, value) in self.columns.iter_mut().zip(row) {
            let written = if column.push(*value, &mut self.cell) {
                self.csv.write_field(&self.cell).map_err(|error| error.to_string())
            } else {
                Err("a value is not of its column's kind".to_string())
            };
            written.map_err(|reason| Error::Table { table: self.name.to_string(), reason })?;
        }
        self.csv.write_record(None::<&[u8]>).map_err(|error| self.failed(error.to_string()))?;
        self.rows += 1;
        if self.rows == BATCH_ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        let arrays = self.columns.iter_mut().map(Column::finish).collect();
        self.rows = 0;
        let batch =
            RecordBatch::try_new(self.schema.clone(), arrays).map_err(|error| self.failed(error.to_string()))?;
        self.parquet.write(&batch).map_err(|error| self.failed(error.to_string()))
    }

    /// Ends the table, and gives its CSV and its Parquet file back.
    ///
    /// # Errors
    /// If the last rows cannot be encoded or written.
    pub fn end(mut self) -> Result<(W, W), Error> {
        if self.rows > 0 {
            self.flush()?;
        }
        let name = self.name;
        let failed = |reason: String| Error::Table { table: name.to_string(), reason };
        let parquet = self.parquet.into_inner().map_err(|error| failed(error.to_string()))?;
        let csv = self.csv.into_inner().map_err(|error| failed(error.to_string()))?;
        Ok((csv, parquet))
    }

    fn failed(&self, reason: String) -> Error {
        Error::Table { table: self.name.to_string(), reason }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finite_becomes_an_empty_cell() {
        let mut table =
            Writer::new("test", &[("name", Kind::Text), ("value", Kind::Number), ("n", Kind::Count)]).unwrap();
        table.push(&[Value::Text("a,b"), Value::Number(f64::NAN), Value::Count(3)]).unwrap();
        table.push(&[Value::Missing, Value::Number(1.5e-9), Value::Missing]).unwrap();
        let files = table.finish().unwrap();
        assert_eq!(String::from_utf8(files.csv).unwrap(), "name,value,n\n\"a,b\",,3\n,1.5e-9,\n");
    }

    #[test]
    fn a_value_in_the_wrong_column_is_refused() {
        let mut table = Writer::new("test", &[("n", Kind::Count)]).unwrap();
        assert!(table.push(&[Value::Text("three")]).is_err());
    }
}
