//! What was near at the last time step is near at the next one too: measured there, it bounds from the start how far an asker's k
//! nearest lie, and the search need not collect and discard what comes before them by chance. Answers do not depend on it.

use pulp::{Simd, WithSimd};

use super::askers::Asker;
use super::nearest::squared_distance;
use super::vote::Context;

/// Neighbours up to which they are measured ahead; more would cost more than their bound saves.
const NEIGHBOURS_MAX: usize = 16;
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
        let (mut furthest, mut points) = (0.0_f64, 0);
        for (place, row) in near.iter().enumerate() {
            let state = (*row != NONE).then(|| context.distinct.state(*row as usize)).flatten();
            let Some(state) = state.filter(|state| *state < context.fitted.states) else { break };
            let is_counted = near[..place].iter().any(|row| context.distinct.state(*row as usize) == Some(state));
            if !is_counted {
                furthest = furthest.max(squared_distance(own, context.state(state)));
                points += context.fitted.weight(state, asker.excluded);
            }
            if points >= context.fitted.k {
                return furthest;
            }
        }
        f64::INFINITY
    }
}
