//! One recurrent layer on slices: forward, and back-propagation through time, for any [`Cell`].
//!
//! What makes it fast: the input projection of all time steps is one matrix product; each step adds one product with the packed
//! recurrent weights; weight gradients are one product over all steps at the end. No gradient with respect to the network's input
//! is needed, because batch norm over time has no parameters below its statistics: with x̂ the normalised input, P = x̂ W and dG the
//! gradient at the gates, dγ_t = Σ dG_t ∘ P_t and dβ_t = Σ dG_t · (row sums of W).

use std::marker::PhantomData;

use super::cell::{Backward, Cell, Forward};
use super::step::{AddRows, BackwardStep, Dot, ForwardStep};
use super::{Packed, Products, Real, View, sized};
use crate::model::Shape;

/// γ and β of the batch norm, or their gradients, `[time]` each.
#[derive(Debug)]
pub struct Affine<T> {
    /// Scale per time step.
    pub gamma: T,
    /// Shift per time step.
    pub beta: T,
}

/// A layer's parameters, or their gradients, as PyTorch lays them out.
#[derive(Debug)]
pub struct Weights<T> {
    /// `[gate, input]`.
    pub input: T,
    /// `[gate, hidden]`.
    pub state: T,
    /// Bias on the input's side, `[gate]`.
    pub input_bias: T,
    /// Bias on the state's side, `[gate]`; kept apart because Adam moves the two's sum twice as fast.
    pub state_bias: T,
}

/// Where [`Layer::backward`] writes.
#[derive(Debug)]
pub struct LayerGradients<'a, R> {
    /// Of the layer's weights; those of the input's come after, from [`Layer::input_weight_gradient`].
    pub weights: Weights<&'a mut [R]>,
    /// Of the batch norm, from the first layer alone.
    pub norm: Option<Affine<&'a mut [R]>>,
}

/// Sizes of a layer and of the batch at hand.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Time steps.
    pub time: usize,
    /// Samples.
    pub batch: usize,
    /// Numbers per time step of the layer's input.
    pub inputs: usize,
    /// Units.
    pub hidden: usize,
    /// Gates times units.
    pub gates: usize,
}

/// One layer's buffers: what the way back needs of the way forward.
#[derive(Debug, Default)]
pub struct Layer<R> {
    /// `[time, batch, gate]`; on the way back of split cells, gradients on the state's side.
    projection: Vec<R>,
    /// `[time, batch, gate]`: activations, then their gradients.
    gates: Vec<R>,
    /// `[time + 1, batch, hidden]`, before the first step zeros.
    states: Vec<R>,
    /// `[time + 1, batch, MEMORY * hidden]`, before the first step zeros.
    memory: Vec<R>,
    /// Sums of the rows of the input weights, `[gate]`.
    weight_sums: Vec<R>,
    packed: Packed<R>,
}

/// Buffers of one time step, which layers share.
#[derive(Debug, Default)]
pub struct Scratch<R> {
    /// `[gate]`.
    offset: Vec<R>,
    /// `[gate]`.
    gate_sums: Vec<R>,
    /// `[batch, gate]`.
    state_gates: Vec<R>,
    /// Loss gradient that reaches the state of the step before, `[batch, hidden]`.
    carried: Vec<R>,
    /// The same for its memory, `[batch, hidden]`.
    memory_gradient: Vec<R>,
}

impl<T> Weights<T> {
    /// How many parameters a layer has.
    pub fn count(inputs: usize, hidden: usize, gates: usize) -> usize {
        gates * (inputs + hidden + 2)
    }
}

