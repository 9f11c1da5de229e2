//! Bootstrap intervals beside R's boot, permutation tests beside SciPy, and what must not change any of them.
#![allow(clippy::unwrap_used)]

use curvefleet_analysis::stats::bootstrap::{Interval, Resamples, resample_many};
use curvefleet_analysis::stats::effect_size::dominance::dominance;
use curvefleet_analysis::stats::permutation::{PermutationTest, Statistic, permutation_test};
use curvefleet_analysis::stats::random::Resampling;
use curvefleet_analysis::stats::robust::{interquartile_mean, interquartile_mean_resampled, performance_profile};
use curvefleet_analysis::stats::selectivity::selectivity;
use curvefleet_analysis::stats::undefined::Undefined;
use proptest::prelude::*;

const PLAN: Resampling = Resampling { seed: 7, resamples: 2000 };
const A: [f64; 5] = [0.61, 0.72, 0.55, 0.80, 0.66];
const B: [f64; 4] = [0.58, 0.49, 0.63, 0.60];
const C: [f64; 3] = [0.7, 0.9, 0.85];

fn close(found: f64, expected: f64, tolerance: f64, what: &str) {
    let error = (found - expected).abs() / expected.abs().max(f64::MIN_POSITIVE);
    assert!(error <= tolerance, "{what}: {found:e} instead of {expected:e}, {error:e} off");
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[derive(serde::Deserialize)]
struct OfBoot {
    metric: String,
    x: Vec<f64>,
    t: Vec<f64>,
    t0: f64,
    boot_perc: (f64, f64),
    boot_basic: (f64, f64),
    boot_bca: (f64, f64),
    bca_z0_strict_less: f64,
}

/// R's `boot.ci` on the same 999 resampled means. For a mean boot's acceleration is the jackknife's.
#[test]
fn intervals_are_those_of_boot() {
    let cases: Vec<OfBoot> = serde_json::from_str(include_str!("data/bootstrap.json")).unwrap();
    for case in cases {
        let influences = case.x.iter().map(|value| value - case.t0);
        let (cubes, squares): (f64, f64) =
            influences.fold((0.0, 0.0), |(cubes, squares), l| (cubes + l.powi(3), squares + l.powi(2)));
        let resamples = Resamples::from_values(case.t0, case.t, cubes / (6.0 * squares.powf(1.5))).unwrap();
        close(resamples.bias().unwrap(), case.bca_z0_strict_less, 1e-9, "z0");
        for (kind, expected) in
            [(Interval::Percentile, case.boot_perc), (Interval::Basic, case.boot_basic), (Interval::Bca, case.boot_bca)]
        {
            let (low, high) = resamples.interval(kind, 0.95).unwrap();
            close(low, expected.0, 1e-9, &format!("low end, {kind:?} of {}", case.metric));
            close(high, expected.1, 1e-9, &format!("high end, {kind:?} of {}", case.metric));
        }
    }
}

/// The jackknife's acceleration, as R's for the same data.
#[test]
fn the_acceleration_is_the_jackknife_s() {
    #[derive(serde::Deserialize)]
    struct Case {
        x: Vec<f64>,
        bca_accel_jackknife: f64,
    }
    let cases: Vec<Case> = serde_json::from_str(include_str!("data/bootstrap.json")).unwrap();
    for case in cases {
        let resamples = Resamples::stratified(&[&case.x], &PLAN, "mean", |groups| mean(&groups[0])).unwrap();
        close(resamples.acceleration(), case.bca_accel_jackknife, 1e-9, "acceleration");
    }
}

/// The bootstrap's standard error of a difference of means is known: every group's variance, with denominator n, over n.
#[test]
fn stratified_resamples_have_the_spread_that_theory_gives() {
    let plan = Resampling { seed: 1, resamples: 40_000 };
    let values =
        resample_many(&[&A, &B], &plan, "difference", 1, |groups, row| row[0] = mean(&groups[0]) - mean(&groups[1]));
    let values = values.unwrap();
    let variance =
        |values: &[f64]| values.iter().map(|value| (value - mean(values)).powi(2)).sum::<f64>() / values.len() as f64;
    let expected = (variance(&A) / A.len() as f64 + variance(&B) / B.len() as f64).sqrt();
    // Four standard errors of a standard deviation from 40,000 draws.
    close(variance(&values).sqrt(), expected, 4.0 / (2.0 * 40_000f64).sqrt(), "standard error");
    close(mean(&values), mean(&A) - mean(&B), 0.01, "mean");
}

/// More threads, more resamples or another quantity beside it move no number; another name or seed moves all.
#[test]
fn resamples_depend_on_seed_name_and_number_alone() {
    let draw = |seed: u64, resamples: usize, name: &str| {
        let plan = Resampling { seed, resamples };
        resample_many(&[&A, &B], &plan, name, 2, |groups, row| {
            row.copy_from_slice(&[mean(&groups[0]), mean(&groups[1])])
        })
        .unwrap()
    };
    let pool = |threads: usize| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let one = pool(1).install(|| draw(3, 500, "end"));
    assert_eq!(one, pool(4).install(|| draw(3, 500, "end")));
    assert_eq!(one[..], draw(3, 900, "end")[..1000]);
    assert_ne!(one, draw(3, 500, "start"));
    assert_ne!(one, draw(4, 500, "end"));
}

fn exact(groups: &[&[f64]], statistic: Statistic) -> f64 {
    let PermutationTest { p, exact, .. } = permutation_test(groups, statistic, &PLAN, "p").unwrap();
    assert!(exact);
    p.p()
}

/// SciPy 1.17: `permutation_test(…, n_resamples=inf)` with |difference of means|, F, and Welch's statistic of two and of three groups.
#[test]
fn exact_permutation_tests_are_those_of_scipy() {
    close(exact(&[&A, &B], Statistic::Means), 0.150_793_650_793_650_8, 1e-12, "means of two");
    close(exact(&[&A, &B, &C], Statistic::Means), 0.018_975_468_975_468_975, 1e-12, "means of three");
    close(exact(&[&A, &B], Statistic::Welch), 0.134_920_634_920_634_9, 1e-12, "Welch of two");
    close(exact(&[&A, &B, &C], Statistic::Welch), 0.038_528_138_528_138_53, 1e-12, "Welch of three");
}

/// Where arrangements are too many they are drawn: never 0, and near the exact value of an extreme case, 2 / C(30, 15).
#[test]
fn drawn_permutations_are_never_impossible() {
    let low: Vec<f64> = (0..15).map(f64::from).collect();
    let high: Vec<f64> = (100..115).map(f64::from).collect();
    let test = permutation_test(&[&low, &high], Statistic::Means, &PLAN, "p").unwrap();
    assert!(!test.exact && test.arrangements == 2001);
    close(test.p.p(), 1.0 / 2001.0, 1e-12, "smallest p");
    // Groups that are the same by construction: every other p is possible, but not a small one.
    let mixed: Vec<f64> = low.iter().map(|value| value + 0.5 * f64::from(u8::from(*value < 7.0))).collect();
    let test = permutation_test(&[&low, &mixed], Statistic::Means, &PLAN, "p").unwrap();
    assert!(test.p.p() > 0.5, "{}", test.p.p());
}

/// A drawn p is that of all arrangements, but for the error of drawing: 6 runs against 16 have 74,613 of them, and with the 16 cut
/// into three further groups too many to count; a million drawn with NumPy's generator give 0.1303.
#[test]
fn a_drawn_p_is_near_that_of_a_million_draws() {
    let runs: Vec<f64> = (0..22).map(|i| f64::from(i * i % 23) + 1.5 * f64::from(i / 6)).collect();
    let groups: Vec<&[f64]> = vec![&runs[..6], &runs[6..12], &runs[12..17], &runs[17..]];
    let plan = Resampling { seed: 5, resamples: 20_000 };
    let test = permutation_test(&groups, Statistic::Means, &plan, "p").unwrap();
    let expected: f64 = 0.130_344;
    let error = (expected * (1.0 - expected) / 20_000f64).sqrt();
    assert!(!test.exact && (test.p.p() - expected).abs() < 4.0 * error, "{}", test.p.p());
}

/// SciPy's `trim_mean(x, 0.25)`.
#[test]
fn the_interquartile_mean_is_scipys() {
    let values = [0.3, 0.1, 0.9, 0.4, 0.45, 0.8, 0.05, 0.5, 0.61, 0.62, 0.2];
    close(interquartile_mean(&values).unwrap(), 0.44, 1e-14, "11 values");
    close(interquartile_mean(&values[..8]).unwrap(), 0.4125, 1e-14, "8 values");
    close(interquartile_mean(&values[..3]).unwrap(), 1.3 / 3.0, 1e-14, "3 values");
    assert_eq!(interquartile_mean(&[]), None);
}

/// Shares above thresholds by hand; their intervals hold the share and fall with it.
#[test]
fn a_performance_profile_falls_from_one_to_zero() {
    let profile = performance_profile(&[&A, &B], &[0.4, 0.6, 0.65, 0.9], 0.95, &PLAN, "profile").unwrap();
    let shares: Vec<f64> = profile.iter().map(|point| point.share).collect();
    for (found, expected) in shares.iter().zip([1.0, (0.8 + 0.25) / 2.0, 0.6 / 2.0, 0.0]) {
        assert!((found - expected).abs() < 1e-14, "{shares:?}");
    }
    assert_eq!((profile[0].interval, profile[3].interval), ((1.0, 1.0), (0.0, 0.0)));
    assert!(profile.iter().all(|point| point.interval.0 <= point.share && point.share <= point.interval.1));
    let ends: Vec<(f64, f64)> = profile.iter().map(|point| point.interval).collect();
    assert!(ends.windows(2).all(|pair| pair[1].0 <= pair[0].0 && pair[1].1 <= pair[0].1));
}

#[test]
fn what_cannot_be_resampled_says_why() {
    let constant = [0.5, 0.5, 0.5];
    let too_few = Undefined::TooFewValues { group: 1, values: 1, needed: 2 };
    let plan = |resamples| Resampling { seed: 1, resamples };
    let mean_of = |values: &[f64], resamples| {
        Resamples::stratified(&[values], &plan(resamples), "mean", |groups| mean(&groups[0]))
    };
    assert_eq!(mean_of(&constant, 100).unwrap().interval(Interval::Bca, 0.95), Err(Undefined::ConstantResamples));
    assert_eq!(mean_of(&A, 0), Err(Undefined::TooFewResamples));
    assert_eq!(mean_of(&A, 20).unwrap().interval(Interval::Percentile, 0.95), Err(Undefined::TooFewResamples));
    assert_eq!(mean_of(&[0.1, f64::NAN], 20), Err(Undefined::NotFinite { group: 0 }));
    assert_eq!(interquartile_mean_resampled(&[&A, &[0.3]], &PLAN, "iqm"), Err(too_few));
    let separate = dominance(&A, &[-1.0, -2.0], 0.95, &PLAN, "p").unwrap();
    assert_eq!((separate.probability, separate.interval), (1.0, Err(Undefined::ConstantResamples)));
    assert_eq!(permutation_test(&[&A, &[0.3]], Statistic::Means, &PLAN, "p"), Err(too_few));
    assert_eq!(permutation_test(&[&constant, &constant], Statistic::Means, &PLAN, "p"), Err(Undefined::AllEqual));
    let many: Vec<f64> = (0..20).map(f64::from).collect();
    assert_eq!(permutation_test(&[&many, &many], Statistic::Welch, &plan(0), "p"), Err(Undefined::TooFewResamples));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn exact_permutation_knows_no_order_and_no_unit(
        a in prop::collection::vec(-5.0..5.0f64, 2..6),
        b in prop::collection::vec(-5.0..5.0f64, 2..6),
        shift in -50.0..50.0f64,
        scale in 0.01..100.0f64,
    ) {
        let moved = |values: &[f64]| values.iter().rev().map(|value| shift + scale * value).collect::<Vec<f64>>();
        for statistic in [Statistic::Means, Statistic::Welch] {
            let plain = exact(&[&a, &b], statistic);
            prop_assert!((plain - exact(&[&moved(&b), &moved(&a)], statistic)).abs() < 1e-12);
            prop_assert!(plain > 0.0 && plain <= 1.0);
        }
    }

    /// Against its control, a condition in another order, unit and place has the same t; with the sides changed, the other sign.
    #[test]
    fn selectivity_knows_no_order_and_no_unit(
        truth in prop::collection::vec(-5.0..5.0f64, 2..9),
        shuffled in prop::collection::vec(-5.0..5.0f64, 2..9),
        shift in -50.0..50.0f64,
        scale in 0.01..100.0f64,
    ) {
        let plain = selectivity(&truth, &shuffled).unwrap().difference;
        let moved = |values: &[f64]| values.iter().rev().map(|value| shift + scale * value).collect::<Vec<f64>>();
        let other = selectivity(&moved(&truth), &moved(&shuffled)).unwrap().difference;
        let back = selectivity(&shuffled, &truth).unwrap().difference;
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * a.abs().max(1.0);
        prop_assert!(near(plain.t, other.t) && near(plain.df, other.df) && near(scale * plain.estimate, other.estimate));
        prop_assert!(near(plain.t, -back.t) && near(plain.df, back.df));
    }

    /// The shares of runs above thresholds move with the runs.
    #[test]
    fn profiles_know_no_order_and_no_unit(
        values in prop::collection::vec(-5.0..5.0f64, 2..12),
        scale in 0.01..100.0f64,
    ) {
        let mut thresholds = vec![-2.5, 0.0, 2.5];
        let share = |values: &[f64], thresholds: &[f64]| {
            let profile = performance_profile(&[values], thresholds, 0.95, &PLAN, "profile").unwrap();
            profile.iter().map(|point| point.share).collect::<Vec<f64>>()
        };
        let plain = share(&values, &thresholds);
        thresholds.iter_mut().for_each(|threshold| *threshold *= scale);
        let moved: Vec<f64> = values.iter().rev().map(|value| value * scale).collect();
        prop_assert_eq!(plain, share(&moved, &thresholds));
    }

    #[test]
    fn intervals_move_with_shift_and_scale(
        values in prop::collection::vec(-5.0..5.0f64, 4..12),
        shift in -50.0..50.0f64,
        scale in 0.01..100.0f64,
    ) {
        let interval = |values: &[f64]| {
            interquartile_mean_resampled(&[values], &PLAN, "iqm").unwrap().interval(Interval::Bca, 0.95).unwrap()
        };
        let moved: Vec<f64> = values.iter().map(|value| shift + scale * value).collect();
        let (plain, other) = (interval(&values), interval(&moved));
        let room = 1e-6 * (scale + shift.abs());
        prop_assert!((shift + scale * plain.0 - other.0).abs() < room && (shift + scale * plain.1 - other.1).abs() < room);
    }
}
