//! What the probe finds beyond chance: runs with true labels against runs with shuffled ones.
//!
//! A probe scores above 1/classes even where the labels mean nothing: neighbours count themselves, classes differ in size, and many states
//! let it memorise. Runs that trained on shuffled labels show that level cell by cell. Selectivity is the difference
//! (Hewitt and Liang 2019): what the probe reads from the states rather than what it can do by itself.

use super::summary::Summary;
use super::wald::WaldT;

/// Why there is no chance level or no selectivity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSelectivity {
    /// No control.
    #[error("there are no runs with shuffled labels")]
    NoShuffledRuns,
    /// No runs to compare with it.
    #[error("there are no runs with true labels")]
    NoTrueRuns,
    /// No variance between runs on one side.
    #[error(
        "the difference needs at least two runs with true and two with shuffled labels, and there are {truth} and {shuffled}"
    )]
    TooFewRuns {
        /// Runs with true labels.
        truth: usize,
        /// Runs with shuffled labels.
        shuffled: usize,
    },
    /// Equal values throughout.
    #[error("the runs do not vary, so that the difference has no interval")]
    NoVariance,
    /// A NaN or an infinity.
    #[error("a run's value is not a finite number")]
    NotFinite,
    /// Maps of several sizes.
    #[error("the runs' learning-curve maps differ in size, so that their cells cannot be compared")]
    ShapesDiffer,
}

/// The mean map of the true-label runs, that of the shuffled ones, and their difference, cell by cell.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectivityMap {
    /// The probe's chance level: the mean over shuffled runs.
    pub chance: Vec<f64>,
    /// The mean over true-label runs less the chance level.
    pub selectivity: Vec<f64>,
}

/// Compares maps (`[epoch × time step]`, all of one size) of runs with true and with shuffled labels.
///
/// # Errors
/// If one side has no runs, or the maps are not whole and alike.
pub fn selectivity_map(truth: &[&[f64]], shuffled: &[&[f64]]) -> Result<SelectivityMap, NoSelectivity> {
    let chance = chance_level(shuffled)?;
    let first = truth.first().ok_or(NoSelectivity::NoTrueRuns)?;
    if first.len() != chance.len() {
        return Err(NoSelectivity::ShapesDiffer);
    }
    let means = mean_map(truth)?;
    let selectivity = means.iter().zip(&chance).map(|(mean, chance)| mean - chance).collect();
    Ok(SelectivityMap { chance, selectivity })
}

/// The probe's chance level in every cell: the mean over the runs with shuffled labels.
///
/// # Errors
/// If there are none, or their maps are not whole and alike.
pub fn chance_level(shuffled: &[&[f64]]) -> Result<Vec<f64>, NoSelectivity> {
    if shuffled.is_empty() {
        return Err(NoSelectivity::NoShuffledRuns);
    }
    mean_map(shuffled)
}

fn mean_map(maps: &[&[f64]]) -> Result<Vec<f64>, NoSelectivity> {
    if maps.iter().any(|map| map.len() != maps[0].len()) {
        return Err(NoSelectivity::ShapesDiffer);
    }
    if maps.iter().any(|map| map.iter().any(|value| !value.is_finite())) {
        return Err(NoSelectivity::NotFinite);
    }
    let mean = |cell: usize| maps.iter().map(|map| map[cell]).sum::<f64>() / maps.len() as f64;
    Ok((0..maps[0].len()).map(mean).collect())
}

/// Selectivity of a number that each run has one of, as a metric at its final epoch or the mean of its final curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Selectivity {
    /// The mean over true-label runs.
    pub truth: f64,
    /// The mean over shuffled runs.
    pub chance: f64,
    /// Their difference, with Welch's standard error and degrees of freedom, which allow for different variances.
    pub difference: WaldT,
}

/// Compares the runs' numbers with true and with shuffled labels.
///
/// # Errors
/// If there are fewer than two runs on one side, or the values leave no interval.
pub fn selectivity(truth: &[f64], shuffled: &[f64]) -> Result<Selectivity, NoSelectivity> {
    let ours = Summary::of(truth).ok_or(NoSelectivity::NoTrueRuns)?;
    let theirs = Summary::of(shuffled).ok_or(NoSelectivity::NoShuffledRuns)?;
    if truth.iter().chain(shuffled).any(|value| !value.is_finite()) {
        return Err(NoSelectivity::NotFinite);
    }
    let (Some(our_se), Some(their_se)) = (ours.se(), theirs.se()) else {
        return Err(NoSelectivity::TooFewRuns { truth: truth.len(), shuffled: shuffled.len() });
    };
    let (our_square, their_square) = (our_se * our_se, their_se * their_se);
    let variance = our_square + their_square;
    if variance <= 0.0 {
        return Err(NoSelectivity::NoVariance);
    }
    let (our_df, their_df) = (ours.n as f64 - 1.0, theirs.n as f64 - 1.0);
    // Welch (1947), in shares of the variance so that tiny variances do not underflow.
    let (our_share, their_share) = (our_square / variance, their_square / variance);
    let df = 1.0 / (our_share * our_share / our_df + their_share * their_share / their_df);
    let difference = WaldT::new(ours.mean - theirs.mean, variance.sqrt(), df);
    Ok(Selectivity { truth: ours.mean, chance: theirs.mean, difference })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_is_that_of_welch() {
        // R: t.test(c(1, 2, 4), c(2, 6, 7, 9))
        let found = selectivity(&[1.0, 2.0, 4.0], &[2.0, 6.0, 7.0, 9.0]).unwrap().difference;
        for (found, expected) in [
            (found.t, -2.136_828_897_185_981_5),
            (found.df, 4.642_975_206_611_571),
            (found.p.p(), 0.089_900_976_636_453_02),
            (found.interval(0.95).0, -8.181_624_310_949_646),
            (found.interval(0.95).1, 0.848_290_977_616_312_7),
        ] {
            assert!((found - expected).abs() < 1e-12, "{found} instead of {expected}");
        }
    }

    #[test]
    fn chance_is_the_mean_of_the_shuffled_maps() {
        let map = selectivity_map(&[&[0.9, 0.5]], &[&[0.5, 0.5], &[0.25, 0.75]]).unwrap();
        assert_eq!(map.chance, [0.375, 0.625]);
        assert_eq!(map.selectivity, [0.9 - 0.375, -0.125]);
    }

    #[test]
    fn what_is_missing_is_said() {
        assert_eq!(selectivity(&[1.0, 2.0], &[]), Err(NoSelectivity::NoShuffledRuns));
        assert_eq!(selectivity(&[], &[1.0]), Err(NoSelectivity::NoTrueRuns));
        assert_eq!(selectivity(&[1.0, 2.0], &[1.0]), Err(NoSelectivity::TooFewRuns { truth: 2, shuffled: 1 }));
        assert_eq!(selectivity(&[0.1; 3], &[0.2; 3]), Err(NoSelectivity::NoVariance));
        assert_eq!(selectivity(&[0.1, f64::NAN], &[0.2; 3]), Err(NoSelectivity::NotFinite));
        assert_eq!(selectivity_map(&[&[0.5]], &[]), Err(NoSelectivity::NoShuffledRuns));
        assert_eq!(selectivity_map(&[], &[&[0.5]]), Err(NoSelectivity::NoTrueRuns));
        assert_eq!(selectivity_map(&[&[0.5]], &[&[0.5, 0.6]]), Err(NoSelectivity::ShapesDiffer));
        assert_eq!(selectivity_map(&[&[f64::NAN]], &[&[0.5]]), Err(NoSelectivity::NotFinite));
    }
}
