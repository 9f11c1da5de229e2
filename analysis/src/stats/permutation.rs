//! Permutation tests over runs: if the groups did not differ, any run could have been in any of them.
//!
//! Where the arrangements are few, all are looked at and p is exact; else some are drawn, and p = (b + 1) / (m + 1), with b of m
//! drawn arrangements at least as extreme as the observed one, which never claims less than it can know (Phipson and Smyth 2010).

use rayon::prelude::*;

use super::groups::check;
use super::random::{Resampling, Streams};
use super::tails::Tail;
use super::undefined::Undefined;

/// At most so many arrangements are looked at one by one; ten runs against ten have 184,756.
pub const EXACT_ARRANGEMENTS: u64 = 200_000;
/// Arrangements that one thread draws in a row at least.
const MIN_DRAWS: usize = 64;
/// Statistics that differ by less than this share of the observed one are the same number but for rounding.
const SAME: f64 = 1e-10;

/// What is permuted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    /// Σ n (group mean − mean)², which orders arrangements as F does, and for two groups as the difference of means. Exact where the
    /// groups' distributions are equal.
    Means,
    /// Welch's statistic, weighing groups by their own variances: holds for equal means in large groups even where variances and
    /// sizes differ (Janssen 1997; Chung and Romano 2013).
    Welch,
}

/// A permutation test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PermutationTest {
    /// The p-value, two-sided where there are two groups.
    pub p: Tail,
    /// How many arrangements were looked at, the observed one included.
    pub arrangements: u64,
    /// Whether they are all there are.
    pub exact: bool,
}

/// Tests that all groups have the same distribution, from the random streams called `name` where arrangements are drawn.
///
/// # Errors
/// With fewer than two groups, a group of fewer than two values, a value that is not finite, if all values are equal, or if
/// arrangements must be drawn and `resampling` draws none.
pub fn permutation_test(
    groups: &[&[f64]],
    statistic: Statistic,
    resampling: &Resampling,
    name: &str,
) -> Result<PermutationTest, Undefined> {
    check(groups, 2)?;
    let sizes: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let values = centred(groups)?;
    let observed = statistic.of(&values, &sizes);
    let threshold = if observed.is_finite() { observed - SAME * observed } else { observed };
    let extreme = |values: &[f64]| statistic.of(values, &sizes) >= threshold;
    match arrangements(&sizes) {
        Some(all) => {
            let count = count_all(&values, &sizes, extreme);
            Ok(PermutationTest { p: Tail::from_ln((count as f64 / all as f64).ln()), arrangements: all, exact: true })
        }
        None if resampling.resamples == 0 => Err(Undefined::TooFewResamples),
        None => {
            let streams = Streams::new(resampling.seed, name);
            let drawn_is_extreme = |drawn: &mut Vec<f64>, number: usize| {
                drawn.clone_from(&values);
                // Within the first group the order does not matter.
                streams.of_resample(number).shuffle_beyond(drawn, sizes[0]);
                u64::from(extreme(drawn))
            };
            let all = (0..resampling.resamples).into_par_iter().with_min_len(MIN_DRAWS);
            let count = all.map_init(Vec::new, drawn_is_extreme).sum::<u64>() + 1;
            let arrangements = resampling.resamples as u64 + 1;
            Ok(PermutationTest {
                p: Tail::from_ln((count as f64 / arrangements as f64).ln()),
                arrangements,
                exact: false,
            })
        }
    }
}

/// All values, one group after another, around their mean and in units of the largest deviation.
fn centred(groups: &[&[f64]]) -> Result<Vec<f64>, Undefined> {
    let values = groups.concat();
    if values.iter().all(|value| *value == values[0]) {
        return Err(Undefined::AllEqual);
    }
    let mean = values[0] + values.iter().map(|value| value - values[0]).sum::<f64>() / values.len() as f64;
    let largest = values.iter().map(|value| (value - mean).abs()).fold(0.0, f64::max);
    Ok(values.iter().map(|value| (value - mean) / largest).collect())
}

