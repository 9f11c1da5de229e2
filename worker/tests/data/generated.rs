//! The built-in data set: deterministic, and with a learning-curve structure over time.

use curvefleet_proto::study::DataFormat;
use curvefleet_proto::study::Generate;
use curvefleet_worker::data::canonical::sha256;
use curvefleet_worker::data::generated::{CLASSES, generate};
use curvefleet_worker::data::{Dataset, Sequence};

use super::folder::{Folder, assert_says, source};

#[test]
fn the_same_settings_give_the_same_bytes_and_others_do_not() {
    let settings = Generate { items_per_class: 5, ..Generate::default() };
    let dataset = generate(&settings).unwrap();
    assert_eq!(dataset, generate(&settings).unwrap());
    let values = dataset.sequences.iter().flat_map(|sequence| &sequence.values);
    let bytes: Vec<u8> = values.flat_map(|value| value.to_le_bytes()).collect();
    assert_eq!(sha256(&bytes), "a59a593d8423ad4f29f0e2e607ab0e81de3311ff72fb1a88afaac801ab8641b8");
    let other = generate(&Generate { seed: 2, ..settings }).unwrap();
    assert_ne!(dataset.sequences[0].values, other.sequences[0].values);
    // More items only add to the data set.
    let more = generate(&Generate { items_per_class: 6, ..settings }).unwrap();
    assert_eq!(dataset.sequences, more.sequences[..30]);
}

#[test]
fn its_shape_is_as_asked() {
    let mut from = source(DataFormat::Generated, &[]);
    from.generate = Some(Generate { items_per_class: 3, steps: 12, noise: 0.0, seed: 9 });
    let dataset = Folder::new().import(&from).unwrap();
    assert_eq!(dataset.classes, CLASSES);
    assert_eq!((dataset.sequences.len(), dataset.features.len(), dataset.steps_range()), (18, 16, (12, 12)));
    assert!(dataset.class_counts().iter().all(|class| class.count == 3));
    from.generate = None;
    assert_eq!(Folder::new().import(&from).unwrap().sequences.len(), 240);
}

#[test]
fn settings_out_of_range_are_refused() {
    let refusal = |settings: Generate| generate(&settings).unwrap_err().to_string();
    assert_says(&refusal(Generate { items_per_class: 0, ..Generate::default() }), &["items_per_class = 0"]);
    assert_says(&refusal(Generate { steps: 1, ..Generate::default() }), &["fewer than 2"]);
    assert_says(&refusal(Generate { noise: -0.1, ..Generate::default() }), &["noise"]);
    assert_says(&refusal(Generate { noise: f64::NAN, ..Generate::default() }), &["noise"]);
    assert_says(
        &refusal(Generate { items_per_class: u32::MAX, steps: u32::MAX, ..Generate::default() }),
        &["more than 1073741824"],
    );
}

/// How often the nearest class mean of the other half is right, from time steps `from..to` alone.
fn accuracy(dataset: &Dataset, pair: [u32; 2], from: usize, to: usize) -> f64 {
    let features = dataset.features.len();
    let part = |sequence: &Sequence| sequence.values[from * features..to * features].to_vec();
    let of = |label: u32, half: usize| {
        let all: Vec<_> = dataset.sequences.iter().filter(|sequence| sequence.label == label).map(part).collect();
        all.into_iter().enumerate().filter(|(at, _)| at % 2 == half).map(|(_, part)| part).collect::<Vec<_>>()
    };
    let mean = |parts: Vec<Vec<f32>>| -> Vec<f32> {
        (0..parts[0].len()).map(|at| parts.iter().map(|part| part[at]).sum::<f32>() / parts.len() as f32).collect()
    };
    let means = pair.map(|label| mean(of(label, 0)));
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
    let mut right = 0;
    let mut all = 0;
    for (at, label) in pair.into_iter().enumerate() {
        for part in of(label, 1) {
            right += usize::from(distance(&part, &means[at]) < distance(&part, &means[1 - at]));
            all += 1;
        }
    }
    right as f64 / all as f64
}

#[test]
fn classes_come_apart_over_time_and_some_pairs_later_than_others() {
    let dataset = generate(&Generate { items_per_class: 200, ..Generate::default() }).unwrap();
    let windows = [(0, 4), (8, 12), (14, 18), (26, 30)];
    let mut table = Vec::new();
    for a in 0..6u32 {
        for b in a + 1..6 {
            let row = windows.map(|(from, to)| accuracy(&dataset, [a, b], from, to));
            println!("{:>7} {:<7} {:.2?}", CLASSES[a as usize], CLASSES[b as usize], row);
            table.push(row);
        }
    }
    let mean = |at: usize| table.iter().map(|row| row[at]).sum::<f64>() / table.len() as f64;
    assert!(table.iter().all(|row| row[0] < 0.65), "the beginning says little: {table:?}");
    assert!(mean(3) > 0.85, "the end says much: {}", mean(3));
    assert!(mean(0) < mean(1) && mean(1) < mean(2), "{} {} {}", mean(0), mean(1), mean(2));
    let middle: Vec<f64> = table.iter().map(|row| row[1]).collect();
    let spread = middle.iter().cloned().fold(0.0, f64::max) - middle.iter().cloned().fold(1.0, f64::min);
    assert!(spread > 0.15, "pairs differ in difficulty: {middle:?}");
}
