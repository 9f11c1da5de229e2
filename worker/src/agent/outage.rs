//! What is known of the store's state, and what is said of it: a store that fails is news once, not with every request.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use curvefleet_proto::store::{Trouble, diagnose};
use tokio::time::Instant;

/// Without a failure for this long, a bad time is over; the next failure is news again.
const QUIET: Duration = Duration::from_secs(60);
/// A store that has failed without a break for this long was away, which its return ends: that is news at once.
const AWAY: Duration = Duration::from_secs(10);

/// How the store has been answering the workers of this process.
#[derive(Debug, Default)]
pub struct Outage {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When the failures began that nothing has succeeded since.
    failing_since: Option<Instant>,
    bad_time: Option<BadTime>,
}

/// Failures of which each came within [`QUIET`] of the one before.
#[derive(Debug)]
struct BadTime {
    began: Instant,
    last: Instant,
    failures: u64,
    /// What has been said already.
    said: Vec<Trouble>,
    return_said: bool,
}

/// Something to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    /// A kind of failure that has not been seen in this bad time.
    Fails,
    /// The store answers again.
    Works { failures: u64, within: Duration },
}

impl Outage {
    /// Takes note of a request that failed; `doing` says what for.
    pub fn failed(&self, doing: &str, error: &object_store::Error) {
        if self.note_failure(Trouble::of(error), Instant::now()).is_some() {
            let reason = diagnose(error).split_whitespace().collect::<Vec<_>>().join(" ");
            tracing::warn!(doing, reason, "the store fails; what is needed is tried again");
        } else {
            tracing::debug!(doing, error = %error, "the store fails");
        }
    }

    /// Takes note of a request that did not fail.
    pub fn worked(&self) {
        if let Some(News::Works { failures, within }) = self.note_success(Instant::now()) {
            tracing::info!(failures, seconds = within.as_secs(), "the store works again");
        }
    }

    /// For how long the store has done nothing but fail, if it was asked lately.
    pub fn away_for(&self) -> Option<Duration> {
        let state = self.lock();
        let is_recent = state.bad_time.as_ref().is_some_and(|bad_time| bad_time.last.elapsed() < 2 * QUIET);
        state.failing_since.filter(|_| is_recent).map(|since| since.elapsed())
    }

    fn note_failure(&self, trouble: Trouble, now: Instant) -> Option<News> {
        let mut state = self.lock();
        state.failing_since.get_or_insert(now);
        if state.bad_time.as_ref().is_some_and(|bad_time| now - bad_time.last >= QUIET) {
            state.bad_time = None;
        }
        let fresh = || BadTime { began: now, last: now, failures: 0, said: Vec::new(), return_said: false };
        let bad_time = state.bad_time.get_or_insert_with(fresh);
        bad_time.failures += 1;
        bad_time.last = now;
        if bad_time.said.contains(&trouble) {
            return None;
        }
        bad_time.said.push(trouble);
        Some(News::Fails)
    }

    fn note_success(&self, now: Instant) -> Option<News> {
        let mut state = self.lock();
        let failing_since = state.failing_since.take();
        let bad_time = state.bad_time.as_mut()?;
        let was_away = failing_since.is_some_and(|since| now - since >= AWAY);
        let is_over = now - bad_time.last >= QUIET;
        let is_news = (was_away || is_over) && !std::mem::replace(&mut bad_time.return_said, was_away || is_over);
        let news = News::Works { failures: bad_time.failures, within: bad_time.last - bad_time.began };
        if is_over {
            state.bad_time = None;
        }
        is_news.then_some(news)
    }

    /// A panic elsewhere leaves these plain values whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn a_thousand_failures_of_a_kind_are_news_once_and_so_is_the_return() {
        let outage = Outage::default();
        let mut now = Instant::now();
        assert_eq!(outage.note_failure(Trouble::Busy, now), Some(News::Fails));
        for _ in 0..1_000 {
            now += SECOND;
            assert_eq!(outage.note_failure(Trouble::Busy, now), None);
        }
        assert_eq!(outage.note_failure(Trouble::Denied, now), Some(News::Fails));
        let news = outage.note_success(now + SECOND);
        assert_eq!(news, Some(News::Works { failures: 1_002, within: 1_000 * SECOND }));
        assert_eq!(outage.note_success(now + 2 * SECOND), None);
    }

    #[tokio::test]
    async fn a_store_that_fails_now_and_then_is_news_at_the_first_and_after_the_last_failure() {
        let outage = Outage::default();
        let mut now = Instant::now();
        let mut said = 0;
        for _ in 0..1_000 {
            said += usize::from(outage.note_failure(Trouble::Slow, now).is_some());
            said += usize::from(outage.note_success(now + SECOND).is_some());
            now += 2 * SECOND;
        }
        assert_eq!(said, 1);
        assert!(outage.note_success(now + QUIET).is_some());
        assert!(outage.note_failure(Trouble::Slow, now + 2 * QUIET).is_some(), "the next bad time is news");
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_is_away_while_all_that_is_asked_fails_and_not_when_nothing_is_asked() {
        let outage = Outage::default();
        for _ in 0..20 {
            outage.note_failure(Trouble::Unreachable, Instant::now());
            tokio::time::advance(15 * SECOND).await;
        }
        assert_eq!(outage.away_for(), Some(300 * SECOND));
        tokio::time::advance(2 * QUIET).await;
        assert_eq!(outage.away_for(), None);
        outage.note_failure(Trouble::Unreachable, Instant::now());
        outage.note_success(Instant::now());
        assert_eq!(outage.away_for(), None);
    }
}
