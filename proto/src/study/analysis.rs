//! `[analysis]`: which tests a study declares before its runs. It decides no run's numbers, so that it is no part of a run's id.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::error::{Error, Step};
use super::file::Parsed;
use super::resolve::SEED_MAX;
use super::settings::{ConditionSet, Labels};

/// Fewest and most resamples: with fewer a 95% interval rests on two or three of them, and more change no digit that is printed.
const RESAMPLES: std::ops::RangeInclusive<u32> = 100..=1_000_000;

/// The tests that a study declares, with every default written out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Analysis {
    /// The curve metrics that are tested.
    pub metrics: Vec<CurveMetric>,
    /// The pairs of conditions that are compared.
    pub comparisons: Comparisons,
    /// Which pairwise tests are corrected together.
    pub family: Family,
    /// The correction of their p-values.
    pub correction: Correction,
    /// How much confidence intervals cover; 0.95 is 95%.
    pub interval_level: f64,
    /// Bootstrap resamples and random permutations.
    pub resamples: u32,
    /// What they are drawn from.
    pub seed: u64,
    /// Which of these the study's author wrote down beforehand; the others are defaults.
    pub declared: Vec<AnalysisKey>,
}

impl Default for Analysis {
    /// What method.md 4b asks for.
    fn default() -> Self {
        Analysis {
            metrics: vec![CurveMetric::Start, CurveMetric::End, CurveMetric::Max, CurveMetric::Tmax],
            comparisons: Comparisons::Keyword(ComparisonsKeyword::All),
            family: Family::Metric,
            correction: Correction::Holm,
            interval_level: 0.95,
            resamples: 10_000,
            seed: 1,
            declared: Vec::new(),
        }
    }
}

/// A key of `[analysis]` that an author can write down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnalysisKey {
    /// [`Analysis::metrics`].
    Metrics,
    /// [`Analysis::comparisons`].
    Comparisons,
    /// [`Analysis::family`].
    Family,
    /// [`Analysis::correction`].
    Correction,
    /// [`Analysis::interval_level`].
    IntervalLevel,
    /// [`Analysis::resamples`].
    Resamples,
    /// [`Analysis::seed`].
    Seed,
}

/// A metric of a probe curve (method.md 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CurveMetric {
    /// Accuracy at the first step.
    Start,
    /// Accuracy at the last step.
    End,
    /// The highest accuracy.
    Max,
    /// Where it is first met.
    Tmax,
    /// What the sequence added.
    EndMinusStart,
}

/// Which conditions with true labels are compared in pairs, within each data set and model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Comparisons {
    /// `all` or `none`.
    Keyword(ComparisonsKeyword),
    /// These pairs, by the conditions' names.
    Listed(Vec<[String; 2]>),
}

/// The sets of comparisons that have a word of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ComparisonsKeyword {
    /// Every pair.
    All,
    /// No pair.
    None,
}

/// Which pairwise tests are corrected together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Those of one metric, one data set and one model.
    Metric,
    /// All of the study.
    Study,
}

/// How the p-values of a family are corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Correction {
    /// Holm's: the chance of any false finding in the family.
    Holm,
    /// Benjamini and Hochberg's: the share of false ones among the findings.
    BenjaminiHochberg,
}

/// `[analysis]` as it was typed: see [`Analysis`] for the keys.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct AnalysisEntry {
    pub metrics: Option<Vec<CurveMetric>>,
    pub comparisons: Option<ComparisonsEntry>,
    pub family: Option<Family>,
    pub correction: Option<Correction>,
    pub interval_level: Option<f64>,
    pub resamples: Option<u32>,
    pub seed: Option<u64>,
    pub declared: Option<Vec<AnalysisKey>>,
}

impl AnalysisEntry {
    /// The keys that are there.
    fn typed_keys(&self) -> Vec<AnalysisKey> {
        let keys = [
            (AnalysisKey::Metrics, self.metrics.is_some()),
            (AnalysisKey::Comparisons, self.comparisons.is_some()),
            (AnalysisKey::Family, self.family.is_some()),
            (AnalysisKey::Correction, self.correction.is_some()),
            (AnalysisKey::IntervalLevel, self.interval_level.is_some()),
            (AnalysisKey::Resamples, self.resamples.is_some()),
            (AnalysisKey::Seed, self.seed.is_some()),
        ];
        keys.into_iter().filter_map(|(key, typed)| typed.then_some(key)).collect()
    }
}

/// `comparisons` as it was typed.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected \"all\", \"none\" or a list of pairs such as [[\"joy/anger\", \"joy/fear\"]]")]
pub enum ComparisonsEntry {
    /// `all` or `none`.
    Keyword(ComparisonsKeyword),
    /// Which, by the conditions' names.
    Listed(Vec<Vec<String>>),
}

