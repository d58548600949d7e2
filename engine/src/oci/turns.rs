//! Turns at a tag whose manifest is read, added to and written back. Registries have no
//! compare-and-set: of two who do this at once, one undoes what the other added.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Mutex as Place, OwnedMutexGuard};
use weir_schema::Tag;

/// The tags of one registry at which somebody has a turn or waits for one.
#[derive(Debug, Default)]
pub(super) struct Turns {
    places: Mutex<Places>,
}

/// By repository and tag.
type Places = BTreeMap<(String, Tag), Arc<Place<()>>>;

/// A turn at a tag, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Turn {
    _place: OwnedMutexGuard<()>,
}

impl Turns {
    /// Returns when none that asked before has its turn or waits.
    pub async fn turn(&self, repository: &str, tag: &Tag) -> Turn {
        let place = {
            let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            places.retain(|_, place| Arc::strong_count(place) > 1);
            let key = (repository.to_owned(), tag.clone());
            Arc::clone(places.entry(key).or_default())
        };
        Turn {
            _place: place.lock_owned().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn tag(name: &str) -> Tag {
        name.parse().unwrap()
    }

    #[tokio::test]
    async fn a_turn_is_waited_for_at_its_own_tag_and_repository_alone() {
        let turns = Turns::default();
        let first = turns.turn("prod/web", &tag("a")).await;
        let name = tag("a");
        let mut second = Box::pin(turns.turn("prod/web", &name));
        assert!((&mut second).now_or_never().is_none());
        let _elsewhere = turns.turn("prod/web", &tag("b")).await;
        let _further = turns.turn("prod/db", &tag("a")).await;
        drop(first);
        let _turn = second.await;
    }

    #[tokio::test]
    async fn a_turn_ends_with_the_task_that_has_it() {
        let turns = Arc::new(Turns::default());
        let (theirs, (taken, is_taken)) = (Arc::clone(&turns), tokio::sync::oneshot::channel());
        let task = tokio::spawn(async move {
            let _turn = theirs.turn("prod/web", &tag("a")).await;
            taken.send(()).unwrap();
            std::future::pending::<()>().await;
        });
        is_taken.await.unwrap();
        task.abort();
        let _turn = turns.turn("prod/web", &tag("a")).await;
    }

    #[tokio::test]
    async fn nothing_is_kept_of_turns_that_are_over_or_given_up() {
        let turns = Turns::default();
        for name in ["a", "b", "c"] {
            let turn = turns.turn("prod/web", &tag(name)).await;
            assert!(turns.turn("prod/web", &tag(name)).now_or_never().is_none());
            drop(turn);
        }
        let _turn = turns.turn("prod/web", &tag("d")).await;
        assert_eq!(turns.places.lock().unwrap().len(), 1);
    }
}
