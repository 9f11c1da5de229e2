//! The cluster-based permutation test against SciPy over all assignments (`reference/cluster.py`), its error rate where nothing
//! differs, and laws that hold for any maps.
#![allow(clippy::unwrap_used)]

use curvefleet_analysis::stats::cluster_permutation::{ClusterOptions, ClusterTest, Statistic, Untested, cluster_test};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::Deserialize;

const OPTIONS: ClusterOptions =
    ClusterOptions { statistic: Statistic::Welch, cell_level: 0.05, resamples: 1000, seed: 7 };

#[derive(Deserialize)]
struct Reference {
    steps: usize,
    level: f64,
    threshold: f64,
    a: Vec<Vec<f64>>,
    b: Vec<Vec<f64>>,
    welch: Answer,
    pooled: Answer,
}

#[derive(Deserialize)]
struct Answer {
    t: Vec<f64>,
    null: Vec<f64>,
    clusters: Vec<ExpectedCluster>,
}

#[derive(Deserialize)]
struct ExpectedCluster {
    mass: f64,
    cells: Vec<usize>,
    p: f64,
}

fn slices(maps: &[Vec<f64>]) -> Vec<&[f64]> {
    maps.iter().map(Vec::as_slice).collect()
}

fn test(a: &[Vec<f64>], b: &[Vec<f64>], steps: usize, options: &ClusterOptions) -> ClusterTest {
    cluster_test(&slices(a), &slices(b), steps, options).unwrap()
}

fn all_close(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-10 * (1.0 + expected.abs()), "{what}: {found} instead of {expected}");
    }
}

#[test]
fn all_assignments_are_those_of_scipy() {
    let reference: Reference = serde_json::from_str(include_str!("data/cluster.json")).unwrap();
    for (statistic, answer) in [(Statistic::Welch, &reference.welch), (Statistic::Pooled, &reference.pooled)] {
        let options = ClusterOptions { statistic, cell_level: reference.level, ..OPTIONS };
        let found = test(&reference.a, &reference.b, reference.steps, &options);
        assert!(found.exact);
        assert!((found.threshold - reference.threshold).abs() < 1e-12);
        all_close(&found.t, &answer.t, "t");
        all_close(&found.null, &answer.null, "null");
        assert_eq!(found.clusters.len(), answer.clusters.len());
        for (cluster, expected) in found.clusters.iter().zip(&answer.clusters) {
            assert_eq!(cluster.cells, expected.cells);
            all_close(&[cluster.mass, cluster.p], &[expected.mass, expected.p], "cluster");
            assert!(cluster.cells.iter().all(|cell| found.t[*cell].abs() <= found.t[cluster.peak].abs()));
        }
        // The conditions' order turns the signs and nothing else.
        let mirrored = test(&reference.b, &reference.a, reference.steps, &options);
        all_close(&mirrored.null, &found.null, "mirrored null");
        let masses = |test: &ClusterTest| test.clusters.iter().map(|cluster| cluster.mass.abs()).collect::<Vec<_>>();
        all_close(&masses(&mirrored), &masses(&found), "mirrored masses");
        assert!(mirrored.clusters[0].mass * found.clusters[0].mass < 0.0);
    }
}

/// Random assignments come near to what all of them say.
#[test]
fn random_assignments_estimate_the_exact_p() {
    let reference: Reference = serde_json::from_str(include_str!("data/cluster.json")).unwrap();
    // Twice the runs, so that there are more assignments (3003 of 14 runs in 8 and 6) than are drawn at first.
    let twice = |maps: &[Vec<f64>]| -> Vec<Vec<f64>> {
        maps.iter().flat_map(|map| [map.clone(), map.iter().map(|value| value + 0.001).collect()]).collect()
    };
    let (a, b) = (twice(&reference.a), twice(&reference.b));
    let exact = test(&a, &b, reference.steps, &ClusterOptions { resamples: 3003, ..OPTIONS });
    let drawn = test(&a, &b, reference.steps, &ClusterOptions { resamples: 2000, ..OPTIONS });
    assert_eq!((exact.exact, exact.null.len(), drawn.exact, drawn.null.len()), (true, 3003, false, 2000));
    assert_eq!(drawn.smallest_p(), 1.0 / 2001.0);
    for (exact, drawn) in exact.clusters.iter().zip(&drawn.clusters) {
        let five_errors = 5.0 * (exact.p * (1.0 - exact.p) / 2000.0).sqrt() + 1.0 / 2000.0;
        assert!((exact.p - drawn.p).abs() <= five_errors, "{} and {}", exact.p, drawn.p);
    }
    let again = test(&a, &b, reference.steps, &ClusterOptions { resamples: 2000, ..OPTIONS });
    assert_eq!(drawn, again);
    let other_seed = test(&a, &b, reference.steps, &ClusterOptions { resamples: 2000, seed: 8, ..OPTIONS });
    assert_ne!(drawn.null, other_seed.null);
}

