//! Everything a study decides, with every default written out.

use serde::{Deserialize, Serialize, Serializer};

use super::analysis::Analysis;
use super::data::{DataSource, DataSummary};
use crate::requirement::Requirement;

/// A study, fully resolved: what is stored as `study.toml`, and all that a plan is made from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Study {
    /// The study's name: letters, digits, `-`, `_` and `.`; its folder in the store.
    pub name: String,
    /// One line about it; may be empty.
    pub description: String,
    /// Where the defaults came from.
    pub preset: Preset,
    /// One run per seed for each condition and model.
    #[serde(serialize_with = "seeds")]
    pub seeds: Vec<u64>,
    /// Most runs that one lease carries.
    pub shard_size: u32,
    /// Runs of a shard that a GPU trains in lockstep.
    pub pack_size: u32,
    /// What its runs need of their workers.
    #[serde(skip_serializing_if = "Requirement::is_empty")]
    pub requires: Requirement,
    /// Data sets, by name.
    pub data: Vec<Data>,
    /// What is told apart from what.
    pub conditions: Vec<ConditionSet>,
    /// The networks.
    pub models: Vec<Model>,
    /// How they are trained.
    pub training: Training,
    /// How their states are read.
    pub probe: Probe,
    /// Which tests are declared.
    pub analysis: Analysis,
}

/// From so many seeds on, a list of those from 0 has more bytes than a study file may have ([`crate::limits::MAX_STUDY_BYTES`]): 8 n − 111,110
/// with the commas and spaces. Fewer are listed, so that the hashes of stored studies stay what they are.
const COUNTED_SEEDS: usize = 144_961;

/// A list, or a count where very many seeds count up from 0.
fn seeds<S: Serializer>(seeds: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
    let counts_up = || (0..).zip(seeds).all(|(number, seed): (u64, _)| number == *seed);
    if seeds.len() >= COUNTED_SEEDS && counts_up() {
        return serializer.serialize_u64(seeds.len() as u64);
    }
    seeds.serialize(serializer)
}

/// A set of defaults.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// What a careful reviewer would ask for.
    #[default]
    Sound,
    /// What the authors of the paper did, number for number.
    Paper,
}

impl Preset {
    /// `sound` or `paper`.
    pub fn as_str(self) -> &'static str {
        match self {
            Preset::Sound => "sound",
            Preset::Paper => "paper",
        }
    }
}

/// A data set of a study: where it came from and what is in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Data {
    /// Its name in the study.
    pub name: String,
    /// How it is read from its source.
    #[serde(flatten)]
    pub source: DataSource,
    /// What is in it.
    #[serde(flatten)]
    pub summary: DataSummary,
}

/// One `[[conditions]]` of a study: a family of conditions on one data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConditionSet {
    /// Put before the conditions' names where it is not empty; tells two families on one data set apart.
    pub name: String,
    /// The data set's name.
    pub data: String,
    /// The sets of classes that are told apart: pairs, or all classes at once.
    pub classes: Vec<Classes>,
    /// True labels, shuffled ones, or both.
    pub labels: Vec<Labels>,
    /// The features used, by name, in the data set's order.
    pub features: Vec<String>,
    /// Sequences are cut or padded with zero rows to this many time steps.
    pub pad_to: u32,
}

/// The classes that a network learns to tell apart, by name: two or more, the first one is label 0.
pub type Classes = Vec<String>;

/// One condition: what one network is trained to tell apart, and on which inputs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Condition {
    /// The classes in the order of their labels.
    pub classes: Classes,
    /// True or shuffled labels.
    pub labels: Labels,
    /// Indices of the features used, ascending.
    pub features: Vec<u32>,
    /// Time steps after cutting or padding.
    pub pad_to: u32,
}

/// Whether a network sees the labels or a permutation of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Labels {
    /// As in the data set.
    True,
    /// Permuted: the control.
    Shuffled,
}

impl Labels {
    /// `true` or `shuffled`, as in study files and artifacts.
    pub fn as_str(self) -> &'static str {
        match self {
            Labels::True => "true",
            Labels::Shuffled => "shuffled",
        }
    }
}

/// A network of a study.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Model {
    /// Its name in the study.
    pub name: String,
    /// Its kind.
    pub kind: ModelKind,
    /// Hidden size per layer; 0 means as many as the condition has features.
    pub hidden: u32,
    /// Layers, one on top of the other; the top one's states are probed.
    pub layers: u32,
    /// Attention heads of a transformer; 0 means the most of 8, 4, 2 and 1 that divide the hidden size.
    pub heads: u32,
    /// Share of the numbers that dropout sets to zero in training: between layers, in a transformer also within them.
    pub dropout: f64,
    /// What its runs need of their workers; where it says nothing, what the study says counts.
    #[serde(skip_serializing_if = "Requirement::is_empty")]
    pub requires: Requirement,
}

/// The kinds of networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// Long short-term memory, the paper's (method.md 2.3).
    Lstm,
    /// Gated recurrent units.
    Gru,
    /// Elman's simple recurrent network, with tanh.
    Rnn,
    /// Causal transformer encoder with learned positions.
    Transformer,
    /// Order-free baseline: the running mean of the inputs.
    MeanPool,
}

