//! Ordinary least squares by Householder QR, fed row by row.
//!
//! The rows `[X | y]` are reduced to a triangle `R` block by block, and the normal equations are never formed. The last
//! column of the final `R` holds everything a fit reports: Qᵀy above, and the root of the residual sum of squares at the
//! bottom. Sums of squares that the model explains are sums of squared entries of Qᵀy, so that R² near 0 loses no digits.
//! Columns that are combinations of earlier ones are left out, as R's `lm` does, with its tolerance.

use super::tails::{Tail, f_upper};
use super::triangle::{Triangulation, column_lengths, first_aliased, triangle, without_column};

/// Rounding noise of the residual sum of squares, as a share of the total one: a fit below it is exact.
const EXACT_FIT: f64 = 1e-28;

/// A least-squares problem while rows are added. The first column of every row must be the constant 1, the intercept.
#[derive(Debug, Clone)]
pub struct LeastSquares {
    columns: usize,
    /// Subtracted from every response; with an intercept it changes nothing but the rounding.
    response_shift: f64,
    rows: usize,
    /// The rows `[X | y]`, each `columns + 1` long.
    factored: Triangulation,
}

impl LeastSquares {
    /// A problem with `columns` predictors, the intercept included. `response_shift` should be near the responses' mean.
    pub fn new(columns: usize, response_shift: f64) -> LeastSquares {
        LeastSquares { columns, response_shift, rows: 0, factored: Triangulation::new(columns + 1) }
    }

    /// Adds the observation `response` at the predictors `row` (`columns` values, the first of them 1).
    pub fn add(&mut self, row: &[f64], response: f64) {
        assert!(row.len() == self.columns && row.first() == Some(&1.0), "a row begins with 1 and fills all columns");
        self.factored.add(row.iter().copied().chain([response - self.response_shift]));
        self.rows += 1;
    }

    /// Solves the problem. `None` where there is no row.
    pub fn fit(&self) -> Option<Fit> {
        if self.rows == 0 {
            return None;
        }
        let mut kept: Vec<usize> = (0..self.columns).collect();
        let mut width = self.columns + 1;
        let mut r = self.factored.triangle();
        while let Some(aliased) = first_aliased(&r, width, &column_lengths(&r, width, width - 1)) {
            kept.remove(aliased);
            r = triangle(&without_column(&r, width, aliased), width - 1);
            width -= 1;
        }
        Some(self.read_fit(&r, width, kept.len()))
    }

    fn read_fit(&self, r: &[f64], width: usize, rank: usize) -> Fit {
        let rows_of_r = r.len() / width;
        let effect = |row: usize| if row < rows_of_r { r[row * width + width - 1] } else { 0.0 };
        let explained: f64 = (1..rank).map(|row| effect(row).powi(2)).sum();
        let residual = effect(rank).powi(2);
        let total = explained + residual;
        let exact = residual <= EXACT_FIT * total;
        Fit { rows: self.rows, rank, explained, residual: if exact { 0.0 } else { residual } }
    }
}

/// What a least-squares fit with an intercept says about its model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// Observations.
    pub rows: usize,
    /// Columns that count, the intercept included.
    pub rank: usize,
    /// Sum of squares that the model explains around the mean.
    pub explained: f64,
    /// Residual sum of squares.
    pub residual: f64,
}

/// Why a model says nothing about some rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Untestable {
    /// As many coefficients as rows.
    #[error("there are no more rows than coefficients")]
    NoResidualFreedom,
    /// No predictor beyond the intercept, or beyond the smaller model.
    #[error("the predictors do not vary")]
    NoPredictor,
    /// The response is constant.
    #[error("the metric does not vary")]
    ConstantResponse,
    /// The residuals are all zero.
    #[error("the model fits every row exactly, so that F is infinite")]
    ExactFit,
}

/// An F test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FTest {
    /// The statistic.
    pub f: f64,
    /// Numerator degrees of freedom.
    pub df1: usize,
    /// Denominator degrees of freedom.
    pub df2: usize,
    /// P(F > f).
    pub p: Tail,
}

impl FTest {
    fn new(numerator: f64, df1: usize, denominator: f64, df2: usize) -> FTest {
        let f = (numerator / df1 as f64) / (denominator / df2 as f64);
        FTest { f, df1, df2, p: f_upper(f, df1 as f64, df2 as f64) }
    }
}

impl Fit {
    /// Residual degrees of freedom.
    pub fn df_residual(&self) -> usize {
        self.rows.saturating_sub(self.rank)
    }

    /// R²; `None` where the response does not vary.
    pub fn r_squared(&self) -> Option<f64> {
        let total = self.explained + self.residual;
        (total > 0.0).then(|| self.explained / total)
    }

    /// Adjusted R²: 1 − (1 − R²)(n − 1) / (n − rank). `None` where R² or the residual degrees of freedom are missing.
    pub fn adjusted_r_squared(&self) -> Option<f64> {
        let df = self.df_residual();
        let unexplained = 1.0 - self.r_squared()?;
        (df > 0).then(|| 1.0 - unexplained * (self.rows as f64 - 1.0) / df as f64)
    }

    /// The F test of the model against the mean alone.
    ///
    /// # Errors
    /// If the rows leave F undefined.
    pub fn f_test(&self) -> Result<FTest, Untestable> {
        self.testable()?;
        if self.rank < 2 {
            return Err(Untestable::NoPredictor);
        }
        Ok(FTest::new(self.explained, self.rank - 1, self.residual, self.df_residual()))
    }

    /// The F test of this model against `smaller`, a model of the same rows whose columns are among this one's.
    ///
    /// # Errors
    /// If the rows leave F undefined.
    pub fn f_test_against(&self, smaller: &Fit) -> Result<FTest, Untestable> {
        self.testable()?;
        if self.rank <= smaller.rank {
            return Err(Untestable::NoPredictor);
        }
        let gained = (smaller.residual - self.residual).max(0.0);
        Ok(FTest::new(gained, self.rank - smaller.rank, self.residual, self.df_residual()))
    }

    fn testable(&self) -> Result<(), Untestable> {
        if self.explained + self.residual <= 0.0 {
            Err(Untestable::ConstantResponse)
        } else if self.df_residual() == 0 {
            Err(Untestable::NoResidualFreedom)
        } else if self.residual <= 0.0 {
            Err(Untestable::ExactFit)
        } else {
            Ok(())
        }
    }
}
