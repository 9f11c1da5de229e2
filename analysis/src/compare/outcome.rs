//! A run's one number, and the samples of runs that are compared by it.

use curvefleet_proto::study::CurveMetric;

use crate::aggregate::Group;
use crate::curve::metrics::Metric;
use crate::read::results::{Cell, EpochResult, RunResult};

/// Areas are rounded to twelve decimals, so that runs with the same heights in another order are tied, as they should be in ranks.
const AREA_DIGITS: f64 = 1e12;

/// What a run's epochs are reduced to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunSummary {
    /// The metric after the last epoch.
    Final,
    /// The area under the metric's curve over the epochs by the trapezoidal rule, divided by the epochs that it spans: a mean height,
    /// in the metric's own unit.
    Area,
}

impl RunSummary {
    /// Both, in the order of tables.
    pub const ALL: [RunSummary; 2] = [RunSummary::Final, RunSummary::Area];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            RunSummary::Final => "final",
            RunSummary::Area => "area",
        }
    }

    /// The summary in words.
    pub fn words(self) -> &'static str {
        match self {
            RunSummary::Final => "after the last epoch",
            RunSummary::Area => "area under the epoch curve",
        }
    }

    /// The number of a run; `None` if an epoch that it needs has no metrics, or if one epoch alone is to have an area.
    fn of(self, run: &RunResult, metric: Metric) -> Option<f64> {
        let value = |epoch: &EpochResult| Some(epoch.metrics.ok()?.get(metric));
        match self {
            RunSummary::Final => value(run.epochs.last()?),
            RunSummary::Area => {
                let heights: Vec<f64> = run.epochs.iter().map(value).collect::<Option<_>>()?;
                let spans = heights.len().checked_sub(1).filter(|spans| *spans > 0)?;
                let area: f64 = heights.windows(2).map(|ends| 0.5 * (ends[0] + ends[1])).sum();
                Some((area / spans as f64 * AREA_DIGITS).round() / AREA_DIGITS)
            }
        }
    }
}

impl From<CurveMetric> for Metric {
    fn from(metric: CurveMetric) -> Metric {
        match metric {
            CurveMetric::Start => Metric::Start,
            CurveMetric::End => Metric::End,
            CurveMetric::Max => Metric::Max,
            CurveMetric::Tmax => Metric::Tmax,
            CurveMetric::EndMinusStart => Metric::EndMinusStart,
        }
    }
}

/// Which number of which runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The data set.
    pub data: String,
    /// The model.
    pub model: String,
    /// The metric.
    pub metric: Metric,
    /// What its epochs are reduced to.
    pub summary: RunSummary,
}

impl Outcome {
    /// The name of a random stream that belongs to this outcome alone.
    pub(super) fn stream(&self, parts: &[&str]) -> String {
        let own = [self.data.as_str(), &self.model, self.metric.name(), self.summary.name()];
        own.iter().chain(parts).copied().collect::<Vec<_>>().join("\n")
    }
}

/// The runs of one cell that have the number.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Their numbers, by seed.
    pub values: Vec<f64>,
    /// Runs in the results that have no such number.
    pub without: usize,
}

impl Sample {
    fn of(cell: Option<&Cell>, metric: Metric, summary: RunSummary) -> Sample {
        let runs = cell.map_or(&[][..], |cell| &cell.runs);
        let values: Vec<f64> = runs.iter().filter_map(|run| summary.of(run, metric)).collect();
        Sample { without: runs.len() - values.len(), values }
    }
}

/// A condition's runs with true and with shuffled labels.
#[derive(Debug, Clone)]
pub struct ConditionSamples {
    /// The condition.
    pub condition: String,
    /// With true labels; `None` if the study has none.
    pub truth: Option<Sample>,
    /// With shuffled labels, empty if the study has none.
    pub control: Sample,
}

/// The samples of every condition of a data set and model.
pub fn samples(group: &Group<'_>, metric: Metric, summary: RunSummary) -> Vec<ConditionSamples> {
    let of = |cell: Option<&Cell>| Sample::of(cell, metric, summary);
    let conditions = group.conditions.iter().map(|condition| ConditionSamples {
        condition: condition.name.to_string(),
        truth: condition.truth.map(|cell| of(Some(cell))),
        control: of(condition.control),
    });
    conditions.collect()
}

/// The conditions with true labels that have two runs or more, which is what a variance takes, by name.
pub(super) fn comparable(samples: &[ConditionSamples]) -> Vec<(&str, &[f64])> {
    truths(samples)
        .filter(|(_, sample)| sample.values.len() > 1)
        .map(|(name, sample)| (name, sample.values.as_slice()))
        .collect()
}

/// All conditions with true labels.
pub(super) fn truths(samples: &[ConditionSamples]) -> impl Iterator<Item = (&str, &Sample)> {
    samples.iter().filter_map(|found| Some((found.condition.as_str(), found.truth.as_ref()?)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::curve::metrics::{CurveMetrics, Undefined};

    fn run(heights: &[Option<f64>]) -> RunResult {
        let epoch = |height: &Option<f64>| {
            let metrics = height.map_or(Err(Undefined::Empty), |height| CurveMetrics::of(&[height]));
            EpochResult::new(None, Default::default(), metrics)
        };
        RunResult {
            run: "run".to_string(),
            seed: 0,
            epochs: heights.iter().map(epoch).collect(),
            test: Default::default(),
        }
    }

    #[test]
    fn an_area_is_a_mean_height_by_the_trapezoidal_rule() {
        let rising = run(&[Some(0.25), Some(0.5), Some(1.0)]);
        assert_eq!(RunSummary::Final.of(&rising, Metric::Max), Some(1.0));
        assert_eq!(RunSummary::Area.of(&rising, Metric::Max), Some((0.375 + 0.75) / 2.0));
    }

    #[test]
    fn a_gap_takes_the_area_and_not_the_last_epoch() {
        let gap = run(&[Some(0.25), None, Some(1.0)]);
        assert_eq!(RunSummary::Final.of(&gap, Metric::Max), Some(1.0));
        assert_eq!(RunSummary::Area.of(&gap, Metric::Max), None);
        assert_eq!(RunSummary::Area.of(&run(&[Some(1.0)]), Metric::Max), None);
        assert_eq!(RunSummary::Final.of(&run(&[Some(1.0), None]), Metric::Max), None);
    }
}
