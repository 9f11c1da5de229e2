//! Gated recurrent unit (Cho et al. 2014), as PyTorch's `nn.GRU`; gates in the order r, z, n:
//!
//! ```text
//! n = tanh(W_in x + b_in + σ(r) (W_hn h' + b_hn))        h = (1 − σ(z)) n + σ(z) h'
//! ```

use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, tanh};

use super::recurrent::{RecurrentModel, Step, split_gates};
use crate::kernel::Real;
use crate::kernel::cell::{Backward, Cell, Forward};

/// The gated recurrent unit.
#[derive(Debug)]
pub struct Gru;

/// Memory holds W_hn h' + b_hn, which the reset gate multiplies.
impl Cell for Gru {
    const GATES: usize = 3;
    const MEMORY: usize = 1;
    const SPLIT: bool = true;

    #[inline(always)]
    fn forward<R: Real>(step: Forward<'_, R>) {
        let hidden = step.state.len();
        for j in 0..2 * hidden {
            let input = step.projection[j].mul_add(step.scale, step.offset[j]);
            step.gates[j] = (input + (step.gates[j] + step.state_bias[j])).sigmoid();
        }
        let (gates, candidate) = step.gates.split_at_mut(2 * hidden);
        let (reset, update) = (&gates[..hidden], &gates[hidden..2 * hidden]);
        let (candidate, memory) = (&mut candidate[..hidden], &mut step.memory[..hidden]);
        let (projection, offset) = (&step.projection[2 * hidden..3 * hidden], &step.offset[2 * hidden..3 * hidden]);
        let (bias, before) = (&step.state_bias[2 * hidden..3 * hidden], &step.state_before[..hidden]);
        for j in 0..hidden {
            memory[j] = candidate[j] + bias[j];
            let input = projection[j].mul_add(step.scale, offset[j]);
            candidate[j] = reset[j].mul_add(memory[j], input).tanh();
            step.state[j] = update[j].mul_add(before[j] - candidate[j], candidate[j]);
        }
    }

    #[inline(always)]
    fn backward<R: Real>(step: Backward<'_, R>) {
        let hidden = step.state_gradient.len();
        let (gates, candidate) = step.gates.split_at_mut(2 * hidden);
        let (reset, update) = gates.split_at_mut(hidden);
        let candidate = &mut candidate[..hidden];
        let (state_gates, state_candidate) = step.state_gates.split_at_mut(2 * hidden);
        let (state_reset, state_update) = state_gates.split_at_mut(hidden);
        let state_candidate = &mut state_candidate[..hidden];
        let (memory, before, direct) = (&step.memory[..hidden], &step.state_before[..hidden], &mut step.direct[..hidden]);
        for j in 0..hidden {
            let (gradient, r, z, n) = (step.state_gradient[j], reset[j], update[j], candidate[j]);
            direct[j] = gradient * z;
            candidate[j] = gradient * (R::ONE - z) * (R::ONE - n * n);
            update[j] = gradient * (before[j] - n) * z * (R::ONE - z);
            reset[j] = candidate[j] * memory[j] * r * (R::ONE - r);
            state_candidate[j] = candidate[j] * r;
            state_update[j] = update[j];
            state_reset[j] = reset[j];
        }
    }
}

impl RecurrentModel for Gru {
    const NAME: &'static str = "gru";

    fn step(input_side: Tensor<3>, state_side: Tensor<3>, before: Option<Step>) -> Step {
        let [input_r, input_z, input_n] = split_gates(input_side);
        let [state_r, state_z, state_n] = split_gates(state_side);
        let update = sigmoid(input_z + state_z);
        let candidate = tanh(input_n + sigmoid(input_r + state_r) * state_n);
        let state = match before {
            Some(before) => candidate.clone() + update * (before.state - candidate),
            None => candidate.clone() - update * candidate,
        };
        Step { state, memory: None }
    }
}
