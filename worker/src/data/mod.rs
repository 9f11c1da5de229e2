//! Data: from the files a researcher has to the arrays a training run reads.
//!
//! ```text
//! .ts, .npy, text + GloVe ──import──> Dataset ──canonical::encode──> <sha256>.parquet in the store
//! <sha256>.parquet ──canonical::decode──> Dataset ──prepare──> x[sample, time, feature], labels, train/validation/test
//! ```
//! A [`Dataset`] is labelled sequences of numbers and nothing else; every format becomes one before anything is
//! scheduled, and all later steps see only that. Reading is strict: a file that does not say what its format
//! asks for is refused with the line and what was expected ([`DataError`]); nothing is guessed or dropped silently,
//! and what was filled in or left out is counted in the data set's [`Provenance`].
//!
//! - [`import`]: one file per format, and the steps they share (missing values, class order, tokens, word vectors)
//! - [`generated`]: the built-in data set of moving joints
//! - [`canonical`]: the one Parquet file that a data set is stored as, addressed by its SHA-256
//! - [`prepare`]: what one training run takes from a data set: classes, features, padding, labels, splits
//! - [`show`]: a data set described for people and for machines

pub mod canonical;
mod error;
pub mod generated;
pub mod import;
pub mod prepare;
pub mod show;

use std::collections::BTreeMap;

use curvefleet_proto::study::{ClassCount, DataSummary};
use serde::{Deserialize, Serialize};

pub use error::DataError;

/// Labelled sequences of feature vectors over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// What the source calls itself (`@problemName`, or the first file's name). The name that a study gives the data set is
    /// not here, so that two studies that name the same data differently share it and the runs made from it.
    pub name: String,
    /// Class names; a sequence's label is an index into them. Each has at least one sequence.
    pub classes: Vec<String>,
    /// Feature names, in the order of the values within a time step.
    pub features: Vec<String>,
    /// The sequences, in the order of the source files.
    pub sequences: Vec<Sequence>,
    /// Where it all came from.
    pub provenance: Provenance,
}

/// One labelled sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    /// Index into [`Dataset::classes`].
    pub label: u32,
    /// Its own number of time steps, at least 1; sequences of one data set may differ.
    pub steps: u32,
    /// `[time, feature]`, row-major, `steps * features` finite numbers.
    pub values: Vec<f32>,
    /// The sentence that the values stand for, in data sets of text.
    pub text: Option<String>,
}

/// Where a data set came from and what was done to it on the way; kept in the stored file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The format it was read from, as study files spell it.
    pub format: String,
    /// The importer's settings that shaped the values, by the study file's keys.
    pub options: BTreeMap<String, String>,
    /// The files read, in order.
    pub sources: Vec<SourceFile>,
    /// How many values were missing.
    pub missing_values: u64,
    /// What became of them: `interpolate`, `zero` or `refuse`.
    pub missing_treatment: String,
    /// Sentences about what else a reader of results should know: classes without sequences, words without vectors.
    pub notes: Vec<String>,
}

/// One file that a data set was read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    /// Its name, without the folder.
    pub name: String,
    /// SHA-256 of its bytes, 64 hex digits.
    pub sha256: String,
    /// How many sequences came from it; 0 for files of labels or word vectors.
    pub sequences: u64,
}

impl Dataset {
    /// What planning needs to know, for the stored file with this SHA-256 (64 hex digits).
    pub fn summary(&self, sha256: &str) -> DataSummary {
        let (steps_min, steps_max) = self.steps_range();
        DataSummary {
            sha256: sha256.to_string(),
            steps_min,
            steps_max,
            feature_names: self.features.clone(),
            classes: self.class_counts(),
        }
    }

    /// The classes in label order with how many sequences each has.
    pub fn class_counts(&self) -> Vec<ClassCount> {
        let mut counts = vec![0; self.classes.len()];
        for sequence in &self.sequences {
            if let Some(count) = counts.get_mut(sequence.label as usize) {
                *count += 1;
            }
        }
        let names = self.classes.iter().cloned();
        names.zip(counts).map(|(name, count)| ClassCount { name, count }).collect()
    }

    /// The fewest and the most time steps of a sequence; zeros for a data set without sequences.
    pub fn steps_range(&self) -> (u32, u32) {
        let steps = || self.sequences.iter().map(|sequence| sequence.steps);
        (steps().min().unwrap_or(0), steps().max().unwrap_or(0))
    }

    /// Checks what every consumer relies on: at least one class, feature and sequence, distinct names, labels in range,
    /// every class with a sequence, `steps * features` finite values per sequence. The error is a sentence without its subject's file.
    pub(crate) fn check(&self) -> Result<(), String> {
        distinct("class", &self.classes)?;
        distinct("feature", &self.features)?;
        if self.sequences.is_empty() {
            return Err("there are no sequences".to_string());
        }
        for (item, sequence) in self.sequences.iter().enumerate() {
            sequence
                .check(self.classes.len(), self.features.len())
                .map_err(|problem| format!("item {item} {problem}"))?;
        }
        match self.class_counts().iter().find(|class| class.count == 0) {
            Some(class) => Err(format!("class {} has no sequences", error::quoted(&class.name))),
            None => Ok(()),
        }
    }
}

impl Sequence {
    fn check(&self, classes: usize, features: usize) -> Result<(), String> {
        if self.label as usize >= classes {
            return Err(format!(
                "has label {}, but the labels of {classes} classes go from 0 to {}",
                self.label,
                classes - 1
            ));
        }
        if self.steps == 0 {
            return Err("has no time steps; a sequence has at least one".to_string());
        }
        if Some(self.values.len()) != (self.steps as usize).checked_mul(features) {
            return Err(format!(
                "has {} values, but {} steps of {features} features need {}",
                self.values.len(),
                self.steps,
                u64::from(self.steps) * features as u64
            ));
        }
        match self.values.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(format!("has a value that is not a finite number at step {}", at / features)),
            None => Ok(()),
        }
    }
}

/// Refuses an empty list of names, an empty name and a name that stands twice.
fn distinct(kind: &str, names: &[String]) -> Result<(), String> {
    if names.is_empty() {
        return Err(format!("there is no {kind}; at least one is needed"));
    }
    let mut seen = std::collections::HashSet::new();
    for name in names {
        if name.is_empty() {
            return Err(format!("a {kind} has an empty name"));
        }
        if !seen.insert(name) {
            return Err(format!("{kind} {} stands there twice", error::quoted(name)));
        }
    }
    Ok(())
}
