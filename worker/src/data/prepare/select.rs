//! The inputs of a condition: its classes' sequences, its features, cut or padded to its length.

use curvefleet_proto::study::{Condition, Labels, Shuffle};

use crate::data::error::{counted, quoted};
use crate::data::{DataError, Dataset, Sequence};
use crate::rng;

/// The seed of the one permutation of a whole data set's labels. It is the same for all runs, because the authors of the paper
/// shuffled their data once and trained on the result (method.md 1).
const WHOLE_DATA_SET_SEED: [u8; 32] = [0; 32];

/// The samples of a condition and their inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// The data set's name, for messages.
    pub dataset: String,
    /// The condition's classes in label order.
    pub classes: Vec<String>,
    /// How many features a time step has.
    pub features: usize,
    /// How many time steps every sample has after cutting or padding.
    pub steps: usize,
    /// The samples, in the data set's order.
    pub samples: Vec<Sample>,
    /// `[sample, time, feature]`, row-major; zero where a sample is padded.
    pub x: Vec<f32>,
}

/// One sample of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Index of the sequence in the data set.
    pub origin: u32,
    /// Index of its class in [`Selection::classes`], before any shuffling within the condition.
    pub label: u32,
    /// Index of the last time step that is the sequence's own: below [`Selection::steps`].
    pub last_step: u32,
}

impl Selection {
    /// The inputs of one sample, `[time, feature]`.
    pub fn input(&self, sample: usize) -> &[f32] {
        let size = self.steps * self.features;
        &self.x[sample * size..(sample + 1) * size]
    }
}

/// Selects a condition's samples. With shuffled labels and [`Shuffle::DataSet`], the labels of the whole data set are
/// permuted first (once, the same for all runs), and the samples are those that then carry the condition's classes.
///
/// # Errors
/// [`DataError::Request`] for a class that the data set does not have or that stands twice, fewer than two classes, features
/// that do not exist or none at all, a length of 0, and a class without samples.
pub fn select(dataset: &Dataset, condition: &Condition, shuffle: Shuffle) -> Result<Selection, DataError> {
    check(dataset, condition).map_err(|problem| DataError::request(&dataset.name, problem))?;
    let mut labels: Vec<u32> = dataset.sequences.iter().map(|sequence| sequence.label).collect();
    if condition.labels == Labels::Shuffled && shuffle == Shuffle::DataSet {
        rng::stream(&WHOLE_DATA_SET_SEED, "labels of the whole data set").shuffle(&mut labels);
    }
    let new_labels: Vec<Option<u32>> = dataset
        .classes
        .iter()
        .map(|class| condition.classes.iter().position(|wanted| wanted == class).map(|label| label as u32))
        .collect();
    let steps = condition.pad_to;
    let mut samples = Vec::new();
    let mut x = Vec::new();
    for (origin, (sequence, label)) in dataset.sequences.iter().zip(labels).enumerate() {
        if let Some(label) = new_labels[label as usize] {
            samples.push(Sample { origin: origin as u32, label, last_step: sequence.steps.min(steps) - 1 });
            append(&mut x, sequence, dataset.features.len(), condition);
        }
    }
    let selection = Selection {
        dataset: dataset.name.clone(),
        classes: condition.classes.clone(),
        features: condition.features.len(),
        steps: steps as usize,
        samples,
        x,
    };
    let empty = (0u32..)
        .zip(&selection.classes)
        .find(|(label, _)| selection.samples.iter().all(|sample| sample.label != *label));
    match empty {
        Some((_, class)) => {
            Err(DataError::request(&dataset.name, format!("the class {} has no sequences", quoted(class))))
        }
        None => Ok(selection),
    }
}

/// Appends the input of one sequence: the chosen features of the first `pad_to` steps, then zeros.
fn append(x: &mut Vec<f32>, sequence: &Sequence, features: usize, condition: &Condition) {
    let end = x.len() + condition.pad_to as usize * condition.features.len();
    for step in sequence.values.chunks_exact(features).take(condition.pad_to as usize) {
        x.extend(condition.features.iter().map(|&feature| step[feature as usize]));
    }
    x.resize(end, 0.0);
}

fn check(dataset: &Dataset, condition: &Condition) -> Result<(), String> {
    let known = || dataset.classes.join(", ");
    if condition.classes.len() < 2 {
        return Err(format!(
            "{} to tell apart; expected at least two of {}",
            counted(condition.classes.len() as u64, "class"),
            known()
        ));
    }
    for (at, class) in condition.classes.iter().enumerate() {
        if !dataset.classes.contains(class) {
            return Err(format!("there is no class {}; it has {}", quoted(class), known()));
        }
        if condition.classes[..at].contains(class) {
            return Err(format!("the class {} stands twice in one condition", quoted(class)));
        }
    }
    if condition.pad_to == 0 {
        return Err("pad_to is 0; expected at least 1 time step".to_string());
    }
    if condition.features.is_empty() {
        return Err(format!("no features are chosen; expected at least one of its {}", dataset.features.len()));
    }
    let features = dataset.features.len();
    for (at, feature) in condition.features.iter().enumerate() {
        if *feature as usize >= features {
            return Err(format!(
                "there is no feature {feature}; its {features} features count from 0 to {}",
                features - 1
            ));
        }
        if condition.features[..at].contains(feature) {
            return Err(format!("feature {feature} stands twice in one condition"));
        }
    }
    Ok(())
}
