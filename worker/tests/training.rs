//! Whole runs on the built-in data: what a curve has, that it repeats to the bit, how training fails, and packs against single runs.
#![allow(clippy::unwrap_used)]

mod support;

use curvefleet_proto::plan::RunSettings;
use curvefleet_proto::study::{
    ClassWeights, Labels, ModelKind, Oversample, Preset, ProbeKind, ReadOut, Scoring, States, Statistics,
};
use curvefleet_worker::train::{Device, EpochRecord, Outcome};
use support::{KINDS, curve, model, outcomes, settings};

#[test]
fn a_curve_has_every_epoch_every_time_step_and_test_scores_at_the_end() {
    let (settings, selection) = settings(Preset::Sound, Labels::True);
    let curve = curve(&settings, &selection, 3).curve;
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
        let (mut settings, selection) = settings(preset, Labels::Shuffled);
        for kind in KINDS {
            settings.model = model(kind);
            let first = curve(&settings, &selection, 7);
            assert_eq!(first, curve(&settings, &selection, 7), "{kind:?}");
            assert_ne!(first, curve(&settings, &selection, 8), "{kind:?}");
        }
    }
}

/// Threads share matrix products by rows and the probe by time steps, so that no sum depends on how many they are.
#[test]
fn the_number_of_threads_has_no_influence_on_the_bits() {
    let (mut settings, selection) = settings(Preset::Sound, Labels::True);
    settings.model.hidden = 96;
    settings.training.batch_size = 128;
    let alone = curve(&settings, &selection, 1);
    for threads in [2, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let shared = pool.install(|| outcomes(&settings, &selection, &[1], Device::Cpu { threads }));
        assert_eq!(shared[0], alone, "{threads} threads");
    }
}

#[test]
fn more_epochs_continue_the_curve_of_fewer() {
    let (mut settings, selection) = settings(Preset::Sound, Labels::True);
    let long = curve(&settings, &selection, 1).curve;
    settings.training.epochs = 5;
    let short = curve(&settings, &selection, 1).curve;
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
                    assert_eq!(curve(&settings, &selection, 0).curve.epochs.len(), 2);
                }
            }
        }
    }
}

#[test]
fn every_model_learns_with_every_probe_and_dropout_changes_training_alone() {
    let (mut settings, selection) = settings(Preset::Sound, Labels::True);
    for kind in KINDS {
        settings.model = model(kind);
        let mut losses = Vec::new();
        for probe in [ProbeKind::Knn, ProbeKind::NearestMean, ProbeKind::Logistic] {
            settings.probe.kind = probe;
            let curve = curve(&settings, &selection, 2).curve;
            let peak = curve.epochs[11].curve.iter().copied().fold(0.0, f64::max);
            // The running mean of the inputs is not trained, so nothing need make its classes easy to tell apart.
            assert!(peak > 0.7 || kind == ModelKind::MeanPool, "{kind:?}, {probe:?}: the peak is {peak}");
            assert!(curve.epochs[11].train_loss < curve.epochs[0].train_loss, "{kind:?}");
            losses.push(curve.epochs[11].train_loss);
        }
        assert!(losses.iter().all(|loss| *loss == losses[0]), "{kind:?}: the probe has no influence on training");
        if kind != ModelKind::MeanPool {
            (settings.model.layers, settings.model.dropout) = (2, 0.5);
            let dropped = curve(&settings, &selection, 2);
            assert_eq!(dropped, curve(&settings, &selection, 2), "{kind:?}: dropout repeats to the bit");
            settings.model.dropout = 0.0;
            let whole = curve(&settings, &selection, 2);
            assert_ne!(dropped.curve.epochs[0].train_loss, whole.curve.epochs[0].train_loss, "{kind:?}");
        }
    }
}

#[test]
fn balanced_class_weights_change_nothing_where_classes_are_even() {
    let (mut settings, selection) = settings(Preset::Sound, Labels::True);
    let plain = curve(&settings, &selection, 4);
    settings.training.class_weights = ClassWeights::Balanced;
    assert_eq!(curve(&settings, &selection, 4), plain);
}

