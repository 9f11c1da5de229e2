//! Drawing resamples, and the statistic on each.

use rayon::prelude::*;

use crate::stats::groups::check_group;
use crate::stats::random::{Resampling, Streams};
use crate::stats::undefined::Undefined;

/// A statistic, its values on the resamples, and what one value's influence on it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Resamples {
    pub(super) estimate: f64,
    /// In rising order.
    pub(super) values: Vec<f64>,
    pub(super) acceleration: f64,
}

impl Resamples {
    /// Resamples each stratum by itself. `statistic` gets the strata's values in the order of `strata`; `name` names the streams.
    ///
    /// # Errors
    /// If there is no stratum, one has fewer than two values or one that is not finite, or the statistic is not finite on the data or
    /// on a resample.
    pub fn stratified(
        strata: &[&[f64]],
        resampling: &Resampling,
        name: &str,
        statistic: impl Fn(&[Vec<f64>]) -> f64 + Sync,
    ) -> Result<Resamples, Undefined> {
        let values = resample_many(strata, resampling, name, 1, |groups, value| value[0] = statistic(groups))?;
        let whole: Vec<Vec<f64>> = strata.iter().map(|stratum| stratum.to_vec()).collect();
        Resamples::from_values(statistic(&whole), values, jackknife_acceleration(&whole, &statistic))
    }

    /// From resampled values that are there already. `acceleration` is BCa's a, 0 where no BCa interval is asked for.
    ///
    /// # Errors
    /// If there are no values, or one is not finite.
    pub fn from_values(estimate: f64, mut values: Vec<f64>, acceleration: f64) -> Result<Resamples, Undefined> {
        if values.is_empty() {
            return Err(Undefined::TooFewResamples);
        }
        if !estimate.is_finite() || values.iter().any(|value| !value.is_finite()) {
            return Err(Undefined::NotFiniteResample);
        }
        values.sort_by(f64::total_cmp);
        Ok(Resamples { estimate, values, acceleration })
    }

    /// The statistic on the data themselves.
    pub fn estimate(&self) -> f64 {
        self.estimate
    }

    /// BCa's acceleration: how fast the statistic's standard error changes with its value, on the normal scale.
    pub fn acceleration(&self) -> f64 {
        self.acceleration
    }
}

/// A statistic of several numbers on every resample: row after row of `width` numbers, resample by resample.
///
/// # Errors
/// If there is no stratum, or one has fewer than two values or one that is not finite.
pub fn resample_many(
    strata: &[&[f64]],
    resampling: &Resampling,
    name: &str,
    width: usize,
    statistic: impl Fn(&[Vec<f64>], &mut [f64]) + Sync,
) -> Result<Vec<f64>, Undefined> {
    if strata.is_empty() {
        return Err(Undefined::TooFewValues { group: 0, values: 0, needed: 2 });
    }
    strata.iter().enumerate().try_for_each(|(group, values)| check_group(group, values, 2))?;
    let streams = Streams::new(resampling.seed, name);
    let mut values = vec![0.0; resampling.resamples * width];
    let room = || strata.iter().map(|stratum| stratum.to_vec()).collect::<Vec<Vec<f64>>>();
    values.par_chunks_mut(width).enumerate().for_each_init(room, |drawn, (number, row)| {
        let mut stream = streams.of_resample(number);
        for (drawn, stratum) in drawn.iter_mut().zip(strata) {
            drawn.iter_mut().for_each(|value| *value = stratum[stream.below(stratum.len())]);
        }
        statistic(drawn, row);
    });
    Ok(values)
}

/// BCa's acceleration of a statistic by the jackknife, stratum by stratum.
pub(super) fn jackknife_acceleration(strata: &[Vec<f64>], statistic: &impl Fn(&[Vec<f64>]) -> f64) -> f64 {
    let mut left = strata.to_vec();
    let mut without_each = Vec::with_capacity(strata.len());
    for (index, stratum) in strata.iter().enumerate() {
        let without = (0..stratum.len()).map(|out| {
            left[index].clone_from(stratum);
            left[index].remove(out);
            statistic(&left)
        });
        without_each.push(without.collect());
        left[index].clone_from(stratum);
    }
    acceleration_without(&without_each)
}

/// BCa's acceleration from the jackknife, for one or several strata: with l the influence (n − 1)(mean of the statistic without a value
/// − the statistic without this value), a = Σ n⁻³ Σ l³ / (6 (Σ n⁻² Σ l²)^{3/2}) (Davison and Hinkley 1997, equation 5.27).
/// `without` has, for every stratum, the statistic without each of its values.
pub fn acceleration_without(without: &[Vec<f64>]) -> f64 {
    let (mut cubes, mut squares) = (0.0, 0.0);
    for values in without {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let influence = |value: &f64| (n - 1.0) * (mean - value);
        cubes += values.iter().map(|value| influence(value).powi(3)).sum::<f64>() / n.powi(3);
        squares += values.iter().map(|value| influence(value).powi(2)).sum::<f64>() / n.powi(2);
    }
    if squares > 0.0 { cubes / (6.0 * squares.powf(1.5)) } else { 0.0 }
}
