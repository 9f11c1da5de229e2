//! One run of a pack: its samples, its random order, which states its probe reads, and its curve so far.

use std::collections::HashMap;

use curvefleet_proto::plan::RunSettings;
use curvefleet_proto::study::{ReadOut, Scoring, States as ProbedStates};

use super::curve::{Curve, EpochRecord};
use super::learner::{Batch, Probed};
use super::run::{Diverged, Outcome};
use super::scores::Scores;
use crate::data::prepare::Prepared;
use crate::probe::{Exclude, Points};
use crate::rng::{self, Stream};

/// A run in training.
#[derive(Debug)]
pub struct Member {
    /// Its samples, labels and parts.
    pub data: Prepared,
    /// Positions among the training samples, in the order of the epoch; shuffled again before each.
    pub order: Vec<u32>,
    /// What the order is drawn from.
    pub shuffles: Stream,
    /// Which states are probed, and where they are kept.
    pub probed: ProbedRows,
    /// What it has come to.
    pub outcome: Outcome,
    read_out: ReadOut,
    epoch: Epoch,
}

/// Which row of the kept states holds whose.
#[derive(Debug)]
pub struct ProbedRows {
    /// How many rows are kept.
    pub rows: usize,
    /// The rows below this one are those of training samples, the others those of validation samples.
    pub train_rows_end: usize,
    /// The sample in each row.
    samples: Vec<u32>,
    train: ProbedPart,
    /// Empty unless the probe is scored on validation samples.
    validation: ProbedPart,
    scoring: Scoring,
}

/// The points of one part of the samples, as the probe takes them.
#[derive(Debug, Default)]
struct ProbedPart {
    rows: Vec<usize>,
    labels: Vec<u32>,
    origins: Vec<usize>,
}

/// What is known of the epoch at hand.
#[derive(Debug, Default)]
struct Epoch {
    loss_sum: f64,
    samples: usize,
    validation: Scores,
    test: Option<Scores>,
    curve: Vec<f64>,
}

impl Member {
    /// A run before its first epoch.
    pub fn new(settings: &RunSettings, data: Prepared, random_root: &[u8; 32]) -> Member {
        let epochs = settings.training.epochs as usize;
        Member {
            order: (0..data.parts.train.len() as u32).collect(),
            shuffles: rng::stream(random_root, "batches"),
            probed: ProbedRows::new(settings, &data),
            outcome: Outcome { curve: Curve { epochs: Vec::with_capacity(epochs) }, diverged: None },
            read_out: settings.training.read_out,
            epoch: Epoch::default(),
            data,
        }
    }

    /// Whether it has not diverged.
    pub fn is_left(&self) -> bool {
        self.outcome.diverged.is_none()
    }

    /// The last finished epoch's mean training loss.
    pub fn last_loss(&self) -> Option<f64> {
        self.outcome.curve.epochs.last().map(|epoch| epoch.train_loss)
    }

    /// Draws the epoch's order.
    pub fn begin_epoch(&mut self) {
        self.shuffles.shuffle(&mut self.order);
        (self.epoch.loss_sum, self.epoch.samples, self.epoch.test) = (0.0, 0, None);
    }

    /// Appends the epoch's record to the curve.
    pub fn end_epoch(&mut self, epoch: u32) {
        if self.is_left() {
            self.outcome.curve.epochs.push(EpochRecord {
                epoch,
                train_loss: self.epoch.loss_sum / self.epoch.samples as f64,
                validation: self.epoch.validation,
                test: self.epoch.test,
                curve: self.epoch.curve.clone(),
            });
        }
    }

    /// The training samples from the place `first` of the epoch's order on, at most `size`.
    pub fn fill_training(&self, batch: &mut Batch, first: usize, size: usize, keep_states: bool) {
        let places = first.min(self.order.len())..(first + size).min(self.order.len());
        let positions = self.order[places].iter().map(|position| *position as usize);
        self.fill(batch, positions.clone().map(|position| self.data.parts.train[position]));
        if keep_states && self.is_left() {
            batch.rows.extend(positions.map(|position| self.probed.train.rows[position]));
        }
    }

    /// The validation or test samples from `first` on, at most `size`.
    pub fn fill_scored(&self, batch: &mut Batch, is_test: bool, first: usize, size: usize, keep_states: bool) {
        let samples = self.samples(is_test);
        let places = first.min(samples.len())..(first + size).min(samples.len());
        self.fill(batch, samples[places.clone()].iter().copied());
        if keep_states && self.is_left() && !self.probed.validation.rows.is_empty() {
            batch.rows.extend_from_slice(&self.probed.validation.rows[places]);
        }
    }

