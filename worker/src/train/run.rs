//! The training loop: what one epoch does, in the order of method.md 2.
//!
//! ```text
//! shuffle the training samples
//! for each batch: normalise, forward, loss, backward, update
//! score the validation samples (and the test samples after the last epoch)
//! collect the hidden states, probe each time step: the epoch's curve
//! ```

use std::ops::ControlFlow;
use std::sync::Arc;

use burn::module::Module;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use curvefleet_proto::plan::RunSettings;
use curvefleet_proto::study::{Optimizer, ReadOut, Scoring, States as ProbedStates, Statistics, Training};

use super::curve::{Curve, EpochRecord};
use super::scores::Scores;
use crate::data::DataError;
use crate::data::prepare::{Prepared, Selection, prepare};
use crate::model::{Lstm, LstmConfig, LstmWeights, Output, RunningStatistics};
use crate::probe::{Exclude, Knn, Points, States};
use crate::rng::{self, Stream};

/// Samples of one pass in evaluation mode: enough to make a step's cost small beside its work, few enough to stay in cache.
const EVALUATED_AT_ONCE: usize = 512;

/// Why a run has no curve, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The samples cannot be split.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The loss is not a number any more.
    #[error("training diverged: the loss is {loss} in epoch {epoch}, {place}; a smaller learning rate may help")]
    Diverged {
        /// The epoch, from 1.
        epoch: u32,
        /// Where in the epoch: `batch 3`, counted from 1, or `validation`.
        place: String,
        /// What the loss became.
        loss: f64,
    },
    /// The observer asked to stop before the last epoch.
    #[error("stopped after epoch {epoch}")]
    Stopped {
        /// The last finished epoch.
        epoch: u32,
    },
    /// The device failed.
    #[error("the training device failed: {0}")]
    Device(String),
}

/// Trains one run and probes it after every epoch. `observe` sees each epoch's record as it is finished and may end the run.
///
/// # Errors
/// If the samples cannot be split, training diverges, the observer stops it, or the device fails.
pub fn train(
    settings: &RunSettings,
    seed: u64,
    selection: &Arc<Selection>,
    device: &Device,
    observe: &mut dyn FnMut(&EpochRecord) -> ControlFlow<()>,
) -> Result<Curve, Error> {
    let random_root = settings.random_root(seed);
    let prepared = prepare(selection, &settings.condition, &settings.training, &random_root)?;
    let mut run = Run::new(settings, &prepared, &random_root, device);
    let mut curve = Curve::default();
    for epoch in 1..=settings.training.epochs {
        let record = run.epoch(epoch)?;
        let flow = observe(&record);
        curve.epochs.push(record);
        if flow.is_break() && epoch < settings.training.epochs {
            return Err(Error::Stopped { epoch });
        }
    }
    Ok(curve)
}

/// A run in training.
struct Run<'a> {
    settings: &'a RunSettings,
    data: &'a Prepared,
    /// Order of the training samples; shuffled again before each epoch.
    order: Vec<usize>,
    batches: Stream,
    model: Lstm,
    statistics: RunningStatistics,
    optimizer: ModuleOptimizer,
    /// Trains; has the graph.
    device: Device,
    /// Evaluates and probes; has none.
    plain_device: Device,
    probed: Probed,
}

/// The hidden states that are probed, and which row holds whose.
struct Probed {
    states: States,
    /// Row of each training position.
    train_rows: Vec<usize>,
    /// Row of each validation position; empty unless the probe is scored on them.
    validation_rows: Vec<usize>,
    rows: usize,
}

