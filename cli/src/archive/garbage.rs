//! Garbage: objects that nothing names and nothing will name.
//!
//! # Why no curve is lost
//!
//! A worker uploads a part and then commits it under its lease. So a part that no commit names is either garbage or about to be
//! committed, and the two look alike. What tells them apart is time: a commit is taken only under a lease that is held, a lease that is
//! not renewed ends, and a worker that cannot reach its coordinator for the length of a lease gives its work up. No part is committed
//! much later than a lease after it was uploaded. The *grace* is far longer (`MIN_GRACE_MS` at the least), so:
//!
//! - **With the ledger** (a coordinator that is asked): an unnamed part older than the grace is garbage. A run that is reused names a
//!   part that is named already, so no new study makes an unnamed part wanted.
//! - **With a manifest alone**, which may be older than the ledger's last commit: an unnamed part is garbage if the manifest was written
//!   later than the grace after the part; the manifest would name it. Or if the part is older than a manifest that lists every planned
//!   run as done; then there is no run left that it could be committed for. Other parts are left alone: a coordinator that was killed may
//!   have committed them and not have written its manifest.
//! - **Without either**, a study's parts are left alone.
//!
//! A part whose rows were moved into a larger one is named no more, but whoever reads by an older manifest still reads it. So the grace
//! counts from the move, which the ledger knows; and without a ledger from the writing of the manifest that does not name it.
//!
//! Losing a checkpoint costs time, losing a data set an import, so these need no such proof: a checkpoint is garbage when its shard has no
//! run left to do in any study, a data set when no study names it. Objects are listed before the names are read, and before deletion
//! the names are read again and each object is looked at again, so that what came to be named or was written anew meanwhile is kept. A
//! study that is submitted within the moment between that look and the deletion finds a data set gone; submitting it again
//! brings the data set back.

use std::collections::HashSet;

use curvefleet_proto::store::Store;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::truth::{Source, Truth, modified_ms};
use super::verify::fails;
use crate::client::Client;
use crate::failure::Failure;

/// The least grace with which anything is deleted, in milliseconds: ten leases of the usual length.
pub const MIN_GRACE_MS: u64 = 600_000;
/// Objects deleted after one look at what is named.
const DELETED_AT_ONCE: usize = 1_000;

/// What kind of object it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// Curve parts that no commit names
    Parts,
    /// Checkpoints that no run will go on from
    Checkpoints,
    /// Data sets that no study names
    Data,
}

/// An object that nothing names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Garbage {
    /// Its key.
    pub key: String,
    /// What it is.
    pub kind: Kind,
    /// Its size.
    pub size_bytes: u64,
    /// When it was written, in milliseconds since 1970 by the store's clock.
    pub modified_ms: u64,
    /// Why it is garbage.
    pub reason: String,
}

/// What a look at the store found.
#[derive(Debug, Default)]
pub struct Survey {
    /// Garbage, by key.
    pub garbage: Vec<Garbage>,
    /// Unnamed objects that are younger than the grace.
    pub young: usize,
    /// Unnamed parts that only a ledger can speak about.
    pub unsure: usize,
}

/// How objects are judged.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The time, in milliseconds since 1970.
    pub now_ms: u64,
    /// How old an object must be.
    pub grace_ms: u64,
    /// The kinds that are looked at.
    pub kinds: Vec<Kind>,
}

impl Rules {
    /// What happened before this is older than the grace.
    fn since_ms(&self) -> u64 {
        self.now_ms.saturating_sub(self.grace_ms)
    }
}

/// What an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Judgement {
    Needed,
    Young,
    Unsure,
    Garbage(String),
}

/// Looks for garbage; deletes nothing.
///
/// # Errors
/// If the store or the coordinator fails, or a study file or manifest cannot be read.
pub async fn survey(store: &Store, client: Option<&mut Client>, rules: &Rules) -> Result<Survey, Failure> {
    // First the objects, then the names: what is committed meanwhile is then seen as named.
    let mut objects = Vec::new();
    for folder in ["studies", "checkpoints", "datasets"] {
        let listed = store.objects().list(Some(&Path::from(folder))).try_collect::<Vec<ObjectMeta>>().await;
        objects.extend(listed.map_err(|error| fails(store, &error))?);
    }
    let runs = runs_of(objects.iter().map(|object| object.location.as_ref()));
    let truth = Truth::read(store, client, &runs, rules.since_ms()).await?;
    let mut survey = Survey::default();
    for object in &objects {
        let Some((kind, judgement)) = judge(object.location.as_ref(), modified_ms(object), &truth, rules) else {
            continue;
        };
        match judgement {
            Judgement::Needed => {}
            Judgement::Young => survey.young += 1,
            Judgement::Unsure => survey.unsure += 1,
            Judgement::Garbage(reason) => survey.garbage.push(Garbage {
                key: object.location.to_string(),
                kind,
                size_bytes: object.size,
                modified_ms: modified_ms(object),
                reason,
            }),
        }
    }
    survey.garbage.sort_by(|a, b| (a.kind, &a.key).cmp(&(b.kind, &b.key)));
    Ok(survey)
}

