//! A paragraph about the analysis that can be pasted into a paper, with this report's own numbers.

use curvefleet_proto::plan::run::NUMBERS_VERSION;
use curvefleet_proto::study::AnalysisKey;
use maud::{Markup, html};

use super::page::plural;
use super::page_maps;
use super::page_numbers::{count, percent};
use super::page_settings::probe_words;
use super::{Contents, citation};
use crate::compare::family::adjustment;
use crate::compare::over_map::{CELL_LEVEL, MOST_ASSIGNMENTS};
use crate::compare::{Comparisons, Origin, OutcomeComparisons};
use crate::curve::metrics::Metric;
use crate::stats::effect_size::dominance::Method;
use crate::stats::permutation::EXACT_ARRANGEMENTS;
use crate::stats::planning::Goal;

/// The section.
pub(super) fn methods(contents: &Contents, time: &str) -> Markup {
    html! {
        section id="methods" {
            h2 { "Methods, for a paper" }
            p { "This paragraph says what was done in this report, with its own numbers." }
            blockquote {
                p { (runs(contents)) " " (reduction(contents)) }
                p { (tests(contents)) }
                p { (declared(contents)) " " (versions(contents)) }
            }
            h3 { "To cite" }
            p {
                "BibTeX for the paper that the method is from, for the program and for this study; also as "
                a href=(citation::FILE) { (citation::FILE) } "."
            }
            pre class="copied" { (citation::bibtex(contents, time)) }
        }
    }
}

fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", count(number), plural(number, one, many))
}

fn runs(contents: &Contents) -> String {
    let results = &contents.results;
    let study = &results.stored.study;
    let side = |shuffled: bool| {
        results
            .cells
            .iter()
            .filter(|cell| cell.planned.key.shuffled == shuffled)
            .map(|cell| cell.runs.len())
            .sum::<usize>()
    };
    let together = match results.others.len() {
        0 => String::new(),
        more => format!("{} studies ({}) were put together. ", more + 1, results.names().join(", ")),
    };
    let lost = results.planned().saturating_sub(results.done());
    let missing = match lost {
        0 => String::new(),
        _ => format!("; {} {} missing", count(lost), plural(lost, "is", "are")),
    };
    format!(
        "{}We analysed {} of {} planned ({} with true labels, {} with shuffled labels{missing}) over {}, {}, {} for each condition and {} for each run.",
        together,
        counted(results.done(), "run", "runs"),
        count(results.planned()),
        count(side(false)),
        count(side(true)),
        counted(study.data.len(), "data set", "data sets"),
        counted(study.models.len(), "network", "networks"),
        counted(study.seeds.len(), "seed", "seeds"),
        counted(study.training.epochs as usize, "epoch", "epochs"),
    )
}

fn reduction(contents: &Contents) -> String {
    let study = &contents.results.stored.study;
    let metrics: Vec<&str> = study.analysis.metrics.iter().map(|metric| Metric::from(*metric).name()).collect();
    format!(
        "After every epoch, a probe ({}) scored the hidden states at every time step. Its curve was smoothed by running \
         medians (3RS3R, as R's smooth) and reduced to {} (Jiang and Dale 2025). The run was the unit of analysis: each run entered by its value after the \
         last epoch and by the area under its epoch curve (trapezoidal rule, divided by the epochs that it spans).",
        probe_words(&study.probe),
        metrics.join(", "),
    )
}

