//! The study file: what a researcher writes, and the [`Study`] it means once every default is written out.
//!
//! ```text
//! text --parse--> StudyFile (what was typed) --resolve(with the data sets' summaries)--> Study --to_toml--> the stored study.toml
//! ```
//! A stored study file is a study file again: parsing and resolving it gives the same [`Study`].
//!
//! - [`mod@file`]: the keys that may be typed, all optional where there is a default
//! - [`data`]: how data sets are read, and what is in them
//! - [`settings`]: conditions, models, training and probe with every default written out
//! - [`preset`]: what the presets `sound` and `paper` choose
//! - [`resolve`]: from the one to the other, with every check that needs no disk
//! - [`network`]: the same for models, training and probe
//! - [`analysis`]: the tests that a study declares
//! - [`error`]: the one sentence that a wrong file gets

pub mod analysis;
pub mod data;
pub mod error;
pub mod file;
pub mod network;
pub mod preset;
pub mod resolve;
pub mod settings;

pub use analysis::{Analysis, AnalysisKey, Comparisons, ComparisonsKeyword, Correction, CurveMetric, Family};
pub use data::{ClassCount, DataFormat, DataSource, DataSummary, Generate, Missing};
pub use error::Error;
pub use file::StudyFile;
pub use settings::{
    ClassWeights, Classes, Condition, ConditionSet, Data, Labels, Model, ModelKind, Optimizer, Oversample, Preset,
    Probe, ProbeKind, ReadOut, Scoring, Shuffle, Split, States, Statistics, Study, Training,
};
