//! The gamma function and the regularised incomplete gamma function (DLMF 5 and 8), on the log scale.

use std::f64::consts::PI;

use super::ln_one_minus_exp;

/// Terms of the series and of the continued fraction at most; both need about √a near the middle of the distribution.
const MAX_TERMS: usize = 100_000;

/// From here on Stirling's series with [`stirling_remainder`]'s terms is exact to double precision.
pub(super) const STIRLING_FROM: f64 = 10.0;

/// ln Γ(x) for x > 0: by Stirling's series, small x moved up by Γ(x + 1) = x Γ(x).
pub(in crate::stats) fn ln_gamma(x: f64) -> f64 {
    let (mut shifted, mut product) = (x, 1.0);
    while shifted < STIRLING_FROM {
        product *= shifted;
        shifted += 1.0;
    }
    (shifted - 0.5) * shifted.ln() - shifted + 0.5 * (2.0 * PI).ln() + stirling_remainder(shifted) - product.ln()
}

/// What Stirling's formula for ln Γ(x) leaves out (DLMF 5.11.1), for x ≥ [`STIRLING_FROM`].
pub(super) fn stirling_remainder(x: f64) -> f64 {
    const TERMS: [f64; 7] =
        [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0, -691.0 / 360_360.0, 1.0 / 156.0];
    let inverse_square = 1.0 / (x * x);
    TERMS.iter().rev().fold(0.0, |sum, term| sum * inverse_square + term) / x
}

/// ln(xᵃ e⁻ˣ / Γ(a + 1)) for positive a and x, without subtracting large numbers where x is near a. For whole a it is the
/// logarithm of a Poisson probability.
pub(super) fn ln_poisson(a: f64, x: f64) -> f64 {
    if a < STIRLING_FROM {
        return a * x.ln() - x - ln_gamma(a + 1.0);
    }
    a * (x / a).ln() - (x - a) - 0.5 * (2.0 * PI * a).ln() - stirling_remainder(a)
}

/// ln Q(a, x), the upper regularised incomplete gamma function, for positive a and x.
pub(super) fn ln_upper_incomplete_gamma(a: f64, x: f64) -> f64 {
    if x < a + 1.0 {
        ln_one_minus_exp(ln_poisson(a, x) + lower_series(a, x).ln())
    } else {
        ln_poisson(a, x) + a.ln() + upper_fraction(a, x).ln()
    }
}

/// Σ xⁿ / ((a + 1) … (a + n)), the series DLMF 8.7.1 but for its factor.
fn lower_series(a: f64, x: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..=MAX_TERMS {
        term *= x / (a + n as f64);
        sum += term;
        if term <= f64::EPSILON * sum {
            break;
        }
    }
    sum
}

/// The continued fraction of Γ(a, x) xᵃ⁻¹… (DLMF 8.9.2) but for its factor, by the modified Lentz method.
fn upper_fraction(a: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / b;
    let mut product = d;
    for n in 1..=MAX_TERMS {
        let n = n as f64;
        let numerator = -n * (n - a);
        b += 2.0;
        d = 1.0 / (numerator * d + b);
        c = b + numerator / c;
        let step = c * d;
        product *= step;
        if (step - 1.0).abs() <= f64::EPSILON {
            break;
        }
    }
    product
}
