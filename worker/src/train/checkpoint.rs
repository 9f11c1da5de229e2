//! Checkpoints: all that a pack of runs needs to go on after a finished epoch, to the bit. They are burnpack files (burn's own record
//! format), so that any program that reads burn's records finds the parameters by name; `docs/checkpoints.md` describes them.
//!
//! A checkpoint is only ever resumed by what wrote it: the same settings and seeds, the same version of the program and the same
//! backend. Anything else would go on with other bits than an undisturbed run has, so it is refused and the pack starts again.

use burn_pack::{Bytes, DType, Reader, Tensor, Writer};
use curvefleet_proto::plan::RunSettings;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::curve::{Curve, EpochRecord};
use super::learner::NetworkState;
use super::run::{Diverged, Outcome, Pack};
use super::scores::Scores;
use crate::model::{self, Shape};

/// The metadata key that everything but numbers stands under, as JSON.
const METADATA: &str = "curvefleet.checkpoint";
/// The version of the layout.
const FORMAT: u32 = 2;
/// Figures of an epoch beside its curve: training loss, five validation scores, five test scores.
const FIGURES: usize = 11;

/// A pack after a finished epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// What it is of, and what wrote it.
    pub origin: Origin,
    /// Finished epochs.
    pub epoch: u32,
    /// One state per run of the pack.
    pub runs: Vec<RunState>,
}

/// What a checkpoint is of, and what wrote it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Version of the worker.
    pub version: String,
    /// Backend and instruction set or card.
    pub backend: String,
    /// All that decides the runs' numbers, apart from their seeds.
    pub settings: RunSettings,
    /// The runs' seeds.
    pub seeds: Vec<u64>,
}

/// One run after a finished epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct RunState {
    /// Parameters, update rule, running statistics.
    pub network: NetworkState,
    /// The order of the training samples in the last epoch, which the next one shuffles.
    pub order: Vec<u32>,
    /// How far the stream of these orders has been drawn from.
    pub shuffle_position: u128,
    /// The curve so far.
    pub outcome: Outcome,
}

/// Why a checkpoint cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are no checkpoint, or not all of one.
    #[error("the checkpoint is damaged: {0}")]
    Damaged(String),
    /// It is whole, but another program, backend or pack wrote it.
    #[error(
        "the checkpoint is of {what} {theirs}, and this is {ours}: going on would not give the bits of an undisturbed run"
    )]
    Foreign {
        /// What differs.
        what: &'static str,
        /// In the checkpoint.
        theirs: String,
        /// Here.
        ours: String,
    },
}

/// What stands in the metadata.
#[derive(Debug, Serialize, Deserialize)]
struct Metadata {
    format: u32,
    origin: Origin,
    epoch: u32,
    runs: Vec<RunMetadata>,
    /// SHA-256 over the other metadata and all tensors' names, shapes and bytes, in the order of their names.
    sha256: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct RunMetadata {
    updates: u64,
    /// Decimal digits, because JSON numbers end at 2⁵³ in many readers.
    shuffle_position: String,
    dropout_position: String,
    diverged: Option<DivergedAt>,
}

#[derive(Debug, Serialize, Deserialize)]
struct DivergedAt {
    epoch: u32,
    place: String,
    /// As text: JSON has no NaN.
    loss: String,
}

impl Origin {
    /// What a checkpoint of this pack written here would say.
    pub fn of(pack: &Pack<'_>) -> Origin {
        Origin {
            version: env!("CARGO_PKG_VERSION").to_string(),
            backend: pack.device.name(),
            settings: pack.settings.clone(),
            seeds: pack.seeds.to_vec(),
        }
    }
}

impl Checkpoint {
    /// Whether this pack can go on from it here.
    ///
    /// # Errors
    /// If it is another pack's, or another program or backend wrote it.
    pub fn check(&self, pack: &Pack<'_>) -> Result<(), Error> {
        let ours = Origin::of(pack);
        let foreign = |what, theirs: &str, ours: &str| {
            Err(Error::Foreign { what, theirs: theirs.to_string(), ours: ours.to_string() })
        };
        if self.origin.version != ours.version {
            return foreign("curvefleet", &self.origin.version, &ours.version);
        }
        if self.origin.backend != ours.backend {
            return foreign("the backend", &self.origin.backend, &ours.backend);
        }
        let numbers = |origin: &Origin| format!("version {}", origin.settings.numbers_version);
        if self.origin.settings.numbers_version != ours.settings.numbers_version {
            return foreign("training code", &numbers(&self.origin), &numbers(&ours));
        }
        if self.origin != ours || self.runs.len() != pack.seeds.len() {
            return foreign("the runs with seeds", &format!("{:?}", self.origin.seeds), &format!("{:?}", ours.seeds));
        }
        Ok(())
    }

