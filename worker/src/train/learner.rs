//! What the training loop asks of whatever holds the networks of a pack of runs, on a processor or on a GPU.

use curvefleet_proto::study::Statistics;

use crate::probe::{Exclude, Points};

/// The networks of a pack of runs in training. Lists have one entry per run of the pack, in its order.
pub trait Learner {
    /// Forgets the hidden states that were kept, and makes room for `rows` new ones of each run.
    fn clear_states(&mut self, rows: usize);

    /// One forward pass, loss, backward pass and update of each run on its own batch. `losses` becomes the mean loss of each run,
    /// `None` for one whose batch is empty: that run stays as it is, and so does one whose loss is not finite.
    ///
    /// # Errors
    /// If the device fails.
    fn train(&mut self, batches: &[Batch], losses: &mut [Option<f64>]) -> Result<(), DeviceError>;

    /// One forward pass outside training, `statistics` being those of the batch norm. Appends each run's logits, `[sample, class]`.
    ///
    /// # Errors
    /// If the device fails.
    fn evaluate(
        &mut self,
        batches: &[Batch],
        statistics: Statistics,
        logits: &mut [Vec<f32>],
    ) -> Result<(), DeviceError>;

    /// Each run's curve: the probe's accuracy on the states kept, at every time step.
    ///
    /// # Errors
    /// If the device fails.
    fn probe(&mut self, probed: &[Probed<'_>], curves: &mut [Vec<f64>]) -> Result<(), DeviceError>;

    /// All that training has changed in a run's network.
    ///
    /// # Errors
    /// If the device fails.
    fn state(&self, run: usize) -> Result<NetworkState, DeviceError>;

    /// Puts a run's network into a state that [`Learner::state`] gave.
    fn restore(&mut self, run: usize, state: &NetworkState);
}

/// Some samples of one run.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Indices into the condition's samples.
    pub samples: Vec<u32>,
    /// Their labels in this run.
    pub labels: Vec<u32>,
    /// The time step at which each is read out.
    pub last_steps: Vec<u32>,
    /// Where the hidden states of each are kept; empty if they are not.
    pub rows: Vec<usize>,
}

/// What one run's probe fits and scores.
#[derive(Debug, Clone, Copy)]
pub struct Probed<'a> {
    /// The points that it is fitted on.
    pub fit: Points<'a>,
    /// The points that it is scored on.
    pub queries: Points<'a>,
    /// Which points it must not be told by.
    pub exclude: Exclude,
}

/// A run's network as it was saved.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkState {
    /// All parameters one after another.
    pub parameters: Vec<f32>,
    /// Adam's first moments; empty for gradient descent.
    pub first_moments: Vec<f32>,
    /// Adam's second moments; empty for gradient descent.
    pub second_moments: Vec<f32>,
    /// Updates made.
    pub updates: u64,
    /// Batch norm's running mean per time step.
    pub running_mean: Vec<f32>,
    /// Batch norm's running variance per time step.
    pub running_variance: Vec<f32>,
    /// How far the run's stream for dropout has been drawn from.
    pub dropout_position: u128,
}

/// The device cannot go on.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the training device failed: {0}")]
pub struct DeviceError(pub String);
