//! Writes manifests into the store: the list of a study's runs that lets its folder be read without a coordinator; and beside each the
//! study's description for repositories.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt32Array, UInt64Array};
use curvefleet_proto::artifact::{MANIFEST_METADATA, MANIFEST_SCHEMA, crate_key, manifest_key, sha256_hex, study_key};
use curvefleet_proto::ro_crate::{Crate, Place, Training};
use curvefleet_proto::store::Store;
use curvefleet_proto::study::file;
use object_store::ObjectStoreExt as _;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use crate::encoding::EncodingThread;
use crate::ledger::manifest::{Abandon, Claim, Entry, ReadPage, Stale, StaleManifests, Written};
use crate::ledger::origin::{Origin, Trained};
use crate::ledger::study::GetStudy;
use crate::ledger::{self, Handle};

/// How often the manifest of a study that goes on is written, if anything has changed.
const MANIFEST_INTERVAL: Duration = Duration::from_secs(10);
/// Large manifests are written less often: one second more for each so many runs, so that writing stays a small part of
/// the coordinator's work.
const RUNS_PER_INTERVAL_SECOND: u64 = 20_000;
/// Rows read from the ledger at a time, so that other requests pass between.
const PAGE_ROWS: u32 = 8_192;
/// Many commits in quick succession end up in one look at what is stale.
const COALESCE: Duration = Duration::from_millis(200);

/// Columns of numbers that grow or differ little from row to row, for which differences are smaller than a dictionary.
const BY_DIFFERENCE: [&str; 4] = ["seed", "committed_ms", "started_ms", "ended_ms"];

/// How long to wait for another coordinator that writes the same manifest before looking again.
const CLAIM_AGAIN: Duration = Duration::from_millis(250);

/// How often a manifest that another coordinator is writing is looked at, should that one be gone.
const CLAIMED_PAUSE: Duration = Duration::from_secs(1);

