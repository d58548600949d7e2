//! Who copies when: so many at once from one registry to another, so that one that is silent holds up no
//! other; and to each target tag one after the other in the order of their decisions, or a later one
//! would find there what it does not expect and an earlier one undo it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, Semaphore};
use weir_rules::Copy;
use weir_schema::{RepositoryName, SmolStr};

/// The turns of all copies of one executor.
pub(super) struct Lanes {
    concurrent: usize,
    /// The places between two registries.
    roads: Mutex<BTreeMap<[SmolStr; 2], Arc<Semaphore>>>,
    targets: Mutex<BTreeMap<(SmolStr, SmolStr), Arc<Lane>>>,
}

/// Whose turn it is at one target tag.
#[derive(Default)]
struct Lane {
    line: Mutex<Line>,
    moved: Notify,
}

#[derive(Default)]
struct Line {
    /// Those that wait for their turn, by the records that decided them.
    waiting: BTreeSet<u64>,
    is_taken: bool,
}

/// A promotion's place in the line to its target tag; it is left when this is dropped.
pub(super) struct Place {
    lane: Arc<Lane>,
    number: u64,
}

/// A turn at a target tag, until it is dropped.
pub(super) struct Turn {
    lane: Arc<Lane>,
}

impl Lanes {
    /// So many copies at once between two registries, and at least one.
    pub(super) fn new(concurrent: usize) -> Self {
        Self {
            concurrent: concurrent.clamp(1, Semaphore::MAX_PERMITS),
            roads: Mutex::default(),
            targets: Mutex::default(),
        }
    }

    /// The places between a promotion's registries.
    pub(super) fn road(&self, order: &Copy) -> Arc<Semaphore> {
        let source = order.source.repository.registry().unwrap_or_default();
        let target = order.target.repository.parse::<RepositoryName>().ok();
        let target = target.as_ref().and_then(RepositoryName::registry);
        let ends = [source, target.unwrap_or_default()].map(SmolStr::from);
        let mut roads = self.roads.lock().unwrap_or_else(PoisonError::into_inner);
        let road = roads.entry(ends);
        Arc::clone(road.or_insert_with(|| Arc::new(Semaphore::new(self.concurrent))))
    }

    /// Lines a promotion up. Who begins to act does so with all that are open before any of them takes
    /// its turn, so that it does not matter which task runs first.
    pub(super) fn line_up(&self, order: &Copy) -> Place {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        targets.retain(|_, lane| Arc::strong_count(lane) > 1);
        let target = &order.target;
        let key = (target.repository.clone(), target.tag.clone());
        let lane = Arc::clone(targets.entry(key).or_default());
        let number = weir_rules::promotion_number(&order.promotion_id).unwrap_or(u64::MAX);
        lane.line().waiting.insert(number);
        Place { lane, number }
    }
}

impl Lane {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits until none that was decided before waits or has its turn.
    pub(super) async fn turn(self) -> Turn {
        loop {
            let mut moved = std::pin::pin!(self.lane.moved.notified());
            moved.as_mut().enable();
            {
                let mut line = self.lane.line();
                if !line.is_taken && line.waiting.first() == Some(&self.number) {
                    line.is_taken = true;
                    return Turn {
                        lane: Arc::clone(&self.lane),
                    };
                }
            }
            moved.await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.lane.line().waiting.remove(&self.number);
        self.lane.moved.notify_waiters();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.lane.line().is_taken = false;
        self.lane.moved.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use weir_schema::{Digest, TagRef, TargetRef};

    use super::*;

    fn order(number: u64, tag: &str) -> Copy {
        Copy {
            promotion_id: format!("p{number}"),
            rule: "all".into(),
            source: TagRef {
                repository: "dev/web".parse().unwrap(),
                tag: "1".parse().unwrap(),
                digest: Some(Digest::of(b"web")),
            },
            target: TargetRef {
                repository: "prod/web".into(),
                tag: tag.into(),
            },
            expected: None,
        }
    }

    #[tokio::test]
    async fn copies_to_one_tag_take_their_turns_in_the_order_of_their_decisions() {
        let lanes = Lanes::new(1);
        let orders = [7, 12, 9].map(|number| order(number, "1"));
        let places = orders.map(|order| lanes.line_up(&order));
        let taken = Mutex::new(Vec::new());
        let each = places.into_iter().map(async |place| {
            let number = place.number;
            let _turn = place.turn().await;
            tokio::time::sleep(Duration::from_millis(10)).await;
            taken.lock().unwrap().push(number);
        });
        futures_util::future::join_all(each).await;
        assert_eq!(*taken.lock().unwrap(), [7, 9, 12]);
    }

    #[tokio::test]
    async fn nobody_waits_for_a_copy_between_other_registries() {
        let lanes = Lanes::new(1);
        let away = |number, target: &str| {
            let mut order = order(number, "1");
            order.target.repository = target.into();
            order
        };
        let silent = lanes.road(&away(1, "a.example/web"));
        let _held = silent.try_acquire().unwrap();
        assert!(lanes.road(&away(2, "a.example/api")).try_acquire().is_err());
        assert!(lanes.road(&away(3, "b.example/web")).try_acquire().is_ok());
        assert!(lanes.road(&order(4, "1")).try_acquire().is_ok());
    }

    #[tokio::test]
    async fn nobody_waits_for_another_tag_nor_for_who_left() {
        let lanes = Lanes::new(1);
        let first = lanes.line_up(&order(1, "1"));
        let second = lanes.line_up(&order(2, "1"));
        let _elsewhere = lanes.line_up(&order(3, "2")).turn().await;
        drop(first);
        let turn = second.turn().await;
        drop(turn);
        let _later = lanes.line_up(&order(4, "1")).turn().await;
    }
}
