//! Manners towards one registry: how many requests at a time, how many a second, and when to try
//! again.

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, sleep_until},
};

use super::{config::RegistryConfig, error::OciError};
use crate::backoff::{doubled, jitter};

/// One of the registry's concurrent places. Whoever streams holds it until the stream ends.
#[derive(Debug)]
pub struct Slot {
    _permit: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
pub(super) struct Limits {
    places: Arc<Semaphore>,
    interval: Option<Duration>,
    /// Before this moment no request is sent.
    next: Mutex<Instant>,
    max_attempts: u32,
    max_backoff: Duration,
}

impl Limits {
    pub fn new(config: &RegistryConfig) -> Self {
        let places = usize::try_from(config.max_concurrent.get()).unwrap_or(usize::MAX);
        Self {
            places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
            interval: config.requests_per_second.map(interval),
            next: Mutex::new(Instant::now()),
            max_attempts: config.max_attempts.get(),
            max_backoff: Duration::from_secs(config.max_backoff_seconds),
        }
    }

    pub async fn slot(&self) -> Slot {
        // The semaphore is never closed; if it were, going on unlimited would be the lesser evil.
        Slot {
            _permit: Arc::clone(&self.places).acquire_owned().await.ok(),
        }
    }

    /// Returns when the next request may be sent.
    pub async fn pace(&self) {
        let at = {
            let mut next = self.next();
            let at = (*next).max(Instant::now());
            if let Some(interval) = self.interval {
                *next = at + interval;
            }
            at
        };
        sleep_until(at).await;
    }

    /// Keeps every request back for `pause`, since the registry asked one of them to wait.
    pub fn hold(&self, pause: Duration) {
        let until = Instant::now() + pause.min(self.max_backoff);
        let mut next = self.next();
        *next = (*next).max(until);
    }

    fn next(&self) -> MutexGuard<'_, Instant> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn retry(&self) -> Retry<'_> {
        self.retry_from(0)
    }

    /// The tries of something that has failed `failures` times already.
    pub fn retry_from(&self, failures: u32) -> Retry<'_> {
        Retry {
            limits: self,
            attempt: failures,
        }
    }
}

fn interval(per_second: NonZeroU32) -> Duration {
    Duration::from_secs(1) / per_second.get()
}

/// The tries of one request.
pub(super) struct Retry<'a> {
    limits: &'a Limits,
    attempt: u32,
}

impl Retry<'_> {
    /// Waits until the request may be tried again after `error`, or gives the error back if it
    /// should not: it would fail again, the tries are used up, or the registry asks for more
    /// patience than one request has.
    pub async fn after(&mut self, error: OciError) -> Result<(), OciError> {
        self.attempt += 1;
        if !error.is_retryable() || self.attempt >= self.limits.max_attempts {
            return Err(error);
        }
        match error.retry_after() {
            Some(asked) if asked > self.limits.max_backoff => return Err(error),
            Some(asked) => {
                self.limits.hold(asked);
                // What it asks for is the least.
                let own = pause(self.attempt, self.limits.max_backoff);
                sleep((asked + jitter(FIRST_PAUSE)).max(own)).await;
            }
            None => sleep(pause(self.attempt, self.limits.max_backoff)).await,
        }
        tracing::debug!(attempt = self.attempt, %error, "trying again");
        Ok(())
    }
}

/// The first pause; each later one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The pause after the `attempt`th failure: between half and all of a doubling time, so that
/// many clients that failed together do not come back together.
fn pause(attempt: u32, longest: Duration) -> Duration {
    let whole = doubled(FIRST_PAUSE, attempt.saturating_sub(1), longest);
    whole / 2 + jitter(whole / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_are_capped_and_differ() {
        let longest = Duration::from_secs(2);
        for (attempt, whole) in [
            (1, 100),
            (2, 200),
            (3, 400),
            (6, 2000),
            (40, 2000),
            (u32::MAX, 2000),
        ] {
            let pauses: Vec<_> = (0..32)
                .map(|_| pause(attempt, longest).as_millis())
                .collect();
            assert!(
                pauses
                    .iter()
                    .all(|pause| (whole / 2..=whole).contains(pause)),
                "{attempt}: {pauses:?}"
            );
            assert!(
                pauses.iter().any(|pause| *pause != pauses[0]),
                "{attempt}: {pauses:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_per_second_are_spread_evenly() {
        let config: RegistryConfig = toml::from_str("requests_per_second = 10").unwrap();
        let limits = Limits::new(&config);
        let began = Instant::now();
        for _ in 0..21 {
            limits.pace().await;
        }
        assert_eq!(began.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_one_request_was_asked_for_holds_them_all() {
        let limits = Limits::new(&RegistryConfig::default());
        limits.hold(Duration::from_secs(3));
        let began = Instant::now();
        limits.pace().await;
        assert_eq!(began.elapsed().as_secs(), 3);
    }

    fn unavailable(retry_after: Option<u64>) -> OciError {
        OciError::Unavailable {
            registry: "r".into(),
            what: "w".into(),
            status: 429,
            message: String::new(),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_registry_asks_for_is_the_least_that_it_gets() {
        let limits = Limits::new(&RegistryConfig::default());
        let began = Instant::now();
        limits
            .retry_from(3)
            .after(unavailable(Some(0)))
            .await
            .unwrap();
        assert!(began.elapsed() >= Duration::from_millis(400));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_gives_up_after_its_tries_or_when_asked_for_too_much_patience() {
        let config: RegistryConfig =
            toml::from_str("max_attempts = 3\nmax_backoff_seconds = 10").unwrap();
        let limits = Limits::new(&config);
        let mut retry = limits.retry();
        assert!(retry.after(unavailable(None)).await.is_ok());
        assert!(retry.after(unavailable(Some(9))).await.is_ok());
        assert!(retry.after(unavailable(None)).await.is_err());
        assert!(limits.retry().after(unavailable(Some(11))).await.is_err());
    }
}
