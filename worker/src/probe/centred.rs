//! States ready for a matrix product, with the bound on what its rounding can do to a distance.
//!
//! Half the squared distance of x and y less |x|²/2, which is the same for all y, is |y|²/2 − x·y: the *offset* of y as seen from x. The
//! order of offsets is the order of distances. Offsets come out of products in f32 and are off by a little, so here each state gets
//!
//! - a *base*: base(y) − x·y is at most c|x|² above y's exact offset,
//! - a *spread*: base(y) + spread(y) − x·y is at most c|x|² below it, and spread(x) ≥ 2c|x|².
//!
//! So when the k-th smallest of base(y) + spread(y) − x·y is r, the k-th smallest exact offset is at most r + c|x|², and a y with
//! base(y) − x·y > r + spread(x) lies further than that: it is not among the k nearest.
//!
//! Where c comes from, with u = 2⁻²⁴, n units and S = |x|² + |y|² of the states less the centre: taking the centre off rounds each number
//! once, which changes half the squared distance by at most (2u + u²) S; a sum of n products in any order is off by at most
//! n u / (1 − n u) Σ|xᵢyᵢ| ≤ (n/2) u S / (1 − n u) (Higham 2002, section 3.1); the norm's half, the base and the two additions that
//! follow are rounded once each, together below 3 u S. That is (n/2 + 5) u S; a sixteenth more covers the second order up to a million
//! units and the rounding of the norm in the bound itself. Numbers too small for their products add n 2⁻¹⁴⁹ at most.
//!
//! Where the products are those of x̃ and ỹ, rounded to bfloat16, they are off by (x − x̃)·y + x̃·(y − ỹ) besides. With v the largest
//! |x − x̃| / |x| of all states, that is at most (v + v²/2) S; v is measured, and about half of the 2⁻⁸ that it could be.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::bf16::{self, Pair};
use super::vote::Context;
use crate::kernel::product::View;

/// Rows that are laid side by side at once; the number of columns is a multiple of it.
pub(super) const LANES: usize = 16;
/// Squared norms from which products of two states might overflow.
const NORM_MAX: f64 = 1e37;

/// Some states less a centre, each a column. Columns past the last state are of no consequence: their base is NaN, which compares with
/// nothing.
#[derive(Debug, Default)]
pub(super) struct Centred {
    /// `[hidden, stride]`.
    values: Vec<f32>,
    /// The same in bfloat16, two units a number, `[hidden / 2, stride]`; where it is asked for.
    pairs: Vec<Pair>,
    precision: Precision,
    /// The largest relative error of a state in that precision beside f32, v.
    pub coarseness: f32,
    hidden: usize,
    stride: usize,
    /// Columns that are states.
    states: usize,
    /// Columns, a multiple of [`LANES`].
    pub width: usize,
    /// The base of each column. States that are not finite, or too large to be multiplied, have −∞: nothing is known about their offset.
    pub bases: Vec<f32>,
    /// The spread of each column, +∞ where the base is −∞.
    pub spreads: Vec<f32>,
    /// The product of each column with itself.
    pub squares: Vec<f32>,
}

/// What is multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Precision {
    /// f32.
    #[default]
    Single,
    /// bfloat16.
    Half,
}

impl Centred {
    /// The number above which no offset of a state lies that is within a squared distance of the state in a column.
    pub fn offset_within(&self, column: usize, squared_distance: f64) -> f32 {
        /// More than what the distance, the column's square and the result are rounded by.
        const ROUNDING: f64 = 1.0 / (1 << 21) as f64;
        let (half, square) = (0.5 * squared_distance, 0.5 * f64::from(self.squares[column]));
        (half - square + ROUNDING * (half + square)) as f32 + f32::MIN_POSITIVE
    }

