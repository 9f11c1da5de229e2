//! The regularised incomplete beta function (DLMF 8.17), on the log scale.
//!
//! It is summed by the continued fraction DLMF 8.17.22 on the side where that converges fast, and its factor is kept as a logarithm.

use std::f64::consts::PI;

use super::gamma::{STIRLING_FROM, ln_gamma, stirling_remainder};
use super::ln_one_minus_exp;

/// Terms of the continued fraction at most; it needs about √max(a, b), which stays below this for 10⁹ degrees of freedom.
const MAX_TERMS: usize = 100_000;

/// ln I_x(a, b) for x = 1 / (1 + `ratio`). The ratio (1 − x) / x is what the callers know without cancellation.
pub(super) fn ln_incomplete_beta(ratio: f64, a: f64, b: f64) -> f64 {
    if ratio == 0.0 {
        return 0.0;
    }
    if ratio.is_infinite() {
        return f64::NEG_INFINITY;
    }
    let (x, complement) = (1.0 / (1.0 + ratio), ratio / (1.0 + ratio));
    let ln_x = -ratio.ln_1p();
    let ln_complement = ratio.ln() - ratio.ln_1p();
    let ln_factor = a * ln_x + b * ln_complement - ln_beta(a, b);
    if x < (a + 1.0) / (a + b + 2.0) {
        ln_factor - a.ln() + continued_fraction(x, a, b).ln()
    } else {
        let other_side = ln_factor - b.ln() + continued_fraction(complement, b, a).ln();
        ln_one_minus_exp(other_side)
    }
}

/// The continued fraction DLMF 8.17.22 by the modified Lentz method.
fn continued_fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away_from_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut sum = d;
    for m in 1..=MAX_TERMS {
        let m = m as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away_from_zero(1.0 + even * d);
        c = away_from_zero(1.0 + even / c);
        sum *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away_from_zero(1.0 + odd * d);
        c = away_from_zero(1.0 + odd / c);
        let step = d * c;
        sum *= step;
        if (step - 1.0).abs() <= f64::EPSILON {
            break;
        }
    }
    sum
}

/// ln B(a, b) without subtracting large logarithms of gamma (Didonato and Morris 1992, as in R's `lbeta`).
fn ln_beta(a: f64, b: f64) -> f64 {
    let (p, q) = (a.min(b), a.max(b));
    let sum = p + q;
    if p >= STIRLING_FROM {
        let correction = stirling_remainder(p) + stirling_remainder(q) - stirling_remainder(sum);
        0.5 * (2.0 * PI).ln() - 0.5 * q.ln() + correction + (p - 0.5) * (p / sum).ln() + q * (-p / sum).ln_1p()
    } else if q >= STIRLING_FROM {
        let correction = stirling_remainder(q) - stirling_remainder(sum);
        ln_gamma(p) + correction + p - p * sum.ln() + (q - 0.5) * (-p / sum).ln_1p()
    } else {
        ln_gamma(p) + ln_gamma(q) - ln_gamma(sum)
    }
}
