//! The mixed model and the cluster-robust covariance against lme4, lmerTest and clubSandwich on made-up rows, unbalanced in runs and
//! in epochs (`reference/mixed_robust.R`), and laws that hold for any rows.
#![allow(clippy::unwrap_used)]

use curvefleet_analysis::stats::cluster_robust::RobustFit;
use curvefleet_analysis::stats::design::{Design, Formula, Row, Term, Unfit};
use curvefleet_analysis::stats::mixed::{Incomparable, Method, MixedFit, likelihood_ratio};
use curvefleet_analysis::stats::wald::{CoefficientTest, WaldF};
use proptest::prelude::*;
use serde::Deserialize;

fn close(found: f64, expected: f64, tolerance: f64, what: &str) {
    let error = (found - expected).abs() / expected.abs().max(f64::MIN_POSITIVE);
    assert!(error <= tolerance, "{what}: {found} instead of {expected}, {error:e} off");
}

#[derive(Debug, Clone, Deserialize)]
struct Record {
    set: String,
    run: String,
    level: String,
    epoch: f64,
    value: f64,
}

fn records(set: &str) -> Vec<Record> {
    let rows = csv::Reader::from_reader(&include_bytes!("data/mixed_rows.csv")[..])
        .deserialize::<Record>()
        .map(Result::unwrap)
        .filter(|record| record.set == set)
        .collect::<Vec<_>>();
    assert_eq!(rows.len(), 61);
    rows
}

fn rows(records: &[Record]) -> Vec<Row<'_>> {
    records
        .iter()
        .map(|record| Row { run: &record.run, level: &record.level, epoch: record.epoch, value: record.value })
        .collect()
}

fn formula(name: &str) -> Formula {
    match name {
        "Epoch" => Formula::Epoch,
        "Level" => Formula::Level,
        "EpochAndLevel" => Formula::EpochAndLevel,
        "EpochByLevel" => Formula::EpochByLevel,
        other => panic!("no formula {other}"),
    }
}

#[derive(Deserialize)]
struct Mixed {
    fits: Vec<ExpectedFit>,
    likelihood_ratios: Vec<ExpectedRatios>,
}

/// The tests of epoch + level against epoch, and of epoch × level against that.
#[derive(Deserialize)]
struct ExpectedRatios {
    set: String,
    chi_square: [f64; 2],
    df: [usize; 2],
    p: [f64; 2],
}

#[derive(Deserialize)]
struct ExpectedFit {
    set: String,
    formula: String,
    reml: bool,
    log_likelihood: f64,
    aic: f64,
    bic: f64,
    run_variance: f64,
    residual_variance: f64,
    coefficients: Vec<ExpectedCoefficient>,
    terms: Vec<ExpectedTerm>,
}

#[derive(Deserialize)]
struct ExpectedCoefficient {
    name: String,
    estimate: f64,
    se: f64,
    df: f64,
    p: f64,
    hc2: Option<f64>,
}

#[derive(Deserialize)]
struct ExpectedTerm {
    name: String,
    sum_of_squares: f64,
    df1: usize,
    df2: f64,
    f: f64,
    p: f64,
}

/// R's name of a coefficient of ours.
fn name_in_r(name: &str) -> String {
    match name {
        "intercept" => "(Intercept)".to_string(),
        "epoch" => name.to_string(),
        _ => match name.strip_prefix("epoch × ") {
            Some(level) => format!("epoch:level{level}"),
            None => format!("level{name}"),
        },
    }
}

fn check_coefficients(found: &[CoefficientTest], expected: &[ExpectedCoefficient], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        let what = format!("{what}, {}", expected.name);
        assert_eq!(name_in_r(&found.coefficient.to_string()), expected.name);
        let test = found.test.clone().unwrap();
        assert_eq!(test.estimate, found.estimate);
        close(test.estimate, expected.estimate, tolerance, &what);
        close(test.se, expected.se, tolerance, &format!("se of {what}"));
        close(test.df, expected.df, 30.0 * tolerance, &format!("df of {what}"));
        close(test.p.p(), expected.p, 100.0 * tolerance, &format!("p of {what}"));
    }
}

