//! The share of the variance that groups explain: η², and ω² and ε², which leave out the share that chance would give.
//!
//! Intervals come from the noncentrality λ of F (Steiger 2004): λ / (λ + d₂). For η² it is the interval of the observed F; for ω² and
//! ε² that of the F of which the estimate would be the η², as R's effectsize has it.

use crate::stats::anova::Partition;
use crate::stats::tails::noncentral_f::noncentrality_interval_f;
use crate::stats::undefined::Undefined;

use super::Effect;

/// Shares of variance explained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Explained {
    /// η² = SS between / SS total.
    pub eta_squared: Effect,
    /// ω² = (SS between − d₁ MS within) / (SS total + MS within); Hays (1963). At least 0.
    pub omega_squared: Effect,
    /// ε² = (SS between − d₁ MS within) / SS total; Kelley (1935), the same as adjusted R². At least 0.
    pub epsilon_squared: Effect,
}

/// Shares of variance explained, with two-sided intervals at `level`.
///
/// # Errors
/// With fewer than two groups, a group of fewer than two values, a value that is not finite, or if no group varies.
pub fn explained(groups: &[&[f64]], level: f64) -> Result<Explained, Undefined> {
    let parts = Partition::of(groups)?;
    parts.f_test()?;
    let total = parts.between + parts.within;
    let beyond_chance = (parts.between - parts.df_between * parts.pooled_variance()).max(0.0);
    let effect = |estimate: f64| Effect { estimate, interval: interval(estimate, &parts, level) };
    Ok(Explained {
        eta_squared: effect(parts.between / total),
        omega_squared: effect(beyond_chance / (total + parts.pooled_variance())),
        epsilon_squared: effect(beyond_chance / total),
    })
}

/// The interval of a share from the F whose η² it is.
fn interval(share: f64, parts: &Partition, level: f64) -> (f64, f64) {
    let (d1, d2) = (parts.df_between, parts.df_within);
    let f = (share / d1) / ((1.0 - share) / d2);
    let (low, high) = noncentrality_interval_f(f, d1, d2, 1.0 - level);
    (low / (low + d2), high / (high + d2))
}