impl<'a, R> Weights<&'a [R]> {
    /// A layer's parameters out of a slice that begins with them.
    pub fn split(all: &'a [R], inputs: usize, hidden: usize, gates: usize) -> Weights<&'a [R]> {
        let (input, rest) = all.split_at(gates * inputs);
        let (state, rest) = rest.split_at(gates * hidden);
        Weights { input, state, input_bias: &rest[..gates], state_bias: &rest[gates..2 * gates] }
    }
}

impl<'a, R> Weights<&'a mut [R]> {
    /// A layer's gradients out of a slice that begins with them.
    pub fn split_mut(all: &'a mut [R], inputs: usize, hidden: usize, gates: usize) -> Weights<&'a mut [R]> {
        let (input, rest) = all.split_at_mut(gates * inputs);
        let (state, rest) = rest.split_at_mut(gates * hidden);
        let (input_bias, rest) = rest.split_at_mut(gates);
        Weights { input, state, input_bias, state_bias: &mut rest[..gates] }
    }
}

impl Sizes {
    /// Of the layer `index` of a network whose cell has so many gates.
    pub fn of(shape: &Shape, index: usize, gates: usize, batch: usize) -> Sizes {
        let inputs = if index == 0 { shape.features } else { shape.hidden };
        Sizes { time: shape.time, batch, inputs, hidden: shape.hidden, gates: gates * shape.hidden }
    }
}

impl<R: Real> Layer<R> {
    /// The states of the last forward pass, `[time, batch, hidden]`.
    pub fn states(&self, sizes: &Sizes) -> &[R] {
        let step = sizes.batch * sizes.hidden;
        &self.states[step..(sizes.time + 1) * step]
    }

    /// Runs over `input`, `[time, batch, input]`; with `norm`, over γ_t input_t + β_t.
    pub fn forward<C: Cell>(
        &mut self,
        products: &mut Products<R>,
        weights: &Weights<&[R]>,
        norm: Option<&Affine<&[R]>>,
        input: &[R],
        sizes: &Sizes,
        scratch: &mut Scratch<R>,
    ) {
        let Sizes { time, batch, inputs, hidden, gates } = *sizes;
        let (gate_step, state_step, memory_step) = (batch * gates, batch * hidden, batch * C::MEMORY * hidden);
        let projection = sized(&mut self.projection, time * gate_step);
        self.packed.pack(products.arch(), View::new(weights.input, gates, inputs).transposed());
        products.multiply(projection, View::new(input, time * batch, inputs), &self.packed);
        self.packed.pack(products.arch(), View::new(weights.state, gates, hidden).transposed());
        let weight_sums = sized(&mut self.weight_sums, gates);
        for (sum, row) in weight_sums.iter_mut().zip(weights.input.chunks_exact(inputs)) {
            *sum = row.iter().fold(R::ZERO, |sum, weight| sum + *weight);
        }

        let all_gates = sized(&mut self.gates, time * gate_step);
        let states = sized(&mut self.states, (time + 1) * state_step);
        let memory = sized(&mut self.memory, (time + 1) * memory_step);
        states[..state_step].fill(R::ZERO);
        memory[..memory_step].fill(R::ZERO);
        let offset = sized(&mut scratch.offset, gates);
        for t in 0..time {
            let step_gates = &mut all_gates[t * gate_step..][..gate_step];
            let (states_before, states) = states[t * state_step..].split_at_mut(state_step);
            let (memory_before, memory) = memory[t * memory_step..].split_at_mut(memory_step);
            match t {
                0 => step_gates.fill(R::ZERO),
                _ => products.multiply(step_gates, View::new(states_before, batch, hidden), &self.packed),
            }
            let scale = norm.map_or(R::ONE, |norm| norm.gamma[t]);
            let shift = norm.map_or(R::ZERO, |norm| norm.beta[t]);
            let biases = weights.input_bias.iter().zip(weights.state_bias);
            for ((offset, sum), (input_bias, state_bias)) in offset.iter_mut().zip(&*weight_sums).zip(biases) {
                let bias = if C::SPLIT { *input_bias } else { *input_bias + *state_bias };
                *offset = bias + shift * *sum;
            }
            let projection = &projection[t * gate_step..][..gate_step];
            let step = Forward {
                gates: step_gates,
                projection,
                scale,
                offset,
                state_bias: weights.state_bias,
                state_before: states_before,
                memory_before,
                state: states,
                memory,
            };
            products.arch().dispatch(ForwardStep::<R, C> { step, sizes, cell: PhantomData });
        }
    }

