//! Summaries of all runs of a study that a few of them cannot move (Agarwal et al. 2021, the library rliable).

use rayon::prelude::*;

use super::bootstrap::{Interval, Resamples, acceleration_without};
use super::groups::check_group;
use super::random::{Resampling, Streams};
use super::undefined::Undefined;

/// The share of values that the interquartile mean leaves out at either end.
const TRIMMED: f64 = 0.25;

/// The interquartile mean: the mean of the middle half, `floor(n / 4)` values left out at either end, as `scipy.stats.trim_mean`.
/// `None` where there are no values.
pub fn interquartile_mean(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let out = left_out(values.len());
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
    check(conditions)?;
    let all = conditions.concat();
    let mut distinct = all.clone();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    let place = |value: &f64| distinct.partition_point(|other| other < value);
    let out = left_out(all.len());
    // The mean of the middle half from how often each value is there: no resample has to be sorted.
    let mean = |counts: &[u32]| {
        let (mut passed, mut sum) = (0, 0.0);
        for (value, count) in distinct.iter().zip(counts) {
            let count = *count as usize;
            let inside = (passed + count).min(all.len() - out).saturating_sub(passed.max(out));
            sum += inside as f64 * value;
            passed += count;
        }
        sum / (all.len() - 2 * out) as f64
    };
    let placed: Vec<Vec<usize>> = conditions.iter().map(|values| values.iter().map(place).collect()).collect();
    let mut counts = vec![0; distinct.len()];
    placed.iter().flatten().for_each(|place| counts[*place] += 1);
    let estimate = mean(&counts);
    let values = resample_counts(&placed, distinct.len(), resampling, name, 1, |counts, row| row[0] = mean(counts));
    Resamples::from_values(estimate, values, acceleration_without(&without_each(conditions, estimate)))
}

/// Checks that every condition can be resampled.
fn check(conditions: &[&[f64]]) -> Result<(), Undefined> {
    if conditions.is_empty() {
        return Err(Undefined::TooFewValues { group: 0, values: 0, needed: 2 });
    }
    conditions.iter().enumerate().try_for_each(|(group, values)| check_group(group, values, 2))
}

/// How many values the interquartile mean of `n` leaves out at either end.
fn left_out(n: usize) -> usize {
    (TRIMMED * n as f64).floor() as usize
}

/// For every condition the interquartile mean of all without each of its values, less `shift`, which should be near it.
fn without_each(conditions: &[&[f64]], shift: f64) -> Vec<Vec<f64>> {
    let mut sorted = conditions.concat();
    sorted.iter_mut().for_each(|value| *value -= shift);
    sorted.sort_by(f64::total_cmp);
    let mut sums = vec![0.0];
    for value in &sorted {
        sums.push(sums[sums.len() - 1] + value);
    }
    let left = sorted.len() - 1;
    let (from, to) = (left_out(left), left - left_out(left));
    let without = |value: &f64| {
        let place = sorted.partition_point(|other| *other < value - shift);
        // The middle of what is left, by places among all.
        let sum = match place {
            _ if place < from => sums[to + 1] - sums[from + 1],
            _ if place < to => sums[to + 1] - sums[from] - sorted[place],
            _ => sums[to] - sums[from],
        };
        sum / (to - from) as f64
    };
    conditions.iter().map(|values| values.iter().map(without).collect()).collect()
}

