//! One training, and the id that follows from all that decides its numbers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Cell;
use crate::study::preset::HEADS;
use crate::study::{Condition, Model, ModelKind, Probe, Study, Training};

/// The version of the training code's numbers. Raised whenever the same settings would give other curves, so that old and new
/// runs never count as the same.
pub const NUMBERS_VERSION: u32 = 3;

/// A hash of all that decides a run's numbers and of nothing else: not the study's name, not the model's, not the machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId([u8; 16]);

/// Everything that decides a run's numbers, apart from its seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSettings {
    /// See [`NUMBERS_VERSION`].
    pub numbers_version: u32,
    /// SHA-256 of the data set.
    pub data_sha256: String,
    /// What is told apart.
    pub condition: Condition,
    /// The network.
    pub model: RunModel,
    /// How it is trained.
    pub training: Training,
    /// How its states are read.
    pub probe: Probe,
}

/// A network without its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunModel {
    /// Its kind.
    pub kind: ModelKind,
    /// Hidden size, resolved to the number of features where the study left it open.
    pub hidden: u32,
    /// Layers.
    pub layers: u32,
    /// Attention heads, resolved likewise; 1 for all but transformers.
    pub heads: u32,
    /// Dropout.
    pub dropout: f64,
}

/// One training.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Its seed.
    pub seed: u64,
}

impl RunSettings {
    /// The settings of a cell's runs.
    pub fn of(study: &Study, cell: &Cell<'_>) -> RunSettings {
        let model = cell.model;
        let hidden = if model.hidden == 0 { cell.condition.features.len() as u32 } else { model.hidden };
        RunSettings {
            numbers_version: NUMBERS_VERSION,
            data_sha256: cell.data.summary.sha256.clone(),
            condition: cell.condition.clone(),
            model: RunModel {
                kind: model.kind,
                hidden,
                layers: model.layers,
                heads: heads(model, hidden),
                dropout: model.dropout,
            },
            training: study.training.clone(),
            probe: study.probe.clone(),
        }
    }

    /// The id of the run with this seed: the first 16 bytes of SHA-256 over the settings as JSON and the seed.
    pub fn run_id(&self, seed: u64) -> RunId {
        let digest = digest("curvefleet run", self, seed);
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        RunId(id)
    }

    /// The root of the run's random streams. It depends on the data set, the condition and the seed alone, so that runs of two
    /// models or training settings that share a seed see the same splits, label permutations and batches and can be compared
    /// pairwise, and more epochs continue the curve of fewer.
    pub fn random_root(&self, seed: u64) -> [u8; 32] {
        digest("curvefleet random streams", &(&self.data_sha256, &self.condition), seed)
    }
}

/// As many heads as the model has, or as divide its hidden size.
fn heads(model: &Model, hidden: u32) -> u32 {
    match (model.kind, model.heads) {
        (ModelKind::Transformer, 0) => HEADS.into_iter().find(|heads| hidden.is_multiple_of(*heads)).unwrap_or(1),
        (ModelKind::Transformer, heads) => heads,
        _ => 1,
    }
}

/// SHA-256 over a purpose, what decides as JSON (keys in the order of the types' fields), and a seed.
fn digest(purpose: &str, decides: &impl Serialize, seed: u64) -> [u8; 32] {
    let mut hash = HashWriter(Sha256::new());
    hash.0.update(purpose);
    hash.0.update([0]);
    // Settings are structs of numbers, strings and lists, and the writer cannot fail: so neither can this.
    serde_json::to_writer(&mut hash, decides).expect("settings are plain data");
    hash.0.update(seed.to_le_bytes());
    hash.0.finalize().into()
}

/// Lets JSON be hashed as it is written.
struct HashWriter(Sha256);

impl std::io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunId({self})")
    }
}

/// Why a text is not a run's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a run id: 32 hex digits are expected")]
pub struct BadRunId(String);

impl FromStr for RunId {
    type Err = BadRunId;

    fn from_str(text: &str) -> Result<RunId, BadRunId> {
        let mut id = [0; 16];
        hex::decode_to_slice(text, &mut id).map_err(|_| BadRunId(text.to_string()))?;
        Ok(RunId(id))
    }
}

impl Serialize for RunId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<RunId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
