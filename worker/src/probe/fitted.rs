//! The fitted points by distinct state.

use super::groups::Groups;
use super::points::Points;

/// The points that vote, and where they stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fitted<'a> {
    /// The points.
    pub points: Points<'a>,
    /// The points at each of the fitted states, ascending.
    pub members: &'a Groups,
    /// How many fitted states there are; they are numbered before all others.
    pub states: usize,
    /// Neighbours that vote.
    pub k: usize,
}

impl<'a> Fitted<'a> {
    /// Points at a state that could be among the k nearest of an asker: the k lowest ones that are not of the excluded sample.
    #[inline(always)]
    pub fn admitted(&self, state: usize, excluded: Option<usize>) -> impl Iterator<Item = usize> + use<'a> {
        let origins = self.points.origins;
        let members = self.members.of(state).iter().map(|point| *point as usize);
        members.filter(move |point| excluded.is_none_or(|excluded| origins[*point] != excluded)).take(self.k)
    }

    /// How many points [`Self::admitted`] gives.
    #[inline(always)]
    pub fn weight(&self, state: usize, excluded: Option<usize>) -> usize {
        match excluded {
            None => self.members.of(state).len().min(self.k),
            Some(_) => self.admitted(state, excluded).count(),
        }
    }
}
