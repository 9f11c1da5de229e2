//! Several coefficients tested at once: the approximate Hotelling T² of Pustejovsky and Tipton (2018), called HTZ in clubSandwich.
//!
//! The covariance D of the contrasts, scaled so that its expectation under independent rows is I, is taken as Wishart with η degrees of
//! freedom, η = q(q + 1) / Σ var(D_st). Then F = (η − q + 1) / (ηq) Q with q and η − q + 1 degrees of freedom, Q being
//! Wald's statistic. With p_gs the vector whose product with the errors is run g's part of contrast s,
//! var(D_st) = Σ_g Σ_h (p_gs·p_hs)(p_gt·p_ht) + (p_gs·p_ht)(p_gt·p_hs), and p_gs·p_ht = a_gs·a_gt [g = h] − u_gs·u_ht with
//! u = Qᵀa. The double sums over runs become sums over runs of outer products u uᵀ, so that the cost grows with the runs, not with
//! their square.

use super::{EXACT_FIT, RobustFit, UNACCOUNTED, squared_length};
use crate::stats::design::Unfit;
use crate::stats::triangle::{column_lengths, first_aliased, solve_transposed, triangle};
use crate::stats::wald::WaldF;

/// Tests the contrasts, which must be independent of one another.
pub fn test(fit: &RobustFit, contrasts: &[Vec<f64>]) -> Result<WaldF, Unfit> {
    let tested = contrasts.len();
    if tested == 0 {
        return Err(Unfit::TooManyContrasts);
    }
    let (basis, statistics) = orthonormal(fit, contrasts);
    let spread = Spread::of(fit, &basis);
    if spread.accounted < (1.0 - UNACCOUNTED) * tested as f64 {
        return Err(Unfit::SingleRun);
    }
    // Q = |R₂⁻ᵀ y|² with the triangle R₂ of the scores of the basis.
    let scored: Vec<Vec<f64>> = basis.iter().map(|direction| fit.scored(direction)).collect();
    let rows: Vec<f64> = (0..scored[0].len()).flat_map(|row| scored.iter().map(move |column| column[row])).collect();
    let covariance = triangle(&rows, tested);
    let lengths = column_lengths(&covariance, tested, tested);
    if lengths.iter().any(|length| length * length <= EXACT_FIT * fit.total) {
        return Err(Unfit::RunsAlike);
    }
    let size = tested as f64;
    let freedom = size * (size + 1.0) / spread.variance;
    let df2 = freedom - size + 1.0;
    if df2 <= 0.0 || first_aliased(&covariance, tested, &lengths).is_some() {
        return Err(Unfit::TooManyContrasts);
    }
    let wald = squared_length(&solve_transposed(&covariance, tested, &statistics));
    Ok(WaldF::new(df2 / (freedom * size) * wald, tested, df2))
}

/// An orthonormal basis of the whitened contrasts, and the estimates along it.
fn orthonormal(fit: &RobustFit, contrasts: &[Vec<f64>]) -> (Vec<Vec<f64>>, Vec<f64>) {
    let predictors = fit.estimates.len();
    let whitened: Vec<Vec<f64>> =
        contrasts.iter().map(|contrast| solve_transposed(&fit.triangle, predictors + 1, contrast)).collect();
    let rows: Vec<f64> = (0..predictors).flat_map(|row| whitened.iter().map(move |column| column[row])).collect();
    let r = triangle(&rows, contrasts.len());
    // The basis B solves B r = whitened row by row; the estimates solve rᵀ y = L β.
    let basis_rows: Vec<Vec<f64>> =
        rows.chunks_exact(contrasts.len()).map(|row| solve_transposed(&r, contrasts.len(), row)).collect();
    let basis = (0..contrasts.len()).map(|column| basis_rows.iter().map(|row| row[column]).collect()).collect();
    let estimate =
        |contrast: &Vec<f64>| contrast.iter().zip(&fit.estimates).map(|(weight, effect)| weight * effect).sum();
    let estimates: Vec<f64> = contrasts.iter().map(estimate).collect();
    (basis, solve_transposed(&r, contrasts.len(), &estimates))
}

/// The first two moments of D.
struct Spread {
    /// The trace of its expectation; the number of contrasts if no single run decides one.
    accounted: f64,
    /// Σ_st var(D_st)
    variance: f64,
}

impl Spread {
    fn of(fit: &RobustFit, basis: &[Vec<f64>]) -> Spread {
        let (tested, predictors) = (basis.len(), fit.estimates.len());
        let size = tested * predictors;
        let mut spread = Spread { accounted: 0.0, variance: 0.0 };
        // Σ_g u_gs[a] u_gt[b], at [(s, a), (t, b)].
        let mut outer = vec![0.0; size * size];
        for (leverage, count) in &fit.kinds {
            let adjusted = leverage.adjusted(basis);
            let u: Vec<f64> = basis.iter().flat_map(|direction| leverage.adjust(direction).1).collect();
            let inner_a = gram(&adjusted);
            let inner_u = gram(&u.chunks_exact(predictors).map(<[f64]>::to_vec).collect::<Vec<_>>());
            let trace = |matrix: &[f64]| (0..tested).map(|s| matrix[s * tested + s]).sum::<f64>();
            let product = |left: &[f64], right: &[f64]| left.iter().zip(right).map(|(a, b)| a * b).sum::<f64>();
            spread.accounted += count * (trace(&inner_a) - trace(&inner_u));
            spread.variance += count * (trace(&inner_a).powi(2) - 2.0 * trace(&inner_a) * trace(&inner_u));
            spread.variance += count * (product(&inner_a, &inner_a) - 2.0 * product(&inner_a, &inner_u));
            for (row, left) in u.iter().enumerate().filter(|(_, left)| **left != 0.0) {
                for (sum, right) in outer[row * size..(row + 1) * size].iter_mut().zip(&u) {
                    *sum += count * left * right;
                }
            }
        }
        for (s, t) in (0..tested).flat_map(|s| (0..tested).map(move |t| (s, t))) {
            for (a, b) in (0..predictors).flat_map(|a| (0..predictors).map(move |b| (a, b))) {
                let entry = |a: usize, b: usize| outer[(s * predictors + a) * size + t * predictors + b];
                spread.variance += entry(a, b) * (entry(a, b) + entry(b, a));
            }
        }
        spread
    }
}

/// The inner products of some vectors.
fn gram(vectors: &[Vec<f64>]) -> Vec<f64> {
    vectors.iter().flat_map(|a| vectors.iter().map(move |b| a.iter().zip(b).map(|(x, y)| x * y).sum())).collect()
}
