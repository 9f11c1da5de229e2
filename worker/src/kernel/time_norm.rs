//! Batch normalisation with time as the channel: one mean, variance, γ and β per time step, over batch and features
//! (method.md 2.3; PyTorch's `BatchNorm1d(T)` on `[batch, time, feature]`).
//!
//! The statistics depend on the data alone, not on any parameter, so the normalised input x̂ is a constant of the pass. γ and β
//! enter where x̂ is multiplied with the first layer's weights ([`super::recurrent`]).

use pulp::{Arch, Simd, WithSimd};

use super::steps::Steps;
use super::{Real, sized};

/// Added to the variance before the square root, as in PyTorch.
pub const EPSILON: f64 = 1e-5;
/// Share of a new batch in the running statistics, as in PyTorch.
pub const MOMENTUM: f64 = 0.1;

/// Running mean and (unbiased) variance per time step, `[time]` each.
#[derive(Debug, Clone, PartialEq)]
pub struct RunningStatistics<R> {
    /// Mean, initially 0.
    pub mean: Vec<R>,
    /// Variance, initially 1.
    pub variance: Vec<R>,
    /// One time step of a batch, `[batch, feature]`.
    step: Vec<R>,
}

impl<R: Real> RunningStatistics<R> {
    /// Mean 0 and variance 1 for `time` steps.
    pub fn new(time: usize) -> RunningStatistics<R> {
        RunningStatistics { mean: vec![R::ZERO; time], variance: vec![R::ONE; time], step: Vec::new() }
    }

    /// Normalises a batch by its own statistics, those of all its samples at all time steps, and moves the running ones towards them.
    ///
    /// `x` is `[sample, time, feature]`, of which the batch has the samples named; `out` is `[row, feature]`, its rows as `steps` says.
    pub fn normalise_by_batch(&mut self, arch: Arch, x: &[R], samples: &[u32], steps: &Steps, out: &mut [R]) {
        let features = out.len() / steps.rows();
        let size = samples.len() * features;
        let step = sized(&mut self.step, size);
        for t in 0..steps.time() {
            gather(x, samples, steps.time(), t, step);
            let rows = steps.range(t);
            let out = &mut out[rows.start * features..rows.end * features];
            let (mean, variance) = arch.dispatch(ByOwn { values: step, out });
            // PyTorch keeps the unbiased variance; a single value has none, and there the biased one (0) stands in.
            let unbiased = if size > 1 { variance * size as f64 / (size as f64 - 1.0) } else { variance };
            let (keep, take) = (R::of(1.0 - MOMENTUM), R::of(MOMENTUM));
            self.mean[t] = keep * self.mean[t] + take * R::of(mean);
            self.variance[t] = keep * self.variance[t] + take * R::of(unbiased);
        }
    }

    /// Normalises a batch by the running statistics, which stay as they are (evaluation mode).
    pub fn normalise_by_running(&mut self, arch: Arch, x: &[R], samples: &[u32], steps: &Steps, out: &mut [R]) {
        let features = out.len() / steps.rows();
        for t in 0..steps.time() {
            let rows = steps.range(t);
            let step = sized(&mut self.step, rows.len() * features);
            gather(x, &samples[..rows.len()], steps.time(), t, step);
            let out = &mut out[rows.start * features..rows.end * features];
            arch.dispatch(By { mean: self.mean[t], variance: self.variance[t], values: step, out });
        }
    }
}

/// Step `t` of the samples, `[batch, feature]`.
fn gather<R: Real>(x: &[R], samples: &[u32], time: usize, t: usize, out: &mut [R]) {
    if samples.is_empty() {
        return;
    }
    let features = out.len() / samples.len();
    for (sample, out) in samples.iter().zip(out.chunks_exact_mut(features)) {
        let start = (*sample as usize * time + t) * features;
        out.copy_from_slice(&x[start..start + features]);
    }
}

/// Σ f(value) in double precision, in eight interleaved sums, whose order no compiler or instruction set changes.
#[inline(always)]
fn sum<R: Real>(values: &[R], f: impl Fn(f64) -> f64) -> f64 {
    const LANES: usize = 8;
    let (whole, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for values in whole {
        for lane in 0..LANES {
            sums[lane] += f(values[lane].double());
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|value| f(value.double())).sum::<f64>()
}

/// Normalises the first of some values, as many as `out` takes, by the mean and (biased) variance of all, and gives both.
struct ByOwn<'a, R> {
    values: &'a [R],
    out: &'a mut [R],
}

/// Normalises the first of some values, as many as `out` takes, by a given mean and variance.
struct By<'a, R> {
    values: &'a [R],
    out: &'a mut [R],
    mean: R,
    variance: R,
}

impl<R: Real> WithSimd for ByOwn<'_, R> {
    type Output = (f64, f64);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> (f64, f64) {
        let count = self.values.len() as f64;
        let mean = sum(self.values, |value| value) / count;
        let variance = sum(self.values, |value| (value - mean) * (value - mean)) / count;
        By { values: self.values, out: self.out, mean: R::of(mean), variance: R::of(variance) }.with_simd(simd);
        (mean, variance)
    }
}

impl<R: Real> WithSimd for By<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let scale = R::ONE / (self.variance + R::of(EPSILON)).sqrt();
        for (out, value) in self.out.iter_mut().zip(self.values) {
            *out = (*value - self.mean) * scale;
        }
    }
}