#[test]
fn resubstitution_scores_above_leave_one_out_on_shuffled_labels() {
    let (mut settings, selection) = settings(Preset::Sound, Labels::Shuffled);
    let mean = |settings: &RunSettings| {
        let curve = curve(settings, &selection, 5).curve;
        let first = &curve.epochs[0].curve;
        first.iter().sum::<f64>() / first.len() as f64
    };
    settings.probe.scoring = Scoring::Resubstitution;
    let resubstitution = mean(&settings);
    settings.probe.scoring = Scoring::LeaveOneOut;
    assert!(resubstitution > mean(&settings) + 0.1, "a point that is its own neighbour raises chance to about 0.75");
}

/// A step that throws the weights far away makes the next batch's or epoch's loss infinite or no number.
#[test]
fn diverged_training_names_epoch_and_batch_and_keeps_the_curve_so_far() {
    for kind in KINDS {
        let (mut settings, selection) = settings(Preset::Sound, Labels::True);
        settings.model = model(kind);
        settings.training.learning_rate = 1e38;
        let outcome = curve(&settings, &selection, 0);
        let diverged = outcome.diverged.expect("training with a rate of 1e38 diverges");
        assert!(diverged.to_string().contains(&format!("epoch {}", diverged.epoch)), "{diverged}");
        assert!(diverged.place.starts_with("batch ") || diverged.place == "validation", "{diverged}");
        assert!(!diverged.loss.is_finite());
        assert_eq!(outcome.curve.epochs.len() as u32, diverged.epoch - 1, "{kind:?}");
    }
}

/// The runs of a pack differ from single runs in the rounding of their sums, which training makes larger from epoch to epoch, and
/// where that moves a state past another, in the probe. `docs/benchmarks.md` and `docs/models.md` state these tolerances.
#[test]
fn packed_runs_equal_single_ones_within_the_stated_tolerance() {
    for preset in [Preset::Sound, Preset::Paper] {
        let (mut settings, selection) = settings(preset, Labels::True);
        settings.training.epochs = 6;
        for kind in KINDS {
            settings.model = model(kind);
            let seeds = [3, 4, 5];
            let packed = outcomes(&settings, &selection, &seeds, Device::Flex);
            let again = outcomes(&settings, &selection, &seeds, Device::Flex);
            assert_eq!(packed, again, "{kind:?}: a pack repeats to the bit");
            for (seed, packed) in seeds.iter().zip(&packed) {
                support::assert_near(
                    &curve(&settings, &selection, *seed),
                    packed,
                    &format!("{preset:?}, {kind:?}, seed {seed}"),
                );
            }
        }
    }
}

#[test]
fn a_run_of_a_pack_that_diverges_leaves_the_others_alone() {
    let (mut settings, selection) = settings(Preset::Paper, Labels::True);
    let seeds = [0, 1, 2];
    settings.training.epochs = 4;
    let apart: Vec<Outcome> =
        seeds.iter().map(|seed| outcomes(&settings, &selection, &[*seed], Device::Flex).remove(0)).collect();
    let together = outcomes(&settings, &selection, &seeds, Device::Flex);
    for (apart, together) in apart.iter().zip(&together) {
        support::assert_near(apart, together, "alone and in a pack");
    }
    settings.training.learning_rate = 1e38;
    let diverged = outcomes(&settings, &selection, &seeds, Device::Flex);
    assert!(diverged.iter().all(|outcome| outcome.diverged.is_some()), "{diverged:?}");
}

#[test]
fn an_observer_can_stop_a_run_between_epochs() {
    let (settings, selection) = settings(Preset::Sound, Labels::True);
    let mut seen: Vec<EpochRecord> = Vec::new();
    let error = support::observed(&settings, &selection, &[0], Device::CORE, None, &mut |training| {
        seen.push(training.outcomes().next().unwrap().curve.epochs.last().unwrap().clone());
        if training.epoch() == 3 { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
    });
    let error = error.unwrap_err();
    assert!(matches!(error, curvefleet_worker::train::Error::Stopped { epoch: 3 }), "{error}");
    assert_eq!(seen.len(), 3);
}
