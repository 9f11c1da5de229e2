//! Reading the hidden states: how well does a simple classifier tell the classes apart at each time step?

mod askers;
mod bf16;
mod bound;
mod centred;
mod crowded;
mod distinct;
mod fitted;
mod groups;
mod hints;
mod knn;
mod lbfgs;
mod log_loss;
mod logistic;
mod nearest;
mod nearest_mean;
mod points;
mod prober;
mod scan;
mod search;
mod shells;
mod shortlists;
mod states;
mod sums;
mod vote;

pub use points::{Exclude, Points};
pub use prober::{Classifier, Prober};
pub use states::States;
