//! `curvefleet store check`: whether a store can be used.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use curvefleet_proto::store::{Patience, Store};
use object_store::path::Path as Key;

use super::{now_ms, print_json};
use crate::archive::check::check;
use crate::failure::Failure;
use crate::output::say;

/// Look after stores.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Write, list, read and delete a small object, and say what does not work
    Check(Check),
}

/// Write, list, read and delete a small object, and say what does not work.
#[derive(Debug, Args)]
pub struct Check {
    /// The store: a folder, or s3://bucket/prefix, gs://bucket/prefix, az://container/prefix
    #[arg(env = "CURVEFLEET_STORE", value_name = "URL", default_value = "./curvefleet-data")]
    store: String,
    /// Print the answer for programs
    #[arg(long)]
    json: bool,
}

impl StoreCommand {
    /// Checks.
    ///
    /// # Errors
    /// If the store cannot be used, with what is wrong.
    pub async fn execute(self) -> Result<(), Failure> {
        let StoreCommand::Check(check) = self;
        check.execute().await
    }
}

impl Check {
    async fn execute(self) -> Result<(), Failure> {
        let made = made_by_opening(&self.store);
        let opened = Store::open_with(&self.store, std::env::vars(), Patience::Short);
        let store = opened.inspect_err(|_| remove(&made))?;
        // Of its own: two checks at the same time, also on two machines, do not meet.
        let key = Key::from(format!("curvefleet-check-{}-{}.bin", now_ms(), std::process::id()));
        let checked = check(store.objects().as_ref(), &key).await;
        remove(&made);
        checked.map_err(|refusal| Failure::user(format!("the store {} cannot be used: {refusal}", store.url())))?;
        if self.json {
            print_json(&serde_json::json!({ "store": store.url(), "works": true, "is_there": made.is_empty() }));
            return Ok(());
        }
        let done = "an object was written, listed, read in whole and in part, and deleted";
        if made.is_empty() {
            say!("the store {} works: {done}", store.url());
        } else {
            say!("the store {} would work: {done}. The folder is not there yet; the first study makes it", store.url());
        }
        Ok(())
    }
}

/// The folders that are not there and that opening the store makes, the innermost first.
fn made_by_opening(store: &str) -> Vec<PathBuf> {
    let folder = store.strip_prefix("file://").unwrap_or(store);
    if folder.contains("://") {
        return Vec::new();
    }
    let folders = Path::new(folder).ancestors().filter(|folder| !folder.as_os_str().is_empty());
    folders.take_while(|folder| !folder.exists()).map(Path::to_path_buf).collect()
}

/// Removes folders that were made for the check; whatever else is in one by now keeps it.
fn remove(made: &[PathBuf]) {
    for folder in made {
        let _ = std::fs::remove_dir(folder);
    }
}