/// Deletes what is garbage still; gives what was deleted.
///
/// # Errors
/// If the store or the coordinator fails; what was deleted until then was garbage.
pub async fn delete(
    store: &Store,
    mut client: Option<&mut Client>,
    garbage: Vec<Garbage>,
    rules: &Rules,
) -> Result<Vec<Garbage>, Failure> {
    let mut deleted = Vec::new();
    for garbage in garbage.chunks(DELETED_AT_ONCE) {
        let runs = runs_of(garbage.iter().map(|garbage| garbage.key.as_str()));
        let truth = Truth::read(store, client.as_deref_mut(), &runs, rules.since_ms()).await?;
        for garbage in garbage {
            let path = Path::from(garbage.key.as_str());
            let object = match store.objects().head(&path).await {
                Ok(object) => object,
                Err(object_store::Error::NotFound { .. }) => continue,
                Err(error) => return Err(fails(store, &error)),
            };
            if !is_still(garbage, modified_ms(&object), &truth, rules) {
                continue;
            }
            match store.objects().delete(&path).await {
                Ok(()) => deleted.push(garbage.clone()),
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(fails(store, &error)),
            }
        }
    }
    Ok(deleted)
}

/// Whether an object is garbage at a second look.
fn is_still(garbage: &Garbage, modified_ms: u64, truth: &Truth, rules: &Rules) -> bool {
    let judged = judge(&garbage.key, modified_ms, truth, rules);
    modified_ms == garbage.modified_ms && matches!(judged, Some((_, Judgement::Garbage(_))))
}

/// What an object is; `None` for those that are never garbage, such as reports.
fn judge(key: &str, modified_ms: u64, truth: &Truth, rules: &Rules) -> Option<(Kind, Judgement)> {
    let names: Vec<&str> = key.split('/').collect();
    let (kind, unnamed) = match names[..] {
        ["studies", study, "curves", name] if name.ends_with(".parquet") => {
            (Kind::Parts, judge_part(key, study, modified_ms, truth, rules))
        }
        ["checkpoints", run, _] if truth.is_open(run) => (Kind::Checkpoints, Judgement::Needed),
        ["checkpoints", _, _] => {
            let reason = "no run of its shard is left to do in any study".to_string();
            (Kind::Checkpoints, Judgement::Garbage(reason))
        }
        ["datasets", name] => {
            let is_named = truth.data.contains(name.strip_suffix(".parquet")?);
            let reason = || Judgement::Garbage("no study names it".to_string());
            (Kind::Data, if is_named { Judgement::Needed } else { reason() })
        }
        _ => return None,
    };
    if !rules.kinds.contains(&kind) {
        return None;
    }
    let is_young = rules.now_ms.saturating_sub(modified_ms) < rules.grace_ms;
    Some((kind, if is_young && unnamed != Judgement::Needed { Judgement::Young } else { unnamed }))
}

fn judge_part(key: &str, study: &str, modified_ms: u64, truth: &Truth, rules: &Rules) -> Judgement {
    if truth.parts.contains(key) {
        return Judgement::Needed;
    }
    let is_recent = |time_ms: u64| rules.now_ms.saturating_sub(time_ms) < rules.grace_ms;
    if truth.moved.get(key).is_some_and(|moved_ms| is_recent(*moved_ms)) {
        return Judgement::Young;
    }
    let reason = format!("no run of study {study} lies in it");
    match truth.studies.get(study) {
        Some(Source::Ledger) => Judgement::Garbage(reason),
        // Whoever still reads by the manifest before this one may find the part named there.
        Some(Source::Manifest { written_ms, .. }) if is_recent(*written_ms) => Judgement::Young,
        Some(Source::Manifest { written_ms, is_complete }) => {
            let is_late = written_ms.saturating_sub(modified_ms) >= rules.grace_ms;
            let is_older = modified_ms < *written_ms;
            if is_late || (is_older && *is_complete) { Judgement::Garbage(reason) } else { Judgement::Unsure }
        }
        Some(Source::Nothing) | None => Judgement::Unsure,
    }
}

