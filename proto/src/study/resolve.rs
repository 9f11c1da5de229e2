//! From what was typed to a [`Study`] with every default written out, with every check that needs no disk.

use std::collections::{BTreeMap, HashSet};

use super::data::{DataFormat, DataSummary};
use super::error::{Error, Step};
use super::file::{ClassesEntry, ClassesKeyword, ConditionsEntry, Parsed, Seeds};
use super::preset;
use super::settings::{Classes, ConditionSet, Data, Labels, Study};
use crate::limits::{MAX_NAME_BYTES, MAX_RUNS_PER_SHARD};

/// Seeds are written in TOML and Parquet files that other tools read as signed 64-bit integers.
pub(super) const SEED_MAX: u64 = i64::MAX as u64;
/// Longest sequences a network is trained on, in time steps: the limit that keeps a typing error from filling the memory.
const PAD_TO_MAX: u32 = 100_000;
/// Fewest sequences of a class: one each to train, validate and test on.
const SEQUENCES_MIN: u64 = 3;

impl Parsed {
    /// Checks what can be checked before the data sets are at hand: names, counts, settings.
    ///
    /// # Errors
    /// On the first wrong key: its line, the key and what is allowed.
    pub fn check(&self) -> Result<(), Error> {
        let file = &self.file;
        self.check_name(&[Step::Key("name")], "name", &file.name)?;
        if file.data.is_empty() {
            return Err(Error::new(
                None,
                "the study has no data set; add a `[[data]]` part with `name`, `format` and `files`",
            ));
        }
        let mut names = HashSet::new();
        for (index, data) in file.data.iter().enumerate() {
            let path = [Step::Key("data"), Step::Index(index), Step::Key("name")];
            self.check_name(&path, "the data set's name", &data.name)?;
            if !names.insert(&data.name) {
                return Err(
                    self.error(&path, format!("two data sets are called `{}`; give each a name of its own", data.name))
                );
            }
            self.check_source(index)?;
        }
        self.training()?;
        self.probe()?;
        self.check_analysis()?;
        self.seeds()?;
        self.pack_size()?;
        self.requires()?;
        self.models().map(drop)
    }

    /// The resolved study; `summaries` says what is in each data set, by its name in the study.
    ///
    /// # Errors
    /// On the first wrong key: its line, the key and what is allowed.
    pub fn resolve(&self, summaries: &BTreeMap<String, DataSummary>) -> Result<Study, Error> {
        self.check()?;
        let mut data = Vec::new();
        for (index, entry) in self.file.data.iter().enumerate() {
            let path = [Step::Key("data"), Step::Index(index)];
            let summary = summaries
                .get(&entry.name)
                .ok_or_else(|| self.error(&path, format!("the data set `{}` has not been imported", entry.name)))?;
            data.push(Data { name: entry.name.clone(), source: entry.source(), summary: summary.clone() });
        }
        let models = self.models()?;
        let conditions = self.conditions(&data)?;
        self.check_heads(&models, &conditions)?;
        let study = Study {
            name: self.file.name.clone(),
            description: self.file.description.clone(),
            preset: self.file.preset,
            seeds: self.seeds()?,
            shard_size: self.shard_size()?,
            pack_size: self.pack_size()?,
            requires: self.requires()?,
            analysis: self.analysis(&conditions)?,
            conditions,
            data,
            models,
            training: self.training()?,
            probe: self.probe()?,
        };
        Ok(study)
    }

    /// The study of a stored `study.toml`, which says itself what is in its data sets.
    ///
    /// # Errors
    /// If a data set's summary is missing, and wherever [`Parsed::resolve`] errs.
    pub fn resolve_stored(&self) -> Result<Study, Error> {
        let mut summaries = BTreeMap::new();
        for (index, entry) in self.file.data.iter().enumerate() {
            let summary = entry.stored_summary().ok_or_else(|| {
                let path = [Step::Key("data"), Step::Index(index)];
                let keys = "`sha256`, `steps_min`, `steps_max`, `feature_names` and `classes`";
                self.error(&path, format!("the data set `{}` lacks {keys}; submit the study with `curvefleet submit`, which fills them in", entry.name))
            })?;
            summaries.insert(entry.name.clone(), summary);
        }
        self.resolve(&summaries)
    }

