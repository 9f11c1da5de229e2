//! Training on burn's tensors: a pack of runs in lockstep as one batched computation, on any device. The runs share nothing but the
//! pace: each has its own weights, data order, statistics and Adam state, along a leading pack axis.
//!
//! Where runs have batches of different sizes (a random split leaves them different training parts), the shorter ones are filled up
//! with samples that weigh nothing; a run without samples in a batch, or whose loss is no number, keeps all that it has.

use std::sync::Arc;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Device as BurnDevice, Int, Tensor, TensorData};
use curvefleet_proto::study::{Optimizer, ProbeKind, Statistics};

use super::device::Device;
use super::device_knn::{DeviceKnn, Places};
use super::learner::{Batch, DeviceError, Learner, NetworkState, Probed};
use super::setup::Setup;
use crate::data::prepare::Selection;
use crate::kernel::time_norm::{EPSILON, MOMENTUM};
use crate::model::{Dropout, States, Tensors};
use crate::probe::{self, Prober};
use crate::rng::Stream;

/// A pack of runs on a device.
#[derive(Debug)]
pub struct TensorLearner {
    setup: Setup,
    /// Evaluates and probes; has no graph.
    device: BurnDevice,
    /// Whether the device probes too; a processor does so better without burn.
    probes: bool,
    /// All samples, `[sample, time, feature]`.
    x: Tensor<3>,
    /// Tracked for gradients, each `[pack, rows, columns]`.
    parameters: Tensors,
    /// Adam's moments, like the parameters; empty for gradient descent.
    first: Vec<Tensor<3>>,
    second: Vec<Tensor<3>>,
    /// Updates made, per run.
    updates: Vec<u64>,
    /// `[pack, 1, time, 1]`.
    running_mean: Tensor<4>,
    running_variance: Tensor<4>,
    dropout: Vec<Stream>,
    kept: Kept,
    /// One per run, made at the first probe; for what the device does not probe itself.
    probers: Vec<Prober>,
}

/// The hidden states kept in an epoch.
#[derive(Debug, Default)]
struct Kept {
    /// For each time step, what the passes gave, `[pack, batch, hidden]` each.
    steps: Vec<Vec<Tensor<3>>>,
    /// For each run and row, its place along the second axis of all passes together.
    places: Vec<Vec<usize>>,
    /// Length of that axis.
    width: usize,
}

/// A batch of every run, filled up to one width.
struct Filled {
    width: usize,
    /// Samples of each run.
    counts: Vec<usize>,
    /// `[pack * width]` each.
    samples: Vec<i64>,
    labels: Vec<i64>,
    last_steps: Vec<u32>,
    /// 1 for a sample, 0 for what fills up.
    weights: Vec<f32>,
}

impl TensorLearner {
    /// The runs of the set-up on a device.
    pub fn new(setup: Setup, selection: &Arc<Selection>, device: Device) -> TensorLearner {
        let (probes, device) = (device.takes_packs(), device.burn());
        let (pack, time) = (setup.runs.len(), setup.shape.time);
        let sizes = [selection.samples.len(), time, setup.shape.features];
        let initial: Vec<&[f32]> = setup.runs.iter().map(|run| &run.initial_values[..]).collect();
        let values = packed(&setup, &initial, &device);
        let moments = |_: &Setup| -> Vec<Tensor<3>> { values.iter().map(Tensor::zeros_like).collect() };
        let has_moments = setup.training.optimizer == Optimizer::Adam;
        TensorLearner {
            x: Tensor::from_data(TensorData::new(selection.x.clone(), sizes), &device),
            first: if has_moments { moments(&setup) } else { Vec::new() },
            second: if has_moments { moments(&setup) } else { Vec::new() },
            parameters: Tensors::new(&setup.parameters, values.into_iter().map(tracked).collect()),
            updates: vec![0; pack],
            running_mean: Tensor::zeros([pack, 1, time, 1], &device),
            running_variance: Tensor::ones([pack, 1, time, 1], &device),
            dropout: setup.runs.iter().map(|run| run.dropout.clone()).collect(),
            kept: Kept::default(),
            probers: Vec::new(),
            device,
            probes,
            setup,
        }
    }

    fn pack(&self) -> usize {
        self.setup.runs.len()
    }

