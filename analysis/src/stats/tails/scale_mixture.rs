//! Averages over the error of an estimated standard deviation.
//!
//! A statistic with an estimated standard deviation in its denominator has the tail E[g(S)], where g(s) is the tail that it would have
//! if the estimate were s times the truth, and S = √(χ²_ν / ν). With s = eᵘ the density of u is
//! 2 (ν/2)^{ν/2} / Γ(ν/2) · exp(ν u − ν e²ᵘ / 2), smooth on the whole line with fast ends, where the trapezoidal rule converges
//! exponentially (Trefethen and Weideman 2014).

use std::f64::consts::{LN_2, PI};

use super::gamma::{STIRLING_FROM, ln_gamma, stirling_remainder};

/// What lies this far below the peak, in natural logarithms, adds nothing to a double.
const NEGLIGIBLE_LN: f64 = 42.0;
/// Intervals of the first trapezoidal sum, and of the last at most.
const FIRST_INTERVALS: usize = 32;
const MAX_INTERVALS: usize = 1 << 16;
/// Where halving the interval changes a sum by less than this share, the finer sum is exact: its error is about the square.
const CONVERGED: f64 = 1e-8;

/// ln E[exp(`ln_g`(S))] for S = √(χ²_`df` / `df`). `ln_g` is at most 0, and its product with the density of S has one peak.
pub fn ln_mean_over_scale(df: f64, ln_g: impl Fn(f64) -> f64) -> f64 {
    let ln_constant = ln_density_at_zero(df);
    let ln_integrand = |u: f64| ln_constant + df * (u - 0.5 * (2.0 * u).exp_m1()) + ln_g(u.exp());
    let width = (2.0 * df).sqrt().recip().min(1.0);
    let (peak, ln_peak) = peak(&ln_integrand, width);
    if ln_peak == f64::NEG_INFINITY {
        return f64::NEG_INFINITY;
    }
    let low = edge(&ln_integrand, peak, ln_peak, -width);
    let high = edge(&ln_integrand, peak, ln_peak, width);
    ln_peak + trapezoid(|u| (ln_integrand(u) - ln_peak).exp(), low, high).ln()
}

/// ln of the density of u at 0: ln 2 + a ln a − a − ln Γ(a) with a = ν/2.
fn ln_density_at_zero(df: f64) -> f64 {
    let a = df / 2.0;
    if a < STIRLING_FROM {
        LN_2 + a * a.ln() - a - ln_gamma(a)
    } else {
        LN_2 + 0.5 * (a / (2.0 * PI)).ln() - stirling_remainder(a)
    }
}

/// The place and height of the one peak, near enough that the height is off by less than a factor of two.
fn peak(f: &impl Fn(f64) -> f64, width: f64) -> (f64, f64) {
    let (mut middle, mut at_middle) = (0.0, f(0.0));
    let (left, right) = (f(-width), f(width));
    let mut step = if right > at_middle.max(left) { width } else { -width };
    let mut behind = -step;
    loop {
        let next = middle + step;
        let at_next = f(next);
        // A plateau of −∞ is left by walking on; it ends where the density or the range of a double does.
        let undecided = at_next == f64::NEG_INFINITY && at_middle == f64::NEG_INFINITY && next.abs() < 700.0;
        if at_next > at_middle || undecided {
            behind = middle;
            (middle, at_middle) = (next, at_next);
            step *= 2.0;
        } else {
            return golden_section(f, behind.min(next), behind.max(next), width);
        }
    }
}

/// The highest point between `low` and `high`, to a twentieth of `width`.
fn golden_section(f: &impl Fn(f64) -> f64, mut low: f64, mut high: f64, width: f64) -> (f64, f64) {
    const RATIO: f64 = 0.618_033_988_749_894_8;
    let (mut a, mut b) = (high - RATIO * (high - low), low + RATIO * (high - low));
    let (mut at_a, mut at_b) = (f(a), f(b));
    while high - low > 0.05 * width {
        if at_a >= at_b {
            high = b;
            (b, at_b) = (a, at_a);
            a = high - RATIO * (high - low);
            at_a = f(a);
        } else {
            low = a;
            (a, at_a) = (b, at_b);
            b = low + RATIO * (high - low);
            at_b = f(b);
        }
    }
    if at_a >= at_b { (a, at_a) } else { (b, at_b) }
}

/// A place beyond which the integrand is negligible, on the side that `step` points to.
fn edge(f: &impl Fn(f64) -> f64, peak: f64, ln_peak: f64, step: f64) -> f64 {
    let negligible = |u: f64| f(u) < ln_peak - NEGLIGIBLE_LN;
    let (mut inside, mut distance) = (0.0, 4.0 * step);
    while !negligible(peak + distance) {
        inside = distance;
        distance *= 2.0;
    }
    while distance.abs() > 1.2 * inside.abs() {
        let middle = 0.5 * (inside + distance);
        if negligible(peak + middle) {
            distance = middle;
        } else {
            inside = middle;
        }
    }
    peak + distance
}

/// The integral between two places where `f` has vanished.
fn trapezoid(f: impl Fn(f64) -> f64, low: f64, high: f64) -> f64 {
    let mut intervals = FIRST_INTERVALS;
    let mut step = (high - low) / intervals as f64;
    let mut sum = step * (0..=intervals).map(|i| f(low + i as f64 * step)).sum::<f64>();
    while intervals < MAX_INTERVALS {
        let between = step * (0..intervals).map(|i| f(low + (i as f64 + 0.5) * step)).sum::<f64>();
        let finer = 0.5 * (sum + between);
        let change = (finer - sum).abs();
        sum = finer;
        if change <= CONVERGED * sum {
            break;
        }
        intervals *= 2;
        step *= 0.5;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_one_is_one() {
        for df in [0.5, 1.0, 3.7, 20.0, 285.0, 1e6] {
            let ln = ln_mean_over_scale(df, |_| 0.0);
            assert!(ln.abs() < 1e-12, "{ln} at {df}");
        }
    }
}
