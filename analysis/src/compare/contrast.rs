//! Two samples of runs: how large the difference is, then Welch's test of it.

use super::reason::reason;
use crate::stats::effect_size::Effect;
use crate::stats::effect_size::difference::standardised_difference;
use crate::stats::effect_size::dominance::{Dominance, Method, dominance};
use crate::stats::random::Resampling;
use crate::stats::summary::Summary;
use crate::stats::t_test::{TTest, welch_t};
use crate::stats::tails::Tail;

/// A comparison of two samples, each part with a reason where there is none.
#[derive(Debug, Clone)]
pub struct Contrast {
    /// The first sample's moments, if it has runs.
    pub first: Option<Summary>,
    /// The second's.
    pub second: Option<Summary>,
    /// Hedges' g with its interval.
    pub hedges_g: Result<Effect, String>,
    /// P(first > second), ties counting one half.
    pub probability: Result<f64, String>,
    /// Its interval.
    pub probability_interval: Result<(f64, f64), String>,
    /// Where that interval comes from.
    pub probability_method: Method,
    /// Welch's test of the difference of means.
    pub welch: Result<TTest, String>,
    /// Its p-value corrected within its family, where it has one.
    pub corrected: Option<Tail>,
    /// How many tests that family has.
    pub family_size: usize,
}

impl Contrast {
    /// Compares two samples called `names`, with intervals at `level`. `stream` names the random streams.
    pub(super) fn new(
        (a, b): (&[f64], &[f64]),
        names: [&str; 2],
        level: f64,
        resampling: &Resampling,
        stream: &str,
    ) -> Contrast {
        let why = |undefined| reason(undefined, &names);
        let found = dominance(a, b, level, resampling, stream).map_err(why);
        let interval_of =
            |found: &Dominance| found.interval.map_err(|undefined| format!("P(A > B) has no interval: {undefined}"));
        Contrast {
            first: Summary::of(a),
            second: Summary::of(b),
            hedges_g: standardised_difference(a, b, level).map(|found| found.hedges_g).map_err(why),
            probability_interval: found.as_ref().map_err(String::clone).and_then(interval_of),
            probability_method: Method::of(a.len() + b.len(), resampling),
            probability: found.map(|found| found.probability),
            welch: welch_t(a, b).map_err(why),
            corrected: None,
            family_size: 0,
        }
    }

    /// First mean less second, where both samples have runs.
    pub fn difference(&self) -> Option<f64> {
        Some(self.first?.mean - self.second?.mean)
    }

    /// Every reason for a missing value, each once.
    pub fn reasons(&self) -> Vec<&str> {
        let effects = [self.hedges_g.as_ref().err(), self.probability.as_ref().err()];
        let all = effects.into_iter().chain([self.welch.as_ref().err(), self.probability_interval.as_ref().err()]);
        let mut reasons: Vec<&str> = Vec::new();
        for reason in all.flatten() {
            if !reasons.contains(&reason.as_str()) {
                reasons.push(reason);
            }
        }
        reasons
    }
}
