//! What a study file means, and what a wrong one is told.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use curvefleet_proto::plan;
use curvefleet_proto::study::file::parse;
use curvefleet_proto::study::{Analysis, ClassCount, Comparisons, DataSummary, Scoring, Study};
use proptest::prelude::*;

const MINIMAL: &str = "name = \"mini\"\n[[data]]\nname = \"joints\"\nformat = \"generated\"\n";

fn summary(classes: &[&str]) -> DataSummary {
    DataSummary {
        sha256: "ab".repeat(32),
        steps_min: 20,
        steps_max: 30,
        feature_names: vec!["x".into(), "y".into(), "z".into()],
        classes: classes.iter().map(|name| ClassCount { name: (*name).into(), count: 40 }).collect(),
    }
}

fn resolve(text: &str) -> Result<Study, String> {
    let summaries = BTreeMap::from([("joints".to_string(), summary(&["up", "down", "wave"]))]);
    parse(text).and_then(|parsed| parsed.resolve(&summaries)).map_err(|error| error.to_string())
}

#[test]
fn a_minimal_file_means_all_pairs_with_both_labels_and_the_papers_lstm() {
    let study = resolve(MINIMAL).unwrap();
    assert_eq!(study.seeds.len(), 20);
    assert_eq!((study.training.epochs, study.training.batch_size), (50, 128));
    assert_eq!(study.probe.scoring, Scoring::HeldOut);
    let cells = plan::cells(&study).unwrap();
    let titles: Vec<String> = cells.iter().map(plan::Cell::title).collect();
    assert_eq!(titles.len(), 6);
    assert_eq!(titles[0], "joints up/down (true labels, lstm)");
    assert_eq!(titles[1], "joints up/down (shuffled labels, lstm)");
}

#[test]
fn the_papers_preset_gives_the_papers_choices_throughout() {
    let study = resolve(&MINIMAL.replace("name = \"mini\"", "name = \"mini\"\npreset = \"paper\"")).unwrap();
    let toml = study.to_toml().unwrap();
    for choice in [
        "split = \"random\"",
        "oversample = \"pool\"",
        "shuffle = \"data-set\"",
        "evaluation = \"batch\"",
        "read_out = \"last-step\"",
        "scoring = \"resubstitution\"",
        "states = \"training-passes\"",
    ] {
        assert!(toml.contains(choice), "{choice} is missing in\n{toml}");
    }
}

#[test]
fn a_stored_study_is_a_study_file_again_and_means_the_same() {
    let typed = format!(
        "{MINIMAL}[data.generate]\nsteps = 12\n[[conditions]]\nname = \"xy\"\nclasses = [[\"up\", \"wave\"]]\nfeatures = [\"y\", \"x\"]\npad_to = 10\n[[conditions]]\nclasses = \"all\"\nlabels = [\"true\"]\n[[models]]\nname = \"small\"\nkind = \"lstm\"\nhidden = 7\nlayers = 2\n"
    );
    let study = resolve(&typed).unwrap();
    let stored = study.to_toml().unwrap();
    let again = parse(&stored).unwrap().resolve_stored().unwrap_or_else(|error| panic!("{error}\n{stored}"));
    assert_eq!(again, study);
    assert_eq!(study.conditions[0].features, ["x", "y"], "features keep the data set's order");
}

