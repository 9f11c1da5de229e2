//! Least squares whose standard errors allow for any dependence within runs: the cluster-robust covariance CR2.
//!
//! Coefficients are those of ordinary least squares over rows. Their covariance is summed from the runs' own scores, each run's
//! residuals first corrected for what the fit took out of them (bias-reduced linearisation, Bell and McCaffrey 2002), so that it
//! is exactly unbiased if the rows were independent after all. Degrees of freedom are Satterthwaite's for t, and those of an approximate
//! Hotelling T² for joint tests (Pustejovsky and Tipton 2018), as R's clubSandwich computes them.
//!
//! - `leverage`: what a run's predictors do to its residuals
//! - `joint`: tests of several coefficients at once

mod joint;
mod leverage;

use super::design::{Alike, Coefficient, Design, Formula, Unfit};
use super::triangle::{Triangulation, column_lengths, first_aliased, solve_transposed, solve_upper};
use super::wald::{CoefficientTest, WaldF, WaldT};
use leverage::Leverage;

/// Residual sum of squares, as a share of the metric's whole one, below which it is rounding.
const EXACT_FIT: f64 = 1e-24;
/// A contrast's variance that the runs together do not account for, as a share of it, above which a single run decides it.
const UNACCOUNTED: f64 = 1e-6;

/// A least-squares fit with its runs' scores.
#[derive(Debug, Clone)]
pub struct RobustFit {
    /// Observations.
    pub rows: usize,
    /// Runs.
    pub runs: usize,
    coefficients: Vec<Coefficient>,
    estimates: Vec<f64>,
    /// `[X | y]` reduced to its triangle `R`.
    triangle: Vec<f64>,
    /// The metric's sum of squares around its mean.
    total: f64,
    /// The runs' scores z, whose squares sum up to the covariance: var(L β) = Σ (zᵀℓ)² with ℓ = R⁻ᵀL. Reduced to their triangle.
    scores: Vec<f64>,
    /// Every kind of run that there is, with how many runs are of it.
    kinds: Vec<(Leverage, f64)>,
    /// For every smaller formula, the contrasts that this one adds.
    beyond: Vec<(Formula, Vec<Vec<f64>>)>,
}

impl RobustFit {
    /// Fits the design.
    ///
    /// # Errors
    /// If the rows do not determine the coefficients, or the residuals are all 0.
    pub fn new(design: &Design) -> Result<RobustFit, Unfit> {
        let (triangle, mut estimates) = least_squares(design)?;
        let predictors = design.columns();
        let shift = design.mean();
        let mut kinds: Vec<(Leverage, f64)> = Vec::new();
        let mut scores = Triangulation::new(predictors);
        let mut values = vec![0.0; predictors];
        for kind in design.kinds() {
            let first = kind.runs[0];
            let mut fitted = Vec::with_capacity(first.len());
            let mut whitened = Vec::with_capacity(first.len() * predictors);
            for row in first {
                design.predictors(row, &mut values);
                fitted.push(values.iter().zip(&estimates).map(|(value, estimate)| value * estimate).sum::<f64>());
                whitened.extend(solve_transposed(&triangle, predictors + 1, &values));
            }
            let leverage = Leverage::new(&whitened, predictors)?;
            for run in &kind.runs {
                let residuals: Vec<f64> =
                    run.iter().zip(&fitted).map(|(row, fitted)| row.value - shift - fitted).collect();
                scores.add(leverage.score(&residuals));
            }
            kinds.push((leverage, kind.runs.len() as f64));
        }
        let formulas = [Formula::Mean, Formula::Epoch, Formula::Level, Formula::EpochAndLevel];
        estimates[0] += shift;
        Ok(RobustFit {
            rows: design.len(),
            runs: design.runs().len(),
            coefficients: design.coefficients(),
            estimates,
            total: column_lengths(&triangle, predictors + 1, predictors + 1)[predictors].powi(2),
            triangle,
            scores: scores.triangle(),
            kinds,
            beyond: formulas.map(|smaller| (smaller, design.contrasts_beyond(smaller))).to_vec(),
        })
    }

    /// The coefficients with t tests, in the order of the columns. A coefficient that a single run decides has none.
    pub fn coefficients(&self) -> Vec<CoefficientTest> {
        let test = |(place, coefficient): (usize, &Coefficient)| {
            let mut contrast = vec![0.0; self.estimates.len()];
            contrast[place] = 1.0;
            let test = self.contrast(&contrast);
            CoefficientTest { coefficient: coefficient.clone(), estimate: self.estimates[place], test }
        };
        self.coefficients.iter().enumerate().map(test).collect()
    }

