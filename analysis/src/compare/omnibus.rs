//! Do the conditions with true labels differ at all: shares of variance explained, then the tests.

use super::outcome::{ConditionSamples, comparable, truths};
use super::reason::{reason, runs_with_value};
use crate::stats::anova::{Anova, Centre, levene, welch};
use crate::stats::effect_size::explained::{Explained, explained};
use crate::stats::ranks::{KruskalWallis, kruskal_wallis};
use crate::stats::undefined::Undefined;

/// Effect sizes and tests of all conditions at once, each with a reason where there is none.
#[derive(Debug, Clone)]
pub struct Omnibus {
    /// Conditions that are compared.
    pub conditions: usize,
    /// Their runs.
    pub runs: usize,
    /// The conditions and runs that are not, in a sentence.
    pub left_out: Option<String>,
    /// η², ω² and ε² with intervals.
    pub explained: Result<Explained, String>,
    /// Welch's analysis of variance.
    pub welch: Result<Anova, String>,
    /// The same question asked of ranks.
    pub kruskal_wallis: Result<KruskalWallis, String>,
    /// Levene's test of the variances, around medians.
    pub levene: Result<Anova, String>,
}

impl Omnibus {
    /// Compares the conditions that have two runs or more.
    pub(super) fn new(samples: &[ConditionSamples], level: f64) -> Omnibus {
        let compared = comparable(samples);
        let names: Vec<&str> = compared.iter().map(|(name, _)| *name).collect();
        let values: Vec<&[f64]> = compared.iter().map(|(_, values)| *values).collect();
        let why = |undefined| match undefined {
            Undefined::OneGroup => "fewer than two conditions have two runs with a value".to_string(),
            other => reason(other, &names),
        };
        Omnibus {
            conditions: compared.len(),
            runs: values.iter().map(|values| values.len()).sum(),
            left_out: left_out(samples),
            explained: explained(&values, level).map_err(why),
            welch: welch(&values).map_err(why),
            kruskal_wallis: kruskal_wallis(&values).map_err(why),
            levene: levene(&values, Centre::Median).map_err(why),
        }
    }
}

impl Omnibus {
    /// Every reason for a missing value, each once, and what was left out.
    pub fn reasons(&self) -> Vec<&str> {
        let tests = [self.explained.as_ref().err(), self.welch.as_ref().err()];
        let beside = [self.kruskal_wallis.as_ref().err(), self.levene.as_ref().err(), self.left_out.as_ref()];
        let mut reasons: Vec<&str> = Vec::new();
        for reason in tests.into_iter().chain(beside).flatten() {
            if !reasons.contains(&reason.as_str()) {
                reasons.push(reason);
            }
        }
        reasons
    }
}

/// What the comparison had to leave out.
fn left_out(samples: &[ConditionSamples]) -> Option<String> {
    let mut left: Vec<String> = truths(samples)
        .filter(|(_, sample)| sample.values.len() < 2)
        .map(|(name, sample)| format!("{name} ({})", runs_with_value(sample.values.len())))
        .collect();
    let without: usize =
        truths(samples).filter(|(_, sample)| sample.values.len() > 1).map(|(_, sample)| sample.without).sum();
    match without {
        0 => {}
        1 => left.push("1 run of the others that has no value".to_string()),
        _ => left.push(format!("{without} runs of the others that have no value")),
    }
    (!left.is_empty()).then(|| format!("left out: {}", left.join(", ")))
}