#[test]
fn wrong_files_are_told_the_line_the_key_and_what_is_allowed() {
    let wrong = [
        ("name = \"a b\"\n", "line 1", "letters, digits"),
        (
            "name = \"m\"\nsede = 3\n[[data]]\nname = \"joints\"\nformat = \"generated\"\n",
            "line 2",
            "unknown field `sede`",
        ),
        ("name = \"m\"\nseeds = 0\n[[data]]\nname = \"joints\"\nformat = \"generated\"\n", "line 2", "at least 1"),
        (
            "name = \"m\"\nseeds = [1, 2, 1]\n[[data]]\nname = \"joints\"\nformat = \"generated\"\n",
            "line 2",
            "named twice",
        ),
        (
            "name = \"m\"\nseeds = \"many\"\n[[data]]\nname = \"joints\"\nformat = \"generated\"\n",
            "line 2",
            "a count such as",
        ),
        ("name = \"m\"\npreset = \"loud\"\n[[data]]\nname = \"joints\"\nformat = \"generated\"\n", "line 2", "`sound`"),
        (
            "name = \"m\"\npack_size = 9\n[[data]]\nname = \"joints\"\nformat = \"generated\"\n",
            "line 2",
            "between 1 and `shard_size`",
        ),
        ("name = \"m\"\n", "", "[[data]]"),
        ("name = \"m\"\n[[data]]\nname = \"joints\"\nformat = \"mat\"\n", "line 4", "`ts`"),
        ("name = \"m\"\n[[data]]\nname = \"joints\"\nformat = \"ts\"\n", "line 4", "`files`"),
        ("name = \"m\"\n[[data]]\nname = \"joints\"\nformat = \"trec\"\nfiles = [\"a\"]\n", "line 4", "`glove`"),
    ];
    for (text, line, words) in wrong {
        let error = resolve(text).unwrap_err();
        assert!(error.starts_with(line) && error.contains(words), "{text}\n gave: {error}");
    }
    let added = [
        ("[training]\nepochs = 0\n", "line 6", "`training.epochs` must be between"),
        ("[training]\nlearning_rate = -1.0\n", "line 6", "above 0"),
        ("[probe]\nk = 0\n", "line 6", "between 1 and 1000"),
        ("[probe]\nscoring = \"cheating\"\n", "line 6", "`held-out`"),
        ("[[conditions]]\nclasses = [[\"up\", \"left\"]]\n", "line 6", "`down`"),
        ("[[conditions]]\nclasses = [[\"up\"]]\n", "line 6", "fewer than two"),
        ("[[conditions]]\nfeatures = [\"q\"]\n", "line 6", "x, y, z"),
        ("[[conditions]]\npad_to = 0\n", "line 6", "between 1 and"),
        ("[[conditions]]\ndata = \"legs\"\n", "line 6", "`joints`"),
        ("[[conditions]]\n[[conditions]]\n", "line 6", "`name` of its own"),
        ("[[models]]\nkind = \"lstm\"\n[[models]]\nname = \"b\"\nkind = \"lstm\"\n", "line 7", "same network"),
        ("[[models]]\nkind = \"perceptron\"\n", "line 6", "`lstm`"),
        ("[[models]]\nkind = \"gru\"\nheads = 2\n", "line 7", "goes with `kind = \"transformer\"`"),
        ("[[models]]\nkind = \"transformer\"\nhidden = 6\nheads = 4\n", "line 8", "does not divide the hidden size 6"),
        ("[[models]]\nkind = \"transformer\"\nheads = 2\n", "line 7", "does not divide the hidden size 3"),
        ("[[models]]\nkind = \"rnn\"\ndropout = 0.5\n", "line 7", "one layer"),
        ("[[models]]\nkind = \"rnn\"\nlayers = 2\ndropout = 1.0\n", "line 8", "below 1"),
        ("[[models]]\nkind = \"mean-pool\"\nhidden = 4\n", "line 7", "has no layers"),
        ("[probe]\nl2 = 0.0\n", "line 6", "above 0"),
        ("[probe]\nkind = \"logistic\"\nscoring = \"leave-one-out\"\n", "line 7", "held-out"),
        ("[training]\nclass_weights = \"some\"\n", "line 6", "`balanced`"),
        ("[analysis]\nmetric = [\"max\"]\n", "line 6", "unknown field `metric`"),
        ("[analysis]\nmetrics = [\"auc\"]\n", "line 6", "`end-minus-start`"),
        ("[analysis]\nmetrics = []\n", "line 6", "each of them once"),
        ("[analysis]\nseed = 3\nmetrics = [\"max\", \"max\"]\n", "line 7", "each of them once"),
        ("[analysis]\ninterval_level = 95\n", "line 6", "0.95 is 95%"),
        ("[analysis]\nresamples = 10\n", "line 6", "between 100 and 1000000"),
        ("[analysis]\ncorrection = \"bonferroni\"\n", "line 6", "`benjamini-hochberg`"),
        ("[analysis]\nfamily = \"mine\"\n", "line 6", "`metric`"),
        ("[analysis]\nseed = 9223372036854775808\n", "line 6", ""),
        ("[analysis]\ncomparisons = \"some\"\n", "line 6", "a list of pairs such as"),
        ("[analysis]\ncomparisons = []\n", "line 6", "write \"none\""),
        ("[analysis]\ncomparisons = [[\"up/down\"]]\n", "line 6", "must name two"),
        ("[analysis]\ncomparisons = [[\"up/down\", \"up/left\"]]\n", "line 6", "there is up/down, up/wave, down/wave"),
        ("[analysis]\ncomparisons = [[\"up/down\", \"up/down\"]]\n", "line 6", "one condition twice"),
        (
            "[analysis]\ncomparisons = [[\"up/down\", \"up/wave\"], [\"up/wave\", \"up/down\"]]\n",
            "line 6",
            "is there twice",
        ),
        (
            "[analysis]\ncomparisons = [[\"up/down\", \"up/wave\"]]\n[[conditions]]\nlabels = [\"shuffled\"]\n",
            "line 6",
            "with true labels",
        ),
    ];
    for (tail, line, words) in added {
        let error = resolve(&format!("{MINIMAL}{tail}")).unwrap_err();
        assert!(error.starts_with(line) && error.contains(words), "{tail}\n gave: {error}");
    }
}