    /// The t test of one contrast of the coefficients (`contrast` has a weight for every column, not all 0).
    ///
    /// # Errors
    /// If a single run decides the contrast, or the runs that do are all alike.
    pub fn contrast(&self, contrast: &[f64]) -> Result<WaldT, Unfit> {
        let estimate = self.estimates.iter().zip(contrast).map(|(effect, weight)| effect * weight).sum();
        let whitened = solve_transposed(&self.triangle, self.estimates.len() + 1, contrast);
        let df = self.degrees_of_freedom(&whitened)?;
        let variance = squared_length(&self.scored(&whitened));
        if variance <= EXACT_FIT * self.total * squared_length(&whitened) {
            return Err(Unfit::RunsAlike);
        }
        Ok(WaldT::new(estimate, variance.sqrt(), df))
    }

    /// Satterthwaite's degrees of freedom of a whitened contrast, as if rows were independent: (Σ P_gg)² / Σ P_gh² over pairs of runs,
    /// where P_gh = |a_g|² [g = h] − u_g·u_h (`leverage`). The sum over pairs is one over outer products u uᵀ.
    fn degrees_of_freedom(&self, whitened: &[f64]) -> Result<f64, Unfit> {
        let width = whitened.len();
        let (mut accounted, mut squares) = (0.0, 0.0);
        let mut outer = vec![0.0; width * width];
        for (leverage, count) in &self.kinds {
            let (adjusted, spread) = leverage.adjust(whitened);
            let length = squared_length(&spread);
            accounted += count * (adjusted - length);
            squares += count * (adjusted * adjusted - 2.0 * adjusted * length);
            for (row, left) in outer.chunks_exact_mut(width).zip(&spread) {
                for (sum, right) in row.iter_mut().zip(&spread) {
                    *sum += count * left * right;
                }
            }
        }
        if accounted < (1.0 - UNACCOUNTED) * squared_length(whitened) {
            return Err(Unfit::SingleRun);
        }
        Ok(accounted * accounted / (squares + squared_length(&outer)))
    }

    /// The test of this model against a `smaller` one of the same rows: all coefficients that it adds at once.
    ///
    /// # Errors
    /// If a single run decides one of them, the runs that do are all alike, or there are too few runs for so many.
    pub fn test_against(&self, smaller: Formula) -> Result<WaldF, Unfit> {
        let contrasts = self.beyond.iter().find(|(formula, _)| *formula == smaller).map_or(&[][..], |(_, rows)| rows);
        joint::test(self, contrasts)
    }

    /// The scores' triangle times a whitened contrast.
    fn scored(&self, whitened: &[f64]) -> Vec<f64> {
        self.scores.chunks_exact(whitened.len()).map(|row| row.iter().zip(whitened).map(|(a, b)| a * b).sum()).collect()
    }
}

/// The triangle of `[X | y − mean]` and the coefficients.
fn least_squares(design: &Design) -> Result<(Vec<f64>, Vec<f64>), Unfit> {
    let (predictors, shift) = (design.columns(), design.mean());
    let mut rows = Triangulation::new(predictors + 1);
    let mut values = vec![0.0; predictors];
    for kind in design.kinds() {
        let alike = Alike::of(kind.runs.iter().map(|run| run.iter().map(|row| row.value - shift)));
        for (row, response) in kind.runs[0].iter().zip(&alike.mean) {
            design.predictors(row, &mut values);
            rows.add(values.iter().chain([response]).map(|value| alike.weight * value));
        }
        rows.add(std::iter::repeat_n(0.0, predictors).chain([alike.spread]));
    }
    let triangle = rows.triangle();
    let lengths = column_lengths(&triangle, predictors + 1, predictors + 1);
    if let Some(column) = first_aliased(&triangle, predictors + 1, &lengths[..predictors]) {
        return Err(design.aliased(column));
    }
    let residual = triangle.get((predictors + 1) * (predictors + 1) - 1).map_or(0.0, |last| last.powi(2));
    if residual <= EXACT_FIT * lengths[predictors].powi(2) {
        return Err(Unfit::ExactFit);
    }
    let response: Vec<f64> = (0..predictors).map(|row| triangle[row * (predictors + 1) + predictors]).collect();
    let estimates = solve_upper(&triangle, predictors + 1, &response);
    Ok((triangle, estimates))
}

fn squared_length(vector: &[f64]) -> f64 {
    vector.iter().map(|value| value * value).sum()
}
