//! Going on from a checkpoint: the same bits as an undisturbed run, from every epoch; and what is refused.
#![allow(clippy::unwrap_used)]

mod support;

use std::ops::ControlFlow;

use curvefleet_proto::study::{Labels, Optimizer, Preset};
use curvefleet_worker::train::{Checkpoint, Device, Error, Outcome, checkpoint};
use proptest::prelude::*;
use support::{KINDS, model, observed, settings};

/// The checkpoints of every epoch, as they lie in the store, and what the undisturbed runs come to.
fn all_checkpoints(
    settings: &curvefleet_proto::plan::RunSettings,
    selection: &std::sync::Arc<curvefleet_worker::data::prepare::Selection>,
    seeds: &[u64],
    device: Device,
) -> (Vec<Vec<u8>>, Vec<Outcome>) {
    let mut checkpoints = Vec::new();
    let outcomes = observed(settings, selection, seeds, device, None, &mut |training| {
        checkpoints.push(training.checkpoint().unwrap().encode().unwrap());
        ControlFlow::Continue(())
    });
    (checkpoints, outcomes.unwrap())
}

#[test]
fn a_run_resumed_after_any_epoch_gives_the_bits_of_an_undisturbed_one() {
    for preset in [Preset::Sound, Preset::Paper] {
        let (mut settings, selection) = settings(preset, Labels::Shuffled);
        settings.training.epochs = 5;
        for kind in KINDS {
            settings.model = model(kind);
            if kind.has_layers() {
                (settings.model.layers, settings.model.dropout) = (2, 0.3);
            }
            for (seeds, device) in [(&[3][..], Device::CORE), (&[3, 4], Device::Flex)] {
                let (checkpoints, undisturbed) = all_checkpoints(&settings, &selection, seeds, device);
                assert_eq!(checkpoints.len(), 5);
                for bytes in checkpoints {
                    let checkpoint = Checkpoint::decode(bytes).unwrap();
                    let resumed = observed(&settings, &selection, seeds, device, Some(&checkpoint), &mut |_| {
                        ControlFlow::Continue(())
                    });
                    assert_eq!(resumed.unwrap(), undisturbed, "{kind:?} on {device} after epoch {}", checkpoint.epoch);
                }
            }
        }
    }
}

#[test]
fn gradient_descent_and_diverged_runs_of_a_pack_resume_too() {
    let (mut settings, selection) = settings(Preset::Sound, Labels::True);
    (settings.training.epochs, settings.training.optimizer) = (4, Optimizer::Sgd);
    let (checkpoints, undisturbed) = all_checkpoints(&settings, &selection, &[1], Device::CORE);
    for bytes in checkpoints {
        let checkpoint = Checkpoint::decode(bytes).unwrap();
        assert!(checkpoint.runs[0].network.first_moments.is_empty());
        let resumed =
            observed(&settings, &selection, &[1], Device::CORE, Some(&checkpoint), &mut |_| ControlFlow::Continue(()));
        assert_eq!(resumed.unwrap(), undisturbed);
    }
    let mut checkpoint = None;
    let outcomes = observed(&settings, &selection, &[1, 2], Device::Flex, None, &mut |training| {
        checkpoint = Some(training.checkpoint().unwrap());
        ControlFlow::Break(())
    });
    assert!(matches!(outcomes.unwrap_err(), Error::Stopped { epoch: 1 }));
    let mut checkpoint = checkpoint.unwrap();
    let diverged = checkpoint.runs[1].outcome.curve.epochs.pop().map(|epoch| {
        let place = "batch 2".to_string();
        curvefleet_worker::train::run::Diverged { epoch: epoch.epoch, place, loss: f64::INFINITY }
    });
    checkpoint.runs[1].outcome.diverged = diverged;
    let read = Checkpoint::decode(checkpoint.encode().unwrap()).unwrap();
    assert_eq!(read, checkpoint);
    let resumed =
        observed(&settings, &selection, &[1, 2], Device::Flex, Some(&read), &mut |_| ControlFlow::Continue(()))
            .unwrap();
    assert_eq!(resumed[1], checkpoint.runs[1].outcome, "a diverged run stays where it was");
    assert_eq!(resumed[0].curve.epochs.len(), 4);
}

#[test]
fn a_checkpoint_of_another_program_backend_or_run_is_refused_with_the_reason() {
    let (mut settings, selection) = settings(Preset::Sound, Labels::True);
    settings.training.epochs = 2;
    let (checkpoints, _) = all_checkpoints(&settings, &selection, &[3], Device::CORE);
    let good = Checkpoint::decode(checkpoints[0].clone()).unwrap();
    let refusal = |checkpoint: &Checkpoint| {
        let resumed =
            observed(&settings, &selection, &[3], Device::CORE, Some(checkpoint), &mut |_| ControlFlow::Continue(()));
        match resumed.unwrap_err() {
            Error::Checkpoint(error @ checkpoint::Error::Foreign { .. }) => error.to_string(),
            other => panic!("{other}"),
        }
    };
    let mut other = good.clone();
    other.origin.version = "0.0.9".to_string();
    assert!(refusal(&other).contains("curvefleet 0.0.9"), "{}", refusal(&other));
    let mut other = good.clone();
    other.origin.backend = "vulkan/Some Card".to_string();
    assert!(refusal(&other).contains("vulkan/Some Card"), "{}", refusal(&other));
    let mut other = good.clone();
    other.origin.settings.numbers_version += 1;
    assert!(refusal(&other).contains("training code"), "{}", refusal(&other));
    let mut other = good.clone();
    other.origin.seeds = vec![4];
    assert!(refusal(&other).contains("seeds"), "{}", refusal(&other));
    let mut other = good;
    other.origin.settings.training.learning_rate *= 2.0;
    refusal(&other);
}

#[test]
fn a_checkpoint_is_a_burnpack_file_with_the_parameters_by_name() {
    let (mut settings, selection) = settings(Preset::Sound, Labels::True);
    settings.training.epochs = 1;
    let (checkpoints, _) = all_checkpoints(&settings, &selection, &[3], Device::CORE);
    let reader = burn_pack::Reader::from_bytes(burn_pack::Bytes::from_bytes_vec(checkpoints[0].clone())).unwrap();
    let names = reader.tensor_names();
    for name in ["bn.weight", "lstm.weight_ih_l0", "lstm.bias_hh_l0", "fc.bias"] {
        assert!(names.contains(&format!("runs.0.parameters.{name}").as_str()), "{names:?}");
    }
    assert_eq!(reader.tensor_data("runs.0.parameters.lstm.weight_ih_l0").unwrap().len(), 4 * 8 * 16 * 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever a disk or a network did to a checkpoint: it is refused, and never read as something else.
    #[test]
    fn a_damaged_checkpoint_is_refused(place in any::<prop::sample::Index>(), flip in 1_u8..=255, cut: bool) {
        use std::sync::LazyLock;
        static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
            let (mut settings, selection) = settings(Preset::Sound, Labels::True);
            settings.training.epochs = 1;
            all_checkpoints(&settings, &selection, &[3], Device::CORE).0.remove(0)
        });
        let mut bytes = GOOD.clone();
        let place = place.index(bytes.len());
        if cut { bytes.truncate(place) } else { bytes[place] ^= flip }
        match Checkpoint::decode(bytes) {
            Err(error) => prop_assert!(error.to_string().starts_with("the checkpoint is damaged"), "{}", error),
            // Padding between tensors, and metadata that still says the same, carry no numbers.
            Ok(read) => prop_assert!(read == Checkpoint::decode(GOOD.clone()).unwrap(), "read as another one"),
        }
    }
}