/// Why a manifest could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The ledger refuses or fails.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// The rows cannot be encoded.
    #[error("the manifest cannot be encoded: {0}")]
    Encode(#[from] ParquetError),
    /// The store does not take it.
    #[error("the store does not take the manifest: {0}")]
    Store(#[from] object_store::Error),
}

/// Writes manifests.
#[derive(Debug)]
pub(crate) struct Manifests {
    ledger: Handle,
    store: Store,
    encoding: EncodingThread,
    /// Held while a manifest is written, so that one takes memory at a time.
    one_at_a_time: Mutex<()>,
}

impl Manifests {
    pub fn new(ledger: Handle, store: Store, encoding: EncodingThread) -> Manifests {
        Manifests { ledger, store, encoding, one_at_a_time: Mutex::new(()) }
    }

    /// Writes a study's manifest from the ledger; says its key and how many runs it lists. Waits where another coordinator is
    /// writing it.
    pub async fn write(&self, study: &str) -> Result<(String, u64), Error> {
        loop {
            if let Some(written) = self.try_write(study).await? {
                return Ok(written);
            }
            tokio::time::sleep(CLAIM_AGAIN).await;
        }
    }

    /// As [`write`](Manifests::write), or `None` where another coordinator is writing it, or was and may have replaced a newer one.
    async fn try_write(&self, study: &str) -> Result<Option<(String, u64)>, Error> {
        let _writing = self.one_at_a_time.lock().await;
        let Some(claim) = self.ledger.ask(Claim { study: study.to_string() }).await? else { return Ok(None) };
        match self.put(study).await {
            Ok((changes, runs)) => {
                let written = Written { study: study.to_string(), claim, changes, runs };
                let current = self.ledger.ask(written).await?;
                tracing::debug!(study, runs, current, "wrote the manifest");
                Ok(current.then(|| (manifest_key(study), runs)))
            }
            Err(error) => {
                // Should this fail, too, the claim ends by itself.
                drop(self.ledger.ask(Abandon { study: study.to_string(), claim }).await);
                Err(error)
            }
        }
    }

    /// Puts a study's file, its manifest and its description into the store; says up to which change and how many runs. The file is
    /// there since the study was submitted; but where two coordinators were given two studies of one name, it may be the one that was
    /// refused.
    async fn put(&self, study: &str) -> Result<(u64, u64), Error> {
        let toml = self.ledger.ask(GetStudy { name: study.to_string() }).await?.toml;
        self.store.objects().put(&study_key(study).as_str().into(), toml.clone().into()).await?;
        let mut summary = Summary::default();
        let mut page = self.page(study, None).await?;
        let changes = page.changes;
        summary.add(&page.entries);
        let mut writer = self.add(new_writer(study)?, page.entries).await?;
        while let Some(after) = page.next {
            page = self.page(study, Some(after)).await?;
            summary.add(&page.entries);
            writer = self.add(writer, page.entries).await?;
        }
        let bytes = self.encoding.work(move || writer.into_inner()).await?;
        let files = [("study.toml", toml.as_bytes()), ("manifest.parquet", &bytes)];
        let described = summary.describe(&toml, files);
        self.store.objects().put(&manifest_key(study).as_str().into(), bytes.into()).await?;
        match described {
            Ok(text) => drop(self.store.objects().put(&crate_key(study).as_str().into(), text.into()).await?),
            Err(error) => tracing::warn!(study, %error, "the study cannot be described for repositories"),
        }
        Ok((changes, summary.runs))
    }

    /// Adds rows.
    async fn add(
        &self,
        mut writer: ArrowWriter<Vec<u8>>,
        entries: Vec<Entry>,
    ) -> Result<ArrowWriter<Vec<u8>>, ParquetError> {
        let write = move || {
            writer.write(&batch(&entries)?)?;
            Ok(writer)
        };
        self.encoding.work(write).await
    }

    async fn page(&self, study: &str, after: Option<(u64, u64)>) -> Result<ledger::manifest::Page, ledger::Error> {
        self.ledger.ask(ReadPage { study: study.to_string(), after, limit: PAGE_ROWS }).await
    }

    /// Writes the manifests of all studies that have changed.
    pub async fn write_all(&self) {
        let mut troubles = HashSet::new();
        for stale in self.stale().await {
            self.write_or_log(&stale.study, &mut troubles).await;
        }
    }

    /// Keeps all manifests up to date until `stopping`: at once where a study has ended, every [`MANIFEST_INTERVAL`] else.
    pub async fn keep(&self, mut stopping: watch::Receiver<bool>) {
        let mut changes = self.ledger.changes();
        let mut not_before: HashMap<String, Instant> = HashMap::new();
        let mut troubles = HashSet::new();
        loop {
            changes.borrow_and_update();
            let now = Instant::now();
            not_before.retain(|_, time| *time > now);
            for Stale { study, ended, runs } in self.stale().await {
                let urgent = ended && !troubles.contains(&study);
                if urgent || !not_before.contains_key(&study) {
                    let interval = MANIFEST_INTERVAL + Duration::from_secs(runs / RUNS_PER_INTERVAL_SECOND);
                    let pause = if self.write_or_log(&study, &mut troubles).await { interval } else { CLAIMED_PAUSE };
                    not_before.insert(study, Instant::now() + pause);
                }
            }
            let next = not_before.values().min().copied().unwrap_or(now + MANIFEST_INTERVAL);
            let wake = async {
                tokio::select! {
                    biased;
                    _ = changes.changed() => tokio::time::sleep(COALESCE).await,
                    () = tokio::time::sleep_until(next) => {}
                }
            };
            tokio::select! {
                biased;
                () = wake => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
        }
    }

    async fn stale(&self) -> Vec<Stale> {
        self.ledger.ask(StaleManifests).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot ask which manifests are to be written");
            Vec::new()
        })
    }

    /// Writes a manifest; says whether it was this coordinator's to write. Trouble is logged when it begins and when it is over, not
    /// at every attempt between.
    async fn write_or_log(&self, study: &str, troubles: &mut HashSet<String>) -> bool {
        match self.try_write(study).await {
            Ok(None) => return false,
            Ok(Some(_)) if troubles.remove(study) => tracing::info!(study, "the manifest is written again"),
            Ok(Some(_)) => {}
            Err(error) if troubles.insert(study.to_string()) => {
                tracing::warn!(study, %error, "cannot write the manifest; it is tried again until it works");
            }
            Err(_) => {}
        }
        true
    }
}