impl Statistic {
    /// The statistic of values that lie one group after another.
    fn of(self, values: &[f64], sizes: &[usize]) -> f64 {
        let mut rest = values;
        let groups = sizes.iter().map(|size| {
            let (own, others) = rest.split_at(*size);
            rest = others;
            own
        });
        let mean = |group: &[f64]| sum(group) / group.len() as f64;
        match self {
            Statistic::Means => groups.map(|group| group.len() as f64 * mean(group).powi(2)).sum(),
            Statistic::Welch => welch_statistic(groups.map(|group| {
                let (n, mean) = (group.len() as f64, mean(group));
                let squares = group.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
                (mean, n * (n - 1.0) / squares)
            })),
        }
    }
}

/// The sum of some values, in lanes that a processor adds at once.
fn sum(values: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let chunks = values.chunks_exact(lanes.len());
    let rest: f64 = chunks.remainder().iter().sum();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, value)| *lane += value);
    }
    lanes.iter().sum::<f64>() + rest
}

/// Σ w (mean − weighted mean)² from means and weights; infinite where a group does not vary but differs.
fn welch_statistic(groups: impl Iterator<Item = (f64, f64)>) -> f64 {
    let groups: Vec<(f64, f64)> = groups.collect();
    let constant: Vec<f64> = groups.iter().filter(|(_, weight)| weight.is_infinite()).map(|(mean, _)| *mean).collect();
    if let Some(first) = constant.first() {
        // An infinite weight draws the weighted mean to its group, and any other constant group is infinitely far from it.
        if constant.iter().any(|mean| mean != first) {
            return f64::INFINITY;
        }
        let finite = groups.iter().filter(|(_, weight)| weight.is_finite());
        return finite.map(|(mean, weight)| weight * (mean - first).powi(2)).sum();
    }
    let weights: f64 = groups.iter().map(|(_, weight)| weight).sum();
    let mean = groups.iter().map(|(mean, weight)| mean * weight).sum::<f64>() / weights;
    groups.iter().map(|(own, weight)| weight * (own - mean).powi(2)).sum()
}

/// How many arrangements groups of these sizes have, if at most [`EXACT_ARRANGEMENTS`].
fn arrangements(sizes: &[usize]) -> Option<u64> {
    let (mut total, mut placed) = (1u64, 0u64);
    for size in sizes {
        for taken in 1..=*size as u64 {
            placed += 1;
            // The product of binomials stays whole at every step, and the bound keeps it from overflowing.
            total = total.checked_mul(placed)? / taken;
            if total > EXACT_ARRANGEMENTS * 1000 {
                return None;
            }
        }
    }
    (total <= EXACT_ARRANGEMENTS).then_some(total)
}

/// Counts the arrangements for which `extreme` holds, going through the groups' labels in lexicographic order.
fn count_all(values: &[f64], sizes: &[usize], extreme: impl Fn(&[f64]) -> bool) -> u64 {
    let starts: Vec<usize> = sizes.iter().scan(0, |end, size| Some(std::mem::replace(end, *end + size))).collect();
    let mut labels: Vec<usize> = sizes.iter().enumerate().flat_map(|(group, size)| vec![group; *size]).collect();
    let mut arranged = values.to_vec();
    let mut count = 0;
    loop {
        let mut next = starts.clone();
        for (label, value) in labels.iter().zip(values) {
            arranged[next[*label]] = *value;
            next[*label] += 1;
        }
        count += u64::from(extreme(&arranged));
        if !next_permutation(&mut labels) {
            return count;
        }
    }
}

/// The next order of the labels; false after the last.
fn next_permutation(labels: &mut [usize]) -> bool {
    let Some(pivot) = labels.windows(2).rposition(|pair| pair[0] < pair[1]) else { return false };
    let Some(larger) = labels.iter().rposition(|label| *label > labels[pivot]) else { return false };
    labels.swap(pivot, larger);
    labels[pivot + 1..].reverse();
    true
}
