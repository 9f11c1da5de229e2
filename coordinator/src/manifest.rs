//! Writes manifests into the store: the list of a study's runs that lets its folder be read without a coordinator.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt32Array, UInt64Array};
use curvefleet_proto::artifact::{MANIFEST_METADATA, MANIFEST_SCHEMA, manifest_key, study_key};
use curvefleet_proto::store::Store;
use object_store::ObjectStoreExt as _;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use tokio::runtime::RuntimeFlavor;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use crate::ledger::manifest::{Abandon, Claim, Entry, ReadPage, Stale, StaleManifests, Written};
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
    /// Held while a manifest is written, so that one takes memory at a time.
    one_at_a_time: Mutex<()>,
}

impl Manifests {
    pub fn new(ledger: Handle, store: Store) -> Manifests {
        Manifests { ledger, store, one_at_a_time: Mutex::new(()) }
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

    /// Puts a study's file and its manifest into the store; says up to which change and how many runs. The file is there since the
    /// study was submitted; but where two coordinators were given two studies of one name, it may be the one that was refused.
    async fn put(&self, study: &str) -> Result<(u64, u64), Error> {
        let toml = self.ledger.ask(GetStudy { name: study.to_string() }).await?.toml;
        self.store.objects().put(&study_key(study).as_str().into(), toml.into()).await?;
        let mut page = self.page(study, None).await?;
        let changes = page.changes;
        let mut runs = page.entries.len() as u64;
        let mut writer = encode(new_writer(study)?, page.entries).await?;
        while let Some(after) = page.next {
            page = self.page(study, Some(after)).await?;
            runs += page.entries.len() as u64;
            writer = encode(writer, page.entries).await?;
        }
        let bytes = blocking(move || writer.into_inner()).await?;
        self.store.objects().put(&manifest_key(study).as_str().into(), bytes.into()).await?;
        Ok((changes, runs))
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

fn new_writer(study: &str) -> Result<ArrowWriter<Vec<u8>>, ParquetError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_key_value_metadata(Some(vec![KeyValue::new(MANIFEST_METADATA.to_string(), study.to_string())]))
        .build();
    ArrowWriter::try_new(Vec::new(), MANIFEST_SCHEMA.clone(), Some(properties))
}

/// Adds rows; encoding is work for a thread that no request waits on.
async fn encode(mut writer: ArrowWriter<Vec<u8>>, entries: Vec<Entry>) -> Result<ArrowWriter<Vec<u8>>, ParquetError> {
    blocking(move || {
        writer.write(&batch(&entries)?)?;
        Ok(writer)
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ParquetError> + Send + 'static,
) -> Result<T, ParquetError> {
    // A runtime of one thread is a simulation's, in which no other thread may decide the order of events.
    if tokio::runtime::Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return work();
    }
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(ParquetError::General(error.to_string())))
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
    ];
    Ok(RecordBatch::try_new(MANIFEST_SCHEMA.clone(), columns)?)
}