impl Parsed {
    /// Checks what can be checked without the conditions.
    pub(super) fn check_analysis(&self) -> Result<(), Error> {
        let analysis = self.merged_analysis();
        let distinct = analysis.metrics.iter().collect::<HashSet<_>>().len() == analysis.metrics.len();
        let typed = self.file.analysis.typed_keys();
        let rules: [(&'static str, bool, String); 5] = [
            ("metrics", distinct && !analysis.metrics.is_empty(), "a list of metrics, each of them once".to_string()),
            (
                "interval_level",
                analysis.interval_level > 0.0 && analysis.interval_level < 1.0,
                "between 0 and 1, both excluded; 0.95 is 95%".to_string(),
            ),
            (
                "resamples",
                RESAMPLES.contains(&analysis.resamples),
                format!("between {} and {}", RESAMPLES.start(), RESAMPLES.end()),
            ),
            ("seed", analysis.seed <= SEED_MAX, format!("at most {SEED_MAX}")),
            (
                "declared",
                analysis.declared.iter().all(|key| typed.contains(key)),
                "a list of keys that stand beside it; leave it out of a file of your own, where every key is declared"
                    .to_string(),
            ),
        ];
        match rules.iter().find(|(_, holds, _)| !holds) {
            Some((key, _, rule)) => Err(self.analysis_error(key, format!("`analysis.{key}` must be {rule}"))),
            None => Ok(()),
        }
    }

    /// The declared tests of a study with these conditions.
    pub(super) fn analysis(&self, sets: &[ConditionSet]) -> Result<Analysis, Error> {
        self.check_analysis()?;
        let mut analysis = self.merged_analysis();
        match &self.file.analysis.comparisons {
            None => {}
            Some(ComparisonsEntry::Keyword(keyword)) => analysis.comparisons = Comparisons::Keyword(*keyword),
            Some(ComparisonsEntry::Listed(typed)) => {
                let listed =
                    listed_pairs(typed, sets).map_err(|message| self.analysis_error("comparisons", message))?;
                analysis.comparisons = Comparisons::Listed(listed);
            }
        }
        Ok(analysis)
    }

    /// Defaults for what was not typed, apart from the comparisons.
    fn merged_analysis(&self) -> Analysis {
        let (typed, base) = (&self.file.analysis, Analysis::default());
        Analysis {
            metrics: typed.metrics.clone().unwrap_or(base.metrics),
            comparisons: base.comparisons,
            family: typed.family.unwrap_or(base.family),
            correction: typed.correction.unwrap_or(base.correction),
            interval_level: typed.interval_level.unwrap_or(base.interval_level),
            resamples: typed.resamples.unwrap_or(base.resamples),
            seed: typed.seed.unwrap_or(base.seed),
            // A stored file has every default written out, so that it says itself which keys were typed.
            declared: typed.declared.clone().unwrap_or_else(|| typed.typed_keys()),
        }
    }

    fn analysis_error(&self, key: &'static str, message: String) -> Error {
        self.error(&[Step::Key("analysis"), Step::Key(key)], message)
    }
}

/// The pairs that were typed, if each names two conditions of one data set.
fn listed_pairs(typed: &[Vec<String>], sets: &[ConditionSet]) -> Result<Vec<[String; 2]>, String> {
    if typed.is_empty() {
        return Err("`analysis.comparisons` is an empty list; name at least one pair, or write \"none\"".to_string());
    }
    let conditions = true_conditions(sets);
    let mut pairs: Vec<[String; 2]> = Vec::new();
    for names in typed {
        let [first, second] = names.as_slice() else {
            return Err(format!("the comparison {names:?} has {} conditions; it must name two", names.len()));
        };
        for name in names {
            if !conditions.iter().any(|(_, known)| known == name) {
                let known: Vec<&str> = conditions.iter().map(|(_, name)| name.as_str()).collect();
                return Err(format!("there is no condition `{name}` with true labels; there is {}", known.join(", ")));
            }
        }
        if first == second {
            return Err(format!("the comparison {names:?} names one condition twice"));
        }
        let together =
            conditions.iter().any(|(data, name)| name == first && conditions.contains(&(*data, second.clone())));
        if !together {
            return Err(format!("the conditions `{first}` and `{second}` belong to different data sets"));
        }
        if pairs.iter().any(|[a, b]| (a == first && b == second) || (a == second && b == first)) {
            return Err(format!("the comparison of `{first}` and `{second}` is there twice"));
        }
        pairs.push([first.clone(), second.clone()]);
    }
    Ok(pairs)
}

/// Data set and name of every condition that is run with true labels, in the study's order.
fn true_conditions(sets: &[ConditionSet]) -> Vec<(&str, String)> {
    sets.iter()
        .filter(|set| set.labels.contains(&Labels::True))
        .flat_map(|set| set.classes.iter().map(|classes| (set.data.as_str(), set.condition_name(classes))))
        .collect()
}
