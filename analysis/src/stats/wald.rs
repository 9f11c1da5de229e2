//! Tests of estimated coefficients, each with degrees of freedom of its own.

use super::design::{Coefficient, Unfit};
use super::tails::{Tail, f_upper, t_quantile};

/// An estimate with its standard error and the t test of its being 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WaldT {
    /// The estimate.
    pub estimate: f64,
    /// Its standard error.
    pub se: f64,
    /// Degrees of freedom, mostly not a whole number.
    pub df: f64,
    /// The statistic: estimate over standard error.
    pub t: f64,
    /// P(|T| > |t|).
    pub p: Tail,
}

impl WaldT {
    /// The test of an estimate. `se` and `df` must be positive.
    pub fn new(estimate: f64, se: f64, df: f64) -> WaldT {
        let t = estimate / se;
        WaldT { estimate, se, df, t, p: f_upper(t * t, 1.0, df) }
    }

    /// The confidence interval of the given level (0.95 for 95%).
    pub fn interval(&self, level: f64) -> (f64, f64) {
        let half_width = self.se * t_quantile((1.0 - level) / 2.0, self.df);
        (self.estimate - half_width, self.estimate + half_width)
    }
}

/// The test of one coefficient of a model, or why there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct CoefficientTest {
    /// Which coefficient.
    pub coefficient: Coefficient,
    /// Its estimate.
    pub estimate: f64,
    /// Its test.
    pub test: Result<WaldT, Unfit>,
}

/// An F test whose denominator has estimated degrees of freedom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WaldF {
    /// The statistic.
    pub f: f64,
    /// Numerator degrees of freedom: how many contrasts are tested at once.
    pub df1: usize,
    /// Denominator degrees of freedom.
    pub df2: f64,
    /// P(F > f).
    pub p: Tail,
}

impl WaldF {
    /// The test of a statistic.
    pub fn new(f: f64, df1: usize, df2: f64) -> WaldF {
        WaldF { f, df1, df2, p: f_upper(f, df1 as f64, df2) }
    }
}
