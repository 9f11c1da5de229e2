//! What the footer of a canonical data set says about it.

use bytes::Bytes;
use curvefleet_proto::study::{ClassCount, DataSummary};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use serde::{Deserialize, Serialize};

use crate::data::error::quoted;
use crate::data::{DataError, Dataset, Provenance, distinct};

/// The footer key that holds [`Metadata`].
pub const METADATA_KEY: &str = "curvefleet.dataset";
/// The version of the format that this code writes, and the only one it reads.
pub const FORMAT_VERSION: u32 = 1;

/// The data set without its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// [`FORMAT_VERSION`] of the writer.
    pub version: u32,
    /// What the source calls itself.
    pub name: String,
    /// How many sequences there are.
    pub sequences: u64,
    /// Fewest time steps of a sequence.
    pub steps_min: u32,
    /// Most time steps of a sequence.
    pub steps_max: u32,
    /// Feature names in the order of the values within a step.
    pub features: Vec<String>,
    /// Classes in label order with their counts.
    pub classes: Vec<ClassCount>,
    /// Where the data set came from.
    pub provenance: Provenance,
}

impl Metadata {
    pub(super) fn of(dataset: &Dataset) -> Self {
        let (steps_min, steps_max) = dataset.steps_range();
        Self {
            version: FORMAT_VERSION,
            name: dataset.name.clone(),
            sequences: dataset.sequences.len() as u64,
            steps_min,
            steps_max,
            features: dataset.features.clone(),
            classes: dataset.class_counts(),
            provenance: dataset.provenance.clone(),
        }
    }

    /// What planning needs to know, for the file with this SHA-256 (64 hex digits).
    pub fn summary(&self, sha256: &str) -> DataSummary {
        DataSummary {
            sha256: sha256.to_string(),
            steps_min: self.steps_min,
            steps_max: self.steps_max,
            feature_names: self.features.clone(),
            classes: self.classes.clone(),
        }
    }

    /// Checks what can be checked without the rows.
    fn check(&self) -> Result<(), String> {
        let class_names: Vec<String> = self.classes.iter().map(|class| class.name.clone()).collect();
        distinct("class", &class_names)?;
        distinct("feature", &self.features)?;
        if let Some(class) = self.classes.iter().find(|class| class.count == 0) {
            return Err(format!("class {} has no sequences", quoted(&class.name)));
        }
        let counted = self.classes.iter().try_fold(0u64, |sum, class| sum.checked_add(class.count));
        if counted != Some(self.sequences) {
            return Err(format!("its classes' counts do not add up to its {} sequences", self.sequences));
        }
        if self.steps_min == 0 || self.steps_min > self.steps_max {
            return Err(format!("its lengths go from {} to {} steps", self.steps_min, self.steps_max));
        }
        Ok(())
    }
}

/// Reads the metadata of a canonical data set from the bytes of its file; the rows are not looked at.
///
/// # Errors
/// [`DataError::Canonical`] if the bytes are no Parquet file, or one without valid metadata of this version.
pub fn read_metadata(bytes: &Bytes) -> Result<Metadata, DataError> {
    super::decode::shielded(|| {
        let footer = ParquetMetaDataReader::new()
            .parse_and_finish(bytes)
            .map_err(|error| DataError::Canonical(format!("it is not a whole Parquet file ({error})")))?;
        from_footer(&footer)
    })
}

/// The metadata in a Parquet footer, checked.
pub(super) fn from_footer(footer: &ParquetMetaData) -> Result<Metadata, DataError> {
    let entries = footer.file_metadata().key_value_metadata();
    let json = entries
        .and_then(|entries| entries.iter().find(|entry| entry.key == METADATA_KEY))
        .and_then(|entry| entry.value.as_deref())
        .ok_or_else(|| {
            DataError::Canonical(format!(
                "its footer has no {METADATA_KEY}; import the original files with `curvefleet data import`"
            ))
        })?;
    /// The one field that every version has.
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let unreadable = |error: serde_json::Error| {
        DataError::Canonical(format!("its {METADATA_KEY} is not what it should be ({error})"))
    };
    let Version { version } = serde_json::from_str(json).map_err(unreadable)?;
    if version != FORMAT_VERSION {
        return Err(DataError::Canonical(format!(
            "it has format version {version}, but this program reads version {FORMAT_VERSION}; import the original files again"
        )));
    }
    let metadata: Metadata = serde_json::from_str(json).map_err(unreadable)?;
    metadata.check().map_err(DataError::Canonical)?;
    Ok(metadata)
}
