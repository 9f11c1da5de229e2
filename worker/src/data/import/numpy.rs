//! NumPy arrays of sequences: `.npy` or `.npz`, shape `[sequence, time, feature]` or `[sequence, time]`, with the labels in the archive
//! or in a file of their own. NaN stands for a missing value.

use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::Arc;

use super::collect::{Collector, Item, Place};
use super::lines::{Lines, open};
use super::npy::{self, Array};
use super::{Job, format_name};
use crate::data::error::{counted, file_name};
use crate::data::{DataError, Dataset, SourceFile};

/// The names under which an archive may hold its sequences, labels and lengths; letter case does not matter.
const SEQUENCE_NAMES: [&str; 2] = ["x", "data"];
const LABEL_NAMES: [&str; 2] = ["y", "labels"];
const LENGTH_NAME: &str = "lengths";

/// The content of one file.
struct Arrays {
    path: Arc<Path>,
    x: Array<f32>,
    labels: Option<Vec<String>>,
    lengths: Option<Vec<usize>>,
    source: SourceFile,
}

/// Reads the files of a job as one data set; their sequences follow one another, and so do the labels.
pub(super) fn read(job: &Job) -> Result<Dataset, DataError> {
    let files = job.files.iter().map(|path| read_file(path)).collect::<Result<Vec<_>, _>>()?;
    let (labels, label_source) = labels(job, &files)?;
    let mut collector = Collector::new(job.source);
    let features = features(&files[0].x);
    let mut labels = labels.into_iter();
    for file in files {
        if self::features(&file.x) != features {
            let problem = format!(
                "{} per time step, but the first file has {features}",
                counted(self::features(&file.x) as u64, "feature")
            );
            return Err(DataError::file(&file.path, problem));
        }
        let sequences = file.x.shape[0];
        for (item, class) in labels.by_ref().take(sequences).enumerate() {
            collector.add(sequence(&file, item, class)?, features)?;
        }
        collector.add_source(file.source);
    }
    if let Some(source) = label_source {
        collector.add_source(source);
    }
    let names = (1..=features).map(|feature| format!("dim_{feature}")).collect();
    let name = job.files.first().map(|path| file_name(&path.with_extension(""))).unwrap_or_default();
    collector.finish(name, names, None)
}

fn features(x: &Array<f32>) -> usize {
    x.shape.get(2).copied().unwrap_or(1)
}

fn sequence(file: &Arrays, item: usize, class: String) -> Result<Item, DataError> {
    let place = Place::Within(file.path.clone(), format!("sequence {item}"));
    let (time, features) = (file.x.shape[1], features(&file.x));
    let steps = file.lengths.as_ref().map_or(time, |lengths| lengths[item]);
    if steps == 0 || steps > time {
        return Err(place.error(format!("its length is {steps}; expected 1 to {time}, the time steps of the array")));
    }
    let start = item * time * features;
    let values = file.x.values[start..start + steps * features].to_vec();
    let steps = u32::try_from(steps).map_err(|_| place.error("it has more than 2^32 time steps"))?;
    Ok(Item { place, class, steps, values, text: None })
}

/// All labels in the order of the sequences: from the label file where there is one, else from the archives.
fn labels(job: &Job, files: &[Arrays]) -> Result<(Vec<String>, Option<SourceFile>), DataError> {
    let sequences: usize = files.iter().map(|file| file.x.shape[0]).sum();
    if let Some(path) = &job.labels {
        let (labels, source) = read_labels(path)?;
        if labels.len() != sequences {
            let problem = format!(
                "{} for {}; expected one each",
                counted(labels.len() as u64, "label"),
                counted(sequences as u64, "sequence")
            );
            return Err(DataError::file(path, problem));
        }
        return Ok((labels, Some(source)));
    }
    let mut all = Vec::with_capacity(sequences);
    for file in files {
        let Some(labels) = &file.labels else {
            let format = format_name(job.source.format);
            let problem = format!(
                "needs labels, but {} has none; name a label file with `labels`, or save the labels into an .npz as `y`",
                file.source.name
            );
            return Err(DataError::Settings { format, problem });
        };
        if labels.len() != file.x.shape[0] {
            let problem = format!(
                "{} for {}; expected one each",
                counted(labels.len() as u64, "label"),
                counted(file.x.shape[0] as u64, "sequence")
            );
            return Err(DataError::file(&file.path, problem));
        }
        all.extend(labels.iter().cloned());
    }
    Ok((all, None))
}

/// Reads a label file: a NumPy array, or text with one label a line.
fn read_labels(path: &Path) -> Result<(Vec<String>, SourceFile), DataError> {
    if has_extension(path, "npy") {
        let (bytes, source) = read_bytes(path)?;
        return Ok((npy::read_labels(&bytes).map_err(|problem| DataError::file(path, problem))?, source));
    }
    let mut lines = Lines::open(path)?;
    let mut labels = Vec::new();
    let mut blank = None;
    while let Some(line) = lines.next_line()? {
        match line.trim() {
            "" => blank = blank.or(Some(lines.number())),
            _ if blank.is_some() => {
                let line = blank.unwrap_or(0);
                return Err(DataError::line(path, line, "the line is empty; expected one label per line"));
            }
            label => labels.push(label.to_string()),
        }
    }
    Ok((labels, lines.into_source(0)))
}

