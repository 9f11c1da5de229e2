//! Linear models of a metric over rows (run × epoch): their columns, their terms, and the rows grouped by run.
//!
//! Factors are coded as R does by default: the first level in alphabetical order is the reference, every other level has a
//! column that is 1 in its rows. The rows are sorted, so that a fit does not depend on the order they came in.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// One epoch of one run.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The run, by a name that no other run has. Its rows are repeated measures.
    pub run: &'a str,
    /// What the run is compared by: its condition, its data set, or its labels.
    pub level: &'a str,
    /// The epoch, from 1; from elsewhere if the caller wants intercepts elsewhere than at epoch 0.
    pub epoch: f64,
    /// The metric.
    pub value: f64,
}

/// What explains the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Formula {
    /// metric ~ 1
    Mean,
    /// metric ~ epoch, as a number
    Epoch,
    /// metric ~ level
    Level,
    /// metric ~ epoch + level
    EpochAndLevel,
    /// metric ~ epoch × level
    EpochByLevel,
}

impl Formula {
    fn has_epoch(self) -> bool {
        !matches!(self, Formula::Mean | Formula::Level)
    }

    fn has_level(self) -> bool {
        !matches!(self, Formula::Mean | Formula::Epoch)
    }
}

/// A term of a formula beside the intercept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// The epoch's slope.
    Epoch,
    /// The levels' intercepts.
    Level,
    /// The levels' slopes.
    EpochByLevel,
}

/// A column of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Coefficient {
    /// The reference level at epoch 0.
    Intercept,
    /// The reference level's change per epoch.
    Epoch,
    /// A level's difference from the reference level at epoch 0.
    Level(String),
    /// A level's difference in slope from the reference level.
    EpochByLevel(String),
}

impl fmt::Display for Coefficient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Coefficient::Intercept => f.write_str("intercept"),
            Coefficient::Epoch => f.write_str("epoch"),
            Coefficient::Level(level) => f.write_str(level),
            Coefficient::EpochByLevel(level) => write!(f, "epoch × {level}"),
        }
    }
}

/// Why a model says nothing about some rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// No rows.
    #[error("there are no rows")]
    NoRows,
    /// A NaN or an infinity.
    #[error("a value of run {run} is not a finite number")]
    NotFinite {
        /// The run.
        run: String,
    },
    /// A comparison without a second level.
    #[error("there is one level only ({level}), so that nothing can be compared")]
    OneLevel {
        /// The level.
        level: String,
    },
    /// A slope without a second epoch.
    #[error("there is one epoch only, so that there is no slope over epochs")]
    OneEpoch,
    /// The metric is constant.
    #[error("the metric does not vary")]
    ConstantResponse,
    /// A column that others make up.
    #[error("the rows do not determine the coefficient \"{coefficient}\"")]
    Aliased {
        /// The column.
        coefficient: String,
    },
    /// Rows within runs leave nothing to estimate the residual variance from.
    #[error("each run has too few rows to tell the variance between runs from that within them")]
    NoFreedomWithinRuns,
    /// Runs leave nothing to estimate their variance from.
    #[error(
        "there are too few runs: once the levels are fitted, no difference between runs is left to measure their variance by"
    )]
    NoFreedomBetweenRuns,
    /// The residuals are all zero.
    #[error("the model fits every row exactly, so that there is no variance to test against")]
    ExactFit,
    /// Within runs the residuals are all zero.
    #[error("within each run the model fits every row exactly, so that there is no residual variance")]
    ExactWithinRuns,
    /// A contrast that only single runs bear on.
    #[error("it rests on a single run, so that its variance between runs is unknown")]
    SingleRun,
    /// A contrast that does not vary between runs.
    #[error("the runs it rests on are all alike, so that its standard error is 0")]
    RunsAlike,
    /// A joint test of more coefficients than the runs can bear.
    #[error("there are too few runs to test so many coefficients at once")]
    TooManyContrasts,
    /// A decomposition that did not converge.
    #[error("a matrix decomposition did not converge; the values differ too much in size")]
    NotConverged,
}