    /// Normalised inputs, one tensor `[pack, batch, feature]` per time step, γ and β not applied.
    fn normalise(&mut self, filled: &Filled, statistics: Statistics) -> Vec<Tensor<3>> {
        let (pack, time, features) = (self.pack(), self.setup.shape.time, self.setup.shape.features);
        let chosen =
            Tensor::<1, Int>::from_data(TensorData::new(filled.samples.clone(), [pack * filled.width]), &self.device);
        let x = self.x.clone().select(0, chosen).reshape([pack, filled.width, time, features]);
        let (mean, variance) = match statistics {
            Statistics::Running => (self.running_mean.clone(), self.running_variance.clone()),
            Statistics::Batch => self.batch_statistics(&x, filled),
        };
        let normed = (x - mean) / (variance + EPSILON).sqrt();
        (0..time).map(|t| normed.clone().narrow(2, t, 1).reshape([pack, filled.width, features])).collect()
    }

    /// Mean and variance of the batch, `[pack, 1, time, 1]`; moves the running ones.
    fn batch_statistics(&mut self, x: &Tensor<4>, filled: &Filled) -> (Tensor<4>, Tensor<4>) {
        let features = self.setup.shape.features;
        let weights =
            Tensor::from_data(TensorData::new(filled.weights.clone(), [self.pack(), filled.width, 1, 1]), &self.device);
        let numbers: Vec<f64> = filled.counts.iter().map(|count| (count.max(&1) * features) as f64).collect();
        let per_run = |value: &dyn Fn(f64) -> f64| -> Tensor<4> {
            let values: Vec<f32> = numbers.iter().map(|number| value(*number) as f32).collect();
            Tensor::from_data(TensorData::new(values, [self.pack(), 1, 1, 1]), &self.device)
        };
        let share = per_run(&|number| 1.0 / number);
        let mean = (x.clone() * weights.clone()).sum_dim(1).sum_dim(3) * share.clone();
        let centred = x.clone() - mean.clone();
        let variance = (centred.clone() * centred * weights).sum_dim(1).sum_dim(3) * share;
        let unbiased = variance.clone() * per_run(&|number| if number > 1.0 { number / (number - 1.0) } else { 1.0 });
        let has_samples: Vec<bool> = filled.counts.iter().map(|count| *count > 0).collect();
        let (keep, take) = (1.0 - MOMENTUM, MOMENTUM);
        self.running_mean =
            where_run(&has_samples, self.running_mean.clone() * keep + mean.clone() * take, self.running_mean.clone());
        self.running_variance = where_run(
            &has_samples,
            self.running_variance.clone() * keep + unbiased * take,
            self.running_variance.clone(),
        );
        (mean, variance)
    }

    /// States and logits `[pack, batch, class]` of normalised inputs.
    fn pass(
        &mut self,
        parameters: &Tensors,
        inputs: Vec<Tensor<3>>,
        filled: &Filled,
        is_training: bool,
    ) -> (States, Tensor<3>) {
        let (gamma, beta) = (parameters.get("bn.weight"), parameters.get("bn.bias"));
        let scaled = inputs.into_iter().enumerate();
        let scaled = scaled.map(|(t, x)| x * gamma.clone().narrow(2, t, 1) + beta.clone().narrow(2, t, 1)).collect();
        let streams = if is_training { &mut self.dropout[..] } else { &mut [] };
        let mut dropout = Dropout { streams, rate: self.setup.shape.dropout };
        let states = self.setup.model.states(&self.setup.shape, parameters, scaled, &mut dropout);
        let read = states.read_at(&filled.last_steps, self.setup.runs.len());
        let logits = self.setup.model.logits(parameters, read);
        (states, logits)
    }

    /// Mean loss of each run, `[pack, 1, 1]`.
    fn losses(&self, logits: Tensor<3>, filled: &Filled) -> Tensor<3> {
        let (pack, width) = (self.pack(), filled.width);
        let mut shares = Vec::with_capacity(pack * width);
        for (run, (labels, weights)) in
            filled.labels.chunks_exact(width).zip(filled.weights.chunks_exact(width)).enumerate()
        {
            let class_weights = &self.setup.runs[run].class_weights;
            let weights = || {
                labels.iter().zip(weights).map(|(label, weight)| class_weights[*label as usize] * f64::from(*weight))
            };
            let total: f64 = weights().sum();
            shares.extend(weights().map(|weight| if total > 0.0 { (-weight / total) as f32 } else { 0.0 }));
        }
        let shares = Tensor::<3>::from_data(TensorData::new(shares, [pack, width, 1]), &logits.device());
        let labels =
            Tensor::<3, Int>::from_data(TensorData::new(filled.labels.clone(), [pack, width, 1]), &logits.device());
        (log_softmax(logits, 2).gather(2, labels) * shares).sum_dim(1)
    }

