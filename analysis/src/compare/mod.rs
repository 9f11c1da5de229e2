//! The comparisons of a study's runs: what its `[analysis]` part asks for, answered for every data set and model.
//!
//! The unit is the run. Its epochs are repeated measures, so that each run is reduced to one number for each metric (its value after
//! the last epoch, or the area under its epoch curve) before conditions are compared; the mixed model alone looks at all epochs.
//! Where there is no answer there is a sentence why.
//!
//! - [`outcome`]: a run's one number, and the runs of each condition that have it
//! - [`omnibus`]: do the conditions differ at all
//! - [`contrast`]: two samples of runs: effect sizes, then Welch's test
//! - [`pairs`]: conditions against one another
//! - [`controls`]: true labels against shuffled ones
//! - [`family`]: p-values corrected together
//! - [`by_epoch`]: the mixed model over all epochs; [`robust`]: the paper's models with errors that allow for dependence within runs
//! - [`over_map`]: whole maps, by the cluster-based permutation test
//! - [`aggregates`]: all runs of a data set in one number and one profile
//! - [`plan`]: what the seeds can find, and how many are needed
//! - `model_rows`: the epochs of runs as the rows of a model
//! - `reason`: why there is no value, with the conditions' names

pub mod aggregates;
pub mod by_epoch;
pub mod contrast;
pub mod controls;
pub mod family;
mod model_rows;
pub mod omnibus;
pub mod outcome;
pub mod over_map;
pub mod pairs;
pub mod plan;
mod reason;
pub mod robust;

use curvefleet_proto::study::{Analysis, AnalysisKey};
use rayon::prelude::*;

use crate::aggregate::{Group, groups_of};
use crate::curve::metrics::Metric;
use crate::read::kept::RunMaps;
use crate::read::results::{Cell, Results};
use crate::report::page_numbers::percent;
use crate::stats::random::Resampling;
use aggregates::Aggregate;
use by_epoch::EpochModel;
use controls::Control;
use omnibus::Omnibus;
use outcome::{ConditionSamples, Outcome, RunSummary, samples};
use over_map::MapTests;
use pairs::Pair;
use plan::Plan;
use robust::RobustTest;

/// All comparisons of a study.
#[derive(Debug)]
pub struct Comparisons {
    /// One for each data set, model, metric and summary of a run, in this order.
    pub outcomes: Vec<OutcomeComparisons>,
    /// One for each data set, model and metric.
    pub models: Vec<EpochModel>,
    /// The paper's models with cluster-robust errors.
    pub robust: Vec<RobustTest>,
    /// Whole maps compared, for each data set and model.
    pub maps: Vec<MapTests>,
    /// All runs of a data set and model together, for each metric.
    pub aggregates: Vec<Aggregate>,
    /// How far intervals reach, as text: `95%`.
    pub level: String,
}

/// The comparisons of one number per run.
#[derive(Debug)]
pub struct OutcomeComparisons {
    /// The number.
    pub outcome: Outcome,
    /// Do the conditions differ.
    pub omnibus: Omnibus,
    /// Conditions against one another.
    pub pairs: Vec<Pair>,
    /// True against shuffled labels.
    pub controls: Vec<Control>,
    /// What the seeds can find.
    pub plan: Plan,
}

/// Whether a test stood in the study file before the first run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It rests on a key that the author wrote down.
    Declared,
    /// It rests on a default.
    Added,
}

impl Origin {
    /// The origin of what rests on a key.
    pub fn of(analysis: &Analysis, key: AnalysisKey) -> Origin {
        if analysis.declared.contains(&key) { Origin::Declared } else { Origin::Added }
    }

    /// The origin in tables.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Declared => "declared",
            Origin::Added => "added",
        }
    }
}

/// Compares the runs of a study as its `[analysis]` part says.
pub fn compare(results: &Results) -> Comparisons {
    let study = &results.stored.study;
    compare_cells(&results.cells, &study.analysis, study.seeds.len(), results.run_maps)
}

/// Compares the runs of some cells. `seeds` is how many runs each cell was to have; `run_maps` says whether their maps are there.
pub fn compare_cells(cells: &[Cell], analysis: &Analysis, seeds: usize, run_maps: RunMaps) -> Comparisons {
    let metrics: Vec<Metric> = analysis.metrics.iter().map(|metric| Metric::from(*metric)).collect();
    let groups = groups_of(cells);
    let with_metric: Vec<(&Group, Metric)> =
        groups.iter().flat_map(|group| metrics.iter().map(move |metric| (group, *metric))).collect();
    let asked: Vec<(&Group, Metric, RunSummary)> = with_metric
        .iter()
        .flat_map(|(group, metric)| RunSummary::ALL.map(|summary| (*group, *metric, summary)))
        .collect();
    let mut outcomes: Vec<OutcomeComparisons> = asked
        .par_iter()
        .map(|(group, metric, summary)| compare_outcome(analysis, seeds, group, *metric, *summary))
        .collect();
    family::correct(analysis, &mut outcomes);
    let models = with_metric.par_iter().map(|(group, metric)| EpochModel::fit(group, *metric)).collect();
    let maps = groups.iter().map(|group| MapTests::new(group, analysis, run_maps)).collect();
    let aggregates = with_metric.par_iter().map(|(group, metric)| Aggregate::new(group, *metric, analysis)).collect();
    let level = percent(analysis.interval_level);
    Comparisons { outcomes, models, robust: robust::tests(&groups, &metrics), maps, aggregates, level }
}

fn compare_outcome(
    analysis: &Analysis,
    seeds: usize,
    group: &Group<'_>,
    metric: Metric,
    summary: RunSummary,
) -> OutcomeComparisons {
    let outcome = Outcome { data: group.data.to_string(), model: group.model.to_string(), metric, summary };
    let samples: Vec<ConditionSamples> = samples(group, metric, summary);
    let level = analysis.interval_level;
    let resampling = Resampling { seed: analysis.seed, resamples: analysis.resamples as usize };
    let pairs = pairs::compare(&samples, &analysis.comparisons, &outcome, level, &resampling);
    let plan = Plan::new(&samples, seeds, pairs.len());
    OutcomeComparisons {
        omnibus: Omnibus::new(&samples, level),
        controls: controls::compare(&samples, &outcome, level, &resampling),
        pairs,
        plan,
        outcome,
    }
}
