//! The vote of an asker's k nearest points, with no more measured than the vote depends on.

use pulp::Arch;

use super::askers::Asker;
use super::distinct::Distinct;
use super::fitted::Fitted;
use super::nearest::{Measure, Nearest};
use super::shells::Shells;
use super::shortlists::Entry;

/// What a vote needs to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    /// The instruction set.
    pub arch: Arch,
    /// One time step's states, `[row, hidden]`.
    pub states: &'a [f32],
    /// Hidden units.
    pub hidden: usize,
    /// The distinct ones among them.
    pub distinct: &'a Distinct,
    /// The points that vote.
    pub fitted: Fitted<'a>,
}

impl<'a> Context<'a> {
    /// A distinct state, `[hidden]`.
    #[inline(always)]
    pub fn state(&self, number: usize) -> &'a [f32] {
        &self.states[self.distinct.row(number) * self.hidden..][..self.hidden]
    }
}

/// A shortlist as it stands after the whole search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shortlist<'a> {
    /// The states on it.
    pub entries: &'a [Entry],
    /// What lies above is no neighbour.
    pub limit: f32,
    /// The spread of the asked state.
    pub spread: f32,
}

/// Counts votes; holds the buffers that this takes.
#[derive(Debug, Default)]
pub(super) struct Vote {
    /// Votes of each class.
    certain: Vec<u32>,
    /// Points of each class that may or may not be among the k nearest.
    possible: Vec<u32>,
    /// What the shortlist does not rule out, by the bound from below; then what is unsure of it.
    entries: Vec<Entry>,
    /// The nearest of those that were measured.
    nearest: Nearest,
    /// Rows of the last asker's neighbours.
    near: Vec<u32>,
}

impl Vote {
    /// Counts votes of so many classes.
    pub fn new(classes: usize) -> Vote {
        Vote { certain: vec![0; classes], possible: vec![0; classes], ..Vote::default() }
    }

    /// Rows of the last asker's neighbours, or of states about as near.
    pub fn near(&self) -> impl Iterator<Item = usize> {
        self.near.iter().map(|row| *row as usize)
    }

    /// The answer when the k nearest are on a shortlist.
    pub fn among(&mut self, context: Context<'_>, asker: Asker, list: Shortlist<'_>) -> u32 {
        let open_seats = self.seat_certain(context, asker, list);
        if let Some(winner) = self.winner_whoever_is_seated(open_seats) {
            return winner;
        }
        self.nearest.clear(open_seats as usize);
        let fitted = self.entries.iter().map(|entry| entry.state as usize);
        context.arch.dispatch(Measure { context, asker, fitted, nearest: &mut self.nearest });
        self.seat_nearest(context.fitted);
        self.winner()
    }

    /// The answer when states around a centre may be near, or any.
    pub fn among_shells(&mut self, context: Context<'_>, asker: Asker, shells: &Shells) -> u32 {
        self.nearest.clear(context.fitted.k);
        if !shells.search(context, asker, &mut self.nearest) {
            return self.among_all(context, asker);
        }
        self.winner_of_nearest(context.fitted)
    }

    /// The answer when any fitted state may be near: all are measured.
    pub fn among_all(&mut self, context: Context<'_>, asker: Asker) -> u32 {
        self.nearest.clear(context.fitted.k);
        let fitted = 0..context.fitted.states;
        context.arch.dispatch(Measure { context, asker, fitted, nearest: &mut self.nearest });
        self.winner_of_nearest(context.fitted)
    }

    /// The answer when the k nearest have been measured.
    fn winner_of_nearest(&mut self, fitted: Fitted<'_>) -> u32 {
        self.near.clear();
        self.near.extend(self.nearest.points().map(|point| fitted.points.rows[point] as u32));
        self.certain.fill(0);
        self.seat_nearest(fitted);
        self.winner()
    }

    /// Counts the votes of those that are among the k nearest by the bounds alone; leaves the unsure ones in `entries` and `possible`.
    /// Returns how many of the unsure ones vote too.
    fn seat_certain(&mut self, context: Context<'_>, asker: Asker, list: Shortlist<'_>) -> u32 {
        let fitted = context.fitted;
        self.certain.fill(0);
        self.possible.fill(0);
        self.entries.clear();
        self.entries.extend(list.entries.iter().filter(|entry| entry.low <= list.limit));
        self.entries.sort_unstable_by(|a, b| a.low.total_cmp(&b.low));
        let nearest = self.entries.iter().take(fitted.k);
        self.near.clear();
        self.near.extend(nearest.map(|entry| context.distinct.row(entry.state as usize) as u32));
        // The first state with which the points are more than k: what is surely nearer than it is surely among the k nearest.
        let mut points = 0;
        let surplus = self.entries.iter().find(|entry| {
            points += fitted.weight(entry.state as usize, asker.excluded);
            points > fitted.k
        });
        let surplus = surplus.map(|entry| entry.low);
        let mut open_seats = fitted.k as u32;
        let (certain, possible) = (&mut self.certain, &mut self.possible);
        self.entries.retain(|entry| {
            let state = entry.state as usize;
            let sure = surplus.is_none_or(|surplus| entry.high + list.spread < surplus);
            for point in fitted.admitted(state, asker.excluded) {
                let class = fitted.points.labels[point] as usize;
                if sure {
                    certain[class] += 1;
                    open_seats -= 1;
                } else {
                    possible[class] += 1;
                }
            }
            !sure
        });
        open_seats.min(self.possible.iter().sum())
    }

    /// The winner, if it is the same whoever of the possible points gets the open seats.
    fn winner_whoever_is_seated(&self, open_seats: u32) -> Option<u32> {
        if open_seats == 0 {
            return Some(self.winner());
        }
        let possible: u32 = self.possible.iter().sum();
        let votes = || self.certain.iter().zip(&self.possible).zip(0_u32..);
        let least = |certain: u32, own: u32| certain + open_seats.saturating_sub(possible - own);
        let mut winner = (0, 0);
        for ((certain, own), class) in votes() {
            let least = least(*certain, *own);
            if least > winner.0 {
                winner = (least, class);
            }
        }
        let beaten = |certain: u32, own: u32, class: u32| {
            let most = certain + own.min(open_seats);
            winner.0 > most || (winner.0 == most && winner.1 < class)
        };
        votes().all(|((certain, own), class)| class == winner.1 || beaten(*certain, *own, class)).then_some(winner.1)
    }

    /// Gives the open seats to the nearest.
    fn seat_nearest(&mut self, fitted: Fitted<'_>) {
        for point in self.nearest.points() {
            self.certain[fitted.points.labels[point] as usize] += 1;
        }
    }

    /// The class with the most votes, the smallest of several.
    fn winner(&self) -> u32 {
        let mut winner = (0, 0);
        for (votes, class) in self.certain.iter().zip(0_u32..) {
            if *votes > winner.0 {
                winner = (*votes, class);
            }
        }
        winner.1
    }
}
