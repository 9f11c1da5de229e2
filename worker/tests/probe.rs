//! The probe against scikit-learn (`reference/knn.json`, `reference/probes.json`) and against brute-force f64 classifiers of our own.
#![allow(clippy::unwrap_used)]

use curvefleet_worker::probe::{Classifier, Exclude, Points, Prober, States};
use curvefleet_worker::rng::{self, Stream};
use proptest::prelude::*;
use pulp::Arch;
use serde_json::Value;

/// Predictions whose margin is smaller may fall to either side with another solver, or with states in f32.
const MARGIN_MIN: f64 = 1e-4;

fn integers(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap() as u32).collect()
}

/// Every instruction set that this machine has.
fn archs() -> Vec<Arch> {
    #[cfg(target_arch = "x86_64")]
    let narrower = pulp::x86::V3::try_new().map(Arch::V3);
    #[cfg(not(target_arch = "x86_64"))]
    let narrower = None;
    [Some(Arch::new()), narrower, Some(Arch::Scalar)].into_iter().flatten().collect()
}

fn predict(prober: &mut Prober, states: &[f32], hidden: usize, fit: Points<'_>, queries: Points<'_>) -> Vec<u32> {
    let mut predictions = Vec::new();
    prober.predict(states, hidden, fit, queries, &mut predictions);
    predictions
}

