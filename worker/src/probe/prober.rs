//! The probe as training uses it: fitted and asked anew at every time step.

use pulp::Arch;
use rayon::prelude::*;

use super::knn::Knn;
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

/// Probes states, with all buffers that this takes: after a first use, others of the same sizes allocate nothing on one thread.
#[derive(Debug)]
pub struct Prober {
    exclude: Exclude,
    arch: Arch,
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
    Knn(Knn),
}

impl Prober {
    /// A probe for labels below `classes`. Where there is more than one thread, they are those of the rayon pool it is called in.
    pub fn new(classifier: Classifier, classes: usize, exclude: Exclude, arch: Arch, threads: usize) -> Prober {
        let method = || match classifier {
            Classifier::Knn { k } => Method::Knn(Knn::new(k, classes, exclude, arch)),
            _ => todo!(),
        };
        let desk = || Desk { method: method(), predictions: Vec::new(), accuracies: Vec::new() };
        Prober { exclude, arch, desks: (0..threads.max(1)).map(|_| desk()).collect() }
    }

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

    pub fn curve(&mut self, states: &States, fit: Points<'_>, queries: Points<'_>, accuracies: &mut Vec<f64>) {
        let threads = self.desks.len();
        let work = |(first, desk): (usize, &mut Desk)| {
            desk.accuracies.clear();
            for t in (first..states.time()).step_by(threads) {
                desk.method.predict(states.at(t), states.hidden(), fit, queries, &mut desk.predictions);
                let right = desk.predictions.iter().zip(queries.labels).filter(|(predicted, label)| predicted == label).count();
                desk.accuracies.push(right as f64 / queries.labels.len() as f64);
            }
        };
        if threads == 1 {
            work((0, &mut self.desks[0]));
        } else {
            self.desks.par_iter_mut().enumerate().for_each(work);
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
        match self {
            Method::Knn(knn) => knn.predict(states, hidden, fit, queries, predictions),
        }
    }
}
