//! What training is said to take at the least, against what it takes: counted by an allocator that counts. This file is a program of its
//! own, so that nothing else is counted.
#![allow(clippy::unwrap_used)]

mod counting;
mod support;

use counting::{Counting, most_bytes};
use curvefleet_proto::study::{Labels, Preset};
use curvefleet_worker::train::Device;
use curvefleet_worker::train::memory::least_bytes;
use support::{KINDS, curve, model, settings};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_run_takes_what_it_is_said_to_take_at_the_least_and_not_many_times_more() {
    for hidden in [96, 192, 384] {
        for kind in KINDS.into_iter().filter(|kind| model(*kind).hidden != 16) {
            for preset in [Preset::Sound, Preset::Paper] {
                let (mut settings, selection) = settings(preset, Labels::True);
                settings.model = model(kind);
                (settings.model.hidden, settings.training.epochs) = (hidden, 2);
                let least = least_bytes(&settings, selection.samples.len(), 1, Device::CORE);
                let taken = most_bytes(|| drop(curve(&settings, &selection, 3))) as u64;
                assert!(least <= taken, "{kind:?}, {hidden} units, {preset:?}: {least} bytes, and {taken} were taken");
                assert!(
                    taken <= 4 * least,
                    "{kind:?}, {hidden} units, {preset:?}: {least} bytes, and {taken} were taken"
                );
            }
        }
    }
    let (settings, selection) = settings(Preset::Sound, Labels::True);
    let of = |runs, device| least_bytes(&settings, selection.samples.len(), runs, device);
    assert_eq!(of(3, Device::Flex), 3 * of(1, Device::CORE));
    assert_eq!(of(3, Device::Cuda { index: 0 }), 0, "that is in the card's memory");
}