    /// The checkpoint as a burnpack file.
    ///
    /// # Errors
    /// Only if the writer fails, which in memory it does not.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let parameters =
            model::parameters(model::of(self.origin.settings.model.kind), &Shape::of(&self.origin.settings));
        let mut tensors = Vec::new();
        for (index, run) in self.runs.iter().enumerate() {
            let name = |part: &str| format!("runs.{index}.{part}");
            let mut rest = &run.network.parameters[..];
            for parameter in &parameters {
                let (values, others) = rest.split_at(parameter.len());
                rest = others;
                let shape =
                    if parameter.rows == 1 { vec![parameter.columns] } else { vec![parameter.rows, parameter.columns] };
                tensors.push(floats(name(&format!("parameters.{}", parameter.name)), shape, values));
            }
            let network = &run.network;
            for (part, values) in [
                ("adam.first", &network.first_moments),
                ("adam.second", &network.second_moments),
                ("bn.running_mean", &network.running_mean),
                ("bn.running_var", &network.running_variance),
            ] {
                tensors.push(floats(name(part), vec![values.len()], values));
            }
            let order = run.order.iter().flat_map(|position| position.to_le_bytes()).collect();
            tensors.push(tensor(name("order"), DType::U32, vec![run.order.len()], order));
            let epochs = &run.outcome.curve.epochs;
            let steps = epochs.first().map_or(0, |epoch| epoch.curve.len());
            tensors.push(doubles(name("figures"), vec![epochs.len(), FIGURES], epochs.iter().flat_map(figures)));
            let curve = epochs.iter().flat_map(|epoch| epoch.curve.iter().copied());
            tensors.push(doubles(name("curve"), vec![epochs.len(), steps], curve));
        }
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        let mut metadata = Metadata {
            format: FORMAT,
            origin: self.origin.clone(),
            epoch: self.epoch,
            runs: self.runs.iter().map(RunMetadata::of).collect(),
            sha256: String::new(),
        };
        metadata.sha256 = hash(&metadata, &tensors)?;
        let metadata = serde_json::to_string(&metadata).map_err(damaged)?;
        let bytes = Writer::new(tensors).with_metadata(METADATA, &metadata).into_bytes().map_err(damaged)?;
        Ok(bytes.to_vec())
    }

    /// A checkpoint out of the bytes that [`Checkpoint::encode`] gave.
    ///
    /// # Errors
    /// If they are damaged in any way.
    pub fn decode(bytes: Vec<u8>) -> Result<Checkpoint, Error> {
        let reader = Reader::from_bytes(Bytes::from_bytes_vec(bytes)).map_err(damaged)?;
        let metadata = reader.metadata().get(METADATA).ok_or_else(|| damaged("it has no curvefleet metadata"))?;
        let mut metadata: Metadata = serde_json::from_str(metadata).map_err(damaged)?;
        if metadata.format != FORMAT {
            return Err(damaged(format!("its layout is version {}, not {FORMAT}", metadata.format)));
        }
        let mut tensors = reader.into_tensors().map_err(damaged)?;
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        let named = std::mem::take(&mut metadata.sha256);
        if hash(&metadata, &tensors)? != named {
            return Err(damaged("it does not have the hash that it names"));
        }
        let tensors = Named(tensors);
        let runs =
            metadata.runs.iter().enumerate().map(|(index, run)| tensors.run(index, run, &metadata.origin.settings));
        let runs = runs.collect::<Result<Vec<_>, _>>()?;
        Ok(Checkpoint { origin: metadata.origin, epoch: metadata.epoch, runs })
    }
}

impl RunMetadata {
    fn of(run: &RunState) -> RunMetadata {
        RunMetadata {
            updates: run.network.updates,
            shuffle_position: run.shuffle_position.to_string(),
            dropout_position: run.network.dropout_position.to_string(),
            diverged: run.outcome.diverged.as_ref().map(|diverged| DivergedAt {
                epoch: diverged.epoch,
                place: diverged.place.clone(),
                loss: diverged.loss.to_string(),
            }),
        }
    }
}

/// A checkpoint's tensors.
struct Named(Vec<Tensor>);