#[test]
fn knn_predictions_equal_scikit_learns_wherever_no_distance_tie_decides() {
    let text = include_str!("reference/knn.json");
    let cases: Value = serde_json::from_str(text).unwrap();
    for case in cases["cases"].as_array().unwrap() {
        let (n, hidden) = (case["n"].as_u64().unwrap() as usize, case["d"].as_u64().unwrap() as usize);
        let states: Vec<f32> = case["X"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
        let labels = integers(&case["y"]);
        let classes = *labels.iter().max().unwrap() as usize + 1;
        let all: Vec<usize> = (0..n).collect();
        let points = Points { rows: &all, labels: &labels, origins: &all };
        let knn = Classifier::Knn { k: case["k"].as_u64().unwrap() as usize };
        let answer =
            |exclude| predict(&mut Prober::new(knn, classes, exclude, Arch::new(), 1), &states, hidden, points, points);
        let tag = case["tag"].as_str().unwrap();
        if !case["kth_distance_tie"].as_bool().unwrap() {
            assert_eq!(answer(Exclude::Nothing), integers(&case["resub"]["brute"]["pred"]), "{tag}, resubstitution");
            assert_eq!(answer(Exclude::SameOrigin), integers(&case["loo_pred"]), "{tag}, leave-one-out");
        }
    }
}

#[test]
fn nearest_mean_and_logistic_predictions_equal_scikit_learns() {
    let cases: Value = serde_json::from_str(include_str!("reference/probes.json")).unwrap();
    let mut compared = 0;
    for case in cases["cases"].as_array().unwrap() {
        let count = |key: &str| case[key].as_u64().unwrap() as usize;
        let numbers = |value: &Value| value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect::<Vec<_>>();
        let (n, all) = (count("n"), (0..count("n") + count("n_test")).collect::<Vec<usize>>());
        let states: Vec<f32> = ["X", "X_test"].iter().flat_map(|key| numbers(&case[key])).map(|x| x as f32).collect();
        let labels: Vec<u32> = ["y", "y_test"].iter().flat_map(|key| integers(&case[key])).collect();
        let points = Points { rows: &all, labels: &labels, origins: &all };
        let fit = Points { rows: &all[..n], labels: &labels[..n], origins: &all[..n] };
        for (key, classifier) in
            [("nearest_mean", Classifier::NearestMean), ("logistic", Classifier::Logistic { l2: 1.0 })]
        {
            let expected: Vec<u32> =
                ["predictions", "predictions_test"].iter().flat_map(|part| integers(&case[key][part])).collect();
            let margins: Vec<f64> =
                ["margins", "margins_test"].iter().flat_map(|part| numbers(&case[key][part])).collect();
            for arch in archs() {
                let mut prober = Prober::new(classifier, count("classes"), Exclude::Nothing, arch, 1);
                let found = predict(&mut prober, &states, count("d"), fit, points);
                for query in all.iter().copied().filter(|query| margins[*query] >= MARGIN_MIN) {
                    assert_eq!(found[query], expected[query], "{key}, {}, query {query}", case["name"]);
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 1000);
}

/// What a test asks.
#[derive(Debug, Clone)]
struct Case {
    classes: usize,
    exclude: Exclude,
    hidden: usize,
    states: Vec<f32>,
    fit: OwnedPoints,
    queries: OwnedPoints,
}

#[derive(Debug, Clone)]
struct OwnedPoints {
    rows: Vec<usize>,
    labels: Vec<u32>,
    origins: Vec<usize>,
}

impl OwnedPoints {
    fn get(&self) -> Points<'_> {
        Points { rows: &self.rows, labels: &self.labels, origins: &self.origins }
    }
}

impl Case {
    fn state(&self, row: usize) -> &[f32] {
        &self.states[row * self.hidden..(row + 1) * self.hidden]
    }

    /// Predicts twice, the second time with used buffers.
    fn predictions(&self, classifier: Classifier, arch: Arch) -> Vec<u32> {
        let mut prober = Prober::new(classifier, self.classes, self.exclude, arch, 1);
        let first = predict(&mut prober, &self.states, self.hidden, self.fit.get(), self.queries.get());
        let second = predict(&mut prober, &self.states, self.hidden, self.fit.get(), self.queries.get());
        assert_eq!(first, second);
        second
    }
}

/// Distances in f64 from every point to every other, sorted: slow and plainly right.
fn brute_force_knn(case: &Case, k: usize) -> Vec<u32> {
    let (fit, queries) = (&case.fit, &case.queries);
    let predict = |query: usize| {
        let mut neighbours: Vec<(f64, usize)> = (0..fit.rows.len())
            .filter(|point| case.exclude == Exclude::Nothing || fit.origins[*point] != queries.origins[query])
            .map(|point| {
                let pairs = case.state(queries.rows[query]).iter().zip(case.state(fit.rows[point]));
                (pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>(), point)
            })
            .collect();
        neighbours.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut votes = vec![0; case.classes];
        neighbours.iter().take(k).for_each(|(_, point)| votes[fit.labels[*point] as usize] += 1);
        let most = *votes.iter().max().unwrap();
        votes.iter().position(|count| *count == most).unwrap() as u32
    };
    (0..queries.rows.len()).map(predict).collect()
}

/// A prediction and by how much it is the nearest, from means computed anew for each query.
fn brute_force_mean(case: &Case) -> Vec<(u32, f64)> {
    let (fit, queries) = (&case.fit, &case.queries);
    let predict = |query: usize| {
        let distance = |class: usize| {
            let counts = |point: &usize| {
                let own = case.exclude == Exclude::SameOrigin && fit.origins[*point] == queries.origins[query];
                fit.labels[*point] as usize == class && !own
            };
            let members: Vec<usize> = (0..fit.rows.len()).filter(counts).collect();
            let difference = |(unit, value): (usize, &f32)| {
                let sum: f64 = members.iter().map(|point| f64::from(case.state(fit.rows[*point])[unit])).sum();
                f64::from(*value) - sum / members.len() as f64
            };
            let differences = case.state(queries.rows[query]).iter().enumerate().map(difference);
            if members.is_empty() { f64::INFINITY } else { differences.map(|x| x * x).sum() }
        };
        let mut distances: Vec<(f64, u32)> = (0..case.classes).map(|class| (distance(class), class as u32)).collect();
        distances.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        (distances[0].1, if distances[0].0.is_finite() { distances[1].0 - distances[0].0 } else { f64::INFINITY })
    };
    (0..queries.rows.len()).map(predict).collect()
}

/// How states lie. All coordinates are multiples of a power of two within few bits, so that squared distances are exact in f64 in
/// whatever order they are summed, and ties are ties.
#[derive(Debug, Clone, Copy)]
enum Layout {
    /// All different, and far from each other for the most part.
    Scattered,
    /// Few distinct values a coordinate, far from the origin: many states coincide, more tie, and the f32 product loses digits.
    Grid { values: u64, offset: f32 },
    /// A few clusters whose states are nearer to each other than f32 products can tell, like padded steps.
    Clusters { clusters: u64 },
    /// The same, each state having come as far to its cluster's middle as it has padded steps behind it.
    Approaches { clusters: u64 },
}

fn draw_states(draws: &mut Stream, rows: usize, hidden: usize, layout: Layout) -> Vec<f32> {
    let whole = |draws: &mut Stream, below: u64| draws.below(below) as f32;
    match layout {
        Layout::Scattered => (0..rows * hidden).map(|_| whole(draws, 1 << 12) / 2048.0 - 1.0).collect(),
        Layout::Grid { values, offset } => (0..rows * hidden).map(|_| offset + whole(draws, values) * 0.125).collect(),
        Layout::Clusters { clusters } | Layout::Approaches { clusters } => {
            let centres: Vec<f32> = (0..clusters as usize * hidden).map(|_| whole(draws, 512) / 256.0 - 1.0).collect();
            let mut states = Vec::new();
            for _ in 0..rows {
                let cluster = draws.below(clusters) as usize;
                let centre = &centres[cluster * hidden..][..hidden];
                let reach = if matches!(layout, Layout::Approaches { .. }) { 1 << draws.below(18) } else { 32 };
                let away = |draws: &mut Stream| (whole(draws, 2 * reach) - reach as f32) / (1 << 20) as f32;
                states.extend(centre.iter().map(|value| value + away(draws)));
            }
            states
        }
    }
}

/// Oversampled copies of a sample share an origin, and either a row or not.
fn draw_case(seed: &[u8; 32], points: usize, hidden: usize, layout: Layout, scoring: u8) -> Case {
    let mut draws = rng::stream(seed, "states");
    let states = draw_states(&mut draws, 2 * points, hidden, layout);
    let classes = 2 + draws.below(5) as usize;
    let share_rows = draws.below(2) == 0;
    let labels = |draws: &mut Stream| (0..points).map(|_| draws.below(classes as u64) as u32).collect::<Vec<_>>();
    let origins: Vec<usize> = (0..points)
        .map(|point| if draws.below(4) == 0 { draws.below(points as u64) as usize } else { point })
        .collect();
    let rows = if share_rows { origins.clone() } else { (0..points).collect() };
    let fit = OwnedPoints { rows, labels: labels(&mut draws), origins };
    let queries = match scoring {
        0 | 1 => fit.clone(),
        _ => OwnedPoints {
            rows: (points..2 * points).collect(),
            labels: labels(&mut draws),
            origins: (0..points).collect(),
        },
    };
    let exclude = if scoring.is_multiple_of(2) { Exclude::Nothing } else { Exclude::SameOrigin };
    Case { classes, exclude, hidden, states, fit, queries }
}

fn layouts() -> impl Strategy<Value = Layout> {
    prop_oneof![
        Just(Layout::Scattered),
        (1_u64..6, prop::sample::select(vec![0.0_f32, 1.0, 1000.0]))
            .prop_map(|(values, offset)| Layout::Grid { values, offset }),
        (1_u64..5).prop_map(|clusters| Layout::Clusters { clusters }),
        (1_u64..5).prop_map(|clusters| Layout::Approaches { clusters }),
    ]
}

/// Sizes on both sides of the blocks in which products are made, so that mirrored and ragged blocks occur.
fn cases() -> impl Strategy<Value = Case> {
    let sizes = prop_oneof![
        (1_usize..60, 1_usize..21),
        (60_usize..450, 1_usize..21),
        (20_usize..70, 21_usize..300),
        (100_usize..250, 120_usize..140),
    ];
    (any::<[u8; 32]>(), sizes, layouts(), 0_u8..4)
        .prop_map(|(seed, (points, hidden), layout, scoring)| draw_case(&seed, points, hidden, layout, scoring))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn knn_predictions_equal_brute_force_also_where_states_coincide(case in cases(), k in 1_usize..8) {
        let expected = brute_force_knn(&case, k);
        for arch in archs() {
            prop_assert_eq!(&case.predictions(Classifier::Knn { k }, arch), &expected);
        }
    }

    #[test]
    fn nearest_mean_predictions_equal_brute_force_except_where_two_means_are_as_near(case in cases()) {
        let expected = brute_force_mean(&case);
        for arch in archs() {
            let found = case.predictions(Classifier::NearestMean, arch);
            for (found, (expected, margin)) in found.iter().zip(&expected) {
                prop_assert!(found == expected || *margin < 1e-6, "{found} for {expected}, margin {margin}");
            }
        }
    }

    #[test]
    fn logistic_predictions_are_the_same_on_every_instruction_set(case in cases(), l2 in 1e-3..10.0) {
        let case = Case { exclude: Exclude::Nothing, ..case };
        let found = archs().into_iter().map(|arch| case.predictions(Classifier::Logistic { l2 }, arch));
        let found: Vec<_> = found.collect();
        prop_assert!(found.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

/// Predictions of one state in one dimension from others.
fn tell(classifier: Classifier, exclude: Exclude, fit: &[(f32, u32, usize)], query: (f32, usize)) -> u32 {
    let states: Vec<f32> = fit.iter().map(|point| point.0).chain([query.0]).collect();
    let rows: Vec<usize> = (0..states.len()).collect();
    let labels: Vec<u32> = fit.iter().map(|point| point.1).chain([0]).collect();
    let origins: Vec<usize> = fit.iter().map(|point| point.2).chain([query.1]).collect();
    let n = fit.len();
    let fit = Points { rows: &rows[..n], labels: &labels[..n], origins: &origins[..n] };
    let queries = Points { rows: &rows[n..], labels: &labels[n..], origins: &origins[n..] };
    predict(&mut Prober::new(classifier, 3, exclude, Arch::new(), 1), &states, 1, fit, queries)[0]
}

#[test]
fn of_two_means_as_near_the_smaller_class_is_predicted() {
    for (left, right) in [(1, 2), (2, 1)] {
        let fit = [(0.0, left, 0), (1.0, left, 1), (2.5, right, 2)];
        assert_eq!(tell(Classifier::NearestMean, Exclude::Nothing, &fit, (1.5, 9)), 1);
    }
}

#[test]
fn a_class_without_points_is_not_predicted() {
    let fit = [(5.0, 2, 0), (1.0, 1, 1), (1.0, 1, 1)];
    for classifier in [Classifier::NearestMean, Classifier::Knn { k: 3 }] {
        assert_eq!(tell(classifier, Exclude::Nothing, &fit, (1.0, 1)), 1);
        assert_eq!(tell(classifier, Exclude::SameOrigin, &fit, (1.0, 1)), 2);
        assert_eq!(tell(classifier, Exclude::SameOrigin, &[], (1.0, 1)), 0);
    }
    let logistic = Classifier::Logistic { l2: 1.0 };
    assert_eq!(tell(logistic, Exclude::Nothing, &fit, (1.0, 1)), 1);
    assert_eq!(tell(logistic, Exclude::Nothing, &fit[..1], (1.0, 1)), 2);
    assert_eq!(tell(logistic, Exclude::Nothing, &[], (1.0, 1)), 0);
}

#[test]
#[should_panic(expected = "a logistic probe cannot leave its queries out")]
fn a_logistic_probe_that_excludes_is_refused() {
    Prober::new(Classifier::Logistic { l2: 1.0 }, 2, Exclude::SameOrigin, Arch::new(), 1);
}

const CLASSIFIERS: [(Classifier, Exclude); 5] = [
    (Classifier::Knn { k: 3 }, Exclude::Nothing),
    (Classifier::Knn { k: 3 }, Exclude::SameOrigin),
    (Classifier::NearestMean, Exclude::Nothing),
    (Classifier::NearestMean, Exclude::SameOrigin),
    (Classifier::Logistic { l2: 1.0 }, Exclude::Nothing),
];

/// States that wander and, one after the other, come to rest near one of three places.
#[test]
fn a_curve_over_moving_states_is_that_of_each_step_by_itself() {
    let (time, rows) = (24, 180);
    for hidden in [7, 150] {
        let mut draws = rng::stream(&[5; 32], "steps");
        let mut states = States::default();
        states.reset(time, rows, hidden);
        let places: Vec<f32> = (0..3 * hidden).map(|_| draws.normal() as f32).collect();
        for t in 0..time {
            let before = if t > 0 { states.at(t - 1).to_vec() } else { vec![0.0; rows * hidden] };
            for (row, state) in states.at_mut(t).chunks_exact_mut(hidden).enumerate() {
                let (own, place) = (&before[row * hidden..][..hidden], &places[row % 3 * hidden..][..hidden]);
                let (pull, noise) = if t > row % 20 { (0.8, 1e-6) } else { (0.1, 0.3) };
                for ((value, before), place) in state.iter_mut().zip(own).zip(place) {
                    *value = before + pull * (place - before) + noise * draws.normal() as f32;
                }
            }
        }
        let (all, labels): (Vec<usize>, Vec<u32>) = (0..rows).map(|row| (row, draws.below(3) as u32)).unzip();
        let points = Points { rows: &all, labels: &labels, origins: &all };
        for exclude in [Exclude::Nothing, Exclude::SameOrigin] {
            let new = || Prober::new(Classifier::Knn { k: 3 }, 3, exclude, Arch::new(), 1);
            let mut curve = Vec::new();
            new().curve(&states, points, points, &mut curve);
            for (t, accuracy) in curve.iter().enumerate() {
                let alone = predict(&mut new(), states.at(t), hidden, points, points);
                let right = alone.iter().zip(&labels).filter(|(found, label)| found == label).count();
                assert_eq!(*accuracy, right as f64 / rows as f64, "step {t} of {hidden} units");
            }
        }
    }
}

/// States of 70 samples at 13 steps; from step 9 on, half of them coincide.
fn draw_steps() -> (States, Vec<usize>, Vec<u32>) {
    let (time, rows, hidden) = (13, 70, 6);
    let mut draws = rng::stream(&[3; 32], "steps");
    let mut states = States::default();
    states.reset(time, rows, hidden);
    for t in 0..time {
        states.at_mut(t).iter_mut().for_each(|value| *value = draws.normal() as f32);
        if t >= 9 {
            states.at_mut(t)[..rows / 2 * hidden].fill(0.25);
        }
    }
    (states, (0..rows).collect(), (0..rows as u32).map(|row| row * row % 3).collect())
}

#[test]
fn a_curve_is_the_share_of_right_predictions_and_the_same_on_any_number_of_threads() {
    let (states, rows, labels) = draw_steps();
    let points = Points { rows: &rows, labels: &labels, origins: &rows };
    for (classifier, exclude) in CLASSIFIERS {
        let prober = |threads| Prober::new(classifier, 3, exclude, Arch::new(), threads);
        let accuracy = |t: usize| {
            let predictions = predict(&mut prober(1), states.at(t), states.hidden(), points, points);
            let right = predictions.iter().zip(&labels).filter(|(predicted, label)| predicted == label).count();
            right as f64 / labels.len() as f64
        };
        let expected: Vec<f64> = (0..states.time()).map(accuracy).collect();
        for threads in [1, 2, 3, 20] {
            let mut curve = vec![-1.0];
            prober(threads).curve(&states, points, points, &mut curve);
            assert_eq!(curve, expected, "{classifier:?} on {threads} threads");
        }
    }
}

#[test]
fn states_that_are_not_numbers_are_answered_the_same_each_time_and_disturb_no_neighbours() {
    let (mut states, rows, labels) = draw_steps();
    let hidden = states.hidden();
    let points = Points { rows: &rows, labels: &labels, origins: &rows };
    for (value, count) in [(f32::NAN, 1), (f32::INFINITY, 1), (f32::NEG_INFINITY, 30), (f32::MAX, 30), (f32::NAN, 70)] {
        (0..count).for_each(|row| states.at_mut(0)[row * hidden + row % hidden] = value);
        for (classifier, exclude) in CLASSIFIERS {
            let answers =
                |arch| predict(&mut Prober::new(classifier, 3, exclude, arch, 1), states.at(0), hidden, points, points);
            let found = answers(Arch::new());
            assert!(archs().into_iter().all(|arch| answers(arch) == found), "{classifier:?}");
            assert!(found.iter().all(|label| *label < 3));
            if let (Classifier::Knn { k }, true) = (classifier, count < 60) {
                let (fit, hidden) =
                    (OwnedPoints { rows: rows.clone(), labels: labels.clone(), origins: rows.clone() }, hidden);
                let case =
                    Case { classes: 3, exclude, hidden, states: states.at(0).to_vec(), fit: fit.clone(), queries: fit };
                assert_eq!(found[count..], brute_force_knn(&case, k)[count..]);
            }
        }
    }
}