    /// The samples in the rows from `first` on, at most `size`.
    pub fn fill_rows(&self, batch: &mut Batch, first: usize, size: usize) {
        let rows = first.min(self.probed.rows)..(first + size).min(self.probed.rows);
        self.fill(batch, self.probed.samples[rows.clone()].iter().copied());
        if self.is_left() {
            batch.rows.extend(rows);
        }
    }

    /// The test or validation samples.
    pub fn samples(&self, is_test: bool) -> &[u32] {
        if is_test { &self.data.parts.test } else { &self.data.parts.validation }
    }

    /// Notes a batch's mean loss.
    pub fn note_loss(&mut self, loss: f64, samples: usize, epoch: u32, batch: usize) {
        if !loss.is_finite() {
            self.outcome.diverged = Some(Diverged { epoch, place: format!("batch {batch}"), loss });
        }
        self.epoch.loss_sum += loss * samples as f64;
        self.epoch.samples += samples;
    }

    /// Notes the scores of logits `[sample, class]` for the validation or test samples.
    pub fn note_scores(&mut self, is_test: bool, logits: &[f32], epoch: u32) {
        if !self.is_left() {
            return;
        }
        let labels = self.samples(is_test).iter().map(|sample| self.data.labels[*sample as usize]);
        let scores = Scores::of(logits, labels, self.data.selection.classes.len());
        if is_test {
            self.epoch.test = Some(scores);
            return;
        }
        self.epoch.validation = scores;
        if let Some(loss) = scores.loss.filter(|loss| !loss.is_finite()) {
            self.outcome.diverged = Some(Diverged { epoch, place: "validation".to_string(), loss });
        }
    }

    /// Notes the epoch's curve.
    pub fn note_curve(&mut self, curve: &[f64]) {
        self.epoch.curve.clear();
        self.epoch.curve.extend_from_slice(curve);
    }

    /// What its probe fits and scores.
    pub fn probed(&self) -> Probed<'_> {
        let (train, validation) = (self.probed.train.points(), self.probed.validation.points());
        match self.probed.scoring {
            Scoring::Resubstitution => Probed { fit: train, queries: train, exclude: Exclude::Nothing },
            Scoring::LeaveOneOut => Probed { fit: train, queries: train, exclude: Exclude::SameOrigin },
            Scoring::HeldOut => Probed { fit: train, queries: validation, exclude: Exclude::Nothing },
        }
    }

    /// A batch of some samples, without rows; none of a run that is not left.
    fn fill(&self, batch: &mut Batch, samples: impl Iterator<Item = u32>) {
        batch.samples.clear();
        batch.rows.clear();
        if self.is_left() {
            batch.samples.extend(samples);
        }
        batch.labels.clear();
        batch.labels.extend(batch.samples.iter().map(|sample| self.data.labels[*sample as usize]));
        let selection = &self.data.selection;
        batch.last_steps.clear();
        batch.last_steps.extend(batch.samples.iter().map(|sample| match self.read_out {
            ReadOut::LastStep => selection.steps as u32 - 1,
            ReadOut::OwnLastStep => selection.samples[*sample as usize].last_step,
        }));
    }
}

impl ProbedRows {
    /// States of an extra pass are the same for all copies of a sample, which share a row; each training pass has a row of its own.
    fn new(settings: &RunSettings, data: &Prepared) -> ProbedRows {
        let mut samples: Vec<u32> = Vec::new();
        let mut row_of_sample = HashMap::new();
        let mut new_row = |sample: u32| {
            samples.push(sample);
            samples.len() - 1
        };
        let train_rows = data.parts.train.iter().map(|sample| match settings.probe.states {
            ProbedStates::TrainingPasses => new_row(*sample),
            ProbedStates::EpochEnd => *row_of_sample.entry(*sample).or_insert_with(|| new_row(*sample)),
        });
        let train_rows: Vec<usize> = train_rows.collect();
        let train_rows_end = samples.len();
        let validation = match settings.probe.scoring {
            Scoring::HeldOut => &data.parts.validation[..],
            Scoring::LeaveOneOut | Scoring::Resubstitution => &[],
        };
        samples.extend_from_slice(validation);
        ProbedRows {
            rows: samples.len(),
            train_rows_end,
            train: ProbedPart::new(data, &data.parts.train, train_rows),
            validation: ProbedPart::new(data, validation, (train_rows_end..samples.len()).collect()),
            samples,
            scoring: settings.probe.scoring,
        }
    }
}

impl ProbedPart {
    fn new(data: &Prepared, samples: &[u32], rows: Vec<usize>) -> ProbedPart {
        ProbedPart {
            rows,
            labels: samples.iter().map(|sample| data.labels[*sample as usize]).collect(),
            origins: samples.iter().map(|sample| *sample as usize).collect(),
        }
    }

    fn points(&self) -> Points<'_> {
        Points { rows: &self.rows, labels: &self.labels, origins: &self.origins }
    }
}
