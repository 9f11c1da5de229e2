//! The significance table of Jiang and Dale (2025), computed as their scripts do.
//!
//! Every row (run × epoch) enters ordinary least squares as if it were independent of the others. It is not: the epochs of a run are
//! repeated measures, so the p-values are far too small. The table is here to be compared with the paper's, and the report
//! prints [`CAVEAT`] beside it.

//!
//! - [`cell`]: the rows of one data set, condition and kind of labels, reduced to what the models need

pub mod cell;

use std::collections::BTreeSet;

use rayon::prelude::*;

use crate::curve::metrics::{CurveMetrics, Metric};

use super::ols::{FTest, Fit, LeastSquares, Solution, Untestable};
use super::wald::WaldT;
pub use cell::CellRows;

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
    /// metric ~ epoch, over the same rows, epoch as a number.
    Epoch,
    /// metric ~ epoch × condition, over the same rows.
    EpochByCondition,
    /// (epoch × condition) against (epoch) alone, over the same rows.
    EpochByConditionOverEpoch,
}

impl Model {
    const WITHIN_SOURCE: [Model; 5] = [
        Model::TrueOrShuffled,
        Model::Condition,
        Model::Epoch,
        Model::EpochByCondition,
        Model::EpochByConditionOverEpoch,
    ];

    /// The model's name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Model::DataSource => "data source",
            Model::TrueOrShuffled => "true or shuffled labels",
            Model::Condition => "condition",
            Model::Epoch => "epoch",
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
    /// Sums of squares of the model (of the larger one, for a difference).
    pub fit: Option<Fit>,
    /// Those of the smaller model; for a difference alone.
    pub smaller: Option<Fit>,
    /// The model's coefficients; none for a difference, which is one between two models that have theirs.
    pub coefficients: Vec<Coefficient>,
    /// Why values are missing.
    pub note: Option<String>,
}

/// A coefficient of a model. The level that comes first in alphabetical order, or that of true labels, is the one that the others
/// are compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct Coefficient {
    /// `(intercept)`, `epoch`, a level of the factor, or `epoch × level`.
    pub term: String,
    /// Its value; `None` where the term is a combination of those before it, which R writes as NA.
    pub estimate: Option<f64>,
    /// Its test against 0; `None` where the residuals leave no standard error.
    pub test: Option<WaldT>,
}

/// The whole table of these rows; see [`paper_table_of_cells`].
pub fn paper_table(observations: &[Observation<'_>]) -> Vec<Line> {
    let mut cells: Vec<CellRows> = Vec::new();
    for row in observations {
        let is_its = |cell: &CellRows| {
            cell.source == row.source && cell.condition == row.condition && cell.shuffled == row.shuffled
        };
        let place = cells.iter().rposition(is_its).unwrap_or_else(|| {
            cells.push(CellRows::new(row.source, row.condition, row.shuffled));
            cells.len() - 1
        });
        cells[place].add(row.epoch, &row.metrics);
    }
    paper_table_of_cells(&cells)
}

/// The whole table: for every tested metric the comparison of sources, then the models of each source, in alphabetical order.
pub fn paper_table_of_cells(cells: &[CellRows]) -> Vec<Line> {
    let cells: Vec<&CellRows> = cells.iter().filter(|cell| cell.rows() > 0).collect();
    let sources = ordered(cells.iter().map(|cell| cell.source.as_str()));
    let mut asked = Vec::new();
    for metric in 0..Metric::TESTED.len() {
        asked.push((metric, None, Model::DataSource));
        for source in &sources {
            asked.extend(Model::WITHIN_SOURCE.map(|model| (metric, Some(*source), model)));
        }
    }
    asked.into_par_iter().map(|(metric, source, model)| line(metric, source, model, &cells)).collect()
}

/// The distinct names in alphabetical order, without regard to case as far as that decides, which is R's order in most locales.
fn ordered<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let names: BTreeSet<(String, &str)> = names.map(|name| (name.to_lowercase(), name)).collect();
    names.into_iter().map(|(_, name)| name).collect()
}

fn line(metric: usize, source: Option<&str>, model: Model, cells: &[&CellRows]) -> Line {
    let cells = cells.iter().copied().filter(|cell| source.is_none_or(|source| cell.source == source));
    let used: Vec<&CellRows> = cells.filter(|cell| model == Model::TrueOrShuffled || !cell.shuffled).collect();
    let mut line = Line {
        metric: Metric::TESTED[metric],
        source: source.map(str::to_string),
        model,
        n: used.iter().map(|cell| cell.rows()).sum(),
        test: None,
        r_squared: None,
        adjusted_r_squared: None,
        r_squared_gain: None,
        adjusted_r_squared_gain: None,
        fit: None,
        smaller: None,
        coefficients: Vec::new(),
        note: impossible(metric, model, &used),
    };
    if line.note.is_some() {
        return line;
    }
    let Some((terms, solution)) = solve(metric, Predictors::of(model), &used) else { return line };
    let fit = solution.fit;
    line.r_squared = fit.r_squared();
    line.adjusted_r_squared = fit.adjusted_r_squared();
    let smaller =
        (model == Model::EpochByConditionOverEpoch).then(|| solve(metric, Predictors::Epoch, &used)).flatten();
    let test = match smaller {
        None => {
            line.coefficients = coefficients(terms, &solution);
            fit.f_test()
        }
        Some((_, Solution { fit: smaller, .. })) => {
            line.smaller = Some(smaller);
            line.r_squared_gain = difference(fit.r_squared(), smaller.r_squared());
            line.adjusted_r_squared_gain = difference(fit.adjusted_r_squared(), smaller.adjusted_r_squared());
            fit.f_test_against(&smaller)
        }
    };
    line.fit = Some(fit);
    line.note = test.err().map(|reason: Untestable| reason.to_string());
    line.test = test.ok();
    line
}