    pub(super) fn error(&self, path: &[Step<'_>], message: impl Into<String>) -> Error {
        Error::at(&self.text, path, message)
    }

    /// Names become keys in the store and words in listings.
    pub(super) fn check_name(&self, path: &[Step<'_>], what: &str, name: &str) -> Result<(), Error> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if starts_well && name.chars().all(allowed) && name.len() <= MAX_NAME_BYTES {
            return Ok(());
        }
        let rule = format!(
            "letters, digits, `-`, `_` and `.`, begins with a letter or digit and has at most {MAX_NAME_BYTES} characters"
        );
        Err(self.error(path, format!("{what} is `{name}`; a name consists of {rule}")))
    }

    fn check_source(&self, index: usize) -> Result<(), Error> {
        let data = &self.file.data[index];
        let at = |key: &'static str, message: String| {
            Err(self.error(&[Step::Key("data"), Step::Index(index), Step::Key(key)], message))
        };
        let sentences = matches!(
            data.format,
            DataFormat::SentenceLabel | DataFormat::Trec | DataFormat::Csv | DataFormat::JsonLines
        );
        if data.format == DataFormat::Generated {
            if !data.files.is_empty() {
                return at("files", format!("the data set `{}` is generated and takes no `files`", data.name));
            }
            let generate = data.generate.unwrap_or_default();
            if generate.items_per_class == 0 || generate.steps == 0 || !(0.0..=100.0).contains(&generate.noise) {
                return at(
                    "generate",
                    "`items_per_class` and `steps` must be at least 1 and `noise` between 0 and 100".to_string(),
                );
            }
            return Ok(());
        }
        if data.generate.is_some() {
            return at("generate", "`generate` goes with `format = \"generated\"` alone".to_string());
        }
        if data.sha256.is_some() {
            return Ok(());
        }
        if data.files.is_empty() {
            return at(
                "format",
                format!("the data set `{}` names no `files`, and no `sha256` of an imported one", data.name),
            );
        }
        if sentences && data.glove.is_none() {
            return at(
                "format",
                format!(
                    "the data set `{}` holds sentences and needs `glove`, a GloVe text file such as glove.6B.50d.txt",
                    data.name
                ),
            );
        }
        Ok(())
    }

    fn seeds(&self) -> Result<Vec<u64>, Error> {
        let path = [Step::Key("seeds")];
        let seeds = match &self.file.seeds {
            None => (0..u64::from(preset::SEEDS)).collect(),
            Some(Seeds::Count(count)) => (0..u64::from(*count)).collect(),
            Some(Seeds::List(list)) => list.clone(),
        };
        if seeds.is_empty() {
            return Err(self.error(&path, "`seeds` is empty; give a count of at least 1 or a list"));
        }
        if let Some(seed) = seeds.iter().find(|seed| **seed > SEED_MAX) {
            return Err(self.error(&path, format!("the seed {seed} is above {SEED_MAX}")));
        }
        let mut seen = HashSet::new();
        match seeds.iter().find(|seed| !seen.insert(**seed)) {
            Some(seed) => Err(self.error(&path, format!("the seed {seed} is named twice"))),
            None => Ok(seeds),
        }
    }

    /// All runs of a shard unless given.
    fn pack_size(&self) -> Result<u32, Error> {
        let shard_size = self.shard_size()?;
        let size = self.file.pack_size.unwrap_or(shard_size);
        if (1..=shard_size).contains(&size) {
            return Ok(size);
        }
        Err(self.error(
            &[Step::Key("pack_size")],
            format!("`pack_size` is {size}; it must lie between 1 and `shard_size`, which is {shard_size}"),
        ))
    }

