//! Moves the rows of many small parts into few large ones, in the background. The ledger says which parts ([`crate::ledger::compact`]
//! tells why nothing can go wrong between plan and end); this reads them, writes the large one, reads it back and then says so.
//!
//! One large part is made at a time. In memory are its small parts, the rows of one place in the plan, and the large part as far as it is
//! encoded. Whoever is stopped or killed in the middle leaves an object that nothing names.

mod encode;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use curvefleet_proto::artifact::{compacted_key, sha256_hex};
use curvefleet_proto::store::Store;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{ObjectStore, ObjectStoreExt as _};
use parquet::errors::ParquetError;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio::time::Instant;

use self::encode::{Encoded, encode};
use crate::encoding::EncodingThread;
use crate::ledger::compact::{EndCompaction, Made, Plan, PlanCompaction, Source};
use crate::ledger::{self, Handle};

/// How often it is looked whether there is something to do.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Between two large parts there is a rest as long as the work was, and at least this, so that a long backlog leaves half of store and
/// processor to others.
const REST: Duration = Duration::from_millis(100);
/// After a failure, and twice as long after each further one in a row ...
const FIRST_PAUSE: Duration = Duration::from_secs(20);
/// ... up to this.
const LAST_PAUSE: Duration = Duration::from_secs(600);
/// Small parts fetched side by side.
const FETCHED_AT_ONCE: usize = 4;

