//! Open deliveries in their order, so many at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use crate::daemon::intake::{IMPATIENCE, PATIENCE};

/// Deliveries that are asked for at a time. Most of them wait for the next try of a registry that is
/// down; how many requests it gets at once is its client's to say.
const AT_A_TIME: usize = 1000;

/// More than these do not wait: the oldest are rejected, for their answers would be out of date when
/// they come, and the log has room for no more than some ten thousands.
const MOST: usize = 10_000;

/// Why those are rejected; it names [`MOST`].
pub(super) const TOO_MANY: &str = "more than 10,000 deliveries wait for an answer of their registry, and this was the oldest of them: see that the registry answers, and send it again";

/// Deliveries that wait for their turn, and those under way. What is in it already is not added again.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Since when each waits.
    waiting: BTreeMap<u64, Instant>,
    under_way: BTreeSet<u64>,
}

/// It is a delivery's turn.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) sequence: u64,
    /// How long the registry is asked again; `None` if it is not asked at all.
    pub(super) patience: Option<Duration>,
}

impl Queue {
    pub(super) fn add(&mut self, sequence: u64, now: Instant) {
        if !self.under_way.contains(&sequence) {
            self.waiting.entry(sequence).or_insert(now);
        }
    }

    /// The next that may begin, the oldest first. What it has waited for its turn it does not wait for
    /// the registry: else those behind one that is down would come to their turn hours later.
    pub(super) fn begin(&mut self, now: Instant) -> Option<Turn> {
        if self.under_way.len() >= AT_A_TIME {
            return None;
        }
        let too_many = self.waiting.len() > MOST;
        let (sequence, since) = self.waiting.pop_first()?;
        self.under_way.insert(sequence);
        let left = PATIENCE.saturating_sub(now.saturating_duration_since(since));
        Some(Turn {
            sequence,
            patience: (!too_many).then_some(left.max(IMPATIENCE)),
        })
    }

    /// Lets go of those that wait: they are not to be read again.
    pub(super) fn leave(&mut self) {
        self.waiting.clear();
    }

    pub(super) fn end(&mut self, sequence: u64) {
        self.under_way.remove(&sequence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A queue to which the deliveries up to `last` came, and those that begin.
    fn check(last: usize) -> (Queue, Vec<Turn>) {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for sequence in 1..=last as u64 {
            queue.add(sequence, now);
        }
        let begun = std::iter::from_fn(|| queue.begin(now)).collect();
        (queue, begun)
    }

    #[test]
    fn so_many_are_asked_for_at_a_time() {
        let (mut queue, begun) = check(AT_A_TIME + 1);
        assert_eq!(begun.len(), AT_A_TIME);
        queue.add(1, Instant::now());
        queue.end(1);
        let next = queue.begin(Instant::now()).unwrap();
        assert_eq!(next.sequence, AT_A_TIME as u64 + 1);
        queue.end(2);
        assert_eq!(
            queue.begin(Instant::now()),
            None,
            "what is under way waits for nothing"
        );
    }

    #[test]
    fn the_refusal_names_the_limit() {
        let most = format!("more than {},000 deliveries", MOST / 1000);
        assert!(TOO_MANY.contains(&most), "{TOO_MANY}");
    }

    #[test]
    fn the_oldest_of_too_many_are_not_asked_for() {
        let (_, begun) = check(MOST + 2);
        let rejected = begun.iter().filter(|turn| turn.patience.is_none());
        let rejected: Vec<u64> = rejected.map(|turn| turn.sequence).collect();
        assert_eq!(rejected, [1, 2]);
    }

    #[test]
    fn who_waited_for_its_turn_waits_less_for_the_registry() {
        let check = |waited: u64, patience: u64| {
            let (mut queue, now) = (Queue::default(), Instant::now());
            queue.add(1, now);
            let turn = queue.begin(now + Duration::from_secs(waited)).unwrap();
            assert_eq!(turn.patience, Some(Duration::from_secs(patience)));
        };
        check(0, 600);
        check(200, 400);
        check(10_000, 2);
    }
}
