//! Which runs a study means, how they are grouped into shards, and how much work they are. Pure functions of a [`Study`].
//!
//! - [`run`]: one training, and its id
//! - [`shard`]: the unit of lease
//! - [`work`]: parameters and floating-point operations

pub mod run;
pub mod shard;
pub mod work;

pub use run::{Run, RunId, RunSettings};
pub use shard::{ShardId, ShardSpec, shards, shards_from, shards_per_cell};

use crate::limits::MAX_RUNS_PER_STUDY;
use crate::study::{Classes, Condition, ConditionSet, Data, Labels, Model, Study};

/// One cell of a study: a data set, a condition and a model; its runs differ by seed alone.
#[derive(Debug, Clone)]
pub struct Cell<'a> {
    /// The data set.
    pub data: &'a Data,
    /// The condition's name in listings, tables and figures, such as `joy/anger` or `all`.
    pub condition_name: String,
    /// The condition.
    pub condition: Condition,
    /// The model.
    pub model: &'a Model,
}

/// Why a study cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More runs than a ledger takes.
    #[error(
        "the study has {runs} runs; at most {MAX_RUNS_PER_STUDY} are taken: use fewer seeds, conditions or models, or split it into several studies"
    )]
    TooManyRuns {
        /// How many it has.
        runs: u64,
    },
    /// A condition set names a data set that the study does not have; cannot come out of `resolve`.
    #[error("the conditions name the data set `{0}`, which the study does not have")]
    NoData(String),
    /// Two cells of the study are one and the same run.
    #[error("`{first}` and `{second}` are the same run under two names; take one of them out")]
    SameRun {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
}

/// The cells of a study, in its order: condition sets, classes, labels, models.
///
/// # Errors
/// If there are too many runs, or two cells are the same under two names.
pub fn cells(study: &Study) -> Result<Vec<Cell<'_>>, Error> {
    let mut cells = Vec::new();
    for set in &study.conditions {
        let data = study.data_named(&set.data).ok_or_else(|| Error::NoData(set.data.clone()))?;
        for classes in &set.classes {
            for labels in &set.labels {
                for model in &study.models {
                    cells.push(Cell {
                        data,
                        condition_name: set.condition_name(classes),
                        condition: set.condition(data, classes, *labels),
                        model,
                    });
                }
            }
        }
    }
    let runs = cells.len() as u64 * study.seeds.len() as u64;
    if runs > MAX_RUNS_PER_STUDY {
        return Err(Error::TooManyRuns { runs });
    }
    check_distinct(study, &cells)?;
    Ok(cells)
}

fn check_distinct(study: &Study, cells: &[Cell<'_>]) -> Result<(), Error> {
    let Some(seed) = study.seeds.first() else { return Ok(()) };
    let mut seen = std::collections::HashMap::new();
    for cell in cells {
        let id = RunSettings::of(study, cell).run_id(*seed);
        if let Some(first) = seen.insert(id, cell) {
            return Err(Error::SameRun { first: first.title(), second: cell.title() });
        }
    }
    Ok(())
}

impl Cell<'_> {
    /// Data set, condition, labels and model in one line.
    pub fn title(&self) -> String {
        format!(
            "{} {} ({} labels, {})",
            self.data.name,
            self.condition_name,
            self.condition.labels.as_str(),
            self.model.name
        )
    }
}

impl ConditionSet {
    /// The name of one of its conditions: the classes joined by `/`, or `all`, after the set's own name where it has one.
    pub fn condition_name(&self, classes: &Classes) -> String {
        let classes = if classes.len() == 2 { classes.join("/") } else { self.many_classes_name(classes) };
        if self.name.is_empty() { classes } else { format!("{}:{classes}", self.name) }
    }

    fn many_classes_name(&self, classes: &Classes) -> String {
        if self.classes.len() == 1 { "all".to_string() } else { classes.join("/") }
    }

    fn condition(&self, data: &Data, classes: &Classes, labels: Labels) -> Condition {
        let names = &data.summary.feature_names;
        let chosen = names.iter().enumerate().filter(|(_, name)| self.features.contains(name));
        Condition {
            classes: classes.clone(),
            labels,
            features: chosen.map(|(index, _)| index as u32).collect(),
            pad_to: self.pad_to,
        }
    }
}
