//! The paper's models once more, with standard errors that allow for any dependence between the epochs of a run (CR2).

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::model_rows::ModelRows;
use crate::aggregate::Group;
use crate::curve::metrics::Metric;
use crate::read::results::Cell;
use crate::stats::cluster_robust::RobustFit;
use crate::stats::design::{Design, Formula};
use crate::stats::paper_table::Model;
use crate::stats::wald::WaldF;

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
    let mut cells: Vec<(&Cell, &str)> = Vec::new();
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
                cells.extend(cell.map(|cell| (cell, level)));
            }
        }
    }
    let rows = ModelRows::new(&cells, metric);
    let data = (explained_by != Model::DataSource).then(|| groups[0].data.to_string());
    RobustTest {
        network: network.to_string(),
        metric,
        data,
        explained_by,
        rows: rows.count(),
        runs: rows.runs(),
        test: fit(explained_by, &rows),
    }
}

fn fit(explained_by: Model, rows: &ModelRows<'_>) -> Result<WaldF, String> {
    let (formula, smaller) = match explained_by {
        Model::DataSource | Model::TrueOrShuffled | Model::Condition => (Formula::Level, Formula::Mean),
        Model::Epoch => (Formula::Epoch, Formula::Mean),
        Model::EpochByCondition => (Formula::EpochByLevel, Formula::Mean),
        Model::EpochByConditionOverEpoch => (Formula::EpochByLevel, Formula::Epoch),
    };
    let design = Design::of(formula, rows.iter()).map_err(|unfit| unfit.to_string())?;
    if design.columns() > MOST_COEFFICIENTS {
        return Err(format!("more than {MOST_COEFFICIENTS} coefficients"));
    }
    RobustFit::new(&design).and_then(|fit| fit.test_against(smaller)).map_err(|unfit| unfit.to_string())
}
