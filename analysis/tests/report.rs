//! Reports of synthetic studies: what a reader finds, and what a damaged store does to it.
#![allow(clippy::unwrap_used)]

mod support;

use curvefleet_analysis::{Error, Options, ReportOptions, ReportSummary, run, write_report};
use curvefleet_proto::artifact::{manifest_key, report_folder, sha256_hex, study_key};
use curvefleet_proto::store::Store;
use support::{Fixture, Shape, encode_part};

const TIME: &str = "2026-01-31T12-00-00Z";

async fn report(fixture: &Fixture) -> Result<ReportSummary, Error> {
    write_report(&fixture.store, "synthetic", ReportOptions { time: TIME.to_string() }).await
}

fn page(fixture: &Fixture) -> String {
    String::from_utf8(fixture.files(&report_folder("synthetic", TIME))["index.html"].clone()).unwrap()
}

fn table(fixture: &Fixture, name: &str) -> Vec<Vec<String>> {
    let files = fixture.files(&report_folder("synthetic", TIME));
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).from_reader(&files[&format!("tables/{name}.csv")][..]);
    reader.records().map(|record| record.unwrap().iter().map(str::to_string).collect()).collect()
}

/// The file's rows as the writer of a part would have to write them again: size and hash go into the manifest.
fn rewrite(fixture: &mut Fixture) {
    fixture.write_parts();
    fixture.write_manifest();
}

#[tokio::test]
async fn a_whole_study_gives_page_figures_and_tables() {
    let fixture = Fixture::write(&Shape::default());
    let summary = report(&fixture).await.unwrap();
    assert_eq!((summary.planned, summary.done, summary.failed, summary.unreadable, summary.pending), (18, 18, 0, 0, 0));
    assert!(
        summary.headline[0].starts_with("gestures: ") && summary.headline[0].contains("chance"),
        "{:?}",
        summary.headline
    );
    assert!(std::path::Path::new(&summary.location).is_file(), "{}", summary.location);
    let files = fixture.files(&summary.folder);
    for figure in
        ["learning-curve-map", "information-processing-trajectory", "developmental-trajectory", "metrics-by-epoch"]
    {
        assert!(files.contains_key(&format!("figures/{figure}-gestures-lstm.svg")), "{figure}");
        assert!(files[&format!("figures/{figure}-gestures-lstm.png")].starts_with(b"\x89PNG"), "{figure}");
        assert!(files[&format!("figures/{figure}-gestures-lstm.pdf")].starts_with(b"%PDF-"), "{figure}");
    }
    for name in [
        "metrics",
        "condition_means",
        "performance",
        "significance",
        "coefficients",
        "missing",
        "map_tests",
        "likelihood_ratio",
        "cluster_robust",
        "interquartile_means",
        "performance_profiles",
    ] {
        assert!(files[&format!("tables/{name}.parquet")].starts_with(b"PAR1"), "{name}");
    }
    assert_eq!(table(&fixture, "metrics").len(), 1 + 18 * 4);
    assert_eq!(table(&fixture, "condition_means").len(), 1 + 6 * 4 * 11);
    assert_eq!(table(&fixture, "significance").len(), 1 + 4 * 6);
    assert_eq!(table(&fixture, "missing").len(), 1);
    let references = String::from_utf8(files["references.bib"].clone()).unwrap();
    assert!(references.contains("10.1371/journal.pcbi.1012286") && references.contains("@misc{study-synthetic,"));
    assert!(references.contains("year    = {2026}") && references.contains("18 runs"), "{references}");
    let page = page(&fixture);
    assert!(
        page.contains("Nothing is missing")
            && page.contains("wave/point")
            && page.contains("each row taken as independent")
    );
}

/// A page that opens offline fetches nothing: whatever it loads is inside it.
#[tokio::test]
async fn the_page_holds_all_it_needs() {
    let fixture = Fixture::write(&Shape::default());
    report(&fixture).await.unwrap();
    let page = page(&fixture);
    for outside in ["<script src", "<link", "src=\"", "@import", "url(", "fetch(", "XMLHttpRequest", "import("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("default-src 'none'"));
    assert_eq!(page.matches("<svg").count(), 8);
}

#[tokio::test]
async fn the_same_study_gives_the_same_bytes() {
    let (first, second) = (Fixture::write(&Shape::default()), Fixture::write(&Shape::default()));
    report(&first).await.unwrap();
    report(&second).await.unwrap();
    let folder = report_folder("synthetic", TIME);
    let (first, second) = (first.files(&folder), second.files(&folder));
    assert_eq!(first.keys().collect::<Vec<_>>(), second.keys().collect::<Vec<_>>());
    for (name, bytes) in &first {
        assert!(second[name] == *bytes, "{name} differs");
    }
}

