//! `curvefleet audit`: who changed what by hand.

use clap::Args;
use curvefleet_proto::limits::MAX_AUDIT_PER_PAGE;
use curvefleet_proto::v1::{AuditEntry, ListAuditRequest};

use crate::client::Coordinator;
use crate::failure::Failure;
use crate::listing::{print_table, time};
use crate::output::say;

/// Show who changed what by hand, the newest first.
#[derive(Debug, Args)]
pub struct Audit {
    /// A study, worker or part; all unless given
    target: Option<String>,
    /// How many entries at most
    #[arg(long, default_value_t = 50, value_name = "COUNT")]
    limit: u32,
    #[command(flatten)]
    coordinator: Coordinator,
    /// Print one JSON object per entry
    #[arg(long)]
    json: bool,
}

impl Audit {
    /// Lists.
    ///
    /// # Errors
    /// If the coordinator does not answer.
    pub async fn execute(self) -> Result<(), Failure> {
        let mut client = self.coordinator.connect().await?;
        let target = self.target.unwrap_or_default();
        let mut entries: Vec<AuditEntry> = Vec::new();
        while entries.len() < self.limit as usize {
            let page_size = (self.limit - entries.len() as u32).min(MAX_AUDIT_PER_PAGE);
            let before = entries.last().map_or(0, |last| last.id);
            let request = ListAuditRequest { target: target.clone(), page_size, before };
            let page = client.list_audit(request).await?.into_inner().entries;
            let is_last = page.len() < page_size as usize;
            entries.extend(page);
            if is_last {
                break;
            }
        }
        if self.json {
            entries.iter().for_each(|entry| say!("{}", json(entry)));
        } else if entries.is_empty() {
            say!("nothing was changed by hand yet");
        } else {
            print_table(&["when", "who", "what", "target", "note"], &entries.iter().map(row).collect::<Vec<_>>());
        }
        Ok(())
    }
}

fn row(entry: &AuditEntry) -> Vec<String> {
    vec![time(entry.at_ms), entry.who.clone(), entry.what.clone(), entry.target.clone(), entry.note.clone()]
}

fn json(entry: &AuditEntry) -> serde_json::Value {
    serde_json::json!({
        "id": entry.id, "at_ms": entry.at_ms, "who": entry.who, "what": entry.what, "target": entry.target, "note": entry.note,
    })
}