/// The rows of a model, sorted by run.
#[derive(Debug, Clone)]
pub struct Design {
    formula: Formula,
    levels: Arc<Vec<String>>,
    rows: Arc<Vec<DesignRow>>,
    /// The rows of every run.
    runs: Arc<Vec<Range<usize>>>,
}

/// One row with its labels as numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct DesignRow {
    run: u32,
    level: u32,
    pub(super) epoch: f64,
    pub(super) value: f64,
}

/// Runs with the same predictors, row by row.
#[derive(Debug, Clone)]
pub(super) struct Kind<'a> {
    /// Their rows; there is one run at least.
    pub(super) runs: Vec<&'a [DesignRow]>,
}

/// What least squares needs of the runs of a kind.
///
/// A problem whose rows are those of n runs with the same predictors X and responses yᵢ has the same solution and residual sum of
/// squares as the one with √n X, √n ȳ, and a row that has no predictors and the response (Σᵢ |yᵢ − ȳ|²)^½: an orthogonal transformation
/// over the runs leads from one to the other.
#[derive(Debug, Clone)]
pub(super) struct Alike {
    /// √n
    pub(super) weight: f64,
    /// ȳ
    pub(super) mean: Vec<f64>,
    /// (Σᵢ |yᵢ − ȳ|²)^½
    pub(super) spread: f64,
}

impl Alike {
    /// From the responses of every run, each as long as the others.
    pub(super) fn of(responses: impl ExactSizeIterator<Item = impl Iterator<Item = f64>> + Clone) -> Alike {
        let runs = responses.len() as f64;
        let mut mean: Vec<f64> = Vec::new();
        for run in responses.clone() {
            for (place, value) in run.enumerate() {
                match mean.get_mut(place) {
                    Some(sum) => *sum += value,
                    None => mean.push(value),
                }
            }
        }
        mean.iter_mut().for_each(|sum| *sum /= runs);
        let deviations = responses.flat_map(|run| run.zip(&mean).map(|(value, mean)| (value - mean).powi(2)));
        let spread = deviations.sum::<f64>().sqrt();
        Alike { weight: runs.sqrt(), mean, spread }
    }
}

impl Design {
    /// Lays out `rows` for `formula`.
    ///
    /// # Errors
    /// If there is nothing to fit: no rows, a value that is not finite, a comparison without a second level or epoch, or a
    /// metric that does not vary.
    pub fn new(formula: Formula, rows: &[Row<'_>]) -> Result<Design, Unfit> {
        Design::of(formula, rows.iter().copied())
    }

    /// Lays out rows that come one by one, so that millions of them are in memory once. They are gone through several times.
    ///
    /// # Errors
    /// As [`Design::new`].
    pub fn of<'a>(formula: Formula, rows: impl Iterator<Item = Row<'a>> + Clone) -> Result<Design, Unfit> {
        let first = rows.clone().next().ok_or(Unfit::NoRows)?;
        if let Some(row) = rows.clone().find(|row| !row.value.is_finite() || !row.epoch.is_finite()) {
            return Err(Unfit::NotFinite { run: row.run.to_string() });
        }
        let (levels, level_places) = numbered(rows.clone().map(|row| row.level));
        let (_, run_places) = numbered(rows.clone().map(|row| row.run));
        let mut numbered_rows = Vec::with_capacity(level_places.len());
        let places = run_places.into_iter().zip(level_places);
        numbered_rows.extend(rows.zip(places).map(|(row, (run, level))| DesignRow {
            run,
            level,
            epoch: row.epoch,
            value: row.value,
        }));
        let (rows, runs) = by_run(&numbered_rows);
        let levels: Vec<String> = levels.into_iter().map(str::to_string).collect();
        Design { formula, levels: Arc::new(levels), rows: Arc::new(rows), runs: Arc::new(runs) }.checked(first.level)
    }

    /// The same rows for another formula.
    ///
    /// # Errors
    /// As [`Design::new`].
    pub fn with_formula(&self, formula: Formula) -> Result<Design, Unfit> {
        let first = self.levels.first().map_or("", String::as_str);
        Design { formula, ..self.clone() }.checked(first)
    }

