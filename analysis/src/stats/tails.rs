//! Upper tails of F and Student's t, as logarithms, so that they stay accurate where the probability itself underflows.
//!
//! Both are regularised incomplete beta functions (DLMF 8.17): P(F > f) = I_x(d₂/2, d₁/2) with x = d₂ / (d₂ + d₁ f), and
//! P(|T| > t) = I_x(ν/2, 1/2) with x = ν / (ν + t²). The function is summed by the continued fraction DLMF 8.17.22 on the side
//! where it converges fast, and its factor is kept as a logarithm.

use std::f64::consts::{LN_2, LN_10, PI};

/// Below this a probability is reported as 0 beside its log10, since what double precision holds there is no longer exact.
pub const SMALLEST_PROBABILITY: f64 = 1e-308;
/// Terms of the continued fraction at most; it needs about √max(a, b), which stays below this for 10⁹ degrees of freedom.
const MAX_TERMS: usize = 100_000;
/// Halvings of the interval in [`t_quantile`], enough to exhaust double precision.
const BISECTIONS: usize = 200;

/// An upper tail probability, by its natural logarithm.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Tail {
    ln: f64,
}

impl Tail {
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

/// P(F > f) for F with `d1` and `d2` degrees of freedom (both positive), `f` ≥ 0 or infinite.
pub fn f_upper(f: f64, d1: f64, d2: f64) -> Tail {
    if f <= 0.0 {
        return Tail { ln: 0.0 };
    }
    let ratio = d1 * f / d2;
    Tail { ln: ln_incomplete_beta(ratio, d2 / 2.0, d1 / 2.0) }
}

/// P(T > t) for Student's T with `df` degrees of freedom (positive).
pub fn t_upper(t: f64, df: f64) -> Tail {
    let half_of_both = ln_incomplete_beta(t * t / df, df / 2.0, 0.5) - LN_2;
    Tail { ln: if t >= 0.0 { half_of_both } else { ln_one_minus_exp(half_of_both) } }
}

/// The t with P(T > t) = `upper`, for 0 < `upper` ≤ 1/2 and positive `df`: the factor of a confidence interval's half width.
pub fn t_quantile(upper: f64, df: f64) -> f64 {
    let ln_upper = upper.ln();
    let (mut low, mut high) = (0.0, 1.0);
    while t_upper(high, df).ln() > ln_upper && high < 1e300 {
        high *= 2.0;
    }
    for _ in 0..BISECTIONS {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if t_upper(middle, df).ln() > ln_upper {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// ln I_x(a, b) for x = 1 / (1 + `ratio`). The ratio (1 − x) / x is what the callers know without cancellation.
fn ln_incomplete_beta(ratio: f64, a: f64, b: f64) -> f64 {
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

/// From here on Stirling's series with [`stirling_remainder`]'s terms is exact to double precision.
const STIRLING_FROM: f64 = 10.0;

/// ln Γ(x) for x > 0: by Stirling's series, small x moved up by Γ(x + 1) = x Γ(x).
fn ln_gamma(x: f64) -> f64 {
    let (mut shifted, mut product) = (x, 1.0);
    while shifted < STIRLING_FROM {
        product *= shifted;
        shifted += 1.0;
    }
    (shifted - 0.5) * shifted.ln() - shifted + 0.5 * (2.0 * PI).ln() + stirling_remainder(shifted) - product.ln()
}

/// What Stirling's formula for ln Γ(x) leaves out (DLMF 5.11.1), for x ≥ [`STIRLING_FROM`].
fn stirling_remainder(x: f64) -> f64 {
    const TERMS: [f64; 7] =
        [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0, -691.0 / 360_360.0, 1.0 / 156.0];
    let inverse_square = 1.0 / (x * x);
    TERMS.iter().rev().fold(0.0, |sum, term| sum * inverse_square + term) / x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_statistic_leaves_the_whole_upper_tail() {
        assert_eq!(f_upper(0.0, 3.0, 7.0).p(), 1.0);
        assert!((t_upper(0.0, 7.0).p() - 0.5).abs() < 1e-15);
    }

    #[test]
    fn both_tails_of_t_sum_to_one() {
        for t in [0.1, 1.0, 3.5, 20.0] {
            assert!((t_upper(t, 4.5).p() + t_upper(-t, 4.5).p() - 1.0).abs() < 1e-14);
        }
    }

    #[test]
    fn the_quantile_undoes_the_tail() {
        for (upper, df, expected) in [(0.025, 4.0, 2.776_445_105_197_793), (0.025, 1.0, 12.706_204_736_174_7)] {
            assert!((t_quantile(upper, df) / expected - 1.0).abs() < 1e-12);
        }
    }
}
