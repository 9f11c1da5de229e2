//! One recurrent layer on slices: forward, and back-propagation through time, for any [`Cell`].
//!
//! Rows lie step by step ([`Steps`]). Each step forward is one product with the input weights and one with the recurrent ones, both
//! packed once a batch. On the way back, weight gradients gather over a few steps at a time, while what they are made of is in cache.
//! No gradient with respect to the network's input is needed, because batch norm over time has no parameters below its statistics:
//! with x̂ the normalised input, P = x̂ W and dG the gradient at the gates, dγ_t = Σ dG_t ∘ P_t and dβ_t = Σ dG_t · (row sums of W).

use std::marker::PhantomData;
use std::ops::Range;

use super::cell::{Backward, Cell, Forward};
use super::step::{AddRows, BackwardStep, Dot, ForwardStep};
use super::steps::Steps;
use super::weight_gradient::{Part, WeightGradient};
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
    /// Of the layer's weights.
    pub weights: Weights<&'a mut [R]>,
    /// Of the batch norm, from the first layer alone.
    pub norm: Option<Affine<&'a mut [R]>>,
}

/// What a layer runs over.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a, R> {
    /// `[row, input]`.
    pub values: &'a [R],
    /// With it, over γ_t values_t + β_t.
    pub norm: Option<&'a Affine<&'a [R]>>,
}

/// Loss gradients at a layer's states, without those that come from its own later steps.
#[derive(Debug, Clone, Copy)]
pub enum Arriving<'a, R> {
    /// At some rows: which, and their gradients, `[rows, hidden]`.
    At(&'a [usize], &'a [R]),
    /// At all rows, `[row, hidden]`.
    Everywhere(&'a [R]),
}

/// Sizes of a layer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sizes {
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
    /// `[row, gate]`; on the way back of split cells, gradients on the state's side.
    projection: Vec<R>,
    /// `[row, gate]`: activations, then their gradients.
    gates: Vec<R>,
    /// `[batch + row, hidden]`, before the first step zeros.
    states: Vec<R>,
    /// `[batch + row, MEMORY * hidden]`, before the first step zeros.
    memory: Vec<R>,
    /// Sums of the rows of the input weights, `[gate]`.
    weight_sums: Vec<R>,
    input_weights: Packed<R>,
    state_weights: Packed<R>,
}

/// Buffers that layers share.
#[derive(Debug, Default)]
pub struct Scratch<R> {
    /// `[gate]`.
    offset: Vec<R>,
    /// `[gate]`.
    gate_sums: Vec<R>,
    /// `[batch, gate]`.
    state_gates: Vec<R>,
    /// Loss gradient at the state of the step at hand, `[batch, hidden]`.
    here: Vec<R>,
    /// What of it reaches the state of the step before, `[batch, hidden]`.
    carried: Vec<R>,
    /// The same for its memory, `[batch, hidden]`.
    memory_gradient: Vec<R>,
    weight_gradient: WeightGradient<R>,
}

impl<R: Real> Arriving<'_, R> {
    /// Adds what arrives at the rows of one step to the gradients there, `[rows, hidden]`.
    fn add(self, rows: &Range<usize>, here: &mut [R]) {
        let hidden = here.len() / rows.len().max(1);
        let add = |here: &mut [R], more: &[R]| here.iter_mut().zip(more).for_each(|(here, more)| *here += *more);
        match self {
            Arriving::Everywhere(gradients) => add(here, &gradients[rows.start * hidden..rows.end * hidden]),
            Arriving::At(read, gradients) => {
                for (row, gradient) in read.iter().zip(gradients.chunks_exact(hidden.max(1))) {
                    if rows.contains(row) {
                        add(&mut here[(row - rows.start) * hidden..][..hidden], gradient);
                    }
                }
            }
        }
    }
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
    pub fn of(shape: &Shape, index: usize, gates: usize) -> Sizes {
        let inputs = if index == 0 { shape.features } else { shape.hidden };
        Sizes { inputs, hidden: shape.hidden, gates: gates * shape.hidden }
    }
}

