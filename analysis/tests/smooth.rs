//! R's `smooth()`: bit for bit on R's own outputs, and properties that hold for every curve.
#![allow(clippy::unwrap_used)]

use curvefleet_analysis::curve::metrics::CurveMetrics;
use curvefleet_analysis::curve::smooth::smooth_3rs3r;
use proptest::prelude::*;

/// Numbers separated by spaces. `str::parse` rounds exactly, which a bit-for-bit test needs.
fn numbers(text: &str) -> Vec<f64> {
    text.split(' ').map(|number| number.parse().unwrap()).collect()
}

/// 144 inputs and outputs of R 4.2.2, among them ties, flats, short series and curves of the authors.
#[test]
fn equals_r_bit_for_bit() {
    let mut vectors = 0;
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    for record in csv::Reader::from_reader(&include_bytes!("data/smooth_3rs3r.csv")[..]).into_records() {
        let record = record.unwrap();
        let (x, y) = (numbers(&record[0]), numbers(&record[1]));
        assert_eq!(bits(&smooth_3rs3r(&x)), bits(&y), "vector {vectors}");
        let metrics = CurveMetrics::of(&x).unwrap();
        assert_eq!(bits(&[metrics.start, metrics.end]), bits(&[y[0], y[y.len() - 1]]), "ends of vector {vectors}");
        assert_eq!(bits(&[metrics.max]), bits(&numbers(&record[2])), "maximum of vector {vectors}");
        assert_eq!(metrics.tmax, numbers(&record[3])[0] / x.len() as f64, "tmax of vector {vectors}");
        vectors += 1;
    }
    assert_eq!(vectors, 144);
}

fn curve() -> impl Strategy<Value = Vec<f64>> {
    // Multiples of 1/20 make ties and flats common, as small probes do.
    prop::collection::vec((0u8..=20).prop_map(|value| f64::from(value) / 20.0), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn constant_curves_stay_as_they_are(value in 0.0..1.0f64, steps in 1usize..50) {
        let curve = vec![value; steps];
        prop_assert_eq!(smooth_3rs3r(&curve), curve);
    }

    #[test]
    fn monotone_curves_stay_as_they_are_inside(mut curve in curve()) {
        curve.sort_by(f64::total_cmp);
        let smoothed = smooth_3rs3r(&curve);
        for i in 1..curve.len().saturating_sub(1) {
            prop_assert_eq!(smoothed[i], curve[i]);
        }
    }

    #[test]
    fn length_is_kept_and_values_stay_near_the_range(curve in curve()) {
        let smoothed = smooth_3rs3r(&curve);
        prop_assert_eq!(smoothed.len(), curve.len());
        // Medians never leave the range; a split peak may take an extrapolated value, but only between two that are there.
        let (low, high) = curve.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
        for value in smoothed {
            prop_assert!(low - 1e-12 <= value && value <= high + 1e-12);
        }
    }

    #[test]
    fn the_mirror_image_of_values_is_smoothed_alike(curve in curve()) {
        let negative: Vec<f64> = curve.iter().map(|value| -value).collect();
        let smoothed: Vec<f64> = smooth_3rs3r(&negative).iter().map(|value| -value).collect();
        prop_assert_eq!(smoothed, smooth_3rs3r(&curve));
    }
}
