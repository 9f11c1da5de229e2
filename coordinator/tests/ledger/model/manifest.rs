//! The writers of manifests.

use curvefleet_coordinator::ledger::Error;
use curvefleet_coordinator::ledger::manifest::{Abandon, Claim, Written};

use super::Model;

impl Model {
    pub fn claim_manifest(&mut self, now_ms: u64, claim: &Claim) -> Result<Option<u64>, Error> {
        let study = self.find(&claim.study)?;
        let runs: usize = self.shards_of(study).into_iter().map(|shard| self.shards[shard].runs.len()).sum();
        let study = &mut self.studies[study];
        if study.manifest_until_ms > now_ms {
            return Ok(None);
        }
        study.manifest_claim += 1;
        study.manifest_until_ms = now_ms + 15_000 + runs as u64 / 20;
        Ok(Some(study.manifest_claim))
    }

    pub fn abandon_manifest(&mut self, abandon: &Abandon) -> Result<(), Error> {
        let study = self.find(&abandon.study)?;
        let study = &mut self.studies[study];
        if study.manifest_claim == abandon.claim {
            study.manifest_until_ms = 0;
        }
        Ok(())
    }

    pub fn manifest_written(&mut self, written: &Written) -> Result<bool, Error> {
        let study = self.find(&written.study)?;
        let study = &mut self.studies[study];
        let last = study.manifest_claim == written.claim;
        if last {
            (study.manifest_changes, study.manifest_runs) = (Some(written.changes), written.runs);
            study.manifest_until_ms = 0;
        } else {
            study.manifest_changes = None;
        }
        Ok(last)
    }
}
