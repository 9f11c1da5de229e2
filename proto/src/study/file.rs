//! The keys that a study file may have. Unknown keys are refused; what is left out gets its default in [`super::resolve`].

use std::collections::BTreeMap;

use serde::Deserialize;

use super::analysis::AnalysisEntry;
use super::data::{ClassCount, DataFormat, DataSource, Generate, Missing};
use super::error::Error;
use super::settings::{
    ClassWeights, Labels, ModelKind, Optimizer, Oversample, Preset, ProbeKind, ReadOut, Scoring, Shuffle, Split,
    States, Statistics,
};
use crate::limits::MAX_STUDY_BYTES;
use crate::requirement::Requirement;

/// A study file as it was typed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyFile {
    /// The study's name.
    pub name: String,
    /// One line about it.
    #[serde(default)]
    pub description: String,
    /// Where defaults come from.
    #[serde(default)]
    pub preset: Preset,
    /// A count or a list.
    pub seeds: Option<Seeds>,
    /// Most runs per lease.
    pub shard_size: Option<u32>,
    /// Most runs that a GPU trains in lockstep.
    pub pack_size: Option<u32>,
    /// What the study's runs need of their workers.
    #[serde(default)]
    pub requires: Requirement,
    /// Data sets.
    #[serde(default)]
    pub data: Vec<DataEntry>,
    /// Conditions; none means all pairs of every data set with true and shuffled labels.
    #[serde(default)]
    pub conditions: Vec<ConditionsEntry>,
    /// Models; none means one LSTM.
    #[serde(default)]
    pub models: Vec<ModelEntry>,
    /// Training settings.
    #[serde(default)]
    pub training: TrainingEntry,
    /// Probe settings.
    #[serde(default)]
    pub probe: ProbeEntry,
    /// The tests that are declared.
    #[serde(default)]
    pub analysis: AnalysisEntry,
}

/// Seeds: `seeds = 20` means 0 to 19.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a count such as `seeds = 20` or a list such as `seeds = [1, 2, 3]`")]
pub enum Seeds {
    /// How many, from 0.
    Count(u32),
    /// Which.
    List(Vec<u64>),
}

/// One `[[data]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataEntry {
    /// Its name in the study.
    pub name: String,
    /// What kind of files they are.
    pub format: DataFormat,
    /// The files, relative to the data folder.
    #[serde(default)]
    pub files: Vec<String>,
    /// `numpy`: the file with the labels, where the arrays come without.
    pub labels: Option<String>,
    /// Sentence formats: the GloVe text file that gives words their vectors; one `*` in its name stands for any characters.
    pub glove: Option<String>,
    /// The classes in the order their labels are to have; default: the file's own order, else sorted.
    #[serde(default)]
    pub class_order: Vec<String>,
    /// Better names for classes, by the names in the files.
    #[serde(default)]
    pub class_names: BTreeMap<String, String>,
    /// What becomes of missing values.
    #[serde(default)]
    pub missing: Missing,
    /// `csv` and `json-lines`: the column or key that holds the sentence.
    pub text_column: Option<String>,
    /// `csv` and `json-lines`: the column or key that holds the label.
    pub label_column: Option<String>,
    /// `generated`: what to generate.
    pub generate: Option<Generate>,
    /// Written by curvefleet: SHA-256 of the canonical data set.
    pub sha256: Option<String>,
    /// Written by curvefleet: fewest time steps.
    pub steps_min: Option<u32>,
    /// Written by curvefleet: most time steps.
    pub steps_max: Option<u32>,
    /// Written by curvefleet: the features' names.
    pub feature_names: Option<Vec<String>>,
    /// Written by curvefleet: the classes and their counts.
    pub classes: Option<Vec<ClassCount>>,
}