/// Smooth noise, each run the same in kind: a random walk over steps.
fn noise(random: &mut ChaCha8Rng, runs: usize, epochs: usize, steps: usize) -> Vec<Vec<f64>> {
    let mut uniform = || (random.next_u32() as f64 + 0.5) / 4_294_967_296.0 - 0.5;
    (0..runs)
        .map(|_| {
            (0..epochs)
                .flat_map(|_| {
                    let mut level = 0.0;
                    (0..steps)
                        .map(|_| {
                            level += uniform();
                            level
                        })
                        .collect::<Vec<f64>>()
                })
                .collect()
        })
        .collect()
}

/// Where the conditions do not differ, p ≤ 0.1 happens in one study of ten and not more often, whatever the level of the cells.
#[test]
fn false_alarms_come_at_the_stated_rate() {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    const STUDIES: usize = 400;
    for cell_level in [0.05, 0.2] {
        let options = ClusterOptions { cell_level, resamples: 199, ..OPTIONS };
        let alarms = (0..STUDIES)
            .filter(|_| {
                let maps = noise(&mut random, 10, 4, 12);
                test(&maps[..5], &maps[5..], 12, &options).clusters.first().is_some_and(|cluster| cluster.p <= 0.1)
            })
            .count();
        // 40 are expected; four standard deviations of a binomial number are 24.
        assert!((16..=64).contains(&alarms), "{alarms} false alarms of {STUDIES}");
    }
}

#[test]
fn what_cannot_be_tested_says_why() {
    let reason = |a: &[&[f64]], b: &[&[f64]], steps| cluster_test(a, b, steps, &OPTIONS).unwrap_err();
    let map: &[f64] = &[0.5, 0.6, 0.7, 0.8];
    assert_eq!(reason(&[map], &[map, map], 2), Untested::TooFewRuns { a: 1, b: 2 });
    assert_eq!(reason(&[&[], &[]], &[&[], &[]], 2), Untested::Empty);
    assert_eq!(reason(&[map, map], &[map, &map[..2]], 2), Untested::ShapesDiffer);
    assert_eq!(reason(&[map, map], &[map, map], 3), Untested::ShapesDiffer);
    assert_eq!(reason(&[map, map], &[map, &[0.5, 0.6, f64::NAN, 0.8]], 2), Untested::NotFinite { epoch: 2, step: 1 });
    let nothing = cluster_test(&[map, map], &[map, map], 2, &OPTIONS).unwrap();
    assert!(nothing.clusters.is_empty() && nothing.t.iter().all(|t| *t == 0.0));
    assert_eq!(nothing.null.len(), 6);
    // A difference without any variance is the largest there can be, and its p is still that of the assignments.
    let other: &[f64] = &[0.5, 0.6, 0.7, 0.9];
    let sharp = cluster_test(&[map, map, map], &[other, other, other], 2, &OPTIONS).unwrap();
    assert_eq!(sharp.clusters.len(), 1);
    assert!(sharp.clusters[0].mass < -sharp.threshold && sharp.clusters[0].mass.is_finite());
    assert!((sharp.clusters[0].p - 2.0 / 20.0).abs() < 1e-15);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn order_of_runs_shift_and_scale_do_not_matter(
        seed in any::<u64>(), shift in -10.0..10.0f64, scale in 0.01..100.0f64, pooled in any::<bool>(),
    ) {
        let maps = noise(&mut ChaCha8Rng::seed_from_u64(seed), 7, 3, 5);
        let other: Vec<Vec<f64>> =
            maps.iter().map(|map| map.iter().map(|value| shift + scale * value).collect()).collect();
        let (mut a, mut b) = (other[..4].to_vec(), other[4..].to_vec());
        a.reverse();
        b.rotate_left(1);
        let statistic = if pooled { Statistic::Pooled } else { Statistic::Welch };
        let options = ClusterOptions { statistic, cell_level: 0.2, ..OPTIONS };
        let (plain, moved) = (test(&maps[..4], &maps[4..], 5, &options), test(&a, &b, 5, &options));
        prop_assert_eq!(plain.clusters.len(), moved.clusters.len());
        for (plain, moved) in plain.clusters.iter().zip(&moved.clusters) {
            prop_assert_eq!(&plain.cells, &moved.cells);
            prop_assert!((plain.mass - moved.mass).abs() <= 1e-8 * plain.mass.abs());
            prop_assert!((plain.p - moved.p).abs() < 1e-12);
        }
    }
}