    fn shard_size(&self) -> Result<u32, Error> {
        let size = self.file.shard_size.unwrap_or(preset::SHARD_SIZE);
        if (1..=MAX_RUNS_PER_SHARD).contains(&size) {
            return Ok(size);
        }
        Err(self.error(
            &[Step::Key("shard_size")],
            format!("`shard_size` is {size}; it must lie between 1 and {MAX_RUNS_PER_SHARD}"),
        ))
    }

    fn conditions(&self, data: &[Data]) -> Result<Vec<ConditionSet>, Error> {
        let mut sets = Vec::new();
        if self.file.conditions.is_empty() {
            for data in data {
                let entry = ConditionsEntry { data: Some(data.name.clone()), ..ConditionsEntry::default() };
                sets.push(self.condition_set(0, &entry, data)?);
            }
        }
        for (index, entry) in self.file.conditions.iter().enumerate() {
            let path = [Step::Key("conditions"), Step::Index(index), Step::Key("data")];
            let known = || data.iter().map(|data| format!("`{}`", data.name)).collect::<Vec<_>>().join(", ");
            let found = match (&entry.data, data) {
                (Some(name), _) => data.iter().find(|data| data.name == *name),
                (None, [only]) => Some(only),
                (None, _) => {
                    return Err(self.error(
                        &path,
                        format!("name the data set of these conditions with `data`, one of {}", known()),
                    ));
                }
            };
            let found = found.ok_or_else(|| {
                self.error(
                    &path,
                    format!("there is no data set `{}`; there is {}", entry.data.as_deref().unwrap_or(""), known()),
                )
            })?;
            sets.push(self.condition_set(index, entry, found)?);
        }
        self.check_condition_names(&sets)?;
        Ok(sets)
    }

    fn condition_set(&self, index: usize, entry: &ConditionsEntry, data: &Data) -> Result<ConditionSet, Error> {
        let at = |key: &'static str, message: String| {
            self.error(&[Step::Key("conditions"), Step::Index(index), Step::Key(key)], message)
        };
        if !entry.name.is_empty() {
            self.check_name(
                &[Step::Key("conditions"), Step::Index(index), Step::Key("name")],
                "the conditions' name",
                &entry.name,
            )?;
        }
        let summary = &data.summary;
        let labels = entry.labels.clone().unwrap_or_else(|| vec![Labels::True, Labels::Shuffled]);
        if labels.is_empty() || (labels.len() == 2 && labels[0] == labels[1]) || labels.len() > 2 {
            return Err(at(
                "labels",
                "`labels` must be [\"true\"], [\"shuffled\"] or [\"true\", \"shuffled\"]".to_string(),
            ));
        }
        let pad_to = entry.pad_to.unwrap_or(summary.steps_max);
        if !(1..=PAD_TO_MAX).contains(&pad_to) {
            return Err(at(
                "pad_to",
                format!("`pad_to` is {pad_to}; it must lie between 1 and {PAD_TO_MAX} time steps"),
            ));
        }
        Ok(ConditionSet {
            name: entry.name.clone(),
            data: data.name.clone(),
            classes: class_sets(&entry.classes, data).map_err(|message| at("classes", message))?,
            labels,
            features: features(entry.features.as_deref(), summary).map_err(|message| at("features", message))?,
            pad_to,
        })
    }

    /// Two conditions of one data set under one name could not be told apart in tables and figures.
    fn check_condition_names(&self, sets: &[ConditionSet]) -> Result<(), Error> {
        let mut seen = HashSet::new();
        for (index, set) in sets.iter().enumerate() {
            for classes in &set.classes {
                let name = set.condition_name(classes);
                for labels in &set.labels {
                    if !seen.insert((set.data.clone(), name.clone(), *labels)) {
                        let message = format!(
                            "the condition `{name}` with {} labels is there twice; give one `[[conditions]]` a `name` of its own",
                            labels.as_str()
                        );
                        return Err(self.error(&[Step::Key("conditions"), Step::Index(index)], message));
                    }
                }
            }
        }
        Ok(())
    }
}

