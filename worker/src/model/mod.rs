//! The networks: burn modules that give logits and the hidden states of every time step.
//!
//! - [`time_norm`]: batch normalisation with time as the channel
//! - [`lstm`]: batch norm over time, LSTM layers, linear read-out

pub mod lstm;
pub mod time_norm;

pub use lstm::{Lstm, LstmConfig, LstmWeights, Output};
pub use time_norm::{NormalisedBatch, RunningStatistics, TimeNorm};
