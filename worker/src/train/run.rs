//! The training loop: what one epoch of a pack of runs does, in the order of method.md 2. On a processor a pack is one run.
//!
//! ```text
//! each run shuffles its training samples
//! for each batch: normalise, forward, loss, backward, update
//! score the validation samples (and the test samples after the last epoch)
//! collect the hidden states, probe each time step: the epoch's curve
//! ```

use std::ops::ControlFlow;
use std::sync::Arc;

use curvefleet_proto::plan::RunSettings;
use curvefleet_proto::study::{States as ProbedStates, Statistics};

use super::checkpoint::{self, Checkpoint, RunState};
use super::core::CoreLearner;
use super::curve::Curve;
use super::device::Device;
use super::learner::{Batch, DeviceError, Learner};
use super::member::Member;
use super::setup::Setup;
use super::tensors::TensorLearner;
use crate::data::DataError;
use crate::data::prepare::{Selection, prepare};

/// Samples of one pass in evaluation mode, where a batch is smaller: enough to make a step's cost small beside its work.
const EVALUATED_AT_ONCE: usize = 128;

/// Runs to train together: seeds of one condition and model.
#[derive(Debug, Clone, Copy)]
pub struct Pack<'a> {
    /// What decides their numbers, apart from their seeds.
    pub settings: &'a RunSettings,
    /// One run each. A processor takes one at a time.
    pub seeds: &'a [u64],
    /// The condition's samples.
    pub selection: &'a Arc<Selection>,
    /// What trains them.
    pub device: Device,
}

/// What became of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Its epochs: all of them, or those before it diverged.
    pub curve: Curve,
    /// Where its loss stopped being a number.
    pub diverged: Option<Diverged>,
}

/// The loss is not a number any more.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("training diverged: the loss is {loss} in epoch {epoch}, {place}; a smaller learning rate may help")]
pub struct Diverged {
    /// The epoch, from 1.
    pub epoch: u32,
    /// Where in the epoch: `batch 3`, counted from 1, or `validation`.
    pub place: String,
    /// What the loss became.
    pub loss: f64,
}

/// Why a pack was not trained to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The samples cannot be split.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The observer asked to stop before the last epoch.
    #[error("stopped after epoch {epoch}")]
    Stopped {
        /// The last finished epoch.
        epoch: u32,
    },
    /// The checkpoint to go on from is none of this pack's.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// Trains a pack and probes it after every epoch, from the beginning or from a checkpoint. `observe` sees each finished epoch, can take
/// a checkpoint of it, and may end the training.
///
/// # Errors
/// If the samples cannot be split, the checkpoint is another pack's, the observer stops, or the device fails. A run that diverges is
/// no error: the others go on, and its outcome says so.
pub fn train(
    pack: &Pack<'_>,
    checkpoint: Option<&Checkpoint>,
    observe: &mut dyn FnMut(&Training<'_>) -> ControlFlow<()>,
) -> Result<Vec<Outcome>, Error> {
    let mut training = Training::new(pack)?;
    if let Some(checkpoint) = checkpoint {
        training.resume(checkpoint)?;
    }
    while training.epoch < pack.settings.training.epochs && training.is_any_left() {
        training.next_epoch()?;
        let is_last = training.epoch == pack.settings.training.epochs || !training.is_any_left();
        if observe(&training).is_break() && !is_last {
            return Err(Error::Stopped { epoch: training.epoch });
        }
    }
    Ok(training.members.into_iter().map(|member| member.outcome).collect())
}

/// A pack in training.
pub struct Training<'a> {
    pack: Pack<'a>,
    /// Finished epochs.
    epoch: u32,
    members: Vec<Member>,
    learner: Box<dyn Learner>,
    /// One batch per run, filled again and again.
    batches: Vec<Batch>,
    losses: Vec<Option<f64>>,
    logits: Vec<Vec<f32>>,
    curves: Vec<Vec<f64>>,
}

/// Samples that are scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Validation,
    Test,
}

