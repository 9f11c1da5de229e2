//! The arithmetic of training on plain slices, written for one core: batch norm over time, recurrent layers with back-propagation
//! through time, read-out and loss, the update rules. Every buffer outlives a batch, so that training allocates nothing once the
//! first epoch is through.
//!
//! Sequences lie time step by time step, so that a step is one contiguous matrix `[row, feature]`; its rows are the samples of the batch,
//! or those of them that have not come to their end. Loops are plain Rust,
//! compiled for AVX-512, AVX2, NEON and without any of them; `pulp::Arch` picks one at run time. Kernels are generic over
//! [`Real`]: `f32` in use, `f64` where tests hold them against double precision.
//!
//! - [`real`]: `f32` and `f64`, and the activation functions
//! - [`product`]: matrix products
//! - [`time_norm`]: batch normalisation with time as the channel
//! - [`steps`]: which samples take part in which time step
//! - [`block`]: a few numbers at a time
//! - [`cell`]: one time step of a recurrent cell
//! - [`layer`]: one recurrent layer, forward and backward, for any cell
//! - [`weight_gradient`]: the gradient of its weights
//! - [`recurrent`]: a stack of layers
//! - [`readout`]: the linear read-out and its cross-entropy
//! - [`update`]: Adam and plain gradient descent
//! - [`network`]: all of it put together

pub mod block;
pub mod cell;
pub mod layer;
pub mod network;
pub mod product;
pub mod readout;
pub mod real;
pub mod recurrent;
mod step;
pub mod steps;
pub mod time_norm;
pub mod update;
pub mod weight_gradient;

pub use network::{Network, Sequences};
pub use product::{Packed, Products, View};
pub use real::Real;

/// Lengthens a buffer to at least `size` numbers and gives its first `size`; what they hold is left over from before.
pub(crate) fn sized<R: Real>(buffer: &mut Vec<R>, size: usize) -> &mut [R] {
    if buffer.len() < size {
        buffer.resize(size, R::ZERO);
    }
    &mut buffer[..size]
}