/// lme4's optimiser stops a little before the minimum, and lmerTest's derivatives are numerical.
#[test]
fn the_mixed_model_is_that_of_lme4() {
    let expected: Mixed = serde_json::from_str(include_str!("data/mixed.json")).unwrap();
    let mut boundaries = 0;
    for fit in expected.fits {
        let what = format!("{} {} REML {}", fit.set, fit.formula, fit.reml);
        let records = records(&fit.set);
        let design = Design::new(formula(&fit.formula), &rows(&records)).unwrap();
        let found = MixedFit::new(&design, if fit.reml { Method::Reml } else { Method::Ml }).unwrap();
        close(found.log_likelihood, fit.log_likelihood, 1e-10, &what);
        close(found.aic(), fit.aic, 1e-10, &what);
        close(found.bic(), fit.bic, 1e-10, &what);
        close(found.residual_variance, fit.residual_variance, 1e-6, &what);
        if found.is_boundary() {
            boundaries += 1;
            assert!(fit.run_variance < 1e-9 * fit.residual_variance, "{what}");
        } else {
            close(found.run_variance, fit.run_variance, 1e-6, &what);
        }
        check_coefficients(&found.coefficients(), &fit.coefficients, 1e-6, &what);
        let terms = found.term_tests().unwrap();
        assert_eq!(terms.len(), fit.terms.len());
        for (term, expected) in terms.iter().zip(&fit.terms) {
            let what = format!("{what}, {}", expected.name);
            let name = match term.term {
                Term::Epoch => "epoch",
                Term::Level => "level",
                Term::EpochByLevel => "epoch:level",
            };
            assert_eq!((name, term.test.df1), (expected.name.as_str(), expected.df1));
            close(term.test.f, expected.f, 1e-6, &what);
            close(term.test.df2, expected.df2, 1e-5, &what);
            close(term.test.p.p(), expected.p, 1e-4, &what);
            close(term.sum_of_squares, expected.sum_of_squares, 1e-6, &what);
        }
    }
    assert_eq!(boundaries, 6, "all models with levels have a variance of 0 where residuals sum to 0 in each run");
}

#[test]
fn likelihood_ratios_are_those_of_lme4() {
    let expected: Mixed = serde_json::from_str(include_str!("data/mixed.json")).unwrap();
    assert_eq!(expected.likelihood_ratios.len(), 2);
    for ratios in expected.likelihood_ratios {
        let records = records(&ratios.set);
        let fits = [Formula::Epoch, Formula::EpochAndLevel, Formula::EpochByLevel]
            .map(|formula| MixedFit::new(&Design::new(formula, &rows(&records)).unwrap(), Method::Ml).unwrap());
        for (place, pair) in fits.windows(2).enumerate() {
            let test = likelihood_ratio(&pair[1], &pair[0]).unwrap();
            assert_eq!(test.df, ratios.df[place]);
            close(test.chi_square, ratios.chi_square[place], 1e-8, &ratios.set);
            close(test.p.p(), ratios.p[place], 1e-6, &ratios.set);
        }
        assert_eq!(likelihood_ratio(&fits[0], &fits[1]), Err(Incomparable::NotNested));
        let restricted = mixed(Formula::EpochByLevel, &records).unwrap();
        assert_eq!(likelihood_ratio(&restricted, &fits[0]), Err(Incomparable::Restricted));
        let fewer = Design::new(Formula::Epoch, &rows(&records[1..])).unwrap();
        let other = MixedFit::new(&fewer, Method::Ml).unwrap();
        assert_eq!(likelihood_ratio(&fits[1], &other), Err(Incomparable::OtherRows));
    }
}

#[derive(Deserialize)]
struct ExpectedRobust {
    set: String,
    formula: String,
    coefficients: Vec<ExpectedCoefficient>,
    against_mean: ExpectedJoint,
    against_epoch: Option<ExpectedJoint>,
}

#[derive(Deserialize)]
struct ExpectedJoint {
    f: f64,
    df1: usize,
    df2: f64,
    p: f64,
}

fn check_joint(found: WaldF, expected: &ExpectedJoint, what: &str) {
    assert_eq!(found.df1, expected.df1, "{what}");
    close(found.f, expected.f, 1e-9, &format!("F of {what}"));
    close(found.df2, expected.df2, 1e-9, &format!("df of {what}"));
    close(found.p.p(), expected.p, 1e-8, &format!("p of {what}"));
}

