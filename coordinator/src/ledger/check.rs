//! Says which of some runs are done.

use super::Error;
use super::operation::Apply;
use super::sql::{Context, values};

/// Runs to look up.
#[derive(Debug, Clone)]
pub struct CheckRuns {
    /// Their ids.
    pub runs: Vec<String>,
}

impl Apply for CheckRuns {
    fn apply(&self, context: &mut Context<'_>) -> Result<Vec<String>, Error> {
        let mut done = Vec::new();
        for run in &self.runs {
            let query = "SELECT 1 FROM runs WHERE key = ?1 AND state = 'done' LIMIT 1";
            if context.row(query, values![run], |row| row.int(0))?.is_some() {
                done.push(run.clone());
            }
        }
        Ok(done)
    }
}
