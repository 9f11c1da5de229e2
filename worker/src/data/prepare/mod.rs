//! From a data set to the arrays of one training run, in three steps:
//!
//! 1. [`select()`]: the condition's classes, features and length: the inputs, which all runs of a condition share;
//! 2. [`label_samples`]: the samples' labels, true or shuffled;
//! 3. [`split_samples`]: training, validation and test samples, with minority classes drawn again (method.md 2.1, 2.2).
//!
//! Every random step draws from a stream of its own ([`crate::rng`]): `labels`, `split`, `oversample`. A sample that is drawn
//! again by oversampling appears as the same index again, so that a copy can never be mistaken for another point.

mod select;
mod split;

use std::sync::Arc;

use curvefleet_proto::study::{Condition, Labels, Shuffle, Training};

use super::{DataError, Dataset};
use crate::rng;

pub use select::{Sample, Selection, select};
pub use split::{Parts, split_samples};

/// All that a run reads of its data.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The inputs, shared by all runs of the condition.
    pub selection: Arc<Selection>,
    /// The label of each sample, indices into [`Selection::classes`].
    pub labels: Vec<u32>,
    /// Which samples train, validate and test.
    pub parts: Parts,
}

/// Steps 2 and 3 for the run with this seed.
///
/// # Errors
/// [`DataError::Request`] where a class has too few samples to be split.
pub fn prepare(
    selection: &Arc<Selection>,
    condition: &Condition,
    training: &Training,
    seed: &[u8; 32],
) -> Result<Prepared, DataError> {
    let labels = label_samples(selection, condition, training, seed);
    let parts = split_samples(selection, &labels, training, seed)?;
    Ok(Prepared { selection: selection.clone(), labels, parts })
}

/// The samples' labels in the run with this seed. Where the whole data set was shuffled before the samples were selected
/// ([`Shuffle::DataSet`]), that has been done already; [`Shuffle::Condition`] permutes here, afresh for every run.
pub fn label_samples(selection: &Selection, condition: &Condition, training: &Training, seed: &[u8; 32]) -> Vec<u32> {
    let mut labels: Vec<u32> = selection.samples.iter().map(|sample| sample.label).collect();
    if condition.labels == Labels::Shuffled && training.shuffle == Shuffle::Condition {
        rng::stream(seed, "labels").shuffle(&mut labels);
    }
    labels
}

/// [`select()`] and [`prepare`] at once, for a single run.
///
/// # Errors
/// Those of both.
pub fn prepare_run(
    dataset: &Dataset,
    condition: &Condition,
    training: &Training,
    seed: &[u8; 32],
) -> Result<Prepared, DataError> {
    let selection = Arc::new(select(dataset, condition, training.shuffle)?);
    prepare(&selection, condition, training, seed)
}
