//! The loops over one time step of a batch, compiled for each instruction set. They are types and not closures because a closure's
//! body is a function of its own, which is compiled without the instructions that it is called under.

use std::marker::PhantomData;

use pulp::{Simd, WithSimd};

use super::Real;
use super::block::{HALF, LANES};
use super::cell::{Backward, Cell, Forward};

/// Products that are summed side by side; fixed, so that no compiler or instruction set changes their order.
const SUMS: usize = 16;

/// One step forward of all samples that take part in it.
pub(super) struct ForwardStep<'a, R, C> {
    /// As for one sample, with a leading batch dimension on all but the biases.
    pub step: Forward<'a, R>,
    /// Units.
    pub hidden: usize,
    pub cell: PhantomData<C>,
}

/// One step back of all samples that take part in it, and sums over them.
pub(super) struct BackwardStep<'a, R, C> {
    /// As for one sample, with a leading batch dimension.
    pub step: Backward<'a, R>,
    /// Units.
    pub hidden: usize,
    /// Σ of the gradients at the gates, on the input's side, `[gate]`.
    pub gate_sums: &'a mut [R],
    /// What the input's side was made of, `[batch, gate]`; Σ of its products with the gradients is returned.
    pub projection: &'a [R],
    pub cell: PhantomData<C>,
}

/// Adds every row of a matrix to `sums`.
pub(super) struct AddRows<'a, R> {
    pub sums: &'a mut [R],
    pub rows: &'a [R],
}

/// Σ a ∘ b.
pub(super) struct Dot<'a, R> {
    pub a: &'a [R],
    pub b: &'a [R],
}

impl<R: Real, C: Cell> WithSimd for ForwardStep<'_, R, C> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let ForwardStep { step, hidden, .. } = self;
        let (gates, kept, whole) = (C::GATES * hidden, C::MEMORY * hidden, hidden / LANES * LANES);
        for n in 0..step.state.len() / hidden {
            let mut sample = Forward {
                gates: &mut step.gates[n * gates..(n + 1) * gates],
                projection: &step.projection[n * gates..(n + 1) * gates],
                scale: step.scale,
                offset: step.offset,
                state_bias: step.state_bias,
                state_before: &step.state_before[n * hidden..(n + 1) * hidden],
                memory_before: &step.memory_before[n * kept..(n + 1) * kept],
                state: &mut step.state[n * hidden..(n + 1) * hidden],
                memory: &mut step.memory[n * kept..(n + 1) * kept],
            };
            for at in (0..whole).step_by(LANES) {
                C::forward::<R, LANES>(&mut sample, at);
            }
            for at in (whole..hidden).step_by(HALF) {
                C::forward::<R, HALF>(&mut sample, at);
            }
        }
    }
}

impl<R: Real, C: Cell> WithSimd for BackwardStep<'_, R, C> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> R {
        let BackwardStep { step, hidden, gate_sums, projection, .. } = self;
        let (gates, kept, whole) = (C::GATES * hidden, C::MEMORY * hidden, hidden / LANES * LANES);
        let split = if C::SPLIT { gates } else { 0 };
        let mut products = [R::ZERO; SUMS];
        gate_sums.fill(R::ZERO);
        for n in 0..step.state_gradient.len() / hidden {
            let mut sample = Backward {
                gates: &mut step.gates[n * gates..(n + 1) * gates],
                state_gates: &mut step.state_gates[n * split..(n + 1) * split],
                state_gradient: &step.state_gradient[n * hidden..(n + 1) * hidden],
                memory_gradient: &mut step.memory_gradient[n * hidden..(n + 1) * hidden],
                direct: &mut step.direct[n * hidden..(n + 1) * hidden],
                state_before: &step.state_before[n * hidden..(n + 1) * hidden],
                memory_before: &step.memory_before[n * kept..(n + 1) * kept],
                memory: &step.memory[n * kept..(n + 1) * kept],
            };
            for at in (0..whole).step_by(LANES) {
                C::backward::<R, LANES>(&mut sample, at);
            }
            for at in (whole..hidden).step_by(HALF) {
                C::backward::<R, HALF>(&mut sample, at);
            }
            add_row(gate_sums, sample.gates);
            add_products(&mut products, sample.gates, &projection[n * gates..(n + 1) * gates]);
        }
        total(products)
    }
}

impl<R: Real> WithSimd for AddRows<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for row in self.rows.chunks_exact(self.sums.len()) {
            add_row(self.sums, row);
        }
    }
}

impl<R: Real> WithSimd for Dot<'_, R> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> R {
        let mut products = [R::ZERO; SUMS];
        add_products(&mut products, self.a, self.b);
        total(products)
    }
}

#[inline(always)]
fn add_row<R: Real>(sums: &mut [R], row: &[R]) {
    sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += *value);
}

#[inline(always)]
fn add_products<R: Real>(sums: &mut [R; SUMS], a: &[R], b: &[R]) {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<SUMS>(), b.as_chunks::<SUMS>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..SUMS {
            sums[lane] = a[lane].mul_add(b[lane], sums[lane]);
        }
    }
    for (lane, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[lane] = a.mul_add(*b, sums[lane]);
    }
}

#[inline(always)]
fn total<R: Real>(sums: [R; SUMS]) -> R {
    sums.into_iter().fold(R::ZERO, |sum, lane| sum + lane)
}
