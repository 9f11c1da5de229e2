//! A study's artifacts against what was committed: every part byte by byte against the manifest's size and SHA-256, its columns
//! against the schema, each run's rows against what the manifest and the study say of the run, and the data sets against their hashes.

use std::collections::HashMap;

use curvefleet_analysis::read::manifest::{ManifestRow, Outcome, PartRef, read_manifest};
use curvefleet_analysis::read::part::{Problem, read_bytes};
use curvefleet_analysis::read::results::{PARTS_IN_FLIGHT, runs_by_part};
use curvefleet_analysis::read::study::{StoredStudy, read_study};
use curvefleet_proto::artifact::{dataset_key, sha256_hex};
use curvefleet_proto::store::Store;
use curvefleet_proto::study::Labels;
use futures::StreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::part::{EpochBits, PartBits, decode};
use crate::failure::Failure;

/// What was found.
#[derive(Debug)]
pub struct Verified {
    /// The study.
    pub study: StoredStudy,
    /// Runs planned.
    pub planned: usize,
    /// Runs that the manifest says have failed.
    pub failed: usize,
    /// How many parts the manifest names.
    pub parts: usize,
    /// Done runs that are whole, in the manifest's order.
    pub whole: Vec<ManifestRow>,
    /// Done runs that are not, in the manifest's order.
    pub damaged: Vec<Damaged>,
    /// Data sets that are not as the study names them.
    pub damaged_data: Vec<DamagedData>,
    /// The names of data sets that are not in the store: their curves can be read, and not be trained again.
    pub absent_data: Vec<String>,
}

/// A done run whose curve is lost.
#[derive(Debug, Clone)]
pub struct Damaged {
    /// The run.
    pub row: ManifestRow,
    /// The key of its part.
    pub part: String,
    /// What is wrong with the part, as half a sentence that follows the key.
    pub problem: String,
}

/// A data set that has other bytes than its name says.
#[derive(Debug, Clone)]
pub struct DamagedData {
    /// Its name in the study.
    pub name: String,
    /// The SHA-256 that it is to have.
    pub sha256: String,
}

/// Reads everything that a study's manifest names.
///
/// # Errors
/// If there is no such study, its study file or manifest cannot be read, or the store fails.
pub async fn verify(store: &Store, study: &str) -> Result<Verified, Failure> {
    let stored = read_study(store, study).await?;
    let manifest = read_manifest(store, study).await?;
    let parts = runs_by_part(&manifest);
    let mut problems: HashMap<&str, (String, String)> = HashMap::new();
    let objects = store.objects();
    let mut fetched = futures::stream::iter(&parts)
        .map(|(part, rows)| {
            let objects = objects.clone();
            async move { (read(objects, part).await, part, rows) }
        })
        .buffered(PARTS_IN_FLIGHT);
    while let Some((found, part, rows)) = fetched.next().await {
        for row in rows {
            let problem = match &found {
                Ok(bits) => of_run(row, bits.runs.get(&row.run), stored.study.training.epochs),
                Err(Problem::Store(error)) => return Err(fails(store, error)),
                Err(problem) => Some(problem.to_string()),
            };
            if let Some(problem) = problem {
                problems.insert(&row.run, (part.key.clone(), problem));
            }
        }
    }
    let is_done = |row: &&ManifestRow| matches!(row.outcome, Outcome::Done(_));
    let damaged = manifest.iter().filter_map(|row| {
        let (part, problem) = problems.get(row.run.as_str())?.clone();
        Some(Damaged { row: row.clone(), part, problem })
    });
    let whole = manifest.iter().filter(is_done).filter(|row| !problems.contains_key(row.run.as_str()));
    let (damaged_data, absent_data) = look_at_data(store, &stored).await?;
    Ok(Verified {
        planned: stored.planned.iter().map(|cell| cell.runs).sum(),
        failed: manifest.iter().filter(|row| !is_done(row)).count(),
        parts: parts.len(),
        whole: whole.cloned().collect(),
        damaged: damaged.collect(),
        damaged_data,
        absent_data,
        study: stored,
    })
}

impl Verified {
    /// Whether all that was committed is there as it was.
    pub fn is_whole(&self) -> bool {
        self.damaged.is_empty() && self.damaged_data.is_empty()
    }

    /// Planned runs that are neither done nor failed.
    pub fn pending(&self) -> usize {
        self.planned.saturating_sub(self.whole.len() + self.damaged.len() + self.failed)
    }
}

