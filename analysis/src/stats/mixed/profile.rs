//! The deviance of a random-intercept model as a function of one number, the variance ratio τ = σ²(runs) / σ²(residual).
//!
//! A run's n rows have the covariance σ² (I + τ J). Its inverse square root leaves deviations from the run's mean as they are and
//! scales the mean, so the whitened rows of all runs are the deviations, which do not depend on τ, and for each run the row of
//! means times √(n / (1 + nτ)). Both are reduced to triangles once (the means by run length, since τ weighs runs of one
//! length alike), and each τ costs one QR of a few triangles. Deviance and slope are those of Bates et al. (2015), section 3.4,
//! with the residual variance and the fixed effects profiled out.

use std::collections::BTreeMap;
use std::f64::consts::PI;

use faer::Mat;

use super::Method;
use crate::stats::design::{Alike, Design, Unfit};
use crate::stats::triangle::{
    Triangulation, column_lengths, first_aliased, rank, solve_transposed, solve_upper, triangle,
};

/// Residual sum of squares within runs, as a share of the metric's whole one, below which it is rounding.
const EXACT_FIT: f64 = 1e-24;

/// The rows of a model reduced to what its deviance needs.
#[derive(Debug, Clone)]
pub struct Profile {
    method: Method,
    /// Predictors and the response: the length of every triangle's rows.
    width: usize,
    /// Observations.
    pub rows: usize,
    /// Runs.
    pub runs: usize,
    /// Subtracted from every response.
    pub shift: f64,
    /// The triangle of the deviations from the runs' means.
    within: Vec<f64>,
    /// The triangles of the runs' means.
    between: Vec<Between>,
}

/// The means of the runs of one length.
#[derive(Debug, Clone)]
struct Between {
    /// Rows of each run.
    length: f64,
    /// Runs.
    count: f64,
    triangle: Vec<f64>,
}

impl Between {
    /// What a mean's square counts at the ratio τ.
    fn weight(&self, ratio: f64) -> f64 {
        self.length / (1.0 + self.length * ratio)
    }
}

/// The model at one variance ratio.
#[derive(Debug, Clone)]
pub struct Solution {
    /// The triangle of the whitened rows `[X | y]`.
    pub triangle: Vec<f64>,
    /// The fixed effects, for the shifted response.
    pub effects: Vec<f64>,
    /// The whitened residual sum of squares.
    pub residual: f64,
    /// −2 log likelihood (restricted or not), at the residual variance that makes it least.
    pub deviance: f64,
    /// Its derivatives by τ.
    pub derivatives: Derivatives,
}

/// Derivatives by the variance ratio τ.
#[derive(Debug, Clone)]
pub struct Derivatives {
    /// Of the profiled deviance, once.
    pub slope: f64,
    /// Of the log determinants, twice.
    pub log_determinants: f64,
    /// Of the residual sum of squares, once.
    pub residual: f64,
    /// The same, twice.
    pub residual_twice: f64,
    /// The growth of a contrast's variance: for ℓ = R⁻ᵀ L it is |`growth` ℓ|² for each unit of residual variance.
    pub growth: Mat<f64>,
}

impl Profile {
    /// Reduces the rows of a design.
    ///
    /// # Errors
    /// If the rows do not determine the fixed effects or do not tell the two variances apart.
    pub fn new(design: &Design, method: Method) -> Result<Profile, Unfit> {
        let (predictors, shift) = (design.columns(), design.mean());
        let width = predictors + 1;
        let mut within = Triangulation::new(width);
        let mut means: BTreeMap<usize, (usize, Triangulation)> = BTreeMap::new();
        let mut runs = 0;
        for kind in design.kinds() {
            let first = kind.runs[0];
            let length = first.len() as f64;
            let mut block = vec![0.0; first.len() * predictors];
            for (row, values) in first.iter().zip(block.chunks_exact_mut(predictors)) {
                design.predictors(row, values);
            }
            let mean: Vec<f64> = (0..predictors)
                .map(|column| block.iter().skip(column).step_by(predictors).sum::<f64>() / length)
                .collect();
            let heights: Vec<f64> =
                kind.runs.iter().map(|run| run.iter().map(|row| row.value - shift).sum::<f64>() / length).collect();
            let deviations = Alike::of(
                kind.runs
                    .iter()
                    .zip(&heights)
                    .map(|(run, height)| run.iter().map(move |row| row.value - shift - height)),
            );
            for (values, response) in block.chunks_exact(predictors).zip(&deviations.mean) {
                let centred = values.iter().zip(&mean).map(|(value, mean)| deviations.weight * (value - mean));
                within.add(centred.chain([deviations.weight * response]));
            }
            within.add(std::iter::repeat_n(0.0, predictors).chain([deviations.spread]));
            let heights = Alike::of(heights.iter().map(|height| std::iter::once(*height)));
            let (count, triangulation) = means.entry(first.len()).or_insert_with(|| (0, Triangulation::new(width)));
            let weighted = mean.iter().chain(&heights.mean).map(|value| heights.weight * value);
            triangulation.add(weighted);
            triangulation.add(std::iter::repeat_n(0.0, predictors).chain([heights.spread]));
            *count += kind.runs.len();
            runs += kind.runs.len();
        }
        let between = means
            .into_iter()
            .map(|(length, (count, means))| Between {
                length: length as f64,
                count: count as f64,
                triangle: means.triangle(),
            })
            .collect();
        let profile = Profile { method, width, rows: design.len(), runs, shift, within: within.triangle(), between };
        profile.check(design)?;
        Ok(profile)
    }

    /// Predictors.
    pub fn predictors(&self) -> usize {
        self.width - 1
    }

