//! Mean, standard deviation and intervals of a handful of values.

use super::tails::t_quantile;

/// How far the figures' and tables' intervals reach.
pub const INTERVAL_LEVEL: f64 = 0.95;

/// The moments of some values. What a single value cannot tell is `None`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// How many values.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation (denominator n − 1).
    pub sd: Option<f64>,
}

impl Summary {
    /// Summarises finite values; `None` where there are none.
    pub fn of(values: &[f64]) -> Option<Summary> {
        if values.is_empty() {
            return None;
        }
        let n = values.len() as f64;
        let rough_mean = values.iter().sum::<f64>() / n;
        // A second pass takes the rounding of the first out of the mean and the deviations.
        let mean = rough_mean + values.iter().map(|value| value - rough_mean).sum::<f64>() / n;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let sd = (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt());
        Some(Summary { n: values.len(), mean, sd })
    }

    /// Standard error of the mean.
    pub fn se(&self) -> Option<f64> {
        self.sd.map(|sd| sd / (self.n as f64).sqrt())
    }

    /// Half the width of the mean's [`INTERVAL_LEVEL`] confidence interval by Student's t.
    pub fn half_width(&self) -> Option<f64> {
        self.se().map(|se| se * t_quantile((1.0 - INTERVAL_LEVEL) / 2.0, self.n as f64 - 1.0))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_a_mean_and_no_spread() {
        let summary = Summary::of(&[0.25]).unwrap();
        assert_eq!((summary.mean, summary.sd, summary.half_width()), (0.25, None, None));
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn the_interval_is_student_s() {
        // R: t.test(1:5)$conf.int is 3 ± 1.963243.
        let summary = Summary::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert!((summary.half_width().unwrap() - 1.963_243_161_477_5).abs() < 1e-9);
    }
}
