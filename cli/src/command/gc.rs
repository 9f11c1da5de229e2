//! `curvefleet gc`: what nothing names in a store, and its removal.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use curvefleet_coordinator::{Coordinator, Error, Options, Running, ledger::sqlite::OpenError};
use curvefleet_proto::access::AccessOptions;
use curvefleet_proto::store::Store;
use curvefleet_proto::v1::GetInfoRequest;
use serde_json::json;

use super::{now_ms, print_json};
use crate::archive::garbage::{self, Garbage, Kind, MIN_GRACE_MS, Rules, Survey};
use crate::client::{Client, Way};
use crate::failure::Failure;
use crate::listing::{bytes, counted, duration, grouped, print_table, time};
use crate::output::say;
use crate::study_source::existing;

/// List what nothing in a store names any more: parts, checkpoints and data sets. Deletes nothing unless told.
#[derive(Debug, Args)]
pub struct Gc {
    /// Where studies lie: a folder, or s3://bucket/prefix [default: the coordinator's, or ./curvefleet-data]
    #[arg(long, env = "CURVEFLEET_STORE", value_name = "URL")]
    store: Option<String>,
    /// The coordinator at work on the store, which knows what is committed; where one is named, no ledger is opened
    #[arg(long, env = "CURVEFLEET_COORDINATOR", value_name = "URL", value_delimiter = ',')]
    coordinator: Option<Vec<String>>,
    #[command(flatten)]
    access: AccessOptions,
    /// The ledger, where no coordinator is at work [default: ledger.sqlite in the store's folder, if it is there]
    #[arg(long, env = "CURVEFLEET_LEDGER", value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Delete what is listed
    #[arg(long)]
    delete: bool,
    /// How old garbage must be, such as 90m, 24h or 7d: what is younger may be about to be committed
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = parse_grace)]
    grace: Duration,
    /// Only garbage of this kind; may be given again
    #[arg(long, value_enum, value_name = "KIND")]
    only: Vec<Kind>,
    /// Print the garbage for programs
    #[arg(long)]
    json: bool,
}

/// Who says what is committed.
enum Word {
    Coordinator(Client),
    /// A coordinator in this process, for as long as the command lasts.
    Ledger(Box<Running>, Client),
    Manifests,
}

impl Gc {
    /// Lists garbage, and deletes it where that was asked for.
    ///
    /// # Errors
    /// If the store, the coordinator or the ledger cannot be used, or something that names objects cannot be read.
    pub async fn execute(self) -> Result<(), Failure> {
        let (store, mut word) = self.open().await?;
        let done = self.collect(&store, &mut word).await;
        if let Word::Ledger(running, _) = word {
            running.shutdown().await;
        }
        done
    }

    async fn open(&self) -> Result<(Store, Word), Failure> {
        let Some(urls) = &self.coordinator else {
            let store = existing(self.store.as_deref().unwrap_or(curvefleet_coordinator::options::STORE))?;
            let word = self.open_ledger(&store).await?;
            return Ok((store, word));
        };
        let mut client = Way::new(urls, &self.access)?.connect().await?;
        let info = client.get_info(GetInfoRequest {}).await?.into_inner();
        let least = Duration::from_millis(info.lease_ms.saturating_mul(2));
        if self.delete && self.grace < least {
            let message = format!(
                "--grace is {}, and a lease of this coordinator lasts {}; give at least {}",
                duration(self.grace),
                duration(least / 2),
                duration(least)
            );
            return Err(Failure::user(message));
        }
        let store = existing(self.store.as_deref().unwrap_or(&info.store_url))?;
        Ok((store, Word::Coordinator(client)))
    }

    async fn open_ledger(&self, store: &Store) -> Result<Word, Failure> {
        let in_store = PathBuf::from(store.url()).join("ledger.sqlite");
        let ledger = match &self.ledger {
            Some(file) if !file.exists() => {
                return Err(Failure::user(format!("there is no ledger {}", file.display())));
            }
            Some(file) => file.clone(),
            None if !store.url().contains("://") && in_store.exists() => in_store,
            None => return Ok(Word::Manifests),
        };
        let options = Options {
            listen: "127.0.0.1:0".to_string(),
            store: store.url().to_string(),
            ledger: Some(ledger),
            private: true,
            ..Options::default()
        };
        let running = Coordinator::start(options).await.map_err(|error| match error {
            Error::Ledger(OpenError::Locked { path }) => Failure::user(format!(
                "a coordinator is at work on the ledger {}; name it with --coordinator",
                path.display()
            )),
            error => error.into(),
        })?;
        let client = Way::to(&running).connect().await?;
        Ok(Word::Ledger(Box::new(running), client))
    }