impl<'a> Run<'a> {
    fn new(settings: &'a RunSettings, data: &'a Prepared, random_root: &[u8; 32], device: &Device) -> Run<'a> {
        let config = LstmConfig {
            time: data.selection.steps,
            features: data.selection.features,
            hidden: settings.model.hidden as usize,
            layers: settings.model.layers as usize,
            classes: data.selection.classes.len(),
        };
        let training_device = device.clone().autodiff();
        Run {
            settings,
            data,
            order: (0..data.parts.train.len()).collect(),
            batches: rng::stream(random_root, "batches"),
            model: Lstm::new(&config, LstmWeights::initial(&config, random_root), &training_device),
            statistics: RunningStatistics::new(config.time),
            optimizer: optimizer(&settings.training),
            device: training_device,
            plain_device: device.clone(),
            probed: Probed::new(settings, data),
        }
    }

    fn epoch(&mut self, epoch: u32) -> Result<EpochRecord, Error> {
        self.probed.states.reset(self.data.selection.steps, self.probed.rows, self.settings.model.hidden as usize);
        let train_loss = self.train_epoch(epoch)?;
        let model = self.model.valid();
        let keep_states = self.settings.probe.states == ProbedStates::TrainingPasses;
        let validation = self.score(&model, &self.data.parts.validation, keep_states)?;
        if let Some(loss) = validation.loss.filter(|loss| !loss.is_finite()) {
            return Err(Error::Diverged { epoch, place: "validation".to_string(), loss });
        }
        self.collect_states(&model)?;
        let curve = self.probe();
        // Last, because with batch statistics this moves the running ones.
        let test = match epoch == self.settings.training.epochs {
            true => Some(self.score(&model, &self.data.parts.test, false)?),
            false => None,
        };
        Ok(EpochRecord { epoch, train_loss, validation, test, curve })
    }

    /// One pass over the training samples in a new order, with an update per batch; gives the mean loss per sample.
    fn train_epoch(&mut self, epoch: u32) -> Result<f64, Error> {
        self.batches.shuffle(&mut self.order);
        let order = std::mem::take(&mut self.order);
        let mut loss_sum = 0.0;
        for (batch, positions) in order.chunks(self.settings.training.batch_size as usize).enumerate() {
            let loss = self.train_batch(positions)?;
            if !loss.is_finite() {
                return Err(Error::Diverged { epoch, place: format!("batch {}", batch + 1), loss: f64::from(loss) });
            }
            loss_sum += f64::from(loss) * positions.len() as f64;
        }
        let samples = order.len() as f64;
        self.order = order;
        Ok(loss_sum / samples)
    }

    fn train_batch(&mut self, positions: &[usize]) -> Result<f32, Error> {
        let samples: Vec<u32> = positions.iter().map(|position| self.data.parts.train[*position]).collect();
        let inputs = self.inputs(&samples);
        let batch = self.statistics.normalise_by_batch(&inputs, self.data.selection.features, &self.device);
        let output = self.model.forward(batch, &self.last_steps(&samples));
        if self.settings.probe.states == ProbedStates::TrainingPasses {
            let rows: Vec<usize> = positions.iter().map(|position| self.probed.train_rows[*position]).collect();
            self.probed.states.store(&output.states, &rows).map_err(Error::Device)?;
        }
        let loss = cross_entropy(output.logits, &self.labels(&samples), &self.device);
        let value = loss.clone().try_into_scalar::<f32>().map_err(|error| Error::Device(format!("{error:?}")))?;
        if value.is_finite() {
            let gradients = GradientsParams::from_grads(loss.backward(), &self.model);
            self.model = self.optimizer.step(self.settings.training.learning_rate, self.model.clone(), gradients);
        }
        Ok(value)
    }

    /// Scores some samples without training on them; `keep_states` stores the validation samples' states on the way, where the
    /// probe is scored on them: states of training passes go with what scoring sees, those of an extra pass have an extra pass.
    fn score(&mut self, model: &Lstm, samples: &[u32], keep_states: bool) -> Result<Scores, Error> {
        let keep_states = keep_states && !self.probed.validation_rows.is_empty();
        let mut logits = Vec::new();
        let size = self.pass_size(self.settings.training.evaluation);
        for (batch, chunk) in samples.chunks(size).enumerate() {
            let output = self.pass(model, chunk, self.settings.training.evaluation);
            let data = output.logits.into_data();
            logits.extend_from_slice(data.as_slice::<f32>().map_err(|error| Error::Device(format!("{error:?}")))?);
            if keep_states {
                let first = batch * size;
                let rows = &self.probed.validation_rows[first..first + chunk.len()];
                self.probed.states.store(&output.states, rows).map_err(Error::Device)?;
            }
        }
        Ok(Scores::of(&logits, &self.labels(samples), self.data.selection.classes.len()))
    }

    /// One extra pass in evaluation mode over all samples that are probed, each once.
    fn collect_states(&mut self, model: &Lstm) -> Result<(), Error> {
        if self.settings.probe.states == ProbedStates::TrainingPasses {
            return Ok(());
        }
        let mut sample_of_row = vec![0; self.probed.rows];
        let positions = self.probed.train_rows.iter().zip(&self.data.parts.train);
        for (row, sample) in positions.chain(self.probed.validation_rows.iter().zip(&self.data.parts.validation)) {
            sample_of_row[*row] = *sample;
        }
        let size = self.pass_size(Statistics::Running);
        for (chunk, samples) in sample_of_row.chunks(size).enumerate() {
            let output = self.pass(model, samples, Statistics::Running);
            let first = chunk * size;
            let rows: Vec<usize> = (first..first + samples.len()).collect();
            self.probed.states.store(&output.states, &rows).map_err(Error::Device)?;
        }
        Ok(())
    }

    /// Samples per pass: a batch where the batch decides the numbers, else more at once.
    fn pass_size(&self, statistics: Statistics) -> usize {
        let batch = self.settings.training.batch_size as usize;
        match statistics {
            Statistics::Batch => batch,
            Statistics::Running => batch.max(EVALUATED_AT_ONCE),
        }
    }

    fn pass(&mut self, model: &Lstm, samples: &[u32], statistics: Statistics) -> Output {
        let inputs: Vec<&[f32]> = samples.iter().map(|sample| self.data.selection.input(*sample as usize)).collect();
        let features = self.data.selection.features;
        let batch = match statistics {
            Statistics::Batch => self.statistics.normalise_by_batch(&inputs, features, &self.plain_device),
            Statistics::Running => self.statistics.normalise_by_running(&inputs, features, &self.plain_device),
        };
        model.forward(batch, &self.last_steps(samples))
    }

    /// The epoch's curve: the probe's accuracy at every time step.
    fn probe(&self) -> Vec<f64> {
        let (settings, parts) = (&self.settings.probe, &self.data.parts);
        let origins = |samples: &[u32]| samples.iter().map(|sample| *sample as usize).collect::<Vec<_>>();
        let (train_labels, train_origins) = (self.labels(&parts.train), origins(&parts.train));
        let fit = Points { rows: &self.probed.train_rows, labels: &train_labels, origins: &train_origins };
        let (validation_labels, validation_origins) = (self.labels(&parts.validation), origins(&parts.validation));
        let (queries, exclude) = match settings.scoring {
            Scoring::Resubstitution => (fit, Exclude::Nothing),
            Scoring::LeaveOneOut => (fit, Exclude::SameOrigin),
            Scoring::HeldOut => {
                let rows = &self.probed.validation_rows;
                (Points { rows, labels: &validation_labels, origins: &validation_origins }, Exclude::Nothing)
            }
        };
        let knn = Knn { k: settings.k as usize, classes: self.data.selection.classes.len(), exclude };
        let states = &self.probed.states;
        let accuracy_at = |t| {
            let predictions = knn.predict(states.at(t), states.hidden(), fit, queries, &self.plain_device);
            let right = predictions.iter().zip(queries.labels).filter(|(predicted, label)| predicted == label).count();
            right as f64 / queries.labels.len() as f64
        };
        (0..self.data.selection.steps).map(accuracy_at).collect()
    }

    fn inputs(&self, samples: &[u32]) -> Vec<&'a [f32]> {
        samples.iter().map(|sample| self.data.selection.input(*sample as usize)).collect()
    }

    fn labels(&self, samples: &[u32]) -> Vec<u32> {
        samples.iter().map(|sample| self.data.labels[*sample as usize]).collect()
    }

    fn last_steps(&self, samples: &[u32]) -> Vec<u32> {
        let selection = &self.data.selection;
        match self.settings.training.read_out {
            ReadOut::LastStep => vec![selection.steps as u32 - 1; samples.len()],
            ReadOut::OwnLastStep => {
                samples.iter().map(|sample| selection.samples[*sample as usize].last_step).collect()
            }
        }
    }
}

