//! The text formats whose fields have names: CSV with a header, and JSON lines.

use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use curvefleet_proto::study::DataSource;
use serde_json::Value;

use super::collect::Place;
use super::lines::{decoded, open};
use super::text::Sentence;
use crate::data::error::quoted;
use crate::data::{DataError, SourceFile};

/// The columns (or keys) that hold sentence and label where the study file does not say.
const DEFAULT_TEXT_COLUMN: &str = "text";
const DEFAULT_LABEL_COLUMN: &str = "label";

/// Which columns hold what.
pub(super) struct Columns<'a> {
    text: &'a str,
    label: &'a str,
}

impl<'a> Columns<'a> {
    pub(super) fn of(source: &'a DataSource) -> Self {
        Self {
            text: source.text_column.as_deref().unwrap_or(DEFAULT_TEXT_COLUMN),
            label: source.label_column.as_deref().unwrap_or(DEFAULT_LABEL_COLUMN),
        }
    }
}

/// Reads a CSV file with a header line into `sentences`; answers the file and how many of its rows were read as Latin-1.
pub(super) fn read_csv(
    path: &Path,
    columns: &Columns,
    sentences: &mut Vec<Sentence>,
) -> Result<(SourceFile, u64), DataError> {
    let shared: Arc<Path> = path.into();
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(BufReader::new(open(path)?));
    let mut row = csv::ByteRecord::new();
    let mut header: Option<Header> = None;
    let mut latin1 = 0;
    loop {
        let line = reader.position().line();
        if !reader.read_byte_record(&mut row).map_err(|error| unreadable(path, line, error))? {
            break;
        }
        // The reader skips blank lines, so the row itself knows best where it starts.
        let line = row.position().map_or(line, csv::Position::line);
        let place = Place::Line(shared.clone(), line);
        let Some(header) = &header else {
            header = Some(Header::find(&row, columns).map_err(|problem| place.error(problem))?);
            continue;
        };
        if row.len() != header.fields {
            let problem = format!(
                "the row has {} fields, but the header has {}; is a comma not in quotes?",
                row.len(),
                header.fields
            );
            return Err(place.error(problem));
        }
        let (text, is_text_latin1) = decoded(&row[header.text]);
        let (label, is_label_latin1) = decoded(&row[header.label]);
        latin1 += u64::from(is_text_latin1 || is_label_latin1);
        sentences.push(Sentence { place, label: label.trim().to_string(), text: text.trim().to_string() });
    }
    let source = reader.into_inner().into_inner().into_source(path, 0);
    Ok((source, latin1))
}

/// Where the columns are.
struct Header {
    fields: usize,
    text: usize,
    label: usize,
}

impl Header {
    fn find(row: &csv::ByteRecord, columns: &Columns) -> Result<Self, String> {
        let names: Vec<String> =
            row.iter().map(|field| decoded(field).0.trim().trim_start_matches('\u{feff}').to_string()).collect();
        let position = |wanted: &str, key: &str| match names.iter().filter(|name| *name == wanted).count() {
            1 => Ok(names.iter().position(|name| name == wanted).unwrap_or(0)),
            0 => Err(format!(
                "the header has no column {}; it has {}; name the right one with `{key}`",
                quoted(wanted),
                names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
            )),
            n => Err(format!("the header has {n} columns {}; expected one", quoted(wanted))),
        };
        Ok(Self {
            fields: names.len(),
            text: position(columns.text, "text_column")?,
            label: position(columns.label, "label_column")?,
        })
    }
}

fn unreadable(path: &Path, line: u64, error: csv::Error) -> DataError {
    match error.into_kind() {
        csv::ErrorKind::Io(source) => DataError::Read { path: path.to_path_buf(), source },
        kind => DataError::line(path, line, format!("not a row of CSV ({kind:?})")),
    }
}

/// One JSON object on a line; the label may be a string, a whole number or a boolean.
pub(super) fn parse_json(line: &str, columns: &Columns) -> Result<(String, String), String> {
    let Value::Object(object) =
        serde_json::from_str(line).map_err(|error| format!("expected one JSON object ({error})"))?
    else {
        return Err(format!("expected one JSON object such as {{\"text\": …, \"label\": …}}, found {}", quoted(line)));
    };
    let get = |wanted: &str, key: &str| {
        object.get(wanted).ok_or_else(|| {
            let keys = object.keys().map(|key| quoted(key)).collect::<Vec<_>>().join(", ");
            format!("the object has no key {}; it has {keys}; name the right one with `{key}`", quoted(wanted))
        })
    };
    let text = match get(columns.text, "text_column")? {
        Value::String(text) => text.trim().to_string(),
        other => return Err(format!("the key {} holds {other}; expected a string", quoted(columns.text))),
    };
    let label = match get(columns.label, "label_column")? {
        Value::String(label) => label.trim().to_string(),
        Value::Number(number) if number.is_i64() || number.is_u64() => number.to_string(),
        Value::Bool(label) => label.to_string(),
        other => {
            return Err(format!(
                "the key {} holds {other}; expected a string or a whole number",
                quoted(columns.label)
            ));
        }
    };
    Ok((label, text))
}
