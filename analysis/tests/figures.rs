//! Figures of studies of every size: they are drawn, they hold no broken numbers, and they come out the same each time.
//! `CURVEFLEET_FIGURES=folder` keeps the pictures for a look.
#![allow(clippy::unwrap_used)]

mod support;

use curvefleet_analysis::aggregate::groups;
use curvefleet_analysis::compare::compare;
use curvefleet_analysis::figure::{draw, parsed, pdf, png};
use curvefleet_analysis::read::results::read_results;
use support::{Fixture, Shape};

async fn figures(name: &str, shape: &Shape) -> usize {
    let fixture = Fixture::write(shape);
    let results = read_results(&fixture.store, "synthetic").await.unwrap();
    let groups = groups(&results);
    let comparisons = compare(&results);
    let figures: Vec<_> = groups.iter().flat_map(|group| draw(group, Some(&comparisons))).collect();
    for figure in &figures {
        for line in figure.svg.lines().filter(|line| !line.starts_with("<image")) {
            assert!(!line.contains("NaN") && !line.contains("inf\""), "{name}, {}: {line}", figure.name);
        }
        let tree = parsed::parse(&figure.svg).unwrap();
        let (picture, page) = (png::render(&tree).unwrap(), pdf::render(&tree, &figure.title).unwrap());
        assert!(page == pdf::render(&tree, &figure.title).unwrap(), "{name}, {}: PDF differs", figure.name);
        if let Some(folder) = std::env::var_os("CURVEFLEET_FIGURES") {
            let path = std::path::Path::new(&folder).join(format!("{name}-{}", figure.name));
            std::fs::write(path.with_extension("svg"), &figure.svg).unwrap();
            std::fs::write(path.with_extension("png"), picture).unwrap();
            std::fs::write(path.with_extension("pdf"), page).unwrap();
        }
    }
    figures.len()
}

#[tokio::test]
async fn one_condition_without_a_control() {
    let shape = Shape { classes: vec!["wave", "point"], labels: r#"["true"]"#, ..Shape::default() };
    assert_eq!(figures("one", &shape).await, 6);
}

#[tokio::test]
async fn six_conditions_of_two_data_sets() {
    let shape = Shape {
        data: vec!["gestures", "sentences"],
        classes: vec!["wave", "point", "clap", "no gesture at all, with a long name"],
        seeds: 5,
        epochs: 20,
        steps: 30,
        ..Shape::default()
    };
    assert_eq!(figures("six", &shape).await, 16);
}

#[tokio::test]
async fn fifteen_conditions() {
    let shape = Shape {
        data: vec!["emotion"],
        classes: vec!["sadness", "joy", "love", "anger", "fear", "surprise"],
        seeds: 6,
        epochs: 50,
        steps: 66,
        ..Shape::default()
    };
    assert_eq!(figures("fifteen", &shape).await, 14);
}

#[tokio::test]
async fn one_run_of_one_epoch_and_one_step() {
    let shape = Shape { seeds: 1, epochs: 1, steps: 1, ..Shape::default() };
    assert_eq!(figures("least", &shape).await, 5);
}

#[tokio::test]
async fn all_classes_at_once() {
    let shape = Shape { conditions: "\"all\"", epochs: 10, ..Shape::default() };
    assert_eq!(figures("all", &shape).await, 7);
}

/// Pairs and all classes at once have different chance levels and each their own control.
#[tokio::test]
async fn two_families_of_conditions() {
    let shape = Shape { conditions: "\"pairs\" \"all\"", epochs: 10, ..Shape::default() };
    assert_eq!(figures("families", &shape).await, 8);
}

/// More conditions than any column of badges holds.
#[tokio::test]
async fn fifty_five_conditions() {
    let classes = vec!["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"];
    let analysis = "[analysis]\ncomparisons = \"none\"";
    let shape = Shape { classes, seeds: 2, epochs: 5, analysis, ..Shape::default() };
    assert_eq!(figures("crowd", &shape).await, 14);
}