/// A statistic of `width` numbers that depends on how often each of `places` places is drawn, on every resample: row after row.
/// `placed` has the place of every value of every condition; values are drawn as
/// [`resample_many`](super::bootstrap::resample_many) draws them.
fn resample_counts(
    placed: &[Vec<usize>],
    places: usize,
    resampling: &Resampling,
    name: &str,
    width: usize,
    statistic: impl Fn(&[u32], &mut [f64]) + Sync,
) -> Vec<f64> {
    let streams = Streams::new(resampling.seed, name);
    let mut values = vec![0.0; resampling.resamples * width];
    values.par_chunks_mut(width).enumerate().for_each_init(
        || vec![0_u32; places],
        |counts, (number, row)| {
            let mut stream = streams.of_resample(number);
            counts.fill(0);
            for places in placed {
                (0..places.len()).for_each(|_| counts[places[stream.below(places.len())]] += 1);
            }
            statistic(counts, row);
        },
    );
    values
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
    check(conditions)?;
    let mut order: Vec<usize> = (0..thresholds.len()).collect();
    order.sort_by(|one, other| thresholds[*one].total_cmp(&thresholds[*other]));
    let bins = thresholds.len() + 1;
    // Of the thresholds in rising order, a value lies above as many as its bin says.
    let bin = |value: &f64| order.partition_point(|place| thresholds[*place] < *value);
    let placed: Vec<Vec<usize>> = conditions
        .iter()
        .enumerate()
        .map(|(condition, values)| values.iter().map(|value| condition * bins + bin(value)).collect())
        .collect();
    let shares = |counts: &[u32], row: &mut [f64]| {
        row.fill(0.0);
        for (counts, placed) in counts.chunks_exact(bins).zip(&placed) {
            let mut above = 0;
            for (threshold, count) in order.iter().zip(&counts[1..]).rev() {
                above += count;
                row[*threshold] += f64::from(above) / placed.len() as f64;
            }
        }
        row.iter_mut().for_each(|share| *share /= conditions.len() as f64);
    };
    let width = thresholds.len().max(1);
    let resampled = resample_counts(&placed, conditions.len() * bins, resampling, name, width, shares);
    let mut counts = vec![0; conditions.len() * bins];
    placed.iter().flatten().for_each(|place| counts[*place] += 1);
    let mut whole = vec![0.0; width];
    shares(&counts, &mut whole);
    let point = |(index, (threshold, share)): (usize, (&f64, f64))| {
        let values = resampled.iter().skip(index).step_by(width).copied().collect();
        let interval = match Resamples::from_values(share, values, 0.0)?.interval(Interval::Percentile, level) {
            Err(Undefined::ConstantResamples) => (share, share),
            other => other?,
        };
        Ok(ProfilePoint { threshold: *threshold, share, interval })
    };
    thresholds.iter().zip(whole).enumerate().map(point).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::stats::bootstrap::resample_many;

    const PLAN: Resampling = Resampling { seed: 5, resamples: 300 };

    fn conditions() -> Vec<Vec<f64>> {
        let condition = |offset: u32, n: u32| (0..n).map(|i| f64::from((i * i + offset) % 17) / 17.0).collect();
        vec![condition(0, 9), condition(5, 14), condition(2, 6)]
    }

    /// Counting places gives what sorting every resample gives, and so does the jackknife without sorting.
    #[test]
    fn means_from_counts_are_those_of_the_values() {
        let conditions = conditions();
        let strata: Vec<&[f64]> = conditions.iter().map(Vec::as_slice).collect();
        let found = interquartile_mean_resampled(&strata, &PLAN, "iqm").unwrap();
        let plain =
            Resamples::stratified(&strata, &PLAN, "iqm", |groups| interquartile_mean(&groups.concat()).unwrap());
        let plain = plain.unwrap();
        assert!((found.estimate() - plain.estimate()).abs() < 1e-14);
        assert!((found.acceleration() - plain.acceleration()).abs() < 1e-12);
        let (found, plain) =
            (found.interval(Interval::Percentile, 0.9).unwrap(), plain.interval(Interval::Percentile, 0.9).unwrap());
        assert!((found.0 - plain.0).abs() < 1e-14 && (found.1 - plain.1).abs() < 1e-14, "{found:?} {plain:?}");
    }

    /// Shares from counts are those of the values, thresholds in any order.
    #[test]
    fn shares_from_counts_are_those_of_the_values() {
        let conditions = conditions();
        let strata: Vec<&[f64]> = conditions.iter().map(Vec::as_slice).collect();
        let thresholds = [0.5, 0.0, 5.0 / 17.0, 0.9];
        let share = |groups: &[Vec<f64>], threshold: f64| {
            let of =
                |group: &Vec<f64>| group.iter().filter(|value| **value > threshold).count() as f64 / group.len() as f64;
            groups.iter().map(of).sum::<f64>() / groups.len() as f64
        };
        let plain = resample_many(&strata, &PLAN, "profile", 4, |groups, row| {
            row.iter_mut().zip(thresholds).for_each(|(share_above, threshold)| *share_above = share(groups, threshold));
        });
        let plain = plain.unwrap();
        for (index, point) in
            performance_profile(&strata, &thresholds, 0.9, &PLAN, "profile").unwrap().iter().enumerate()
        {
            let values = plain.iter().skip(index).step_by(4).copied().collect();
            let resamples = Resamples::from_values(point.share, values, 0.0).unwrap();
            assert_eq!(point.share, share(&conditions, thresholds[index]));
            if let Ok(interval) = resamples.interval(Interval::Percentile, 0.9) {
                assert_eq!(point.interval, interval);
            }
        }
    }
}
