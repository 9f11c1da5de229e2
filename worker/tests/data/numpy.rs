//! NumPy arrays, good and bad.

use std::io::Write;

use curvefleet_proto::study::{DataFormat, DataSource};

use super::folder::{Folder, assert_says, counts, source};

/// The bytes of an `.npy` file, format version 1.
fn npy(kind: &str, fortran: bool, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let extents: String = shape.iter().map(|extent| format!("{extent}, ")).collect();
    let order = if fortran { "True" } else { "False" };
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': {order}, 'shape': ({extents}), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn floats(shape: &[usize], values: &[f32]) -> Vec<u8> {
    npy("<f4", false, shape, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
}

fn integers(values: &[i64]) -> Vec<u8> {
    npy("<i8", false, &[values.len()], &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
}

fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        archive.start_file(format!("{name}.npy"), options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn with_labels() -> DataSource {
    DataSource { labels: Some("labels.txt".to_string()), ..source(DataFormat::Numpy, &["x.npy"]) }
}

/// Two sequences, two steps, three features: 0 to 11.
const NUMBERS: [f32; 12] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0];

#[test]
fn arrays_of_every_type_order_and_endianness_mean_the_same() {
    let c_order: Vec<usize> = (0..12).collect();
    // Element [n, t, f] of the Fortran array stands at n + 2t + 4f.
    let fortran: Vec<usize> = (0..12).map(|at| (at % 2) * 6 + (at / 2 % 2) * 3 + at / 4).collect();
    let bytes = |order: &[usize], encode: &dyn Fn(f32) -> Vec<u8>| {
        order.iter().flat_map(|&at| encode(NUMBERS[at])).collect::<Vec<u8>>()
    };
    let files = [
        npy("<f4", false, &[2, 2, 3], &bytes(&c_order, &|x| x.to_le_bytes().to_vec())),
        npy(">f4", false, &[2, 2, 3], &bytes(&c_order, &|x| x.to_be_bytes().to_vec())),
        npy("<f8", false, &[2, 2, 3], &bytes(&c_order, &|x| f64::from(x).to_le_bytes().to_vec())),
        npy(">f8", true, &[2, 2, 3], &bytes(&fortran, &|x| f64::from(x).to_be_bytes().to_vec())),
        npy("<i2", true, &[2, 2, 3], &bytes(&fortran, &|x| (x as i16).to_le_bytes().to_vec())),
        npy("|u1", false, &[2, 2, 3], &bytes(&c_order, &|x| vec![x as u8])),
        npy(">i8", false, &[2, 2, 3], &bytes(&c_order, &|x| (x as i64).to_be_bytes().to_vec())),
    ];
    for file in files {
        let dataset = Folder::with("x.npy", file).and("labels.txt", "b\r\na\r\n").import(&with_labels()).unwrap();
        assert_eq!(dataset.sequences[0].values, NUMBERS[..6]);
        assert_eq!(dataset.sequences[1].values, NUMBERS[6..]);
        assert_eq!(
            (dataset.classes.as_slice(), dataset.sequences[0].label),
            (["a".to_string(), "b".to_string()].as_slice(), 1)
        );
        assert_eq!((dataset.sequences[0].steps, dataset.features.len()), (2, 3));
    }
}

#[test]
fn two_axes_mean_one_feature_and_labels_may_be_an_array() {
    let mut from_array = source(DataFormat::Numpy, &["x.npy"]);
    from_array.labels = Some("y.npy".to_string());
    let folder = Folder::with("x.npy", floats(&[3, 4], &NUMBERS)).and("y.npy", integers(&[10, 9, 10]));
    let dataset = folder.import(&from_array).unwrap();
    assert_eq!(counts(&dataset), [("9".to_string(), 1), ("10".to_string(), 2)]);
    assert_eq!(dataset.features, ["dim_1"]);
    assert_eq!(dataset.sequences[1].values, [4.0, 5.0, 6.0, 7.0]);
    let names: Vec<u8> = ["up", "down", "up"]
        .iter()
        .flat_map(|name| (0..4).flat_map(|at| name.chars().nth(at).map_or(0, u32::from).to_le_bytes()))
        .collect();
    let folder = Folder::with("x.npy", floats(&[3, 4], &NUMBERS)).and("y.npy", npy("<U4", false, &[3], &names));
    assert_eq!(folder.import(&from_array).unwrap().classes, ["down", "up"]);
}

#[test]
fn an_archive_holds_sequences_labels_and_lengths() {
    let x = floats(&[2, 2, 3], &[0.0, 1.0, 2.0, f32::NAN, f32::NAN, f32::NAN, 6.0, f32::NAN, 8.0, 9.0, 10.0, 11.0]);
    let lengths = integers(&[1, 2]);
    let from = source(DataFormat::Numpy, &["d.npz"]);
    for (data, labels) in [("x", "y"), ("X", "labels"), ("data", "Y")] {
        let archive = npz(&[(data, x.clone()), (labels, integers(&[1, 0])), ("lengths", lengths.clone())]);
        let dataset = Folder::with("d.npz", archive).import(&from).unwrap();
        assert_eq!(dataset.sequences[0].values, [0.0, 1.0, 2.0]);
        assert_eq!(dataset.sequences[1].values, [6.0, 10.0, 8.0, 9.0, 10.0, 11.0]);
        assert_eq!(dataset.provenance.missing_values, 1);
    }
    let without_labels = npz(&[("x", floats(&[2, 2, 3], &NUMBERS))]);
    assert_says(&Folder::with("d.npz", without_labels.clone()).refusal(&from), &["numpy", "d.npz", "`labels`"]);
    let with_file = DataSource { labels: Some("labels.txt".to_string()), ..from.clone() };
    assert!(Folder::with("d.npz", without_labels).and("labels.txt", "a\nb\n").import(&with_file).is_ok());
}

#[test]
fn what_is_wrong_is_said() {
    let x = || floats(&[2, 2, 3], &NUMBERS);
    let refusal = |x: Vec<u8>, labels: &str| Folder::with("x.npy", x).and("labels.txt", labels).refusal(&with_labels());
    assert_says(&refusal(x(), "a\n"), &["labels.txt: ", "1 label for 2 sequences"]);
    assert_says(&refusal(x(), "a\nb\nc\n"), &["labels.txt: ", "3 labels for 2 sequences"]);
    assert_says(&refusal(x(), "a\n\nb\n"), &["labels.txt, line 2: ", "empty"]);
    assert_says(&refusal(x()[..x().len() - 5].to_vec(), "a\nb\n"), &["x.npy: ", "48 bytes", "43 follow", "cut off"]);
    assert_says(&refusal(x()[..20].to_vec(), "a\nb\n"), &["x.npy: ", "header of a NumPy array"]);
    assert_says(&refusal(Vec::new(), "a\nb\n"), &["x.npy: ", "header of a NumPy array"]);
    assert_says(&refusal(floats(&[12], &NUMBERS), "a\nb\n"), &["x.npy: ", "[12]", "[sequences, time steps, features]"]);
    assert_says(&refusal(floats(&[2, 0, 3], &[]), "a\nb\n"), &["x.npy: ", "none of them 0"]);
    assert_says(&refusal(npy("|O", false, &[2, 2], &[1]), "a\nb\n"), &["x.npy: ", "Python objects"]);
    assert_says(&refusal(npy("<c8", false, &[1, 2], &[0; 16]), "a\n"), &["x.npy: ", "<c8", "expected numbers"]);
    assert_says(&refusal(floats(&[2, 1], &[1.0, f32::INFINITY]), "a\nb\n"), &["x.npy: ", "element 1", "finite"]);
    let mut huge = npy("<f4", false, &[1 << 40, 1 << 40], &[0; 4]);
    assert_says(&refusal(huge.clone(), "a\n"), &["x.npy: ", "too many to count"]);
    huge.truncate(40);
    assert_says(&refusal(huge, "a\n"), &["x.npy: "]);
    let mut one_hot = with_labels();
    one_hot.labels = Some("y.npy".to_string());
    let folder = Folder::with("x.npy", x()).and("y.npy", floats(&[2, 2], &[0.0, 1.0, 1.0, 0.0]));
    assert_says(&folder.refusal(&one_hot), &["y.npy: ", "[2, 2]", "one label per sequence"]);
    let folder = Folder::with("x.npy", x()).and("y.npy", floats(&[2], &[0.5, 1.0]));
    assert_says(&folder.refusal(&one_hot), &["y.npy: ", "0.5 is not a label"]);
    assert_says(
        &Folder::with("x.dat", x()).refusal(&source(DataFormat::Numpy, &["x.dat"])),
        &["x.dat: ", ".npy or .npz"],
    );
}

#[test]
fn files_must_agree_on_their_features() {
    let folder = Folder::with("a.npy", floats(&[2, 2, 3], &NUMBERS))
        .and("b.npy", floats(&[2, 3, 2], &NUMBERS))
        .and("labels.txt", "a\nb\na\nb\n");
    let both = DataSource { labels: Some("labels.txt".to_string()), ..source(DataFormat::Numpy, &["a.npy", "b.npy"]) };
    assert_says(&folder.refusal(&both), &["b.npy: ", "2 features", "first file has 3"]);
}

#[test]
fn a_damaged_archive_is_refused() {
    let from = source(DataFormat::Numpy, &["d.npz"]);
    let whole = npz(&[("x", floats(&[2, 2, 3], &NUMBERS)), ("y", integers(&[1, 0])), ("lengths", integers(&[3, 2]))]);
    assert_says(&Folder::with("d.npz", &whole).refusal(&from), &["d.npz: sequence 0: ", "length is 3", "1 to 2"]);
    assert_says(&Folder::with("d.npz", &whole[..whole.len() / 2]).refusal(&from), &["d.npz: ", "archive"]);
    assert_says(&Folder::with("d.npz", "not an archive").refusal(&from), &["d.npz: ", "archive"]);
    assert_says(
        &Folder::with("d.npz", npz(&[("z", integers(&[1]))])).refusal(&from),
        &["d.npz: ", "no array x, X or data", "z"],
    );
    let both = npz(&[("x", floats(&[2, 2], &NUMBERS[..4])), ("data", integers(&[1]))]);
    assert_says(&Folder::with("d.npz", both).refusal(&from), &["d.npz: ", "both"]);
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        let _ = Folder::with("d.npz", damaged).import(&from);
    }
}
