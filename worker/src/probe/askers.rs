//! Queries that must get the same answer ask once: those at the same state, and, where points of the query's own sample are left out,
//! of the same sample.

use super::groups::Groups;
use super::points::{Exclude, Points};

/// Who is answered once for all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker {
    /// The distinct state asked about.
    pub state: u32,
    /// The sample whose points do not count.
    pub excluded: Option<usize>,
}

/// Askers at one state, one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The distinct state.
    pub state: u32,
    /// The first asker there.
    pub first: u32,
    /// The last asker there, and one more.
    pub end: u32,
}

/// The askers among the queries.
#[derive(Debug, Default)]
pub(super) struct Askers {
    /// All askers, by state.
    pub all: Vec<Asker>,
    /// The states that are asked about, ascending.
    pub places: Vec<Place>,
    /// The asker that stands for each query.
    pub of_query: Vec<u32>,
    by_state: Groups,
    /// Queries at one state, by origin.
    by_origin: Vec<u32>,
}

impl Askers {
    /// Finds the askers among `queries`, whose states are `state_of`, below `states`.
    pub fn find(&mut self, states: usize, state_of: &[u32], queries: Points<'_>, exclude: Exclude) {
        self.by_state.sort(states, state_of);
        self.all.clear();
        self.places.clear();
        self.of_query.clear();
        self.of_query.resize(queries.len(), 0);
        for state in 0..states {
            let here = self.by_state.of(state);
            let first = self.all.len() as u32;
            let state = state as u32;
            if exclude == Exclude::Nothing {
                self.all.extend((!here.is_empty()).then_some(Asker { state, excluded: None }));
                here.iter().for_each(|query| self.of_query[*query as usize] = first);
            } else {
                self.by_origin.clear();
                self.by_origin.extend_from_slice(here);
                self.by_origin.sort_unstable_by_key(|query| queries.origins[*query as usize]);
                let mut last = None;
                for query in &self.by_origin {
                    let excluded = Some(queries.origins[*query as usize]);
                    if excluded != last {
                        self.all.push(Asker { state, excluded });
                        last = excluded;
                    }
                    self.of_query[*query as usize] = self.all.len() as u32 - 1;
                }
            }
            let end = self.all.len() as u32;
            self.places.extend((end > first).then_some(Place { state, first, end }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE_OF: [u32; 6] = [2, 0, 2, 2, 0, 3];
    const ORIGINS: [usize; 6] = [9, 1, 7, 9, 1, 9];

    fn find(exclude: Exclude) -> Askers {
        let mut askers = Askers::default();
        let queries = Points { rows: &[0; 6], labels: &[0; 6], origins: &ORIGINS };
        askers.find(5, &STATE_OF, queries, exclude);
        askers
    }

    #[test]
    fn without_exclusion_there_is_one_asker_a_state() {
        let askers = find(Exclude::Nothing);
        assert_eq!(askers.of_query, [1, 0, 1, 1, 0, 2]);
        assert_eq!(askers.places.iter().map(|place| place.state).collect::<Vec<_>>(), [0, 2, 3]);
    }

    #[test]
    fn with_exclusion_copies_of_a_sample_at_one_state_share_an_asker() {
        let askers = find(Exclude::SameOrigin);
        assert_eq!(askers.of_query, [2, 0, 1, 2, 0, 3]);
        let ranges: Vec<_> = askers.places.iter().map(|place| (place.state, place.first, place.end)).collect();
        assert_eq!(ranges, [(0, 0, 1), (2, 1, 3), (3, 3, 4)]);
        assert_eq!(askers.all[2].excluded, Some(9));
    }
}
