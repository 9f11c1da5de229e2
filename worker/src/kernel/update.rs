//! The update rules, on all parameters of a network at once.

use curvefleet_proto::study::{Optimizer, Training};
use pulp::{Arch, Simd, WithSimd};

use super::Real;

/// What an update rule remembers from batch to batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Update<R> {
    optimizer: Optimizer,
    learning_rate: f64,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    /// Updates made.
    pub steps: u64,
    /// Adam's first moments, one per parameter; empty for gradient descent.
    pub first: Vec<R>,
    /// Adam's second moments.
    pub second: Vec<R>,
}

impl<R: Real> Update<R> {
    /// The rule that the settings choose, for `parameters` parameters.
    pub fn new(training: &Training, parameters: usize) -> Update<R> {
        let moments = if training.optimizer == Optimizer::Adam { parameters } else { 0 };
        Update {
            optimizer: training.optimizer,
            learning_rate: training.learning_rate,
            beta1: training.beta1,
            beta2: training.beta2,
            epsilon: training.epsilon,
            steps: 0,
            first: vec![R::ZERO; moments],
            second: vec![R::ZERO; moments],
        }
    }

    /// One update: Adam (Kingma & Ba 2015) as PyTorch has it, or plain gradient descent.
    pub fn apply(&mut self, arch: Arch, parameters: &mut [R], gradients: &[R]) {
        self.steps += 1;
        match self.optimizer {
            Optimizer::Adam => self.adam(arch, parameters, gradients),
            Optimizer::Sgd => {
                let rate = R::of(self.learning_rate);
                parameters.iter_mut().zip(gradients).for_each(|(value, gradient)| *value = *value - rate * *gradient);
            }
        }
    }

    fn adam(&mut self, arch: Arch, parameters: &mut [R], gradients: &[R]) {
        let steps = i32::try_from(self.steps).unwrap_or(i32::MAX);
        arch.dispatch(Adam {
            rate: R::of(self.learning_rate / (1.0 - self.beta1.powi(steps))),
            root: R::of((1.0 - self.beta2.powi(steps)).sqrt()),
            epsilon: R::of(self.epsilon),
            keep: [R::of(self.beta1), R::of(self.beta2)],
            take: [R::of(1.0 - self.beta1), R::of(1.0 - self.beta2)],
            parameters,
            gradients,
            first: &mut self.first,
            second: &mut self.second,
        });
    }
}

/// One update by Adam.
struct Adam<'a, R> {
    /// Learning rate, divided by the first moments' bias correction.
    rate: R,
    /// Root of the second moments' bias correction.
    root: R,
    epsilon: R,
    /// β₁ and β₂.
    keep: [R; 2],
    /// 1 − β₁ and 1 − β₂.
    take: [R; 2],
    parameters: &'a mut [R],
    gradients: &'a [R],
    first: &'a mut [R],
    second: &'a mut [R],
}

impl<R: Real> WithSimd for Adam<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let moments = self.first.iter_mut().zip(self.second);
        for ((value, gradient), (first, second)) in self.parameters.iter_mut().zip(self.gradients).zip(moments) {
            *first = self.keep[0] * *first + self.take[0] * *gradient;
            *second = self.keep[1] * *second + self.take[1] * (*gradient * *gradient);
            *value = *value - self.rate * (*first / ((*second).sqrt() / self.root + self.epsilon));
        }
    }
}
