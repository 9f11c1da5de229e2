//! The simple recurrent network (Elman 1990), as PyTorch's `nn.RNN`: h = tanh(W_ih x + b_ih + W_hh h' + b_hh).

use burn::tensor::Tensor;
use burn::tensor::activation::tanh;

use super::recurrent::{RecurrentModel, Step};
use crate::kernel::Real;
use crate::kernel::cell::{Backward, Cell, Forward};

/// Elman's network.
#[derive(Debug)]
pub struct Rnn;

impl Cell for Rnn {
    const GATES: usize = 1;
    const MEMORY: usize = 0;
    const SPLIT: bool = false;

    #[inline(always)]
    fn forward<R: Real>(step: Forward<'_, R>) {
        let hidden = step.state.len();
        let (gates, projection) = (&mut step.gates[..hidden], &step.projection[..hidden]);
        let (offset, bias) = (&step.offset[..hidden], &step.state_bias[..hidden]);
        for j in 0..hidden {
            gates[j] = projection[j].mul_add(step.scale, gates[j] + (offset[j] + bias[j])).tanh();
            step.state[j] = gates[j];
        }
    }

    #[inline(always)]
    fn backward<R: Real>(step: Backward<'_, R>) {
        for (gate, gradient) in step.gates.iter_mut().zip(step.state_gradient) {
            *gate = *gradient * (R::ONE - *gate * *gate);
        }
    }
}

impl RecurrentModel for Rnn {
    const NAME: &'static str = "rnn";

    fn step(input_side: Tensor<3>, state_side: Tensor<3>, _before: Option<Step>) -> Step {
        Step { state: tanh(input_side + state_side), memory: None }
    }
}
