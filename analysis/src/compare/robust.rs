//! The paper's models once more, with standard errors that allow for any dependence between the epochs of a run (CR2).

use std::collections::BTreeSet;

use rayon::prelude::*;

use crate::aggregate::Group;
use crate::curve::metrics::Metric;
use crate::read::results::Cell;
use crate::stats::cluster_robust::RobustFit;
use crate::stats::design::{Design, Formula, Row};
use crate::stats::paper_table::Model;
use crate::stats::wald::WaldF;

/// Rows of a model at most; more take minutes.
pub const MOST_ROWS: usize = 2_000_000;

/// Coefficients of a model at most, those of thirty conditions with a slope each: the joint test's memory grows with their fourth power and
/// is 100 MB there.
pub const MOST_COEFFICIENTS: usize = 60;

/// One line of the paper's table, tested by run.
#[derive(Debug)]
pub struct RobustTest {
    /// The network.
    pub network: String,
    /// The metric that is explained.
    pub metric: Metric,
    /// The data set; `None` for the comparison of data sets.
    pub data: Option<String>,
    /// What explains it.
    pub explained_by: Model,
    /// Rows (run × epoch).
    pub rows: usize,
    /// Runs.
    pub runs: usize,
    /// The joint test of all coefficients that the model adds, or why there is none.
    pub test: Result<WaldF, String>,
}

/// Tests the lines of the paper's table for every network, in its order.
pub(super) fn tests(groups: &[Group<'_>], metrics: &[Metric]) -> Vec<RobustTest> {
    let networks: BTreeSet<&str> = groups.iter().map(|group| group.model).collect();
    let mut asked = Vec::new();
    for network in networks {
        let of_network: Vec<&Group> = groups.iter().filter(|group| group.model == network).collect();
        for metric in metrics {
            if of_network.len() > 1 {
                asked.push((network, *metric, Model::DataSource, of_network.clone()));
            }
            for group in &of_network {
                asked.extend(WITHIN_DATA.map(|model| (network, *metric, model, vec![*group])));
            }
        }
    }
    asked.into_par_iter().map(|(network, metric, model, groups)| test(network, metric, model, &groups)).collect()
}

const WITHIN_DATA: [Model; 4] =
    [Model::TrueOrShuffled, Model::Condition, Model::EpochByCondition, Model::EpochByConditionOverEpoch];

fn test(network: &str, metric: Metric, explained_by: Model, groups: &[&Group<'_>]) -> RobustTest {
    let mut rows = Vec::new();
    let mut runs = 0;
    for group in groups {
        for condition in &group.conditions {
            for (cell, shuffled) in [(condition.truth, false), (condition.control, true)] {
                if shuffled && explained_by != Model::TrueOrShuffled {
                    continue;
                }
                let level = match explained_by {
                    Model::DataSource => group.data,
                    Model::TrueOrShuffled => {
                        if shuffled {
                            "shuffled"
                        } else {
                            "true"
                        }
                    }
                    _ => condition.name,
                };
                runs += cell.map_or(0, |cell| add_rows(cell, level, metric, &mut rows));
            }
        }
    }
    let data = (explained_by != Model::DataSource).then(|| groups[0].data.to_string());
    RobustTest {
        network: network.to_string(),
        metric,
        data,
        explained_by,
        rows: rows.len(),
        runs,
        test: fit(explained_by, &rows),
    }
}

/// Adds the epochs of a cell's runs; gives how many runs have any.
fn add_rows<'a>(cell: &'a Cell, level: &'a str, metric: Metric, rows: &mut Vec<Row<'a>>) -> usize {
    let mut runs = 0;
    for run in &cell.runs {
        let before = rows.len();
        rows.extend(run.epochs.iter().zip(1_u32..).filter_map(|(epoch, number)| {
            Some(Row { run: &run.run, level, epoch: f64::from(number), value: epoch.metrics.ok()?.get(metric) })
        }));
        runs += usize::from(rows.len() > before);
    }
    runs
}

fn fit(explained_by: Model, rows: &[Row<'_>]) -> Result<WaldF, String> {
    if rows.len() > MOST_ROWS {
        return Err(format!("more than {MOST_ROWS} rows"));
    }
    let (formula, smaller) = match explained_by {
        Model::DataSource | Model::TrueOrShuffled | Model::Condition => (Formula::Level, Formula::Mean),
        Model::Epoch => (Formula::Epoch, Formula::Mean),
        Model::EpochByCondition => (Formula::EpochByLevel, Formula::Mean),
        Model::EpochByConditionOverEpoch => (Formula::EpochByLevel, Formula::Epoch),
    };
    let design = Design::new(formula, rows).map_err(|unfit| unfit.to_string())?;
    if design.columns() > MOST_COEFFICIENTS {
        return Err(format!("more than {MOST_COEFFICIENTS} coefficients"));
    }
    RobustFit::new(&design).and_then(|fit| fit.test_against(smaller)).map_err(|unfit| unfit.to_string())
}
