//! The linear mixed model with one random intercept: metric ~ fixed effects + (1 | run).
//!
//! The epochs of a run are repeated measures: what the run has in common moves all of them together. The model gives that a
//! variance of its own, so that conditions are judged by how runs differ and slopes by how epochs differ within runs. It is what
//! R's lme4 fits (Bates, Mächler, Bolker and Walker 2015), and the tests are those of lmerTest (Kuznetsova, Brockhoff and Christensen
//! 2017).
//!
//! - `profile`: the deviance as a function of the variance ratio, by QR
//! - `ratio`: the ratio where it is least
//! - `satterthwaite`: degrees of freedom of contrasts
//! - `likelihood_ratio`: nested models by maximum likelihood

mod likelihood_ratio;
mod profile;
mod ratio;
mod satterthwaite;

use super::design::{Coefficient, Design, Term, Unfit};
pub use likelihood_ratio::{Incomparable, LikelihoodRatio, likelihood_ratio};

use super::wald::{CoefficientTest, WaldF, WaldT};

/// What the variances are estimated by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Restricted maximum likelihood: unbiased variances where the design is balanced. For estimates and tests.
    Reml,
    /// Maximum likelihood: comparable between models with different fixed effects. For likelihood-ratio tests.
    Ml,
}

/// A fitted model.
#[derive(Debug, Clone)]
pub struct MixedFit {
    /// How it was fitted.
    pub method: Method,
    /// Observations.
    pub rows: usize,
    /// Runs.
    pub runs: usize,
    /// The variance of the runs' intercepts.
    pub run_variance: f64,
    /// The variance of the residuals.
    pub residual_variance: f64,
    /// log likelihood, restricted for REML.
    pub log_likelihood: f64,
    coefficients: Vec<Coefficient>,
    estimates: Vec<f64>,
    moments: satterthwaite::Moments,
    /// The contrasts of every term's test.
    terms: Vec<(Term, Vec<Vec<f64>>)>,
}

/// The test of a term, of type III.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TermTest {
    /// The term.
    pub term: Term,
    /// Its F test.
    pub test: WaldF,
    /// Its sum of squares as lmerTest's `anova` reports it: F times numerator degrees of freedom times residual variance.
    pub sum_of_squares: f64,
}

impl MixedFit {
    /// Fits the design.
    ///
    /// Where the runs differ no more than their residuals let them, the variance between runs is 0: an answer, for which
    /// [`MixedFit::is_boundary`] is true and the tests are those of least squares, as in lmerTest.
    ///
    /// # Errors
    /// If the rows do not determine the coefficients or the variances.
    pub fn new(design: &Design, method: Method) -> Result<MixedFit, Unfit> {
        let profile = profile::Profile::new(design, method)?;
        let (ratio, solution) = ratio::least_deviance(&profile)?;
        let residual_variance = solution.residual / profile.divisor();
        let mut estimates = solution.effects.clone();
        estimates[0] += profile.shift;
        Ok(MixedFit {
            method,
            rows: profile.rows,
            runs: profile.runs,
            run_variance: ratio * residual_variance,
            residual_variance,
            log_likelihood: -0.5 * solution.deviance,
            coefficients: design.coefficients(),
            estimates,
            terms: design.terms().iter().map(|term| (*term, design.type_three(*term))).collect(),
            moments: satterthwaite::Moments::new(ratio, residual_variance, profile.divisor(), solution),
        })
    }

    /// Whether the variance between runs is estimated as 0.
    pub fn is_boundary(&self) -> bool {
        self.run_variance == 0.0
    }

    /// The intraclass correlation: the share of the variance that lies between runs.
    pub fn intraclass_correlation(&self) -> f64 {
        self.run_variance / (self.run_variance + self.residual_variance)
    }

    /// Parameters: fixed effects and two variances.
    pub fn parameters(&self) -> usize {
        self.estimates.len() + 2
    }

    /// Akaike's criterion.
    pub fn aic(&self) -> f64 {
        2.0 * self.parameters() as f64 - 2.0 * self.log_likelihood
    }

    /// The Bayesian criterion; observations are the rows, as in lme4.
    pub fn bic(&self) -> f64 {
        self.parameters() as f64 * (self.rows as f64).ln() - 2.0 * self.log_likelihood
    }

    /// The fixed effects with t tests, in the order of the columns.
    pub fn coefficients(&self) -> Vec<CoefficientTest> {
        let test = |(place, coefficient): (usize, &Coefficient)| {
            let mut contrast = vec![0.0; self.estimates.len()];
            contrast[place] = 1.0;
            let test = self.contrast(&contrast);
            CoefficientTest { coefficient: coefficient.clone(), estimate: test.estimate, test: Ok(test) }
        };
        self.coefficients.iter().enumerate().map(test).collect()
    }

    /// The t test of one contrast of the fixed effects (`contrast` has a weight for every column, not all 0).
    pub fn contrast(&self, contrast: &[f64]) -> WaldT {
        let estimate = self.estimates.iter().zip(contrast).map(|(effect, weight)| effect * weight).sum();
        let whitened = self.moments.whiten(contrast);
        WaldT::new(estimate, self.moments.standard_error(&whitened), self.moments.degrees_of_freedom(&whitened))
    }

    /// The F tests of the terms, of type III with Satterthwaite's degrees of freedom, as lmerTest's `anova`. The degrees of freedom of
    /// a term with several coefficients depend, in unbalanced studies and mostly in their fourth digit, on which level is the reference.
    ///
    /// # Errors
    /// If a decomposition does not converge.
    pub fn term_tests(&self) -> Result<Vec<TermTest>, Unfit> {
        self.terms
            .iter()
            .map(|(term, contrasts)| {
                let test = self.moments.f_test(contrasts, &self.estimates)?;
                Ok(TermTest { term: *term, test, sum_of_squares: test.f * test.df1 as f64 * self.residual_variance })
            })
            .collect()
    }
}
