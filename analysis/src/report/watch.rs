//! A report that is renewed while runs arrive: written again when a manifest has changed, in the same place, until nothing is left to
//! train.

use std::time::{Duration, SystemTime};

use curvefleet_proto::artifact::manifest_key;
use curvefleet_proto::store::Store;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::{PAGE, ReportSummary, put, time, write};
use crate::error::Error;

/// What a page that is renewed says about it.
#[derive(Debug, Clone)]
pub struct Renewal {
    /// When it was written, as a report's name.
    pub(super) as_of: String,
    /// Seconds after which it is worth looking again.
    pub(super) every_seconds: u64,
}

/// What became of a look at the store.
#[derive(Debug)]
pub enum News<'a> {
    /// The report was written, or written again.
    Written(&'a ReportSummary),
    /// Nothing is done yet.
    Waiting,
    /// This look failed; the next one may not.
    Trouble(&'a Error),
}

/// A report that is kept up to date.
#[derive(Debug)]
pub struct Watch {
    store: Store,
    studies: Vec<String>,
    name: String,
    every: Duration,
    /// The manifests that the report was written from.
    seen: Vec<Version>,
    last: Option<(ReportSummary, String)>,
}

/// What tells one version of an object from the next.
type Version = (Option<String>, u64, String);

impl Watch {
    /// Watches over studies; their report's folder is called `name`, and there is a look at the store `every` so long.
    pub fn new(store: Store, studies: Vec<String>, name: String, every: Duration) -> Watch {
        Watch { store, studies, name, every, seen: Vec::new(), last: None }
    }

    /// Renews the report until nothing is left to train, `before` says that nothing more will come, or `stop` is there; then writes the
    /// page once more as one that stays. `before` comes ahead of each look and may bring the manifests up to date. Gives what the
    /// report says at last, if there is one.
    ///
    /// # Errors
    /// If there is no such study, or the studies cannot be compared. Other troubles are told and may pass.
    pub async fn follow(
        mut self,
        now: impl Fn() -> SystemTime,
        mut before: impl AsyncFnMut() -> bool,
        mut tell: impl FnMut(News<'_>),
        stop: impl Future<Output = ()>,
    ) -> Result<Option<ReportSummary>, Error> {
        tokio::pin!(stop);
        let mut waiting = false;
        loop {
            let ended = tokio::select! {
                ended = before() => ended,
                () = &mut stop => break,
            };
            let looked = tokio::select! {
                looked = self.look(now()) => looked,
                () = &mut stop => break,
            };
            match looked {
                Ok(true) => self.last.iter().for_each(|(summary, _)| tell(News::Written(summary))),
                Ok(false) => {}
                Err(Error::NothingDone(_)) if waiting => {}
                Err(Error::NothingDone(_)) => {
                    waiting = true;
                    tell(News::Waiting);
                }
                Err(error) if error.is_user_error() => return Err(error),
                Err(error) => tell(News::Trouble(&error)),
            }
            if ended || self.last.as_ref().is_some_and(|(summary, _)| summary.pending == 0) {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(self.every) => {}
                () = &mut stop => break,
            }
        }
        let Some((summary, settled)) = self.last else { return Ok(None) };
        put(&self.store, &format!("{}/{PAGE}", summary.folder), settled.into_bytes()).await?;
        Ok(Some(summary))
    }

    /// Writes the report if a manifest has changed; gives whether one has.
    async fn look(&mut self, now: SystemTime) -> Result<bool, Error> {
        let mut versions = Vec::with_capacity(self.studies.len());
        for study in &self.studies {
            versions.push(self.version(study).await?);
        }
        if self.last.is_some() && versions == self.seen {
            return Ok(false);
        }
        let renewal = Renewal { as_of: time::folder_name(now), every_seconds: self.every.as_secs() };
        let written = write(&self.store, &self.studies, &self.name, Some(renewal)).await?;
        // What the manifests were before they were read: should one change meanwhile, the next look sees it.
        self.seen = versions;
        self.last = Some((written.summary, written.settled));
        Ok(true)
    }

    /// The version of a study's manifest; that of nothing where there is none yet, which the reading explains.
    async fn version(&self, study: &str) -> Result<Version, Error> {
        let key = manifest_key(study);
        // A name that is no key is explained by the reading too.
        let Ok(path) = Path::parse(&key) else { return Ok(Version::default()) };
        match self.store.objects().head(&path).await {
            Ok(found) => Ok((found.e_tag, found.size, found.last_modified.to_rfc3339())),
            Err(object_store::Error::NotFound { .. }) => Ok(Version::default()),
            Err(source) => Err(Error::Objects { place: self.store.locate(&key), source }),
        }
    }
}
