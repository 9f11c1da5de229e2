//! Small whole runs on the built-in data, for tests of training.
#![allow(dead_code, clippy::unwrap_used)]

use std::ops::ControlFlow;
use std::sync::Arc;

use curvefleet_proto::plan::RunSettings;
use curvefleet_proto::plan::run::{NUMBERS_VERSION, RunModel};
use curvefleet_proto::study::{Condition, Generate, Labels, ModelKind, Preset};
use curvefleet_worker::data::generated::generate;
use curvefleet_worker::data::prepare::{Selection, select};
use curvefleet_worker::train::{self, Checkpoint, Device, Error, Outcome, Pack, Training};

pub const KINDS: [ModelKind; 5] =
    [ModelKind::Lstm, ModelKind::Gru, ModelKind::Rnn, ModelKind::Transformer, ModelKind::MeanPool];

/// Two gestures of 24 sequences and 12 steps, padded to 14; 12 epochs of batches of 8.
pub fn settings(preset: Preset, labels: Labels) -> (RunSettings, Arc<Selection>) {
    let dataset = generate(&Generate { items_per_class: 24, steps: 12, ..Generate::default() }).unwrap();
    let condition = Condition {
        classes: dataset.classes[..2].to_vec(),
        labels,
        features: (0..dataset.features.len() as u32).collect(),
        pad_to: 14,
    };
    let mut training = preset.training();
    (training.epochs, training.batch_size, training.learning_rate) = (12, 8, 5e-3);
    let selection = Arc::new(select(&dataset, &condition, training.shuffle).unwrap());
    let settings = RunSettings {
        numbers_version: NUMBERS_VERSION,
        data_sha256: "00".repeat(32),
        condition,
        model: model(ModelKind::Lstm),
        training,
        probe: preset.probe(),
    };
    (settings, selection)
}

/// A small model of the kind, for the 16 features of the built-in data.
pub fn model(kind: ModelKind) -> RunModel {
    let hidden = if kind == ModelKind::MeanPool { 16 } else { 8 };
    RunModel { kind, hidden, layers: 1, heads: if kind == ModelKind::Transformer { 2 } else { 1 }, dropout: 0.0 }
}

pub fn observed(
    settings: &RunSettings,
    selection: &Arc<Selection>,
    seeds: &[u64],
    device: Device,
    checkpoint: Option<&Checkpoint>,
    observe: &mut dyn FnMut(&Training<'_>) -> ControlFlow<()>,
) -> Result<Vec<Outcome>, Error> {
    train::train(&Pack { settings, seeds, selection, device }, checkpoint, observe)
}

pub fn outcomes(settings: &RunSettings, selection: &Arc<Selection>, seeds: &[u64], device: Device) -> Vec<Outcome> {
    observed(settings, selection, seeds, device, None, &mut |_| ControlFlow::Continue(())).unwrap()
}

/// One run on one core.
pub fn curve(settings: &RunSettings, selection: &Arc<Selection>, seed: u64) -> Outcome {
    outcomes(settings, selection, &[seed], Device::CORE).remove(0)
}

/// Within the tolerance of a packed run: losses within a thousandth over six epochs, and curves within one point in a hundred
/// on the mean.
pub fn assert_near(single: &Outcome, packed: &Outcome, what: &str) {
    assert_eq!((single.curve.epochs.len(), &single.diverged), (packed.curve.epochs.len(), &packed.diverged), "{what}");
    for (single, packed) in single.curve.epochs.iter().zip(&packed.curve.epochs) {
        let losses =
            [(Some(single.train_loss), Some(packed.train_loss)), (single.validation.loss, packed.validation.loss)];
        for (single, packed) in losses {
            let (single, packed) = (single.unwrap(), packed.unwrap());
            assert!((single - packed).abs() <= 1e-3 * single.abs().max(0.1), "{what}: losses {single} and {packed}");
        }
        let differences = single.curve.iter().zip(&packed.curve).map(|(a, b)| (a - b).abs());
        let mean = differences.sum::<f64>() / single.curve.len() as f64;
        assert!(mean <= 0.01, "{what}, epoch {}: curves differ by {mean}", single.epoch);
    }
}
