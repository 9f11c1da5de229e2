//! The tables of comparisons: omnibus tests, pairs, controls, mixed models and planning. `docs/artifacts.md` describes their columns.
//!
//! Wherever a cell is empty, the row's last column says why.

use curvefleet_proto::study::{Analysis, AnalysisKey, Family};

use crate::compare::by_epoch::EpochModel;
use crate::compare::contrast::Contrast;
use crate::compare::family::adjustment;
use crate::compare::outcome::Outcome;
use crate::compare::{Comparisons, Origin, OutcomeComparisons};
use crate::error::Error;
use crate::stats::anova::Anova;
use crate::stats::design::Term;
use crate::stats::effect_size::Effect;
use crate::stats::pairwise::Pair;
use crate::stats::permutation::PermutationTest;
use crate::stats::ranks::KruskalWallis;
use crate::stats::t_test::TTest;
use crate::stats::tails::Tail;
use crate::table::{Files, Kind, Value, Writer};

/// All tables of comparisons by file name.
///
/// # Errors
/// If a table cannot be encoded.
pub fn all(comparisons: &Comparisons, analysis: &Analysis) -> Result<Vec<(&'static str, Files)>, Error> {
    Ok(vec![
        ("tests", tests(comparisons, analysis)?),
        ("pairs", pairs(comparisons, analysis)?),
        ("controls", controls(comparisons, analysis)?),
        ("mixed_model", mixed_model(comparisons, analysis)?),
        ("planning", planning(comparisons)?),
    ])
}

/// A row while it is filled: its values, and the reasons for those that are missing.
pub(super) struct Cells<'a> {
    values: Vec<Value<'a>>,
    reasons: Vec<&'a str>,
}