fn read_file(path: &Path) -> Result<Arrays, DataError> {
    let (bytes, source) = read_bytes(path)?;
    let wrong = |problem: String| DataError::file(path, problem);
    let (x, labels, lengths) = if has_extension(path, "npz") {
        read_archive(bytes).map_err(wrong)?
    } else if has_extension(path, "npy") {
        (npy::read_numbers(&bytes).map_err(wrong)?, None, None)
    } else {
        return Err(wrong("expected a NumPy file whose name ends in .npy or .npz".to_string()));
    };
    if !matches!(x.shape.len(), 2 | 3) || x.shape.contains(&0) {
        let problem = format!(
            "the sequences have the shape {:?}; expected [sequences, time steps, features] or [sequences, time steps], none of them 0",
            x.shape
        );
        return Err(wrong(problem));
    }
    if let Some(lengths) = lengths.as_ref().filter(|lengths: &&Vec<usize>| lengths.len() != x.shape[0]) {
        return Err(wrong(format!("`lengths` has {} numbers for {} sequences", lengths.len(), x.shape[0])));
    }
    let source = SourceFile { sequences: x.shape[0] as u64, ..source };
    Ok(Arrays { path: path.into(), x, labels, lengths, source })
}

type Content = (Array<f32>, Option<Vec<String>>, Option<Vec<usize>>);

/// Takes an `.npz` apart; the error is a sentence that could follow the file's name.
fn read_archive(bytes: Vec<u8>) -> Result<Content, String> {
    let mut archive =
        zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| format!("expected an .npz archive ({error})"))?;
    let names: Vec<String> =
        archive.file_names().filter_map(npyz::npz::array_name_from_file_name).map(str::to_string).collect();
    let x = find(&names, &SEQUENCE_NAMES)?.ok_or_else(|| {
        format!(
            "the archive has no array x, X or data; it has {}",
            if names.is_empty() { "no arrays".to_string() } else { names.join(", ") }
        )
    })?;
    let sequences = entry(&mut archive, &x)
        .and_then(|bytes| npy::read_numbers(&bytes).map_err(|problem| format!("array {x}: {problem}")))?;
    let labels = match find(&names, &LABEL_NAMES)? {
        Some(y) => Some(
            entry(&mut archive, &y)
                .and_then(|bytes| npy::read_labels(&bytes).map_err(|problem| format!("array {y}: {problem}")))?,
        ),
        None => None,
    };
    let lengths = match find(&names, &[LENGTH_NAME])? {
        Some(name) => {
            Some(lengths(&entry(&mut archive, &name)?).map_err(|problem| format!("array {name}: {problem}"))?)
        }
        None => None,
    };
    Ok((sequences, labels, lengths))
}

fn lengths(bytes: &[u8]) -> Result<Vec<usize>, String> {
    let texts = npy::read_labels(bytes)?;
    texts
        .iter()
        .map(|text| text.parse().map_err(|_| format!("{text} is not a length; expected whole numbers above 0")))
        .collect()
}

/// The one name among `names` that is one of `wanted`.
fn find(names: &[String], wanted: &[&str]) -> Result<Option<String>, String> {
    let found: Vec<&String> = names.iter().filter(|name| wanted.contains(&name.to_lowercase().as_str())).collect();
    match found.as_slice() {
        [] => Ok(None),
        [name] => Ok(Some((*name).clone())),
        [first, second, ..] => Err(format!("the archive has both {first} and {second}; expected one of them")),
    }
}

fn entry(archive: &mut zip::ZipArchive<Cursor<Vec<u8>>>, name: &str) -> Result<Vec<u8>, String> {
    let damaged = |error: String| format!("array {name}: the archive is damaged ({error})");
    let file =
        archive.by_name(&npyz::npz::file_name_from_array_name(name)).map_err(|error| damaged(error.to_string()))?;
    let size = file.size();
    let mut bytes = Vec::new();
    // One byte more than announced is enough to find out that the announcement was wrong.
    file.take(size.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| damaged(error.to_string()))?;
    if bytes.len() as u64 != size {
        return Err(damaged(format!("{size} bytes were announced, {} came", bytes.len())));
    }
    Ok(bytes)
}

fn read_bytes(path: &Path) -> Result<(Vec<u8>, SourceFile), DataError> {
    let mut reader = open(path)?;
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map_err(|source| DataError::Read { path: path.to_path_buf(), source })?;
    Ok((bytes, reader.into_source(path, 0)))
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted))
}
