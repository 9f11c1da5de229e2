//! Mixed models of the authors' own 15,000 rows against lme4, lmerTest and the closed form for balanced designs.
//!
//! The data are not in the repository. `CURVEFLEET_TEST_REFERENCE` names the folder that has them; without it the test says
//! that it is skipped.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use curvefleet_analysis::stats::cluster_robust::RobustFit;
use curvefleet_analysis::stats::design::{Design, Formula, Row, Term};
use curvefleet_analysis::stats::mixed::{Method, MixedFit, likelihood_ratio};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

type Record = HashMap<String, String>;

struct Observation {
    class: String,
    sim: String,
    run: String,
    epoch: f64,
    /// start, end, max, tmax, end − start
    metrics: [f64; 5],
}

const METRICS: [&str; 5] = ["start", "end", "max", "tmax", "end_start"];

fn reference() -> Option<PathBuf> {
    let folder = match std::env::var_os("CURVEFLEET_TEST_REFERENCE") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/reference"),
    };
    folder.join("lme4_fits.csv").exists().then_some(folder)
}

/// The authors' runs with sentences.
fn read(folder: &Path) -> Vec<Observation> {
    let file = File::open(folder.join("metricsAll_50epoch.parquet")).unwrap();
    let mut rows = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
        let batch = batch.unwrap();
        let text = |name| batch.column_by_name(name).unwrap().as_string::<i64>();
        let float = |name| batch.column_by_name(name).unwrap().as_primitive::<Float64Type>();
        let whole = |name| batch.column_by_name(name).unwrap().as_primitive::<Int64Type>();
        for i in (0..batch.num_rows()).filter(|i| text("training").value(*i).to_lowercase() == "nlp") {
            let (class, sim) = (text("class").value(i).to_string(), whole("sim").value(i).to_string());
            let [start, end, max, tmax] = ["v0", "vend", "vmax", "maxt"].map(|name| float(name).value(i));
            rows.push(Observation {
                run: format!("{class} {sim}"),
                class,
                sim,
                epoch: whole("epoch").value(i) as f64,
                metrics: [start, end, max, tmax, end - start],
            });
        }
    }
    assert_eq!(rows.len(), 15_000);
    rows
}

fn table(folder: &Path, name: &str) -> Vec<Record> {
    csv::Reader::from_path(folder.join(name)).unwrap().deserialize().map(Result::unwrap).collect()
}

fn number(record: &Record, column: &str) -> f64 {
    record[column].parse().unwrap()
}

fn near(found: f64, expected: f64, relative: f64, what: &str) {
    let error = (found - expected).abs();
    assert!(
        error <= relative * expected.abs() + 1e-300,
        "{what}: {found} instead of {expected}, {:e} off",
        error / expected
    );
}

/// The model of a row of the reference: its formula, and what is grouped (the run, or the simulation's number across classes).
fn design(observations: &[Observation], metric: &str, model: &str) -> Design {
    let place = METRICS.iter().position(|name| *name == metric).unwrap();
    let formula = match model {
        "sim" | "run" | "f1" => Formula::EpochByLevel,
        "run_slope_none_epoch" | "f0" => Formula::Epoch,
        "fa" => Formula::EpochAndLevel,
        other => panic!("no model {other}"),
    };
    let rows: Vec<Row> = observations
        .iter()
        .map(|row| Row {
            run: if model == "sim" { &row.sim } else { &row.run },
            level: &row.class,
            epoch: row.epoch,
            value: row.metrics[place],
        })
        .collect();
    Design::new(formula, &rows).unwrap()
}

