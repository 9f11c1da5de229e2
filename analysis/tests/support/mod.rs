//! Synthetic studies in a temporary folder, written as a coordinator and workers would write them.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::builder::{Float64Builder, ListBuilder};
use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt32Array, UInt64Array, new_null_array};
use arrow_schema::{DataType, Field};
use curvefleet_proto::artifact::{
    CURVE_SCHEMA, MANIFEST_SCHEMA, SCORES, manifest_key, part_key, sha256_hex, study_key,
};
use curvefleet_proto::plan::{RunSettings, cells};
use curvefleet_proto::store::Store;
use curvefleet_proto::study::{ClassCount, DataSummary, Labels, Study, file};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

/// One epoch of one run as a worker writes it.
#[derive(Debug, Clone)]
pub struct Row {
    pub run: String,
    pub names: [String; 4],
    pub seed: u64,
    pub epoch: u32,
    pub accuracy: f64,
    pub last: bool,
    pub curve: Vec<f64>,
}

/// A run of the manifest.
#[derive(Debug, Clone)]
pub struct ManifestEntry {
    pub run: String,
    pub names: [String; 4],
    pub seed: u64,
    pub part: Option<(String, u64, String)>,
    pub error: Option<String>,
}

/// A study in a folder store.
pub struct Fixture {
    root: PathBuf,
    /// The folder, which goes with the fixture that made it.
    _folder: Option<tempfile::TempDir>,
    pub store: Store,
    pub study: Study,
    pub manifest: Vec<ManifestEntry>,
    pub parts: Vec<(String, Vec<Row>)>,
}

/// What a synthetic study looks like.
#[derive(Debug, Clone)]
pub struct Shape {
    pub name: &'static str,
    /// Lines at the top of the study file.
    pub head: &'static str,
    /// What follows `[training]`.
    pub training: &'static str,
    pub data: Vec<&'static str>,
    pub classes: Vec<&'static str>,
    pub labels: &'static str,
    /// Condition sets of every data set, separated by spaces.
    pub conditions: &'static str,
    pub seeds: usize,
    pub epochs: u32,
    pub steps: usize,
    /// The study file's `[analysis]` part, or nothing.
    pub analysis: &'static str,
}

impl Default for Shape {
    fn default() -> Self {
        Shape {
            name: "synthetic",
            head: "",
            training: "",
            data: vec!["gestures"],
            classes: vec!["wave", "point", "clap"],
            labels: r#"["true", "shuffled"]"#,
            conditions: "\"pairs\"",
            seeds: 3,
            epochs: 4,
            steps: 12,
            analysis: "",
        }
    }
}

