//! A whole network on slices: batch norm over time → recurrent layers → linear read-out, its loss, gradients and updates.

use pulp::Arch;

use super::layer::Affine;
use super::readout::{Linear, Readout, Targets};
use super::recurrent::{Gradients, Layers};
use super::time_norm::RunningStatistics;
use super::update::Update;
use super::{Products, Real, sized};
use crate::model::Shape;
use crate::rng::Stream;
use curvefleet_proto::study::Statistics;

/// A network in training, with every buffer that a batch needs.
#[derive(Debug)]
pub struct Network<R> {
    shape: Shape,
    /// All parameters: γ, β, the layers', the read-out's weights and biases.
    pub parameters: Vec<R>,
    /// The loss gradients of the last batch, in the same order.
    pub gradients: Vec<R>,
    /// Batch norm's running statistics.
    pub statistics: RunningStatistics<R>,
    /// The update rule and what it remembers.
    pub update: Update<R>,
    layers: Box<dyn Layers<R>>,
    readout: Readout<R>,
    products: Products<R>,
    /// x̂ of the last pass, `[time, batch, feature]`.
    input: Vec<R>,
    /// `[time, batch, hidden]`.
    state_gradients: Vec<R>,
}

/// Some sequences of a data set.
#[derive(Debug, Clone, Copy)]
pub struct Sequences<'a, R> {
    /// All of the data set, `[sample, time, feature]`.
    pub x: &'a [R],
    /// Which of them.
    pub samples: &'a [u32],
    /// The step at which each is read out.
    pub last_steps: &'a [u32],
}

impl<R: Real> Network<R> {
    /// A network of this shape and these initial parameters. `layers` must fit the shape; `threads` are those of the rayon pool
    /// that it is used in.
    pub fn new(
        shape: &Shape,
        layers: Box<dyn Layers<R>>,
        parameters: Vec<R>,
        update: Update<R>,
        arch: Arch,
        threads: usize,
    ) -> Network<R> {
        Network {
            shape: *shape,
            gradients: vec![R::ZERO; parameters.len()],
            parameters,
            statistics: RunningStatistics::new(shape.time),
            update,
            layers,
            readout: Readout::default(),
            products: Products::new(arch, threads),
            input: Vec::new(),
            state_gradients: Vec::new(),
        }
    }

    /// A forward pass as in training: by the batch's own statistics, which move the running ones. Gives the logits, `[batch, class]`.
    pub fn forward(&mut self, batch: &Sequences<'_, R>, dropout: Option<&mut Stream>) -> &[R] {
        self.normalise(batch, Statistics::Batch);
        self.pass(batch, dropout)
    }

    /// A forward pass outside training. Gives the logits, `[batch, class]`.
    pub fn evaluate(&mut self, batch: &Sequences<'_, R>, statistics: Statistics) -> &[R] {
        self.normalise(batch, statistics);
        self.pass(batch, None)
    }

    /// The top layer's states in the last forward pass, `[time, batch, hidden]`.
    pub fn states(&self) -> &[R] {
        self.layers.states()
    }

    /// The loss of the last forward pass; leaves its gradients in `gradients`. To be called once for each pass.
    pub fn backward(&mut self, targets: &Targets<'_>) -> f64 {
        let Shape { time, hidden, classes, .. } = self.shape;
        let (norm, layers, linear) = split(&self.shape, &self.parameters);
        let (layer_end, batch) = (2 * time + layers.len(), targets.labels.len());
        let (norm_and_layers, readout) = self.gradients.split_at_mut(layer_end);
        let (weight, bias) = readout.split_at_mut(classes * hidden);
        let state_gradients = sized(&mut self.state_gradients, time * batch * hidden);
        let loss = self.readout.loss(&mut self.products, &linear, targets, Linear { weight, bias }, state_gradients);
        let (gamma, rest) = norm_and_layers.split_at_mut(time);
        let (beta, layer_gradients) = rest.split_at_mut(time);
        let gradients = Gradients { layers: layer_gradients, norm: Affine { gamma, beta } };
        let input = &mut self.input[..time * batch * self.shape.features];
        self.layers.backward(&mut self.products, layers, &norm, input, state_gradients, gradients);
        loss
    }

    /// Moves the parameters against the gradients.
    pub fn step(&mut self) {
        self.update.apply(self.products.arch(), &mut self.parameters, &self.gradients);
    }

    fn normalise(&mut self, batch: &Sequences<'_, R>, statistics: Statistics) {
        let size = self.shape.time * batch.samples.len() * self.shape.features;
        let (arch, out) = (self.products.arch(), sized(&mut self.input, size));
        match statistics {
            Statistics::Batch => self.statistics.normalise_by_batch(arch, batch.x, batch.samples, out),
            Statistics::Running => self.statistics.normalise_by_running(arch, batch.x, batch.samples, out),
        }
    }

    fn pass(&mut self, batch: &Sequences<'_, R>, dropout: Option<&mut Stream>) -> &[R] {
        let (norm, layers, linear) = split(&self.shape, &self.parameters);
        let input = &self.input[..self.shape.time * batch.samples.len() * self.shape.features];
        self.layers.forward(&mut self.products, layers, &norm, input, dropout);
        self.readout.forward(&mut self.products, &linear, self.layers.states(), batch.last_steps)
    }
}

/// The parameters of the batch norm, the layers and the read-out.
fn split<'a, R>(shape: &Shape, parameters: &'a [R]) -> (Affine<&'a [R]>, &'a [R], Linear<&'a [R]>) {
    let (gamma, rest) = parameters.split_at(shape.time);
    let (beta, rest) = rest.split_at(shape.time);
    let (layers, readout) = rest.split_at(rest.len() - shape.classes * (shape.hidden + 1));
    let (weight, bias) = readout.split_at(shape.classes * shape.hidden);
    (Affine { gamma, beta }, layers, Linear { weight, bias })
}
