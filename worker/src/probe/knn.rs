//! Exact k nearest neighbours (method.md 2.6): Euclidean, uniform weights, ties in distance to the lower sample index, ties in
//! votes to the lower class.
//!
//! Distances between all pairs come from one matrix product in f32, which is fast but rounded. So the product only selects: every
//! state whose rounded distance could still be among the k smallest, by a bound on the rounding, is measured again exactly, in
//! f64. States that coincide to the bit (the first tokens of sentences, padded steps, oversampled copies) are measured once, which
//! keeps the selection small where hundreds of them tie.

use std::collections::HashMap;

use burn::tensor::{Device, Tensor, TensorData};

/// Queries whose distances are computed in one matrix product: large enough for the product to be fast, small enough for its
/// result to stay in cache.
const QUERIES_PER_BLOCK: usize = 128;

/// Labelled points; sample index n is the position in these lists.
#[derive(Debug, Clone, Copy)]
pub struct Points<'a> {
    /// Row of each point in the states.
    pub rows: &'a [usize],
    /// Label of each point.
    pub labels: &'a [u32],
    /// The sample each point is a copy of; copies of one sample share it.
    pub origins: &'a [usize],
}

/// Which of the fitted points a query may not be told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exclude {
    /// None: resubstitution and held-out scoring.
    Nothing,
    /// The query itself and its copies: leave-one-out.
    SameOrigin,
}

/// The classifier's settings.
#[derive(Debug, Clone, Copy)]
pub struct Knn {
    /// Neighbours that vote; fewer where there are fewer points.
    pub k: usize,
    /// Number of classes.
    pub classes: usize,
    /// Which points are left out.
    pub exclude: Exclude,
}

/// The fitted points' distinct states.
struct Fitted<'a> {
    points: Points<'a>,
    /// One row per distinct state, in order of first appearance.
    distinct: Vec<usize>,
    /// Positions of the points at each distinct state, ascending.
    members: Vec<Vec<usize>>,
}

/// One time step's states, with the means taken off for the product (which loses less to cancellation so).
struct Centred {
    values: Vec<f32>,
    squared_norms: Vec<f32>,
    hidden: usize,
}

impl Knn {
    /// The label that the fitted points give each query; `states` is `[row, hidden]`.
    pub fn predict(
        &self,
        states: &[f32],
        hidden: usize,
        fit: Points<'_>,
        queries: Points<'_>,
        device: &Device,
    ) -> Vec<u32> {
        let fitted = Fitted::new(states, hidden, fit);
        let centred = Centred::new(states, hidden);
        let columns = centred.matrix(&fitted.distinct, device).transpose();
        let largest_norm = fitted.distinct.iter().map(|row| centred.squared_norms[*row]).fold(0.0, f32::max);
        let mut known: HashMap<(Vec<u32>, usize), u32> = HashMap::new();
        let mut predictions = Vec::with_capacity(queries.rows.len());
        for block in (0..queries.rows.len()).step_by(QUERIES_PER_BLOCK) {
            let block = block..(block + QUERIES_PER_BLOCK).min(queries.rows.len());
            let products = centred.matrix(&queries.rows[block.clone()], device).matmul(columns.clone()).into_data();
            let products = products.as_slice::<f32>().expect("a product of f32 tensors is f32");
            for (query, products) in block.zip(products.chunks_exact(fitted.distinct.len())) {
                let row = queries.rows[query];
                let state = &states[row * hidden..(row + 1) * hidden];
                // Without exclusion the answer depends on the state alone.
                let asked_by = if self.exclude == Exclude::SameOrigin { queries.origins[query] } else { usize::MAX };
                let key = (bits(state), asked_by);
                let prediction = *known.entry(key).or_insert_with(|| {
                    let slack = rounding_bound(hidden, centred.squared_norms[row], largest_norm);
                    let candidates = self.candidates(&fitted, &centred, products, slack, asked_by);
                    self.vote(&fitted, states, state, &candidates, asked_by)
                });
                predictions.push(prediction);
            }
        }
        predictions
    }

