//! Logistic regression, fitted to convergence.
//!
//! Two classes have one weight vector, more have one each (softmax). What is minimised is the sum of the log losses of the fitted points
//! plus l2/2 times the squared weights; intercepts go free. That is scikit-learn's `LogisticRegression` with `C = 1 / l2`. Classes without
//! fitted points take no part: their intercepts would have no minimum.
//!
//! The minimum is looked for from zero weights at every time step, so that a time step's answer is its own, in coordinates that make the
//! search short ([`bound`](super::bound)). It ends when no component of the gradient by weights and intercepts is beyond
//! [`GRADIENT_MAX`] for each fitted point, scikit-learn's rule; where that is out of reach (hardly a penalty on classes that are apart,
//! states of a size whose sums round by more) it ends after [`ITERATIONS_MAX`] steps, or when no step leads down any more, and the best
//! weights so far answer.

use pulp::Arch;

use super::bound::Bound;
use super::lbfgs::{Evaluation, Minimiser};
use super::log_loss::{Argmax, Buffers, LogLoss, Model};
use super::points::Points;

/// The largest component that the gradient may have at the minimum, for each fitted point.
const GRADIENT_MAX: f64 = 1e-6;
/// Steps of one search.
const ITERATIONS_MAX: usize = 1000;
/// No output, in the place of a class.
const ABSENT: u32 = u32::MAX;

/// Predicts by logistic regression, with all buffers that a time step takes.
#[derive(Debug)]
pub(super) struct Logistic {
    arch: Arch,
    l2: f64,
    /// Labels that fitted points have, ascending.
    present: Vec<u32>,
    /// The place of each label in `present`.
    place_of: Vec<u32>,
    /// The place of each fitted point's label.
    classes: Vec<u32>,
    bound: Bound,
    minimiser: Minimiser,
    buffers: Buffers,
    /// Weights and intercepts, `[output, stride]`.
    parameters: Vec<f64>,
}

