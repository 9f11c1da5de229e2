//! The search for the variance ratio with the least deviance.

use super::profile::{Profile, Solution};
use crate::stats::design::Unfit;

/// The smallest and the largest ratio of the grid, as decimal exponents of τ times the mean run length: variances between runs
/// from a millionth of a mean's residual variance to 10¹⁵ times it.
const GRID_EXPONENTS: std::ops::RangeInclusive<i32> = -12..=30;
/// Grid points per factor of ten.
const POINTS_PER_DECADE: f64 = 2.0;
/// Halvings of the bracket, enough to exhaust double precision.
const HALVINGS: usize = 80;

/// The ratio τ ≥ 0 with the least deviance, and the model there.
///
/// The deviance may have more than one minimum where runs differ in length, so that the slope is looked at on a logarithmic grid, each
/// rise after a fall is narrowed down to the last digit, and the lowest minimum is taken. A ratio of 0 is an answer
/// like any other.
///
/// # Errors
/// If the deviance falls without end, because the residual variance within runs is next to none.
pub fn least_deviance(profile: &Profile) -> Result<(f64, Solution), Unfit> {
    let grid =
        GRID_EXPONENTS.map(|exponent| 10f64.powf(f64::from(exponent) / POINTS_PER_DECADE) / profile.mean_length());
    let mut previous = (0.0, profile.at(0.0));
    let mut best = (previous.1.derivatives.slope >= 0.0).then(|| previous.clone());
    let mut falling_at_end = false;
    for ratio in grid {
        let next = (ratio, profile.at(ratio));
        falling_at_end = next.1.derivatives.slope < 0.0;
        if previous.1.derivatives.slope < 0.0 && !falling_at_end {
            let minimum = narrow(profile, previous.0, ratio);
            if best.as_ref().is_none_or(|(_, solution)| minimum.1.deviance < solution.deviance) {
                best = Some(minimum);
            }
        }
        previous = next;
    }
    best.filter(|_| !falling_at_end).ok_or(Unfit::ExactWithinRuns)
}

/// The zero of the slope between `low`, where it is negative, and `high`, where it is not.
fn narrow(profile: &Profile, mut low: f64, mut high: f64) -> (f64, Solution) {
    for _ in 0..HALVINGS {
        let middle = if low > 0.0 { (low * high).sqrt() } else { 0.5 * high };
        if middle <= low || middle >= high {
            break;
        }
        if profile.at(middle).derivatives.slope < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    (high, profile.at(high))
}
