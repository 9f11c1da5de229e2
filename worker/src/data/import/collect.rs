//! The last step of every import: class names become labels, and sequences become a data set.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use curvefleet_proto::limits::MAX_NAME_BYTES;
use curvefleet_proto::study::{DataSource, Missing};

use super::{format_name, missing, missing_name};
use crate::data::error::{counted, quoted};
use crate::data::{DataError, Dataset, Provenance, Sequence, SourceFile};

/// What an importer has read so far. Labels count classes in order of appearance until [`Collector::finish`] puts them in order.
pub(super) struct Collector<'a> {
    source: &'a DataSource,
    classes: Vec<SeenClass>,
    by_name: HashMap<String, u32>,
    sequences: Vec<Sequence>,
    sources: Vec<SourceFile>,
    missing_values: u64,
    pub(super) options: BTreeMap<String, String>,
    pub(super) notes: Vec<String>,
}

struct SeenClass {
    name: String,
    first: Place,
}

/// Where a sequence stands, for messages.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// On a line, from 1, of a file.
    Line(std::sync::Arc<Path>, u64),
    /// Somewhere in a file without lines; the text says where.
    Within(std::sync::Arc<Path>, String),
}

impl Place {
    /// An error about this place; `problem` is a sentence that could follow "line 7: ".
    pub(super) fn error(&self, problem: impl Into<String>) -> DataError {
        match self {
            Self::Line(path, line) => DataError::line(path, *line, problem),
            Self::Within(path, place) => DataError::file(path, format!("{place}: {}", problem.into())),
        }
    }
}

/// One sequence as its file has it.
pub(super) struct Item {
    pub(super) place: Place,
    pub(super) class: String,
    pub(super) steps: u32,
    /// `[time, feature]`; NaN where a value is missing.
    pub(super) values: Vec<f32>,
    pub(super) text: Option<String>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(source: &'a DataSource) -> Self {
        Self {
            source,
            classes: Vec::new(),
            by_name: HashMap::new(),
            sequences: Vec::new(),
            sources: Vec::new(),
            missing_values: 0,
            options: BTreeMap::new(),
            notes: Vec::new(),
        }
    }

    /// Takes one sequence of `features` features; missing values are treated as the study file says.
    pub(super) fn add(&mut self, mut item: Item, features: usize) -> Result<(), DataError> {
        let label = self.label(&item)?;
        let missing = missing::fill(&mut item.values, features, self.source.missing);
        if missing > 0 && self.source.missing == Missing::Refuse {
            let problem = format!(
                "found {}; set missing = \"interpolate\" or missing = \"zero\" for this data set to have gaps filled",
                counted(missing, "missing value")
            );
            return Err(item.place.error(problem));
        }
        self.missing_values += missing;
        self.sequences.push(Sequence { label, steps: item.steps, values: item.values, text: item.text });
        Ok(())
    }

    /// Takes note of a file that has been read to its end.
    pub(super) fn add_source(&mut self, source: SourceFile) {
        self.sources.push(source);
    }

    /// How many sequences there are so far.
    pub(super) fn len(&self) -> u64 {
        self.sequences.len() as u64
    }

    fn label(&mut self, item: &Item) -> Result<u32, DataError> {
        if let Some(&label) = self.by_name.get(&item.class) {
            return Ok(label);
        }
        if item.class.is_empty() {
            return Err(item.place.error("the class label is empty; expected a name"));
        }
        if item.class.len() > MAX_NAME_BYTES {
            let problem = format!("the class label {} is longer than {MAX_NAME_BYTES} bytes", quoted(&item.class));
            return Err(item.place.error(problem));
        }
        let label = self.classes.len() as u32;
        self.by_name.insert(item.class.clone(), label);
        self.classes.push(SeenClass { name: item.class.clone(), first: item.place.clone() });
        Ok(label)
    }

    /// The data set, with its classes in the study file's order, else in `declared` order, else sorted (as numbers where all of them
    /// are numbers).
    pub(super) fn finish(
        mut self,
        name: String,
        features: Vec<String>,
        declared: Option<Vec<String>>,
    ) -> Result<Dataset, DataError> {
        let format = format_name(self.source.format);
        let refuse = |problem: String| Err(DataError::Settings { format, problem });
        if self.sequences.is_empty() {
            return refuse(format!("found no sequences in {}", self.source.files.join(", ")));
        }
        let order = self.class_order(declared)?;
        if order.len() < 2 {
            return refuse(format!(
                "found only the class {}; at least two are needed to tell apart",
                quoted(&order[0])
            ));
        }
        let new_label: HashMap<&str, u32> =
            (0u32..).zip(&order).map(|(label, class)| (class.as_str(), label)).collect();
        for sequence in &mut self.sequences {
            sequence.label = new_label[self.classes[sequence.label as usize].name.as_str()];
        }
        let dataset = Dataset {
            name,
            classes: order,
            features,
            sequences: self.sequences,
            provenance: Provenance {
                format: format.to_string(),
                options: self.options,
                sources: self.sources,
                missing_values: self.missing_values,
                missing_treatment: missing_name(self.source.missing).to_string(),
                notes: self.notes,
            },
        };
        dataset.check().map_err(|problem| DataError::Settings { format, problem })?;
        Ok(dataset)
    }

    /// The names of all classes that have sequences, each once, in their final order.
    fn class_order(&mut self, declared: Option<Vec<String>>) -> Result<Vec<String>, DataError> {
        let wanted = &self.source.class_order;
        if !wanted.is_empty() {
            if let Some(class) = wanted.iter().find(|class| !self.by_name.contains_key(*class)) {
                return Err(DataError::Settings {
                    format: format_name(self.source.format),
                    problem: format!("was given the class {} in `class_order`, but no sequence has it", quoted(class)),
                });
            }
            if let Some(class) = self.classes.iter().find(|class| !wanted.contains(&class.name)) {
                let problem =
                    format!("the class {} is not in `class_order` ({})", quoted(&class.name), wanted.join(", "));
                return Err(class.first.error(problem));
            }
            self.options.insert("class_order".to_string(), wanted.join(", "));
            return Ok(wanted.clone());
        }
        if let Some(declared) = declared {
            let (used, unused): (Vec<_>, Vec<_>) =
                declared.into_iter().partition(|class| self.by_name.contains_key(class));
            let notes = unused
                .iter()
                .map(|class| format!("class {} is declared but has no sequences, and was left out", quoted(class)));
            self.notes.extend(notes);
            return Ok(used);
        }
        let mut names: Vec<String> = self.classes.iter().map(|class| class.name.clone()).collect();
        names.sort();
        let as_number = |name: &String| name.parse::<f64>().ok().filter(|number| number.is_finite());
        if names.iter().all(|name| as_number(name).is_some()) {
            names.sort_by(|a, b| as_number(a).unwrap_or(0.0).total_cmp(&as_number(b).unwrap_or(0.0)));
        }
        Ok(names)
    }
}
