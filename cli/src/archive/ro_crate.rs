//! `ro-crate-metadata.json`: a copy of a study described as an RO-Crate 1.2 (<https://w3id.org/ro/crate/1.2>), which Zenodo and other
//! repositories, catalogues and people can read. What must stand in it: specification, "Root Data Entity".

use std::collections::{BTreeMap, BTreeSet};

use curvefleet_proto::artifact::PartProvenance;
use curvefleet_proto::study::Study;
use serde_json::{Value, json};

use crate::listing::iso_time;

/// The file's name, which the specification fixes.
pub const FILE: &str = "ro-crate-metadata.json";

/// What is described.
#[derive(Debug)]
pub struct Crate<'a> {
    /// The study.
    pub study: &'a Study,
    /// SHA-256 of its file.
    pub study_sha256: &'a str,
    /// The files, by name: size in bytes and SHA-256.
    pub files: &'a BTreeMap<String, (u64, String)>,
    /// What the parts say of themselves.
    pub provenance: &'a [PartProvenance],
    /// How many runs are done.
    pub runs: usize,
    /// Under what terms the copy may be used: a URL or a sentence.
    pub license: Option<&'a str>,
    /// When the copy was made, in milliseconds since 1970.
    pub made_ms: u64,
}

/// What is written where nobody said under what terms a copy may be used; the specification wants the property.
const NO_LICENSE: &str = "No licence was stated when this copy was made; ask those who made it.";

impl Crate<'_> {
    /// The file's text.
    pub fn to_json(&self) -> String {
        let mut graph = vec![self.descriptor(), self.root(), self.training()];
        graph.extend(self.programs());
        graph.extend(self.license.filter(|license| is_url(license)).map(|license| {
            json!({ "@id": license, "@type": "CreativeWork", "name": license, "description": "The licence of this copy." })
        }));
        graph.extend(self.data());
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
        json!({
            "@id": "./", "@type": "Dataset",
            "name": format!("Learning curves of the study {name}"),
            "description": format!(
                "{} training runs of neural networks, each probed at every time step after every epoch by curvefleet; study file with SHA-256 {}.",
                self.runs, self.study_sha256
            ),
            "datePublished": iso_time(self.made_ms),
            "license": license,
            "hasPart": self.files.keys().map(|name| json!({ "@id": id(name) })).collect::<Vec<_>>(),
            "mentions": { "@id": "#training" },
        })
    }

    /// The training, as an action that took data sets and gave parts.
    fn training(&self) -> Value {
        let times = self.provenance.iter().flat_map(|part| &part.runs);
        let started = times.clone().map(|run| run.started_ms).min();
        let ended = times.map(|run| run.ended_ms).max();
        let backends: BTreeSet<&str> = self.provenance.iter().map(|part| part.backend.as_str()).collect();
        let devices = self.provenance.iter().map(|part| part.device.as_str()).filter(|device| !device.is_empty());
        let devices: BTreeSet<&str> = devices.collect();
        let on = [backends, devices].into_iter().flatten().collect::<Vec<_>>().join(", ");
        let parts = self.files.keys().filter(|name| name.contains("/curves/"));
        let mut action = json!({
            "@id": "#training", "@type": "CreateAction",
            "name": format!("Training and probing the runs of the study {}", self.study.name),
            "description": format!("Trained on: {on}"),
            "instrument": self.program_ids().into_keys().map(|id| json!({ "@id": id })).collect::<Vec<_>>(),
            "object": self.study.data.iter().map(|data| json!({ "@id": self.data_id(&data.summary.sha256) })).collect::<Vec<_>>(),
            "result": parts.map(|name| json!({ "@id": id(name) })).collect::<Vec<_>>(),
        });
        for (key, time) in [("startTime", started), ("endTime", ended)] {
            if let Some(time) = time {
                action[key] = json!(iso_time(time));
            }
        }
        action
    }

    /// Each program that trained, by version and commit.
    fn program_ids(&self) -> BTreeMap<String, (&str, &str)> {
        let programs = self.provenance.iter().map(|part| (part.version.as_str(), part.git_commit.as_str()));
        programs.map(|(version, commit)| (format!("#curvefleet-{version}-{commit}"), (version, commit))).collect()
    }

    fn programs(&self) -> Vec<Value> {
        let program = |(id, (version, commit)): (String, (&str, &str))| {
            json!({
                "@id": id, "@type": "SoftwareApplication", "name": "curvefleet", "url": env!("CARGO_PKG_REPOSITORY"),
                "version": version, "description": format!("Built from the commit {}", if commit.is_empty() { "unknown" } else { commit }),
            })
        };
        self.program_ids().into_iter().map(program).collect()
    }

    /// Data sets that are not in the copy are named by their hash.
    fn data(&self) -> Vec<Value> {
        let absent = self.study.data.iter().filter(|data| self.data_file(&data.summary.sha256).is_none());
        absent
            .map(|data| {
                let sha256 = &data.summary.sha256;
                json!({
                    "@id": self.data_id(sha256), "@type": "Dataset", "name": data.name,
                    "description": format!("The data set {}, which is not in this copy; its canonical form has SHA-256 {sha256}.", data.name),
                })
            })
            .collect()
    }

    fn data_file(&self, sha256: &str) -> Option<&String> {
        let key = curvefleet_proto::artifact::dataset_key(sha256);
        self.files.get_key_value(&key).map(|(name, _)| name)
    }

    fn data_id(&self, sha256: &str) -> String {
        self.data_file(sha256).map_or_else(|| format!("#data-{sha256}"), |name| id(name))
    }

    fn file(&self, name: &str, size_bytes: u64, sha256: &str) -> Value {
        json!({
            "@id": id(name), "@type": "File", "name": name.rsplit('/').next().unwrap_or(name),
            "description": description(name), "encodingFormat": format_of(name),
            "contentSize": size_bytes.to_string(), "sha256": sha256,
        })
    }
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
        _ if name.ends_with("manifest.parquet") => "The runs, what became of each and where its curve lies",
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