    /// Goes back through the last forward pass, from the loss gradients at the states, `[time, batch, hidden]`, which are used up,
    /// to those of the weights and of the batch norm, where the layer is the first.
    pub fn backward<C: Cell>(
        &mut self,
        products: &mut Products<R>,
        weights: &Weights<&[R]>,
        state_gradients: &mut [R],
        gradients: &mut LayerGradients<'_, R>,
        sizes: &Sizes,
        scratch: &mut Scratch<R>,
    ) {
        let Sizes { time, batch, hidden, gates, .. } = *sizes;
        let (gate_step, state_step, memory_step) = (batch * gates, batch * hidden, batch * C::MEMORY * hidden);
        self.packed.pack(products.arch(), View::new(weights.state, gates, hidden));
        let carried = sized(&mut scratch.carried, state_step);
        let memory_gradient = sized(&mut scratch.memory_gradient, state_step);
        memory_gradient.fill(R::ZERO);
        let state_gates = sized(&mut scratch.state_gates, if C::SPLIT { gate_step } else { 0 });
        let gate_sums = sized(&mut scratch.gate_sums, gates);
        let LayerGradients { weights: gradients, norm } = gradients;
        gradients.input_bias.fill(R::ZERO);
        gradients.state_bias.fill(R::ZERO);
        for t in (0..time).rev() {
            let state_gradient = &mut state_gradients[t * state_step..][..state_step];
            if t + 1 < time {
                state_gradient.iter_mut().zip(&*carried).for_each(|(here, later)| *here += *later);
            }
            let step_gates = &mut self.gates[t * gate_step..][..gate_step];
            let projection = &mut self.projection[t * gate_step..][..gate_step];
            let (states, memory) = (&self.states[t * state_step..], &self.memory[t * memory_step..]);
            let step = Backward {
                gates: step_gates,
                state_gates,
                state_gradient,
                memory_gradient,
                direct: carried,
                state_before: &states[..state_step],
                memory_before: &memory[..memory_step],
                memory: &memory[memory_step..2 * memory_step],
            };
            products.arch().dispatch(BackwardStep::<R, C> { step, sizes, cell: PhantomData });
            gate_sums.fill(R::ZERO);
            products.arch().dispatch(AddRows { sums: gate_sums, rows: step_gates });
            gradients.input_bias.iter_mut().zip(&*gate_sums).for_each(|(bias, sum)| *bias += *sum);
            if let Some(norm) = norm {
                norm.gamma[t] = products.arch().dispatch(Dot { a: step_gates, b: projection });
                norm.beta[t] = products.arch().dispatch(Dot { a: gate_sums, b: &self.weight_sums[..gates] });
            }
            if C::SPLIT {
                products.arch().dispatch(AddRows { sums: gradients.state_bias, rows: state_gates });
                if t > 0 {
                    products.accumulate(carried, View::new(state_gates, batch, gates), &self.packed);
                }
                projection.copy_from_slice(state_gates);
            } else if t > 0 {
                products.multiply(carried, View::new(step_gates, batch, gates), &self.packed);
            }
        }
        if !C::SPLIT {
            gradients.state_bias.copy_from_slice(gradients.input_bias);
        }
        let state_side = if C::SPLIT { &self.projection } else { &self.gates };
        let state_side = View::new(state_side, time * batch, gates).transposed();
        products.multiply_long(gradients.state, state_side, View::new(&self.states, time * batch, hidden));
    }

    /// Gradient of the input weights after [`Layer::backward`]; `input` is what they were multiplied with, `[time, batch, input]`.
    pub fn input_weight_gradient(&self, products: &mut Products<R>, input: &[R], gradient: &mut [R], sizes: &Sizes) {
        let steps = sizes.time * sizes.batch;
        let gates = View::new(&self.gates, steps, sizes.gates).transposed();
        products.multiply_long(gradient, gates, View::new(input, steps, sizes.inputs));
    }

    /// Loss gradient at the input, `[time, batch, input]`, after [`Layer::backward`].
    pub fn input_gradient(&mut self, products: &mut Products<R>, weights: &[R], gradient: &mut [R], sizes: &Sizes) {
        self.packed.pack(products.arch(), View::new(weights, sizes.gates, sizes.inputs));
        let steps = sizes.time * sizes.batch;
        products.multiply(gradient, View::new(&self.gates, steps, sizes.gates), &self.packed);
    }
}
