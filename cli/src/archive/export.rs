//! A self-contained copy of a study: a store of its own with this one study in it, checksums that `sha256sum -c` checks, and a
//! description for repositories.
//!
//! Parts that the study reuses from others come with it under keys of its own, and its manifest is written anew with those keys. The bytes
//! of every part stay as they were committed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, cast::AsArray, new_null_array};
use bytes::Bytes;
use curvefleet_analysis::read::manifest::{Outcome, PartRef};
use curvefleet_analysis::read::part::read_bytes;
use curvefleet_proto::artifact::{
    MANIFEST_METADATA, MANIFEST_SCHEMA, dataset_key, manifest_key, sha256_hex, study_folder, study_key,
};
use curvefleet_proto::ro_crate::{self, Crate, Place, Training};
use curvefleet_proto::store::Store;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::part::decode;
use super::verify::{Verified, fails, verify};
use crate::failure::Failure;
use crate::listing::counted;

/// The checksums' file.
const SUMS: &str = "SHA256SUMS";

/// How a copy is made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether the data sets come with it.
    pub with_data: bool,
    /// Under what terms the copy may be used.
    pub license: Option<String>,
    /// The time, in milliseconds since 1970.
    pub now_ms: u64,
}

/// What was copied.
#[derive(Debug)]
pub struct Exported {
    /// Files, without checksums and description.
    pub files: usize,
    /// Their size.
    pub size_bytes: u64,
    /// Done runs in the copy.
    pub runs: usize,
    /// Runs planned.
    pub planned: usize,
}

/// A copy in the making.
struct Copy<'a> {
    from: &'a Store,
    to: &'a Store,
    /// What was written: size and SHA-256 by name.
    files: BTreeMap<String, (u64, String)>,
    training: Training,
}

/// Copies a study. On an error what was written is taken away again.
///
/// # Errors
/// If the target is not empty, the study is damaged, or a store fails.
pub async fn export(from: &Store, study: &str, to: &Store, settings: &Settings) -> Result<Exported, Failure> {
    if to.objects().list(None).next().await.transpose().map_err(|error| fails(to, &error))?.is_some() {
        return Err(Failure::user(format!("{} is not empty; a copy needs a place of its own", to.url())));
    }
    let verified = verify(from, study).await?;
    refuse_damage(&verified, settings)?;
    let mut copy = Copy { from, to, files: BTreeMap::new(), training: Training::default() };
    let done = match copy.all(&verified, settings).await {
        Ok(()) => copy.read_back().await,
        error => error,
    };
    if let Err(failure) = done {
        copy.take_away().await;
        return Err(failure);
    }
    Ok(Exported {
        files: copy.files.len(),
        size_bytes: copy.files.values().map(|(size, _)| size).sum(),
        runs: verified.whole.len(),
        planned: verified.planned,
    })
}

fn refuse_damage(verified: &Verified, settings: &Settings) -> Result<(), Failure> {
    let name = &verified.study.study.name;
    let lost_data = if settings.with_data { verified.damaged_data.len() + verified.absent_data.len() } else { 0 };
    let what = match (verified.damaged.len(), lost_data) {
        (0, 0) => return Ok(()),
        (0, data) => format!("{} of the study {name} cannot be copied", counted(data as u64, "data set")),
        (runs, _) => format!("the curves of {} of the study {name} are damaged", counted(runs as u64, "run")),
    };
    Err(Failure::other(format!("{what}, and nothing was copied; `curvefleet verify {name}` says which")))
}

