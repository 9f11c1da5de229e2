//! Training: from prepared data to learning curves, exactly as method.md 2 says.
//!
//! - [`run`]: the training loop
//! - [`member`]: one run of a pack
//! - [`learner`]: what the loop asks of the networks
//! - [`core`]: networks on a processor's core
//! - [`tensors`]: networks on burn's tensors, on a GPU in packs
//! - [`setup`]: what both are built from
//! - [`checkpoint`]: going on to the bit
//! - [`scores`]: loss, accuracy, precision, recall, F1
//! - [`curve`]: what a run leaves behind, and its Parquet form
//! - [`device`]: what trains, and its name
//! - [`memory`]: what that takes of a machine's memory

pub mod checkpoint;
pub mod core;
pub mod curve;
pub mod device;
mod device_knn;
pub mod learner;
pub mod member;
pub mod memory;
pub mod run;
pub mod scores;
pub mod setup;
pub mod tensors;

pub use checkpoint::Checkpoint;
pub use curve::{Curve, EpochRecord};
pub use device::Device;
pub use run::{Error, Outcome, Pack, Training, train};
pub use scores::Scores;