#[test]
fn declared_tests_have_defaults_and_are_stored() {
    let study = resolve(MINIMAL).unwrap();
    assert_eq!(study.analysis, Analysis::default());
    let stored = study.to_toml().unwrap();
    let table = "[analysis]\nmetrics = [\"start\", \"end\", \"max\", \"tmax\"]\ncomparisons = \"all\"\nfamily = \"metric\"\n\
                 correction = \"holm\"\ninterval_level = 0.95\nresamples = 10000\nseed = 1\n";
    assert!(stored.contains(table), "{stored}");
    let typed = "[analysis]\nmetrics = [\"end-minus-start\"]\ncomparisons = [[\"up/wave\", \"up/down\"]]\nfamily = \"study\"\n\
                 correction = \"benjamini-hochberg\"\ninterval_level = 0.9\nresamples = 500\nseed = 7\n";
    let study = resolve(&format!("{MINIMAL}{typed}")).unwrap();
    let pair = ["up/wave".to_string(), "up/down".to_string()];
    assert_eq!(study.analysis.comparisons, Comparisons::Listed(vec![pair]));
    let stored = study.to_toml().unwrap();
    assert!(stored.contains(typed), "{stored}");
    assert_eq!(parse(&stored).unwrap().resolve_stored().unwrap(), study);
}

/// The stored file has every default written out, and still says which keys the author typed.
#[test]
fn what_was_declared_is_told_from_what_is_a_default() {
    use curvefleet_proto::study::AnalysisKey;
    let study = resolve(&format!("{MINIMAL}[analysis]\nmetrics = [\"max\"]\nseed = 1\n")).unwrap();
    assert_eq!(study.analysis.declared, [AnalysisKey::Metrics, AnalysisKey::Seed]);
    let stored = study.to_toml().unwrap();
    assert!(stored.contains("declared = [\"metrics\", \"seed\"]\n"), "{stored}");
    assert_eq!(parse(&stored).unwrap().resolve_stored().unwrap(), study);
    let defaults = resolve(MINIMAL).unwrap().to_toml().unwrap();
    assert!(parse(&defaults).unwrap().resolve_stored().unwrap().analysis.declared.is_empty(), "{defaults}");
    let error = resolve(&format!("{MINIMAL}[analysis]\nseed = 1\ndeclared = [\"metrics\"]\n")).unwrap_err();
    assert!(error.starts_with("line 7") && error.contains("leave it out"), "{error}");
}

/// A condition's name may stand in two data sets; a comparison needs both of its conditions in one of them.
#[test]
fn comparisons_stay_within_a_data_set() {
    let two = |tail: &str| {
        let text = format!("{MINIMAL}[[data]]\nname = \"hands\"\nformat = \"generated\"\n{tail}");
        let summaries = BTreeMap::from([
            ("joints".to_string(), summary(&["up", "down", "wave"])),
            ("hands".to_string(), summary(&["up", "down", "fist"])),
        ]);
        parse(&text).and_then(|parsed| parsed.resolve(&summaries)).map_err(|error| error.to_string())
    };
    assert!(two("[analysis]\ncomparisons = [[\"up/down\", \"up/fist\"], [\"up/down\", \"up/wave\"]]\n").is_ok());
    let error = two("[analysis]\ncomparisons = [[\"up/wave\", \"up/fist\"]]\n").unwrap_err();
    assert!(error.starts_with("line 9") && error.contains("different data sets"), "{error}");
}

#[test]
fn models_are_called_by_their_kind_and_heads_divide_what_they_are_given() {
    let kinds = ["lstm", "gru", "rnn", "transformer", "mean-pool"];
    let models: String = kinds.iter().map(|kind| format!("[[models]]\nkind = \"{kind}\"\n")).collect();
    let study =
        resolve(&format!("{MINIMAL}{models}[[models]]\nname = \"wide\"\nkind = \"transformer\"\nhidden = 12\n"))
            .unwrap();
    let names: Vec<&str> = study.models.iter().map(|model| model.name.as_str()).collect();
    assert_eq!(names, [&kinds[..], &["wide"]].concat());
    let cells = plan::cells(&study).unwrap();
    let heads: Vec<u32> = cells[..6].iter().map(|cell| plan::RunSettings::of(&study, cell).model.heads).collect();
    assert_eq!(heads, [1, 1, 1, 1, 1, 4], "three features have one head, twelve units four");
}

