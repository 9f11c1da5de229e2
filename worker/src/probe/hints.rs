//! What was near at the last time step is near at the next one too: measured there, it bounds from the start how far an asker's k
//! nearest lie, and the search need not collect and discard what comes before them by chance. Answers do not depend on it.

use pulp::{Simd, WithSimd};

use super::askers::Asker;
use super::vote::Context;

/// Neighbours up to which they are measured ahead; more would cost more than their bound saves.
const NEIGHBOURS_MAX: usize = 16;
/// Numbers of a row that are summed side by side.
const LANES: usize = 32;
/// No neighbour.
const NONE: u32 = u32::MAX;

/// For every row of the states, rows that were near at the last time step.
#[derive(Debug, Default)]
pub(super) struct Hints {
    k: usize,
    /// `[row, k]`.
    near: Vec<u32>,
}

impl Hints {
    /// Prepares for a time step of `rows` rows; forgets what was near where it was of other rows.
    pub fn prepare(&mut self, rows: usize, k: usize) {
        let k = if k <= NEIGHBOURS_MAX { k } else { 0 };
        if (self.k, self.near.len()) != (k, rows * k) {
            self.k = k;
            self.near.clear();
            self.near.resize(rows * k, NONE);
        }
    }

    /// Notes rows near to an asker, the nearest first.
    pub fn note(&mut self, context: Context<'_>, asker: Asker, near: impl Iterator<Item = usize>) {
        let row = context.distinct.row(asker.state as usize);
        let places = &mut self.near[row * self.k..][..self.k];
        let mut near = near.map(|row| row as u32);
        places.iter_mut().for_each(|place| *place = near.next().unwrap_or(NONE));
    }

    /// A squared distance within which at least k points lie that an asker may be told by, +∞ if none is known.
    pub fn reach(&self, context: Context<'_>, asker: Asker) -> f64 {
        let row = context.distinct.row(asker.state as usize);
        let near = &self.near[row * self.k..][..self.k];
        context.arch.dispatch(Reach { context, asker, near })
    }
}

/// The vectorised part of [`Hints::reach`].
struct Reach<'a> {
    context: Context<'a>,
    asker: Asker,
    near: &'a [u32],
}

impl WithSimd for Reach<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        let Reach { context, asker, near } = self;
        let own = context.state(asker.state as usize);
        let (mut furthest, mut points) = (0.0_f32, 0);
        for (place, row) in near.iter().enumerate().take_while(|(_, row)| **row != NONE) {
            let state = context.distinct.state(*row as usize).filter(|state| *state < context.fitted.states);
            let is_known = near[..place].iter().any(|row| context.distinct.state(*row as usize) == state);
            if let Some(state) = state.filter(|_| !is_known) {
                furthest = furthest.max(squared_distance(own, context.state(state)));
                points += context.fitted.weight(state, asker.excluded);
            }
        }
        if points < context.fitted.k {
            return f64::INFINITY;
        }
        // Differences, their squares and their sum are each rounded, and may be too small to be normal numbers.
        let hidden = context.hidden as f64;
        let rounding = f64::from(f32::EPSILON) * (hidden + 8.0);
        f64::from(furthest) * (1.0 + rounding) + hidden * f64::from(f32::MIN_POSITIVE)
    }
}

/// The squared Euclidean distance of two states in f32; what is not a number is as far as can be.
#[inline(always)]
fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            let difference = a[lane] - b[lane];
            sums[lane] += difference * difference;
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| (a - b) * (a - b));
    let distance = sums.iter().sum::<f32>() + rest.sum::<f32>();
    if distance.is_nan() { f32::INFINITY } else { distance }
}
