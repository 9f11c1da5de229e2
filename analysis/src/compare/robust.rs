//! The paper's models once more, with standard errors that allow for any dependence between the epochs of a run (CR2).

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::model_rows::ModelRows;
use crate::aggregate::Group;
use crate::curve::metrics::Metric;
use crate::read::results::Cell;
use crate::stats::cluster_robust::RobustFit;
use crate::stats::design::{Design, Formula, Unfit};
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
    let mut asked: Vec<Asked> = Vec::new();
    for network in networks {
        let of_network: Vec<&Group> = groups.iter().filter(|group| group.model == network).collect();
        for metric in metrics {
            let mut ask = |groups: Vec<_>, models| asked.push(Asked { network, metric: *metric, groups, models });
            if of_network.len() > 1 {
                ask(of_network.clone(), &[Model::DataSource]);
            }
            for group in &of_network {
                ask(vec![*group], &[Model::TrueOrShuffled]);
                ask(vec![*group], &OF_CONDITIONS);
            }
        }
    }
    asked.par_iter().flat_map_iter(Asked::tests).collect()
}

/// The models that explain the rows with true labels of one data set.
const OF_CONDITIONS: [Model; 3] = [Model::Condition, Model::EpochByCondition, Model::EpochByConditionOverEpoch];

/// Models of the same rows.
struct Asked<'a> {
    network: &'a str,
    metric: Metric,
    groups: Vec<&'a Group<'a>>,
    models: &'static [Model],
}

impl Asked<'_> {
    fn tests(&self) -> Vec<RobustTest> {
        let cells = self.cells();
        let rows = ModelRows::new(&cells, self.metric);
        let design = Design::of(Formula::Mean, rows.iter());
        let data = (self.models[0] != Model::DataSource).then(|| self.groups[0].data.to_string());
        let test = |model: &Model| RobustTest {
            network: self.network.to_string(),
            metric: self.metric,
            data: data.clone(),
            explained_by: *model,
            rows: rows.count(),
            runs: rows.runs(),
            test: fit(*model, &design),
        };
        self.models.iter().map(test).collect()
    }

    /// The cells whose rows are looked at, and what each is compared as.
    fn cells(&self) -> Vec<(&Cell, &str)> {
        let mut cells = Vec::new();
        let explained_by = self.models[0];
        for group in &self.groups {
            for condition in &group.conditions {
                for (cell, labels) in [(condition.truth, "true"), (condition.control, "shuffled")] {
                    let level = match explained_by {
                        Model::TrueOrShuffled => labels,
                        _ if labels == "shuffled" => continue,
                        Model::DataSource => group.data,
                        _ => condition.name,
                    };
                    cells.extend(cell.map(|cell| (cell, level)));
                }
            }
        }
        cells
    }
}

fn fit(explained_by: Model, design: &Result<Design, Unfit>) -> Result<WaldF, String> {
    let (formula, smaller) = match explained_by {
        Model::DataSource | Model::TrueOrShuffled | Model::Condition => (Formula::Level, Formula::Mean),
        Model::Epoch => (Formula::Epoch, Formula::Mean),
        Model::EpochByCondition => (Formula::EpochByLevel, Formula::Mean),
        Model::EpochByConditionOverEpoch => (Formula::EpochByLevel, Formula::Epoch),
    };
    let design = design.as_ref().map_err(Unfit::to_string)?;
    let design = design.with_formula(formula).map_err(|unfit| unfit.to_string())?;
    if design.columns() > MOST_COEFFICIENTS {
        return Err(format!("more than {MOST_COEFFICIENTS} coefficients"));
    }
    RobustFit::new(&design).and_then(|fit| fit.test_against(smaller)).map_err(|unfit| unfit.to_string())
}
