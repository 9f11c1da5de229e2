//! An order-free baseline: the state at a step is the mean of the inputs up to it, so that the network knows what has been seen but
//! not in which order.

use burn::tensor::Tensor;

use super::{Dropout, Model, Parameter, Shape, States, Tensors};

/// The running mean of the inputs.
#[derive(Debug)]
pub struct MeanPool;

impl Model for MeanPool {
    /// None of its own: the batch norm before it and the read-out after it are all that is trained.
    fn parameters(&self, _shape: &Shape) -> Vec<Parameter> {
        Vec::new()
    }

    fn states(
        &self,
        _shape: &Shape,
        _parameters: &Tensors,
        inputs: Vec<Tensor<3>>,
        _dropout: &mut Dropout<'_>,
    ) -> States {
        let mut sum: Option<Tensor<3>> = None;
        let means = inputs.into_iter().enumerate().map(|(t, input)| {
            let so_far = match sum.take() {
                Some(before) => before + input,
                None => input,
            };
            sum = Some(so_far.clone());
            so_far / (t as f32 + 1.0)
        });
        States::Steps(means.collect())
    }
}