/// Fetches and decodes a part.
pub(super) async fn read(
    objects: std::sync::Arc<dyn object_store::ObjectStore>,
    part: &PartRef,
) -> Result<PartBits, Problem> {
    decode(read_bytes(objects, part).await?).map_err(Problem::Malformed)
}

pub(super) fn fails(store: &Store, error: &object_store::Error) -> Failure {
    let reason = curvefleet_proto::store::diagnose(error);
    Failure::other(format!("the store {} fails: {reason}", store.url()))
}

/// What is wrong with a run's rows.
fn of_run(row: &ManifestRow, epochs: Option<&Vec<EpochBits>>, expected: u32) -> Option<String> {
    let Some(epochs) = epochs else { return Some("holds no rows of this run".to_string()) };
    if !epochs.iter().map(|epoch| epoch.epoch).eq(1..=expected) {
        let rows = epochs.len();
        return Some(format!("holds {rows} rows of this run where the epochs 1 to {expected} are expected"));
    }
    let labels = if row.shuffled { Labels::Shuffled } else { Labels::True }.as_str();
    if epochs.iter().any(|epoch| epoch.seed != row.seed || epoch.labels != labels) {
        return Some(format!("holds this run with another seed than {} or other labels than `{labels}`", row.seed));
    }
    let steps = epochs.first().map_or(0, |epoch| epoch.curve.len());
    let is_curve = |epoch: &&EpochBits| {
        let are_shares = epoch.curve.iter().all(|bits| (0.0..=1.0).contains(&f64::from_bits(*bits)));
        steps > 0 && epoch.curve.len() == steps && are_shares
    };
    let broken = epochs.iter().find(|epoch| !is_curve(epoch))?;
    Some(format!("holds no curve of {steps} accuracies from 0 to 1 for this run's epoch {}", broken.epoch))
}

/// The data sets that are damaged, and the names of those that are absent.
async fn look_at_data(store: &Store, stored: &StoredStudy) -> Result<(Vec<DamagedData>, Vec<String>), Failure> {
    let (mut damaged, mut absent) = (Vec::new(), Vec::new());
    for data in &stored.study.data {
        let (name, sha256) = (data.name.clone(), data.summary.sha256.clone());
        match store.objects().get(&Path::from(dataset_key(&sha256))).await {
            Ok(object) => {
                let bytes = object.bytes().await.map_err(|error| fails(store, &error))?;
                if sha256_hex(&bytes) != sha256 {
                    damaged.push(DamagedData { name, sha256 });
                }
            }
            Err(object_store::Error::NotFound { .. }) => absent.push(name),
            Err(error) => return Err(fails(store, &error)),
        }
    }
    Ok((damaged, absent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> ManifestRow {
        ManifestRow {
            run: "r".to_string(),
            data: "d".to_string(),
            condition: "a/b".to_string(),
            shuffled: false,
            model: "m".to_string(),
            seed: 3,
            outcome: Outcome::Failed(String::new()),
        }
    }

    fn epochs() -> Vec<EpochBits> {
        let epoch = |epoch| EpochBits {
            seed: 3,
            labels: "true".to_string(),
            epoch,
            figures: Vec::new(),
            curve: [0.0_f64, 0.5, 1.0].map(f64::to_bits).to_vec(),
        };
        (1..=2).map(epoch).collect()
    }

    #[test]
    fn a_run_is_whole_only_with_every_epoch_its_own_seed_and_labels_and_curves_that_are_shares() {
        assert_eq!(of_run(&row(), Some(&epochs()), 2), None);
        let wrong = |change: fn(&mut Vec<EpochBits>), words: &str| {
            let mut epochs = epochs();
            change(&mut epochs);
            let problem = of_run(&row(), Some(&epochs), 2).unwrap_or_default();
            assert!(problem.contains(words), "{words}: {problem}");
        };
        assert!(of_run(&row(), None, 2).is_some());
        wrong(|epochs| epochs.truncate(1), "1 rows of this run");
        wrong(|epochs| epochs.swap(0, 1), "epochs 1 to 2");
        wrong(|epochs| epochs[1].seed = 4, "another seed than 3");
        wrong(|epochs| epochs[0].labels = "shuffled".to_string(), "`true`");
        wrong(|epochs| epochs[1].curve[0] = 1.5_f64.to_bits(), "epoch 2");
        wrong(|epochs| epochs[1].curve[0] = f64::NAN.to_bits(), "epoch 2");
        wrong(|epochs| epochs[1].curve.truncate(2), "3 accuracies");
        wrong(|epochs| epochs.iter_mut().for_each(|epoch| epoch.curve.clear()), "epoch 1");
    }
}
