//! Batch norm over time → LSTM layers → linear read-out, as PyTorch's modules compute them (method.md 2.3).
//!
//! Each step's input projection is a product of its own, not a slice of one large product: burn's autodiff gives a slice a
//! gradient of the full size, which would make a pass quadratic in time.

use burn::module::{Module, Param, ParamId};
use burn::tensor::activation::{sigmoid, tanh};
use burn::tensor::{Device, Tensor, TensorData};

use super::time_norm::{NormalisedBatch, TimeNorm};
use crate::rng;

/// The sizes of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LstmConfig {
    /// Time steps.
    pub time: usize,
    /// Features per time step.
    pub features: usize,
    /// Hidden size of each layer.
    pub hidden: usize,
    /// Recurrent layers.
    pub layers: usize,
    /// Classes.
    pub classes: usize,
}

/// Initial weights as PyTorch lays them out, row-major; gates in the order i, f, g, o.
#[derive(Debug, Clone, PartialEq)]
pub struct LstmWeights {
    /// γ of the batch norm, `[time]`.
    pub gamma: Vec<f32>,
    /// β of the batch norm, `[time]`.
    pub beta: Vec<f32>,
    /// The recurrent layers, from the input up.
    pub layers: Vec<LayerWeights>,
    /// The read-out's weights, `[class, hidden]`.
    pub head_weight: Vec<f32>,
    /// The read-out's biases, `[class]`.
    pub head_bias: Vec<f32>,
}

/// One recurrent layer's weights.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerWeights {
    /// Input to gates, `[4 hidden, input]`.
    pub input: Vec<f32>,
    /// State to gates, `[4 hidden, hidden]`.
    pub state: Vec<f32>,
    /// First bias, `[4 hidden]`.
    pub input_bias: Vec<f32>,
    /// Second bias, `[4 hidden]`; kept apart from the first because Adam moves their sum twice as fast.
    pub state_bias: Vec<f32>,
}

/// The network.
#[derive(Module, Debug)]
pub struct Lstm {
    /// Batch norm over time.
    pub norm: TimeNorm,
    /// Recurrent layers, from the input up.
    pub layers: Vec<LstmLayer>,
    /// Read-out weights, `[class, hidden]`.
    pub head_weight: Param<Tensor<2>>,
    /// Read-out biases, `[class]`.
    pub head_bias: Param<Tensor<1>>,
}

/// One recurrent layer, with the weights of [`LayerWeights`].
#[derive(Module, Debug)]
pub struct LstmLayer {
    /// `[4 hidden, input]`.
    pub input: Param<Tensor<2>>,
    /// `[4 hidden, hidden]`.
    pub state: Param<Tensor<2>>,
    /// `[4 hidden]`.
    pub input_bias: Param<Tensor<1>>,
    /// `[4 hidden]`.
    pub state_bias: Param<Tensor<1>>,
}

/// What a pass gives.
#[derive(Debug)]
pub struct Output {
    /// The top layer's hidden states: one tensor `[batch, hidden]` per time step.
    pub states: Vec<Tensor<2>>,
    /// The read-out at each sample's last step, `[batch, class]`.
    pub logits: Tensor<2>,
}

impl LstmWeights {
    /// PyTorch's default: LSTM and linear uniform in ±1/√hidden, γ = 1, β = 0; drawn from the stream `weights`.
    pub fn initial(config: &LstmConfig, random_root: &[u8; 32]) -> LstmWeights {
        let mut stream = rng::stream(random_root, "weights");
        let bound = 1.0 / (config.hidden as f64).sqrt();
        let mut draw = |count: usize| -> Vec<f32> {
            (0..count).map(|_| ((2.0 * stream.uniform() - 1.0) * bound) as f32).collect()
        };
        let gates = 4 * config.hidden;
        let layers = (0..config.layers).map(|layer| LayerWeights {
            input: draw(gates * if layer == 0 { config.features } else { config.hidden }),
            state: draw(gates * config.hidden),
            input_bias: draw(gates),
            state_bias: draw(gates),
        });
        LstmWeights {
            gamma: vec![1.0; config.time],
            beta: vec![0.0; config.time],
            layers: layers.collect(),
            head_weight: draw(config.classes * config.hidden),
            head_bias: draw(config.classes),
        }
    }
}