impl Copy<'_> {
    async fn all(&mut self, verified: &Verified, settings: &Settings) -> Result<(), Failure> {
        let study = &verified.study.study;
        let (name, folder) = (&study.name, study_folder(&study.name));
        let keys = new_keys(verified, &folder)?;
        for (part, key) in &keys {
            self.part(part, key).await?;
        }
        let reports: Vec<_> = self.list(&format!("{folder}/reports")).await?;
        for key in reports {
            self.copy(&key).await?;
        }
        if settings.with_data {
            for data in &study.data {
                self.copy(&dataset_key(&data.summary.sha256)).await?;
            }
        }
        let manifest = self.get(&manifest_key(name)).await?;
        let keys: HashMap<&str, &str> = keys.iter().map(|(part, key)| (part.key.as_str(), key.as_str())).collect();
        let manifest = rewritten(manifest, name, &keys).map_err(|reason| {
            Failure::other(format!("the manifest {} cannot be copied: {reason}", self.from.locate(&manifest_key(name))))
        })?;
        self.put(&manifest_key(name), manifest.into()).await?;
        self.put(&study_key(name), verified.study.text.clone().into()).await?;
        let described = Crate {
            study,
            study_sha256: &verified.study.sha256,
            place: Place::Copy,
            files: &self.files,
            training: &self.training,
            runs: verified.whole.len() as u64,
            license: settings.license.as_deref(),
            published_ms: settings.now_ms,
        };
        let described = described.to_json();
        self.put(ro_crate::FILE, described.into()).await?;
        // Last: a copy without checksums is one that was not finished.
        let sums: String = self.files.iter().map(|(name, (_, sha256))| format!("{sha256}  {name}\n")).collect();
        self.put(SUMS, sums.into()).await
    }

    async fn part(&mut self, part: &PartRef, key: &str) -> Result<(), Failure> {
        let bytes = read_bytes(self.from.objects(), part).await;
        let bytes = bytes.map_err(|problem| Failure::other(format!("the part {} {problem}", part.key)))?;
        let found =
            decode(bytes.clone()).map_err(|reason| Failure::other(format!("the part {} {reason}", part.key)))?;
        found.provenance.iter().for_each(|part| self.training.add_part(part));
        self.put(key, bytes).await
    }

    async fn copy(&mut self, key: &str) -> Result<(), Failure> {
        let bytes = self.get(key).await?;
        self.put(key, bytes).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<String>, Failure> {
        let listed = self.from.objects().list(Some(&Path::from(folder)));
        let listed = listed.map_ok(|object| object.location.to_string()).try_collect().await;
        listed.map_err(|error| fails(self.from, &error))
    }

    async fn get(&self, key: &str) -> Result<Bytes, Failure> {
        get(self.from, key).await
    }

    async fn put(&mut self, key: &str, bytes: Bytes) -> Result<(), Failure> {
        self.files.insert(key.to_string(), (bytes.len() as u64, sha256_hex(&bytes)));
        let put = self.to.objects().put(&path(key), PutPayload::from(bytes)).await;
        put.map(drop).map_err(|error| fails(self.to, &error))
    }

    /// Reads everything that was written.
    async fn read_back(&self) -> Result<(), Failure> {
        for (key, (_, sha256)) in &self.files {
            if sha256_hex(&get(self.to, key).await?) != *sha256 {
                let place = self.to.locate(key);
                return Err(Failure::other(format!("{place} has other bytes than were written to it")));
            }
        }
        Ok(())
    }

    async fn take_away(&self) {
        for key in self.files.keys() {
            match self.to.objects().delete(&path(key)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => tracing::warn!(key, %error, "what was copied cannot be taken away"),
            }
        }
    }
}

/// A key as it is listed; [`Path::from`] would encode its signs again.
fn path(key: &str) -> Path {
    Path::parse(key).unwrap_or_else(|_| Path::from(key))
}

async fn get(store: &Store, key: &str) -> Result<Bytes, Failure> {
    let found = store.objects().get(&path(key)).await.map_err(|error| fails(store, &error))?;
    found.bytes().await.map_err(|error| fails(store, &error))
}

/// The parts of the done runs, each with its key in the copy. A part's name holds its shard, and a shard is of one study, so that names
/// of parts from several studies do not meet.
fn new_keys(verified: &Verified, folder: &str) -> Result<Vec<(PartRef, String)>, Failure> {
    let mut keys: BTreeMap<String, PartRef> = BTreeMap::new();
    for row in &verified.whole {
        let Outcome::Done(part) = &row.outcome else { continue };
        let file = part.key.rsplit('/').next().unwrap_or(&part.key);
        let key = format!("{folder}/curves/{file}");
        match keys.get(&key) {
            Some(known) if known != part => {
                let (one, other) = (&known.key, &part.key);
                return Err(Failure::other(format!("the parts {one} and {other} have one name and other bytes")));
            }
            _ => drop(keys.insert(key, part.clone())),
        }
    }
    Ok(keys.into_iter().map(|(key, part)| (part, key)).collect())
}

/// A manifest with other keys for its parts. Runs that were committed since the copy began are not in it: their parts were not copied.
fn rewritten(bytes: Bytes, study: &str, keys: &HashMap<&str, &str>) -> Result<Vec<u8>, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| text(&error))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_key_value_metadata(Some(vec![KeyValue::new(MANIFEST_METADATA.to_string(), study.to_string())]))
        .build();
    let mut writer =
        ArrowWriter::try_new(Vec::new(), MANIFEST_SCHEMA.clone(), Some(properties)).map_err(|error| text(&error))?;
    for batch in builder.build().map_err(|error| text(&error))? {
        let batch = with_keys(&whole(&batch.map_err(|error| text(&error))?)?, keys)?;
        for rows in kept(&batch)? {
            writer.write(&rows).map_err(|error| text(&error))?;
        }
    }
    writer.into_inner().map_err(|error| text(&error))
}

