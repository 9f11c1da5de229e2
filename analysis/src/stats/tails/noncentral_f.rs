//! Noncentral F: the ratio of a noncentral chi-square over d₁ to a chi-square over d₂.
//!
//! With J Poisson of mean λ/2, the distribution is that of central beta variables with d₁/2 + J (Johnson, Kotz and Balakrishnan 1995,
//! chapter 30). Either tail is a sum of positive terms, whose logarithms rise to one peak and fall again.

use super::Tail;
use super::beta::ln_incomplete_beta;
use super::central::f_upper;
use super::gamma::ln_poisson;
use super::root::root_between;

/// Terms this far below the largest, in natural logarithms, and falling, add nothing to a double.
const NEGLIGIBLE_LN: f64 = 42.0;
/// Poisson standard deviations, and a few counts for small means, beyond which counts are negligible.
const POISSON_DEVIATIONS: f64 = 9.5;
const POISSON_COUNTS: f64 = 45.0;

/// P(F > f) for noncentral F with `d1` and `d2` degrees of freedom (positive) and noncentrality `lambda` ≥ 0.
pub fn noncentral_f_upper(f: f64, d1: f64, d2: f64, lambda: f64) -> Tail {
    if f <= 0.0 || lambda == 0.0 {
        return f_upper(f, d1, d2);
    }
    let mean = lambda / 2.0;
    let ln_term = |count: f64| ln_poisson(count, mean) + ln_incomplete_beta(d1 * f / d2, d2 / 2.0, d1 / 2.0 + count);
    // Here the beta tail grows with the count, so that counts below the Poisson variable's reach are the negligible ones.
    let first = (mean - POISSON_DEVIATIONS * mean.sqrt() - POISSON_COUNTS).max(0.0).floor();
    Tail::from_ln(ln_sum_of_peak((0..).map(|step| ln_term(first + f64::from(step)))))
}

/// P(F ≤ f), accurate where it is small.
pub fn noncentral_f_lower(f: f64, d1: f64, d2: f64, lambda: f64) -> Tail {
    if f <= 0.0 {
        return Tail::from_ln(f64::NEG_INFINITY);
    }
    let mean = lambda / 2.0;
    let ln_term = |count: f64| {
        let ln_count = if mean == 0.0 { 0.0 } else { ln_poisson(count, mean) };
        ln_count + ln_incomplete_beta(d2 / (d1 * f), d1 / 2.0 + count, d2 / 2.0)
    };
    // Here the beta tail falls with the count, so that the sum runs down from the Poisson variable's upper reach.
    let last = if mean == 0.0 { 0.0 } else { (mean + POISSON_DEVIATIONS * mean.sqrt() + POISSON_COUNTS).ceil() };
    Tail::from_ln(ln_sum_of_peak((0..=last as u64).map(|step| ln_term(last - step as f64))))
}

/// ln Σ eˣ over terms that rise to a peak and then fall; stops where what follows is negligible.
fn ln_sum_of_peak(ln_terms: impl Iterator<Item = f64>) -> f64 {
    let (mut largest, mut sum) = (f64::NEG_INFINITY, 0.0);
    for ln_term in ln_terms {
        if ln_term > largest {
            sum = sum * (largest - ln_term).exp() + 1.0;
            largest = ln_term;
        } else if ln_term > f64::NEG_INFINITY {
            if ln_term < largest - NEGLIGIBLE_LN {
                break;
            }
            sum += (ln_term - largest).exp();
        }
    }
    largest + f64::ln(sum)
}

/// The noncentralities that leave `outside / 2` on either side of `f`: the interval for λ of Steiger (2004). An end is 0 where no
/// positive noncentrality leaves so much. `outside` lies between 0 and 1.
pub fn noncentrality_interval_f(f: f64, d1: f64, d2: f64, outside: f64) -> (f64, f64) {
    let ln_side = (outside / 2.0).ln();
    let above = |lambda: f64| noncentral_f_upper(f, d1, d2, lambda).ln() - ln_side;
    let below = |lambda: f64| noncentral_f_lower(f, d1, d2, lambda).ln() - ln_side;
    // λ's estimate and its approximate standard error, to begin with.
    let estimate = d1 * f;
    let spread = (2.0 * (d1 + 2.0 * estimate) * (1.0 + estimate / d2)).sqrt() + 1.0;
    let low = rise_through_zero(above, (estimate - d1 - 2.0 * spread).max(0.0), spread);
    let high = rise_through_zero(|lambda| -below(lambda), (estimate - d1 + 2.0 * spread).max(0.0), spread);
    (low, high)
}

/// Where a rising function of a number ≥ 0 passes zero, sought from `start` on; 0 where it begins above.
fn rise_through_zero(f: impl Fn(f64) -> f64, start: f64, step: f64) -> f64 {
    let at_zero = f(0.0);
    if at_zero >= 0.0 {
        return 0.0;
    }
    let (mut below, mut place) = ((0.0, at_zero), start);
    loop {
        let value = f(place);
        if value >= 0.0 {
            return root_between(f, below, (place, value));
        }
        below = (place, value);
        place += step;
    }
}