/// What a description says of a manifest's rows.
#[derive(Debug, Default)]
struct Summary {
    /// Rows.
    runs: u64,
    /// Those of them that are done.
    done: u64,
    /// When the last one was committed, in milliseconds since 1970.
    committed_ms: u64,
    training: Training,
}

impl Summary {
    fn add(&mut self, entries: &[Entry]) {
        self.runs += entries.len() as u64;
        for entry in entries {
            self.done += u64::from(entry.part.is_some());
            self.committed_ms = self.committed_ms.max(entry.committed_ms.unwrap_or(0));
            if let Some(training) = &entry.training {
                let origin = &training.origin;
                self.training.add_machine(&origin.backend, &origin.device);
                self.training.add_program(&origin.version, &origin.git_commit);
                self.training.add_times(training.trained.started_ms, training.trained.ended_ms);
            }
        }
    }

    /// The description of the study in its folder, which holds these files.
    fn describe(&self, toml: &str, files: [(&str, &[u8]); 2]) -> Result<String, curvefleet_proto::study::Error> {
        let study = file::parse(toml).and_then(|parsed| parsed.resolve_stored())?;
        let files: BTreeMap<String, (u64, String)> = files
            .into_iter()
            .map(|(name, bytes)| (name.to_string(), (bytes.len() as u64, sha256_hex(bytes))))
            .collect();
        let described = Crate {
            study: &study,
            study_sha256: &sha256_hex(toml.as_bytes()),
            place: Place::Store,
            files: &files,
            training: &self.training,
            runs: self.done,
            license: None,
            published_ms: self.committed_ms,
        };
        Ok(described.to_json())
    }
}

fn new_writer(study: &str) -> Result<ArrowWriter<Vec<u8>>, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_key_value_metadata(Some(vec![KeyValue::new(MANIFEST_METADATA.to_string(), study.to_string())]))
        // No two rows have one: a dictionary would hold them all.
        .set_column_dictionary_enabled(ColumnPath::from("run"), false);
    for column in BY_DIFFERENCE {
        properties = properties
            .set_column_dictionary_enabled(ColumnPath::from(column), false)
            .set_column_encoding(ColumnPath::from(column), Encoding::DELTA_BINARY_PACKED);
    }
    ArrowWriter::try_new(Vec::new(), MANIFEST_SCHEMA.clone(), Some(properties.build()))
}

