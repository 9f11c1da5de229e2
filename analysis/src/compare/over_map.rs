//! Whole learning-curve maps compared: the cluster-based permutation test of true against shuffled labels, and of pairs of conditions.
//!
//! One test covers a whole map (time step × epoch), so that its cells need no correction for their number. The tests of a data set and
//! model are corrected for theirs.

use curvefleet_proto::study::{Analysis, AnalysisKey, Comparisons, ComparisonsKeyword};
use rayon::prelude::*;

use super::Origin;
use super::family::adjustment;
use super::pairs::pairs_of_names;
use super::reason::broken_maps;
use crate::aggregate::Group;
use crate::read::kept::RunMaps;
use crate::read::results::Cell;
use crate::stats::cluster_permutation::{Cluster, ClusterOptions, ClusterTest, Statistic, cluster_test};
use crate::stats::tails::Tail;

/// With the keyword `all`, pairs are tested over the map where there are no more than these; pairs that the study names are tested all.
pub const MOST_PAIRS: usize = 15;
/// Random assignments of a test at most: a p of 0.001 can be told from one of 0.002. With few seeds there are fewer in all, and each
/// is made.
pub const MOST_ASSIGNMENTS: u64 = 1000;
/// The two-sided level at which a cell by itself would count.
pub const CELL_LEVEL: f64 = 0.05;

/// The tests over the map of one data set and model.
#[derive(Debug)]
pub struct MapTests {
    /// The data set.
    pub data: String,
    /// The model.
    pub model: String,
    /// Every condition's map against that of its shuffled control.
    pub controls: Vec<MapTest>,
    /// The maps of conditions against one another.
    pub pairs: Vec<MapTest>,
    /// Why there are no pairs although the study compares some.
    pub pairs_left_out: Option<String>,
}

/// One test.
#[derive(Debug)]
pub struct MapTest {
    /// The first condition's number, as figures show it: its place in the plan, from 1.
    pub mark: String,
    /// The first condition.
    pub first: String,
    /// The second; `None` for the first with shuffled labels.
    pub second: Option<String>,
    /// Runs with a whole map on each side.
    pub runs: (usize, usize),
    /// What was found, or why nothing was looked for.
    pub found: Result<Found, String>,
    /// The smallest p, corrected for the number of such tests.
    pub corrected: Option<Tail>,
    /// How many such tests there are.
    pub family_size: usize,
}

/// What a test found.
#[derive(Debug)]
pub struct Found {
    /// Time steps of an epoch.
    pub steps: usize,
    /// First mean less second, in every cell (`epoch * steps + step`).
    pub difference: Vec<f64>,
    /// The test.
    pub test: ClusterTest,
}

impl Found {
    /// Epochs of the map.
    pub fn epochs(&self) -> usize {
        self.difference.len() / self.steps.max(1)
    }

    /// The p of the whole test: that of its largest cluster, or 1 where there is none.
    pub fn p(&self) -> Tail {
        Tail::from_ln(self.test.clusters.first().map_or(1.0, |cluster| cluster.p).ln())
    }

    /// A cluster in words that a reader can place.
    pub fn place(&self, cluster: &Cluster) -> Place {
        let steps = cluster.cells.iter().map(|cell| cell % self.steps + 1);
        let (first_step, last_step) = steps.fold((usize::MAX, 0), |(low, high), step| (low.min(step), high.max(step)));
        let epoch = |cell: Option<&usize>| cell.map_or(0, |cell| cell / self.steps + 1);
        let sum: f64 = cluster.cells.iter().map(|cell| self.difference[*cell]).sum();
        Place {
            epochs: (epoch(cluster.cells.first()), epoch(cluster.cells.last())),
            steps: (first_step, last_step),
            share: cluster.cells.len() as f64 / self.difference.len() as f64,
            mean_difference: sum / cluster.cells.len() as f64,
            peak: (cluster.peak / self.steps + 1, cluster.peak % self.steps + 1),
            peak_difference: self.difference[cluster.peak],
        }
    }
}

/// Where a cluster lies and how large the difference there is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Its first and last epoch, from 1.
    pub epochs: (usize, usize),
    /// Its first and last time step, from 1.
    pub steps: (usize, usize),
    /// Its share of the map's cells.
    pub share: f64,
    /// The mean difference over its cells. It is that of the cells which stood out, and so larger than elsewhere.
    pub mean_difference: f64,
    /// Epoch and time step of its largest |t|.
    pub peak: (usize, usize),
    /// The difference there.
    pub peak_difference: f64,
}