fn difference(larger: Option<f64>, smaller: Option<f64>) -> Option<f64> {
    Some(larger? - smaller?)
}

fn coefficients(terms: Vec<String>, solution: &Solution) -> Vec<Coefficient> {
    let of = |(term, found): (String, &Option<(f64, Option<f64>)>)| Coefficient {
        term,
        estimate: found.map(|(estimate, _)| estimate),
        test: found.and_then(|(estimate, error)| {
            Some(WaldT::new(estimate, error.filter(|error| *error > 0.0)?, solution.fit.df_residual() as f64))
        }),
    };
    terms.into_iter().zip(&solution.coefficients).map(of).collect()
}

/// Why the rows say nothing about the model, if so.
fn impossible(metric: usize, model: Model, cells: &[&CellRows]) -> Option<String> {
    if cells.is_empty() {
        return Some("there are no rows with true labels".to_string());
    }
    let levels = |level: fn(&CellRows) -> &str| cells.iter().map(|cell| level(cell)).collect::<BTreeSet<_>>().len();
    let conditions = || levels(|cell| &cell.condition);
    let first_epoch = cells.iter().map(|cell| cell.epochs().0).min();
    let one_epoch = || cells.iter().map(|cell| cell.epochs().1).max() == first_epoch;
    let by_condition = matches!(model, Model::Condition | Model::EpochByCondition | Model::EpochByConditionOverEpoch);
    let by_epoch = matches!(model, Model::Epoch | Model::EpochByCondition | Model::EpochByConditionOverEpoch);
    let lowest = cells[0].range(metric).0;
    let reason = match model {
        Model::DataSource if levels(|cell| &cell.source) < 2 => "the study has one data source only",
        Model::TrueOrShuffled if cells.iter().all(|cell| !cell.shuffled) => "there are no runs with shuffled labels",
        Model::TrueOrShuffled if cells.iter().all(|cell| cell.shuffled) => "there are no runs with true labels",
        _ if by_condition && conditions() < 2 => "there is one condition only",
        _ if by_epoch && one_epoch() => "there is one epoch only",
        _ if cells.iter().all(|cell| cell.range(metric) == (lowest, lowest)) => {
            return Some(Untestable::ConstantResponse.to_string());
        }
        _ => return None,
    };
    Some(reason.to_string())
}

/// The level of true labels. It must come before `shuffled`, so that it is the one that the other is compared with.
const TRUE_LABELS: &str = "labels as they are";

/// What a model's columns are made of.
#[derive(Debug, Clone, Copy)]
enum Predictors {
    /// A factor, its first level in the intercept.
    Factor(fn(&CellRows) -> &str),
    /// The epoch.
    Epoch,
    /// The epoch, a factor and their product.
    EpochByFactor(fn(&CellRows) -> &str),
}

impl Predictors {
    /// The model's (the larger one's, for a difference).
    fn of(model: Model) -> Predictors {
        match model {
            Model::DataSource => Predictors::Factor(|cell| &cell.source),
            Model::TrueOrShuffled => Predictors::Factor(|cell| if cell.shuffled { "shuffled" } else { TRUE_LABELS }),
            Model::Condition => Predictors::Factor(|cell| &cell.condition),
            Model::Epoch => Predictors::Epoch,
            Model::EpochByCondition | Model::EpochByConditionOverEpoch => {
                Predictors::EpochByFactor(|cell| &cell.condition)
            }
        }
    }
}

/// The names of the model's columns, and its solution.
fn solve(metric: usize, predictors: Predictors, cells: &[&CellRows]) -> Option<(Vec<String>, Solution)> {
    let (level_of, by_epoch): (fn(&CellRows) -> &str, bool) = match predictors {
        Predictors::Factor(level) => (level, false),
        Predictors::Epoch => (|_| "", true),
        Predictors::EpochByFactor(level) => (level, true),
    };
    let levels = ordered(cells.iter().map(|cell| level_of(cell)));
    let contrasts = &levels[1..];
    let first = if by_epoch { 2 } else { 1 };
    let columns = first + contrasts.len() * first;
    let rows: usize = cells.iter().map(|cell| cell.rows()).sum();
    let mean = cells.iter().map(|cell| cell.sum(metric)).sum::<f64>() / rows as f64;
    let mut problem = LeastSquares::new(columns, mean);
    let mut row = vec![0.0; columns];
    for cell in cells {
        let contrast = contrasts.iter().position(|level| *level == level_of(cell));
        for (constant, epoch, response) in cell.reduced(metric, mean) {
            row.fill(0.0);
            row[0] = constant;
            if by_epoch {
                row[1] = epoch;
            }
            if let Some(contrast) = contrast {
                row[first + contrast] = constant;
                if by_epoch {
                    row[first + contrasts.len() + contrast] = epoch;
                }
            }
            problem.add_reduced(&row, response);
        }
        problem.count(cell.rows());
    }
    let mut terms = vec!["(intercept)".to_string()];
    terms.extend(by_epoch.then(|| "epoch".to_string()));
    terms.extend(contrasts.iter().map(|level| (*level).to_string()));
    if by_epoch {
        terms.extend(contrasts.iter().map(|level| format!("epoch × {level}")));
    }
    Some((terms, problem.solve()?))
}
