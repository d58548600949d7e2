//! Whether the stream takes what is published. A connection that stands says little: a server whose
//! disk is full keeps it up and stores nothing.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};
use weir_schema::Timestamp;

use super::{PublishError, publisher::SILENT};

/// Who goes away sooner than this without an acknowledgement says nothing of the stream: on a loaded
/// machine it takes its time. Registries wait for half a second or more.
const HASTE: Duration = Duration::from_millis(250);

/// Why the stream takes nothing, by the last attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// When an attempt first failed, with none acknowledged since.
    pub since: Timestamp,
    /// What the last attempt met.
    pub problem: String,
    /// Where whoever runs the server should look.
    pub remedy: &'static str,
}

/// What the attempts to publish came to. Clones share it.
#[derive(Clone)]
pub(super) struct Taking(watch::Sender<Option<Refusal>>);

impl Taking {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// The refusal that stands.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.0.borrow().clone()
    }

    /// Returns once something is refused.
    pub(super) async fn refused(&self) {
        // The sender lives as long as this.
        let _ = self.0.subscribe().wait_for(Option::is_some).await;
    }

    /// An attempt begins.
    pub(super) fn attempt(&self) -> Attempt<'_> {
        Attempt {
            taking: self,
            began: Instant::now(),
            has_ended: false,
        }
    }

    fn takes(&self) {
        self.0
            .send_if_modified(|standing| standing.take().is_some());
    }

    fn refuses(&self, problem: String, remedy: &'static str) {
        self.0.send_modify(|standing| {
            let since = standing.take().map(|refusal| refusal.since);
            *standing = Some(Refusal {
                since: since.unwrap_or_else(|| chrono::Utc::now().into()),
                problem,
                remedy,
            });
        });
    }
}

/// One attempt, noted when it ends or when whoever wanted it goes away before.
pub(super) struct Attempt<'a> {
    taking: &'a Taking,
    began: Instant,
    has_ended: bool,
}

impl Attempt<'_> {
    /// Notes how it ended.
    pub(super) fn ends<T>(mut self, result: &Result<T, PublishError>) {
        self.has_ended = true;
        match result {
            Ok(_) => self.taking.takes(),
            // Another message may go through.
            Err(PublishError::TooLarge { .. }) => {}
            Err(error) => self.taking.refuses(error.to_string(), error.remedy()),
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let waited = self.began.elapsed();
        if !self.has_ended && waited >= HASTE {
            let problem =
                format!("no acknowledgement within {waited:?}, when the sender went away");
            self.taking.refuses(problem, SILENT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{LimitOf, MessageLimit, publisher::FULL};

    fn full() -> Result<(), PublishError> {
        Err(PublishError::Refused {
            stream: "registry".into(),
            problem: "maximum bytes exceeded".into(),
            remedy: FULL,
        })
    }

    #[test]
    fn a_refusal_stands_from_the_first_failure_to_the_next_success() {
        let taking = Taking::new();
        taking.attempt().ends(&full());
        let first = taking.refusal().unwrap();
        assert!(first.problem.contains("maximum bytes"), "{first:?}");
        let limit = MessageLimit {
            bytes: 1,
            of: LimitOf::Server,
        };
        let too_large = PublishError::TooLarge { size: 2, limit };
        taking.attempt().ends(&Err::<(), _>(too_large));
        taking.attempt().ends(&full());
        assert_eq!(taking.refusal(), Some(first));
        taking.attempt().ends(&Ok(()));
        assert_eq!(taking.refusal(), None);
    }

    #[test]
    fn only_who_is_refused_is_sent_to_the_limits_and_the_disk() {
        let remedy_of = |error: PublishError| {
            let taking = Taking::new();
            taking.attempt().ends(&Err::<(), _>(error));
            taking.refusal().unwrap().remedy
        };
        let unanswered = PublishError::Unacknowledged {
            stream: "registry".into(),
            waited: Duration::from_secs(10),
            attempts: 3,
            problem: "timed out".into(),
        };
        assert!(remedy_of(full().unwrap_err()).contains("the stream's limits"));
        assert!(remedy_of(unanswered).contains("leader answers"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_in_vain_and_goes_away_says_something_and_who_hurries_does_not() {
        let taking = Taking::new();
        drop(taking.attempt());
        assert_eq!(taking.refusal(), None);
        let attempt = taking.attempt();
        tokio::time::advance(Duration::from_millis(500)).await;
        drop(attempt);
        let problem = taking.refusal().unwrap().problem;
        assert!(problem.contains("500ms"), "{problem}");
    }
}
