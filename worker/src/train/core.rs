//! Training on a processor's cores: one run, its network written out on slices.

use std::sync::Arc;

use curvefleet_proto::study::Statistics;
use pulp::Arch;

use super::learner::{Batch, DeviceError, Learner, NetworkState, Probed};
use super::setup::Setup;
use crate::data::prepare::Selection;
use crate::kernel::readout::Targets;
use crate::kernel::recurrent::Layers;
use crate::kernel::update::Update;
use crate::kernel::{Network, Sequences};
use crate::probe::{Prober, States};
use crate::rng::Stream;

/// A pack of one run.
#[derive(Debug)]
pub struct CoreLearner {
    selection: Arc<Selection>,
    network: Network<f32>,
    class_weights: Vec<f64>,
    dropout: Stream,
    states: States,
    prober: Option<Prober>,
    setup: Setup,
}

impl CoreLearner {
    /// The first run of the set-up, with `layers` of its shape; `threads` are those of the rayon pool that it is called in.
    pub fn new(setup: &Setup, selection: Arc<Selection>, layers: Box<dyn Layers<f32>>, threads: usize) -> CoreLearner {
        let run = &setup.runs[0];
        let parameters = run.initial_values.clone();
        let update = Update::new(&setup.training, parameters.len());
        CoreLearner {
            selection,
            network: Network::new(&setup.shape, layers, parameters, update, Arch::new(), threads),
            class_weights: run.class_weights.clone(),
            dropout: run.dropout.clone(),
            states: States::default(),
            prober: None,
            setup: Setup { threads, ..setup.clone() },
        }
    }

    /// Copies the states of the last pass to the rows that the batch names.
    fn keep_states(&mut self, batch: &Batch) {
        if batch.rows.is_empty() {
            return;
        }
        let hidden = self.states.hidden();
        let steps = self.network.states().chunks_exact(batch.rows.len() * hidden);
        for (t, step) in steps.enumerate() {
            let kept = self.states.at_mut(t);
            for (row, state) in batch.rows.iter().zip(step.chunks_exact(hidden)) {
                kept[row * hidden..(row + 1) * hidden].copy_from_slice(state);
            }
        }
    }
}

fn sequences<'a>(selection: &'a Selection, batch: &'a Batch) -> Sequences<'a, f32> {
    let Batch { samples, last_steps, rows, .. } = batch;
    Sequences { x: &selection.x, samples, last_steps, all_steps: !rows.is_empty() }
}

impl Learner for CoreLearner {
    fn clear_states(&mut self, rows: usize) {
        self.states.reset(self.setup.shape.time, rows, self.setup.shape.hidden);
    }

    fn train(&mut self, batches: &[Batch], losses: &mut [Option<f64>]) -> Result<(), DeviceError> {
        let batch = &batches[0];
        losses[0] = None;
        if batch.samples.is_empty() {
            return Ok(());
        }
        self.network.forward(&sequences(&self.selection, batch), Some(&mut self.dropout));
        self.keep_states(batch);
        let targets = Targets { labels: &batch.labels, class_weights: &self.class_weights };
        let loss = self.network.backward(&targets);
        if loss.is_finite() {
            self.network.step();
        }
        losses[0] = Some(loss);
        Ok(())
    }

    fn evaluate(
        &mut self,
        batches: &[Batch],
        statistics: Statistics,
        logits: &mut [Vec<f32>],
    ) -> Result<(), DeviceError> {
        let batch = &batches[0];
        if batch.samples.is_empty() {
            return Ok(());
        }
        logits[0].extend_from_slice(self.network.evaluate(&sequences(&self.selection, batch), statistics));
        self.keep_states(batch);
        Ok(())
    }

    fn probe(&mut self, probed: &[Probed<'_>], curves: &mut [Vec<f64>]) -> Result<(), DeviceError> {
        let Probed { fit, queries, exclude } = probed[0];
        let prober = self.prober.get_or_insert_with(|| self.setup.prober(exclude));
        prober.curve(&self.states, fit, queries, &mut curves[0]);
        Ok(())
    }

    fn state(&self, _run: usize) -> Result<NetworkState, DeviceError> {
        let network = &self.network;
        Ok(NetworkState {
            parameters: network.parameters.clone(),
            first_moments: network.update.first.clone(),
            second_moments: network.update.second.clone(),
            updates: network.update.steps,
            running_mean: network.statistics.mean.clone(),
            running_variance: network.statistics.variance.clone(),
            dropout_position: self.dropout.position(),
        })
    }

    fn restore(&mut self, _run: usize, state: &NetworkState) {
        let network = &mut self.network;
        network.parameters.clone_from(&state.parameters);
        network.update.first.clone_from(&state.first_moments);
        network.update.second.clone_from(&state.second_moments);
        network.update.steps = state.updates;
        network.statistics.mean.clone_from(&state.running_mean);
        network.statistics.variance.clone_from(&state.running_variance);
        self.dropout.seek(state.dropout_position);
    }
}
