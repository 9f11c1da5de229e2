//! Runs trained again on this machine and compared, bit for bit, with what is stored. The same run on the same backend and instruction
//! set has the same bits; where they differ on the same one, either the part or this machine is wrong.

use std::sync::Arc;

use curvefleet_analysis::read::manifest::{ManifestRow, Outcome, PartRef};
use curvefleet_proto::artifact::{PartProvenance, RunProvenance};
use curvefleet_proto::plan::{Run, ShardSpec, shards};
use curvefleet_proto::store::Store;
use curvefleet_proto::study::Study;
use curvefleet_worker::agent::DataCache;
use curvefleet_worker::data::prepare::select;
use curvefleet_worker::rng;
use curvefleet_worker::train::curve::{FinishedRun, encode_part};
use curvefleet_worker::train::{self, Device, Pack};
use futures::{StreamExt, TryStreamExt};

use super::part::{EpochBits, decode, figure_names};
use super::verify::{fails, read};
use crate::failure::Failure;

/// A run that was trained again.
#[derive(Debug)]
pub struct Rerun {
    /// The run.
    pub row: ManifestRow,
    /// Backend and instruction set that the part says it was trained on.
    pub trained_on: Option<String>,
    /// What came out.
    pub verdict: Verdict,
}

/// What a comparison says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every bit is the same.
    Same,
    /// It differs, as it may on another backend or instruction set; where first.
    OtherDevice(String),
    /// It differs although backend and instruction set are the same; where first.
    Differs(String),
    /// This program's training code would train another run.
    OtherVersion,
}

/// `count` of the runs, drawn at random by the seed, in the manifest's order.
pub fn choose(rows: &[ManifestRow], count: usize, seed: u64) -> Vec<ManifestRow> {
    let mut root = [0; 32];
    root[..8].copy_from_slice(&seed.to_le_bytes());
    let mut order: Vec<usize> = (0..rows.len()).collect();
    rng::stream(&root, "verify").shuffle(&mut order);
    order.truncate(count);
    order.sort_unstable();
    order.into_iter().map(|index| rows[index].clone()).collect()
}

/// Trains runs again, as many at a time as there are `slots`.
///
/// # Errors
/// If the store fails, a data set is missing or damaged, or training fails.
pub async fn rerun(
    store: &Store,
    study: &Study,
    rows: Vec<ManifestRow>,
    device: Device,
    slots: usize,
) -> Result<Vec<Rerun>, Failure> {
    let cache = DataCache::default();
    let planned = rows.into_iter().map(|row| {
        let place = place(study, &row);
        (row, place)
    });
    let planned: Vec<_> = planned.collect();
    let reruns = futures::stream::iter(planned).map(|(row, place)| one(store, &cache, row, place, device));
    reruns.buffered(slots).try_collect().await
}

/// The shard that a run is in, and its place there.
fn place(study: &Study, row: &ManifestRow) -> Option<(ShardSpec, usize)> {
    let specs = shards(study).ok()?;
    let mut found = specs.filter(|spec| spec.seeds.contains(&row.seed)).filter_map(|spec| {
        let place = spec.runs().position(|run| run.id.to_string() == row.run)?;
        Some((spec, place))
    });
    found.next()
}

async fn one(
    store: &Store,
    cache: &DataCache,
    row: ManifestRow,
    place: Option<(ShardSpec, usize)>,
    device: Device,
) -> Result<Rerun, Failure> {
    let Outcome::Done(part) = row.outcome.clone() else {
        return Err(Failure::other(format!("the run {} is not done", row.run)));
    };
    let (stored, trained_on) = stored(store, &part, &row.run).await?;
    let Some((spec, place)) = place else { return Ok(Rerun { row, trained_on, verdict: Verdict::OtherVersion }) };
    let trained = trained(store, cache, spec, place, device).await?;
    let verdict = match first_difference(&stored, &trained) {
        None => Verdict::Same,
        Some(place) if trained_on.as_ref().is_some_and(|backend| *backend != device.name()) => {
            Verdict::OtherDevice(place)
        }
        Some(place) => Verdict::Differs(place),
    };
    Ok(Rerun { row, trained_on, verdict })
}

/// The run's epochs, and the backend that it was trained on, if the part says so.
async fn stored(store: &Store, part: &PartRef, run: &str) -> Result<(Vec<EpochBits>, Option<String>), Failure> {
    use curvefleet_analysis::read::part::Problem;
    let mut bits = read(store.objects(), part).await.map_err(|problem| match problem {
        Problem::Store(error) => fails(store, &error),
        problem => Failure::other(format!("the part {} {problem}", part.key)),
    })?;
    // Parts of older programs do not name their runs; they come from one place.
    let holds = |part: &PartProvenance| part.runs.is_empty() || part.runs.iter().any(|held| held.run == run);
    let backend = bits.provenance.into_iter().find(holds).map(|part| part.backend);
    Ok((bits.runs.remove(run).unwrap_or_default(), backend))
}

