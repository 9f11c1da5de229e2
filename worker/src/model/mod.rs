//! The networks of a study's third axis. Each takes a normalised sequence and gives a hidden state at every time step; what comes
//! before (batch norm over time) and after (a linear read-out of the state at a sample's last step) is the same for all, so that
//! models differ in nothing else.
//!
//! A model is one file here and one line in [`MODELS`]; `docs/models.md` shows how to add one. Parameters have the names and layouts
//! that PyTorch gives them.
//!
//! - [`Model`]: what a model must give
//! - [`mod@parameters`]: parameters by name, and their initial values
//! - [`sequence`]: states of a pack of runs on a device
//! - [`recurrent`]: what LSTM, GRU and Elman networks share
//! - [`lstm`], [`gru`], [`rnn`], [`transformer`], [`mean_pool`]: the models

pub mod gru;
pub mod lstm;
pub mod mean_pool;
pub mod parameters;
pub mod recurrent;
pub mod rnn;
pub mod sequence;
pub mod transformer;

use burn::tensor::Tensor;
use curvefleet_proto::plan::RunSettings;
use curvefleet_proto::study::ModelKind;

use crate::kernel::recurrent::Layers;
pub use parameters::{Initial, Parameter, Tensors};
pub use sequence::{Dropout, States};

/// The sizes of a network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Time steps.
    pub time: usize,
    /// Features per time step.
    pub features: usize,
    /// Numbers in a hidden state.
    pub hidden: usize,
    /// Layers, one on top of the other.
    pub layers: usize,
    /// Attention heads (transformers alone).
    pub heads: usize,
    /// Classes.
    pub classes: usize,
    /// Share of the numbers that dropout sets to zero in training.
    pub dropout: f64,
}

impl Shape {
    /// The sizes that a run's settings give its network.
    pub fn of(settings: &RunSettings) -> Shape {
        Shape {
            time: settings.condition.pad_to as usize,
            features: settings.condition.features.len(),
            hidden: settings.model.hidden as usize,
            layers: settings.model.layers as usize,
            heads: settings.model.heads as usize,
            classes: settings.condition.classes.len(),
            dropout: settings.model.dropout,
        }
    }
}

/// What a model must give.
pub trait Model: Sync + std::fmt::Debug {
    /// Its parameters, without those of the batch norm and the read-out.
    fn parameters(&self, shape: &Shape) -> Vec<Parameter>;

    /// Hidden states of a pack of runs on any device, differentiable in the parameters; `inputs` has one tensor
    /// `[pack, batch, feature]` for each time step.
    fn states(&self, shape: &Shape, parameters: &Tensors, inputs: Vec<Tensor<3>>, dropout: &mut Dropout<'_>) -> States;

    /// Logits `[pack, batch, class]` from the states `[pack, batch, hidden]` at each sample's last step.
    fn logits(&self, parameters: &Tensors, read: Tensor<3>) -> Tensor<3> {
        read.matmul(parameters.get("fc.weight").swap_dims(1, 2)) + parameters.get("fc.bias")
    }

    /// The same network written out for one core, where there is such a form; without one, processors train it on burn's tensors.
    fn layers(&self, _shape: &Shape) -> Option<Box<dyn Layers<f32>>> {
        None
    }
}

/// Every model there is.
pub static MODELS: [(ModelKind, &dyn Model); 5] = [
    (ModelKind::Lstm, &lstm::Lstm),
    (ModelKind::Gru, &gru::Gru),
    (ModelKind::Rnn, &rnn::Rnn),
    (ModelKind::Transformer, &transformer::Transformer),
    (ModelKind::MeanPool, &mean_pool::MeanPool),
];

/// The model of a kind.
pub fn of(kind: ModelKind) -> &'static dyn Model {
    let known = MODELS.iter().find(|(known, _)| *known == kind);
    known.map_or(&lstm::Lstm, |(_, model)| *model)
}

/// All parameters of a network, batch norm and read-out included, in the order in which they are drawn and stored.
pub fn parameters(model: &dyn Model, shape: &Shape) -> Vec<Parameter> {
    let bound = Initial::Uniform(1.0 / (shape.hidden as f64).sqrt());
    let mut all = vec![
        Parameter::new("bn.weight", 1, shape.time, Initial::Constant(1.0)),
        Parameter::new("bn.bias", 1, shape.time, Initial::Constant(0.0)),
    ];
    all.extend(model.parameters(shape));
    all.push(Parameter::new("fc.weight", shape.classes, shape.hidden, bound));
    all.push(Parameter::new("fc.bias", 1, shape.classes, bound));
    all
}
