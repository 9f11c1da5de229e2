//! `curvefleet export`: a self-contained copy of a study.

use clap::Args;
use curvefleet_proto::store::Store;

use super::{now_ms, print_json};
use crate::archive::export::{Settings, export};
use crate::failure::Failure;
use crate::listing::{bytes, counted, grouped};
use crate::output::say;
use crate::study_source::existing;

/// Copy a study with everything that belongs to it, to keep or to publish.
#[derive(Debug, Args)]
pub struct Export {
    /// The study's name
    study: String,
    /// Where the copy goes: a folder, or s3://bucket/prefix; it must be empty
    #[arg(long, value_name = "FOLDER|URL")]
    to: String,
    /// Where studies lie: a folder, or s3://bucket/prefix
    #[arg(long, env = "CURVEFLEET_STORE", value_name = "URL", default_value = "./curvefleet-data")]
    store: String,
    /// Copy the data sets, too, where their terms allow that
    #[arg(long)]
    with_data: bool,
    /// Under what terms the copy may be used: a licence's URL, or a sentence
    #[arg(long, value_name = "URL|TEXT")]
    license: Option<String>,
    /// Print what was copied for programs
    #[arg(long)]
    json: bool,
}

impl Export {
    /// Copies.
    ///
    /// # Errors
    /// If there is no such study, it is damaged, the target is not empty, or a store fails.
    pub async fn execute(self) -> Result<(), Failure> {
        let from = existing(&self.store)?;
        let is_new = !self.to.contains("://") && !std::path::Path::new(&self.to).exists();
        let to = Store::open(&self.to, std::env::vars())?;
        let settings = Settings { with_data: self.with_data, license: self.license, now_ms: now_ms() };
        let exported = export(&from, &self.study, &to, &settings).await;
        if is_new && exported.is_err() {
            // Only if nothing is in it.
            let _ = std::fs::remove_dir(&self.to);
        }
        let exported = exported?;
        if self.json {
            print_json(&serde_json::json!({
                "study": self.study, "to": to.url(), "files": exported.files, "size_bytes": exported.size_bytes,
                "runs": exported.runs, "planned": exported.planned,
            }));
            return Ok(());
        }
        say!(
            "study {}: {} of {} in {}, {}, read back and whole",
            self.study,
            grouped(exported.runs as u64),
            counted(exported.planned as u64, "run"),
            counted(exported.files as u64, "file"),
            bytes(exported.size_bytes)
        );
        say!("copy: {}", to.url());
        say!(
            "check it with `sha256sum -c SHA256SUMS` there; report on it with: curvefleet report {} --store {}",
            self.study,
            self.to
        );
        Ok(())
    }
}
