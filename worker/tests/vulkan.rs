//! Training and probing on a graphics card through Vulkan, a software one where there is no other: packs against single runs on the
//! processor, repeats, and resuming. Built with the feature `vulkan` alone; without a Vulkan driver each test says that it was skipped.
#![cfg(feature = "vulkan")]
#![allow(clippy::unwrap_used)]

mod support;

use std::ops::ControlFlow;

use curvefleet_proto::study::{Labels, Preset, Scoring};
use curvefleet_worker::train::{Checkpoint, Device};
use support::{KINDS, assert_near, curve, model, observed, outcomes, settings};

fn card() -> Option<Device> {
    let device: Device = "vulkan".parse().unwrap();
    match device.check() {
        Ok(()) => Some(device),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

#[test]
fn packs_on_a_card_equal_single_runs_on_the_processor_and_repeat_to_the_bit() {
    let Some(device) = card() else { return };
    println!("on {}", device.name());
    for preset in [Preset::Sound, Preset::Paper] {
        let (mut settings, selection) = settings(preset, Labels::True);
        settings.training.epochs = 3;
        for kind in KINDS {
            settings.model = model(kind);
            let packed = outcomes(&settings, &selection, &[3, 4], device);
            assert_eq!(packed, outcomes(&settings, &selection, &[3, 4], device), "{kind:?} repeats");
            for (seed, packed) in [3, 4].into_iter().zip(&packed) {
                assert_near(&curve(&settings, &selection, seed), packed, &format!("{preset:?}, {kind:?}, seed {seed}"));
            }
        }
    }
}

#[test]
fn the_probe_on_a_card_leaves_out_the_point_itself_and_goes_on_from_checkpoints() {
    let Some(device) = card() else { return };
    let (mut settings, selection) = settings(Preset::Sound, Labels::Shuffled);
    (settings.training.epochs, settings.probe.scoring) = (3, Scoring::LeaveOneOut);
    let mut checkpoints = Vec::new();
    let undisturbed = observed(&settings, &selection, &[5, 6], device, None, &mut |training| {
        checkpoints.push(training.checkpoint().unwrap().encode().unwrap());
        ControlFlow::Continue(())
    });
    let undisturbed = undisturbed.unwrap();
    assert_near(&curve(&settings, &selection, 5), &undisturbed[0], "leave-one-out");
    let checkpoint = Checkpoint::decode(checkpoints[0].clone()).unwrap();
    let resumed =
        observed(&settings, &selection, &[5, 6], device, Some(&checkpoint), &mut |_| ControlFlow::Continue(()));
    assert_eq!(resumed.unwrap(), undisturbed);
}
