//! States around a centre, by their distance from it. By the triangle inequality two states are at least as far from one another as
//! their distances from the centre differ, so whoever asks need only look at shells as near to its own as its nearest neighbours are
//! to itself. Padded steps approach a fixed point exponentially: around it, shells are thin.

use pulp::{Simd, WithSimd};

use super::askers::Asker;
use super::nearest::{Nearest, squared_distance};
use super::vote::Context;

/// States within a radius of a centre.
#[derive(Debug, Default)]
pub(super) struct Shells {
    centre: Vec<f32>,
    radius: f64,
    /// Distances from the centre and states, ascending.
    shells: Vec<(f64, u32)>,
}

impl Shells {
    /// Finds the fitted states within a radius of a centre.
    pub fn find(&mut self, context: Context<'_>, centre: &[f32], radius: f64) {
        self.centre.clear();
        self.centre.extend_from_slice(centre);
        self.radius = radius;
        self.shells.clear();
        context.arch.dispatch(Find { shells: self, context });
        self.shells.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    }

    /// The states, those nearest to the centre first.
    pub fn states(&self) -> impl ExactSizeIterator<Item = u32> {
        self.shells.iter().map(|(_, state)| *state)
    }

    /// Offers an asker the points of all states that may be among its nearest. `false` if some may lie beyond the radius.
    pub fn search(&self, context: Context<'_>, asker: Asker, nearest: &mut Nearest) -> bool {
        context.arch.dispatch(Outwards { shells: self, context, asker, nearest })
    }
}

/// The vectorised part of [`Shells::find`].
struct Find<'a> {
    shells: &'a mut Shells,
    context: Context<'a>,
}

impl WithSimd for Find<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Shells { centre, radius, shells } = self.shells;
        for state in 0..self.context.fitted.states {
            let distance = squared_distance(centre, self.context.state(state)).sqrt();
            if distance <= *radius {
                shells.push((distance, state as u32));
            }
        }
    }
}

/// Goes from an asker's own shell outwards and inwards.
struct Outwards<'a> {
    shells: &'a Shells,
    context: Context<'a>,
    asker: Asker,
    nearest: &'a mut Nearest,
}

impl WithSimd for Outwards<'_> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> bool {
        let Outwards { shells: Shells { centre, radius, shells }, context, asker, nearest } = self;
        let own = context.state(asker.state as usize);
        let here = squared_distance(own, centre).sqrt();
        let mut inner = shells.partition_point(|(distance, _)| *distance < here);
        let mut outer = inner;
        loop {
            let inwards = if inner > 0 { here - shells[inner - 1].0 } else { f64::INFINITY };
            let outwards = shells.get(outer).map_or(*radius, |(distance, _)| *distance) - here;
            if is_further(inwards.min(outwards), here, context.hidden, nearest.furthest()) {
                return true;
            }
            let place = if inwards < outwards {
                inner -= 1;
                inner
            } else if outer < shells.len() {
                outer += 1;
                outer - 1
            } else {
                return false;
            };
            let state = shells[place].1 as usize;
            let distance = squared_distance(own, context.state(state));
            context.fitted.admitted(state, asker.excluded).for_each(|point| nearest.offer(distance, point));
        }
    }
}

/// Whether a state whose distance from the centre differs by `gap` from an asker's, `here`, would surely be measured as further than a
/// squared distance. A distance in f64 is off by less than a share of `hidden` ε, and so is what is measured.
#[inline(always)]
fn is_further(gap: f64, here: f64, hidden: usize, squared: f64) -> bool {
    let unsure = 2.0 * (hidden as f64 + 8.0) * f64::EPSILON;
    let gap = gap - unsure * (2.0 * here + gap);
    gap > 0.0 && gap * gap * (1.0 - unsure) > squared
}
