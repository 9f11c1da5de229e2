//! Exact k nearest neighbours (method.md 2.6): Euclidean, uniform weights, ties in distance to the lower sample index, ties in
//! votes to the lower class.
//!
//! Distances between all pairs come from matrix products in f32, or in bfloat16 where it is at hand, which are fast but rounded. So the
//! products only select: every state that could still be among the k nearest by a bound on the rounding ([`centred`](super::centred)) goes
//! to a shortlist, and where the vote depends on it, is measured again in f64. States that coincide to the bit are one
//! ([`distinct`](super::distinct)). Where the fitted points are themselves asked about, each product serves both ways, so that half the
//! matrix is enough.
//!
//! Where many states are nearer to one another than the rounding can tell, such as padded steps that approach a fixed point, shortlists
//! overflow; those askers are searched again from nearer by ([`crowded`](super::crowded)).

use pulp::Arch;

use super::askers::Askers;
use super::centred::{self, Precision};
use super::crowded::Crowded;
use super::distinct::Distinct;
use super::fitted::Fitted;
use super::groups::Groups;
use super::hints::Hints;
use super::points::{Exclude, Points};
use super::search::Search;
use super::vote::{Context, Vote};

/// Hidden units from which the first search is by bfloat16: with fewer, going through the products costs more than making them.
const HALF_FROM: usize = 128;
/// If more than one asker in so many is crowded, f32 is the better start for the time steps that follow.
const CROWD: usize = 8;

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
    search: Search,
    crowded: Crowded,
    hints: Hints,
    /// Whether too many could not be answered by bfloat16 at a time step before.
    has_met_crowds: bool,
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
            search: Search::new(arch),
            crowded: Crowded::default(),
            hints: Hints::default(),
            has_met_crowds: false,
        }
    }

    /// A new sequence of time steps begins.
    pub fn begin(&mut self) {
        self.has_met_crowds = false;
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
        self.hints.prepare(states.len() / hidden, self.k);
        self.answers.clear();
        self.answers.resize(self.askers.all.len(), 0);
        predictions.clear();
        if fitted > 0 && self.k > 0 {
            let fitted = Fitted { points: fit, members: &self.members, states: fitted, k: self.k };
            let context = Context { arch, states, hidden, distinct: &self.distinct, fitted };
            let is_coarse = hidden >= HALF_FROM && !self.has_met_crowds;
            self.search.precision = if is_coarse { Precision::Half } else { Precision::Single };
            let crowded = answer(
                context,
                &self.askers,
                &mut self.search,
                &mut self.crowded,
                &mut self.hints,
                &mut self.vote,
                &mut self.answers,
            );
            self.has_met_crowds |= CROWD * crowded > self.answers.len();
        }
        predictions.extend(self.askers.of_query.iter().map(|asker| self.answers[*asker as usize]));
    }
}

/// Answers all askers; says how many the first search could not.
fn answer(
    context: Context<'_>,
    askers: &Askers,
    search: &mut Search,
    crowded: &mut Crowded,
    hints: &mut Hints,
    vote: &mut Vote,
    answers: &mut [u32],
) -> usize {
    let fitted = context.fitted;
    search.shortlists.reset(askers.all.len(), fitted.k, fitted.states);
    centred::mean(context, &mut search.centre);
    if askers.places.len() == fitted.states && context.distinct.len() == fitted.states {
        search.both_ways(context, askers, hints);
    } else {
        search.one_way(context, askers, &askers.places, hints);
    }
    for (row, place) in askers.places.iter().enumerate() {
        let here = place.first as usize..place.end as usize;
        for (number, answer) in here.clone().zip(&mut answers[here]) {
            if let Some(list) = search.shortlist(row, number) {
                let asker = askers.all[number];
                *answer = vote.among(context, asker, list);
                hints.note(context, asker, vote.near());
            }
        }
    }
    crowded.answer(context, askers, search, hints, vote, answers)
}