#[test]
fn a_run_id_follows_from_what_decides_its_numbers_and_from_nothing_else() {
    let ids = |text: &str| -> Vec<String> {
        plan::shards(&resolve(text).unwrap())
            .unwrap()
            .flat_map(|shard| shard.runs().map(|run| run.id.to_string()).collect::<Vec<_>>())
            .collect()
    };
    let base = ids(MINIMAL);
    assert_eq!(base.len(), 6 * 20);
    let renamed = MINIMAL.replace("mini", "other") + "[[models]]\nname = \"renamed\"\nkind = \"lstm\"\nhidden = 3\n";
    assert_eq!(ids(&renamed), base, "names of study and model do not decide numbers, nor does writing a default out");
    assert_eq!(ids(&MINIMAL.replace("name = \"mini\"", "name = \"mini\"\nshard_size = 7")), base);
    let declared = "[analysis]\nmetrics = [\"max\"]\ncomparisons = \"none\"\ninterval_level = 0.99\nseed = 9\n";
    assert_eq!(ids(&format!("{MINIMAL}{declared}")), base, "tests decide no run's numbers");
    for change in [
        "[training]\nepochs = 51\n",
        "[probe]\nk = 5\n",
        "[[conditions]]\npad_to = 29\n",
        "[[models]]\nkind = \"lstm\"\nhidden = 4\n",
    ] {
        let changed = ids(&format!("{MINIMAL}{change}"));
        assert!(changed.iter().all(|id| !base.contains(id)), "{change}");
    }
}

/// A list of a million seeds would not fit into the file that is stored.
#[test]
fn very_many_seeds_are_stored_as_a_count() {
    let study = resolve(&MINIMAL.replace("name = \"mini\"", "name = \"mini\"\nseeds = 1000000")).unwrap();
    let stored = study.to_toml().unwrap();
    assert!(stored.contains("seeds = 1000000\n") && stored.len() < 10_000);
    assert_eq!(parse(&stored).unwrap().resolve_stored().unwrap(), study);
    let few = resolve(&MINIMAL.replace("name = \"mini\"", "name = \"mini\"\nseeds = 3")).unwrap();
    assert!(
        few.to_toml().unwrap().contains("seeds = [\n    0,") || few.to_toml().unwrap().contains("seeds = [0, 1, 2]")
    );
}

proptest! {
    /// However seeds are sharded, every run of the plan stands in one shard, and no shard is larger than was asked.
    #[test]
    fn shards_partition_the_runs(seeds in 1_u32..40, shard_size in 1_u32..12) {
        let study = resolve(&MINIMAL.replace("name = \"mini\"", &format!("name = \"mini\"\nseeds = {seeds}\nshard_size = {shard_size}"))).unwrap();
        let shards: Vec<_> = plan::shards(&study).unwrap().collect();
        let runs: std::collections::HashSet<_> = shards.iter().flat_map(|shard| shard.runs().map(|run| run.id).collect::<Vec<_>>()).collect();
        prop_assert_eq!(runs.len(), 6 * seeds as usize);
        prop_assert!(shards.iter().all(|shard| shard.seeds.len() <= shard_size as usize));
        let ids: std::collections::HashSet<_> = shards.iter().map(|shard| shard.shard.clone()).collect();
        prop_assert_eq!(ids.len(), shards.len());
    }

    /// A study file is never a reason to panic.
    #[test]
    fn any_text_is_parsed_or_refused(text in "\\PC{0,200}") {
        let _ = parse(&text).map(|parsed| parsed.check());
    }
}

/// What runs need of their workers is checked, is no part of what they are, and survives being stored.
#[test]
fn requirements_are_the_models_and_else_the_studys() {
    let plain = "name = \"s\"\n[[data]]\nname = \"joints\"\nformat = \"generated\"\n[[models]]\nkind = \"lstm\"\n[[models]]\nkind = \"gru\"\n";
    let needy =
        format!("{plain}requires = {{ gpu = \"h100\" }}\n[requires]\ncores = 4\nlabels = {{ site = \"basel\" }}\n");
    let study = resolve(&needy).unwrap();
    assert_eq!(study.requirement_of("lstm").describe(), "4 cores and the label site=basel");
    assert_eq!(study.requirement_of("gru").describe(), "4 cores, a graphics card h100 and the label site=basel");
    assert_eq!(study.requirements().len(), 2);
    let stored = parse(&study.to_toml().unwrap()).unwrap().resolve_stored().unwrap();
    assert_eq!(stored, study);
    let ids = |study: &Study| {
        let shards = plan::shards(study).unwrap();
        shards.flat_map(|shard| shard.runs().map(|run| run.id).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&study), ids(&resolve(plain).unwrap()));
    for (wrong, word) in [
        ("[requires]\ncores = 0\n", "cores"),
        ("[requires]\nmemory_gib = -1.0\n", "memory_gib"),
        ("[requires]\nlabels = { site = \"\" }\n", "labels"),
        ("[requires]\ncoers = 1\n", "coers"),
    ] {
        let error = resolve(&format!("{plain}{wrong}")).unwrap_err();
        assert!(error.contains(word) && error.contains("line"), "{error}");
    }
}
