//! Intervals from resamples, as R's `boot.ci` computes them.

use crate::stats::tails::{normal_quantile, normal_upper};
use crate::stats::undefined::Undefined;

use super::Resamples;

/// Kinds of bootstrap interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    /// Quantiles of the resampled values.
    Percentile,
    /// The same mirrored at the estimate.
    Basic,
    /// Quantiles corrected for bias and for a spread that changes with the estimate (Efron 1987). The default.
    Bca,
}

impl Resamples {
    /// The interval at a level between 0 and 1.
    ///
    /// # Errors
    /// If the resampled values are all the same, if there are too few of them for the level, or if none lies on one side of the
    /// estimate (for BCa).
    pub fn interval(&self, kind: Interval, level: f64) -> Result<(f64, f64), Undefined> {
        let outside = (1.0 - level) / 2.0;
        if self.values[0] == self.values[self.values.len() - 1] {
            return Err(Undefined::ConstantResamples);
        }
        match kind {
            Interval::Percentile => Ok((self.quantile(outside)?, self.quantile(1.0 - outside)?)),
            Interval::Basic => {
                let mirror = |value: f64| 2.0 * self.estimate - value;
                Ok((mirror(self.quantile(1.0 - outside)?), mirror(self.quantile(outside)?)))
            }
            Interval::Bca => {
                let bias = self.bias()?;
                let corrected = |side: f64| {
                    let z = bias - normal_quantile(side);
                    normal_upper(-(bias + z / (1.0 - self.acceleration * z))).p()
                };
                Ok((self.quantile(corrected(outside))?, self.quantile(corrected(1.0 - outside))?))
            }
        }
    }

    /// BCa's z₀: the normal quantile of the share of resampled values below the estimate.
    ///
    /// # Errors
    /// If none or all of them lie below.
    pub fn bias(&self) -> Result<f64, Undefined> {
        let below = self.values.partition_point(|value| *value < self.estimate);
        if below == 0 || below == self.values.len() {
            return Err(Undefined::EstimateOutsideResamples);
        }
        Ok(-normal_quantile(below as f64 / self.values.len() as f64))
    }

    /// A quantile at (R + 1) p, interpolated on the normal scale between order statistics (Davison and Hinkley 1997, equation 5.8).
    fn quantile(&self, p: f64) -> Result<f64, Undefined> {
        let resamples = self.values.len() as f64;
        let place = (resamples + 1.0) * p;
        // A whole place must not miss its order statistic by rounding.
        let place = if (place - place.round()).abs() < 1e-9 { place.round() } else { place };
        let below = place.floor();
        if below < 1.0 || place > resamples {
            return Err(Undefined::TooFewResamples);
        }
        let value = self.values[below as usize - 1];
        if place == below {
            return Ok(value);
        }
        let z = |place: f64| normal_quantile(place / (resamples + 1.0));
        // normal_quantile is that of the upper tail; the signs cancel in the ratio.
        let share = (normal_quantile(p) - z(below)) / (z(below + 1.0) - z(below));
        Ok(value + share * (self.values[below as usize] - value))
    }
}
