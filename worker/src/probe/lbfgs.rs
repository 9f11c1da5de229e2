//! Minimising a smooth convex function: L-BFGS (Nocedal and Wright 2006, section 7.2) with backtracking.

use super::sums::{add_scaled, dot};

/// Steps whose curvature is remembered.
const MEMORY: usize = 10;
/// The share of the decrease that the slope promises with which a step is content (Armijo's condition).
const DECREASE: f64 = 1e-4;
/// Relative differences between values of the function that are rounding and nothing else.
const ROUNDING: f64 = 1e-13;
/// How often one step may be shortened.
const SHORTENED_MAX: usize = 40;

/// A point, the function's value there, and its gradient.
#[derive(Debug, Default)]
struct Place {
    point: Vec<f64>,
    gradient: Vec<f64>,
    value: f64,
}

/// Minimises, with all buffers that this takes.
#[derive(Debug, Default)]
pub(super) struct Minimiser {
    here: Place,
    next: Place,
    direction: Vec<f64>,
    /// The last steps and the changes of the gradient along them, `[MEMORY, size]`, in a ring.
    steps: Vec<f64>,
    changes: Vec<f64>,
    /// The products of each step with its change.
    curvatures: [f64; MEMORY],
    /// How many steps are remembered, and how many there were since the memory was emptied.
    remembered: usize,
    taken: usize,
}

/// The function's value at a point, and whether its gradient, which is written to the slice, is small enough there.
pub(super) struct Evaluation {
    /// The value.
    pub value: f64,
    /// Whether the point is as good as the minimum.
    pub converged: bool,
}

impl Minimiser {
    /// Looks for the minimum from 0 on, for `iterations_max` steps at most. The best point so far is the result, whatever ends the search:
    /// convergence, the last step, a value that is not finite, or that no step along the slope decreases the function any more, which is
    /// where rounding ends all progress. How many steps were taken is returned.
    pub fn minimise(
        &mut self,
        size: usize,
        iterations_max: usize,
        mut evaluate: impl FnMut(&[f64], &mut [f64]) -> Evaluation,
    ) -> usize {
        for numbers in [
            &mut self.here.point,
            &mut self.here.gradient,
            &mut self.next.point,
            &mut self.next.gradient,
            &mut self.direction,
        ] {
            numbers.clear();
            numbers.resize(size, 0.0);
        }
        self.steps.resize(MEMORY * size, 0.0);
        self.changes.resize(MEMORY * size, 0.0);
        (self.remembered, self.taken) = (0, 0);
        let first = evaluate(&self.here.point, &mut self.here.gradient);
        self.here.value = first.value;
        if first.converged {
            return 0;
        }
        for iteration in 0..iterations_max {
            self.aim();
            let mut slope = dot(&self.direction, &self.here.gradient);
            if slope >= 0.0 {
                self.remembered = 0;
                self.aim();
                slope = dot(&self.direction, &self.here.gradient);
            }
            let leads_down = slope < 0.0 && slope.is_finite() && self.here.value.is_finite();
            if !leads_down {
                return iteration;
            }
            match self.step(slope, &mut evaluate) {
                Some(true) => return iteration + 1,
                Some(false) => {}
                None if self.remembered > 0 => self.remembered = 0,
                None => return iteration,
            }
        }
        iterations_max
    }

    /// Where the search ended.
    pub fn minimum(&self) -> &[f64] {
        &self.here.point
    }

    /// Sets the direction: the gradient, turned by the curvature that is remembered.
    fn aim(&mut self) {
        let size = self.direction.len();
        let direction = &mut self.direction;
        direction.iter_mut().zip(&self.here.gradient).for_each(|(direction, gradient)| *direction = -gradient);
        let slots = (self.taken - self.remembered..self.taken).map(|step| step % MEMORY);
        let mut shares = [0.0; MEMORY];
        for slot in slots.clone().rev() {
            let (step, change) = (&self.steps[slot * size..][..size], &self.changes[slot * size..][..size]);
            shares[slot] = dot(step, direction) / self.curvatures[slot];
            add_scaled(direction, -shares[slot], change);
        }
        if let Some(last) = slots.clone().next_back() {
            let change = &self.changes[last * size..][..size];
            let scale = self.curvatures[last] / dot(change, change);
            direction.iter_mut().for_each(|value| *value *= scale);
        }
        for slot in slots {
            let (step, change) = (&self.steps[slot * size..][..size], &self.changes[slot * size..][..size]);
            let share = dot(change, direction) / self.curvatures[slot];
            add_scaled(direction, shares[slot] - share, step);
        }
    }

    /// Goes along the direction, as far as the function decreases well. `None` if it does not at all, else whether it converged.
    fn step(&mut self, slope: f64, evaluate: &mut impl FnMut(&[f64], &mut [f64]) -> Evaluation) -> Option<bool> {
        let mut length = 1.0;
        for _ in 0..SHORTENED_MAX {
            self.next.point.copy_from_slice(&self.here.point);
            add_scaled(&mut self.next.point, length, &self.direction);
            let Evaluation { value, converged } = evaluate(&self.next.point, &mut self.next.gradient);
            self.next.value = value;
            let difference = value - self.here.value;
            if difference <= DECREASE * length * slope + ROUNDING * self.here.value.abs() {
                self.remember();
                std::mem::swap(&mut self.here, &mut self.next);
                return Some(converged);
            }
            // The minimum of the parabola through what is known, within reason.
            let shorter = -0.5 * slope * length * length / (difference - slope * length);
            length = if shorter.is_finite() { shorter.clamp(0.1 * length, 0.5 * length) } else { 0.5 * length };
        }
        None
    }

    /// Takes the last step into the memory.
    fn remember(&mut self) {
        let size = self.direction.len();
        let slot = self.taken % MEMORY;
        let (step, change) = (&mut self.steps[slot * size..][..size], &mut self.changes[slot * size..][..size]);
        for i in 0..size {
            step[i] = self.next.point[i] - self.here.point[i];
            change[i] = self.next.gradient[i] - self.here.gradient[i];
        }
        self.curvatures[slot] = dot(step, change);
        // Of a convex function it is positive; where rounding has it otherwise, the step teaches nothing.
        if self.curvatures[slot] > f64::EPSILON * dot(change, change) {
            self.taken += 1;
            self.remembered = (self.remembered + 1).min(MEMORY);
        }
    }
}
