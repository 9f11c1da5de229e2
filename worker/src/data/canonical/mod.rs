//! The canonical data set: the one file format that everything after the import reads.
//!
//! One Parquet file (zstd), one row per sequence, openable by any Parquet reader:
//!
//! | column | type | content |
//! |---|---|---|
//! | `item` | UInt32 | the sequence's index, 0, 1, 2, … |
//! | `label` | UInt32 | index of its class |
//! | `class` | Utf8 | the class's name |
//! | `steps` | UInt32 | its number of time steps |
//! | `values` | List\<Float32\> | `steps * features` numbers, row-major `[time, feature]` |
//! | `text` | Utf8, nullable | the sentence, in data sets of text |
//!
//! The footer's key `curvefleet.dataset` holds [`Metadata`] as JSON: all that planning needs, readable without the rows.
//! The same data set always becomes the same bytes (no times, no library versions), so that the file's SHA-256 names it.

mod decode;
mod encode;
mod metadata;

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use sha2::{Digest, Sha256};

pub use decode::{decode, decode_expecting};
pub use encode::encode;
pub use metadata::{FORMAT_VERSION, METADATA_KEY, Metadata, read_metadata};

/// SHA-256 of the bytes, as 64 lower-case hex digits: the name of a stored data set.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The elements of `values`.
fn element() -> Field {
    Field::new("element", DataType::Float32, false)
}

/// The file's columns.
fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("item", DataType::UInt32, false),
        Field::new("label", DataType::UInt32, false),
        Field::new("class", DataType::Utf8, false),
        Field::new("steps", DataType::UInt32, false),
        Field::new("values", DataType::List(Arc::new(element())), false),
        Field::new("text", DataType::Utf8, true),
    ]))
}
