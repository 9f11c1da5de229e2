//! Ordinary least squares by Householder QR, fed row by row.
//!
//! The rows `[X | y]` are reduced to a triangle `R` block by block, and the normal equations are never formed. The last
//! column of the final `R` holds everything a fit reports: Qᵀy above, and the root of the residual sum of squares at the
//! bottom. Sums of squares that the model explains are sums of squared entries of Qᵀy, so that R² near 0 loses no digits.
//! Columns that are combinations of earlier ones are left out, as R's `lm` does, with its tolerance.

use super::tails::{Tail, f_upper};
use super::triangle::{Triangulation, column_lengths, first_aliased, solve_upper, triangle, without_column};

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
        self.add_reduced(row, response - self.response_shift);
        self.count(1);
    }

    /// Adds a row of the triangle that observations were reduced to, `response` being that of responses less the shift. The
    /// observations themselves are told to [`LeastSquares::count`].
    pub fn add_reduced(&mut self, row: &[f64], response: f64) {
        self.factored.add(row.iter().copied().chain([response]));
    }

    /// Counts observations that come as [`LeastSquares::add_reduced`].
    pub fn count(&mut self, observations: usize) {
        self.rows += observations;
    }

    /// Solves the problem. `None` where there is no row.
    pub fn fit(&self) -> Option<Fit> {
        Some(self.solve()?.fit)
    }

    /// Solves the problem, with the coefficients. `None` where there is no row.
    pub fn solve(&self) -> Option<Solution> {
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
        let fit = self.read_fit(&r, width, kept.len());
        let mut coefficients = vec![None; self.columns];
        for (column, found) in kept.iter().zip(self.read_coefficients(&r, width, &fit)) {
            coefficients[*column] = Some(found);
        }
        Some(Solution { fit, coefficients })
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

    /// Each coefficient with its standard error: the root of σ² times the diagonal of (`R`ᵀ `R`)⁻¹, whose entries are the squared
    /// lengths of the rows of `R`⁻¹.
    fn read_coefficients(&self, r: &[f64], width: usize, fit: &Fit) -> Vec<(f64, Option<f64>)> {
        let effects: Vec<f64> = (0..fit.rank).map(|row| r[row * width + width - 1]).collect();
        let mut estimates = solve_upper(r, width, &effects);
        if let Some(intercept) = estimates.first_mut() {
            *intercept += self.response_shift;
        }
        let mut squares = vec![0.0; fit.rank];
        for column in 0..fit.rank {
            let mut unit = vec![0.0; fit.rank];
            unit[column] = 1.0;
            let inverse = solve_upper(r, width, &unit);
            squares.iter_mut().zip(inverse).for_each(|(sum, entry)| *sum += entry * entry);
        }
        let error = |square: f64| fit.sigma().map(|sigma| sigma * square.sqrt());
        estimates.into_iter().zip(squares).map(|(estimate, square)| (estimate, error(square))).collect()
    }
}

/// A solved least-squares problem.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// Its sums of squares.
    pub fit: Fit,
    /// For every column its coefficient and the standard error of that, if there are residuals; `None` for a column that is a
    /// combination of earlier ones.
    pub coefficients: Vec<Option<(f64, Option<f64>)>>,
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

    /// The total sum of squares around the mean.
    pub fn total(&self) -> f64 {
        self.explained + self.residual
    }

    /// The residual standard error; `None` without residual degrees of freedom.
    pub fn sigma(&self) -> Option<f64> {
        let df = self.df_residual();
        (df > 0).then(|| (self.residual / df as f64).sqrt())
    }

    /// The log-likelihood under normal errors at their maximum-likelihood variance; `None` where the fit is exact.
    pub fn log_likelihood(&self) -> Option<f64> {
        let n = self.rows as f64;
        (self.residual > 0.0).then(|| -0.5 * n * ((std::f64::consts::TAU * self.residual / n).ln() + 1.0))
    }

    /// Akaike's information criterion, the variance counted as a parameter.
    pub fn aic(&self) -> Option<f64> {
        Some(2.0 * (self.rank as f64 + 1.0) - 2.0 * self.log_likelihood()?)
    }

    /// The Bayesian information criterion, the variance counted as a parameter.
    pub fn bic(&self) -> Option<f64> {
        Some((self.rows as f64).ln() * (self.rank as f64 + 1.0) - 2.0 * self.log_likelihood()?)
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
