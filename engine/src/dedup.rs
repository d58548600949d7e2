//! Deliveries that came before: the same `(source, id)` is dropped.
//!
//! A delivery is remembered for at least [`KEPT_FOR`] and among the last [`KEPT_EVENTS`]; it is
//! forgotten only when it is beyond both, by the log's own time, so every node that reads the
//! same inputs drops the same ones.

use std::collections::VecDeque;

use hashbrown::HashSet;
use sha2::{Digest as _, Sha256};
use weir_schema::{Event, Timestamp};

/// How many events are remembered at least.
pub const KEPT_EVENTS: usize = 1_000_000;

/// How long an event is remembered at least.
pub const KEPT_FOR: chrono::TimeDelta = chrono::TimeDelta::days(7);

/// Half of a SHA-256 of source and id: no two deliveries of a log will share it.
pub type Key = [u8; 16];

/// The deliveries remembered.
#[derive(Debug, Clone, Default)]
pub struct Dedup {
    /// Only asked whether it holds a key: its order is of no account.
    known: HashSet<Key>,
    order: VecDeque<(Key, Timestamp)>,
}

impl Dedup {
    /// What is remembered after `deliveries`, the last of a log in its order.
    #[must_use]
    pub fn after(deliveries: impl IntoIterator<Item = (Key, Timestamp)>) -> Self {
        let order: VecDeque<(Key, Timestamp)> = deliveries.into_iter().collect();
        let known = order.iter().map(|(key, _)| *key).collect();
        let mut dedup = Self { known, order };
        if let Some((_, last)) = dedup.order.back() {
            dedup.forget(*last);
        }
        dedup
    }

    /// Notes a delivery at the log's time `at`; says whether it is new.
    pub fn is_new(&mut self, event: &Event, at: Timestamp) -> bool {
        self.is_new_key(key(&event.source, &event.id), at)
    }

    /// As [`Dedup::is_new`], where the key is known already.
    pub fn is_new_key(&mut self, key: Key, at: Timestamp) -> bool {
        if !self.known.insert(key) {
            return false;
        }
        self.order.push_back((key, at));
        self.forget(at);
        true
    }

    fn forget(&mut self, at: Timestamp) {
        while self.order.len() > KEPT_EVENTS {
            match self.order.front() {
                Some((oldest, seen)) if at.since(*seen) > KEPT_FOR => {
                    self.known.remove(oldest);
                    self.order.pop_front();
                }
                _ => break,
            }
        }
    }
}

/// What a delivery is remembered by.
#[must_use]
pub fn key(source: &str, id: &str) -> Key {
    let hash = Sha256::new()
        .chain_update((source.len() as u64).to_be_bytes())
        .chain_update(source)
        .chain_update(id)
        .finalize();
    let mut key = Key::default();
    key.copy_from_slice(&hash[..16]);
    key
}

#[cfg(test)]
mod tests {
    use weir_schema::Body;

    use super::*;

    fn event(source: &str, id: &str) -> Event {
        Event {
            id: id.into(),
            source: source.into(),
            time: None,
            subject: None,
            body: Body::ClockTicked,
        }
    }

    #[test]
    fn e7_a_delivery_is_dropped_the_second_time() {
        let mut dedup = Dedup::default();
        let at = Timestamp::EPOCH;
        assert!(dedup.is_new(&event("a", "bc"), at));
        assert!(!dedup.is_new(&event("a", "bc"), at));
        assert!(
            dedup.is_new(&event("ab", "c"), at),
            "source and id do not run together"
        );
    }
}
