//! All pairs of groups at once: Games-Howell for any variances, Tukey's honestly significant difference for equal ones.
//!
//! Both refer a pair's difference over its standard error to the studentized range of as many means as there are groups, so that
//! the p-values and intervals hold for all pairs together. Games and Howell (1976) take each pair's own variances and Welch's degrees
//! of freedom, Tukey and Kramer the pooled variance.

use rayon::prelude::*;

use super::anova::Partition;
use super::groups::{Moments, moments};
use super::t_test::{TTest, welch_of};
use super::tails::Tail;
use super::tails::range_quantiles::RangeQuantiles;
use super::tails::studentized_range::StudentizedRange;
use super::undefined::Undefined;

/// Two groups compared within a family of all pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Which groups, the first before the second.
    pub groups: (usize, usize),
    /// First mean less second.
    pub difference: f64,
    /// |difference| over its standard error, times √2: the studentized range's scale.
    pub q: f64,
    /// Degrees of freedom of the standard error.
    pub df: f64,
    /// P that the largest of all pairs' q would be larger.
    pub p: Tail,
    /// Interval of the difference; all pairs' intervals hold together at the level asked for.
    pub interval: (f64, f64),
}

impl Pair {
    /// `error` is the standard error on the studentized range's scale, which is the difference's over √2; `critical` the range's quantile.
    fn new(
        groups: (usize, usize),
        difference: f64,
        (error, df): (f64, f64),
        range: &StudentizedRange,
        critical: f64,
    ) -> Pair {
        let (q, half) = (difference.abs() / error, critical * error);
        Pair { groups, difference, q, df, p: range.upper(q, df), interval: (difference - half, difference + half) }
    }
}

/// Pairs of group numbers in order: (0, 1), (0, 2), …, (1, 2), ….
pub fn pairs(groups: usize) -> Vec<(usize, usize)> {
    (0..groups).flat_map(|a| (a + 1..groups).map(move |b| (a, b))).collect()
}

/// Tukey's test of all pairs with intervals that hold together at `level`; for unequal sizes that of Tukey and Kramer.
///
/// # Errors
/// With fewer than two groups, a group of fewer than two values, a value that is not finite, or if no group varies.
pub fn tukey(groups: &[&[f64]], level: f64) -> Result<Vec<Pair>, Undefined> {
    let partition = Partition::of(groups)?;
    if partition.within <= 0.0 {
        return Err(Undefined::NoVariance);
    }
    let groups = moments(groups)?;
    let range = StudentizedRange::new(groups.len());
    let df = partition.df_within;
    let critical = range.quantile(1.0 - level, df);
    let compare = |(a, b): (usize, usize)| {
        let error = (partition.pooled_variance() / 2.0 * (1.0 / groups[a].n + 1.0 / groups[b].n)).sqrt();
        let difference = groups[a].mean - groups[b].mean;
        Pair::new((a, b), difference, (error, df), &range, critical)
    };
    Ok(pairs(groups.len()).into_par_iter().map(compare).collect())
}

/// The Games-Howell test of all pairs with intervals that hold together at `level`. A pair of which neither group varies has a
/// reason in place of numbers.
///
/// # Errors
/// With fewer than two groups, a group of fewer than two values, or a value that is not finite.
pub fn games_howell(groups: &[&[f64]], level: f64) -> Result<Vec<Result<Pair, Undefined>>, Undefined> {
    let groups: Vec<Moments> = moments(groups)?;
    let range = StudentizedRange::new(groups.len());
    let welch = |(a, b): (usize, usize)| ((a, b), welch_of(&groups[a], &groups[b]));
    let tests: Vec<_> = pairs(groups.len()).into_iter().map(welch).collect();
    let degrees: Vec<f64> = tests.iter().filter_map(|(_, test)| test.as_ref().ok()).map(|test| test.df).collect();
    let quantiles = RangeQuantiles::new(&range, 1.0 - level, &degrees);
    let compare = |(pair, test): ((usize, usize), Result<TTest, Undefined>)| {
        let test = test?;
        let error = test.se / std::f64::consts::SQRT_2;
        Ok(Pair::new(pair, test.difference, (error, test.df), &range, quantiles.at(test.df)))
    };
    Ok(tests.into_par_iter().map(compare).collect())
}
