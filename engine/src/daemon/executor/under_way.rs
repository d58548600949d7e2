//! The promotions that are seen to, each on a task of its own and none of them twice.

use std::collections::BTreeMap;

use tokio::task::{Id, JoinSet};

/// What is seen to, by its promotion; `W` is what is done for it.
pub(super) struct UnderWay<W> {
    tasks: JoinSet<String>,
    seen_to: BTreeMap<String, SeenTo<W>>,
}

struct SeenTo<W> {
    task: Id,
    work: W,
    /// What was ordered of the same promotion meanwhile.
    next: Option<W>,
}

/// Work that has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ended<W> {
    pub(super) promotion_id: String,
    pub(super) work: W,
    /// What was ordered of the same promotion meanwhile, to be begun now.
    pub(super) next: Option<W>,
    /// Why it did not come to its end, if it did not: it panicked.
    pub(super) broken: Option<String>,
}

impl<W: Clone> UnderWay<W> {
    pub(super) fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            seen_to: BTreeMap::new(),
        }
    }

    /// Does the work for a promotion, unless some is under way: then it is kept until that has
    /// ended. What is decided while a node begins to act comes twice; what is retried as it fails
    /// comes before that has ended, and is not lost.
    pub(super) fn begin<F>(&mut self, promotion_id: &str, work: W, does: impl FnOnce(W) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Some(seen_to) = self.seen_to.get_mut(promotion_id) {
            seen_to.next = Some(work);
            return;
        }
        let done = does(work.clone());
        let id = promotion_id.to_owned();
        let task = self.tasks.spawn(async move {
            done.await;
            id
        });
        let seen_to = SeenTo {
            task: task.id(),
            work,
            next: None,
        };
        self.seen_to.insert(promotion_id.to_owned(), seen_to);
    }

    /// Waits until some work has ended, whichever way, and makes room for more of its promotion;
    /// `None` if there is none.
    pub(super) async fn ended(&mut self) -> Option<Ended<W>> {
        loop {
            let (id, broken) = match self.tasks.join_next().await? {
                Ok(id) => (id, None),
                Err(error) => {
                    let mut all = self.seen_to.iter();
                    let of_task = all.find(|(_, one)| one.task == error.id());
                    (of_task?.0.clone(), Some(error.to_string()))
                }
            };
            if let Some(SeenTo { work, next, .. }) = self.seen_to.remove(&id) {
                return Some(Ended {
                    promotion_id: id,
                    work,
                    next,
                    broken,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn nothing() {}

    #[tokio::test]
    async fn what_has_ended_may_be_begun_again() {
        let mut under_way = UnderWay::new();
        for _ in 0..2 {
            under_way.begin("p", 1, |_| nothing());
            let ended = under_way.ended().await.unwrap();
            assert_eq!((ended.next, ended.broken), (None, None));
        }
        assert_eq!(under_way.ended().await, None, "nothing is kept of it");
    }

    #[tokio::test]
    async fn what_panics_is_named_and_may_be_begun_again() {
        let mut under_way = UnderWay::new();
        under_way.begin("other", 1, |_| std::future::pending());
        under_way.begin("p", 2, |_| async { panic!("no such blob") });
        let ended = under_way.ended().await.unwrap();
        assert_eq!((&*ended.promotion_id, ended.work), ("p", 2));
        let broken = ended.broken.unwrap();
        assert!(broken.contains("no such blob"), "{broken}");
        under_way.begin("p", 3, |_| nothing());
        let ended = under_way.ended().await.unwrap();
        assert_eq!((ended.work, ended.broken), (3, None));
    }

    #[tokio::test]
    async fn what_is_ordered_meanwhile_is_not_lost() {
        let mut under_way = UnderWay::new();
        under_way.begin("p", 1, |_| nothing());
        under_way.begin("p", 2, |_| async { panic!("begun beside the first") });
        let ended = under_way.ended().await.unwrap();
        assert_eq!((ended.work, ended.next, ended.broken), (1, Some(2), None));
    }
}
