//! The significance table of Jiang and Dale (2025), computed as their scripts do.
//!
//! Every row (run × epoch) enters ordinary least squares as if it were independent of the others. It is not: the epochs of a run are
//! repeated measures, so the p-values are far too small. The table is here to be compared with the paper's, and the report
//! prints [`CAVEAT`] beside it.

use std::collections::BTreeSet;

use crate::curve::metrics::{CurveMetrics, Metric};

use super::ols::{FTest, Fit, LeastSquares, Untestable};

/// What a reader must know about the table.
pub const CAVEAT: &str = "Computed as in the paper: ordinary least squares over rows (run × epoch), each row taken as independent. \
The epochs of one run are repeated measures, so these p-values are much too small to be read as evidence; \
read R² as a description, and compare runs, not rows, to test.";

/// One row of the regressions: one epoch of one run.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// The data set.
    pub source: &'a str,
    /// The condition (class pair).
    pub condition: &'a str,
    /// Whether the labels were shuffled.
    pub shuffled: bool,
    /// The epoch, from 1.
    pub epoch: u32,
    /// The curve's metrics.
    pub metrics: CurveMetrics,
}

/// A model of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// metric ~ data source, over all true-label rows.
    DataSource,
    /// metric ~ true or shuffled labels, within a source.
    TrueOrShuffled,
    /// metric ~ condition, over a source's true-label rows.
    Condition,
    /// metric ~ epoch × condition, over the same rows, epoch as a number.
    EpochByCondition,
    /// (epoch × condition) against (epoch) alone, over the same rows.
    EpochByConditionOverEpoch,
}

impl Model {
    const WITHIN_SOURCE: [Model; 4] =
        [Model::TrueOrShuffled, Model::Condition, Model::EpochByCondition, Model::EpochByConditionOverEpoch];

    /// The model's name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Model::DataSource => "data source",
            Model::TrueOrShuffled => "true or shuffled labels",
            Model::Condition => "condition",
            Model::EpochByCondition => "epoch × condition",
            Model::EpochByConditionOverEpoch => "epoch × condition over epoch",
        }
    }
}

/// One line of the table. What a model cannot give is `None`, and `note` says why.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The metric that is explained.
    pub metric: Metric,
    /// The data set; `None` for the comparison of data sets.
    pub source: Option<String>,
    /// What explains it.
    pub model: Model,
    /// Rows (run × epoch).
    pub n: usize,
    /// The model's F test, or the test of the difference.
    pub test: Option<FTest>,
    /// R² of the model (of the larger one, for a difference).
    pub r_squared: Option<f64>,
    /// Adjusted R² of the same model.
    pub adjusted_r_squared: Option<f64>,
    /// How much larger R² is than that of the smaller model; for a difference alone.
    pub r_squared_gain: Option<f64>,
    /// The same of adjusted R².
    pub adjusted_r_squared_gain: Option<f64>,
    /// Why values are missing.
    pub note: Option<String>,
}