    /// Some columns, as `[hidden, columns]`.
    pub fn columns(&self, columns: Range<usize>) -> View<'_, f32> {
        View::new(&self.values, self.hidden, self.stride).columns_from(columns.start, columns.len())
    }

    /// All columns in bfloat16, if they were loaded for it.
    pub fn pairs(&self) -> bf16::Columns<'_> {
        bf16::Columns { values: &self.pairs, pairs: self.hidden.div_ceil(2), stride: self.stride }
    }

    /// Takes `centre` off the distinct states numbered `chosen`. Bases and spreads follow with [`Centred::bound`].
    pub fn load(
        &mut self,
        context: Context<'_>,
        chosen: impl ExactSizeIterator<Item = usize>,
        centre: &[f32],
        precision: Precision,
    ) {
        let hidden = centre.len();
        (self.hidden, self.width, self.precision) = (hidden, chosen.len().next_multiple_of(LANES), precision);
        // Lines that lie a power of two apart would fight for the same places in the caches.
        self.stride = ((self.width / LANES) | 1) * LANES;
        self.values.resize(hidden * self.stride, 0.0);
        if precision == Precision::Half {
            self.pairs.resize(hidden.div_ceil(2) * self.stride, 0);
        }
        for numbers in [&mut self.bases, &mut self.spreads, &mut self.squares] {
            numbers.resize(self.width, 0.0);
        }
        self.coarseness = 0.0;
        self.states = chosen.len();
        context.arch.dispatch(Load { centred: self, context, chosen, centre });
    }

    /// Makes bases and spreads for products with states of which none is coarser than `coarseness`.
    pub fn bound(&mut self, coarseness: f32) {
        for column in 0..self.width {
            let square = self.squares[column];
            (self.bases[column], self.spreads[column]) = if column >= self.states {
                (f32::NAN, f32::NAN)
            } else if square.is_finite() {
                base_and_spread(square, self.hidden, self.precision, coarseness)
            } else {
                (f32::NEG_INFINITY, f32::INFINITY)
            };
        }
    }

    /// Lays rows side by side, from column `first` on; only `count` of them are states.
    #[inline(always)]
    fn load_rows(&mut self, first: usize, count: usize, rows: &[&[f32]; LANES], centre: &[f32]) {
        let values = &mut self.values[first..];
        let squares = lay_side_by_side(values, self.stride, rows, centre);
        for (lane, square) in squares.into_iter().enumerate() {
            // What cannot be multiplied is out of all bounds and has no part in the products.
            let usable = square < NORM_MAX;
            if lane < count && !usable {
                values[lane..].iter_mut().step_by(self.stride).for_each(|value| *value = 0.0);
            }
            self.squares[first + lane] = if usable { square as f32 } else { f32::INFINITY };
        }
        if self.precision == Precision::Half {
            let errors = self.round(first);
            let of_states = errors.iter().zip(&self.squares[first..]).take(count);
            let relative =
                of_states.filter(|(_, square)| **square > 0.0).map(|(error, square)| (error / square).sqrt());
            // More than what the sums of squares, the division and the root are rounded by.
            self.coarseness = relative.fold(self.coarseness, |largest, relative| largest.max(1.001 * relative));
        }
    }

    /// Rounds some columns to bfloat16; returns the squared norms of the errors.
    #[inline(always)]
    fn round(&mut self, first: usize) -> [f32; LANES] {
        let mut errors = [0.0_f32; LANES];
        let lines = self.values[first..].chunks(2 * self.stride);
        for (pairs, lines) in self.pairs[first..].chunks_mut(self.stride).zip(lines) {
            // The last line has no partner where units are odd.
            let line = |at: usize| lines.get(at..).and_then(|line| line.first_chunk()).copied();
            let (ones, others): ([f32; LANES], [f32; LANES]) =
                (line(0).unwrap_or_default(), line(self.stride).unwrap_or_default());
            let mut both = [0; LANES];
            for lane in 0..LANES {
                both[lane] = bf16::pair(ones[lane], others[lane]);
                let [one, other] = bf16::unpair(both[lane]);
                errors[lane] += (ones[lane] - one) * (ones[lane] - one);
                errors[lane] += (others[lane] - other) * (others[lane] - other);
            }
            pairs[..LANES].copy_from_slice(&both);
        }
        errors
    }
}

/// The vectorised part of [`Centred::load`].
struct Load<'a, I> {
    centred: &'a mut Centred,
    context: Context<'a>,
    chosen: I,
    centre: &'a [f32],
}

impl<I: ExactSizeIterator<Item = usize>> WithSimd for Load<'_, I> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        let hidden = self.centre.len();
        for first in (0..self.centred.width).step_by(LANES) {
            let count = LANES.min(self.chosen.len());
            let mut rows = [&self.context.states[..hidden]; LANES];
            for (row, state) in rows.iter_mut().zip(self.chosen.by_ref().take(count)) {
                *row = self.context.state(state);
            }
            self.centred.load_rows(first, count, &rows, self.centre);
        }
    }
}

/// Writes rows less the centre as columns of `[hidden, stride]`; returns their squared norms.
#[inline(always)]
fn lay_side_by_side(values: &mut [f32], stride: usize, rows: &[&[f32]; LANES], centre: &[f32]) -> [f64; LANES] {
    let rows = rows.map(|row| &row[..centre.len()]);
    let mut squares = [0.0_f64; LANES];
    for (unit, (line, centre)) in values.chunks_mut(stride).zip(centre).enumerate() {
        let mut values = [0.0_f32; LANES];
        for lane in 0..LANES {
            values[lane] = rows[lane][unit] - centre;
        }
        for lane in 0..LANES {
            squares[lane] += f64::from(values[lane]) * f64::from(values[lane]);
        }
        line[..LANES].copy_from_slice(&values);
    }
    squares
}

/// See the head of this file.
#[inline(always)]
fn base_and_spread(square: f32, hidden: usize, precision: Precision, coarseness: f32) -> (f32, f32) {
    const UNIT_ROUNDOFF: f32 = f32::EPSILON / 2.0;
    const SECOND_ORDER: f32 = 1.0625;
    // v + v²/2, and what the second order of both roundings together comes to.
    let coarseness = coarseness * (1.0 + coarseness);
    let tiny = match precision {
        // The smallest positive number.
        Precision::Single => f32::from_bits(1),
        // Sums that are too small to be normal numbers become zero.
        Precision::Half => f32::MIN_POSITIVE,
    };
    let half = 0.5 * hidden as f32;
    let tiny = (hidden as f32 + 4.0) * tiny;
    let factor = SECOND_ORDER * (half + 6.0) * UNIT_ROUNDOFF + coarseness;
    let spread = (SECOND_ORDER * (2.0 * half + 16.0) * UNIT_ROUNDOFF + 2.0 * coarseness) * square;
    (0.5 * square - (factor * square + tiny), spread + 4.0 * tiny)
}

/// The mean of the distinct states, into `mean`. Units whose mean is not finite get 0.
pub(super) fn mean(context: Context<'_>, mean: &mut Vec<f32>) {
    mean.clear();
    mean.resize(context.hidden, 0.0);
    context.arch.dispatch(Mean { context, mean });
}

/// The vectorised part of [`mean`].
struct Mean<'a> {
    context: Context<'a>,
    mean: &'a mut [f32],
}

impl WithSimd for Mean<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Mean { context, mean } = self;
        for state in 0..context.distinct.len() {
            mean.iter_mut().zip(context.state(state)).for_each(|(sum, value)| *sum += value);
        }
        let count = context.distinct.len() as f32;
        mean.iter_mut().for_each(|sum| *sum = if (*sum / count).is_finite() { *sum / count } else { 0.0 });
    }
}
