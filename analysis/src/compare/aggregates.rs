//! All runs of a data set and model in one number and one profile that a few odd runs cannot move (Agarwal et al. 2021): the
//! interquartile mean, and the share of runs above every threshold. Every condition weighs the same in the resamples.

use curvefleet_proto::study::Analysis;

use super::outcome::{Outcome, RunSummary, samples};
use super::reason::reason;
use crate::aggregate::Group;
use crate::curve::metrics::Metric;
use crate::stats::bootstrap::Interval;
use crate::stats::random::Resampling;
use crate::stats::robust::{ProfilePoint, interquartile_mean_resampled, performance_profile};
use crate::stats::undefined::Undefined;

/// Thresholds of a profile, over all values that a metric can have.
pub const THRESHOLDS: usize = 41;
/// Runs times resamples at most, as long as there are [`FEWEST_RESAMPLES`].
const MOST_DRAWS: usize = 50_000_000;
/// Resamples at least, where the study asks for as many: what the ends of a 95% interval rest on.
const FEWEST_RESAMPLES: usize = 1000;

/// One metric after the last epoch, over all runs of a data set and model.
#[derive(Debug)]
pub struct Aggregate {
    /// Data set, model, metric and summary.
    pub outcome: Outcome,
    /// The runs with true labels.
    pub truth: Side,
    /// The runs with shuffled ones.
    pub shuffled: Side,
}

/// The runs with one kind of labels.
#[derive(Debug)]
pub struct Side {
    /// Conditions that have runs with a value.
    pub conditions: usize,
    /// Their runs with a value.
    pub runs: usize,
    /// How often they were resampled: as often as the study asks, or less often where the runs are very many.
    pub resamples: usize,
    /// The interquartile mean and its interval, or why there is none.
    pub interquartile_mean: Result<(f64, (f64, f64)), String>,
    /// The share of runs above every threshold, or why there is none.
    pub profile: Result<Vec<ProfilePoint>, String>,
}

impl Aggregate {
    /// Both sides of a group.
    pub(super) fn new(group: &Group<'_>, metric: Metric, analysis: &Analysis) -> Aggregate {
        let outcome = Outcome {
            data: group.data.to_string(),
            model: group.model.to_string(),
            metric,
            summary: RunSummary::Final,
        };
        let samples = samples(group, metric, RunSummary::Final);
        let with_values = |values: Option<(String, Vec<f64>)>| values.filter(|(_, values)| !values.is_empty());
        let side = |name: &str, of: Vec<(String, Vec<f64>)>| Side::new(&outcome, name, &of, analysis);
        let truths = samples
            .iter()
            .filter_map(|found| with_values(Some((found.condition.clone(), found.truth.as_ref()?.values.clone()))));
        let controls = samples
            .iter()
            .filter_map(|found| with_values(Some((found.condition.clone(), found.control.values.clone()))));
        Aggregate { truth: side("true", truths.collect()), shuffled: side("shuffled", controls.collect()), outcome }
    }
}

impl Side {
    fn new(outcome: &Outcome, name: &str, conditions: &[(String, Vec<f64>)], analysis: &Analysis) -> Side {
        let names: Vec<&str> = conditions.iter().map(|(name, _)| name.as_str()).collect();
        let values: Vec<&[f64]> = conditions.iter().map(|(_, values)| values.as_slice()).collect();
        let runs = values.iter().map(|values| values.len()).sum();
        let found = Side { conditions: conditions.len(), runs, ..Side::none("") };
        if runs == 0 {
            return Side { ..Side::none(&format!("there are no runs with {name} labels")) };
        }
        let resamples = (analysis.resamples as usize).min((MOST_DRAWS / runs).max(FEWEST_RESAMPLES));
        let found = Side { resamples, ..found };
        let resampling = Resampling { seed: analysis.seed, resamples };
        let level = analysis.interval_level;
        let why = |undefined: Undefined| reason(undefined, &names);
        let mean = interquartile_mean_resampled(&values, &resampling, &outcome.stream(&["interquartile mean", name]));
        let interquartile_mean = mean.and_then(|resamples| {
            // Runs that all have the middle value leave nothing that varies, and then the interval is that value.
            match resamples.interval(Interval::Bca, level) {
                Err(Undefined::ConstantResamples) => {
                    Ok((resamples.estimate(), (resamples.estimate(), resamples.estimate())))
                }
                Err(Undefined::EstimateOutsideResamples) => {
                    Ok((resamples.estimate(), resamples.interval(Interval::Percentile, level)?))
                }
                interval => Ok((resamples.estimate(), interval?)),
            }
        });
        let stream = outcome.stream(&["performance profile", name]);
        let profile = performance_profile(&values, &thresholds(outcome.metric), level, &resampling, &stream);
        Side { interquartile_mean: interquartile_mean.map_err(why), profile: profile.map_err(why), ..found }
    }

    fn none(reason: &str) -> Side {
        let reason = reason.to_string();
        Side { conditions: 0, runs: 0, resamples: 0, interquartile_mean: Err(reason.clone()), profile: Err(reason) }
    }
}

/// Even thresholds over the values that a metric can have.
pub fn thresholds(metric: Metric) -> Vec<f64> {
    let (low, high) = if metric == Metric::EndMinusStart { (-1.0, 1.0) } else { (0.0, 1.0) };
    let last = (THRESHOLDS - 1) as f64;
    // Rounded, so that 0.7 is the 0.7 that a run's accuracy is compared with.
    (0..THRESHOLDS).map(|place| ((low + (high - low) * place as f64 / last) * 1e9).round() / 1e9).collect()
}
