//! What training is said to take at the least, against what it takes: counted by an allocator that counts. This file is a program of its
//! own, so that nothing else is counted.
#![allow(clippy::unwrap_used)]

mod counting;
mod support;

use counting::{Counting, most_bytes};
use curvefleet_proto::study::{Labels, ModelKind, Preset};
use curvefleet_worker::train::Device;
use curvefleet_worker::train::memory::least_bytes;
use support::{KINDS, curve, model, settings};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_run_takes_what_it_is_said_to_take_at_the_least_and_not_many_times_more() {
    for (hidden, layers, batch) in [(96, 1, 8), (96, 3, 48), (192, 2, 8), (384, 1, 48)] {
        for kind in KINDS {
            for preset in [Preset::Sound, Preset::Paper] {
                let (mut settings, selection) = settings(preset, Labels::True);
                settings.model = model(kind);
                // A mean has as many units as the data have features.
                if kind != ModelKind::MeanPool {
                    (settings.model.hidden, settings.model.layers) = (hidden, layers);
                }
                (settings.training.epochs, settings.training.batch_size) = (2, batch);
                let least = least_bytes(&settings, selection.samples.len(), 1, Device::CORE);
                let taken = most_bytes(|| drop(curve(&settings, &selection, 3))) as u64;
                let what = format!("{kind:?}, {layers} x {hidden} units, batches of {batch}, {preset:?}");
                assert!(least <= taken, "{what}: {least} bytes, and {taken} were taken");
                assert!(taken <= 5 * least || kind == ModelKind::MeanPool, "{what}: {least} bytes of {taken}");
            }
        }
    }
    let (settings, selection) = settings(Preset::Sound, Labels::True);
    let of = |runs, device| least_bytes(&settings, selection.samples.len(), runs, device);
    assert_eq!(of(3, Device::Flex), 3 * of(1, Device::CORE));
    assert_eq!(of(3, Device::Cuda { index: 0 }), 0, "that is in the card's memory");
}
