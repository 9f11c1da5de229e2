//! Tail probabilities as logarithms, so that they stay accurate where the probability itself underflows, and their quantiles.
//!
//! Each file is one distribution, or one special function that distributions are made of.
//!
//! - [`normal`]; [`central`]: F, Student's t, chi-square
//! - [`noncentral_t`] and [`noncentral_f`]: for intervals of effect sizes and for power
//! - [`studentized_range`], [`range_quantiles`]: for comparisons of all pairs
//! - `beta`, `gamma`: incomplete beta and gamma functions; `scale_mixture`: averages over an estimated standard deviation;
//!   `root`: where a function is zero

mod beta;
pub mod central;
mod gamma;
pub mod noncentral_f;
pub mod noncentral_t;
pub mod normal;
pub mod range_quantiles;
mod root;
mod scale_mixture;
pub mod studentized_range;

use std::f64::consts::{LN_2, LN_10};

pub use central::{chi_square_upper, f_quantile, f_upper, t_quantile, t_two_sided, t_upper};
pub(in crate::stats) use gamma::ln_gamma;
pub use normal::{normal_quantile, normal_upper};

/// Below this a probability is reported as 0 beside its log10, since what double precision holds there is no longer exact.
pub const SMALLEST_PROBABILITY: f64 = 1e-308;

/// An upper tail probability, by its natural logarithm.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Tail {
    ln: f64,
}

impl Tail {
    /// The probability with this natural logarithm. What rounding leaves above 0 counts as 0.
    pub fn from_ln(ln: f64) -> Tail {
        Tail { ln: ln.min(0.0) }
    }

    /// The probability of the opposite: 1 − p.
    pub fn complement(self) -> Tail {
        Tail { ln: ln_one_minus_exp(self.ln) }
    }

    /// Twice the probability, at most 1: a two-sided test's p from the tail on the statistic's own side.
    pub fn doubled(self) -> Tail {
        Tail::from_ln(self.ln + LN_2)
    }

    /// The probability; 0 where it is below [`SMALLEST_PROBABILITY`].
    pub fn p(self) -> f64 {
        let p = self.ln.exp();
        if p < SMALLEST_PROBABILITY { 0.0 } else { p }
    }

    /// Its natural logarithm, accurate where the probability underflows.
    pub fn ln(self) -> f64 {
        self.ln
    }

    /// Its decimal logarithm.
    pub fn log10(self) -> f64 {
        self.ln / LN_10
    }
}

/// ln(1 − eʸ) for y ≤ 0 (Mächler 2012).
fn ln_one_minus_exp(y: f64) -> f64 {
    if y >= 0.0 {
        f64::NEG_INFINITY
    } else if y > -LN_2 {
        (-y.exp_m1()).ln()
    } else {
        (-y.exp()).ln_1p()
    }
}
