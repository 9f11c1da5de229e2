//! Summaries of all runs of a study that a few of them cannot move (Agarwal et al. 2021, the library rliable).

use super::bootstrap::{Interval, Resamples, resample_many};
use super::random::Resampling;
use super::undefined::Undefined;

/// The share of values that the interquartile mean leaves out at either end.
const TRIMMED: f64 = 0.25;

/// The interquartile mean: the mean of the middle half, `floor(n / 4)` values left out at either end, as `scipy.stats.trim_mean`.
/// `None` where there are no values.
pub fn interquartile_mean(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let out = (TRIMMED * values.len() as f64).floor() as usize;
    let middle = &sorted[out..values.len() - out];
    (!middle.is_empty()).then(|| middle.iter().sum::<f64>() / middle.len() as f64)
}

/// The interquartile mean over the runs of all conditions, with runs resampled within each condition.
///
/// # Errors
/// If there is no condition, or one has fewer than two values or one that is not finite.
pub fn interquartile_mean_resampled(
    conditions: &[&[f64]],
    resampling: &Resampling,
    name: &str,
) -> Result<Resamples, Undefined> {
    Resamples::stratified(conditions, resampling, name, |groups| {
        interquartile_mean(&groups.concat()).unwrap_or(f64::NAN)
    })
}

/// A performance profile at one threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfilePoint {
    /// The threshold.
    pub threshold: f64,
    /// Share of runs above it, all conditions weighing the same.
    pub share: f64,
    /// The share's pointwise percentile interval; the share itself twice where every resample agrees on it.
    pub interval: (f64, f64),
}

/// The performance profile: at every threshold the share of runs above it, as the mean over conditions, with runs resampled within
/// each condition.
///
/// # Errors
/// If there is no condition, one has fewer than two values or one that is not finite, or there are too few resamples for `level`.
pub fn performance_profile(
    conditions: &[&[f64]],
    thresholds: &[f64],
    level: f64,
    resampling: &Resampling,
    name: &str,
) -> Result<Vec<ProfilePoint>, Undefined> {
    let width = thresholds.len().max(1);
    let resampled =
        resample_many(conditions, resampling, name, width, |groups, row| fill_shares(groups, thresholds, row))?;
    let mut shares = vec![0.0; thresholds.len()];
    fill_shares(conditions, thresholds, &mut shares);
    let point = |(index, (threshold, share)): (usize, (&f64, f64))| {
        let values = resampled.iter().skip(index).step_by(width).copied().collect();
        let interval = match Resamples::from_values(share, values, 0.0)?.interval(Interval::Percentile, level) {
            Err(Undefined::ConstantResamples) => (share, share),
            other => other?,
        };
        Ok(ProfilePoint { threshold: *threshold, share, interval })
    };
    thresholds.iter().zip(shares).enumerate().map(point).collect()
}

/// The share of values above each threshold, as the mean over conditions.
fn fill_shares<G: AsRef<[f64]>>(conditions: &[G], thresholds: &[f64], shares: &mut [f64]) {
    for (share, threshold) in shares.iter_mut().zip(thresholds) {
        let of_condition =
            |values: &[f64]| values.iter().filter(|value| *value > threshold).count() as f64 / values.len() as f64;
        *share = conditions.iter().map(|values| of_condition(values.as_ref())).sum::<f64>() / conditions.len() as f64;
    }
}
