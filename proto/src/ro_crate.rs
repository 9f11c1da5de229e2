//! `ro-crate-metadata.json`: a study, or a copy of one, described as an RO-Crate 1.2 (<https://w3id.org/ro/crate/1.2>), which Zenodo and
//! other repositories, catalogues and people can read. What must stand in it: specification, "Root Data Entity".

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use serde_json::{Value, json};

use crate::artifact::{PartProvenance, dataset_key};
use crate::study::Study;

/// The file's name, which the specification fixes.
pub const FILE: &str = "ro-crate-metadata.json";
/// The folder of a study's parts, in the study's folder.
const CURVES: &str = "curves/";
/// What is written where nobody said under what terms the curves may be used; the specification wants the property.
const NO_LICENSE: &str = "No licence was stated; ask those who made these curves.";

/// What is described.
#[derive(Debug)]
pub struct Crate<'a> {
    /// The study.
    pub study: &'a Study,
    /// SHA-256 of its file.
    pub study_sha256: &'a str,
    /// Where the description lies.
    pub place: Place,
    /// The files, by name relative to the description: size in bytes and SHA-256.
    pub files: &'a BTreeMap<String, (u64, String)>,
    /// How the runs were trained.
    pub training: &'a Training,
    /// How many runs are done.
    pub runs: u64,
    /// Under what terms the curves may be used: a URL or a sentence.
    pub license: Option<&'a str>,
    /// When it was published, in milliseconds since 1970.
    pub published_ms: u64,
}

/// Where a description lies, which decides how parts are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At the root of a copy: all parts are among its files.
    Copy,
    /// In a study's folder in a store: the parts are a folder, because the manifest names each with its checksum, and some may lie in
    /// other studies' folders.
    Store,
}

/// What trained runs, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Training {
    times_ms: Option<(u64, u64)>,
    /// Names of backends and of devices.
    backends: BTreeSet<String>,
    devices: BTreeSet<String>,
    /// Version and commit.
    programs: BTreeSet<(String, String)>,
}

impl Training {
    /// Takes in what a part says of itself.
    pub fn add_part(&mut self, part: &PartProvenance) {
        self.add_machine(&part.backend, &part.device);
        self.add_program(&part.version, &part.git_commit);
        part.runs.iter().for_each(|run| self.add_times(run.started_ms, run.ended_ms));
    }

    /// Takes in a backend and the device that it ran on.
    pub fn add_machine(&mut self, backend: &str, device: &str) {
        add(&mut self.backends, backend);
        add(&mut self.devices, device);
    }

    /// Takes in a program by version and commit.
    pub fn add_program(&mut self, version: &str, commit: &str) {
        let commit = if commit.is_empty() { "unknown" } else { commit };
        let program = (version.to_string(), commit.to_string());
        self.programs.insert(program);
    }

    /// Takes in when a run was trained, in milliseconds since 1970.
    pub fn add_times(&mut self, started_ms: u64, ended_ms: u64) {
        let (first, last) = self.times_ms.unwrap_or((started_ms, ended_ms));
        self.times_ms = Some((first.min(started_ms), last.max(ended_ms)));
    }

    /// Each program by its id in the description.
    fn programs(&self) -> impl Iterator<Item = (String, &str, &str)> {
        self.programs
            .iter()
            .map(|(version, commit)| (format!("#curvefleet-{version}-{commit}"), version.as_str(), commit.as_str()))
    }
}

/// What an older program did not say is empty.
fn add(names: &mut BTreeSet<String>, name: &str) {
    if !name.is_empty() && !names.contains(name) {
        names.insert(name.to_string());
    }
}