/// Each way in which a part can be lost: its runs are missing with the reason, the others are all there.
#[tokio::test]
async fn runs_of_lost_parts_are_missing_with_the_reason() {
    for (damage, reason) in
        [("remove", "is missing from the store"), ("truncate", "bytes where the manifest says"), ("change", "SHA-256")]
    {
        let fixture = Fixture::write(&Shape::default());
        let path = fixture.path(&fixture.parts[2].0);
        let mut bytes = std::fs::read(&path).unwrap();
        match damage {
            "remove" => std::fs::remove_file(&path).unwrap(),
            "truncate" => std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap(),
            _ => {
                bytes[100] ^= 1;
                std::fs::write(&path, bytes).unwrap();
            }
        }
        let summary = report(&fixture).await.unwrap();
        assert_eq!((summary.done, summary.unreadable, summary.failed, summary.pending), (15, 3, 0, 0), "{damage}");
        assert!(page(&fixture).contains(reason), "{damage}");
        let missing = table(&fixture, "missing");
        assert_eq!(missing.len(), 4);
        assert!(missing[1..].iter().all(|row| row[7] == "run unreadable" && row[8].contains(reason)), "{missing:?}");
    }
}

/// A part whose bytes are those that were committed, but are no Parquet file.
#[tokio::test]
async fn a_part_that_is_no_parquet_file_is_unreadable() {
    let mut fixture = Fixture::write(&Shape::default());
    let key = fixture.parts[0].0.clone();
    let bytes = b"not parquet at all";
    fixture.put(&key, bytes);
    for entry in &mut fixture.manifest {
        if entry.part.as_ref().is_some_and(|part| part.0 == key) {
            entry.part = Some((key.clone(), bytes.len() as u64, sha256_hex(bytes)));
        }
    }
    fixture.write_manifest();
    let summary = report(&fixture).await.unwrap();
    assert_eq!((summary.done, summary.unreadable), (15, 3));
    assert!(page(&fixture).contains("is not a curve part"));
}

/// NaN in one curve: that epoch alone is excluded, and no table or figure holds a NaN.
#[tokio::test]
async fn an_epoch_with_nan_is_excluded_and_said_so() {
    let mut fixture = Fixture::write(&Shape::default());
    fixture.parts[0].1[1].curve[3] = f64::NAN;
    rewrite(&mut fixture);
    let summary = report(&fixture).await.unwrap();
    assert_eq!((summary.done, summary.excluded_epochs), (18, 1));
    for (name, bytes) in fixture.files(&summary.folder) {
        if name.ends_with(".csv") {
            assert!(!String::from_utf8(bytes).unwrap().contains("NaN"), "{name}");
        }
    }
    let metrics = table(&fixture, "metrics");
    let row = metrics.iter().find(|row| !row[row.len() - 1].is_empty() && row[0] != "run").unwrap();
    assert_eq!((row[6].as_str(), row[7].as_str()), ("2", ""));
    assert!(row[row.len() - 1].contains("not a finite number"));
    assert!(page(&fixture).contains("epoch is excluded"));
}

/// A part may hold rows of a run that it lost, or that another part has: the manifest alone decides.
#[tokio::test]
async fn rows_that_the_manifest_does_not_place_in_a_part_are_ignored() {
    let mut fixture = Fixture::write(&Shape::default());
    let stray = fixture.parts[1].1.clone();
    let key = fixture.parts[0].0.clone();
    let mut rows = fixture.parts[0].1.clone();
    let before = {
        report(&fixture).await.unwrap();
        table(&fixture, "metrics")
    };
    rows.extend(stray.into_iter().map(|mut row| {
        row.curve.fill(0.0);
        row
    }));
    let bytes = encode_part(&rows);
    fixture.put(&key, &bytes);
    for entry in &mut fixture.manifest {
        if entry.part.as_ref().is_some_and(|part| part.0 == key) {
            entry.part = Some((key.clone(), bytes.len() as u64, sha256_hex(&bytes)));
        }
    }
    fixture.write_manifest();
    assert_eq!(report(&fixture).await.unwrap().done, 18);
    assert_eq!(table(&fixture, "metrics"), before);
}

#[tokio::test]
async fn a_run_with_missing_epochs_is_missing() {
    let mut fixture = Fixture::write(&Shape::default());
    fixture.parts[0].1.remove(1);
    rewrite(&mut fixture);
    let summary = report(&fixture).await.unwrap();
    assert_eq!((summary.done, summary.unreadable), (17, 1));
    assert!(page(&fixture).contains("holds 3 rows of this run where the epochs 1 to 4 are expected"));
}

#[tokio::test]
async fn failed_and_untried_runs_are_counted_apart() {
    let mut fixture = Fixture::write(&Shape::default());
    fixture.manifest[0].error = Some("loss became <infinite> in epoch 3".to_string());
    fixture.manifest.truncate(16);
    fixture.write_manifest();
    let summary = report(&fixture).await.unwrap();
    assert_eq!((summary.planned, summary.done, summary.failed, summary.pending), (18, 15, 1, 2));
    assert!(page(&fixture).contains("failed: loss became &lt;infinite&gt; in epoch 3"));
    let text = summary.to_text();
    assert!(text.contains("15 of 18 planned runs are in the report, 2 not trained yet, 1 failed"), "{text}");
}