impl DataEntry {
    /// The part that says how the data set is read.
    pub fn source(&self) -> DataSource {
        DataSource {
            format: self.format,
            files: self.files.clone(),
            labels: self.labels.clone(),
            glove: self.glove.clone(),
            class_order: self.class_order.clone(),
            class_names: self.class_names.clone(),
            missing: self.missing,
            text_column: self.text_column.clone(),
            label_column: self.label_column.clone(),
            generate: self.generate,
        }
    }
}

/// One `[[conditions]]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConditionsEntry {
    /// Put before the conditions' names.
    #[serde(default)]
    pub name: String,
    /// The data set's name; may be left out where the study has one alone.
    pub data: Option<String>,
    /// `pairs`, `all`, or a list of lists of class names; default `pairs`.
    #[serde(default)]
    pub classes: ClassesEntry,
    /// `["true", "shuffled"]` unless given.
    pub labels: Option<Vec<Labels>>,
    /// Names of the features used; all unless given.
    pub features: Option<Vec<String>>,
    /// Time steps after cutting or padding; the data set's longest unless given.
    pub pad_to: Option<u32>,
}

/// Which classes are told apart.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"pairs\", \"all\" or a list such as [[\"joy\", \"anger\"], [\"joy\", \"fear\"]]"
)]
pub enum ClassesEntry {
    /// `pairs` or `all`.
    Keyword(ClassesKeyword),
    /// Which, by name.
    Listed(Vec<Vec<String>>),
}

/// The sets of classes that have a word of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassesKeyword {
    /// Every unordered pair.
    Pairs,
    /// All classes at once.
    All,
}

impl Default for ClassesEntry {
    fn default() -> Self {
        ClassesEntry::Keyword(ClassesKeyword::Pairs)
    }
}

/// One `[[models]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// Its name in the study; its kind unless given.
    pub name: Option<String>,
    /// Its kind.
    pub kind: ModelKind,
    /// Hidden size; as many as features unless given.
    pub hidden: Option<u32>,
    /// Layers; 1 unless given.
    pub layers: Option<u32>,
    /// Attention heads; as many of 8, 4, 2 and 1 as divide the hidden size unless given.
    pub heads: Option<u32>,
    /// Dropout; 0 unless given.
    pub dropout: Option<f64>,
    /// What its runs need of their workers, where that is more or else than the study says.
    #[serde(default)]
    pub requires: Requirement,
}

/// `[training]`: see [`super::settings::Training`] for the keys.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct TrainingEntry {
    pub epochs: Option<u32>,
    pub batch_size: Option<u32>,
    pub learning_rate: Option<f64>,
    pub optimizer: Option<Optimizer>,
    pub beta1: Option<f64>,
    pub beta2: Option<f64>,
    pub epsilon: Option<f64>,
    pub test_fraction: Option<f64>,
    pub validation_fraction: Option<f64>,
    pub split: Option<Split>,
    pub oversample: Option<Oversample>,
    pub class_weights: Option<ClassWeights>,
    pub shuffle: Option<Shuffle>,
    pub evaluation: Option<Statistics>,
    pub read_out: Option<ReadOut>,
}

/// `[probe]`: see [`super::settings::Probe`] for the keys.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct ProbeEntry {
    pub kind: Option<ProbeKind>,
    pub k: Option<u32>,
    pub l2: Option<f64>,
    pub scoring: Option<Scoring>,
    pub states: Option<States>,
}

/// A parsed study file together with its text, so that later checks can name the line.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// What was typed.
    pub file: StudyFile,
    /// The text it was typed in.
    pub(super) text: String,
}

/// Parses the text of a study file.
///
/// # Errors
/// On text that is not TOML, unknown keys, and values of the wrong type: one sentence with the line and what is allowed.
pub fn parse(text: &str) -> Result<Parsed, Error> {
    if text.len() > MAX_STUDY_BYTES {
        return Err(Error::new(
            None,
            format!("the study file has {} bytes; at most {MAX_STUDY_BYTES} are taken", text.len()),
        ));
    }
    let file = toml::from_str(text).map_err(|error| Error::from_toml(text, &error))?;
    Ok(Parsed { file, text: text.to_string() })
}
