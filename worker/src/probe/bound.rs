//! Coordinates in which logistic regression is easy: those in which a bound on its curvature is that of a sphere.
//!
//! The Hessian of the loss in one output's weights is at most B = κ Σ (x − m)(x − m)ᵀ + l2, and in its intercept κ n, once the states are
//! taken less their mean m, which makes the two independent; κ is 1/4 for two classes and 1/2 for more (Böhning 1992). With B = L Lᵀ,
//! the coordinates are v = Lᵀw and c = √(κ n) (b + m·w). B comes from a product in f32: it only has to be near.

use pulp::{Arch, Simd, WithSimd};

use super::points::Points;
use super::sums::{LANES, add_scaled, dot};
use crate::kernel::product::{Products, View};

/// Columns of B that are made at once, with the rows from the same place on.
const BLOCK: usize = 96;
/// The smallest share of the largest diagonal number that a pivot may have: below it is what f32 has rounded.
const PIVOT_MIN: f64 = 1e-7;

/// The change of coordinates, with all buffers that a time step takes.
#[derive(Debug)]
pub(super) struct Bound {
    products: Products<f32>,
    hidden: usize,
    /// What one line of `factor` and one output's parameters take.
    stride: usize,
    /// m.
    mean: Vec<f64>,
    /// The fitted states less their mean, `[point, hidden]`.
    centred: Vec<f32>,
    block: Vec<f32>,
    /// L without its diagonal, `[hidden, stride]`; zeros from the diagonal on.
    factor: Vec<f64>,
    /// One over L's diagonal.
    inverse_diagonal: Vec<f64>,
    /// √(κ n).
    intercept_scale: f64,
}

impl Bound {
    /// For one instruction set.
    pub fn new(arch: Arch) -> Bound {
        Bound {
            products: Products::new(arch, 1),
            hidden: 0,
            stride: 0,
            mean: Vec::new(),
            centred: Vec::new(),
            block: Vec::new(),
            factor: Vec::new(),
            inverse_diagonal: Vec::new(),
            intercept_scale: 1.0,
        }
    }

    /// What one output's parameters take: `hidden` weights, then the intercept, then zeros.
    pub fn stride(hidden: usize) -> usize {
        (hidden + 1).next_multiple_of(LANES)
    }

    /// Fits the coordinates to points; `curvature` is κ.
    pub fn fit(&mut self, states: &[f32], hidden: usize, fit: Points<'_>, curvature: f64, l2: f64) {
        (self.hidden, self.stride) = (hidden, Bound::stride(hidden));
        self.mean.clear();
        self.mean.resize(hidden, 0.0);
        self.centred.resize(fit.len() * hidden, 0.0);
        self.products.arch().dispatch(Centre { bound: self, states, fit });
        self.factor.clear();
        self.factor.resize(hidden * self.stride, 0.0);
        self.block.resize(hidden * BLOCK.min(hidden), 0.0);
        let points = View::new(&self.centred, fit.len(), hidden);
        for first in (0..hidden).step_by(BLOCK) {
            let columns = BLOCK.min(hidden - first);
            let block = &mut self.block[..(hidden - first) * columns];
            let rows = points.columns_from(first, hidden - first).transposed();
            self.products.multiply_long(block, rows, points.columns_from(first, columns));
            for (line, products) in
                self.factor.chunks_exact_mut(self.stride).skip(first).zip(block.chunks_exact(columns))
            {
                let out = line[first..first + columns].iter_mut();
                out.zip(products).for_each(|(out, product)| *out = curvature * f64::from(*product));
            }
        }
        for unit in 0..hidden {
            self.factor[unit * self.stride + unit] += l2;
            self.factor[unit * self.stride + unit + 1..(unit + 1) * self.stride].fill(0.0);
        }
        self.inverse_diagonal.resize(hidden, 0.0);
        self.products.arch().dispatch(Factorise(self));
        self.intercept_scale = (curvature * fit.len() as f64).sqrt();
    }

    /// The weights and intercepts at coordinates, `[output, stride]`.
    pub fn parameters(&self, coordinates: &[f64], parameters: &mut [f64]) {
        parameters.copy_from_slice(coordinates);
        self.products.arch().dispatch(Parameters { bound: self, parameters });
    }

