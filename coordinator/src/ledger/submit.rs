//! Takes a study: its text, what is planned, and the first of its shards; [`super::enter`] brings the rest.

use std::sync::Arc;

use curvefleet_proto::plan::{self, shards_per_cell};
use curvefleet_proto::requirement::Requirement;
use curvefleet_proto::study;

use super::enter::{Entered, Entering};
use super::operation::Apply;
use super::sql::{Context, values};
use super::study::{Status, status_of};
use super::{Error, audit};

/// A resolved study to take.
#[derive(Debug, Clone)]
pub struct Submit {
    /// The study.
    pub study: Arc<study::Study>,
    /// Its canonical text, as `Study::to_toml` writes it.
    pub toml: String,
    /// SHA-256 of `toml`, 64 hex digits.
    pub hash: String,
    /// Who submits it, for the audit.
    pub who: String,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Submitted {
    /// The study's status now.
    pub status: Status,
    /// Whether this very study was in the ledger already; then nothing was changed.
    pub existed: bool,
    /// How far it is entered.
    pub entered: Entered,
}

impl Apply for Submit {
    fn apply(&self, context: &mut Context<'_>) -> Result<Submitted, Error> {
        let name = &self.study.name;
        let known =
            context.row("SELECT hash, unentered, reused FROM studies WHERE name = ?1", values![name], |row| {
                Ok((row.text(0)?, Entered { left: row.unsigned(1)?, reused: row.unsigned(2)? }))
            })?;
        match known {
            Some((hash, entered)) if hash == self.hash => {
                return Ok(Submitted { status: status_of(context, name)?, existed: true, entered });
            }
            Some(_) => return Err(Error::OtherStudy(name.clone())),
            None => {}
        }
        let cells = plan::cells(&self.study).map_err(|error| Error::Invalid(error.to_string()))?.len();
        let planned = (cells * self.study.seeds.len()) as u64;
        let left = (cells * shards_per_cell(&self.study)) as u64;
        let id = self.insert_study(context, planned)?;
        audit::record(context, &self.who, "submit", name, "")?;
        let (study, hash) = (&*self.study, &*self.hash);
        let entered = Entering { id, study, hash, is_given_up: false, left, reused: 0 }.next(context)?;
        Ok(Submitted { status: status_of(context, name)?, existed: false, entered })
    }
}

impl Submit {
    fn insert_study(&self, context: &mut Context<'_>, planned: u64) -> Result<i64, Error> {
        let epochs = self.study.training.epochs;
        let requirements = self.study.requirements();
        let needs_nothing = requirements.iter().all(Requirement::is_empty);
        let requirements = if needs_nothing { Ok(String::new()) } else { serde_json::to_string(&requirements) };
        let requirements = requirements.map_err(|error| Error::Invalid(error.to_string()))?;
        let id = context.row(
            "INSERT INTO studies (name, hash, state, epochs_per_run, submitted_ms, requirements, planned)
             VALUES (?1, ?2, 'active', ?3, ?4, ?5, ?6) RETURNING id",
            values![&self.study.name, &self.hash, epochs, context.now_ms, &requirements, planned],
            |row| row.int(0),
        )?;
        let id = inserted(id)?;
        context.execute("INSERT INTO study_files (study_id, toml) VALUES (?1, ?2)", values![id, &self.toml])?;
        Ok(id)
    }
}

/// The id of a row that was inserted.
pub(super) fn inserted(id: Option<i64>) -> Result<i64, Error> {
    id.ok_or_else(|| Error::Database(Arc::from(Box::from("an inserted row has no id"))))
}
