//! Makes the runs of an uploaded curve part done.

use std::collections::{HashMap, HashSet};

use curvefleet_proto::artifact;

use super::operation::Apply;
use super::origin::Provenance;
use super::shard::{Delta, Held};
use super::sql::{Context, values};
use super::{Error, attempt, compact, origin, register, reuse, shard};

/// A curve part to make done. The same commit again is accepted as the same, whatever has become of the lease.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Who uploaded it.
    pub worker: String,
    /// The shard.
    pub shard: String,
    /// The lease's fence.
    pub fence: u64,
    /// The part's key, relative to the store.
    pub part: String,
    /// The part's size in bytes.
    pub size_bytes: u64,
    /// SHA-256 of the part's bytes, 64 hex digits.
    pub sha256: String,
    /// The runs in it: id and log.
    pub runs: Vec<(String, String)>,
    /// How they were trained; `None` where an older worker does not say so.
    pub provenance: Option<Provenance>,
}

/// A run of the shard.
struct Row {
    place: i64,
    state: String,
}

impl Apply for Commit {
    /// False where the lease is stale: then nothing has changed.
    fn apply(&self, context: &mut Context<'_>) -> Result<bool, Error> {
        let known = context.row("SELECT sha256, size_bytes FROM parts WHERE key = ?1", values![&self.part], |row| {
            Ok((row.text(0)?, row.unsigned(1)?))
        })?;
        if let Some((sha256, size_bytes)) = known {
            return self.repeat(sha256 == self.sha256 && size_bytes == self.size_bytes);
        }
        let Some(held) = shard::held(context, &self.shard, &self.worker, self.fence)? else { return Ok(false) };
        self.check_part(&held.study)?;
        let rows = self.rows(context, held.id)?;
        register::committed(context, &self.worker)?;
        self.make_done(context, &held, &rows)?;
        Ok(true)
    }
}

impl Commit {
    /// A part that is in the ledger already: the same commit, sent again after a lost answer, or a contradiction. It is the same also
    /// where runs of it were taken back since, because a part was lost: those are pending, and this is not what makes them done.
    fn repeat(&self, same: bool) -> Result<bool, Error> {
        if same {
            return Ok(true);
        }
        Err(Error::Invalid(format!(
            "the part `{}` was committed before with other bytes; a part is never written twice",
            self.part
        )))
    }

    /// A worker may only name keys that its lease gives it.
    fn check_part(&self, study: &str) -> Result<(), Error> {
        let number = self.part.strip_suffix(".parquet").and_then(|key| key.rsplit('-').next());
        let number = number.and_then(|digits| digits.parse().ok());
        match number.map(|n| artifact::part_key(study, &self.shard, self.fence, n)) {
            Some(key) if key == self.part => Ok(()),
            _ => Err(Error::Invalid(format!(
                "`{}` is not a part of this lease; its parts are called `{}` with a count at the end",
                self.part,
                artifact::part_key(study, &self.shard, self.fence, 0)
            ))),
        }
    }

    /// The shard's runs by id; refuses runs that are not in the shard.
    fn rows(&self, context: &mut Context<'_>, shard_id: i64) -> Result<HashMap<String, Row>, Error> {
        let rows =
            context.rows("SELECT key, place, state FROM runs WHERE shard_id = ?1", values![shard_id], |row| {
                Ok((row.text(0)?, Row { place: row.int(1)?, state: row.text(2)? }))
            })?;
        let rows: HashMap<String, Row> = rows.into_iter().collect();
        match self.runs.iter().find(|(run, _)| !rows.contains_key(run)) {
            Some((run, _)) => Err(Error::Invalid(format!("the run `{run}` is not one of the shard `{}`", self.shard))),
            None => Ok(rows),
        }
    }

    fn make_done(&self, context: &mut Context<'_>, held: &Held, rows: &HashMap<String, Row>) -> Result<(), Error> {
        let mut seen = HashSet::new();
        let mut fresh = Vec::new();
        for (run, log) in &self.runs {
            let Some(row) = rows.get(run) else { continue };
            // A run that another study's worker finished first keeps that part: it is done once.
            if row.state != "done" && seen.insert(run.as_str()) {
                fresh.push((row, log));
            }
        }
        let runs = fresh.len() as u64;
        let state = compact::first_state(runs, self.size_bytes);
        let part_id = self.insert_part(context, held, runs, state)?;
        if let Some(provenance) = &self.provenance {
            origin::record(context, part_id, provenance)?;
        }
        let mut delta = Delta::default();
        let (mut done, mut entries) = (Vec::new(), Vec::new());
        for (row, log) in fresh {
            delta.done += 1;
            delta.failed -= i64::from(row.state == "failed");
            let (shard_id, place, worker, fence) = (held.id, row.place, self.worker.as_str(), self.fence);
            done.push((shard_id, place, part_id));
            entries.push(attempt::Entry { shard_id, place, worker, fence, outcome: "done", error: "", log });
        }
        reuse::mark_done(context, &done)?;
        attempt::record_all(context, &entries)?;
        context.execute("UPDATE shards SET setbacks = 0 WHERE id = ?1", values![held.id])?;
        shard::settle(context, held.id)?;
        if !done.is_empty() {
            shard::count(context, held.study_id, delta)?;
            let loose = if state == "loose" { (1_u64, runs, self.size_bytes) } else { (0, 0, 0) };
            context.execute(
                "UPDATE studies SET committed_ms = ?2, loose_parts = loose_parts + ?3, loose_runs = loose_runs + ?4,
                   loose_bytes = loose_bytes + ?5
                 WHERE id = ?1",
                values![held.study_id, context.now_ms, loose.0, loose.1, loose.2],
            )?;
        }
        reuse::spread(context, held.id, part_id)
    }

    fn insert_part(&self, context: &mut Context<'_>, held: &Held, runs: u64, state: &str) -> Result<i64, Error> {
        let (size_bytes, now_ms) = (self.size_bytes, context.now_ms);
        let id = context.row(
            "INSERT INTO parts (key, size_bytes, sha256, shard_id, fence, worker, committed_ms, study_id, runs, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) RETURNING id",
            values![
                &self.part,
                size_bytes,
                &self.sha256,
                held.id,
                self.fence,
                &self.worker,
                now_ms,
                held.study_id,
                runs,
                state
            ],
            |row| row.int(0),
        )?;
        id.ok_or_else(|| Error::unreadable("id", "an inserted part's"))
    }
}
