//! The columns of a CSV or Parquet file, whatever types their writers chose: texts, each distinct one once, and numbers.

use std::collections::HashMap;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// The first bytes of every Parquet file.
const PARQUET_MAGIC: &[u8] = b"PAR1";
/// What CSV writers put where there is no value (R, pandas, others).
const ABSENT: [&str; 7] = ["", "NA", "NaN", "nan", "NULL", "null", "None"];

/// A column of words.
#[derive(Debug, Default)]
pub struct Texts {
    names: Vec<String>,
    codes: HashMap<String, u32>,
    rows: Vec<u32>,
}

impl Texts {
    fn push(&mut self, text: &str) {
        let code = match self.codes.get(text) {
            Some(code) => *code,
            None => {
                let code = self.names.len() as u32;
                self.names.push(text.to_string());
                self.codes.insert(text.to_string(), code);
                code
            }
        };
        self.rows.push(code);
    }

    /// The word in a row; empty where the file has none.
    pub fn get(&self, row: usize) -> &str {
        &self.names[self.rows[row] as usize]
    }
}

/// The columns that were asked for and found.
#[derive(Debug, Default)]
pub struct Columns {
    /// How many rows.
    pub rows: usize,
    /// The file's column names.
    pub header: Vec<String>,
    texts: HashMap<&'static str, Texts>,
    numbers: HashMap<&'static str, Vec<f64>>,
}

impl Columns {
    /// A column of words, if the file has it.
    pub fn text(&self, name: &str) -> Option<&Texts> {
        self.texts.get(name)
    }

    /// A column of numbers, NaN where the file has no value, if the file has it.
    pub fn numbers(&self, name: &str) -> Option<&[f64]> {
        self.numbers.get(name).map(Vec::as_slice)
    }

    /// Reads a file's columns of these names, as far as it has them.
    ///
    /// # Errors
    /// Half a sentence about the file.
    pub fn read(path: &Path, texts: &[&'static str], numbers: &[&'static str]) -> Result<Columns, String> {
        let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
        if bytes.starts_with(PARQUET_MAGIC) {
            read_parquet(bytes.into(), texts, numbers)
        } else {
            read_csv(&bytes, texts, numbers)
        }
    }
}