/// The rows with all columns of a manifest. Those that an older program did not write are null.
fn whole(batch: &RecordBatch) -> Result<RecordBatch, String> {
    let columns = MANIFEST_SCHEMA.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        None if field.is_nullable() => Ok(new_null_array(field.data_type(), batch.num_rows())),
        column => column.cloned().ok_or_else(|| format!("it has no column `{}`", field.name())),
    });
    let columns = columns.collect::<Result<Vec<_>, String>>()?;
    RecordBatch::try_new(MANIFEST_SCHEMA.clone(), columns)
        .map_err(|error| format!("its columns are not those of a manifest: {error}"))
}

/// The rows with their parts' keys in the copy; null for parts that have none.
fn with_keys(batch: &RecordBatch, keys: &HashMap<&str, &str>) -> Result<RecordBatch, String> {
    let parts = column(batch, "part")?.as_string::<i32>();
    let new_keys = parts.iter().map(|part| part.and_then(|part| keys.get(part)).copied()).collect::<StringArray>();
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    columns[MANIFEST_SCHEMA.index_of("part").map_err(|error| error.to_string())?] = Arc::new(new_keys);
    RecordBatch::try_new(MANIFEST_SCHEMA.clone(), columns).map_err(|error| error.to_string())
}

/// The rows of failed runs and of those whose part was copied, as slices.
fn kept(batch: &RecordBatch) -> Result<Vec<RecordBatch>, String> {
    let (state, part) = (column(batch, "state")?.as_string::<i32>(), column(batch, "part")?);
    let is_kept = |row: usize| part.is_valid(row) || state.value(row) != "done";
    let rows: Vec<usize> = (0..batch.num_rows()).filter(|row| is_kept(*row)).collect();
    let runs = rows.chunk_by(|before, row| before + 1 == *row);
    Ok(runs.map(|run| batch.slice(run[0], run.len())).collect())
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, String> {
    batch.column_by_name(name).ok_or_else(|| format!("it has no column `{name}`"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use arrow_array::{UInt32Array, UInt64Array};

    /// Three rows: one whose part is copied, one that was committed later, one that failed. As older programs wrote it, which knew
    /// nothing of the training.
    fn manifest() -> RecordBatch {
        let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value; 3])) };
        let number = |values: [Option<u64>; 3]| -> ArrayRef { Arc::new(UInt64Array::from(values.to_vec())) };
        let maybe = |values: [Option<&str>; 3]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
        let columns = vec![
            maybe([Some("r1"), Some("r2"), Some("r3")]),
            text("data"),
            text("a/b"),
            text("true"),
            text("lstm"),
            number([Some(1), Some(2), Some(3)]),
            text("shard"),
            maybe([Some("done"), Some("done"), Some("failed")]),
            maybe([Some("studies/other/curves/s-1-1.parquet"), Some("studies/one/curves/new.parquet"), None]),
            number([Some(10), Some(10), None]),
            maybe([Some("ab"), Some("ab"), None]),
            number([Some(1), Some(1), None]),
            text("w"),
            number([Some(5), Some(6), None]),
            Arc::new(UInt32Array::from(vec![0, 0, 3])),
            maybe([None, None, Some("it broke")]),
        ];
        let schema = MANIFEST_SCHEMA.project(&(0..columns.len()).collect::<Vec<_>>()).unwrap();
        RecordBatch::try_new(Arc::new(schema), columns).unwrap()
    }

    #[test]
    fn a_copied_manifest_names_the_copied_parts_and_no_run_that_came_later() {
        let manifest = manifest();
        let mut writer = ArrowWriter::try_new(Vec::new(), manifest.schema(), None).unwrap();
        writer.write(&manifest).unwrap();
        let bytes = Bytes::from(writer.into_inner().unwrap());
        let keys = HashMap::from([("studies/other/curves/s-1-1.parquet", "studies/one/curves/s-1-1.parquet")]);
        let copied = Bytes::from(rewritten(bytes, "one", &keys).unwrap());
        let builder = ParquetRecordBatchReaderBuilder::try_new(copied).unwrap();
        assert_eq!(builder.schema().fields(), MANIFEST_SCHEMA.fields());
        let reader = builder.build().unwrap();
        let rows: Vec<(String, Option<String>)> = reader
            .flat_map(|batch| {
                let batch = batch.unwrap();
                let column = |name: &str| column(&batch, name).unwrap().as_string::<i32>().clone();
                let (run, part) = (column("run"), column("part"));
                let part = |row: usize| part.is_valid(row).then(|| part.value(row).to_string());
                (0..batch.num_rows()).map(|row| (run.value(row).to_string(), part(row))).collect::<Vec<_>>()
            })
            .collect();
        let copied = Some("studies/one/curves/s-1-1.parquet".to_string());
        assert_eq!(rows, [("r1".to_string(), copied), ("r3".to_string(), None)]);
    }
}
