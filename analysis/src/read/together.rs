//! Several studies' results as one, so that they are compared in one report.
//!
//! Where several studies have runs of one data set and model, their conditions carry the study's name (`quick:joy/anger`), each study
//! keeps its own pooled control, and the conditions that they share are compared across studies. What was tested within a study is in that
//! study's own report.

use std::collections::{BTreeSet, HashMap, HashSet};

use curvefleet_proto::study::{Analysis, AnalysisKey, Comparisons, ComparisonsKeyword, Study};

use super::results::{Cell, Results};
use super::study::StoredStudy;
use crate::error::Error;

/// Puts the results of one or more studies together.
///
/// # Errors
/// If a study is named twice, or their metrics cannot be compared.
pub fn together(mut all: Vec<Results>) -> Result<Results, Error> {
    check(&all.iter().map(|results| &results.stored.study).collect::<Vec<_>>())?;
    let shared = shared_groups(&all);
    let doubled = doubled_runs(&all);
    let comparisons = comparisons(&all, &shared);
    for results in &mut all {
        let name = results.stored.study.name.clone();
        for cell in &mut results.cells {
            let key = &mut cell.planned.key;
            if shared.contains(&(key.data.clone(), key.model.clone())) {
                key.condition = format!("{name}:{}", key.condition);
                cell.planned.set = [name.as_str(), &cell.planned.set].join(" ").trim_end().to_string();
            }
            rename_doubled_runs(cell, &doubled, &name);
        }
        for missing in &mut results.missing {
            let key = &mut missing.key;
            if shared.contains(&(key.data.clone(), key.model.clone())) {
                key.condition = format!("{name}:{}", key.condition);
            }
        }
    }
    let mut rest = all.into_iter();
    // `check` has seen to it that there is one.
    let Some(mut joined) = rest.next() else { return Err(Error::Incomparable("no study was named".to_string())) };
    let first = joined.stored.clone();
    for results in rest {
        join(&mut joined, results);
    }
    if !joined.others.is_empty() {
        joined.own = Some(first);
        let (names, analysis) = (joined.names(), &mut joined.stored.study.analysis);
        joined.stored.study.name = names.join(" and ");
        joined.stored.study.description = format!("{} studies, compared", names.len());
        analysis.comparisons = comparisons;
        analysis.declared.retain(|key| *key != AnalysisKey::Comparisons);
    }
    joined.doubled_runs = doubled.len();
    Ok(joined)
}

fn check(studies: &[&Study]) -> Result<(), Error> {
    let mut names = BTreeSet::new();
    let refuse = |reason: String| Err(Error::Incomparable(reason));
    if studies.is_empty() {
        return refuse("no study was named".to_string());
    }
    for study in studies {
        if !names.insert(&study.name) {
            return refuse(format!("the study `{}` is named twice", study.name));
        }
    }
    let first = studies[0];
    for other in &studies[1..] {
        let (ours, theirs) = (&first.probe, &other.probe);
        if ours != theirs {
            let words = |study: &Study| crate::report::page_settings::probe_words(&study.probe);
            return refuse(format!(
                "the studies `{}` and `{}` cannot be compared: their probes differ ({}; {}{}), and so does what an accuracy means",
                first.name,
                other.name,
                words(first),
                words(other),
                if words(first) == words(other) { "; they read other states" } else { "" }
            ));
        }
        if first.analysis.metrics.iter().collect::<Vec<_>>() != other.analysis.metrics.iter().collect::<Vec<_>>() {
            return refuse(format!(
                "the studies `{}` and `{}` cannot be compared: their [analysis] parts name other metrics",
                first.name, other.name
            ));
        }
    }
    Ok(())
}

/// The data sets and models that more than one study has.
fn shared_groups(all: &[Results]) -> HashSet<(String, String)> {
    let mut studies: HashMap<(String, String), BTreeSet<usize>> = HashMap::new();
    for (place, results) in all.iter().enumerate() {
        for cell in &results.cells {
            let key = &cell.planned.key;
            studies.entry((key.data.clone(), key.model.clone())).or_default().insert(place);
        }
    }
    studies.into_iter().filter(|(_, places)| places.len() > 1).map(|(group, _)| group).collect()
}

