//! One machine's share of a study. A worker introduces itself to the coordinator, leases shards, fetches their data sets, trains
//! their runs one thread each, probes the hidden states after every epoch, uploads the curves as Parquet and commits them. It keeps
//! its leases alive by heartbeats, drops what is not its own any more, and hands back what it holds when it is told to stop.
//!
//! - [`options`]: the flags of the worker program, and the program itself
//! - [`agent`]: leases, heartbeats, uploads, commits
//! - [`error`]: why a worker ended
//! - [`train`]: the training loop and what it leaves behind
//! - [`model`]: the networks
//! - [`kernel`]: the arithmetic of training on a processor
//! - [`probe`]: reading hidden states
//! - [`data`]: data sets, from a researcher's files to a run's arrays
//! - [`rng`]: named random streams

pub mod agent;
pub mod data;
pub mod error;
pub mod kernel;
pub mod model;
pub mod options;
pub mod probe;
pub mod rng;
pub mod train;

pub use error::Error;
pub use options::{Options, run};
