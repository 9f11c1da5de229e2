//! The studentized range: the largest difference among k normal means over its estimated standard error.
//!
//! With the smallest of k standard normal values at z, the others lie above it; the range exceeds w with probability
//! k ∫ φ(z) { Q(z)ᵏ⁻¹ − [Q(z) − Q(z + w)]ᵏ⁻¹ } dz, Q being the normal upper tail. This is the complement of Copenhaver and Holland's
//! (1988) integral, the one behind R's `ptukey` (AS 190), written so that nothing cancels: it keeps its digits where 1 − `ptukey`
//! has none. The average over the estimated standard deviation is that of their paper.

use super::Tail;
use super::normal::{ln_density, ln_upper, upper};
use super::root::root_between;
use super::scale_mixture::ln_mean_over_scale;
use super::t_quantile;

/// Spacing of the trapezoidal rule over z. For the minimum of 1,000 values its error is below 1e-15.
const STEP: f64 = 0.25;
/// The integrand is negligible beyond this many steps from −w/2, and from 0 upwards.
const REACH_STEPS: i64 = 36;
/// Kept terms reach down to z = −`STEP` × this, enough for ranges of 30; larger ones are rare and computed as needed.
const KEPT_BELOW: i64 = 60 + REACH_STEPS;
/// Ranges from here on are summed as logarithms, because the terms underflow.
const LOGARITHMS_FROM: f64 = 30.0;

/// The distribution for a number of means.
#[derive(Debug, Clone)]
pub struct StudentizedRange {
    means: usize,
    /// Terms of the integral that do not depend on w, from z = −`KEPT_BELOW` × `STEP` on.
    kept: Vec<Term>,
}

/// What the integrand has of z alone.
#[derive(Debug, Clone, Copy)]
struct Term {
    z: f64,
    /// ln of k φ(z) Q(z)ᵏ⁻¹ times the step.
    ln_weight: f64,
    weight: f64,
    ln_q: f64,
    q: f64,
}

impl StudentizedRange {
    /// The distribution for `means` means, at least 2.
    pub fn new(means: usize) -> StudentizedRange {
        assert!(means >= 2, "a range needs two means");
        let kept = (-KEPT_BELOW..=REACH_STEPS).map(|index| Term::new(index, means)).collect();
        StudentizedRange { means, kept }
    }

    /// P(Q > q) with `df` degrees of freedom (positive) of the standard error, for `q` ≥ 0.
    pub fn upper(&self, q: f64, df: f64) -> Tail {
        if q <= 0.0 {
            return Tail::from_ln(0.0);
        }
        Tail::from_ln(ln_mean_over_scale(df, |s| self.ln_range_upper(q * s)))
    }

    /// The q with P(Q > q) = `upper`, for 0 < `upper` < 1.
    pub fn quantile(&self, upper: f64, df: f64) -> f64 {
        let ln_target = upper.ln();
        let excess = |q: f64| self.upper(q, df).ln() - ln_target;
        // All pairs together exceed q more often than one pair, and less often than the pairs' sum (Bonferroni).
        let pairs = (self.means * (self.means - 1) / 2) as f64;
        let two_sided = |p: f64| std::f64::consts::SQRT_2 * t_quantile(p / 2.0, df);
        let (low, high) = (two_sided(upper), two_sided(upper / pairs));
        let (at_low, at_high) = (excess(low), excess(high));
        // For two means both bounds are the quantile itself, up to rounding.
        if at_low <= 0.0 {
            low
        } else if at_high >= 0.0 {
            high
        } else {
            root_between(excess, (low, at_low), (high, at_high))
        }
    }

    /// ln P(W > w) for the range W of the means when their standard error is known.
    fn ln_range_upper(&self, w: f64) -> f64 {
        let centre = (-0.5 * w / STEP).round() as i64;
        let (first, last) = (centre - REACH_STEPS, centre + REACH_STEPS);
        if w < LOGARITHMS_FROM {
            let from = (first + KEPT_BELOW) as usize;
            let others = (self.means - 1) as f64;
            let terms = self.kept[from..].iter().take((last - first + 1) as usize);
            let value = |term: &Term| -> f64 {
                let beyond = (upper(term.z + w) / term.q).min(1.0);
                -term.weight * (others * (-beyond).ln_1p()).exp_m1()
            };
            return terms.map(value).sum::<f64>().ln();
        }
        // So far out at most one of the other means lies beyond, and the difference of powers is its first term.
        let ln_others = ((self.means - 1) as f64).ln();
        let ln_terms: Vec<f64> = (first..=last)
            .map(|index| Term::new(index, self.means))
            .map(|term| term.ln_weight + ln_others + ln_upper(term.z + w) - term.ln_q)
            .collect();
        let largest = ln_terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        largest + ln_terms.iter().map(|ln_term| (ln_term - largest).exp()).sum::<f64>().ln()
    }
}

impl Term {
    fn new(index: i64, means: usize) -> Term {
        let z = index as f64 * STEP;
        let ln_q = ln_upper(z);
        let ln_weight = (STEP * means as f64).ln() + ln_density(z) + (means - 1) as f64 * ln_q;
        Term { z, ln_weight, weight: ln_weight.exp(), ln_q, q: upper(z) }
    }
}
