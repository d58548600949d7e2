//! Whether the stream can be read. A connection that stands says little: a server may refuse a consumer,
//! or say nothing to it.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use weir_schema::Timestamp;

/// Why the stream is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// When an attempt first failed, with nothing read since.
    since: Timestamp,
    began: Instant,
    /// What the last attempt met.
    problem: String,
}

impl Obstacle {
    /// Whether it has stood for longer than `time`.
    #[must_use]
    pub fn outlasts(&self, time: Duration) -> bool {
        self.began.elapsed() > time
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { since, problem, .. } = self;
        write!(
            formatter,
            "the stream is not read since {since}: {problem}; see to the limits of stream and account (`max_consumers`), and to the log of the NATS server"
        )
    }
}

/// What attempts to read came to. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Unread(Arc<Mutex<Option<Obstacle>>>);

impl Unread {
    pub(super) fn obstacle(&self) -> Option<Obstacle> {
        self.lock().clone()
    }

    /// An attempt to read failed.
    pub(super) fn fails(&self, problem: String) {
        let mut standing = self.lock();
        if let Some(obstacle) = &mut *standing {
            obstacle.problem = problem;
            return;
        }
        *standing = Some(Obstacle {
            since: chrono::Utc::now().into(),
            began: Instant::now(),
            problem,
        });
    }

    /// Something is read, or would be if it were there.
    pub(super) fn ends(&self) {
        self.lock().take();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Obstacle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_obstacle_stands_from_the_first_failure_to_what_is_read_next() {
        let unread = Unread::default();
        unread.fails("first".into());
        tokio::time::advance(Duration::from_secs(2)).await;
        unread.fails("second".into());
        let obstacle = unread.obstacle().unwrap();
        assert!(obstacle.outlasts(Duration::from_secs(1)));
        assert!(!obstacle.outlasts(Duration::from_secs(3)));
        assert!(obstacle.to_string().contains("second"), "{obstacle}");
        unread.ends();
        assert_eq!(unread.obstacle(), None);
    }
}
