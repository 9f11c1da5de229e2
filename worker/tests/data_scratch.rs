#![allow(clippy::unwrap_used, missing_docs)]
use std::sync::Arc; use std::ops::ControlFlow;
use curvefleet_proto::study::*; use curvefleet_proto::study::file::Generate;
use curvefleet_proto::plan::{*, run::RunModel};
use curvefleet_worker::data::{generated::*, prepare::*};
use curvefleet_worker::train::{train, backend};
#[test] fn learn() {
    let items: u32 = std::env::var("ITEMS").unwrap_or("40".into()).parse().unwrap();
    let noise: f64 = std::env::var("NOISE").unwrap_or("0.15".into()).parse().unwrap();
    let epochs: u32 = std::env::var("EPOCHS").unwrap_or("30".into()).parse().unwrap();
    let d = generate(&Generate { items_per_class: items, noise, ..Generate::default() }).unwrap();
    let dev = backend::device();
    for a in 0..6 { for b in a+1..6 { for labels in [Labels::True, Labels::Shuffled] { if labels==Labels::Shuffled && b != a+1 {continue}
        let condition = Condition { classes: vec![CLASSES[a].into(), CLASSES[b].into()], labels, features: (0..16).collect(), pad_to: 30 };
        let training = Training { epochs, batch_size: 16, learning_rate: 3e-3, ..Preset::Sound.training() };
        let s = RunSettings { numbers_version: 1, data_sha256: String::new(), condition: condition.clone(), model: RunModel { kind: ModelKind::Lstm, hidden: 16, layers: 1 }, training: training.clone(), probe: Preset::Sound.probe() };
        let sel = Arc::new(select(&d, &condition, training.shuffle).unwrap());
        let (mut acc, mut test, mut curve, mut mid) = (0.0, 0.0, vec![0.0; 30], 0.0);
        let n = 3;
        for seed in 0..n { let c = train(&s, seed, &sel, &dev, &mut |_| ControlFlow::Continue(())).unwrap();
            let e = c.epochs.last().unwrap(); acc += e.validation.accuracy.unwrap()/n as f64; test += e.test.as_ref().unwrap().accuracy.unwrap()/n as f64;
            mid += c.epochs[c.epochs.len()/3].validation.accuracy.unwrap()/n as f64;
            for (m, v) in curve.iter_mut().zip(&e.curve) { *m += v/n as f64; } }
        let k: Vec<_> = [0,4,8,12,16,20,25,29].iter().map(|t| format!("{:.2}", curve[*t])).collect();
        println!("{:>7} {:<7} {:<9} third {mid:.2} val {acc:.2} test {test:.2}  probe {}", CLASSES[a], CLASSES[b], labels.as_str(), k.join(" "));
    }}}
}
