//! Why a run, shard, worker or study is where it is, in sentences for a person who was woken up, with the commands that help.
//! The facts come from [`crate::ledger::explain`], and what is in training at the moment from the last heartbeats.
//!
//! - [`run`], [`shard`], [`worker`], [`study`]: the sentences about each
//! - [`words`]: times, spans and numbers

mod run;
mod shard;
mod study;
mod words;
mod worker;

use curvefleet_proto::v1;

use crate::ledger::Settings;
use crate::ledger::explain::About;
use crate::rates::{Rates, Training};

/// A lease that was not renewed for so long a part of its length is worth a word: several heartbeats are missing.
const SILENT_LEASE_PARTS: u64 = 4;

/// What the sentences are made with, beside the facts.
pub(crate) struct Scene<'a> {
    /// The time, milliseconds since 1970.
    pub now_ms: u64,
    /// What the ledger decides by.
    pub settings: Settings,
    /// What this coordinator heard last.
    pub rates: &'a Rates,
}

/// An explanation in the making.
#[derive(Debug, Default)]
struct Draft {
    title: String,
    sentences: Vec<String>,
    attempts: Vec<String>,
    advice: Vec<(String, String)>,
}

/// The explanation of something.
pub(crate) fn explain(scene: &Scene<'_>, about: &About) -> v1::Explanation {
    let draft = match about {
        About::Run(about) => run::explain(scene, about),
        About::Shard(about) => shard::explain(scene, about),
        About::Worker(about) => worker::explain(scene, about),
        About::Study(about) => study::explain(scene, about),
    };
    let advice = draft.advice.into_iter().map(|(command, purpose)| v1::Advice { command, purpose });
    v1::Explanation {
        title: draft.title,
        sentences: draft.sentences,
        attempts: draft.attempts,
        advice: advice.collect(),
    }
}

impl Draft {
    fn say(&mut self, sentence: impl Into<String>) {
        self.sentences.push(sentence.into());
    }

    /// Advice is given once.
    fn advise(&mut self, command: impl Into<String>, purpose: impl Into<String>) {
        let (command, purpose) = (command.into(), purpose.into());
        if self.advice.iter().all(|(known, _)| *known != command) {
            self.advice.push((command, purpose));
        }
    }
}

impl Scene<'_> {
    /// How long ago something was, such as `3 min ago (07:22:10 UTC)`.
    fn ago(&self, at_ms: u64) -> String {
        words::ago(self.now_ms, at_ms)
    }

    /// When something will be, such as `in 12 s (07:22:10 UTC)`.
    fn ahead(&self, at_ms: u64) -> String {
        words::ahead(self.now_ms, at_ms)
    }

    /// What a worker said last that it trains of a shard.
    fn in_training(&self, worker: &str, shard: &str) -> Option<Training> {
        self.rates.training(worker, self.now_ms)?.into_iter().find(|training| training.shard == shard)
    }
}
