//! Data sets as a study sees them: how they are read from their files, and what is in them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a data set is read from its files; a part of what is typed and of the resolved study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataSource {
    /// What kind of files they are.
    pub format: DataFormat,
    /// The files, relative to the data folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// `numpy`: the file with the labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
    /// Sentence formats: the GloVe text file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glove: Option<String>,
    /// The classes in the order their labels are to have, by the names in the files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_order: Vec<String>,
    /// Better names for classes, by the names in the files.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub class_names: BTreeMap<String, String>,
    /// What becomes of missing values.
    #[serde(default)]
    pub missing: Missing,
    /// The column or key that holds the sentence; default `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_column: Option<String>,
    /// The column or key that holds the label; default `label`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_column: Option<String>,
    /// `generated`: what to generate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generate>,
}

/// The formats that data sets are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataFormat {
    /// The UEA archive's `.ts`.
    Ts,
    /// `.npy` or `.npz` sequence arrays.
    Numpy,
    /// Lines of `sentence;label`.
    SentenceLabel,
    /// TREC's lines of `LABEL:fine sentence`.
    Trec,
    /// CSV with a header.
    Csv,
    /// One JSON object per line.
    JsonLines,
    /// The built-in moving joints.
    Generated,
}

/// What becomes of missing values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// Linear between the neighbours in time, the nearest value at the ends, zero where a feature is missing throughout.
    #[default]
    Interpolate,
    /// Zero.
    Zero,
    /// The file is refused.
    Refuse,
}

/// What the built-in data set of moving joints is made of.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Generate {
    /// Sequences of each of the six classes.
    pub items_per_class: u32,
    /// Time steps of a sequence.
    pub steps: u32,
    /// Standard deviation of the sensors' noise, in units of a limb's length.
    pub noise: f64,
    /// Seed of the generator.
    pub seed: u64,
}

impl Default for Generate {
    fn default() -> Self {
        Generate { items_per_class: 40, steps: 30, noise: 0.15, seed: 1 }
    }
}

/// What planning needs to know of a canonical data set; kept in the data set's own metadata, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSummary {
    /// SHA-256 of the canonical Parquet file, 64 hex digits; its key in the store.
    pub sha256: String,
    /// Fewest time steps of a sequence.
    pub steps_min: u32,
    /// Most time steps of a sequence.
    pub steps_max: u32,
    /// Names of the features, in the order of the arrays.
    pub feature_names: Vec<String>,
    /// The classes, in the order of their labels.
    pub classes: Vec<ClassCount>,
}

/// One class of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassCount {
    /// Its name.
    pub name: String,
    /// How many sequences it has.
    pub count: u64,
}

impl DataSummary {
    /// How many sequences there are.
    pub fn sequences(&self) -> u64 {
        self.classes.iter().map(|class| class.count).sum()
    }

    /// How many sequences a class has; `None` where there is no such class.
    pub fn count_of(&self, class: &str) -> Option<u64> {
        self.classes.iter().find(|known| known.name == class).map(|known| known.count)
    }
}
