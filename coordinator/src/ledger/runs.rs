//! Lists a study's runs page by page.

use super::Error;
use super::operation::Apply;
use super::sql::{Context, Row, values};
use super::state::RunState;
use super::study::id_of;

/// A page stays within this many bytes of errors, so that it fits a gRPC message also where every run failed at length.
const MAX_ERRORS_BYTES: usize = curvefleet_proto::limits::MAX_MESSAGE_BYTES / 4;

/// Where a run stands in its study's plan: the planned shard's place, and the run's place in that shard.
pub type Place = (u64, u64);

/// Asks for a page of runs.
#[derive(Debug, Clone)]
pub struct ListRuns {
    /// The study's name.
    pub study: String,
    /// Only runs in this state.
    pub state: Option<RunState>,
    /// The run after which the page begins; `None` for the first page.
    pub after: Option<Place>,
    /// How many runs at most; at least 1.
    pub limit: u32,
}

/// A page of runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// In the plan's order.
    pub runs: Vec<Run>,
    /// The last run's place, where there may be more.
    pub next: Option<Place>,
}

/// One run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its place in the plan.
    pub place: Place,
    /// Its id.
    pub run: String,
    /// The shard that carries it.
    pub shard: String,
    /// The data set's name.
    pub data: String,
    /// The condition's name.
    pub condition: String,
    /// `true` or `shuffled`.
    pub labels: String,
    /// The model's name.
    pub model: String,
    /// Its seed.
    pub seed: u64,
    /// Where it stands.
    pub state: RunState,
    /// Failures held against it.
    pub attempts: u32,
    /// The last error; empty where there was none.
    pub error: String,
    /// The part that holds its curve; empty unless done.
    pub part: String,
    /// Who committed it or failed on it last; empty where no one did.
    pub worker: String,
}

impl Apply for ListRuns {
    fn apply(&self, context: &mut Context<'_>) -> Result<Page, Error> {
        let study_id = id_of(context, &self.study)?;
        // Places begin at 0, so that −1 stands before all of them.
        let (shard, run) = self.after.map_or((0, -1), |(shard, run)| (clamp(shard), clamp(run)));
        let state = self.state.map_or("", RunState::as_str);
        let rows = context.rows(
            "SELECT shards.plan_place, runs.place, runs.key, shards.key, data, condition, labels, model, seed, runs.state,
                    attempts, error, COALESCE((SELECT COALESCE(compactions.key, parts.key) FROM parts
                      LEFT JOIN compactions ON compactions.id = parts.compaction_id WHERE parts.id = runs.part_id), ''),
                    runs.worker
             FROM shards JOIN runs ON runs.shard_id = shards.id
             WHERE shards.study_id = ?1 AND shards.plan_place >= ?2 AND (shards.plan_place > ?2 OR runs.place > ?3)
               AND (?4 = '' OR runs.state = ?4)
             ORDER BY shards.plan_place, runs.place LIMIT ?5",
            values![study_id, shard, run, state, self.limit],
            read,
        )?;
        Ok(self.cut(rows))
    }
}

impl ListRuns {
    fn cut(&self, mut runs: Vec<Run>) -> Page {
        let mut bytes = 0;
        let fits = runs.iter().take_while(|run| {
            bytes += run.error.len();
            bytes <= MAX_ERRORS_BYTES
        });
        let fitting = fits.count().max(1);
        let full = runs.len() >= self.limit as usize || fitting < runs.len();
        runs.truncate(fitting);
        let next = runs.last().filter(|_| full).map(|run| run.place);
        Page { runs, next }
    }
}

fn clamp(place: u64) -> i64 {
    i64::try_from(place).unwrap_or(i64::MAX)
}

/// The columns of a listing, in its order.
pub(super) fn read(row: &dyn Row) -> Result<Run, Error> {
    let state = row.text(9)?;
    Ok(Run {
        place: (row.unsigned(0)?, row.unsigned(1)?),
        run: row.text(2)?,
        shard: row.text(3)?,
        data: row.text(4)?,
        condition: row.text(5)?,
        labels: row.text(6)?,
        model: row.text(7)?,
        seed: row.unsigned(8)?,
        state: RunState::parse(&state).ok_or_else(|| Error::unreadable("run state", &state))?,
        attempts: row.unsigned(10)?.try_into().unwrap_or(u32::MAX),
        error: row.text(11)?,
        part: row.text(12)?,
        worker: row.text(13)?,
    })
}
