//! One probe curve (accuracy over time steps of one epoch of one run) at a time: smoothing it and reading its metrics.

pub mod metrics;
pub mod smooth;