impl Fixture {
    /// Writes a study of this shape, every run done, one part for each cell.
    pub fn write(shape: &Shape) -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_path_buf();
        Fixture { _folder: Some(folder), ..Fixture::write_into(root, shape) }
    }

    /// Writes another study into the same store.
    pub fn write_beside(&self, shape: &Shape) -> Fixture {
        Fixture::write_into(self.root.clone(), shape)
    }

    fn write_into(root: PathBuf, shape: &Shape) -> Fixture {
        let store = Store::open(root.to_str().unwrap(), []).unwrap();
        let study = resolve(shape);
        let mut fixture = Fixture { root, _folder: None, store, study, manifest: Vec::new(), parts: Vec::new() };
        fixture.put(&study_key(&fixture.study.name), fixture.study.to_toml().unwrap().as_bytes());
        let study = fixture.study.clone();
        for (index, cell) in cells(&study).unwrap().iter().enumerate() {
            let settings = RunSettings::of(&study, cell);
            let shuffled = cell.condition.labels == Labels::Shuffled;
            let names = [&cell.data.name, &cell.condition_name, cell.condition.labels.as_str(), &cell.model.name]
                .map(|name| name.to_string());
            let mut rows = Vec::new();
            for seed in &study.seeds {
                let run = settings.run_id(*seed).to_string();
                let pair = index / 2;
                for epoch in 1..=shape.epochs {
                    let noise = Noise::new(index as u64 * 1000 + *seed * 17 + u64::from(epoch));
                    let (curve, accuracy) = curve(shape, pair, shuffled, epoch, noise);
                    let last = epoch == shape.epochs;
                    rows.push(Row {
                        run: run.clone(),
                        names: names.clone(),
                        seed: *seed,
                        epoch,
                        accuracy,
                        last,
                        curve,
                    });
                }
                fixture.manifest.push(ManifestEntry {
                    run,
                    names: names.clone(),
                    seed: *seed,
                    part: None,
                    error: None,
                });
            }
            fixture.parts.push((part_key(&study.name, &format!("shard{index}"), 1, 0), rows));
        }
        fixture.write_parts();
        fixture.write_manifest();
        fixture
    }

    /// Writes every part and notes its size and hash in the manifest.
    pub fn write_parts(&mut self) {
        for (key, rows) in self.parts.clone() {
            let bytes = encode_part(&rows);
            self.put(&key, &bytes);
            let part = (key, bytes.len() as u64, sha256_hex(&bytes));
            for entry in self.manifest.iter_mut().filter(|entry| rows.iter().any(|row| row.run == entry.run)) {
                entry.part = Some(part.clone());
            }
        }
    }

    pub fn write_manifest(&self) {
        self.put(&manifest_key(&self.study.name), &encode_manifest(&self.manifest));
    }

    pub fn put(&self, key: &str, bytes: &[u8]) {
        let path = self.path(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub fn path(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    /// Every file under a folder of the store, by its name there.
    pub fn files(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let root = self.path(folder);
        let mut files = BTreeMap::new();
        let mut open = vec![root.clone()];
        while let Some(next) = open.pop() {
            for entry in std::fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    files
                        .insert(path.strip_prefix(&root).unwrap().display().to_string(), std::fs::read(&path).unwrap());
                }
            }
        }
        files
    }
}

