//! Dominance: how often a value of one group exceeds one of another, whatever the distributions.

use crate::stats::bootstrap::{Interval, Resamples};
use crate::stats::groups::check;
use crate::stats::random::Resampling;
use crate::stats::undefined::Undefined;

use super::Effect;

/// How one group dominates another.
#[derive(Debug, Clone, PartialEq)]
pub struct Dominance {
    /// The common-language effect size P(A > B) + P(A = B) / 2 (McGraw and Wong 1992; Vargha and Delaney 2000).
    pub probability: f64,
    /// Its BCa bootstrap interval, each group resampled by itself; or why there is none.
    pub interval: Result<(f64, f64), Undefined>,
}

impl Dominance {
    /// The rank-biserial correlation 2 P − 1, which is Cliff's δ.
    pub fn rank_biserial(&self) -> f64 {
        2.0 * self.probability - 1.0
    }

    /// [`Dominance::rank_biserial`] with its interval.
    ///
    /// # Errors
    /// Why there is no interval.
    pub fn rank_biserial_effect(&self) -> Result<Effect, Undefined> {
        let (low, high) = self.interval?;
        Ok(Effect { estimate: self.rank_biserial(), interval: (2.0 * low - 1.0, 2.0 * high - 1.0) })
    }
}

/// The dominance of `a` over `b`, with an interval at `level` from the random streams called `name`.
///
/// # Errors
/// If a group has fewer than two values or one that is not finite.
pub fn dominance(
    a: &[f64],
    b: &[f64],
    level: f64,
    resampling: &Resampling,
    name: &str,
) -> Result<Dominance, Undefined> {
    check(&[a, b], 2)?;
    let probability = probability_of_superiority(a, b);
    let resamples =
        Resamples::stratified(&[a, b], resampling, name, |groups| probability_of_superiority(&groups[0], &groups[1]))?;
    Ok(Dominance { probability, interval: resamples.interval(Interval::Bca, level) })
}

/// P(A > B) + P(A = B) / 2 over all pairs of two groups that are not empty.
pub fn probability_of_superiority(a: &[f64], b: &[f64]) -> f64 {
    let wins: f64 = a
        .iter()
        .map(|x| b.iter().map(|y| f64::from(u8::from(x > y)) + 0.5 * f64::from(u8::from(x == y))).sum::<f64>())
        .sum();
    wins / (a.len() * b.len()) as f64
}
