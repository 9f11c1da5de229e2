//! What the predictors of a run do to its residuals.
//!
//! With Q = X R⁻¹ of the run's rows and its singular value decomposition U S Vᵀ, the run's block of the hat matrix is U S² Uᵀ. CR2
//! multiplies the run's residuals by (I − U S² Uᵀ)^(−1/2), which here is a division by √(1 − s²) along each column of U. A
//! direction with s = 1 is fitted by this run alone: its residual is 0 and the pseudo-inverse leaves it out.

use faer::Mat;

use crate::stats::design::Unfit;

/// 1 − s² below this is 0 but for rounding (clubSandwich's tolerance of eigenvalues).
const NO_RESIDUAL: f64 = 1e-12;
/// A singular value below this is 0 but for rounding.
const NO_LEVERAGE: f64 = 1e-12;

/// One kind of run: runs with the same levels and epochs share it.
#[derive(Debug, Clone)]
pub struct Leverage {
    directions: Vec<Direction>,
}

/// One column of the decomposition.
#[derive(Debug, Clone)]
struct Direction {
    /// s
    singular: f64,
    /// s / √(1 − s²), or 0 where the run alone decides the direction.
    adjusted: f64,
    /// Its column of U, over the run's rows.
    rows: Vec<f64>,
    /// Its column of V, over the predictors.
    predictors: Vec<f64>,
}

impl Leverage {
    /// Decomposes the rows Q of a run (row-major, `predictors` long).
    ///
    /// # Errors
    /// If the decomposition does not converge.
    pub fn new(whitened: &[f64], predictors: usize) -> Result<Leverage, Unfit> {
        let matrix = Mat::from_fn(whitened.len() / predictors, predictors, |i, j| whitened[i * predictors + j]);
        let svd = matrix.thin_svd().map_err(|_| Unfit::NotConverged)?;
        let columns = svd.U().col_iter().zip(svd.V().col_iter()).zip(svd.S().column_vector().iter());
        let directions = columns
            .filter(|(_, singular)| **singular > NO_LEVERAGE)
            .map(|((u, v), &singular)| {
                let left = 1.0 - singular * singular;
                Direction {
                    singular,
                    adjusted: if left > NO_RESIDUAL { singular / left.sqrt() } else { 0.0 },
                    rows: u.iter().copied().collect(),
                    predictors: v.iter().copied().collect(),
                }
            })
            .collect();
        Ok(Leverage { directions })
    }

    /// The score z = Qᵀ (I − QQᵀ)^(−1/2) e of a run with residuals e.
    pub fn score(&self, residuals: &[f64]) -> Vec<f64> {
        let predictors = self.directions.first().map_or(0, |direction| direction.predictors.len());
        let mut score = vec![0.0; predictors];
        for direction in &self.directions {
            let along: f64 = direction.rows.iter().zip(residuals).map(|(weight, residual)| weight * residual).sum();
            add(&mut score, direction.adjusted * along, &direction.predictors);
        }
        score
    }

    /// For a whitened contrast ℓ and a = (I − QQᵀ)^(−1/2) Q ℓ: |a|² and Qᵀa.
    pub fn adjust(&self, whitened: &[f64]) -> (f64, Vec<f64>) {
        let mut length = 0.0;
        let mut spread = vec![0.0; whitened.len()];
        for direction in &self.directions {
            let along = direction.along(whitened) * direction.adjusted;
            length += along * along;
            add(&mut spread, direction.singular * along, &direction.predictors);
        }
        (length, spread)
    }

    /// The vectors a of several whitened contrasts in the coordinates of U: `[contrast][direction]`.
    pub fn adjusted(&self, whitened: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let one = |contrast: &Vec<f64>| {
            self.directions.iter().map(|direction| direction.along(contrast) * direction.adjusted).collect()
        };
        whitened.iter().map(one).collect()
    }
}

impl Direction {
    fn along(&self, whitened: &[f64]) -> f64 {
        self.predictors.iter().zip(whitened).map(|(weight, value)| weight * value).sum()
    }
}

fn add(sum: &mut [f64], factor: f64, vector: &[f64]) {
    for (total, value) in sum.iter_mut().zip(vector) {
        *total += factor * value;
    }
}
