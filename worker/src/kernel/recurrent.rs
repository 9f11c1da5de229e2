//! A stack of recurrent layers of one cell, with dropout between them.

use std::marker::PhantomData;

use super::cell::Cell;
use super::layer::{Affine, Layer, LayerGradients, Scratch, Sizes, Weights};
use super::{Products, Real, sized};
use crate::model::Shape;
use crate::rng::Stream;

/// A stack of recurrent layers, whatever its cell. Its parameters lie layer after layer, each as [`Weights`] has them.
pub trait Layers<R: Real>: Send + std::fmt::Debug {
    /// Runs the layers over a normalised batch `[time, batch, feature]`. `dropout` is drawn from in training alone.
    fn forward(
        &mut self,
        products: &mut Products<R>,
        parameters: &[R],
        norm: &Affine<&[R]>,
        input: &[R],
        dropout: Option<&mut Stream>,
    );

    /// The top layer's states of the last forward pass, `[time, batch, hidden]`.
    fn states(&self) -> &[R];

    /// Goes back through the last forward pass, from the loss gradients at its states. Both `state_gradients`,
    /// `[time, batch, hidden]`, and `input` are used up.
    fn backward(
        &mut self,
        products: &mut Products<R>,
        parameters: &[R],
        norm: &Affine<&[R]>,
        input: &mut [R],
        state_gradients: &mut [R],
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
    /// Samples in the last forward pass.
    batch: usize,
    layers: Vec<Layer<R>>,
    /// What dropout leaves of each layer's states but the top one's, `[time, batch, hidden]`; empty where there is no dropout.
    dropped: Vec<Vec<R>>,
    /// What dropout multiplied with.
    masks: Vec<Vec<R>>,
    /// Whether the last forward pass dropped out.
    has_dropped: bool,
    scratch: Scratch<R>,
    cell: PhantomData<C>,
}

impl<R: Real, C: Cell> Recurrent<R, C> {
    /// Layers for networks of this shape.
    pub fn new(shape: &Shape) -> Recurrent<R, C> {
        Recurrent {
            shape: *shape,
            batch: 0,
            layers: (0..shape.layers).map(|_| Layer::default()).collect(),
            dropped: vec![Vec::new(); shape.layers - 1],
            masks: vec![Vec::new(); shape.layers - 1],
            has_dropped: false,
            scratch: Scratch::default(),
            cell: PhantomData,
        }
    }

    fn sizes(&self, layer: usize) -> Sizes {
        Sizes::of(&self.shape, layer, C::GATES, self.batch)
    }

    /// Where a layer's parameters begin.
    fn start(&self, layer: usize) -> usize {
        let below = (0..layer).map(|layer| self.sizes(layer));
        below.map(|sizes| Weights::<R>::count(sizes.inputs, sizes.hidden, sizes.gates)).sum()
    }

    fn weights<'a>(&self, layer: usize, parameters: &'a [R]) -> Weights<&'a [R]> {
        let Sizes { inputs, hidden, gates, .. } = self.sizes(layer);
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
        mut dropout: Option<&mut Stream>,
    ) {
        self.batch = input.len() / (self.shape.time * self.shape.features);
        self.has_dropped = dropout.is_some() && self.shape.dropout > 0.0;
        for index in 0..self.layers.len() {
            let (weights, sizes) = (self.weights(index, parameters), self.sizes(index));
            let (below, layer) = self.layers.split_at_mut(index);
            let (own_input, norm) = match below.last() {
                None => (input, Some(norm)),
                Some(below) => {
                    let states = below.states(&sizes);
                    match dropout.as_deref_mut().filter(|_| self.has_dropped) {
                        None => (states, None),
                        Some(stream) => {
                            let dropped = sized(&mut self.dropped[index - 1], states.len());
                            let mask = sized(&mut self.masks[index - 1], states.len());
                            drop_out(states, self.shape.dropout, stream, mask, dropped);
                            (&*dropped, None)
                        }
                    }
                }
            };
            layer[0].forward::<C>(products, &weights, norm, own_input, &sizes, &mut self.scratch);
        }
    }

    fn states(&self) -> &[R] {
        let top = self.layers.len() - 1;
        self.layers[top].states(&self.sizes(top))
    }

    fn backward(
        &mut self,
        products: &mut Products<R>,
        parameters: &[R],
        norm: &Affine<&[R]>,
        input: &mut [R],
        state_gradients: &mut [R],
        gradients: Gradients<'_, R>,
    ) {
        let mut norm_gradients = Some(gradients.norm);
        for index in (0..self.layers.len()).rev() {
            let (weights, sizes, start) = (self.weights(index, parameters), self.sizes(index), self.start(index));
            let Sizes { inputs, hidden, gates, .. } = sizes;
            let mut own = LayerGradients {
                weights: Weights::split_mut(&mut gradients.layers[start..], inputs, hidden, gates),
                norm: if index == 0 { norm_gradients.take() } else { None },
            };
            let (below, layer) = self.layers.split_at_mut(index);
            let layer = &mut layer[0];
            layer.backward::<C>(products, &weights, state_gradients, &mut own, &sizes, &mut self.scratch);
            match below.last() {
                None => {
                    scale_and_shift(input, norm);
                    layer.input_weight_gradient(products, input, own.weights.input, &sizes);
                }
                Some(below) => {
                    let states = below.states(&sizes);
                    let own_input = if self.has_dropped { &self.dropped[index - 1][..states.len()] } else { states };
                    layer.input_weight_gradient(products, own_input, own.weights.input, &sizes);
                    layer.input_gradient(products, weights.input, state_gradients, &sizes);
                    if self.has_dropped {
                        let mask = &self.masks[index - 1];
                        state_gradients.iter_mut().zip(mask).for_each(|(gradient, kept)| *gradient *= *kept);
                    }
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

/// γ_t x̂_t + β_t in place.
fn scale_and_shift<R: Real>(input: &mut [R], norm: &Affine<&[R]>) {
    let size = input.len() / norm.gamma.len();
    for (t, step) in input.chunks_exact_mut(size).enumerate() {
        step.iter_mut().for_each(|value| *value = *value * norm.gamma[t] + norm.beta[t]);
    }
}