/// Why a large part could not be made.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The ledger refuses or fails.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// The store fails.
    #[error("the store fails: {0}")]
    Store(#[from] object_store::Error),
    /// Nothing of what is to be moved can be read: it is the store that is amiss, rather than every part.
    #[error("none of {parts} parts of the study {study} can be read; the part {part} {problem}")]
    Nothing {
        /// How many.
        parts: usize,
        /// Of which study.
        study: String,
        /// The first one.
        part: String,
        /// What is wrong with it, as half a sentence.
        problem: String,
    },
    /// The rows cannot be encoded.
    #[error("a part cannot be encoded: {0}")]
    Encode(#[from] ParquetError),
    /// The store does not give what it was given.
    #[error("the part {0} has other bytes when it is read back than were written")]
    ReadBack(String),
}

/// A part that cannot be moved, and what is wrong with it, as half a sentence.
type Unfit = (String, String);

/// Makes large parts.
#[derive(Debug)]
pub(crate) struct Compactor {
    ledger: Handle,
    store: Store,
    encoding: EncodingThread,
}

impl Compactor {
    pub fn new(ledger: Handle, store: Store, encoding: EncodingThread) -> Compactor {
        Compactor { ledger, store, encoding }
    }

    /// Makes large parts until `stopping`. Trouble is logged when it begins and when it is over, not at every attempt between.
    pub async fn keep(&self, mut stopping: watch::Receiver<bool>) {
        let mut pause = LOOK_EVERY;
        let mut failures = 0_u32;
        loop {
            let work = async {
                tokio::time::sleep(pause).await;
                let began = Instant::now();
                self.compact().await.map(|has_worked| has_worked.then(|| began.elapsed()))
            };
            let done = tokio::select! {
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => return,
                done = work => done,
            };
            pause = match done {
                Ok(worked) => {
                    if failures > 0 && worked.is_some() {
                        tracing::info!("small parts are moved into large ones again");
                        failures = 0;
                    }
                    worked.map_or(LOOK_EVERY, |worked| worked.max(REST))
                }
                Err(error) => {
                    if failures == 0 {
                        tracing::warn!(%error, "cannot move small parts into a large one; it is tried again until it works");
                    }
                    failures = failures.saturating_add(1);
                    FIRST_PAUSE.saturating_mul(1 << (failures - 1).min(10)).min(LAST_PAUSE)
                }
            };
        }
    }

    /// Makes one large part, if there is something to do; says whether there was. After an error the plan's claim ends by itself, so that
    /// other studies have their turn before this one is tried again.
    async fn compact(&self) -> Result<bool, Error> {
        let Some(plan) = self.ledger.ask(PlanCompaction).await? else { return Ok(false) };
        let (study, claim, planned) = (plan.study.clone(), plan.claim, plan.sources.len());
        let (made, unfit) = self.make(plan).await?;
        for (part, problem) in &unfit {
            tracing::warn!(
                study,
                part,
                problem,
                "a part is damaged and stays as it is; `curvefleet retry {study} --damaged` trains its runs again"
            );
        }
        let key = made.as_ref().map(|made| made.key.clone());
        let unfit = unfit.into_iter().map(|(part, _)| part).collect();
        let moved = self.ledger.ask(EndCompaction { study: study.clone(), claim, made, unfit }).await?;
        if let Some(part) = key {
            tracing::info!(study, part, planned, moved, "moved the rows of small parts into a large one");
        }
        Ok(true)
    }

    /// The large part of a plan, written and read back, and the parts that cannot be in it. None is made of a single part.
    async fn make(&self, plan: Plan) -> Result<(Option<Made>, Vec<Unfit>), Error> {
        let Plan { study, claim, sources } = plan;
        let (planned, seed) = (sources.len(), sources.iter().map(|source| source.sha256.as_str()).collect::<String>());
        let key = compacted_key(&study, claim, &sha256_hex(seed.as_bytes()));
        let (fetched, mut unfit) = self.fetch(sources).await?;
        let (encoded, damaged) = self.encoding.work(move || encode(fetched)).await?;
        unfit.extend(damaged);
        let Encoded { bytes, sha256, sources } = encoded;
        match unfit.first() {
            Some((part, problem)) if sources.is_empty() => {
                return Err(Error::Nothing { parts: planned, study, part: part.clone(), problem: problem.clone() });
            }
            _ if sources.len() < 2 => return Ok((None, unfit)),
            _ => {}
        }
        let size_bytes = bytes.len() as u64;
        self.store.objects().put(&key.as_str().into(), bytes.into()).await?;
        if self.hash_of(&key).await? != (size_bytes, sha256.clone()) {
            return Err(Error::ReadBack(key));
        }
        Ok((Some(Made { key, size_bytes, sha256, sources }), unfit))
    }

    /// The sources that are as they were committed, in the plan's order, and the others.
    async fn fetch(&self, sources: Vec<Source>) -> Result<(Vec<(Source, Bytes)>, Vec<Unfit>), Error> {
        let objects = self.store.objects();
        let mut looked = futures::stream::iter(sources)
            .map(|source| {
                let objects = objects.clone();
                async move { (fetch(objects, &source).await, source) }
            })
            .buffered(FETCHED_AT_ONCE);
        let (mut fetched, mut unfit) = (Vec::new(), Vec::new());
        while let Some((found, source)) = looked.next().await {
            match found? {
                Ok(bytes) => fetched.push((source, bytes)),
                Err(problem) => unfit.push((source.part, problem)),
            }
        }
        Ok((fetched, unfit))
    }

    /// The size and SHA-256 of an object.
    async fn hash_of(&self, key: &str) -> Result<(u64, String), Error> {
        let (mut size, mut hash) = (0, Sha256::new());
        let mut chunks = self.store.objects().get(&key.into()).await?.into_stream();
        while let Some(chunk) = chunks.try_next().await? {
            size += chunk.len() as u64;
            hash.update(&chunk);
        }
        Ok((size, hex::encode(hash.finalize())))
    }
}

/// A part's bytes, or what is wrong with it, as half a sentence. A store that fails says nothing about the part.
async fn fetch(objects: Arc<dyn ObjectStore>, source: &Source) -> Result<Result<Bytes, String>, object_store::Error> {
    let object = match objects.get(&source.part.as_str().into()).await {
        Ok(object) => object,
        Err(object_store::Error::NotFound { .. }) => return Ok(Err("is missing from the store".to_string())),
        Err(error) => return Err(error),
    };
    let (found, expected) = (object.meta.size, source.size_bytes);
    if found != expected {
        return Ok(Err(format!("has {found} bytes where {expected} were committed")));
    }
    let mut bytes = BytesMut::new();
    let mut chunks = object.into_stream();
    while let Some(chunk) = chunks.try_next().await? {
        bytes.extend_from_slice(&chunk);
    }
    let is_same = sha256_hex(&bytes) == source.sha256;
    Ok(if is_same { Ok(bytes.freeze()) } else { Err("has other bytes than were committed".to_string()) })
}
