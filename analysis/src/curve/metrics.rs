//! The paper's metrics of a probe curve.

use super::smooth::smooth_3rs3r;

/// What is read from one curve (one epoch of one run), after smoothing. Accuracies lie between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurveMetrics {
    /// Accuracy at the first time step.
    pub start: f64,
    /// Accuracy at the last time step.
    pub end: f64,
    /// The highest accuracy.
    pub max: f64,
    /// Where the highest accuracy is first met: its 1-based time step over the number of steps, in (0, 1].
    pub tmax: f64,
}

/// Why a curve has no metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undefined {
    /// The curve has no time steps.
    #[error("the curve is empty")]
    Empty,
    /// The curve holds a null, a NaN or an infinity.
    #[error("the curve holds a value that is not a finite number")]
    NotFinite,
    /// A table of metrics has no row for the epoch.
    #[error("the table has no row for this epoch")]
    Absent,
}

impl CurveMetrics {
    /// Reads the metrics of a curve `[time]`: smoothed by R's `smooth()`, then start, end, maximum and its first place.
    ///
    /// # Errors
    /// If the curve is empty or holds a value that is not finite.
    pub fn of(curve: &[f64]) -> Result<CurveMetrics, Undefined> {
        if curve.iter().any(|value| !value.is_finite()) {
            return Err(Undefined::NotFinite);
        }
        let smoothed = smooth_3rs3r(curve);
        let (Some(&start), Some(&end)) = (smoothed.first(), smoothed.last()) else {
            return Err(Undefined::Empty);
        };
        let (mut max, mut step) = (start, 0);
        for (i, &value) in smoothed.iter().enumerate() {
            if value > max {
                (max, step) = (value, i);
            }
        }
        Ok(CurveMetrics { start, end, max, tmax: (step + 1) as f64 / smoothed.len() as f64 })
    }

    /// What the sequence added: accuracy at the end minus accuracy at the start.
    pub fn end_minus_start(&self) -> f64 {
        self.end - self.start
    }

    /// The value of one metric.
    pub fn get(&self, metric: Metric) -> f64 {
        match metric {
            Metric::Start => self.start,
            Metric::End => self.end,
            Metric::Max => self.max,
            Metric::Tmax => self.tmax,
            Metric::EndMinusStart => self.end_minus_start(),
        }
    }
}

/// One of the metrics, for tables and figures that go through all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// See [`CurveMetrics::start`].
    Start,
    /// See [`CurveMetrics::end`].
    End,
    /// See [`CurveMetrics::max`].
    Max,
    /// See [`CurveMetrics::tmax`].
    Tmax,
    /// See [`CurveMetrics::end_minus_start`].
    EndMinusStart,
}

impl Metric {
    /// Every metric, in the order of the tables' columns.
    pub const ALL: [Metric; 5] = [Metric::Start, Metric::End, Metric::Max, Metric::Tmax, Metric::EndMinusStart];
    /// The four metrics that the paper tests.
    pub const TESTED: [Metric; 4] = [Metric::Start, Metric::End, Metric::Max, Metric::Tmax];

    /// The metric's name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Start => "start",
            Metric::End => "end",
            Metric::Max => "max",
            Metric::Tmax => "tmax",
            Metric::EndMinusStart => "end_minus_start",
        }
    }

    /// The metric in words, with its unit, for a figure's axis.
    pub fn axis(self) -> &'static str {
        match self {
            Metric::Start => "start: accuracy at the first step",
            Metric::End => "end: accuracy at the last step",
            Metric::Max => "max: highest accuracy",
            Metric::Tmax => "tmax: place of the maximum (share of the sequence)",
            Metric::EndMinusStart => "end − start: accuracy gained",
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_maxima_counts() {
        let metrics = CurveMetrics::of(&[0.5, 0.625, 0.75, 0.75, 0.75]).unwrap();
        assert_eq!((metrics.max, metrics.tmax), (0.75, 0.6));
    }

    #[test]
    fn one_step_is_start_end_and_maximum_at_once() {
        let metrics = CurveMetrics::of(&[0.5]).unwrap();
        assert_eq!(metrics, CurveMetrics { start: 0.5, end: 0.5, max: 0.5, tmax: 1.0 });
    }

    #[test]
    fn no_steps_and_values_that_are_not_finite_are_undefined() {
        assert_eq!(CurveMetrics::of(&[]), Err(Undefined::Empty));
        assert_eq!(CurveMetrics::of(&[0.5, f64::NAN]), Err(Undefined::NotFinite));
        assert_eq!(CurveMetrics::of(&[f64::INFINITY]), Err(Undefined::NotFinite));
    }
}
