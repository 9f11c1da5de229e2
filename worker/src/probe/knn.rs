//! Exact k nearest neighbours (method.md 2.6): Euclidean, uniform weights, ties in distance to the lower sample index, ties in
//! votes to the lower class.
//!
//! Distances between all pairs come from matrix products in f32, which are fast but rounded. So the products only select: every state
//! that could still be among the k nearest by a bound on the rounding ([`centred`](super::centred)) goes to a shortlist, and where the vote
//! depends on it, is measured again in f64. States that coincide to the bit are one ([`distinct`](super::distinct)). Where the fitted points
//! are themselves asked about, each product serves both ways, so that half the matrix is enough.
//!
//! Where many states are nearer to one another than the rounding can tell, such as padded steps that approach a fixed point, shortlists
//! overflow. Those askers are searched again, group by group, with one of their own states as the centre, which makes the numbers of its
//! surroundings small and so their rounding; what is left after that is measured in full.

use pulp::Arch;

use super::askers::{Askers, Place};
use super::centred;
use super::distinct::Distinct;
use super::fitted::Fitted;
use super::groups::Groups;
use super::points::{Exclude, Points};
use super::search::Search;
use super::vote::{Context, Shortlist, Vote};

/// How much nearer, in squared distance, askers must be to one of theirs than to the middle of all to be searched again around it.
const NEARER: f32 = 64.0;
/// Askers with overflowing shortlists from which another search pays; fewer are measured in full.
const SEARCHED_AGAIN: usize = 16;

/// Exact k nearest neighbours, with all buffers that a time step takes.
#[derive(Debug)]
pub(super) struct Knn {
    arch: Arch,
    k: usize,
    exclude: Exclude,
    distinct: Distinct,
    state_of_point: Vec<u32>,
    state_of_query: Vec<u32>,
    members: Groups,
    askers: Askers,
    vote: Vote,
    /// The answer to each asker.
    answers: Vec<u32>,
    /// Askers whose shortlists overflowed, as places of one each.
    crowded: Vec<Place>,
    /// Those of them that are near one another.
    group: Vec<Place>,
    /// The centre of the first search, `[hidden]`.
    middle: Vec<f32>,
    search: Search,
}

impl Knn {
    /// `k` neighbours vote, fewer where there are fewer points, on one of `classes`.
    pub fn new(k: usize, classes: usize, exclude: Exclude, arch: Arch) -> Knn {
        Knn {
            arch,
            k,
            exclude,
            distinct: Distinct::default(),
            state_of_point: Vec::new(),
            state_of_query: Vec::new(),
            members: Groups::default(),
            askers: Askers::default(),
            vote: Vote::new(classes),
            answers: Vec::new(),
            crowded: Vec::new(),
            group: Vec::new(),
            middle: Vec::new(),
            search: Search::new(arch),
        }
    }

    /// The label that the fitted points give each query; `states` is `[row, hidden]`. Class 0 where there is no point to tell it by.
    pub fn predict(
        &mut self,
        states: &[f32],
        hidden: usize,
        fit: Points<'_>,
        queries: Points<'_>,
        predictions: &mut Vec<u32>,
    ) {
        let arch = self.arch;
        self.distinct.clear(states.len() / hidden, fit.len() + queries.len());
        self.distinct.add(arch, states, hidden, fit.rows, &mut self.state_of_point);
        let fitted = self.distinct.len();
        self.members.sort(fitted, &self.state_of_point);
        self.distinct.add(arch, states, hidden, queries.rows, &mut self.state_of_query);
        self.askers.find(self.distinct.len(), &self.state_of_query, queries, self.exclude);
        self.answers.clear();
        self.answers.resize(self.askers.all.len(), 0);
        predictions.clear();
        if fitted > 0 && self.k > 0 {
            let fitted = Fitted { points: fit, members: &self.members, states: fitted, k: self.k };
            let context = Context { arch, states, hidden, distinct: &self.distinct, fitted };
            answer(
                context,
                &self.askers,
                &mut self.search,
                Again { crowded: &mut self.crowded, group: &mut self.group, middle: &mut self.middle },
                &mut self.vote,
                &mut self.answers,
            );
        }
        predictions.extend(self.askers.of_query.iter().map(|asker| self.answers[*asker as usize]));
    }
}

/// Buffers for askers that are searched again.
struct Again<'a> {
    crowded: &'a mut Vec<Place>,
    group: &'a mut Vec<Place>,
    middle: &'a mut Vec<f32>,
}

/// Answers all askers.
fn answer(
    context: Context<'_>,
    askers: &Askers,
    search: &mut Search,
    again: Again<'_>,
    vote: &mut Vote,
    answers: &mut [u32],
) {
    let Context { arch, states, hidden, distinct, fitted } = context;
    let Again { crowded, group, middle } = again;
    search.shortlists.reset(askers.all.len(), fitted.k, fitted.states);
    centred::mean(arch, states, distinct, hidden, &mut search.centre);
    if askers.places.len() == fitted.states && distinct.len() == fitted.states {
        search.both_ways(context, askers);
    } else {
        search.one_way(context, askers, &askers.places);
    }
    settle(context, askers, search, &askers.places, vote, answers);
    crowded.clear();
    for place in &askers.places {
        let each = (place.first..place.end).map(|first| Place { state: place.state, first, end: first + 1 });
        crowded.extend(each.filter(|place| search.shortlists.entries(place.first as usize).is_none()));
    }
    middle.clear();
    middle.extend_from_slice(&search.centre);
    while let Some(first) = crowded.first() {
        let state = |place: &Place| &states[distinct.row(place.state as usize) * hidden..][..hidden];
        let centre = state(first);
        // Askers much nearer to this one than it is to the middle of all: around it, they are easy to tell apart.
        let near = squared_distance(centre, middle) / NEARER;
        group.clear();
        let mut is_first = true;
        crowded.retain(|place| {
            let joins = std::mem::take(&mut is_first) || squared_distance(state(place), centre) <= near;
            if joins {
                group.push(*place);
            }
            !joins
        });
        if group.len() >= SEARCHED_AGAIN {
            search.centre.clear();
            search.centre.extend(centre.iter().map(|value| if value.is_finite() { *value } else { 0.0 }));
            group.iter().for_each(|place| search.shortlists.clear(place.first as usize));
            search.one_way(context, askers, group);
            settle(context, askers, search, group, vote, answers);
            group.retain(|place| search.shortlists.entries(place.first as usize).is_none());
        }
        for place in group.iter() {
            answers[place.first as usize] = vote.among_all(context, askers.all[place.first as usize]);
        }
    }
}

fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Counts the votes of all askers at `places`, the rows of the last search, whose shortlists did not overflow.
fn settle(
    context: Context<'_>,
    askers: &Askers,
    search: &Search,
    places: &[Place],
    vote: &mut Vote,
    answers: &mut [u32],
) {
    for (place, spread) in places.iter().zip(search.row_spreads()) {
        let here = place.first as usize..place.end as usize;
        for (asker, answer) in here.clone().zip(&mut answers[here]) {
            if let Some(entries) = search.shortlists.entries(asker) {
                let limit = search.shortlists.limit(asker, *spread);
                let list = Shortlist { entries, limit, spreads: search.column_spreads(), spread: *spread };
                *answer = vote.among(context, askers.all[asker], list);
            }
        }
    }
}
