//! The study that imported files make: what they say is in it, and what they do not say is the `paper` preset's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use curvefleet_proto::artifact::sha256_hex;
use curvefleet_proto::study::{ClassCount, DataSummary, Labels, ModelKind, Study, file};

use super::{ImportOptions, ReadFile};
use crate::error::Error;

/// Files of curves do not say how many sequences a class had. A study file must, and this is the least that it may; reports of imported
/// curves do not show it.
const COUNT: u64 = 3;
/// What kind of network a model is whose name is no kind.
const UNKNOWN_KIND: &str = "lstm";
/// The same for the features.
const FEATURE: &str = "unknown";

/// The classes of a condition as it stands in a path, under their better names.
pub(super) fn classes(options: &ImportOptions, condition: &str) -> Vec<String> {
    let better = |class: &str| {
        let named = options.class_names.iter().find(|(old, _)| old == class);
        named.map_or_else(|| class.to_string(), |(_, new)| new.clone())
    };
    condition.split(options.separator.as_str()).map(better).collect()
}

/// The study of some files, which have `epochs` epochs and between `steps.0` and `steps.1` time steps.
///
/// # Errors
/// If a condition does not name two classes, or the names are none that a study can have.
pub(super) fn study(
    options: &ImportOptions,
    read: &[ReadFile],
    epochs: usize,
    steps: (usize, usize),
) -> Result<Study, Error> {
    if options.separator.is_empty() {
        return Err(Error::Import(
            "--separator is empty; it is what stands between the classes of a condition".to_string(),
        ));
    }
    let mut sets: Vec<Vec<String>> = Vec::new();
    for ReadFile { file, .. } in read {
        let set = classes(options, &file.named.condition);
        if set.len() < 2 || set.iter().any(String::is_empty) {
            return Err(Error::Import(format!(
                "{}: the condition `{}` does not name two classes with `{}` between them; --separator says what stands there",
                file.path.display(),
                file.named.condition,
                options.separator
            )));
        }
        if let Some(class) =
            set.iter().enumerate().find_map(|(index, class)| set[..index].contains(class).then_some(class))
        {
            return Err(Error::Import(format!("{}: the condition names `{class}` twice", file.path.display())));
        }
        if !sets.contains(&set) {
            sets.push(set);
        }
    }
    let mut names: Vec<&String> = Vec::new();
    for class in sets.iter().flatten() {
        if !names.contains(&class) {
            names.push(class);
        }
    }
    let models: BTreeSet<&str> =
        read.iter().map(|read| read.file.named.model.as_deref().unwrap_or(&options.model)).collect();
    let seeds: BTreeSet<u64> = read.iter().map(|read| read.file.named.seed).collect();
    let seeds: Vec<u64> = seeds.into_iter().collect();
    let kinds: BTreeSet<&str> = read.iter().map(|read| read.file.labels.as_str()).collect();
    let labels: Vec<&str> = [Labels::True, Labels::Shuffled]
        .iter()
        .map(|labels| labels.as_str())
        .filter(|kind| kinds.contains(kind))
        .collect();
    let mut text = format!(
        "name = {}\ndescription = {}\npreset = \"paper\"\nseeds = {seeds:?}\n[[data]]\nname = {}\nformat = \"csv\"\nsha256 = \"{}\"\n",
        quoted(&options.study),
        quoted(&options.description),
        quoted(&options.data),
        sha256_of(read)
    );
    // Writing into a string does not fail.
    let _ = write!(text, "[[conditions]]\nclasses = {}\nlabels = {}\n", quoted(&sets), quoted(&labels));
    for (model, number) in models.into_iter().zip(1..) {
        let is_kind = serde_json::from_str::<ModelKind>(&quoted(model)).is_ok();
        let kind = if is_kind { model } else { UNKNOWN_KIND };
        // No two models of a study are the same network.
        let hidden = if is_kind { String::new() } else { format!("hidden = {number}\n") };
        let _ = write!(text, "[[models]]\nkind = \"{kind}\"\nname = {}\n{hidden}", quoted(model));
    }
    let _ = write!(text, "[training]\nepochs = {epochs}\n");
    let summary = DataSummary {
        sha256: sha256_of(read),
        steps_min: steps.0 as u32,
        steps_max: steps.1 as u32,
        feature_names: vec![FEATURE.to_string()],
        classes: names.into_iter().map(|name| ClassCount { name: name.clone(), count: COUNT }).collect(),
    };
    let summaries = BTreeMap::from([(options.data.clone(), summary)]);
    let study = file::parse(&text).and_then(|parsed| parsed.resolve(&summaries));
    study.map_err(|error| Error::Import(format!("the files make no study: {error}")))
}

/// Text, or lists of it, as TOML; JSON's strings are such.
fn quoted<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// SHA-256 of the files' own, in their order: what stands for the data set, so that other curves are other runs.
fn sha256_of(read: &[ReadFile]) -> String {
    let all: Vec<String> = read.iter().map(|read| read.sha256.clone()).collect();
    sha256_hex(all.join("\n").as_bytes())
}
