//! The stored study file: what was planned, in which order its conditions come, and with which settings.

use curvefleet_proto::artifact::{sha256_hex, study_key};
use curvefleet_proto::plan;
use curvefleet_proto::store::Store;
use curvefleet_proto::study::{Labels, Study, file};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::error::Error;

/// A study as it was submitted.
#[derive(Debug, Clone)]
pub struct StoredStudy {
    /// The resolved study.
    pub study: Study,
    /// Its file, as stored.
    pub text: String,
    /// SHA-256 of that text.
    pub sha256: String,
    /// What was to be run, in the study's order.
    pub planned: Vec<PlannedCell>,
}

/// One data set × condition × labels × model of the plan, without what only the worker needs.
#[derive(Debug, Clone)]
pub struct PlannedCell {
    /// Which cell.
    pub key: CellKey,
    /// How many classes are told apart.
    pub classes: usize,
    /// The name of the condition set; conditions of one set with as many classes are shown against one pooled control.
    pub set: String,
    /// Runs planned.
    pub runs: usize,
}

/// What the runs of a cell share; they differ by seed alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellKey {
    /// The data set.
    pub data: String,
    /// The model.
    pub model: String,
    /// The condition.
    pub condition: String,
    /// Whether the labels were shuffled.
    pub shuffled: bool,
}

impl CellKey {
    /// `true` or `shuffled`, as in artifacts.
    pub fn labels(&self) -> &'static str {
        if self.shuffled { Labels::Shuffled.as_str() } else { Labels::True.as_str() }
    }
}

/// Reads the study file of a study.
///
/// # Errors
/// If the store has no such study, fails, or holds a file that is not a resolved study.
pub async fn read_study(store: &Store, name: &str) -> Result<StoredStudy, Error> {
    let key = study_key(name);
    let broken = |reason: String| Error::StudyFile { place: store.locate(&key), reason };
    let in_store = |source| Error::Objects { place: store.locate(&key), source };
    // A name that is no key, such as one with a slash at its end, is an unknown study, not a failing store.
    let found = match Path::parse(&key) {
        Err(_) => return Err(unknown(store, name).await),
        Ok(path) => store.objects().get(&path).await,
    };
    let bytes = match found {
        Err(object_store::Error::NotFound { .. }) => return Err(unknown(store, name).await),
        Err(source) => return Err(in_store(source)),
        Ok(found) => found.bytes().await.map_err(in_store)?,
    };
    let text = String::from_utf8(bytes.to_vec()).map_err(|_| broken("it is not UTF-8 text".to_string()))?;
    let study =
        file::parse(&text).and_then(|parsed| parsed.resolve_stored()).map_err(|error| broken(error.to_string()))?;
    let planned = planned_cells(&study).map_err(|error| broken(error.to_string()))?;
    Ok(StoredStudy { study, sha256: sha256_hex(text.as_bytes()), text, planned })
}

async fn unknown(store: &Store, study: &str) -> Error {
    let folder = Path::from("studies");
    let known = match store.objects().list_with_delimiter(Some(&folder)).await {
        Ok(list) => list.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_string)).collect(),
        Err(_) => Vec::new(),
    };
    let known = if known.is_empty() { "it has no studies".to_string() } else { format!("it has {}", known.join(", ")) };
    Error::UnknownStudy { study: study.to_string(), store: store.url().to_string(), known }
}

fn planned_cells(study: &Study) -> Result<Vec<PlannedCell>, plan::Error> {
    let cells = plan::cells(study)?;
    let planned = cells.iter().map(|cell| PlannedCell {
        key: CellKey {
            data: cell.data.name.clone(),
            model: cell.model.name.clone(),
            condition: cell.condition_name.clone(),
            shuffled: cell.condition.labels == Labels::Shuffled,
        },
        classes: cell.condition.classes.len(),
        set: cell.condition_name.split_once(':').map(|(set, _)| set.to_string()).unwrap_or_default(),
        runs: study.seeds.len(),
    });
    Ok(planned.collect())
}