    /// One update of the runs that are `moving`.
    fn update(&mut self, gradients: Vec<Tensor<3>>, moving: &[bool]) {
        self.updates.iter_mut().zip(moving).for_each(|(updates, moves)| *updates += u64::from(*moves));
        let training = &self.setup.training;
        let old: Vec<Tensor<3>> = self.parameters.all().iter().map(|value| value.clone().inner()).collect();
        let mut new = Vec::with_capacity(old.len());
        for (index, (value, gradient)) in old.into_iter().zip(gradients).enumerate() {
            let change = match training.optimizer {
                Optimizer::Sgd => gradient * training.learning_rate,
                Optimizer::Adam => {
                    let (first, second) = (self.first[index].clone(), self.second[index].clone());
                    let new_first = first.clone() * training.beta1 + gradient.clone() * (1.0 - training.beta1);
                    let new_second =
                        second.clone() * training.beta2 + gradient.clone() * gradient * (1.0 - training.beta2);
                    self.first[index] = where_run(moving, new_first, first);
                    self.second[index] = where_run(moving, new_second, second);
                    let per_run = |value: &dyn Fn(i32) -> f64| -> Tensor<3> {
                        let steps =
                            self.updates.iter().map(|updates| i32::try_from(*updates).unwrap_or(i32::MAX).max(1));
                        let values: Vec<f32> = steps.map(|steps| value(steps) as f32).collect();
                        Tensor::from_data(TensorData::new(values, [self.updates.len(), 1, 1]), &self.device)
                    };
                    let rate = per_run(&|steps| training.learning_rate / (1.0 - training.beta1.powi(steps)));
                    let root = per_run(&|steps| (1.0 - training.beta2.powi(steps)).sqrt());
                    let scale = self.second[index].clone().sqrt() / root + training.epsilon;
                    self.first[index].clone() / scale * rate
                }
            };
            new.push(tracked(where_run(moving, value.clone() - change, value)));
        }
        self.parameters.replace(new);
    }

    fn keep_states(&mut self, states: States, batches: &[Batch], width: usize) {
        if batches.iter().all(|batch| batch.rows.is_empty()) {
            return;
        }
        for (kept, step) in self.kept.steps.iter_mut().zip(states.steps()) {
            kept.push(step);
        }
        for (places, batch) in self.kept.places.iter_mut().zip(batches) {
            for (place, row) in batch.rows.iter().enumerate() {
                places[*row] = self.kept.width + place;
            }
        }
        self.kept.width += width;
    }

    /// The states of one time step, `[pack, place, hidden]`.
    fn kept_at(&self, t: usize) -> Tensor<3> {
        Tensor::cat(self.kept.steps[t].clone(), 1)
    }

    /// Each run's states in the host's memory, `[time, row, hidden]`.
    fn host_states(&self) -> Result<Vec<probe::States>, DeviceError> {
        let (time, hidden) = (self.setup.shape.time, self.setup.shape.hidden);
        let mut all = vec![probe::States::default(); self.pack()];
        for (states, places) in all.iter_mut().zip(&self.kept.places) {
            states.reset(time, places.len(), hidden);
        }
        for t in 0..time {
            let values = numbers(self.kept_at(t))?;
            for (run, (states, places)) in all.iter_mut().zip(&self.kept.places).enumerate() {
                for (place, state) in places.iter().zip(states.at_mut(t).chunks_exact_mut(hidden)) {
                    let start = (run * self.kept.width + place) * hidden;
                    state.copy_from_slice(&values[start..start + hidden]);
                }
            }
        }
        Ok(all)
    }
}

