//! Whole curves that stay in memory beside the metrics: every run's map while there is room for all of them, and the last curves of
//! some runs of every cell.

use super::part::CurveRow;

/// Accuracies of maps that are kept, in all runs together: 256 MiB of doubles, which six times the paper's study fills.
pub const MOST_MAP_VALUES: usize = 32 << 20;
/// Runs of a cell whose last curve is kept: those with the lowest seeds.
pub const SAMPLE_RUNS: usize = 10;

/// The curves of one cell.
#[derive(Debug, Default)]
pub struct KeptCurves {
    /// The maps of its runs; none where not all maps of the study could be kept.
    pub maps: Vec<RunMap>,
    /// Its runs whose map is not whole: an epoch without metrics, or epochs of several lengths.
    pub broken: usize,
    /// The curves after the last epoch of some runs, by seed.
    pub samples: Vec<SampleCurve>,
}

/// The learning-curve map of one run.
#[derive(Debug, Clone)]
pub struct RunMap {
    /// The run's seed and id, by which maps are sorted.
    pub run: (u64, String),
    /// Time steps of every epoch.
    pub steps: usize,
    /// Accuracies, epoch after epoch.
    pub values: Vec<f64>,
}

/// One run's curve after the last epoch.
#[derive(Debug, Clone)]
pub struct SampleCurve {
    /// The run's seed and id.
    pub run: (u64, String),
    /// Accuracy at every time step.
    pub curve: Vec<f64>,
}

/// Whether the maps of single runs are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunMaps {
    /// Those of all runs.
    Kept,
    /// None: together they have more than [`MOST_MAP_VALUES`] accuracies.
    TooMany,
    /// None: what was read are metrics, which are no curves.
    NoCurves,
}

impl RunMaps {
    /// Those of two studies together.
    pub fn and(self, other: RunMaps) -> RunMaps {
        if self == RunMaps::Kept { other } else { self }
    }

    /// Why they are missing, if they are.
    pub fn missing(self) -> Option<&'static str> {
        match self {
            RunMaps::Kept => None,
            RunMaps::TooMany => Some("the study has too many runs to keep the map of each in memory"),
            RunMaps::NoCurves => {
                Some("there are metrics of curves and no curves, so that there are no maps to compare")
            }
        }
    }
}

/// How much room is left for maps.
#[derive(Debug)]
pub struct Room {
    /// Accuracies; `None` once a map did not fit.
    left: Option<usize>,
}

impl Room {
    /// Room for `values` accuracies.
    pub fn new(values: usize) -> Room {
        Room { left: Some(values) }
    }

    /// Whether every map fitted.
    pub fn sufficed(&self) -> bool {
        self.left.is_some()
    }
}

impl KeptCurves {
    /// Takes the epochs of a run, from the first to the last. `whole` says whether all of them have metrics.
    pub fn add(&mut self, run: (u64, String), rows: &[&CurveRow], whole: bool, room: &mut Room) {
        if let Some(last) = rows.last().filter(|row| row.curve.iter().all(|value| value.is_finite())) {
            let place = self.samples.partition_point(|sample| sample.run < run);
            if place < SAMPLE_RUNS {
                self.samples.insert(place, SampleCurve { run: run.clone(), curve: last.curve.clone() });
                self.samples.truncate(SAMPLE_RUNS);
            }
        }
        let steps = rows.first().map_or(0, |row| row.curve.len());
        if !whole || steps == 0 || rows.iter().any(|row| row.curve.len() != steps) {
            self.broken += 1;
            return;
        }
        room.left = room.left.and_then(|left| left.checked_sub(steps * rows.len()));
        if room.sufficed() {
            let values = rows.iter().flat_map(|row| row.curve.iter().copied()).collect();
            self.maps.push(RunMap { run, steps, values });
        }
    }

    /// Sorts what came in the order of the parts.
    pub fn finish(&mut self) {
        self.maps.sort_by(|a, b| a.run.cmp(&b.run));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(kept: &mut KeptCurves, (seed, run): (u64, &str), curves: &[&[f64]], whole: bool, room: &mut Room) {
        let rows = rows(curves);
        kept.add((seed, run.to_string()), &rows.iter().collect::<Vec<_>>(), whole, room);
    }

    fn rows(curves: &[&[f64]]) -> Vec<CurveRow> {
        let row = |curve: &&[f64]| CurveRow {
            run: String::new(),
            epoch: 1,
            train_loss: None,
            validation: Default::default(),
            test: Default::default(),
            curve: curve.to_vec(),
        };
        curves.iter().map(row).collect()
    }

    #[test]
    fn a_map_that_does_not_fit_is_not_taken() {
        let mut kept = KeptCurves::default();
        let mut room = Room::new(4);
        add(&mut kept, (2, "b"), &[&[0.1], &[0.2]], true, &mut room);
        add(&mut kept, (1, "a"), &[&[0.3], &[0.4]], true, &mut room);
        kept.finish();
        assert_eq!(kept.maps.iter().map(|map| map.run.0).collect::<Vec<_>>(), [1, 2]);
        assert!(room.sufficed());
        add(&mut kept, (3, "c"), &[&[0.5]], true, &mut room);
        assert_eq!((kept.maps.len(), kept.samples.len(), room.sufficed()), (2, 3, false));
    }

    #[test]
    fn the_lowest_seeds_are_samples_whatever_their_order() {
        let mut kept = KeptCurves::default();
        let mut room = Room::new(100);
        for seed in (0..20).rev() {
            add(&mut kept, (seed, ""), &[&[0.5]], true, &mut room);
        }
        assert_eq!(kept.samples.iter().map(|sample| sample.run.0).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_run_with_a_gap_has_no_map() {
        let mut kept = KeptCurves::default();
        let mut room = Room::new(100);
        add(&mut kept, (1, ""), &[&[f64::NAN], &[0.5]], false, &mut room);
        add(&mut kept, (2, ""), &[&[0.5], &[0.5, 0.5]], true, &mut room);
        assert_eq!((kept.broken, kept.maps.len(), kept.samples.len()), (2, 0, 2));
    }
}
