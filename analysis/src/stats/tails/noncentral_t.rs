//! Noncentral t: the distribution of (Z + δ) / √(χ²_ν / ν).
//!
//! P(T > t) = E[P(Z > t S − δ)] over S = √(χ²_ν / ν). Unlike the series in common use (Lenth 1989) the average stays accurate for
//! any δ and deep into either tail, where R's `pt` stops at |δ| = 37.62.

use super::Tail;
use super::normal::ln_upper;
use super::root::root_from;
use super::scale_mixture::ln_mean_over_scale;

/// P(T > t) for noncentral T with `df` degrees of freedom (positive) and noncentrality `delta`.
pub fn noncentral_t_upper(t: f64, df: f64, delta: f64) -> Tail {
    Tail::from_ln(ln_mean_over_scale(df, |s| ln_upper(t * s - delta)))
}

/// P(T ≤ t), accurate where it is small.
pub fn noncentral_t_lower(t: f64, df: f64, delta: f64) -> Tail {
    noncentral_t_upper(-t, df, -delta)
}

/// The noncentralities that leave `outside / 2` on either side of `t`: the interval for δ of Steiger and Fouladi (1997).
/// `outside` lies between 0 and 1.
pub fn noncentrality_interval_t(t: f64, df: f64, outside: f64) -> (f64, f64) {
    let ln_side = (outside / 2.0).ln();
    // The approximate standard error of t as an estimate of δ.
    let step = (1.0 + t * t / (2.0 * df)).sqrt();
    let low = root_from(|delta| noncentral_t_upper(t, df, delta).ln() - ln_side, t - 2.0 * step, 0.25 * step);
    let high = root_from(|delta| noncentral_t_lower(t, df, delta).ln() - ln_side, t + 2.0 * step, 0.25 * step);
    (low, high)
}
