//! A stack of recurrent layers of one cell, with dropout between them.

use std::marker::PhantomData;

use super::cell::Cell;
use super::layer::{Affine, Arriving, Input, Layer, LayerGradients, Scratch, Sizes, Weights};
use super::steps::Steps;
use super::{Products, Real, sized};
use crate::model::Shape;
use crate::rng::Stream;

/// A stack of recurrent layers, whatever its cell. Its parameters lie layer after layer, each as [`Weights`] has them.
pub trait Layers<R: Real>: Send + std::fmt::Debug {
    /// Runs the layers over a normalised batch `[row, feature]`, its rows by time step as `steps` says. `dropout` is drawn from in
    /// training alone.
    fn forward(
        &mut self,
        products: &mut Products<R>,
        parameters: &[R],
        norm: &Affine<&[R]>,
        input: &[R],
        steps: &Steps,
        dropout: Option<&mut Stream>,
    );

    /// The top layer's states of the last forward pass, `[row, hidden]`.
    fn states(&self) -> &[R];

    /// Goes back through the last forward pass, from the loss gradients that arrive at its states; `input` is what the pass ran over.
    fn backward(
        &mut self,
        products: &mut Products<R>,
        parameters: &[R],
        norm: &Affine<&[R]>,
        input: &[R],
        arriving: Arriving<'_, R>,
        gradients: Gradients<'_, R>,
    );
}

/// Where [`Layers::backward`] writes.
#[derive(Debug)]
pub struct Gradients<'a, R> {
    /// Of the layers' parameters.
    pub layers: &'a mut [R],
    /// Of the batch norm's.
    pub norm: Affine<&'a mut [R]>,
}

/// A stack of layers of one cell.
#[derive(Debug)]
pub struct Recurrent<R, C: Cell> {
    shape: Shape,
    /// Rows of the last forward pass.
    steps: Steps,
    layers: Vec<Layer<R>>,
    /// What dropout leaves of each layer's states but the top one's, `[row, hidden]`; empty where there is no dropout.
    dropped: Vec<Vec<R>>,
    /// What dropout multiplied with.
    masks: Vec<Vec<R>>,
    /// Whether the last forward pass dropped out.
    has_dropped: bool,
    /// Loss gradients at a layer's states that come from the layer above, `[row, hidden]`.
    from_above: Vec<R>,
    scratch: Scratch<R>,
    cell: PhantomData<C>,
}

impl<R: Real, C: Cell> Recurrent<R, C> {
    /// Layers for networks of this shape.
    pub fn new(shape: &Shape) -> Recurrent<R, C> {
        Recurrent {
            shape: *shape,
            steps: Steps::default(),
            layers: (0..shape.layers).map(|_| Layer::default()).collect(),
            dropped: vec![Vec::new(); shape.layers - 1],
            masks: vec![Vec::new(); shape.layers - 1],
            has_dropped: false,
            from_above: Vec::new(),
            scratch: Scratch::default(),
            cell: PhantomData,
        }
    }

    fn sizes(&self, layer: usize) -> Sizes {
        Sizes::of(&self.shape, layer, C::GATES)
    }

    /// Where a layer's parameters begin.
    fn start(&self, layer: usize) -> usize {
        let below = (0..layer).map(|layer| self.sizes(layer));
        below.map(|sizes| Weights::<R>::count(sizes.inputs, sizes.hidden, sizes.gates)).sum()
    }

    fn weights<'a>(&self, layer: usize, parameters: &'a [R]) -> Weights<&'a [R]> {
        let Sizes { inputs, hidden, gates } = self.sizes(layer);
        Weights::split(&parameters[self.start(layer)..], inputs, hidden, gates)
    }
}

impl<R: Real, C: Cell> Layers<R> for Recurrent<R, C> {
    fn forward(
        &mut self,
        products: &mut Products<R>,
        parameters: &[R],
        norm: &Affine<&[R]>,
        input: &[R],
        steps: &Steps,
        mut dropout: Option<&mut Stream>,
    ) {
        self.steps.copy(steps);
        self.has_dropped = dropout.is_some() && self.shape.dropout > 0.0;
        for index in 0..self.layers.len() {
            let (weights, sizes) = (self.weights(index, parameters), self.sizes(index));
            let (below, layer) = self.layers.split_at_mut(index);
            let input = match below.last() {
                None => Input { values: input, norm: Some(norm) },
                Some(below) => {
                    let states = below.states(&sizes, steps);
                    if let Some(stream) = dropout.as_deref_mut().filter(|_| self.has_dropped) {
                        let dropped = sized(&mut self.dropped[index - 1], states.len());
                        let mask = sized(&mut self.masks[index - 1], states.len());
                        drop_out(states, self.shape.dropout, stream, mask, dropped);
                        Input { values: dropped, norm: None }
                    } else {
                        Input { values: states, norm: None }
                    }
                }
            };
            layer[0].forward::<C>(products, &weights, input, &sizes, steps, &mut self.scratch);
        }
    }

    fn states(&self) -> &[R] {
        let top = self.layers.len() - 1;
        self.layers[top].states(&self.sizes(top), &self.steps)
    }

    fn backward(
        &mut self,
        products: &mut Products<R>,
        parameters: &[R],
        norm: &Affine<&[R]>,
        input: &[R],
        arriving: Arriving<'_, R>,
        gradients: Gradients<'_, R>,
    ) {
        let (mut norm_gradients, top) = (Some(gradients.norm), self.layers.len() - 1);
        for index in (0..self.layers.len()).rev() {
            let (weights, sizes, start) = (self.weights(index, parameters), self.sizes(index), self.start(index));
            let Sizes { inputs, hidden, gates } = sizes;
            let own = LayerGradients {
                weights: Weights::split_mut(&mut gradients.layers[start..], inputs, hidden, gates),
                norm: if index == 0 { norm_gradients.take() } else { None },
            };
            let (below, layer) = self.layers.split_at_mut(index);
            let (steps, scratch, layer) = (&self.steps, &mut self.scratch, &mut layer[0]);
            let input = match below.last() {
                None => Input { values: input, norm: Some(norm) },
                Some(_) if self.has_dropped => {
                    Input { values: &self.dropped[index - 1][..steps.rows() * hidden], norm: None }
                }
                Some(below) => Input { values: below.states(&sizes, steps), norm: None },
            };
            let from_above = &mut self.from_above;
            let arriving = if index == top { arriving } else { Arriving::Everywhere(from_above) };
            layer.backward::<C>(products, &weights, input, arriving, own, &sizes, steps, scratch);
            if index > 0 {
                let gradient = sized(from_above, steps.rows() * inputs);
                layer.input_gradient(products, weights.input, gradient, &sizes, steps);
                if self.has_dropped {
                    let mask = &self.masks[index - 1];
                    gradient.iter_mut().zip(mask).for_each(|(gradient, kept)| *gradient *= *kept);
                }
            }
        }
    }
}

/// Sets each number to 0 with the probability `rate` and divides the others by `1 - rate`, as PyTorch's dropout does.
fn drop_out<R: Real>(values: &[R], rate: f64, stream: &mut Stream, mask: &mut [R], out: &mut [R]) {
    let kept = R::of(1.0 / (1.0 - rate));
    for ((value, mask), out) in values.iter().zip(mask).zip(out) {
        *mask = if stream.uniform() < rate { R::ZERO } else { kept };
        *out = *value * *mask;
    }
}
