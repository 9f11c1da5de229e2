//! Which shards come next: studies of higher priority first; those of the same priority share the workers, the next shard coming
//! from the one that has least work leased out; within a study those that the worker has all that is needed for, by plan. And which
//! shards a worker would share that has nothing to do.

use curvefleet_proto::requirement::{Capabilities, Requirement};

use super::lease::ANOTHER_WORKER_MS;
use super::sql::{Context, values};
use super::{Error, workers};

/// A worker's view of the queue.
pub(super) struct Queue<'a> {
    worker: &'a str,
    /// Shards whose pause ended after this and that failed on this worker last are left to others, milliseconds since 1970.
    forgotten_ms: u64,
    /// Studies of one priority after another, the highest first.
    classes: Vec<Vec<Study>>,
}

/// A study that may be leased from.
pub(super) struct Study {
    /// Its row.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Its runs that are to be done.
    pub open: u64,
    priority: i64,
    /// Work of its shards that are leased, in milliseconds of a core; not counted where no other study has its priority.
    leased_ms: u64,
    /// Places in its list of requirements that the worker meets; none are left when nothing more is to be leased.
    meets: Vec<i64>,
}

/// A shard that may be leased.
pub(super) struct Candidate {
    /// Its row.
    pub id: i64,
    /// Its id.
    pub key: String,
    /// JSON of its specification.
    pub spec_json: String,
    /// Its pending runs.
    pub open: u64,
    /// Their planned work, in milliseconds of a core.
    pub work_ms: u64,
}

impl<'a> Queue<'a> {
    /// The queue as this worker sees it.
    pub fn open(context: &mut Context<'_>, worker: &'a str) -> Result<Queue<'a>, Error> {
        // A failure of the worker's own is out of mind after so long, and none at all where there is no one else.
        let patience_ms = if is_alone(context, worker)? { 0 } else { ANOTHER_WORKER_MS };
        let mut classes: Vec<Vec<Study>> = Vec::new();
        for study in studies(context, worker)? {
            match classes.last_mut().filter(|class| class[0].priority == study.priority) {
                Some(class) => class.push(study),
                None => classes.push(vec![study]),
            }
        }
        for class in classes.iter_mut().filter(|class| class.len() > 1) {
            for study in class {
                study.leased_ms = leased_ms(context, study.id)?;
            }
        }
        Ok(Queue { worker, forgotten_ms: context.now_ms.saturating_sub(patience_ms), classes })
    }

    /// The study that the next shard comes from, and its next shards, at most `wanted` of them; `None` when there is nothing left.
    pub fn next(
        &mut self,
        context: &mut Context<'_>,
        wanted: u64,
    ) -> Result<Option<(&mut Study, Vec<Candidate>)>, Error> {
        let (worker, forgotten_ms) = (self.worker, self.forgotten_ms);
        for class in 0..self.classes.len() {
            while let Some(place) = least_served(&self.classes[class]) {
                // Where studies share, each shard that is given changes whose turn it is.
                let wanted = if self.classes[class].len() > 1 { 1 } else { wanted };
                let study = &mut self.classes[class][place];
                let found = candidates(context, study, worker, forgotten_ms, wanted)?;
                if !found.is_empty() {
                    return Ok(Some((&mut self.classes[class][place], found)));
                }
            }
        }
        Ok(None)
    }
}

impl Study {
    /// Takes note of a shard that was given.
    pub fn gave(&mut self, work_ms: u64) {
        self.leased_ms = self.leased_ms.saturating_add(work_ms);
    }
}

/// The place of the study whose turn it is.
fn least_served(class: &[Study]) -> Option<usize> {
    let open = class.iter().enumerate().filter(|(_, study)| !study.meets.is_empty());
    open.min_by_key(|(_, study)| (study.leased_ms, study.id)).map(|(place, _)| place)
}

fn studies(context: &mut Context<'_>, worker: &str) -> Result<Vec<Study>, Error> {
    let rows = context.rows(
        "SELECT id, name, priority, requirements, planned - done - failed - cancelled FROM studies WHERE state = 'active' AND paused_ms = 0
         ORDER BY priority DESC, id",
        values![],
        |row| {
            let (id, name, priority, open) = (row.int(0)?, row.text(1)?, row.int(2)?, row.unsigned(4)?);
            let study = Study { id, name, open, priority, leased_ms: 0, meets: vec![0] };
            Ok((study, row.text(3)?))
        },
    )?;
    let is_plain = |(_, list): &(Study, String)| list.is_empty();
    if rows.iter().all(is_plain) {
        return Ok(rows.into_iter().map(|(study, _)| study).collect());
    }
    let has = workers::maybe_find(context, worker)?.map(|worker| worker.has).unwrap_or_default();
    let mut studies = Vec::new();
    for (mut study, list) in rows {
        study.meets = met(&list, &has)?;
        studies.push(study);
    }
    Ok(studies)
}