    async fn collect(&self, store: &Store, word: &mut Word) -> Result<(), Failure> {
        let grace_ms = u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX);
        if self.delete && grace_ms < MIN_GRACE_MS {
            let least = duration(Duration::from_millis(MIN_GRACE_MS));
            let message = "what is deleted must have had the time to be committed";
            return Err(Failure::user(format!(
                "--grace is {}; give at least {least}: {message}",
                duration(self.grace)
            )));
        }
        let all = [Kind::Parts, Kind::Checkpoints, Kind::Data];
        let kinds = if self.only.is_empty() { all.to_vec() } else { self.only.clone() };
        let rules = Rules { now_ms: now_ms(), grace_ms, kinds };
        let survey = garbage::survey(store, word.client(), &rules).await?;
        if !self.delete {
            self.print(store, word, &survey, &survey.garbage);
            return Ok(());
        }
        let deleted = garbage::delete(store, word.client(), survey.garbage.clone(), &rules).await?;
        self.print(store, word, &survey, &deleted);
        Ok(())
    }

    fn print(&self, store: &Store, word: &Word, survey: &Survey, garbage: &[Garbage]) {
        let size_bytes: u64 = garbage.iter().map(|garbage| garbage.size_bytes).sum();
        if self.json {
            let object = |garbage: &Garbage| {
                json!({
                    "key": garbage.key, "kind": kind(garbage.kind), "size_bytes": garbage.size_bytes,
                    "modified_ms": garbage.modified_ms, "reason": garbage.reason,
                })
            };
            print_json(&json!({
                "store": store.url(), "by": word.name(), "deleted": self.delete, "size_bytes": size_bytes,
                "garbage": garbage.iter().map(object).collect::<Vec<_>>(), "young": survey.young, "unsure": survey.unsure,
            }));
            return;
        }
        if !garbage.is_empty() {
            print_table(&["kind", "size", "written", "object", "reason"], &garbage.iter().map(row).collect::<Vec<_>>());
        }
        let what = if self.delete { "deleted" } else { "garbage" };
        say!("{what}: {}, {} (by {})", counted(garbage.len() as u64, "object"), bytes(size_bytes), word.name());
        if survey.young > 0 {
            let young = counted(survey.young as u64, "unnamed object");
            say!("left alone: {young} younger than {}, which may be about to be committed", duration(self.grace));
        }
        if survey.unsure > 0 {
            let unsure = grouped(survey.unsure as u64);
            say!(
                "left alone: {unsure} parts that no manifest names but a ledger may; name its coordinator with --coordinator"
            );
        }
        if !self.delete && !garbage.is_empty() {
            say!("delete them with --delete");
        }
    }
}

impl Word {
    fn client(&mut self) -> Option<&mut Client> {
        match self {
            Word::Coordinator(client) | Word::Ledger(_, client) => Some(client),
            Word::Manifests => None,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Word::Coordinator(_) => "the coordinator",
            Word::Ledger(..) => "the ledger",
            Word::Manifests => "the manifests",
        }
    }
}

fn row(garbage: &Garbage) -> Vec<String> {
    let mut row = vec![kind(garbage.kind).to_string(), bytes(garbage.size_bytes), time(garbage.modified_ms)];
    row.extend([garbage.key.clone(), garbage.reason.clone()]);
    row
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Parts => "part",
        Kind::Checkpoints => "checkpoint",
        Kind::Data => "data set",
    }
}

/// `30s`, `90m`, `24h`, `7d`.
pub(super) fn parse_grace(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time; give a number with s, m, h or d, such as 24h");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grace_is_a_number_with_a_unit() {
        let seconds = |text: &str| parse_grace(text).map(|grace| grace.as_secs()).ok();
        assert_eq!(["30s", "90m", "24h", "7d"].map(seconds), [30, 5_400, 86_400, 604_800].map(Some));
        for wrong in ["", "h", "24", "-1h", "1.5h", "24 h", "1é", "99999999999999999999d", "9999999999999999d"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