impl<'a> Training<'a> {
    fn new(pack: &Pack<'a>) -> Result<Training<'a>, Error> {
        let roots: Vec<[u8; 32]> = pack.seeds.iter().map(|seed| pack.settings.random_root(*seed)).collect();
        let mut members = Vec::new();
        for root in &roots {
            let data = prepare(pack.selection, &pack.settings.condition, &pack.settings.training, root)?;
            members.push(Member::new(pack.settings, data, root));
        }
        let runs: Vec<_> = members.iter().map(|member| &member.data).zip(roots).collect();
        let setup = Setup::new(pack.settings, &runs, pack.device.threads());
        let learner: Box<dyn Learner> = match setup.model.layers(&setup.shape) {
            Some(layers) if !pack.device.takes_packs() => {
                assert_eq!(members.len(), 1, "a processor trains one run at a time");
                Box::new(CoreLearner::new(&setup, pack.selection.clone(), layers, pack.device.threads()))
            }
            _ => Box::new(TensorLearner::new(setup, pack.selection, pack.device)),
        };
        let runs = members.len();
        Ok(Training {
            pack: *pack,
            epoch: 0,
            members,
            learner,
            batches: vec![Batch::default(); runs],
            losses: vec![None; runs],
            logits: vec![Vec::new(); runs],
            curves: vec![Vec::new(); runs],
        })
    }

    /// Finished epochs.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// What the runs have come to so far, in the order of the pack's seeds.
    pub fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.members.iter().map(|member| &member.outcome)
    }

    /// Mean training loss of the last epoch over the runs that are left.
    pub fn train_loss(&self) -> f64 {
        let losses = || self.members.iter().filter(|member| member.is_left()).filter_map(Member::last_loss);
        losses().sum::<f64>() / losses().count().max(1) as f64
    }

    /// All that is needed to go on from the last finished epoch, to the bit.
    ///
    /// # Errors
    /// If the device does not give its parameters.
    pub fn checkpoint(&self) -> Result<Checkpoint, DeviceError> {
        let runs = self.members.iter().enumerate().map(|(index, member)| {
            Ok(RunState {
                network: self.learner.state(index)?,
                order: member.order.clone(),
                shuffle_position: member.shuffles.position(),
                outcome: member.outcome.clone(),
            })
        });
        Ok(Checkpoint {
            origin: checkpoint::Origin::of(&self.pack),
            epoch: self.epoch,
            runs: runs.collect::<Result<_, DeviceError>>()?,
        })
    }

    fn resume(&mut self, checkpoint: &Checkpoint) -> Result<(), checkpoint::Error> {
        checkpoint.check(&self.pack)?;
        self.epoch = checkpoint.epoch;
        for (index, (member, state)) in self.members.iter_mut().zip(&checkpoint.runs).enumerate() {
            self.learner.restore(index, &state.network);
            member.order.clone_from(&state.order);
            member.shuffles.seek(state.shuffle_position);
            member.outcome.clone_from(&state.outcome);
        }
        Ok(())
    }

    fn is_any_left(&self) -> bool {
        self.members.iter().any(Member::is_left)
    }

    /// One epoch of every run that is left.
    fn next_epoch(&mut self) -> Result<(), DeviceError> {
        self.epoch += 1;
        for member in &mut self.members {
            member.begin_epoch();
        }
        let rows = self.members.iter().map(|member| member.probed.rows).max().unwrap_or(0);
        self.learner.clear_states(rows);
        self.train_samples()?;
        self.score(Part::Validation)?;
        if !self.is_any_left() {
            return Ok(());
        }
        self.collect_states()?;
        self.probe()?;
        // Last, because with batch statistics this moves the running ones.
        if self.epoch == self.pack.settings.training.epochs {
            self.score(Part::Test)?;
        }
        for member in &mut self.members {
            member.end_epoch(self.epoch);
        }
        Ok(())
    }

