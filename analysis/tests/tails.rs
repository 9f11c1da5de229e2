//! Tail probabilities and quantiles beside R and mpmath.
#![allow(clippy::unwrap_used)]

use curvefleet_analysis::stats::tails::noncentral_f::{
    noncentral_f_lower, noncentral_f_upper, noncentrality_interval_f,
};
use curvefleet_analysis::stats::tails::noncentral_t::{
    noncentral_t_lower, noncentral_t_upper, noncentrality_interval_t,
};
use curvefleet_analysis::stats::tails::studentized_range::StudentizedRange;
use curvefleet_analysis::stats::tails::{Tail, chi_square_upper, f_upper, t_quantile, t_upper};
use proptest::prelude::*;

fn close(found: f64, expected: f64, tolerance: f64, what: &str) {
    let error = (found - expected).abs() / expected.abs().max(f64::MIN_POSITIVE);
    assert!(error <= tolerance, "{what}: {found:e} instead of {expected:e}, {error:e} off");
}

/// A logarithm within `tolerance` of its size, or of 1 for the absolute error that the probability itself has.
fn close_ln(found: Tail, ln_expected: f64, tolerance: f64, what: &str) {
    let error = (found.ln() - ln_expected).abs() / ln_expected.abs().max(1.0);
    assert!(error <= tolerance, "ln of {what}: {} instead of {ln_expected}, {error:e} off", found.ln());
}

#[derive(serde::Deserialize)]
struct OfMpmath {
    noncentral_t: Vec<NoncentralT>,
    noncentral_f: Vec<NoncentralF>,
    studentized_range: Vec<Range>,
}

#[derive(serde::Deserialize)]
struct NoncentralT {
    t: f64,
    df: f64,
    delta: f64,
    ln_upper: f64,
}

#[derive(serde::Deserialize)]
struct NoncentralF {
    f: f64,
    d1: f64,
    d2: f64,
    lambda: f64,
    ln_upper: f64,
}

#[derive(serde::Deserialize)]
struct Range {
    q: f64,
    means: usize,
    df: f64,
    ln_upper: f64,
}

/// mpmath's integrals and sums with 30 digits (`tests/reference/tails.py`), down to e^−237 and noncentralities of 12,000.
#[test]
fn tails_are_those_of_mpmath() {
    let expected: OfMpmath = serde_json::from_str(include_str!("reference/tails.json")).unwrap();
    for row in expected.noncentral_t {
        let what = format!("noncentral t {} {} {}", row.t, row.df, row.delta);
        close_ln(noncentral_t_upper(row.t, row.df, row.delta), row.ln_upper, 1e-12, &what);
        close_ln(noncentral_t_lower(-row.t, row.df, -row.delta), row.ln_upper, 1e-12, &what);
    }
    for row in expected.noncentral_f {
        let what = format!("noncentral F {} {} {} {}", row.f, row.d1, row.d2, row.lambda);
        close_ln(noncentral_f_upper(row.f, row.d1, row.d2, row.lambda), row.ln_upper, 1e-12, &what);
        let both = noncentral_f_lower(row.f, row.d1, row.d2, row.lambda).p() + row.ln_upper.exp();
        assert!((both - 1.0).abs() < 1e-12, "lower tail of {what}");
    }
    for row in expected.studentized_range {
        let what = format!("studentized range {} {} {}", row.q, row.means, row.df);
        close_ln(StudentizedRange::new(row.means).upper(row.q, row.df), row.ln_upper, 1e-10, &what);
    }
}

#[derive(serde::Deserialize)]
struct OfR {
    chi_square: Vec<ChiSquare>,
    range_upper: Vec<RangeUpper>,
    range_quantile: Vec<RangeQuantile>,
}

#[derive(serde::Deserialize)]
struct ChiSquare {
    x: f64,
    df: f64,
    upper: f64,
    log_upper: f64,
}

#[derive(serde::Deserialize)]
struct RangeUpper {
    q: f64,
    k: usize,
    df: f64,
    upper: f64,
}

#[derive(serde::Deserialize)]
struct RangeQuantile {
    p: f64,
    k: usize,
    df: f64,
    q: f64,
}