    /// Indices of the distinct states that could be among the k nearest. The k smallest rounded distances bound the k-th exact
    /// one from above, up to `slack`; what lies further by more than twice that cannot be among them.
    fn candidates(
        &self,
        fitted: &Fitted<'_>,
        centred: &Centred,
        products: &[f32],
        slack: f32,
        asked_by: usize,
    ) -> Vec<usize> {
        let mut nearest = vec![f32::INFINITY; self.k];
        let mut within = Vec::new();
        for (index, product) in products.iter().enumerate() {
            let distance = centred.squared_norms[fitted.distinct[index]] - 2.0 * product;
            let farthest = nearest[self.k - 1];
            if distance > farthest + 2.0 * slack || !fitted.admits(index, asked_by) {
                continue;
            }
            within.push((index, distance));
            if distance < farthest {
                let place = nearest.partition_point(|known| *known <= distance);
                nearest[place..].rotate_right(1);
                nearest[place] = distance;
            }
        }
        let limit = nearest[self.k - 1] + 2.0 * slack;
        within.into_iter().filter(|(_, distance)| *distance <= limit).map(|(index, _)| index).collect()
    }

    fn vote(&self, fitted: &Fitted<'_>, states: &[f32], query: &[f32], candidates: &[usize], asked_by: usize) -> u32 {
        let hidden = query.len();
        let mut neighbours: Vec<(f64, usize)> = Vec::new();
        for &index in candidates {
            let row = fitted.distinct[index];
            let distance = squared_distance(query, &states[row * hidden..(row + 1) * hidden]);
            let admitted = fitted.members[index].iter().filter(|point| fitted.points.origins[**point] != asked_by);
            neighbours.extend(admitted.take(self.k).map(|point| (distance, *point)));
        }
        neighbours.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut votes = vec![0_usize; self.classes];
        for (_, point) in neighbours.iter().take(self.k) {
            votes[fitted.points.labels[*point] as usize] += 1;
        }
        let most = votes.iter().copied().max().unwrap_or(0);
        votes.iter().position(|count| *count == most).unwrap_or(0) as u32
    }
}

impl<'a> Fitted<'a> {
    fn new(states: &[f32], hidden: usize, points: Points<'a>) -> Fitted<'a> {
        let mut index_of: HashMap<Vec<u32>, usize> = HashMap::new();
        let mut fitted = Fitted { points, distinct: Vec::new(), members: Vec::new() };
        for (point, row) in points.rows.iter().enumerate() {
            let index = *index_of.entry(bits(&states[row * hidden..(row + 1) * hidden])).or_insert_with(|| {
                fitted.distinct.push(*row);
                fitted.members.push(Vec::new());
                fitted.distinct.len() - 1
            });
            fitted.members[index].push(point);
        }
        fitted
    }

    /// Whether a distinct state holds a point that is not the asking sample's own.
    fn admits(&self, index: usize, asked_by: usize) -> bool {
        self.members[index].iter().any(|point| self.points.origins[*point] != asked_by)
    }
}

impl Centred {
    fn new(states: &[f32], hidden: usize) -> Centred {
        let rows = (states.len() / hidden).max(1);
        let mut means = vec![0.0_f64; hidden];
        for state in states.chunks_exact(hidden) {
            means.iter_mut().zip(state).for_each(|(mean, value)| *mean += f64::from(*value));
        }
        let means: Vec<f32> = means.iter().map(|sum| (sum / rows as f64) as f32).collect();
        let values: Vec<f32> =
            states.chunks_exact(hidden).flat_map(|state| state.iter().zip(&means).map(|(v, mean)| v - mean)).collect();
        let squared_norms = values.chunks_exact(hidden).map(|row| row.iter().map(|v| v * v).sum()).collect();
        Centred { values, squared_norms, hidden }
    }

    /// Some rows as a tensor `[row, hidden]`.
    fn matrix(&self, rows: &[usize], device: &Device) -> Tensor<2> {
        let chosen: Vec<f32> =
            rows.iter().flat_map(|row| &self.values[row * self.hidden..(row + 1) * self.hidden]).copied().collect();
        Tensor::from_data(TensorData::new(chosen, [rows.len(), self.hidden]), device)
    }
}

/// How far |y|² − 2 x·y in f32 can lie from the exact squared distance less |x|², for centred states of the given squared norms.
///
/// A sum of n products is off by at most n u Σ|aᵢbᵢ| (u = 2⁻²⁴, any order of summation; Higham 2002, section 3.1), here at most
/// n u (|x|² + |y|²) for the product and n u |y|² for the norm; taking the means off adds at most 4 u (|x|² + |y|²) in first
/// order. The sum is doubled, which covers the terms of second order.
fn rounding_bound(hidden: usize, query_norm: f32, largest_norm: f32) -> f32 {
    const UNIT_ROUNDOFF: f32 = 5.960_464_5e-8;
    2.0 * (2.0 * hidden as f32 + 8.0) * UNIT_ROUNDOFF * (query_norm + largest_norm)
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
}

fn bits(state: &[f32]) -> Vec<u32> {
    state.iter().map(|value| value.to_bits()).collect()
}
