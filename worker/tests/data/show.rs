//! A data set described.

use curvefleet_proto::study::{DataFormat, DataSource};
use curvefleet_worker::data::show::describe;

use super::folder::{Folder, source};

#[test]
fn text_for_people() {
    let content = "the good;joy\nbad;anger\nthe bad the;anger\n";
    let from = DataSource { glove: Some("g.txt".to_string()), ..source(DataFormat::SentenceLabel, &["a.txt"]) };
    let dataset = Folder::with("a.txt", content).and("g.txt", "the 1 2\nbad 3 4\n").import(&from).unwrap();
    let text = describe(&dataset, 2).to_string();
    let expected = "\
a: 3 sequences of 2 features
  length    1 to 3 time steps, median 2
  features  glove_1, glove_2
  classes
     0  anger  2   66.7%
     1  joy    1   33.3%
  format    sentence-label
";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains("  note      2 of 3 different words have a vector"), "{text}");
    assert!(text.ends_with("  first items\n    0  joy  2 steps  the good\n    1  anger  1 step  bad\n"), "{text}");
}

#[test]
fn numbers_for_people_and_json_for_machines() {
    let content = "@classLabel true a b\n@data\n1:2:3:4:5:6:7:8:9:a\n?:2:3:4:5:6:7:8:9:b\n";
    let dataset = Folder::with("x.ts", content).import(&source(DataFormat::Ts, &["x.ts"])).unwrap();
    let description = describe(&dataset, 1);
    let text = description.to_string();
    for part in [
        "length    1 time step, all",
        "dim_8, … (1 more)",
        "missing   1 value (interpolate)",
        "[1.0000 2.0000 3.0000 4.0000 5.0000 6.0000 …]",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let json = serde_json::to_value(&description).unwrap();
    assert_eq!(json["classes"][1]["name"], "b");
    assert_eq!(json["classes"][1]["share"], 0.5);
    assert_eq!(json["first"][0]["first_step"][8], 9.0);
    assert_eq!(json["provenance"]["missing_values"], 1);
}
