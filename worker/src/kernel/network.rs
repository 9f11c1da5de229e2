//! A whole network on slices: batch norm over time → recurrent layers → linear read-out, its loss, gradients and updates.

use pulp::Arch;

use super::layer::{Affine, Arriving};
use super::readout::{Linear, Readout, Targets};
use super::recurrent::{Gradients, Layers};
use super::steps::Steps;
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
    /// Rows of the last pass by time step.
    steps: Steps,
    /// The order of the samples within each step, as places in the batch.
    order: Vec<u32>,
    /// The samples in that order.
    samples: Vec<u32>,
    /// The row at which each sample of the batch is read out.
    read_rows: Vec<usize>,
    /// x̂ of the last pass, `[row, feature]`.
    input: Vec<R>,
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
    /// Whether the states of all steps are wanted, and not only those up to where each sample is read out.
    pub all_steps: bool,
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
            steps: Steps::default(),
            order: Vec::new(),
            samples: Vec::new(),
            read_rows: Vec::new(),
            input: Vec::new(),
        }
    }

    /// A forward pass as in training: by the batch's own statistics, which move the running ones. Gives the logits, `[batch, class]`.
    pub fn forward(&mut self, batch: &Sequences<'_, R>, dropout: Option<&mut Stream>) -> &[R] {
        self.arrange(batch);
        self.normalise(batch, Statistics::Batch);
        self.pass(dropout)
    }

    /// A forward pass outside training. Gives the logits, `[batch, class]`.
    pub fn evaluate(&mut self, batch: &Sequences<'_, R>, statistics: Statistics) -> &[R] {
        self.arrange(batch);
        self.normalise(batch, statistics);
        self.pass(None)
    }

    /// The top layer's states in the last forward pass: `[time, batch, hidden]` if it was asked for all steps.
    pub fn states(&self) -> &[R] {
        self.layers.states()
    }

    /// The loss of the last forward pass; leaves its gradients in `gradients`. To be called once for each pass.
    pub fn backward(&mut self, targets: &Targets<'_>) -> f64 {
        let Shape { time, features, hidden, classes, .. } = self.shape;
        let (norm, layers, linear) = split(&self.shape, &self.parameters);
        let (layer_end, rows) = (2 * time + layers.len(), self.steps.rows());
        let (norm_and_layers, readout) = self.gradients.split_at_mut(layer_end);
        let (weight, bias) = readout.split_at_mut(classes * hidden);
        let (products, of_readout) = (&mut self.products, Linear { weight, bias });
        let (loss, read_gradients) = self.readout.loss(products, &linear, targets, of_readout);
        let (gamma, rest) = norm_and_layers.split_at_mut(time);
        let (beta, layer_gradients) = rest.split_at_mut(time);
        let gradients = Gradients { layers: layer_gradients, norm: Affine { gamma, beta } };
        let input = &self.input[..rows * features];
        let arriving = Arriving::At(&self.read_rows, read_gradients);
        self.layers.backward(products, layers, &norm, input, arriving, gradients);
        loss
    }

    /// Moves the parameters against the gradients.
    pub fn step(&mut self) {
        self.update.apply(self.products.arch(), &mut self.parameters, &self.gradients);
    }

    /// Decides which samples take part in which steps. Where not all steps are wanted, those that go furthest stand first.
    fn arrange(&mut self, batch: &Sequences<'_, R>) {
        let (time, last) = (self.shape.time, |place: &u32| batch.last_steps[*place as usize]);
        self.order.clear();
        self.order.extend(0..batch.samples.len() as u32);
        if batch.all_steps {
            self.steps.whole(time, batch.samples.len());
        } else {
            self.order.sort_unstable_by_key(|place| (std::cmp::Reverse(last(place)), *place));
            self.steps.until(time, self.order.iter().map(last));
        }
        self.samples.clear();
        self.samples.extend(self.order.iter().map(|place| batch.samples[*place as usize]));
        self.read_rows.resize(batch.samples.len(), 0);
        for (row, place) in self.order.iter().enumerate() {
            self.read_rows[*place as usize] = self.steps.range(last(place) as usize).start + row;
        }
    }

    fn normalise(&mut self, batch: &Sequences<'_, R>, statistics: Statistics) {
        let (arch, out) = (self.products.arch(), sized(&mut self.input, self.steps.rows() * self.shape.features));
        match statistics {
            Statistics::Batch => {
                self.statistics.normalise_by_batch(arch, batch.x, &self.samples, &self.steps, out);
            }
            Statistics::Running => {
                self.statistics.normalise_by_running(arch, batch.x, &self.samples, &self.steps, out);
            }
        }
    }

    fn pass(&mut self, dropout: Option<&mut Stream>) -> &[R] {
        let (norm, layers, linear) = split(&self.shape, &self.parameters);
        let input = &self.input[..self.steps.rows() * self.shape.features];
        self.layers.forward(&mut self.products, layers, &norm, input, &self.steps, dropout);
        self.readout.forward(&mut self.products, &linear, self.layers.states(), &self.read_rows)
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