impl Fixture {
    /// Copies a report to the folder that `CURVEFLEET_REPORTS` names, if it does, for a look and for other programs.
    pub fn keep(&self, report: &str) {
        let Some(folder) = std::env::var_os("CURVEFLEET_REPORTS") else { return };
        for (name, bytes) in self.files(report) {
            let path = std::path::Path::new(&folder).join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
}

pub fn resolve(shape: &Shape) -> Study {
    let mut text = format!(
        "name = \"{}\"\ndescription = \"Made-up curves\"\nseeds = {}\n{}\n",
        shape.name, shape.seeds, shape.head
    );
    for data in &shape.data {
        text += &format!("[[data]]\nname = \"{data}\"\nformat = \"generated\"\n");
    }
    for data in &shape.data {
        for classes in shape.conditions.split(' ') {
            text += &format!("[[conditions]]\ndata = \"{data}\"\nclasses = {classes}\nlabels = {}\n", shape.labels);
        }
    }
    text += &format!("[training]\nepochs = {}\n{}\n{}", shape.epochs, shape.training, shape.analysis);
    let summary = |data: &str| DataSummary {
        sha256: sha256_hex(data.as_bytes()),
        steps_min: shape.steps as u32,
        steps_max: shape.steps as u32,
        feature_names: vec!["x".to_string(), "y".to_string()],
        classes: shape.classes.iter().map(|name| ClassCount { name: (*name).to_string(), count: 40 }).collect(),
    };
    let summaries = shape.data.iter().map(|data| ((*data).to_string(), summary(data))).collect();
    file::parse(&text).unwrap().resolve(&summaries).unwrap()
}

/// A curve that learns: faster for some pairs, rising over the time steps, dipping at the end.
fn curve(shape: &Shape, pair: usize, shuffled: bool, epoch: u32, mut noise: Noise) -> (Vec<f64>, f64) {
    let strength = 0.12 + 0.34 * ((pair * 7 % 15) as f64 + 1.0) / 15.0;
    let speed = 2.0 + (pair % 5) as f64 * f64::from(shape.epochs) / 18.0;
    let learned = if shuffled { 0.0 } else { 1.0 - (-f64::from(epoch) / speed).exp() };
    let peak = 0.35 + 0.6 * (pair * 4 % 15) as f64 / 15.0;
    let at = |step: usize| {
        let place = (step + 1) as f64 / shape.steps as f64;
        let rise = if place < peak { (place / peak).powf(0.7) } else { 1.0 - 0.5 * (place - peak) };
        0.5 + strength * learned * rise
    };
    let curve = (0..shape.steps).map(|step| (at(step) + 0.03 * noise.next()).clamp(0.0, 1.0)).collect();
    (curve, (0.5 + strength * learned + 0.02 * noise.next()).clamp(0.0, 1.0))
}

/// A small linear congruential generator, so that the fixtures are the same everywhere.
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Noise {
        Noise(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03)
    }

    /// Even between −1 and 1.
    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

pub fn encode_part(rows: &[Row]) -> Vec<u8> {
    let mut columns: Vec<ArrayRef> = vec![texts(rows.iter().map(|row| Some(row.run.as_str())))];
    columns.extend((0..4).map(|i| texts(rows.iter().map(|row| Some(row.names[i].as_str())))));
    columns.push(Arc::new(rows.iter().map(|row| row.seed).collect::<UInt64Array>()));
    columns.push(Arc::new(rows.iter().map(|row| row.epoch).collect::<UInt32Array>()));
    columns.push(Arc::new(rows.iter().map(|row| 1.0 - row.accuracy).collect::<Float64Array>()));
    for part in 0..2 {
        for score in 0..SCORES.len() {
            let value = |row: &Row| {
                let value = if score == 0 { 1.0 - row.accuracy } else { row.accuracy - 0.01 * score as f64 };
                (part == 0 || row.last).then_some(value)
            };
            columns.push(Arc::new(rows.iter().map(value).collect::<Float64Array>()));
        }
    }
    let item = Field::new_list_field(DataType::Float64, false);
    let mut curves = ListBuilder::new(Float64Builder::new()).with_field(item);
    for row in rows {
        curves.values().append_slice(&row.curve);
        curves.append(true);
    }
    columns.push(Arc::new(curves.finish()));
    encode(RecordBatch::try_new(CURVE_SCHEMA.clone(), columns).unwrap())
}

pub fn encode_manifest(entries: &[ManifestEntry]) -> Vec<u8> {
    let mut columns: Vec<ArrayRef> = vec![texts(entries.iter().map(|entry| Some(entry.run.as_str())))];
    columns.extend((0..4).map(|i| texts(entries.iter().map(|entry| Some(entry.names[i].as_str())))));
    columns.push(Arc::new(entries.iter().map(|entry| entry.seed).collect::<UInt64Array>()));
    columns.push(texts(entries.iter().map(|_| Some("shard"))));
    columns.push(texts(entries.iter().map(|entry| Some(if entry.error.is_none() { "done" } else { "failed" }))));
    let part = |entry: &ManifestEntry| if entry.error.is_none() { entry.part.clone() } else { None };
    let parts: Vec<_> = entries.iter().map(part).collect();
    columns.push(texts(parts.iter().map(|part| part.as_ref().map(|part| part.0.as_str()))));
    columns.push(Arc::new(parts.iter().map(|part| part.as_ref().map(|part| part.1)).collect::<UInt64Array>()));
    columns.push(texts(parts.iter().map(|part| part.as_ref().map(|part| part.2.as_str()))));
    columns.push(Arc::new(parts.iter().map(|part| part.as_ref().map(|_| 1)).collect::<UInt64Array>()));
    columns.push(texts(parts.iter().map(|part| part.as_ref().map(|_| "worker"))));
    columns.push(Arc::new(parts.iter().map(|part| part.as_ref().map(|_| 1)).collect::<UInt64Array>()));
    columns.push(Arc::new(entries.iter().map(|_| 1).collect::<UInt32Array>()));
    columns.push(texts(entries.iter().map(|entry| entry.error.as_deref())));
    // How runs were trained: as where an older program committed them.
    let unknown = MANIFEST_SCHEMA.fields().iter().skip(columns.len());
    columns.extend(unknown.map(|field| new_null_array(field.data_type(), entries.len())).collect::<Vec<_>>());
    encode(RecordBatch::try_new(MANIFEST_SCHEMA.clone(), columns).unwrap())
}

fn encode(batch: RecordBatch) -> Vec<u8> {
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}
