//! Distances in f64, and the nearest of all that were measured: the exact part of the search.

use pulp::{Simd, WithSimd};

use super::askers::Asker;
use super::vote::Context;

/// Numbers of a row that are summed side by side; fixed, so that a distance has the same bits on every machine.
const LANES: usize = 8;

/// The nearest points of those that were offered; of equally near ones those with the lower sample index.
#[derive(Debug, Default)]
pub(super) struct Nearest {
    seats: usize,
    /// Squared distances and points, ascending.
    points: Vec<(f64, u32)>,
}

impl Nearest {
    /// Forgets all; keeps as many points as there are `seats` from now on.
    pub fn clear(&mut self, seats: usize) {
        self.seats = seats;
        self.points.clear();
    }

    /// The points.
    pub fn points(&self) -> impl Iterator<Item = usize> {
        self.points.iter().map(|(_, point)| *point as usize)
    }

    /// The largest squared distance of the points, +∞ while there are fewer than seats.
    #[inline(always)]
    pub fn furthest(&self) -> f64 {
        if self.points.len() < self.seats { f64::INFINITY } else { self.points.last().map_or(0.0, |last| last.0) }
    }

    /// Offers a point at a squared distance.
    #[inline(always)]
    pub fn offer(&mut self, distance: f64, point: usize) {
        if distance <= self.furthest() {
            self.insert(distance, point as u32);
        }
    }

    fn insert(&mut self, distance: f64, point: u32) {
        let place = self.points.partition_point(|nearer| *nearer < (distance, point));
        if place < self.seats {
            self.points.truncate(self.seats - 1);
            self.points.insert(place, (distance, point));
        }
    }
}

/// Measures an asker's distance to some fitted states and offers their points, as far as they may vote.
pub(super) struct Measure<'a, I> {
    /// Where they lie.
    pub context: Context<'a>,
    /// Who asks.
    pub asker: Asker,
    /// The fitted states.
    pub fitted: I,
    /// Who is offered them.
    pub nearest: &'a mut Nearest,
}

impl<I: Iterator<Item = usize>> WithSimd for Measure<'_, I> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let own = self.context.state(self.asker.state as usize);
        for state in self.fitted {
            let distance = squared_distance(own, self.context.state(state));
            let points = self.context.fitted.admitted(state, self.asker.excluded);
            points.for_each(|point| self.nearest.offer(distance, point));
        }
    }
}

/// The squared Euclidean distance of two states; what is not a number is as far as can be. Vectorised for the instruction set of the
/// function that it becomes a part of.
#[inline(always)]
pub(super) fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0_f64; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            let difference = f64::from(a[lane]) - f64::from(b[lane]);
            sums[lane] += difference * difference;
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| f64::from(*a) - f64::from(*b));
    let distance = sums.iter().sum::<f64>() + rest.map(|difference| difference * difference).sum::<f64>();
    if distance.is_nan() { f64::INFINITY } else { distance }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_stay_and_of_equally_near_ones_the_lower_index() {
        let mut nearest = Nearest::default();
        nearest.clear(3);
        for (distance, point) in [(2.0, 5), (1.0, 9), (2.0, 7)] {
            assert_eq!(nearest.furthest(), f64::INFINITY);
            nearest.offer(distance, point);
        }
        assert_eq!(nearest.furthest(), 2.0);
        nearest.offer(2.0, 6);
        nearest.offer(f64::INFINITY, 0);
        nearest.offer(1.0, 8);
        assert_eq!(nearest.points().collect::<Vec<_>>(), [8, 9, 5]);
    }

    #[test]
    fn without_seats_nobody_is_near() {
        let mut nearest = Nearest::default();
        nearest.clear(0);
        nearest.offer(0.0, 1);
        assert_eq!(nearest.points().count(), 0);
    }

    #[test]
    fn distances_are_those_of_pythagoras() {
        let a: Vec<f32> = (0..19).map(|i| i as f32).collect();
        let b: Vec<f32> = a.iter().map(|value| value + 2.0).collect();
        assert_eq!(squared_distance(&a, &b), 76.0);
        assert_eq!(squared_distance(&a, &[f32::NAN; 19]), f64::INFINITY);
    }
}
