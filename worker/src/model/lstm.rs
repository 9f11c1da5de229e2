//! Long short-term memory (Hochreiter & Schmidhuber 1997, with forget gates), as PyTorch's `nn.LSTM`; gates in the order i, f, g, o:
//!
//! ```text
//! c = σ(f) c' + σ(i) tanh(g)        h = σ(o) tanh(c)
//! ```

use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, tanh};

use super::recurrent::{RecurrentModel, Step, split_gates};
use crate::kernel::Real;
use crate::kernel::block::{Block, load, store};
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
    fn forward<R: Real, const N: usize>(step: &mut Forward<'_, R>, at: usize) {
        let hidden = step.state.len();
        let [i, f, g, o] = quarters_mut(step.gates, hidden);
        let [input_i, input_f, input_g, input_o] = quarters(step.projection, hidden);
        let [offset_i, offset_f, offset_g, offset_o] = quarters(step.offset, hidden);
        let mut gate_i: Block<R, N> = sum(load(i, at), load(input_i, at), step.scale, load(offset_i, at));
        let mut gate_f: Block<R, N> = sum(load(f, at), load(input_f, at), step.scale, load(offset_f, at));
        let mut gate_g: Block<R, N> = sum(load(g, at), load(input_g, at), step.scale, load(offset_g, at));
        let mut gate_o: Block<R, N> = sum(load(o, at), load(input_o, at), step.scale, load(offset_o, at));
        let mut new: Block<R, N> = load(&step.memory_before[..hidden], at);
        let (mut squashed, mut state) = ([R::ZERO; N], [R::ZERO; N]);
        for lane in 0..N {
            gate_i[lane] = gate_i[lane].sigmoid();
            gate_f[lane] = gate_f[lane].sigmoid();
            gate_g[lane] = gate_g[lane].tanh();
            gate_o[lane] = gate_o[lane].sigmoid();
            new[lane] = gate_f[lane].mul_add(new[lane], gate_i[lane] * gate_g[lane]);
            squashed[lane] = new[lane].tanh();
            state[lane] = gate_o[lane] * squashed[lane];
        }
        for (to, block) in [(i, gate_i), (f, gate_f), (g, gate_g), (o, gate_o)] {
            store(to, at, block);
        }
        let (cell, cell_tanh) = step.memory.split_at_mut(hidden);
        store(cell, at, new);
        store(cell_tanh, at, squashed);
        store(step.state, at, state);
    }

    #[inline(always)]
    fn backward<R: Real, const N: usize>(step: &mut Backward<'_, R>, at: usize) {
        let hidden = step.state_gradient.len();
        let [i, f, g, o] = quarters_mut(step.gates, hidden);
        let (mut gate_i, mut gate_f): (Block<R, N>, Block<R, N>) = (load(i, at), load(f, at));
        let (mut gate_g, mut gate_o): (Block<R, N>, Block<R, N>) = (load(g, at), load(o, at));
        let (gradient, mut memory): (Block<R, N>, Block<R, N>) =
            (load(step.state_gradient, at), load(step.memory_gradient, at));
        let squashed: Block<R, N> = load(&step.memory[hidden..2 * hidden], at);
        let before: Block<R, N> = load(&step.memory_before[..hidden], at);
        for lane in 0..N {
            let (input, forget, candidate, output) = (gate_i[lane], gate_f[lane], gate_g[lane], gate_o[lane]);
            let slope = R::ONE - squashed[lane] * squashed[lane];
            let cell = memory[lane] + gradient[lane] * output * slope;
            memory[lane] = cell * forget;
            gate_i[lane] = cell * candidate * input * (R::ONE - input);
            gate_f[lane] = cell * before[lane] * forget * (R::ONE - forget);
            gate_g[lane] = cell * input * (R::ONE - candidate * candidate);
            gate_o[lane] = gradient[lane] * squashed[lane] * output * (R::ONE - output);
        }
        for (to, block) in [(i, gate_i), (f, gate_f), (g, gate_g), (o, gate_o)] {
            store(to, at, block);
        }
        store(step.memory_gradient, at, memory);
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

/// What a gate sums up.
#[inline(always)]
fn sum<R: Real, const N: usize>(
    recurrent: Block<R, N>,
    input: Block<R, N>,
    scale: R,
    offset: Block<R, N>,
) -> Block<R, N> {
    let mut sum = [R::ZERO; N];
    for lane in 0..N {
        sum[lane] = input[lane].mul_add(scale, recurrent[lane] + offset[lane]);
    }
    sum
}

#[inline(always)]
fn quarters<R>(gates: &[R], hidden: usize) -> [&[R]; 4] {
    let (i, rest) = gates.split_at(hidden);
    let (f, rest) = rest.split_at(hidden);
    let (g, o) = rest.split_at(hidden);
    [i, f, g, o]
}

#[inline(always)]
fn quarters_mut<R>(gates: &mut [R], hidden: usize) -> [&mut [R]; 4] {
    let (i, rest) = gates.split_at_mut(hidden);
    let (f, rest) = rest.split_at_mut(hidden);
    let (g, o) = rest.split_at_mut(hidden);
    [i, f, g, o]
}