    /// One pass over the training samples, each run in an order of its own, with an update per batch.
    fn train_samples(&mut self) -> Result<(), DeviceError> {
        let size = self.pack.settings.training.batch_size as usize;
        let keep_states = self.pack.settings.probe.states == ProbedStates::TrainingPasses;
        let most = self.members.iter().map(|member| member.order.len()).max().unwrap_or(0);
        for (number, first) in (0..most).step_by(size).enumerate() {
            for (member, batch) in self.members.iter().zip(&mut self.batches) {
                member.fill_training(batch, first, size, keep_states);
            }
            self.learner.train(&self.batches, &mut self.losses)?;
            for ((member, batch), loss) in self.members.iter_mut().zip(&self.batches).zip(&self.losses) {
                if let Some(loss) = loss {
                    member.note_loss(*loss, batch.samples.len(), self.epoch, number + 1);
                }
            }
        }
        Ok(())
    }

    /// Scores some samples without training on them, and keeps the validation samples' states on the way where the probe is to be
    /// scored on what scoring sees: those that go with training passes, and those of evaluation mode, which an extra pass would
    /// only give again.
    fn score(&mut self, part: Part) -> Result<(), DeviceError> {
        let statistics = self.pack.settings.training.evaluation;
        let keep_states = part == Part::Validation && self.keeps_states_when_scoring();
        self.logits.iter_mut().for_each(Vec::clear);
        let size = self.pass_size(statistics);
        let most = self.members.iter().map(|member| member.samples(part == Part::Test).len()).max().unwrap_or(0);
        for first in (0..most).step_by(size) {
            for (member, batch) in self.members.iter().zip(&mut self.batches) {
                member.fill_scored(batch, part == Part::Test, first, size, keep_states);
            }
            self.learner.evaluate(&self.batches, statistics, &mut self.logits)?;
        }
        for (member, logits) in self.members.iter_mut().zip(&self.logits) {
            member.note_scores(part == Part::Test, logits, self.epoch);
        }
        Ok(())
    }

    /// One extra pass in evaluation mode over all samples that are probed and whose states are not there yet, each once.
    fn collect_states(&mut self) -> Result<(), DeviceError> {
        if self.pack.settings.probe.states == ProbedStates::TrainingPasses {
            return Ok(());
        }
        let has_validation = self.keeps_states_when_scoring();
        let size = self.pass_size(Statistics::Running);
        let last = |member: &Member| if has_validation { member.probed.train_rows_end } else { member.probed.rows };
        let most = self.members.iter().map(last).max().unwrap_or(0);
        self.logits.iter_mut().for_each(Vec::clear);
        for first in (0..most).step_by(size) {
            for (member, batch) in self.members.iter().zip(&mut self.batches) {
                member.fill_rows(batch, first, size.min(last(member).saturating_sub(first)));
            }
            self.learner.evaluate(&self.batches, Statistics::Running, &mut self.logits)?;
        }
        Ok(())
    }

    fn keeps_states_when_scoring(&self) -> bool {
        self.pack.settings.probe.states == ProbedStates::TrainingPasses
            || self.pack.settings.training.evaluation == Statistics::Running
    }

    /// Samples per pass: a batch where the batch decides the numbers, else at least so many that passes are worth their while.
    fn pass_size(&self, statistics: Statistics) -> usize {
        let batch = self.pack.settings.training.batch_size as usize;
        match statistics {
            Statistics::Batch => batch,
            Statistics::Running => batch.max(EVALUATED_AT_ONCE),
        }
    }

    /// The epoch's curves: the probe's accuracy at every time step.
    fn probe(&mut self) -> Result<(), DeviceError> {
        self.curves.iter_mut().for_each(Vec::clear);
        if let [member] = self.members.as_slice() {
            return self.learner.probe(&[member.probed()], &mut self.curves).map(|()| self.take_curves());
        }
        let probed: Vec<_> = self.members.iter().map(Member::probed).collect();
        self.learner.probe(&probed, &mut self.curves)?;
        self.take_curves();
        Ok(())
    }

    fn take_curves(&mut self) {
        for (member, curve) in self.members.iter_mut().zip(&self.curves) {
            member.note_curve(curve);
        }
    }
}
