//! `curvefleet export`: a copy that stands alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::folder::{Folder, curves, manifest, study};
use super::process::{Finished, curvefleet, run};
use super::s3_server::{SECRET, serve, variables};

/// A study that reuses runs of another, both trained.
fn trained() -> (Folder, PathBuf) {
    let folder = Folder::with_study("first", 2, 3).and("second.toml", study("second", 3, 3));
    run(curvefleet(folder.path()).args(["run", "study.toml"])).succeeded();
    run(curvefleet(folder.path()).args(["run", "second.toml"])).succeeded();
    let store = folder.path().join("curvefleet-data");
    assert!(manifest(&store, "second").into_values().any(|part| part.starts_with("studies/first/")));
    (folder, store)
}

fn export(folder: &Folder, more: &[&str]) -> Finished {
    run(curvefleet(folder.path()).args(["export", "second", "--to"]).args(more))
}

fn files(folder: &Path) -> BTreeSet<String> {
    fn walk(folder: &Path, root: &Path, files: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match entry.is_dir() {
                true => walk(&entry, root, files),
                false => drop(files.insert(entry.strip_prefix(root).unwrap().to_str().unwrap().to_string())),
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(folder, folder, &mut found);
    found
}

#[test]
fn a_copy_has_all_curves_sound_checksums_and_gives_the_same_report() {
    let (folder, store) = trained();
    let exported = export(&folder, &["copy"]).succeeded();
    assert!(exported.out.contains("study second: 6 of 6 runs"), "{}", exported.out);
    let copy = folder.path().join("copy");
    assert!(curves(&copy, "second") == curves(&store, "second"));
    assert!(manifest(&copy, "second").into_values().all(|part| part.starts_with("studies/second/curves/")));
    assert!(!copy.join("datasets").exists() && !copy.join("studies/first").exists());

    let checked =
        Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(&copy).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let summed = std::fs::read_to_string(copy.join("SHA256SUMS")).unwrap();
    let summed: BTreeSet<String> = summed.lines().map(|line| line[66..].to_string()).collect();
    let mut there = files(&copy);
    assert!(there.remove("SHA256SUMS"));
    assert_eq!(summed, there, "every file has its checksum");

    let report = |store: &str| {
        run(curvefleet(folder.path()).args(["report", "second", "--name", "again", "--store", store])).succeeded();
        let report = folder.path().join(store).join("studies/second/reports/again");
        files(&report)
            .into_iter()
            .map(|file| (file.clone(), std::fs::read(report.join(file)).unwrap()))
            .collect::<Vec<_>>()
    };
    assert!(report("copy") == report("curvefleet-data"), "the same curves give the same report");
}

#[test]
fn a_copy_with_data_can_be_verified_and_trained_again() {
    let (folder, _) = trained();
    export(&folder, &["copy", "--with-data"]).succeeded();
    let found =
        run(curvefleet(folder.path()).args(["verify", "second", "--store", "copy", "--rerun", "2"])).succeeded();
    assert!(found.out.contains("2 of 2 runs with the same bits"), "{}", found.out);
}

/// The required properties, from the RO-Crate 1.2 specification, sections "RO-Crate Metadata Descriptor", "Direct properties of the
/// Root Data Entity" and "Data entities".
#[test]
fn the_description_is_an_ro_crate() {
    let (folder, _) = trained();
    let license = "https://creativecommons.org/licenses/by/4.0/";
    export(&folder, &["copy", "--license", license]).succeeded();
    let copy = folder.path().join("copy");
    let text = std::fs::read_to_string(copy.join("ro-crate-metadata.json")).unwrap();
    let described: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(described["@context"], "https://w3id.org/ro/crate/1.2/context");
    let graph = described["@graph"].as_array().unwrap();
    let entity = |id: &str| graph.iter().find(|entity| entity["@id"] == id).unwrap_or_else(|| panic!("no entity {id}"));
    let ids: BTreeSet<&str> = graph.iter().map(|entity| entity["@id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), graph.len(), "every entity stands once");
    assert!(graph.iter().all(|entity| entity["@type"].is_string()));

    let descriptor = entity("ro-crate-metadata.json");
    assert_eq!(descriptor["@type"], "CreativeWork");
    assert_eq!(descriptor["conformsTo"]["@id"], "https://w3id.org/ro/crate/1.2");
    let root = entity(descriptor["about"]["@id"].as_str().unwrap());
    assert_eq!((&root["@type"], &root["@id"]), (&"Dataset".into(), &"./".into()));
    assert!(
        root["name"].as_str().unwrap().contains("second")
            && root["description"].as_str().unwrap().contains("6 training runs")
    );
    let date = root["datePublished"].as_str().unwrap();
    let digits = |range: std::ops::Range<usize>| date[range].bytes().all(|byte| byte.is_ascii_digit());
    assert!(date.len() == 20 && digits(0..4) && &date[4..5] == "-" && digits(11..13) && date.ends_with('Z'), "{date}");
    let license = entity(root["license"]["@id"].as_str().unwrap());
    assert!(license["name"].is_string() && license["description"].is_string());

    let named: BTreeSet<String> =
        root["hasPart"].as_array().unwrap().iter().map(|part| part["@id"].as_str().unwrap().to_string()).collect();
    let mut there = files(&copy);
    there.retain(|file| !["SHA256SUMS", "ro-crate-metadata.json"].contains(&file.as_str()));
    assert_eq!(named, there, "every file is a part of the crate");
    for file in &named {
        let entity = entity(file);
        assert_eq!(entity["@type"], "File");
        let size = std::fs::metadata(copy.join(file)).unwrap().len();
        assert_eq!(entity["contentSize"].as_str(), Some(size.to_string().as_str()));
        assert!(entity["encodingFormat"].as_str().unwrap().contains('/'));
    }
    let training = entity("#training");
    assert!(training["startTime"].as_str() <= training["endTime"].as_str() && training["startTime"].is_string());
    for reference in ["instrument", "object", "result"] {
        for referred in training[reference].as_array().unwrap() {
            entity(referred["@id"].as_str().unwrap());
        }
    }
}

#[test]
fn a_crate_without_a_licence_says_so() {
    let (folder, _) = trained();
    export(&folder, &["copy"]).succeeded();
    let text = std::fs::read_to_string(folder.path().join("copy/ro-crate-metadata.json")).unwrap();
    assert!(text.contains("No licence was stated"));
}

#[test]
fn a_target_that_is_not_empty_and_a_damaged_study_are_refused_and_nothing_is_written() {
    let (folder, store) = trained();
    let folder = folder.and("readme.txt", "mine");
    export(&folder, &["."]).refused(2, &["is not empty"]);
    export(&folder, &["copy", "--store", "nowhere"]).refused(2, &["nowhere"]);
    run(curvefleet(folder.path()).args(["export", "unknown", "--to", "copy"])).refused(2, &["unknown"]);
    let part = manifest(&store, "second").into_values().next().unwrap();
    std::fs::write(store.join(part), "rubbish").unwrap();
    export(&folder, &["copy"]).refused(1, &["damaged", "curvefleet verify second"]);
    assert!(!folder.path().join("copy").exists());
}

#[test]
fn a_data_set_that_is_wanted_and_not_there_is_refused() {
    let (folder, store) = trained();
    std::fs::remove_dir_all(store.join("datasets")).unwrap();
    export(&folder, &["copy", "--with-data"]).refused(1, &["1 data set of the study second cannot be copied"]);
    export(&folder, &["copy"]).succeeded();
}

#[test]
fn a_copy_goes_to_s3_and_can_be_reported_on_there() {
    let (folder, store) = trained();
    let buckets = Folder::new();
    std::fs::create_dir(buckets.path().join("archive")).unwrap();
    let endpoint = serve(buckets.path());
    let in_s3 = |arguments: &[&str]| run(curvefleet(folder.path()).args(arguments).envs(variables(&endpoint, SECRET)));
    in_s3(&["export", "second", "--to", "s3://archive/second"]).succeeded();
    in_s3(&["report", "second", "--store", "s3://archive/second"]).succeeded();
    assert!(curves(&buckets.path().join("archive/second"), "second") == curves(&store, "second"));
    in_s3(&["export", "second", "--to", "s3://archive/second"]).refused(2, &["s3://archive/second is not empty"]);
}