impl ModelKind {
    /// The key's value in study files, and a model's name where a study gives none.
    pub fn as_str(self) -> &'static str {
        match self {
            ModelKind::Lstm => "lstm",
            ModelKind::Gru => "gru",
            ModelKind::Rnn => "rnn",
            ModelKind::Transformer => "transformer",
            ModelKind::MeanPool => "mean-pool",
        }
    }

    /// Whether it has layers of units of its own.
    pub fn has_layers(self) -> bool {
        self != ModelKind::MeanPool
    }
}

/// How networks are trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Passes over the training samples.
    pub epochs: u32,
    /// Samples per update; the short last batch of an epoch is kept.
    pub batch_size: u32,
    /// Step size.
    pub learning_rate: f64,
    /// The update rule.
    pub optimizer: Optimizer,
    /// Adam's decay of the first moment.
    pub beta1: f64,
    /// Adam's decay of the second moment.
    pub beta2: f64,
    /// Adam's ε.
    pub epsilon: f64,
    /// Share of the samples that is set aside as test samples.
    pub test_fraction: f64,
    /// Share of the remaining pool that validates.
    pub validation_fraction: f64,
    /// How samples are split.
    pub split: Split,
    /// Which minority samples are drawn again until classes are even.
    pub oversample: Oversample,
    /// What a training sample counts in the loss, by its class.
    pub class_weights: ClassWeights,
    /// How shuffled labels are made.
    pub shuffle: Shuffle,
    /// Which statistics batch norm uses on validation and test samples.
    pub evaluation: Statistics,
    /// At which step the network is read out.
    pub read_out: ReadOut,
}

/// The update rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    /// Adam (Kingma & Ba 2015), as PyTorch has it.
    Adam,
    /// Plain stochastic gradient descent.
    Sgd,
}

/// How samples are split into pool and test, and the pool into training and validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// At random over all samples.
    Random,
    /// At random within each class.
    Stratified,
}

/// Which minority samples are drawn again, with replacement, up to the majority's count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Oversample {
    /// None.
    None,
    /// Those of the training samples, after the split.
    Training,
    /// Those of the pool, before it is split: copies leak into validation, as in the paper.
    Pool,
}

/// What a training sample counts in the loss, by its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// All the same.
    None,
    /// In inverse proportion to the class's share of the training samples: the alternative to oversampling.
    Balanced,
}

/// How shuffled labels are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shuffle {
    /// Permuted within the condition's samples.
    Condition,
    /// Permuted over the whole data set before the condition's samples are selected, as in the paper.
    DataSet,
}

/// Which statistics batch norm uses outside training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Statistics {
    /// The running ones (evaluation mode).
    Running,
    /// Those of the batch at hand, which also move the running ones, as in the paper.
    Batch,
}

/// At which step a network is read out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadOut {
    /// At the sequence's own last step, before any padding.
    OwnLastStep,
    /// At the last step of the padded sequence, as in the paper.
    LastStep,
}

/// How the hidden states are read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// The classifier.
    pub kind: ProbeKind,
    /// Number of neighbours (k nearest neighbours alone).
    pub k: u32,
    /// Weight of ½‖w‖² beside the summed log loss (logistic regression alone); scikit-learn's `1 / C`.
    pub l2: f64,
    /// On which points it is scored.
    pub scoring: Scoring,
    /// Which states it reads.
    pub states: States,
}

/// The classifiers that probe hidden states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeKind {
    /// k nearest neighbours, Euclidean, uniform weights; ties go to the lower sample index.
    Knn,
    /// The class with the nearest mean, Euclidean.
    NearestMean,
    /// Logistic regression with an L2 penalty, multinomial for three classes and more.
    Logistic,
}

/// On which points the probe is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scoring {
    /// Fitted on training states, scored on validation states.
    HeldOut,
    /// Each training state by the others.
    LeaveOneOut,
    /// Each training state by all, itself included, as in the paper: chance is about 0.75 for k = 3.
    Resubstitution,
}

/// Which hidden states are probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum States {
    /// Those of one extra pass in evaluation mode at the end of the epoch.
    EpochEnd,
    /// Those of the training passes, each before its own update, as in the paper: one epoch mixes weights.
    TrainingPasses,
}

impl Study {
    /// What runs of the model of this name need of their workers.
    pub fn requirement_of(&self, model: &str) -> Requirement {
        let model = self.models.iter().find(|known| known.name == model);
        model.map_or_else(|| self.requires.clone(), |model| model.requires.or(&self.requires))
    }

    /// All that its runs need of their workers, each once, in the order of the models.
    pub fn requirements(&self) -> Vec<Requirement> {
        let mut all: Vec<Requirement> = Vec::new();
        for model in &self.models {
            let requirement = model.requires.or(&self.requires);
            if !all.contains(&requirement) {
                all.push(requirement);
            }
        }
        all
    }
}

impl Study {
    /// The study as a TOML study file with every default written out.
    ///
    /// # Errors
    /// Only if a number cannot be written in TOML, such as a seed above 2⁶³ − 1, which resolving refuses.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    /// The data set of this name.
    pub fn data_named(&self, name: &str) -> Option<&Data> {
        self.data.iter().find(|data| data.name == name)
    }
}

impl Scoring {
    /// The key's value in study files and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Scoring::HeldOut => "held-out",
            Scoring::LeaveOneOut => "leave-one-out",
            Scoring::Resubstitution => "resubstitution",
        }
    }
}
