//! What ledgers, manifests and study files name: which parts hold curves, which checkpoints a run may still go on from, which data
//! sets a study needs.
//!
//! The ledger knows. A manifest shows what the ledger knew when it was written; it is the word on a study where no ledger is at hand.

use std::collections::{HashMap, HashSet};

use curvefleet_analysis::read::manifest::{Outcome, read_manifest};
use curvefleet_analysis::read::study::{StoredStudy, read_study};
use curvefleet_proto::artifact::manifest_key;
use curvefleet_proto::plan::shards;
use curvefleet_proto::store::Store;
use curvefleet_proto::study::{Study, file};
use curvefleet_proto::v1::{GetStudyRequest, ListMovedPartsRequest, ListRunsRequest, ListStudiesRequest, RunState};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::verify::fails;
use crate::client::Client;
use crate::failure::Failure;

/// What is named.
#[derive(Debug, Default)]
pub struct Truth {
    /// Keys of parts that the ledger or a manifest names.
    pub parts: HashSet<String>,
    /// Keys of parts whose rows were moved into larger ones, and when, in milliseconds since 1970; those moved long ago are not among
    /// them.
    pub moved: HashMap<String, u64>,
    /// SHA-256 of the data sets that studies name.
    pub data: HashSet<String>,
    /// The studies that have a study file in the store.
    pub studies: HashMap<String, Source>,
    /// Of each study: the runs whose checkpoints something may still go on from.
    open: HashMap<String, HashSet<String>>,
}

/// Who has the word on a study's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The ledger.
    Ledger,
    /// Its manifest.
    Manifest {
        /// When it was written, in milliseconds since 1970 by the store's clock.
        written_ms: u64,
        /// Whether it lists every planned run as done.
        is_complete: bool,
    },
    /// Nothing yet: it has no manifest.
    Nothing,
}

