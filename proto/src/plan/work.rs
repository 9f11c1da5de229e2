//! How much work a run is, counted in parameters and floating-point operations: the two matrix products that dominate, those of
//! the recurrent layers and those of the probe.

use super::Cell;
use super::run::RunSettings;
use crate::study::{Oversample, Scoring, Study};

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
    let recurrent = recurrent_weights(&settings);
    let forward = 2.0 * steps * recurrent as f64;
    let (fitted, scored) = match study.probe.scoring {
        Scoring::HeldOut => (train, validation),
        Scoring::LeaveOneOut | Scoring::Resubstitution => (train, train),
    };
    // Training is one pass forward and about two backward; the probe's states are one pass more.
    let epoch = forward * (4.0 * train + validation) + 2.0 * steps * hidden * fitted * scored;
    let classes = counts.len() as u64;
    let biases = u64::from(settings.model.layers) * 8 * u64::from(settings.model.hidden);
    let head = classes * (u64::from(settings.model.hidden) + 1);
    Work {
        parameters: recurrent + biases + head + 2 * u64::from(cell.condition.pad_to),
        flop: f64::from(training.epochs) * epoch + forward * test,
        batch_steps: f64::from(training.epochs) * steps * (train / f64::from(training.batch_size)).ceil(),
    }
}

/// Weights that an LSTM multiplies with at each time step: 4 H (D + H) in the first layer, 8 H² in each further one.
fn recurrent_weights(settings: &RunSettings) -> u64 {
    let (inputs, hidden) = (settings.condition.features.len() as u64, u64::from(settings.model.hidden));
    4 * hidden * (inputs + hidden) + u64::from(settings.model.layers - 1) * 8 * hidden * hidden
}
