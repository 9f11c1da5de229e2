//! Keys of a `[[data]]` that do not go together.

use curvefleet_proto::study::DataFormat;
use curvefleet_proto::study::Generate;

use super::folder::{Folder, assert_says, source};

#[test]
fn each_format_names_the_keys_it_needs_and_those_it_has_no_use_for() {
    let folder = Folder::new();
    assert_says(&folder.refusal(&source(DataFormat::Ts, &[])), &["`ts`", "needs `files`"]);
    assert_says(&folder.refusal(&source(DataFormat::Trec, &["a.txt"])), &["`trec`", "needs `glove`"]);
    assert_says(&folder.refusal(&source(DataFormat::Generated, &["a.txt"])), &["`generated`", "takes no `files`"]);
    let mut wrong = source(DataFormat::Ts, &["a.ts"]);
    wrong.glove = Some("glove.txt".to_string());
    assert_says(&folder.refusal(&wrong), &["`ts`", "no use for `glove`"]);
    let mut wrong = source(DataFormat::Ts, &["a.ts"]);
    wrong.labels = Some("labels.txt".to_string());
    assert_says(&folder.refusal(&wrong), &["no use for `labels`"]);
    let mut wrong = source(DataFormat::Numpy, &["a.npy"]);
    wrong.generate = Some(Generate::default());
    assert_says(&folder.refusal(&wrong), &["`numpy`", "no use for `generate`"]);
    let mut wrong = source(DataFormat::Trec, &["a.txt"]);
    wrong.glove = Some("glove.txt".to_string());
    wrong.text_column = Some("text".to_string());
    assert_says(&folder.refusal(&wrong), &["`trec`", "no use for `text_column`"]);
}
