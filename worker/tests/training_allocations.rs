//! Training allocates nothing once its buffers have grown: counted by an allocator that counts. This file is a program of its own, so
//! that nothing else is counted.
#![allow(clippy::unwrap_used)]

mod counting;
mod support;

use std::ops::ControlFlow;

use counting::{Counting, allocations};
use curvefleet_proto::study::{Labels, ModelKind, Preset};
use curvefleet_worker::train::Device;
use support::{model, observed, settings};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What an epoch may allocate: the curve that it leaves behind, and the counts that its validation scores are made from (the last
/// epoch has test scores besides).
const PER_EPOCH: usize = 2;
/// The probe's lists of near neighbours follow the data and may grow for some epochs more.
const WARM_UP: usize = 6;

#[test]
fn an_epoch_allocates_nothing_but_its_record() {
    for preset in [Preset::Sound, Preset::Paper] {
        for kind in [ModelKind::Lstm, ModelKind::Gru, ModelKind::Rnn] {
            let (mut settings, selection) = settings(preset, Labels::True);
            settings.model = model(kind);
            (settings.model.layers, settings.model.dropout) = (2, 0.2);
            let mut counts = Vec::with_capacity(64);
            let mut observe = |_: &curvefleet_worker::train::Training<'_>| {
                counts.push(allocations());
                ControlFlow::Continue(())
            };
            observed(&settings, &selection, &[3], Device::CORE, None, &mut observe).unwrap();
            let by_epoch: Vec<usize> = counts.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let steady = &by_epoch[WARM_UP..by_epoch.len() - 1];
            assert!(steady.iter().all(|count| *count <= PER_EPOCH), "{preset:?}, {kind:?}: {by_epoch:?}");
        }
    }
}
