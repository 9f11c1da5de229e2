//! The study file: what a researcher writes, and the [`Study`] it means once every default is written out.
//!
//! ```text
//! text --parse--> StudyFile (what was typed) --resolve(with the data sets' summaries)--> Study --to_toml--> the stored study.toml
//! ```
//! A stored study file is a study file again: parsing and resolving it gives the same [`Study`].
//!
//! - [`file`]: the keys that may be typed, all optional where there is a default
//! - [`settings`]: conditions, models, training and probe with every default written out
//! - [`preset`]: what the presets `sound` and `paper` choose
//! - [`resolve`]: from the one to the other, with every check that needs no disk
//! - [`error`]: the one sentence that a wrong file gets

pub mod error;
pub mod file;
pub mod preset;
pub mod resolve;
pub mod settings;

pub use error::Error;
pub use file::{DataFormat, DataSource, StudyFile};
pub use preset::Preset;
pub use settings::{
    ClassCount, Classes, Condition, ConditionSet, Data, DataSummary, Labels, Model, ModelKind, Optimizer, Oversample,
    Probe, ProbeKind, ReadOut, Scoring, Shuffle, Split, States, Statistics, Study, Training,
};