impl<R: Real> Layer<R> {
    /// The states of the last forward pass, `[row, hidden]`.
    pub fn states(&self, sizes: &Sizes, steps: &Steps) -> &[R] {
        &self.states[steps.batch() * sizes.hidden..][..steps.rows() * sizes.hidden]
    }

    /// Runs over the input.
    pub fn forward<C: Cell>(
        &mut self,
        products: &mut Products<R>,
        weights: &Weights<&[R]>,
        input: Input<'_, R>,
        sizes: &Sizes,
        steps: &Steps,
        scratch: &mut Scratch<R>,
    ) {
        let Sizes { inputs, hidden, gates } = *sizes;
        let (kept, batch, rows) = (C::MEMORY * hidden, steps.batch(), steps.rows());
        self.input_weights.pack(products.arch(), View::new(weights.input, gates, inputs).transposed());
        self.state_weights.pack(products.arch(), View::new(weights.state, gates, hidden).transposed());
        let weight_sums = sized(&mut self.weight_sums, gates);
        for (sum, row) in weight_sums.iter_mut().zip(weights.input.chunks_exact(inputs)) {
            *sum = row.iter().fold(R::ZERO, |sum, weight| sum + *weight);
        }

        let projections = sized(&mut self.projection, rows * gates);
        let all_gates = sized(&mut self.gates, rows * gates);
        let states = sized(&mut self.states, (batch + rows) * hidden);
        let memory = sized(&mut self.memory, (batch + rows) * kept);
        states[..batch * hidden].fill(R::ZERO);
        memory[..batch * kept].fill(R::ZERO);
        let offset = sized(&mut scratch.offset, gates);
        for t in (0..steps.time()).take_while(|t| steps.active(*t) > 0) {
            let (active, range, before) = (steps.active(t), steps.range(t), start_before(steps, t));
            let step_gates = &mut all_gates[range.start * gates..range.end * gates];
            let (states_before, states) = states.split_at_mut((batch + range.start) * hidden);
            let (memory_before, memory) = memory.split_at_mut((batch + range.start) * kept);
            let states_before = &states_before[before * hidden..][..active * hidden];
            let projection = &mut projections[range.start * gates..range.end * gates];
            let step_input = &input.values[range.start * inputs..range.end * inputs];
            products.multiply(projection, View::new(step_input, active, inputs), &self.input_weights);
            match t {
                0 => step_gates.fill(R::ZERO),
                _ => products.multiply(step_gates, View::new(states_before, active, hidden), &self.state_weights),
            }
            let (scale, shift) = input.norm.map_or((R::ONE, R::ZERO), |norm| (norm.gamma[t], norm.beta[t]));
            let biases = weights.input_bias.iter().zip(weights.state_bias);
            for ((offset, sum), (input_bias, state_bias)) in offset.iter_mut().zip(&*weight_sums).zip(biases) {
                let bias = if C::SPLIT { *input_bias } else { *input_bias + *state_bias };
                *offset = bias + shift * *sum;
            }
            let step = Forward {
                gates: step_gates,
                projection,
                scale,
                offset,
                state_bias: weights.state_bias,
                state_before: states_before,
                memory_before: &memory_before[before * kept..][..active * kept],
                state: &mut states[..active * hidden],
                memory: &mut memory[..active * kept],
            };
            products.arch().dispatch(ForwardStep::<R, C> { step, hidden, cell: PhantomData });
        }
    }

