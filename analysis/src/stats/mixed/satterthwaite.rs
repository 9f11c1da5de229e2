//! Degrees of freedom of contrasts by Satterthwaite's method: twice the squared variance of a contrast over the variance of that
//! variance, which follows from the curvature of the deviance by the two variance parameters.
//!
//! lmerTest takes the derivatives numerically; here they are exact. The parameters are the variance ratio τ and the residual
//! variance v; the result does not depend on the choice of parameters. With a variance of 0 between runs the ratio carries no
//! information (lmerTest's derivative by √τ is 0 there), and the degrees of freedom are the residual ones.

use faer::Mat;

use super::profile::Solution;
use crate::stats::design::Unfit;
use crate::stats::triangle::solve_transposed;
use crate::stats::wald::WaldF;

/// What the tests of a fitted model need.
#[derive(Debug, Clone)]
pub struct Moments {
    residual_variance: f64,
    /// Residual degrees of freedom: what the residual sum of squares was divided by.
    divisor: f64,
    /// Half the deviance's curvature [by τ twice, by τ and v, by v twice]; none at the boundary.
    information: Option<[f64; 3]>,
    solution: Solution,
}

impl Moments {
    /// The moments of a model at its best ratio.
    pub fn new(ratio: f64, residual_variance: f64, divisor: f64, solution: Solution) -> Moments {
        let v = residual_variance;
        let by_ratio = &solution.derivatives;
        let curvature =
            [by_ratio.residual_twice / v + by_ratio.log_determinants, -by_ratio.residual / (v * v), divisor / (v * v)];
        let positive = curvature[0] > 0.0 && curvature[0] * curvature[2] > curvature[1] * curvature[1];
        let information = (ratio > 0.0 && positive).then(|| curvature.map(|entry| 0.5 * entry));
        Moments { residual_variance, divisor, information, solution }
    }

    /// ℓ = R⁻ᵀ L: a contrast's variance is |ℓ|² times the residual variance.
    pub fn whiten(&self, contrast: &[f64]) -> Vec<f64> {
        solve_transposed(&self.solution.triangle, contrast.len() + 1, contrast)
    }

    /// The standard error of a whitened contrast.
    pub fn standard_error(&self, whitened: &[f64]) -> f64 {
        (self.residual_variance * squared_length(whitened)).sqrt()
    }

    /// The degrees of freedom of a whitened contrast.
    pub fn degrees_of_freedom(&self, whitened: &[f64]) -> f64 {
        let Some([by_ratio, mixed, by_variance]) = self.information else {
            return self.divisor;
        };
        let length = squared_length(whitened);
        let growth = &self.solution.derivatives.growth;
        let grown = (0..growth.nrows())
            .map(|row| (0..growth.ncols()).map(|column| growth[(row, column)] * whitened[column]).sum::<f64>().powi(2))
            .sum::<f64>();
        // The gradient of the contrast's variance v |ℓ|² by τ and by v.
        let gradient = [self.residual_variance * grown, length];
        let determinant = by_ratio * by_variance - mixed * mixed;
        let variance_of_variance = (by_variance * gradient[0].powi(2) - 2.0 * mixed * gradient[0] * gradient[1]
            + by_ratio * gradient[1].powi(2))
            / determinant;
        2.0 * (self.residual_variance * length).powi(2) / variance_of_variance
    }

    /// The F test of several contrasts of `estimates`: split into uncorrelated ones, whose t² average to F, the denominator's degrees
    /// of freedom being those whose F has the same expectation (Fai and Cornelius 1996).
    ///
    /// # Errors
    /// If the decomposition does not converge.
    pub fn f_test(&self, contrasts: &[Vec<f64>], estimates: &[f64]) -> Result<WaldF, Unfit> {
        let whitened: Vec<Vec<f64>> = contrasts.iter().map(|contrast| self.whiten(contrast)).collect();
        let matrix = Mat::from_fn(estimates.len(), whitened.len(), |i, j| whitened[j][i]);
        let svd = matrix.thin_svd().map_err(|_| Unfit::NotConverged)?;
        let mut statistics = 0.0;
        let mut degrees = Vec::new();
        // Rᵀ-whitened effects, so that a direction's estimate is its inner product with them.
        let effects = self.whitened_effects(estimates);
        for direction in svd.U().col_iter() {
            let direction: Vec<f64> = direction.iter().copied().collect();
            let estimate: f64 = direction.iter().zip(&effects).map(|(weight, effect)| weight * effect).sum();
            statistics += estimate * estimate / self.residual_variance;
            degrees.push(self.degrees_of_freedom(&direction));
        }
        Ok(WaldF::new(statistics / degrees.len() as f64, degrees.len(), denominator(&degrees)))
    }

    /// R β.
    fn whitened_effects(&self, estimates: &[f64]) -> Vec<f64> {
        let width = estimates.len() + 1;
        let r = &self.solution.triangle;
        (0..estimates.len())
            .map(|row| (row..estimates.len()).map(|column| r[row * width + column] * estimates[column]).sum())
            .collect()
    }
}

/// The denominator's degrees of freedom of an F that averages t² with the given ones: E(F) = mean of ν / (ν − 2) = d / (d − 2).
/// Where one of them has no expectation, 2, as in lmerTest, unless all are alike.
fn denominator(degrees: &[f64]) -> f64 {
    let (least, most) = degrees.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), df| (low.min(*df), high.max(*df)));
    if most - least <= 1e-8 {
        return degrees.iter().sum::<f64>() / degrees.len() as f64;
    }
    if least <= 2.0 {
        return 2.0;
    }
    let excess: f64 = degrees.iter().map(|df| 2.0 / (df - 2.0)).sum();
    2.0 * (degrees.len() as f64 + excess) / excess
}

fn squared_length(vector: &[f64]) -> f64 {
    vector.iter().map(|value| value * value).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_denominator_lies_among_the_degrees_of_freedom() {
        assert_eq!(denominator(&[7.5]), 7.5);
        assert_eq!(denominator(&[1.5, 1.5]), 1.5);
        assert_eq!(denominator(&[1.5, 30.0]), 2.0);
        let between = denominator(&[10.0, 20.0]);
        assert!(between > 10.0 && between < 20.0);
    }
}