impl<'a> Cells<'a> {
    /// A row that begins with these values.
    pub(super) fn new(values: impl IntoIterator<Item = Value<'a>>) -> Cells<'a> {
        Cells { values: values.into_iter().collect(), reasons: Vec::new() }
    }

    /// A row that begins with an outcome's names.
    pub(super) fn of(outcome: &'a Outcome) -> Cells<'a> {
        let values = vec![
            Value::Text(&outcome.data),
            Value::Text(&outcome.model),
            Value::Text(outcome.metric.name()),
            Value::Text(outcome.summary.name()),
        ];
        Cells { values, reasons: Vec::new() }
    }

    pub(super) fn push(&mut self, values: impl IntoIterator<Item = Value<'a>>) {
        self.values.extend(values);
    }

    /// The values of a result, or as many empty cells and its reason.
    pub(super) fn push_result<T, const N: usize>(
        &mut self,
        found: &'a Result<T, String>,
        values: impl Fn(&T) -> [Value<'static>; N],
    ) {
        match found {
            Ok(found) => self.values.extend(values(found)),
            Err(reason) => {
                self.values.extend([Value::Missing; N]);
                self.add_reason(reason);
            }
        }
    }

    pub(super) fn add_reason(&mut self, reason: &'a str) {
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    /// Ends the row with its reasons in one cell. The table turns a number that is not finite into an empty cell, which has a reason too.
    pub(super) fn write(mut self, table: &mut Writer) -> Result<(), Error> {
        if self.values.iter().any(|value| matches!(value, Value::Number(number) if !number.is_finite())) {
            self.add_reason("a value is too large or too small for a number");
        }
        let reason = self.reasons.join("; ");
        let mut values = self.values;
        values.push(if reason.is_empty() { Value::Missing } else { Value::Text(&reason) });
        table.push(&values)
    }
}

pub(super) const OUTCOME_COLUMNS: [(&str, Kind); 4] =
    [("data", Kind::Text), ("model", Kind::Text), ("metric", Kind::Text), ("summary", Kind::Text)];

pub(super) fn columns<'a>(first: &[(&'a str, Kind)], groups: &[(Kind, &[&'a str])]) -> Vec<(&'a str, Kind)> {
    let mut columns = first.to_vec();
    for (kind, names) in groups {
        columns.extend(names.iter().map(|name| (*name, *kind)));
    }
    columns
}

pub(super) fn p_values(p: Tail) -> [Value<'static>; 2] {
    [Value::Number(p.p()), Value::Number(p.log10())]
}

fn effect(effect: &Effect) -> [Value<'static>; 3] {
    [effect.estimate, effect.interval.0, effect.interval.1].map(Value::Number)
}

fn anova(test: &Anova) -> [Value<'static>; 5] {
    let [p, log10_p] = p_values(test.p);
    [Value::Number(test.f), Value::Number(test.df1), Value::Number(test.df2), p, log10_p]
}

fn kruskal_wallis(test: &KruskalWallis) -> [Value<'static>; 5] {
    let [p, log10_p] = p_values(test.p);
    [Value::Number(test.epsilon_squared), Value::Number(test.h), Value::Number(test.df), p, log10_p]
}

/// One row per outcome: shares of variance first, then the tests that no condition differs.
fn tests(comparisons: &Comparisons, analysis: &Analysis) -> Result<Files, Error> {
    let columns = columns(
        &OUTCOME_COLUMNS,
        &[
            (Kind::Count, &["conditions", "runs"]),
            (Kind::Number, &["eta_squared", "eta_squared_low", "eta_squared_high"]),
            (Kind::Number, &["omega_squared"]),
            (Kind::Number, &["welch_f", "welch_df1", "welch_df2", "welch_p", "welch_log10_p"]),
            (Kind::Number, &["kruskal_epsilon_squared", "kruskal_h", "kruskal_df", "kruskal_p", "kruskal_log10_p"]),
            (Kind::Number, &["levene_f", "levene_df1", "levene_df2", "levene_p", "levene_log10_p"]),
            (Kind::Number, &["interval_level"]),
            (Kind::Text, &["origin", "reason"]),
        ],
    );
    let origin = Origin::of(analysis, AnalysisKey::Metrics).name();
    let mut table = Writer::new("tests", &columns)?;
    for OutcomeComparisons { outcome, omnibus, .. } in &comparisons.outcomes {
        let mut cells = Cells::of(outcome);
        cells.push([Value::from(omnibus.conditions), Value::from(omnibus.runs)]);
        cells.push_result(&omnibus.explained, |found| effect(&found.eta_squared));
        cells.push_result(&omnibus.explained, |found| [Value::Number(found.omega_squared.estimate)]);
        cells.push_result(&omnibus.welch, anova);
        cells.push_result(&omnibus.kruskal_wallis, kruskal_wallis);
        cells.push_result(&omnibus.levene, anova);
        cells.push([Value::Number(analysis.interval_level), Value::Text(origin)]);
        if let Some(left_out) = &omnibus.left_out {
            cells.add_reason(left_out);
        }
        cells.write(&mut table)?;
    }
    table.finish()
}

const CONTRAST_COLUMNS: [&str; 15] = [
    "difference",
    "difference_low",
    "difference_high",
    "hedges_g",
    "hedges_g_low",
    "hedges_g_high",
    "probability",
    "probability_low",
    "probability_high",
    "welch_t",
    "welch_df",
    "welch_p",
    "welch_log10_p",
    "corrected_p",
    "corrected_log10_p",
];

/// The values of [`CONTRAST_COLUMNS`].
fn push_contrast<'a>(cells: &mut Cells<'a>, contrast: &'a Contrast, level: f64) {
    cells.push([Value::from(contrast.difference())]);
    cells.push_result(&contrast.welch, |test| {
        let (low, high) = test.interval(level);
        [Value::Number(low), Value::Number(high)]
    });
    cells.push_result(&contrast.hedges_g, effect);
    cells.push_result(&contrast.probability, |probability| [Value::Number(*probability)]);
    cells.push_result(&contrast.probability_interval, |(low, high)| [Value::Number(*low), Value::Number(*high)]);
    cells.push_result(&contrast.welch, |test: &TTest| {
        let [p, log10_p] = p_values(test.p);
        [Value::Number(test.t), Value::Number(test.df), p, log10_p]
    });
    cells.push(contrast.corrected.map_or([Value::Missing; 2], p_values));
}

fn games_howell(pair: &Pair) -> [Value<'static>; 6] {
    let [p, log10_p] = p_values(pair.p);
    let (low, high) = pair.interval;
    [Value::Number(pair.q), Value::Number(pair.df), p, log10_p, Value::Number(low), Value::Number(high)]
}

/// One row per outcome and pair of conditions.
fn pairs(comparisons: &Comparisons, analysis: &Analysis) -> Result<Files, Error> {
    let columns = columns(
        &OUTCOME_COLUMNS,
        &[
            (Kind::Text, &["first", "second"]),
            (Kind::Count, &["runs_first", "runs_second"]),
            (Kind::Number, &["mean_first", "mean_second"]),
            (Kind::Number, &CONTRAST_COLUMNS),
            (Kind::Text, &["probability_method", "correction", "family"]),
            (Kind::Count, &["family_size"]),
            (Kind::Number, &["games_howell_q", "games_howell_df", "games_howell_p", "games_howell_log10_p"]),
            (Kind::Number, &["games_howell_low", "games_howell_high", "tukey_p", "tukey_log10_p", "interval_level"]),
            (Kind::Text, &["origin", "reason"]),
        ],
    );
    let origin = Origin::of(analysis, AnalysisKey::Comparisons).name();
    let mut table = Writer::new("pairs", &columns)?;
    for OutcomeComparisons { outcome, pairs, .. } in &comparisons.outcomes {
        let family = family_name(analysis, outcome, "pairs");
        for pair in pairs {
            let mut cells = Cells::of(outcome);
            cells.push([Value::Text(&pair.first), Value::Text(&pair.second)]);
            push_sizes_and_means(&mut cells, &pair.contrast);
            push_contrast(&mut cells, &pair.contrast, analysis.interval_level);
            cells.push([Value::Text(pair.contrast.probability_method.name())]);
            cells.push([Value::Text(adjustment(analysis).name()), Value::Text(&family)]);
            cells.push([Value::from(pair.contrast.family_size)]);
            cells.push_result(&pair.games_howell, games_howell);
            cells.push_result(&pair.tukey, |pair| p_values(pair.p));
            cells.push([Value::Number(analysis.interval_level), Value::Text(origin)]);
            cells.write(&mut table)?;
        }
    }
    table.finish()
}

fn push_sizes_and_means<'a>(cells: &mut Cells<'a>, contrast: &Contrast) {
    let sides = [contrast.first, contrast.second];
    cells.push(sides.map(|side| Value::from(side.map_or(0, |side| side.n))));
    cells.push(sides.map(|side| Value::from(side.map(|side| side.mean))));
}

/// A family's name: what its tests have in common.
pub(super) fn family_name(analysis: &Analysis, outcome: &Outcome, tests: &str) -> String {
    match analysis.family {
        Family::Study => format!("all {tests} of the study"),
        Family::Metric => {
            let Outcome { data, model, metric, summary } = outcome;
            format!("{tests}; {data}, {model}, {} {}", metric.name(), summary.words())
        }
    }
}

fn permutation(test: &PermutationTest) -> [Value<'static>; 3] {
    let exact = if test.exact { "exact" } else { "drawn" };
    [Value::Number(test.p.p()), Value::Count(test.arrangements), Value::Text(exact)]
}

/// One row per outcome and condition with true labels: against its shuffled control.
fn controls(comparisons: &Comparisons, analysis: &Analysis) -> Result<Files, Error> {
    let columns = columns(
        &OUTCOME_COLUMNS,
        &[
            (Kind::Text, &["condition"]),
            (Kind::Count, &["runs_true", "runs_shuffled"]),
            (Kind::Number, &["mean_true", "chance"]),
            (Kind::Number, &["selectivity", "selectivity_low", "selectivity_high"]),
            (Kind::Number, &CONTRAST_COLUMNS[3..]),
            (Kind::Text, &["probability_method", "correction", "family"]),
            (Kind::Count, &["family_size"]),
            (Kind::Number, &["permutation_p"]),
            (Kind::Count, &["permutation_arrangements"]),
            (Kind::Text, &["permutation_kind"]),
            (Kind::Number, &["interval_level"]),
            (Kind::Text, &["origin", "reason"]),
        ],
    );
    let origin = Origin::of(analysis, AnalysisKey::Metrics).name();
    let mut table = Writer::new("controls", &columns)?;
    for OutcomeComparisons { outcome, controls, .. } in &comparisons.outcomes {
        let family = family_name(analysis, outcome, "controls");
        for control in controls {
            let mut cells = Cells::of(outcome);
            cells.push([Value::Text(&control.condition)]);
            push_sizes_and_means(&mut cells, &control.contrast);
            push_contrast(&mut cells, &control.contrast, analysis.interval_level);
            cells.push([Value::Text(control.contrast.probability_method.name())]);
            cells.push([Value::Text(adjustment(analysis).name()), Value::Text(&family)]);
            cells.push([Value::from(control.contrast.family_size)]);
            cells.push_result(&control.permutation, permutation);
            cells.push([Value::Number(analysis.interval_level), Value::Text(origin)]);
            cells.write(&mut table)?;
        }
    }
    table.finish()
}

/// A term's name in tables and on the page.
pub(super) fn term_name(term: Term) -> &'static str {
    match term {
        Term::Epoch => "epoch",
        Term::Level => "condition",
        Term::EpochByLevel => "epoch × condition",
    }
}

/// One row per model and term.
fn mixed_model(comparisons: &Comparisons, analysis: &Analysis) -> Result<Files, Error> {
    let columns = columns(
        &OUTCOME_COLUMNS[..3],
        &[
            (Kind::Text, &["term"]),
            (Kind::Count, &["rows", "runs"]),
            (Kind::Number, &["sum_of_squares", "f"]),
            (Kind::Count, &["df1"]),
            (Kind::Number, &["df2", "p", "log10_p"]),
            (Kind::Number, &["run_variance", "residual_variance", "intraclass_correlation"]),
            (Kind::Text, &["origin", "reason"]),
        ],
    );
    let origin = Origin::of(analysis, AnalysisKey::Metrics).name();
    let mut table = Writer::new("mixed_model", &columns)?;
    for EpochModel { data, model, metric, rows, runs, fit } in &comparisons.models {
        for (place, term) in [Term::Epoch, Term::Level, Term::EpochByLevel].into_iter().enumerate() {
            let named = [data, model, metric.name(), term_name(term)].map(Value::Text);
            let mut cells = Cells { values: named.to_vec(), reasons: Vec::new() };
            cells.push([Value::from(*rows), Value::from(*runs)]);
            cells.push_result(fit, |fit| {
                let found = fit.terms[place];
                let [p, log10_p] = p_values(found.test.p);
                let (sum, f) = (Value::Number(found.sum_of_squares), Value::Number(found.test.f));
                [sum, f, Value::from(found.test.df1), Value::Number(found.test.df2), p, log10_p]
            });
            cells.push_result(fit, |fit| {
                [fit.run_variance, fit.residual_variance, fit.intraclass_correlation].map(Value::Number)
            });
            cells.push([Value::Text(origin)]);
            cells.write(&mut table)?;
        }
    }
    table.finish()
}

/// One row per outcome, number of tests that are corrected for, and difference that is planned for.
fn planning(comparisons: &Comparisons) -> Result<Files, Error> {
    let columns = columns(
        &OUTCOME_COLUMNS,
        &[
            (Kind::Count, &["tests"]),
            (Kind::Number, &["level", "power", "sd"]),
            (Kind::Count, &["seeds"]),
            (Kind::Number, &["detectable_difference", "difference"]),
            (Kind::Count, &["seeds_needed", "seeds_still_needed"]),
            (Kind::Text, &["reason"]),
        ],
    );
    let mut table = Writer::new("planning", &columns)?;
    for OutcomeComparisons { outcome, plan, .. } in &comparisons.outcomes {
        for aim in &plan.aims {
            for (difference, needed) in &aim.needed {
                let mut cells = Cells::of(outcome);
                cells.push([Value::from(aim.tests), Value::Number(aim.goal.level), Value::Number(aim.goal.power)]);
                cells.push_result(&plan.sd, |sd| [Value::Number(*sd)]);
                cells.push([Value::from(plan.seeds)]);
                cells.push_result(&aim.detectable, |difference| [Value::Number(*difference)]);
                cells.push([Value::Number(*difference)]);
                cells.push_result(needed, |needed| {
                    [Value::from(*needed), Value::from(needed.saturating_sub(plan.seeds))]
                });
                cells.write(&mut table)?;
            }
        }
    }
    table.finish()
}
