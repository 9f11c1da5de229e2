//! A data set described: for people as text ([`std::fmt::Display`]), for machines as JSON ([`serde::Serialize`]).

use std::fmt;

use serde::Serialize;

use super::error::counted;
use super::{Dataset, Provenance, Sequence};

/// How many values of a sequence the text shows.
const VALUES_SHOWN: usize = 6;
/// How many characters of a sentence the text shows.
const CHARACTERS_SHOWN: usize = 100;
/// How many feature names the text shows.
const FEATURES_SHOWN: usize = 8;

/// What there is to know about a data set at a glance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// What the source calls itself.
    pub name: String,
    /// How many sequences there are.
    pub sequences: u64,
    /// The classes in label order.
    pub classes: Vec<ClassShare>,
    /// The features' names.
    pub features: Vec<String>,
    /// Fewest time steps of a sequence.
    pub steps_min: u32,
    /// The middle length; the lower one of two.
    pub steps_median: u32,
    /// Most time steps of a sequence.
    pub steps_max: u32,
    /// The first sequences.
    pub first: Vec<FirstItem>,
    /// Where the data set came from.
    pub provenance: Provenance,
}

/// One class and its part of the data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassShare {
    /// Its name.
    pub name: String,
    /// How many sequences it has.
    pub count: u64,
    /// Its share of all sequences, 0 to 1.
    pub share: f64,
}

/// The beginning of one of the first sequences.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FirstItem {
    /// Its index.
    pub item: u64,
    /// Its class.
    pub class: String,
    /// Its number of time steps.
    pub steps: u32,
    /// The sentence, in data sets of text.
    pub text: Option<String>,
    /// The values of its first time step, one per feature.
    pub first_step: Vec<f32>,
}

/// Describes a data set with its first `items` sequences.
pub fn describe(dataset: &Dataset, items: usize) -> Description {
    let sequences = dataset.sequences.len() as u64;
    let mut steps: Vec<u32> = dataset.sequences.iter().map(|sequence| sequence.steps).collect();
    steps.sort_unstable();
    let share = |count: u64| if sequences == 0 { 0.0 } else { count as f64 / sequences as f64 };
    let classes = dataset.class_counts().into_iter();
    Description {
        name: dataset.name.clone(),
        sequences,
        classes: classes
            .map(|class| ClassShare { share: share(class.count), name: class.name, count: class.count })
            .collect(),
        features: dataset.features.clone(),
        steps_min: steps.first().copied().unwrap_or(0),
        steps_median: steps.get(steps.len().saturating_sub(1) / 2).copied().unwrap_or(0),
        steps_max: steps.last().copied().unwrap_or(0),
        first: (0u64..)
            .zip(&dataset.sequences)
            .take(items)
            .map(|(item, sequence)| first_item(dataset, item, sequence))
            .collect(),
        provenance: dataset.provenance.clone(),
    }
}

fn first_item(dataset: &Dataset, item: u64, sequence: &Sequence) -> FirstItem {
    FirstItem {
        item,
        class: dataset.classes.get(sequence.label as usize).cloned().unwrap_or_default(),
        steps: sequence.steps,
        text: sequence.text.clone(),
        first_step: sequence.values.iter().copied().take(dataset.features.len()).collect(),
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let features = self.features.len();
        writeln!(
            f,
            "{}: {} of {}",
            self.name,
            counted(self.sequences, "sequence"),
            counted(features as u64, "feature")
        )?;
        if self.steps_min == self.steps_max {
            writeln!(f, "  length    {}, all", counted(u64::from(self.steps_max), "time step"))?;
        } else {
            writeln!(
                f,
                "  length    {} to {} time steps, median {}",
                self.steps_min, self.steps_max, self.steps_median
            )?;
        }
        let names = self.features.iter().take(FEATURES_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if features > FEATURES_SHOWN {
            format!(", … ({} more)", features - FEATURES_SHOWN)
        } else {
            String::new()
        };
        writeln!(f, "  features  {names}{more}")?;
        self.write_classes(f)?;
        self.write_provenance(f)?;
        if !self.first.is_empty() {
            writeln!(f, "  first items")?;
        }
        self.first.iter().try_for_each(|item| writeln!(f, "    {item}"))
    }
}

impl Description {
    fn write_classes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.classes.iter().map(|class| class.name.chars().count()).max().unwrap_or(0);
        let digits = self.sequences.to_string().len();
        writeln!(f, "  classes")?;
        for (label, class) in self.classes.iter().enumerate() {
            writeln!(
                f,
                "    {label:>2}  {:<width$}  {:>digits$}  {:>5.1}%",
                class.name,
                class.count,
                100.0 * class.share
            )?;
        }
        Ok(())
    }

    fn write_provenance(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  format    {}", self.provenance.format)?;
        for source in &self.provenance.sources {
            writeln!(f, "  source    {} (sha256 {}…)", source.name, source.sha256.get(..12).unwrap_or(&source.sha256))?;
        }
        if self.provenance.missing_values > 0 {
            writeln!(
                f,
                "  missing   {} ({})",
                counted(self.provenance.missing_values, "value"),
                self.provenance.missing_treatment
            )?;
        }
        self.provenance.notes.iter().try_for_each(|note| writeln!(f, "  note      {note}"))
    }
}

impl fmt::Display for FirstItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}  {}  ", self.item, self.class, counted(u64::from(self.steps), "step"))?;
        if let Some(text) = &self.text {
            let shown: String = text.chars().take(CHARACTERS_SHOWN).collect();
            return write!(f, "{shown}{}", if shown.len() < text.len() { "…" } else { "" });
        }
        let shown =
            self.first_step.iter().take(VALUES_SHOWN).map(|value| format!("{value:.4}")).collect::<Vec<_>>().join(" ");
        write!(f, "[{shown}{}]", if self.first_step.len() > VALUES_SHOWN { " …" } else { "" })
    }
}
