//! Training allocates nothing once its buffers have grown: counted by an allocator that counts. This file is a program of its own, so
//! that nothing else is counted.
#![allow(clippy::unwrap_used)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use curvefleet_proto::study::{Labels, ModelKind, Preset};
use curvefleet_worker::train::Device;
use support::{model, observed, settings};

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call goes on to the system's allocator as it came; counting has no influence on what is allocated.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the promises that `System` asks for.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; the pointer is one that `System` gave.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

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
                counts.push(ALLOCATIONS.load(Ordering::Relaxed));
                ControlFlow::Continue(())
            };
            observed(&settings, &selection, &[3], Device::CORE, None, &mut observe).unwrap();
            let by_epoch: Vec<usize> = counts.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let steady = &by_epoch[WARM_UP..by_epoch.len() - 1];
            assert!(steady.iter().all(|count| *count <= PER_EPOCH), "{preset:?}, {kind:?}: {by_epoch:?}");
        }
    }
}
