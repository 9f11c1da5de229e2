//! Likelihood-ratio tests of nested models, both fitted by maximum likelihood.

use super::{Method, MixedFit};
use crate::stats::tails::{Tail, chi_square_upper};

/// A likelihood-ratio test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LikelihoodRatio {
    /// Twice the difference of the log likelihoods.
    pub chi_square: f64,
    /// How many more coefficients the larger model has.
    pub df: usize,
    /// P(χ² > `chi_square`) on `df` degrees of freedom (Wilks 1938).
    pub p: Tail,
}

/// Why two fits are not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Incomparable {
    /// A restricted likelihood, which changes its meaning with the fixed effects.
    #[error("likelihood-ratio tests of fixed effects need fits by maximum likelihood, not REML")]
    Restricted,
    /// Other rows.
    #[error("the two models are not fitted to the same rows")]
    OtherRows,
    /// No coefficient more.
    #[error("the larger model has no coefficient that the smaller one lacks")]
    NotNested,
}

/// Tests `larger` against `smaller`, a model of the same rows whose coefficients are among the larger one's.
///
/// # Errors
/// If a fit is by REML, the rows differ in number, or the first model is not the larger one.
pub fn likelihood_ratio(larger: &MixedFit, smaller: &MixedFit) -> Result<LikelihoodRatio, Incomparable> {
    if larger.method != Method::Ml || smaller.method != Method::Ml {
        return Err(Incomparable::Restricted);
    }
    if (larger.rows, larger.runs) != (smaller.rows, smaller.runs) {
        return Err(Incomparable::OtherRows);
    }
    let nested = smaller.coefficients.iter().all(|coefficient| larger.coefficients.contains(coefficient));
    let df = larger.parameters().saturating_sub(smaller.parameters());
    if !nested || df == 0 {
        return Err(Incomparable::NotNested);
    }
    let chi_square = (2.0 * (larger.log_likelihood - smaller.log_likelihood)).max(0.0);
    Ok(LikelihoodRatio { chi_square, df, p: chi_square_upper(chi_square, df as f64) })
}
