//! The probe against scikit-learn's neighbours (`reference/knn.json`) and against a brute-force f64 classifier of our own.
#![allow(clippy::unwrap_used)]

use curvefleet_worker::probe::{Exclude, Knn, Points};
use curvefleet_worker::rng;
use curvefleet_worker::train::backend;
use proptest::prelude::*;
use serde_json::Value;

fn integers(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap() as u32).collect()
}

#[test]
fn predictions_equal_scikit_learns_wherever_no_distance_tie_decides() {
    let text = include_str!("reference/knn.json");
    let cases: Value = serde_json::from_str(text).unwrap();
    for case in cases["cases"].as_array().unwrap() {
        let (n, hidden) = (case["n"].as_u64().unwrap() as usize, case["d"].as_u64().unwrap() as usize);
        let states: Vec<f32> = case["X"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
        let labels = integers(&case["y"]);
        let classes = *labels.iter().max().unwrap() as usize + 1;
        let all: Vec<usize> = (0..n).collect();
        let points = Points { rows: &all, labels: &labels, origins: &all };
        let predict = |exclude| {
            let knn = Knn { k: case["k"].as_u64().unwrap() as usize, classes, exclude };
            knn.predict(&states, hidden, points, points, &backend::device())
        };
        let tag = case["tag"].as_str().unwrap();
        if !case["kth_distance_tie"].as_bool().unwrap() {
            assert_eq!(predict(Exclude::Nothing), integers(&case["resub"]["brute"]["pred"]), "{tag}, resubstitution");
            assert_eq!(predict(Exclude::SameOrigin), integers(&case["loo_pred"]), "{tag}, leave-one-out");
        }
    }
}

/// Distances in f64 from every point to every other, sorted: slow and plainly right.
fn brute_force(knn: &Knn, states: &[f32], hidden: usize, fit: Points<'_>, queries: Points<'_>) -> Vec<u32> {
    let state = |row: usize| &states[row * hidden..(row + 1) * hidden];
    let predict = |query: usize| {
        let mut neighbours: Vec<(f64, usize)> = (0..fit.rows.len())
            .filter(|point| knn.exclude == Exclude::Nothing || fit.origins[*point] != queries.origins[query])
            .map(|point| {
                let pairs = state(queries.rows[query]).iter().zip(state(fit.rows[point]));
                (pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>(), point)
            })
            .collect();
        neighbours.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut votes = vec![0; knn.classes];
        neighbours.iter().take(knn.k).for_each(|(_, point)| votes[fit.labels[*point] as usize] += 1);
        let most = *votes.iter().max().unwrap();
        votes.iter().position(|count| *count == most).unwrap() as u32
    };
    (0..queries.rows.len()).map(predict).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Few distinct values make hundreds of states coincide or tie; a large offset makes the f32 product lose digits.
    #[test]
    fn predictions_equal_brute_force_also_where_states_coincide(
        seed: [u8; 32], points in 1_usize..150, hidden in 1_usize..12, distinct in 1_u64..40, k in 1_usize..6,
        classes in 2_usize..5, leave_one_out: bool, held_out: bool, offset in prop::sample::select(vec![0.0_f32, 1.0, 1000.0]),
    ) {
        let mut draws = rng::stream(&seed, "states");
        let states: Vec<f32> = (0..points * 2 * hidden).map(|_| offset + draws.below(distinct) as f32 * 0.1).collect();
        let rows: Vec<usize> = (0..points).map(|_| draws.below(points as u64) as usize).collect();
        let labels: Vec<u32> = (0..points).map(|_| draws.below(classes as u64) as u32).collect();
        let fit = Points { rows: &rows, labels: &labels, origins: &rows };
        let other_rows: Vec<usize> = (points..2 * points).collect();
        let queries = if held_out { Points { rows: &other_rows, labels: &labels, origins: &other_rows } } else { fit };
        let knn = Knn { k, classes, exclude: if leave_one_out { Exclude::SameOrigin } else { Exclude::Nothing } };
        let found = knn.predict(&states, hidden, fit, queries, &backend::device());
        prop_assert_eq!(found, brute_force(&knn, &states, hidden, fit, queries));
    }
}
