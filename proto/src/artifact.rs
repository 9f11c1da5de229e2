//! Where artifacts lie in the store, and the Parquet schemas of curve parts and manifests.
//!
//! ```text
//! studies/<study>/study.toml
//! studies/<study>/manifest.parquet
//! studies/<study>/ro-crate-metadata.json
//! studies/<study>/curves/<shard>-<fence>-<n>.parquet
//! studies/<study>/curves/compacted-<n>-<hash>.parquet
//! studies/<study>/reports/<time>/index.html
//! studies/<study>/diverged/<run>-<fence>.parquet
//! checkpoints/<run>/epoch-<n>.bpk
//! datasets/<sha256>.parquet
//! ```
//!
//! Keys are relative to the store's root and use `/`. Schemas are given as Arrow schemas; `docs/artifacts.md` shows them to users.

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, Schema};
use sha2::{Digest, Sha256};

use crate::plan::RunId;

/// Key-value metadata of a data set's Parquet file: JSON with its [`crate::study::DataSummary`] and provenance.
pub const DATASET_METADATA: &str = "curvefleet.dataset";
/// Key-value metadata of a curve part: JSON of [`PartProvenance`].
pub const PART_METADATA: &str = "curvefleet.part";
/// Key-value metadata of a part that the rows of others were moved into: JSON list with the [`PartProvenance`] of each of those.
pub const PARTS_METADATA: &str = "curvefleet.parts";
/// Key-value metadata of a manifest: the study's name.
pub const MANIFEST_METADATA: &str = "curvefleet.manifest";

/// The folder of a study.
pub fn study_folder(study: &str) -> String {
    format!("studies/{study}")
}

/// The resolved study file.
pub fn study_key(study: &str) -> String {
    format!("studies/{study}/study.toml")
}

/// The list of a study's runs and their curve parts.
pub fn manifest_key(study: &str) -> String {
    format!("studies/{study}/manifest.parquet")
}

/// The study described for repositories and people ([`crate::ro_crate`]).
pub fn crate_key(study: &str) -> String {
    format!("studies/{study}/{}", crate::ro_crate::FILE)
}

/// A curve part: the `n`-th commit under the lease `fence` of `shard`. Two leases never share a fence, so two workers never write one key.
pub fn part_key(study: &str, shard: &str, fence: u64, n: u32) -> String {
    format!("studies/{study}/curves/{shard}-{fence}-{n}.parquet")
}

/// A part that the rows of others were moved into, by the `n`-th plan of the study's compaction: no two plans share a number. The first
/// digits of a hash of what it is made from keep it apart from what a ledger planned that was since restored from a backup.
pub fn compacted_key(study: &str, n: u64, sources_sha256: &str) -> String {
    let digits = sources_sha256.get(..16).unwrap_or(sources_sha256);
    format!("studies/{study}/curves/compacted-{n}-{digits}.parquet")
}

/// The curve up to where a run diverged, as a curve part of that one run; no commit names it, and it is no result.
pub fn diverged_key(study: &str, run: RunId, fence: u64) -> String {
    format!("studies/{study}/diverged/{run}-{fence}.parquet")
}

/// The folder of the checkpoints of a run, or of the pack of runs whose first one it is.
pub fn checkpoint_folder(run: RunId) -> String {
    format!("checkpoints/{run}")
}

/// A checkpoint after so many epochs. Whoever writes it under whichever lease writes the same bytes, or none that are resumed.
pub fn checkpoint_key(run: RunId, epoch: u32) -> String {
    format!("{}/epoch-{epoch}.bpk", checkpoint_folder(run))
}

/// The folder of one report; `time` is a sortable name such as `2026-01-31T12-00-00Z`.
pub fn report_folder(study: &str, time: &str) -> String {
    format!("studies/{study}/reports/{time}")
}

/// A canonical data set, named by the SHA-256 of its bytes.
pub fn dataset_key(sha256: &str) -> String {
    format!("datasets/{sha256}.parquet")
}

/// SHA-256 of some bytes as 64 lower-case hex digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Where a curve part comes from, kept in its Parquet metadata. What a part of an older program does not say is empty.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PartProvenance {
    /// The study that was trained.
    pub study: String,
    /// SHA-256 of its file as submitted.
    #[serde(default)]
    pub study_sha256: String,
    /// The shard.
    pub shard: String,
    /// The lease under which it was trained: the shard had been given out so many times.
    #[serde(default)]
    pub fence: u64,
    /// Who trained it.
    #[serde(default)]
    pub worker: String,
    /// Version of the worker program.
    pub version: String,
    /// The commit that the program was built from; `unknown` where it was not built in a checkout.
    #[serde(default)]
    pub git_commit: String,
    /// Backend and instruction set, such as `cpu/avx512`. Curves are bit-identical where these are the same.
    pub backend: String,
    /// The processor's or card's name.
    #[serde(default)]
    pub device: String,
    /// What the processor can do, as far as it matters to arithmetic, such as `avx2` and `fma`.
    #[serde(default)]
    pub cpu_features: Vec<String>,
    /// SHA-256 of the data set.
    pub data_sha256: String,
    /// The runs, in the order of their rows.
    #[serde(default)]
    pub runs: Vec<RunProvenance>,
}