/// The runs that the checkpoints among these objects are of.
fn runs_of<'a>(keys: impl Iterator<Item = &'a str>) -> HashSet<String> {
    keys.filter_map(|key| Some(key.strip_prefix("checkpoints/")?.split_once('/')?.0.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PART: &str = "studies/one/curves/00-1-1.parquet";
    const HOUR_MS: u64 = 3_600_000;

    fn rules() -> Rules {
        Rules { now_ms: 100 * HOUR_MS, grace_ms: 24 * HOUR_MS, kinds: vec![Kind::Parts, Kind::Checkpoints, Kind::Data] }
    }

    fn truth(source: Option<Source>) -> Truth {
        let mut truth = Truth::default();
        truth.studies.extend(source.map(|source| ("one".to_string(), source)));
        truth
    }

    fn is_garbage(modified_hour: u64, truth: &Truth) -> bool {
        let judged = judge(PART, modified_hour * HOUR_MS, truth, &rules());
        matches!(judged, Some((Kind::Parts, Judgement::Garbage(_))))
    }

    #[test]
    fn by_the_ledger_an_unnamed_part_is_garbage_after_the_grace() {
        let mut truth = truth(Some(Source::Ledger));
        assert!(is_garbage(76, &truth) && !is_garbage(77, &truth));
        truth.parts.insert(PART.to_string());
        assert!(!is_garbage(1, &truth));
    }

    /// A coordinator that was killed before it wrote its manifest may have committed anything younger than the manifest.
    #[test]
    fn by_a_manifest_a_part_is_garbage_only_where_the_manifest_must_have_named_it() {
        let manifest = |written_hour: u64, is_complete| {
            truth(Some(Source::Manifest { written_ms: written_hour * HOUR_MS, is_complete }))
        };
        assert!(is_garbage(10, &manifest(34, false)), "written a day later");
        assert!(!is_garbage(11, &manifest(34, false)), "committed perhaps after the manifest");
        assert!(is_garbage(33, &manifest(34, true)), "no run is left for it");
        assert!(
            !is_garbage(34, &manifest(34, true)) && !is_garbage(35, &manifest(34, true)),
            "of a run taken back since"
        );
        assert!(!is_garbage(77, &manifest(99, true)), "younger than the grace");
    }

    /// Whoever reads by the manifest before still reads it.
    #[test]
    fn a_part_whose_rows_were_moved_is_garbage_when_the_move_is_older_than_the_grace() {
        let mut truth = truth(Some(Source::Ledger));
        truth.moved.insert(PART.to_string(), 77 * HOUR_MS);
        assert!(!is_garbage(1, &truth));
        truth.moved.insert(PART.to_string(), 76 * HOUR_MS);
        assert!(is_garbage(1, &truth));
        let manifest = |written_hour: u64| Source::Manifest { written_ms: written_hour * HOUR_MS, is_complete: true };
        truth.studies.insert("one".to_string(), manifest(77));
        assert!(!is_garbage(1, &truth));
        truth.studies.insert("one".to_string(), manifest(76));
        assert!(is_garbage(1, &truth));
    }

    #[test]
    fn without_ledger_and_manifest_parts_are_left_alone() {
        for truth in [truth(None), truth(Some(Source::Nothing))] {
            assert_eq!(judge(PART, 0, &truth, &rules()), Some((Kind::Parts, Judgement::Unsure)));
        }
    }

    #[test]
    fn what_came_to_be_named_or_was_written_anew_since_the_first_look_is_kept() {
        let (reason, modified_ms) = (String::new(), HOUR_MS);
        let garbage = Garbage { key: PART.to_string(), kind: Kind::Parts, size_bytes: 1, modified_ms, reason };
        let mut truth = truth(Some(Source::Ledger));
        assert!(is_still(&garbage, HOUR_MS, &truth, &rules()));
        assert!(!is_still(&garbage, HOUR_MS + 1, &truth, &rules()), "written anew");
        truth.parts.insert(PART.to_string());
        assert!(!is_still(&garbage, HOUR_MS, &truth, &rules()), "committed");
    }

    #[test]
    fn reports_manifests_and_diverged_curves_are_never_garbage() {
        for key in ["studies/one/study.toml", "studies/one/manifest.parquet", "studies/one/reports/x/index.html"]
            .into_iter()
            .chain(["studies/one/diverged/00-1.parquet", "ledger.sqlite", "datasets/readme.txt"])
        {
            assert_eq!(judge(key, 0, &truth(Some(Source::Ledger)), &rules()), None, "{key}");
        }
    }

    #[test]
    fn data_sets_and_checkpoints_that_nothing_names_are_garbage() {
        let mut named = truth(Some(Source::Ledger));
        named.data.insert("ab".to_string());
        let garbage = |key: &str| matches!(judge(key, 0, &named, &rules()), Some((_, Judgement::Garbage(_))));
        assert!(!garbage("datasets/ab.parquet") && garbage("datasets/cd.parquet"));
        assert!(garbage("checkpoints/00/epoch-3.bpk"));
        let kinds = vec![Kind::Parts];
        assert_eq!(judge("datasets/cd.parquet", 0, &named, &Rules { kinds, ..rules() }), None);
    }
}
