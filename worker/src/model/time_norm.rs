//! Batch normalisation with time as the channel: one mean, variance, γ and β per time step, over batch and features
//! (method.md 2.3; PyTorch's `BatchNorm1d(T)` on `[batch, time, feature]`).
//!
//! The statistics depend on the data alone, not on any parameter, so they are computed on plain slices, and what reaches the
//! network is the normalised input as constants; only γ and β are part of the graph. The running statistics are held here and
//! not in burn's `RunningState`, which averages over threads and keeps the biased variance.

use burn::module::{Module, Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};

/// Added to the variance before the square root, as in PyTorch.
pub const EPSILON: f32 = 1e-5;
/// Share of a new batch in the running statistics, as in PyTorch.
pub const MOMENTUM: f32 = 0.1;

/// The trained part: γ and β, each `[time]`.
#[derive(Module, Debug)]
pub struct TimeNorm {
    /// Scale per time step.
    pub gamma: Param<Tensor<1>>,
    /// Shift per time step.
    pub beta: Param<Tensor<1>>,
}

/// Running mean and (unbiased) variance per time step, `[time]` each.
#[derive(Debug, Clone, PartialEq)]
pub struct RunningStatistics {
    /// Mean, initially 0.
    pub mean: Vec<f32>,
    /// Variance, initially 1.
    pub variance: Vec<f32>,
}

/// A batch normalised step by step.
#[derive(Debug)]
pub struct NormalisedBatch {
    /// One tensor `[batch, feature]` per time step.
    pub steps: Vec<Tensor<2>>,
}

impl TimeNorm {
    /// γ = 1 and β = 0 for `time` steps.
    pub fn new(time: usize, device: &Device) -> TimeNorm {
        TimeNorm::from_values(vec![1.0; time], vec![0.0; time], device)
    }

    /// Given γ and β, `[time]` each.
    pub fn from_values(gamma: Vec<f32>, beta: Vec<f32>, device: &Device) -> TimeNorm {
        let param = |values: Vec<f32>| {
            let shape = [values.len()];
            Param::initialized(ParamId::new(), Tensor::from_data(TensorData::new(values, shape), device).require_grad())
        };
        TimeNorm { gamma: param(gamma), beta: param(beta) }
    }

    /// γ_t x̂_t + β_t for each step of a normalised batch: one tensor `[batch, feature]` per time step.
    pub fn forward(&self, batch: NormalisedBatch) -> Vec<Tensor<2>> {
        let (gamma, beta) = (self.gamma.val(), self.beta.val());
        let at = |values: &Tensor<1>, t: usize| values.clone().narrow(0, t, 1).reshape([1, 1]);
        batch.steps.into_iter().enumerate().map(|(t, x)| x * at(&gamma, t) + at(&beta, t)).collect()
    }
}

impl RunningStatistics {
    /// Mean 0 and variance 1 for `time` steps.
    pub fn new(time: usize) -> RunningStatistics {
        RunningStatistics { mean: vec![0.0; time], variance: vec![1.0; time] }
    }

    /// Normalises a batch by its own statistics and moves the running ones towards them.
    ///
    /// `rows` gives each sample's values, `[time, feature]`.
    pub fn normalise_by_batch(&mut self, rows: &[&[f32]], features: usize, device: &Device) -> NormalisedBatch {
        let count = (rows.len() * features) as f64;
        let steps = (0..self.mean.len()).map(|t| {
            let mut values = gather(rows, t, features);
            let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
            let variance = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / count;
            normalise(&mut values, mean as f32, variance as f32);
            // PyTorch keeps the unbiased variance; a single value has none, and there the biased one (0) stands in.
            let unbiased = if count > 1.0 { variance * count / (count - 1.0) } else { variance };
            self.mean[t] = (1.0 - MOMENTUM) * self.mean[t] + MOMENTUM * mean as f32;
            self.variance[t] = (1.0 - MOMENTUM) * self.variance[t] + MOMENTUM * unbiased as f32;
            tensor(values, rows.len(), features, device)
        });
        NormalisedBatch { steps: steps.collect() }
    }

    /// Normalises a batch by the running statistics, which stay as they are (evaluation mode).
    pub fn normalise_by_running(&self, rows: &[&[f32]], features: usize, device: &Device) -> NormalisedBatch {
        let steps = (0..self.mean.len()).map(|t| {
            let mut values = gather(rows, t, features);
            normalise(&mut values, self.mean[t], self.variance[t]);
            tensor(values, rows.len(), features, device)
        });
        NormalisedBatch { steps: steps.collect() }
    }
}

fn gather(rows: &[&[f32]], t: usize, features: usize) -> Vec<f32> {
    rows.iter().flat_map(|row| &row[t * features..(t + 1) * features]).copied().collect()
}

fn normalise(values: &mut [f32], mean: f32, variance: f32) {
    let scale = 1.0 / (variance + EPSILON).sqrt();
    for value in values {
        *value = (*value - mean) * scale;
    }
}

fn tensor(values: Vec<f32>, batch: usize, features: usize, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, [batch, features]), device)
}