    /// What the residual sum of squares is divided by: observations, less the fixed effects for REML.
    pub fn divisor(&self) -> f64 {
        match self.method {
            Method::Reml => (self.rows - self.predictors()) as f64,
            Method::Ml => self.rows as f64,
        }
    }

    /// The mean of the runs' lengths.
    pub fn mean_length(&self) -> f64 {
        self.rows as f64 / self.runs as f64
    }

    fn check(&self, design: &Design) -> Result<(), Unfit> {
        let all = triangle(&self.whitened(0.0), self.width);
        let predictors = self.predictors();
        let lengths = column_lengths(&all, self.width, predictors);
        if let Some(column) = first_aliased(&all, self.width, &lengths) {
            return Err(design.aliased(column));
        }
        let rank_within = rank(&self.within, self.width, &lengths);
        if self.rows <= self.runs + rank_within {
            return Err(Unfit::NoFreedomWithinRuns);
        }
        if self.runs + rank_within <= predictors {
            return Err(Unfit::NoFreedomBetweenRuns);
        }
        let response = column_lengths(&all, self.width, self.width)[predictors].powi(2);
        let corner = |r: &[f64]| r.get(self.width * self.width - 1).map_or(0.0, |last: &f64| last.powi(2));
        if corner(&all) <= EXACT_FIT * response {
            return Err(Unfit::ExactFit);
        }
        // The within triangle has columns of zeros, so that its corner is not the residual; the limit of large τ is.
        if corner(&triangle(&self.whitened(1e30), self.width)) <= EXACT_FIT * response {
            return Err(Unfit::ExactWithinRuns);
        }
        Ok(())
    }

    /// The triangles at the ratio τ, stacked: rows whose QR is that of the whitened rows.
    fn whitened(&self, ratio: f64) -> Vec<f64> {
        let mut rows = self.within.clone();
        for between in &self.between {
            let factor = between.weight(ratio).sqrt();
            rows.extend(between.triangle.iter().map(|entry| factor * entry));
        }
        rows
    }

    /// The model at the ratio τ ≥ 0.
    pub fn at(&self, ratio: f64) -> Solution {
        let (width, predictors) = (self.width, self.predictors());
        let r = triangle(&self.whitened(ratio), width);
        let response: Vec<f64> = (0..predictors).map(|row| r[row * width + predictors]).collect();
        let effects = solve_upper(&r, width, &response);
        let residual = r[predictors * width + predictors].powi(2);
        let divisor = self.divisor();
        let log_determinant_rows: f64 =
            self.between.iter().map(|between| between.count * (between.length * ratio).ln_1p()).sum();
        let log_determinant_effects: f64 = match self.method {
            Method::Reml => 2.0 * (0..predictors).map(|i| r[i * width + i].abs().ln()).sum::<f64>(),
            Method::Ml => 0.0,
        };
        let deviance =
            log_determinant_rows + log_determinant_effects + divisor * (1.0 + (2.0 * PI * residual / divisor).ln());
        let derivatives = self.derivatives(ratio, &r, &effects, residual);
        Solution { triangle: r, effects, residual, deviance, derivatives }
    }

    /// With V = I + τ ZZᵀ, P = V⁻¹ − V⁻¹X (XᵀV⁻¹X)⁻¹ XᵀV⁻¹ and w = n / (1 + nτ): the residual sum of squares yᵀPy has the
    /// derivatives −|s|² and 2 sᵀ(ZᵀPZ)s with s = ZᵀPy, a run's s being w times its mean residual; the log determinants have
    /// tr(ZᵀPZ) and −|ZᵀPZ|², where ZᵀPZ = diag(w) − A Aᵀ and A holds the rows w x̄ᵀR⁻¹. For ML the determinants are
    /// those of V alone and A is left out there.
    fn derivatives(&self, ratio: f64, r: &[f64], effects: &[f64], residual: f64) -> Derivatives {
        let predictors = self.predictors();
        let restricted = self.method == Method::Reml;
        let (mut trace, mut squares) = (0.0, 0.0);
        let (mut residual_once, mut residual_diagonal) = (0.0, 0.0);
        let mut projected = vec![0.0; predictors];
        let mut growth = Vec::new();
        for between in &self.between {
            let weight = between.weight(ratio);
            trace += between.count * weight;
            squares += between.count * weight * weight;
            for row in between.triangle.chunks_exact(self.width) {
                let leverage = solve_transposed(r, self.width, &row[..predictors]);
                let error = row[predictors] - row.iter().zip(effects).map(|(x, effect)| x * effect).sum::<f64>();
                let length: f64 = leverage.iter().map(|value| value * value).sum();
                if restricted {
                    trace -= weight * weight * length;
                    squares -= 2.0 * weight.powi(3) * length;
                }
                residual_once -= (weight * error).powi(2);
                residual_diagonal += weight.powi(3) * error * error;
                for (sum, value) in projected.iter_mut().zip(&leverage) {
                    *sum += weight * weight * error * value;
                }
                growth.push(leverage.into_iter().map(|value| weight * value).collect::<Vec<f64>>());
            }
        }
        let growth = Mat::from_fn(growth.len(), predictors, |i, j| growth[i][j]);
        if restricted {
            squares += (growth.transpose() * &growth).squared_norm_l2();
        }
        let off_diagonal: f64 = projected.iter().map(|value| value * value).sum();
        Derivatives {
            slope: trace + self.divisor() * residual_once / residual,
            log_determinants: -squares,
            residual: residual_once,
            residual_twice: 2.0 * (residual_diagonal - off_diagonal),
            growth,
        }
    }
}
