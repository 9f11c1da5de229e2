//! The standard normal distribution.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2, PI};

use super::Tail;

/// From here on the tail is Mills' ratio times the density; before, `erfc` holds it with all digits.
const MILLS_FROM: f64 = 30.0;
/// Levels of the continued fraction of Mills' ratio; at [`MILLS_FROM`] four are exact to double precision.
const MILLS_LEVELS: usize = 8;
/// Newton steps in [`normal_quantile`]; they double the digits each, and six suffice for the smallest double.
const NEWTON_STEPS: usize = 50;

/// P(Z > z).
pub fn normal_upper(z: f64) -> Tail {
    Tail { ln: ln_upper(z) }
}

/// P(Z > z) as a plain number; it underflows from z = 38 on.
pub(super) fn upper(z: f64) -> f64 {
    0.5 * libm::erfc(z * FRAC_1_SQRT_2)
}

/// ln φ(z), the logarithm of the density.
pub(super) fn ln_density(z: f64) -> f64 {
    -0.5 * z * z - 0.5 * (2.0 * PI).ln()
}

/// ln P(Z > z).
pub(super) fn ln_upper(z: f64) -> f64 {
    if z > MILLS_FROM {
        // Laplace's continued fraction (DLMF 7.9.2): Mills' ratio is 1 / (z + 1 / (z + 2 / (z + 3 / …))).
        let fraction = (1..=MILLS_LEVELS).rev().fold(z, |below, level| z + level as f64 / below);
        ln_density(z) - fraction.ln()
    } else if z < -1.0 {
        (-upper(-z)).ln_1p()
    } else {
        libm::erfc(z * FRAC_1_SQRT_2).ln() - LN_2
    }
}

/// The z with P(Z > z) = `upper`, for 0 < `upper` < 1.
pub fn normal_quantile(upper: f64) -> f64 {
    if upper > 0.5 {
        return -normal_quantile(1.0 - upper);
    }
    // ln P(Z > z) is concave, so that Newton's method comes to the root from the right after the first step.
    let ln_target = upper.ln();
    let mut z = 0.0;
    for _ in 0..NEWTON_STEPS {
        let ln_p = ln_upper(z);
        let hazard = (ln_density(z) - ln_p).exp();
        let step = (ln_p - ln_target) / hazard;
        z += step;
        if step.abs() <= f64::EPSILON * z.abs() {
            break;
        }
    }
    z
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_those_of_mpmath() {
        // mpmath with 40 digits: log(erfc(z/√2)/2).
        let of_mpmath = [
            (-9.0, -1.128_588_405_953_840_5e-19),
            (-1.0, -0.172_753_779_023_449_88),
            (-0.5, -0.368_946_415_288_656_4),
            (0.0, -LN_2),
            (3.0, -6.607_726_221_510_349),
            (12.0, -75.410_673_001_568_8),
            (29.9, -451.322_912_458_528_66),
            (30.1, -457.329_564_416_382_25),
            (45.0, -1_017.226_094_241_952_4),
            (1000.0, -500_007.826_694_812_16),
        ];
        for (z, expected) in of_mpmath {
            let found = normal_upper(z).ln();
            assert!((found - expected).abs() <= 1e-15 * f64::max(0.5, expected.abs()), "{found} for {z}");
        }
    }

    #[test]
    fn the_quantile_undoes_the_tail() {
        for z in [-8.0, -1.5, -1e-3, 0.0, 1e-9, 0.7, 1.96, 9.0, 35.0, 37.5] {
            let back = normal_quantile(normal_upper(z).ln().exp());
            // Near 1 a probability has lost digits of z that no quantile can bring back.
            let lost = if z < 0.0 { 1e-16 / (ln_density(z).exp()) } else { 0.0 };
            assert!((back - z).abs() <= 1e-12 * z.abs().max(1e-3) + lost, "{back} for {z}");
        }
    }
}
