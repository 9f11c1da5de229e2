//! From a data set to a run's arrays: the laws that every selection, shuffling and split keeps.

use std::collections::BTreeSet;
use std::sync::Arc;

use curvefleet_proto::study::{Condition, Labels, Oversample, Preset, Shuffle, Split, Training};
use curvefleet_worker::data::prepare::{
    Parts, Prepared, Selection, label_samples, prepare, prepare_run, select, split_samples,
};
use curvefleet_worker::data::{Dataset, Provenance, Sequence};
use proptest::prelude::*;

use super::folder::assert_says;

/// A data set with this many sequences of each class, three features, and values that tell item, step and feature.
fn dataset(counts: &[usize]) -> Dataset {
    let most = counts.iter().copied().max().unwrap_or(0);
    let labels: Vec<u32> =
        (0..most).flat_map(|at| (0u32..).zip(counts).filter(move |(_, n)| at < **n).map(|(label, _)| label)).collect();
    let sequence = |(item, label): (usize, u32)| {
        let steps = 2 + item % 4;
        let values = (0..steps * 3).map(|at| (item * 1000 + at / 3 * 10 + at % 3) as f32).collect();
        Sequence { label, steps: steps as u32, values, text: None }
    };
    Dataset {
        name: "toy".to_string(),
        classes: (0..counts.len()).map(class).collect(),
        features: ["x", "y", "z"].map(str::to_string).to_vec(),
        sequences: labels.into_iter().enumerate().map(sequence).collect(),
        provenance: Provenance::default(),
    }
}

fn class(at: usize) -> String {
    format!("c{at}")
}

fn pair(a: usize, b: usize, labels: Labels) -> Condition {
    Condition { classes: vec![class(a), class(b)], labels, features: vec![0, 1, 2], pad_to: 4 }
}

fn run(dataset: &Dataset, condition: &Condition, training: &Training, seed: u8) -> Prepared {
    prepare_run(dataset, condition, training, &[seed; 32]).unwrap()
}

fn count(labels: &[u32], samples: &[u32], label: u32) -> usize {
    samples.iter().filter(|&&sample| labels[sample as usize] == label).count()
}

fn distinct(samples: &[u32]) -> BTreeSet<u32> {
    samples.iter().copied().collect()
}

#[test]
fn a_selection_takes_the_pairs_classes_features_and_steps() {
    let dataset = dataset(&[2, 2, 2]);
    let condition =
        Condition { classes: vec![class(2), class(0)], labels: Labels::True, features: vec![0, 2], pad_to: 3 };
    let selection = select(&dataset, &condition, Shuffle::Condition).unwrap();
    let origins: Vec<_> =
        selection.samples.iter().map(|sample| (sample.origin, sample.label, sample.last_step)).collect();
    assert_eq!(origins, [(0, 1, 1), (2, 0, 2), (3, 1, 2), (5, 0, 2)]);
    assert_eq!((selection.steps, selection.features, selection.x.len()), (3, 2, 4 * 3 * 2));
    assert_eq!(selection.input(0), [0.0, 2.0, 10.0, 12.0, 0.0, 0.0], "two own steps, then zeros");
    assert_eq!(selection.input(2), [3000.0, 3002.0, 3010.0, 3012.0, 3020.0, 3022.0], "five own steps, cut to three");
}

#[test]
fn wrong_conditions_are_refused() {
    let dataset = dataset(&[3, 3]);
    let refusal = |change: &dyn Fn(&mut Condition)| {
        let mut condition = pair(0, 1, Labels::True);
        change(&mut condition);
        select(&dataset, &condition, Shuffle::Condition).unwrap_err().to_string()
    };
    assert_says(&refusal(&|c| c.classes[1] = "joy".to_string()), &["\"toy\"", "no class \"joy\"", "c0, c1"]);
    assert_says(&refusal(&|c| c.classes[1] = class(0)), &["\"c0\"", "twice"]);
    assert_says(&refusal(&|c| c.classes.truncate(1)), &["1 class", "at least two"]);
    assert_says(&refusal(&|c| c.pad_to = 0), &["pad_to is 0"]);
    assert_says(&refusal(&|c| c.features.clear()), &["no features"]);
    assert_says(&refusal(&|c| c.features[1] = 3), &["no feature 3", "0 to 2"]);
    assert_says(&refusal(&|c| c.features[1] = 0), &["feature 0", "twice"]);
}