    fn checked(self, first_level: &str) -> Result<Design, Unfit> {
        if self.formula.has_level() && self.levels.len() < 2 {
            return Err(Unfit::OneLevel { level: first_level.to_string() });
        }
        let first = self.rows.first().ok_or(Unfit::NoRows)?;
        if self.formula.has_epoch() && self.rows.iter().all(|row| row.epoch == first.epoch) {
            return Err(Unfit::OneEpoch);
        }
        if self.rows.iter().all(|row| row.value == first.value) {
            return Err(Unfit::ConstantResponse);
        }
        Ok(self)
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows; a design has some.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What explains the metric.
    pub fn formula(&self) -> Formula {
        self.formula
    }

    /// Columns, the intercept first.
    pub fn columns(&self) -> usize {
        self.coefficient_terms().len()
    }

    /// The columns' meanings.
    pub fn coefficients(&self) -> Vec<Coefficient> {
        let mut coefficients = vec![Coefficient::Intercept];
        if self.formula.has_epoch() {
            coefficients.push(Coefficient::Epoch);
        }
        if self.formula.has_level() {
            coefficients.extend(self.levels.iter().skip(1).cloned().map(Coefficient::Level));
        }
        if self.formula == Formula::EpochByLevel {
            coefficients.extend(self.levels.iter().skip(1).cloned().map(Coefficient::EpochByLevel));
        }
        coefficients
    }

    /// The terms beside the intercept, in order.
    pub fn terms(&self) -> &'static [Term] {
        match self.formula {
            Formula::Mean => &[],
            Formula::Epoch => &[Term::Epoch],
            Formula::Level => &[Term::Level],
            Formula::EpochAndLevel => &[Term::Epoch, Term::Level],
            Formula::EpochByLevel => &[Term::Epoch, Term::Level, Term::EpochByLevel],
        }
    }

    /// The contrasts `[contrast][column]` of a term's test of type III, as lmerTest 3.1 makes them: all coefficients of the term,
    /// but with an interaction the epoch's slope is that of the mean level, not of the reference one. The levels are compared
    /// where epoch is 0.
    pub fn type_three(&self, term: Term) -> Vec<Vec<f64>> {
        let terms = self.coefficient_terms();
        let mut contrasts = self.unit_contrasts(|column| terms[column] == Some(term));
        if term == Term::Epoch {
            for (column, other) in terms.iter().enumerate() {
                if *other == Some(Term::EpochByLevel) {
                    contrasts[0][column] = 1.0 / self.levels.len() as f64;
                }
            }
        }
        contrasts
    }

    /// One contrast for each column that is not in `smaller`: the test of this model against that one.
    pub fn contrasts_beyond(&self, smaller: Formula) -> Vec<Vec<f64>> {
        let terms = self.coefficient_terms();
        let known = |term: Option<Term>| match term {
            None => true,
            Some(Term::Epoch) => smaller.has_epoch(),
            Some(Term::Level) => smaller.has_level(),
            Some(Term::EpochByLevel) => smaller == Formula::EpochByLevel,
        };
        self.unit_contrasts(|column| !known(terms[column]))
    }

    fn unit_contrasts(&self, of: impl Fn(usize) -> bool) -> Vec<Vec<f64>> {
        let columns = self.columns();
        let unit = |one: usize| (0..columns).map(|column| if column == one { 1.0 } else { 0.0 }).collect();
        (0..columns).filter(|&column| of(column)).map(unit).collect()
    }

    /// The term of every column; the intercept has none.
    fn coefficient_terms(&self) -> Vec<Option<Term>> {
        let others = self.levels.len() - 1;
        let width = |term: &Term| if *term == Term::Epoch { 1 } else { others };
        let terms = self.terms().iter().flat_map(|term| std::iter::repeat_n(Some(*term), width(term)));
        std::iter::once(None).chain(terms).collect()
    }

