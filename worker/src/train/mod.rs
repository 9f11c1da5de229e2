//! One run: from prepared data to a learning curve, exactly as method.md 2 says.
//!
//! - [`run`]: the training loop
//! - [`scores`]: loss, accuracy, precision, recall, F1
//! - [`curve`]: what a run leaves behind, and its Parquet form
//! - [`backend`]: the device that trains, and its name

pub mod backend;
pub mod curve;
pub mod run;
pub mod scores;

pub use curve::{Curve, EpochRecord};
pub use run::{Error, train};
pub use scores::Scores;
