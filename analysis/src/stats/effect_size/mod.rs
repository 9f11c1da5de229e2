//! How large a difference is, with an interval: what is read before any p-value.
//!
//! - [`difference`]: Cohen's d and Hedges' g of two groups
//! - [`explained`]: η², ω² and ε² of several
//! - [`dominance`]: how often one group's value exceeds another's

pub mod difference;
pub mod dominance;
pub mod explained;

/// An effect with its confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    /// The estimate.
    pub estimate: f64,
    /// The interval's ends.
    pub interval: (f64, f64),
}