/// The rows in the columns of [`MANIFEST_SCHEMA`].
fn batch(entries: &[Entry]) -> Result<RecordBatch, ParquetError> {
    fn text<'a>(entries: &'a [Entry], of: impl Fn(&'a Entry) -> &'a str) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(entries.iter().map(of)))
    }
    fn maybe_text<'a>(entries: &'a [Entry], of: impl Fn(&'a Entry) -> Option<&'a str>) -> ArrayRef {
        Arc::new(entries.iter().map(of).collect::<StringArray>())
    }
    fn number(entries: &[Entry], of: impl Fn(&Entry) -> Option<u64>) -> ArrayRef {
        Arc::new(entries.iter().map(of).collect::<UInt64Array>())
    }
    let origin = |of: fn(&Origin) -> &str| maybe_text(entries, move |entry| Some(of(&entry.training.as_ref()?.origin)));
    let trained = |of: fn(Trained) -> u64| number(entries, |entry| Some(of(entry.training.as_ref()?.trained)));
    let resumed = entries.iter().map(|entry| Some(entry.training.as_ref()?.trained.resumed_after_epoch));
    let columns: Vec<ArrayRef> = vec![
        text(entries, |entry| &entry.run),
        text(entries, |entry| &entry.data),
        text(entries, |entry| &entry.condition),
        text(entries, |entry| &entry.labels),
        text(entries, |entry| &entry.model),
        number(entries, |entry| Some(entry.seed)),
        text(entries, |entry| &entry.shard),
        text(entries, |entry| &entry.state),
        maybe_text(entries, |entry| entry.part.as_deref()),
        number(entries, |entry| entry.size_bytes),
        maybe_text(entries, |entry| entry.sha256.as_deref()),
        number(entries, |entry| entry.fence),
        maybe_text(entries, |entry| entry.worker.as_deref()),
        number(entries, |entry| entry.committed_ms),
        Arc::new(UInt32Array::from_iter_values(entries.iter().map(|entry| entry.attempts))),
        maybe_text(entries, |entry| entry.error.as_deref()),
        origin(|origin| &origin.study_sha256),
        origin(|origin| &origin.data_sha256),
        origin(|origin| &origin.version),
        origin(|origin| &origin.git_commit),
        origin(|origin| &origin.backend),
        origin(|origin| &origin.device),
        origin(|origin| &origin.cpu_features),
        trained(|trained| trained.started_ms),
        trained(|trained| trained.ended_ms),
        Arc::new(resumed.collect::<UInt32Array>()),
    ];
    Ok(RecordBatch::try_new(MANIFEST_SCHEMA.clone(), columns)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const RUNS: u64 = 1_000_000;
    /// Most bytes of the manifest of a million runs: what docs/artifacts.md promises.
    const MOST_BYTES: usize = 100_000_000;

    /// The runs of a large study from a place on: a hundred workers on ten kinds of machine, ten seeds in a shard, and `runs_per_part`.
    fn entries(from: u64, runs_per_part: u64) -> Vec<Entry> {
        let digest = |what: &str, n: u64| sha256_hex(format!("{what} {n}").as_bytes());
        let origin = |n: u64| {
            let cpu_features = "aes avx avx2 bmi1 bmi2 f16c fma popcnt sse3 sse4.1 sse4.2 ssse3".to_string();
            Arc::new(Origin {
                study_sha256: digest("study", 0),
                data_sha256: digest("data", 0),
                version: "0.1.0".to_string(),
                git_commit: digest("commit", 0)[..40].to_string(),
                backend: "cpu/avx2".to_string(),
                device: format!("Processor of the kind {n}"),
                cpu_features,
            })
        };
        let origins: Vec<_> = (0..10).map(origin).collect();
        let entry = |n: u64| {
            let (shard, part) = (n / 10, n / runs_per_part);
            let noise = u64::from_str_radix(&digest("time", n)[..4], 16).unwrap();
            let ended_ms = 1_800_000_000_000 + part * 977 + noise;
            Entry {
                place: (shard, n % 10),
                run: digest("run", n)[..32].to_string(),
                data: "movements".to_string(),
                condition: format!("emotion {}/emotion {}", n / 50_000, n / 50_000 + 1),
                labels: if (n / 25_000).is_multiple_of(2) { "true" } else { "shuffled" }.to_string(),
                model: "lstm".to_string(),
                seed: n % 25_000,
                shard: digest("shard", shard)[..16].to_string(),
                state: "done".to_string(),
                part: Some(format!("studies/large/curves/{}-1-0.parquet", &digest("part", part)[..16])),
                size_bytes: Some(20_000 * runs_per_part + noise),
                sha256: Some(digest("bytes", part)),
                fence: Some(1),
                worker: Some(format!("node-{:03}", part % 100)),
                committed_ms: Some(ended_ms + 50),
                attempts: 0,
                error: None,
                training: Some(crate::ledger::origin::Training {
                    origin: origins[(part % 10) as usize].clone(),
                    trained: Trained { started_ms: ended_ms - 60_000 - noise, ended_ms, resumed_after_epoch: 0 },
                }),
            }
        };
        (from..(from + u64::from(PAGE_ROWS)).min(RUNS)).map(entry).collect()
    }

    fn size(runs_per_part: u64) -> usize {
        let mut writer = new_writer("large").unwrap();
        for from in (0..RUNS).step_by(PAGE_ROWS as usize) {
            writer.write(&batch(&entries(from, runs_per_part)).unwrap()).unwrap();
        }
        writer.into_inner().unwrap().len()
    }

    #[test]
    fn the_manifest_of_a_million_runs_is_small() {
        for runs_per_part in [1_000, 10] {
            let bytes = size(runs_per_part);
            println!("{RUNS} runs, {runs_per_part} in a part: {bytes} bytes");
            assert!(bytes < MOST_BYTES, "{bytes} bytes with {runs_per_part} runs in a part");
        }
    }
}
