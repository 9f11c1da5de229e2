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
    let (a, b, places) = places(a, b);
    let of_places = |groups: &[Vec<f64>]| superiority_of_places(&groups[0], &groups[1], places);
    let resamples = Resamples::stratified(&[&a, &b], resampling, name, of_places)?;
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

/// Both groups with each value replaced by its place from 0 among the distinct values, and how many those are.
fn places(a: &[f64], b: &[f64]) -> (Vec<f64>, Vec<f64>, usize) {
    let mut distinct = [a, b].concat();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    let of = |group: &[f64]| {
        group.iter().map(|value| distinct.partition_point(|other| other < value) as f64).collect::<Vec<f64>>()
    };
    (of(a), of(b), distinct.len())
}

/// [`probability_of_superiority`] of places below `places`: one pass over them in place of one over all pairs, with the same result,
/// since sums of halves are exact.
fn superiority_of_places(a: &[f64], b: &[f64], places: usize) -> f64 {
    let mut counts = vec![(0.0, 0.0); places];
    a.iter().for_each(|place| counts[*place as usize].0 += 1.0);
    b.iter().for_each(|place| counts[*place as usize].1 += 1.0);
    let (mut below, mut wins) = (0.0, 0.0);
    for (of_a, of_b) in counts {
        wins += of_a * (below + 0.5 * of_b);
        below += of_b;
    }
    wins / (a.len() * b.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_give_the_probability_of_the_values() {
        let (a, b) = ([0.5, 0.75, 0.75, 0.125, 0.0], [0.75, 0.25, -0.0, 0.5]);
        let (of_a, of_b, count) = places(&a, &b);
        assert_eq!(count, 5);
        assert_eq!(superiority_of_places(&of_a, &of_b, count), probability_of_superiority(&a, &b));
    }
}
