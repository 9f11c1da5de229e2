//! The simple recurrent network (Elman 1990), as PyTorch's `nn.RNN`: h = tanh(W_ih x + b_ih + W_hh h' + b_hh).

use burn::tensor::Tensor;
use burn::tensor::activation::tanh;

use super::recurrent::{RecurrentModel, Step};
use crate::kernel::Real;
use crate::kernel::block::{Block, load, store};
use crate::kernel::cell::{Backward, Cell, Forward};

/// Elman's network.
#[derive(Debug)]
pub struct Rnn;

impl Cell for Rnn {
    const GATES: usize = 1;
    const MEMORY: usize = 0;
    const SPLIT: bool = false;

    #[inline(always)]
    fn forward<R: Real, const N: usize>(step: &mut Forward<'_, R>, at: usize) {
        let mut state: Block<R, N> = load(step.gates, at);
        let (input, offset): (Block<R, N>, Block<R, N>) = (load(step.projection, at), load(step.offset, at));
        for lane in 0..N {
            state[lane] = input[lane].mul_add(step.scale, state[lane] + offset[lane]).tanh();
        }
        store(step.gates, at, state);
        store(step.state, at, state);
    }

    #[inline(always)]
    fn backward<R: Real, const N: usize>(step: &mut Backward<'_, R>, at: usize) {
        let (mut gate, gradient): (Block<R, N>, Block<R, N>) = (load(step.gates, at), load(step.state_gradient, at));
        for lane in 0..N {
            gate[lane] = gradient[lane] * (R::ONE - gate[lane] * gate[lane]);
        }
        store(step.gates, at, gate);
    }
}

impl RecurrentModel for Rnn {
    const NAME: &'static str = "rnn";

    fn step(input_side: Tensor<3>, state_side: Tensor<3>, _before: Option<Step>) -> Step {
        Step { state: tanh(input_side + state_side), memory: None }
    }
}