impl Probed {
    /// States of an extra pass are the same for all copies of a sample, which share a row; each training pass has a row of its own.
    fn new(settings: &RunSettings, data: &Prepared) -> Probed {
        let mut rows = 0;
        let mut row_of_sample = std::collections::HashMap::new();
        let mut new_row = || {
            rows += 1;
            rows - 1
        };
        let train_rows = data.parts.train.iter().map(|sample| match settings.probe.states {
            ProbedStates::TrainingPasses => new_row(),
            ProbedStates::EpochEnd => *row_of_sample.entry(*sample).or_insert_with(&mut new_row),
        });
        let train_rows: Vec<usize> = train_rows.collect();
        let validation_rows: Vec<usize> = match settings.probe.scoring {
            Scoring::HeldOut => data.parts.validation.iter().map(|_| new_row()).collect(),
            Scoring::LeaveOneOut | Scoring::Resubstitution => Vec::new(),
        };
        Probed { states: States::default(), train_rows, validation_rows, rows }
    }
}

fn optimizer(training: &Training) -> ModuleOptimizer {
    match training.optimizer {
        Optimizer::Adam => AdamConfig::new()
            .with_beta_1(training.beta1 as f32)
            .with_beta_2(training.beta2 as f32)
            .with_epsilon(training.epsilon as f32)
            .init(),
        Optimizer::Sgd => SgdConfig::new().init(),
    }
}

/// Mean cross-entropy of logits `[batch, class]`, a scalar.
pub fn cross_entropy(logits: Tensor<2>, labels: &[u32], device: &Device) -> Tensor<1> {
    let labels: Vec<i64> = labels.iter().map(|label| i64::from(*label)).collect();
    let rows = labels.len();
    let labels = Tensor::<2, Int>::from_data(TensorData::new(labels, [rows, 1]), device);
    log_softmax(logits, 1).gather(1, labels).mean().neg()
}