#[test]
fn cluster_robust_tests_are_those_of_club_sandwich() {
    let expected: Vec<ExpectedRobust> = serde_json::from_str(include_str!("data/robust.json")).unwrap();
    assert_eq!(expected.len(), 8);
    for fit in expected {
        let what = format!("{} {}", fit.set, fit.formula);
        let mut records = records(&fit.set);
        let found = RobustFit::new(&Design::new(formula(&fit.formula), &rows(&records)).unwrap()).unwrap();
        check_coefficients(&found.coefficients(), &fit.coefficients, 1e-10, &what);
        check_joint(found.test_against(Formula::Mean).unwrap(), &fit.against_mean, &what);
        if let Some(joint) = &fit.against_epoch {
            check_joint(found.test_against(Formula::Epoch).unwrap(), joint, &format!("{what} over epoch"));
        }
        // With every row its own run, CR2 is HC2.
        records.iter_mut().enumerate().for_each(|(i, record)| record.run = format!("row {i}"));
        let singletons = RobustFit::new(&Design::new(formula(&fit.formula), &rows(&records)).unwrap()).unwrap();
        for (found, expected) in singletons.coefficients().iter().zip(&fit.coefficients) {
            close(found.test.clone().unwrap().se, expected.hc2.unwrap(), 1e-10, &format!("HC2 of {what}"));
        }
    }
}

/// Two levels and one row per run: the standard error is Welch's, √(s²/n + r²/m), and the degrees of freedom are those of
/// Satterthwaite with equal variances (Imbens and Kolesár 2016).
#[test]
fn two_groups_of_single_rows_are_welch_s() {
    let (a, b) = ([1.0, 2.0, 4.0], [2.0, 6.0, 7.0, 9.0]);
    let names: Vec<String> = (0..7).map(|i| i.to_string()).collect();
    let values = a.iter().map(|value| ("a", *value)).chain(b.iter().map(|value| ("b", *value)));
    let rows: Vec<Row> =
        values.zip(&names).map(|((level, value), run)| Row { run, level, epoch: 1.0, value }).collect();
    let fit = RobustFit::new(&Design::new(Formula::Level, &rows).unwrap()).unwrap();
    let test = fit.coefficients()[1].test.clone().unwrap();
    close(test.estimate, 6.0 - 7.0 / 3.0, 1e-14, "difference");
    // R: t.test(c(1, 2, 4), c(2, 6, 7, 9))
    close(test.t, 2.136_828_897_185_981_5, 1e-13, "t");
    let (n, m) = (3.0_f64, 4.0_f64);
    let df = (1.0 / n + 1.0 / m).powi(2) / (1.0 / (n * n * (n - 1.0)) + 1.0 / (m * m * (m - 1.0)));
    close(test.df, df, 1e-12, "df");
}