    /// Turns the gradient by weights and intercepts into that by coordinates.
    pub fn turn(&self, gradient: &mut [f64]) {
        self.products.arch().dispatch(Turn { bound: self, gradient });
    }
}

/// Takes the mean off the fitted states.
struct Centre<'a> {
    bound: &'a mut Bound,
    states: &'a [f32],
    fit: Points<'a>,
}

impl WithSimd for Centre<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (mean, hidden) = (&mut self.bound.mean[..], self.bound.hidden);
        for row in self.fit.rows {
            let state = &self.states[row * hidden..][..hidden];
            mean.iter_mut().zip(state).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        let count = self.fit.len().max(1) as f64;
        mean.iter_mut().for_each(|sum| *sum /= count);
        for (row, out) in self.fit.rows.iter().zip(self.bound.centred.chunks_exact_mut(hidden)) {
            let state = self.states[row * hidden..][..hidden].iter().zip(&*mean);
            out.iter_mut().zip(state).for_each(|(out, (value, mean))| *out = value - *mean as f32);
        }
    }
}

/// The Cholesky factorisation, row by row, of what stands in the lower triangle of `factor`.
struct Factorise<'a>(&'a mut Bound);

impl WithSimd for Factorise<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Bound { factor, inverse_diagonal, stride, .. } = self.0;
        let stride = *stride;
        let largest = (0..inverse_diagonal.len()).map(|i| factor[i * stride + i]).fold(0.0, f64::max);
        let pivot_min = if largest > 0.0 { PIVOT_MIN * largest } else { 1.0 };
        for i in 0..inverse_diagonal.len() {
            let (above, line) = factor.split_at_mut(i * stride);
            let line = &mut line[..stride];
            for (j, other) in above.chunks_exact(stride).enumerate() {
                // Whole vectors: from its diagonal on, the other line is zero.
                let known = j.next_multiple_of(LANES);
                line[j] = (line[j] - dot(&line[..known], &other[..known])) * inverse_diagonal[j];
            }
            let diagonal = std::mem::take(&mut line[i]);
            let known = i.next_multiple_of(LANES);
            let pivot = diagonal - dot(&line[..known], &line[..known]);
            inverse_diagonal[i] = 1.0 / pivot.max(pivot_min).sqrt();
        }
    }
}

/// [`Bound::parameters`] in place.
struct Parameters<'a> {
    bound: &'a Bound,
    parameters: &'a mut [f64],
}

impl WithSimd for Parameters<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Bound { hidden, stride, mean, factor, inverse_diagonal, intercept_scale, .. } = self.bound;
        for parameters in self.parameters.chunks_exact_mut(*stride) {
            // In the place of the intercept, lines of the factor are zero.
            for (unit, line) in factor.chunks_exact(*stride).enumerate().rev() {
                let weight = parameters[unit] * inverse_diagonal[unit];
                let known = unit.next_multiple_of(LANES);
                add_scaled(&mut parameters[..known], -weight, &line[..known]);
                parameters[unit] = weight;
            }
            let shift = dot(&parameters[..*hidden], mean);
            parameters[*hidden] = parameters[*hidden] / intercept_scale - shift;
        }
    }
}

/// [`Bound::turn`].
struct Turn<'a> {
    bound: &'a Bound,
    gradient: &'a mut [f64],
}

impl WithSimd for Turn<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Bound { hidden, stride, mean, factor, inverse_diagonal, intercept_scale, .. } = self.bound;
        for gradient in self.gradient.chunks_exact_mut(*stride) {
            let by_intercept = gradient[*hidden];
            add_scaled(&mut gradient[..*hidden], -by_intercept, mean);
            for (unit, line) in factor.chunks_exact(*stride).enumerate() {
                let known = unit.next_multiple_of(LANES);
                gradient[unit] = (gradient[unit] - dot(&gradient[..known], &line[..known])) * inverse_diagonal[unit];
            }
            gradient[*hidden] = by_intercept / intercept_scale;
        }
    }
}
