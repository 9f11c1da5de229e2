//! Why a statistic has no value.

/// The reason, as a sentence. Groups are counted from 0; whoever knows their names adds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undefined {
    /// There is nothing to compare with.
    #[error("there are fewer than two groups to compare")]
    OneGroup,
    /// A group is too small.
    #[error("a group has too few values: {values} where at least {needed} are needed")]
    TooFewValues {
        /// Which group.
        group: usize,
        /// How many values it has.
        values: usize,
        /// How many the statistic needs.
        needed: usize,
    },
    /// A value is NaN or infinite.
    #[error("a group has a value that is not a finite number")]
    NotFinite {
        /// Which group.
        group: usize,
    },
    /// No group varies, so that nothing says how large a difference is.
    #[error("no group varies within itself, so that nothing says how large the differences are")]
    NoVariance,
    /// A group does not vary, so that a statistic that weighs by variances is infinite.
    #[error("a group does not vary, so that its weight would be infinite")]
    ConstantGroup {
        /// Which group.
        group: usize,
    },
    /// All values are the same.
    #[error("all values are the same")]
    AllEqual,
    /// The resampled statistic never changes.
    #[error("every resample gives the same value, so that the bootstrap says nothing about its error")]
    ConstantResamples,
    /// Two groups of which one lies above the other throughout.
    #[error(
        "every value of one group exceeds every value of the other, so that nothing says how far the probability is from 0 or 1"
    )]
    Apart,
    /// The estimate lies outside everything that was resampled.
    #[error("the estimate lies outside all its resamples, so that its bias cannot be corrected")]
    EstimateOutsideResamples,
    /// An interval was asked for from too few resamples.
    #[error("there are too few resamples for an interval of this level")]
    TooFewResamples,
    /// A resampled statistic is not a number.
    #[error("the statistic is not a finite number in some resamples")]
    NotFiniteResample,
}
