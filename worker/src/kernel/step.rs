//! The loops over one time step of a batch, compiled for each instruction set. They are types and not closures because a closure's
//! body is a function of its own, which is compiled without the instructions that it is called under.

use std::marker::PhantomData;

use pulp::{Simd, WithSimd};

use super::Real;
use super::cell::{Backward, Cell, Forward};
use super::layer::Sizes;

/// One step forward of all samples of a batch.
pub(super) struct ForwardStep<'a, R, C> {
    /// As for one sample, with a leading batch dimension on all but the biases.
    pub step: Forward<'a, R>,
    pub sizes: &'a Sizes,
    pub cell: PhantomData<C>,
}

/// One step back of all samples of a batch.
pub(super) struct BackwardStep<'a, R, C> {
    /// As for one sample, with a leading batch dimension.
    pub step: Backward<'a, R>,
    pub sizes: &'a Sizes,
    pub cell: PhantomData<C>,
}

/// Adds every row of a matrix to `sums`.
pub(super) struct AddRows<'a, R> {
    pub sums: &'a mut [R],
    pub rows: &'a [R],
}

/// Σ a ∘ b in sixteen interleaved sums, whose order no compiler or instruction set changes.
pub(super) struct Dot<'a, R> {
    pub a: &'a [R],
    pub b: &'a [R],
}

impl<R: Real, C: Cell> WithSimd for ForwardStep<'_, R, C> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (Sizes { batch, hidden, gates, .. }, step) = (*self.sizes, self.step);
        let kept = C::MEMORY * hidden;
        for n in 0..batch {
            C::forward(Forward {
                gates: &mut step.gates[n * gates..(n + 1) * gates],
                projection: &step.projection[n * gates..(n + 1) * gates],
                scale: step.scale,
                offset: step.offset,
                state_bias: step.state_bias,
                state_before: &step.state_before[n * hidden..(n + 1) * hidden],
                memory_before: &step.memory_before[n * kept..(n + 1) * kept],
                state: &mut step.state[n * hidden..(n + 1) * hidden],
                memory: &mut step.memory[n * kept..(n + 1) * kept],
            });
        }
    }
}

impl<R: Real, C: Cell> WithSimd for BackwardStep<'_, R, C> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (Sizes { batch, hidden, gates, .. }, step) = (*self.sizes, self.step);
        let (kept, split) = (C::MEMORY * hidden, if C::SPLIT { gates } else { 0 });
        for n in 0..batch {
            C::backward(Backward {
                gates: &mut step.gates[n * gates..(n + 1) * gates],
                state_gates: &mut step.state_gates[n * split..(n + 1) * split],
                state_gradient: &step.state_gradient[n * hidden..(n + 1) * hidden],
                memory_gradient: &mut step.memory_gradient[n * hidden..(n + 1) * hidden],
                direct: &mut step.direct[n * hidden..(n + 1) * hidden],
                state_before: &step.state_before[n * hidden..(n + 1) * hidden],
                memory_before: &step.memory_before[n * kept..(n + 1) * kept],
                memory: &step.memory[n * kept..(n + 1) * kept],
            });
        }
    }
}

impl<R: Real> WithSimd for AddRows<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for row in self.rows.chunks_exact(self.sums.len()) {
            self.sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += *value);
        }
    }
}

impl<R: Real> WithSimd for Dot<'_, R> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> R {
        const LANES: usize = 16;
        let ((a, a_rest), (b, b_rest)) = (self.a.as_chunks::<LANES>(), self.b.as_chunks::<LANES>());
        let mut sums = [R::ZERO; LANES];
        for (a, b) in a.iter().zip(b) {
            for lane in 0..LANES {
                sums[lane] = a[lane].mul_add(b[lane], sums[lane]);
            }
        }
        let sum = sums.into_iter().fold(R::ZERO, |sum, lane| sum + lane);
        a_rest.iter().zip(b_rest).fold(sum, |sum, (a, b)| a.mul_add(*b, sum))
    }
}
