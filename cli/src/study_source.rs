//! From a study file on disk to a resolved study, with its data sets imported.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use curvefleet_proto::artifact::dataset_key;
use curvefleet_proto::store::Store;
use curvefleet_proto::study::file::{DataEntry, Parsed, parse};
use curvefleet_proto::study::{DataSummary, Study};
use curvefleet_worker::data::{DataError, canonical, import};
use object_store::ObjectStoreExt;
use object_store::path::Path as Key;

use crate::failure::Failure;

/// Which study, and where its data files are.
#[derive(Debug, Clone, Args)]
pub struct StudySource {
    /// The study file
    pub study: PathBuf,
    /// The folder that the study's data files are named relative to
    #[arg(long, env = "CURVEFLEET_DATA", value_name = "FOLDER", default_value = "data")]
    pub data: PathBuf,
}

/// A resolved study and the data sets that were imported for it.
#[derive(Debug)]
pub struct Loaded {
    /// The study.
    pub study: Study,
    /// Canonical Parquet files by SHA-256.
    new_data: BTreeMap<String, Vec<u8>>,
}

impl StudySource {
    /// Reads and checks the study file, imports its data sets, and resolves it. Writes nothing; data sets that `store` has by the
    /// hash that the study file names are taken from there.
    ///
    /// # Errors
    /// If the study file or a data file cannot be read or is wrong.
    pub async fn load(&self, store: Option<&Store>) -> Result<Loaded, Failure> {
        let named = |message: String| Failure::user(format!("{}: {message}", self.study.display()));
        let text = std::fs::read_to_string(&self.study).map_err(|error| {
            Failure::user(format!("the study file {} cannot be read: {error}", self.study.display()))
        })?;
        let parsed = parse(&text)
            .and_then(|parsed| parsed.check().map(|()| parsed))
            .map_err(|error| named(error.to_string()))?;
        let (summaries, new_data) = self.summaries(&parsed, store).await?;
        let study = parsed.resolve(&summaries).map_err(|error| named(error.to_string()))?;
        curvefleet_proto::plan::cells(&study).map_err(|error| named(error.to_string()))?;
        Ok(Loaded { study, new_data })
    }

    async fn summaries(
        &self,
        parsed: &Parsed,
        store: Option<&Store>,
    ) -> Result<(BTreeMap<String, DataSummary>, BTreeMap<String, Vec<u8>>), Failure> {
        let mut summaries = BTreeMap::new();
        let mut new_data = BTreeMap::new();
        for entry in &parsed.file.data {
            let summary = match stored(entry, store).await? {
                Some(summary) => summary,
                None => {
                    let (summary, bytes) = imported(entry, &self.data).await?;
                    new_data.insert(summary.sha256.clone(), bytes);
                    summary
                }
            };
            summaries.insert(entry.name.clone(), summary);
        }
        Ok((summaries, new_data))
    }
}

impl Loaded {
    /// Puts the data sets that are not in the store, or not in their full length, there.
    ///
    /// # Errors
    /// If the store does not take them.
    pub async fn upload(&mut self, store: &Store) -> Result<(), Failure> {
        for (sha256, bytes) in std::mem::take(&mut self.new_data) {
            let there = store.objects().head(&Key::from(dataset_key(&sha256))).await;
            if !there.is_ok_and(|object| object.size == bytes.len() as u64) {
                upload(store, &sha256, bytes).await?;
            }
        }
        Ok(())
    }
}

/// The store, if it is there: looking makes no folder.
///
/// # Errors
/// If the store cannot be opened.
pub fn open_existing(location: &str) -> Result<Option<Store>, Failure> {
    if !location.contains("://") && !Path::new(location).is_dir() {
        return Ok(None);
    }
    Ok(Some(Store::open(location, std::env::vars())?))
}

/// The store that is to be read.
///
/// # Errors
/// If it is not there or cannot be opened.
pub fn existing(location: &str) -> Result<Store, Failure> {
    open_existing(location)?
        .ok_or_else(|| Failure::user(format!("there is no store {location}; name another with --store")))
}

/// Puts a canonical data set into the store.
///
/// # Errors
/// If the store does not take it.
pub async fn upload(store: &Store, sha256: &str, bytes: Vec<u8>) -> Result<(), Failure> {
    let written = store.put(&dataset_key(sha256), bytes).await;
    written
        .map_err(|error| Failure::user(format!("the data set cannot be written to the store {}: {error}", store.url())))
}

/// The summary of a data set that the study file names by its hash and the store has.
async fn stored(entry: &DataEntry, store: Option<&Store>) -> Result<Option<DataSummary>, Failure> {
    let (Some(sha256), Some(store)) = (&entry.sha256, store) else { return Ok(None) };
    match store.objects().get(&Key::from(dataset_key(sha256))).await {
        Ok(object) => {
            let broken = |reason: String| {
                Failure::user(format!("the data set {sha256} in the store {} cannot be used: {reason}", store.url()))
            };
            let bytes = object.bytes().await.map_err(|error| broken(error.to_string()))?;
            let metadata = canonical::read_metadata(&bytes).map_err(|error| broken(error.to_string()))?;
            Ok(Some(metadata.summary(sha256)))
        }
        Err(object_store::Error::NotFound { .. }) if !entry.files.is_empty() || entry.generate.is_some() => Ok(None),
        Err(object_store::Error::NotFound { .. }) => Err(Failure::user(format!(
            "the data set `{}` (sha256 {sha256}) is not in the store {}; import it there with `curvefleet data import`, or name its `files`",
            entry.name,
            store.url()
        ))),
        Err(error) => Err(Failure::other(format!("the store {} cannot be read: {error}", store.url()))),
    }
}

/// Imports a data set from its files; compares its hash where the study file names one.
async fn imported(entry: &DataEntry, folder: &Path) -> Result<(DataSummary, Vec<u8>), Failure> {
    let (source, base, name) = (entry.source(), folder.to_path_buf(), entry.name.clone());
    let import = tokio::task::spawn_blocking(move || {
        let dataset = import::import(&source, &base)?;
        let bytes = canonical::encode(&dataset)?;
        let summary = dataset.summary(&canonical::sha256(&bytes));
        Ok::<_, DataError>((summary, bytes))
    });
    let imported =
        import.await.map_err(|panic| Failure::other(format!("importing the data set `{name}` failed: {panic}")))?;
    let hint = |error: &DataError| match error {
        DataError::Read { .. } => {
            format!("; its files are named relative to {}, the folder that --data sets", folder.display())
        }
        _ => String::new(),
    };
    let (summary, bytes) =
        imported.map_err(|error| Failure::user(format!("the data set `{name}`: {error}{}", hint(&error))))?;
    match &entry.sha256 {
        Some(expected) if *expected != summary.sha256 => Err(Failure::user(format!(
            "the files of the data set `{name}` are not those that the study was made with: their data set has SHA-256 {}, the study file says {expected}",
            summary.sha256
        ))),
        _ => Ok((summary, bytes)),
    }
}
