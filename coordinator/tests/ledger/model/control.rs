//! What people ask for, and what the ledger does in their place.

use curvefleet_coordinator::ledger::Error;
use curvefleet_coordinator::ledger::audit::Entry;
use curvefleet_coordinator::ledger::drain::{DRAIN_AFTER_RUNS, Drain};
use curvefleet_coordinator::ledger::explain::Failed;
use curvefleet_coordinator::ledger::pause::{Pause, Prioritize};
use curvefleet_coordinator::ledger::state::StudyState;
use curvefleet_coordinator::ledger::study::Status;
use curvefleet_coordinator::ledger::tokens::{MakeToken, RevokeToken, Token, Tokens};
use curvefleet_coordinator::ledger::workers::Worker;

use super::Model;

impl Model {
    pub fn pause(&mut self, now_ms: u64, pause: &Pause) -> Result<Status, Error> {
        let study = self.find(&pause.study)?;
        let told = &mut self.studies[study];
        let rests = told.paused_ms > 0;
        if pause.paused && !rests && told.state == StudyState::Active {
            told.paused_ms = now_ms;
            self.audit(now_ms, &pause.who, "pause", &pause.study, &pause.reason);
        } else if !pause.paused && rests {
            told.paused_ms = 0;
            self.audit(now_ms, &pause.who, "resume", &pause.study, &pause.reason);
        }
        Ok(self.status(now_ms, study))
    }

    pub fn prioritize(&mut self, now_ms: u64, prioritize: &Prioritize) -> Result<Status, Error> {
        let study = self.find(&prioritize.study)?;
        let before = std::mem::replace(&mut self.studies[study].priority, prioritize.priority);
        if before != prioritize.priority {
            let note = format!("from {before} to {}", prioritize.priority);
            self.audit(now_ms, &prioritize.who, "priority", &prioritize.study, &note);
        }
        Ok(self.status(now_ms, study))
    }

    pub fn drain(&mut self, now_ms: u64, drain: &Drain) -> Result<Worker, Error> {
        let Some(known) = self.workers.get_mut(&drain.worker) else {
            return Err(Error::UnknownWorker(drain.worker.clone()));
        };
        if drain.drained && known.drained.is_none() {
            known.drained = Some((now_ms, drain.who.clone(), drain.reason.clone()));
            self.audit(now_ms, &drain.who, "drain", &drain.worker, &drain.reason);
        } else if !drain.drained && known.drained.take().is_some() {
            known.failing.clear();
            self.audit(now_ms, &drain.who, "undrain", &drain.worker, &drain.reason);
        }
        Ok(self.worker(now_ms, &drain.worker))
    }

    /// A worker on which many runs fail that go well elsewhere is drained.
    pub fn note_failure(&mut self, now_ms: u64, worker: &str, run: &str, study: usize, error: &str) {
        let Some(known) = self.workers.get_mut(worker) else { return };
        known.failing.retain(|failed| failed.at_ms > known.committed_ms);
        if !known.failing.iter().any(|failed| failed.run == run) {
            let study = self.studies[study].submit.study.name.clone();
            let worker = worker.to_string();
            known.failing.push(Failed { worker, run: run.to_string(), study, at_ms: now_ms, error: error.to_string() });
        }
        let failed = known.failing.len();
        let studies = &self.studies;
        let refutes = |failed: &Failed| {
            let mut studies = studies.iter().filter(|study| study.submit.study.name == failed.study);
            studies.any(|study| study.committed_ms > failed.at_ms)
        };
        let refuted = known.failing.iter().any(refutes);
        if failed as u64 >= DRAIN_AFTER_RUNS && refuted && known.drained.is_none() {
            let reason = format!(
                "{failed} different runs failed on it one after another, while other workers trained runs of the same \
                 study; the last with: {error}"
            );
            known.drained = Some((now_ms, "coordinator".to_string(), reason.clone()));
            self.audit(now_ms, "coordinator", "drain", worker, &reason);
        }
    }

    pub fn make_token(&mut self, now_ms: u64, make: &MakeToken) -> Result<Token, Error> {
        let is_other = |token: &Token| {
            let live = token.revoked_ms == 0 && (token.expires_ms == 0 || token.expires_ms > now_ms);
            token.id == make.id || (live && token.name == make.name && token.role != make.role)
        };
        if self.tokens.iter().any(is_other) {
            return Err(Error::Invalid(String::new()));
        }
        let expires_ms = if make.valid_ms > 0 { now_ms + make.valid_ms } else { 0 };
        let MakeToken { id, name, role, sha256, .. } = make.clone();
        self.audit(now_ms, &make.who, "make token", &name, &format!("{id}, for {}", role.as_str()));
        let token = Token { id, name, role, sha256, created_ms: now_ms, expires_ms, revoked_ms: 0 };
        self.tokens.push(token.clone());
        Ok(token)
    }

    pub fn list_tokens(&self, now_ms: u64) -> Tokens {
        let mut tokens = self.tokens.clone();
        tokens.sort_by(|one, other| other.created_ms.cmp(&one.created_ms).then(one.id.cmp(&other.id)));
        Tokens { now_ms, tokens }
    }

    pub fn revoke_token(&mut self, now_ms: u64, revoke: &RevokeToken) -> Result<Token, Error> {
        let Some(at) = self.tokens.iter().position(|token| token.id == revoke.id) else {
            return Err(Error::NoToken(revoke.id.clone()));
        };
        if self.tokens[at].revoked_ms == 0 {
            self.tokens[at].revoked_ms = now_ms;
            let name = self.tokens[at].name.clone();
            self.audit(now_ms, &revoke.who, "revoke token", &name, &revoke.id);
        }
        Ok(self.tokens[at].clone())
    }

    pub fn audit(&mut self, at_ms: u64, who: &str, what: &str, target: &str, note: &str) {
        let id = self.audit.len() as u64 + 1;
        let [who, what, target, note] = [who, what, target, note].map(str::to_string);
        self.audit.push(Entry { id, at_ms, who, what, target, note });
    }
}