impl Named {
    fn run(&self, index: usize, metadata: &RunMetadata, settings: &RunSettings) -> Result<RunState, Error> {
        let name = |part: &str| format!("runs.{index}.{part}");
        let shape = Shape::of(settings);
        let mut parameters = Vec::new();
        for parameter in model::parameters(model::of(settings.model.kind), &shape) {
            let values = self.floats(&name(&format!("parameters.{}", parameter.name)))?;
            if values.len() != parameter.len() {
                return Err(damaged(format!(
                    "`{}` has {} numbers, not {}",
                    parameter.name,
                    values.len(),
                    parameter.len()
                )));
            }
            parameters.extend(values);
        }
        let network = NetworkState {
            parameters,
            first_moments: self.floats(&name("adam.first"))?,
            second_moments: self.floats(&name("adam.second"))?,
            updates: metadata.updates,
            running_mean: self.floats(&name("bn.running_mean"))?,
            running_variance: self.floats(&name("bn.running_var"))?,
            dropout_position: metadata.dropout_position.parse().map_err(damaged)?,
        };
        let order = self.numbers(&name("order"), DType::U32, u32::from_le_bytes)?;
        let figures = self.numbers(&name("figures"), DType::F64, f64::from_le_bytes)?;
        let curve = self.numbers(&name("curve"), DType::F64, f64::from_le_bytes)?;
        let epochs = (1..).zip(figures.chunks_exact(FIGURES).zip(curve.chunks_exact(shape.time)));
        let epochs = epochs.map(|(epoch, (figures, curve))| record(epoch, figures, curve)).collect();
        let diverged = metadata.diverged.as_ref().map(|at| {
            let loss = at.loss.parse().map_err(damaged)?;
            Ok::<_, Error>(Diverged { epoch: at.epoch, place: at.place.clone(), loss })
        });
        Ok(RunState {
            network,
            order,
            shuffle_position: metadata.shuffle_position.parse().map_err(damaged)?,
            outcome: Outcome { curve: Curve { epochs }, diverged: diverged.transpose()? },
        })
    }

    fn floats(&self, name: &str) -> Result<Vec<f32>, Error> {
        self.numbers(name, DType::F32, f32::from_le_bytes)
    }

    fn numbers<T, const N: usize>(&self, name: &str, dtype: DType, read: fn([u8; N]) -> T) -> Result<Vec<T>, Error> {
        let tensor =
            self.0.iter().find(|tensor| tensor.name == name).ok_or_else(|| damaged(format!("it lacks `{name}`")))?;
        if tensor.dtype != dtype {
            return Err(damaged(format!("`{name}` has numbers of another kind")));
        }
        let bytes = tensor.to_bytes().map_err(damaged)?;
        Ok(bytes.as_chunks::<N>().0.iter().map(|number| read(*number)).collect())
    }
}

/// An epoch's figures as numbers; undefined ones are NaN.
fn figures(epoch: &EpochRecord) -> [f64; FIGURES] {
    let mut figures = [f64::NAN; FIGURES];
    figures[0] = epoch.train_loss;
    for (first, scores) in [(1, Some(epoch.validation)), (6, epoch.test)] {
        for (index, score) in scores.iter().flat_map(Scores::in_order).enumerate() {
            figures[first + index] = score.unwrap_or(f64::NAN);
        }
    }
    figures
}

fn record(epoch: u32, figures: &[f64], curve: &[f64]) -> EpochRecord {
    let scores = |figures: &[f64]| {
        Scores::from_order(std::array::from_fn(|index| Some(figures[index]).filter(|figure| !figure.is_nan())))
    };
    let test = scores(&figures[6..]);
    EpochRecord {
        epoch,
        train_loss: figures[0],
        validation: scores(&figures[1..6]),
        test: (test != Scores::default()).then_some(test),
        curve: curve.to_vec(),
    }
}

fn floats(name: String, shape: Vec<usize>, values: &[f32]) -> Tensor {
    tensor(name, DType::F32, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

fn doubles(name: String, shape: Vec<usize>, values: impl Iterator<Item = f64>) -> Tensor {
    tensor(name, DType::F64, shape, values.flat_map(f64::to_le_bytes).collect())
}

fn tensor(name: String, dtype: DType, shape: Vec<usize>, bytes: Vec<u8>) -> Tensor {
    Tensor::new(name, dtype, shape, None, Bytes::from_bytes_vec(bytes))
}

/// The hash of all that a checkpoint says; `metadata` is without it.
fn hash(metadata: &Metadata, tensors: &[Tensor]) -> Result<String, Error> {
    let mut hash = Sha256::new();
    hash.update(serde_json::to_vec(metadata).map_err(damaged)?);
    for tensor in tensors {
        hash.update(tensor.name.as_bytes());
        hash.update(format!("{:?}", tensor.shape));
        hash.update(tensor.to_bytes().map_err(damaged)?.as_ref() as &[u8]);
    }
    Ok(hex::encode(hash.finalize()))
}

fn damaged(reason: impl std::fmt::Display) -> Error {
    Error::Damaged(reason.to_string())
}
