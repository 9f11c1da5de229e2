//! Askers near more states than the first search could tell apart. If that was by bfloat16, they are searched again by f32.
//!
//! Who is left is taken group by group: one of them, and all others much nearer to it than to the middle of all states. Around a member of
//! their own, numbers are small and so is their rounding: a second search there, among the states of the surroundings alone, answers
//! most. Who is left, or may have neighbours beyond the surroundings, is measured in f64, shell by shell, or against all states.

use super::askers::{Askers, Place};
use super::centred::Precision;
use super::hints::Hints;
use super::search::Search;
use super::shells::Shells;
use super::vote::{Context, Vote};

/// How much nearer, in squared distance, askers must be to one of theirs than to the middle of all to be searched again around it.
const NEARER: f32 = 64.0;
/// The radius of the surroundings, in distances of the group's furthest asker from the centre: neighbours of an asker within the group
/// lie within 1 + 2.
const SURROUNDINGS: f64 = 3.0;
/// Askers from which another search pays; fewer are measured against all.
const SEARCHED_AGAIN: usize = 3;

/// The crowded askers, with the buffers that they take.
#[derive(Debug, Default)]
pub(super) struct Crowded {
    /// Who is not answered yet, as places of one asker each.
    places: Vec<Place>,
    /// Those who are near one another.
    group: Vec<Place>,
    /// Where the first search looked from, `[hidden]`.
    middle: Vec<f32>,
    shells: Shells,
    surroundings: Vec<u32>,
}

impl Crowded {
    /// Answers all askers whose shortlists the first search gave up; says how many they were.
    pub fn answer(
        &mut self,
        context: Context<'_>,
        askers: &Askers,
        search: &mut Search,
        hints: &mut Hints,
        vote: &mut Vote,
        answers: &mut [u32],
    ) -> usize {
        self.find(askers, search);
        let crowded = self.places.len();
        if crowded > 0 && search.precision == Precision::Half {
            search.precision = Precision::Single;
            search.one_way(context, askers, &self.places, hints);
            for (row, place) in self.places.iter().enumerate() {
                let (number, asker) = (place.first as usize, askers.all[place.first as usize]);
                if let Some(list) = search.shortlist(row, number) {
                    answers[number] = vote.among(context, asker, list);
                    hints.note(context, asker, vote.near());
                }
            }
            self.find(askers, search);
        }
        self.middle.clone_from(&search.centre);
        while let Some(first) = self.places.first() {
            let centre = context.state(first.state as usize);
            let radius = SURROUNDINGS * self.gather(context, centre);
            if self.group.len() < SEARCHED_AGAIN {
                for place in &self.group {
                    let asker = askers.all[place.first as usize];
                    answers[place.first as usize] = vote.among_all(context, asker);
                    hints.note(context, asker, vote.near());
                }
                continue;
            }
            self.shells.find(context, centre, radius);
            search.centre.clear();
            search.centre.extend_from_slice(centre);
            self.surroundings.clear();
            self.surroundings.extend(self.shells.states());
            search.among(context, askers, &self.group, hints, &self.surroundings);
            for (row, place) in self.group.iter().enumerate() {
                let (number, asker) = (place.first as usize, askers.all[place.first as usize]);
                let is_within = search.reach(row, number) <= radius;
                let list = search.shortlist(row, number).filter(|_| is_within);
                answers[number] = match list {
                    Some(list) => vote.among(context, asker, list),
                    None => vote.among_shells(context, asker, &self.shells),
                };
                hints.note(context, asker, vote.near());
            }
        }
        crowded
    }

    /// Finds the askers whose shortlists were given up.
    fn find(&mut self, askers: &Askers, search: &Search) {
        self.places.clear();
        for place in &askers.places {
            let each = (place.first..place.end).map(|first| Place { state: place.state, first, end: first + 1 });
            self.places.extend(each.filter(|place| search.shortlists.entries(place.first as usize).is_none()));
        }
    }

    /// Moves the first asker and those near to it into the group; returns the largest distance from the first.
    fn gather(&mut self, context: Context<'_>, centre: &[f32]) -> f64 {
        let near = squared_distance(centre, &self.middle) / NEARER;
        let (group, mut furthest, mut is_first) = (&mut self.group, 0.0_f32, true);
        group.clear();
        self.places.retain(|place| {
            let distance = squared_distance(context.state(place.state as usize), centre);
            let joins = std::mem::take(&mut is_first) || distance <= near;
            if joins {
                group.push(*place);
                furthest = furthest.max(distance);
            }
            !joins
        });
        f64::from(furthest).sqrt()
    }
}

/// About how far two states are from one another, squared.
fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}
