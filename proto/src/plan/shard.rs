//! The unit of lease: runs that share data set, condition and model and differ by seed.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::run::{Run, RunSettings};
use super::{Cell, Error, cells};
use crate::artifact::sha256_hex;
use crate::study::Study;

/// Names a shard: 16 hex digits, a hash of the study's name and the runs in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShardId(String);

/// All that a worker needs to train a shard, and to name the rows of its curve parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShardSpec {
    /// The study.
    pub study: String,
    /// SHA-256 of the study's file; empty in shards that an older coordinator planned.
    #[serde(default)]
    pub study_sha256: String,
    /// The shard.
    pub shard: ShardId,
    /// The data set's name in the study.
    pub data: String,
    /// The condition's name.
    pub condition: String,
    /// The model's name in the study.
    pub model: String,
    /// What decides the runs' numbers, apart from their seeds.
    pub settings: RunSettings,
    /// One run per seed. A shard that was split off another has all of that one's here, and carries some of them.
    pub seeds: Vec<u64>,
    /// How many of them, in their order, a GPU trains in lockstep. It is part of the plan because a packed run's bits depend on the
    /// pack it is in: whoever trains a shard again trains the same packs.
    pub pack_size: u32,
}

impl ShardSpec {
    /// The shard's runs, in the order of its seeds.
    pub fn runs(&self) -> impl Iterator<Item = Run> + '_ {
        self.seeds.iter().map(|seed| Run { id: self.settings.run_id(*seed), seed: *seed })
    }

    /// The shard that carries on with the runs that leave this one, given by their places. They stand in the same places of the same
    /// plan, so that packs stay what they are. A run leaves a shard once, so that no two shards have one id.
    pub fn split(&self, places: &[u32]) -> ShardSpec {
        let mut hash = Sha256::new();
        hash.update("curvefleet split shard\0");
        hash.update(self.shard.as_str());
        for place in places {
            hash.update(place.to_le_bytes());
        }
        ShardSpec { shard: ShardId(hex::encode(&hash.finalize()[..8])), ..self.clone() }
    }
}

/// The shards of a study, in its order.
///
/// # Errors
/// As [`cells`].
pub fn shards(study: &Study) -> Result<impl Iterator<Item = ShardSpec> + '_, Error> {
    // A study that cannot be written as TOML is refused when it is submitted.
    let study_sha256 = study.to_toml().map(|text| sha256_hex(text.as_bytes())).unwrap_or_default();
    shards_from(study, study_sha256, 0)
}

/// The shards of a study from the one at place `first` on, without planning those before it. `study_sha256` is the SHA-256 of the
/// study's file.
///
/// # Errors
/// As [`cells`].
pub fn shards_from(
    study: &Study,
    study_sha256: String,
    first: usize,
) -> Result<impl Iterator<Item = ShardSpec> + '_, Error> {
    let per_cell = shards_per_cell(study);
    let cells = cells(study)?.into_iter().enumerate().skip(first / per_cell);
    Ok(cells.flat_map(move |(index, cell)| {
        let settings = RunSettings::of(study, &cell);
        let seeds = study.seeds.chunks(shard_size(study)).skip(first.saturating_sub(index * per_cell));
        let study_sha256 = study_sha256.clone();
        seeds.map(move |seeds| spec(study, &study_sha256, &cell, &settings, seeds))
    }))
}

/// How many shards each cell of a study has.
pub fn shards_per_cell(study: &Study) -> usize {
    study.seeds.len().div_ceil(shard_size(study)).max(1)
}

fn shard_size(study: &Study) -> usize {
    (study.shard_size as usize).max(1)
}

fn spec(study: &Study, study_sha256: &str, cell: &Cell<'_>, settings: &RunSettings, seeds: &[u64]) -> ShardSpec {
    let mut hash = Sha256::new();
    hash.update("curvefleet shard\0");
    hash.update(&study.name);
    for seed in seeds {
        hash.update([0]);
        hash.update(settings.run_id(*seed).to_string());
    }
    ShardSpec {
        study: study.name.clone(),
        study_sha256: study_sha256.to_string(),
        shard: ShardId(hex::encode(&hash.finalize()[..8])),
        data: cell.data.name.clone(),
        condition: cell.condition_name.clone(),
        model: cell.model.name.clone(),
        settings: settings.clone(),
        seeds: seeds.to_vec(),
        pack_size: study.pack_size,
    }
}

impl ShardId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