fn read_csv(bytes: &[u8], texts: &[&'static str], numbers: &[&'static str]) -> Result<Columns, String> {
    let mut reader = csv::Reader::from_reader(bytes);
    let broken = |error: csv::Error| format!("is neither Parquet nor CSV with a header: {error}");
    let header: Vec<String> = reader.headers().map_err(broken)?.iter().map(|name| name.trim().to_string()).collect();
    let place = |name: &&'static str| Some((*name, header.iter().position(|other| other == name)?));
    let text_places: Vec<(&'static str, usize)> = texts.iter().filter_map(place).collect();
    let number_places: Vec<(&'static str, usize)> = numbers.iter().filter_map(place).collect();
    let mut text_columns: Vec<Texts> = text_places.iter().map(|_| Texts::default()).collect();
    let mut number_columns: Vec<Vec<f64>> = number_places.iter().map(|_| Vec::new()).collect();
    let (mut rows, mut record) = (0, csv::StringRecord::new());
    while reader.read_record(&mut record).map_err(broken)? {
        for (column, (_, place)) in text_columns.iter_mut().zip(&text_places) {
            column.push(record[*place].trim());
        }
        for (column, (name, place)) in number_columns.iter_mut().zip(&number_places) {
            let cell = record[*place].trim();
            column.push(if ABSENT.contains(&cell) {
                f64::NAN
            } else {
                let line = record.position().map_or(0, csv::Position::line);
                cell.parse()
                    .map_err(|_| format!("has `{cell}` in line {line} where the column {name} holds numbers"))?
            });
        }
        rows += 1;
    }
    let texts = text_places.into_iter().map(|(name, _)| name).zip(text_columns).collect();
    let numbers = number_places.into_iter().map(|(name, _)| name).zip(number_columns).collect();
    Ok(Columns { rows, header, texts, numbers })
}

fn read_parquet(bytes: Bytes, texts: &[&'static str], numbers: &[&'static str]) -> Result<Columns, String> {
    let broken = |error: &dyn std::fmt::Display| format!("is damaged, or no Parquet file that can be read: {error}");
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| broken(&error))?;
    let header: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    let found = |name: &&&'static str| header.iter().any(|other| other == **name);
    let texts: Vec<&'static str> = texts.iter().filter(found).copied().collect();
    let numbers: Vec<&'static str> = numbers.iter().filter(found).copied().collect();
    let names = texts.iter().chain(&numbers).copied();
    let projection = ProjectionMask::columns(builder.parquet_schema(), names);
    let mut columns = Columns { header, ..Columns::default() };
    for name in &texts {
        columns.texts.insert(name, Texts::default());
    }
    for name in &numbers {
        columns.numbers.insert(name, Vec::new());
    }
    for batch in builder.with_projection(projection).build().map_err(|error| broken(&error))? {
        let batch = batch.map_err(|error| broken(&error))?;
        columns.rows += batch.num_rows();
        for (name, texts) in &mut columns.texts {
            let Some(array) = batch.column_by_name(name) else { continue };
            add_texts(array, texts).ok_or_else(|| wrong_type(name, "words", array))?;
        }
        for (name, numbers) in &mut columns.numbers {
            let Some(array) = batch.column_by_name(name) else { continue };
            add_numbers(array, numbers).ok_or_else(|| wrong_type(name, "numbers", array))?;
        }
    }
    Ok(columns)
}

fn wrong_type(name: &str, expected: &str, array: &ArrayRef) -> String {
    format!("has {} in the column {name} where {expected} are expected", array.data_type())
}

/// Adds the words of a column: texts as pandas, Polars and R write them, dictionaries of them, and whole numbers. `None` if it holds
/// something else.
fn add_texts(array: &ArrayRef, texts: &mut Texts) -> Option<()> {
    let word = |row: usize, word: &str| if array.is_null(row) { String::new() } else { word.to_string() };
    match array.data_type() {
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            (0..array.len()).for_each(|row| texts.push(if array.is_null(row) { "" } else { array.value(row) }));
        }
        DataType::LargeUtf8 => {
            let array = array.as_string::<i64>();
            (0..array.len()).for_each(|row| texts.push(if array.is_null(row) { "" } else { array.value(row) }));
        }
        DataType::Utf8View => {
            let array = array.as_string_view();
            (0..array.len()).for_each(|row| texts.push(if array.is_null(row) { "" } else { array.value(row) }));
        }
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary_opt()?;
            let mut values = Texts::default();
            add_texts(dictionary.values(), &mut values)?;
            let keys = dictionary.normalized_keys();
            let text = |row: usize| if dictionary.is_null(row) { "" } else { values.get(keys[row]) };
            (0..dictionary.len()).for_each(|row| texts.push(text(row)));
        }
        _ => {
            let mut numbers = Vec::new();
            add_numbers(array, &mut numbers).filter(|()| array.data_type().is_integer())?;
            numbers.iter().enumerate().for_each(|(row, number)| texts.push(&word(row, &number.to_string())));
        }
    }
    Some(())
}

/// Adds the numbers of a column, NaN for nulls. `None` if it holds something else.
fn add_numbers(array: &ArrayRef, numbers: &mut Vec<f64>) -> Option<()> {
    macro_rules! add {
        ($kind:ty) => {
            numbers
                .extend(array.as_primitive::<$kind>().iter().map(|value| value.map_or(f64::NAN, |value| value as f64)))
        };
    }
    match array.data_type() {
        DataType::Float64 => add!(Float64Type),
        DataType::Float32 => add!(Float32Type),
        DataType::Int8 => add!(Int8Type),
        DataType::Int16 => add!(Int16Type),
        DataType::Int32 => add!(Int32Type),
        DataType::Int64 => add!(Int64Type),
        DataType::UInt8 => add!(UInt8Type),
        DataType::UInt16 => add!(UInt16Type),
        DataType::UInt32 => add!(UInt32Type),
        DataType::UInt64 => add!(UInt64Type),
        _ => return None,
    }
    Some(())
}
