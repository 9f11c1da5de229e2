//! What learners are built from: the pack's network, its training settings, and where each run begins.

use curvefleet_proto::plan::RunSettings;
use curvefleet_proto::study::{ClassWeights, Probe, ProbeKind, Training};
use pulp::Arch;

use crate::data::prepare::Prepared;
use crate::model::parameters::initial_values;
use crate::model::{self, Model, Parameter, Shape};
use crate::probe::{Classifier, Exclude, Prober};
use crate::rng::{self, Stream};

/// A pack of runs before its first epoch.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The network.
    pub model: &'static dyn Model,
    /// Its sizes.
    pub shape: Shape,
    /// Its parameters, in the order in which they are stored.
    pub parameters: Vec<Parameter>,
    /// How it is trained.
    pub training: Training,
    /// How its states are read.
    pub probe: Probe,
    /// Threads per run.
    pub threads: usize,
    /// The runs.
    pub runs: Vec<RunSetup>,
}

/// One run before its first epoch.
#[derive(Debug, Clone)]
pub struct RunSetup {
    /// Of all parameters one after another.
    pub initial_values: Vec<f32>,
    /// What a sample counts in the loss, by its class.
    pub class_weights: Vec<f64>,
    /// What dropout draws from.
    pub dropout: Stream,
}

impl Setup {
    /// The set-up of runs with these settings, each from its own root of random streams.
    pub fn new(settings: &RunSettings, runs: &[(&Prepared, [u8; 32])], threads: usize) -> Setup {
        let (model, shape) = (model::of(settings.model.kind), Shape::of(settings));
        let parameters = model::parameters(model, &shape);
        let runs = runs.iter().map(|(data, root)| RunSetup {
            initial_values: initial_values(&parameters, &mut rng::stream(root, "weights")),
            class_weights: class_weights(settings.training.class_weights, data),
            dropout: rng::stream(root, "dropout"),
        });
        Setup {
            model,
            shape,
            runs: runs.collect(),
            parameters,
            training: settings.training.clone(),
            probe: settings.probe.clone(),
            threads,
        }
    }

    /// A prober for this set-up's states.
    pub fn prober(&self, exclude: Exclude) -> Prober {
        let classifier = match self.probe.kind {
            ProbeKind::Knn => Classifier::Knn { k: self.probe.k as usize },
            ProbeKind::NearestMean => Classifier::NearestMean,
            ProbeKind::Logistic => Classifier::Logistic { l2: self.probe.l2 },
        };
        Prober::new(classifier, self.shape.classes, exclude, Arch::new(), self.threads)
    }
}

/// Balanced weights are n / (classes · n_class) over the training samples, as scikit-learn has them.
fn class_weights(choice: ClassWeights, data: &Prepared) -> Vec<f64> {
    let classes = data.selection.classes.len();
    let mut counts = vec![0_usize; classes];
    for sample in &data.parts.train {
        counts[data.labels[*sample as usize] as usize] += 1;
    }
    let total = data.parts.train.len() as f64;
    let weight = |count: &usize| match choice {
        ClassWeights::None => 1.0,
        ClassWeights::Balanced => total / (classes as f64 * (*count).max(1) as f64),
    };
    counts.iter().map(weight).collect()
}