    /// Goes back through the last forward pass, from the loss gradients that arrive at the states to those of the weights and of the
    /// batch norm, where the layer is the first. `input` is what the layer ran over.
    #[expect(clippy::too_many_arguments, reason = "they are what a layer is made of, and all differ in type")]
    pub fn backward<C: Cell>(
        &mut self,
        products: &mut Products<R>,
        weights: &Weights<&[R]>,
        input: Input<'_, R>,
        arriving: Arriving<'_, R>,
        gradients: LayerGradients<'_, R>,
        sizes: &Sizes,
        steps: &Steps,
        scratch: &mut Scratch<R>,
    ) {
        let Sizes { hidden, gates, .. } = *sizes;
        let (kept, batch) = (C::MEMORY * hidden, steps.batch());
        self.state_weights.pack(products.arch(), View::new(weights.state, gates, hidden));
        let (mut here, mut carried) =
            (sized(&mut scratch.here, batch * hidden), sized(&mut scratch.carried, batch * hidden));
        let memory_gradient = sized(&mut scratch.memory_gradient, batch * hidden);
        memory_gradient.fill(R::ZERO);
        let state_gates = sized(&mut scratch.state_gates, if C::SPLIT { batch * gates } else { 0 });
        let gate_sums = sized(&mut scratch.gate_sums, gates);
        let LayerGradients { weights: gradients, mut norm } = gradients;
        gradients.input_bias.fill(R::ZERO);
        gradients.state_bias.fill(R::ZERO);
        scratch.weight_gradient.begin(sizes);
        let mut gathered = steps.time();
        for t in (0..steps.time()).rev() {
            let (active, range, before) = (steps.active(t), steps.range(t), start_before(steps, t));
            (here, carried) = (carried, here);
            // Samples that end here have no later steps.
            here[steps.active(t + 1) * hidden..active * hidden].fill(R::ZERO);
            arriving.add(&range, &mut here[..active * hidden]);
            let step_gates = &mut self.gates[range.start * gates..range.end * gates];
            let projection = &mut self.projection[range.start * gates..range.end * gates];
            let state_gates = if C::SPLIT { &mut state_gates[..active * gates] } else { &mut state_gates[..0] };
            let step = Backward {
                gates: step_gates,
                state_gates,
                state_gradient: &here[..active * hidden],
                memory_gradient: &mut memory_gradient[..active * hidden],
                direct: &mut carried[..active * hidden],
                state_before: &self.states[before * hidden..][..active * hidden],
                memory_before: &self.memory[before * kept..][..active * kept],
                memory: &self.memory[(batch + range.start) * kept..][..active * kept],
            };
            let step = BackwardStep::<R, C> { step, hidden, gate_sums, projection, cell: PhantomData };
            let scale_gradient = products.arch().dispatch(step);
            gradients.input_bias.iter_mut().zip(&*gate_sums).for_each(|(bias, sum)| *bias += *sum);
            if let Some(norm) = &mut norm {
                norm.gamma[t] = scale_gradient;
                norm.beta[t] = products.arch().dispatch(Dot { a: gate_sums, b: &self.weight_sums[..gates] });
            }
            let carried = &mut carried[..active * hidden];
            if C::SPLIT {
                products.arch().dispatch(AddRows { sums: gradients.state_bias, rows: state_gates });
                if t > 0 {
                    products.accumulate(carried, View::new(state_gates, active, gates), &self.state_weights);
                }
                projection.copy_from_slice(state_gates);
            } else if t > 0 {
                products.multiply(carried, View::new(step_gates, active, gates), &self.state_weights);
            }
            if t == 0 || steps.between(t, gathered).len() >= WeightGradient::<R>::ROWS {
                let part = Part {
                    steps,
                    first: t,
                    end: gathered,
                    input,
                    states: &self.states,
                    input_side: &self.gates,
                    state_side: C::SPLIT.then_some(&self.projection[..]),
                };
                scratch.weight_gradient.add(products, &part);
                gathered = t;
            }
        }
        scratch.weight_gradient.finish(C::SPLIT, gradients.input, gradients.state);
        if !C::SPLIT {
            gradients.state_bias.copy_from_slice(gradients.input_bias);
        }
    }

    /// Loss gradient at the input, `[row, input]`, after [`Layer::backward`].
    pub fn input_gradient(
        &mut self,
        products: &mut Products<R>,
        weights: &[R],
        gradient: &mut [R],
        sizes: &Sizes,
        steps: &Steps,
    ) {
        self.input_weights.pack(products.arch(), View::new(weights, sizes.gates, sizes.inputs));
        products.multiply(gradient, View::new(&self.gates, steps.rows(), sizes.gates), &self.input_weights);
    }
}

/// Where the rows of the step before `t` begin in a layer's states and memory.
pub(super) fn start_before(steps: &Steps, t: usize) -> usize {
    if t == 0 { 0 } else { steps.batch() + steps.range(t - 1).start }
}
