//! The probe as training uses it: fitted and asked anew at every time step.

use pulp::Arch;
use rayon::prelude::*;

use super::knn::Knn;
use super::logistic::Logistic;
use super::nearest_mean::NearestMean;
use super::points::{Exclude, Points};
use super::states::States;

/// Which simple classifier reads the states.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Classifier {
    /// The vote of the nearest points, by Euclidean distance.
    Knn {
        /// How many vote; fewer where there are fewer points.
        k: usize,
    },
    /// The class whose mean is nearest.
    NearestMean,
    /// Logistic regression.
    Logistic {
        /// The penalty: half of it times the squared weights is added to the sum of the log losses.
        l2: f64,
    },
}

/// Probes states, with all buffers that this takes. They only grow: on one thread, nothing is allocated once they have met the largest
/// sizes, and the most states too near to one another to be told apart at once.
#[derive(Debug)]
pub struct Prober {
    /// One for each thread.
    desks: Vec<Desk>,
}

/// What one thread probes with.
#[derive(Debug)]
struct Desk {
    method: Method,
    predictions: Vec<u32>,
    /// Accuracy at the time steps that fell to this thread.
    accuracies: Vec<f64>,
}

#[derive(Debug)]
enum Method {
    Knn(Box<Knn>),
    NearestMean(NearestMean),
    Logistic(Box<Logistic>),
}

impl Prober {
    /// A probe for labels below `classes`. More than one thread are those of the rayon pool it is called in.
    ///
    /// # Panics
    /// If a logistic probe is to exclude anything: it would be another fit for every query. Study files that ask for it are refused.
    pub fn new(classifier: Classifier, classes: usize, exclude: Exclude, arch: Arch, threads: usize) -> Prober {
        let method = || match classifier {
            Classifier::Knn { k } => Method::Knn(Box::new(Knn::new(k, classes, exclude, arch))),
            Classifier::NearestMean => Method::NearestMean(NearestMean::new(classes, exclude, arch)),
            Classifier::Logistic { l2 } => {
                assert_eq!(exclude, Exclude::Nothing, "a logistic probe cannot leave its queries out");
                Method::Logistic(Box::new(Logistic::new(l2, classes, arch)))
            }
        };
        let desk = || Desk { method: method(), predictions: Vec::new(), accuracies: Vec::new() };
        Prober { desks: (0..threads.max(1)).map(|_| desk()).collect() }
    }

    /// The label that the points of `fit` give each of `queries` at one time step, whose states are `[row, hidden]`. Always on one thread.
    /// States that are not finite have arbitrary labels, the same ones each time.
    pub fn predict(
        &mut self,
        states: &[f32],
        hidden: usize,
        fit: Points<'_>,
        queries: Points<'_>,
        predictions: &mut Vec<u32>,
    ) {
        self.desks[0].method.predict(states, hidden, fit, queries, predictions);
    }

    /// The share of right predictions at every time step, `[time]`; NaN where nothing is asked. The threads share the time steps, so that
    /// the result is the same however many they are.
    pub fn curve(&mut self, states: &States, fit: Points<'_>, queries: Points<'_>, accuracies: &mut Vec<f64>) {
        let threads = self.desks.len();
        let work = |(first, desk): (usize, &mut Desk)| {
            desk.accuracies.clear();
            if let Method::Knn(knn) = &mut desk.method {
                knn.begin();
            }
            for t in (first..states.time()).step_by(threads) {
                desk.method.predict(states.at(t), states.hidden(), fit, queries, &mut desk.predictions);
                let pairs = desk.predictions.iter().zip(queries.labels);
                let right = pairs.filter(|(predicted, label)| predicted == label).count();
                desk.accuracies.push(right as f64 / queries.len() as f64);
            }
        };
        match &mut self.desks[..] {
            [desk] => work((0, desk)),
            desks => desks.par_iter_mut().enumerate().for_each(work),
        }
        accuracies.clear();
        accuracies.extend((0..states.time()).map(|t| self.desks[t % threads].accuracies[t / threads]));
    }
}

impl Method {
    fn predict(
        &mut self,
        states: &[f32],
        hidden: usize,
        fit: Points<'_>,
        queries: Points<'_>,
        predictions: &mut Vec<u32>,
    ) {
        assert!(hidden > 0, "states have at least one unit");
        match self {
            Method::Knn(knn) => knn.predict(states, hidden, fit, queries, predictions),
            Method::NearestMean(mean) => mean.predict(states, hidden, fit, queries, predictions),
            Method::Logistic(logistic) => logistic.predict(states, hidden, fit, queries, predictions),
        }
    }
}