    /// The rows of every run.
    pub(super) fn runs(&self) -> impl ExactSizeIterator<Item = &[DesignRow]> {
        self.runs.iter().map(|range| &self.rows[range.clone()])
    }

    /// The mean of the metric over all rows.
    pub(super) fn mean(&self) -> f64 {
        self.rows.iter().map(|row| row.value).sum::<f64>() / self.rows.len() as f64
    }

    /// Writes the predictors of a row into `columns`.
    pub(super) fn predictors(&self, row: &DesignRow, columns: &mut [f64]) {
        columns.fill(0.0);
        columns[0] = 1.0;
        let first = if self.formula.has_epoch() {
            columns[1] = row.epoch;
            2
        } else {
            1
        };
        let level = row.level as usize;
        if self.formula.has_level() && level > 0 {
            columns[first + level - 1] = 1.0;
            if self.formula == Formula::EpochByLevel {
                columns[first + self.levels.len() - 1 + level - 1] = row.epoch;
            }
        }
    }

    /// The runs by what their predictors are, kinds in the order of their first runs. All runs of a condition that have the same epochs
    /// are of one kind, so that there are few, however many runs there are.
    pub(super) fn kinds(&self) -> Vec<Kind<'_>> {
        let mut places: HashMap<Vec<(u32, u64)>, usize> = HashMap::new();
        let mut kinds: Vec<Kind> = Vec::new();
        for run in self.runs() {
            let shape = run.iter().map(|row| (row.level, row.epoch.to_bits())).collect();
            let place = *places.entry(shape).or_insert_with(|| {
                kinds.push(Kind { runs: Vec::new() });
                kinds.len() - 1
            });
            kinds[place].runs.push(run);
        }
        kinds
    }

    /// The error that names an aliased column.
    pub(super) fn aliased(&self, column: usize) -> Unfit {
        Unfit::Aliased { coefficient: self.coefficients()[column].to_string() }
    }
}

/// The distinct labels in alphabetical order, and the place there of each label. Labels that follow their like cost next to nothing.
fn numbered<'a>(labels: impl Iterator<Item = &'a str> + Clone) -> (Vec<&'a str>, Vec<u32>) {
    let mut names: Vec<&str> = Vec::new();
    for label in labels.clone() {
        if !names.last().is_some_and(|last| same(last, label)) {
            names.push(label);
        }
    }
    names.sort_unstable();
    names.dedup();
    let mut last = 0;
    let places = labels.map(|label| {
        if !names.get(last).is_some_and(|name| same(name, label)) {
            last = names.binary_search(&label).unwrap_or(0);
        }
        last as u32
    });
    let places = places.collect();
    (names, places)
}

/// Whether two labels are the same; most often they are the same text in memory.
fn same(one: &str, other: &str) -> bool {
    std::ptr::eq(one, other) || one == other
}

/// The rows run by run, those of a run by level, epoch and value; and the rows of every run.
fn by_run(rows: &[DesignRow]) -> (Vec<DesignRow>, Vec<Range<usize>>) {
    // Rows mostly come run by run, and whole runs are sorted faster than rows.
    let mut pieces: Vec<&[DesignRow]> = rows.chunk_by(|a, b| a.run == b.run).collect();
    pieces.sort_by_key(|piece| piece[0].run);
    let mut sorted = pieces.concat();
    let runs = ranges(&sorted);
    let order = |a: &DesignRow, b: &DesignRow| {
        a.level.cmp(&b.level).then(a.epoch.total_cmp(&b.epoch)).then(a.value.total_cmp(&b.value))
    };
    for run in &runs {
        let rows = &mut sorted[run.clone()];
        if !rows.is_sorted_by(|a, b| order(a, b).is_le()) {
            rows.sort_by(order);
        }
    }
    (sorted, runs)
}

/// The ranges of equal runs in sorted rows.
fn ranges(rows: &[DesignRow]) -> Vec<Range<usize>> {
    let mut start = 0;
    rows.chunk_by(|a, b| a.run == b.run)
        .map(|run| {
            let range = start..start + run.len();
            start = range.end;
            range
        })
        .collect()
}
