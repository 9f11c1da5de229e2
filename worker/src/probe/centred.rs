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

use pulp::Arch;

use super::distinct::Distinct;

/// Rows that are laid side by side at once; the width of all columns is a multiple of it.
pub(super) const LANES: usize = 16;
/// Squared norms from which products of two states might overflow.
const NORM_MAX: f64 = 1e37;

/// Some states less a centre, each a column of `[hidden, width]`. Columns past the last state are zeros of no consequence: their base is
/// NaN, which compares with nothing.
#[derive(Debug, Default)]
pub(super) struct Centred {
    /// `[hidden, width]`.
    pub values: Vec<f32>,
    /// Columns, a multiple of [`LANES`].
    pub width: usize,
    /// The base of each column. States that are not finite, or too large to be multiplied, have −∞: nothing is known about their offset.
    pub bases: Vec<f32>,
    /// The spread of each column, +∞ where the base is −∞.
    pub spreads: Vec<f32>,
    /// The product of each column with itself.
    pub squares: Vec<f32>,
}

impl Centred {
    /// Takes `centre` off the distinct states numbered `chosen`.
    pub fn load(
        &mut self,
        arch: Arch,
        states: &[f32],
        distinct: &Distinct,
        chosen: impl ExactSizeIterator<Item = usize> + Clone,
        centre: &[f32],
    ) {
        let hidden = centre.len();
        self.width = chosen.len().next_multiple_of(LANES);
        self.values.resize(hidden * self.width, 0.0);
        for numbers in [&mut self.bases, &mut self.spreads, &mut self.squares] {
            numbers.resize(self.width, 0.0);
        }
        arch.dispatch(
            #[inline(always)]
            || {
                let mut rest = chosen.clone();
                for first in (0..self.width).step_by(LANES) {
                    let count = LANES.min(chosen.len() - first);
                    let mut rows = [&states[..hidden]; LANES];
                    for (row, state) in rows.iter_mut().zip(rest.by_ref().take(count)) {
                        *row = &states[distinct.row(state) * hidden..][..hidden];
                    }
                    self.load_rows(first, count, &rows, centre);
                }
            },
        );
    }

    /// Lays rows side by side, from column `first` on; only `count` of them are states.
    #[inline(always)]
    fn load_rows(&mut self, first: usize, count: usize, rows: &[&[f32]; LANES], centre: &[f32]) {
        let hidden = centre.len();
        let rows = rows.map(|row| &row[..hidden]);
        let mut squares = [0.0_f64; LANES];
        for unit in 0..hidden {
            let mut line = [0.0_f32; LANES];
            for lane in 0..LANES {
                line[lane] = rows[lane][unit] - centre[unit];
            }
            for lane in 0..LANES {
                squares[lane] += f64::from(line[lane]) * f64::from(line[lane]);
            }
            self.values[unit * self.width + first..][..LANES].copy_from_slice(&line);
        }
        for lane in 0..LANES {
            let column = first + lane;
            let usable = squares[lane] < NORM_MAX;
            if lane >= count || !usable {
                (0..hidden).for_each(|unit| self.values[unit * self.width + column] = 0.0);
            }
            (self.bases[column], self.spreads[column]) = match (lane < count, usable) {
                (false, _) => (f32::NAN, f32::NAN),
                (true, false) => (f32::NEG_INFINITY, f32::INFINITY),
                (true, true) => base_and_spread(squares[lane], hidden),
            };
            self.squares[column] = squares[lane] as f32;
        }
    }
}

/// See the head of this file.
#[inline(always)]
fn base_and_spread(square: f64, hidden: usize) -> (f32, f32) {
    const UNIT_ROUNDOFF: f32 = f32::EPSILON / 2.0;
    /// The smallest positive number.
    const TINY: f32 = f32::from_bits(1);
    const SECOND_ORDER: f32 = 1.0625;
    let half = 0.5 * hidden as f32;
    let tiny = (hidden as f32 + 4.0) * TINY;
    let factor = SECOND_ORDER * (half + 6.0) * UNIT_ROUNDOFF;
    let spread = SECOND_ORDER * (2.0 * half + 16.0) * UNIT_ROUNDOFF * square as f32;
    ((0.5 * square) as f32 - (factor * square as f32 + tiny), spread + 4.0 * tiny)
}

/// The mean of the distinct states: any centre is right, one among the states makes the bound tight. Units whose mean is not finite get 0.
pub(super) fn mean(arch: Arch, states: &[f32], distinct: &Distinct, hidden: usize, mean: &mut Vec<f32>) {
    mean.clear();
    mean.resize(hidden, 0.0);
    arch.dispatch(
        #[inline(always)]
        || {
            let mean = &mut mean[..];
            for state in 0..distinct.len() {
                let row = &states[distinct.row(state) * hidden..][..hidden];
                mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
            let count = distinct.len() as f32;
            mean.iter_mut().for_each(|sum| *sum = if (*sum / count).is_finite() { *sum / count } else { 0.0 });
        },
    );
}