impl MapTests {
    /// The origin of the pairs' tests; those of controls are always made.
    pub fn pairs_origin(analysis: &Analysis) -> Origin {
        Origin::of(analysis, AnalysisKey::Comparisons)
    }

    /// Tests the maps of a group. `run_maps` says whether the maps of single runs are there.
    pub(super) fn new(group: &Group<'_>, analysis: &Analysis, run_maps: RunMaps) -> MapTests {
        let truths: Vec<(&str, &Cell)> =
            group.conditions.iter().filter_map(|found| Some((found.name, found.truth?))).collect();
        let test = Tester { analysis, run_maps };
        let mut controls: Vec<MapTest> = group
            .conditions
            .par_iter()
            .enumerate()
            .filter_map(|(index, found)| {
                Some(test.compare(index + 1, (found.name, None), (found.truth?, found.control?)))
            })
            .collect();
        let names: Vec<&str> = truths.iter().map(|(name, _)| *name).collect();
        let mut named = pairs_of_names(&names, &analysis.comparisons);
        let all = matches!(analysis.comparisons, Comparisons::Keyword(ComparisonsKeyword::All));
        let pairs_left_out = (all && named.len() > MOST_PAIRS).then(|| {
            format!(
                "{} pairs of conditions are too many to test over the map each; name those of interest in `comparisons`",
                named.len()
            )
        });
        if pairs_left_out.is_some() {
            named.clear();
        }
        let cell_of = |name: &str| truths.iter().find(|(other, _)| *other == name).map(|(_, cell)| *cell);
        let compare = |(first, second): &(&str, &str)| {
            let place = group.conditions.iter().position(|condition| condition.name == *first)? + 1;
            Some(test.compare(place, (first, Some(second)), (cell_of(first)?, cell_of(second)?)))
        };
        let mut pairs: Vec<MapTest> = named.par_iter().filter_map(compare).collect();
        correct(analysis, &mut controls);
        correct(analysis, &mut pairs);
        MapTests { data: group.data.to_string(), model: group.model.to_string(), controls, pairs, pairs_left_out }
    }
}

struct Tester<'a> {
    analysis: &'a Analysis,
    run_maps: RunMaps,
}

impl Tester<'_> {
    fn compare(&self, mark: usize, (first, second): (&str, Option<&str>), (a, b): (&Cell, &Cell)) -> MapTest {
        MapTest {
            mark: mark.to_string(),
            first: first.to_string(),
            second: second.map(str::to_string),
            runs: (a.kept.maps.len(), b.kept.maps.len()),
            found: self.find(a, b),
            corrected: None,
            family_size: 0,
        }
    }

    fn find(&self, a: &Cell, b: &Cell) -> Result<Found, String> {
        if let Some(reason) = self.run_maps.missing() {
            return Err(reason.to_string());
        }
        let maps = |cell: &Cell| cell.kept.maps.iter().map(|map| map.values.clone()).collect::<Vec<_>>();
        let (first, second) = (maps(a), maps(b));
        let (first, second): (Vec<&[f64]>, Vec<&[f64]>) =
            (first.iter().map(Vec::as_slice).collect(), second.iter().map(Vec::as_slice).collect());
        let all = || a.kept.maps.iter().chain(&b.kept.maps);
        let steps = all().next().map_or(0, |map| map.steps);
        if all().any(|map| map.steps != steps) {
            return Err(
                "the runs' curves differ in their time steps, so that the maps' cells cannot be compared".to_string()
            );
        }
        let options = ClusterOptions {
            statistic: Statistic::Welch,
            cell_level: CELL_LEVEL,
            resamples: MOST_ASSIGNMENTS.min(self.analysis.resamples.into()),
            seed: self.analysis.seed,
        };
        let test = cluster_test(&first, &second, steps, &options)
            .map_err(|untested| format!("{untested}{}", broken_maps(a.kept.broken + b.kept.broken)))?;
        let mean = |maps: &[&[f64]], cell: usize| maps.iter().map(|map| map[cell]).sum::<f64>() / maps.len() as f64;
        let difference = (0..test.t.len()).map(|cell| mean(&first, cell) - mean(&second, cell)).collect();
        Ok(Found { steps, difference, test })
    }
}

/// Corrects the p of tests for how many there are.
fn correct(analysis: &Analysis, tests: &mut [MapTest]) {
    let tails: Vec<Tail> = tests.iter().filter_map(|test| Some(test.found.as_ref().ok()?.p())).collect();
    let size = tails.len();
    let adjusted = adjustment(analysis).adjust(&tails);
    for (test, corrected) in tests.iter_mut().filter(|test| test.found.is_ok()).zip(adjusted) {
        test.corrected = Some(corrected);
        test.family_size = size;
    }
}
