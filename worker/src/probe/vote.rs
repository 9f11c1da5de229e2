//! The vote of an asker's k nearest points, with no more measured than the vote depends on.

use pulp::{Arch, Simd, WithSimd};

use super::askers::Asker;
use super::distinct::Distinct;
use super::fitted::Fitted;
use super::shortlists::Entry;

/// Numbers of a row that are summed side by side; fixed, so that a distance has the same bits on every machine.
const LANES: usize = 8;

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

/// A shortlist as it stands after the whole search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shortlist<'a> {
    /// The states on it.
    pub entries: &'a [Entry],
    /// What lies above is no neighbour.
    pub limit: f32,
    /// The spread of each fitted state.
    pub spreads: &'a [f32],
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
    /// Points that may be among the k nearest, with their exact squared distances.
    measured: Vec<(f64, u32)>,
}

impl Vote {
    /// Counts votes of so many classes.
    pub fn new(classes: usize) -> Vote {
        Vote { certain: vec![0; classes], possible: vec![0; classes], ..Vote::default() }
    }

    /// The answer when the k nearest are on a shortlist.
    pub fn among(&mut self, context: Context<'_>, asker: Asker, list: Shortlist<'_>) -> u32 {
        let open_seats = self.seat_certain(context.fitted, asker, list);
        if let Some(winner) = self.winner_whoever_is_seated(open_seats) {
            return winner;
        }
        self.measured.clear();
        for place in 0..self.entries.len() {
            self.measure(context, asker, self.entries[place].state as usize);
        }
        self.seat_nearest(context.fitted, open_seats as usize);
        self.winner()
    }

    /// The answer when any fitted state may be near: all are measured.
    pub fn among_all(&mut self, context: Context<'_>, asker: Asker) -> u32 {
        self.certain.fill(0);
        self.measured.clear();
        for state in 0..context.fitted.states {
            self.measure(context, asker, state);
        }
        self.seat_nearest(context.fitted, context.fitted.k);
        self.winner()
    }

    /// Counts the votes of those that are among the k nearest by the bounds alone; leaves the unsure ones in `entries` and `possible`.
    /// Returns how many of the unsure ones vote too.
    fn seat_certain(&mut self, fitted: Fitted<'_>, asker: Asker, list: Shortlist<'_>) -> u32 {
        self.certain.fill(0);
        self.possible.fill(0);
        self.entries.clear();
        self.entries.extend(list.entries.iter().filter(|entry| entry.low <= list.limit));
        self.entries.sort_unstable_by(|a, b| a.low.total_cmp(&b.low));
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
            let sure = surplus.is_none_or(|surplus| entry.low + list.spreads[state] + list.spread < surplus);
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

    /// Measures the distance to a fitted state, for each of its points that may vote.
    fn measure(&mut self, context: Context<'_>, asker: Asker, state: usize) {
        let row = |state: usize| &context.states[context.distinct.row(state) * context.hidden..][..context.hidden];
        let (a, b) = (row(asker.state as usize), row(state));
        let distance = context.arch.dispatch(SquaredDistance(a, b));
        // What is not a number is as far as can be.
        let distance = if distance.is_nan() { f64::INFINITY } else { distance };
        let points = context.fitted.admitted(state, asker.excluded);
        self.measured.extend(points.map(|point| (distance, point as u32)));
    }

    /// Counts the votes of the nearest of the measured points; of equally near ones the lower sample index goes first.
    fn seat_nearest(&mut self, fitted: Fitted<'_>, seats: usize) {
        if seats < self.measured.len() {
            let nearer = |a: &(f64, u32), b: &(f64, u32)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
            self.measured.select_nth_unstable_by(seats, nearer);
        }
        for (_, point) in self.measured.iter().take(seats) {
            self.certain[fitted.points.labels[*point as usize] as usize] += 1;
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

/// The squared Euclidean distance of two states, in f64.
struct SquaredDistance<'a>(&'a [f32], &'a [f32]);

impl WithSimd for SquaredDistance<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        let ((a, a_rest), (b, b_rest)) = (self.0.as_chunks::<LANES>(), self.1.as_chunks::<LANES>());
        let mut sums = [0.0_f64; LANES];
        for (a, b) in a.iter().zip(b) {
            for lane in 0..LANES {
                let difference = f64::from(a[lane]) - f64::from(b[lane]);
                sums[lane] += difference * difference;
            }
        }
        let rest = a_rest.iter().zip(b_rest).map(|(a, b)| f64::from(*a) - f64::from(*b));
        sums.iter().sum::<f64>() + rest.map(|difference| difference * difference).sum::<f64>()
    }
}
