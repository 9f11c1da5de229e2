//! A folder with input files for one test.

use curvefleet_proto::study::DataFormat;
use curvefleet_proto::study::{DataSource, Missing};
use curvefleet_worker::data::import::import;
use curvefleet_worker::data::{DataError, Dataset};

pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A folder with one file in it.
    pub fn with(name: &str, content: impl AsRef<[u8]>) -> Self {
        Self::new().and(name, content)
    }

    pub fn and(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.0.path().join(name), content).unwrap();
        self
    }

    pub fn import(&self, source: &DataSource) -> Result<Dataset, DataError> {
        import(source, self.0.path())
    }

    /// The sentence with which the import is refused.
    pub fn refusal(&self, source: &DataSource) -> String {
        match self.import(source) {
            Ok(dataset) => panic!("imported {} sequences where a refusal was expected", dataset.sequences.len()),
            Err(error) => error.to_string(),
        }
    }
}

pub fn source(format: DataFormat, files: &[&str]) -> DataSource {
    DataSource {
        format,
        files: files.iter().map(|file| file.to_string()).collect(),
        labels: None,
        glove: None,
        class_order: Vec::new(),
        class_names: Default::default(),
        missing: Missing::Interpolate,
        text_column: None,
        label_column: None,
        generate: None,
    }
}

/// The classes with their counts.
pub fn counts(dataset: &Dataset) -> Vec<(String, u64)> {
    dataset.class_counts().into_iter().map(|class| (class.name, class.count)).collect()
}

/// Fails unless the sentence has all the parts.
#[track_caller]
pub fn assert_says(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "expected \"{part}\" in: {sentence}");
    }
    assert!(!sentence.contains('\n'), "more than one line: {sentence}");
}