impl Learner for TensorLearner {
    fn clear_states(&mut self, rows: usize) {
        let (pack, time) = (self.pack(), self.setup.shape.time);
        self.kept = Kept { steps: vec![Vec::new(); time], places: vec![vec![0; rows]; pack], width: 0 };
    }

    fn train(&mut self, batches: &[Batch], losses: &mut [Option<f64>]) -> Result<(), DeviceError> {
        losses.fill(None);
        let Some(filled) = Filled::of(batches) else { return Ok(()) };
        let inputs = self.normalise(&filled, Statistics::Batch).into_iter().map(Tensor::from_inner).collect();
        let parameters = self.parameters.clone();
        let (states, logits) = self.pass(&parameters, inputs, &filled, true);
        let loss = self.losses(logits, &filled);
        let values = numbers(loss.clone().inner())?;
        for (known, (value, count)) in losses.iter_mut().zip(values.iter().zip(&filled.counts)) {
            *known = (*count > 0).then_some(f64::from(*value));
        }
        let moving: Vec<bool> = losses.iter().map(|loss| loss.is_some_and(f64::is_finite)).collect();
        let gradients = loss.sum().backward();
        let gradients = parameters.all().iter().map(|value| {
            // A parameter that no run's loss depends on has no gradient: it stays.
            value.grad(&gradients).unwrap_or_else(|| value.clone().inner().zeros_like())
        });
        let gradients = gradients.collect();
        self.update(gradients, &moving);
        self.keep_states(states.without_graph(), batches, filled.width);
        Ok(())
    }

    fn evaluate(
        &mut self,
        batches: &[Batch],
        statistics: Statistics,
        logits: &mut [Vec<f32>],
    ) -> Result<(), DeviceError> {
        let Some(filled) = Filled::of(batches) else { return Ok(()) };
        let inputs = self.normalise(&filled, statistics);
        let parameters = self.parameters.without_graph();
        let (states, found) = self.pass(&parameters, inputs, &filled, false);
        let values = numbers(found)?;
        let size = filled.width * self.setup.shape.classes;
        for ((logits, count), values) in logits.iter_mut().zip(&filled.counts).zip(values.chunks_exact(size)) {
            logits.extend_from_slice(&values[..count * self.setup.shape.classes]);
        }
        self.keep_states(states, batches, filled.width);
        Ok(())
    }