#[test]
fn classes_too_small_to_split_are_refused() {
    let sound = Preset::Sound.training();
    let refusal = |counts: &[usize], training: &Training| {
        prepare_run(&dataset(counts), &pair(0, 1, Labels::True), training, &[1; 32]).unwrap_err().to_string()
    };
    assert_says(&refusal(&[5, 2], &sound), &["\"c1\" has 2 sequences", "at least 3"]);
    assert_says(&refusal(&[1, 1], &sound), &["\"c0\" has 1 sequence,", "at least 3"]);
    assert!(prepare_run(&dataset(&[3, 3]), &pair(0, 1, Labels::True), &sound, &[1; 32]).is_ok());
    assert_says(&refusal(&[1, 1], &Preset::Paper.training()), &["2 sequences"]);
    let without_test = Training { test_fraction: 0.0, ..sound.clone() };
    let prepared = run(&dataset(&[2, 2]), &pair(0, 1, Labels::True), &without_test, 1);
    assert_eq!((prepared.parts.train.len(), prepared.parts.validation.len(), prepared.parts.test.len()), (2, 2, 0));
}

#[test]
fn the_papers_counts_come_out() {
    // anger against fear in the paper: floor(0.8 n) pool, minority up to the majority's count in it, then 80/20.
    let prepared = run(&dataset(&[100, 37]), &pair(0, 1, Labels::True), &Preset::Paper.training(), 3);
    assert_eq!(prepared.parts.test.len(), 137 - 109);
    let pool = prepared.parts.train.len() + prepared.parts.validation.len();
    let all: Vec<u32> = prepared.parts.train.iter().chain(&prepared.parts.validation).copied().collect();
    assert_eq!(count(&prepared.labels, &all, 0), count(&prepared.labels, &all, 1));
    assert_eq!(prepared.parts.train.len(), pool * 8 / 10);
    assert!(
        !distinct(&prepared.parts.train).is_disjoint(&distinct(&prepared.parts.validation)),
        "copies leak, as in the paper"
    );
}

#[test]
fn the_whole_data_set_is_shuffled_once_for_all_runs() {
    let dataset = dataset(&[30, 20, 10]);
    let condition = pair(0, 2, Labels::Shuffled);
    let paper = Preset::Paper.training();
    let (a, b) = (run(&dataset, &condition, &paper, 1), run(&dataset, &condition, &paper, 2));
    assert_eq!(a.selection, b.selection);
    assert_eq!(a.labels, b.labels);
    assert_eq!((count(&a.labels, &all(&a.selection), 0), count(&a.labels, &all(&a.selection), 1)), (30, 10));
    let truly: Vec<u32> =
        a.selection.samples.iter().map(|sample| dataset.sequences[sample.origin as usize].label).collect();
    assert!(truly.contains(&1), "samples of a third class come in under the pair's labels");
}

#[test]
fn within_the_condition_labels_are_shuffled_afresh_for_every_run() {
    let dataset = dataset(&[30, 20, 10]);
    let condition = pair(0, 2, Labels::Shuffled);
    let sound = Preset::Sound.training();
    let (a, b) = (run(&dataset, &condition, &sound, 1), run(&dataset, &condition, &sound, 2));
    assert_eq!(a.selection, b.selection);
    assert_ne!(a.labels, b.labels);
    assert_eq!(count(&a.labels, &all(&a.selection), 0), 30);
    assert_ne!(a.labels, a.selection.samples.iter().map(|sample| sample.label).collect::<Vec<_>>());
    let truth = run(&dataset, &pair(0, 2, Labels::True), &sound, 1);
    assert_eq!(truth.labels, truth.selection.samples.iter().map(|sample| sample.label).collect::<Vec<_>>());
}

fn all(selection: &Selection) -> Vec<u32> {
    (0..selection.samples.len() as u32).collect()
}

prop_compose! {
    fn settings()(
        split in prop_oneof![Just(Split::Random), Just(Split::Stratified)],
        oversample in prop_oneof![Just(Oversample::None), Just(Oversample::Training), Just(Oversample::Pool)],
        test in 0.1..0.5f64,
        validation in 0.1..0.5f64,
    ) -> Training {
        Training { split, oversample, test_fraction: test, validation_fraction: validation, ..Preset::Sound.training() }
    }
}