impl Crate<'_> {
    /// The file's text.
    pub fn to_json(&self) -> String {
        let mut graph = vec![self.descriptor(), self.root(), self.action()];
        graph.extend(self.programs());
        graph.extend(self.license.filter(|license| is_url(license)).map(|license| {
            json!({ "@id": license, "@type": "CreativeWork", "name": license, "description": "The licence of these curves." })
        }));
        graph.extend(self.data());
        graph.extend(self.folder());
        graph.extend(self.files.iter().map(|(name, (size_bytes, sha256))| self.file(name, *size_bytes, sha256)));
        format!("{:#}\n", json!({ "@context": "https://w3id.org/ro/crate/1.2/context", "@graph": graph }))
    }

    fn descriptor(&self) -> Value {
        json!({
            "@id": FILE, "@type": "CreativeWork", "about": { "@id": "./" },
            "conformsTo": { "@id": "https://w3id.org/ro/crate/1.2" },
        })
    }

    fn root(&self) -> Value {
        let license = match self.license {
            Some(license) if is_url(license) => json!({ "@id": license }),
            Some(license) => json!(license),
            None => json!(NO_LICENSE),
        };
        let name = &self.study.name;
        let parts = self.folder().map(|_| CURVES.to_string()).into_iter().chain(self.files.keys().map(|name| id(name)));
        let mut root = json!({
            "@id": "./", "@type": "Dataset",
            "name": format!("Learning curves of the study {name}"),
            "description": format!(
                "{} training runs of neural networks, each probed at every time step after every epoch by curvefleet; study file with SHA-256 {}.",
                self.runs, self.study_sha256
            ),
            "license": license,
            "hasPart": parts.map(|id| json!({ "@id": id })).collect::<Vec<_>>(),
            "mentions": { "@id": "#training" },
        });
        if let Some(time) = iso_time(self.published_ms) {
            root["datePublished"] = json!(time);
        }
        root
    }

    /// The training, as an action that took data sets and gave parts.
    fn action(&self) -> Value {
        let Training { times_ms, backends, devices, .. } = self.training;
        let on = backends.iter().chain(devices).map(String::as_str).collect::<Vec<_>>().join(", ");
        let parts: Vec<String> = match self.place {
            Place::Copy => self.files.keys().filter(|name| name.contains("/curves/")).map(|name| id(name)).collect(),
            Place::Store => vec![CURVES.to_string()],
        };
        let mut action = json!({
            "@id": "#training", "@type": "CreateAction",
            "name": format!("Training and probing the runs of the study {}", self.study.name),
            "description": format!("Trained on: {on}"),
            "instrument": self.training.programs().map(|(id, ..)| json!({ "@id": id })).collect::<Vec<_>>(),
            "object": self.study.data.iter().map(|data| json!({ "@id": self.data_id(&data.summary.sha256) })).collect::<Vec<_>>(),
            "result": parts.into_iter().map(|id| json!({ "@id": id })).collect::<Vec<_>>(),
        });
        for (key, time) in [("startTime", times_ms.map(|times| times.0)), ("endTime", times_ms.map(|times| times.1))] {
            if let Some(time) = time.and_then(iso_time) {
                action[key] = json!(time);
            }
        }
        action
    }

    fn programs(&self) -> impl Iterator<Item = Value> {
        self.training.programs().map(|(id, version, commit)| {
            json!({
                "@id": id, "@type": "SoftwareApplication", "name": "curvefleet", "url": env!("CARGO_PKG_REPOSITORY"),
                "version": version, "description": format!("Built from the commit {commit}"),
            })
        })
    }

    /// Data sets that are not among the files are named by their hash.
    fn data(&self) -> Vec<Value> {
        let absent = self.study.data.iter().filter(|data| self.data_file(&data.summary.sha256).is_none());
        absent
            .map(|data| {
                let sha256 = &data.summary.sha256;
                let place = match self.place {
                    Place::Copy => "which is not in this copy; its canonical form has SHA-256 ",
                    Place::Store => "in the store's folder datasets; its canonical form has SHA-256 ",
                };
                json!({
                    "@id": self.data_id(sha256), "@type": "Dataset", "name": data.name,
                    "description": format!("The data set {}, {place}{sha256}.", data.name),
                })
            })
            .collect()
    }

    fn data_file(&self, sha256: &str) -> Option<&String> {
        let key = dataset_key(sha256);
        self.files.get_key_value(&key).map(|(name, _)| name)
    }

    fn data_id(&self, sha256: &str) -> String {
        self.data_file(sha256).map_or_else(|| format!("#data-{sha256}"), |name| id(name))
    }

    fn folder(&self) -> Option<Value> {
        let described = json!({
            "@id": CURVES, "@type": "Dataset", "name": "Curve parts",
            "description": "Learning curves as Parquet files, a row per run and epoch. The manifest names the part of each run with its size \
                            and SHA-256; a run that was reused from another study lies in that study's folder.",
        });
        (self.place == Place::Store).then_some(described)
    }

    fn file(&self, name: &str, size_bytes: u64, sha256: &str) -> Value {
        json!({
            "@id": id(name), "@type": "File", "name": name.rsplit('/').next().unwrap_or(name),
            "description": description(name), "encodingFormat": format_of(name),
            "contentSize": size_bytes.to_string(), "sha256": sha256,
        })
    }
}

/// `2026-01-31T12:00:00Z`; `None` for times that no calendar has.
fn iso_time(milliseconds: u64) -> Option<String> {
    let time = DateTime::from_timestamp_millis(i64::try_from(milliseconds).ok()?)?;
    Some(time.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// A file's name as the URI reference that the specification wants.
fn id(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    let encode = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(encode).collect()
}

fn is_url(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

fn description(name: &str) -> &'static str {
    match name {
        _ if name.ends_with("study.toml") => "The study, every setting written out",
        _ if name.ends_with("manifest.parquet") => {
            "The runs, what became of each, how it was trained and where its curve lies"
        }
        _ if name.contains("/curves/") => "Learning curves: a row per run and epoch",
        _ if name.starts_with("datasets/") => "A data set in its canonical form",
        _ if name.ends_with("index.html") => "A report of the study",
        _ => "Part of a report of the study",
    }
}

/// Media types; for Parquet the one registered with IANA.
fn format_of(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "parquet" => "application/vnd.apache.parquet",
        "toml" => "application/toml",
        "html" => "text/html",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "csv" => "text/csv",
        "json" => "application/json",
        _ => "application/octet-stream",
    }
}
