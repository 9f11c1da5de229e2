//! How much work a run is, counted in parameters and floating-point operations: the two matrix products that dominate, those of
//! the recurrent layers and those of the probe.

use super::Cell;
use super::run::{RunModel, RunSettings};
use crate::study::{ModelKind, Oversample, Scoring, Study};

/// The work of one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// Trained numbers of the network.
    pub parameters: u64,
    /// Floating-point operations of all epochs together: training, evaluation and probe.
    pub flop: f64,
    /// Time steps that follow one another, a batch at once, of all epochs together: what small networks spend their time on.
    pub batch_steps: f64,
}

/// What one core does in a second with matrices large enough, and what it spends on a batch's time step besides, for a rough
/// estimate of the time; docs/benchmarks.md has the measurements.
const FLOP_PER_CORE_SECOND: f64 = 50e9;
const SECONDS_PER_BATCH_STEP: f64 = 5e-6;

impl Work {
    /// How long one core takes, roughly, in seconds.
    pub fn core_seconds(&self) -> f64 {
        self.flop / FLOP_PER_CORE_SECOND + self.batch_steps * SECONDS_PER_BATCH_STEP
    }
}

/// The work of each run of a cell, estimated from its class counts.
pub fn of(study: &Study, cell: &Cell<'_>) -> Work {
    let settings = RunSettings::of(study, cell);
    let training = &study.training;
    let counts: Vec<f64> =
        cell.condition.classes.iter().map(|class| cell.data.summary.count_of(class).unwrap_or(0) as f64).collect();
    let samples: f64 = counts.iter().sum();
    let test = samples * training.test_fraction;
    let drawn = match training.oversample {
        Oversample::None => samples,
        Oversample::Training | Oversample::Pool => counts.iter().fold(0.0, |a: f64, b| a.max(*b)) * counts.len() as f64,
    } * (1.0 - training.test_fraction);
    let train = drawn * (1.0 - training.validation_fraction);
    let validation = drawn * training.validation_fraction;

    let (steps, hidden) = (f64::from(cell.condition.pad_to), f64::from(settings.model.hidden));
    let size = size(&settings);
    let forward = 2.0 * steps * size.multiplied as f64;
    let (fitted, scored) = match study.probe.scoring {
        Scoring::HeldOut => (train, validation),
        Scoring::LeaveOneOut | Scoring::Resubstitution => (train, train),
    };
    // Training is one pass forward and about two backward; the probe's states are one pass more.
    let epoch = forward * (4.0 * train + validation) + 2.0 * steps * hidden * fitted * scored;
    let classes = counts.len() as u64;
    let head = classes * (u64::from(settings.model.hidden) + 1);
    Work {
        parameters: size.parameters + head + 2 * u64::from(cell.condition.pad_to),
        flop: f64::from(training.epochs) * epoch + forward * test,
        batch_steps: f64::from(training.epochs) * steps * (train / f64::from(training.batch_size)).ceil(),
    }
}

/// How large a model is, without batch norm and read-out.
struct Size {
    /// Trained numbers.
    parameters: u64,
    /// Numbers that are multiplied at each time step.
    multiplied: u64,
}

fn size(settings: &RunSettings) -> Size {
    let RunModel { kind, .. } = settings.model;
    let (inputs, steps) = (settings.condition.features.len() as u64, u64::from(settings.condition.pad_to));
    let (hidden, layers) = (u64::from(settings.model.hidden), u64::from(settings.model.layers));
    // G H (D + H) weights in the first layer and 2 G H² in each further one, and two biases per gate.
    let recurrent = |gates: u64| {
        let weights = gates * hidden * (inputs + hidden) + (layers - 1) * gates * 2 * hidden * hidden;
        Size { parameters: weights + layers * gates * 2 * hidden, multiplied: weights }
    };
    match kind {
        ModelKind::Lstm => recurrent(4),
        ModelKind::Gru => recurrent(3),
        ModelKind::Rnn => recurrent(1),
        // 4 H² in attention and 8 H² in the feed-forward network; scores and mixtures take H at each step attended to.
        ModelKind::Transformer => Size {
            parameters: hidden * (inputs + 1) + steps * hidden + layers * (12 * hidden + 13) * hidden + 2 * hidden,
            multiplied: hidden * inputs + layers * (12 * hidden * hidden + 2 * hidden * steps),
        },
        ModelKind::MeanPool => Size { parameters: 0, multiplied: inputs },
    }
}
