//! True labels against shuffled ones: the probe's chance level, and what true labels add to it.

use rayon::prelude::*;

use super::contrast::Contrast;
use super::outcome::{ConditionSamples, Outcome};
use super::reason::reason;
use crate::stats::permutation::{PermutationTest, Statistic, permutation_test};
use crate::stats::random::Resampling;

/// One condition against its shuffled control.
///
/// The control's mean is the probe's chance level, and the difference its selectivity (Hewitt and Liang 2019): what the probe reads from
/// states that learned something, beyond what it can do by itself.
#[derive(Debug, Clone)]
pub struct Control {
    /// The condition.
    pub condition: String,
    /// Effect sizes and Welch's test, true labels first.
    pub contrast: Contrast,
    /// The permutation test of the difference of means over runs.
    pub permutation: Result<PermutationTest, String>,
}

/// Compares every condition that is run with true labels.
pub(super) fn compare(
    samples: &[ConditionSamples],
    outcome: &Outcome,
    level: f64,
    resampling: &Resampling,
) -> Vec<Control> {
    let compare = |found: &ConditionSamples| {
        let truth = found.truth.as_ref()?;
        let condition = &found.condition;
        let names = [format!("{condition} with true labels"), format!("{condition} with shuffled labels")];
        let names = [names[0].as_str(), names[1].as_str()];
        let values = (&truth.values[..], &found.control.values[..]);
        let stream = outcome.stream(&["control", condition]);
        let permuted = outcome.stream(&["permutation", condition]);
        let permutation = permutation_test(&[values.0, values.1], Statistic::Means, resampling, &permuted);
        Some(Control {
            condition: condition.clone(),
            contrast: Contrast::new(values, names, level, resampling, &stream),
            permutation: permutation.map_err(|undefined| reason(undefined, &names)),
        })
    };
    samples.par_iter().filter_map(compare).collect()
}
