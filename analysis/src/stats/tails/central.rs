//! F, Student's t and chi-square.
//!
//! The first two are regularised incomplete beta functions: P(F > f) = I_x(d₂/2, d₁/2) with x = d₂ / (d₂ + d₁ f), and
//! P(|T| > t) = I_x(ν/2, 1/2) with x = ν / (ν + t²). The third is a regularised incomplete gamma function:
//! P(X > x) = Q(ν/2, x/2).

use std::f64::consts::LN_2;

use super::beta::ln_incomplete_beta;
use super::gamma::ln_upper_incomplete_gamma;
use super::root::root_from;
use super::{Tail, ln_one_minus_exp};

/// Halvings of the interval in [`t_quantile`], enough to exhaust double precision.
const BISECTIONS: usize = 200;

/// P(F > f) for F with `d1` and `d2` degrees of freedom (both positive), `f` ≥ 0 or infinite.
pub fn f_upper(f: f64, d1: f64, d2: f64) -> Tail {
    if f <= 0.0 {
        return Tail { ln: 0.0 };
    }
    let ratio = d1 * f / d2;
    Tail { ln: ln_incomplete_beta(ratio, d2 / 2.0, d1 / 2.0) }
}

/// The f with P(F > f) = `upper`, for 0 < `upper` < 1 and positive `d1` and `d2`: the critical value of a test.
pub fn f_quantile(upper: f64, d1: f64, d2: f64) -> f64 {
    let ln_upper = upper.ln();
    // Sought by its logarithm, since f may be of any size.
    root_from(|ln_f| f_upper(ln_f.exp(), d1, d2).ln() - ln_upper, 0.0, 1.0).exp()
}

/// P(T > t) for Student's T with `df` degrees of freedom (positive).
pub fn t_upper(t: f64, df: f64) -> Tail {
    let half_of_both = ln_incomplete_beta(t * t / df, df / 2.0, 0.5) - LN_2;
    Tail { ln: if t >= 0.0 { half_of_both } else { ln_one_minus_exp(half_of_both) } }
}

/// P(|T| > |t|) for Student's T with `df` degrees of freedom (positive).
pub fn t_two_sided(t: f64, df: f64) -> Tail {
    f_upper(t * t, 1.0, df)
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

/// P(X > x) for chi-square X with `df` degrees of freedom (positive), `x` ≥ 0 or infinite.
pub fn chi_square_upper(x: f64, df: f64) -> Tail {
    if x <= 0.0 {
        return Tail { ln: 0.0 };
    }
    Tail { ln: if x.is_infinite() { f64::NEG_INFINITY } else { ln_upper_incomplete_gamma(df / 2.0, x / 2.0) } }
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
    fn the_quantiles_of_f_are_those_of_r() {
        // R: qf(c(0.05, 0.999, 1e-10), c(3, 14, 1), c(7, 285, 5.5), lower.tail = FALSE)
        let of_r = [
            (0.05, 3.0, 7.0, 4.346_831_399_907_82),
            (0.999, 14.0, 285.0, 0.213_852_106_305_790_2),
            (1e-10, 1.0, 5.5, 15_819.240_297_165_82),
        ];
        for (upper, d1, d2, expected) in of_r {
            assert!((f_quantile(upper, d1, d2) / expected - 1.0).abs() < 1e-10);
        }
    }

    #[test]
    fn the_quantile_undoes_the_tail() {
        for (upper, df, expected) in [(0.025, 4.0, 2.776_445_105_197_793), (0.025, 1.0, 12.706_204_736_174_7)] {
            assert!((t_quantile(upper, df) / expected - 1.0).abs() < 1e-12);
        }
    }
}
