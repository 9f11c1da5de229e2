//! From the files a researcher has to a [`Dataset`]: one file per format, and the steps that all formats share.
//!
//! - `ts`, `numpy`, `text` with `table`: the formats; each turns its files into sequences and hands them to the collector
//! - `lines`: text files read line by line, tolerant of CRLF, byte order marks and Latin-1, hashed on the way
//! - [`tokenize`], `glove`: from sentences to word vectors
//! - `missing`: what becomes of missing values
//! - `collect`: class names to labels, and the finished data set

mod collect;
mod glove;
mod lines;
mod missing;
mod npy;
mod numpy;
mod table;
mod text;
pub mod tokenize;
mod ts;
mod ts_header;

use std::path::{Path, PathBuf};

use curvefleet_proto::limits::MAX_NAME_BYTES;
use curvefleet_proto::study::DataFormat;
use curvefleet_proto::study::{DataSource, Missing};

use super::{DataError, Dataset, generated};

/// Reads the data set that a study file's `[[data]]` describes. File names are taken relative to `base`.
///
/// # Errors
/// A [`DataError`] that names the file, the line where there is one, and what was expected, for anything that is not
/// as its format says; also for keys that do not go together, such as files for the format `generated`.
pub fn import(source: &DataSource, base: &Path) -> Result<Dataset, DataError> {
    check_keys(source)?;
    let job = Job::new(source, base)?;
    let mut dataset = match source.format {
        DataFormat::Generated => generated::generate(&source.generate.unwrap_or_default()),
        DataFormat::Ts => ts::read(&job),
        DataFormat::Numpy => numpy::read(&job),
        DataFormat::SentenceLabel | DataFormat::Trec | DataFormat::Csv | DataFormat::JsonLines => text::read(&job),
    }?;
    rename_classes(&mut dataset, source)?;
    Ok(dataset)
}

/// Gives classes the names that the study file has for them.
fn rename_classes(dataset: &mut Dataset, source: &DataSource) -> Result<(), DataError> {
    let refuse = |problem: String| DataError::Settings { format: format_name(source.format), problem };
    if let Some(unknown) = source.class_names.keys().find(|name| !dataset.classes.contains(name)) {
        let known = dataset.classes.join(", ");
        return Err(refuse(format!("was given a name for the class \"{unknown}\" in `class_names`, but has {known}")));
    }
    for class in &mut dataset.classes {
        if let Some(name) = source.class_names.get(class) {
            if name.len() > MAX_NAME_BYTES {
                return Err(refuse(format!(
                    "was given a class name of more than {MAX_NAME_BYTES} bytes in `class_names`"
                )));
            }
            dataset.provenance.options.insert(format!("class_names.{class}"), name.clone());
            class.clone_from(name);
        }
    }
    dataset.check().map_err(refuse)
}

/// One import: the settings with all paths resolved.
struct Job<'a> {
    source: &'a DataSource,
    files: Vec<PathBuf>,
    labels: Option<PathBuf>,
    glove: Option<PathBuf>,
}

impl<'a> Job<'a> {
    fn new(source: &'a DataSource, base: &Path) -> Result<Self, DataError> {
        let glove = source.glove.as_ref().map(|file| glove_file(source, base, file)).transpose()?;
        Ok(Self {
            source,
            files: source.files.iter().map(|file| base.join(file)).collect(),
            labels: source.labels.as_ref().map(|file| base.join(file)),
            glove,
        })
    }
}

/// The GloVe file, whose name may have one `*` for any characters: downloads of it differ in name, not in form.
fn glove_file(source: &DataSource, base: &Path, name: &str) -> Result<PathBuf, DataError> {
    let path = base.join(name);
    let pattern = path.file_name().and_then(|file| file.to_str()).and_then(|file| file.split_once('*'));
    let Some((before, after)) = pattern else { return Ok(path) };
    let refuse = |problem: String| DataError::Settings { format: format_name(source.format), problem };
    let folder = path.parent().unwrap_or(base);
    let entries = std::fs::read_dir(folder).map_err(|source| DataError::Read { path: path.clone(), source })?;
    let mut found: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|file| file.len() >= before.len() + after.len() && file.starts_with(before) && file.ends_with(after))
        .collect();
    found.sort();
    match found.as_slice() {
        [only] => Ok(folder.join(only)),
        [] => Err(refuse(format!("needs a GloVe file {name}, and none is in {}", folder.display()))),
        several => {
            Err(refuse(format!("needs one GloVe file {name}, but {} has {}", folder.display(), several.join(", "))))
        }
    }
}

/// The format's name as study files spell it.
fn format_name(format: DataFormat) -> &'static str {
    match format {
        DataFormat::Ts => "ts",
        DataFormat::Numpy => "numpy",
        DataFormat::SentenceLabel => "sentence-label",
        DataFormat::Trec => "trec",
        DataFormat::Csv => "csv",
        DataFormat::JsonLines => "json-lines",
        DataFormat::Generated => "generated",
    }
}

/// The treatment's name as study files spell it.
fn missing_name(missing: Missing) -> &'static str {
    match missing {
        Missing::Interpolate => "interpolate",
        Missing::Zero => "zero",
        Missing::Refuse => "refuse",
    }
}

/// Refuses keys that the format has no use for, and asks for those that it needs.
fn check_keys(source: &DataSource) -> Result<(), DataError> {
    use DataFormat::{Csv, Generated, JsonLines, Numpy, SentenceLabel, Trec};
    let format = format_name(source.format);
    let refuse = |problem: String| Err(DataError::Settings { format, problem });
    let is_text = matches!(source.format, SentenceLabel | Trec | Csv | JsonLines);
    let has_columns = matches!(source.format, Csv | JsonLines);
    if source.format == Generated && !source.files.is_empty() {
        return refuse("takes no `files`; its settings stand under `generate`".to_string());
    }
    if source.format != Generated && source.files.is_empty() {
        return refuse("needs `files`, a list of at least one file name".to_string());
    }
    if is_text && source.glove.is_none() {
        return refuse(
            "holds sentences, so it needs `glove`, the name of a GloVe text file with a vector for each word"
                .to_string(),
        );
    }
    let unused = [
        ("generate", source.generate.is_some() && source.format != Generated),
        ("glove", source.glove.is_some() && !is_text),
        ("labels", source.labels.is_some() && source.format != Numpy),
        ("text_column", source.text_column.is_some() && !has_columns),
        ("label_column", source.label_column.is_some() && !has_columns),
        ("class_order", !source.class_order.is_empty() && source.format == Generated),
    ];
    if let Some((key, _)) = unused.iter().find(|(_, given)| *given) {
        return refuse(format!("has no use for `{key}`; remove it"));
    }
    let twice = source.class_order.iter().enumerate().find(|(at, class)| source.class_order[..*at].contains(class));
    if let Some((_, class)) = twice {
        return refuse(format!("was given a `class_order` with \"{class}\" in it twice"));
    }
    Ok(())
}
