//! Standardised mean differences: Cohen's d, and Hedges' g, which is d without its bias in small groups.

use crate::stats::t_test::student_t;
use crate::stats::tails::ln_gamma;
use crate::stats::tails::noncentral_t::noncentrality_interval_t;
use crate::stats::undefined::Undefined;

use super::Effect;

/// A standardised mean difference, by the pooled standard deviation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StandardisedDifference {
    /// Cohen's d.
    pub cohens_d: Effect,
    /// Hedges' g: d times [`bias_correction`], as are its interval's ends.
    pub hedges_g: Effect,
}

/// First mean less second over the pooled standard deviation. The interval at `level` is that of the noncentrality of Student's t
/// (Steiger and Fouladi 1997), exact for normal values with equal variances.
///
/// # Errors
/// If a group has fewer than two values or one that is not finite, or if neither group varies.
pub fn standardised_difference(a: &[f64], b: &[f64], level: f64) -> Result<StandardisedDifference, Undefined> {
    let test = student_t(a, b)?;
    let scale = (1.0 / a.len() as f64 + 1.0 / b.len() as f64).sqrt();
    let (low, high) = noncentrality_interval_t(test.t, test.df, 1.0 - level);
    let effect = |factor: f64| Effect { estimate: test.t * factor, interval: (low * factor, high * factor) };
    Ok(StandardisedDifference { cohens_d: effect(scale), hedges_g: effect(scale * bias_correction(test.df)) })
}

/// Hedges' (1981) exact correction Γ(m/2) / (√(m/2) Γ((m − 1)/2)) for m degrees of freedom, more than one.
pub fn bias_correction(df: f64) -> f64 {
    (ln_gamma(df / 2.0) - ln_gamma((df - 1.0) / 2.0)).exp() / (df / 2.0).sqrt()
}