impl Truth {
    /// Reads the store's studies, and the ledger where a coordinator is asked. Of checkpoints only those of the `runs` matter, of moved
    /// parts those that were moved at `since_ms` or later.
    ///
    /// # Errors
    /// If the store or the coordinator fails, or a study file or manifest cannot be read: what it names is then not known.
    pub async fn read(
        store: &Store,
        client: Option<&mut Client>,
        runs: &HashSet<String>,
        since_ms: u64,
    ) -> Result<Truth, Failure> {
        let mut truth = Truth::default();
        let mut hashes = HashMap::new();
        for name in folders(store).await? {
            match read_study(store, &name).await {
                Ok(stored) => {
                    truth.add_stored(store, &stored, runs).await?;
                    hashes.insert(name, stored.sha256);
                }
                // A folder without a study file is not one that anything here is known about.
                Err(curvefleet_analysis::Error::UnknownStudy { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(client) = client {
            truth.add_ledger(client, &hashes, runs, since_ms).await?;
        }
        Ok(truth)
    }

    /// Whether something may still go on from this run's checkpoints.
    pub fn is_open(&self, run: &str) -> bool {
        self.open.values().any(|runs| runs.contains(run))
    }

    fn add_data(&mut self, study: &Study) {
        self.data.extend(study.data.iter().map(|data| data.summary.sha256.clone()));
    }

    /// What a study's file and manifest say.
    async fn add_stored(&mut self, store: &Store, stored: &StoredStudy, runs: &HashSet<String>) -> Result<(), Failure> {
        let name = stored.study.name.clone();
        self.add_data(&stored.study);
        let key = Path::from(manifest_key(&name));
        // Its time before its content: a newer content than the time says is no danger.
        let written_ms = match store.objects().head(&key).await {
            Ok(object) => Some(modified_ms(&object)),
            Err(object_store::Error::NotFound { .. }) => None,
            Err(error) => return Err(fails(store, &error)),
        };
        let manifest = match written_ms {
            Some(_) => read_manifest(store, &name).await?,
            None => Vec::new(),
        };
        let mut done = 0;
        for row in &manifest {
            if let Outcome::Done(part) = &row.outcome {
                self.parts.insert(part.key.clone());
                done += 1;
            }
        }
        let planned: usize = stored.planned.iter().map(|cell| cell.runs).sum();
        let source = written_ms.map(|written_ms| Source::Manifest { written_ms, is_complete: done == planned });
        self.studies.insert(name.clone(), source.unwrap_or(Source::Nothing));
        let ended: HashSet<&str> = manifest.iter().map(|row| row.run.as_str()).collect();
        self.open.insert(name, open_runs(&stored.study, &ended, runs)?);
        Ok(())
    }

    /// What the ledger says of all its studies. It is believed about a study in the store only if the two are the same study.
    async fn add_ledger(
        &mut self,
        client: &mut Client,
        hashes: &HashMap<String, String>,
        runs: &HashSet<String>,
        since_ms: u64,
    ) -> Result<(), Failure> {
        for study in client.list_studies(ListStudiesRequest {}).await?.into_inner().studies {
            let open = self.add_runs(client, &study.name, runs).await?;
            self.add_moved(client, &study.name, since_ms).await?;
            match hashes.get(&study.name) {
                Some(hash) if *hash == study.hash => {
                    self.studies.insert(study.name.clone(), Source::Ledger);
                    self.open.insert(study.name, open);
                }
                Some(_) => {}
                None => {
                    self.open.insert(study.name.clone(), open);
                    let found = client.get_study(GetStudyRequest { name: study.name }).await?.into_inner();
                    let parsed = file::parse(&found.study_toml).and_then(|parsed| parsed.resolve_stored());
                    self.add_data(&parsed.map_err(Failure::other)?);
                }
            }
        }
        Ok(())
    }

    /// Takes what was moved of a study's parts. An older coordinator moves none.
    async fn add_moved(&mut self, client: &mut Client, study: &str, since_ms: u64) -> Result<(), Failure> {
        let mut request =
            ListMovedPartsRequest { study: study.to_string(), since_ms, ..ListMovedPartsRequest::default() };
        loop {
            let page = match client.list_moved_parts(request.clone()).await {
                Err(status) if status.code() == tonic::Code::Unimplemented => return Ok(()),
                page => page?.into_inner(),
            };
            self.moved.extend(page.parts.into_iter().map(|moved| (moved.part, moved.moved_ms)));
            if page.next_page.is_empty() {
                return Ok(());
            }
            request.page = page.next_page;
        }
    }

    /// Takes a study's parts; gives those of `runs` whose shard has a run that is still to be done. The whole shard counts, because
    /// the checkpoints of a pack are kept under its first run.
    async fn add_runs(
        &mut self,
        client: &mut Client,
        study: &str,
        runs: &HashSet<String>,
    ) -> Result<HashSet<String>, Failure> {
        let (mut open_shards, mut shard_of) = (HashSet::new(), Vec::new());
        let mut request = ListRunsRequest { study: study.to_string(), ..ListRunsRequest::default() };
        loop {
            let page = client.list_runs(request.clone()).await?.into_inner();
            for run in page.runs {
                match run.state() {
                    RunState::Done => drop(self.parts.insert(run.part)),
                    RunState::Pending => drop(open_shards.insert(run.shard.clone())),
                    _ => {}
                }
                if runs.contains(&run.run) {
                    shard_of.push((run.run, run.shard));
                }
            }
            if page.next_page.is_empty() {
                break;
            }
            request.page = page.next_page;
        }
        let open = shard_of.into_iter().filter(|(_, shard)| open_shards.contains(shard)).map(|(run, _)| run);
        Ok(open.collect())
    }
}

/// When an object was written, in milliseconds since 1970 by the store's clock.
pub fn modified_ms(object: &object_store::ObjectMeta) -> u64 {
    u64::try_from(object.last_modified.timestamp_millis()).unwrap_or(0)
}

/// The names of the folders below `studies/`.
async fn folders(store: &Store) -> Result<Vec<String>, Failure> {
    let listed = store.objects().list_with_delimiter(Some(&Path::from("studies"))).await;
    let listed = listed.map_err(|error| fails(store, &error))?;
    Ok(listed.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_string)).collect())
}

/// Those of `runs` whose shard has a run that the manifest does not list.
fn open_runs(study: &Study, ended: &HashSet<&str>, runs: &HashSet<String>) -> Result<HashSet<String>, Failure> {
    if runs.is_empty() {
        return Ok(HashSet::new());
    }
    let mut open = HashSet::new();
    for spec in shards(study).map_err(Failure::other)? {
        let ids: Vec<String> = spec.runs().map(|run| run.id.to_string()).collect();
        if ids.iter().any(|id| !ended.contains(id.as_str())) {
            open.extend(ids.into_iter().filter(|id| runs.contains(id)));
        }
    }
    Ok(open)
}
