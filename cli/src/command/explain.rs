//! `curvefleet explain`: why something is where it is.

use clap::Args;
use curvefleet_proto::v1::{ExplainRequest, Explanation};

use super::print_json;
use crate::client::Coordinator;
use crate::failure::Failure;
use crate::output::say;

/// Say why a run, shard, worker or study is where it is, and what to do.
#[derive(Debug, Args)]
pub struct Explain {
    /// A run's or shard's id or its first digits, or the name of a worker or study
    what: String,
    #[command(flatten)]
    coordinator: Coordinator,
    /// Print the explanation for programs
    #[arg(long)]
    json: bool,
}

impl Explain {
    /// Explains.
    ///
    /// # Errors
    /// If the coordinator does not answer, or nothing goes by the name.
    pub async fn execute(self) -> Result<(), Failure> {
        let mut client = self.coordinator.connect().await?;
        let explanations = client.explain(ExplainRequest { what: self.what }).await?.into_inner().explanations;
        if self.json {
            print_json(&explanations.iter().map(json).collect());
            return Ok(());
        }
        for (index, explanation) in explanations.iter().enumerate() {
            if index > 0 {
                say!("");
            }
            show(explanation);
        }
        Ok(())
    }
}

fn show(explanation: &Explanation) {
    say!("{}", explanation.title);
    say!("");
    for sentence in &explanation.sentences {
        say!("  {sentence}");
    }
    if !explanation.attempts.is_empty() {
        say!("");
        say!("What was tried:");
        explanation.attempts.iter().for_each(|attempt| say!("  {attempt}"));
    }
    if !explanation.advice.is_empty() {
        say!("");
        say!("What may help:");
        let width = explanation.advice.iter().map(|advice| advice.command.chars().count()).max().unwrap_or(0);
        for advice in &explanation.advice {
            say!("  {:<width$}  {}", advice.command, advice.purpose);
        }
    }
}

fn json(explanation: &Explanation) -> serde_json::Value {
    let advice: Vec<_> = explanation
        .advice
        .iter()
        .map(|advice| serde_json::json!({"command": advice.command, "purpose": advice.purpose}))
        .collect();
    serde_json::json!({
        "title": explanation.title, "sentences": explanation.sentences, "attempts": explanation.attempts, "advice": advice,
    })
}
