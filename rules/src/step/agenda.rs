//! The order in which subjects are judged: by the texts of repository, tag and rule.
//!
//! In passes: each subject sees what the ones before it did, and what those touch behind the
//! present place waits for the next pass.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

use crate::state::{State, SubjectKey};

/// The subjects that are still to be judged.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    /// Of this pass, the last first.
    ahead: Vec<SubjectKey>,
    /// Of this pass, added while it went on.
    late: BinaryHeap<Reverse<Order>>,
    /// Of the next pass, in any order.
    behind: Vec<SubjectKey>,
    /// The subject at hand.
    place: Option<SubjectKey>,
}

/// A subject with what it is ordered by.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Order(Arc<str>, Arc<str>, Arc<str>, SubjectKey);

impl Agenda {
    /// Adds subjects, and leaves the list empty.
    pub(super) fn add(&mut self, subjects: &mut Vec<SubjectKey>, state: &State) {
        let Some(place) = self.place else {
            self.behind.append(subjects);
            return;
        };
        subjects.sort_unstable();
        subjects.dedup();
        for key in subjects.drain(..) {
            if compare(state, key, place).is_gt() {
                self.late.push(Reverse(order(state, key)));
            } else {
                self.behind.push(key);
            }
        }
    }

    /// The subject to judge next.
    pub(super) fn next(&mut self, state: &State) -> Option<SubjectKey> {
        loop {
            let next = match (self.ahead.last(), self.late.peek()) {
                (Some(ahead), Some(Reverse(late))) => {
                    if compare(state, *ahead, late.3).is_le() {
                        self.ahead.pop()
                    } else {
                        self.late.pop().map(|late| late.0.3)
                    }
                }
                (Some(_), None) => self.ahead.pop(),
                (None, Some(_)) => self.late.pop().map(|late| late.0.3),
                (None, None) if self.behind.is_empty() => return None,
                (None, None) => {
                    self.begin_pass(state);
                    continue;
                }
            };
            // Added twice before its turn, it is judged once.
            if next != self.place {
                self.place = next;
                return next;
            }
        }
    }

    fn begin_pass(&mut self, state: &State) {
        std::mem::swap(&mut self.ahead, &mut self.behind);
        self.ahead.sort_unstable();
        self.ahead.dedup();
        if self.ahead.len() > 1 {
            self.ahead.sort_by(|a, b| compare(state, *b, *a));
        }
        self.place = None;
    }
}

fn order(state: &State, key: SubjectKey) -> Order {
    let (repository, tag) = state.tag_texts(key.0);
    let rule = Arc::clone(state.text(key.1));
    Order(Arc::clone(repository), Arc::clone(tag), rule, key)
}

fn compare(state: &State, a: SubjectKey, b: SubjectKey) -> std::cmp::Ordering {
    if a == b {
        return std::cmp::Ordering::Equal;
    }
    let by_rule = || state.text(a.1).cmp(state.text(b.1));
    if a.0 == b.0 {
        return by_rule();
    }
    state
        .tag_texts(a.0)
        .cmp(&state.tag_texts(b.0))
        .then_with(by_rule)
}
