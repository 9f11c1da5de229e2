//! `curvefleet store check`: whether a store can be used.

use std::path::Path;

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
        let was_there = self.store.contains("://") || Path::new(&self.store).exists();
        let store = Store::open_with(&self.store, std::env::vars(), Patience::Short)?;
        // Of its own: two checks at the same time, also on two machines, do not meet.
        let key = Key::from(format!("curvefleet-check-{}-{}.bin", now_ms(), std::process::id()));
        let checked = check(store.objects().as_ref(), &key).await;
        if !was_there {
            // A folder that was made for the check; whatever else is in it by now keeps it.
            let _ = std::fs::remove_dir(&self.store);
        }
        checked.map_err(|refusal| Failure::user(format!("the store {} cannot be used: {refusal}", store.url())))?;
        if self.json {
            print_json(&serde_json::json!({ "store": store.url(), "works": true }));
        } else {
            say!(
                "the store {} works: an object was written, listed, read in whole and in part, and deleted",
                store.url()
            );
        }
        Ok(())
    }
}
