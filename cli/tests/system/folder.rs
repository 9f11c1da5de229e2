//! A working folder with a small study in it, and what a study leaves behind.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;

/// Two gestures, true and shuffled labels: `2 * seeds` runs of `epochs` epochs.
pub fn study(name: &str, seeds: u32, epochs: u32) -> String {
    format!(
        "name = \"{name}\"\nseeds = {seeds}\nshard_size = 2\n\n[[data]]\nname = \"joints\"\nformat = \"generated\"\n\
         generate = {{ items_per_class = 20, steps = 12 }}\n\n[[conditions]]\nclasses = [[\"raise\", \"clap\"]]\n\n\
         [[models]]\nkind = \"lstm\"\nhidden = 8\n\n[training]\nepochs = {epochs}\nbatch_size = 8\nlearning_rate = 5e-3\n"
    )
}

pub struct Folder(tempfile::TempDir);

impl Folder {
    /// An empty folder.
    pub fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    /// A folder with `study.toml` in it.
    pub fn with_study(name: &str, seeds: u32, epochs: u32) -> Folder {
        Folder::new().and("study.toml", study(name, seeds, epochs))
    }

    pub fn and(self, file: &str, content: impl AsRef<[u8]>) -> Folder {
        std::fs::write(self.path().join(file), content).unwrap();
        self
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// The folder of a study in a store that is a folder.
pub fn study_folder(store: &Path, study: &str) -> PathBuf {
    store.join("studies").join(study)
}

/// The manifest's runs with the parts that hold them; fails if a run stands there twice or is not done.
pub fn manifest(store: &Path, study: &str) -> HashMap<String, String> {
    let file = std::fs::File::open(study_folder(store, study).join("manifest.parquet")).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let column = |name: &str| {
        let schema = reader.metadata().file_metadata().schema_descr();
        (0..schema.num_columns()).find(|index| schema.column(*index).name() == name).unwrap()
    };
    let (run, state, part) = (column("run"), column("state"), column("part"));
    let mut runs = HashMap::new();
    for row in reader.get_row_iter(None).unwrap() {
        let row = row.unwrap();
        assert_eq!(row.get_string(state).unwrap(), "done");
        let before = runs.insert(row.get_string(run).unwrap().clone(), row.get_string(part).unwrap().clone());
        assert_eq!(before, None, "a run stands twice in the manifest");
    }
    runs
}

/// How many rows each run has in a curve part.
pub fn epochs_by_run(store: &Path, part: &str) -> HashMap<String, usize> {
    let reader = SerializedFileReader::new(std::fs::File::open(store.join(part)).unwrap()).unwrap();
    let mut epochs = HashMap::new();
    for row in reader.get_row_iter(None).unwrap() {
        *epochs.entry(row.unwrap().get_string(0).unwrap().clone()).or_default() += 1;
    }
    epochs
}

/// What a curve part says of where it comes from.
pub fn provenance(store: &Path, part: &str) -> serde_json::Value {
    let reader = SerializedFileReader::new(std::fs::File::open(store.join(part)).unwrap()).unwrap();
    let metadata = reader.metadata().file_metadata().key_value_metadata().unwrap().clone();
    let told = metadata.into_iter().find(|pair| pair.key == "curvefleet.part").unwrap();
    serde_json::from_str(&told.value.unwrap()).unwrap()
}

/// The newest report's page.
pub fn report(store: &Path, study: &str) -> String {
    let reports = study_folder(store, study).join("reports");
    let newest = std::fs::read_dir(reports).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    std::fs::read_to_string(newest.join("index.html")).unwrap()
}

/// All rows of a study's committed parts as text, by run and epoch: two studies with the same curves give the same.
pub fn curves(store: &Path, study: &str) -> std::collections::BTreeMap<(String, u32), String> {
    let parts: std::collections::BTreeSet<String> = manifest(store, study).into_values().collect();
    let mut rows = std::collections::BTreeMap::new();
    for part in parts {
        let reader = SerializedFileReader::new(std::fs::File::open(store.join(part)).unwrap()).unwrap();
        for row in reader.get_row_iter(None).unwrap() {
            let row = row.unwrap();
            let key = (row.get_string(0).unwrap().clone(), row.get_uint(6).unwrap());
            assert_eq!(rows.insert(key, row.to_string()), None, "an epoch stands twice");
        }
    }
    rows
}