/// The selection and the parts of a run on three classes, or nothing where a class was too small.
fn parts(
    counts: &[usize],
    training: &Training,
    labels: Labels,
    seed: [u8; 32],
) -> Option<(Arc<Selection>, Vec<u32>, Parts)> {
    let condition = Condition { classes: (0..3).map(class).collect(), labels, features: vec![1], pad_to: 2 };
    let selection = Arc::new(select(&dataset(counts), &condition, training.shuffle).unwrap());
    let labels = label_samples(&selection, &condition, training, &seed);
    let parts = split_samples(&selection, &labels, training, &seed).ok()?;
    let again = prepare(&selection, &condition, training, &seed).unwrap();
    assert_eq!((&again.labels, &again.parts), (&labels, &parts), "the same seed gives the same run");
    Some((selection, labels, parts))
}

proptest! {
    #[test]
    fn laws_of_splitting(
        counts in prop::array::uniform3(1usize..40),
        training in settings(),
        shuffled in any::<bool>(),
        seed in any::<[u8; 32]>(),
    ) {
        let labels = if shuffled { Labels::Shuffled } else { Labels::True };
        let Some((selection, labels, parts)) = parts(&counts, &training, labels, seed) else {
            prop_assert!(training.split == Split::Random || counts.iter().any(|n| *n < 3));
            return Ok(());
        };
        let (train, validation, test) = (distinct(&parts.train), distinct(&parts.validation), distinct(&parts.test));
        // Together they are all samples.
        let union: BTreeSet<u32> = train.iter().chain(&validation).chain(&test).copied().collect();
        prop_assert_eq!(union.len(), selection.samples.len());
        // Test samples are apart from all others, and never copied.
        prop_assert!(test.is_disjoint(&train) && test.is_disjoint(&validation));
        prop_assert_eq!(test.len(), parts.test.len());
        if training.oversample != Oversample::Pool {
            // Nothing leaks into validation.
            prop_assert!(train.is_disjoint(&validation));
            prop_assert_eq!(validation.len(), parts.validation.len());
        }
        let trained = |label| count(&labels, &parts.train, label);
        match training.oversample {
            Oversample::Training => prop_assert!(trained(0) == trained(1) && trained(1) == trained(2)),
            Oversample::None => prop_assert_eq!(train.len(), parts.train.len()),
            Oversample::Pool => {
                let pool: Vec<u32> = parts.train.iter().chain(&parts.validation).copied().collect();
                prop_assert_eq!(count(&labels, &pool, 0), count(&labels, &pool, 1));
                prop_assert_eq!(count(&labels, &pool, 1), count(&labels, &pool, 2));
            }
        }
        for (label, n) in (0u32..).zip(counts) {
            prop_assert!(trained(label) > 0);
            if training.split == Split::Stratified {
                // A class's share of test samples is its own, to within one sample (or the one that it must have).
                let share = count(&labels, &parts.test, label) as f64 - training.test_fraction * n as f64;
                prop_assert!((-1e-6..1.0).contains(&share) || n <= 4, "{} of {}", share, n);
                prop_assert!(count(&labels, &parts.validation, label) > 0);
            }
        }
    }

    #[test]
    fn selected_inputs_are_those_of_the_data_set(counts in prop::array::uniform3(1usize..8), pad_to in 1u32..8, shuffled in any::<bool>(), paper in any::<bool>()) {
        let dataset = dataset(&counts);
        let labels = if shuffled { Labels::Shuffled } else { Labels::True };
        let condition = Condition { pad_to, ..pair(0, 2, labels) };
        let shuffle = if paper { Shuffle::DataSet } else { Shuffle::Condition };
        let selection = select(&dataset, &condition, shuffle).unwrap();
        prop_assert_eq!(selection.samples.len(), counts[0] + counts[2]);
        for (at, sample) in selection.samples.iter().enumerate() {
            let own = &dataset.sequences[sample.origin as usize];
            prop_assert_eq!(sample.last_step, own.steps.min(pad_to) - 1);
            let kept = (own.steps.min(pad_to) * 3) as usize;
            prop_assert_eq!(&selection.input(at)[..kept], &own.values[..kept]);
            prop_assert!(selection.input(at)[kept..].iter().all(|value| *value == 0.0));
        }
    }
}
