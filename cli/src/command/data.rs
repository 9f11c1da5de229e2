//! `curvefleet data import` and `curvefleet data show`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use curvefleet_proto::artifact::dataset_key;
use curvefleet_proto::store::Store;
use curvefleet_proto::study::Missing;
use curvefleet_proto::study::{DataFormat, DataSource};
use curvefleet_worker::data::{Dataset, canonical, import, show::describe};
use object_store::ObjectStoreExt;
use object_store::path::Path as Key;

use super::print_json;
use crate::failure::Failure;
use crate::output::say;
use crate::remote_file::Here;
use crate::study_source::{open_existing, upload};

/// Import data sets and look at them.
#[derive(Debug, Subcommand)]
pub enum Data {
    /// Turn data files into one canonical data set in the store
    Import(Import),
    /// Show what is in a data set
    Show(Show),
}

/// Turn data files into one canonical data set in the store.
#[derive(Debug, Args)]
pub struct Import {
    /// What kind of files they are
    #[arg(long, value_enum)]
    format: Format,
    /// The data files, in order; on this machine, or such as s3://bucket/folder/file
    #[arg(required = true, value_name = "FILE|URL")]
    files: Vec<PathBuf>,
    /// numpy: the file with the labels
    #[arg(long, value_name = "FILE|URL")]
    labels: Option<PathBuf>,
    /// Sentences: the GloVe text file that gives words their vectors
    #[arg(long, value_name = "FILE|URL")]
    glove: Option<PathBuf>,
    /// The classes in the order their labels are to have, separated by commas
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    class_order: Vec<String>,
    /// A better name for a class, such as --class-name 1.0=wave; may be given again
    #[arg(long = "class-name", value_name = "OLD=NEW", value_parser = renaming)]
    class_names: Vec<(String, String)>,
    /// What becomes of missing values
    #[arg(long, value_enum, default_value = "interpolate")]
    missing: MissingValues,
    /// csv and json-lines: the column or key with the sentence [default: text]
    #[arg(long, value_name = "NAME")]
    text_column: Option<String>,
    /// csv and json-lines: the column or key with the label [default: label]
    #[arg(long, value_name = "NAME")]
    label_column: Option<String>,
    /// Where the data set is put
    #[arg(long, env = "CURVEFLEET_STORE", value_name = "URL", default_value = "./curvefleet-data")]
    store: String,
    /// Print the description for programs
    #[arg(long)]
    json: bool,
}

/// Show what is in a data set.
#[derive(Debug, Args)]
pub struct Show {
    /// The data set's SHA-256, or a canonical Parquet file
    #[arg(value_name = "SHA256|FILE")]
    dataset: String,
    /// How many of the first items to show
    #[arg(long, value_name = "N", default_value_t = 5)]
    items: usize,
    /// The store that has it
    #[arg(long, env = "CURVEFLEET_STORE", value_name = "URL", default_value = "./curvefleet-data")]
    store: String,
    /// Print the description for programs
    #[arg(long)]
    json: bool,
}

/// The formats of data files, as study files spell them.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// The UEA archive's .ts files
    Ts,
    /// .npy or .npz sequence arrays
    Numpy,
    /// Lines of `sentence;label`
    SentenceLabel,
    /// TREC's lines of `LABEL:fine sentence`
    Trec,
    /// CSV with a header
    Csv,
    /// One JSON object per line
    JsonLines,
}

/// What becomes of missing values.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum MissingValues {
    /// Interpolated over time
    Interpolate,
    /// Zero
    Zero,
    /// The file is refused
    Refuse,
}

impl Data {
    /// Imports or shows.
    ///
    /// # Errors
    /// If a file is not what its format says, or the store does not take or give the data set.
    pub async fn execute(self) -> Result<(), Failure> {
        match self {
            Data::Import(import) => import.execute().await,
            Data::Show(show) => show.execute().await,
        }
    }
}

