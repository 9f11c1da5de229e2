//! What recurrent models share: the names of their parameters, and the loop over time steps on a device.

use burn::tensor::Tensor;

use super::{Dropout, Initial, Model, Parameter, Shape, States, Tensors};
use crate::kernel::cell::Cell;
use crate::kernel::recurrent::{Layers, Recurrent};

/// A recurrent model: its cell on slices ([`Cell`]), and the same step on tensors.
pub trait RecurrentModel: Cell + Sync + std::fmt::Debug {
    /// PyTorch's module name: the first part of the parameters' names.
    const NAME: &'static str;

    /// One time step. Both sides' sums at the gates are `[pack, batch, gate]`, biases included.
    fn step(input_side: Tensor<3>, state_side: Tensor<3>, before: Option<Step>) -> Step;
}

/// A cell's state after a step.
#[derive(Debug, Clone)]
pub struct Step {
    /// The hidden state, `[pack, batch, hidden]`.
    pub state: Tensor<3>,
    /// The LSTM's cell, `[pack, batch, hidden]`.
    pub memory: Option<Tensor<3>>,
}

impl<M: RecurrentModel> Model for M {
    /// PyTorch's default: all uniform in ±1/√hidden.
    fn parameters(&self, shape: &Shape) -> Vec<Parameter> {
        let (gates, bound) = (M::GATES * shape.hidden, Initial::Uniform(1.0 / (shape.hidden as f64).sqrt()));
        let of_layer = |layer: usize| {
            let inputs = if layer == 0 { shape.features } else { shape.hidden };
            let sizes = [
                ("weight_ih", gates, inputs),
                ("weight_hh", gates, shape.hidden),
                ("bias_ih", 1, gates),
                ("bias_hh", 1, gates),
            ];
            sizes.map(|(part, rows, columns)| {
                Parameter::new(format!("{}.{part}_l{layer}", M::NAME), rows, columns, bound)
            })
        };
        (0..shape.layers).flat_map(of_layer).collect()
    }

    fn states(&self, shape: &Shape, parameters: &Tensors, inputs: Vec<Tensor<3>>, dropout: &mut Dropout<'_>) -> States {
        let mut states = inputs;
        for layer in 0..shape.layers {
            if layer > 0 {
                states = states.into_iter().map(|state| dropout.apply(state)).collect();
            }
            let get = |part: &str| parameters.get(&format!("{}.{part}_l{layer}", M::NAME));
            let (input_weight, state_weight) = (get("weight_ih").swap_dims(1, 2), get("weight_hh").swap_dims(1, 2));
            let (input_bias, state_bias) = (get("bias_ih"), get("bias_hh"));
            let mut before: Option<Step> = None;
            for state in &mut states {
                let input_side = state.clone().matmul(input_weight.clone()) + input_bias.clone();
                let state_side = match &before {
                    Some(before) => before.state.clone().matmul(state_weight.clone()) + state_bias.clone(),
                    None => state_bias.clone().expand(input_side.dims()),
                };
                let after = M::step(input_side, state_side, before);
                *state = after.state.clone();
                before = Some(after);
            }
        }
        States::Steps(states)
    }

    fn layers(&self, shape: &Shape) -> Option<Box<dyn Layers<f32>>> {
        Some(Box::new(Recurrent::<f32, M>::new(shape)))
    }
}

/// `[pack, batch, GATES * hidden]` to so many times `[pack, batch, hidden]`.
pub fn split_gates<const GATES: usize>(gates: Tensor<3>) -> [Tensor<3>; GATES] {
    let hidden = gates.dims()[2] / GATES;
    std::array::from_fn(|gate| gates.clone().narrow(2, gate * hidden, hidden))
}
