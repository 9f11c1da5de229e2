//! From a study's folder in the object store to its results: the study file, the manifest, and the curve parts that it names.
//!
//! A run counts if and only if the manifest says that it is done and its rows are found, whole, in a part whose size and SHA-256
//! are the manifest's. Whatever else happens to a run is kept as a [`results::Missing`] with its reason; nothing is dropped silently.

pub mod kept;
pub mod manifest;
pub mod metric_table;
pub mod part;
pub mod results;
pub mod study;
pub mod together;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, Float64Array, ListArray, RecordBatch, StringArray, UInt32Array, UInt64Array};

/// A column by name; the error is half a sentence about the file.
fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, String> {
    batch.column_by_name(name).ok_or_else(|| format!("it has no column `{name}`"))
}

fn wrong_type(name: &str, expected: &str, found: &ArrayRef) -> String {
    format!("its column `{name}` holds {} where {expected} is expected", found.data_type())
}

fn text_column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray, String> {
    let found = column(batch, name)?;
    found.as_string_opt::<i32>().ok_or_else(|| wrong_type(name, "Utf8", found))
}

fn float_column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a Float64Array, String> {
    let found = column(batch, name)?;
    found.as_primitive_opt::<Float64Type>().ok_or_else(|| wrong_type(name, "Float64", found))
}

fn u32_column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a UInt32Array, String> {
    let found = column(batch, name)?;
    found.as_primitive_opt::<UInt32Type>().ok_or_else(|| wrong_type(name, "UInt32", found))
}

fn u64_column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a UInt64Array, String> {
    let found = column(batch, name)?;
    found.as_primitive_opt::<UInt64Type>().ok_or_else(|| wrong_type(name, "UInt64", found))
}

fn list_column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ListArray, String> {
    let found = column(batch, name)?;
    found.as_list_opt::<i32>().ok_or_else(|| wrong_type(name, "List", found))
}

/// The values of a list's row; nulls become NaN, which makes the curve's metrics undefined.
fn list_row(list: &ListArray, row: usize) -> Result<Vec<f64>, String> {
    let values = list.value(row);
    let values =
        values.as_primitive_opt::<Float64Type>().ok_or_else(|| wrong_type("curve", "List of Float64", &values))?;
    Ok(values.iter().map(|value| value.unwrap_or(f64::NAN)).collect())
}

/// A value that may be null; what is not finite counts as null.
fn optional(column: &Float64Array, row: usize) -> Option<f64> {
    column.is_valid(row).then(|| column.value(row)).filter(|value| value.is_finite())
}