    fn probe(&mut self, probed: &[Probed<'_>], curves: &mut [Vec<f64>]) -> Result<(), DeviceError> {
        if self.probes && self.setup.probe.kind == ProbeKind::Knn {
            let places = Places { width: self.kept.width, of_rows: &self.kept.places };
            let (k, classes) = (self.setup.probe.k as usize, self.setup.shape.classes);
            let knn = DeviceKnn::new(k, classes, probed, &places, &self.device);
            let states = (0..self.setup.shape.time).map(|t| self.kept_at(t));
            return knn.curves(states, curves);
        }
        let states = self.host_states()?;
        if self.probers.is_empty() {
            self.probers = probed.iter().map(|probed| self.setup.prober(probed.exclude)).collect();
        }
        for (((prober, states), probed), curve) in self.probers.iter_mut().zip(&states).zip(probed).zip(curves) {
            prober.curve(states, probed.fit, probed.queries, curve);
        }
        Ok(())
    }

    fn state(&self, run: usize) -> Result<NetworkState, DeviceError> {
        let of_run = |values: &[Tensor<3>]| -> Result<Vec<f32>, DeviceError> {
            let parts = values.iter().map(|value| numbers(value.clone().inner().narrow(0, run, 1)));
            Ok(parts.collect::<Result<Vec<_>, _>>()?.concat())
        };
        Ok(NetworkState {
            parameters: of_run(self.parameters.without_graph().all())?,
            first_moments: of_run(&self.first)?,
            second_moments: of_run(&self.second)?,
            updates: self.updates[run],
            running_mean: numbers(self.running_mean.clone().narrow(0, run, 1))?,
            running_variance: numbers(self.running_variance.clone().narrow(0, run, 1))?,
            dropout_position: self.dropout[run].position(),
        })
    }

    fn restore(&mut self, run: usize, state: &NetworkState) {
        let device = self.device.clone();
        let put = |values: Vec<Tensor<3>>, state: &[f32]| -> Vec<Tensor<3>> {
            let mut rest = state;
            let replaced = values.into_iter().map(|value| {
                let [_, rows, columns] = value.dims();
                let (own, others) = rest.split_at(rows * columns);
                rest = others;
                let own = Tensor::from_data(TensorData::new(own.to_vec(), [1, rows, columns]), &device);
                value.slice_assign([run..run + 1, 0..rows, 0..columns], own)
            });
            replaced.collect()
        };
        let parameters = put(self.parameters.without_graph().all().to_vec(), &state.parameters);
        self.parameters.replace(parameters.into_iter().map(tracked).collect());
        self.first = put(std::mem::take(&mut self.first), &state.first_moments);
        self.second = put(std::mem::take(&mut self.second), &state.second_moments);
        self.updates[run] = state.updates;
        let time = self.setup.shape.time;
        let row = |values: &[f32]| Tensor::<4>::from_data(TensorData::new(values.to_vec(), [1, 1, time, 1]), &device);
        let place = [run..run + 1, 0..1, 0..time, 0..1];
        self.running_mean = self.running_mean.clone().slice_assign(place.clone(), row(&state.running_mean));
        self.running_variance = self.running_variance.clone().slice_assign(place, row(&state.running_variance));
        self.dropout[run].seek(state.dropout_position);
    }
}

impl Filled {
    /// The batches of all runs, filled up to the longest; `None` if all are empty.
    fn of(batches: &[Batch]) -> Option<Filled> {
        let width = batches.iter().map(|batch| batch.samples.len()).max().filter(|width| *width > 0)?;
        let mut filled = Filled {
            width,
            counts: batches.iter().map(|batch| batch.samples.len()).collect(),
            samples: Vec::new(),
            labels: Vec::new(),
            last_steps: Vec::new(),
            weights: Vec::new(),
        };
        for batch in batches {
            let missing = width - batch.samples.len();
            // What fills up is read where the run's samples are, so that it asks for no step of its own.
            let last_step = batch.last_steps.first().or(batches.iter().find_map(|batch| batch.last_steps.first()));
            let last_step = last_step.copied().unwrap_or(0);
            filled
                .samples
                .extend(batch.samples.iter().map(|sample| i64::from(*sample)).chain(std::iter::repeat_n(0, missing)));
            filled
                .labels
                .extend(batch.labels.iter().map(|label| i64::from(*label)).chain(std::iter::repeat_n(0, missing)));
            filled.last_steps.extend(batch.last_steps.iter().copied().chain(std::iter::repeat_n(last_step, missing)));
            filled.weights.extend(batch.samples.iter().map(|_| 1.0).chain(std::iter::repeat_n(0.0, missing)));
        }
        Some(filled)
    }
}

/// Each parameter of all runs, `[pack, rows, columns]`.
fn packed(setup: &Setup, runs: &[&[f32]], device: &BurnDevice) -> Vec<Tensor<3>> {
    let mut start = 0;
    let parameters = setup.parameters.iter().map(|parameter| {
        let end = start + parameter.len();
        let values: Vec<f32> = runs.iter().flat_map(|run| &run[start..end]).copied().collect();
        start = end;
        Tensor::from_data(TensorData::new(values, [runs.len(), parameter.rows, parameter.columns]), device)
    });
    parameters.collect()
}

/// A parameter that gradients are asked for.
fn tracked(value: Tensor<3>) -> Tensor<3> {
    Tensor::from_inner(value).require_grad()
}

/// `new` for the runs that are chosen, `old` for the others; `[pack, …]`.
fn where_run<const D: usize>(chosen: &[bool], new: Tensor<D>, old: Tensor<D>) -> Tensor<D> {
    if chosen.iter().all(|chosen| *chosen) {
        return new;
    }
    let mut shape = [1; D];
    shape[0] = chosen.len();
    let mask = Tensor::<D, Bool>::from_data(TensorData::new(chosen.to_vec(), shape), &old.device());
    let mask = mask.expand(old.dims());
    old.mask_where(mask, new)
}

/// A tensor's numbers in the host's memory.
pub(super) fn numbers<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, DeviceError> {
    let data = tensor.try_into_data().map_err(|error| DeviceError(format!("{error:?}")))?;
    data.try_to_vec::<f32>().map_err(|error| DeviceError(format!("{error:?}")))
}
