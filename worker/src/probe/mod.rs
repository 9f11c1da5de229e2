//! Reading the hidden states: how well does a simple classifier tell the classes apart at each time step?
//!
//! - [`states`]: hidden states of many samples, `[time, row, hidden]`
//! - [`knn`]: exact k nearest neighbours

pub mod knn;
pub mod states;

pub use knn::{Exclude, Knn, Points};
pub use states::States;
