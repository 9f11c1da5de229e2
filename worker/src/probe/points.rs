//! The points that a probe is fitted on and asked about.

/// Labelled points; sample index n is the position in these lists.
#[derive(Debug, Clone, Copy)]
pub struct Points<'a> {
    /// Row of each point in the states. Copies of one sample may share a row.
    pub rows: &'a [usize],
    /// Label of each point, below the number of classes.
    pub labels: &'a [u32],
    /// The sample each point is a copy of; copies of one sample share it.
    pub origins: &'a [usize],
}

/// Which of the fitted points a query may not be told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exclude {
    /// None: resubstitution and held-out scoring.
    Nothing,
    /// The query itself and its copies: leave-one-out.
    SameOrigin,
}

impl Points<'_> {
    /// How many.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}