/// Runs that several studies have: the same training, done once.
fn doubled_runs(all: &[Results]) -> HashSet<String> {
    let mut seen = HashSet::new();
    let runs = all.iter().flat_map(|results| &results.cells).flat_map(|cell| &cell.runs);
    runs.filter(|run| !seen.insert(run.run.as_str())).map(|run| run.run.clone()).collect()
}

/// A run of several studies has a row in each, under a name of its own.
fn rename_doubled_runs(cell: &mut Cell, doubled: &HashSet<String>, study: &str) {
    for run in &mut cell.runs {
        if doubled.contains(&run.run) {
            run.run = format!("{study}:{}", run.run);
        }
    }
}

/// The pairs that are compared: across studies those that they share, and elsewhere what each study asks for.
fn comparisons(all: &[Results], shared: &HashSet<(String, String)>) -> Comparisons {
    let mut pairs: Vec<[String; 2]> = Vec::new();
    let mut add = |pair: [String; 2]| {
        if !pairs.contains(&pair) {
            pairs.push(pair);
        }
    };
    let truths = |results: &Results, is_shared: bool| {
        let cells = results.cells.iter().map(|cell| &cell.planned.key).filter(|key| !key.shuffled);
        let of_kind = cells.filter(|key| shared.contains(&(key.data.clone(), key.model.clone())) == is_shared);
        of_kind.map(|key| (key.data.clone(), key.model.clone(), key.condition.clone())).collect::<Vec<_>>()
    };
    for (place, first) in all.iter().enumerate() {
        for second in &all[place + 1..] {
            let theirs = truths(second, true);
            for key in truths(first, true).into_iter().filter(|key| theirs.contains(key)) {
                add([
                    format!("{}:{}", first.stored.study.name, key.2),
                    format!("{}:{}", second.stored.study.name, key.2),
                ]);
            }
        }
    }
    for results in all {
        let own = truths(results, false);
        match &results.stored.study.analysis.comparisons {
            Comparisons::Keyword(ComparisonsKeyword::None) => {}
            Comparisons::Listed(listed) => listed.iter().cloned().for_each(&mut add),
            Comparisons::Keyword(ComparisonsKeyword::All) => {
                for (index, first) in own.iter().enumerate() {
                    let same_group =
                        own[index + 1..].iter().filter(|second| (&second.0, &second.1) == (&first.0, &first.1));
                    same_group.for_each(|second| add([first.2.clone(), second.2.clone()]));
                }
            }
        }
    }
    Comparisons::Listed(pairs)
}

fn join(joined: &mut Results, results: Results) {
    joined.cells.extend(results.cells);
    joined.missing.extend(results.missing);
    joined.pending += results.pending;
    joined.run_maps = joined.run_maps.and(results.run_maps);
    for part in results.provenance {
        if !joined.provenance.contains(&part) {
            joined.provenance.push(part);
        }
    }
    let (ours, theirs) = (&mut joined.stored.study, &results.stored.study);
    for data in &theirs.data {
        if !ours.data.iter().any(|known| known.name == data.name && known.summary.sha256 == data.summary.sha256) {
            ours.data.push(data.clone());
        }
    }
    for model in &theirs.models {
        if !ours.models.iter().any(|known| known.name == model.name) {
            ours.models.push(model.clone());
        }
    }
    if theirs.seeds.len() > ours.seeds.len() {
        ours.seeds = theirs.seeds.clone();
    }
    ours.training.epochs = ours.training.epochs.max(theirs.training.epochs);
    joined.others.push(results.stored);
}

impl Results {
    /// The names of the studies.
    pub fn names(&self) -> Vec<String> {
        self.studies().map(|stored| stored.study.name.clone()).collect()
    }

    /// The studies as they were submitted, in the order that they were named.
    pub fn studies(&self) -> impl Iterator<Item = &StoredStudy> {
        std::iter::once(self.own.as_ref().unwrap_or(&self.stored)).chain(&self.others)
    }
}

/// Whether two studies' analyses ask for the same beside their pairs.
pub fn same_settings(first: &Analysis, other: &Analysis) -> bool {
    (first.family, first.correction, first.resamples, first.seed)
        == (other.family, other.correction, other.resamples, other.seed)
        && first.interval_level == other.interval_level
}