/// Trains the run again: alone on a processor, with its whole pack on a device that trains packs.
async fn trained(
    store: &Store,
    cache: &DataCache,
    spec: ShardSpec,
    place: usize,
    device: Device,
) -> Result<Vec<EpochBits>, Failure> {
    let dataset = cache.get(store, &spec.settings.data_sha256).await.map_err(Failure::other)?.dataset;
    let training = tokio::task::spawn_blocking(move || {
        let selection = select(&dataset, &spec.settings.condition, spec.settings.training.shuffle);
        let selection = Arc::new(selection.map_err(Failure::other)?);
        let size = if device.takes_packs() { spec.pack_size.max(1) as usize } else { 1 };
        let first = place / size * size;
        let runs: Vec<Run> = spec.runs().skip(first).take(size).collect();
        let seeds: Vec<u64> = runs.iter().map(|run| run.seed).collect();
        let pack = Pack { settings: &spec.settings, seeds: &seeds, selection: &selection, device };
        let mut outcomes =
            train::train(&pack, None, &mut |_| std::ops::ControlFlow::Continue(())).map_err(Failure::other)?;
        let (run, curve) = (&runs[place - first], outcomes.swap_remove(place - first).curve);
        let id = run.id.to_string();
        let provenance = RunProvenance { run: id.clone(), started_ms: 0, ended_ms: 0, resumed_after_epoch: 0 };
        let finished = FinishedRun { run: run.id, seed: run.seed, curve, log: String::new(), provenance };
        // By way of the part's form, so that what is compared is what would have been stored.
        let bytes = encode_part(&spec, &[finished], &PartProvenance::default()).map_err(Failure::other)?;
        Ok(decode(bytes.into()).map_err(Failure::other)?.runs.remove(&id).unwrap_or_default())
    });
    training.await.map_err(|panic| Failure::other(format!("training panicked: {panic}")))?
}

/// Where two runs differ first, with both values.
fn first_difference(stored: &[EpochBits], trained: &[EpochBits]) -> Option<String> {
    for (old, new) in stored.iter().zip(trained) {
        let epoch = old.epoch;
        for (name, (old, new)) in figure_names().iter().zip(old.figures.iter().zip(&new.figures)) {
            if old != new {
                return Some(format!("epoch {epoch}, {name}: {} is stored, {} trained", shown(*old), shown(*new)));
            }
        }
        let step = old.curve.iter().zip(&new.curve).position(|(old, new)| old != new);
        if let Some(step) = step {
            let (old, new) = (shown(Some(old.curve[step])), shown(Some(new.curve[step])));
            return Some(format!("epoch {epoch}, the curve at step {}: {old} is stored, {new} trained", step + 1));
        }
        if old != new {
            return Some(format!("epoch {epoch}: seed, labels or the curve's length"));
        }
    }
    let (old, new) = (stored.len(), trained.len());
    (old != new).then(|| format!("{old} epochs are stored, {new} trained"))
}

fn shown(bits: Option<u64>) -> String {
    bits.map_or("nothing".to_string(), |bits| f64::from_bits(bits).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(loss: f64, curve: &[f64]) -> EpochBits {
        let curve = curve.iter().map(|value| value.to_bits()).collect();
        EpochBits { seed: 0, labels: "true".to_string(), epoch: 1, figures: vec![Some(loss.to_bits())], curve }
    }

    #[test]
    fn one_bit_is_a_difference_and_is_named_where_it_is() {
        let stored = [epoch(0.5, &[0.5, 1.0])];
        assert_eq!(first_difference(&stored, &stored), None);
        let loss = f64::from_bits(0.5_f64.to_bits() + 1);
        let found = first_difference(&stored, &[epoch(loss, &[0.5, 1.0])]).unwrap_or_default();
        assert!(found.contains("train_loss: 0.5 is stored, 0.5000000000000001 trained"), "{found}");
        let found = first_difference(&stored, &[epoch(0.5, &[0.5, 0.75])]).unwrap_or_default();
        assert!(found.contains("step 2: 1 is stored, 0.75 trained"), "{found}");
        assert!(first_difference(&stored, &[]).is_some());
        assert!(first_difference(&stored, &[epoch(0.5, &[0.5])]).is_some());
    }

    #[test]
    fn a_choice_is_fixed_by_its_seed_and_names_no_run_twice() {
        let row = |seed| ManifestRow {
            run: format!("{seed}"),
            data: String::new(),
            condition: String::new(),
            shuffled: false,
            model: String::new(),
            seed,
            outcome: Outcome::Failed(String::new()),
        };
        let rows: Vec<ManifestRow> = (0..50).map(row).collect();
        let seeds = |seed| choose(&rows, 10, seed).iter().map(|row| row.seed).collect::<Vec<_>>();
        assert_eq!(seeds(1), seeds(1));
        assert_ne!(seeds(1), seeds(2));
        assert!(seeds(1).is_sorted() && seeds(1).len() == 10);
        assert!(seeds(1).windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(choose(&rows, 99, 0).len(), 50);
    }
}
