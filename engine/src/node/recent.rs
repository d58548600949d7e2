//! What the log said last: kept in memory for whoever publishes it, so that this need not read the
//! log again for what was just written.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;
use weir_schema::{Body, Received};

/// Whoever is further behind than this reads the log.
const MOST: usize = 4096;

/// And further than this.
const MOST_BYTES: usize = 8 << 20;

/// A record for the world: a decision, a promotion, a violation.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// The record.
    pub seq: u64,
    /// What it says.
    pub event: Received,
}

/// Whether what an event says is for the world.
#[must_use]
pub fn is_for_the_world(body: &Body) -> bool {
    matches!(
        body,
        Body::DecisionMade(_)
            | Body::PromotionRequested(_)
            | Body::PromotionStarted(_)
            | Body::PromotionCompleted(_)
            | Body::PromotionFailed(_)
            | Body::ViolationFound(_)
            | Body::ViolationCleared(_)
    )
}

/// What was said last, in order. Clones share it.
#[derive(Debug, Clone)]
pub struct Recent {
    ring: Arc<Mutex<Ring>>,
    through: Arc<watch::Sender<u64>>,
}

#[derive(Debug)]
struct Ring {
    /// All that was said after this record is in `said`.
    after: u64,
    through: u64,
    said: VecDeque<Said>,
    bytes: usize,
}

impl Recent {
    /// Nothing yet, of a log that ends with `last`.
    pub(super) fn of(last: u64) -> Self {
        Self {
            ring: Arc::new(Mutex::new(Ring {
                after: last,
                through: last,
                said: VecDeque::new(),
                bytes: 0,
            })),
            through: Arc::new(watch::Sender::new(last)),
        }
    }

    /// Notes what is durable now: all that was said up to and including record `through`.
    pub(super) fn note(&self, through: u64, said: Vec<Said>) {
        {
            let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
            for one in said {
                ring.bytes += one.event.json.len();
                ring.said.push_back(one);
            }
            ring.through = through;
            while ring.said.len() > MOST || ring.bytes > MOST_BYTES {
                let Some(oldest) = ring.said.pop_front() else {
                    break;
                };
                ring.bytes -= oldest.event.json.len();
                ring.after = oldest.seq;
            }
        }
        self.through.send_replace(through);
    }

    /// The last record that is durable, as it changes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.through.subscribe()
    }

    /// What was said after record `after`, at most `max`, and the record up to which that is all.
    /// `None` if it is not remembered.
    #[must_use]
    pub fn after(&self, after: u64, max: usize) -> Option<(Vec<Said>, u64)> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if after < ring.after {
            return None;
        }
        let start = ring.said.partition_point(|one| one.seq <= after);
        let said: Vec<Said> = ring.said.range(start..).take(max).cloned().collect();
        let through = match said.last() {
            Some(last) if start + said.len() < ring.said.len() => last.seq,
            _ => ring.through.max(after),
        };
        Some((said, through))
    }
}

#[cfg(test)]
mod tests {
    use weir_schema::Event;

    use super::*;

    fn said(seq: u64) -> Said {
        let event = Event {
            id: seq.to_string().into(),
            source: "test".into(),
            time: None,
            subject: None,
            body: Body::ClockTicked,
        };
        Said {
            seq,
            event: event.into(),
        }
    }

    fn seqs(found: Option<(Vec<Said>, u64)>) -> Option<(Vec<u64>, u64)> {
        found.map(|(said, through)| (said.iter().map(|one| one.seq).collect(), through))
    }

    #[test]
    fn what_was_said_after_a_record_is_given_in_order_with_how_far_that_is_all() {
        let recent = Recent::of(10);
        assert_eq!(seqs(recent.after(10, 5)), Some((vec![], 10)));
        recent.note(14, vec![said(12), said(14)]);
        recent.note(15, vec![]);
        assert_eq!(seqs(recent.after(10, 5)), Some((vec![12, 14], 15)));
        assert_eq!(seqs(recent.after(12, 5)), Some((vec![14], 15)));
        assert_eq!(seqs(recent.after(10, 1)), Some((vec![12], 12)));
        assert_eq!(seqs(recent.after(15, 5)), Some((vec![], 15)));
        assert_eq!(*recent.subscribe().borrow(), 15);
    }

    #[test]
    fn what_is_no_longer_remembered_is_not_guessed() {
        let recent = Recent::of(10);
        assert_eq!(recent.after(9, 5), None, "it was said before the start");
        let many = 10 + MOST as u64 + 5;
        recent.note(many, (11..=many).map(said).collect());
        assert_eq!(recent.after(14, 5), None);
        assert_eq!(seqs(recent.after(15, 1)), Some((vec![16], 16)));
    }
}
