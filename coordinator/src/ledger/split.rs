//! Takes runs back that a worker has not begun, because another has nothing to do: they go on as a shard of their own.

use curvefleet_proto::plan::ShardSpec;

use super::operation::Apply;
use super::sql::{Context, values};
use super::{Error, attempt, register, shard};

/// Runs that leave a shard whose lease goes on. The same again is accepted as the same.
#[derive(Debug, Clone)]
pub struct Split {
    /// Who holds the shard.
    pub worker: String,
    /// The shard.
    pub shard: String,
    /// The lease's fence.
    pub fence: u64,
    /// Runs that the worker has not begun and will not begin, as places in the shard; none where it has none to spare.
    pub runs: Vec<u32>,
}

impl Apply for Split {
    /// False where the lease is stale: then nothing has changed.
    fn apply(&self, context: &mut Context<'_>) -> Result<bool, Error> {
        let Some(held) = shard::held(context, &self.shard, &self.worker, self.fence)? else { return Ok(false) };
        register::seen(context, &self.worker)?;
        let spent = self.runs.is_empty();
        context.execute(
            "UPDATE shards SET wanted_by = '', spent = ?2 WHERE id = ?1",
            values![held.id, u32::from(spent)],
        )?;
        // Of a request that comes again because its answer was lost, there are none.
        let leaving = self.leaving(context, held.id)?;
        if !leaving.is_empty() {
            let split = insert(context, held.id, &leaving)?;
            let sets: Vec<_> = leaving.iter().map(|place| values![held.id, split, *place].to_vec()).collect();
            context.execute_many("UPDATE runs SET shard_id = ?2 WHERE shard_id = ?1 AND place = ?3", &sets)?;
            attempt::follow(context, held.id, split)?;
            shard::settle(context, held.id)?;
        }
        Ok(true)
    }
}

impl Split {
    /// Those of the runs that are still the shard's and to be done, in its order.
    fn leaving(&self, context: &mut Context<'_>, shard_id: i64) -> Result<Vec<u32>, Error> {
        let pending = context.rows(
            "SELECT place FROM runs WHERE shard_id = ?1 AND state = 'pending' ORDER BY place",
            values![shard_id],
            |row| Ok(row.unsigned(0)?.try_into().unwrap_or(u32::MAX)),
        )?;
        Ok(pending.into_iter().filter(|place| self.runs.contains(place)).collect())
    }
}

/// Adds the shard that is to carry the runs in these places of another one. It comes after all of the plan, also after what of it is not
/// entered yet. Its fence goes on from that one's: what its runs were
/// tried under, and what was kept of them, is under an earlier one.
fn insert(context: &mut Context<'_>, shard_id: i64, places: &[u32]) -> Result<i64, Error> {
    let spec =
        context.row("SELECT spec_json FROM shard_specs WHERE shard_id = ?1", values![shard_id], |row| row.text(0))?;
    let unreadable = |source| Error::Database(std::sync::Arc::new(source));
    let spec: ShardSpec = serde_json::from_str(&spec.unwrap_or_default()).map_err(unreadable)?;
    let split = spec.split(places);
    let spec_json = serde_json::to_string(&split).map_err(unreadable)?;
    let id = context.row(
        "INSERT INTO shards (study_id, place, plan_place, key, data, condition, labels, model, state, fence, setbacks, open,
                             requires, work_ms, split_from, suspect)
         SELECT study_id, (SELECT MAX(other.place) + 1 FROM shards AS other WHERE other.study_id = shards.study_id)
                  + (SELECT unentered FROM studies WHERE studies.id = shards.study_id), plan_place,
                CAST(?2 AS TEXT), data, condition, labels, model, 'pending', fence, setbacks, CAST(?3 AS BIGINT), requires, work_ms, key,
                suspect
         FROM shards WHERE id = ?1 RETURNING id",
        values![shard_id, split.shard.as_str(), places.len() as u64],
        |row| row.int(0),
    )?;
    let id = id.ok_or_else(|| Error::unreadable("id", "an inserted shard's"))?;
    context.execute("INSERT INTO shard_specs (shard_id, spec_json) VALUES (?1, ?2)", values![id, &spec_json])?;
    Ok(id)
}
