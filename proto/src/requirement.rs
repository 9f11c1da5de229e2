//! What workers have, and what runs need of them. Neither is part of a run's id: where a run is trained does not decide what it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Bytes of a GiB, the unit in which study files speak of memory.
const GIB: f64 = (1_u64 << 30) as f64;

/// What a worker has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Cores that it may use.
    pub cores: u32,
    /// Memory that it may use, in bytes; 0 where it cannot tell.
    pub memory_bytes: u64,
    /// Names of the graphics cards that it trains on.
    pub gpus: Vec<String>,
    /// What its owner says of it.
    pub labels: BTreeMap<String, String>,
}

/// What runs need of the worker that trains them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// At least so many cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
    /// At least so much memory, in GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_gib: Option<f64>,
    /// A graphics card with this in its name, in whatever case; an empty text stands for any card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<String>,
    /// These labels with these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Requirement {
    /// Whether any worker will do.
    pub fn is_empty(&self) -> bool {
        *self == Requirement::default()
    }

    /// This one, and where it says nothing, `other`.
    pub fn or(&self, other: &Requirement) -> Requirement {
        let mut labels = other.labels.clone();
        labels.extend(self.labels.clone());
        Requirement {
            cores: self.cores.or(other.cores),
            memory_gib: self.memory_gib.or(other.memory_gib),
            gpu: self.gpu.clone().or_else(|| other.gpu.clone()),
            labels,
        }
    }

    /// What a worker lacks, as half a sentence such as `16 cores (it has 4)`; `None` if it has all that is needed.
    pub fn lacking(&self, has: &Capabilities) -> Option<String> {
        let cores = self.cores.filter(|cores| *cores > has.cores);
        if let Some(cores) = cores {
            return Some(format!("{cores} cores (it has {})", has.cores));
        }
        let memory = self.memory_gib.filter(|gib| gib * GIB > has.memory_bytes as f64);
        if let Some(gib) = memory {
            return Some(format!("{gib} GiB of memory (it has {:.1})", has.memory_bytes as f64 / GIB));
        }
        if let Some(gpu) = self.gpu.as_ref().filter(|gpu| !has.gpus.iter().any(|card| names(card, gpu))) {
            let cards = if has.gpus.is_empty() { "none".to_string() } else { has.gpus.join(", ") };
            return Some(format!("{} (it has {cards})", card(gpu)));
        }
        let label = self.labels.iter().find(|(key, value)| has.labels.get(*key) != Some(value));
        label.map(|(key, value)| match has.labels.get(key) {
            Some(other) => format!("the label {key}={value} (it has {key}={other})"),
            None => format!("the label {key}={value}"),
        })
    }

    /// What is needed, in words: `16 cores, a graphics card H100 and the label site=basel`.
    pub fn describe(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.cores.map(|cores| format!("{cores} cores")));
        parts.extend(self.memory_gib.map(|gib| format!("{gib} GiB of memory")));
        parts.extend(self.gpu.as_deref().map(card));
        parts.extend(self.labels.iter().map(|(key, value)| format!("the label {key}={value}")));
        match parts.split_last() {
            None => "nothing in particular".to_string(),
            Some((last, [])) => last.clone(),
            Some((last, first)) => format!("{} and {last}", first.join(", ")),
        }
    }
}

fn names(card: &str, wanted: &str) -> bool {
    card.to_lowercase().contains(&wanted.to_lowercase())
}

fn card(gpu: &str) -> String {
    if gpu.is_empty() { "a graphics card".to_string() } else { format!("a graphics card {gpu}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    #[test]
    fn a_worker_lacks_what_it_has_less_of_and_the_sentence_says_what() {
        let has = Capabilities {
            cores: 8,
            memory_bytes: 16 << 30,
            gpus: vec!["NVIDIA H100 80GB".to_string()],
            labels: labels(&[("site", "basel")]),
        };
        let fits = Requirement {
            cores: Some(8),
            memory_gib: Some(16.0),
            gpu: Some("h100".to_string()),
            labels: labels(&[("site", "basel")]),
        };
        assert_eq!(fits.lacking(&has), None);
        assert_eq!(Requirement { gpu: Some(String::new()), ..Requirement::default() }.lacking(&has), None);
        let lacking = |requirement: Requirement| requirement.lacking(&has).unwrap_or_default();
        assert_eq!(lacking(Requirement { cores: Some(9), ..fits.clone() }), "9 cores (it has 8)");
        assert_eq!(lacking(Requirement { memory_gib: Some(16.5), ..fits.clone() }), "16.5 GiB of memory (it has 16.0)");
        assert!(lacking(Requirement { gpu: Some("A100".to_string()), ..fits.clone() }).contains("NVIDIA H100"));
        let other = Requirement { labels: labels(&[("site", "bern")]), ..Requirement::default() };
        assert_eq!(lacking(other.clone()), "the label site=bern (it has site=basel)");
        assert_eq!(other.or(&fits), Requirement { labels: labels(&[("site", "bern")]), ..fits.clone() });
        assert_eq!(fits.describe(), "8 cores, 16 GiB of memory, a graphics card h100 and the label site=basel");
        assert!(
            Requirement::default().is_empty() && Requirement::default().lacking(&Capabilities::default()).is_none()
        );
    }
}
