//! Whole runs on the built-in data: what a curve has, that it repeats to the bit, and how training fails.
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;
use std::sync::Arc;

use curvefleet_proto::plan::{RunSettings, run::RunModel};
use curvefleet_proto::study::Generate;
use curvefleet_proto::study::{Condition, Labels, ModelKind, Oversample, Preset, ReadOut, Scoring, States, Statistics};
use curvefleet_worker::data::generated::generate;
use curvefleet_worker::data::prepare::{Selection, select};
use curvefleet_worker::train::{Curve, Error, backend, train};

fn settings(preset: Preset, labels: Labels) -> (RunSettings, Arc<Selection>) {
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
    let model = RunModel { kind: ModelKind::Lstm, hidden: 8, layers: 1 };
    let settings = RunSettings {
        numbers_version: 1,
        data_sha256: "00".repeat(32),
        condition,
        model,
        training,
        probe: preset.probe(),
    };
    (settings, selection)
}

fn curve(settings: &RunSettings, selection: &Arc<Selection>, seed: u64) -> Result<Curve, Error> {
    train(settings, seed, selection, &backend::device(), &mut |_| ControlFlow::Continue(()))
}

#[test]
fn a_curve_has_every_epoch_every_time_step_and_test_scores_at_the_end() {
    let (settings, selection) = settings(Preset::Sound, Labels::True);
    let curve = curve(&settings, &selection, 3).unwrap();
    assert_eq!(curve.epochs.iter().map(|epoch| epoch.epoch).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    for epoch in &curve.epochs {
        assert_eq!(epoch.curve.len(), 14);
        assert!(epoch.curve.iter().all(|accuracy| (0.0..=1.0).contains(accuracy)));
        assert_eq!(epoch.test.is_some(), epoch.epoch == 12);
    }
    assert!(curve.epochs[11].train_loss < curve.epochs[0].train_loss, "training lowers the loss");
}

#[test]
fn the_same_run_gives_the_same_bits_and_another_seed_gives_others() {
    for preset in [Preset::Sound, Preset::Paper] {
        let (settings, selection) = settings(preset, Labels::Shuffled);
        let first = curve(&settings, &selection, 7).unwrap();
        assert_eq!(first, curve(&settings, &selection, 7).unwrap());
        assert_ne!(first, curve(&settings, &selection, 8).unwrap());
    }
}

#[test]
fn more_epochs_continue_the_curve_of_fewer() {
    let (mut settings, selection) = settings(Preset::Sound, Labels::True);
    let long = curve(&settings, &selection, 1).unwrap();
    settings.training.epochs = 5;
    let short = curve(&settings, &selection, 1).unwrap();
    assert_eq!(short.epochs[..4], long.epochs[..4]);
    assert_eq!(short.epochs[4].curve, long.epochs[4].curve);
}

#[test]
fn every_combination_of_choices_trains() {
    let (base, selection) = settings(Preset::Sound, Labels::True);
    for scoring in [Scoring::HeldOut, Scoring::LeaveOneOut, Scoring::Resubstitution] {
        for states in [States::EpochEnd, States::TrainingPasses] {
            for evaluation in [Statistics::Running, Statistics::Batch] {
                for oversample in [Oversample::None, Oversample::Training, Oversample::Pool] {
                    let mut settings = base.clone();
                    (settings.probe.scoring, settings.probe.states) = (scoring, states);
                    (settings.training.evaluation, settings.training.oversample) = (evaluation, oversample);
                    (settings.training.epochs, settings.model.layers, settings.training.read_out) =
                        (2, 2, ReadOut::LastStep);
                    assert_eq!(curve(&settings, &selection, 0).unwrap().epochs.len(), 2);
                }
            }
        }
    }
}

#[test]
fn resubstitution_scores_above_leave_one_out_on_shuffled_labels() {
    let (mut settings, selection) = settings(Preset::Sound, Labels::Shuffled);
    let mean = |settings: &RunSettings| {
        let curve = curve(settings, &selection, 5).unwrap();
        let last = &curve.epochs[0].curve;
        last.iter().sum::<f64>() / last.len() as f64
    };
    settings.probe.scoring = Scoring::Resubstitution;
    let resubstitution = mean(&settings);
    settings.probe.scoring = Scoring::LeaveOneOut;
    assert!(resubstitution > mean(&settings) + 0.1, "a point that is its own neighbour raises chance to about 0.75");
}

#[test]
fn diverged_training_names_epoch_and_batch() {
    let (mut settings, selection) = settings(Preset::Sound, Labels::True);
    settings.training.learning_rate = 1e38;
    let error = curve(&settings, &selection, 0).unwrap_err();
    assert!(matches!(error, Error::Diverged { .. }), "{error}");
    assert!(error.to_string().contains("epoch") && error.to_string().contains("batch"), "{error}");
}

#[test]
fn an_observer_can_stop_a_run_between_epochs() {
    let (settings, selection) = settings(Preset::Sound, Labels::True);
    let mut stop_at_three = |record: &curvefleet_worker::train::EpochRecord| {
        if record.epoch == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let error = train(&settings, 0, &selection, &backend::device(), &mut stop_at_three).unwrap_err();
    assert!(matches!(error, Error::Stopped { epoch: 3 }), "{error}");
}
