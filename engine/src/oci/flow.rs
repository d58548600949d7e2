//! Whose turn it is while a blob flows from one registry to another: the silence of one is not told of
//! the other, and bytes that go on keep a request alive however long it takes.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// A stream of bytes into a request.
#[derive(Debug, Clone)]
pub(super) struct Flow(Arc<Mutex<Turn>>);

/// Ends a flow when it is dropped.
pub(super) struct Ends(Flow);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.ends();
    }
}

#[derive(Debug, Clone, Copy)]
enum Turn {
    /// The source's, whose own request says when it takes too long.
    Source,
    /// The target's, since then: it has bytes to take.
    Target(Instant),
    /// The target's, since then: it has all of them, and is to answer.
    Answer(Instant),
}

impl Flow {
    /// Before the target asks for anything: the connection and the login have ends of their own.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Turn::Source)))
    }

    fn turn(&self, turn: Turn) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = turn;
    }

    /// The target took what there was.
    pub(super) fn asks(&self) {
        self.turn(Turn::Source);
    }

    /// There is more for the target.
    pub(super) fn has_more(&self) {
        self.turn(Turn::Target(Instant::now()));
    }

    /// There is no more.
    pub(super) fn ends(&self) {
        self.turn(Turn::Answer(Instant::now()));
    }

    /// Sees to it that there is an end when nobody asks any more, whatever became of the bytes.
    pub(super) fn ends_with(&self) -> Ends {
        Ends(self.clone())
    }

    /// Returns once the target takes nothing for `idle`, or gives no answer to the whole for `longest`
    /// (many store a blob only then), and which of them it was.
    pub(super) async fn silence(&self, idle: Duration, longest: Duration) -> Duration {
        loop {
            let turn = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let (since, wait) = match turn {
                Turn::Source => (Instant::now(), idle),
                Turn::Target(since) => (since, idle),
                Turn::Answer(since) => (since, longest),
            };
            if since.elapsed() >= wait {
                return wait;
            }
            sleep_until(since + wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(60);
    const LONGEST: Duration = Duration::from_secs(120);

    /// Seconds of silence from the beginning on, after which it is told, if what `happens` did.
    async fn silent_after(happens: impl AsyncFnOnce(&Flow)) -> u64 {
        let flow = Flow::new();
        let began = Instant::now();
        let silence = flow.silence(IDLE, LONGEST);
        let happens = async {
            happens(&flow).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = silence => began.elapsed().as_secs(),
            () = happens => unreachable!("it never ends"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_is_silent_when_it_takes_nothing_and_not_for_how_long_all_takes() {
        assert_eq!(silent_after(async |flow: &Flow| flow.has_more()).await, 60);
        let slow = async |flow: &Flow| {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_secs(50)).await;
                flow.asks();
                flow.has_more();
            }
        };
        assert_eq!(silent_after(slow).await, 560);
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_is_not_silent_while_the_source_is() {
        let waits = async |flow: &Flow| {
            flow.asks();
            tokio::time::sleep(Duration::from_secs(1000)).await;
            flow.has_more();
        };
        assert_eq!(silent_after(waits).await, 1060);
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_that_has_all_may_take_longer_to_answer() {
        assert_eq!(silent_after(async |flow: &Flow| flow.ends()).await, 120);
        let is_dropped = async |flow: &Flow| drop(flow.ends_with());
        assert_eq!(silent_after(is_dropped).await, 120);
    }
}