/// Where the rows of a part come from, from the values of its metadata: one entry for a part as it was committed, one for each part
/// that its rows were moved from, none where the metadata do not say.
pub fn provenance<'a>(value_of: impl Fn(&str) -> Option<&'a str>) -> Vec<PartProvenance> {
    let committed = value_of(PART_METADATA).and_then(|text| serde_json::from_str(text).ok());
    let moved = value_of(PARTS_METADATA).and_then(|text| serde_json::from_str::<Vec<PartProvenance>>(text).ok());
    committed.into_iter().chain(moved.into_iter().flatten()).collect()
}

/// How one run of a part was trained.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RunProvenance {
    /// The run's id.
    pub run: String,
    /// When its training began under this lease, in milliseconds since 1970 by the worker's clock.
    pub started_ms: u64,
    /// When its last epoch ended.
    pub ended_ms: u64,
    /// The epoch of the checkpoint that it went on from; 0 where it began at the beginning.
    pub resumed_after_epoch: u32,
}

/// Curve part: one row per (run, epoch), runs one after another, epochs from 1.
///
/// Undefined ratios are null. `test_*` stand in the last epoch's row alone. `curve` holds the probe's accuracy at every time
/// step, `[time]`, between 0 and 1.
pub static CURVE_SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
    let mut fields = run_fields();
    fields.push(Field::new("epoch", DataType::UInt32, false));
    fields.push(Field::new("train_loss", DataType::Float64, false));
    for part in ["validation", "test"] {
        for figure in SCORES {
            fields.push(Field::new(format!("{part}_{figure}"), DataType::Float64, true));
        }
    }
    fields.push(Field::new("curve", DataType::new_list(DataType::Float64, false), false));
    Arc::new(Schema::new(fields))
});

/// The figures that a network's predictions are scored by, in the order of the columns `validation_*` and `test_*`.
pub const SCORES: [&str; 5] = ["loss", "accuracy", "precision", "recall", "f1"];

/// Manifest: one row per run that is done or failed, in the plan's order. Columns of the part and of the training are null for failed
/// runs, the latter also for runs that an older program committed.
pub static MANIFEST_SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
    let mut fields = run_fields();
    fields.extend([
        Field::new("shard", DataType::Utf8, false),
        // "done" or "failed".
        Field::new("state", DataType::Utf8, false),
        // The part's key, relative to the store's root; reused runs lie in another study's folder.
        Field::new("part", DataType::Utf8, true),
        Field::new("size_bytes", DataType::UInt64, true),
        Field::new("sha256", DataType::Utf8, true),
        Field::new("fence", DataType::UInt64, true),
        Field::new("worker", DataType::Utf8, true),
        // Milliseconds since 1970.
        Field::new("committed_ms", DataType::UInt64, true),
        Field::new("attempts", DataType::UInt32, false),
        Field::new("error", DataType::Utf8, true),
        // How it was trained: as in [`PartProvenance`], of the study that trained it.
        Field::new("study_sha256", DataType::Utf8, true),
        Field::new("data_sha256", DataType::Utf8, true),
        Field::new("version", DataType::Utf8, true),
        Field::new("git_commit", DataType::Utf8, true),
        Field::new("backend", DataType::Utf8, true),
        Field::new("device", DataType::Utf8, true),
        // Separated by spaces.
        Field::new("cpu_features", DataType::Utf8, true),
        // As in [`RunProvenance`].
        Field::new("started_ms", DataType::UInt64, true),
        Field::new("ended_ms", DataType::UInt64, true),
        Field::new("resumed_after_epoch", DataType::UInt32, true),
    ]);
    Arc::new(Schema::new(fields))
});

/// The columns that say which run a row is about, first in both schemas.
fn run_fields() -> Vec<Field> {
    vec![
        Field::new("run", DataType::Utf8, false),
        Field::new("data", DataType::Utf8, false),
        Field::new("condition", DataType::Utf8, false),
        // "true" or "shuffled".
        Field::new("labels", DataType::Utf8, false),
        Field::new("model", DataType::Utf8, false),
        Field::new("seed", DataType::UInt64, false),
    ]
}
