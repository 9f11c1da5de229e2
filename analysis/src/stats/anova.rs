//! Do groups differ in their means: one-way analysis of variance, Welch's for unequal variances, and Levene's test of the variances.

use super::groups::{Moments, check, moments};
use super::summary::Summary;
use super::tails::{Tail, f_upper};
use super::undefined::Undefined;

/// An F test between groups.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Anova {
    /// The statistic.
    pub f: f64,
    /// Numerator degrees of freedom.
    pub df1: f64,
    /// Denominator degrees of freedom; not whole for Welch's test.
    pub df2: f64,
    /// P(F > f).
    pub p: Tail,
}

impl Anova {
    fn new(f: f64, df1: f64, df2: f64) -> Anova {
        Anova { f, df1, df2, p: f_upper(f, df1, df2) }
    }
}

/// How the values vary between and within groups.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Partition {
    /// Sum of squares between groups.
    pub between: f64,
    /// Sum of squares within groups.
    pub within: f64,
    /// Groups less one.
    pub df_between: f64,
    /// Values less groups.
    pub df_within: f64,
}

impl Partition {
    /// Partitions the sum of squares.
    ///
    /// # Errors
    /// With fewer than two groups, a group of fewer than two values, or a value that is not finite.
    pub fn of(groups: &[&[f64]]) -> Result<Partition, Undefined> {
        let groups = moments(groups)?;
        let n: f64 = groups.iter().map(|group| group.n).sum();
        let mean = weighted_mean(&groups, |group| group.n);
        Ok(Partition {
            between: groups.iter().map(|group| group.n * (group.mean - mean).powi(2)).sum(),
            within: groups.iter().map(|group| group.squares).sum(),
            df_between: groups.len() as f64 - 1.0,
            df_within: n - groups.len() as f64,
        })
    }

    /// Mean square within groups: the pooled variance.
    pub fn pooled_variance(&self) -> f64 {
        self.within / self.df_within
    }

    /// The F test that all means are equal, given equal variances.
    ///
    /// # Errors
    /// If no group varies.
    pub fn f_test(&self) -> Result<Anova, Undefined> {
        if self.within <= 0.0 {
            return Err(Undefined::NoVariance);
        }
        Ok(Anova::new(self.between / self.df_between / self.pooled_variance(), self.df_between, self.df_within))
    }
}

fn weighted_mean(groups: &[Moments], weight: impl Fn(&Moments) -> f64) -> f64 {
    let weights: f64 = groups.iter().map(&weight).sum();
    let first = groups[0].mean;
    // Around a mean that is near, so that far-off values lose no digits.
    first + groups.iter().map(|group| weight(group) * (group.mean - first)).sum::<f64>() / weights
}

/// One-way analysis of variance: are all means equal, given equal variances?
///
/// # Errors
/// As [`Partition::of`] and [`Partition::f_test`].
pub fn one_way(groups: &[&[f64]]) -> Result<Anova, Undefined> {
    Partition::of(groups)?.f_test()
}

/// Welch's (1951) analysis of variance: are all means equal, whatever the variances? As R's `oneway.test`.
///
/// # Errors
/// As [`Partition::of`], and if a group does not vary.
pub fn welch(groups: &[&[f64]]) -> Result<Anova, Undefined> {
    let groups = moments(groups)?;
    if let Some(group) = groups.iter().position(|group| group.squares == 0.0) {
        let all = groups.iter().all(|group| group.squares == 0.0);
        return Err(if all { Undefined::NoVariance } else { Undefined::ConstantGroup { group } });
    }
    let k = groups.len() as f64;
    let weight = |group: &Moments| 1.0 / group.squared_error();
    let weights: f64 = groups.iter().map(weight).sum();
    let mean = weighted_mean(&groups, weight);
    let between: f64 = groups.iter().map(|group| weight(group) * (group.mean - mean).powi(2)).sum();
    let unevenness: f64 = groups.iter().map(|group| (1.0 - weight(group) / weights).powi(2) / (group.n - 1.0)).sum();
    let correction = unevenness / (k * k - 1.0);
    let f = between / (k - 1.0) / (1.0 + 2.0 * (k - 2.0) * correction);
    Ok(Anova::new(f, k - 1.0, 1.0 / (3.0 * correction)))
}

/// What Levene's test measures deviations from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Centre {
    /// The group's median (Brown and Forsythe 1974), robust against skew.
    Median,
    /// The group's mean (Levene 1960).
    Mean,
}

/// Levene's test: are all variances equal? The analysis of variance of the absolute deviations from each group's centre.
///
/// # Errors
/// As [`one_way`], of the deviations.
pub fn levene(groups: &[&[f64]], centre: Centre) -> Result<Anova, Undefined> {
    check(groups, 2)?;
    let deviations: Vec<Vec<f64>> = groups
        .iter()
        .filter_map(|values| {
            let middle = match centre {
                Centre::Median => median(values),
                Centre::Mean => Summary::of(values)?.mean,
            };
            Some(values.iter().map(|value| (value - middle).abs()).collect())
        })
        .collect();
    one_way(&deviations.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { 0.5 * (sorted[middle - 1] + sorted[middle]) }
}
