//! The k-nearest-neighbour probe on a device, for a whole pack at once.
//!
//! Distances come from one product in f32 per time step and are not measured again: where two differ by less than the rounding of
//! that product, the order of neighbours can differ from the exact one of [`crate::probe`]. States that coincide to the bit tie to
//! the bit, and ties go to the lower sample index here too.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::learner::{DeviceError, Probed};
use super::tensors::numbers;
use crate::probe::{Exclude, Points};

/// Added to the distance of what is no neighbour: points that fill up, and those that a query must not be told by.
const FAR: f32 = 1e30;
/// From here on a distance is that of no neighbour.
const NO_NEIGHBOUR: f32 = 1e29;

/// The probe of a pack.
#[derive(Debug)]
pub struct DeviceKnn<'a> {
    k: usize,
    classes: usize,
    probed: &'a [Probed<'a>],
    /// Fitted points per run, the longest of all.
    fitted: usize,
    /// Queries per run, the longest of all.
    queries: usize,
    fit_places: Tensor<1, Int>,
    query_places: Tensor<1, Int>,
    /// `[pack, 1, fitted]`.
    labels: Tensor<3>,
    /// 0 or [`FAR`], `[pack, 1 or query, fitted]`.
    distance_added: Tensor<3>,
    /// 0, 1, 2, …, `[1, 1, fitted]`.
    index: Tensor<3>,
}

/// Where the rows' states lie.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// Length of the states' second axis.
    pub width: usize,
    /// For each run, the place of each of its rows.
    pub of_rows: &'a [Vec<usize>],
}

impl<'a> DeviceKnn<'a> {
    /// A probe of these points; `places` says for each run and row where its state lies along the second axis of the states.
    pub fn new(
        k: usize,
        classes: usize,
        probed: &'a [Probed<'a>],
        places: &Places<'_>,
        device: &Device,
    ) -> DeviceKnn<'a> {
        let pack = probed.len();
        let longest = |points: fn(&Probed<'a>) -> usize| probed.iter().map(points).max().unwrap_or(0).max(1);
        let (fitted, queries) = (longest(|probed| probed.fit.rows.len()), longest(|probed| probed.queries.rows.len()));
        let of = |points: fn(&Probed<'a>) -> Points<'a>, length: usize| -> Tensor<1, Int> {
            let (width, mut chosen) = (places.width, Vec::with_capacity(pack * length));
            for (run, (probed, of_rows)) in probed.iter().zip(places.of_rows).enumerate() {
                let rows = points(probed).rows.iter().map(|row| (run * width + of_rows[*row]) as i64);
                chosen.extend(rows);
                chosen.resize((run + 1) * length, (run * width) as i64);
            }
            Tensor::from_data(TensorData::new(chosen, [pack * length]), device)
        };
        let mut labels = Vec::with_capacity(pack * fitted);
        for (run, probed) in probed.iter().enumerate() {
            labels.extend(probed.fit.labels.iter().map(|label| *label as f32));
            labels.resize((run + 1) * fitted, 0.0);
        }
        let index: Vec<f32> = (0..fitted).map(|index| index as f32).collect();
        DeviceKnn {
            k,
            classes,
            probed,
            fitted,
            queries,
            fit_places: of(|probed| probed.fit, fitted),
            query_places: of(|probed| probed.queries, queries),
            labels: Tensor::from_data(TensorData::new(labels, [pack, 1, fitted]), device),
            distance_added: distance_added(probed, fitted, queries, device),
            index: Tensor::from_data(TensorData::new(index, [1, 1, fitted]), device),
        }
    }

    /// Each run's accuracy at every time step; `states` gives `[pack, place, hidden]` for each.
    ///
    /// # Errors
    /// If the device fails.
    pub fn curves(&self, states: impl Iterator<Item = Tensor<3>>, curves: &mut [Vec<f64>]) -> Result<(), DeviceError> {
        let labels: Vec<Tensor<3>> = states.map(|states| self.neighbour_labels(states)).collect();
        let steps = labels.len();
        // One transfer for all time steps: [pack, query, time · k].
        let labels = numbers(Tensor::cat(labels, 2))?;
        for (run, (curve, probed)) in curves.iter_mut().zip(self.probed).enumerate() {
            let asked = probed.queries.labels;
            for t in 0..steps {
                let right = asked.iter().enumerate().filter(|(query, label)| {
                    let start = ((run * self.queries + query) * steps + t) * self.k;
                    self.vote(&labels[start..start + self.k]) == **label
                });
                curve.push(right.count() as f64 / asked.len() as f64);
            }
        }
        Ok(())
    }

    /// The labels of the k nearest fitted points of each query, nearest first, `[pack, query, k]`; −1 where there is none left.
    fn neighbour_labels(&self, states: Tensor<3>) -> Tensor<3> {
        let [pack, width, hidden] = states.dims();
        let states = states.reshape([pack * width, hidden]);
        let fit = states.clone().select(0, self.fit_places.clone()).reshape([pack, self.fitted, hidden]);
        let queries = states.select(0, self.query_places.clone()).reshape([pack, self.queries, hidden]);
        // Taking the mean off loses less to cancellation.
        let mean = fit.clone().mean_dim(1);
        let (fit, queries) = (fit - mean.clone(), queries - mean);
        let norms = (fit.clone() * fit.clone()).sum_dim(2).swap_dims(1, 2);
        let mut distances = norms - queries.matmul(fit.swap_dims(1, 2)) * 2.0 + self.distance_added.clone();
        let mut found = Vec::with_capacity(self.k);
        for neighbour in 0..self.k {
            let nearest = distances.clone().min_dim(2);
            let is_nearest = distances.clone().equal(nearest.clone().expand(distances.dims()));
            let index = self.index.clone().expand(distances.dims());
            // The lowest index among equally near points.
            let chosen = (index.clone() + FAR).mask_where(is_nearest, index.clone()).min_dim(2);
            let is_chosen = index.equal(chosen.expand(distances.dims()));
            let labels = self.labels.clone().expand(distances.dims());
            let label = labels.zeros_like().mask_where(is_chosen.clone(), labels).sum_dim(2);
            found.push(label.mask_fill(nearest.greater_elem(NO_NEIGHBOUR), -1.0));
            if neighbour + 1 < self.k {
                distances = distances.mask_fill(is_chosen, FAR);
            }
        }
        Tensor::cat(found, 2)
    }

    /// The class with the most votes, the lower one of equals.
    fn vote(&self, labels: &[f32]) -> u32 {
        let votes = |class: usize| labels.iter().filter(|label| **label == class as f32).count();
        (1..self.classes).fold(0, |best, class| if votes(class) > votes(best) { class } else { best }) as u32
    }
}

fn distance_added(probed: &[Probed<'_>], fitted: usize, queries: usize, device: &Device) -> Tensor<3> {
    let excludes = probed.iter().any(|probed| probed.exclude == Exclude::SameOrigin);
    let rows = if excludes { queries } else { 1 };
    let mut added = vec![0.0_f32; probed.len() * rows * fitted];
    for (probed, added) in probed.iter().zip(added.chunks_exact_mut(rows * fitted)) {
        for (row, added) in added.chunks_exact_mut(fitted).enumerate() {
            added[probed.fit.rows.len()..].fill(FAR);
            let Some(origin) = probed.queries.origins.get(row).filter(|_| excludes) else { continue };
            for (added, fitted) in added.iter_mut().zip(probed.fit.origins) {
                if fitted == origin {
                    *added = FAR;
                }
            }
        }
    }
    Tensor::from_data(TensorData::new(added, [probed.len(), rows, fitted]), device)
}
