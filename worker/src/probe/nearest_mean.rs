//! The class whose mean is nearest, by Euclidean distance; ties go to the smallest class.
//!
//! Means are over the fitted points, each copy for itself, in f64. Sums of f32 numbers whose magnitudes are within a factor of 2²⁹ / points
//! of each other are exact in f64, so where states coincide, means that should be equal are. Leave-one-out takes the query's own sample out
//! of its classes' sums; a class that has no other points cannot be predicted.

use pulp::{Arch, Simd, WithSimd};

use super::points::{Exclude, Points};
use super::sums::{LANES, total};

/// Predicts by class means, with all buffers that a time step takes.
#[derive(Debug)]
pub(super) struct NearestMean {
    arch: Arch,
    exclude: Exclude,
    /// Of the fitted points.
    totals: Totals,
    /// Less those of the query's own sample.
    others: Totals,
    /// `[class, hidden]`.
    means: Vec<f64>,
    /// The mean of one class without the query's own sample, `[hidden]`.
    mean: Vec<f64>,
    /// Fitted points by origin.
    by_origin: Vec<u32>,
}

/// What means are made of.
#[derive(Debug, Default)]
struct Totals {
    /// Sums of the states of each class, `[class, hidden]`.
    sums: Vec<f64>,
    /// Points of each class.
    counts: Vec<u32>,
}

impl NearestMean {
    /// Predicts one of `classes`.
    pub fn new(classes: usize, exclude: Exclude, arch: Arch) -> NearestMean {
        let totals = || Totals { sums: Vec::new(), counts: vec![0; classes] };
        let (means, mean, by_origin) = (Vec::new(), Vec::new(), Vec::new());
        NearestMean { arch, exclude, totals: totals(), others: totals(), means, mean, by_origin }
    }

    /// The label that the fitted points give each query; `states` is `[row, hidden]`. Class 0 where there is no point to tell it by.
    pub fn predict(
        &mut self,
        states: &[f32],
        hidden: usize,
        fit: Points<'_>,
        queries: Points<'_>,
        predictions: &mut Vec<u32>,
    ) {
        let classes = self.totals.counts.len();
        self.totals.clear(hidden);
        for (row, label) in fit.rows.iter().zip(fit.labels) {
            self.totals.add(self.arch, *label as usize, 1.0, &states[row * hidden..][..hidden]);
        }
        self.others.clear(hidden);
        self.means.resize(classes * hidden, 0.0);
        for (class, mean) in self.means.chunks_exact_mut(hidden).enumerate() {
            self.totals.mean(class, mean);
        }
        self.by_origin.clear();
        if self.exclude == Exclude::SameOrigin {
            self.by_origin.extend(0..fit.len() as u32);
            self.by_origin.sort_unstable_by_key(|point| fit.origins[*point as usize]);
        }
        predictions.clear();
        for (row, origin) in queries.rows.iter().zip(queries.origins) {
            predictions.push(self.nearest(states, hidden, fit, &states[row * hidden..][..hidden], *origin));
        }
    }

    fn nearest(&mut self, states: &[f32], hidden: usize, fit: Points<'_>, state: &[f32], origin: usize) -> u32 {
        let first = self.by_origin.partition_point(|point| fit.origins[*point as usize] < origin);
        let own = self.by_origin[first..].iter().map(|point| *point as usize);
        let own = own.take_while(|point| fit.origins[*point] == origin);
        let mut nearest: Option<(f64, u32)> = None;
        for class in 0..self.totals.counts.len() {
            let mean = if own.clone().any(|point| fit.labels[point] as usize == class) {
                self.others.copy(class, &self.totals);
                for point in own.clone().filter(|point| fit.labels[*point] as usize == class) {
                    self.others.add(self.arch, class, -1.0, &states[fit.rows[point] * hidden..][..hidden]);
                }
                self.mean.resize(hidden, 0.0);
                self.others.mean(class, &mut self.mean);
                (self.others.counts[class] > 0).then_some(&self.mean[..])
            } else {
                (self.totals.counts[class] > 0).then_some(&self.means[class * hidden..][..hidden])
            };
            let Some(mean) = mean else { continue };
            let distance = self.arch.dispatch(SquaredDistance { state, mean });
            // What is not a number is as far as can be.
            let distance = if distance.is_nan() { f64::INFINITY } else { distance };
            if nearest.is_none_or(|(smallest, _)| distance < smallest) {
                nearest = Some((distance, class as u32));
            }
        }
        nearest.map_or(0, |(_, class)| class)
    }
}

impl Totals {
    fn clear(&mut self, hidden: usize) {
        self.sums.clear();
        self.sums.resize(self.counts.len() * hidden, 0.0);
        self.counts.fill(0);
    }

    /// Adds a state `sign` times, 1 or −1.
    fn add(&mut self, arch: Arch, class: usize, sign: f64, state: &[f32]) {
        let hidden = state.len();
        let sums = &mut self.sums[class * hidden..][..hidden];
        arch.dispatch(Add { sums, sign, state });
        self.counts[class] = if sign > 0.0 { self.counts[class] + 1 } else { self.counts[class] - 1 };
    }

    /// Takes one class over.
    fn copy(&mut self, class: usize, other: &Totals) {
        let hidden = self.sums.len() / self.counts.len();
        let sums = class * hidden..(class + 1) * hidden;
        self.sums[sums.clone()].copy_from_slice(&other.sums[sums]);
        self.counts[class] = other.counts[class];
    }

    fn mean(&self, class: usize, mean: &mut [f64]) {
        let count = f64::from(self.counts[class].max(1));
        let sums = &self.sums[class * mean.len()..];
        mean.iter_mut().zip(sums).for_each(|(mean, sum)| *mean = sum / count);
    }
}

/// sums += sign · state.
struct Add<'a> {
    sums: &'a mut [f64],
    sign: f64,
    state: &'a [f32],
}

impl WithSimd for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.sums.iter_mut().zip(self.state).for_each(|(sum, value)| *sum += self.sign * f64::from(*value));
    }
}

/// |state − mean|².
struct SquaredDistance<'a> {
    state: &'a [f32],
    mean: &'a [f64],
}

impl WithSimd for SquaredDistance<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        let ((state, state_rest), (mean, mean_rest)) =
            (self.state.as_chunks::<LANES>(), self.mean.as_chunks::<LANES>());
        let mut sums = [0.0; LANES];
        for (state, mean) in state.iter().zip(mean) {
            for lane in 0..LANES {
                let difference = f64::from(state[lane]) - mean[lane];
                sums[lane] += difference * difference;
            }
        }
        let rest = state_rest.iter().zip(mean_rest).map(|(value, mean)| f64::from(*value) - mean);
        total(sums) + rest.map(|difference| difference * difference).sum::<f64>()
    }
}