impl Import {
    async fn execute(self) -> Result<(), Failure> {
        let mut here = Here::default();
        let source = self.source(&mut here).await?;
        let dataset = import::import(&source, Path::new("")).map_err(Failure::user)?;
        let bytes = canonical::encode(&dataset).map_err(Failure::user)?;
        let sha256 = canonical::sha256(&bytes);
        let store = Store::open(&self.store, std::env::vars())?;
        upload(&store, &sha256, bytes).await?;
        print_description(&dataset, &sha256, 3, self.json)?;
        if !self.json {
            say!("stored as {}", store.locate(&dataset_key(&sha256)));
            say!("in a study file:\n");
            say!("[[data]]\nname = \"…\"\nformat = \"{}\"\nsha256 = \"{sha256}\"", self.format.key());
        }
        Ok(())
    }

    /// What is imported, with files that a URL names brought `here`.
    async fn source(&self, here: &mut Here) -> Result<DataSource, Failure> {
        let mut files = Vec::new();
        for file in &self.files {
            files.push(here.bring(file).await?.display().to_string());
        }
        let [mut labels, mut glove] = [None, None];
        for (file, brought) in [(&self.labels, &mut labels), (&self.glove, &mut glove)] {
            if let Some(file) = file {
                *brought = Some(here.bring(file).await?.display().to_string());
            }
        }
        Ok(DataSource {
            format: self.format.format(),
            files,
            labels,
            glove,
            class_order: self.class_order.clone(),
            class_names: self.class_names.iter().cloned().collect(),
            missing: match self.missing {
                MissingValues::Interpolate => Missing::Interpolate,
                MissingValues::Zero => Missing::Zero,
                MissingValues::Refuse => Missing::Refuse,
            },
            text_column: self.text_column.clone(),
            label_column: self.label_column.clone(),
            generate: None,
        })
    }
}

impl Show {
    async fn execute(self) -> Result<(), Failure> {
        let (bytes, name) = if Path::new(&self.dataset).is_file() {
            let bytes = std::fs::read(&self.dataset)
                .map_err(|error| Failure::user(format!("{} cannot be read: {error}", self.dataset)))?;
            (bytes.into(), self.dataset.clone())
        } else {
            let nowhere = || {
                Failure::user(format!(
                    "there is no data set {} in the store {}, and no file of that name",
                    self.dataset, self.store
                ))
            };
            let store = open_existing(&self.store)?.ok_or_else(nowhere)?;
            let name = store.locate(&dataset_key(&self.dataset));
            let missing = |error: object_store::Error| match error {
                object_store::Error::NotFound { .. } => nowhere(),
                error => Failure::other(format!("{name} cannot be read: {error}")),
            };
            let object = store.objects().get(&Key::from(dataset_key(&self.dataset))).await.map_err(missing)?;
            (object.bytes().await.map_err(missing)?, name)
        };
        let dataset = canonical::decode(&bytes).map_err(|error| Failure::user(format!("{name}: {error}")))?;
        print_description(&dataset, &canonical::sha256(&bytes), self.items, self.json)
    }
}

fn renaming(text: &str) -> Result<(String, String), String> {
    let (old, new) = text.split_once('=').ok_or_else(|| format!("`{text}` has no `=`; write OLD=NEW"))?;
    Ok((old.to_string(), new.to_string()))
}

fn print_description(dataset: &Dataset, sha256: &str, items: usize, json: bool) -> Result<(), Failure> {
    let description = describe(dataset, items);
    if json {
        let mut value = serde_json::to_value(&description).map_err(Failure::other)?;
        value["sha256"] = sha256.into();
        print_json(&value);
        return Ok(());
    }
    say!("{}", description.to_string().trim_end());
    say!("  sha256    {sha256}");
    Ok(())
}

impl Format {
    fn format(self) -> DataFormat {
        match self {
            Format::Ts => DataFormat::Ts,
            Format::Numpy => DataFormat::Numpy,
            Format::SentenceLabel => DataFormat::SentenceLabel,
            Format::Trec => DataFormat::Trec,
            Format::Csv => DataFormat::Csv,
            Format::JsonLines => DataFormat::JsonLines,
        }
    }

    fn key(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_string()).unwrap_or_default()
    }
}