fn tests(contents: &Contents) -> String {
    let (comparisons, analysis) = (&contents.comparisons, &contents.results.stored.study.analysis);
    let tested = |of: &dyn Fn(&OutcomeComparisons) -> usize| comparisons.outcomes.iter().map(of).sum::<usize>();
    let pairs = tested(&|found| found.pairs.iter().filter(|pair| pair.contrast.welch.is_ok()).count());
    let controls = tested(&|found| found.controls.iter().filter(|control| control.contrast.welch.is_ok()).count());
    let omnibus = tested(&|found| usize::from(found.omnibus.welch.is_ok()));
    let models = comparisons.models.iter().filter(|model| model.fit.is_ok()).count();
    let ratios = comparisons.models.iter().flat_map(|model| model.fit.iter().flat_map(|fit| &fit.likelihood_ratios));
    let ratios = ratios.filter(|(_, found)| found.is_ok()).count();
    let robust = comparisons.robust.iter().filter(|test| test.test.is_ok()).count();
    let sizes = comparisons.outcomes.iter().flat_map(|found| &found.pairs).map(|pair| pair.contrast.family_size);
    let largest = sizes.max().unwrap_or(0);
    let resamples = count(analysis.resamples as usize);
    let sides = comparisons.aggregates.iter().flat_map(|aggregate| [&aggregate.truth, &aggregate.shuffled]);
    let of_all_runs = count(sides.map(|side| side.resamples).filter(|resamples| *resamples > 0).min().unwrap_or(0));
    let intervals = probability_intervals(comparisons, &resamples);
    format!(
        "Conditions were compared by Welch's analysis of variance ({}), with the Kruskal-Wallis test and Levene's test (around medians) beside it, and in pairs \
         by Welch's t test ({}, p corrected by {} within families of at most {}) and by the Games-Howell test. Effect sizes are η² (noncentral F interval), ω², \
         Hedges' g (noncentral t interval) and P(A > B) ({intervals}); intervals are at {}. True \
         labels were compared with shuffled ones by Welch's t test ({}, corrected likewise) and by a permutation test over runs (all arrangements \
         where there were at most {}, else {resamples} drawn). Linear mixed models, metric ~ epoch × condition + (1 | run), were fitted by restricted maximum likelihood \
         ({}), with F tests of type III and Satterthwaite's degrees of freedom, and compared by likelihood-ratio tests ({}, maximum likelihood). The models of Jiang and Dale (2025), metric \
         ~ data, labels, condition, or epoch × condition over rows, were tested with cluster-robust errors by run (CR2, {}). Whole maps (time step × epoch) were compared by cluster-based permutation \
         tests over runs ({}; Welch's t, cells beyond the two-sided {} threshold, at most {} assignments, p corrected likewise). All runs together are described by interquartile means and \
         performance profiles (bootstrap stratified by condition, {of_all_runs} resamples). Plans are for {} power at the {} level.",
        counted(omnibus, "test", "tests"),
        counted(pairs, "test", "tests"),
        adjustment(analysis).name(),
        count(largest),
        percent(analysis.interval_level),
        counted(controls, "test", "tests"),
        count(EXACT_ARRANGEMENTS as usize),
        counted(models, "model", "models"),
        counted(ratios, "test", "tests"),
        counted(robust, "test", "tests"),
        page_maps::map_tests_in_words(comparisons),
        percent(CELL_LEVEL),
        count(MOST_ASSIGNMENTS.min(analysis.resamples.into()) as usize),
        percent(Goal::USUAL.power),
        percent(Goal::USUAL.level),
    )
}

/// How the intervals of P(A > B) were made.
fn probability_intervals(comparisons: &Comparisons, resamples: &str) -> String {
    let outcomes = || comparisons.outcomes.iter();
    let pairs = outcomes().flat_map(|found| &found.pairs).map(|pair| &pair.contrast);
    let controls = outcomes().flat_map(|found| &found.controls).map(|control| &control.contrast);
    let methods: Vec<Method> = pairs.chain(controls).map(|contrast| contrast.probability_method).collect();
    let bootstrap = format!("BCa bootstrap interval, {resamples} resamples of runs within conditions");
    let delong = "interval by DeLong's variance on the logit scale";
    match (methods.contains(&Method::Bootstrap), methods.contains(&Method::DeLong)) {
        (true, true) => format!("{bootstrap}, or {delong} where the runs are many"),
        (false, true) => delong.to_string(),
        (_, false) => bootstrap,
    }
}

fn declared(contents: &Contents) -> String {
    let analysis = &contents.results.stored.study.analysis;
    let keys = [
        (AnalysisKey::Metrics, "the metrics"),
        (AnalysisKey::Comparisons, "the pairs"),
        (AnalysisKey::Family, "the family"),
        (AnalysisKey::Correction, "the correction"),
        (AnalysisKey::IntervalLevel, "the interval level"),
        (AnalysisKey::Resamples, "the number of resamples"),
        (AnalysisKey::Seed, "the resamples' seed"),
    ];
    let declared: Vec<&str> = keys
        .iter()
        .filter(|(key, _)| Origin::of(analysis, *key) == Origin::Declared)
        .map(|(_, words)| *words)
        .collect();
    match declared.as_slice() {
        [] => {
            "None of these tests was declared in the study file before the first run; they are the program's defaults."
                .to_string()
        }
        some if some.len() == keys.len() => {
            "All of this was declared in the study file before the first run.".to_string()
        }
        some => format!(
            "Declared in the study file before the first run: {}; the rest are the program's defaults.",
            some.join(", ")
        ),
    }
}

fn versions(contents: &Contents) -> String {
    let results = &contents.results;
    let mut trained: Vec<String> =
        results.provenance.iter().map(|part| format!("curvefleet {} ({})", part.version, part.backend)).collect();
    trained.dedup();
    let trained = if results.is_imported() {
        "Curves were imported from files of another program, which do not say how the networks were trained and probed. ".to_string()
    } else if trained.is_empty() {
        String::new()
    } else {
        format!("Curves were trained with {}. ", trained.join(", "))
    };
    format!(
        "{trained}The analysis is that of curvefleet {} (numbers version {NUMBERS_VERSION}, resamples' seed {}, study file SHA-256 {}).",
        env!("CARGO_PKG_VERSION"),
        results.stored.study.analysis.seed,
        results.studies().map(|stored| stored.sha256.as_str()).collect::<Vec<_>>().join(" and "),
    )
}
