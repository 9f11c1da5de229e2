//! The ledger's tokens, at hand, so that a request need not wait for the database. They are read again every few seconds, when one is
//! made or revoked here, and when a token is shown that is not among them; so a token that is revoked elsewhere opens nothing after
//! [`REFRESH`]. While the database is away, those that were read last count: nothing can be asked of it then anyway.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::secret::Shown;
use crate::clock::Clock;
use crate::ledger::tokens::{ListTokens, Token};
use crate::ledger::{Error, Handle};
use crate::service::stopped;

/// How old what is at hand may be.
pub(crate) const REFRESH: Duration = Duration::from_secs(3);
/// Shortest time between two readings on account of unknown tokens.
const UNKNOWN_PAUSE: Duration = Duration::from_millis(500);

/// Why a token opens nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is none, or its secret is wrong.
    Unknown,
    /// Its time is over.
    Expired(Token),
    /// It was revoked.
    Revoked(Token),
}

/// The tokens.
pub(crate) struct Tokens {
    ledger: Handle,
    clock: Arc<dyn Clock>,
    known: RwLock<Known>,
    /// When it was read last.
    read_at: tokio::sync::Mutex<Option<Instant>>,
    /// Counts the readings.
    readings: watch::Sender<u64>,
}

#[derive(Default)]
struct Known {
    by_id: HashMap<String, Token>,
    /// The ledger's time less this machine's, in milliseconds: expiry goes by the former, also where this clock is wrong.
    ahead_ms: i64,
}

impl Tokens {
    pub fn new(ledger: Handle, clock: Arc<dyn Clock>) -> Tokens {
        Tokens {
            ledger,
            clock,
            known: RwLock::default(),
            read_at: tokio::sync::Mutex::new(None),
            readings: watch::Sender::new(0),
        }
    }

    /// Reads them again.
    pub async fn read(&self) -> Result<(), Error> {
        let mut read_at = self.read_at.lock().await;
        self.read_locked(&mut read_at).await
    }

    async fn read_locked(&self, read_at: &mut Option<Instant>) -> Result<(), Error> {
        let told = self.ledger.ask(ListTokens).await?;
        let ahead_ms = told.now_ms.cast_signed().saturating_sub(self.clock.now_ms().cast_signed());
        let by_id = told.tokens.into_iter().map(|token| (token.id.clone(), token)).collect();
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Known { by_id, ahead_ms };
        *read_at = Some(Instant::now());
        self.readings.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Reads them again and again until the coordinator stops.
    pub async fn keep(&self, stopping: watch::Receiver<bool>) {
        let stopped = stopped(stopping);
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                () = tokio::time::sleep(REFRESH) => {}
                () = &mut stopped => return,
            }
            if let Err(error) = self.read().await {
                tracing::warn!(%error, "cannot read the tokens again; those that were read last count");
            }
        }
    }

    /// Whether there is any token, so that everyone needs one. It is so from the first on, whatever becomes of it: a ledger whose
    /// tokens have all expired opens to no one.
    pub fn are_there(&self) -> bool {
        !self.known().by_id.is_empty()
    }

    /// Whether any of them opens something.
    pub fn any_is_live(&self) -> bool {
        let known = self.known();
        let now_ms = self.now_ms(&known);
        known.by_id.values().any(|token| token.is_live(now_ms))
    }

    /// The token that is shown, if it opens anything; one that is not known may have been made elsewhere just now.
    pub async fn find(&self, shown: &Shown) -> Result<Token, Refusal> {
        match self.look(shown) {
            Err(Refusal::Unknown) => {
                self.read_for_unknown().await;
                self.look(shown)
            }
            found => found,
        }
    }

    /// Reads them again because a token is shown that is not among them, unless that was done just now.
    pub async fn read_for_unknown(&self) {
        let mut read_at = self.read_at.lock().await;
        if read_at.is_some_and(|read| read.elapsed() < UNKNOWN_PAUSE) {
            return;
        }
        if let Err(error) = self.read_locked(&mut read_at).await {
            tracing::debug!(%error, "cannot look for an unknown token");
        }
    }

    fn look(&self, shown: &Shown) -> Result<Token, Refusal> {
        let known = self.known();
        let token = known.by_id.get(&shown.id);
        // Compared with something in any case, so that the time does not tell which ids there are.
        let is_right = shown.is(token.map_or(NO_HASH, |token| &token.sha256));
        match token {
            Some(token) if is_right => self.check(&known, token).map(|()| token.clone()),
            _ => Err(Refusal::Unknown),
        }
    }

    /// Whether a token that was taken before still opens something.
    pub fn still(&self, id: &str) -> Result<(), Refusal> {
        let known = self.known();
        let token = known.by_id.get(id).ok_or(Refusal::Unknown)?;
        self.check(&known, token)
    }

    /// Waits until a token that was taken opens nothing any more.
    pub async fn ended(&self, id: &str) -> Refusal {
        let mut readings = self.readings.subscribe();
        loop {
            if let Err(refusal) = self.still(id) {
                return refusal;
            }
            if readings.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Waits until there is a first token, so that who has none is not served any more.
    pub async fn first(&self) {
        let mut readings = self.readings.subscribe();
        while !self.are_there() {
            if readings.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    fn check(&self, known: &Known, token: &Token) -> Result<(), Refusal> {
        if token.revoked_ms > 0 {
            return Err(Refusal::Revoked(token.clone()));
        }
        if token.has_expired(self.now_ms(known)) {
            return Err(Refusal::Expired(token.clone()));
        }
        Ok(())
    }

    fn known(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self, known: &Known) -> u64 {
        self.clock.now_ms().saturating_add_signed(known.ahead_ms)
    }
}

/// What an unknown token's secret is compared with: the hash of nothing known.
const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

impl Refusal {
    /// The sentence for who showed it.
    pub fn sentence(&self) -> String {
        let of = |token: &Token| format!("the token {} of `{}` (for `{}`)", token.id, token.name, token.role.as_str());
        match self {
            Refusal::Unknown => {
                "this coordinator does not know the token; ask who runs it for one (`curvefleet token create`)"
                    .to_string()
            }
            Refusal::Expired(token) => format!("{} has expired; ask who runs the coordinator for a new one", of(token)),
            Refusal::Revoked(token) => format!("{} was revoked; ask who runs the coordinator for a new one", of(token)),
        }
    }
}
