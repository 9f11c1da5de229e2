//! The gradient of a recurrent layer's weights, gathered over a few time steps at a time: gate gradients times what the weights were
//! multiplied with, the input and the state before. Where one gate gradient serves both, both are one product.

use pulp::Arch;

use super::layer::{Input, Sizes, start_before};
use super::steps::Steps;
use super::{Packed, Products, Real, View, sized};

/// Gathers the gradient.
#[derive(Debug, Default)]
pub struct WeightGradient<R> {
    /// `[gate, input + hidden]`; where the two sides differ, `[gate, input]` and then `[gate, hidden]`.
    sums: Vec<R>,
    /// Some rows of inputs and of states before, ready to be multiplied.
    packed: Packed<R>,
    sizes: Sizes,
}

/// Some time steps of a layer, after the way back has gone through them.
#[derive(Debug)]
pub struct Part<'a, R> {
    /// Rows by time step.
    pub steps: &'a Steps,
    /// The first step.
    pub first: usize,
    /// The step after the last one.
    pub end: usize,
    /// What the layer ran over.
    pub input: Input<'a, R>,
    /// The layer's states, `[batch + row, hidden]`.
    pub states: &'a [R],
    /// Gradients at the gates on the input's side, `[row, gate]`.
    pub input_side: &'a [R],
    /// Those on the state's side, where they differ.
    pub state_side: Option<&'a [R]>,
}

impl<R: Real> WeightGradient<R> {
    /// Rows from which a product is worth its while: with fewer, writing the result would cost as much as making it.
    pub const ROWS: usize = 256;

    /// Begins with zeros.
    pub fn begin(&mut self, sizes: &Sizes) {
        self.sizes = *sizes;
        sized(&mut self.sums, sizes.gates * (sizes.inputs + sizes.hidden)).fill(R::ZERO);
    }

    /// Adds some time steps.
    pub fn add(&mut self, products: &mut Products<R>, part: &Part<'_, R>) {
        let Sizes { inputs, hidden, gates } = self.sizes;
        let (arch, rows) = (products.arch(), part.steps.between(part.first, part.end));
        let side = |values| View::new(values, part.steps.rows(), gates).rows_from(rows.start, rows.len()).transposed();
        let sums = &mut self.sums[..gates * (inputs + hidden)];
        match part.state_side {
            None => {
                self.packed.begin(arch, rows.len(), inputs + hidden);
                place_inputs(&mut self.packed, arch, part, inputs);
                place_states(&mut self.packed, arch, part, hidden, inputs);
                products.accumulate(sums, side(part.input_side), &self.packed);
            }
            Some(state_side) => {
                let (input_sums, state_sums) = sums.split_at_mut(gates * inputs);
                self.packed.begin(arch, rows.len(), inputs);
                place_inputs(&mut self.packed, arch, part, inputs);
                products.accumulate(input_sums, side(part.input_side), &self.packed);
                self.packed.begin(arch, rows.len(), hidden);
                place_states(&mut self.packed, arch, part, hidden, 0);
                products.accumulate(state_sums, side(state_side), &self.packed);
            }
        }
    }

    /// Writes the gradients as `[gate, input]` and `[gate, hidden]`; `is_split` if the parts had a state's side.
    pub fn finish(&self, is_split: bool, input: &mut [R], state: &mut [R]) {
        let Sizes { inputs, hidden, gates } = self.sizes;
        let sums = &self.sums[..gates * (inputs + hidden)];
        if is_split {
            let (input_sums, state_sums) = sums.split_at(gates * inputs);
            input.copy_from_slice(input_sums);
            state.copy_from_slice(state_sums);
            return;
        }
        let rows = input.chunks_exact_mut(inputs).zip(state.chunks_exact_mut(hidden));
        for ((input, state), sums) in rows.zip(sums.chunks_exact(inputs + hidden)) {
            let (input_sums, state_sums) = sums.split_at(inputs);
            input.copy_from_slice(input_sums);
            state.copy_from_slice(state_sums);
        }
    }
}

/// Packs what the input weights were multiplied with.
fn place_inputs<R: Real>(packed: &mut Packed<R>, arch: Arch, part: &Part<'_, R>, inputs: usize) {
    let first = part.steps.range(part.first).start;
    for t in part.first..part.end {
        let rows = part.steps.range(t);
        let values = &part.input.values[rows.start * inputs..rows.end * inputs];
        let affine = part.input.norm.map_or((R::ONE, R::ZERO), |norm| (norm.gamma[t], norm.beta[t]));
        packed.place(arch, values, inputs, (rows.start - first, 0), affine);
    }
}

/// Packs what the state weights were multiplied with, from a column on.
fn place_states<R: Real>(packed: &mut Packed<R>, arch: Arch, part: &Part<'_, R>, hidden: usize, column: usize) {
    let first = part.steps.range(part.first).start;
    for t in part.first..part.end {
        let rows = part.steps.range(t);
        let before = &part.states[start_before(part.steps, t) * hidden..][..rows.len() * hidden];
        packed.place(arch, before, hidden, (rows.start - first, column), (R::ONE, R::ZERO));
    }
}
