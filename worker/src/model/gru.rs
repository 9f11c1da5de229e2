//! Gated recurrent unit (Cho et al. 2014), as PyTorch's `nn.GRU`; gates in the order r, z, n:
//!
//! ```text
//! n = tanh(W_in x + b_in + σ(r) (W_hn h' + b_hn))        h = (1 − σ(z)) n + σ(z) h'
//! ```

use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, tanh};

use super::recurrent::{RecurrentModel, Step, split_gates};
use crate::kernel::Real;
use crate::kernel::block::{Block, load, store};
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
    fn forward<R: Real, const N: usize>(step: &mut Forward<'_, R>, at: usize) {
        let hidden = step.state.len();
        let [reset, update, candidate] = thirds_mut(step.gates, hidden);
        let (mut r, mut z): (Block<R, N>, Block<R, N>) = (load(reset, at), load(update, at));
        let mut kept: Block<R, N> = load(candidate, at);
        let inputs: [Block<R, N>; 3] = thirds(step.projection, hidden).map(|part| load(part, at));
        let offsets: [Block<R, N>; 3] = thirds(step.offset, hidden).map(|part| load(part, at));
        let biases: [Block<R, N>; 3] = thirds(step.state_bias, hidden).map(|part| load(part, at));
        let before: Block<R, N> = load(step.state_before, at);
        let (mut n, mut state) = ([R::ZERO; N], [R::ZERO; N]);
        for lane in 0..N {
            let input_r = inputs[0][lane].mul_add(step.scale, offsets[0][lane]);
            let input_z = inputs[1][lane].mul_add(step.scale, offsets[1][lane]);
            let input_n = inputs[2][lane].mul_add(step.scale, offsets[2][lane]);
            r[lane] = (input_r + (r[lane] + biases[0][lane])).sigmoid();
            z[lane] = (input_z + (z[lane] + biases[1][lane])).sigmoid();
            kept[lane] += biases[2][lane];
            n[lane] = r[lane].mul_add(kept[lane], input_n).tanh();
            state[lane] = z[lane].mul_add(before[lane] - n[lane], n[lane]);
        }
        store(reset, at, r);
        store(update, at, z);
        store(candidate, at, n);
        store(step.memory, at, kept);
        store(step.state, at, state);
    }

    #[inline(always)]
    fn backward<R: Real, const N: usize>(step: &mut Backward<'_, R>, at: usize) {
        let hidden = step.state_gradient.len();
        let [reset, update, candidate] = thirds_mut(step.gates, hidden);
        let [state_reset, state_update, state_candidate] = thirds_mut(step.state_gates, hidden);
        let (mut r, mut z): (Block<R, N>, Block<R, N>) = (load(reset, at), load(update, at));
        let mut n: Block<R, N> = load(candidate, at);
        let gradient: Block<R, N> = load(step.state_gradient, at);
        let (before, kept): (Block<R, N>, Block<R, N>) = (load(step.state_before, at), load(step.memory, at));
        let (mut direct, mut state_n) = ([R::ZERO; N], [R::ZERO; N]);
        for lane in 0..N {
            let (gate_r, gate_z, gate_n) = (r[lane], z[lane], n[lane]);
            direct[lane] = gradient[lane] * gate_z;
            n[lane] = gradient[lane] * (R::ONE - gate_z) * (R::ONE - gate_n * gate_n);
            z[lane] = gradient[lane] * (before[lane] - gate_n) * gate_z * (R::ONE - gate_z);
            r[lane] = n[lane] * kept[lane] * gate_r * (R::ONE - gate_r);
            state_n[lane] = n[lane] * gate_r;
        }
        store(reset, at, r);
        store(update, at, z);
        store(candidate, at, n);
        store(state_reset, at, r);
        store(state_update, at, z);
        store(state_candidate, at, state_n);
        store(step.direct, at, direct);
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

#[inline(always)]
fn thirds<R>(gates: &[R], hidden: usize) -> [&[R]; 3] {
    let (reset, rest) = gates.split_at(hidden);
    let (update, candidate) = rest.split_at(hidden);
    [reset, update, candidate]
}

#[inline(always)]
fn thirds_mut<R>(gates: &mut [R], hidden: usize) -> [&mut [R]; 3] {
    let (reset, rest) = gates.split_at_mut(hidden);
    let (update, candidate) = rest.split_at_mut(hidden);
    [reset, update, candidate]
}
