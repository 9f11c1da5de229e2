//! Groups of values, checked once: what every comparison starts from.

use super::summary::Summary;
use super::undefined::Undefined;

/// Squared deviations below this share of the squared mean are rounding, as is a group whose values are all equal.
const CONSTANT: f64 = 1e-28;

/// Checks that there are at least two groups, each with at least `needed` values, all finite.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(groups: &[&[f64]], needed: usize) -> Result<(), Undefined> {
    if groups.len() < 2 {
        return Err(Undefined::OneGroup);
    }
    groups.iter().enumerate().try_for_each(|(group, values)| check_group(group, values, needed))
}

/// Checks one group as [`check`] does.
///
/// # Errors
/// If the group has fewer than `needed` values, or one that is not finite.
pub fn check_group(group: usize, values: &[f64], needed: usize) -> Result<(), Undefined> {
    if values.len() < needed {
        return Err(Undefined::TooFewValues { group, values: values.len(), needed });
    }
    if values.iter().any(|value| !value.is_finite()) {
        return Err(Undefined::NotFinite { group });
    }
    Ok(())
}

/// Size, mean and spread of a group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// How many values, as a number to calculate with.
    pub n: f64,
    /// Their mean.
    pub mean: f64,
    /// Sum of squared deviations from the mean; exactly 0 where only rounding is left.
    pub squares: f64,
}

impl Moments {
    /// The moments of a group that [`check_group`] has passed with two values at least.
    fn of(values: &[f64]) -> Option<Moments> {
        let summary = Summary::of(values)?;
        let n = values.len() as f64;
        let squares: f64 = values.iter().map(|value| (value - summary.mean).powi(2)).sum();
        let constant = squares <= CONSTANT * n * summary.mean.powi(2);
        Some(Moments { n, mean: summary.mean, squares: if constant { 0.0 } else { squares } })
    }

    /// The variance (denominator n − 1).
    pub fn variance(&self) -> f64 {
        self.squares / (self.n - 1.0)
    }

    /// The mean's squared standard error.
    pub fn squared_error(&self) -> f64 {
        self.variance() / self.n
    }
}

/// The moments of every group.
///
/// # Errors
/// As [`check`], with two values needed in each group.
pub fn moments(groups: &[&[f64]]) -> Result<Vec<Moments>, Undefined> {
    check(groups, 2)?;
    Ok(groups.iter().filter_map(|values| Moments::of(values)).collect())
}

/// The moments of two groups.
///
/// # Errors
/// As [`moments`].
pub fn two_moments(a: &[f64], b: &[f64]) -> Result<(Moments, Moments), Undefined> {
    let both = moments(&[a, b])?;
    Ok((both[0], both[1]))
}
