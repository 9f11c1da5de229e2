//! The mixed model over all epochs: metric ~ epoch × condition + (1 | run), for the runs with true labels.

use super::model_rows::ModelRows;
use crate::aggregate::Group;
use crate::curve::metrics::Metric;
use crate::read::results::Cell;
use crate::stats::design::{Design, Formula, Unfit};
use crate::stats::mixed::{LikelihoodRatio, Method, MixedFit, TermTest, likelihood_ratio};

/// The model of one metric in one data set and model.
#[derive(Debug)]
pub struct EpochModel {
    /// The data set.
    pub data: String,
    /// The model.
    pub model: String,
    /// The metric.
    pub metric: Metric,
    /// Rows, one for each run and epoch with metrics.
    pub rows: usize,
    /// Runs with a row.
    pub runs: usize,
    /// The fit, or why there is none.
    pub fit: Result<Fit, String>,
}

/// A fit by restricted maximum likelihood.
#[derive(Debug)]
pub struct Fit {
    /// The tests of type III, with Satterthwaite's degrees of freedom. The conditions are compared where epoch is 0.
    pub terms: Vec<TermTest>,
    /// The variance of the runs' intercepts.
    pub run_variance: f64,
    /// The variance of the residuals.
    pub residual_variance: f64,
    /// The share of the variance that lies between runs.
    pub intraclass_correlation: f64,
    /// Likelihood-ratio tests of models fitted by maximum likelihood, or why there is one missing.
    pub likelihood_ratios: Vec<(Nested, Result<LikelihoodRatio, String>)>,
}

/// Two nested models that are compared by their likelihoods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nested {
    /// epoch × condition over epoch + condition: do the conditions' slopes differ.
    Interaction,
    /// epoch + condition over epoch: do the conditions' heights differ.
    Conditions,
}

impl Nested {
    /// What is compared, in words.
    pub fn words(self) -> &'static str {
        match self {
            Nested::Interaction => "epoch × condition over epoch + condition",
            Nested::Conditions => "epoch + condition over epoch",
        }
    }
}

impl EpochModel {
    /// Fits the model.
    pub(super) fn fit(group: &Group<'_>, metric: Metric) -> EpochModel {
        let truths = group.conditions.iter().filter_map(|found| Some((found.truth?, found.name)));
        let cells = truths.collect::<Vec<(&Cell, &str)>>();
        let rows = ModelRows::new(&cells, metric);
        EpochModel {
            data: group.data.to_string(),
            model: group.model.to_string(),
            metric,
            rows: rows.count(),
            runs: rows.runs(),
            fit: fit(&rows).map_err(|unfit| unfit.to_string()),
        }
    }
}

fn fit(rows: &ModelRows<'_>) -> Result<Fit, Unfit> {
    let design = Design::of(Formula::EpochByLevel, rows.iter())?;
    let fitted = MixedFit::new(&design, Method::Reml)?;
    Ok(Fit {
        terms: fitted.term_tests()?,
        run_variance: fitted.run_variance,
        residual_variance: fitted.residual_variance,
        intraclass_correlation: fitted.intraclass_correlation(),
        likelihood_ratios: likelihood_ratios(&design),
    })
}

fn likelihood_ratios(design: &Design) -> Vec<(Nested, Result<LikelihoodRatio, String>)> {
    let fit = |formula| -> Result<MixedFit, String> {
        let design = design.with_formula(formula).map_err(|unfit| unfit.to_string())?;
        MixedFit::new(&design, Method::Ml).map_err(|unfit| unfit.to_string())
    };
    let (full, parallel, epoch) = (fit(Formula::EpochByLevel), fit(Formula::EpochAndLevel), fit(Formula::Epoch));
    let compare = |larger: &Result<MixedFit, String>, smaller: &Result<MixedFit, String>| {
        let (larger, smaller) = (larger.as_ref().map_err(String::clone)?, smaller.as_ref().map_err(String::clone)?);
        likelihood_ratio(larger, smaller).map_err(|incomparable| incomparable.to_string())
    };
    vec![(Nested::Interaction, compare(&full, &parallel)), (Nested::Conditions, compare(&parallel, &epoch))]
}
