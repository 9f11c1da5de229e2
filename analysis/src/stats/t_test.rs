//! Student's and Welch's t tests of two means, with intervals of the difference.

use super::groups::{Moments, two_moments};
use super::tails::{Tail, t_quantile, t_two_sided};
use super::undefined::Undefined;

/// A t test of the first group's mean against the second's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TTest {
    /// First mean less second.
    pub difference: f64,
    /// The difference's standard error.
    pub se: f64,
    /// The statistic.
    pub t: f64,
    /// Degrees of freedom.
    pub df: f64,
    /// P(|T| > |t|).
    pub p: Tail,
}

impl TTest {
    fn new(difference: f64, se: f64, df: f64) -> TTest {
        let t = difference / se;
        TTest { difference, se, t, df, p: t_two_sided(t, df) }
    }

    /// The confidence interval of the difference at a level between 0 and 1.
    pub fn interval(&self, level: f64) -> (f64, f64) {
        let half = self.se * t_quantile((1.0 - level) / 2.0, self.df);
        (self.difference - half, self.difference + half)
    }
}

/// Welch's test, for any variances, with Satterthwaite's degrees of freedom.
///
/// # Errors
/// If a group has fewer than two values or one that is not finite, or if neither group varies.
pub fn welch_t(a: &[f64], b: &[f64]) -> Result<TTest, Undefined> {
    let (a, b) = two_moments(a, b)?;
    welch_of(&a, &b)
}

/// [`welch_t`] from the groups' moments.
pub(super) fn welch_of(a: &Moments, b: &Moments) -> Result<TTest, Undefined> {
    let (error_a, error_b) = (a.squared_error(), b.squared_error());
    let error = error_a + error_b;
    if error <= 0.0 {
        return Err(Undefined::NoVariance);
    }
    let df = error * error / (error_a * error_a / (a.n - 1.0) + error_b * error_b / (b.n - 1.0));
    Ok(TTest::new(a.mean - b.mean, error.sqrt(), df))
}

/// Student's test, for equal variances.
///
/// # Errors
/// As [`welch_t`].
pub fn student_t(a: &[f64], b: &[f64]) -> Result<TTest, Undefined> {
    let (a, b) = two_moments(a, b)?;
    let df = a.n + b.n - 2.0;
    let variance = (a.squares + b.squares) / df;
    if variance <= 0.0 {
        return Err(Undefined::NoVariance);
    }
    Ok(TTest::new(a.mean - b.mean, (variance * (1.0 / a.n + 1.0 / b.n)).sqrt(), df))
}