/// Rows of `runs` runs of each level over `epochs` epochs, with values that vary.
fn made_up(levels: &[&'static str], runs: usize, epochs: usize) -> Vec<Record> {
    let mut records = Vec::new();
    for (place, level) in levels.iter().enumerate() {
        for run in 0..runs {
            for epoch in 1..=epochs {
                let bits = ((place * 31 + run * 7 + epoch) as f64 * 12.9898).sin() * 43758.5453;
                let run_part = ((place * 5 + run) as f64).sin();
                records.push(Record {
                    set: String::new(),
                    run: format!("{level}{run}"),
                    level: level.to_string(),
                    epoch: epoch as f64,
                    value: bits.fract() + run_part + epoch as f64 * 0.1,
                });
            }
        }
    }
    records
}

fn mixed(formula: Formula, records: &[Record]) -> Result<MixedFit, Unfit> {
    MixedFit::new(&Design::new(formula, &rows(records))?, Method::Reml)
}

fn robust(formula: Formula, records: &[Record]) -> Result<RobustFit, Unfit> {
    RobustFit::new(&Design::new(formula, &rows(records))?)
}

/// Whatever rows lack, the answer is a sentence.
#[test]
fn what_cannot_be_fitted_says_why() {
    let whole = made_up(&["a", "b"], 3, 4);
    let both = |formula, records: &[Record]| {
        let reason = mixed(formula, records).unwrap_err();
        assert_eq!(robust(formula, records).unwrap_err(), reason);
        reason
    };
    assert_eq!(both(Formula::Level, &[]), Unfit::NoRows);
    let mut broken = whole.clone();
    broken[5].value = f64::NAN;
    assert_eq!(both(Formula::Level, &broken), Unfit::NotFinite { run: "a1".to_string() });
    assert_eq!(both(Formula::Level, &made_up(&["a"], 3, 4)), Unfit::OneLevel { level: "a".to_string() });
    assert_eq!(both(Formula::EpochByLevel, &made_up(&["a", "b"], 3, 1)), Unfit::OneEpoch);
    let constant: Vec<Record> = whole.iter().cloned().map(|record| Record { value: 0.1, ..record }).collect();
    assert_eq!(both(Formula::EpochByLevel, &constant), Unfit::ConstantResponse);
    let one_epoch_of_b: Vec<Record> =
        whole.iter().filter(|record| record.level == "a" || record.epoch == 2.0).cloned().collect();
    assert_eq!(both(Formula::EpochByLevel, &one_epoch_of_b), Unfit::Aliased { coefficient: "epoch × b".to_string() });
    let line: Vec<Record> =
        whole.iter().cloned().map(|record| Record { value: 0.3 * record.epoch, ..record }).collect();
    assert_eq!(both(Formula::EpochByLevel, &line), Unfit::ExactFit);

    assert_eq!(mixed(Formula::Level, &made_up(&["a", "b"], 3, 1)).unwrap_err(), Unfit::NoFreedomWithinRuns);
    assert_eq!(mixed(Formula::EpochByLevel, &made_up(&["a", "b"], 1, 4)).unwrap_err(), Unfit::NoFreedomBetweenRuns);
    let flat_runs: Vec<Record> = whole
        .iter()
        .cloned()
        .map(|record| Record { value: f64::from(record.run.as_bytes()[1]) * 0.1, ..record })
        .collect();
    assert_eq!(mixed(Formula::Level, &flat_runs).unwrap_err(), Unfit::ExactWithinRuns);

    let one_run_of_b: Vec<Record> =
        whole.iter().filter(|record| record.level == "a" || record.run == "b0").cloned().collect();
    let fit = robust(Formula::EpochByLevel, &one_run_of_b).unwrap();
    let reasons: Vec<_> = fit.coefficients().into_iter().map(|coefficient| coefficient.test.err()).collect();
    assert_eq!(reasons, [None, None, Some(Unfit::SingleRun), Some(Unfit::SingleRun)]);
    assert_eq!(fit.test_against(Formula::Epoch).unwrap_err(), Unfit::SingleRun);
    let still: Vec<Record> = whole
        .iter()
        .cloned()
        .map(|record| Record { value: if record.level == "a" { 0.5 } else { record.value }, ..record })
        .collect();
    let fit = robust(Formula::Level, &still).unwrap();
    assert_eq!(fit.coefficients()[0].test, Err(Unfit::RunsAlike));
    assert!(fit.coefficients()[1].test.is_ok());
    let few = robust(Formula::EpochByLevel, &made_up(&["a", "b", "c"], 2, 4)).unwrap();
    assert_eq!(few.test_against(Formula::Mean).unwrap_err(), Unfit::TooManyContrasts);
    assert_eq!(few.test_against(Formula::EpochByLevel).unwrap_err(), Unfit::TooManyContrasts);
}

/// What must not change when the same rows come in another order, with other names, or on another scale; then the terms' degrees
/// of freedom, which change a little with the reference level (the split into uncorrelated contrasts does, as in lmerTest).
fn summary(records: &[Record]) -> Result<(Vec<f64>, Vec<f64>), Unfit> {
    let fit = mixed(Formula::EpochByLevel, records)?;
    let joint = robust(Formula::EpochByLevel, records)?.test_against(Formula::Epoch)?;
    let terms = fit.term_tests()?;
    let mut numbers = vec![fit.intraclass_correlation(), joint.f, joint.df2];
    numbers.extend(terms.iter().map(|term| term.test.f));
    Ok((numbers, terms.iter().map(|term| term.test.df2).collect()))
}

fn alike(plain: &[f64], other: &[f64]) -> bool {
    plain.iter().zip(other).all(|(plain, other)| (plain - other).abs() <= 1e-6 * plain.abs() + 1e-9)
}

/// The same records on another scale and with other names.
fn renamed(records: &[Record], levels: [&str; 3], shift: f64, scale: f64) -> Vec<Record> {
    let level = |name: &str| levels[usize::from(name.as_bytes()[0] - b'a')].to_string();
    let rename = |record: &Record| Record {
        set: String::new(),
        run: format!("run {}", record.run.chars().rev().collect::<String>()),
        level: level(&record.level),
        epoch: record.epoch,
        value: shift + scale * record.value,
    };
    records.iter().map(rename).collect()
}

/// Runs of 3 to 6 epochs, 3 to 5 runs for each of three levels.
fn studies() -> impl Strategy<Value = Vec<Record>> {
    let run = (prop::collection::vec(-1.0..1.0f64, 3..7), -1.0..1.0f64);
    prop::collection::vec(prop::collection::vec(run, 3..6), 3..4).prop_map(|levels| {
        let mut records = Vec::new();
        for (level, runs) in ["a", "b", "c"].iter().zip(levels) {
            for (run, (values, shift)) in runs.into_iter().enumerate() {
                records.extend(values.into_iter().enumerate().map(|(epoch, value)| Record {
                    set: String::new(),
                    run: format!("{level}{run}"),
                    level: level.to_string(),
                    epoch: epoch as f64 + 1.0,
                    value: value + shift,
                }));
            }
        }
        records
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..ProptestConfig::default() })]

    /// The joint test with cluster-robust errors: order, unit and names change neither F nor its degrees of freedom.
    #[test]
    fn robust_tests_know_no_order_unit_or_name(
        records in studies(),
        seed in any::<u64>(),
        shift in -50.0..50.0f64,
        scale in 0.01..100.0f64,
    ) {
        let joint = |records: &[Record]| {
            let fit = RobustFit::new(&Design::new(Formula::EpochAndLevel, &rows(records)).unwrap())?;
            fit.test_against(Formula::Epoch).map(|test| [test.f, test.df2])
        };
        let plain = joint(&records);
        prop_assume!(plain.is_ok());
        let mut other = renamed(&records, ["x", "y", "z"], shift, scale);
        other.sort_by_key(|record| (record.value.to_bits() ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let (plain, other) = (plain.unwrap(), joint(&other).unwrap());
        prop_assert!(alike(&plain, &other), "{:?} and {:?}", plain, other);
    }

    #[test]
    fn order_does_not_matter(records in studies(), seed in any::<u64>()) {
        let mut shuffled = records.clone();
        shuffled.sort_by_key(|record| (record.value.to_bits() ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        prop_assert_eq!(summary(&records), summary(&shuffled));
    }

    #[test]
    fn units_and_names_do_not_matter(records in studies(), shift in -50.0..50.0f64, scale in 0.01..100.0f64) {
        let plain = summary(&records);
        // Only rows shrunk to all the same value cannot be fitted.
        prop_assume!(plain.is_ok());
        let (numbers, degrees) = plain.unwrap();
        let (same_numbers, same_degrees) = summary(&renamed(&records, ["x", "y", "z"], shift, scale)).unwrap();
        prop_assert!(alike(&numbers, &same_numbers), "{:?} and {:?}", numbers, same_numbers);
        prop_assert!(alike(&degrees, &same_degrees), "{:?} and {:?}", degrees, same_degrees);
        let (same_numbers, _) = summary(&renamed(&records, ["z", "x", "y"], shift, scale)).unwrap();
        prop_assert!(alike(&numbers, &same_numbers), "{:?} and {:?}", numbers, same_numbers);
    }

    #[test]
    fn reml_is_analysis_of_variance_where_runs_are_alike(
        values in prop::collection::vec(prop::collection::vec(-1.0..1.0f64, 4), 6),
    ) {
        // Two levels of three runs with four rows each: the expected mean squares give both variances.
        let records: Vec<Record> = values
            .iter()
            .enumerate()
            .flat_map(|(run, values)| values.iter().enumerate().map(move |(epoch, value)| Record {
                set: String::new(),
                run: format!("r{run}"),
                level: if run < 3 { "a" } else { "b" }.to_string(),
                epoch: epoch as f64,
                value: *value,
            }))
            .collect();
        let fit = mixed(Formula::Level, &records).unwrap();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let means: Vec<f64> = values.iter().map(|values| mean(values)).collect();
        let within: f64 = values.iter().zip(&means).flat_map(|(values, mean)| values.iter().map(move |value| (value - mean).powi(2))).sum();
        let levels = [mean(&means[..3]), mean(&means[3..])];
        let between: f64 = means.iter().enumerate().map(|(run, mean)| 4.0 * (mean - levels[run / 3]).powi(2)).sum();
        let (mean_within, mean_between) = (within / 18.0, between / 4.0);
        if mean_between > mean_within {
            prop_assert!((fit.residual_variance / mean_within - 1.0).abs() < 1e-8);
            prop_assert!((fit.run_variance - (mean_between - mean_within) / 4.0).abs() < 1e-8);
            prop_assert!((fit.coefficients()[1].test.clone().unwrap().df - 4.0).abs() < 1e-6);
        } else {
            prop_assert!(fit.is_boundary());
            prop_assert!((fit.residual_variance - (within + between) / 22.0).abs() < 1e-10);
        }
    }
}
