//! The cluster-based permutation test of two conditions over the learning-curve map (Maris and Oostenveld 2007).
//!
//! Every cell (epoch × time step) of the map gets a t over runs. Neighbouring cells beyond a threshold form clusters, a cluster's mass
//! is the sum of its t, and its p is how often the largest mass of any cluster is as large when the runs are assigned to the two
//! conditions anew. One test covers the whole map, so that cells need no correction for their number. What it says is that
//! the conditions differ, and where most; it gives no error rate for a cluster's exact border.
//!
//! - `arrangement`: the assignments of runs to conditions, all of them or drawn at random
//! - `statistic`: t in every cell for one assignment
//! - `component`: neighbouring cells beyond the threshold

mod arrangement;
mod component;
mod statistic;

use rayon::prelude::*;

use super::tails::t_quantile;
use arrangement::Arrangements;
use component::Search;
use statistic::Cells;

pub use statistic::Statistic;

/// Two masses closer than this share of one another are the same but for rounding, as those of an assignment and its mirror image.
const TIE: f64 = 1e-9;

/// How the test is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClusterOptions {
    /// The t of a cell.
    pub statistic: Statistic,
    /// The two-sided level at which a cell by itself would count, which sets the threshold; it decides what kind of cluster is
    /// found, not how often there are false ones.
    pub cell_level: f64,
    /// Random assignments. Where there are no more than these in all, each is made once.
    pub resamples: u64,
    /// What the random assignments are drawn from.
    pub seed: u64,
}

/// Why two conditions' maps are not tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Untested {
    /// A condition with fewer than two runs.
    #[error("each condition needs at least two runs, and there are {a} and {b}")]
    TooFewRuns {
        /// Runs of the first condition.
        a: usize,
        /// Runs of the second.
        b: usize,
    },
    /// No cells.
    #[error("the learning-curve maps are empty")]
    Empty,
    /// Maps of several sizes.
    #[error("the runs' learning-curve maps differ in size, so that their cells cannot be compared")]
    ShapesDiffer,
    /// A NaN or an infinity.
    #[error("a learning-curve map holds a value that is not a finite number, at epoch {epoch} and time step {step}")]
    NotFinite {
        /// The epoch, from 1.
        epoch: usize,
        /// The time step, from 1.
        step: usize,
    },
}

/// Neighbouring cells in which the conditions differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// Its cells as places in the map (`epoch * steps + step`, both from 0), ascending.
    pub cells: Vec<usize>,
    /// The sum of t over its cells: positive where the first condition is higher.
    pub mass: f64,
    /// The cell with the largest |t|.
    pub peak: usize,
    /// How often the largest cluster of an assignment has as large a mass, on either side.
    pub p: f64,
}

/// The result.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterTest {
    /// t of every cell, first condition minus second. Where a cell does not vary within the conditions and yet differs between them, it is
    /// that of the strongest cell that varies, or what one exchanged run on either side would leave it.
    pub t: Vec<f64>,
    /// The |t| that a cell of a cluster exceeds.
    pub threshold: f64,
    /// The clusters, the largest |mass| first.
    pub clusters: Vec<Cluster>,
    /// The largest |mass| of every assignment, ascending.
    pub null: Vec<f64>,
    /// Whether these are all assignments that there are.
    pub exact: bool,
}

impl ClusterTest {
    /// The smallest p that so many assignments can give.
    pub fn smallest_p(&self) -> f64 {
        if self.exact { 1.0 / self.null.len() as f64 } else { 1.0 / (self.null.len() as f64 + 1.0) }
    }
}

/// Tests the runs of `a` against those of `b`: each run is its map, epoch after epoch, `steps` values each.
///
/// Cells are neighbours if they share a side. Random assignments count the observed one among them (p is never 0).
///
/// # Errors
/// If there are too few runs, or the maps are not whole and alike.
pub fn cluster_test(
    a: &[&[f64]],
    b: &[&[f64]],
    steps: usize,
    options: &ClusterOptions,
) -> Result<ClusterTest, Untested> {
    check(a, b, steps)?;
    let cells = Cells::new(a, b);
    let threshold = t_quantile(options.cell_level / 2.0, (a.len() + b.len() - 2) as f64);
    let arrangements = Arrangements::new(a.len(), b.len(), options.resamples, options.seed);
    let statistics = |chosen: &[usize]| {
        let mut t = cells.statistics(options.statistic, chosen);
        bound(&mut t, cells.sharpest(options.statistic).max(threshold.next_up()));
        t
    };
    let t = statistics(&(0..a.len()).collect::<Vec<usize>>());
    let mut null: Vec<f64> = (0..arrangements.count())
        .into_par_iter()
        .map_init(
            || Search::new(t.len(), steps, threshold),
            |search, index| {
                let t = statistics(&arrangements.nth(index));
                let mut largest = 0.0_f64;
                search.clusters(&t, |_, mass| largest = largest.max(mass.abs()));
                largest
            },
        )
        .collect();
    null.sort_by(f64::total_cmp);
    let mut clusters = Vec::new();
    Search::new(t.len(), steps, threshold).clusters(&t, |cells, mass| {
        let mut cells = cells.to_vec();
        cells.sort_unstable();
        let peak =
            cells.iter().copied().fold(cells[0], |best, cell| if t[cell].abs() > t[best].abs() { cell } else { best });
        clusters.push(Cluster { p: p_value(&null, mass.abs(), arrangements.is_exact()), cells, mass, peak });
    });
    clusters.sort_by(|x, y| y.mass.abs().total_cmp(&x.mass.abs()).then(x.cells[0].cmp(&y.cells[0])));
    Ok(ClusterTest { t, threshold, clusters, null, exact: arrangements.is_exact() })
}

/// A cell that does not vary within the conditions and yet differs between them has an infinite t. It counts as `sharp`, or as much as
/// the strongest cell of this assignment that varies, so that no single cell outweighs a map.
fn bound(t: &mut [f64], sharp: f64) {
    let largest = t.iter().filter(|t| t.is_finite()).fold(sharp, |largest, t| largest.max(t.abs()));
    t.iter_mut().for_each(|t| *t = t.clamp(-largest, largest));
}

fn p_value(null: &[f64], mass: f64, exact: bool) -> f64 {
    let as_large = (null.len() - null.partition_point(|value| *value < mass * (1.0 - TIE))) as f64;
    if exact { as_large / null.len() as f64 } else { (as_large + 1.0) / (null.len() as f64 + 1.0) }
}

fn check(a: &[&[f64]], b: &[&[f64]], steps: usize) -> Result<(), Untested> {
    if a.len() < 2 || b.len() < 2 {
        return Err(Untested::TooFewRuns { a: a.len(), b: b.len() });
    }
    let size = a[0].len();
    if size == 0 || steps == 0 {
        return Err(Untested::Empty);
    }
    if !size.is_multiple_of(steps) || a.iter().chain(b).any(|map| map.len() != size) {
        return Err(Untested::ShapesDiffer);
    }
    let bad = a.iter().chain(b).find_map(|map| map.iter().position(|value| !value.is_finite()));
    bad.map_or(Ok(()), |cell| Err(Untested::NotFinite { epoch: cell / steps + 1, step: cell % steps + 1 }))
}