impl super::file::DataEntry {
    /// The summary that curvefleet wrote into a stored study file; `None` in one that a person typed.
    pub fn stored_summary(&self) -> Option<DataSummary> {
        Some(DataSummary {
            sha256: self.sha256.clone()?,
            steps_min: self.steps_min?,
            steps_max: self.steps_max?,
            feature_names: self.feature_names.clone()?,
            classes: self.classes.clone()?,
        })
    }
}

fn class_sets(entry: &ClassesEntry, data: &Data) -> Result<Vec<Classes>, String> {
    let sets = named_sets(entry, data)?;
    let too_small =
        sets.iter().flatten().find(|class| data.summary.count_of(class).is_some_and(|count| count < SEQUENCES_MIN));
    match too_small {
        Some(class) => Err(format!(
            "the class `{class}` of the data set `{}` has {} sequence(s); at least {SEQUENCES_MIN} are needed, to train, validate and test on",
            data.name,
            data.summary.count_of(class).unwrap_or(0)
        )),
        None => Ok(sets),
    }
}

fn named_sets(entry: &ClassesEntry, data: &Data) -> Result<Vec<Classes>, String> {
    let names: Vec<&String> = data.summary.classes.iter().map(|class| &class.name).collect();
    if names.len() < 2 {
        return Err(format!("the data set `{}` has {} class(es); at least two are needed", data.name, names.len()));
    }
    let listed = match entry {
        ClassesEntry::Keyword(ClassesKeyword::All) => return Ok(vec![names.into_iter().cloned().collect()]),
        ClassesEntry::Keyword(ClassesKeyword::Pairs) => {
            let pairs = names
                .iter()
                .enumerate()
                .flat_map(|(i, a)| names[i + 1..].iter().map(move |b| vec![(*a).clone(), (*b).clone()]));
            return Ok(pairs.collect());
        }
        ClassesEntry::Listed(listed) => listed,
    };
    if listed.is_empty() {
        return Err("`classes` is an empty list; name at least one set of classes".to_string());
    }
    let known = || names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    for classes in listed {
        if classes.len() < 2 {
            return Err(format!("the set {classes:?} has fewer than two classes"));
        }
        for (i, class) in classes.iter().enumerate() {
            if data.summary.count_of(class).is_none() {
                return Err(format!("the data set `{}` has no class `{class}`; it has {}", data.name, known()));
            }
            if classes[..i].contains(class) {
                return Err(format!("the set {classes:?} names `{class}` twice"));
            }
        }
    }
    Ok(listed.clone())
}

fn features(chosen: Option<&[String]>, summary: &DataSummary) -> Result<Vec<String>, String> {
    // What a stored study says of its data may have been altered.
    let mut known = HashSet::new();
    if let Some(name) = summary.feature_names.iter().find(|name| !known.insert(*name)) {
        return Err(format!("the data set has two features of the name `{name}`"));
    }
    let Some(chosen) = chosen else { return Ok(summary.feature_names.clone()) };
    if chosen.is_empty() {
        return Err("`features` is an empty list; name at least one feature, or leave the key out for all".to_string());
    }
    let mut seen = HashSet::new();
    for name in chosen {
        if !summary.feature_names.contains(name) {
            return Err(format!("there is no feature `{name}`; the data set has {}", summary.feature_names.join(", ")));
        }
        if !seen.insert(name) {
            return Err(format!("the feature `{name}` is named twice"));
        }
    }
    Ok(summary.feature_names.iter().filter(|name| seen.contains(name)).cloned().collect())
}
