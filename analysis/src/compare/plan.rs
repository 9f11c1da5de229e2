//! What the study's seeds can find, and how many seeds a difference needs, by the variance between its runs.

use super::outcome::{ConditionSamples, truths};
use crate::stats::planning::{Goal, Unplannable, detectable_difference, pooled_sd, seeds_for_difference};

/// The differences of two conditions' means that seeds are planned for: one, two, five and ten points of accuracy, or as many hundredths
/// of the sequence.
pub const DIFFERENCES: [f64; 4] = [0.01, 0.02, 0.05, 0.1];

/// The plan for one outcome.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Seeds for each condition, as the study has them.
    pub seeds: usize,
    /// The standard deviation between runs within conditions, pooled, or why there is none.
    pub sd: Result<f64, String>,
    /// For one test by itself, and, where there are several pairs, for one of them after Bonferroni's correction, which Holm's never
    /// falls behind.
    pub aims: Vec<Aim>,
}

/// What a test of a certain level can find.
#[derive(Debug, Clone)]
pub struct Aim {
    /// Tests that are corrected for.
    pub tests: usize,
    /// Level and power of one of them.
    pub goal: Goal,
    /// The smallest difference that the study's seeds find with that power, or why there is none.
    pub detectable: Result<f64, String>,
    /// For each of [`DIFFERENCES`], the seeds that it needs for each condition, or why there is no such number.
    pub needed: Vec<(f64, Result<usize, String>)>,
}

impl Plan {
    /// Plans for a study of `seeds` seeds that compares `pairs` pairs.
    pub(super) fn new(samples: &[ConditionSamples], seeds: usize, pairs: usize) -> Plan {
        let values: Vec<&[f64]> = truths(samples).map(|(_, sample)| &sample.values[..]).collect();
        let sd = pooled_sd(&values).map_err(|reason| match reason {
            Unplannable::TooFewSeeds => {
                "no condition has two runs with a value, so that their variance is unknown".to_string()
            }
            other => other.to_string(),
        });
        let mut corrected_for = vec![1];
        if pairs > 1 {
            corrected_for.push(pairs);
        }
        let aims = corrected_for.into_iter().map(|tests| Aim::new(tests, seeds, &sd)).collect();
        Plan { seeds, sd, aims }
    }
}

impl Aim {
    fn new(tests: usize, seeds: usize, sd: &Result<f64, String>) -> Aim {
        let goal = Goal { level: Goal::USUAL.level / tests as f64, power: Goal::USUAL.power };
        let detectable = sd
            .clone()
            .and_then(|sd| detectable_difference(seeds, seeds, sd, goal).map_err(|reason| reason.to_string()));
        let needed = DIFFERENCES.map(|difference| {
            let seeds = sd
                .clone()
                .and_then(|sd| seeds_for_difference(difference, sd, goal).map_err(|reason| reason.to_string()));
            (difference, seeds)
        });
        Aim { tests, goal, detectable, needed: needed.to_vec() }
    }
}