/// The whole table: for every tested metric the comparison of sources, then four models for each source, in alphabetical order.
pub fn paper_table(observations: &[Observation<'_>]) -> Vec<Line> {
    let sources: BTreeSet<&str> = observations.iter().map(|row| row.source).collect();
    let all: Vec<&Observation> = observations.iter().collect();
    let by_source: Vec<(&str, Vec<&Observation>)> = sources
        .into_iter()
        .map(|source| (source, observations.iter().filter(|row| row.source == source).collect()))
        .collect();
    let mut lines = Vec::new();
    for metric in Metric::TESTED {
        lines.push(line(metric, None, Model::DataSource, &all));
        for (source, rows) in &by_source {
            lines.extend(Model::WITHIN_SOURCE.map(|model| line(metric, Some(source), model, rows)));
        }
    }
    lines
}

fn line(metric: Metric, source: Option<&str>, model: Model, rows: &[&Observation<'_>]) -> Line {
    let used: Vec<&Observation> =
        rows.iter().copied().filter(|row| model == Model::TrueOrShuffled || !row.shuffled).collect();
    let mut line = Line {
        metric,
        source: source.map(str::to_string),
        model,
        n: used.len(),
        test: None,
        r_squared: None,
        adjusted_r_squared: None,
        r_squared_gain: None,
        adjusted_r_squared_gain: None,
        note: impossible(metric, model, &used),
    };
    if line.note.is_some() {
        return line;
    }
    if let Some(fit) = fit(metric, model, &used) {
        line.r_squared = fit.r_squared();
        line.adjusted_r_squared = fit.adjusted_r_squared();
        let test = match (model == Model::EpochByConditionOverEpoch).then(|| fit_epoch(metric, &used)).flatten() {
            None => fit.f_test(),
            Some(smaller) => {
                line.r_squared_gain = difference(fit.r_squared(), smaller.r_squared());
                line.adjusted_r_squared_gain = difference(fit.adjusted_r_squared(), smaller.adjusted_r_squared());
                fit.f_test_against(&smaller)
            }
        };
        line.note = test.err().map(|reason: Untestable| reason.to_string());
        line.test = test.ok();
    }
    line
}

fn difference(larger: Option<f64>, smaller: Option<f64>) -> Option<f64> {
    Some(larger? - smaller?)
}

/// Why the rows say nothing about the model, if so.
fn impossible(metric: Metric, model: Model, rows: &[&Observation<'_>]) -> Option<String> {
    let levels = |level: fn(&Observation) -> String| rows.iter().map(|row| level(row)).collect::<BTreeSet<_>>().len();
    let conditions = || levels(|row| row.condition.to_string());
    let epochs = || levels(|row| row.epoch.to_string());
    let first = match rows.first() {
        Some(row) => row.metrics.get(metric),
        None => return Some("there are no rows with true labels".to_string()),
    };
    let reason = match model {
        Model::DataSource if levels(|row| row.source.to_string()) < 2 => "the study has one data source only",
        Model::TrueOrShuffled if rows.iter().all(|row| !row.shuffled) => "there are no runs with shuffled labels",
        Model::TrueOrShuffled if rows.iter().all(|row| row.shuffled) => "there are no runs with true labels",
        Model::Condition | Model::EpochByCondition | Model::EpochByConditionOverEpoch if conditions() < 2 => {
            "there is one condition only"
        }
        Model::EpochByCondition | Model::EpochByConditionOverEpoch if epochs() < 2 => "there is one epoch only",
        _ if rows.iter().all(|row| row.metrics.get(metric) == first) => {
            return Some(Untestable::ConstantResponse.to_string());
        }
        _ => return None,
    };
    Some(reason.to_string())
}

/// Fits the model (the larger one, for a difference).
fn fit(metric: Metric, model: Model, rows: &[&Observation<'_>]) -> Option<Fit> {
    match model {
        Model::DataSource => fit_groups(metric, rows, |row| row.source, false),
        Model::TrueOrShuffled => fit_groups(metric, rows, |row| if row.shuffled { "shuffled" } else { "true" }, false),
        Model::Condition => fit_groups(metric, rows, |row| row.condition, false),
        Model::EpochByCondition | Model::EpochByConditionOverEpoch => {
            fit_groups(metric, rows, |row| row.condition, true)
        }
    }
}

/// Least squares on a factor, its first level (in alphabetical order) in the intercept; with `by_epoch`, on epoch, the factor
/// and their product.
fn fit_groups<'a>(
    metric: Metric,
    rows: &[&Observation<'a>],
    group: impl Fn(&Observation<'a>) -> &'a str,
    by_epoch: bool,
) -> Option<Fit> {
    let levels: Vec<&str> = rows.iter().map(|row| group(row)).collect::<BTreeSet<_>>().into_iter().collect();
    let contrasts = levels.len() - 1;
    let columns = if by_epoch { 2 + 2 * contrasts } else { 1 + contrasts };
    let mut problem = LeastSquares::new(columns, mean(metric, rows));
    let mut row_values = vec![0.0; columns];
    for row in rows {
        row_values.fill(0.0);
        row_values[0] = 1.0;
        let level = levels.binary_search(&group(row)).unwrap_or(0);
        if by_epoch {
            row_values[1] = f64::from(row.epoch);
        }
        if level > 0 {
            let first = if by_epoch { 2 } else { 1 };
            row_values[first + level - 1] = 1.0;
            if by_epoch {
                row_values[first + contrasts + level - 1] = f64::from(row.epoch);
            }
        }
        problem.add(&row_values, row.metrics.get(metric));
    }
    problem.fit()
}

fn fit_epoch(metric: Metric, rows: &[&Observation<'_>]) -> Option<Fit> {
    let mut problem = LeastSquares::new(2, mean(metric, rows));
    for row in rows {
        problem.add(&[1.0, f64::from(row.epoch)], row.metrics.get(metric));
    }
    problem.fit()
}

fn mean(metric: Metric, rows: &[&Observation<'_>]) -> f64 {
    rows.iter().map(|row| row.metrics.get(metric)).sum::<f64>() / rows.len() as f64
}