/// The places in a study's list of requirements that are met.
fn met(list: &str, has: &Capabilities) -> Result<Vec<i64>, Error> {
    let list = requirements(list)?;
    let met = list.iter().zip(0_i64..).filter(|(requirement, _)| requirement.lacking(has).is_none());
    Ok(met.map(|(_, place)| place).collect())
}

/// A study's list of requirements; without one, nothing in particular.
pub(super) fn requirements(list: &str) -> Result<Vec<Requirement>, Error> {
    if list.is_empty() {
        return Ok(vec![Requirement::default()]);
    }
    serde_json::from_str(list).map_err(|source| Error::Database(std::sync::Arc::new(source)))
}

fn leased_ms(context: &mut Context<'_>, study_id: i64) -> Result<u64, Error> {
    let leased = context.row(
        "SELECT CAST(COALESCE(SUM(open * work_ms), 0) AS BIGINT) FROM shards WHERE study_id = ?1 AND state = 'leased'",
        values![study_id],
        |row| row.unsigned(0),
    )?;
    Ok(leased.unwrap_or_default())
}

/// The study's next shards that the worker has all for; requirements that nothing waits for any more are crossed out.
fn candidates(
    context: &mut Context<'_>,
    study: &mut Study,
    worker: &str,
    forgotten_ms: u64,
    wanted: u64,
) -> Result<Vec<Candidate>, Error> {
    while let [requires, ..] = study.meets[..] {
        let found = context.rows(
            "SELECT id, key, spec_json, open, open * work_ms FROM shards JOIN shard_specs ON shard_specs.shard_id = shards.id
             WHERE study_id = ?1 AND requires = ?6 AND state = 'pending' AND not_before_ms <= ?2
               AND (avoid <> ?4 OR not_before_ms <= ?5)
             ORDER BY place LIMIT ?3",
            values![study.id, context.now_ms, wanted, worker, forgotten_ms, requires],
            |row| {
                let (id, key, spec_json) = (row.int(0)?, row.text(1)?, row.text(2)?);
                Ok(Candidate { id, key, spec_json, open: row.unsigned(3)?, work_ms: row.unsigned(4)? })
            },
        )?;
        if !found.is_empty() {
            return Ok(found);
        }
        study.meets.remove(0);
    }
    Ok(Vec::new())
}

/// Takes note that a worker has nothing to do: of as many shards as it has slots free it would have some runs, of those with the most
/// work first. Their holders hear of it with their next heartbeats.
pub(super) fn want(context: &mut Context<'_>, worker: &str, slots: u64) -> Result<(), Error> {
    let wanted = context.row(
        "SELECT COUNT(*) FROM shards WHERE wanted_by = ?1 AND wanted_by <> '' AND state = 'leased'",
        values![worker],
        |row| row.unsigned(0),
    )?;
    let mut left = slots.saturating_sub(wanted.unwrap_or_default());
    if left == 0 {
        return Ok(());
    }
    for study in studies(context, worker)? {
        for requires in study.meets {
            left -= context.execute(
                "UPDATE shards SET wanted_by = ?1 WHERE id IN
                   (SELECT id FROM shards WHERE study_id = ?2 AND requires = ?3
                    AND state = 'leased' AND wanted_by = '' AND spent = 0
                    ORDER BY open * work_ms DESC, id LIMIT ?4)",
                values![worker, study.id, requires, left],
            )?;
            if left == 0 {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Whether shards that failed on this worker wait for no other, because none is there.
fn is_alone(context: &mut Context<'_>, worker: &str) -> Result<bool, Error> {
    let failed = context.row(
        "SELECT 1 FROM shards WHERE avoid = ?1 AND state = 'pending' AND avoid <> '' LIMIT 1",
        values![worker],
        |row| row.int(0),
    )?;
    if failed.is_none() {
        return Ok(false);
    }
    Ok(!workers::working(context)?.iter().any(|other| other.name != worker))
}