#[tokio::test]
async fn one_run_of_one_epoch_has_a_report() {
    let shape =
        Shape { classes: vec!["a", "b"], labels: r#"["true"]"#, seeds: 1, epochs: 1, steps: 1, ..Shape::default() };
    let fixture = Fixture::write(&shape);
    assert_eq!(report(&fixture).await.unwrap().done, 1);
    let significance = table(&fixture, "significance");
    assert!(
        significance[1..].iter().all(|row| !row[24].is_empty() && row[7].is_empty()),
        "every row says why it is empty"
    );
}

#[tokio::test]
async fn a_study_whose_runs_all_failed_has_a_report() {
    let mut fixture = Fixture::write(&Shape::default());
    fixture.manifest.iter_mut().for_each(|entry| entry.error = Some("no luck".to_string()));
    fixture.write_manifest();
    let summary = report(&fixture).await.unwrap();
    assert_eq!((summary.done, summary.failed), (0, 18));
    assert_eq!(summary.headline, ["gestures: no finished runs yet"]);
}

#[tokio::test]
async fn what_cannot_be_reported_is_one_clear_sentence() {
    let fixture = Fixture::write(&Shape::default());
    let options = |study: &str| Options {
        studies: vec![study.to_string()],
        watch: false,
        every: 10,
        store: fixture.store.url().to_string(),
        name: Some(TIME.to_string()),
        json: false,
    };
    let fail = async |options: Options| run(options, std::time::UNIX_EPOCH, []).await.unwrap_err();

    let unknown = fail(options("nothing")).await;
    assert!(unknown.is_user_error() && unknown.to_string().contains("there is no study `nothing`"), "{unknown}");
    assert!(unknown.to_string().contains("it has synthetic"), "{unknown}");
    let no_name = fail(Options { name: Some("../x".to_string()), ..options("synthetic") }).await;
    assert!(no_name.is_user_error(), "{no_name}");
    let no_store = fail(Options { store: "ftp://nowhere".to_string(), ..options("synthetic") }).await;
    assert!(no_store.is_user_error(), "{no_store}");

    fixture.put(&manifest_key("synthetic"), b"rubbish");
    let manifest = fail(options("synthetic")).await;
    assert!(!manifest.is_user_error() && manifest.to_string().contains("manifest.parquet"), "{manifest}");
    std::fs::remove_file(fixture.path(&manifest_key("synthetic"))).unwrap();
    let nothing = fail(options("synthetic")).await;
    assert!(nothing.to_string().contains("no manifest yet"), "{nothing}");
    fixture.put(&study_key("synthetic"), b"name = 3");
    let study = fail(options("synthetic")).await;
    assert!(study.to_string().contains("study.toml"), "{study}");
}

/// Names of classes are the user's; on the page they are text.
#[tokio::test]
async fn names_cannot_break_the_page() {
    let shape = Shape { classes: vec!["</script><script>alert(1)</script>", "b & c"], ..Shape::default() };
    let fixture = Fixture::write(&shape);
    report(&fixture).await.unwrap();
    let page = page(&fixture);
    assert!(!page.contains("<script>alert"));
    // The page's own script, and the values of every figure.
    assert_eq!(page.matches("<script").count(), page.matches("</script>").count());
    assert_eq!(page.matches("<script").count(), 1 + page.matches("<figure").count());
}

/// The program's own options find the same study.
#[tokio::test]
async fn the_command_line_writes_the_report_and_names_it() {
    let fixture = Fixture::write(&Shape::default());
    let options = Options {
        studies: vec!["synthetic".to_string()],
        watch: false,
        every: 10,
        store: fixture.store.url().to_string(),
        name: None,
        json: true,
    };
    let summary = run(options, std::time::UNIX_EPOCH, []).await.unwrap();
    assert_eq!(summary.folder, report_folder("synthetic", "1970-01-01T00-00-00Z"));
    let json: serde_json::Value = serde_json::from_str(&summary.to_json()).unwrap();
    assert_eq!((json["done"].as_u64(), json["study"].as_str()), (Some(18), Some("synthetic")));
    assert!(Store::open(fixture.store.url(), []).is_ok());
}

/// `CURVEFLEET_REPORTS=folder` keeps reports of a large study, whole and damaged, for a look.
#[tokio::test]
async fn a_study_like_the_paper_s_has_a_report() {
    let shape = Shape {
        data: vec!["emotion", "gestures"],
        classes: vec!["sadness", "joy", "love", "anger", "fear", "surprise"],
        seeds: 5,
        epochs: 20,
        steps: 40,
        ..Shape::default()
    };
    let mut fixture = Fixture::write(&shape);
    fixture.parts[3].1[7].curve[0] = f64::NAN;
    rewrite(&mut fixture);
    fixture.manifest[11].error = Some("the loss is not a finite number in epoch 3".to_string());
    fixture.manifest.pop();
    fixture.write_manifest();
    std::fs::remove_file(fixture.path(&fixture.parts[5].0)).unwrap();
    let summary = report(&fixture).await.unwrap();
    assert_eq!(
        (summary.planned, summary.done, summary.failed, summary.unreadable, summary.pending),
        (300, 293, 1, 5, 1)
    );
    assert_eq!(summary.headline.len(), 2);
    println!("{}", summary.to_text());
    fixture.keep(&summary.folder);
}