/// R's `pchisq`, and its `ptukey` and `qtukey` to the digits that they have: at q = 20 with 4.5 degrees of freedom `ptukey` is 2% off
/// R's own `pt` for two means, and as much off SciPy's value for six, which is ours; `qtukey` stops at 1e-4.
#[test]
fn tails_are_those_of_r() {
    let expected: OfR = serde_json::from_str(include_str!("data/primitives.json")).unwrap();
    for row in expected.chi_square {
        let (found, what) = (chi_square_upper(row.x, row.df), format!("chi-square {} {}", row.x, row.df));
        if row.upper > 1e-300 {
            close(found.p(), row.upper, 1e-11, &what);
        }
        close_ln(found, row.log_upper, 1e-12, &what);
    }
    for row in expected.range_upper {
        let found = StudentizedRange::new(row.k).upper(row.q, row.df).p();
        let tolerance = if row.q >= 20.0 && row.df < 5.0 { 0.03 * row.upper } else { 1e-6 };
        let what = format!("range {} {} {}", row.q, row.k, row.df);
        assert!((found - row.upper).abs() < tolerance, "{what}: {found} not {}", row.upper);
    }
    close(
        StudentizedRange::new(6).upper(20.0, 4.5).p(),
        0.000_441_602_980_054_467_4,
        1e-10,
        "SciPy's studentized_range",
    );
    for row in expected.range_quantile {
        let found = StudentizedRange::new(row.k).quantile(1.0 - row.p, row.df);
        close(found, row.q, 2e-4, &format!("quantile {} {} {}", row.p, row.k, row.df));
    }
}

/// For two means the studentized range is √2 |t|; with known variance three means have a closed form at 0 alone, so t it is.
#[test]
fn the_range_of_two_means_is_students_t() {
    let range = StudentizedRange::new(2);
    for (q, df) in [(0.1, 3.0), (1.0, 1.0), (4.0, 12.5), (30.0, 285.0), (250.0, 285.0), (300.0, 50_000.0)] {
        let expected = t_upper(q / std::f64::consts::SQRT_2, df).doubled();
        close_ln(range.upper(q, df), expected.ln(), 1e-11, &format!("{q} {df}"));
        let back = range.quantile(0.05, df);
        close(back, std::f64::consts::SQRT_2 * t_quantile(0.025, df), 1e-11, "quantile");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    /// T² of a noncentral t is a noncentral F with λ = δ².
    #[test]
    fn a_squared_noncentral_t_is_a_noncentral_f(t in 0.1..30.0f64, df in 1.0..300.0f64, delta in -20.0..20.0f64) {
        let (above, below) = (noncentral_t_upper(t, df, delta).p(), noncentral_t_lower(-t, df, delta).p());
        let f = noncentral_f_upper(t * t, 1.0, df, delta * delta);
        prop_assert!((above + below - f.p()).abs() <= 1e-10 * f.p() + 1e-300, "{} and {}", above + below, f.p());
    }

    #[test]
    fn both_tails_sum_to_one(t in -30.0..30.0f64, df in 1.0..300.0f64, delta in -20.0..20.0f64, d1 in 1.0..30.0f64) {
        let t_sum = noncentral_t_upper(t, df, delta).p() + noncentral_t_lower(t, df, delta).p();
        prop_assert!((t_sum - 1.0).abs() < 1e-12, "t {t_sum}");
        let f = t.abs() + 0.01;
        let f_sum = noncentral_f_upper(f, d1, df, delta.abs()).p() + noncentral_f_lower(f, d1, df, delta.abs()).p();
        prop_assert!((f_sum - 1.0).abs() < 1e-12, "F {f_sum}");
    }

    #[test]
    fn without_noncentrality_they_are_the_central_ones(t in -30.0..30.0f64, df in 1.0..300.0f64, d1 in 1.0..30.0f64) {
        close_ln(noncentral_t_upper(t, df, 0.0), t_upper(t, df).ln(), 1e-11, "t");
        let f = t.abs() + 0.01;
        close_ln(noncentral_f_upper(f, d1, df, 1e-300), f_upper(f, d1, df).ln(), 1e-11, "F");
    }

    /// The ends of an interval for a noncentrality are where the observed statistic leaves half the error on its side.
    #[test]
    fn intervals_undo_the_tails(t in -200.0..200.0f64, df in 2.0..600.0f64, d1 in 1.0..30.0f64) {
        let (low, high) = noncentrality_interval_t(t, df, 0.05);
        prop_assert!(low < high);
        close(noncentral_t_upper(t, df, low).p(), 0.025, 1e-9, "low end of t");
        close(noncentral_t_lower(t, df, high).p(), 0.025, 1e-9, "high end of t");
        let f = t.abs() / 10.0 + 0.01;
        let (low, high) = noncentrality_interval_f(f, d1, df, 0.05);
        prop_assert!(0.0 <= low && low <= high);
        if low > 0.0 {
            close(noncentral_f_upper(f, d1, df, low).p(), 0.025, 1e-9, "low end of F");
        }
        if high > 0.0 {
            close(noncentral_f_lower(f, d1, df, high).p(), 0.025, 1e-9, "high end of F");
        } else {
            prop_assert!(noncentral_f_lower(f, d1, df, 0.0).p() <= 0.025);
        }
    }

    #[test]
    fn more_means_have_a_larger_range(q in 0.5..40.0f64, df in 2.0..300.0f64, means in 2..20usize) {
        let (fewer, more) = (StudentizedRange::new(means).upper(q, df), StudentizedRange::new(means + 1).upper(q, df));
        prop_assert!(fewer.ln() < more.ln());
    }
}