impl Logistic {
    /// Predicts one of `classes`, with the penalty `l2`.
    pub fn new(l2: f64, classes: usize, arch: Arch) -> Logistic {
        Logistic {
            arch,
            l2,
            present: Vec::with_capacity(classes),
            place_of: vec![ABSENT; classes],
            classes: Vec::new(),
            bound: Bound::new(arch),
            minimiser: Minimiser::default(),
            buffers: Buffers::default(),
            parameters: Vec::new(),
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
        self.number_classes(fit.labels);
        predictions.clear();
        if self.present.len() < 2 {
            predictions.resize(queries.len(), self.present.first().copied().unwrap_or(0));
            return;
        }
        self.fit(states, hidden, fit);
        let model = Model { parameters: &self.parameters, stride: Bound::stride(hidden), states, hidden };
        self.arch.dispatch(Argmax { model, rows: queries.rows, buffers: &mut self.buffers, classes: predictions });
        predictions.iter_mut().for_each(|prediction| *prediction = self.present[*prediction as usize]);
    }

    fn number_classes(&mut self, labels: &[u32]) {
        self.place_of.fill(ABSENT);
        labels.iter().for_each(|label| self.place_of[*label as usize] = 0);
        self.present.clear();
        for (label, place) in self.place_of.iter_mut().enumerate().filter(|(_, place)| **place != ABSENT) {
            *place = self.present.len() as u32;
            self.present.push(label as u32);
        }
        self.classes.clear();
        self.classes.extend(labels.iter().map(|label| self.place_of[*label as usize]));
    }

    /// Finds the weights; returns how many steps it took.
    fn fit(&mut self, states: &[f32], hidden: usize, fit: Points<'_>) -> usize {
        let Logistic { arch, l2, classes, bound, minimiser, buffers, parameters, present, .. } = self;
        let (outputs, curvature) = if present.len() == 2 { (1, 0.25) } else { (present.len(), 0.5) };
        let stride = Bound::stride(hidden);
        bound.fit(states, hidden, fit, curvature, *l2);
        parameters.resize(outputs * stride, 0.0);
        let gradient_max = GRADIENT_MAX * fit.len().max(1) as f64;
        let steps = minimiser.minimise(outputs * stride, ITERATIONS_MAX, |coordinates, gradient| {
            bound.parameters(coordinates, parameters);
            gradient.fill(0.0);
            let model = Model { parameters, stride, states, hidden };
            let mut value = arch.dispatch(LogLoss { model, rows: fit.rows, classes, gradient, buffers });
            for (weights, gradient) in parameters.chunks_exact(stride).zip(gradient.chunks_exact_mut(stride)) {
                for (weight, gradient) in weights[..hidden].iter().zip(gradient) {
                    value += 0.5 * *l2 * weight * weight;
                    *gradient += *l2 * weight;
                }
            }
            let converged = gradient.iter().all(|component| component.abs() <= gradient_max);
            bound.turn(gradient);
            Evaluation { value, converged }
        });
        bound.parameters(minimiser.minimum(), parameters);
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINTS: usize = 120;
    const HIDDEN: usize = 7;

    /// Uniform numbers in [-1, 1).
    fn draw_states() -> Vec<f32> {
        let mut state = 1_u64;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..POINTS * HIDDEN).map(|_| draw()).collect()
    }

    /// Fits classes that take turns; returns the steps too.
    fn fit(states: &[f32], classes: u32, l2: f64, arch: Arch) -> (Logistic, usize) {
        let rows: Vec<usize> = (0..POINTS).collect();
        let labels: Vec<u32> = rows.iter().map(|row| *row as u32 % classes).collect();
        let mut logistic = Logistic::new(l2, classes as usize, arch);
        logistic.number_classes(&labels);
        let steps = logistic.fit(states, HIDDEN, Points { rows: &rows, labels: &labels, origins: &rows });
        (logistic, steps)
    }

    /// Predictions would show a search that ends too early only where points are near the border; this looks at the gradient itself,
    /// computed the plain way.
    #[test]
    fn at_the_end_the_gradient_vanishes_after_few_steps() {
        for (classes, l2) in [(2_u32, 1.0), (2, 1e-3), (3, 1.0), (6, 0.1)] {
            let states = draw_states();
            let (logistic, steps) = fit(&states, classes, l2, Arch::new());
            assert!((1..60).contains(&steps), "{steps} steps");
            let stride = Bound::stride(HIDDEN);
            let outputs: Vec<&[f64]> = logistic.parameters.chunks_exact(stride).collect();
            let mut gradient = vec![[0.0; HIDDEN + 1]; outputs.len()];
            for (point, state) in states.chunks_exact(HIDDEN).enumerate() {
                let output = |parameters: &&[f64]| {
                    let weighted = parameters.iter().zip(state).map(|(weight, value)| weight * f64::from(*value));
                    (weighted.sum::<f64>() + parameters[HIDDEN]).exp()
                };
                let odds: Vec<f64> = outputs.iter().map(output).collect();
                let total = odds.iter().sum::<f64>() + if classes == 2 { 1.0 } else { 0.0 };
                for (place, gradient) in gradient.iter_mut().enumerate() {
                    let class = if classes == 2 { 1 } else { place };
                    let residual = odds[place] / total - if point % classes as usize == class { 1.0 } else { 0.0 };
                    gradient.iter_mut().zip(state).for_each(|(sum, value)| *sum += residual * f64::from(*value));
                    gradient[HIDDEN] += residual;
                }
            }
            for (gradient, parameters) in gradient.iter_mut().zip(outputs) {
                gradient.iter_mut().zip(&parameters[..HIDDEN]).for_each(|(sum, weight)| *sum += l2 * weight);
                let largest = gradient.iter().fold(0.0_f64, |largest, component| largest.max(component.abs()));
                assert!(largest <= 1.001 * GRADIENT_MAX * POINTS as f64, "{classes} classes: {largest}");
            }
        }
    }

    #[test]
    fn weights_have_the_same_bits_whatever_the_instruction_set() {
        let states = draw_states();
        for classes in [2, 3] {
            let weights = |arch| fit(&states, classes, 0.5, arch).0.parameters;
            assert_eq!(weights(Arch::new()), weights(Arch::Scalar));
        }
    }

    #[test]
    fn the_search_ends_where_there_is_no_minimum_and_where_states_are_not_numbers() {
        // Classes that a plane separates, without a penalty: the weights grow for ever.
        let mut states = draw_states();
        states.chunks_exact_mut(HIDDEN).enumerate().for_each(|(point, state)| state[0] = (point % 3) as f32);
        for (classes, l2) in [(2, 0.0), (3, 0.0), (3, 1e-12)] {
            assert!(fit(&states, classes, l2, Arch::new()).1 <= ITERATIONS_MAX);
        }
        for value in [f32::NAN, f32::INFINITY, f32::MAX, 1e30, f32::MIN_POSITIVE] {
            let mut states = draw_states();
            states[5] = value;
            assert!(fit(&states, 3, 1.0, Arch::new()).1 <= ITERATIONS_MAX);
            states.fill(value);
            assert!(fit(&states, 2, 1.0, Arch::new()).1 <= ITERATIONS_MAX);
        }
    }
}
