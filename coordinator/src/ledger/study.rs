//! What the ledger says about studies.

use super::Error;
use super::operation::Apply;
use super::sql::{Context, Row, values};
use super::state::StudyState;
use super::{queue, workers};

/// Asks for all studies, newest first.
#[derive(Debug, Clone)]
pub struct ListStudies;

/// Asks for one study.
#[derive(Debug, Clone)]
pub struct GetStudy {
    /// Its name.
    pub name: String,
}

/// Asks where one study stands, without its text.
#[derive(Debug, Clone)]
pub struct StudyStatus {
    /// Its name.
    pub name: String,
}

/// One study.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    /// Where it stands.
    pub status: Status,
    /// Its canonical text.
    pub toml: String,
}

/// Where a study stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// SHA-256 of its canonical text.
    pub hash: String,
    /// Where it stands.
    pub state: StudyState,
    /// Why it was stopped; empty unless it was.
    pub stop_reason: String,
    /// Studies of higher priority are leased first.
    pub priority: i32,
    /// Since when it rests, milliseconds since 1970; 0 where it does not.
    pub paused_ms: u64,
    /// All its runs.
    pub planned: u64,
    /// Runs done.
    pub done: u64,
    /// Runs set aside.
    pub failed: u64,
    /// Runs given up.
    pub cancelled: u64,
    /// Pending runs in shards that a worker holds.
    pub leased: u64,
    /// Epochs of one run, by the study file.
    pub epochs_per_run: u64,
    /// When it was submitted, milliseconds since 1970.
    pub submitted_ms: u64,
    /// When its last run ended; 0 while runs are open.
    pub ended_ms: u64,
    /// Runs in the manifest in the store.
    pub manifest_runs: u64,
    /// Whether the manifest in the store shows all that the ledger knows.
    pub manifest_current: bool,
    /// Shards of its plan that are not in the ledger yet: it is still being entered.
    pub unentered: u64,
    /// What runs that wait need and no worker that is given work has, in words; empty where some worker fits.
    pub unmet: Vec<String>,
}

impl Status {
    /// Runs that are neither done nor given up.
    pub fn open(&self) -> u64 {
        self.planned.saturating_sub(self.done + self.failed + self.cancelled)
    }
}

/// The columns that [`read_status`] reads, in its order, with what follows them in a query.
macro_rules! select_status {
    ($rest:literal) => {
        concat!(
            "SELECT name, hash, state, stop_reason, planned, done, failed, cancelled,
                    CAST((SELECT COALESCE(SUM(open), 0) FROM shards
                          WHERE shards.study_id = studies.id AND shards.state = 'leased') AS BIGINT),
                    epochs_per_run, submitted_ms, ended_ms, manifest_runs, changes - manifest_changes,
                    priority, paused_ms, requirements, id, unentered
             FROM studies ",
            $rest
        )
    };
}

/// A study's status, still without what is unmet, with its list of requirements and its row.
type Unchecked = (Status, String, i64);

fn read_status(row: &dyn Row) -> Result<Unchecked, Error> {
    let state = row.text(2)?;
    let status = Status {
        name: row.text(0)?,
        hash: row.text(1)?,
        state: StudyState::parse(&state).ok_or_else(|| Error::unreadable("study state", &state))?,
        stop_reason: row.text(3)?,
        planned: row.unsigned(4)?,
        done: row.unsigned(5)?,
        failed: row.unsigned(6)?,
        cancelled: row.unsigned(7)?,
        leased: row.unsigned(8)?,
        epochs_per_run: row.unsigned(9)?,
        submitted_ms: row.unsigned(10)?,
        ended_ms: row.unsigned(11)?,
        manifest_runs: row.unsigned(12)?,
        manifest_current: row.int(13)? == 0,
        priority: row.int(14)?.try_into().unwrap_or(0),
        paused_ms: row.unsigned(15)?,
        unentered: row.unsigned(18)?,
        unmet: Vec::new(),
    };
    Ok((status, row.text(16)?, row.int(17)?))
}

/// Finds out what no worker has.
fn check_requirements(context: &mut Context<'_>, unchecked: Vec<Unchecked>) -> Result<Vec<Status>, Error> {
    let needs = |(status, list, _): &Unchecked| status.state == StudyState::Active && !list.is_empty();
    let workers = if unchecked.iter().any(needs) { workers::working(context)? } else { Vec::new() };
    let mut checked = Vec::with_capacity(unchecked.len());
    for unchecked in unchecked {
        let needs = needs(&unchecked);
        let (mut status, list, id) = unchecked;
        for (requirement, place) in queue::requirements(&list)?.into_iter().zip(0_i64..).filter(|_| needs) {
            let is_met = workers.iter().any(|worker| requirement.lacking(&worker.has).is_none());
            if !is_met && waits(context, id, place)? {
                status.unmet.push(requirement.describe());
            }
        }
        checked.push(status);
    }
    Ok(checked)
}

/// Whether a shard with this requirement waits.
fn waits(context: &mut Context<'_>, study_id: i64, requires: i64) -> Result<bool, Error> {
    let waiting = context.row(
        "SELECT 1 FROM shards WHERE study_id = ?1 AND requires = ?2 AND state = 'pending' LIMIT 1",
        values![study_id, requires],
        |row| row.int(0),
    )?;
    Ok(waiting.is_some())
}

/// The status of the study of this name.
pub(super) fn status_of(context: &mut Context<'_>, name: &str) -> Result<Status, Error> {
    let found = context.rows(select_status!("WHERE name = ?1"), values![name], read_status)?;
    let status = check_requirements(context, found)?.pop();
    status.ok_or_else(|| Error::NoStudy(name.to_string()))
}

/// The row of the study of this name.
pub(super) fn id_of(context: &mut Context<'_>, name: &str) -> Result<i64, Error> {
    let id = context.row("SELECT id FROM studies WHERE name = ?1", values![name], |row| row.int(0))?;
    id.ok_or_else(|| Error::NoStudy(name.to_string()))
}

impl Apply for ListStudies {
    fn apply(&self, context: &mut Context<'_>) -> Result<Vec<Status>, Error> {
        let found = context.rows(select_status!("ORDER BY id DESC"), values![], read_status)?;
        check_requirements(context, found)
    }
}

impl Apply for StudyStatus {
    fn apply(&self, context: &mut Context<'_>) -> Result<Status, Error> {
        status_of(context, &self.name)
    }
}

impl Apply for GetStudy {
    fn apply(&self, context: &mut Context<'_>) -> Result<Study, Error> {
        let status = status_of(context, &self.name)?;
        let toml = context.row(
            "SELECT toml FROM study_files JOIN studies ON studies.id = study_files.study_id WHERE studies.name = ?1",
            values![&self.name],
            |row| row.text(0),
        )?;
        Ok(Study { status, toml: toml.unwrap_or_default() })
    }
}