impl Lstm {
    /// The network with the given weights.
    pub fn new(config: &LstmConfig, weights: LstmWeights, device: &Device) -> Lstm {
        let gates = 4 * config.hidden;
        let layers = weights.layers.into_iter().enumerate().map(|(layer, weights)| LstmLayer {
            input: matrix(weights.input, gates, if layer == 0 { config.features } else { config.hidden }, device),
            state: matrix(weights.state, gates, config.hidden, device),
            input_bias: vector(weights.input_bias, device),
            state_bias: vector(weights.state_bias, device),
        });
        Lstm {
            norm: TimeNorm::from_values(weights.gamma, weights.beta, device),
            layers: layers.collect(),
            head_weight: matrix(weights.head_weight, config.classes, config.hidden, device),
            head_bias: vector(weights.head_bias, device),
        }
    }

    /// One pass over a batch; `last_steps[n]` is the time step at which sample n is read out.
    pub fn forward(&self, batch: NormalisedBatch, last_steps: &[u32]) -> Output {
        let mut states = self.norm.forward(batch);
        for layer in &self.layers {
            states = layer.forward(states);
        }
        let read = read_at(&states, last_steps);
        let logits = read.matmul(self.head_weight.val().transpose()) + self.head_bias.val().unsqueeze();
        Output { states, logits }
    }
}

impl LstmLayer {
    /// From inputs `[batch, input]` per step to hidden states `[batch, hidden]` per step; the initial state is zero.
    fn forward(&self, inputs: Vec<Tensor<2>>) -> Vec<Tensor<2>> {
        let input_weights = self.input.val().transpose();
        let state_weights = self.state.val().transpose();
        let bias: Tensor<2> = (self.input_bias.val() + self.state_bias.val()).unsqueeze();
        let mut previous: Option<(Tensor<2>, Tensor<2>)> = None;
        let mut states = Vec::with_capacity(inputs.len());
        for x in inputs {
            let mut gates = x.matmul(input_weights.clone()) + bias.clone();
            if let Some((h, _)) = &previous {
                gates = gates + h.clone().matmul(state_weights.clone());
            }
            let [i, f, g, o] = split_gates(gates);
            let mut cell = sigmoid(i) * tanh(g);
            if let Some((_, c)) = previous {
                cell = cell + sigmoid(f) * c;
            }
            let h = sigmoid(o) * tanh(cell.clone());
            states.push(h.clone());
            previous = Some((h, cell));
        }
        states
    }
}

/// `[batch, 4 hidden]` to four times `[batch, hidden]`.
fn split_gates(gates: Tensor<2>) -> [Tensor<2>; 4] {
    let hidden = gates.dims()[1] / 4;
    [0, 1, 2, 3].map(|gate| gates.clone().narrow(1, gate * hidden, hidden))
}

/// The states at each sample's own last step, `[batch, hidden]`.
fn read_at(states: &[Tensor<2>], last_steps: &[u32]) -> Tensor<2> {
    let first = last_steps[0];
    if last_steps.iter().all(|step| *step == first) {
        return states[first as usize].clone();
    }
    let device = states[0].device();
    let mut read: Option<Tensor<2>> = None;
    for (t, state) in states.iter().enumerate() {
        let chosen: Vec<f32> = last_steps.iter().map(|step| f32::from(u8::from(*step as usize == t))).collect();
        if chosen.iter().any(|one| *one > 0.0) {
            let rows = chosen.len();
            let part = state.clone() * Tensor::from_data(TensorData::new(chosen, [rows, 1]), &device);
            read = Some(match read {
                Some(sum) => sum + part,
                None => part,
            });
        }
    }
    read.unwrap_or_else(|| states[states.len() - 1].clone())
}

fn matrix(values: Vec<f32>, rows: usize, columns: usize, device: &Device) -> Param<Tensor<2>> {
    Param::initialized(
        ParamId::new(),
        Tensor::from_data(TensorData::new(values, [rows, columns]), device).require_grad(),
    )
}

fn vector(values: Vec<f32>, device: &Device) -> Param<Tensor<1>> {
    let shape = [values.len()];
    Param::initialized(ParamId::new(), Tensor::from_data(TensorData::new(values, shape), device).require_grad())
}
