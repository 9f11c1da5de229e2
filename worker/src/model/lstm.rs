//! Long short-term memory (Hochreiter & Schmidhuber 1997, with forget gates), as PyTorch's `nn.LSTM`; gates in the order i, f, g, o:
//!
//! ```text
//! c = σ(f) c' + σ(i) tanh(g)        h = σ(o) tanh(c)
//! ```

use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, tanh};

use super::recurrent::{RecurrentModel, Step, split_gates};
use crate::kernel::Real;
use crate::kernel::cell::{Backward, Cell, Forward};

/// The paper's model.
#[derive(Debug)]
pub struct Lstm;

/// Memory holds c and tanh(c).
impl Cell for Lstm {
    const GATES: usize = 4;
    const MEMORY: usize = 2;
    const SPLIT: bool = false;

    #[inline(always)]
    fn forward<R: Real>(step: Forward<'_, R>) {
        let hidden = step.state.len();
        let sum = |j: usize, recurrent: R| {
            step.projection[j].mul_add(step.scale, recurrent + (step.offset[j] + step.state_bias[j]))
        };
        for j in 0..2 * hidden {
            step.gates[j] = sum(j, step.gates[j]).sigmoid();
        }
        for j in 2 * hidden..3 * hidden {
            step.gates[j] = sum(j, step.gates[j]).tanh();
        }
        for j in 3 * hidden..4 * hidden {
            step.gates[j] = sum(j, step.gates[j]).sigmoid();
        }
        let [i, f, g, o] = quarters(step.gates, hidden);
        let before = &step.memory_before[..hidden];
        let (cell, cell_tanh) = step.memory.split_at_mut(hidden);
        let cell_tanh = &mut cell_tanh[..hidden];
        for j in 0..hidden {
            cell[j] = f[j].mul_add(before[j], i[j] * g[j]);
            cell_tanh[j] = cell[j].tanh();
            step.state[j] = o[j] * cell_tanh[j];
        }
    }

    #[inline(always)]
    fn backward<R: Real>(step: Backward<'_, R>) {
        let hidden = step.state_gradient.len();
        let (gates, rest) = step.gates.split_at_mut(2 * hidden);
        let (i, f) = gates.split_at_mut(hidden);
        let (g, o) = rest.split_at_mut(hidden);
        let (f, o) = (&mut f[..hidden], &mut o[..hidden]);
        let (before, cell_tanh) = (&step.memory_before[..hidden], &step.memory[hidden..2 * hidden]);
        let memory_gradient = &mut step.memory_gradient[..hidden];
        for j in 0..hidden {
            let (gradient, squashed) = (step.state_gradient[j], cell_tanh[j]);
            let cell = memory_gradient[j] + gradient * o[j] * (R::ONE - squashed * squashed);
            memory_gradient[j] = cell * f[j];
            o[j] = gradient * squashed * o[j] * (R::ONE - o[j]);
            f[j] = cell * before[j] * f[j] * (R::ONE - f[j]);
            let (input, candidate) = (i[j], g[j]);
            i[j] = cell * candidate * input * (R::ONE - input);
            g[j] = cell * input * (R::ONE - candidate * candidate);
        }
    }
}

impl RecurrentModel for Lstm {
    const NAME: &'static str = "lstm";

    fn step(input_side: Tensor<3>, state_side: Tensor<3>, before: Option<Step>) -> Step {
        let [i, f, g, o] = split_gates(input_side + state_side);
        let mut cell = sigmoid(i) * tanh(g);
        if let Some(memory) = before.and_then(|before| before.memory) {
            cell = cell + sigmoid(f) * memory;
        }
        Step { state: sigmoid(o) * tanh(cell.clone()), memory: Some(cell) }
    }
}

fn quarters<R>(gates: &[R], hidden: usize) -> [&[R]; 4] {
    [0, 1, 2, 3].map(|gate| &gates[gate * hidden..(gate + 1) * hidden])
}
