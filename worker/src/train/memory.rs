//! What training takes of a machine's memory, at the least.

use curvefleet_proto::plan::RunSettings;
use curvefleet_proto::study::Scoring;

use super::Device;
use crate::model::{self, Shape};

/// Copies of a network's parameters: themselves, their gradients, and what the update rule remembers of each (Adam's two moments; other
/// rules keep less, beside so much else that it does not matter).
const PARAMETER_COPIES: usize = 4;
/// Numbers that are kept of each unit, time step and sample of a batch for the way back: its state, and at least one gate.
const KEPT_PER_STATE: usize = 2;

/// Bytes of the machine's memory that `runs` runs trained together take at the least, beside the condition's `samples` samples: the
/// hidden states that the probe reads, `[time, sample, hidden]`, what a batch's way back needs, and the parameters. On a graphics card
/// they are in the card's memory, which this does not know.
pub fn least_bytes(settings: &RunSettings, samples: usize, runs: usize, device: Device) -> u64 {
    if !matches!(device, Device::Cpu { .. } | Device::Flex) {
        return 0;
    }
    let (shape, training) = (Shape::of(settings), &settings.training);
    let kept = |samples: f64, fraction: f64| ((1.0 - fraction) * samples).floor();
    let pool = kept(samples as f64, training.test_fraction);
    let probed = match settings.probe.scoring {
        Scoring::HeldOut => pool,
        Scoring::LeaveOneOut | Scoring::Resubstitution => kept(pool, training.validation_fraction),
    };
    let batch = probed.min(f64::from(training.batch_size));
    let of_sample = (shape.time * shape.hidden) as f64;
    let states = of_sample * probed;
    let way_back = of_sample * batch * (KEPT_PER_STATE * shape.layers) as f64;
    let parameters = model::parameters(model::of(settings.model.kind), &shape);
    let parameters: usize = parameters.iter().map(model::Parameter::len).sum();
    let numbers = states + way_back + (PARAMETER_COPIES * parameters) as f64;
    (runs as f64 * numbers) as u64 * size_of::<f32>() as u64
}