#[test]
fn the_authors_mixed_models_are_those_of_lme4() {
    let Some(folder) = reference() else {
        println!(
            "skipped: the_authors_mixed_models_are_those_of_lme4 (CURVEFLEET_TEST_REFERENCE names no folder with lme4_fits.csv)"
        );
        return;
    };
    let observations = read(&folder);
    let mut fits = HashMap::new();
    for record in table(&folder, "lme4_fits.csv") {
        let (metric, model, reml) = (&record["metric"], &record["model"], record["REML"] == "TRUE");
        let what = format!("{metric} {model} REML {reml}");
        let method = if reml { Method::Reml } else { Method::Ml };
        let fit = MixedFit::new(&design(&observations, metric, model), method).unwrap();
        let log_likelihood = number(&record, "logLik");
        assert!((fit.log_likelihood - log_likelihood).abs() < 1e-6, "{what}: {} {log_likelihood}", fit.log_likelihood);
        near(fit.run_variance, number(&record, "var_group"), 1e-5, &what);
        near(fit.residual_variance, number(&record, "var_resid"), 1e-5, &what);
        near(fit.intraclass_correlation(), number(&record, "icc"), 1e-5, &what);
        near(fit.aic(), number(&record, "AIC"), 1e-9, &what);
        near(fit.bic(), number(&record, "BIC"), 1e-9, &what);
        fits.insert((metric.clone(), model.clone(), reml), fit);
    }
    assert_eq!(fits.len(), 30);

    let mut closed = 0;
    for record in table(&folder, "lme4_closed_form_balanced.csv") {
        let what = format!("closed form of {} REML {}", record["metric"], record["REML"]);
        let fit = &fits[&(record["metric"].clone(), "run".to_string(), record["REML"] == "True")];
        near(fit.run_variance, number(&record, "var_group"), 1e-9, &what);
        near(fit.residual_variance, number(&record, "var_resid"), 1e-10, &what);
        near(fit.log_likelihood, number(&record, "logLik"), 1e-11, &what);
        closed += 1;
    }
    assert_eq!(closed, 10);

    let mut coefficients = 0;
    for record in table(&folder, "lme4_fixed_effects.csv") {
        let what = format!("{} of {} {} REML {}", record["term"], record["metric"], record["model"], record["REML"]);
        let fit = &fits[&(record["metric"].clone(), record["model"].clone(), record["REML"] == "TRUE")];
        let test = coefficient(fit, &record["term"]);
        near(test.se, number(&record, "se"), 1e-5, &what);
        assert!(
            (test.estimate - number(&record, "estimate")).abs() < 1e-7 * test.se.max(test.estimate.abs()),
            "{what}"
        );
        coefficients += 1;
    }
    for record in table(&folder, "lme4_satterthwaite_coef_df.csv") {
        let what = format!("df of {} of {} {}", record["term"], record["metric"], record["model"]);
        let fit = &fits[&(record["metric"].clone(), record["model"].clone(), true)];
        near(coefficient(fit, &record["term"]).df, number(&record, "satt_df"), 1e-4, &what);
        coefficients += 1;
    }
    assert_eq!(coefficients, 900);

    let mut terms = 0;
    for record in table(&folder, "lme4_anova_satterthwaite.csv").iter().filter(|record| record["type"] == "3") {
        let what = format!("{} of {} {}", record["term"], record["metric"], record["model"]);
        let fit = &fits[&(record["metric"].clone(), record["model"].clone(), true)];
        let term = match record["term"].as_str() {
            "epoch" => Term::Epoch,
            "cl" => Term::Level,
            _ => Term::EpochByLevel,
        };
        let found = fit.term_tests().unwrap().into_iter().find(|test| test.term == term).unwrap();
        near(found.test.f, number(record, "F"), 1e-5, &what);
        near(found.test.df2, number(record, "dendf"), 1e-4, &what);
        near(found.sum_of_squares, number(record, "sumsq"), 1e-5, &what);
        let (p, expected) = (found.test.p.p(), number(record, "p"));
        // R's own p is 0 below 1e-300; near it a millionth in F is more than a thousandth in p.
        assert!(
            if expected > 1e-200 { (p / expected - 1.0).abs() < 2e-3 } else { p < 1e-190 },
            "{what}: {p} {expected}"
        );
        terms += 1;
    }
    assert_eq!(terms, 30);

    let mut comparisons = 0;
    for record in table(&folder, "lme4_lrt.csv").iter().filter(|record| record["model"] != "f0") {
        let smaller = if record["model"] == "fa" { "f0" } else { "fa" };
        let fit = |model: &str| MixedFit::new(&design(&observations, &record["metric"], model), Method::Ml).unwrap();
        let found = likelihood_ratio(&fit(&record["model"]), &fit(smaller)).unwrap();
        let what = format!("{} {}", record["metric"], record["model"]);
        assert_eq!(found.df as f64, number(record, "Df"));
        near(found.chi_square, number(record, "Chisq"), 1e-6, &what);
        let expected = number(record, "Pr(>Chisq)");
        assert!(
            if expected > 0.0 { (found.p.p() / expected - 1.0).abs() < 1e-4 } else { found.p.p() < 1e-300 },
            "{what}"
        );
        comparisons += 1;
    }
    assert_eq!(comparisons, 10);
}

fn coefficient(fit: &MixedFit, term: &str) -> curvefleet_analysis::stats::wald::WaldT {
    let ours = match term {
        "(Intercept)" => "intercept".to_string(),
        _ => term.replace("epoch:cl", "epoch × ").trim_start_matches("cl").to_string(),
    };
    let found = fit.coefficients().into_iter().find(|test| test.coefficient.to_string() == ours);
    found.unwrap_or_else(|| panic!("no coefficient {ours}")).test.unwrap()
}

/// Balanced runs leave the slopes' tests nothing to correct: CR2 of a slope is that of a two-stage analysis, one slope per run,
/// whose mean and standard error are those of a one-sample t test over the runs of the reference class.
#[test]
fn a_robust_slope_is_that_of_the_runs_own_slopes() {
    let Some(folder) = reference() else {
        println!(
            "skipped: a_robust_slope_is_that_of_the_runs_own_slopes (CURVEFLEET_TEST_REFERENCE names no folder with lme4_fits.csv)"
        );
        return;
    };
    let observations = read(&folder);
    let fit = RobustFit::new(&design(&observations, "max", "run")).unwrap();
    let test = fit.coefficients()[1].test.clone().unwrap();
    let class = observations.iter().map(|row| row.class.as_str()).min().unwrap();
    let mut slopes: HashMap<&str, f64> = HashMap::new();
    for row in observations.iter().filter(|row| row.class == class) {
        // Σ (epoch − 25.5)² over 1 to 50 is 10412.5.
        *slopes.entry(&row.run).or_default() += (row.epoch - 25.5) * row.metrics[2] / 10_412.5;
    }
    let slopes: Vec<f64> = slopes.into_values().collect();
    let mean = slopes.iter().sum::<f64>() / slopes.len() as f64;
    let variance = slopes.iter().map(|slope| (slope - mean).powi(2)).sum::<f64>() / (slopes.len() as f64 - 1.0);
    near(test.estimate, mean, 1e-9, "slope");
    near(test.se, (variance / slopes.len() as f64).sqrt(), 1e-9, "standard error");
    near(test.df, slopes.len() as f64 - 1.0, 1e-9, "degrees of freedom");
}
